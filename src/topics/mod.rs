//! The log as a trait: topics, partitions, reads behind the last committed record, atomic commits.
//!
//! [`TopicLog`] is what the engine knows of a log. Implementations: `memory` (tests, simulation, injected faults),
//! `embedded` (durable, in the data folder). Both pass the suite in `conformance`.
//!
//! Invariants:
//! - a reader sees a transaction whole or not at all, in offset order, never past the oldest open transaction;
//! - [`Committer::commit`] answers exactly once; `Committed` means durable by the log's fsync policy;
//! - opening a committer fences whoever held its id before: their later commits answer [`CommitOutcome::Fenced`];
//! - a topic that is deleted and created again is another topic ([`TopicId`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::types::{Offset, Partition, RecordBlock};

/// Identifies one incarnation of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TopicId(pub u64);

/// What a topic keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum CleanupPolicy {
    /// Records older than the retention go.
    Delete,
    /// Of records with one key, only the last stays (in time); null values go with their key.
    Compact,
    /// Both.
    CompactDelete,
}

/// How a topic is made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TopicConfig {
    /// Number of partitions, at least 1.
    pub partitions: i32,
    /// Replication factor as asked for; logs without replicas report it back.
    pub replicas: i16,
    /// What it keeps.
    pub cleanup: CleanupPolicy,
    /// How long records stay, milliseconds; `None` keeps them for ever.
    pub retention_ms: Option<i64>,
}

/// A topic that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its incarnation.
    pub id: TopicId,
    /// How it was made.
    pub config: TopicConfig,
}

/// The offsets a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetRange {
    /// The first offset that may still be read.
    pub start: Offset,
    /// One past the last committed record.
    pub end: Offset,
}

/// What a read gives.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// Committed records from the asked offset on, in order; may be empty.
    pub records: RecordBlock,
    /// Where to read on: past the last record and past any gap known to follow it.
    pub next: Offset,
    /// One past the last committed record of the partition at the time of the read.
    pub end: Offset,
}

/// Records for one partition inside a transaction.
#[derive(Debug, Clone)]
pub struct PartitionRecords {
    /// Topic name.
    pub topic: String,
    /// Partition.
    pub partition: Partition,
    /// Records in order; their offsets are ignored.
    pub records: RecordBlock,
}

/// All that becomes visible at once. Source offsets and state changes are records of internal topics among it.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// Records by partition. A partition may occur several times; its records are appended in this order.
    pub records: Vec<PartitionRecords>,
}

/// The answer to a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Durable and visible. The base offset each entry of [`Transaction::records`] got, in its order.
    Committed(Vec<Offset>),
    /// Definitely not done; the same transaction may be sent again.
    Aborted(TopicError),
    /// Definitely not done, and this committer's id is owned by another.
    Fenced,
    /// Perhaps done: only the log knows. Forget the memory and rebuild from the log.
    Unknown(String),
}

/// Called once with the answer, on any thread; must not block.
pub type OnCommit = Box<dyn FnOnce(CommitOutcome) + Send>;

/// Called when records of a partition become readable, on any thread; must not block and must not call the log.
pub type OnAppend = Arc<dyn Fn(TopicId, Partition) + Send + Sync>;

/// Makes transactions under one id.
pub trait Committer: Send + Sync {
    /// Hands over a transaction and returns at once; `done` is called exactly once. Transactions of one committer
    /// take effect in the order of the calls.
    fn commit(&self, transaction: Transaction, done: OnCommit);
}

/// Why the log refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages tell")]
pub enum TopicError {
    #[error("topic {0} does not exist")]
    UnknownTopic(String),
    #[error("topic {0} exists already")]
    TopicExists(String),
    #[error("topic {topic} has {partitions} partitions, there is no partition {partition}")]
    UnknownPartition { topic: String, partition: Partition, partitions: i32 },
    #[error("topic name {name:?} is not legal: {reason}")]
    InvalidName { name: String, reason: &'static str },
    #[error("a record of {bytes} bytes passes the limit of {limit} bytes (topics.max.record.bytes)")]
    RecordTooLarge { bytes: usize, limit: usize },
    #[error("offset {offset} is before the first retained offset {start}")]
    OffsetOutOfRange { offset: Offset, start: Offset },
    #[error("cannot {action}: {reason}")]
    Storage { action: &'static str, reason: String },
}

/// A log of topics.
pub trait TopicLog: Send + Sync {
    /// Creates a topic.
    ///
    /// # Errors
    /// [`TopicError::TopicExists`], [`TopicError::InvalidName`] (1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`), storage.
    fn create_topic(&self, name: &str, config: &TopicConfig) -> Result<TopicInfo, TopicError>;

    /// Deletes a topic and its records.
    ///
    /// # Errors
    /// [`TopicError::UnknownTopic`], storage.
    fn delete_topic(&self, name: &str) -> Result<(), TopicError>;

    /// The topic of this name, if it exists.
    ///
    /// # Errors
    /// Storage.
    fn topic(&self, name: &str) -> Result<Option<TopicInfo>, TopicError>;

    /// All topics by name.
    ///
    /// # Errors
    /// Storage.
    fn topics(&self) -> Result<BTreeMap<String, TopicInfo>, TopicError>;

    /// What each partition holds, in partition order.
    ///
    /// # Errors
    /// [`TopicError::UnknownTopic`] (also for an incarnation that is gone), storage.
    fn offsets(&self, topic: TopicId) -> Result<Vec<OffsetRange>, TopicError>;

    /// Committed records of one partition from `from` on, about `max_bytes` of them (at least one record if there is
    /// any). Never waits for records to come.
    ///
    /// # Errors
    /// [`TopicError::OffsetOutOfRange`] if retention removed `from`, [`TopicError::UnknownTopic`], storage.
    fn read(&self, topic: TopicId, partition: Partition, from: Offset, max_bytes: usize) -> Result<Fetch, TopicError>;

    /// Has `on_append` called after records of any partition became readable, for the life of the log.
    fn notify(&self, on_append: OnAppend);

    /// Opens a committer under an id and fences whoever held it.
    ///
    /// # Errors
    /// Storage.
    fn committer(&self, transactional_id: &str) -> Result<Arc<dyn Committer>, TopicError>;

    /// Appends outside of any owner's transaction (inserts, produce): atomic all the same, never fenced.
    fn append(&self, transaction: Transaction, done: OnCommit);
}

/// The partition Kafka's default partitioner gives to a key: murmur2 of its bytes, modulo the count.
pub fn partition_for_key(key: &[u8], partitions: i32) -> Partition {
    Partition((murmur2(key) & 0x7fff_ffff).rem_euclid(partitions.max(1)))
}

/// Murmur2 with Kafka's seed (`org.apache.kafka.common.utils.Utils.murmur2`).
#[expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "Java's int arithmetic wraps")]
fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut h = SEED ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    (h ^ (h >> 15)) as i32
}
