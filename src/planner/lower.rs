//! The plan becomes the operator graph: cut into stages, with names, and without columns that nobody reads.
//!
//! ```text
//!   stream            Source ─ [Where] ─ GroupBy ─ RequireKey ─▶ exchange by key ─▶ Aggregate ─ [Having] ─ Project
//!   table, if somebody   Source ─▶ exchange by primary key ─▶ Remember ─ [Where] ─ …
//!   needs its old rows
//! ```
//!
//! The two sides of a join are stages of their own, dealt by the join key to the stage of the join.
//!
//! Names of stages and operators are part of the written form: state is found by them.

use std::collections::BTreeSet;

use super::graph::{
    Emission, Encoding, GRAPH_VERSION, Input, JoinMethod, OperatorGraph, OperatorKind, OperatorNode, Output,
    ProjectColumn, SinkOutput, SourceColumn, SourceInput, Stage,
};
use super::names::unique;
use super::plan::{AggregateNode, FlatMapNode, Hiding, JoinNode, PartitionByNode, Plan, SinkNode, SourceNode};
use super::rewrite::columns_of;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::sql::ast::{Expr, ExprKind};
use crate::types::{Name, SqlType};

/// The name of the operator that computes new keys.
pub(super) const PARTITION_BY: &str = "PartitionBy";
/// The name of the operator that computes the keys and arguments of an aggregation.
pub(super) const GROUP_BY: &str = "GroupBy";

/// The name of the operator that computes the key of one side of a join.
pub(super) const JOIN_KEY: &str = "JoinKey";

/// The column that holds the version of a left row on its way through a foreign-key join.
const JOIN_VERSION: &str = "KSQL_JOIN_VERSION";

/// Lowers a plan; without a sink at its root the rows go to a client.
pub(super) fn lower(plan: &Plan, slots: u16) -> Result<OperatorGraph, Diagnostic> {
    let mut stages = Stages { done: vec![], open: None };
    let output = match plan {
        Plan::Sink(sink) => {
            let edge = stages.chain(&sink.input, &all(sink.input.schema()), OldRows::Dropped)?;
            Output::Sink(sink_output(sink, &edge)?)
        }
        rows => {
            stages.chain(rows, &all(rows.schema()), OldRows::Dropped)?;
            Output::Rows
        }
    };
    stages.close(output)?;
    Ok(OperatorGraph { version: GRAPH_VERSION, stages: stages.done, slots, stops_at_bad_time: false })
}

/// The stages so far; rows of the open one go on.
struct Stages {
    done: Vec<Stage>,
    open: Option<OpenStage>,
}

struct OpenStage {
    name: String,
    inputs: Vec<Input>,
    operators: Vec<OperatorNode>,
    encoding: Encoding,
}

type Wanted = BTreeSet<Name>;

/// Whether somebody above looks at the old rows of updates and deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OldRows {
    Dropped,
    Wanted,
}

impl Stages {
    /// Lowers a node and all below it; gives the columns of its edge, which are at least `wanted`. With
    /// [`OldRows::Wanted`] the edge is one of encoding append or changelog.
    fn chain(&mut self, plan: &Plan, wanted: &Wanted, old: OldRows) -> Result<EdgeSchema, Diagnostic> {
        match plan {
            Plan::Source(source) if source.source.is_table() && old == OldRows::Wanted => self.remember(source, wanted),
            Plan::Source(source) => self.source(source, wanted),
            Plan::Filter(filter) => {
                // A row that passed and passes no more is deleted: that takes the old row.
                let edge = self.chain(&filter.input, &with_reads(wanted, [&filter.predicate]), OldRows::Wanted)?;
                let kind = OperatorKind::Filter { predicate: filter.predicate.clone() };
                let name = if matches!(*filter.input, Plan::Aggregate(_)) { "Having" } else { "Where" };
                self.operator(name, kind, edge)
            }
            Plan::PartitionBy(node) => self.partition_by(node, wanted),
            Plan::FlatMap(node) => self.flat_map(node, wanted),
            Plan::Aggregate(node) => self.aggregate(node, old),
            Plan::Join(node) => self.join(node, wanted, old),
            Plan::Project(node) => {
                let exprs = node.columns.iter().map(|column| &column.expr);
                self.chain(&node.input, &with_reads(&Wanted::new(), exprs), old)?;
                let kind = OperatorKind::Project { columns: node.columns.clone() };
                self.operator("Project", kind, node.schema.clone())
            }
            Plan::Sink(_) => Err(Diagnostic::new(Code::Internal, "a sink stands inside a plan")),
        }
    }

