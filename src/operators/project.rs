//! Computes columns.

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::SchemaRef;

use crate::expressions::{EdgeSchema, ErrorSink, Projection};
use crate::types::{ChangeBatch, Op, Ops};

use super::{Operator, Output, Port, Step};

/// The SELECT list: one expression for each column of the output edge.
///
/// Keeps no state; emits one row for each row, with its operation, time and place. A null row stays a null row: its
/// key columns are computed, what fails on its missing values is not reported. A value that fails to evaluate is
/// NULL and reported. Cost: the expressions.
///
/// ```text
///   SELECT K, V + 1      + a 10 @1          + a 11 @1
///                        + b null @2  ──▶   + b null @2     (null row)
///                       -u c 7  @3         -u c 8  @3
///                       +u c 2  @3         +u c 3  @3
/// ```
#[derive(Debug)]
pub struct Project {
    projection: Projection,
    /// Columns that are NULL for rows without a value.
    needs_value: Vec<usize>,
    schema: SchemaRef,
}

impl Project {
    /// A projection to the columns of `output`; `projection` holds one expression for each. Those at the indices
    /// `needs_value` are NULL for null rows and deletes, whatever their expression gives.
    pub fn new(projection: Projection, needs_value: Vec<usize>, output: &EdgeSchema) -> Self {
        Self { projection, needs_value, schema: output.arrow() }
    }

    fn clear_without_value(&self, columns: &mut [ArrayRef], input: &ChangeBatch) {
        if self.needs_value.is_empty() || (input.null_value.is_none() && input.ops == Ops::Inserts) {
            return;
        }
        let without: BooleanArray =
            (0..input.len()).map(|row| Some(input.is_null_row(row) || input.ops.get(row) == Op::Delete)).collect();
        for &index in &self.needs_value {
            columns[index] =
                compute::nullif(&columns[index], &without).expect("the mask is as long as the computed columns");
        }
    }
}

impl Operator for Project {
    fn on_changes(&mut self, _port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        let mut errors = ErrorSink::default();
        let mut columns = self.projection.evaluate(&input.rows, &out.context, &mut errors);
        self.clear_without_value(&mut columns, &input);
        errors.errors.retain(|error| !input.is_null_row(error.row));
        out.report(&input, errors);
        let rows = rows_of(&self.schema, columns, input.len());
        out.emit(ChangeBatch { rows, ..input });
        Step::Done
    }
}

/// A batch of these columns, which may be none.
///
/// # Panics
/// If the columns do not have the types of the schema: the compiler of the expressions and the planner disagree.
pub(super) fn rows_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)
        .unwrap_or_else(|error| panic!("computed columns do not fit the edge: {error}"))
}

/// `column` at `indices`, null where the index is.
pub(super) fn take_or_null(column: &ArrayRef, indices: &UInt32Array) -> ArrayRef {
    if column.is_empty() {
        return new_null_array(column.data_type(), indices.len());
    }
    compute::take(column, indices, None).expect("indices point into the column")
}
