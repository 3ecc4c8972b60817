//! The log on a Kafka cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use super::background::Background;
use super::cluster::Cluster;
use super::committer::KafkaCommitter;
use super::groups::Groups;
use super::lease::Lease;
use super::reader::Reader;
use super::settings::KafkaSettings;
use crate::telemetry::KafkaMetrics;
use crate::topics::{
    Claim, CommitOutcome, Committer, Fetch, OffsetRange, OnAppend, OnCommit, OnGrowth, OnOwnership, Ownership,
    ReaderGroup, TopicConfig, TopicError, TopicId, TopicInfo, TopicLog, Transaction,
};
use crate::types::{Offset, Partition};

/// How often the clients' own messages are served.
const SERVE: Duration = Duration::from_millis(500);
/// How long groups are written in one round, and in the last.
const SHOWING: Duration = Duration::from_millis(500);
const LAST_SHOWING: Duration = Duration::from_secs(2);
/// How often it is asked where partitions end, and groups are written.
const REFRESH: Duration = Duration::from_secs(2);
/// How often topics that are read are looked at: a topic that somebody deleted, or made again, is noticed.
const LOOK: Duration = Duration::from_secs(5);

/// Topics of a Kafka cluster.
pub struct KafkaLog {
    // fixed
    settings: KafkaSettings,
    cluster: Arc<Cluster>,
    reader: Arc<Reader>,
    background: Arc<Background>,
    groups: Arc<Groups>,
    ended: Arc<(Mutex<bool>, Condvar)>,
    // changing
    keeper: Mutex<Option<JoinHandle<()>>>,
    lease: Mutex<Option<Lease>>,
    writing: Arc<RwLock<Writing>>,
}

/// Whether this process may write for the service.
enum Writing {
    /// It has not asked, or has no answer, or the log is closed.
    NotYet,
    /// It may. What it appends outside of any owner's transaction has an id that stays the same from life to life: what
    /// a server that was killed left open is decided when the next one starts, and holds no reader back.
    Here(KafkaCommitter),
    /// Another does. What was handed over is still sent, and refused by the brokers once that one has begun.
    Elsewhere { reason: String, _appender: Option<KafkaCommitter> },
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLog").field("servers", &self.settings.bootstrap_servers).finish_non_exhaustive()
    }
}

impl KafkaLog {
    /// Connects to a cluster, waits until it answers, and takes over the service's appends, whoever has them.
    ///
    /// # Errors
    /// A setting is not one of librdkafka's, or nobody answers in time.
    pub fn open(settings: KafkaSettings) -> Result<Self, TopicError> {
        let log = Self::connect(settings)?;
        *log.writing.write() = Writing::Here(appender(&log.cluster, &log.settings)?);
        Ok(log)
    }

    /// Connects to a cluster and waits until it answers. Until [`TopicLog::own`] is granted this log only reads.
    ///
    /// # Errors
    /// As [`KafkaLog::open`].
    pub fn connect(settings: KafkaSettings) -> Result<Self, TopicError> {
        let cluster = Cluster::connect(&settings)?;
        let background = Arc::new(Background::default());
        let reader = Reader::new(&cluster, &settings, &background);
        let groups = Arc::new(Groups::new(settings.clone()));
        let ended = Arc::new((Mutex::new(false), Condvar::new()));
        let keeper = std::thread::Builder::new()
            .name("kafka-keeper".to_owned())
            .spawn({
                let (cluster, reader, ended) = (Arc::clone(&cluster), Arc::clone(&reader), Arc::clone(&ended));
                let groups = Arc::clone(&groups);
                move || keep(&cluster, &reader, &groups, &ended)
            })
            .map_err(|error| TopicError::storage("start a thread", &error))?;
        Ok(Self {
            settings,
            cluster,
            reader,
            background,
            groups,
            ended,
            keeper: Mutex::new(Some(keeper)),
            lease: Mutex::new(None),
            writing: Arc::new(RwLock::new(Writing::NotYet)),
        })
    }