    /// A table whose old rows are kept, so that they are there when they are replaced.
    fn remember(&mut self, node: &SourceNode, wanted: &Wanted) -> Result<EdgeSchema, Diagnostic> {
        let is_key = |from: &SourceColumn| {
            matches!(from, SourceColumn::Key(_) | SourceColumn::WindowStart | SourceColumn::WindowEnd)
        };
        let columns = node.columns.iter().zip(node.schema.columns());
        let key: Vec<Name> = columns.filter(|(from, _)| is_key(from)).map(|(_, column)| column.name.clone()).collect();
        let edge = self.source(node, &wanted.iter().chain(&key).cloned().collect())?;
        self.exchange(&edge, &key, "Remember")?;
        self.set_encoding(Encoding::Changelog);
        self.operator("Remember", OperatorKind::Remember { key }, edge)
    }

    fn source(&mut self, node: &SourceNode, wanted: &Wanted) -> Result<EdgeSchema, Diagnostic> {
        let mut kept: Vec<usize> =
            (0..node.columns.len()).filter(|&index| wanted.contains(&node.schema.columns()[index].name)).collect();
        if kept.is_empty() {
            // A batch without columns would not know its length everywhere; event time costs nothing.
            kept.extend(node.columns.iter().position(|column| *column == SourceColumn::RowTime));
        }
        let schema = EdgeSchema::new(kept.iter().map(|&index| node.schema.columns()[index].clone()).collect());
        let source = &node.source;
        let input = SourceInput {
            source: source.name.clone(),
            topic: source.topic.clone(),
            key: source.key.clone(),
            value: source.value.clone(),
            window: source.window,
            timestamp: source.timestamp.clone(),
            is_table: source.is_table(),
            begins_at: source.begins_at.clone(),
            columns: kept.iter().map(|&index| node.columns[index].clone()).collect(),
            schema: schema.clone(),
        };
        let encoding = if source.is_table() { Encoding::Upsert } else { Encoding::Append };
        let name = self.stage_name("Source");
        self.open = Some(OpenStage { name, inputs: vec![Input::Source(input)], operators: vec![], encoding });
        Ok(schema)
    }

    /// Computed keys are one more projection; then rows are dealt by their key, if they have one.
    fn partition_by(&mut self, node: &PartitionByNode, wanted: &Wanted) -> Result<EdgeSchema, Diagnostic> {
        let mut below: Wanted = wanted.iter().chain(&node.key).cloned().collect();
        below.retain(|name| node.input.schema().index_of(name).is_some());
        let below = with_reads(&below, node.computed.iter().map(|column| &column.expr));
        let mut edge = self.chain(&node.input, &below, OldRows::Dropped)?;
        let kept: Vec<EdgeColumn> = edge
            .columns()
            .iter()
            .filter(|column| wanted.contains(&column.name) || node.key.contains(&column.name))
            .cloned()
            .collect();
        if !node.computed.is_empty() || kept.len() < edge.columns().len() {
            let passed = kept.iter().map(|column| ProjectColumn {
                name: column.name.clone(),
                expr: Expr::column(column.name.clone()),
                needs_value: false,
            });
            let columns: Vec<ProjectColumn> = passed.chain(node.computed.iter().cloned()).collect();
            let computed = node.computed.iter().filter_map(|column| edge_column(&node.schema, &column.name));
            let schema = EdgeSchema::new(kept.into_iter().chain(computed).collect());
            edge = self.operator(PARTITION_BY, OperatorKind::Project { columns }, schema)?;
        }
        if !node.key.is_empty() {
            self.exchange(&edge, &node.key, "Repartitioned")?;
        }
        Ok(edge)
    }

