//! What all queries of a runtime share: log, clock, scheduler, committers, and who waits for which partition.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use crate::catalog::QueryId;
use crate::diagnostics::Diagnostic;
use crate::expressions::EdgeSchema;
use crate::functions::FunctionRegistry;
use crate::operators::Operator;
use crate::planner::graph::OperatorNode;
use crate::topics::{CommitOutcome, Committer, TopicId, TopicLog, Transaction};
use crate::types::{Offset, Partition};

use super::follow;
use super::positions::{self, Durable};
use super::processing_log::ProcessingLog;
use super::push::PushQuery;
use super::query::Query;
use super::scheduler::{Scheduler, Task};
use super::shared_reader::SharedReaders;
use super::{Clock, RuntimeError, RuntimeSettings};

/// What queries share.
pub(super) struct Environment {
    // fixed
    pub(super) log: Arc<dyn TopicLog>,
    pub(super) functions: Arc<FunctionRegistry>,
    /// Makes an operator run: [`crate::operators::compile`].
    pub(super) compile: Compile,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: RuntimeSettings,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) processing_log: ProcessingLog,
    pub(super) service_id: String,
    pub(super) offsets_topic: String,
    pub(super) offsets_topic_id: TopicId,
    pub(super) shared_readers: SharedReaders,
    /// At least one.
    committers: Vec<Arc<dyn Committer>>,
    // changing
    /// Which of them carries a query; the same one as long as something of the query may be under way.
    carriers: Mutex<BTreeMap<QueryId, usize>>,
    /// The last epoch of each query told in the offsets topic up to an offset.
    told: Mutex<Told>,
    fenced: AtomicBool,
    /// Queries that are no more, and of which something may still be in the log.
    pub(super) unforgotten: Mutex<BTreeSet<QueryId>>,
    pub(super) queries: Mutex<BTreeMap<QueryId, Arc<Query>>>,
    pub(super) pushes: Mutex<HashMap<String, Arc<PushQuery>>>,
    readers: RwLock<HashMap<(TopicId, Partition), Readers>>,
    followers: Mutex<Vec<Weak<follow::Shared>>>,
    progress: Mutex<u64>,
    progressed: Condvar,
    seeds: AtomicU64,
    lanes: AtomicU64,
}

/// Makes the operator that runs a node.
pub(super) type Compile =
    fn(&OperatorNode, &[EdgeSchema], &FunctionRegistry, u16) -> Result<Box<dyn Operator>, Diagnostic>;

/// Who reads a partition.
#[derive(Default)]
struct Readers {
    tasks: Vec<Weak<Task>>,
    /// Notices of records so far.
    notices: AtomicU64,
}

/// What the offsets topic tells.
#[derive(Default)]
struct Told {
    /// The last epoch of each query.
    last: BTreeMap<String, Durable>,
    /// Up to here.
    until: Offset,
}

/// What an environment is made of.
pub(super) struct EnvironmentParts {
    pub(super) log: Arc<dyn TopicLog>,
    pub(super) functions: Arc<FunctionRegistry>,
    pub(super) compile: Compile,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: RuntimeSettings,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) processing_log: ProcessingLog,
    pub(super) service_id: String,
    pub(super) offsets_topic_id: TopicId,
    /// Committers that the service ever had.
    pub(super) committers: u32,
}

impl Environment {
    /// Takes over the service: whoever committed for it before is fenced.
    pub(super) fn new(parts: EnvironmentParts) -> Result<Self, RuntimeError> {
        let used = parts.settings.commit_producers.max(1);
        // Also those that an earlier life had and this one does not: what they left open is decided, and a server that
        // still has them is fenced, before anything is read.
        let committers = (0..used.max(parts.committers))
            .map(|number| Ok((number, parts.log.committer(&transactional_id(&parts.service_id, number))?)))
            .filter(|opened| opened.as_ref().map_or(true, |(number, _)| *number < used))
            .map(|opened| opened.map(|(_, committer)| committer))
            .collect::<Result<Vec<_>, RuntimeError>>()?;
        let seed = parts.clock.now_ms().cast_unsigned();
        Ok(Self {
            offsets_topic: positions::topic_name(&parts.service_id),
            offsets_topic_id: parts.offsets_topic_id,
            shared_readers: SharedReaders::default(),
            log: parts.log,
            functions: parts.functions,
            compile: parts.compile,
            service_id: parts.service_id,
            clock: parts.clock,
            settings: parts.settings,
            scheduler: parts.scheduler,
            processing_log: parts.processing_log,
            committers,
            carriers: Mutex::default(),
            told: Mutex::default(),
            fenced: AtomicBool::new(false),
            unforgotten: Mutex::default(),
            queries: Mutex::default(),
            pushes: Mutex::default(),
            readers: RwLock::default(),
            followers: Mutex::default(),
            progress: Mutex::new(0),
            progressed: Condvar::new(),
            seeds: AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            lanes: AtomicU64::new(1),
        })
    }

