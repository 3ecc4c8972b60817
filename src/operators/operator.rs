//! The [`Operator`] trait and what an operator is given and gives back.
//!
//! ```text
//!   changes ──on_changes──▶ Output ──▶ next operator
//!   stream time ──on_stream_time──▶ Output
//!   barrier ──flush──▶ Output ──▶ next operator; then ──on_barrier──▶ Capture ──▶ the epoch
//!   state of the last epoch, after a restart ──restore──▶ operator
//! ```

use std::fmt;

use crate::expressions::EvaluationContext;
use crate::state::StateRow;
use crate::types::{ChangeBatch, EventTime, Offset, Partition};

/// Which of its inputs an operator is given changes from. Operators with one input are given port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub usize);

/// The stream time of a stage: no row before it is waited for any more.
pub type StreamTime = EventTime;

/// Rows of the two inputs of an operator, and the order in which they come.
#[derive(Debug)]
pub struct Round {
    /// The rows of port 0 and of port 1, in the order in which they come. Both have rows.
    pub inputs: [ChangeBatch; 2],
    /// Each row once: those of port 0 are numbered from 0 on, those of port 1 behind them. Both halves of an update are
    /// next to each other.
    pub order: Vec<u32>,
}

impl Round {
    /// The same as batches to be taken one after the other.
    pub fn slices(&self) -> Vec<(Port, ChangeBatch)> {
        let lefts = self.inputs[0].len();
        let port = |entry: &u32| usize::from(*entry as usize >= lefts);
        let mut taken = [0; 2];
        let slice = |run: &[u32]| {
            let port = run.first().map_or(0, port);
            let start = taken[port];
            taken[port] += run.len();
            (Port(port), self.inputs[port].slice(start..taken[port]))
        };
        self.order.chunk_by(|one, other| port(one) == port(other)).map(slice).collect()
    }
}

/// What an operator says after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Everything is in the output.
    Done,
    /// There is more to say: call [`Operator::resume`] once the output has been taken, before anything else.
    More,
}

/// A row whose evaluation failed in part. It becomes an entry of the processing log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Partition of the record that caused it.
    pub partition: Partition,
    /// Offset of the record that caused it.
    pub offset: Offset,
    /// The expression or clause.
    pub expression: String,
    /// What went wrong.
    pub message: String,
}

/// Collects what an operator emits.
#[derive(Debug, Default)]
pub struct Output {
    /// Emitted batches in order; none is empty.
    pub batches: Vec<ChangeBatch>,
    /// Rows that failed in part.
    pub errors: Vec<RowError>,
    /// A row that stops the query: an aggregate cannot go on (a DECIMAL sum too long for its type). The task fails,
    /// and nothing of the epoch is committed.
    pub fatal: Option<RowError>,
    /// Rows that came too late for their windows and were dropped.
    pub late_rows: usize,
    /// What functions of wall time and chance read during this call.
    pub context: EvaluationContext,
}

impl Output {
    /// Emits a batch; an empty one is dropped.
    pub fn emit(&mut self, batch: ChangeBatch) {
        if !batch.is_empty() {
            self.batches.push(batch);
        }
    }

    /// Reports what the evaluation of `batch` put into the error sink.
    pub fn report(&mut self, batch: &ChangeBatch, errors: crate::expressions::ErrorSink) {
        for error in errors.errors {
            self.errors.push(RowError {
                partition: batch.meta.partition[error.row],
                offset: batch.meta.offset[error.row],
                expression: error.expression,
                message: error.message,
            });
        }
    }
}

/// State that an operator cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("state cannot be read: {0}")]
pub struct RestoreError(pub String);

/// Takes an operator's state changes at a barrier.
#[derive(Debug, Default)]
pub struct Capture {
    /// Net changes since the last barrier, one per key.
    pub state: Vec<StateRow>,
}

/// One step of a stage.
///
/// Operators are vectorised: a call costs about a microsecond plus some nanoseconds a row.
pub trait Operator: Send + fmt::Debug {
    /// Takes a batch that is not empty.
    fn on_changes(&mut self, port: Port, input: ChangeBatch, out: &mut Output) -> Step;

    /// True if the operator has two inputs and takes rows of both at once; else it is given [`Round::slices`].
    fn takes_rounds(&self) -> bool {
        false
    }

    /// Takes rows of both inputs, as [`Self::on_changes`] would take them one by one.
    fn on_round(&mut self, _round: Round, _out: &mut Output) -> Step {
        Step::Done
    }

    /// True if all that [`Self::on_changes`] emits has the ranks of the rows that made it.
    fn keeps_ranks(&self) -> bool {
        true
    }

    /// Goes on after [`Step::More`]. Operators that never answer so keep this default.
    fn resume(&mut self, _out: &mut Output) -> Step {
        Step::Done
    }

    /// Stream time has reached `now`; it never moves back.
    fn on_stream_time(&mut self, _now: StreamTime, _out: &mut Output) -> Step {
        Step::Done
    }

    /// The epoch is about to end: emit what was held back to merge changes of one key. What this emits goes through the
    /// operators behind before they are flushed.
    fn flush(&mut self, _out: &mut Output) -> Step {
        Step::Done
    }

    /// The epoch ends behind everything taken so far: hand over the net state changes since the last barrier.
    fn on_barrier(&mut self, _capture: &mut Capture) {}

    /// True if the operator hands over state at barriers: then it has a changelog of its own, found by its name.
    fn is_stateful(&self) -> bool {
        false
    }

    /// Puts back state of this task's slots, as handed over in earlier epochs, in that order: a later row of a key
    /// replaces an earlier one. Called any number of times before anything else.
    ///
    /// # Errors
    /// Bytes that this operator did not write: the state is of another version, or damaged.
    fn restore(&mut self, _rows: Vec<StateRow>) -> Result<(), RestoreError> {
        Ok(())
    }

    /// Memory held by state, bytes.
    fn state_bytes(&self) -> usize {
        0
    }
}
