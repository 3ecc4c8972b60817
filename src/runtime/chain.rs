//! Runs the operators of a stage one behind the other, and can stop between any two calls.
//!
//! ```text
//!   stack of work (top first)        batch for operator 2 │ operator 1 has more │ stream time for operator 1
//! ```
//!
//! What an operator emits is put on top of what it has still to say, so the rows of one call leave the chain before
//! those of the next, whatever waits in between. A flush passes down the chain as stream time does: what an operator
//! held back goes through the operators behind it before they are flushed themselves.

use crate::expressions::EvaluationContext;
use crate::operators::{Capture, Operator, Output, Port, RestoreError, Round, RowError, Step, StreamTime};
use crate::state::StateRow;
use crate::types::ChangeBatch;

/// Rows after which a chain without epochs throws state changes away: they take a fraction of a second to make, and
/// operators keep about as many keys for them.
const MAX_UNSAVED_ROWS: usize = 16 << 10;

/// Something an operator (or the chain's end, whose index is one past the last operator's) is to be given.
#[expect(clippy::large_enum_variant, reason = "one a batch, moved a few times: a box would cost more")]
#[derive(Debug)]
enum Work {
    Changes(usize, Port, ChangeBatch),
    /// For the first operator.
    Round(Round),
    Time(usize, StreamTime),
    Flush(usize),
    Resume(usize),
}

/// What comes out behind the last operator.
#[derive(Debug)]
pub(super) enum Left {
    /// Rows.
    Changes(ChangeBatch),
    /// Stream time, behind all rows it follows.
    Time(StreamTime),
    /// A row that an operator cannot go on behind. The chain must be thrown away.
    Fatal(RowError),
}

/// When operators emit what they hold back to merge changes of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushes {
    /// When the epoch ends.
    AtBarrier,
    /// Behind every batch.
    EachBatch,
    /// Behind every batch. There are no epochs: state changes, which nobody takes, are thrown away from time to time.
    WithoutEpochs,
}

/// Operators in order, and what they have still to be given.
#[derive(Debug)]
pub(super) struct Chain {
    // fixed
    operators: Vec<Box<dyn Operator>>,
    flushes: Flushes,
    // changing
    /// Without epochs, rows given since state changes were thrown away.
    unsaved_rows: usize,
    stack: Vec<Work>,
    out: Output,
}

impl Chain {
    /// A chain of these operators.
    pub(super) fn new(operators: Vec<Box<dyn Operator>>, flushes: Flushes) -> Self {
        Self { operators, flushes, unsaved_rows: 0, stack: Vec::new(), out: Output::default() }
    }

    /// The places in the chain of the operators that have state.
    pub(super) fn stateful(&self) -> impl Iterator<Item = usize> {
        self.operators.iter().enumerate().filter(|(_, operator)| operator.is_stateful()).map(|(index, _)| index)
    }

    /// True if everything given has left.
    pub(super) fn is_drained(&self) -> bool {
        self.stack.is_empty()
    }

    /// Gives the first operator a batch. The chain must be drained.
    pub(super) fn give_changes(&mut self, port: Port, batch: ChangeBatch, context: EvaluationContext) {
        debug_assert!(self.is_drained(), "order would be lost");
        self.out.context = context;
        self.flush_behind(batch.len());
        self.stack.push(Work::Changes(0, port, batch));
    }

    /// Gives the first operator rows of both its inputs. The chain must be drained.
    pub(super) fn give_round(&mut self, round: Round, context: EvaluationContext) {
        debug_assert!(self.is_drained(), "order would be lost");
        self.out.context = context;
        self.flush_behind(round.order.len());
        if self.operators.first().is_some_and(|operator| operator.takes_rounds()) {
            self.stack.push(Work::Round(round));
        } else {
            let slices = round.slices().into_iter().rev();
            self.stack.extend(slices.map(|(port, batch)| Work::Changes(0, port, batch)));
        }
    }

    /// True if all that leaves because of rows has their ranks.
    pub(super) fn keeps_ranks(&self) -> bool {
        self.operators.iter().all(|operator| operator.keeps_ranks())
    }

    /// Gives the first operator stream time. The chain must be drained.
    pub(super) fn give_time(&mut self, now: StreamTime) {
        debug_assert!(self.is_drained(), "order would be lost");
        self.flush_behind(1);
        self.stack.push(Work::Time(0, now));
    }

