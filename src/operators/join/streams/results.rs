//! Results of two streams, put together column by column.

use datafusion::arrow::array::{ArrayRef, UInt32Array};
use datafusion::arrow::compute;

use crate::operators::aggregate::LastRow;
use crate::operators::join::given::Given;
use crate::operators::join::layout::{Layout, SideLayout};
use crate::operators::project::rows_of;
use crate::types::{ChangeBatch, EventTime, Ops};

use super::store::{RowRef, StreamStore};
use crate::operators::join::given::{LEFT, RIGHT};

/// A result under construction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// The entry under way that makes it.
    pub(super) entry: u32,
    pub(super) time: i64,
    pub(super) what: What,
}

/// What a result is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// The row of the batch and one of the other side.
    Pair(RowRef),
    /// The row of the batch alone.
    Alone,
    /// A row of this side, whose wait is over.
    Waited(usize, RowRef),
}

/// Where a side's row comes from.
enum Origin {
    Batch(usize),
    Store(RowRef),
    Absent,
}

/// What made the results: rows, or time alone.
pub(super) enum Cause<'a> {
    Rows(&'a Given),
    Time(&'a LastRow, i64),
}

impl Found {
    /// Where the row of `side` comes from.
    fn origin(&self, side: usize, cause: &Cause<'_>) -> Origin {
        let own = match cause {
            Cause::Rows(given) => Some(given.row(self.entry)),
            Cause::Time(..) => None,
        };
        match self.what {
            What::Pair(_) | What::Alone if own.is_some_and(|(own, _)| own == side) => {
                Origin::Batch(own.map_or(0, |(_, row)| row))
            }
            What::Pair(other) => Origin::Store(other),
            What::Waited(of, row) if of == side => Origin::Store(row),
            What::Alone | What::Waited(..) => Origin::Absent,
        }
    }
}

/// The batch of these results.
pub(super) fn batch(layout: &Layout, store: &StreamStore, cause: &Cause<'_>, found: &[Found]) -> ChangeBatch {
    let sides = [&layout.left, &layout.right];
    let [left, right] = [LEFT, RIGHT].map(|side| columns(sides[side], store, cause, side, found));
    let keys: Vec<ArrayRef> = layout
        .left
        .key
        .iter()
        .zip(&layout.right.key)
        .map(|(in_left, in_right)| key_column(&left[*in_left], &right[*in_right], cause, found))
        .collect();
    let times = found.iter().map(|found| EventTime(found.time)).collect();
    let meta = match cause {
        Cause::Rows(given) => {
            let entries: Vec<u32> = found.iter().map(|found| found.entry).collect();
            given.meta(&entries, times)
        }
        Cause::Time(last, now) => last.meta(times, EventTime(*now)),
    };
    let columns = keys.into_iter().chain(left).chain(right).collect();
    ChangeBatch { rows: rows_of(&layout.schema, columns, found.len()), ops: Ops::Inserts, null_value: None, meta }
}

/// The columns of one side.
fn columns(layout: &SideLayout, store: &StreamStore, cause: &Cause<'_>, side: usize, found: &[Found]) -> Vec<ArrayRef> {
    let own = match cause {
        Cause::Rows(given) => given.side(side),
        Cause::Time(..) => None,
    };
    let origins = || found.iter().map(|found| found.origin(side, cause));
    if let Some(input) = own
        && origins().all(|origin| matches!(origin, Origin::Batch(_)))
    {
        let row = |origin| if let Origin::Batch(row) = origin { row as u32 } else { 0 };
        let rows = UInt32Array::from_iter_values(origins().map(row));
        let take = |column: &ArrayRef| compute::take(column, &rows, None).expect("rows of the batch");
        return input.rows.columns().iter().map(take).collect();
    }
    // NULL in every column.
    let absent = vec![0; layout.codec.types().len()];
    let stored = origins().filter_map(|origin| match origin {
        Origin::Batch(_) => None,
        Origin::Store(row) => Some(store.bytes(side, row)),
        Origin::Absent => Some(&absent[..]),
    });
    let stored = layout.codec.decode(stored).expect("the codec wrote the rows");
    let Some(input) = own else { return stored };
    let mut next_stored = 0..;
    let picks: Vec<(usize, usize)> = origins()
        .map(|origin| match origin {
            Origin::Batch(row) => (0, row),
            Origin::Store(_) | Origin::Absent => (1, next_stored.next().unwrap_or_default()),
        })
        .collect();
    let both = |(from_batch, stored): (&ArrayRef, &ArrayRef)| {
        compute::interleave(&[from_batch.as_ref(), stored.as_ref()], &picks).expect("both are columns of one edge")
    };
    input.rows.columns().iter().zip(&stored).map(both).collect()
}

/// The key of whichever side is there.
fn key_column(left: &ArrayRef, right: &ArrayRef, cause: &Cause<'_>, found: &[Found]) -> ArrayRef {
    let has = |side: usize| found.iter().map(move |found| !matches!(found.origin(side, cause), Origin::Absent));
    if has(LEFT).all(|has| has) {
        return ArrayRef::clone(left);
    }
    if has(RIGHT).all(|has| has) {
        return ArrayRef::clone(right);
    }
    let picks: Vec<(usize, usize)> = has(LEFT).enumerate().map(|(row, has)| (usize::from(!has), row)).collect();
    compute::interleave(&[left.as_ref(), right.as_ref()], &picks).expect("keys of both sides have one type")
}
