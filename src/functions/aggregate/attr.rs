//! ATTR: the value of a group in which all are the same.
//!
//! Saved: as `CountedSet` is.

use datafusion::arrow::array::ArrayRef;

use super::counted_set::CountedSet;
use super::encoded::Encoded;
use super::groups::Fold;
use super::ordered::Ordered;
use crate::types::{EncodedRows, NotARow};

/// ATTR. NULL counts as a value.
#[derive(Debug)]
pub(super) struct Attr {
    pub(super) values: Encoded,
}

impl Fold for Attr {
    type State = CountedSet;
    type Input<'a> = EncodedRows;
    type Output = EncodedRows;

    fn empty(&self) -> CountedSet {
        CountedSet::default()
    }

    fn read(&self, arguments: &[ArrayRef]) -> EncodedRows {
        self.values.rows(arguments)
    }

    fn add(&self, state: &mut CountedSet, input: &EncodedRows, row: usize) -> Result<(), String> {
        state.add(input.get(row), 1);
        Ok(())
    }

    fn remove(&self, state: &mut CountedSet, input: &EncodedRows, row: usize) -> Result<(), String> {
        state.add(input.get(row), -1);
        Ok(())
    }

    fn output(&self, _rows: usize) -> EncodedRows {
        EncodedRows::default()
    }

    fn put(&self, state: &CountedSet, output: &mut EncodedRows) {
        let only = (state.present_len() == 1).then(|| state.present().next()).flatten();
        Encoded::push(only.map(|(value, _)| value), output);
    }

    fn finish(&self, output: EncodedRows) -> ArrayRef {
        self.values.array(output)
    }

    fn merge(&self, state: &mut CountedSet, other: CountedSet) -> Result<(), String> {
        state.merge(other);
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