    /// What `rows` that are given now make operators hold back leaves behind them, if that is how it is done.
    fn flush_behind(&mut self, rows: usize) {
        if self.flushes == Flushes::WithoutEpochs {
            self.forget_changes(rows);
        }
        if self.flushes != Flushes::AtBarrier {
            self.stack.push(Work::Flush(0));
        }
    }

    /// Before `rows` more are given: throws away what operators remember for a barrier, if it is much.
    fn forget_changes(&mut self, rows: usize) {
        self.unsaved_rows += rows;
        if self.unsaved_rows > MAX_UNSAVED_ROWS {
            self.unsaved_rows = rows;
            for operator in &mut self.operators {
                operator.on_barrier(&mut Capture::default());
            }
        }
    }

    /// Has every operator emit what it holds back. The chain must be drained.
    pub(super) fn give_flush(&mut self) {
        debug_assert!(self.is_drained(), "order would be lost");
        self.stack.push(Work::Flush(0));
    }

    /// The next thing that leaves the chain; `None` if it is drained.
    pub(super) fn next(&mut self) -> Option<Left> {
        while let Some(work) = self.stack.pop() {
            let (index, step) = match work {
                Work::Changes(index, port, batch) => match self.operators.get_mut(index) {
                    None => return Some(Left::Changes(batch)),
                    Some(operator) => (index, operator.on_changes(port, batch, &mut self.out)),
                },
                Work::Round(round) => (0, self.operators[0].on_round(round, &mut self.out)),
                Work::Time(index, now) => match self.operators.get_mut(index) {
                    None => return Some(Left::Time(now)),
                    Some(operator) => {
                        self.stack.push(Work::Time(index + 1, now));
                        (index, operator.on_stream_time(now, &mut self.out))
                    }
                },
                Work::Flush(index) => match self.operators.get_mut(index) {
                    None => continue,
                    Some(operator) => {
                        self.stack.push(Work::Flush(index + 1));
                        (index, operator.flush(&mut self.out))
                    }
                },
                Work::Resume(index) => (index, self.operators[index].resume(&mut self.out)),
            };
            if let Some(fatal) = self.out.fatal.take() {
                self.stack.clear();
                return Some(Left::Fatal(fatal));
            }
            if step == Step::More {
                self.stack.push(Work::Resume(index));
            }
            while let Some(batch) = self.out.batches.pop() {
                self.stack.push(Work::Changes(index + 1, Port(0), batch));
            }
        }
        None
    }

    /// Rows that failed in part since the last call.
    pub(super) fn take_errors(&mut self) -> Vec<RowError> {
        std::mem::take(&mut self.out.errors)
    }

    /// Rows that came too late since the last call.
    pub(super) fn take_late_rows(&mut self) -> usize {
        std::mem::take(&mut self.out.late_rows)
    }

    /// State changes of each operator since the last barrier, with its place in the chain. The chain must be drained.
    pub(super) fn capture(&mut self) -> Vec<(usize, Vec<StateRow>)> {
        debug_assert!(self.is_drained(), "a barrier comes behind all rows");
        let mut captured = Vec::new();
        for (index, operator) in self.operators.iter_mut().enumerate() {
            let mut capture = Capture::default();
            operator.on_barrier(&mut capture);
            if !capture.state.is_empty() {
                assert!(operator.is_stateful(), "an operator that hands over state says that it is stateful");
                captured.push((index, capture.state));
            }
        }
        captured
    }

    /// Puts back state of the operator at a place in the chain.
    ///
    /// # Errors
    /// The operator cannot read it.
    pub(super) fn restore(&mut self, index: usize, rows: Vec<StateRow>) -> Result<(), RestoreError> {
        self.operators[index].restore(rows)
    }

