//! What a join takes at once: rows of one side or of both, and the order in which they come.
//!
//! Rows are known by *entries*: those of the left side first, then those of the right one.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use datafusion::arrow::compute;

use crate::operators::{Port, Round};
use crate::types::{ChangeBatch, EventTime, RowMeta};

/// Left and right side, as places in pairs.
pub(super) const LEFT: usize = 0;
pub(super) const RIGHT: usize = 1;

/// Rows of one side or of both.
#[derive(Debug)]
pub(super) struct Given {
    /// A side has a batch if it has rows.
    sides: [Option<ChangeBatch>; 2],
    /// The number of left rows.
    lefts: usize,
    /// The entries in the order in which they come; `None` if that is the order of entries.
    order: Option<Vec<u32>>,
}

impl Given {
    /// Rows of one side, which is not empty.
    pub(super) fn of(port: Port, input: ChangeBatch) -> Self {
        if port == Port(LEFT) {
            Self { lefts: input.len(), sides: [Some(input), None], order: None }
        } else {
            Self { lefts: 0, sides: [None, Some(input)], order: None }
        }
    }

    /// Rows of both sides.
    pub(super) fn round(round: Round) -> Self {
        let Round { inputs, order } = round;
        let lefts = inputs[LEFT].len();
        Self { lefts, sides: inputs.map(|input| (!input.is_empty()).then_some(input)), order: Some(order) }
    }

    /// The rows of a side, if it has any.
    pub(super) fn side(&self, side: usize) -> Option<&ChangeBatch> {
        self.sides[side].as_ref()
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.sides.iter().flatten().map(ChangeBatch::len).sum()
    }

    /// The entry that comes at this place.
    pub(super) fn entry(&self, place: usize) -> u32 {
        self.order.as_ref().map_or(place as u32, |order| order[place])
    }

    /// The side of an entry, and its row there.
    pub(super) fn row(&self, entry: u32) -> (usize, usize) {
        let entry = entry as usize;
        if entry < self.lefts { (LEFT, entry) } else { (RIGHT, entry - self.lefts) }
    }

    /// The entries of a side.
    pub(super) fn entries(&self, side: usize) -> Range<usize> {
        if side == LEFT { 0..self.lefts } else { self.lefts..self.len() }
    }

    /// The batch of an entry, and its row there.
    pub(super) fn batch(&self, entry: u32) -> (&ChangeBatch, usize) {
        let (side, row) = self.row(entry);
        (self.sides[side].as_ref().expect("a side with entries has rows"), row)
    }

    /// The last row, as a batch.
    pub(super) fn last(&self) -> ChangeBatch {
        let (batch, row) = self.batch(self.entry(self.len() - 1));
        batch.slice(row..row + 1)
    }

    /// Leaves out the rows of a side that are not to be kept.
    pub(super) fn filter(mut self, side: usize, keep: &BooleanArray) -> Self {
        let Some(input) = self.sides[side].take() else { return self };
        let entries = self.entries_with(side, input.len());
        let kept = input.filter(keep).expect("one boolean a row");
        if let Some(order) = &mut self.order {
            let mut new_entries: Vec<Option<u32>> = Vec::with_capacity(order.len());
            let mut next = 0;
            for entry in 0..order.len() {
                let is_kept = !entries.contains(&entry) || keep.value(entry - entries.start);
                new_entries.push(is_kept.then_some(next));
                next += u32::from(is_kept);
            }
            *order = order.iter().filter_map(|entry| new_entries[*entry as usize]).collect();
        }
        if side == LEFT {
            self.lefts = kept.len();
        }
        self.sides[side] = (!kept.is_empty()).then_some(kept);
        self
    }

    fn entries_with(&self, side: usize, rows: usize) -> Range<usize> {
        if side == LEFT { 0..rows } else { self.lefts..self.lefts + rows }
    }

    /// The place of results that these entries make.
    pub(super) fn meta(&self, entries: &[u32], event_time: Vec<EventTime>) -> RowMeta {
        let meta = match &self.sides {
            [Some(only), None] | [None, Some(only)] => only.meta.pick(entries.iter().map(|entry| *entry as usize)),
            _ => {
                let rows = || entries.iter().map(|entry| self.batch(*entry)).map(|(batch, row)| (&batch.meta, row));
                let has_headers = self.sides.iter().flatten().any(|side| side.meta.headers.is_some());
                let none = Arc::from([]);
                let headers_of = |(meta, row): (&RowMeta, usize)| {
                    Arc::clone(meta.headers.as_ref().map_or(&none, |headers| &headers[row]))
                };
                RowMeta {
                    event_time: Vec::new(),
                    stream_time: rows().map(|(meta, row)| meta.stream_time[row]).collect(),
                    partition: rows().map(|(meta, row)| meta.partition[row]).collect(),
                    offset: rows().map(|(meta, row)| meta.offset[row]).collect(),
                    headers: has_headers.then(|| rows().map(headers_of).collect()),
                    rank: rows().map(|(meta, row)| meta.rank.as_ref().map(|rank| rank[row])).collect(),
                }
            }
        };
        RowMeta { event_time, ..meta }
    }

    /// Of columns of both sides, those of a side without rows empty, the values of these entries.
    pub(super) fn take(&self, columns: [&[ArrayRef]; 2], entries: &[u32]) -> Vec<ArrayRef> {
        let take_all = |columns: &[ArrayRef]| -> Vec<ArrayRef> {
            let picks = UInt32Array::from(entries.to_vec());
            let take = |column: &ArrayRef| compute::take(column, &picks, None).expect("entries are rows of the batch");
            columns.iter().map(take).collect()
        };
        match &self.sides {
            [_, None] => take_all(columns[LEFT]),
            [None, _] => take_all(columns[RIGHT]),
            _ => {
                let picks: Vec<(usize, usize)> = entries.iter().map(|entry| self.row(*entry)).collect();
                let both = |(left, right): (&ArrayRef, &ArrayRef)| {
                    compute::interleave(&[left.as_ref(), right.as_ref()], &picks).expect("both sides have one type")
                };
                columns[LEFT].iter().zip(columns[RIGHT]).map(both).collect()
            }
        }
    }
}
