//! The logical plan of a continuous query: what ksql's rules made of the statement, before it is cut into stages.
//!
//! A tree of nodes, the sink at its root. Every node tells the columns of its output edge; within an edge names are
//! unique, so expressions name columns without qualifiers. Nodes hold all columns: lowering leaves out what nobody
//! reads. `docs/decisions/0005-graph-holds-sql-expressions.md` says why this is not a DataFusion plan.

use std::sync::Arc;

use super::graph::{Aggregation, Joining, ProjectColumn, SourceColumn, TimestampColumn};
use crate::catalog::Source;
use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::sql::ast::Expr;
use crate::types::Name;

/// A node and all below it.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Reads a stream or table.
    Source(SourceNode),
    /// WHERE.
    Filter(FilterNode),
    /// PARTITION BY: gives rows another key.
    PartitionBy(PartitionByNode),
    /// Table functions.
    FlatMap(FlatMapNode),
    /// GROUP BY and aggregates, with the windows they are over.
    Aggregate(AggregateNode),
    /// JOIN.
    Join(JoinNode),
    /// The SELECT list.
    Project(ProjectNode),
    /// Writes a stream or table.
    Sink(SinkNode),
}

/// Reads a stream or table.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceNode {
    /// What is read.
    pub source: Arc<Source>,
    /// Where each column of `schema` comes from.
    pub columns: Vec<SourceColumn>,
    /// All columns, pseudo columns included.
    pub schema: EdgeSchema,
}

/// Keeps rows for which a condition holds.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterNode {
    /// Where rows come from.
    pub input: Box<Plan>,
    /// BOOLEAN expression over the input.
    pub predicate: Expr,
}

/// Gives rows another key.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionByNode {
    /// Where rows come from.
    pub input: Box<Plan>,
    /// Columns appended to the input's: the keys that are more than a column.
    pub computed: Vec<ProjectColumn>,
    /// The columns that make the key, in order; none for PARTITION BY NULL.
    pub key: Vec<Name>,
    /// The input's columns and the computed ones.
    pub schema: EdgeSchema,
}

/// Calls table functions.
#[derive(Debug, Clone, PartialEq)]
pub struct FlatMapNode {
    /// Where rows come from.
    pub input: Box<Plan>,
    /// Columns appended to the input's.
    pub calls: Vec<ProjectColumn>,
    /// The input's columns and the results of the calls.
    pub schema: EdgeSchema,
}

/// Groups rows and aggregates each group.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateNode {
    /// Where rows come from.
    pub input: Box<Plan>,
    /// The columns that make the key, computed over the input.
    pub key: Vec<ProjectColumn>,
    /// Arguments and conditions of the calls, computed over the input.
    pub arguments: Vec<ProjectColumn>,
    /// The columns of `key` and `arguments`, in this order.
    pub before: EdgeSchema,
    /// Key columns and arguments by name, calls, windows, emission.
    pub aggregation: Aggregation,
    /// Key columns, results of the calls, window bounds.
    pub schema: EdgeSchema,
}

/// Joins two inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinNode {
    /// Where left rows come from.
    pub left: Box<Plan>,
    /// Where right rows come from.
    pub right: Box<Plan>,
    /// The left side's join key that is more than columns, computed over the left input.
    pub left_computed: Vec<ProjectColumn>,
    /// The same of the right side.
    pub right_computed: Vec<ProjectColumn>,
    /// Keys, kind and method.
    pub joining: Joining,
    /// What the result does without where a condition beside the key does not hold.
    pub hiding: Option<Hiding>,
    /// Key columns, left columns, right columns.
    pub schema: EdgeSchema,
}

/// Columns that are NULL where a condition does not hold: rows met by their key, but are no partners.
#[derive(Debug, Clone, PartialEq)]
pub struct Hiding {
    /// Columns of the join's edge.
    pub columns: Vec<Name>,
    /// BOOLEAN expression over the join's edge.
    pub unless: Expr,
}

/// Computes the columns of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectNode {
    /// Where rows come from.
    pub input: Box<Plan>,
    /// One expression for each column of `schema`.
    pub columns: Vec<ProjectColumn>,
    /// The columns of the result.
    pub schema: EdgeSchema,
}

/// Writes a stream or table.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkNode {
    /// Where rows come from; its edge holds every column of the sink, and its window bounds if it is windowed.
    pub input: Box<Plan>,
    /// What is written.
    pub sink: Arc<Source>,
    /// The sink's key columns on the input's edge.
    pub key: Vec<Name>,
    /// The sink's value columns on the input's edge.
    pub value: Vec<Name>,
    /// Where the timestamps of records come from; `None` is event time. An INSERT INTO does not take the sink's.
    pub timestamp: Option<TimestampColumn>,
}

impl Plan {
    /// The columns of the node's output edge.
    pub fn schema(&self) -> &EdgeSchema {
        match self {
            Self::Source(node) => &node.schema,
            Self::Filter(node) => node.input.schema(),
            Self::PartitionBy(node) => &node.schema,
            Self::FlatMap(node) => &node.schema,
            Self::Aggregate(node) => &node.schema,
            Self::Join(node) => &node.schema,
            Self::Project(node) => &node.schema,
            Self::Sink(node) => node.input.schema(),
        }
    }

    /// The nodes that rows come from: none of a source, two of a join, left first.
    pub fn inputs(&self) -> Vec<&Plan> {
        match self {
            Self::Source(_) => vec![],
            Self::Filter(node) => vec![&node.input],
            Self::PartitionBy(node) => vec![&node.input],
            Self::FlatMap(node) => vec![&node.input],
            Self::Aggregate(node) => vec![&node.input],
            Self::Join(node) => vec![&node.left, &node.right],
            Self::Project(node) => vec![&node.input],
            Self::Sink(node) => vec![&node.input],
        }
    }
}

/// `base` with `more` columns behind its own.
pub(super) fn append(base: &EdgeSchema, more: impl IntoIterator<Item = EdgeColumn>) -> EdgeSchema {
    EdgeSchema::new(base.columns().iter().cloned().chain(more).collect())
}
