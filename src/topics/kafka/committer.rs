//! A committer: one transactional producer and the thread that feeds it.
//!
//! What waits goes into one Kafka transaction, in the order of the calls: transactions per second are what is scarce
//! (`docs/decisions/0003-what-a-real-broker-does.md`). If one part is refused (its topic is gone, a record is too large)
//! the transaction is aborted, that part is answered, and the rest is sent again without it. Brokers that refuse a
//! partition before they have taken any shut the producer out and name nobody: then each part goes alone.
//!
//! Invariants:
//! - every transaction handed over is answered once, also when the committer goes away;
//! - after an unknown outcome nothing new is begun before the old transaction is decided;
//! - an id that brokers shut out is taken again only by the owner of the service ([`super::rights`]), who asks before and
//!   after; for anybody else fenced once is fenced for good;
//! - a commit that was asked for and not answered is never sent again: it counts as unknown.
//!
//! Output that is to be readable at once goes past all that, through [`Sender`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::client::Refused;
use super::cluster::Cluster;
use super::delivery::{Deliveries, Reports};
use super::native::end_transaction;
use super::numbers::{self, Counted};
use super::record_time;
use super::sender::Sender;
use super::settings::KafkaSettings;
use crate::topics::log::check_record_sizes;
use crate::topics::{CommitOutcome, Committer, OnCommit, PartitionRecords, TopicError, Transaction};
use crate::types::{Offset, Partition};

/// One try to end a transaction; it is repeated until the policy says stop.
const TRY: Duration = Duration::from_secs(5);
/// Jobs in one Kafka transaction, and bytes of their keys and values.
const MOST_JOBS: usize = 1000;
const MOST_BYTES: usize = 64 << 20;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// How long to wait while the producer's own queue is full.
pub(super) const FULL: Duration = Duration::from_millis(1);

/// Makes transactions under one id.
pub(super) struct KafkaCommitter {
    // fixed
    cluster: Arc<Cluster>,
    settings: KafkaSettings,
    queue: Arc<Queue>,
    worker: Option<JoinHandle<()>>,
    // changing
    is_fenced: Arc<AtomicBool>,
    /// For output that is in no transaction; made when there is some.
    sender: OnceLock<Result<Sender, TopicError>>,
}

/// Jobs that wait for a producer's thread.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
    limit: usize,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
    is_closed: bool,
}

/// Records to write, and who waits for the answer.
pub(super) struct Job {
    pub(super) transaction: Transaction,
    bytes: usize,
    pub(super) done: OnCommit,
}

impl KafkaCommitter {
    /// Takes over the id: transactions of its former holder are decided when this returns.
    ///
    /// # Errors
    /// The cluster does not answer in time, or refuses.
    pub(super) fn open(cluster: &Arc<Cluster>, settings: &KafkaSettings, id: &str) -> Result<Self, TopicError> {
        let claim = cluster.rights.open(id);
        let producer = producer(cluster, settings, id)?;
        let queue = Arc::new(Queue::new(settings.queue_bytes));
        let is_fenced = Arc::new(AtomicBool::new(false));
        let mut work = Work {
            cluster: Arc::clone(cluster),
            settings: settings.clone(),
            id: id.to_owned(),
            claim,
            producer,
            left: Left::Nothing,
            left_ends: vec![],
            is_shut_out: false,
            is_fenced: Arc::clone(&is_fenced),
        };
        let waiting = Arc::clone(&queue);
        let worker = std::thread::Builder::new()
            .name("kafka-commit".to_owned())
            .spawn(move || {
                while let Some(jobs) = waiting.next() {
                    work.run(jobs);
                }
            })
            .map_err(|error| TopicError::storage("start a thread", &error))?;
        let (cluster, settings, sender) = (Arc::clone(cluster), settings.clone(), OnceLock::new());
        Ok(Self { cluster, settings, queue, worker: Some(worker), is_fenced, sender })
    }
}

impl Committer for KafkaCommitter {
    fn commit(&self, transaction: Transaction, done: OnCommit) {
        self.queue.put(transaction, done);
    }

