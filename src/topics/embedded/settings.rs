//! What a user tunes in the embedded log.

use std::time::Duration;

/// When commits reach the disk.
///
/// Every policy has the operating system hold a commit before it is acknowledged: the death of the process
/// (`kill -9` too) loses nothing. They differ in what the death of the *machine* loses; it is always the latest
/// commits, whole, never one topic without the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// `commit`: before it is acknowledged. Nothing acknowledged is lost.
    Commit,
    /// `interval`: within this time after it is acknowledged.
    Interval(Duration),
    /// `os`: when the operating system likes, usually within half a minute.
    Os,
}

/// How batches are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// Each batch as one lz4 block, if that makes it smaller.
    Lz4,
}

/// How an [`EmbeddedLog`](super::EmbeddedLog) behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedSettings {
    /// `topics.fsync`. Default `commit`: an acknowledgement without a condition is the honest one, and commits that
    /// wait for the disk share its flush.
    pub fsync: Fsync,
    /// `topics.compression`. Default none: lz4 takes longer than everything else an append does.
    pub compression: Compression,
    /// `topics.max.record.bytes`: the largest record (key, value and headers).
    pub max_record_bytes: usize,
    /// `topics.cache.bytes`: the latest records kept in memory, so that readers at the tail never touch the disk.
    pub cache_bytes: usize,
    /// `topics.queue.bytes`: transactions that wait for the writer; beyond it commits are answered `Aborted`.
    pub queue_bytes: usize,
    /// `topics.segment.bytes`: a file of the log is closed when it is so long; the unit of cleaning.
    pub segment_bytes: u64,
    /// `topics.delete.retention`: how long compaction keeps null values, so that readers learn of deletions.
    pub delete_retention: Duration,
    /// `topics.cleanup.interval`: how often retention and compaction look for work.
    pub cleanup_interval: Duration,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self {
            fsync: Fsync::Commit,
            compression: Compression::None,
            max_record_bytes: 16 << 20,
            cache_bytes: 64 << 20,
            queue_bytes: 256 << 20,
            segment_bytes: 128 << 20,
            delete_retention: Duration::from_secs(24 * 3600),
            cleanup_interval: Duration::from_secs(30),
        }
    }
}