    fn write_no_more(&self) {
        let writing = std::mem::replace(&mut *self.writing.write(), Writing::NotYet);
        drop(writing);
    }

    /// The cluster's own id; empty if it does not say.
    pub fn cluster_id(&self) -> String {
        self.cluster.id()
    }

    /// Faults that hit the next commits, in order.
    #[cfg(test)]
    pub(super) fn fail_next(&self, fault: crate::topics::memory::Fault) {
        self.cluster.faults.lock().push_back(fault);
    }

    /// What stands behind the log.
    #[cfg(test)]
    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}

impl TopicLog for KafkaLog {
    fn create_topic(&self, name: &str, config: &TopicConfig) -> Result<TopicInfo, TopicError> {
        self.cluster.create(name, config)
    }

    fn delete_topic(&self, name: &str) -> Result<(), TopicError> {
        let known = self.cluster.find(name)?;
        let info = known.ok_or_else(|| TopicError::UnknownTopic(name.to_owned()))?;
        let deleted = self.cluster.delete(name);
        self.reader.forget(info.id);
        deleted
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        self.cluster.find(name)
    }

    fn topics(&self) -> Result<BTreeMap<String, TopicInfo>, TopicError> {
        self.cluster.all()
    }

    fn offsets(&self, topic: TopicId) -> Result<Vec<OffsetRange>, TopicError> {
        self.reader.drain(topic);
        let ranges = self.cluster.offsets(topic)?;
        let name = self.cluster.by_id(topic)?.name;
        self.reader.told(topic, &name, &ranges);
        Ok(ranges)
    }

    fn known_offsets(&self, topic: TopicId) -> Option<Vec<OffsetRange>> {
        self.reader.known(topic)
    }

    fn read(&self, topic: TopicId, partition: Partition, from: Offset, max_bytes: usize) -> Result<Fetch, TopicError> {
        let fetch = self.reader.read((topic, partition), from, max_bytes, self.settings.request_timeout)?;
        fetch.ok_or_else(|| TopicError::Unavailable {
            action: "read a partition",
            reason: format!("no records came within {:?}", self.settings.request_timeout),
        })
    }