    fn send(&self, transaction: Transaction, done: OnCommit) {
        if self.is_fenced.load(Ordering::SeqCst) {
            return done(CommitOutcome::Fenced);
        }
        match self.sender.get_or_init(|| Sender::open(&self.cluster, &self.settings)) {
            Ok(sender) => sender.send(transaction, done),
            Err(error) => done(CommitOutcome::Aborted(error.clone())),
        }
    }
}

impl Drop for KafkaCommitter {
    /// What was handed over is still sent.
    fn drop(&mut self) {
        self.queue.close();
        let Some(worker) = self.worker.take() else { return };
        // The last answer may be what lets go of the committer.
        if worker.thread().id() != std::thread::current().id() && worker.join().is_err() {
            tracing::error!("a committer's thread panicked");
        }
    }
}

impl Queue {
    /// A queue that takes more while it holds less than `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: Mutex::default(), more: Condvar::new(), limit }
    }

    /// Takes a job, or answers that there are too many.
    pub(super) fn put(&self, transaction: Transaction, done: OnCommit) {
        let bytes = transaction.records.iter().map(|entry| entry.records.data_bytes()).sum();
        let mut waiting = self.waiting.lock();
        let (queued, limit) = (waiting.bytes, self.limit);
        if queued > 0 && queued + bytes > limit {
            drop(waiting);
            return done(CommitOutcome::Aborted(TopicError::Overloaded { bytes, queued, limit }));
        }
        waiting.bytes += bytes;
        waiting.jobs.push_back(Job { transaction, bytes, done });
        drop(waiting);
        self.more.notify_one();
    }

    /// There will be no more jobs.
    pub(super) fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.more.notify_all();
    }

    /// Waits for jobs; `None` when there will be no more.
    pub(super) fn next(&self) -> Option<Vec<Job>> {
        let mut waiting = self.waiting.lock();
        while waiting.jobs.is_empty() {
            if waiting.is_closed {
                return None;
            }
            self.more.wait(&mut waiting);
        }
        let (mut count, mut bytes) = (0, 0);
        for job in waiting.jobs.iter().take(MOST_JOBS) {
            if count > 0 && bytes + job.bytes > MOST_BYTES {
                break;
            }
            count += 1;
            bytes += job.bytes;
        }
        waiting.bytes -= bytes;
        Some(waiting.jobs.drain(..count).collect())
    }
}

/// A transaction that was not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Its commit was not answered.
    ToCommit,
    /// It is to be aborted: nothing of it was committed.
    ToAbort,
}

/// What became of one Kafka transaction.
enum Ended {
    /// By entry, over all jobs: the offsets of its first and last record.
    Committed(Vec<Option<(Offset, Offset)>>),
    /// Not done because of some of the jobs, by their places.
    Refused(Vec<(usize, TopicError)>),
    /// Not done.
    Aborted(TopicError),
    /// Brokers shut the producer out, perhaps after they committed, if they were asked to; or refused a topic of nobody knows
    /// whom.
    ShutOut {
        asked_to_commit: bool,
        refused: Refused,
    },
    Unknown(String),
}

impl Ended {
    fn counted(&self) -> numbers::Ended {
        match self {
            Self::Committed(_) => numbers::Ended::Committed,
            Self::Refused(_) => numbers::Ended::Refused,
            Self::Aborted(_) => numbers::Ended::Aborted,
            Self::ShutOut { .. } => numbers::Ended::Fenced,
            Self::Unknown(_) => numbers::Ended::Unknown,
        }
    }
}

/// The thread's part.
struct Work {
    // fixed
    cluster: Arc<Cluster>,
    settings: KafkaSettings,
    id: String,
    /// Which of those that opened the id this is.
    claim: u64,
    // changing
    producer: ThreadedProducer<Deliveries>,
    left: Left,
    /// Where the partitions end behind a commit that was not answered.
    left_ends: Vec<(String, Partition, Offset)>,
    /// Brokers take nothing from the producer any more.
    is_shut_out: bool,
    /// And rightly so: another owns the id. For good.
    is_fenced: Arc<AtomicBool>,
}