    /// Keys and arguments are one projection; then rows are dealt by their key.
    fn aggregate(&mut self, node: &AggregateNode, old: OldRows) -> Result<EdgeSchema, Diagnostic> {
        let computed = || node.key.iter().chain(&node.arguments);
        let below = with_reads(&Wanted::new(), computed().map(|column| &column.expr));
        let takes_back = if node.aggregation.retracts { OldRows::Wanted } else { OldRows::Dropped };
        self.chain(&node.input, &below, takes_back)?;
        let columns = computed().cloned().collect();
        let edge = self.operator(GROUP_BY, OperatorKind::Project { columns }, node.before.clone())?;
        let key = node.aggregation.key.clone();
        let edge = self.operator("RequireKey", OperatorKind::RequireKey { key: key.clone() }, edge)?;
        self.exchange(&edge, &key, "Aggregate")?;
        self.set_encoding(match (node.aggregation.emission, old) {
            // The one result of a closed window replaces nothing.
            (Emission::Final | Emission::FinalWithLoss, _) => Encoding::Append,
            (_, OldRows::Wanted) => Encoding::Changelog,
            (_, OldRows::Dropped) => Encoding::Upsert,
        });
        self.operator("Aggregate", OperatorKind::Aggregate(node.aggregation.clone()), node.schema.clone())
    }

    /// Both sides are dealt by their keys to one stage; a foreign-key join is dealt on to the left table's key.
    fn join(&mut self, node: &JoinNode, wanted: &Wanted, old: OldRows) -> Result<EdgeSchema, Diagnostic> {
        let joining = &node.joining;
        let reads = node.hiding.iter().map(|hiding| &hiding.unless);
        let wanted = &with_reads(wanted, reads);
        let (by_foreign_key, primary_key) = match &joining.method {
            JoinMethod::ForeignKey { primary_key } => (true, &primary_key[..]),
            JoinMethod::Streams { .. } | JoinMethod::StreamTable | JoinMethod::Tables => (false, &[][..]),
        };
        let mut on_left = wanted.clone();
        on_left.extend(primary_key.iter().cloned());
        let left_rows = if by_foreign_key { OldRows::Wanted } else { OldRows::Dropped };
        let mut left =
            self.join_side(&node.left, &node.left_computed, &joining.left_key, (&on_left, &node.schema), left_rows)?;
        let version = if by_foreign_key {
            let name = unique(JOIN_VERSION, |name| node.schema.index_of(name).is_some());
            let column = EdgeColumn { name: name.clone(), ty: SqlType::BigInt };
            left = EdgeSchema::new(left.columns().iter().cloned().chain([column]).collect());
            left = self.operator("Version", OperatorKind::Version, left)?;
            Some(name)
        } else {
            None
        };
        self.exchange_to_join(&left, &joining.method, &joining.left_key)?;
        let left_inputs = self.open.take().map(|stage| stage.inputs).ok_or_else(no_stage)?;
        let right = self.join_side(
            &node.right,
            &node.right_computed,
            &joining.right_key,
            (wanted, &node.schema),
            OldRows::Dropped,
        )?;
        self.exchange_to_join(&right, &joining.method, &joining.right_key)?;
        let stage = self.open.as_mut().ok_or_else(no_stage)?;
        stage.inputs.splice(0..0, left_inputs);
        let keeps_old = if old == OldRows::Wanted { Encoding::Changelog } else { Encoding::Upsert };
        stage.encoding = match joining.method {
            JoinMethod::Streams { .. } | JoinMethod::StreamTable => Encoding::Append,
            JoinMethod::Tables => keeps_old,
            JoinMethod::ForeignKey { .. } => Encoding::Upsert,
        };
        let key = joining.key.iter().filter_map(|name| edge_column(&node.schema, name));
        let columns = key.chain(left.columns().iter().cloned()).chain(right.columns().iter().cloned()).collect();
        let edge = self.operator("Join", OperatorKind::Join(joining.clone()), EdgeSchema::new(columns))?;
        let Some(version) = version else { return self.hide(node.hiding.as_ref(), edge) };
        self.exchange(&edge, &joining.key, "Resolve")?;
        self.set_encoding(keeps_old);
        let resolved = edge.columns().iter().filter(|column| column.name != version).cloned().collect();
        let resolve = OperatorKind::Resolve { key: joining.key.clone(), version };
        let edge = self.operator("Resolve", resolve, EdgeSchema::new(resolved))?;
        self.hide(node.hiding.as_ref(), edge)
    }

