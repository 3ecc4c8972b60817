//! A Kafka log as the suite expects one: offsets without gaps, topics of one test alone, and reads that know the end.
//!
//! On a broker the end of a transaction takes an offset too. This view counts the records of a partition from 0, by
//! reading it from its first record.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::topics::kafka::{KafkaLog, KafkaSettings};
use crate::topics::{
    CommitOutcome, Committer, Fetch, OffsetRange, OnAppend, OnCommit, TopicConfig, TopicError, TopicId, TopicInfo,
    TopicLog, Transaction, check_topic_name,
};
use crate::types::{Offset, Partition};

#[derive(Clone)]
pub(super) struct Dense {
    log: Arc<KafkaLog>,
    settings: KafkaSettings,
    prefix: String,
    known: Arc<Mutex<Known>>,
    /// Reads nothing that the suite reads, so that its notices are not mixed up with them.
    watcher: Arc<Mutex<Option<KafkaLog>>>,
}

/// By partition: the offsets of its records, and where to read on.
type Known = HashMap<(TopicId, Partition), (Vec<Offset>, Offset)>;

impl Dense {
    pub(super) fn new(log: &Arc<KafkaLog>, settings: &KafkaSettings, prefix: &str) -> Self {
        Self {
            log: Arc::clone(log),
            settings: settings.clone(),
            prefix: prefix.into(),
            known: Arc::default(),
            watcher: Arc::default(),
        }
    }

    fn real(&self, name: &str) -> String {
        if check_topic_name(name).is_err() {
            return name.into();
        }
        let long = format!("{}{name}", self.prefix);
        long[..long.len().min(249)].into()
    }

    fn shown(&self, name: &str) -> String {
        name.strip_prefix(&self.prefix).unwrap_or(name).into()
    }

    fn info(&self, info: TopicInfo) -> TopicInfo {
        TopicInfo { name: self.shown(&info.name), ..info }
    }

    fn error(&self, error: TopicError) -> TopicError {
        match error {
            TopicError::UnknownTopic(name) => TopicError::UnknownTopic(self.shown(&name)),
            TopicError::TopicExists(name) => TopicError::TopicExists(self.shown(&name)),
            TopicError::UnknownPartition { topic, partition, partitions } => {
                TopicError::UnknownPartition { topic: self.shown(&topic), partition, partitions }
            }
            other => other,
        }
    }

    /// The offsets of all records of a partition.
    fn positions(&self, topic: TopicId, partition: Partition) -> Result<(Vec<Offset>, OffsetRange), TopicError> {
        let ranges = self.log.offsets(topic)?;
        let range = ranges[usize::try_from(partition.0).unwrap()];
        let mut known = self.known.lock();
        let (offsets, next) = known.entry((topic, partition)).or_insert((vec![], range.start));
        while *next < range.end {
            let fetch = self.log.read(topic, partition, *next, 1 << 20)?;
            assert!(fetch.next > *next && fetch.next <= fetch.end, "a read before the end moves on");
            offsets.extend(fetch.records.iter().map(|record| record.offset));
            *next = fetch.next;
        }
        Ok((offsets.clone(), range))
    }

    fn real_transaction(&self, transaction: Transaction) -> Transaction {
        let mut transaction = transaction;
        for entry in &mut transaction.records {
            entry.topic = self.real(&entry.topic);
        }
        transaction
    }

    /// Answers with counts instead of offsets.
    fn counted(&self, transaction: &Transaction, done: OnCommit) -> OnCommit {
        let view = self.clone();
        let places: Vec<_> = transaction.records.iter().map(|entry| (entry.topic.clone(), entry.partition)).collect();
        Box::new(move |outcome| {
            done(match outcome {
                CommitOutcome::Committed(offsets) => CommitOutcome::Committed(
                    offsets
                        .into_iter()
                        .zip(places)
                        .map(|(offset, (topic, partition))| {
                            let id = view.log.topic(&topic).unwrap().unwrap().id;
                            let (all, _) = view.positions(id, partition).unwrap();
                            Offset(i64::try_from(all.partition_point(|known| *known < offset)).unwrap())
                        })
                        .collect(),
                ),
                CommitOutcome::Aborted(error) => CommitOutcome::Aborted(view.error(error)),
                other => other,
            });
        })
    }
}

struct DenseCommitter {
    view: Dense,
    committer: Arc<dyn Committer>,
}

