//! Consumer groups by which other programs see how far queries have read: a courtesy.
//!
//! A query's positions are records of its own transactions; what stands here is only looked at, never read back. So it
//! is written now and then, by the keeper's thread, and a group that could not be written is written next time. Groups
//! have no members: a client that lives for one commit writes the offsets of one group, so that no query needs a client
//! of its own. (An administrator's request could write many at once, but librdkafka aborts the process when brokers go
//! away while one of its requests to a group's coordinator is under way: its issue 4605. For the same reason a group is
//! not deleted with its query: brokers forget it `offsets.retention.minutes` after the last write.)
//!
//! Invariants:
//! - nobody waits for a group;
//! - one round takes about its time, however many groups have changed; the next goes on where it ended.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset as At, TopicPartitionList};

use super::cluster::Cluster;
use super::settings::KafkaSettings;
use crate::topics::ReaderGroup;
use crate::types::{Offset, Partition};

/// Offsets by topic and partition.
type Offsets = BTreeMap<(String, Partition), Offset>;

/// The groups of a service's queries.
pub(super) struct Groups {
    // fixed
    settings: KafkaSettings,
    // changing
    waiting: Mutex<BTreeMap<String, ReaderGroup>>,
    /// As written last.
    written: Mutex<BTreeMap<String, Offsets>>,
    /// The group at which the last round ended.
    last: Mutex<String>,
}

impl Groups {
    /// None yet.
    pub(super) fn new(settings: KafkaSettings) -> Self {
        Self { settings, waiting: Mutex::default(), written: Mutex::default(), last: Mutex::default() }
    }

    /// Has groups written in a next round.
    pub(super) fn show(&self, groups: Vec<ReaderGroup>) {
        self.waiting.lock().extend(groups.into_iter().map(|group| (group.name.clone(), group)));
    }

    /// Has a group written no more.
    pub(super) fn forget(&self, name: &str) {
        self.waiting.lock().remove(name);
        self.written.lock().remove(name);
    }

    /// One round: writes groups that changed, one after the other, until `time` is over or one cannot be written.
    pub(super) fn write(&self, cluster: &Cluster, time: Duration) {
        let until = Instant::now() + time;
        let mut last = self.last.lock();
        let mut waiting = std::mem::take(&mut *self.waiting.lock());
        let behind = waiting.split_off(&*last);
        let mut queue: Vec<ReaderGroup> = behind.into_values().chain(waiting.into_values()).collect();
        // The one at which the last round ended comes last.
        if queue.first().is_some_and(|first| first.name == *last) {
            queue.rotate_left(1);
        }
        let mut left = queue.into_iter();
        for group in left.by_ref() {
            let offsets = offsets(cluster, &group);
            if offsets.is_empty() || self.written.lock().get(&group.name) == Some(&offsets) {
                continue;
            }
            let is_written = self.commit(&group.name, &offsets);
            last.clone_from(&group.name);
            match is_written {
                Ok(()) => drop(self.written.lock().insert(group.name, offsets)),
                Err(error) => {
                    tracing::debug!(group = group.name, %error, "offsets of a consumer group could not be written");
                    break;
                }
            }
            if Instant::now() >= until {
                break;
            }
        }
        let mut waiting = self.waiting.lock();
        for group in left {
            waiting.entry(group.name.clone()).or_insert(group);
        }
    }

    /// Writes the offsets of a group; gives up after its `session.timeout.ms`.
    fn commit(&self, name: &str, offsets: &Offsets) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for ((topic, partition), offset) in offsets {
            list.add_partition_offset(topic, partition.0, At::Offset(offset.0))?;
        }
        let client: BaseConsumer = self.settings.visitor(name).create()?;
        client.commit(&list, CommitMode::Sync)
    }
}

/// Where a group's readers are; of several readers of one partition the one furthest behind.
fn offsets(cluster: &Cluster, group: &ReaderGroup) -> Offsets {
    let mut offsets = Offsets::new();
    for (topic, partition, offset) in &group.positions {
        // A topic that nobody remembers is not read any more.
        if let Some(topic) = cluster.name_of(*topic) {
            let known = offsets.entry((topic, *partition)).or_insert(*offset);
            *known = (*known).min(*offset);
        }
    }
    offsets
}
