//! The part that all tasks share: a chain of operators before an output, and a task that reads an exchange.

use std::sync::{Arc, Weak};

use crate::catalog::QueryId;
use crate::expressions::EvaluationContext;
use crate::operators::{Port, Round, RowError};
use crate::types::{ChangeBatch, Epoch, EventTime, Offset, Partition};

use super::chain::{Chain, Left};
use super::changelog::{Changelog, Restorer};
use super::environment::Environment;
use super::exchange::{Inbox, Taken};
use super::order::Ranks;
use super::output::TaskOutput;
use super::pipeline::{Gate, Owner, Place, TaskCapture, TaskFailure};
use super::positions::{SourceKey, SourcePosition};
use super::processing_log::{Failed, ProcessingLogEntry};
use super::scheduler::{Body, Next, Ran, Task};

/// Operators before an output, for one task.
pub(super) struct Worker {
    // fixed
    pub(super) env: Arc<Environment>,
    pub(super) owner: Weak<dyn Owner>,
    pub(super) pipeline: u64,
    pub(super) query: QueryId,
    pub(super) gate: Arc<Gate>,
    /// Index among the pipeline's tasks.
    pub(super) index: usize,
    /// By port, the source topic, if its rows come from one alone.
    pub(super) topics: Vec<Option<String>>,
    /// The changelogs of the operators that have state, by their places in the chain.
    pub(super) changelogs: Vec<(usize, Arc<Changelog>)>,
    /// Output leaves after every step.
    pub(super) leaves_at_once: bool,
    // changing
    pub(super) epoch: Epoch,
    pub(super) chain: Chain,
    pub(super) output: TaskOutput,
    pub(super) entries: Vec<ProcessingLogEntry>,
    /// The records that the rows under way come from, if they are of one partition.
    pub(super) place: Option<(Partition, Offset, Offset)>,
    /// The port of these rows; none while operators say what they held back or what stream time made due.
    pub(super) port: Option<Port>,
    /// The operators were asked to emit what they hold back: the epoch ends once it has left.
    pub(super) is_flushed: bool,
    /// What leaves was caused by stream time, and the owner was not told yet.
    pub(super) tells_time: bool,
    /// Memory held by state when it was last looked at.
    pub(super) state_bytes: usize,
}

/// The task cannot go on; its owner was told.
pub(super) struct Stopped;

impl Worker {
    /// Gives a batch to the operators.
    pub(super) fn give(&mut self, port: Port, batch: ChangeBatch) {
        let (Some(partition), Some(first), Some(last)) =
            (batch.meta.partition.first(), batch.meta.offset.iter().min(), batch.meta.offset.iter().max())
        else {
            return;
        };
        let is_one = batch.meta.partition.iter().all(|other| other == partition);
        self.place = is_one.then(|| (*partition, *first, last.next()));
        self.port = Some(port);
        self.tells_time = false;
        self.chain.give_changes(port, batch, self.context());
    }

    /// Gives rows of both inputs to the operators.
    pub(super) fn give_round(&mut self, round: Round) {
        (self.place, self.port) = (None, None);
        self.tells_time = false;
        self.chain.give_round(round, self.context());
    }

    /// Gives stream time to the operators.
    pub(super) fn give_time(&mut self, now: EventTime) {
        self.tells_time = true;
        (self.place, self.port) = (None, None);
        self.chain.give_time(now);
    }

    /// What functions of wall time and chance read for the next batch.
    fn context(&self) -> EvaluationContext {
        EvaluationContext { now_ms: self.env.clock.now_ms(), seed: self.env.next_seed() }
    }

    /// Moves what is in the chain to the output, as far as there is room. True if the chain is drained.
    pub(super) fn drain(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>) -> Result<bool, Stopped> {
        self.drain_while(owner, |output| output.has_room(me))
    }

    /// Moves all that is in the chain to the output, whatever room there is.
    pub(super) fn drain_all(&mut self, owner: &Arc<dyn Owner>) -> Result<(), Stopped> {
        self.drain_while(owner, |_| true).map(|_| ())
    }

    fn drain_while(&mut self, owner: &Arc<dyn Owner>, has_room: impl Fn(&TaskOutput) -> bool) -> Result<bool, Stopped> {
        let mut errors = Vec::new();
        let mut drained = true;
        while !self.chain.is_drained() {
            if !has_room(&self.output) {
                drained = false;
                break;
            }
            match self.chain.next() {
                Some(Left::Changes(batch)) if self.tells_time => {
                    // No source need have read on: nobody else knows that there is something to commit.
                    self.tells_time = false;
                    owner.time_passed(self.pipeline, self.epoch);
                    self.leave(batch, &mut errors, owner)?;
                }
                Some(Left::Changes(batch)) => self.leave(batch, &mut errors, owner)?,
                Some(Left::Time(now)) => self.output.pass_time(now),
                Some(Left::Fatal(error)) => {
                    self.place = Some((error.partition, error.offset, error.offset.next()));
                    self.fail(owner, format!("{}: {}", error.expression, error.message));
                    return Err(Stopped);
                }
                None => break,
            }
        }
        errors.append(&mut self.chain.take_errors());
        owner.counters().late_rows.add(self.chain.take_late_rows());
        for error in errors {
            let message = format!("{}: {}", error.expression, error.message);
            self.tell(Failed::Expression, error.partition, error.offset, message);
        }
        self.hand_over_entries(owner);
        Ok(drained)
    }

