//! What is told about records that could not be processed as they should.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::catalog::QueryId;
use crate::types::{Offset, Partition};

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The key bytes could not be read.
    Key,
    /// The value bytes could not be read.
    Value,
    /// There is no event time: the record or the output was dropped.
    Timestamp,
    /// An expression: its value became NULL, or its row did not match.
    Expression,
    /// The record was skipped on request, because the query fails on it.
    Skipped,
    /// The query itself: it stopped, or was started again.
    Query,
}

/// An entry of the processing log. Entries about records come once the epoch that read them is committed: once each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessingLogEntry {
    /// The query.
    pub query: QueryId,
    /// What failed.
    pub failed: Failed,
    /// Source topic, where one is to blame.
    pub topic: Option<String>,
    /// Partition of the record.
    pub partition: Option<Partition>,
    /// Offset of the record.
    pub offset: Option<Offset>,
    /// Why.
    pub message: String,
    /// The value bytes of the record, if the settings ask for them.
    pub row: Option<Bytes>,
}

/// Takes entries, on any thread; must not block.
pub type ProcessingLog = Arc<dyn Fn(ProcessingLogEntry) + Send + Sync>;

impl fmt::Display for ProcessingLogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.query)?;
        if let (Some(topic), Some(partition)) = (&self.topic, self.partition) {
            write!(f, " {topic}/{partition}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, "@{offset}")?;
        }
        write!(f, ": {}", self.message)
    }
}
