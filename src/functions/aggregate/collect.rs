//! COLLECT_LIST and COLLECT_SET: the values of a group in an array.
//!
//! Saved: a list as `Items` are; a set as `CountedSet` is, with counts of 1 where rows are never taken back.

use datafusion::arrow::array::ArrayRef;

use super::counted_set::CountedSet;
use super::encoded::{Encoded, Lists, push};
use super::groups::Fold;
use super::items::Items;
use crate::types::{EncodedRows, NotARow};

/// COLLECT_LIST. Values beyond the limit are left out; one that is taken back is the last of its equals.
#[derive(Debug)]
pub(super) struct CollectList {
    pub(super) values: Encoded,
    pub(super) limit: usize,
}

impl Fold for CollectList {
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
        if state.len() < self.limit {
            state.push(input.get(row));
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
        state.iter().for_each(|item| push(item, &mut output.values));
        output.end(state.len());
    }

    fn finish(&self, output: Self::Output) -> ArrayRef {
        output.finish(|rows| self.values.column(rows.iter()))
    }

    fn merge(&self, state: &mut Items, other: Items) -> Result<(), String> {
        let later = std::mem::replace(state, other);
        later.iter().for_each(|item| state.push(item));
        state.truncate(self.limit);
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
    pub(super) values: Encoded,
    pub(super) limit: usize,
    /// Values beyond the limit are kept, because they may come to show.
    pub(super) retracting: bool,
}

impl Fold for CollectSet {
    type State = CountedSet;
    type Input<'a> = EncodedRows;
    type Output = Lists<EncodedRows>;

    fn empty(&self) -> CountedSet {
        CountedSet::default()
    }

    fn read(&self, arguments: &[ArrayRef]) -> EncodedRows {
        self.values.rows(arguments)
    }

    fn add(&self, state: &mut CountedSet, input: &EncodedRows, row: usize) -> Result<(), String> {
        let value = input.get(row);
        if self.retracting || (state.present_len() < self.limit && state.count(value) == 0) {
            state.add(value, 1);
        }
        Ok(())
    }

    fn remove(&self, state: &mut CountedSet, input: &EncodedRows, row: usize) -> Result<(), String> {
        state.add(input.get(row), -1);
        Ok(())
    }

    fn output(&self, _rows: usize) -> Self::Output {
        Lists::new(EncodedRows::default())
    }

    fn put(&self, state: &CountedSet, output: &mut Self::Output) {
        state.present().take(self.limit).for_each(|(value, _)| push(value, &mut output.values));
        output.end(state.present_len().min(self.limit));
    }

    fn finish(&self, output: Self::Output) -> ArrayRef {
        output.finish(|rows| self.values.column(rows.iter()))
    }

    fn merge(&self, state: &mut CountedSet, other: CountedSet) -> Result<(), String> {
        if self.retracting {
            state.merge(other);
        } else {
            let later = std::mem::replace(state, other);
            for (value, _) in later.present() {
                if state.present_len() < self.limit && state.count(value) == 0 {
                    state.add(value, 1);
                }
            }
        }
        Ok(())
    }

    fn save(&self, state: &CountedSet, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<CountedSet, NotARow> {
        CountedSet::load(&self.values, bytes)
    }

    fn heap_bytes(&self, state: &CountedSet) -> usize {
        state.heap_bytes()
    }
}
