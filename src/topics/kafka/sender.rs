//! A producer without transactions, for output that is to be readable at once: idempotent, `acks=all`.
//!
//! Its answer to a job is made of the reports of the job's records. A broker cannot fence such a producer; its owner asks
//! nothing of it any more once a committer was told that it is fenced.
//!
//! Invariants:
//! - every job is answered once: when the last of its records is reported, or thrown away;
//! - records of a partition keep their order, also when librdkafka sends them again.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use super::client::{Refused, log_line};
use super::cluster::Cluster;
use super::committer::{FULL, Job, Queue, check, committed, ends_of, refusal};
use super::delivery::Reports;
use super::numbers::Counted;
use super::record_time;
use super::settings::KafkaSettings;
use crate::topics::{CommitOutcome, OnCommit, TopicError, Transaction};

/// How long a sender that goes away waits for the reports of what it has sent.
const LAST_REPORTS: Duration = Duration::from_secs(5);

/// Sends records as they come.
pub(super) struct Sender {
    queue: Arc<Queue>,
    worker: Option<JoinHandle<()>>,
}

impl Sender {
    /// A sender to a cluster.
    ///
    /// # Errors
    /// A setting is not one of librdkafka's, or there is no thread.
    pub(super) fn open(cluster: &Arc<Cluster>, settings: &KafkaSettings) -> Result<Self, TopicError> {
        let producer: ThreadedProducer<Parcels> = settings
            .producer(None)
            .create_with_context(Parcels(Counted::new(&cluster.numbers)))
            .map_err(|error| Refused::from(error).told("open a producer"))?;
        let queue = Arc::new(Queue::new(settings.queue_bytes));
        let (waiting, cluster, max_record_bytes) = (Arc::clone(&queue), Arc::clone(cluster), settings.max_record_bytes);
        let worker = std::thread::Builder::new()
            .name("kafka-send".to_owned())
            .spawn(move || {
                while let Some(jobs) = waiting.next() {
                    jobs.into_iter().for_each(|job| send(&producer, &cluster, max_record_bytes, job));
                }
                drop(producer.flush(LAST_REPORTS));
            })
            .map_err(|error| TopicError::storage("start a thread", &error))?;
        Ok(Self { queue, worker: Some(worker) })
    }

    /// Hands records over. `done` is called once they are durable, or not.
    pub(super) fn send(&self, records: Transaction, done: OnCommit) {
        self.queue.put(records, done);
    }
}

impl Drop for Sender {
    /// What was handed over is still sent.
    fn drop(&mut self) {
        self.queue.close();
        let Some(worker) = self.worker.take() else { return };
        // The last answer may be what lets go of the sender.
        if worker.thread().id() != std::thread::current().id() && worker.join().is_err() {
            tracing::error!("a sender's thread panicked");
        }
    }
}

/// Hands the records of a job to the producer, which sends them in the background.
fn send(producer: &ThreadedProducer<Parcels>, cluster: &Arc<Cluster>, max_record_bytes: usize, job: Job) {
    if let Err(error) = check(cluster, max_record_bytes, &job.transaction) {
        return (job.done)(CommitOutcome::Aborted(error));
    }
    let entries = job.transaction.records.clone();
    let parcel = Arc::new(Parcel {
        cluster: Arc::clone(cluster),
        records: entries.iter().map(|entry| entry.records.len()).sum(),
        reports: Mutex::new(Reports::of(entries.len())),
        job: Mutex::new(Some(job)),
    });
    for (place, entry) in entries.iter().enumerate() {
        let part = Arc::new(Part { parcel: Arc::clone(&parcel), place });
        for record in entry.records.iter() {
            let (timestamp, headers) = record_time::written(record.timestamp, record.headers);
            let mut message = BaseRecord::<[u8], [u8], Arc<Part>> {
                topic: &entry.topic,
                partition: Some(entry.partition.0),
                payload: record.value,
                key: record.key,
                timestamp: Some(timestamp),
                headers,
                delivery_opaque: Arc::clone(&part),
            };
            while let Err((error, unsent)) = producer.send(message) {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                if code != RDKafkaErrorCode::QueueFull {
                    // What comes behind it must not be there without it.
                    parcel.reports.lock().fail(place, code);
                    return;
                }
                message = unsent;
                std::thread::park_timeout(FULL);
            }
        }
    }
}

/// A job whose records are under way. When the last record lets go of it, it is answered.
struct Parcel {
    cluster: Arc<Cluster>,
    records: usize,
    reports: Mutex<Reports>,
    job: Mutex<Option<Job>>,
}

/// What a record belongs to: an entry of a job.
struct Part {
    parcel: Arc<Parcel>,
    place: usize,
}

impl Drop for Parcel {
    fn drop(&mut self) {
        let Some(job) = self.job.lock().take() else { return };
        let reports = std::mem::take(&mut *self.reports.lock());
        let topic_of = |place: usize| job.transaction.records.get(place).map(|entry| entry.topic.as_str());
        let refused = reports.failed.iter().find_map(|(place, code)| refusal(&self.cluster, *code, topic_of(*place)?));
        match (refused, reports.failed.first()) {
            (Some(error), _) => (job.done)(CommitOutcome::Aborted(error)),
            (None, Some((_, code))) => (job.done)(CommitOutcome::Unknown(code.to_string())),
            (None, None) if reports.delivered < self.records => {
                (job.done)(CommitOutcome::Unknown("the producer ended".to_owned()));
            }
            (None, None) => {
                let jobs = vec![job];
                self.cluster.committed(ends_of(&jobs, &reports.offsets));
                committed(jobs, reports.offsets);
            }
        }
    }
}

/// Notes the reports of a producer's records.
struct Parcels(Counted);

impl ClientContext for Parcels {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka producer");
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.0.statistics(statistics);
    }
}

impl ProducerContext for Parcels {
    type DeliveryOpaque = Arc<Part>;

    fn delivery(&self, result: &DeliveryResult<'_>, part: Arc<Part>) {
        part.parcel.reports.lock().note(result, part.place);
    }
}
