//! A log in memory: for tests, simulation and the conformance runner. Creating a topic costs nothing.
//!
//! Invariants:
//! - deterministic: no thread, no clock; answers and notices come before the call returns, in the order of the calls;
//! - time stands still until [`MemoryLog::advance_time`] moves it, nothing is removed until [`MemoryLog::clean`].
//!
//! Faults are injected through [`FaultPlan`], open transactions through [`MemoryLog::open_transaction`].

mod faults;
mod partition_log;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;

pub use faults::{Fault, FaultPlan};

use self::partition_log::PartitionLog;
use super::{
    CommitOutcome, Committer, Fetch, OffsetRange, OnAppend, OnCommit, TopicConfig, TopicError, TopicId, TopicInfo,
    TopicLog, Transaction, check_topic_name,
};
use crate::types::{Offset, Partition};

/// The limits of a [`MemoryLog`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemorySettings {
    /// The largest record (key, value and headers) that is taken, bytes.
    pub max_record_bytes: usize,
    /// How long compaction keeps a null value, milliseconds.
    pub delete_retention_ms: i64,
}

impl Default for MemorySettings {
    fn default() -> Self {
        Self { max_record_bytes: 16 << 20, delete_retention_ms: 24 * 3_600_000 }
    }
}

/// A log in memory; clones are the same log.
#[derive(Clone, Default)]
pub struct MemoryLog {
    settings: MemorySettings,
    faults: FaultPlan,
    state: Arc<Mutex<State>>,
    listeners: Arc<Mutex<Vec<OnAppend>>>,
    /// Commits of committers that wait, in order; `None` while nothing is held.
    held: Arc<Mutex<Option<Vec<Held>>>>,
}

type Held = Box<dyn FnOnce(&MemoryLog) + Send>;

#[derive(Default)]
struct State {
    names: BTreeMap<String, TopicId>,
    topics: HashMap<TopicId, Topic>,
    /// Topics made so far: the source of ids, never reused.
    created: u64,
    /// Transactions opened so far.
    opened: u64,
    /// The generation that may commit, by transactional id.
    owners: HashMap<String, u64>,
    now_ms: i64,
}

struct Topic {
    info: TopicInfo,
    partitions: Vec<PartitionLog>,
}

/// A transaction whose records are in the log but not committed: readers of its partitions stay behind it.
/// Dropping it aborts it.
pub struct OpenTransaction {
    log: MemoryLog,
    number: u64,
    touched: Vec<(TopicId, Partition)>,
    offsets: Vec<Offset>,
}