    /// Columns become NULL where the condition of a join does not hold.
    fn hide(&mut self, hiding: Option<&Hiding>, edge: EdgeSchema) -> Result<EdgeSchema, Diagnostic> {
        let Some(Hiding { columns, unless }) = hiding else { return Ok(edge) };
        let column = |column: &EdgeColumn| {
            let name = column.name.clone();
            let shown = Expr::column(name.clone());
            let expr = if columns.contains(&name) {
                let branches = vec![(unless.clone(), shown)];
                Expr::new(ExprKind::Case { operand: None, branches, otherwise: None }, unless.span)
            } else {
                shown
            };
            ProjectColumn { name, expr, needs_value: false }
        };
        let columns = edge.columns().iter().map(column).collect();
        self.operator("JoinCondition", OperatorKind::Project { columns }, edge)
    }

    /// Deals one side of a join by its key. Rows of streams without one meet nobody, and time does not go on with them.
    fn exchange_to_join(&mut self, edge: &EdgeSchema, method: &JoinMethod, key: &[Name]) -> Result<(), Diagnostic> {
        if matches!(method, JoinMethod::Streams { .. }) {
            self.operator("RequireKey", OperatorKind::RequireKey { key: key.to_vec() }, edge.clone())?;
        }
        self.exchange(edge, key, "Join")
    }

    /// One side of a join, up to before the exchange by its key.
    fn join_side(
        &mut self,
        side: &Plan,
        computed: &[ProjectColumn],
        key: &[Name],
        (wanted, joined): (&Wanted, &EdgeSchema),
        old: OldRows,
    ) -> Result<EdgeSchema, Diagnostic> {
        let mut kept: Wanted = wanted.iter().chain(key).cloned().collect();
        kept.retain(|name| side.schema().index_of(name).is_some());
        let below = with_reads(&kept, computed.iter().map(|column| &column.expr));
        let mut edge = self.chain(side, &below, old)?;
        if !computed.is_empty() {
            let passed: Vec<EdgeColumn> =
                edge.columns().iter().filter(|column| kept.contains(&column.name)).cloned().collect();
            let columns = passed.iter().map(|column| ProjectColumn {
                name: column.name.clone(),
                expr: Expr::column(column.name.clone()),
                needs_value: false,
            });
            let columns = columns.chain(computed.iter().cloned()).collect();
            let types = computed.iter().filter_map(|column| edge_column(joined, &column.name));
            let schema = EdgeSchema::new(passed.into_iter().chain(types).collect());
            edge = self.operator(JOIN_KEY, OperatorKind::Project { columns }, schema)?;
        }
        Ok(edge)
    }

    /// Ends the stage: its rows are dealt by `key` to a new one.
    fn exchange(&mut self, edge: &EdgeSchema, key: &[Name], next: &str) -> Result<(), Diagnostic> {
        let encoding = self.open.as_ref().map_or(Encoding::Append, |stage| stage.encoding);
        self.close(Output::Exchange { key: positions(edge, key)? })?;
        let input = Input::Exchange { stage: self.done.len() - 1 };
        let name = self.stage_name(next);
        self.open = Some(OpenStage { name, inputs: vec![input], operators: vec![], encoding });
        Ok(())
    }

