//! A task that reads one partition of a source topic and runs the stage behind it.
//!
//! At every step, in this order: what is left of the last batch; the barrier, if one is asked for; then, if the query
//! may read on, one batch of records.
//!
//! Where the query joins sources, the rows of a batch are held until it is their turn (see [`super::order`]), and what
//! the task was told to deal goes before everything else, whether or not the query may read on.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::operators::Port;
use crate::topics::TopicError;
use crate::types::{ChangeBatch, EventTime, Offset};

use super::cursor::{Chunk, Cursor, Read, Wish};
use super::idleness::Idleness;
use super::order::{Grant, Order, Ranks};
use super::pipeline::{Owner, Progress, SourceReport};
use super::positions::{SourceKey, SourcePosition};
use super::processing_log::{Failed, ProcessingLogEntry};
use super::scheduler::{Body, Next, Ran, Task};
use super::shared_reader::Subscription;
use super::stage_task::{Stopped, Worker};

/// Reads one partition.
pub(super) struct SourceTask {
    // fixed
    pub(super) worker: Worker,
    /// Index among the pipeline's source tasks.
    pub(super) source: usize,
    pub(super) key: SourceKey,
    /// Reading ends here, for a query that is complete at some point.
    pub(super) until: Option<Offset>,
    /// A record whose event time cannot be read is a failure.
    pub(super) stops_at_bad_time: bool,
    /// Records that go to the processing log instead.
    pub(super) skip: BTreeSet<Offset>,
    pub(super) progress: Arc<Progress>,
    /// Says when rows may be dealt, if the query joins sources.
    pub(super) order: Option<Arc<Order>>,
    /// Of all sources of the pipeline.
    pub(super) idleness: Arc<Idleness>,
    // changing
    /// What was read and waits for its turn. Only in order.
    pub(super) held: Option<Held>,
    /// For what nobody else reads.
    pub(super) cursor: Cursor,
    /// For what other queries read at the same time.
    pub(super) shared: Subscription,
    pub(super) next: Offset,
    pub(super) stream_time: Option<EventTime>,
    /// When the task is woken to see whether it is idle, by the scheduler's time.
    pub(super) idle_check: Option<std::time::Duration>,
    /// When the source came to the log's end, by the scheduler's time.
    pub(super) dry_since: Option<std::time::Duration>,
    /// The stream time it had when all sources fell quiet and time went on by the clock.
    pub(super) quiet_from: Option<EventTime>,
    /// Everything that was to be read has left, and the tasks downstream were told.
    pub(super) has_ended: bool,
}

/// A chunk whose rows are dealt by and by.
pub(super) struct Held {
    // fixed
    rows: Arc<ChangeBatch>,
    /// Bytes of its records.
    bytes: usize,
    // changing
    /// Rows dealt.
    dealt: usize,
    /// Where reading would go on if nothing more of it were dealt.
    position: Offset,
    /// Told when the rows around them are dealt.
    bad: VecDeque<ProcessingLogEntry>,
}

/// Whether records came.
enum Came {
    Rows(usize),
    /// At the log's end, or at the limit.
    Dry,
    /// Records are on their way; look again after a while, or when the log tells.
    Later(Option<Duration>),
    /// Everything that was to be read has been.
    Ended,
}

/// What reading gives.
#[expect(clippy::large_enum_variant, reason = "one a batch, moved once: a box would cost more")]
enum Got {
    /// Records.
    Chunk(Chunk),
    /// None yet, or none may be read.
    Dry,
    /// Some are on their way, or the log is away.
    Later(Option<Duration>),
}