impl Work {
    fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::SeqCst)
    }

    /// True if something was left open, or there is no producer to be used.
    fn is_unsettled(&self) -> bool {
        !self.is_fenced() && (self.is_shut_out || self.left != Left::Nothing)
    }

    /// Commits jobs: together, and each alone if brokers refuse a topic and do not say whose.
    fn run(&mut self, jobs: Vec<Job>) {
        let Some((mut jobs, _)) = self.together(jobs) else { return };
        for entry in jobs.iter().flat_map(|job| &job.transaction.records) {
            self.cluster.doubt(&entry.topic);
        }
        // Most often one of the topics is gone, and that can be seen.
        let all = jobs.len();
        jobs = self.fitting(jobs);
        if jobs.len() < all {
            let Some((rest, _)) = self.together(jobs) else { return };
            jobs = rest;
        }
        for job in jobs {
            if self.is_unsettled() {
                // Nobody waits for the cluster once for each job.
                let (action, reason) = ("commit", "an earlier transaction is not decided yet".to_owned());
                answer(vec![job], &CommitOutcome::Aborted(TopicError::Unavailable { action, reason }));
            } else if let Some((jobs, refused)) = self.together(vec![job]) {
                let error = self.of_topic(&refused, &jobs).unwrap_or_else(|| refused.told("commit"));
                answer(jobs, &CommitOutcome::Aborted(error));
            }
        }
    }

    /// Commits jobs in one transaction, without those that are refused. Gives back, unanswered, what was definitely not
    /// committed because brokers shut the producer out, and why; there is a new producer then.
    fn together(&mut self, jobs: Vec<Job>) -> Option<(Vec<Job>, Refused)> {
        let mut jobs = jobs;
        loop {
            if let Err(error) = self.settle() {
                answer(jobs, &CommitOutcome::Aborted(error));
                return None;
            }
            if self.is_fenced() {
                answer(jobs, &CommitOutcome::Fenced);
                return None;
            }
            jobs = self.fitting(jobs);
            if jobs.is_empty() {
                return None;
            }
            let ended = self.attempt(&jobs);
            self.cluster.numbers.ended(ended.counted());
            match ended {
                Ended::Committed(offsets) => committed(jobs, offsets),
                Ended::Refused(mut refused) => {
                    let mut rest = Vec::with_capacity(jobs.len());
                    for (place, job) in jobs.into_iter().enumerate() {
                        match refused.iter().position(|(at, _)| *at == place) {
                            Some(at) => (job.done)(CommitOutcome::Aborted(refused.swap_remove(at).1)),
                            None => rest.push(job),
                        }
                    }
                    jobs = rest;
                    continue;
                }
                Ended::Aborted(error) => answer(jobs, &CommitOutcome::Aborted(error)),
                Ended::ShutOut { asked_to_commit, refused } => match self.settle() {
                    _ if self.is_fenced() => answer(jobs, &CommitOutcome::Fenced),
                    // Whoever asked to commit has to look what became of it.
                    _ if asked_to_commit => answer(jobs, &CommitOutcome::Unknown(refused.text)),
                    Ok(()) => return Some((jobs, refused)),
                    Err(error) => answer(jobs, &CommitOutcome::Aborted(error)),
                },
                Ended::Unknown(reason) => answer(jobs, &CommitOutcome::Unknown(reason)),
            }
            return None;
        }
    }

    /// The jobs that can be sent, as far as that is known; the others are answered.
    fn fitting(&self, jobs: Vec<Job>) -> Vec<Job> {
        let mut fit = Vec::with_capacity(jobs.len());
        for job in jobs {
            match check(&self.cluster, self.settings.max_record_bytes, &job.transaction) {
                Ok(()) => fit.push(job),
                Err(error) => (job.done)(CommitOutcome::Aborted(error)),
            }
        }
        fit
    }

    /// What a refused transaction means if a topic of these jobs is to blame: the one that brokers name.
    fn of_topic(&self, refused: &Refused, jobs: &[Job]) -> Option<TopicError> {
        let topics = || jobs.iter().flat_map(|job| &job.transaction.records).map(|entry| entry.topic.as_str());
        let named = topics().find(|topic| refused.text.contains(&format!("\"{topic}\"")));
        refusal(&self.cluster, refused.code, named.or_else(|| topics().next())?)
    }

    /// Ends what was left open, and takes the id again if brokers shut the producer out. Nothing is open then.
    fn settle(&mut self) -> Result<(), TopicError> {
        if self.is_fenced() {
            return Ok(());
        }
        if !self.is_shut_out && self.left != Left::Nothing {
            self.decide()?;
        }
        if self.is_shut_out { self.take_again() } else { Ok(()) }
    }

    /// Makes another producer under the id, if it is still this server's. What was open is decided then.
    fn take_again(&mut self) -> Result<(), TopicError> {
        if self.cluster.rights.are_left(&self.id, self.claim)? {
            let producer = producer(&self.cluster, &self.settings, &self.id)?;
            // Another may have become the owner before that. It finds itself shut out, and takes the id again.
            if self.cluster.rights.are_left(&self.id, self.claim)? {
                tracing::info!(id = self.id, "this server still owns its service, and has taken its id again");
                (self.producer, self.is_shut_out, self.left) = (producer, false, Left::Nothing);
                self.left_ends.clear();
                return Ok(());
            }
        }
        tracing::error!(id = self.id, "the brokers took this server's right to commit away");
        self.is_fenced.store(true, Ordering::SeqCst);
        self.cluster.is_fenced.store(true, Ordering::Release);
        self.left = Left::Nothing;
        Ok(())
    }

    /// Ends the transaction that was left open.
    fn decide(&mut self) -> Result<(), TopicError> {
        let was = self.left;
        let ended = match was {
            Left::ToCommit => self.end(true),
            Left::Nothing | Left::ToAbort => self.end(false),
        };
        let ends = std::mem::take(&mut self.left_ends);
        match ended {
            Ok(()) if was == Left::ToCommit => {
                self.cluster.committed(ends);
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(refused) if refused.is_fatal || refused.is_fenced() => {
                self.shut_out(&refused);
                Ok(())
            }
            Err(refused) if refused.requires_abort && self.left == Left::ToCommit => {
                self.left = Left::ToAbort;
                self.decide()
            }
            Err(refused) => {
                self.left_ends = ends;
                Err(refused.told("decide an earlier transaction"))
            }
        }
    }

    /// Commits or aborts, again and again while that may help; remembers what is left open.
    fn end(&mut self, commits: bool) -> Result<(), Refused> {
        self.left = if commits { Left::ToCommit } else { Left::ToAbort };
        let deadline = Instant::now() + self.settings.commit_timeout;
        loop {
            match end_transaction(&self.producer, commits, TRY) {
                Ok(()) => {
                    self.left = Left::Nothing;
                    return Ok(());
                }
                // Some of these answers come at once, over and over.
                Err(refused) if refused.is_retriable && Instant::now() < deadline => std::thread::park_timeout(PAUSE),
                Err(refused) => return Err(refused),
            }
        }
    }

    fn shut_out(&mut self, refused: &Refused) {
        tracing::warn!(id = self.id, reason = refused.text, "brokers shut a producer of this server out");
        self.is_shut_out = true;
    }

    /// Sends the jobs in one transaction.
    fn attempt(&mut self, jobs: &[Job]) -> Ended {
        let entries: usize = jobs.iter().map(|job| job.transaction.records.len()).sum();
        if jobs.iter().all(|job| job.transaction.records.iter().all(|entry| entry.records.is_empty())) {
            return Ended::Committed(vec![None; entries]);
        }
        self.producer.context().expect(entries);
        if let Err(error) = self.producer.begin_transaction() {
            let refused = Refused::from(error);
            if refused.is_fatal || refused.is_fenced() {
                self.shut_out(&refused);
                return Ended::ShutOut { asked_to_commit: false, refused };
            }
            return self.give_up(refused, jobs);
        }
        self.left = Left::ToAbort;
        let mut place = 0;
        for job in jobs {
            for entry in &job.transaction.records {
                if let Err((code, text)) = self.send(entry, place) {
                    let refused = Refused { text, requires_abort: true, ..Refused::code(code) };
                    self.producer.context().fail(place, code);
                    return self.give_up(refused, jobs);
                }
                place += 1;
            }
        }
        #[cfg(test)]
        if let Some(ended) = self.injected(jobs) {
            return ended;
        }
        match self.end(true) {
            Ok(()) => {
                let offsets = self.producer.context().take().offsets;
                self.cluster.committed(ends_of(jobs, &offsets));
                Ended::Committed(offsets)
            }
            Err(refused) if refused.is_fatal || refused.is_fenced() => {
                self.shut_out(&refused);
                Ended::ShutOut { asked_to_commit: true, refused }
            }
            Err(refused) if refused.is_retriable && !refused.requires_abort => {
                self.left_ends = ends_of(jobs, &self.producer.context().take().offsets);
                Ended::Unknown(refused.text)
            }
            Err(refused) => self.give_up(refused, jobs),
        }
    }

    /// Hands the records of an entry to the producer, which sends them in the background.
    fn send(&self, entry: &PartitionRecords, place: usize) -> Result<(), (RDKafkaErrorCode, String)> {
        for record in entry.records.iter() {
            let (timestamp, headers) = record_time::written(record.timestamp, record.headers);
            let mut message = BaseRecord::<[u8], [u8], usize> {
                topic: &entry.topic,
                partition: Some(entry.partition.0),
                payload: record.value,
                key: record.key,
                timestamp: Some(timestamp),
                headers,
                delivery_opaque: place,
            };
            loop {
                match self.producer.send(message) {
                    Ok(()) => break,
                    Err((error, unsent)) => {
                        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                        if code != RDKafkaErrorCode::QueueFull {
                            return Err((code, error.to_string()));
                        }
                        message = unsent;
                        std::thread::park_timeout(FULL);
                    }
                }
            }
        }
        Ok(())
    }

    /// Aborts the transaction, and finds out whose fault it was.
    fn give_up(&mut self, refused: Refused, jobs: &[Job]) -> Ended {
        let aborted = self.end(false);
        let Reports { failed, .. } = self.producer.context().take();
        match aborted {
            Ok(()) => {}
            Err(error) if error.is_fatal || error.is_fenced() => {
                tracing::warn!(reason = refused.text, "brokers refused a transaction");
                self.shut_out(&error);
            }
            // Settled before the next transaction begins.
            Err(error) => tracing::warn!(reason = error.text, "a transaction could not be aborted yet"),
        }
        let mut guilty: Vec<(usize, TopicError)> = Vec::new();
        for (entry, code) in failed {
            let Some((job, topic)) = job_of(jobs, entry) else { continue };
            if guilty.iter().any(|(known, _)| *known == job) {
                continue;
            }
            if code == RDKafkaErrorCode::UnknownPartition {
                // The topic may have been given it just now: the producer has to hear of it.
                drop(self.producer.client().fetch_metadata(Some(topic), TRY));
            }
            let Some(error) = refusal(&self.cluster, code, topic) else { continue };
            guilty.push((job, error));
        }
        match guilty.is_empty() {
            true if self.is_shut_out || refused.is_of_topic() => Ended::ShutOut { asked_to_commit: false, refused },
            true => Ended::Aborted(refused.told("commit")),
            false => Ended::Refused(guilty),
        }
    }

    /// The fault that a test has planned.
    #[cfg(test)]
    fn injected(&mut self, jobs: &[Job]) -> Option<Ended> {
        use crate::topics::memory::Fault;
        let fault = self.cluster.faults.lock().pop_front()?;
        let injected = || "injected fault".to_owned();
        let commits = fault == Fault::UnknownApplied;
        self.end(commits).expect("a test's broker answers");
        if commits {
            self.cluster.committed(ends_of(jobs, &self.producer.context().take().offsets));
        }
        Some(match fault {
            Fault::Abort => Ended::Aborted(TopicError::Storage { action: "commit", reason: injected() }),
            Fault::UnknownApplied | Fault::UnknownLost => Ended::Unknown(injected()),
            Fault::Fence => {
                self.is_shut_out = true;
                Ended::ShutOut { asked_to_commit: false, refused: Refused::plain("injected fault") }
            }
        })
    }
}

