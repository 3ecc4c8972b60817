//! Keeps the rows for which a condition holds.

use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::buffer::BooleanBuffer;

use crate::expressions::{ErrorSink, Predicate};
use crate::types::{ChangeBatch, Op, Ops};

use super::{Operator, Output, Port, Step};

/// `WHERE` over an append or changelog edge.
///
/// Keeps no state and emits the columns it is given. Null rows go: the condition has no value to look at.
/// A row whose condition fails to evaluate goes and is reported. Cost: the condition, plus a copy of the rows kept.
///
/// | input | old passes | new passes | output |
/// |---|---|---|---|
/// | insert, delete | | | itself if its row passes |
/// | update | yes | yes | the update |
/// | update | yes | no | delete of the old row |
/// | update | no | yes | insert of the new row |
/// | update | no | no | nothing |
///
/// ```text
///   WHERE V > 5          + a 10 @1          + a 10 @1
///                        - b 3  @2   ──▶
///                       -u c 7  @3          - c 7  @3
///                       +u c 2  @3
/// ```
///
/// On an upsert edge a delete carries no values to judge: such edges need a `remember` operator before a filter,
/// and the planner puts it there.
#[derive(Debug)]
pub struct Filter {
    predicate: Predicate,
}

impl Filter {
    /// A filter by this condition.
    pub fn new(predicate: Predicate) -> Self {
        Self { predicate }
    }
}

impl Operator for Filter {
    fn on_changes(&mut self, _port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        let mut errors = ErrorSink::default();
        let passes = self.predicate.evaluate(&input.rows, &out.context, &mut errors);
        errors.errors.retain(|error| !input.is_null_row(error.row));
        out.report(&input, errors);
        out.emit(keep(input, passes));
        Step::Done
    }
}

/// The rows of `input` that pass, with updates broken up where one side of them does not.
pub(super) fn keep(input: ChangeBatch, passes: BooleanArray) -> ChangeBatch {
    let passes = match &input.null_value {
        Some(nulls) => BooleanArray::new(passes.values() & &!nulls, None),
        None => passes,
    };
    let broken_up = match &input.ops {
        Ops::Inserts => None,
        Ops::Each(ops) => Some(broken_up(ops, passes.values())),
    };
    let mut kept = input.filter(&passes).expect("a condition gives one boolean a row");
    if let Some(ops) = broken_up {
        kept.ops = Ops::Each(ops);
    }
    kept
}

/// Operations of the rows that pass: half an update becomes a delete or an insert.
fn broken_up(ops: &[Op], passes: &BooleanBuffer) -> Vec<Op> {
    let mut kept = Vec::with_capacity(ops.len());
    for (row, op) in ops.iter().enumerate().filter(|(row, _)| passes.value(*row)) {
        kept.push(match op {
            Op::UpdateBefore if !passes.value(row + 1) => Op::Delete,
            Op::UpdateAfter if !passes.value(row - 1) => Op::Insert,
            whole => *whole,
        });
    }
    kept
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::BooleanArray;

    use super::keep;
    use crate::operators::batch_text::{batch, text};

    /// Filters rows by `V > 5`.
    fn check(input: &str, expected: &str) {
        let input = batch(input);
        let passes: Vec<bool> =
            crate::operators::batch_text::values(&input).iter().map(|v| v.is_some_and(|v| v > 5)).collect();
        assert_eq!(text(&keep(input, BooleanArray::from(passes))), expected);
    }

    #[test]
    fn an_update_is_broken_up_where_only_one_side_passes() {
        check("-u a 7 @1; +u a 8 @1", "-u a 7 @1; +u a 8 @1");
        check("-u a 7 @1; +u a 2 @1", "- a 7 @1");
        check("-u a 1 @1; +u a 9 @1", "+ a 9 @1");
        check("-u a 1 @1; +u a 2 @1", "");
    }

    #[test]
    fn inserts_and_deletes_are_judged_by_their_own_row() {
        check("+ a 10 @1; - b 3 @2; - c 9 @3; + d 1 @4", "+ a 10 @1; - c 9 @3");
    }

    #[test]
    fn null_rows_are_dropped() {
        check("+ a null @1; + b 9 @2", "+ b 9 @2");
    }
}
