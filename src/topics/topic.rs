//! What a topic is: its name, its incarnation, how it was made, the offsets its partitions hold.

use super::TopicError;
use crate::types::Offset;

/// Identifies one incarnation of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TopicId(pub u64);

/// What a topic keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CleanupPolicy {
    /// Records that were appended longer ago than the retention go.
    Delete,
    /// Of records with one key, only the last stays (in time); null values go with their key. Records without a key
    /// stay.
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
    /// How long records stay, milliseconds; `None` keeps them for ever. In our own logs it counts from the append, not
    /// from the event time as Kafka's does: a replayed history would be gone before it is read.
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

impl Default for TopicConfig {
    /// One partition that keeps everything.
    fn default() -> Self {
        Self { partitions: 1, replicas: 1, cleanup: CleanupPolicy::Delete, retention_ms: None }
    }
}

impl TopicConfig {
    /// The most partitions a topic may have.
    pub const MAX_PARTITIONS: i32 = 100_000;

    /// Refuses partition counts that make no sense.
    ///
    /// # Errors
    /// [`TopicError::InvalidPartitions`].
    pub fn check(&self) -> Result<(), TopicError> {
        let partitions = self.partitions;
        let legal = (1..=Self::MAX_PARTITIONS).contains(&partitions);
        if legal { Ok(()) } else { Err(TopicError::InvalidPartitions(partitions)) }
    }
}

impl CleanupPolicy {
    /// True if old records of a key go when there is a newer one.
    pub fn compacts(self) -> bool {
        matches!(self, Self::Compact | Self::CompactDelete)
    }

    /// True if records go by age.
    pub fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::CompactDelete)
    }
}

/// Kafka's rule for topic names.
///
/// # Errors
/// [`TopicError::InvalidName`].
pub fn check_topic_name(name: &str) -> Result<(), TopicError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > 249 {
        "it has more than 249 characters"
    } else if name == "." || name == ".." {
        "it is a name of folders"
    } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        "only letters, digits, '.', '_' and '-' are allowed"
    } else {
        return Ok(());
    };
    Err(TopicError::InvalidName { name: name.into(), reason })
}
