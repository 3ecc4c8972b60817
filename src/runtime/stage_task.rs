//! The part that all tasks share: a chain of operators before an output, and a task that reads an exchange.

use std::sync::{Arc, Weak};

use crate::catalog::QueryId;
use crate::expressions::EvaluationContext;
use crate::operators::Port;
use crate::types::{ChangeBatch, Epoch, Offset, Partition};

use super::chain::{Chain, Left};
use super::environment::Environment;
use super::exchange::{Inbox, Taken};
use super::output::TaskOutput;
use super::pipeline::{Gate, Owner, Place, TaskCapture, TaskFailure};
use super::positions::SourcePosition;
use super::processing_log::{Failed, ProcessingLogEntry};
use super::scheduler::{Body, Next, Ran, Task};
use crate::topics::TopicId;

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
    /// The source topic, if the rows come from one alone.
    pub(super) topic: Option<String>,
    // changing
    pub(super) epoch: Epoch,
    pub(super) chain: Chain,
    pub(super) output: TaskOutput,
    pub(super) entries: Vec<ProcessingLogEntry>,
    /// The records that the rows under way come from.
    pub(super) place: Option<(Partition, Offset, Offset)>,
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
        self.place = Some((*partition, *first, last.next()));
        self.chain.give_changes(port, batch, self.context());
    }

    /// What functions of wall time and chance read for the next batch.
    fn context(&self) -> EvaluationContext {
        EvaluationContext { now_ms: self.env.clock.now_ms(), seed: self.env.next_seed() }
    }

    /// Moves what is in the chain to the output, as far as there is room. True if the chain is drained.
    pub(super) fn drain(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>) -> Result<bool, Stopped> {
        let mut errors = Vec::new();
        let mut drained = true;
        while !self.chain.is_drained() {
            if !self.output.has_room(me) {
                drained = false;
                break;
            }
            match self.chain.next() {
                Some(Left::Changes(batch)) => match self.output.accept(batch, &mut errors, owner.counters()) {
                    Ok(bytes) => self.gate.add_bytes(self.epoch, bytes),
                    Err((offset, reason)) => {
                        if let (Some(offset), Some((_, first, until))) = (offset, &mut self.place) {
                            (*first, *until) = (offset, offset.next());
                        }
                        self.fail(owner, reason);
                        return Err(Stopped);
                    }
                },
                Some(Left::Time(now)) => self.output.pass_time(now),
                None => break,
            }
        }
        errors.append(&mut self.chain.take_errors());
        for error in errors {
            let message = format!("{}: {}", error.expression, error.message);
            self.tell(Failed::Expression, error.partition, error.offset, message);
        }
        self.hand_over_entries(owner);
        Ok(drained)
    }

    /// Notes an entry of the processing log about a record.
    pub(super) fn tell(&mut self, failed: Failed, partition: Partition, offset: Offset, message: String) {
        self.entries.push(ProcessingLogEntry {
            query: self.query.clone(),
            failed,
            topic: self.topic.clone(),
            partition: Some(partition),
            offset: Some(offset),
            message,
            row: None,
        });
    }

    pub(super) fn hand_over_entries(&mut self, owner: &Arc<dyn Owner>) {
        if !self.entries.is_empty() {
            owner.counters().bad_records.add(self.entries.len());
            owner.log(self.pipeline, self.epoch, std::mem::take(&mut self.entries));
        }
    }

    /// Ends the epoch behind everything given so far. The chain must be drained.
    pub(super) fn barrier(&mut self, owner: &Arc<dyn Owner>, position: Option<(TopicId, Partition, SourcePosition)>) {
        let epoch = self.epoch;
        let state = self.chain.capture().state;
        assert!(state.is_empty(), "an operator has state, and there is no changelog yet to keep it");
        let records = self.output.barrier(epoch);
        self.epoch = epoch.next();
        owner.captured(self.pipeline, TaskCapture { task: self.index, epoch, records, position });
    }

    /// Tells the owner that this task cannot go on.
    pub(super) fn fail(&self, owner: &Arc<dyn Owner>, reason: String) {
        let at = self.place.zip(self.topic.clone()).map(|((partition, offset, until), topic)| Place {
            topic,
            partition,
            offset,
            until,
        });
        owner.failed(self.pipeline, TaskFailure { reason, at });
    }

    /// The operators or the output panicked.
    pub(super) fn panicked(&self, message: &str) {
        if let Some(owner) = self.owner.upgrade() {
            self.fail(&owner, format!("internal error: {message}"));
        }
    }
}

/// A task that reads an exchange: one stage on a range of slots.
pub(super) struct StageTask {
    pub(super) worker: Worker,
    pub(super) inbox: Arc<Inbox>,
}

impl StageTask {
    /// One message, or what is left of the last one.
    fn turn(&mut self, me: &Arc<Task>, owner: &Arc<dyn Owner>) -> Result<Ran, Stopped> {
        if !self.worker.drain(me, owner)? {
            return Ok(Ran::IDLE);
        }
        let rows = match self.inbox.take() {
            None => return Ok(Ran::IDLE),
            Some(Taken::Changes(port, batch)) => {
                let rows = batch.len();
                self.worker.give(port, batch);
                rows
            }
            Some(Taken::Time(None)) => 0,
            Some(Taken::Time(Some(now))) => {
                self.worker.chain.give_time(now);
                0
            }
            Some(Taken::Barrier(epoch)) => {
                debug_assert_eq!(epoch, self.worker.epoch, "epochs end in order");
                self.worker.barrier(owner, None);
                0
            }
        };
        let drained = self.worker.drain(me, owner)?;
        Ok(Ran { rows, next: if drained { Next::Again } else { Next::Idle } })
    }
}

impl Body for StageTask {
    fn step(&mut self, me: &Arc<Task>) -> Ran {
        let Some(owner) = self.worker.owner.upgrade() else { return Ran::FINISHED };
        let batch_rows = self.worker.env.settings.batch_rows;
        let mut rows = 0;
        while rows < batch_rows {
            if self.worker.gate.is_dead() {
                return Ran::FINISHED;
            }
            match self.turn(me, &owner) {
                Err(Stopped) => return Ran::FINISHED,
                Ok(ran) if ran.next == Next::Again => rows += ran.rows.max(1),
                Ok(ran) => return Ran { rows: rows + ran.rows, next: ran.next },
            }
        }
        Ran { rows, next: Next::Again }
    }

    fn panicked(&mut self, message: String) {
        self.worker.panicked(&message);
    }
}
