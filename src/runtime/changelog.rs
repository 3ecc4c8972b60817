//! The durable form of an operator's state: a compacted topic of its own.
//!
//! Topic `_thalweg-<service.id>-<query id>-<operator name>-changelog`; what topic names may not hold is written as `.`
//! and two hexadecimal digits a byte. Key: slot (u16, big-endian), then the operator's
//! key; value: the operator's, null where the key is gone; partition: slot modulo the number of partitions. State rows of
//! an epoch are in its transaction.
//!
//! Invariants:
//! - what a changelog holds up to the end it has while nothing is committing is the state of the durable epoch;
//! - the durable epoch names the changelogs it was written with: one that is gone or another is an error, one that it
//!   does not name holds nothing that counts and is made anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashMap;

use crate::catalog::QueryId;
use crate::state::{Slot, StateRow};
use crate::topics::{
    CleanupPolicy, OffsetRange, PartitionRecords, TopicConfig, TopicError, TopicId, TopicInfo, TopicLog,
};
use crate::types::{EventTime, Offset, Partition, RecordBlock, RecordBlockBuilder, RecordView};

use super::BuildError;
use super::chain::Chain;
use super::environment::Environment;
use super::exchange::owner_of;
use super::scheduler::Task;

/// Partitions of a new changelog: as many tasks can restore without reading each other's rows, and the cleaner holds the
/// keys of one at a time. Not more, since an epoch with a few rows writes to as many partitions.
const PARTITIONS: i32 = 4;

/// About the bytes that one step of a restore reads: a few milliseconds of work at most.
const READ_BYTES: usize = 512 << 10;

/// A restore that waits for a broker looks again after so long, whether or not it was woken.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the names of a query's changelogs begin with.
pub(super) fn topic_prefix(service_id: &str, query: &str) -> String {
    format!("_thalweg-{service_id}-{}-", legal(query))
}

/// A name in letters that topics may have; another name gives another text, and no text is the beginning of another up
/// to a `-`.
fn legal(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!(".{byte:02x}"));
        }
    }
    text
}

/// True if a topic of this name is a changelog of some query of the service. Ids of services may hold `-`, names of
/// queries and operators as they are written may not: so the name is read from its end.
pub(super) fn is_changelog(service_id: &str, topic: &str) -> bool {
    let Some(rest) = topic.strip_prefix("_thalweg-").and_then(|rest| rest.strip_suffix("-changelog")) else {
        return false;
    };
    // Operator, query, and what is left is the service.
    rest.rsplitn(3, '-').nth(2) == Some(service_id)
}

/// The changelog of one operator.
#[derive(Debug)]
pub(super) struct Changelog {
    pub(super) topic: String,
    pub(super) id: TopicId,
    partitions: i32,
    /// What each partition held when the changelog was opened.
    ranges: Vec<OffsetRange>,
}

impl Changelog {
    /// Opens the changelog of an operator, and makes it if there is none. `durable` is the one that the last durable
    /// epoch was written with, or that the query has opened before: it is never made anew by a query that was started
    /// before another server took over. Nothing of the query may be committing.
    ///
    /// # Errors
    /// The durable state is gone, or the log refuses.
    pub(super) fn open(
        log: &dyn TopicLog,
        service_id: &str,
        query: &QueryId,
        operator: &str,
        durable: Option<TopicId>,
    ) -> Result<Self, BuildError> {
        let topic = format!("{}{}-changelog", topic_prefix(service_id, &query.0), legal(operator));
        let mut found = log.topic(&topic)?;
        match (durable, &found) {
            (Some(id), Some(info)) if info.id == id => {}
            (Some(_), _) => return Err(BuildError::LostState { operator: operator.to_owned(), topic }),
            (None, None) => {}
            (None, Some(info)) => {
                // Left behind by a query of this id that is no more.
                if log.offsets(info.id)?.iter().any(|range| range.end > Offset(0)) {
                    log.delete_topic(&topic)?;
                    found = None;
                }
            }
        }
        let info = match found {
            Some(info) => info,
            None => make_topic(log, &topic)?,
        };
        let ranges = log.offsets(info.id)?;
        Ok(Self { topic, id: info.id, partitions: info.config.partitions, ranges })
    }

    /// The records that keep these state rows.
    pub(super) fn records(&self, rows: &[StateRow], now: EventTime) -> Vec<PartitionRecords> {
        let mut blocks: Vec<_> = (0..self.partitions).map(|_| RecordBlockBuilder::default()).collect();
        let mut key = Vec::new();
        for row in rows {
            key.clear();
            key.extend_from_slice(&row.slot.0.to_be_bytes());
            key.extend_from_slice(&row.key);
            let index = usize::from(row.slot.0) % blocks.len();
            blocks[index].push(RecordView {
                offset: Offset(0),
                timestamp: now,
                key: Some(&key),
                value: row.value.as_deref(),
                headers: &[],
            });
        }
        (0..)
            .zip(&mut blocks)
            .filter(|(_, block)| !block.is_empty())
            .map(|(partition, block)| PartitionRecords {
                topic: self.topic.clone(),
                partition: Partition(partition),
                records: block.finish(),
            })
            .collect()
    }
}

