//! The processing log: what the runtime tells of bad records becomes records of a topic, read by a stream.
//!
//! ```text
//!   runtime ─▶ bounded queue ─▶ writer thread ─▶ topic <service.id>ksql_processing_log ─▶ stream KSQL_PROCESSING_LOG
//! ```
//!
//! Telling never waits: what finds the queue full is counted, and the count is told in an entry of its own. The shape
//! of a record is ksqlDB's, with partition and offset beside the topic.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::{Condvar, Mutex};
use serde_json::{Value, json};

use crate::runtime::{Failed, ProcessingLog, ProcessingLogEntry};
use crate::topics::{PartitionRecords, Transaction};
use crate::types::{EventTime, Record};

use super::answer::Request;
use super::database::Engine;

/// Name of the stream over the processing log.
const STREAM: &str = "KSQL_PROCESSING_LOG";

/// Entries that are written together.
const BATCH: usize = 1_000;

/// Entries on their way to the topic.
#[derive(Debug)]
pub(super) struct ProcessingLogQueue {
    capacity: usize,
    state: Mutex<State>,
    more: Condvar,
    /// Nothing waits and nothing is being written.
    settled: Condvar,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<ProcessingLogEntry>,
    /// Entries that found no room since the last were told.
    dropped: u64,
    /// Entries were taken and are not in the topic yet.
    writing: bool,
    closed: bool,
}

impl ProcessingLogQueue {
    /// A queue of at most `capacity` entries; with 0 every entry is dropped.
    pub(super) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            state: Mutex::default(),
            more: Condvar::new(),
            settled: Condvar::new(),
            writer: Mutex::default(),
        })
    }

    /// What the runtime tells entries to.
    pub(super) fn sink(self: &Arc<Self>) -> ProcessingLog {
        let queue = Arc::clone(self);
        Arc::new(move |entry| {
            tracing::debug!(%entry, "a record was not processed as it should be");
            let mut state = queue.state.lock();
            if state.entries.len() < queue.capacity && !state.closed {
                state.entries.push_back(entry);
                queue.more.notify_one();
            } else {
                state.dropped += 1;
            }
        })
    }

    /// Takes no more entries; what is waiting is still written.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.more.notify_all();
    }

    /// The next entries and how many were dropped before them; `None` when there will be no more.
    fn take(&self) -> Option<(Vec<ProcessingLogEntry>, u64)> {
        let mut state = self.state.lock();
        state.writing = false;
        if state.entries.is_empty() {
            self.settled.notify_all();
        }
        while state.entries.is_empty() && !state.closed {
            self.more.wait(&mut state);
        }
        let count = state.entries.len().min(BATCH);
        let taken: Vec<_> = state.entries.drain(..count).collect();
        state.writing = !taken.is_empty();
        (!taken.is_empty()).then(|| (taken, std::mem::take(&mut state.dropped)))
    }
}

impl Engine {
    /// Waits until every entry so far is in the topic; false if that took longer. True at once if nobody writes.
    pub(super) fn wait_for_processing_log(&self, timeout: Duration) -> bool {
        let queue = &self.processing_log;
        if queue.writer.lock().is_none() {
            return true;
        }
        let mut state = queue.state.lock();
        let busy = |state: &mut State| state.writing || !state.entries.is_empty();
        !queue.settled.wait_while_for(&mut state, busy, timeout).timed_out()
    }

    /// Makes topic and stream of the processing log where they are missing, and starts writing. Failing to is told
    /// and no more: queries run without.
    pub(super) fn open_processing_log(self: &Arc<Self>) {
        if !self.settings.processing_log {
            return;
        }
        if self.catalog().source(&STREAM.into()).is_none()
            && let Err(failure) = self.execute(&Request::new(self.processing_log_statement()))
        {
            tracing::warn!(reason = %failure.diagnostic, "there will be no processing log");
            return;
        }
        let engine = Arc::downgrade(self);
        let queue = Arc::clone(&self.processing_log);
        let topic = self.processing_log_topic();
        let writer = std::thread::Builder::new()
            .name("thalweg-processing-log".to_owned())
            .spawn(move || write(&engine, &queue, &topic));
        match writer {
            Ok(writer) => *self.processing_log.writer.lock() = Some(writer),
            Err(error) => tracing::warn!(%error, "there will be no processing log"),
        }
    }

