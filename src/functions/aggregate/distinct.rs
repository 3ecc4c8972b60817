//! `DISTINCT` in front of any aggregate's arguments: a row counts when it is the first of its equals, and is taken back with
//! the last of them.
//!
//! Saved: the distinct rows as `CountedSet` is; what the aggregate keeps is computed from them.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::buffer::BooleanBuffer;

use super::counted_set::CountedSet;
use super::encoded::Encoded;
use super::incremental::{AggregateError, AggregateRows, IncrementalAggregate};
use crate::types::NotARow;

/// An aggregate over the distinct rows of each group.
#[derive(Debug)]
pub(super) struct Distinct {
    rows: Encoded,

    inner: Box<dyn IncrementalAggregate>,
    sets: Vec<CountedSet>,
    heap: usize,
}

impl Distinct {
    /// `inner` sees each distinct row of `rows` once.
    pub(super) fn boxed(rows: Encoded, inner: Box<dyn IncrementalAggregate>) -> Box<dyn IncrementalAggregate> {
        Box::new(Self { rows, inner, sets: Vec::new(), heap: 0 })
    }

    /// Counts the rows; gives those that the inner aggregate has to see.
    fn changes(&mut self, rows: &AggregateRows<'_>) -> BooleanBuffer {
        let encoded = self.rows.rows(rows.arguments);
        BooleanBuffer::collect_bool(rows.groups.len(), |row| {
            if rows.counted.is_some_and(|counted| !counted.value(row)) {
                return false;
            }
            let set = &mut self.sets[rows.groups[row] as usize];
            let retracted = rows.retracted.is_some_and(|retracted| retracted.value(row));
            let before = set.heap_bytes();
            let (was, is) = set.add(encoded.get(row), if retracted { -1 } else { 1 });
            self.heap = self.heap + set.heap_bytes() - before;
            (was > 0) != (is > 0)
        })
    }

    fn replace(&mut self, group: u32, set: CountedSet) -> CountedSet {
        self.heap += set.heap_bytes();
        let former = std::mem::replace(&mut self.sets[group as usize], set);
        self.heap -= former.heap_bytes();
        former
    }

    /// Computes the inner aggregate of a group from its distinct rows.
    fn recompute(&mut self, group: u32) -> Result<(), AggregateError> {
        self.inner.clear(group);
        let set = &self.sets[group as usize];
        let groups = vec![group; set.present_len()];
        let arguments = self.rows.columns(set.present().map(|(row, _)| row));
        self.inner.update(&AggregateRows { groups: &groups, arguments: &arguments, retracted: None, counted: None })
    }
}

impl IncrementalAggregate for Distinct {
    fn resize(&mut self, groups: usize) {
        if groups > self.sets.len() {
            self.sets.resize_with(groups, CountedSet::default);
        }
        self.inner.resize(groups);
    }

    fn update(&mut self, rows: &AggregateRows<'_>) -> Result<(), AggregateError> {
        let counted = self.changes(rows);
        self.inner.update(&AggregateRows { counted: Some(&counted), ..*rows })
    }

    fn update_each(&mut self, rows: &AggregateRows<'_>) -> Result<ArrayRef, AggregateError> {
        let counted = self.changes(rows);
        self.inner.update_each(&AggregateRows { counted: Some(&counted), ..*rows })
    }

    fn output(&self, groups: &[u32]) -> ArrayRef {
        self.inner.output(groups)
    }

    fn merge(&mut self, into: u32, from: u32) -> Result<(), AggregateError> {
        if into == from {
            return Ok(());
        }
        let earlier = self.replace(from, CountedSet::default());
        self.inner.clear(from);
        let mut merged = self.replace(into, CountedSet::default());
        merged.merge(earlier);
        self.replace(into, merged);
        self.recompute(into).map_err(|error| AggregateError { row: 0, ..error })
    }

    fn clear(&mut self, group: u32) {
        self.replace(group, CountedSet::default());
        self.inner.clear(group);
    }

    fn save(&self, group: u32, out: &mut Vec<u8>) {
        self.sets[group as usize].save(out);
    }

    fn load(&mut self, group: u32, bytes: &mut &[u8]) -> Result<(), NotARow> {
        let length = bytes.len();
        let set = CountedSet::load(&self.rows, bytes)?;
        self.replace(group, set);
        self.recompute(group).map_err(|_| NotARow(length))
    }

    fn size_bytes(&self) -> usize {
        self.inner.size_bytes() + self.sets.capacity() * size_of::<CountedSet>() + self.heap
    }
}
