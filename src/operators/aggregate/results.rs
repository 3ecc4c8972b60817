//! Batches of results: key columns, a column for each call, window bounds; an insert each, or updates with the old
//! result where the edge is a changelog.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, UInt32Array};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::SchemaRef;

use crate::operators::project::rows_of;
use crate::types::{ChangeBatch, EventTime, Header, Offset, Op, Ops, Partition, RowMeta};

/// Rows after which a batch of results held back is closed.
pub(in crate::operators) const MAX_ROWS: usize = 16_384;

/// The row that results which no row makes by itself are said to come from: the last one taken.
#[derive(Debug, Clone, Default)]
pub(in crate::operators) struct LastRow {
    stream_time: EventTime,
    partition: Partition,
    offset: Offset,
    headers: Option<Arc<[Header]>>,
}

impl LastRow {
    /// The last row of a batch that is not empty.
    pub(in crate::operators) fn of(batch: &ChangeBatch) -> Self {
        let last = batch.len() - 1;
        Self {
            stream_time: batch.meta.stream_time[last],
            partition: batch.meta.partition[last],
            offset: batch.meta.offset[last],
            headers: batch.meta.headers.as_ref().map(|headers| Arc::clone(&headers[last])),
        }
    }

    /// The place and time of results with these event times, at stream time `now` or later.
    pub(in crate::operators) fn meta(&self, event_time: Vec<EventTime>, now: EventTime) -> RowMeta {
        let rows = event_time.len();
        RowMeta {
            event_time,
            stream_time: vec![self.stream_time.max(now); rows],
            partition: vec![self.partition; rows],
            offset: vec![self.offset; rows],
            headers: self.headers.as_ref().map(|headers| vec![Arc::clone(headers); rows]),
            rank: None,
        }
    }
}

/// The place of results that rows of `input` make: result `i` comes from row `rows[i]`.
pub(in crate::operators) fn meta_of(input: &ChangeBatch, rows: &[u32], event_time: Vec<EventTime>) -> RowMeta {
    RowMeta { event_time, ..input.meta.pick(rows.iter().map(|row| *row as usize)) }
}

/// Window bounds of results.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    pub(super) starts: Vec<i64>,
    pub(super) ends: Vec<i64>,
}

/// A batch of results.
pub(super) fn batch(
    schema: &SchemaRef,
    keys: Vec<ArrayRef>,
    results: Vec<ArrayRef>,
    bounds: Option<Bounds>,
    ops: Ops,
    meta: RowMeta,
) -> ChangeBatch {
    let rows = meta.event_time.len();
    let mut columns = keys;
    columns.extend(results);
    if let Some(Bounds { starts, ends }) = bounds {
        columns.push(Arc::new(Int64Array::from(starts)));
        columns.push(Arc::new(Int64Array::from(ends)));
    }
    ChangeBatch { rows: rows_of(schema, columns, rows), ops, null_value: None, meta }
}

/// Which results leave, and how: each new one, and before it the prior one if it replaces one.
#[derive(Debug, Default)]
pub(super) struct Picks {
    /// Rows of the result columns.
    pub(super) results: Vec<u32>,
    /// The entry that makes each.
    pub(super) entries: Vec<u32>,
    pub(super) ops: Vec<Op>,
}

impl Picks {
    /// Entry `entry` has result `new`, which replaces `old`.
    pub(super) fn push(&mut self, entry: u32, new: u32, old: Option<u32>) {
        if let Some(old) = old {
            self.results.extend([old, new]);
            self.entries.extend([entry, entry]);
            self.ops.extend([Op::UpdateBefore, Op::UpdateAfter]);
        } else {
            self.results.push(new);
            self.entries.push(entry);
            self.ops.push(Op::Insert);
        }
    }
}

/// `columns` at `rows`.
pub(super) fn take_all(columns: &[ArrayRef], rows: &UInt32Array) -> Vec<ArrayRef> {
    columns
        .iter()
        .map(|column| compute::take(column, rows, None).expect("the rows were counted from the columns"))
        .collect()
}