    /// Gives a batch to the output.
    fn leave(&mut self, batch: ChangeBatch, errors: &mut Vec<RowError>, owner: &Arc<dyn Owner>) -> Result<(), Stopped> {
        match self.output.accept(batch, errors, owner.counters()) {
            Ok(bytes) => {
                self.gate.add_bytes(self.epoch, bytes);
                Ok(())
            }
            Err((offset, reason)) => {
                if let (Some(offset), Some((_, first, until))) = (offset, &mut self.place) {
                    (*first, *until) = (offset, offset.next());
                }
                self.fail(owner, reason);
                Err(Stopped)
            }
        }
    }

    /// Notes an entry of the processing log about a record.
    pub(super) fn tell(&mut self, failed: Failed, partition: Partition, offset: Offset, message: String) {
        self.entries.push(ProcessingLogEntry {
            query: self.query.clone(),
            failed,
            topic: self.topic().cloned(),
            partition: Some(partition),
            offset: Some(offset),
            message,
            row: None,
        });
    }

    /// The topic that the rows under way come from, if it is known.
    pub(super) fn topic(&self) -> Option<&String> {
        match (self.port, &self.topics[..]) {
            (Some(port), topics) => topics.get(port.0)?.as_ref(),
            (None, [first, others @ ..]) => first.as_ref().filter(|_| others.iter().all(|other| other == first)),
            (None, []) => None,
        }
    }

    pub(super) fn hand_over_entries(&mut self, owner: &Arc<dyn Owner>) {
        if !self.entries.is_empty() {
            owner.counters().bad_records.add(self.entries.len());
            owner.log(self.pipeline, self.epoch, std::mem::take(&mut self.entries));
        }
    }

    /// Has the operators emit what they hold back until the epoch ends. True once it has left: then the epoch may end.
    pub(super) fn flush(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>) -> Result<bool, Stopped> {
        if !self.is_flushed {
            (self.place, self.port) = (None, None);
            self.chain.give_flush();
            self.is_flushed = true;
        }
        self.drain(me, owner)
    }

    /// As [`Worker::flush`], whatever room there is.
    pub(super) fn flush_all(&mut self, owner: &Arc<dyn Owner>) -> Result<(), Stopped> {
        if !self.is_flushed {
            self.chain.give_flush();
            self.is_flushed = true;
        }
        self.drain_all(owner)
    }

    /// Ends the epoch behind everything given so far. The chain must be flushed.
    pub(super) fn barrier(
        &mut self,
        owner: &Arc<dyn Owner>,
        position: Option<(SourceKey, SourcePosition)>,
        stage_time: Option<(Arc<str>, EventTime)>,
    ) {
        let epoch = self.epoch;
        let now = EventTime(self.env.clock.now_ms().max(0));
        self.hand_over_output(owner);
        let output = self.output.barrier(epoch);
        let mut state = Vec::new();
        let mut state_bytes = 0;
        for (place, rows) in self.chain.capture() {
            // Without epochs there are no changelogs either.
            let Some((_, changelog)) = self.changelogs.iter().find(|(index, _)| *index == place) else { continue };
            let rows = changelog.records(&rows, now);
            state_bytes += rows.iter().map(|part| part.records.data_bytes()).sum::<usize>();
            state.extend(rows);
        }
        self.look_at_state();
        self.is_flushed = false;
        self.epoch = epoch.next();
        let task = self.index;
        owner.captured(self.pipeline, TaskCapture { task, epoch, output, state, state_bytes, stage_time, position });
    }

    /// Gives the owner the output of this step, if it leaves at once.
    pub(super) fn hand_over_output(&mut self, owner: &Arc<dyn Owner>) {
        if !self.leaves_at_once {
            return;
        }
        let records = self.output.take();
        if !records.is_empty() {
            owner.leaves(self.pipeline, self.epoch, records);
        }
    }

    /// Tells how much memory state takes.
    pub(super) fn look_at_state(&mut self) {
        let bytes = self.chain.state_bytes();
        self.gate.state_changed(self.state_bytes, bytes);
        self.state_bytes = bytes;
    }

    /// Tells the owner that this task cannot go on because of the rows under way.
    pub(super) fn fail(&self, owner: &Arc<dyn Owner>, reason: String) {
        let at = self.place.zip(self.topic().cloned()).map(|((partition, offset, until), topic)| Place {
            topic,
            partition,
            offset,
            until,
        });
        owner.failed(self.pipeline, TaskFailure { reason, at, by_record: true });
    }

    /// Tells the owner that this task cannot go on, and that no record is to blame.
    pub(super) fn fail_without_record(&self, owner: &Arc<dyn Owner>, reason: String) {
        owner.failed(self.pipeline, TaskFailure::of_no_record(reason));
    }