    /// A seed for one batch.
    pub(super) fn next_seed(&self) -> u64 {
        self.seeds.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }

    /// A scheduler's lane for a new query.
    pub(super) fn next_lane(&self) -> u64 {
        self.lanes.fetch_add(1, Ordering::Relaxed)
    }

    /// Hands a transaction of `query` to the log; those of one query take effect in the order of the calls. `done` gets
    /// the outcome, on any thread, and must not block.
    pub(super) fn commit(
        self: &Arc<Self>,
        query: &QueryId,
        transaction: Transaction,
        done: impl FnOnce(CommitOutcome) + Send + 'static,
    ) {
        self.scheduler.went_outside();
        let awaited = Awaited { env: Arc::downgrade(self), done: Some(done) };
        self.committer_of(query).commit(transaction, Box::new(move |outcome| awaited.answer(outcome)));
    }

    /// Hands records of `query` to the log that are to be readable at once. `done` as with [`Environment::commit`].
    pub(super) fn send(
        self: &Arc<Self>,
        query: &QueryId,
        records: Transaction,
        done: impl FnOnce(CommitOutcome) + Send + 'static,
    ) {
        self.scheduler.went_outside();
        let awaited = Awaited { env: Arc::downgrade(self), done: Some(done) };
        self.committer_of(query).send(records, Box::new(move |outcome| awaited.answer(outcome)));
    }

    /// The committer of a query: that with the fewest queries if it has none yet.
    fn committer_of(&self, query: &QueryId) -> Arc<dyn Committer> {
        let mut carriers = self.carriers.lock();
        let at = carriers.get(query).copied().unwrap_or_else(|| {
            let carried = |number: &usize| carriers.values().filter(|other| *other == number).count();
            (0..self.committers.len()).min_by_key(carried).unwrap_or(0)
        });
        carriers.insert(query.clone(), at);
        Arc::clone(&self.committers[at])
    }

    /// Nothing of a query is under way any more.
    pub(super) fn forget_committer_of(&self, query: &QueryId) {
        self.carriers.lock().remove(query);
    }

