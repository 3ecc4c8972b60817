//! What the aggregates share whose state is how often each row came.
//!
//! Saved: as `CountedSet` is.

use std::fmt;

use datafusion::arrow::array::ArrayRef;

use super::counted_set::CountedSet;
use super::encoded::Encoded;
use super::groups::Fold;
use crate::types::{EncodedRows, NotARow};

/// What an aggregate makes of the rows of a group and how often each came.
pub(super) trait OfCounts: Send + fmt::Debug {
    /// Results under construction.
    type Output;

    /// True if a row is added.
    fn adds(&self, _counts: &CountedSet, _row: &[u8]) -> bool {
        true
    }

    /// True if a row is taken back.
    fn removes(&self, _counts: &CountedSet, _row: &[u8]) -> bool {
        true
    }

    /// Adds `earlier`, whose rows came first.
    fn merge(&self, counts: &mut CountedSet, earlier: CountedSet) {
        counts.merge(earlier);
    }

    /// Room for so many results.
    fn output(&self, rows: usize) -> Self::Output;

    /// Appends the result of a group.
    fn put(&self, rows: &Encoded, counts: &CountedSet, output: &mut Self::Output);

    /// The array of results.
    fn finish(&self, rows: &Encoded, output: Self::Output) -> ArrayRef;
}

/// An aggregate over counted rows.
#[derive(Debug)]
pub(super) struct Counted<R> {
    /// How the rows are encoded: equal bytes are equal rows.
    pub(super) rows: Encoded,
    /// What is made of them.
    pub(super) result: R,
}

impl<R: OfCounts> Fold for Counted<R> {
    type State = CountedSet;
    type Input<'a> = EncodedRows;
    type Output = R::Output;

    fn empty(&self) -> CountedSet {
        CountedSet::default()
    }

    fn read(&self, arguments: &[ArrayRef]) -> EncodedRows {
        self.rows.rows(arguments)
    }

    fn add(&self, state: &mut CountedSet, input: &EncodedRows, row: usize) -> Result<(), String> {
        let row = input.get(row);
        if self.result.adds(state, row) {
            state.add(row, 1);
        }
        Ok(())
    }

    fn remove(&self, state: &mut CountedSet, input: &EncodedRows, row: usize) -> Result<(), String> {
        let row = input.get(row);
        if self.result.removes(state, row) {
            state.add(row, -1);
        }
        Ok(())
    }

    fn output(&self, rows: usize) -> R::Output {
        self.result.output(rows)
    }

    fn put(&self, state: &CountedSet, output: &mut R::Output) {
        self.result.put(&self.rows, state, output);
    }

    fn finish(&self, output: R::Output) -> ArrayRef {
        self.result.finish(&self.rows, output)
    }

    fn merge(&self, state: &mut CountedSet, other: CountedSet) -> Result<(), String> {
        self.result.merge(state, other);
        Ok(())
    }

    fn save(&self, state: &CountedSet, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<CountedSet, NotARow> {
        CountedSet::load(&self.rows, bytes)
    }

    fn heap_bytes(&self, state: &CountedSet) -> usize {
        state.heap_bytes()
    }
}
