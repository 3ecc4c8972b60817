//! Function calls, and the lambdas that functions apply.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, UInt64Array};
use datafusion::arrow::compute::take;

use super::value::{Failure, Outcome, Value, first_of_each_row};
use super::{Arguments, Evaluator, Frame};
use crate::expressions::EvaluationContext;
use crate::expressions::program::{Lambda, Node};
use crate::functions::Callable;
use crate::functions::call::Call;

impl<'a> Evaluator<'a> {
    pub(super) fn call(
        &mut self,
        node: &'a Node,
        function: &'a Arc<Callable>,
        units: &[bool],
        lambdas: &'a [Arc<Lambda>],
    ) -> Outcome {
        let outcomes: Vec<Outcome> = node
            .args
            .iter()
            .enumerate()
            .map(|(i, arg)| {
                let outcome = self.run(*arg);
                if units.get(i).copied().unwrap_or(false) { outcome.end_unit() } else { outcome }
            })
            .collect();
        let outcomes = if function.stops_at_value { self.until_value(outcomes) } else { outcomes };
        let mut args = self.collect(outcomes);
        // Chance differs by row, and a lambda may read columns of the row.
        if args.constant && (!function.is_deterministic() || lambdas.iter().any(|lambda| !lambda.captures.is_empty())) {
            let rows = self.frame.rows;
            args = Arguments { failures: args.failures.spread(rows), rows, constant: false, values: args.values };
        }
        let mut call = Call {
            args: &args.values,
            rows: args.rows,
            callable: function,
            context: self.frame.context,
            lambdas: lambdas.iter().map(|lambda| Body { lambda, frame: &self.frame }).collect(),
            failures: Vec::new(),
        };
        for (i, fails) in function.fails_on_null.iter().enumerate() {
            if *fails && args.values[i].has_nulls() {
                let nulls = (0..args.rows).filter(|row| args.values[i].is_null(*row));
                call.failures.extend(nulls.map(|row| (row, "an argument that must not be null is".into())));
            }
        }
        let array = (function.kernel)(&mut call);
        debug_assert_eq!(array.len(), args.rows, "{} gives a value per row", function.name);
        debug_assert_eq!(array.data_type(), &function.returns.arrow(), "{} gives the type it says", function.name);
        // Kernels report a row once unless a forbidden NULL was reported before them.
        let own = first_of_each_row(call.failures);
        args.outcome(array, own)
    }
}

/// A lambda with the columns that it may read.
pub(crate) struct Body<'a> {
    lambda: &'a Lambda,
    frame: &'a Frame<'a>,
}

impl Body<'_> {
    /// Applies the lambda to `n` sets of parameters; set `i` belongs to row `rows[i]` of the batch.
    ///
    /// Failures name sets of parameters.
    pub(crate) fn apply(&self, params: Vec<ArrayRef>, rows: &[usize], failures: &mut Vec<Failure>) -> ArrayRef {
        let n = rows.len();
        let mut columns: Vec<Option<Value>> = vec![None; self.lambda.outer];
        if !self.lambda.captures.is_empty() {
            let positions = UInt64Array::from_iter_values(rows.iter().map(|row| *row as u64));
            for i in &self.lambda.captures {
                columns[*i] = self.frame.columns[*i].as_ref().map(|value| {
                    if value.is_constant() {
                        return value.clone();
                    }
                    let taken = take(value.array().as_ref(), &positions, None);
                    Value::column(taken.expect("rows are rows of the batch"))
                });
            }
        }
        columns.extend(params.into_iter().map(|param| Some(Value::column(param))));
        let context: &EvaluationContext = self.frame.context;
        let program = &self.lambda.program;
        let mut evaluator = Evaluator::new(program, Frame { columns, rows: n, context });
        let outcome = evaluator.open_root(program.roots[0]);
        // What ended inside the lambda is not reported by element; what failed fails the whole call.
        failures.extend(outcome.failures.hard);
        Arc::clone(outcome.value.array())
    }
}