impl SourceTask {
    fn turn(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>) -> Result<Ran, Stopped> {
        if let Some(order) = self.order.clone() {
            return self.turn_in_order(me, owner, &order);
        }
        let before = self.next;
        if !self.worker.drain(me, owner)? {
            return Ok(Ran::IDLE);
        }
        if self.worker.gate.wants_barrier(self.worker.epoch) {
            if !self.worker.flush(me, owner)? {
                return Ok(Ran::IDLE);
            }
            let stream_time = self.worker.output.stream_time_or(self.stream_time);
            let position = SourcePosition { next: self.next, stream_time };
            self.worker.barrier(owner, Some((self.key, position)), None);
        }
        if self.worker.gate.is_paused() {
            self.report(owner, false, true);
            return Ok(Ran::IDLE);
        }
        if self.worker.gate.refuses(self.worker.epoch) {
            // Woken by the barrier that ends this epoch, if it is not lighter than it seems.
            self.report(owner, false, false);
            return Ok(Ran::IDLE);
        }
        if self.idleness.is_soon_known(self.source) {
            self.report(owner, false, false);
            return Ok(Ran::AGAIN);
        }
        let read = {
            let gate = Arc::clone(&self.worker.gate);
            let turn = if gate.is_careful() { gate.take_turn() } else { None };
            if gate.is_careful() && (turn.is_none() || gate.is_full(self.worker.epoch)) {
                // Another source reads its record just now.
                self.report(owner, false, false);
                return Ok(Ran::AGAIN);
            }
            self.read(owner)?
        };
        let drained = self.worker.drain(me, owner)?;
        match read {
            Came::Rows(rows) => {
                self.dry_since = None;
                self.quiet_from = None;
                self.report(owner, true, false);
                Ok(Ran { rows, next: if drained { Next::Again } else { Next::Idle } })
            }
            Came::Dry => {
                self.rest(me);
                self.report(owner, self.next != before, true);
                Ok(Ran::IDLE)
            }
            // Woken when the records have come, or to look again.
            Came::Later(pause) => {
                if let Some(pause) = pause {
                    self.worker.env.scheduler.wake_after(pause, me);
                }
                self.report(owner, self.next != before, false);
                Ok(Ran::IDLE)
            }
            Came::Ended => {
                self.end(me, owner)?;
                self.report(owner, self.next != before, true);
                Ok(Ran::IDLE)
            }
        }
    }

    /// A step of a task whose rows have to wait for their turn.
    fn turn_in_order(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>, order: &Order) -> Result<Ran, Stopped> {
        if let Some(grant) = order.grant(self.source) {
            if !self.worker.output.has_room(me) {
                return Ok(Ran::IDLE);
            }
            let rows = self.deal(&grant, owner)?;
            if order.dealt(self.source) {
                self.held = None;
            }
            self.dry_since = None;
            self.quiet_from = None;
            self.report(owner, true, false);
            return Ok(Ran { rows, next: Next::Again });
        }
        if self.worker.gate.wants_barrier(self.worker.epoch) {
            self.worker.output.set_ranks(Ranks::Same(order.end_epoch(self.source)));
            self.worker.flush_all(owner)?;
            let stream_time = self.worker.output.stream_time_or(self.stream_time);
            let position = SourcePosition { next: self.position(), stream_time };
            self.worker.barrier(owner, Some((self.key, position)), None);
        }
        if self.worker.gate.is_paused() {
            self.report(owner, false, true);
            return Ok(Ran::IDLE);
        }
        if self.worker.gate.refuses(self.worker.epoch) {
            self.report(owner, false, false);
            return Ok(Ran::IDLE);
        }
        let before = self.position();
        if self.held.is_none() {
            match self.read(owner)? {
                Came::Rows(rows) => match &self.held {
                    Some(held) => {
                        // Before a row of others that goes behind these.
                        self.worker.output.be_awake();
                        order.offer(self.source, &held.rows);
                    }
                    None => {
                        self.report(owner, true, false);
                        return Ok(Ran { rows, next: Next::Again });
                    }
                },
                Came::Dry => {
                    self.rest(me);
                    order.dry(self.source);
                }
                Came::Later(pause) => {
                    // The others wait for records that are known to be there.
                    order.unknown(self.source);
                    if let Some(pause) = pause {
                        self.worker.env.scheduler.wake_after(pause, me);
                    }
                    self.report(owner, self.position() != before, false);
                    return Ok(Ran::IDLE);
                }
                Came::Ended => {
                    self.end(me, owner)?;
                    order.ended(self.source);
                }
            }
        }
        order.make_round(self.source, self.worker.epoch, &self.worker.gate);
        if order.grant(self.source).is_some() {
            return Ok(Ran::AGAIN);
        }
        self.report(owner, self.position() != before, self.held.is_none());
        Ok(Ran::IDLE)
    }

