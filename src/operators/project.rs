//! Computes columns.

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::SchemaRef;

use crate::expressions::{EdgeSchema, ErrorSink, Projection};
use crate::types::ChangeBatch;

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
    schema: SchemaRef,
}

impl Project {
    /// A projection to the columns of `output`; `projection` holds one expression for each.
    pub fn new(projection: Projection, output: &EdgeSchema) -> Self {
        Self { projection, schema: output.arrow() }
    }
}

impl Operator for Project {
    fn on_changes(&mut self, _port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        let mut errors = ErrorSink::default();
        let columns = self.projection.evaluate(&input.rows, &out.context, &mut errors);
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
