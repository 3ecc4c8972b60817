//! Rows as bytes that keep their order: keys and values of stored state, and of the tables that pull queries read.
//!
//! The bytes are part of stored state. They are written down here, version 1, and pinned by a test: never change them.
//!
//! - a row is its columns one after the other; a column is `00` for NULL, else `01` and the value;
//! - BOOLEAN is `00` or `01`; INTEGER, DATE, TIME (milliseconds) are 4 bytes and BIGINT, TIMESTAMP (milliseconds) 8 bytes
//!   big-endian with the sign bit flipped; DOUBLE is 8 bytes, the IEEE bits with the sign bit flipped, or all bits if it
//!   is negative; DECIMAL is the unscaled value in 16 bytes (up to 38 digits) or 32, as integers are;
//! - STRING and BYTES are their bytes with `00` as `00 FF`, then `00 01`;
//! - ARRAY is `01` and a column for each element, then `00`; MAP the same with two columns a pair, keys in the order the
//!   map has them; STRUCT is its fields' columns.
//!
//! Invariants:
//! - the bytes of rows of one schema compare as the rows do, column by column, NULL first (texts by their UTF-8);
//! - no row's bytes begin another row's: rows may be joined, and a row of the first columns is a prefix of its rows;
//! - equal values have equal bytes, but for `-0.0` and NaN, which keep their bits.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use datafusion::arrow::array::ArrayRef;

use super::SqlType;

/// Reads and writes rows of one schema.
#[derive(Debug, Clone)]
pub struct RowCodec {
    types: Vec<SqlType>,
}

/// Bytes that are no row of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are not a row of this schema")]
pub struct NotARow(pub usize);

/// Rows one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedRows {
    /// The bytes of all rows.
    pub data: Vec<u8>,
    /// Where each row ends in `data`.
    pub ends: Vec<usize>,
}

impl EncodedRows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.data[start..self.ends[row]]
    }

    /// All rows in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|row| self.get(row))
    }
}

impl RowCodec {
    /// A codec for rows of columns of these types.
    pub fn new(types: impl IntoIterator<Item = SqlType>) -> Self {
        Self { types: types.into_iter().collect() }
    }

    /// The types of the columns.
    pub fn types(&self) -> &[SqlType] {
        &self.types
    }

    /// The bytes of `rows` rows of these columns, which have the Arrow form of the codec's types.
    pub fn encode(&self, columns: &[ArrayRef], rows: usize) -> EncodedRows {
        let mut encoded = EncodedRows { data: Vec::with_capacity(rows * 9 * columns.len()), ends: Vec::new() };
        encode::append(columns, rows, &mut encoded);
        encoded
    }

    /// As [`Self::encode`], behind what `encoded` holds already.
    pub fn append(&self, columns: &[ArrayRef], rows: usize, encoded: &mut EncodedRows) {
        encode::append(columns, rows, encoded);
    }

    /// Appends the bytes of one row.
    pub fn append_row(&self, columns: &[ArrayRef], row: usize, out: &mut Vec<u8>) {
        encode::append_row(columns, row, out);
    }

    /// The columns of these rows.
    ///
    /// # Errors
    /// Bytes that are no row of the schema, or have more behind it.
    pub fn decode<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, NotARow> {
        decode::columns(&self.types, rows)
    }

    /// As [`Self::decode`], but only the columns whose place in `wanted` is true; the others are skipped.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_wanted<'a>(
        &self,
        wanted: &[bool],
        rows: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<Option<ArrayRef>>, NotARow> {
        decode::wanted_columns(&self.types, wanted, rows)
    }

    /// The length of the row that `bytes` begin with.
    ///
    /// # Errors
    /// They begin with no row of the schema.
    pub fn row_length(&self, bytes: &[u8]) -> Result<usize, NotARow> {
        decode::row_length(&self.types, bytes)
    }
}