impl std::fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLog").field("topics", &self.state.lock().names.len()).finish_non_exhaustive()
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty log with limits of its own.
    pub fn with_settings(settings: MemorySettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// What will go wrong.
    pub fn faults(&self) -> &FaultPlan {
        &self.faults
    }

    /// Moves the log's time, by which retention counts.
    pub fn advance_time(&self, ms: i64) {
        self.state.lock().now_ms += ms;
    }

    /// Applies retention and compaction to all topics.
    pub fn clean(&self) {
        let mut state = self.state.lock();
        let now_ms = state.now_ms;
        for topic in state.topics.values_mut() {
            let config = &topic.info.config;
            for partition in &mut topic.partitions {
                if let Some(retention_ms) = config.retention_ms.filter(|_| config.cleanup.deletes()) {
                    partition.expire(now_ms.saturating_sub(retention_ms));
                }
                if config.cleanup.compacts() {
                    partition.compact(now_ms.saturating_sub(self.settings.delete_retention_ms));
                }
            }
        }
    }

    /// Keeps the commits of committers from now on, and answers none of them.
    pub fn hold(&self) {
        self.held.lock().get_or_insert_default();
    }

    /// Does the commits that were held, in order, and holds no more.
    pub fn release(&self) {
        let held = self.held.lock().take().unwrap_or_default();
        held.into_iter().for_each(|commit| commit(self));
    }

    /// Forgets the commits that were held, without an answer, and holds no more.
    pub fn forget_held(&self) {
        drop(self.held.lock().take());
    }

    /// Appends `transaction` and leaves it open.
    ///
    /// # Errors
    /// As a commit is refused: unknown topic or partition, record too large.
    pub fn open_transaction(&self, transaction: &Transaction) -> Result<OpenTransaction, TopicError> {
        let mut state = self.state.lock();
        state.opened += 1;
        let number = state.opened;
        let (offsets, touched) = self.apply(&mut state, transaction, Some(number))?;
        Ok(OpenTransaction { log: self.clone(), number, touched, offsets })
    }

    /// Appends all or nothing; gives the base offset of each entry and the partitions touched, once each.
    fn apply(&self, state: &mut State, transaction: &Transaction, open: Option<u64>) -> Result<Applied, TopicError> {
        let mut places = Vec::with_capacity(transaction.records.len());
        for entry in &transaction.records {
            let unknown = || TopicError::UnknownTopic(entry.topic.clone());
            let id = *state.names.get(&entry.topic).ok_or_else(unknown)?;
            let partitions = state.topics.get(&id).ok_or_else(unknown)?.info.config.partitions;
            if !(0..partitions).contains(&entry.partition.0) {
                let (topic, partition) = (entry.topic.clone(), entry.partition);
                return Err(TopicError::UnknownPartition { topic, partition, partitions });
            }
            super::log::check_record_sizes(&entry.records, self.settings.max_record_bytes)?;
            places.push((id, entry.partition));
        }
        let now_ms = state.now_ms;
        let mut offsets = Vec::with_capacity(places.len());
        for (entry, (id, partition)) in transaction.records.iter().zip(&places) {
            let topic = state.topics.get_mut(id).expect("looked up above, under the same lock");
            let log = &mut topic.partitions[usize::try_from(partition.0).expect("checked to be in range")];
            offsets.push(log.append(&entry.records, now_ms, open));
        }
        places.sort_unstable();
        places.dedup();
        Ok((offsets, places))
    }

    fn commit(&self, owner: Option<(&str, u64)>, transaction: &Transaction, done: OnCommit) {
        let fault = self.faults.take(owner.map(|(id, _)| id));
        if let Some((id, generation)) = owner
            && let Some(held) = &mut *self.held.lock()
        {
            let (id, transaction) = (id.to_owned(), transaction.clone());
            held.push(Box::new(move |log| log.apply_or(fault, Some((&id, generation)), &transaction, done)));
            return;
        }
        self.apply_or(fault, owner, transaction, done);
    }

    fn apply_or(&self, fault: Option<Fault>, owner: Option<(&str, u64)>, transaction: &Transaction, done: OnCommit) {
        let mut touched = vec![];
        let outcome = {
            let mut state = self.state.lock();
            if let (Some(Fault::Fence), Some((id, _))) = (fault, owner) {
                *state.owners.entry(id.into()).or_default() += 1;
            }
            let is_fenced = owner.is_some_and(|(id, generation)| state.owners.get(id) != Some(&generation));
            match fault {
                _ if is_fenced => CommitOutcome::Fenced,
                Some(Fault::Fence) => CommitOutcome::Fenced,
                Some(Fault::Abort) => CommitOutcome::Aborted(injected()),
                Some(Fault::UnknownLost) => CommitOutcome::Unknown("injected fault".into()),
                Some(Fault::UnknownApplied) | None => match self.apply(&mut state, transaction, None) {
                    Err(error) => CommitOutcome::Aborted(error),
                    Ok((offsets, places)) => {
                        touched = places;
                        if fault.is_some() {
                            CommitOutcome::Unknown("injected fault".into())
                        } else {
                            CommitOutcome::Committed(offsets)
                        }
                    }
                },
            }
        };
        // Readers first: what is appended once this is answered is not to reach them sooner.
        self.tell(&touched);
        done(outcome);
    }

    fn tell(&self, touched: &[(TopicId, Partition)]) {
        let listeners = self.listeners.lock().clone();
        for (topic, partition) in touched {
            for listener in &listeners {
                listener(*topic, *partition);
            }
        }
    }

    fn close(&self, number: u64, touched: &[(TopicId, Partition)], commits: bool) {
        {
            let mut state = self.state.lock();
            for (id, partition) in touched {
                let Some(topic) = state.topics.get_mut(id) else { continue };
                let log = &mut topic.partitions[usize::try_from(partition.0).expect("a partition of the topic")];
                log.close(number, commits);
            }
        }
        self.tell(touched);
    }
}

