//! Members of the entities that DESCRIBE and EXPLAIN answer.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{FieldInfo, QueryInfo};

/// A stream or table, described.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceDescription {
    /// Name.
    pub name: String,
    /// TUMBLING, HOPPING, SESSION or null.
    pub window_type: Option<String>,
    /// How long its windows are, milliseconds; left out where it has none, or sessions. Not among ksqlDB's members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_size_ms: Option<i64>,
    /// Queries that read it.
    pub read_queries: Vec<QueryInfo>,
    /// Queries that write it.
    pub write_queries: Vec<QueryInfo>,
    /// Its columns.
    pub fields: Vec<FieldInfo>,
    /// STREAM or TABLE.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The column that holds event time, or nothing.
    pub timestamp: String,
    /// Counts as text, if extended.
    pub statistics: String,
    /// Counts of errors as text, if extended.
    pub error_stats: String,
    /// DESCRIBE EXTENDED.
    pub extended: bool,
    /// Format of keys.
    pub key_format: String,
    /// Format of values.
    pub value_format: String,
    /// Topic.
    pub topic: String,
    /// Its partitions; 0 if the topic is gone.
    pub partitions: i32,
    /// Its replication factor; 0 if the topic is gone.
    pub replication: i32,
    /// The statement that made it.
    pub statement: String,
    /// Where its readers are.
    pub query_offset_summaries: Vec<OffsetSummary>,
    /// Names of sources that block DROP.
    pub source_constraints: Vec<String>,
    /// Counts by server.
    pub cluster_statistics: Vec<ClusterStatistic>,
    /// Counts of errors by server.
    pub cluster_error_stats: Vec<ClusterStatistic>,
}

/// A count of one server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterStatistic {
    /// What is counted.
    pub name: String,
    /// `host:port`.
    pub host: String,
    /// How many.
    pub value: f64,
    /// When, milliseconds.
    pub timestamp: i64,
}

/// Where a query is in its topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsetSummary {
    /// Its consumer group.
    pub group_id: String,
    /// By topic.
    pub topic_summaries: Vec<QueryOffsets>,
}

/// Where a query is in a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryOffsets {
    /// The topic.
    pub kafka_topic: String,
    /// By partition.
    pub offsets: Vec<PartitionOffsets>,
}

/// Where a query is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionOffsets {
    /// The partition.
    pub partition: i32,
    /// First retained offset.
    pub log_start_offset: i64,
    /// Past the last record.
    pub log_end_offset: i64,
    /// What the query reads next.
    pub consumer_offset: i64,
}

/// A query, described.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryDescription {
    /// Its id; empty for a statement that was only explained.
    pub id: String,
    /// Its text.
    pub statement_text: String,
    /// TUMBLING, HOPPING, SESSION or null.
    pub window_type: Option<String>,
    /// Its result's columns.
    pub fields: Vec<FieldInfo>,
    /// What it reads.
    pub sources: Vec<String>,
    /// What it writes.
    pub sinks: Vec<String>,
    /// The operator graph as text.
    pub topology: String,
    /// The plan as text.
    pub execution_plan: String,
    /// Settings it was created with.
    pub overridden_properties: BTreeMap<String, String>,
    /// Its state by server.
    pub ksql_host_query_status: BTreeMap<String, String>,
    /// PERSISTENT, PUSH or PULL.
    pub query_type: &'static str,
    /// Its latest errors.
    pub query_errors: Vec<QueryErrorInfo>,
    /// Always empty: ksqlDB's tasks do not exist here.
    pub tasks_metadata: Vec<String>,
    /// Its consumer group.
    pub consumer_group_id: String,
    /// Its state; null for a statement that was only explained.
    pub state: Option<String>,
}

/// An error that stopped a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryErrorInfo {
    /// When, milliseconds.
    pub timestamp: i64,
    /// What went wrong.
    pub error_message: String,
    /// USER, SYSTEM or UNKNOWN.
    #[serde(rename = "type")]
    pub kind: &'static str,
}
