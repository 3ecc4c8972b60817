//! The [`Operator`] trait and what an operator is given and gives back.
//!
//! ```text
//!   changes ──on_changes──▶ Output ──▶ next operator
//!   stream time ──on_stream_time──▶ Output
//!   barrier ──on_barrier──▶ Capture ──▶ the epoch
//!   epoch's state, after a restart ──restore──▶ operator
//! ```

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::expressions::EvaluationContext;
use crate::types::{ChangeBatch, EventTime, Offset, Partition};

/// Which of its inputs an operator is given changes from. Operators with one input are given port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub usize);

/// The stream time of a stage: no row before it is waited for any more.
pub type StreamTime = EventTime;

/// A share of the keys: the hash of a key modulo the query's number of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

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

/// A net change of an operator's state: the last value of a key in this epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRow {
    /// The share the key belongs to.
    pub slot: Slot,
    /// Key in the operator's own encoding.
    pub key: Bytes,
    /// Value in the operator's own encoding; `None` if the key is gone.
    pub value: Option<Bytes>,
}

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

    /// Goes on after [`Step::More`]. Operators that never answer so keep this default.
    fn resume(&mut self, _out: &mut Output) -> Step {
        Step::Done
    }

    /// Stream time has reached `now`; it never moves back.
    fn on_stream_time(&mut self, _now: StreamTime, _out: &mut Output) -> Step {
        Step::Done
    }

    /// The epoch ends behind everything taken so far: hand over the net state changes since the last barrier.
    fn on_barrier(&mut self, _capture: &mut Capture) {}

    /// Puts back state of these slots, as handed over in earlier epochs. Called before anything else.
    fn restore(&mut self, _slots: Range<Slot>, _rows: Vec<StateRow>) {}
}
