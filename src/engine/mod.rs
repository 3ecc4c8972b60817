//! The API boundary: what a door (HTTP, the test runner) can ask of the database.
//!
//! Everything here blocks the calling thread for as long as the log needs; doors call it away from their event loops.
//! Results of queries arrive through bounded channels.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::diagnostics::Diagnostic;
pub use crate::runtime::RowEvent;
pub use crate::telemetry::QueryMetrics;
use crate::types::{EventTime, Header, Name, Offset, Partition, Record, SqlType};

/// A request of a client: statements and what they are to be read with.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// One or more statements, each ended by a semicolon.
    pub sql: String,
    /// Settings for this request, as text (`auto.offset.reset` = `earliest`).
    pub properties: BTreeMap<String, String>,
    /// Values of `${name}` in the text.
    pub variables: BTreeMap<String, String>,
    /// Wait until the command of this number has been applied.
    pub command_sequence_number: Option<i64>,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultColumn {
    /// Name.
    pub name: Name,
    /// Type.
    pub ty: SqlType,
    /// True for a key column of a pull query.
    pub is_key: bool,
}

/// A query's answer.
#[derive(Debug)]
pub struct RowStream {
    /// Id for `/close-query` and TERMINATE.
    pub query_id: String,
    /// Its columns.
    pub columns: Vec<ResultColumn>,
    /// True for a push query, false for a pull query.
    pub is_push: bool,
    /// True if a table is read, not a stream: a pull query over a table ends without a final message.
    pub over_table: bool,
    /// The events, bounded: a slow client slows the query, never fills memory. Dropping it ends the query.
    pub events: tokio::sync::mpsc::Receiver<RowEvent>,
}

/// The answer to PRINT: text lines.
#[derive(Debug)]
pub struct PrintStream {
    /// Lines without line ends; bounded. Dropping it ends the printing.
    pub lines: tokio::sync::mpsc::Receiver<String>,
}

/// The answer to SELECT or PRINT.
#[derive(Debug)]
pub enum QueryAnswer {
    /// Rows of a SELECT.
    Rows(RowStream),
    /// Lines of a PRINT.
    Print(PrintStream),
}

/// A request that was refused.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub diagnostic: Diagnostic,
    /// Text of the failing statement, if one is to blame.
    pub statement: Option<String>,
    /// Results of the statements before it.
    pub entities: Vec<Entity>,
}

/// The result of one statement, as the API shows it; serialises to ksqlDB's JSON (`rest-api.md` 4).
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub struct Entity(pub serde_json::Value);

/// Which records of a topic a reader wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicRead {
    /// From the first retained record on; else only records that come after the call.
    pub from_earliest: bool,
    /// End after so many records.
    pub limit: Option<u64>,
    /// Wait for more at the end of the topic; else end at the end offsets seen at the start.
    pub follow: bool,
}

/// A record as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// Partition.
    pub partition: Partition,
    /// Position in it.
    pub offset: Offset,
    /// Event time.
    pub timestamp: EventTime,
    /// Key bytes.
    pub key: Option<Bytes>,
    /// Value bytes.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<Header>,
}

/// A record to produce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducedRecord {
    /// Partition; `None` lets the key choose.
    pub partition: Option<Partition>,
    /// Key, value, headers; the timestamp counts only if `has_timestamp`.
    pub record: Record,
    /// False: the engine stamps the record with its clock.
    pub has_timestamp: bool,
}

/// Where a produced record went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducedAt {
    /// Partition.
    pub partition: Partition,
    /// Position in it.
    pub offset: Offset,
    /// Its event time.
    pub timestamp: EventTime,
}

/// The answer to [`Inserter::insert`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted {
    /// How many of the rows, from the first on, are in the log.
    pub rows: usize,
    /// Why the row after them was refused; the rows behind it were not looked at.
    pub failure: Option<Diagnostic>,
}

/// Writes the rows of one client into one stream or table.
#[derive(Debug)]
pub struct Inserter {}

impl Inserter {
    /// Appends rows, each the text of a JSON object of columns (`rest-api.md` 5, insert side), in order; returns
    /// when the log has them by its policy.
    pub fn insert(&self, rows: &[Bytes]) -> Inserted {
        let _ = rows;
        Inserted { rows: 0, failure: Some(Diagnostic::not_implemented("inserting rows")) }
    }
}

