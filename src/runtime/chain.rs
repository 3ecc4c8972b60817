//! Runs the operators of a stage one behind the other, and can stop between any two calls.
//!
//! ```text
//!   stack of work (top first)        batch for operator 2 │ operator 1 has more │ stream time for operator 1
//! ```
//!
//! What an operator emits is put on top of what it has still to say, so the rows of one call leave the chain before
//! those of the next, whatever waits in between.

use crate::expressions::EvaluationContext;
use crate::operators::{Capture, Operator, Output, Port, RowError, Step, StreamTime};
use crate::types::ChangeBatch;

/// Something an operator (or the chain's end, whose index is one past the last operator's) is to be given.
#[expect(clippy::large_enum_variant, reason = "one a batch, moved a few times: a box would cost more")]
#[derive(Debug)]
enum Work {
    Changes(usize, Port, ChangeBatch),
    Time(usize, StreamTime),
    Resume(usize),
}

/// What comes out behind the last operator.
#[expect(clippy::large_enum_variant, reason = "one a batch, moved a few times: a box would cost more")]
#[derive(Debug)]
pub(super) enum Left {
    /// Rows.
    Changes(ChangeBatch),
    /// Stream time, behind all rows it follows.
    Time(StreamTime),
}

/// Operators in order, and what they have still to be given.
#[derive(Debug)]
pub(super) struct Chain {
    operators: Vec<Box<dyn Operator>>,
    stack: Vec<Work>,
    out: Output,
}

impl Chain {
    pub(super) fn new(operators: Vec<Box<dyn Operator>>) -> Self {
        Self { operators, stack: Vec::new(), out: Output::default() }
    }

    /// True if everything given has left.
    pub(super) fn is_drained(&self) -> bool {
        self.stack.is_empty()
    }

    /// Gives the first operator a batch. The chain must be drained.
    pub(super) fn give_changes(&mut self, port: Port, batch: ChangeBatch, context: EvaluationContext) {
        debug_assert!(self.is_drained(), "order would be lost");
        self.out.context = context;
        self.stack.push(Work::Changes(0, port, batch));
    }

    /// Gives the first operator stream time. The chain must be drained.
    pub(super) fn give_time(&mut self, now: StreamTime) {
        debug_assert!(self.is_drained(), "order would be lost");
        self.stack.push(Work::Time(0, now));
    }

    /// The next thing that leaves the chain; `None` if it is drained.
    pub(super) fn next(&mut self) -> Option<Left> {
        while let Some(work) = self.stack.pop() {
            let (index, step) = match work {
                Work::Changes(index, port, batch) => match self.operators.get_mut(index) {
                    None => return Some(Left::Changes(batch)),
                    Some(operator) => (index, operator.on_changes(port, batch, &mut self.out)),
                },
                Work::Time(index, now) => match self.operators.get_mut(index) {
                    None => return Some(Left::Time(now)),
                    Some(operator) => {
                        self.stack.push(Work::Time(index + 1, now));
                        (index, operator.on_stream_time(now, &mut self.out))
                    }
                },
                Work::Resume(index) => (index, self.operators[index].resume(&mut self.out)),
            };
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

    /// State changes of all operators since the last barrier. The chain must be drained.
    pub(super) fn capture(&mut self) -> Capture {
        debug_assert!(self.is_drained(), "a barrier comes behind all rows");
        let mut capture = Capture::default();
        for operator in &mut self.operators {
            operator.on_barrier(&mut capture);
        }
        capture
    }
}

#[cfg(test)]
mod tests {
    use super::{Chain, Left};
    use crate::expressions::EvaluationContext;
    use crate::operators::batch_text::{batch, text};
    use crate::operators::{Operator, Output, Port, Step, StreamTime};
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
    }

    fn echo(times: usize) -> Box<dyn Operator> {
        Box::new(Echo { times, rest: Vec::new() })
    }

    fn left(chain: &mut Chain) -> Vec<String> {
        std::iter::from_fn(|| chain.next())
            .map(|left| match left {
                Left::Changes(batch) => text(&batch),
                Left::Time(now) => format!("time {now}"),
            })
            .collect()
    }

    #[test]
    fn an_operator_with_more_to_say_is_resumed_behind_what_it_said() {
        let mut chain = Chain::new(vec![echo(2), echo(2)]);
        chain.give_changes(Port(0), batch("+ a 1 @1"), EvaluationContext::default());
        assert_eq!(left(&mut chain), ["+ a 1 @1"; 4]);
        assert!(chain.is_drained());
    }

    #[test]
    fn stream_time_leaves_behind_the_rows_it_caused() {
        let mut chain = Chain::new(vec![echo(1), echo(1)]);
        chain.give_time(EventTime(7));
        assert_eq!(left(&mut chain), ["+ t 0 @7", "+ t 0 @7", "time 7"]);
    }
}
