//! The log as a trait: topics, partitions, reads behind the last committed record, atomic commits.
//!
//! [`TopicLog`] is what the engine knows of a log. Implementations: [`memory`] (tests, simulation, injected faults),
//! [`embedded`] (durable, in the data folder), [`kafka`] (a cluster). All pass the suite in `conformance`.
//!
//! Invariants:
//! - a reader sees a transaction whole or not at all, in offset order, never past the oldest open transaction;
//! - [`Committer::commit`] answers exactly once; `Committed` means durable by the log's fsync policy;
//! - opening a committer fences whoever held its id before: their later commits answer [`CommitOutcome::Fenced`];
//! - a topic that is deleted and created again is another topic ([`TopicId`]).
//!
//! Reading order: [`TopicConfig`], [`TopicLog`], [`memory`], [`embedded`], [`kafka`].

pub mod embedded;
pub mod kafka;
pub mod memory;

mod compaction;
#[cfg(test)]
mod conformance;
mod gather;
mod log;
mod ownership;
mod partitioner;
mod topic;

pub use log::{
    CommitOutcome, Committer, Fetch, OnAppend, OnCommit, OnGrowth, PartitionRecords, ReaderGroup, TopicError, TopicLog,
    Transaction,
};
pub use ownership::{Claim, OnOwnership, Ownership};
pub use partitioner::partition_for_key;
pub use topic::{CleanupPolicy, OffsetRange, TopicConfig, TopicId, TopicInfo, check_topic_name};