impl Committer for DenseCommitter {
    fn commit(&self, transaction: Transaction, done: OnCommit) {
        let transaction = self.view.real_transaction(transaction);
        let done = self.view.counted(&transaction, done);
        self.committer.commit(transaction, done);
    }

    fn send(&self, transaction: Transaction, done: OnCommit) {
        let transaction = self.view.real_transaction(transaction);
        let done = self.view.counted(&transaction, done);
        self.committer.send(transaction, done);
    }
}

impl TopicLog for Dense {
    fn create_topic(&self, name: &str, config: &TopicConfig) -> Result<TopicInfo, TopicError> {
        let made = self.log.create_topic(&self.real(name), config);
        made.map(|info| self.info(info)).map_err(|error| self.error(error))
    }

    fn delete_topic(&self, name: &str) -> Result<(), TopicError> {
        self.log.delete_topic(&self.real(name)).map_err(|error| self.error(error))
    }

    fn topic(&self, name: &str) -> Result<Option<TopicInfo>, TopicError> {
        Ok(self.log.topic(&self.real(name))?.map(|info| self.info(info)))
    }

    fn topics(&self) -> Result<BTreeMap<String, TopicInfo>, TopicError> {
        let ours = self.log.topics()?.into_iter().filter(|(name, _)| name.starts_with(&self.prefix));
        Ok(ours.map(|(name, info)| (self.shown(&name), self.info(info))).collect())
    }

    fn offsets(&self, topic: TopicId) -> Result<Vec<OffsetRange>, TopicError> {
        let partitions = self.log.offsets(topic)?.len();
        let count = |partition| {
            let (all, _) = self.positions(topic, Partition(i32::try_from(partition).unwrap()))?;
            Ok(OffsetRange { start: Offset(0), end: Offset(i64::try_from(all.len()).unwrap()) })
        };
        (0..partitions).map(count).collect()
    }

    fn read(&self, topic: TopicId, partition: Partition, from: Offset, max_bytes: usize) -> Result<Fetch, TopicError> {
        let partitions = self.log.offsets(topic)?.len();
        if from < Offset(0) || !(0..i32::try_from(partitions).unwrap()).contains(&partition.0) {
            return self.log.read(topic, partition, from, max_bytes).map_err(|error| self.error(error));
        }
        let (all, range) = self.positions(topic, partition)?;
        let end = Offset(i64::try_from(all.len()).unwrap());
        let Some(mut at) = all.get(usize::try_from(from.0).unwrap()).copied() else {
            let past = Offset(range.end.0 + from.0 - end.0);
            let fetch = self.log.read(topic, partition, past, max_bytes)?;
            assert!(fetch.records.is_empty() && fetch.next == past);
            return Ok(Fetch { records: fetch.records, next: from, end });
        };
        loop {
            let fetch = self.log.read(topic, partition, at, max_bytes)?;
            if !fetch.records.is_empty() {
                assert!(fetch.records.get(0).offset == at);
                let next = Offset(from.0 + i64::try_from(fetch.records.len()).unwrap());
                return Ok(Fetch { records: fetch.records.with_base_offset(from), next, end });
            }
            at = fetch.next;
        }
    }

    fn notify(&self, on_append: OnAppend) {
        let settings = KafkaSettings { service_id: format!("{}watcher", self.prefix), ..self.settings.clone() };
        let watcher = KafkaLog::open(settings).unwrap();
        // What is read is watched. The first notice of each partition is that of its end.
        let topics = self.topics().unwrap();
        for _ in 0..30 {
            for info in topics.values() {
                for (number, range) in (0..).zip(watcher.offsets(info.id).unwrap()) {
                    watcher.watch(info.id, Partition(number)).unwrap();
                    watcher.read(info.id, Partition(number), range.end, 1).unwrap();
                }
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        watcher.notify(on_append);
        *self.watcher.lock() = Some(watcher);
    }

    fn committer(&self, transactional_id: &str) -> Result<Arc<dyn Committer>, TopicError> {
        let committer = self.log.committer(&format!("{}{transactional_id}", self.prefix))?;
        Ok(Arc::new(DenseCommitter { view: self.clone(), committer }))
    }

    fn append(&self, transaction: Transaction, done: OnCommit) {
        let transaction = self.real_transaction(transaction);
        let done = self.counted(&transaction, done);
        self.log.append(transaction, done);
    }
}