    /// The operators or the output panicked.
    pub(super) fn panicked(&self, message: &str) {
        if let Some(owner) = self.owner.upgrade() {
            self.fail(&owner, format!("internal error: {message}"));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.gate.state_changed(self.state_bytes, 0);
    }
}

/// A task that reads an exchange: one stage on a share of the slots.
pub(super) struct StageTask {
    // fixed
    pub(super) worker: Worker,
    pub(super) inbox: Arc<Inbox>,
    /// The stage's name.
    pub(super) stage: Arc<str>,
    /// It has state and no barriers at which that is looked at.
    pub(super) watches_state: bool,
    // changing
    /// State to read back before anything is taken.
    pub(super) restorer: Option<Restorer>,
    /// The stream time that the operators were told.
    pub(super) told_time: Option<EventTime>,
    /// The barrier has come.
    pub(super) is_ending: bool,
}

impl StageTask {
    /// Reads some state back. The task goes on at the stream time it had.
    fn restore(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>) -> Result<Ran, Stopped> {
        let Some(restorer) = &mut self.restorer else { return Ok(Ran::AGAIN) };
        let rows = match restorer.step(&self.worker.env, me, &mut self.worker.chain) {
            Ok(Some(rows)) => rows,
            Ok(None) => return Ok(Ran::IDLE),
            Err(reason) => {
                self.worker.fail_without_record(owner, reason);
                return Err(Stopped);
            }
        };
        if restorer.is_done() {
            self.restorer = None;
            self.worker.look_at_state();
            if let Some(now) = self.inbox.shard_time() {
                self.told_time = Some(now);
                self.worker.give_time(now);
                self.worker.drain(me, owner)?;
            }
            self.worker.env.made_progress();
        }
        Ok(Ran { rows, next: Next::Again })
    }

    /// One message, or what is left of the last one.
    fn turn(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>) -> Result<Ran, Stopped> {
        if !self.worker.drain(me, owner)? {
            return Ok(Ran::IDLE);
        }
        if self.is_ending {
            return self.end_epoch(me, owner);
        }
        let taken = self.inbox.take();
        if let Some(rank) = self.inbox.rank() {
            self.worker.output.set_ranks(Ranks::Same(rank));
        }
        let rows = match taken {
            None => {
                self.worker.env.made_progress();
                return Ok(Ran::IDLE);
            }
            Some(Taken::Changes(port, batch)) => {
                let rows = batch.len();
                self.worker.give(port, batch);
                rows
            }
            Some(Taken::Round(round)) => {
                let rows = round.order.len();
                self.worker.give_round(round);
                rows
            }
            Some(Taken::Time(now)) => {
                let Some(now) = now.filter(|now| self.told_time < Some(*now)) else { return Ok(Ran::AGAIN) };
                self.told_time = Some(now);
                self.worker.give_time(now);
                0
            }
            Some(Taken::Barrier(epoch)) => {
                debug_assert_eq!(epoch, self.worker.epoch, "epochs end in order");
                self.is_ending = true;
                return self.end_epoch(me, owner);
            }
        };
        let drained = self.worker.drain(me, owner)?;
        if self.watches_state {
            self.worker.look_at_state();
            if let Some(reason) = self.worker.gate.over_state_limit() {
                self.worker.fail_without_record(owner, reason);
                return Err(Stopped);
            }
        }
        Ok(Ran { rows, next: if drained { Next::Again } else { Next::Idle } })
    }

    /// Ends the epoch once what the operators held back has left.
    fn end_epoch(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>) -> Result<Ran, Stopped> {
        if !self.worker.flush(me, owner)? {
            return Ok(Ran::IDLE);
        }
        self.is_ending = false;
        let time = self.inbox.shard_time().map(|time| (Arc::clone(&self.stage), time));
        self.worker.barrier(owner, None, time);
        Ok(Ran::AGAIN)
    }
}

impl Body for StageTask {
    fn step(&mut self, me: &Arc<Task>) -> Ran {
        let Some(owner) = self.worker.owner.upgrade() else { return Ran::FINISHED };
        let ran = self.turns(me, &owner);
        if ran.next != Next::Finished {
            self.worker.hand_over_output(&owner);
        }
        ran
    }

    fn panicked(&mut self, message: String) {
        self.worker.panicked(&message);
    }
}

impl StageTask {
    /// Messages, up to about a batch of rows.
    fn turns(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>) -> Ran {
        let batch_rows = self.worker.env.settings.batch_rows;
        let mut rows = 0;
        while rows < batch_rows {
            if self.worker.gate.is_dead() {
                return Ran::FINISHED;
            }
            let turn = if self.restorer.is_some() { self.restore(me, owner) } else { self.turn(me, owner) };
            match turn {
                Err(Stopped) => return Ran::FINISHED,
                Ok(ran) if ran.next == Next::Again => rows += ran.rows.max(1),
                Ok(ran) => return Ran { rows: rows + ran.rows, next: ran.next },
            }
        }
        Ran { rows, next: Next::Again }
    }
}