/// A producer that has taken over the id.
fn producer(
    cluster: &Arc<Cluster>,
    settings: &KafkaSettings,
    id: &str,
) -> Result<ThreadedProducer<Deliveries>, TopicError> {
    let told = |error: KafkaError| Refused::from(error).told("open a committer");
    let deliveries = Deliveries::new(Counted::new(&cluster.numbers));
    let producer: ThreadedProducer<Deliveries> =
        settings.producer(Some(id)).create_with_context(deliveries).map_err(told)?;
    producer.init_transactions(settings.request_timeout).map_err(told)?;
    Ok(producer)
}

/// Refuses what cannot be sent, as far as that is known here.
pub(super) fn check(cluster: &Cluster, max_record_bytes: usize, transaction: &Transaction) -> Result<(), TopicError> {
    for entry in &transaction.records {
        let known = cluster.known(&entry.topic)?;
        let unknown = || TopicError::UnknownTopic(entry.topic.clone());
        let mut partitions = known.ok_or_else(unknown)?.config.partitions;
        if entry.partition.0 >= partitions {
            // The topic may have been given more since.
            partitions = cluster.find(&entry.topic)?.ok_or_else(unknown)?.config.partitions;
        }
        if !(0..partitions).contains(&entry.partition.0) {
            let (topic, partition) = (entry.topic.clone(), entry.partition);
            return Err(TopicError::UnknownPartition { topic, partition, partitions });
        }
        check_record_sizes(&entry.records, max_record_bytes)?;
    }
    Ok(())
}