    /// Another owns the service: nothing is committed here any more, and every query says why.
    pub(super) fn give_up(&self, reason: &str) {
        self.fenced.store(true, Ordering::SeqCst);
        let queries: Vec<_> = self.queries.lock().values().cloned().collect();
        for query in queries {
            query.give_up(reason.to_owned());
        }
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::SeqCst)
    }

    /// The last epoch of `query` in the log, and where the offsets topic ends.
    pub(super) fn last_epoch(&self, query: &QueryId) -> Result<(Option<Durable>, Offset), RuntimeError> {
        let told = self.read_told()?;
        Ok((told.last.get(&query.0).cloned(), told.until))
    }

    /// The queries whose positions the log holds.
    pub(super) fn told_queries(&self) -> Result<Vec<QueryId>, RuntimeError> {
        Ok(self.read_told()?.last.keys().map(|id| QueryId(id.clone())).collect())
    }

    /// What the offsets topic tells by now.
    fn read_told(&self) -> Result<MutexGuard<'_, Told>, RuntimeError> {
        let mut told = self.told.lock();
        let (news, end) = positions::read(self.log.as_ref(), self.offsets_topic_id, told.until)?;
        for (id, durable) in news {
            match durable {
                Some(durable) => told.last.insert(id, durable),
                None => told.last.remove(&id),
            };
        }
        told.until = end;
        Ok(told)
    }

    /// What the log says about `query` from `from` on in the offsets topic: its last epoch if one is told, and where
    /// the reading ended.
    pub(super) fn told_since(&self, query: &QueryId, from: Offset) -> Result<(Option<Durable>, Offset), RuntimeError> {
        let (mut told, next) = positions::read(self.log.as_ref(), self.offsets_topic_id, from)?;
        Ok((told.remove(&query.0).flatten(), next))
    }

    /// Has `task` woken by every append to the partition.
    pub(super) fn watch(&self, topic: TopicId, partition: Partition, task: &Arc<Task>) {
        self.join(topic, partition, task);
        if let Err(error) = self.log.watch(topic, partition) {
            // Whoever reads it is told, too.
            tracing::warn!(%error, "cannot watch a partition");
        }
    }

    /// Has `task`, which reads the partition for a while, woken when records come.
    pub(super) fn join(&self, topic: TopicId, partition: Partition, task: &Arc<Task>) {
        self.readers.write().entry((topic, partition)).or_default().tasks.push(Arc::downgrade(task));
    }

    /// Ends what [`Environment::join`] began.
    pub(super) fn leave(&self, topic: TopicId, partition: Partition, task: &Arc<Task>) {
        if let Some(readers) = self.readers.write().get_mut(&(topic, partition)) {
            readers.tasks.retain(|other| other.as_ptr() != Arc::as_ptr(task));
        }
    }

    /// Forgets tasks that are gone.
    pub(super) fn forget_dead_readers(&self) {
        self.readers.write().retain(|_, readers| {
            readers.tasks.retain(|task| task.strong_count() > 0);
            !readers.tasks.is_empty()
        });
    }

    /// How often it was told that a topic's first `partitions` partitions have new records.
    pub(super) fn notices(&self, topic: TopicId, partitions: usize) -> u64 {
        let all = self.readers.read();
        let of =
            |number| all.get(&(topic, Partition(number))).map_or(0, |readers| readers.notices.load(Ordering::SeqCst));
        (0..i32::try_from(partitions).unwrap_or(i32::MAX)).map(of).sum()
    }

    /// Records of the partition became readable.
    pub(super) fn appended(&self, topic: TopicId, partition: Partition) {
        if let Some(readers) = self.readers.read().get(&(topic, partition)) {
            readers.notices.fetch_add(1, Ordering::SeqCst);
            readers.tasks.iter().filter_map(Weak::upgrade).for_each(|task| task.wake());
        }
    }

    /// A topic has so many partitions now, more than before. Waits for locks.
    pub(super) fn grew(&self, topic: TopicId, partitions: usize) {
        let queries: Vec<_> = self.queries.lock().values().cloned().collect();
        queries.iter().for_each(|query| query.topic_grew(topic, partitions));
        let pushes: Vec<_> = self.pushes.lock().values().cloned().collect();
        pushes.iter().for_each(|push| push.topic_grew(topic, partitions));
        let followers: Vec<_> = self.followers.lock().iter().filter_map(Weak::upgrade).collect();
        followers.iter().for_each(|follower| follower.topic_grew(topic, partitions));
        self.made_progress();
    }

    /// Counts a follower among those that are waited for.
    pub(super) fn follow(&self, follower: &Arc<follow::Shared>) {
        let mut followers = self.followers.lock();
        followers.retain(|known| known.strong_count() > 0);
        followers.push(Arc::downgrade(follower));
    }

    /// True if all followers were told everything that is committed.
    pub(super) fn followers_are_caught_up(&self) -> Result<bool, RuntimeError> {
        let followers: Vec<_> = self.followers.lock().iter().filter_map(Weak::upgrade).collect();
        for follower in followers {
            if !follower.is_caught_up(self)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Tells those who wait in [`Environment::wait_until`] to look again.
    pub(super) fn made_progress(&self) {
        *self.progress.lock() += 1;
        self.progressed.notify_all();
    }

    /// Waits until `holds` gives true, at most `timeout`: by running tasks where there are no worker threads. False if
    /// time ran out.
    ///
    /// # Errors
    /// What `holds` gives.
    pub(super) fn wait_until<E>(
        &self,
        timeout: Duration,
        mut holds: impl FnMut() -> Result<bool, E>,
    ) -> Result<bool, E> {
        if self.scheduler.is_seeded() {
            self.scheduler.run_until_idle();
            return holds();
        }
        let deadline = self.clock.elapsed() + timeout;
        loop {
            let seen = *self.progress.lock();
            if holds()? {
                return Ok(true);
            }
            let mut progress = self.progress.lock();
            while *progress == seen {
                let left = deadline.saturating_sub(self.clock.elapsed());
                if left.is_zero() || self.progressed.wait_for(&mut progress, left).timed_out() {
                    drop(progress);
                    return holds();
                }
            }
        }
    }
}

/// Who waits for a commit's outcome. A log that forgets to answer has given none that is known.
struct Awaited<F: FnOnce(CommitOutcome)> {
    env: Weak<Environment>,
    done: Option<F>,
}

impl<F: FnOnce(CommitOutcome)> Awaited<F> {
    fn answer(mut self, outcome: CommitOutcome) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: CommitOutcome) {
        let Some(done) = self.done.take() else { return };
        done(outcome);
        if let Some(env) = self.env.upgrade() {
            env.scheduler.came_back();
        }
    }
}

impl<F: FnOnce(CommitOutcome)> Drop for Awaited<F> {
    fn drop(&mut self) {
        self.tell(CommitOutcome::Unknown("the log did not answer".to_owned()));
    }
}

/// The ids under which a service commits; numbers begin with 0.
fn transactional_id(service_id: &str, number: u32) -> String {
    format!("_thalweg-{service_id}-committer-{number}")
}