fn make_topic(log: &dyn TopicLog, topic: &str) -> Result<TopicInfo, TopicError> {
    let config =
        TopicConfig { partitions: PARTITIONS, replicas: 1, cleanup: CleanupPolicy::Compact, retention_ms: None };
    log.create_topic(topic, &config)
}

/// How far a query's state is read back, in records of its changelogs. A record that several tasks read counts for each.
#[derive(Debug, Default)]
pub(super) struct RestoreProgress {
    restored: AtomicU64,
    total: AtomicU64,
}

impl RestoreProgress {
    /// Records read and records to read.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.restored.load(Ordering::SeqCst), self.total.load(Ordering::SeqCst))
    }

    /// True if everything is read.
    pub(super) fn is_over(&self) -> bool {
        let (restored, total) = self.read();
        restored >= total
    }
}

/// Which slots a task owns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// The query's slots.
    pub(super) slots: u16,
    /// Tasks of the stage.
    pub(super) tasks: usize,
    /// The task among them.
    pub(super) nth: usize,
}

impl Share {
    fn owns(self, slot: Slot) -> bool {
        owner_of(slot, self.tasks) == self.nth
    }
}

/// Reads the state of one task's slots back, a step at a time.
#[derive(Debug)]
pub(super) struct Restorer {
    // fixed
    share: Share,
    progress: Arc<RestoreProgress>,
    // changing
    left: Vec<Left>,
    /// When its task is woken to look again, by the scheduler's time.
    look_at: Option<Duration>,
}

/// Has a task woken after `delay`, unless that is going to happen before.
fn look_again(env: &Environment, task: &Arc<Task>, look_at: &mut Option<Duration>, delay: Duration) {
    let now = env.scheduler.now();
    if look_at.is_none_or(|at| at <= now || at > now + delay) {
        *look_at = Some(now + delay);
        env.scheduler.wake_after(delay, task);
    }
}

/// What is still to be read of a partition.
#[derive(Debug)]
struct Left {
    /// Place of the operator in the chain.
    operator: usize,
    changelog: Arc<Changelog>,
    partition: Partition,
    next: Offset,
    end: Offset,
    /// Its task is woken when records come.
    is_awaited: bool,
}

impl Restorer {
    /// A restorer for a task with these stateful operators, each with its place in the chain.
    pub(super) fn new(
        share: Share,
        progress: &Arc<RestoreProgress>,
        changelogs: impl IntoIterator<Item = (usize, Arc<Changelog>)>,
    ) -> Self {
        let mut left = Vec::new();
        for (operator, changelog) in changelogs {
            for (number, range) in (0_i32..).zip(&changelog.ranges) {
                let is_of = |slot: &u16| i32::from(*slot) % changelog.partitions == number;
                if range.start < range.end && (0..share.slots).filter(is_of).any(|slot| share.owns(Slot(slot))) {
                    progress.total.fetch_add(records_between(range.start, range.end), Ordering::SeqCst);
                    let changelog = Arc::clone(&changelog);
                    let partition = Partition(number);
                    left.push(Left {
                        operator,
                        changelog,
                        partition,
                        next: range.start,
                        end: range.end,
                        is_awaited: false,
                    });
                }
            }
        }
        Self { share, progress: Arc::clone(progress), left, look_at: None }
    }

    /// True if there is nothing to read.
    pub(super) fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    /// Reads on a little; gives the number of records, or none while they are on their way: then `me` is woken.
    ///
    /// # Errors
    /// The log cannot be read, or an operator cannot read its state.
    pub(super) fn step(
        &mut self,
        env: &Environment,
        me: &Arc<Task>,
        chain: &mut Chain,
    ) -> Result<Option<usize>, String> {
        let Some(left) = self.left.last_mut() else { return Ok(Some(0)) };
        let topic = &left.changelog.topic;
        if !left.is_awaited {
            left.is_awaited = true;
            env.join(left.changelog.id, left.partition, me);
        }
        let fetch = match env.log.read_now(left.changelog.id, left.partition, left.next, READ_BYTES) {
            Ok(Some(fetch)) => fetch,
            Ok(None) => {
                look_again(env, me, &mut self.look_at, LOOK_AGAIN);
                return Ok(None);
            }
            Err(error @ TopicError::Unavailable { .. }) => {
                tracing::debug!(%error, topic, "state cannot be read now");
                look_again(env, me, &mut self.look_at, env.settings.retry_backoff);
                return Ok(None);
            }
            Err(error) => return Err(format!("cannot read state from topic {topic}: {error}")),
        };
        let records = fetch.records.slice(0..fetch.records.row_at(left.end));
        let rows = self.share.rows(&records).map_err(|reason| format!("topic {topic}: {reason}"))?;
        if !rows.is_empty() {
            let restored = chain.restore(left.operator, rows);
            restored.map_err(|error| format!("topic {topic}, partition {}: {error}", left.partition))?;
        }
        let next = fetch.next.min(left.end);
        if next <= left.next {
            return Err(format!("topic {topic} ends at {next} in partition {}, before {}", left.partition, left.end));
        }
        self.progress.restored.fetch_add(records_between(left.next, next), Ordering::SeqCst);
        left.next = next;
        if next >= left.end {
            env.leave(left.changelog.id, left.partition, me);
            self.left.pop();
        }
        Ok(Some(records.len()))
    }
}