/// What the report of a refused record means; `None` if the record is not to blame.
pub(super) fn refusal(cluster: &Cluster, code: RDKafkaErrorCode, topic: &str) -> Option<TopicError> {
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            cluster.doubt(topic);
            Some(TopicError::UnknownTopic(topic.to_owned()))
        }
        RDKafkaErrorCode::UnknownPartition => {
            // One that the topic was given just now, if the topic is still there.
            cluster.doubt(topic);
            Some(TopicError::Unavailable { action: "write to a topic", reason: format!("{topic}: {code}") })
        }
        RDKafkaErrorCode::MessageSizeTooLarge
        | RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::InvalidTopic
        | RDKafkaErrorCode::InvalidRecord
        | RDKafkaErrorCode::InvalidTimestamp
        | RDKafkaErrorCode::InvalidMessage
        | RDKafkaErrorCode::PolicyViolation => {
            Some(TopicError::Refused { topic: topic.to_owned(), reason: code.to_string() })
        }
        _ => None,
    }
}

/// The job that an entry belongs to, and its topic; entries are counted over all jobs.
fn job_of(jobs: &[Job], entry: usize) -> Option<(usize, &str)> {
    let mut first = 0;
    for (place, job) in jobs.iter().enumerate() {
        if let Some(found) = entry.checked_sub(first).and_then(|at| job.transaction.records.get(at)) {
            return Some((place, &found.topic));
        }
        first += job.transaction.records.len();
    }
    None
}

