//! What a query says of itself.

use crate::types::{Epoch, Offset, Partition};

use super::QueryCounters;

/// What a persistent query does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryState {
    /// It processes what comes.
    Running,
    /// It keeps its place and reads nothing.
    Paused,
    /// It failed and waits to be resumed.
    Error {
        /// Why.
        reason: String,
        /// Source topic of the record it failed on, if one is to blame.
        topic: Option<String>,
        /// Partition of that record.
        partition: Option<Partition>,
        /// Offset of that record.
        offset: Option<Offset>,
    },
}

/// How far a source partition is processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceProgress {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: Partition,
    /// The first offset that the partition still holds.
    pub start: Offset,
    /// The first offset whose effect is not durable.
    pub next: Offset,
    /// One past the last committed record of the partition, as it was last learned; never before `next`.
    pub end: Offset,
}

impl SourceProgress {
    /// Records not processed yet (gaps counted as records).
    pub fn lag(&self) -> u64 {
        u64::try_from(self.end.0 - self.next.0).unwrap_or(0)
    }
}

/// A push query at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushStatus {
    /// Id.
    pub id: String,
    /// Memory held by its state when it was last looked at, bytes.
    pub state_bytes: usize,
    /// What it has done.
    pub counters: QueryCounters,
}

/// A persistent query at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryStatus {
    /// What it does.
    pub state: QueryState,
    /// While it reads its state back, before it reads on: records read, and records to read.
    pub restoring: Option<(u64, u64)>,
    /// Memory held by its state when it was last looked at, bytes.
    pub state_bytes: usize,
    /// Why the graph that it was to go on with last could not be built: it goes on with the one before.
    pub refused_graph: Option<String>,
    /// Its last durable epoch.
    pub epoch: Epoch,
    /// Why its last commit did not go through, while it is tried again: the log's trouble.
    pub trouble: Option<String>,
    /// How far its sources are processed. In ERROR before its first epoch: empty.
    pub sources: Vec<SourceProgress>,
    /// What it has done.
    pub counters: QueryCounters,
}
