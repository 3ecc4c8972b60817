//! What planning needs beside the statement and the catalog, handed in as plain values.

use std::collections::BTreeMap;

use crate::formats::FormatName;
use crate::functions::FunctionRegistry;

/// What a log says of a topic that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicShape {
    /// Number of partitions.
    pub partitions: i32,
    /// Replication factor.
    pub replicas: i16,
    /// How long records stay, milliseconds; `None` keeps them for ever.
    pub retention_ms: Option<i64>,
}

/// How far statements may go beyond ksqlDB (setting `sql.compatibility`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compatibility {
    /// Everything ours can do.
    #[default]
    Extended,
    /// What ksqlDB rejects is rejected.
    Ksqldb,
}

/// The settings that change plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSettings {
    /// Format of keys where a CREATE names none.
    pub default_key_format: FormatName,
    /// Format of values where a CREATE names none; `None`: it must name one.
    pub default_value_format: Option<FormatName>,
    /// Whether a single value column is wrapped where the statement does not say; `None`: as the format does.
    pub wrap_single_values: Option<bool>,
    /// Put before the names of sinks to make the names of their topics.
    pub output_topic_prefix: String,
    /// How far statements may go beyond ksqlDB.
    pub compatibility: Compatibility,
    /// HEADER columns may be declared.
    pub header_columns: bool,
    /// The key of a stream follows the SELECT list: in its order, and without the columns it leaves out
    /// (`ksql.new.query.planner.enabled`).
    pub key_follows_select: bool,
    /// Aggregations of persistent queries emit every update (`cache.max.bytes.buffering` is 0).
    pub every_update: bool,
    /// EMIT FINAL loses windows that close in a jump of time (`emit.final.kafka-loss`).
    pub final_with_loss: bool,
    /// How far apart rows of two streams may lie that are joined without WITHIN (`join.streams.ttl`), milliseconds; 0:
    /// such joins are refused.
    pub join_streams_ttl_ms: i64,
    /// The most values that an aggregate keeps, by its name (`ksql.functions.collect_list.limit`).
    pub aggregate_limits: BTreeMap<String, usize>,
    /// A record whose event time cannot be read stops the query (`ksql.timestamp.throw.on.invalid`).
    pub stops_at_bad_time: bool,
    /// Replication factor of topics where neither statement nor source topic tells; -1 is the log's default.
    pub default_replicas: i16,
    /// Slots that keys of a new query hash to.
    pub slots: u16,
}

impl Default for PlanSettings {
    fn default() -> Self {
        Self {
            default_key_format: FormatName::Kafka,
            default_value_format: None,
            wrap_single_values: None,
            output_topic_prefix: String::new(),
            compatibility: Compatibility::default(),
            header_columns: true,
            key_follows_select: false,
            every_update: false,
            final_with_loss: false,
            join_streams_ttl_ms: 0,
            aggregate_limits: BTreeMap::new(),
            stops_at_bad_time: false,
            default_replicas: -1,
            slots: 64,
        }
    }
}

/// What planning needs beside the statement and the catalog.
#[derive(Clone, Copy)]
pub struct PlanContext<'a> {
    /// Every function.
    pub functions: &'a FunctionRegistry,
    /// The settings that change plans.
    pub settings: &'a PlanSettings,
    /// The shape of a topic that exists.
    pub topics: &'a dyn Fn(&str) -> Option<TopicShape>,
}
