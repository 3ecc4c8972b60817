//! A task that reads one partition of a source topic and runs the stage behind it.
//!
//! At every step, in this order: what is left of the last batch; the barrier, if one is asked for; then, if the query
//! may read on, one batch of records.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::operators::Port;
use crate::topics::{TopicError, TopicId};
use crate::types::{EventTime, Offset, Partition, RecordBlock};

use super::decode::SourceDecoder;
use super::environment::Environment;
use super::pipeline::{Owner, Progress, SourceReport};
use super::positions::SourcePosition;
use super::processing_log::{Failed, ProcessingLogEntry};
use super::scheduler::{Body, Next, Ran, Task};
use super::stage_task::{Stopped, Worker};

/// Reads one partition.
pub(super) struct SourceTask {
    // fixed
    pub(super) worker: Worker,
    /// Index among the pipeline's source tasks.
    pub(super) source: usize,
    pub(super) topic: TopicId,
    pub(super) partition: Partition,
    /// Reading ends here, for a query that is complete at some point.
    pub(super) until: Option<Offset>,
    /// Records that go to the processing log instead.
    pub(super) skip: BTreeSet<Offset>,
    pub(super) progress: Arc<Progress>,
    // changing
    pub(super) decoder: SourceDecoder,
    pub(super) next: Offset,
    pub(super) stream_time: Option<EventTime>,
    /// Records read and not yet decoded: the block, and the first row to decode.
    pub(super) block: Option<Unread>,
    /// When the source came to the log's end, by the scheduler's time.
    pub(super) dry_since: Option<std::time::Duration>,
}

/// What is left of a read.
pub(super) struct Unread {
    block: RecordBlock,
    row: usize,
    /// Where to read on behind the block.
    then: Offset,
}

/// Whether records came.
enum Read {
    Rows(usize),
    /// At the log's end, or at the limit.
    Dry {
        advanced: bool,
    },
    /// Everything that was to be read has been.
    Ended,
}

impl SourceTask {
    fn turn(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>) -> Result<Ran, Stopped> {
        let before = self.next;
        if !self.worker.drain(me, owner)? {
            return Ok(Ran::IDLE);
        }
        if self.worker.gate.wants_barrier(self.worker.epoch) {
            let stream_time = self.worker.output.stream_time_or(self.stream_time);
            let position = SourcePosition { next: self.next, stream_time };
            self.worker.barrier(owner, Some((self.topic, self.partition, position)));
        }
        if self.worker.gate.is_paused() {
            self.report(owner, false, true, false);
            return Ok(Ran::IDLE);
        }
        if self.worker.gate.is_full(self.worker.epoch) {
            // Woken by the barrier that ends this epoch.
            self.report(owner, false, false, false);
            return Ok(Ran::IDLE);
        }
        let read = self.read(owner)?;
        let drained = self.worker.drain(me, owner)?;
        match read {
            Read::Rows(rows) => {
                self.dry_since = None;
                self.report(owner, true, false, false);
                Ok(Ran { rows, next: if drained { Next::Again } else { Next::Idle } })
            }
            Read::Dry { advanced } => {
                self.rest(me);
                self.report(owner, advanced || self.next != before, true, false);
                Ok(Ran::IDLE)
            }
            Read::Ended => {
                self.worker.output.be_idle();
                self.report(owner, self.next != before, true, true);
                Ok(Ran::IDLE)
            }
        }
    }

    fn report(&self, owner: &Arc<dyn Owner>, advanced: bool, dry: bool, ended: bool) {
        let epoch = self.worker.epoch;
        owner.report(self.worker.pipeline, SourceReport { source: self.source, epoch, advanced, dry, ended });
        // After the report: who sees everything read also sees that it is not durable yet.
        self.progress.read.store(self.next.0, Ordering::SeqCst);
    }