    /// Gives the rows whose turn it is to the operators, and all that comes of them to the output: others may wait for
    /// the last of them.
    fn deal(&mut self, grant: &Grant, owner: &Arc<dyn Owner>) -> Result<usize, Stopped> {
        let Some(held) = &mut self.held else { return Ok(0) };
        let range = held.dealt..grant.until;
        let (rows, all) = (range.len(), held.rows.len());
        held.dealt = grant.until;
        held.position = held.rows.meta.offset.get(grant.until).copied().unwrap_or(self.next);
        let batch = if rows == all { ChangeBatch::clone(&held.rows) } else { held.rows.slice(range) };
        let position = held.position;
        self.progress.given.store(position.0, Ordering::SeqCst);
        while let Some(entry) = held.bad.pop_front_if(|entry| entry.offset < Some(position)) {
            self.worker.entries.push(entry);
        }
        self.worker.gate.add_bytes(self.worker.epoch, held.bytes * rows / all.max(1) + 1);
        self.worker.output.set_ranks(grant.ranks.clone());
        self.worker.give(Port(0), batch);
        self.worker.drain_all(owner)?;
        Ok(rows)
    }

    /// Everything that was to be read has been.
    fn end(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>) -> Result<(), Stopped> {
        self.worker.output.be_idle();
        if self.has_ended {
            return Ok(());
        }
        let is_flushed = match &self.order {
            None => self.worker.flush(me, owner)?,
            Some(order) => {
                self.worker.output.set_ranks(Ranks::Same(order.end_epoch(self.source)));
                self.worker.flush_all(owner)?;
                true
            }
        };
        if is_flushed {
            self.has_ended = true;
            let position = SourcePosition { next: self.next, stream_time: None };
            self.worker.barrier(owner, Some((self.key, position)), None);
        }
        Ok(())
    }

    /// Where reading would go on after a restart behind all that was dealt.
    fn position(&self) -> Offset {
        self.held.as_ref().map_or(self.next, |held| held.position)
    }

    fn report(&self, owner: &Arc<dyn Owner>, advanced: bool, dry: bool) {
        let epoch = self.worker.epoch;
        owner.report(self.worker.pipeline, SourceReport { source: self.source, epoch, advanced, dry });
        // After the report: who sees everything read also sees that it is not durable yet.
        self.progress.read.store(self.position().0, Ordering::SeqCst);
    }

    /// Reads and decodes the next records, and gives their rows to the operators.
    fn read(&mut self, owner: &Arc<dyn Owner>) -> Result<Came, Stopped> {
        let until = self.until.unwrap_or(Offset(i64::MAX));
        if self.next >= until {
            return Ok(Came::Ended);
        }
        let chunk = match self.chunk(owner, until)? {
            Got::Chunk(chunk) => chunk,
            Got::Dry => return Ok(Came::Dry),
            Got::Later(pause) => return Ok(Came::Later(pause)),
        };
        let first = std::mem::replace(&mut self.next, chunk.next);
        let mut entries = VecDeque::new();
        for (record, row) in chunk.bad {
            if self.stops_at_bad_time && record.failed == Failed::Timestamp {
                self.worker.place = Some((self.key.partition, record.offset, record.offset.next()));
                self.worker.fail(owner, format!("the event time of a record cannot be read: {}", record.message));
                return Err(Stopped);
            }
            entries.push_back(ProcessingLogEntry {
                query: self.worker.query.clone(),
                failed: record.failed,
                topic: self.worker.topic().cloned(),
                partition: Some(self.key.partition),
                offset: Some(record.offset),
                message: record.message,
                row,
            });
        }
        let counters = owner.counters();
        counters.records_in.add(chunk.records);
        counters.bytes_in.add(chunk.bytes);
        counters.batches.add(1);
        counters.null_keys_dropped.add(chunk.without_key);
        if let Some(mut batch) = chunk.batch {
            counters.rows_in.add(batch.len());
            self.stream_time = stamp(&mut batch, self.stream_time);
            if self.order.is_some() {
                let rows = Arc::new(batch);
                self.held = Some(Held { rows, bytes: chunk.bytes, dealt: 0, position: first, bad: entries });
                return Ok(Came::Rows(chunk.records));
            }
            self.idleness.call_back(self.source);
            self.is_read(chunk.bytes, entries);
            self.worker.give(Port(0), batch);
        } else {
            self.is_read(chunk.bytes, entries);
        }
        Ok(Came::Rows(chunk.records))
    }

