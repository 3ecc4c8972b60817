//! AND, OR, NOT and CASE. What a short circuit skips reports no failures.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::interleave;

use super::value::{Failure, Failures, Outcome, Value};
use super::{Arguments, Evaluator};
use crate::expressions::program::Node;

const NULL_OPERAND: &str = "a BOOLEAN operand is null";

pub(super) fn not(args: Arguments) -> Outcome {
    let failures = nulls(args.values[0].array());
    let operand = args.values[0].array().as_boolean();
    let array: ArrayRef = Arc::new(BooleanArray::new(!operand.values(), operand.nulls().cloned()));
    args.outcome(array, failures)
}

/// Failures of the rows where a condition that is asked is null.
fn nulls(array: &ArrayRef) -> Vec<Failure> {
    match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => {
            (0..array.len()).filter(|row| nulls.is_null(*row)).map(|row| (row, NULL_OPERAND.into())).collect()
        }
        _ => Vec::new(),
    }
}

impl<'a> Evaluator<'a> {
    /// AND (`decider` false) and OR (`decider` true): where the left operand is the decider the right is not asked.
    pub(super) fn short_circuit(&mut self, node: &'a Node, decider: bool) -> Outcome {
        let left = self.run(node.args[0]);
        if left.value.is_constant() && left.failures.is_empty() && !left.value.has_nulls() {
            let known = left.value.array().as_boolean().value(0);
            return if known == decider { left } else { self.asked(node) };
        }
        let right = self.run(node.args[1]);
        let rows = self.frame.rows;
        let (left, right) = (left.into_rows(rows), right.into_rows(rows));
        let (l, r) = (left.value.array().as_boolean(), right.value.array().as_boolean());
        let values = if decider { l.values() | r.values() } else { l.values() & r.values() };
        let clean = left.failures.is_empty() && right.failures.is_empty();
        if clean && l.null_count() == 0 && r.null_count() == 0 {
            return Outcome::clean(Value::column(Arc::new(BooleanArray::new(values, None))));
        }
        // Rows whose left operand decides: it is not null, has not failed, and is the decider.
        let mut failures = left.failures;
        failures.add_all(rows, nulls(left.value.array()));
        let stopped = failures.failed(rows);
        let asked = |row: usize| stopped.as_ref().is_none_or(|stopped| !stopped.value(row)) && l.value(row) != decider;
        let mut of_right = right.failures;
        of_right.add_all(rows, nulls(right.value.array()));
        of_right.retain(asked);
        failures.merge(rows, of_right);
        let truths = BooleanBuffer::collect_bool(rows, |row| {
            if asked(row) { r.is_valid(row) && r.value(row) } else { l.is_valid(row) && l.value(row) }
        });
        Outcome { value: Value::column(Arc::new(BooleanArray::new(truths, None))), failures }
    }

    /// The right operand where a constant left operand leaves the answer to it.
    fn asked(&mut self, node: &'a Node) -> Outcome {
        let mut right = self.run(node.args[1]);
        let rows = right.value.array().len();
        right.failures.add_all(rows, nulls(right.value.array()));
        right
    }

    /// The result of the first condition that holds; conditions behind it are not asked, other results not evaluated.
    pub(super) fn case(&mut self, node: &'a Node) -> Outcome {
        let rows = self.frame.rows;
        let branches = node.args.len() / 2;
        let mut failures = Failures::default();
        let mut open = BooleanBuffer::new_set(rows);
        // Which result each row takes; rows that failed take the ELSE result, which means nothing then.
        let mut chosen = vec![branches; rows];
        let mut results: Vec<ArrayRef> = Vec::with_capacity(branches + 1);
        for branch in 0..branches {
            let condition = self.run(node.args[branch * 2]).into_rows(rows);
            let mut of_condition = condition.failures;
            of_condition.add_all(rows, nulls(condition.value.array()));
            of_condition.retain(|row| open.value(row));
            let stopped = of_condition.failed(rows);
            failures.merge(rows, of_condition);
            let truths = super::truths(condition.value.array());
            let taken = match &stopped {
                Some(stopped) => &(&open & truths.values()) & &!stopped,
                None => &open & truths.values(),
            };
            open = &open & &!&taken;
            if let Some(stopped) = &stopped {
                open = &open & &!stopped;
            }
            results.push(self.branch(node, branch * 2 + 1, &taken, &mut failures));
            for row in taken.set_indices() {
                chosen[row] = branch;
            }
        }
        results.push(self.branch(node, branches * 2, &open, &mut failures));
        let arrays: Vec<&dyn Array> = results.iter().map(AsRef::as_ref).collect();
        // A result that is constant is held once.
        let indices: Vec<(usize, usize)> = chosen
            .iter()
            .enumerate()
            .map(|(row, branch)| (*branch, if arrays[*branch].len() == rows { row } else { 0 }))
            .collect();
        let array = interleave(&arrays, &indices).expect("typing gives all results of a CASE one type");
        Outcome { value: Value::column(array), failures }
    }

    /// The arguments of a function that asks them in turn until one is not null: those behind it report no failures.
    pub(super) fn until_value(&self, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        if outcomes.iter().all(|outcome| outcome.failures.is_empty()) {
            return outcomes;
        }
        let constant = outcomes.iter().all(|outcome| outcome.value.is_constant());
        let rows = if constant { 1 } else { self.frame.rows };
        let mut open = BooleanBuffer::new_set(rows);
        outcomes
            .into_iter()
            .map(|outcome| {
                let mut outcome = if constant { outcome } else { outcome.into_rows(rows) };
                outcome.failures.retain(|row| open.value(row));
                if let Some(failed) = outcome.failures.failed(rows) {
                    open = &open & &!&failed;
                }
                open = match outcome.value.array().nulls() {
                    Some(nulls) => &open & &!nulls.inner(),
                    None => BooleanBuffer::new_unset(rows),
                };
                outcome
            })
            .collect()
    }

    /// A result of a CASE for the rows that take it: one value per row, or one for all.
    fn branch(&mut self, node: &'a Node, arg: usize, taken: &BooleanBuffer, failures: &mut Failures) -> ArrayRef {
        let rows = self.frame.rows;
        let outcome = self.run(node.args[arg]);
        if outcome.value.is_constant() && outcome.failures.is_empty() {
            return Arc::clone(outcome.value.array());
        }
        let mut outcome = outcome.into_rows(rows);
        outcome.failures.retain(|row| taken.value(row));
        failures.merge(rows, outcome.failures);
        Arc::clone(outcome.value.array())
    }
}
