//! Columns of values without inner structure, and the validity every column has.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, StringArray};
use datafusion::arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::ArrowNativeType;

/// Which rows are not null. No bit is written before the first null comes.
#[derive(Debug, Default)]
pub(in crate::formats) struct Validity {
    /// Rows so far, as long as none is null.
    rows: usize,
    /// One bit a row from the first null on.
    bits: Option<BooleanBufferBuilder>,
}

impl Validity {
    #[inline(always)]
    pub(super) fn push_valid(&mut self) {
        match &mut self.bits {
            None => self.rows += 1,
            Some(bits) => bits.append(true),
        }
    }

    pub(super) fn push_null(&mut self) {
        let rows = self.rows;
        let bits = self.bits.get_or_insert_with(|| {
            let mut bits = BooleanBufferBuilder::new(rows + 1);
            bits.append_n(rows, true);
            bits
        });
        bits.append(false);
    }

    pub(super) fn len(&self) -> usize {
        self.bits.as_ref().map_or(self.rows, BooleanBufferBuilder::len)
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        match &mut self.bits {
            None => self.rows = self.rows.min(rows),
            Some(bits) if rows < bits.len() => bits.truncate(rows),
            Some(_) => {}
        }
    }

    pub(super) fn finish(&mut self) -> Option<NullBuffer> {
        self.rows = 0;
        self.bits.take().map(|mut bits| NullBuffer::new(bits.finish())).filter(|nulls| nulls.null_count() > 0)
    }
}

/// Replaces a vector by an empty one with room for as much again: the next batch will look like this one.
pub(super) fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let capacity = values.len();
    std::mem::replace(values, Vec::with_capacity(capacity))
}

/// Booleans.
#[derive(Debug)]
pub(in crate::formats) struct BooleanColumn {
    bits: BooleanBufferBuilder,
    validity: Validity,
}

impl Default for BooleanColumn {
    fn default() -> Self {
        Self { bits: BooleanBufferBuilder::new(0), validity: Validity::default() }
    }
}

impl BooleanColumn {
    pub(in crate::formats) fn push(&mut self, value: bool) {
        self.bits.append(value);
        self.validity.push_valid();
    }

    pub(super) fn push_null(&mut self) {
        self.bits.append(false);
        self.validity.push_null();
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        if rows < self.bits.len() {
            self.bits.truncate(rows);
        }
        self.validity.truncate(rows);
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        Arc::new(BooleanArray::new(self.bits.finish(), self.validity.finish()))
    }
}

/// Numbers of one width.
#[derive(Debug, Default)]
pub(in crate::formats) struct Values<T> {
    values: Vec<T>,
    validity: Validity,
}

impl<T: ArrowNativeType> Values<T> {
    #[inline(always)]
    pub(in crate::formats) fn push(&mut self, value: T) {
        self.values.push(value);
        self.validity.push_valid();
    }

    pub(super) fn push_null(&mut self) {
        self.values.push(T::default());
        self.validity.push_null();
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.validity.truncate(rows);
    }

    pub(super) fn finish(&mut self) -> (ScalarBuffer<T>, Option<NullBuffer>) {
        (ScalarBuffer::from(take(&mut self.values)), self.validity.finish())
    }
}

/// Texts or byte strings, one after the other.
///
/// Each is written by pushing to [`Text::buffer`] and then calling [`Text::end`].
#[derive(Debug, Default)]
pub(in crate::formats) struct Text {
    bytes: Vec<u8>,
    /// Where each row ends; its start is the end of the row before.
    ends: Vec<i32>,
    validity: Validity,
}

impl Text {
    /// Appends a row.
    #[inline(always)]
    pub(in crate::formats) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.end();
    }

    /// Where the bytes of the next row go. Of a STRING they must be UTF-8 when the row ends.
    pub(in crate::formats) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the row.
    #[inline(always)]
    pub(in crate::formats) fn end(&mut self) {
        self.end_offset();
        self.validity.push_valid();
    }

    #[inline(always)]
    fn end_offset(&mut self) {
        self.ends.push(i32::try_from(self.bytes.len()).expect("BatchBytes bounds what a batch is made of"));
    }

    pub(super) fn push_null(&mut self) {
        self.end_offset();
        self.validity.push_null();
    }

    /// The bytes of `row`.
    pub(super) fn row(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.bytes[start..self.ends[row] as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        self.bytes.truncate(self.ends.last().map_or(0, |&end| end as usize));
        self.validity.truncate(rows);
    }

    pub(super) fn finish_string(&mut self) -> ArrayRef {
        let (offsets, bytes, nulls) = self.finish_parts();
        Arc::new(StringArray::try_new(offsets, bytes, nulls).expect("decoders push UTF-8 only"))
    }

    pub(super) fn finish_binary(&mut self) -> ArrayRef {
        let (offsets, bytes, nulls) = self.finish_parts();
        Arc::new(BinaryArray::new(offsets, bytes, nulls))
    }

    fn finish_parts(&mut self) -> (OffsetBuffer<i32>, Buffer, Option<NullBuffer>) {
        (offsets(&mut self.ends), Buffer::from_vec(take(&mut self.bytes)), self.validity.finish())
    }
}

/// Arrow's offsets, which begin with a zero.
pub(super) fn offsets(ends: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.append(ends);
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}
