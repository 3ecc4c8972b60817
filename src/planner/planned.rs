//! What planning gives: definitions of sources and planned queries, with the topics they want.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::graph::OperatorGraph;
use super::plan::Plan;
use crate::catalog::Source;
use crate::types::{Name, SqlType};

/// The topic of a stream or table, as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPlan {
    /// Name.
    pub name: String,
    /// Number of partitions, at least 1.
    pub partitions: i32,
    /// Replication factor; -1 is the log's default.
    pub replicas: i16,
    /// How long records stay, milliseconds; `None` is the log's default, which for compacted topics is for ever.
    /// Less than 0 is for ever too.
    pub retention_ms: Option<i64>,
    /// True if, of records with one key, only the last must stay. With a retention, that one goes too in its time.
    pub compacted: bool,
    /// True if the topic was there when the statement was planned.
    pub exists: bool,
}

/// A stream or table that a CREATE defines, and its topic.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceDefinition {
    /// The stream or table; its text and creating query are left to the engine.
    pub source: Source,
    /// Its topic.
    pub topic: TopicPlan,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// Name.
    pub name: Name,
    /// Type.
    pub ty: SqlType,
    /// True if the column is a key column of the source and nothing else.
    pub is_key: bool,
}

/// A continuous query, ready to be stored and run.
#[derive(Debug, Clone)]
pub struct PlannedQuery {
    /// The logical plan, for EXPLAIN.
    pub plan: Plan,
    /// What runs.
    pub graph: OperatorGraph,
    /// The stream or table it makes and its topic; for INSERT INTO the existing one; none for a push query.
    pub sink: Option<SourceDefinition>,
    /// The streams and tables it reads, the first one first.
    pub sources: Vec<Arc<Source>>,
    /// Columns of the result in order: keys first where there is a sink.
    pub columns: Vec<OutputColumn>,
    /// True if the result is a table.
    pub is_table: bool,
    /// LIMIT of a push query: rows.
    pub limit: Option<u64>,
}
