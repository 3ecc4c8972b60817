//! Members of the entities that SHOW and LIST answer.

use std::collections::BTreeMap;

use serde::Serialize;

use super::QueryErrorInfo;
use crate::catalog::Source;

/// A stream or table in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceInfo {
    /// STREAM or TABLE.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Name.
    pub name: String,
    /// Topic.
    pub topic: String,
    /// Format of keys.
    pub key_format: String,
    /// Format of values.
    pub value_format: String,
    /// True if its keys carry windows.
    pub is_windowed: bool,
}

impl From<&Source> for SourceInfo {
    fn from(source: &Source) -> Self {
        Self {
            kind: source.kind.as_sql(),
            name: source.name.as_str().to_owned(),
            topic: source.topic.clone(),
            key_format: source.key.format.to_string(),
            value_format: source.value.format.to_string(),
            is_windowed: source.window.is_some(),
        }
    }
}

/// A topic in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicSummary {
    /// Name.
    pub name: String,
    /// One replication factor for each partition.
    pub replica_info: Vec<i32>,
}

/// A topic in an extended list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicDetails {
    /// Name.
    pub name: String,
    /// One replication factor for each partition.
    pub replica_info: Vec<i32>,
    /// Partitions that running queries read.
    pub consumer_count: usize,
    /// Running queries that read it.
    pub consumer_group_count: usize,
}

/// A query in a list, or in a source's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryInfo {
    /// Its text.
    pub query_string: String,
    /// The stream or table it writes; none for push queries.
    pub sinks: Vec<String>,
    /// Their topics.
    pub sink_kafka_topics: Vec<String>,
    /// Its id.
    pub id: String,
    /// How many servers run it in which state.
    pub status_count: BTreeMap<String, usize>,
    /// PERSISTENT, PUSH or PULL.
    pub query_type: &'static str,
    /// ERROR if it is in ERROR anywhere, PAUSED, RUNNING; or `RESTORING (3 of 10 rows)` or `WAITING (reason)` while the
    /// log takes no commits: both count as RUNNING.
    pub state: String,
    /// Why it is in ERROR; left out otherwise. Not among ksqlDB's members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query_errors: Vec<QueryErrorInfo>,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PropertyInfo {
    /// Its name, as ksqlDB calls it.
    pub name: String,
    /// KSQL, always: there is no Connect worker.
    pub scope: &'static str,
    /// Its value.
    pub value: String,
    /// True if SET may change it.
    pub editable: bool,
    /// QUERY or SERVER.
    pub level: &'static str,
}

/// A function in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FunctionInfo {
    /// Name.
    pub name: String,
    /// SCALAR, AGGREGATE or TABLE.
    #[serde(rename = "type")]
    pub kind: String,
    /// Group, upper case.
    pub category: String,
}

/// An overload of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionSignature {
    /// Its parameters.
    pub arguments: Vec<ArgumentInfo>,
    /// What it returns.
    pub return_type: String,
    /// What it does.
    pub description: String,
}

/// A parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArgumentInfo {
    /// Name.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub ty: String,
    /// What it means.
    pub description: String,
    /// True if it may be repeated.
    pub is_variadic: bool,
}

/// A variable of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VariableInfo {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}