/// What `/info` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Identifies the log.
    pub cluster_id: String,
    /// `service.id`.
    pub service_id: String,
}

/// Can the engine do its work?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineHealth {
    /// The catalog could be read back.
    pub metastore: bool,
    /// The log answers.
    pub log: bool,
    /// Commands are being applied.
    pub commands: bool,
}

/// A running database.
pub struct Engine {}

impl Engine {
    /// Runs statements other than SELECT and PRINT, all validated before the first takes effect.
    ///
    /// # Errors
    /// The first statement that is refused.
    pub fn execute(self: &Arc<Self>, request: &Request) -> Result<Vec<Entity>, Box<Failure>> {
        let _ = request;
        Err(Box::new(Failure {
            diagnostic: Diagnostic::not_implemented("execution"),
            statement: None,
            entities: vec![],
        }))
    }

    /// Starts one SELECT or PRINT.
    ///
    /// # Errors
    /// The statement is refused, or a limit on running queries is reached.
    pub fn query(self: &Arc<Self>, request: &Request) -> Result<QueryAnswer, Box<Failure>> {
        let _ = request;
        Err(Box::new(Failure { diagnostic: Diagnostic::not_implemented("queries"), statement: None, entities: vec![] }))
    }

    /// Ends a push query; false if there is none of this id.
    pub fn close_query(&self, query_id: &str) -> bool {
        let _ = query_id;
        false
    }

    /// Opens a writer of rows into a stream or table; `target` is a name as in SQL (upper-cased unless quoted).
    ///
    /// # Errors
    /// There is no such source, it cannot be written, or a property is refused.
    pub fn inserter(
        self: &Arc<Self>,
        target: &str,
        properties: &BTreeMap<String, String>,
    ) -> Result<Inserter, Box<Failure>> {
        let _ = (target, properties);
        Err(Box::new(Failure {
            diagnostic: Diagnostic::not_implemented("inserting rows"),
            statement: None,
            entities: vec![],
        }))
    }

    /// Appends records to a topic as they are, all in one transaction; returns when the log has them by its policy.
    ///
    /// # Errors
    /// The topic does not exist, a record is too large, the log refuses; then nothing was appended.
    pub fn produce(&self, topic: &str, records: Vec<ProducedRecord>) -> Result<Vec<ProducedAt>, Diagnostic> {
        let _ = (topic, records);
        Err(Diagnostic::not_implemented("producing records"))
    }

    /// Reads a topic's committed records, partition by partition, a chunk at a time through a bounded channel; the
    /// channel's end is the end. Dropping the receiver ends the reading.
    ///
    /// # Errors
    /// The topic does not exist.
    pub fn read_topic(
        self: &Arc<Self>,
        topic: &str,
        read: TopicRead,
    ) -> Result<tokio::sync::mpsc::Receiver<Result<Vec<ConsumedRecord>, Diagnostic>>, Diagnostic> {
        let _ = (topic, read);
        Err(Diagnostic::not_implemented("reading topics"))
    }

    /// The outcome of each command by its id (``stream/`PAGES`/create``), as `commandStatus` of the API shows it:
    /// `{"status":…,"message":…,"queryId":…}`.
    pub fn command_statuses(&self) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::new()
    }

    /// The outcome of one command.
    pub fn command_status(&self, command_id: &str) -> Option<serde_json::Value> {
        self.command_statuses().remove(command_id)
    }

    /// Who this is.
    pub fn info(&self) -> EngineInfo {
        EngineInfo { cluster_id: String::new(), service_id: String::new() }
    }

    /// Looks at the engine's parts; cheap, but may block for a read of the log.
    pub fn health(&self) -> EngineHealth {
        EngineHealth { metastore: true, log: true, commands: true }
    }

    /// Counters of every query that lives, by query id.
    pub fn query_metrics(&self) -> Vec<QueryMetrics> {
        Vec::new()
    }

    /// Ends push queries (their streams get [`RowEvent::Completed`]), commits what is whole, stops workers and
    /// closes the log. Returns when that is done; later calls do nothing.
    pub fn shutdown(&self) {}
}