impl Share {
    /// The state rows among records that this task owns: of each key the last, in the order of these.
    fn rows(self, records: &RecordBlock) -> Result<Vec<StateRow>, String> {
        let mut owned = Vec::with_capacity(records.len() / self.tasks.max(1));
        let mut last = HashMap::with_capacity(owned.capacity());
        for record in records.iter() {
            let Some((slot, key)) = record.key.and_then(|key| key.split_first_chunk::<2>()) else {
                return Err(format!("the record at offset {} is not a state row", record.offset));
            };
            let slot = Slot(u16::from_be_bytes(*slot));
            if self.owns(slot) {
                last.insert((slot, key), owned.len());
                owned.push((slot, key, record.value));
            }
        }
        let mut rows = Vec::with_capacity(last.len());
        for (nth, (slot, key, value)) in owned.into_iter().enumerate() {
            if last.get(&(slot, key)) == Some(&nth) {
                rows.push(StateRow { slot, key: records.share(key), value: value.map(|value| records.share(value)) });
            }
        }
        Ok(rows)
    }
}

fn records_between(from: Offset, until: Offset) -> u64 {
    u64::try_from(until.0 - from.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Share, is_changelog, topic_prefix};
    use crate::state::Slot;
    use crate::topics::check_topic_name;
    use crate::types::{EventTime, Offset, RecordBlockBuilder, RecordView};

    #[test]
    fn of_the_rows_of_a_key_that_are_read_together_only_the_last_is_put_back() {
        let mut block = RecordBlockBuilder::default();
        for (key, value) in [("\0\0a", "1"), ("\0\x01a", "2"), ("\0\0b", "3"), ("\0\0a", "4"), ("\0\x02b", "")] {
            block.push(RecordView {
                offset: Offset(0),
                timestamp: EventTime(0),
                key: Some(key.as_bytes()),
                value: Some(value.as_bytes()).filter(|value| !value.is_empty()),
                headers: &[],
            });
        }
        let block = block.finish();
        let rows = |tasks, nth| Share { slots: 4, tasks, nth }.rows(&block).unwrap();
        let text = |row: &crate::state::StateRow| {
            let value = row.value.as_ref().map_or("gone".into(), |value| String::from_utf8_lossy(value).into_owned());
            format!("{} {}: {value}", row.slot.0, String::from_utf8_lossy(&row.key))
        };
        assert_eq!(rows(1, 0).iter().map(text).collect::<Vec<_>>(), ["1 a: 2", "0 b: 3", "0 a: 4", "2 b: gone"]);
        assert_eq!(rows(2, 1).iter().map(text).collect::<Vec<_>>(), ["1 a: 2"]);
        assert_eq!(rows(2, 0).iter().map(|row| row.slot).collect::<Vec<_>>(), [Slot(0), Slot(0), Slot(2)]);
    }

    #[test]
    fn names_of_queries_are_written_in_letters_that_topics_may_have() {
        assert_eq!(topic_prefix("s", "CTAS_A_1"), "_thalweg-s-CTAS_A_1-");
        let odd = topic_prefix("s", "CTAS_Ä B-C_1");
        assert_eq!(odd, "_thalweg-s-CTAS_.c3.84.20B.2dC_1-");
        let topic = format!("{odd}sums-changelog");
        assert!(check_topic_name(&topic).is_ok());
        assert!(is_changelog("s", &topic) && !is_changelog("t", &topic));
        assert!(!topic.starts_with(&topic_prefix("s", "CTAS_Ä B")));
    }

    #[test]
    fn a_changelog_is_of_one_service_whatever_their_ids() {
        let services = ["a", "a-b", "a-b-c", "b", "", "-"];
        for of in services {
            for query in ["Q", "b", "changelog"] {
                let topic = format!("{}sums-changelog", topic_prefix(of, query));
                let owners = services.into_iter().filter(|service| is_changelog(service, &topic));
                assert_eq!(owners.collect::<Vec<_>>(), [of], "{topic}");
            }
        }
    }
}