/// One past the last record that each entry got.
pub(super) fn ends_of(jobs: &[Job], offsets: &[Option<(Offset, Offset)>]) -> Vec<(String, Partition, Offset)> {
    let entries = jobs.iter().flat_map(|job| &job.transaction.records);
    let end = |(entry, offsets): (&PartitionRecords, &Option<(Offset, Offset)>)| {
        offsets.map(|(_, last)| (entry.topic.clone(), entry.partition, last.next()))
    };
    entries.zip(offsets).filter_map(end).collect()
}

fn answer(jobs: Vec<Job>, outcome: &CommitOutcome) {
    for job in jobs {
        (job.done)(outcome.clone());
    }
}

pub(super) fn committed(jobs: Vec<Job>, offsets: Vec<Option<(Offset, Offset)>>) {
    let mut offsets = offsets.into_iter().map(|offsets| offsets.map(|(first, _)| first));
    for job in jobs {
        let entries = &job.transaction.records;
        let mut found: Vec<_> = offsets.by_ref().take(entries.len()).collect();
        // An entry without records lies where the next of its partition begins, or behind the one before.
        for at in (0..found.len()).filter(|at| entries[*at].records.is_empty()) {
            let same = |other: &usize| {
                (&entries[*other].topic, entries[*other].partition) == (&entries[at].topic, entries[at].partition)
            };
            let behind = (at + 1..found.len()).filter(same).find_map(|other| found[other]);
            let before = (0..at).rev().filter(same).find_map(|other| {
                let records = i64::try_from(entries[other].records.len()).unwrap_or(0);
                found[other].map(|first| Offset(first.0 + records))
            });
            found[at] = behind.or(before);
        }
        let found = found.into_iter().map(|offset| offset.unwrap_or(Offset(0))).collect();
        (job.done)(CommitOutcome::Committed(found));
    }
}
