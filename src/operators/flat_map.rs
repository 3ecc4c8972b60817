//! Calls table functions and makes a row for each of their results.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::datatypes::SchemaRef;

use crate::expressions::{EdgeSchema, ErrorSink, Projection};
use crate::types::ChangeBatch;

use super::project::{rows_of, take_or_null};
use super::{Operator, Output, Port, Step};

/// Table functions of a SELECT list, zipped by position to the longest.
///
/// Each call is an expression that gives an ARRAY; its elements become rows behind the columns that are kept. Keeps no
/// state. A row makes as many rows as its longest array has elements, none if all are null or empty; a null row makes
/// none. New rows have the operation, time and place of their row, so that a delete deletes what its insert made;
/// an update becomes the deletes of the old rows, then the inserts of the new ones. Cost: the calls, plus a copy of
/// what comes out. At most [`FlatMap::MAX_ROWS`] rows leave in one batch.
///
/// ```text
///   EXPLODE(A), EXPLODE(B)    + k [1,2] [x] @1   ──▶  + k [1,2] [x] 1 x    @1
///                                                     + k [1,2] [x] 2 null @1
/// ```
#[derive(Debug)]
pub struct FlatMap {
    calls: Projection,
    /// Columns of the input that are passed on.
    kept: Vec<usize>,
    schema: SchemaRef,
    /// What is still to be said of the last batch.
    rest: Option<Rest>,
}

/// A batch under way.
#[derive(Debug)]
struct Rest {
    input: ChangeBatch,
    results: Vec<ArrayRef>,
    next_row: usize,
}

impl FlatMap {
    /// Rows after which a batch is closed; a single row's results stay together.
    pub const MAX_ROWS: usize = 16_384;

    /// A flat map whose output has the input's columns at the indices `kept`, then one for each call.
    pub fn new(calls: Projection, kept: Vec<usize>, output: &EdgeSchema) -> Self {
        Self { calls, kept, schema: output.arrow(), rest: None }
    }
}

impl Operator for FlatMap {
    fn on_changes(&mut self, _port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        let input = input.without_updates();
        let mut errors = ErrorSink::default();
        let results = self.calls.evaluate(&input.rows, &out.context, &mut errors);
        errors.errors.retain(|error| !input.is_null_row(error.row));
        out.report(&input, errors);
        let kept = input.rows.project(&self.kept).expect("kept columns are columns of the input");
        self.rest = Some(Rest { input: input.with_rows(kept), results, next_row: 0 });
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Output) -> Step {
        let Some(mut rest) = self.rest.take() else { return Step::Done };
        out.emit(rest.next(&self.schema));
        if rest.next_row < rest.input.len() {
            self.rest = Some(rest);
            return Step::More;
        }
        Step::Done
    }
}

impl Rest {
    /// The results of the next rows, up to the limit.
    fn next(&mut self, schema: &SchemaRef) -> ChangeBatch {
        let lists: Vec<_> = self.results.iter().map(|array| array.as_list::<i32>()).collect();
        let mut from_row: Vec<u32> = Vec::new();
        let mut elements: Vec<Vec<Option<u32>>> = vec![Vec::new(); lists.len()];
        while self.next_row < self.input.len() && from_row.len() < FlatMap::MAX_ROWS {
            let row = self.next_row;
            self.next_row += 1;
            if self.input.is_null_row(row) {
                continue;
            }
            let length_of = |list: &datafusion::arrow::array::ListArray| {
                if list.is_null(row) { 0 } else { list.value_length(row).unsigned_abs() }
            };
            let longest = lists.iter().map(|list| length_of(list)).max().unwrap_or(0);
            let row_index = u32::try_from(row).expect("a batch has fewer than 2^32 rows");
            from_row.extend((0..longest).map(|_| row_index));
            for (list, elements) in lists.iter().zip(&mut elements) {
                let (start, length) = (list.value_offsets()[row].unsigned_abs(), length_of(list));
                elements.extend((0..longest).map(|i| (i < length).then_some(start + i)));
            }
        }
        let taken = self.input.take(&UInt32Array::from(from_row)).expect("rows are within the batch");
        let mut columns = taken.rows.columns().to_vec();
        for (list, elements) in lists.iter().zip(elements) {
            columns.push(take_or_null(list.values(), &UInt32Array::from(elements)));
        }
        let rows = rows_of(schema, columns, taken.len());
        ChangeBatch { rows, ..taken }
    }
}
