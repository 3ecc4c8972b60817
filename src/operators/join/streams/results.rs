//! Results of two streams, put together column by column.

use datafusion::arrow::array::{ArrayRef, UInt32Array};
use datafusion::arrow::compute;

use crate::operators::aggregate::{LastRow, meta_of};
use crate::operators::join::layout::{Layout, SideLayout};
use crate::operators::project::rows_of;
use crate::types::{ChangeBatch, EventTime, Ops};

use super::meeting::{LEFT, RIGHT};
use super::store::{RowRef, StreamStore};

/// A result under construction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// The row of the batch under way that makes it.
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
    Batch(u32),
    Store(RowRef),
    Absent,
}

/// What made the results: rows of a batch of one side, or time alone.
pub(super) enum Cause<'a> {
    Rows(usize, &'a ChangeBatch),
    Time(&'a LastRow, i64),
}

impl Found {
    /// Where the row of `side` comes from, in a batch of side `own`.
    fn origin(&self, side: usize, own: Option<usize>) -> Origin {
        match self.what {
            What::Pair(_) | What::Alone if own == Some(side) => Origin::Batch(self.entry),
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
        Cause::Rows(_, input) => {
            let entries: Vec<u32> = found.iter().map(|found| found.entry).collect();
            meta_of(input, &entries, times)
        }
        Cause::Time(last, now) => last.meta(times, EventTime(*now)),
    };
    let columns = keys.into_iter().chain(left).chain(right).collect();
    ChangeBatch { rows: rows_of(&layout.schema, columns, found.len()), ops: Ops::Inserts, null_value: None, meta }
}

/// The columns of one side.
fn columns(layout: &SideLayout, store: &StreamStore, cause: &Cause<'_>, side: usize, found: &[Found]) -> Vec<ArrayRef> {
    let own = match cause {
        Cause::Rows(own, input) if *own == side => Some(*input),
        _ => None,
    };
    let own_side = match cause {
        Cause::Rows(own, _) => Some(*own),
        Cause::Time(..) => None,
    };
    let origins = || found.iter().map(|found| found.origin(side, own_side));
    if let Some(input) = own
        && found.iter().all(|found| !matches!(found.what, What::Waited(..)))
    {
        let entries = UInt32Array::from_iter_values(found.iter().map(|found| found.entry));
        let take = |column: &ArrayRef| compute::take(column, &entries, None).expect("entries are rows of the batch");
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
            Origin::Batch(entry) => (0, entry as usize),
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
    let own = match cause {
        Cause::Rows(own, _) => Some(*own),
        Cause::Time(..) => None,
    };
    let has = |side: usize| found.iter().map(move |found| !matches!(found.origin(side, own), Origin::Absent));
    if has(LEFT).all(|has| has) {
        return ArrayRef::clone(left);
    }
    if has(RIGHT).all(|has| has) {
        return ArrayRef::clone(right);
    }
    let picks: Vec<(usize, usize)> = has(LEFT).enumerate().map(|(row, has)| (usize::from(!has), row)).collect();
    compute::interleave(&[left.as_ref(), right.as_ref()], &picks).expect("keys of both sides have one type")
}
