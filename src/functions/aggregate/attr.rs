//! ATTR: the value of a group in which all are the same.

use datafusion::arrow::array::ArrayRef;

use super::counted::OfCounts;
use super::counted_set::CountedSet;
use super::encoded::Encoded;
use super::ordered::Ordered;
use crate::types::EncodedRows;

/// ATTR. NULL counts as a value.
#[derive(Debug)]
pub(super) struct Attr;

impl OfCounts for Attr {
    type Output = EncodedRows;

    fn output(&self, _rows: usize) -> EncodedRows {
        EncodedRows::default()
    }

    fn put(&self, _values: &Encoded, counts: &CountedSet, output: &mut EncodedRows) {
        let only = (counts.present_len() == 1).then(|| counts.present().next()).flatten();
        Encoded::push(only.map(|(value, _)| value), output);
    }

    fn finish(&self, values: &Encoded, output: EncodedRows) -> ArrayRef {
        values.array(output)
    }
}