    /// Memory held by the state of all operators, bytes.
    pub(super) fn state_bytes(&self) -> usize {
        self.operators.iter().map(|operator| operator.state_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Chain, Flushes, Left};
    use crate::expressions::EvaluationContext;
    use crate::operators::batch_text::{batch, text};
    use crate::operators::{Capture, Operator, Output, Port, RowError, Step, StreamTime};
    use crate::types::{ChangeBatch, EventTime};

    /// Says everything `times` times, one at a time, and at stream time the batch `+ t 0 @t`.
    #[derive(Debug)]
    struct Echo {
        times: usize,
        rest: Vec<ChangeBatch>,
    }

    impl Operator for Echo {
        fn on_changes(&mut self, _: Port, input: ChangeBatch, out: &mut Output) -> Step {
            self.rest = vec![input; self.times];
            self.resume(out)
        }

        fn resume(&mut self, out: &mut Output) -> Step {
            out.batches.extend(self.rest.pop());
            if self.rest.is_empty() { Step::Done } else { Step::More }
        }

        fn on_stream_time(&mut self, now: StreamTime, out: &mut Output) -> Step {
            out.emit(batch(&format!("+ t 0 @{now}")));
            Step::Done
        }

        fn flush(&mut self, out: &mut Output) -> Step {
            self.rest = vec![batch("+ held 1 @0"); self.times];
            self.resume(out)
        }
    }

    /// Cannot go on behind any row.
    #[derive(Debug)]
    struct Fatal;

    impl Operator for Fatal {
        fn on_changes(&mut self, _: Port, input: ChangeBatch, out: &mut Output) -> Step {
            out.fatal = Some(RowError {
                partition: input.meta.partition[0],
                offset: input.meta.offset[0],
                expression: "SUM".to_owned(),
                message: "too long".to_owned(),
            });
            Step::More
        }
    }

    fn echo(times: usize) -> Box<dyn Operator> {
        Box::new(Echo { times, rest: Vec::new() })
    }

    fn left(chain: &mut Chain) -> Vec<String> {
        std::iter::from_fn(|| chain.next())
            .map(|left| match left {
                Left::Changes(batch) => text(&batch),
                Left::Time(now) => format!("time {now}"),
                Left::Fatal(error) => format!("{} at {}: {}", error.expression, error.offset, error.message),
            })
            .collect()
    }

    #[test]
    fn an_operator_with_more_to_say_is_resumed_behind_what_it_said() {
        let mut chain = Chain::new(vec![echo(2), echo(2)], Flushes::AtBarrier);
        chain.give_changes(Port(0), batch("+ a 1 @1"), EvaluationContext::default());
        assert_eq!(left(&mut chain), ["+ a 1 @1"; 4]);
        assert!(chain.is_drained());
    }

    #[test]
    fn stream_time_leaves_behind_the_rows_it_caused() {
        let mut chain = Chain::new(vec![echo(1), echo(1)], Flushes::AtBarrier);
        chain.give_time(EventTime(7));
        assert_eq!(left(&mut chain), ["+ t 0 @7", "+ t 0 @7", "time 7"]);
    }

    #[test]
    fn what_is_flushed_goes_through_the_operators_behind_before_they_are_flushed() {
        let mut chain = Chain::new(vec![echo(2), echo(2)], Flushes::AtBarrier);
        chain.give_flush();
        assert_eq!(left(&mut chain).len(), 2 * 2 + 2);
        assert!(chain.is_drained());
    }

    #[test]
    fn every_batch_is_followed_by_a_flush_where_output_waits_for_no_barrier() {
        let mut chain = Chain::new(vec![echo(1)], Flushes::EachBatch);
        chain.give_changes(Port(0), batch("+ a 1 @1"), EvaluationContext::default());
        assert_eq!(left(&mut chain), ["+ a 1 @1", "+ held 1 @0"]);
    }

    /// Keeps a note of every row until the barrier.
    #[derive(Debug, Default)]
    struct Notes {
        rows: usize,
    }

    impl Operator for Notes {
        fn on_changes(&mut self, _: Port, input: ChangeBatch, _: &mut Output) -> Step {
            self.rows += input.len();
            Step::Done
        }

        fn on_barrier(&mut self, _: &mut Capture) {
            self.rows = 0;
        }

        fn state_bytes(&self) -> usize {
            self.rows
        }
    }

    #[test]
    fn without_epochs_state_changes_do_not_pile_up() {
        let rows = batch(&vec!["+ a 1 @1"; 1000].join(";"));
        for (flushes, expected) in
            [(Flushes::WithoutEpochs, 16_000), (Flushes::EachBatch, 100_000), (Flushes::AtBarrier, 100_000)]
        {
            let mut chain = Chain::new(vec![Box::<Notes>::default()], flushes);
            let mut most = 0;
            for _ in 0..100 {
                chain.give_changes(Port(0), rows.clone(), EvaluationContext::default());
                assert!(left(&mut chain).is_empty());
                most = most.max(chain.state_bytes());
            }
            assert_eq!(most, expected);
        }
    }

    #[test]
    fn nothing_follows_a_row_that_an_operator_cannot_go_on_behind() {
        let mut chain = Chain::new(vec![echo(2), Box::new(Fatal)], Flushes::AtBarrier);
        chain.give_changes(Port(0), batch("+ a 1 @1"), EvaluationContext::default());
        assert_eq!(left(&mut chain), ["SUM at 0: too long"]);
    }
}