    /// Reads and decodes the next records, and gives their rows to the operators.
    fn read(&mut self, owner: &Arc<dyn Owner>) -> Result<Read, Stopped> {
        let limit = Offset(self.progress.limit.load(Ordering::SeqCst)).min(self.until.unwrap_or(Offset(i64::MAX)));
        if self.next >= limit {
            return Ok(if self.until.is_some_and(|until| self.next >= until) {
                Read::Ended
            } else {
                Read::Dry { advanced: false }
            });
        }
        if self.block.is_none() {
            match self.fetch(owner)? {
                Some(unread) => self.block = Some(unread),
                None => {
                    let ended = self.until.is_some_and(|until| self.next >= until);
                    return Ok(if ended { Read::Ended } else { Read::Dry { advanced: false } });
                }
            }
        }
        let Some(unread) = &mut self.block else { return Ok(Read::Dry { advanced: false }) };
        let most = if self.worker.gate.is_careful() { 1 } else { self.worker.env.settings.batch_rows };
        let mut end = (unread.row + most).min(unread.block.len());
        if unread.block.get(end - 1).offset >= limit {
            end = unread.block.row_at(limit).clamp(unread.row, end);
        }
        let range = unread.row..end;
        if range.is_empty() {
            // A gap reaches over the limit.
            self.next = limit;
            return Ok(Read::Dry { advanced: true });
        }
        let (first, last) = (unread.block.get(range.start).offset, unread.block.get(range.end - 1).offset);
        self.worker.place = Some((self.partition, first, last.next()));
        let rows = range.len();
        let bytes = unread.block.slice(range.clone()).data_bytes();
        let mut bad = Vec::new();
        let skip = &self.skip;
        let decoded =
            self.decoder.decode(&unread.block, range, self.partition, |offset| skip.contains(&offset), &mut bad);
        let log_records = self.worker.env.settings.log_records;
        for record in bad {
            let row = log_records.then(|| value_of(&unread.block, record.offset)).flatten();
            self.worker.entries.push(ProcessingLogEntry {
                query: self.worker.query.clone(),
                failed: record.failed,
                topic: self.worker.topic.clone(),
                partition: Some(self.partition),
                offset: Some(record.offset),
                message: record.message,
                row,
            });
        }
        unread.row = end;
        self.next = last.next();
        if end == unread.block.len() {
            self.next = self.next.max(unread.then);
            self.block = None;
        }
        let counters = owner.counters();
        counters.records_in.add(rows);
        counters.bytes_in.add(bytes);
        counters.batches.add(1);
        counters.null_keys_dropped.add(decoded.without_key);
        self.worker.gate.add_bytes(self.worker.epoch, bytes);
        if let Some(mut batch) = decoded.batch {
            counters.rows_in.add(batch.len());
            self.stream_time = stamp(&mut batch, self.stream_time);
            self.worker.give(Port(0), batch);
        }
        Ok(Read::Rows(rows))
    }

    /// Records from the log; `None` if there are none yet.
    fn fetch(&mut self, owner: &Arc<dyn Owner>) -> Result<Option<Unread>, Stopped> {
        loop {
            let env: &Environment = &self.worker.env;
            match env.log.read(self.topic, self.partition, self.next, env.settings.read_bytes) {
                Ok(fetch) if !fetch.records.is_empty() => {
                    return Ok(Some(Unread { block: fetch.records, row: 0, then: fetch.next }));
                }
                // A gap: there may be records behind it.
                Ok(fetch) if fetch.next > self.next => self.next = fetch.next,
                Ok(_) => return Ok(None),
                Err(TopicError::OffsetOutOfRange { offset, start }) if start > self.next => {
                    owner.counters().gaps.add(1);
                    let message = format!("records {offset} to {start} were removed before they were read");
                    self.worker.tell(Failed::Query, self.partition, offset, message);
                    self.next = start;
                }
                Err(error) => {
                    let topic = self.worker.topic.as_deref().unwrap_or_default();
                    self.worker.place = None;
                    self.worker.fail(owner, format!("cannot read topic {topic}: {error}"));
                    return Err(Stopped);
                }
            }
        }
    }

    /// At the end of the log: after a while nobody waits for this source's stream time.
    fn rest(&mut self, me: &Arc<Task>) {
        if !self.worker.output.cares_for_idleness() {
            return;
        }
        let idle = self.worker.env.settings.source_idle;
        let now = self.worker.env.scheduler.now();
        match self.dry_since {
            Some(since) if now.saturating_sub(since) >= idle => self.worker.output.be_idle(),
            Some(_) => {}
            None if idle.is_zero() => self.worker.output.be_idle(),
            None => {
                self.dry_since = Some(now);
                self.worker.env.scheduler.wake_after(idle, me);
            }
        }
    }
}

/// The value bytes of the record at `offset`.
fn value_of(block: &RecordBlock, offset: Offset) -> Option<bytes::Bytes> {
    block.iter().find(|record| record.offset == offset)?.value.map(bytes::Bytes::copy_from_slice)
}

/// Gives each row the running maximum of event times as its stream time.
fn stamp(batch: &mut crate::types::ChangeBatch, mut so_far: Option<EventTime>) -> Option<EventTime> {
    for (time, stamp) in batch.meta.event_time.iter().zip(&mut batch.meta.stream_time) {
        so_far = so_far.max(Some(*time));
        *stamp = so_far.unwrap_or(*time);
    }
    so_far
}

impl Body for SourceTask {
    fn step(&mut self, me: &Arc<Task>) -> Ran {
        let Some(owner) = self.worker.owner.upgrade() else { return Ran::FINISHED };
        if self.worker.gate.is_dead() {
            return Ran::FINISHED;
        }
        self.turn(me, &owner).unwrap_or(Ran::FINISHED)
    }

    fn panicked(&mut self, message: String) {
        self.worker.panicked(&message);
    }
}
