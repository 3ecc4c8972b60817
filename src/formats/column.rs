//! Columns while they are being filled, for every SQL type, with one thing Arrow's builders lack: [`Column::truncate`].
//!
//! A decoder writes fields into the columns as it meets them. When the record turns out to be bad, or a field comes a
//! second time, the columns are cut back to the row they had before, at every depth: so a bad record leaves no trace,
//! and nothing is staged in between.
//!
//! Invariants:
//! - between records all columns of a decoder have the same length;
//! - inside a record a column may be longer than its validity says (a list whose end is not written yet): truncating
//!   repairs that.

mod nested;
mod values;

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, Date32Array, Decimal128Array, Decimal256Array, Float64Array, Int32Array, Int64Array,
    Time32MillisecondArray, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::i256;

use super::DecodeError;
use crate::types::SqlType;

pub(super) use nested::{ListColumn, MapColumn, StructColumn};
pub(super) use values::{BooleanColumn, Text, Values};

/// Most bytes of records a batch may be made of. Arrow's offsets have 31 bits, and a decoded text is less than twice as
/// long as what it was decoded from (numbers re-spelled inside an array).
const MAX_BATCH_BYTES: usize = 1 << 30;

/// A growing column of one SQL type.
#[derive(Debug)]
pub(super) enum Column {
    Boolean(BooleanColumn),
    Integer(Values<i32>),
    BigInt(Values<i64>),
    Double(Values<f64>),
    /// Up to 38 digits.
    Decimal128 {
        values: Values<i128>,
        precision: u8,
        scale: u8,
    },
    /// Up to 76 digits.
    Decimal256 {
        values: Values<i256>,
        precision: u8,
        scale: u8,
    },
    String(Text),
    Bytes(Text),
    Time(Values<i32>),
    Date(Values<i32>),
    Timestamp(Values<i64>),
    Array(ListColumn),
    Map(MapColumn),
    Struct(StructColumn),
}

impl Column {
    /// An empty column.
    ///
    /// # Panics
    /// If a DECIMAL has more digits than Arrow holds: types are checked where they are declared.
    pub(super) fn new(ty: &SqlType) -> Self {
        match ty {
            SqlType::Boolean => Self::Boolean(BooleanColumn::default()),
            SqlType::Integer => Self::Integer(Values::default()),
            SqlType::BigInt => Self::BigInt(Values::default()),
            SqlType::Double => Self::Double(Values::default()),
            SqlType::Decimal { precision, scale } => {
                let digits = |n: u32| u8::try_from(n).expect("a DECIMAL is checked where it is declared");
                let (precision, scale) = (digits(*precision), digits(*scale));
                if u32::from(precision) <= SqlType::MAX_DECIMAL128_PRECISION {
                    Self::Decimal128 { values: Values::default(), precision, scale }
                } else {
                    Self::Decimal256 { values: Values::default(), precision, scale }
                }
            }
            SqlType::String => Self::String(Text::default()),
            SqlType::Bytes => Self::Bytes(Text::default()),
            SqlType::Time => Self::Time(Values::default()),
            SqlType::Date => Self::Date(Values::default()),
            SqlType::Timestamp => Self::Timestamp(Values::default()),
            SqlType::Array(element) => Self::Array(ListColumn::new(element)),
            SqlType::Map(key, value) => Self::Map(MapColumn::new(key, value)),
            SqlType::Struct(fields) => Self::Struct(StructColumn::new(fields)),
        }
    }

    /// Appends a null.
    pub(super) fn push_null(&mut self) {
        match self {
            Self::Boolean(column) => column.push_null(),
            Self::Integer(values) | Self::Time(values) | Self::Date(values) => values.push_null(),
            Self::BigInt(values) | Self::Timestamp(values) => values.push_null(),
            Self::Double(values) => values.push_null(),
            Self::Decimal128 { values, .. } => values.push_null(),
            Self::Decimal256 { values, .. } => values.push_null(),
            Self::String(text) | Self::Bytes(text) => text.push_null(),
            Self::Array(list) => list.push_null(),
            Self::Map(map) => map.push_null(),
            Self::Struct(row) => row.push_null(),
        }
    }

    /// Cuts the column back to its first `rows` rows, unfinished ones included.
    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Boolean(column) => column.truncate(rows),
            Self::Integer(values) | Self::Time(values) | Self::Date(values) => values.truncate(rows),
            Self::BigInt(values) | Self::Timestamp(values) => values.truncate(rows),
            Self::Double(values) => values.truncate(rows),
            Self::Decimal128 { values, .. } => values.truncate(rows),
            Self::Decimal256 { values, .. } => values.truncate(rows),
            Self::String(text) | Self::Bytes(text) => text.truncate(rows),
            Self::Array(list) => list.truncate(rows),
            Self::Map(map) => map.truncate(rows),
            Self::Struct(row) => row.truncate(rows),
        }
    }

    /// The column as an array of its type's Arrow form; the column is empty afterwards.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(column) => column.finish(),
            Self::Integer(values) => array(values.finish(), |(values, nulls)| Int32Array::new(values, nulls)),
            Self::BigInt(values) => array(values.finish(), |(values, nulls)| Int64Array::new(values, nulls)),
            Self::Double(values) => array(values.finish(), |(values, nulls)| Float64Array::new(values, nulls)),
            Self::Decimal128 { values, precision, scale } => array(values.finish(), |(values, nulls)| {
                Decimal128Array::new(values, nulls)
                    .with_precision_and_scale(*precision, arrow_scale(*scale))
                    .expect("the type's precision and scale have an Arrow form")
            }),
            Self::Decimal256 { values, precision, scale } => array(values.finish(), |(values, nulls)| {
                Decimal256Array::new(values, nulls)
                    .with_precision_and_scale(*precision, arrow_scale(*scale))
                    .expect("the type's precision and scale have an Arrow form")
            }),
            Self::String(text) => text.finish_string(),
            Self::Bytes(text) => text.finish_binary(),
            Self::Time(values) => array(values.finish(), |(values, nulls)| Time32MillisecondArray::new(values, nulls)),
            Self::Date(values) => array(values.finish(), |(values, nulls)| Date32Array::new(values, nulls)),
            Self::Timestamp(values) => {
                array(values.finish(), |(values, nulls)| TimestampMillisecondArray::new(values, nulls))
            }
            Self::Array(list) => list.finish(),
            Self::Map(map) => map.finish(),
            Self::Struct(row) => row.finish(),
        }
    }
}

fn array<V, A: Array + 'static>(parts: V, make: impl FnOnce(V) -> A) -> ArrayRef {
    Arc::new(make(parts))
}

fn arrow_scale(scale: u8) -> i8 {
    i8::try_from(scale).expect("a scale is at most 76")
}

/// Counts the bytes a batch was made of, so that its offsets cannot overflow.
#[derive(Debug, Default)]
pub(super) struct BatchBytes(usize);

impl BatchBytes {
    /// Counts a record of this many bytes.
    ///
    /// # Errors
    /// The batch would hold more than its offsets can address.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > MAX_BATCH_BYTES {
            self.0 -= bytes;
            return Err(DecodeError::new(format!(
                "the record of {bytes} bytes does not fit into a batch, which takes {MAX_BATCH_BYTES}"
            )));
        }
        Ok(())
    }

    /// Begins a new batch.
    pub(super) fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests;
