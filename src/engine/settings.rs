//! What a server sets for its engine: limits, defaults, names.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::runtime::RuntimeSettings;
use crate::serving::adhoc::AdHocSettings;

/// Settings of an engine, fixed while it runs.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// `service.id`: part of the name of every internal topic.
    pub service_id: String,
    /// Settings in force where a request says nothing (`auto.offset.reset` = `earliest`), by ksqlDB's names. Checked
    /// when the engine opens.
    pub defaults: BTreeMap<String, String>,
    /// What SHOW PROPERTIES tells of the server's settings where a request gives none, by our names; what is not here has
    /// its default.
    pub shown: BTreeMap<&'static str, String>,
    /// `statement.max.bytes`: the longest text of a request.
    pub max_text_bytes: usize,
    /// `request.max.statements`: the most statements in a request.
    pub max_statements: usize,
    /// `queries.max.persistent`: the most persistent queries (ksqlDB: `ksql.query.persistent.active.limit`).
    pub max_persistent_queries: usize,
    /// `queries.max.push`: the most push queries, bounded scans and PRINTs at a time (`ksql.max.push.queries`).
    pub max_push_queries: usize,
    /// `query.pull.timeout`: how long a pull query waits for its tables to be read up to what was committed before it.
    pub pull_timeout: Duration,
    /// `command.response.timeout`: how long a request waits for the command whose number it names.
    pub command_timeout: Duration,
    /// `queries.start.paused`: new persistent queries wait for RESUME.
    pub queries_start_paused: bool,
    /// How queries run.
    pub runtime: RuntimeSettings,
    /// How queries in any other SQL run.
    pub ad_hoc: AdHocSettings,
    /// `push.buffer.batches`: batches of rows that wait for a client before its query waits for it.
    pub push_buffer_batches: usize,
    /// `processing.log.enabled`: whether failed records go to the processing log's topic and stream.
    pub processing_log: bool,
    /// `processing.log.buffer.entries`: entries that wait for the log; what comes on top is counted and dropped.
    pub processing_log_buffer: usize,
    /// `processing.log.partitions`: partitions of the processing log's topic.
    pub processing_log_partitions: i32,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            service_id: "default_".to_owned(),
            defaults: BTreeMap::new(),
            shown: BTreeMap::new(),
            max_text_bytes: 1 << 20,
            max_statements: 1_000,
            max_persistent_queries: 10_000,
            max_push_queries: 100,
            pull_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(5),
            queries_start_paused: false,
            runtime: RuntimeSettings::default(),
            ad_hoc: AdHocSettings::default(),
            push_buffer_batches: 16,
            processing_log: true,
            processing_log_buffer: 10_000,
            processing_log_partitions: 1,
        }
    }
}
