//! HISTOGRAM: how often each value stands in a group.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array, MapArray, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, Fields};

use super::counted::OfCounts;
use super::counted_set::CountedSet;
use super::encoded::{Encoded, is_null, push};
use crate::types::EncodedRows;

/// The most values that are counted.
const LIMIT: usize = 1000;

/// HISTOGRAM of texts; NULL, which is no key of a map, is left out.
#[derive(Debug)]
pub(super) struct Histogram;

/// Maps under construction.
#[derive(Debug)]
pub(super) struct Maps {
    keys: EncodedRows,
    counts: Vec<i64>,
    lengths: Vec<usize>,
}

impl OfCounts for Histogram {
    type Output = Maps;

    fn adds(&self, counts: &CountedSet, value: &[u8]) -> bool {
        !is_null(value) && (counts.present_len() < LIMIT || counts.count(value) > 0)
    }

    /// One that was left out because of the limit stays out.
    fn removes(&self, counts: &CountedSet, value: &[u8]) -> bool {
        counts.count(value) > 0
    }

    fn output(&self, rows: usize) -> Maps {
        Maps { keys: EncodedRows::default(), counts: Vec::new(), lengths: Vec::with_capacity(rows) }
    }

    fn put(&self, _values: &Encoded, counts: &CountedSet, output: &mut Maps) {
        for (value, count) in counts.present() {
            push(value, &mut output.keys);
            output.counts.push(count);
        }
        output.lengths.push(counts.present_len());
    }

    fn finish(&self, values: &Encoded, output: Maps) -> ArrayRef {
        let keys = values.column(output.keys.iter());
        let fields =
            Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Int64, true)]);
        let entries = Arc::new(Field::new("entries", DataType::Struct(fields.clone()), false));
        let pairs = StructArray::new(fields, vec![keys, Arc::new(Int64Array::from(output.counts))], None);
        debug_assert_eq!(pairs.len(), output.lengths.iter().sum::<usize>(), "every pair is of a map");
        Arc::new(MapArray::new(entries, OffsetBuffer::from_lengths(output.lengths), pairs, None, false))
    }
}
