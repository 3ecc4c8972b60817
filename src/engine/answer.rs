//! What goes in and out of the engine's doors: requests, answers with their event channels, refusals.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::diagnostics::Diagnostic;
use crate::types::{EventTime, Header, Name, Offset, Partition, Record, SqlType};

use super::{Entity, RowEvent};

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

impl Request {
    /// A request of statements alone.
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), ..Self::default() }
    }

    /// With one more setting.
    #[must_use]
    pub fn with(mut self, property: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(property.into(), value.into());
        self
    }
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
    /// What the reader is to know besides.
    pub warnings: Vec<String>,
    /// The events, bounded: a slow client slows the query, never fills memory. Dropping it ends the query. When the
    /// query is closed or terminated the channel ends without a last event.
    pub events: tokio::sync::mpsc::Receiver<RowEvent>,
}

/// The answer to PRINT: text lines.
#[derive(Debug)]
pub struct PrintStream {
    /// Lines without line ends; bounded. Dropping it ends the printing. Lines that name the guessed formats begin
    /// with `Key format: ` or `Value format: `.
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

impl Failure {
    /// A refusal that no single statement is to blame for.
    pub fn general(diagnostic: Diagnostic) -> Box<Self> {
        Box::new(Self { diagnostic, statement: None, entities: Vec::new() })
    }

    /// A refusal of one statement.
    pub fn of_statement(diagnostic: Diagnostic, statement: impl Into<String>) -> Box<Self> {
        Box::new(Self { diagnostic, statement: Some(statement.into()), entities: Vec::new() })
    }
}

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

/// The answer to [`super::Inserter::insert`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted {
    /// How many of the rows, from the first on, are in the log.
    pub rows: usize,
    /// Why the row after them was refused; the rows behind it were not looked at.
    pub failure: Option<Diagnostic>,
}

/// What `/info` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Identifies the log.
    pub cluster_id: String,
    /// `service.id`.
    pub service_id: String,
}

/// Queries that read their state back before they read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restoring {
    /// How many they are.
    pub queries: usize,
    /// Rows of state they have read.
    pub rows_read: u64,
    /// Rows of state they have to read.
    pub rows: u64,
}

/// Can the engine do its work?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineHealth {
    /// The catalog could be read back.
    pub metastore: bool,
    /// The log answers, and takes commits.
    pub log: bool,
    /// Why it does not, as far as that is known.
    pub trouble: Option<String>,
    /// Commands are being applied.
    pub commands: bool,
    /// How far state is read back; `None` if no query waits for that.
    pub restoring: Option<Restoring>,
    /// Why the service is not this server's any more; `None` while it is.
    pub lost: Option<String>,
}
