//! The log as the engine knows it: reads behind the last committed record, atomic commits, their four answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Claim, OffsetRange, OnOwnership, Ownership, TopicConfig, TopicId, TopicInfo};
use crate::telemetry::KafkaMetrics;
use crate::types::{Offset, Partition, RecordBlock};

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
    /// Durable and visible. The offset the first record of each entry of [`Transaction::records`] got, in its order;
    /// records of others may lie between those of one entry (on a broker; not in our own logs).
    Committed(Vec<Offset>),
    /// Definitely not done; the same transaction may be sent again.
    Aborted(TopicError),
    /// Definitely not done, and this committer's id is owned by another, or was taken away because a transaction was
    /// open too long.
    Fenced,
    /// Perhaps done: only the log knows. Forget the memory and rebuild from the log.
    Unknown(String),
}

/// A reader that is shown to other programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderGroup {
    /// The group's name.
    pub name: String,
    /// By partition: the first offset that is not read durably.
    pub positions: Vec<(TopicId, Partition, Offset)>,
}

/// Called once with the answer, on any thread, perhaps before the call that hands it over returns; must not block and
/// must not call the log.
pub type OnCommit = Box<dyn FnOnce(CommitOutcome) + Send>;

/// Called when records of a partition become readable, on any thread; must not block and must not call the log.
pub type OnAppend = Arc<dyn Fn(TopicId, Partition) + Send + Sync>;

/// Called after a topic that is read was given more partitions, with their number; on a thread that may wait.
pub type OnGrowth = Arc<dyn Fn(TopicId, usize) + Send + Sync>;

/// Makes transactions under one id.
pub trait Committer: Send + Sync {
    /// Hands over a transaction and returns at once; `done` is called exactly once. Transactions of one committer
    /// take effect in the order of the calls.
    fn commit(&self, transaction: Transaction, done: OnCommit);