    /// Writes what is waiting and ends.
    pub(super) fn close_processing_log(&self) {
        self.processing_log.close();
        let writer = self.processing_log.writer.lock().take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the writer of the processing log panicked");
        }
    }

    fn processing_log_topic(&self) -> String {
        format!("{}ksql_processing_log", self.settings.service_id)
    }

    fn processing_log_statement(&self) -> String {
        const PLACE: &str = "`TOPIC` VARCHAR, `PARTITION` INT, `OFFSET` BIGINT";
        format!(
            "CREATE STREAM {STREAM} (logger VARCHAR, level VARCHAR, time BIGINT, message STRUCT<`TYPE` INT, \
             deserializationError STRUCT<target VARCHAR, errorMessage VARCHAR, recordB64 VARCHAR, \
             cause ARRAY<VARCHAR>, {PLACE}>, \
             recordProcessingError STRUCT<errorMessage VARCHAR, record VARCHAR, cause ARRAY<VARCHAR>, {PLACE}>, \
             productionError STRUCT<errorMessage VARCHAR>, \
             serializationError STRUCT<target VARCHAR, errorMessage VARCHAR, record VARCHAR, cause ARRAY<VARCHAR>, \
             `TOPIC` VARCHAR>, \
             kafkaStreamsThreadError STRUCT<errorMessage VARCHAR, threadName VARCHAR, cause ARRAY<VARCHAR>>>) \
             WITH (kafka_topic='{}', value_format='JSON', partitions={});",
            self.processing_log_topic(),
            self.settings.processing_log_partitions
        )
    }
}

/// Writes entries until there will be no more, or the engine is gone.
fn write(engine: &Weak<Engine>, queue: &ProcessingLogQueue, topic: &str) {
    while let Some((entries, dropped)) = queue.take() {
        let Some(engine) = engine.upgrade() else { return };
        let now = EventTime(engine.clock.now_ms());
        let mut values: Vec<Value> = entries.iter().map(|entry| as_json(entry, now)).collect();
        if dropped > 0 {
            values.push(envelope(
                "processing",
                now,
                4,
                "kafkaStreamsThreadError",
                json!({
                    "errorMessage": format!("{dropped} entries were dropped: they came faster than the log took them"),
                    "threadName": null, "cause": [],
                }),
            ));
        }
        let records: Vec<Record> = values
            .iter()
            .map(|value| Record { value: Some(value.to_string().into()), timestamp: now, ..Record::default() })
            .collect();
        let partition = engine.next_partition(engine.settings.processing_log_partitions);
        let records = PartitionRecords { topic: topic.to_owned(), partition, records: records.iter().collect() };
        if let Err(refusal) = engine.append(Transaction { records: vec![records] }) {
            tracing::warn!(reason = %refusal, "entries of the processing log were lost");
        }
    }
}

/// An entry in ksqlDB's shape.
fn as_json(entry: &ProcessingLogEntry, now: EventTime) -> Value {
    let message = &entry.message;
    let row = entry.row.as_ref().map(|row| STANDARD.encode(row));
    let partition = entry.partition.map(|partition| partition.0);
    let offset = entry.offset.map(|offset| offset.0);
    let unread = |target: &str| {
        let details = json!({
            "target": target, "errorMessage": message, "recordB64": row, "cause": [message],
            "topic": entry.topic, "partition": partition, "offset": offset,
        });
        (0, "deserializationError", details)
    };
    let (kind, name, details) = match entry.failed {
        Failed::Key => unread("key"),
        Failed::Value => unread("value"),
        Failed::Timestamp | Failed::Expression | Failed::Skipped => {
            let text = entry.row.as_ref().map(|row| String::from_utf8_lossy(row).into_owned());
            let details = json!({
                "errorMessage": message, "record": text, "cause": [],
                "topic": entry.topic, "partition": partition, "offset": offset,
            });
            (1, "recordProcessingError", details)
        }
        Failed::Query => {
            (4, "kafkaStreamsThreadError", json!({ "errorMessage": message, "threadName": null, "cause": [] }))
        }
    };
    envelope(&format!("processing.{}", entry.query), now, kind, name, details)
}

fn envelope(logger: &str, now: EventTime, kind: i32, name: &str, details: Value) -> Value {
    let mut message = json!({
        "type": kind, "deserializationError": null, "recordProcessingError": null, "productionError": null,
        "serializationError": null, "kafkaStreamsThreadError": null,
    });
    message[name] = details;
    json!({ "level": "ERROR", "logger": logger, "time": now.0, "message": message })
}