    fn stage_name(&self, name: &str) -> String {
        numbered(name, |name| self.done.iter().any(|stage| stage.name == name))
    }

    /// What the operators from here on put on their edges.
    fn set_encoding(&mut self, encoding: Encoding) {
        if let Some(stage) = &mut self.open {
            stage.encoding = encoding;
        }
    }

    fn flat_map(&mut self, node: &FlatMapNode, wanted: &Wanted) -> Result<EdgeSchema, Diagnostic> {
        let mut below = wanted.clone();
        below.retain(|name| node.input.schema().index_of(name).is_some());
        let below = with_reads(&below, node.calls.iter().map(|call| &call.expr));
        let edge = self.chain(&node.input, &below, OldRows::Dropped)?;
        let kept = edge.columns().iter().filter(|column| wanted.contains(&column.name)).cloned();
        let results = node.calls.iter().filter_map(|call| edge_column(&node.schema, &call.name));
        let schema = EdgeSchema::new(kept.chain(results).collect());
        self.operator("FlatMap", OperatorKind::FlatMap { calls: node.calls.clone() }, schema)
    }

    fn operator(&mut self, name: &str, kind: OperatorKind, schema: EdgeSchema) -> Result<EdgeSchema, Diagnostic> {
        let stage = self.open.as_mut().ok_or_else(no_stage)?;
        let encoding = stage.encoding;
        let taken = |name: &str| {
            let closed = self.done.iter().flat_map(|stage| &stage.operators);
            closed.chain(&stage.operators).any(|operator| operator.name == name)
        };
        let name = numbered(name, taken);
        stage.operators.push(OperatorNode { name, kind, schema: schema.clone(), encoding });
        Ok(schema)
    }

    fn close(&mut self, output: Output) -> Result<(), Diagnostic> {
        let stage = self.open.take().ok_or_else(no_stage)?;
        self.done.push(Stage { name: stage.name, inputs: stage.inputs, operators: stage.operators, output });
        Ok(())
    }
}

/// `name`, with the first number behind it that nobody has if it is taken.
fn numbered(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut found = name.to_owned();
    let mut number = 1;
    while is_taken(&found) {
        number += 1;
        found = format!("{name}{number}");
    }
    found
}

fn no_stage() -> Diagnostic {
    Diagnostic::new(Code::Internal, "a plan has no source")
}

fn all(schema: &EdgeSchema) -> Wanted {
    schema.columns().iter().map(|column| column.name.clone()).collect()
}

fn with_reads<'a>(wanted: &Wanted, exprs: impl IntoIterator<Item = &'a Expr>) -> Wanted {
    let mut wanted = wanted.clone();
    exprs.into_iter().for_each(|expr| wanted.extend(columns_of(expr)));
    wanted
}

fn edge_column(schema: &EdgeSchema, name: &Name) -> Option<EdgeColumn> {
    schema.index_of(name).map(|index| schema.columns()[index].clone())
}

fn positions(edge: &EdgeSchema, names: &[Name]) -> Result<Vec<usize>, Diagnostic> {
    names
        .iter()
        .map(|name| {
            edge.index_of(name)
                .ok_or_else(|| Diagnostic::new(Code::Internal, format!("column {name} is missing from an edge")))
        })
        .collect()
}

fn sink_output(node: &SinkNode, edge: &EdgeSchema) -> Result<SinkOutput, Diagnostic> {
    let sink = &node.sink;
    Ok(SinkOutput {
        sink: sink.name.clone(),
        topic: sink.topic.clone(),
        key: sink.key.clone(),
        key_columns: positions(edge, &node.key)?,
        value: sink.value.clone(),
        value_columns: positions(edge, &node.value)?,
        window: sink.window,
        timestamp: node.timestamp.clone(),
        is_table: sink.is_table(),
    })
}