    /// Hands over records that are to be readable as soon as the log has them, and durable when it answers; returns at
    /// once. Records of a partition keep their order, those of two calls if the first is answered before the second is
    /// made. On a cluster this is no transaction: after `Unknown` a part of the records may be there, and a holder who
    /// was fenced is refused only once a commit has told it so. Our own logs do all or nothing, in the order of all calls.
    fn send(&self, transaction: Transaction, done: OnCommit) {
        self.commit(transaction, done);
    }
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
    #[error("a topic has 1 to 100000 partitions, not {0}")]
    InvalidPartitions(i32),
    #[error("a record of {bytes} bytes passes the limit of {limit} bytes (topics.max.record.bytes)")]
    RecordTooLarge { bytes: usize, limit: usize },
    #[error("offset {offset} is before the first retained offset {start}")]
    OffsetOutOfRange { offset: Offset, start: Offset },
    #[error(
        "a transaction of {bytes} bytes finds {queued} bytes waiting to be written (topics.queue.bytes is {limit})"
    )]
    Overloaded { bytes: usize, queued: usize, limit: usize },
    #[error("cannot {action}: {reason}")]
    Storage { action: &'static str, reason: String },
    #[error("cannot {action} now: {reason}")]
    Unavailable { action: &'static str, reason: String },
    #[error("topic {topic} is refused: {reason}")]
    Refused { topic: String, reason: String },
}

impl TopicError {
    /// The system refused.
    pub(super) fn storage(action: &'static str, error: &std::io::Error) -> Self {
        Self::Storage { action, reason: error.to_string() }
    }

    /// The answer to an id whose topic is gone.
    pub(super) fn no_incarnation(id: TopicId) -> Self {
        Self::UnknownTopic(format!("with id {}", id.0))
    }
}

/// Bytes of a record as the limit counts them: key, value and headers.
///
/// # Errors
/// [`TopicError::RecordTooLarge`] for the first record over `limit`.
pub(super) fn check_record_sizes(records: &RecordBlock, limit: usize) -> Result<(), TopicError> {
    if records.data_bytes() <= limit && !records.has_headers() {
        return Ok(());
    }
    for record in records.iter() {
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let headers = record.headers.iter().map(|header| header.key.len() + len(header.value.as_deref()));
        let bytes = len(record.key) + len(record.value) + headers.sum::<usize>();
        if bytes > limit {
            return Err(TopicError::RecordTooLarge { bytes, limit });
        }
    }
    Ok(())
}

/// A log of topics.
pub trait TopicLog: Send + Sync {
    /// Creates a topic.
    ///
    /// # Errors
    /// [`TopicError::TopicExists`], [`TopicError::InvalidName`] (1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`),
    /// [`TopicError::InvalidPartitions`], storage.
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

    /// What each partition held when that was last learned; asks nobody, and never waits for a broker. `None` if nothing
    /// is known yet.
    fn known_offsets(&self, topic: TopicId) -> Option<Vec<OffsetRange>> {
        self.offsets(topic).ok()
    }

    /// Committed records of one partition from `from` on, about `max_bytes` of them (at least one record if there is
    /// any; fewer than there are if more would mean copying). Never waits for records to come; past the end it
    /// answers no records. Before the end it moves on; where records lie on a broker it may wait for them to arrive.
    ///
    /// # Errors
    /// [`TopicError::OffsetOutOfRange`] if retention removed `from`, [`TopicError::UnknownTopic`], storage.
    fn read(&self, topic: TopicId, partition: Partition, from: Offset, max_bytes: usize) -> Result<Fetch, TopicError>;

    /// As [`TopicLog::read`], but never waits for a broker either: `None` while committed records are on their way, or
    /// where the partition ends is being found out; [`TopicLog::notify`] tells when to ask again.
    ///
    /// # Errors
    /// As [`TopicLog::read`].
    fn read_now(
        &self,
        topic: TopicId,
        partition: Partition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Option<Fetch>, TopicError> {
        self.read(topic, partition, from, max_bytes).map(Some)
    }

    /// Has `on_append` called after records of a partition became readable that is read or watched, for the life of the
    /// log; our own logs call it before they answer the commit or append. It may be called without need.
    fn notify(&self, on_append: OnAppend);

    /// Has `on_growth` called for the life of the log. Topics of our own logs never grow.
    fn notify_growth(&self, _on_growth: OnGrowth) {}

    /// True if no call waits for anything but this machine.
    fn answers_at_once(&self) -> bool {
        true
    }

    /// Does what asks the log and may take long, without holding up the caller: on a cluster on another thread, where it
    /// is dropped undone when the log ends. Our own logs answer at once, and do it before this returns.
    fn in_background(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }

    /// Asks for notices of a partition that nobody has read yet; our own logs give them unasked.
    ///
    /// # Errors
    /// As [`TopicLog::read`].
    fn watch(&self, _topic: TopicId, _partition: Partition) -> Result<(), TopicError> {
        Ok(())
    }

    /// Asks to own the service, where several servers reach the log. `told` gets each change, perhaps before this returns;
    /// until it is [`Ownership::Owned`] there are no committers and no appends. A log that only this process can open
    /// is owned at once.
    ///
    /// # Errors
    /// Nobody can be asked.
    fn own(&self, _claim: Claim, told: OnOwnership) -> Result<(), TopicError> {
        told(&Ownership::Owned);
        Ok(())
    }

    /// Opens a committer under an id and fences whoever held it: when this returns, every transaction of the former
    /// holder has taken effect or never will.
    ///
    /// # Errors
    /// Storage.
    fn committer(&self, transactional_id: &str) -> Result<Arc<dyn Committer>, TopicError>;

    /// Appends outside of any owner's transaction (inserts, produce): atomic all the same, never fenced by a committer
    /// (on a cluster: by another server of the same service).
    fn append(&self, transaction: Transaction, done: OnCommit);

    /// True if other programs can be shown where readers are: [`TopicLog::show_groups`].
    fn shows_groups(&self) -> bool {
        false
    }

    /// Shows other programs how far readers have come, as consumer groups. A courtesy: nothing is read back, it happens
    /// some time later, and failures are only told in the log lines. Returns at once.
    fn show_groups(&self, _groups: Vec<ReaderGroup>) {}

    /// Shows a group no longer. As much a courtesy.
    fn forget_group(&self, _name: &str) {}

    /// What the clients of a cluster have done and how they do; `None` for our own logs.
    fn kafka_metrics(&self) -> Option<KafkaMetrics> {
        None
    }

    /// Why the log takes no commits at the moment, as far as it knows without trying; `None` if it does.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Writes what was handed over, ends, and gives free what it holds, so that another may open it; takes nothing in
    /// after. Without it all of that happens soon after the last owner let go of the log.
    fn close(&self) {}
}