    fn read_now(
        &self,
        topic: TopicId,
        partition: Partition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Option<Fetch>, TopicError> {
        self.reader.read((topic, partition), from, max_bytes, Duration::ZERO)
    }

    fn notify(&self, on_append: OnAppend) {
        self.reader.listen(on_append);
    }

    fn notify_growth(&self, on_growth: OnGrowth) {
        self.reader.listen_growth(on_growth);
    }

    fn answers_at_once(&self) -> bool {
        false
    }

    fn in_background(&self, job: Box<dyn FnOnce() + Send>) {
        self.background.run(job);
    }

    fn watch(&self, topic: TopicId, partition: Partition) -> Result<(), TopicError> {
        self.reader.watch((topic, partition))
    }

    fn own(&self, claim: Claim, told: OnOwnership) -> Result<(), TopicError> {
        let take = {
            let (cluster, settings, writing) =
                (Arc::clone(&self.cluster), self.settings.clone(), Arc::clone(&self.writing));
            Box::new(move || {
                *writing.write() = Writing::Here(appender(&cluster, &settings)?);
                Ok(())
            })
        };
        let writing = Arc::clone(&self.writing);
        let told: OnOwnership = Arc::new(move |ownership| {
            if let Ownership::Lost { reason } = ownership {
                let mut writing = writing.write();
                let appender = match std::mem::replace(&mut *writing, Writing::NotYet) {
                    Writing::Here(appender) => Some(appender),
                    Writing::NotYet | Writing::Elsewhere { .. } => None,
                };
                *writing = Writing::Elsewhere { reason: reason.clone(), _appender: appender };
            }
            told(ownership);
        });
        let lease = Lease::ask(&self.settings, claim, take, told, Arc::clone(&self.cluster.is_fenced))?;
        self.cluster.rights.owned_if(lease.owns());
        *self.lease.lock() = Some(lease);
        Ok(())
    }

    fn committer(&self, transactional_id: &str) -> Result<Arc<dyn Committer>, TopicError> {
        // A server that stands by, or did not hear yet that it has to, must fence nobody.
        match &*self.writing.read() {
            Writing::Here(_) => {}
            Writing::NotYet => return Err(not_owned("this server does not own the service")),
            Writing::Elsewhere { reason, .. } => return Err(not_owned(reason)),
        }
        Ok(Arc::new(KafkaCommitter::open(&self.cluster, &self.settings, transactional_id)?))
    }

    fn append(&self, transaction: Transaction, done: OnCommit) {
        match &*self.writing.read() {
            Writing::Here(appender) => appender.commit(transaction, done),
            Writing::NotYet => done(CommitOutcome::Aborted(not_owned("this server does not own the service"))),
            Writing::Elsewhere { .. } => done(CommitOutcome::Fenced),
        }
    }

    fn trouble(&self) -> Option<String> {
        self.cluster.is_away().then(|| "the Kafka cluster does not answer".to_owned())
    }

    fn shows_groups(&self) -> bool {
        true
    }

    fn show_groups(&self, groups: Vec<ReaderGroup>) {
        // Who lost the service tells nothing of its queries any more.
        if matches!(*self.writing.read(), Writing::Here(_)) {
            self.groups.show(groups);
        }
    }

    fn forget_group(&self, name: &str) {
        self.groups.forget(name);
    }

    fn kafka_metrics(&self) -> Option<KafkaMetrics> {
        Some(self.cluster.numbers.read(!self.cluster.is_away()))
    }

    fn close(&self) {
        self.background.close();
        *self.ended.0.lock() = true;
        self.ended.1.notify_all();
        if let Some(keeper) = self.keeper.lock().take()
            && keeper.thread().id() != std::thread::current().id()
            && keeper.join().is_err()
        {
            tracing::error!("the keeper of the Kafka log panicked");
        }
        // What was appended is sent before another may own the service.
        self.write_no_more();
        let lease = self.lease.lock().take();
        drop(lease);
        // It may have been granted at the last moment.
        self.write_no_more();
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        self.close();
    }
}

/// Takes over the service's appends.
fn appender(cluster: &Arc<Cluster>, settings: &KafkaSettings) -> Result<KafkaCommitter, TopicError> {
    KafkaCommitter::open(cluster, settings, &format!("_thalweg-{}-append-0", settings.service_id))
}

fn not_owned(reason: &str) -> TopicError {
    TopicError::Unavailable { action: "write for the service", reason: reason.to_owned() }
}

/// What has to be done now and then.
fn keep(cluster: &Cluster, reader: &Reader, groups: &Groups, (ended, changed): &(Mutex<bool>, Condvar)) {
    let mut looked = Instant::now();
    let mut refreshed = Instant::now();
    let mut has_ended = ended.lock();
    while !*has_ended {
        changed.wait_for(&mut has_ended, SERVE);
        parking_lot::MutexGuard::unlocked(&mut has_ended, || {
            cluster.serve();
            reader.serve();
            if cluster.is_away() {
                // Found out below whether it is back; the rest can wait.
            } else if refreshed.elapsed() >= REFRESH {
                refreshed = Instant::now();
                reader.refresh_ends();
                groups.write(cluster, SHOWING);
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                reader.rest();
                for topic in reader.topics() {
                    // Whoever reads it finds out.
                    drop(reader.look(topic));
                }
            }
        });
    }
    drop(has_ended);
    // Where queries have come to rest.
    if !cluster.is_away() {
        groups.write(cluster, LAST_SHOWING);
    }
}
