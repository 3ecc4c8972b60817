//! HISTOGRAM: how often each value stands in a group.
//!
//! Saved: as `CountedSet` is.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array, MapArray, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Fields};

use super::counted_set::CountedSet;
use super::encoded::{Encoded, is_null, push};
use super::groups::Fold;
use crate::types::{EncodedRows, NotARow, SqlType};

/// The most values that are counted.
const LIMIT: usize = 1000;

/// HISTOGRAM of texts; NULL, which is no key of a map, is left out.
#[derive(Debug)]
pub(super) struct Histogram(Encoded);

impl Histogram {
    pub(super) fn new() -> Self {
        Self(Encoded::new(&[SqlType::String]))
    }
}

/// Maps under construction.
#[derive(Debug)]
pub(super) struct Maps {
    keys: EncodedRows,
    counts: Vec<i64>,
    lengths: Vec<usize>,
}

impl Fold for Histogram {
    type State = CountedSet;
    type Input<'a> = EncodedRows;
    type Output = Maps;

    fn empty(&self) -> CountedSet {
        CountedSet::default()
    }

    fn read(&self, arguments: &[ArrayRef]) -> EncodedRows {
        self.0.rows(arguments)
    }

    fn add(&self, state: &mut CountedSet, input: &EncodedRows, row: usize) -> Result<(), String> {
        let value = input.get(row);
        if !is_null(value) && (state.present_len() < LIMIT || state.count(value) > 0) {
            state.add(value, 1);
        }
        Ok(())
    }

    fn remove(&self, state: &mut CountedSet, input: &EncodedRows, row: usize) -> Result<(), String> {
        let value = input.get(row);
        // One that was left out because of the limit stays out.
        if state.count(value) > 0 {
            state.add(value, -1);
        }
        Ok(())
    }

    fn output(&self, rows: usize) -> Maps {
        Maps { keys: EncodedRows::default(), counts: Vec::new(), lengths: Vec::with_capacity(rows) }
    }

    fn put(&self, state: &CountedSet, output: &mut Maps) {
        for (value, count) in state.present() {
            push(value, &mut output.keys);
            output.counts.push(count);
        }
        output.lengths.push(state.present_len());
    }

    fn finish(&self, output: Maps) -> ArrayRef {
        let keys = self.0.column(output.keys.iter());
        let fields =
            Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, true)]);
        let entries = Arc::new(Field::new("entries", DataType::Struct(fields.clone()), false));
        let pairs = StructArray::new(fields, vec![keys, Arc::new(Int64Array::from(output.counts))], None);
        debug_assert_eq!(pairs.len(), output.lengths.iter().sum::<usize>(), "every pair is of a map");
        Arc::new(MapArray::new(entries, OffsetBuffer::from_lengths(output.lengths), pairs, None, false))
    }

    fn merge(&self, state: &mut CountedSet, other: CountedSet) -> Result<(), String> {
        state.merge(other);
        Ok(())
    }

    fn save(&self, state: &CountedSet, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<CountedSet, NotARow> {
        CountedSet::load(&self.0, bytes)
    }

    fn heap_bytes(&self, state: &CountedSet) -> usize {
        state.heap_bytes()
    }
}
