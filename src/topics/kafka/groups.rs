//! Consumer groups by which other programs see how far queries have read: a courtesy.
//!
//! A query's positions are records of its own transactions; what stands here is only looked at, never read back. So it
//! is written now and then, by the keeper's thread, and a group that could not be written is written next time. Groups
//! have no members: offsets are altered as an administrator would, for which no query needs a client of its own.
//!
//! Invariants:
//! - nobody waits for a group;
//! - a group that is to be forgotten is not written before it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::admin::AdminOptions;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset as At, TopicPartitionList};

use super::client::{Refused, wait_for};
use super::cluster::Cluster;
use super::native::alter_group_offsets;
use crate::topics::ReaderGroup;
use crate::types::{Offset, Partition};

/// How long one round of writing waits for the cluster.
const PATIENCE: Duration = Duration::from_secs(2);
/// Groups written in one round of requests.
const MOST_GROUPS: usize = 500;
/// Rounds in which it is tried to delete a group.
const MOST_TRIES: u32 = 60;

/// Offsets by topic and partition.
type Offsets = BTreeMap<(String, Partition), Offset>;

/// The groups of a service's queries.
#[derive(Default)]
pub(super) struct Groups {
    waiting: Mutex<Waiting>,
    /// As written last.
    written: Mutex<BTreeMap<String, Offsets>>,
}

#[derive(Default)]
struct Waiting {
    to_show: BTreeMap<String, ReaderGroup>,
    /// With the tries so far.
    to_forget: BTreeMap<String, u32>,
}

impl Groups {
    /// Has groups written in the next round.
    pub(super) fn show(&self, groups: Vec<ReaderGroup>) {
        let mut waiting = self.waiting.lock();
        for group in groups {
            if !waiting.to_forget.contains_key(&group.name) {
                waiting.to_show.insert(group.name.clone(), group);
            }
        }
    }

    /// Has a group deleted in the next round.
    pub(super) fn forget(&self, name: &str) {
        let mut waiting = self.waiting.lock();
        waiting.to_show.remove(name);
        waiting.to_forget.insert(name.to_owned(), 0);
    }

    /// One round: writes what changed, deletes what is to go.
    pub(super) fn write(&self, cluster: &Cluster) {
        let (to_show, to_forget) = {
            let mut waiting = self.waiting.lock();
            (std::mem::take(&mut waiting.to_show), waiting.to_forget.keys().cloned().collect::<BTreeSet<_>>())
        };
        let mut changed: Vec<(String, Offsets)> = Vec::new();
        {
            let written = self.written.lock();
            for (name, group) in to_show {
                let mut offsets = Offsets::new();
                for (topic, partition, offset) in group.positions {
                    // A topic that nobody remembers is not read any more.
                    if let Some(topic) = cluster.name_of(topic) {
                        let known = offsets.entry((topic, partition)).or_insert(offset);
                        *known = offset.min(*known);
                    }
                }
                if !offsets.is_empty() && written.get(&name) != Some(&offsets) {
                    changed.push((name, offsets));
                }
            }
        }
        for some in changed.chunks(MOST_GROUPS) {
            self.alter(cluster, some);
        }
        if !to_forget.is_empty() {
            self.delete(cluster, to_forget);
        }
    }

    fn alter(&self, cluster: &Cluster, groups: &[(String, Offsets)]) {
        let lists: Vec<_> = groups.iter().filter_map(|(name, offsets)| Some((name.as_str(), list(offsets)?))).collect();
        let (done, refused) = alter_group_offsets(cluster.client(), &lists, PATIENCE);
        if let Err(refused) = refused {
            tracing::debug!(reason = refused.text, "offsets of a consumer group could not be written");
        }
        let mut written = self.written.lock();
        for (name, _) in done.into_iter().filter_map(|place| lists.get(place)) {
            if let Some((name, offsets)) = groups.iter().find(|(known, _)| known == name) {
                written.insert(name.clone(), offsets.clone());
            }
        }
    }

    fn delete(&self, cluster: &Cluster, names: BTreeSet<String>) {
        let asked: Vec<_> = names.iter().map(String::as_str).collect();
        let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
        let answers = wait_for(cluster.admin().delete_groups(&asked, &options));
        let mut gone = BTreeSet::new();
        match answers {
            Ok(answers) => {
                for answer in answers {
                    match answer {
                        Ok(name) | Err((name, RDKafkaErrorCode::GroupIdNotFound)) => drop(gone.insert(name)),
                        Err((name, code)) => {
                            tracing::debug!(group = name, %code, "a consumer group could not be deleted");
                        }
                    }
                }
            }
            Err(error) => {
                tracing::debug!(reason = Refused::from(error).text, "consumer groups could not be deleted");
            }
        }
        self.written.lock().retain(|name, _| !names.contains(name));
        self.waiting.lock().to_forget.retain(|name, tries| {
            *tries += u32::from(names.contains(name));
            !gone.contains(name) && *tries < MOST_TRIES
        });
    }
}

/// As the client takes it.
fn list(offsets: &Offsets) -> Option<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for ((topic, partition), offset) in offsets {
        list.add_partition_offset(topic, partition.0, At::Offset(offset.0)).ok()?;
    }
    Some(list)
}
