//! COLLECT_LIST, COLLECT_SET, and several values of EARLIEST_BY_OFFSET or LATEST_BY_OFFSET: values of a group in an array;
//! NTH_VALUE: the last of the first n.
//!
//! Saved: a list as `Items` are; a set as `CountedSet` is, with counts of 1 where rows are never taken back.

use datafusion::arrow::array::ArrayRef;

use super::by_offset::Kept;
use super::counted::OfCounts;
use super::counted_set::CountedSet;
use super::encoded::{Encoded, Lists, is_null, push};
use super::groups::Fold;
use super::items::Items;
use super::ordered::Ordered;
use crate::types::{EncodedRows, NotARow};

/// The first or the last `n` values, the oldest first. A value that is taken back is the last of its equals.
///
/// Sessions that grow together keep the last `n` of both; ksqlDB keeps the first `n` of what both kept.
#[derive(Debug)]
pub(super) struct Several {
    pub(super) values: Encoded,
    pub(super) n: usize,
    pub(super) kept: Kept,
    /// The result is the n-th value, not an array of all.
    pub(super) only_nth: bool,
}

impl Several {
    fn keep(&self, items: &mut Items, item: &[u8]) {
        if self.kept.latest || items.len() < self.n {
            items.push(item);
            if items.len() > self.n {
                items.remove(0);
            }
        }
    }
}

impl Fold for Several {
    type State = Items;
    type Input<'a> = EncodedRows;
    type Output = Lists<EncodedRows>;

    fn empty(&self) -> Items {
        Items::default()
    }

    fn read(&self, arguments: &[ArrayRef]) -> EncodedRows {
        self.values.rows(arguments)
    }

    fn add(&self, state: &mut Items, input: &EncodedRows, row: usize) -> Result<(), String> {
        let item = input.get(row);
        if !(self.kept.ignores_nulls && is_null(item)) {
            self.keep(state, item);
        }
        Ok(())
    }

    fn remove(&self, state: &mut Items, input: &EncodedRows, row: usize) -> Result<(), String> {
        state.remove_last(input.get(row));
        Ok(())
    }

    fn output(&self, _rows: usize) -> Self::Output {
        Lists::new(EncodedRows::default())
    }

    fn put(&self, state: &Items, output: &mut Self::Output) {
        if self.only_nth {
            return Encoded::push(state.iter().nth(self.n - 1), &mut output.values);
        }
        state.iter().for_each(|item| push(item, &mut output.values));
        output.end(state.len());
    }

    fn finish(&self, output: Self::Output) -> ArrayRef {
        if self.only_nth {
            return self.values.column(output.values.iter());
        }
        output.finish(|rows| self.values.column(rows.iter()))
    }

    fn merge(&self, state: &mut Items, other: Items) -> Result<(), String> {
        let later = std::mem::replace(state, other);
        later.iter().for_each(|item| self.keep(state, item));
        Ok(())
    }

    fn save(&self, state: &Items, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Items, NotARow> {
        Items::load(&self.values, bytes)
    }

    fn heap_bytes(&self, state: &Items) -> usize {
        state.heap_bytes()
    }
}

/// COLLECT_SET.
#[derive(Debug)]
pub(super) struct CollectSet {
    pub(super) limit: usize,
    /// Values beyond the limit are kept, because they may come to show.
    pub(super) retracting: bool,
}

impl OfCounts for CollectSet {
    type Output = Lists<EncodedRows>;

    fn adds(&self, counts: &CountedSet, value: &[u8]) -> bool {
        self.retracting || (counts.present_len() < self.limit && counts.count(value) == 0)
    }

    fn merge(&self, counts: &mut CountedSet, earlier: CountedSet) {
        if self.retracting {
            return counts.merge(earlier);
        }
        let later = std::mem::replace(counts, earlier);
        for (value, _) in later.present() {
            if self.adds(counts, value) {
                counts.add(value, 1);
            }
        }
    }

    fn output(&self, _rows: usize) -> Self::Output {
        Lists::new(EncodedRows::default())
    }

    fn put(&self, _values: &Encoded, counts: &CountedSet, output: &mut Self::Output) {
        counts.present().take(self.limit).for_each(|(value, _)| push(value, &mut output.values));
        output.end(counts.present_len().min(self.limit));
    }

    fn finish(&self, values: &Encoded, output: Self::Output) -> ArrayRef {
        output.finish(|rows| values.column(rows.iter()))
    }
}
