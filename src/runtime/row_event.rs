//! What a running query tells its client.

use datafusion::arrow::array::RecordBatch;

use crate::diagnostics::Diagnostic;

/// An event of a push query, in order.
#[derive(Debug, Clone)]
pub enum RowEvent {
    /// Rows, with the columns of the query's last edge.
    Rows {
        /// The rows.
        rows: RecordBatch,
        /// For a table: which of them are deletes (then only key columns are filled); `None`: none.
        tombstones: Option<Vec<bool>>,
    },
    /// The LIMIT was reached: the last event.
    LimitReached,
    /// The query is complete: the last event.
    Completed,
    /// The query failed: the last event.
    Failed(Diagnostic),
}