type Applied = (Vec<Offset>, Vec<(TopicId, Partition)>);

fn injected() -> TopicError {
    TopicError::Storage { action: "commit", reason: "injected fault".into() }
}

impl OpenTransaction {
    /// Base offsets of the entries, in order.
    pub fn offsets(&self) -> &[Offset] {
        &self.offsets
    }

    /// Makes its records readable.
    pub fn commit(mut self) {
        self.log.close(self.number, &std::mem::take(&mut self.touched), true);
    }

    /// Removes its records; their offsets stay a gap.
    pub fn abort(self) {
        drop(self);
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        if !self.touched.is_empty() {
            self.log.close(self.number, &self.touched, false);
        }
    }
}

struct MemoryCommitter {
    log: MemoryLog,
    id: String,
    generation: u64,
}

impl Committer for MemoryCommitter {
    fn commit(&self, transaction: Transaction, done: OnCommit) {
        self.log.commit(Some((&self.id, self.generation)), &transaction, done);
    }
}

impl TopicLog for MemoryLog {
    fn create_topic(&self, name: &str, config: &TopicConfig) -> Result<TopicInfo, TopicError> {
        check_topic_name(name)?;
        config.check()?;
        let mut state = self.state.lock();
        if state.names.contains_key(name) {
            return Err(TopicError::TopicExists(name.into()));
        }
        state.created += 1;
        let info = TopicInfo { name: name.into(), id: TopicId(state.created), config: config.clone() };
        let partitions = (0..config.partitions).map(|_| PartitionLog::default()).collect();
        state.names.insert(name.into(), info.id);
        state.topics.insert(info.id, Topic { info: info.clone(), partitions });
        Ok(info)
    }

    fn delete_topic(&self, name: &str) -> Result<(), TopicError> {
        let mut state = self.state.lock();
        let id = state.names.remove(name).ok_or_else(|| TopicError::UnknownTopic(name.into()))?;
        state.topics.remove(&id);
        Ok(())
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        let state = self.state.lock();
        Ok(state.names.get(name).and_then(|id| state.topics.get(id)).map(|topic| topic.info.clone()))
    }

    fn topics(&self) -> Result<BTreeMap<String, TopicInfo>, TopicError> {
        let state = self.state.lock();
        Ok(state.topics.values().map(|topic| (topic.info.name.clone(), topic.info.clone())).collect())
    }

    fn offsets(&self, topic: TopicId) -> Result<Vec<OffsetRange>, TopicError> {
        let state = self.state.lock();
        let topic = state.topics.get(&topic).ok_or_else(|| TopicError::no_incarnation(topic))?;
        Ok(topic.partitions.iter().map(PartitionLog::range).collect())
    }

    fn read(&self, topic: TopicId, partition: Partition, from: Offset, max_bytes: usize) -> Result<Fetch, TopicError> {
        let state = self.state.lock();
        let topic = state.topics.get(&topic).ok_or_else(|| TopicError::no_incarnation(topic))?;
        let log = usize::try_from(partition.0).ok().and_then(|i| topic.partitions.get(i)).ok_or_else(|| {
            let partitions = topic.info.config.partitions;
            TopicError::UnknownPartition { topic: topic.info.name.clone(), partition, partitions }
        })?;
        log.read(from, max_bytes)
    }

    fn notify(&self, on_append: OnAppend) {
        self.listeners.lock().push(on_append);
    }

    fn committer(&self, transactional_id: &str) -> Result<Arc<dyn Committer>, TopicError> {
        let mut state = self.state.lock();
        let owner = state.owners.entry(transactional_id.into()).or_default();
        *owner += 1;
        Ok(Arc::new(MemoryCommitter { log: self.clone(), id: transactional_id.into(), generation: *owner }))
    }

    fn append(&self, transaction: Transaction, done: OnCommit) {
        self.commit(None, &transaction, done);
    }
}