    /// Everything read so far counts from now on, before anybody else sees its rows: who fails on them finds out what
    /// was read.
    fn is_read(&mut self, bytes: usize, entries: VecDeque<ProcessingLogEntry>) {
        self.progress.given.store(self.next.0, Ordering::SeqCst);
        self.worker.gate.add_bytes(self.worker.epoch, bytes.max(1));
        self.worker.entries.extend(entries);
    }

    /// The next records, unless there are none yet, or none may be read.
    fn chunk(&mut self, owner: &Arc<dyn Owner>, until: Offset) -> Result<Got, Stopped> {
        let is_careful = self.worker.gate.is_careful();
        loop {
            let settings = &self.worker.env.settings;
            let wish = Wish {
                from: self.next,
                limit: Offset(self.progress.limit.load(Ordering::SeqCst)).min(until),
                records: if is_careful { 1 } else { settings.batch_rows },
                bytes: settings.read_bytes,
                keep_bad: settings.log_records,
            };
            // Until it is read: where a panic of the decoder happened.
            self.worker.place = Some((self.key.partition, wish.from, wish.from.next()));
            let log = self.worker.env.log.as_ref();
            let shared = if is_careful || !self.skip.is_empty() { None } else { self.shared.next(log, wish) };
            let read = shared.unwrap_or_else(|| self.cursor.next(log, wish, |offset| self.skip.contains(&offset)));
            match read {
                Ok(Read::Chunk(chunk)) => return Ok(Got::Chunk(chunk)),
                Ok(Read::Dry) => return Ok(Got::Dry),
                Ok(Read::Later) => return Ok(Got::Later(None)),
                Err(error @ TopicError::Unavailable { .. }) => {
                    tracing::debug!(query_id = %self.worker.query, %error, "a source is away");
                    return Ok(Got::Later(Some(settings.retry_backoff)));
                }
                Err(TopicError::OffsetOutOfRange { offset, start }) if start > self.next => {
                    owner.counters().gaps.add(1);
                    let message = format!("records {offset} to {start} were removed before they were read");
                    self.worker.tell(Failed::Query, self.key.partition, offset, message);
                    self.next = start;
                }
                Err(error) => {
                    let topic = self.worker.topic().map_or("?", String::as_str);
                    let reason = format!("cannot read topic {topic}: {error}");
                    self.worker.fail_without_record(owner, reason);
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
        let quiet_ms = self.worker.gate.quiet_ms();
        if let (true, Some(now)) = (quiet_ms > 0, self.worker.output.stream_time_or(None)) {
            let from = *self.quiet_from.get_or_insert(now);
            self.idleness.rest(me, || self.worker.output.be_idle());
            self.worker.output.pass_time(EventTime(from.0.saturating_add(quiet_ms)));
        }
        let idle = self.worker.env.settings.source_idle;
        let now = self.worker.env.scheduler.now();
        let since = *self.dry_since.get_or_insert(now);
        let due = since + idle;
        if due <= now {
            self.idleness.rest(me, || self.worker.output.be_idle());
        } else if self.idle_check.is_none_or(|check| check <= now) {
            self.idle_check = Some(due);
            self.worker.env.scheduler.wake_after(due - now, me);
        }
    }
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
        let Ok(ran) = self.turn(me, &owner) else { return Ran::FINISHED };
        self.worker.hand_over_output(&owner);
        ran
    }

    fn panicked(&mut self, message: String) {
        self.worker.panicked(&message);
    }
}
