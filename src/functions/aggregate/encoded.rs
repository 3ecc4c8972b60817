//! Values of any type as the bytes of `RowCodec`: what aggregates keep where the type does not matter.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ListArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field};

use super::equal_maps;
use super::ordered::Ordered;
use super::saved::{load_bytes, save_bytes, take};
use crate::types::{EncodedRows, NotARow, RowCodec, SqlType};

/// The bytes of NULL.
const NULL: &[u8] = &[0];

/// Values of one type, or rows of several columns.
#[derive(Debug)]
pub(super) struct Encoded {
    codec: RowCodec,
    /// Equal maps have equal bytes.
    sorts_maps: bool,
}

impl Encoded {
    /// Rows of columns of these types.
    pub(super) fn new(types: &[SqlType]) -> Self {
        Self { codec: RowCodec::new(types.iter().cloned()), sorts_maps: false }
    }

    /// Rows whose bytes are equal where the rows are: the entries of maps are sorted.
    pub(super) fn of_equals(types: &[SqlType]) -> Self {
        Self { sorts_maps: types.iter().any(SqlType::contains_map), ..Self::new(types) }
    }

    /// The bytes of each row.
    pub(super) fn rows(&self, columns: &[ArrayRef]) -> EncodedRows {
        let rows = columns.first().map_or(0, |column| column.len());
        if self.sorts_maps {
            let typed = columns.iter().zip(self.codec.types());
            let sorted: Vec<ArrayRef> = typed.map(|(column, ty)| equal_maps::sorted(column, ty)).collect();
            return self.codec.encode(&sorted, rows);
        }
        self.codec.encode(columns, rows)
    }

    /// The columns of rows that this made or checked.
    pub(super) fn columns<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> Vec<ArrayRef> {
        self.codec.decode(rows).expect("rows were encoded here, or checked when they were loaded")
    }

    /// The first of the columns.
    pub(super) fn column<'a>(&self, rows: impl IntoIterator<Item = &'a [u8]>) -> ArrayRef {
        self.columns(rows).swap_remove(0)
    }

    /// Takes off a row.
    pub(super) fn take<'a>(&self, bytes: &mut &'a [u8]) -> Result<&'a [u8], NotARow> {
        let length = self.codec.row_length(bytes)?;
        take(bytes, length)
    }
}

/// True if these are the bytes of NULL.
pub(super) fn is_null(bytes: &[u8]) -> bool {
    bytes == NULL
}

/// Appends a row.
pub(super) fn push(bytes: &[u8], rows: &mut EncodedRows) {
    rows.data.extend_from_slice(bytes);
    rows.ends.push(rows.data.len());
}

/// The order is that of the bytes: one that stays, without a meaning.
impl Ordered for Encoded {
    type Ref = [u8];
    type Key = Vec<u8>;
    type Column<'a> = EncodedRows;
    type Values = EncodedRows;

    fn column(&self, arguments: &[ArrayRef]) -> EncodedRows {
        self.rows(arguments)
    }

    fn get(column: &EncodedRows, row: usize) -> Option<&[u8]> {
        Some(column.get(row)).filter(|bytes| !is_null(bytes))
    }

    fn values(&self, _rows: usize) -> EncodedRows {
        EncodedRows::default()
    }

    fn push(key: Option<&[u8]>, values: &mut EncodedRows) {
        push(key.unwrap_or(NULL), values);
    }

    fn array(&self, values: EncodedRows) -> ArrayRef {
        self.column(values.iter())
    }

    fn save(key: &[u8], out: &mut Vec<u8>) {
        save_bytes(key, out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Vec<u8>, NotARow> {
        let mut key = load_bytes(bytes)?;
        let row = self.take(&mut key)?;
        if key.is_empty() { Ok(row.to_vec()) } else { Err(NotARow(key.len())) }
    }

    fn heap_bytes(key: &Vec<u8>) -> usize {
        key.capacity()
    }
}

/// Arrays of values under construction: the values of all, and where each array ends.
#[derive(Debug)]
pub(super) struct Lists<V> {
    pub(super) values: V,
    ends: Vec<i32>,
    length: i32,
}

impl<V> Lists<V> {
    /// No arrays.
    pub(super) fn new(values: V) -> Self {
        Self { values, ends: vec![0], length: 0 }
    }

    /// Says that an array ends here, after so many more values.
    pub(super) fn end(&mut self, added: usize) {
        let added = i32::try_from(added).ok().and_then(|added| self.length.checked_add(added));
        self.length = added.expect("the arrays of a batch hold less than 2^31 values");
        self.ends.push(self.length);
    }

    /// The array of arrays.
    pub(super) fn finish(self, values: impl FnOnce(V) -> ArrayRef) -> ArrayRef {
        let values = values(self.values);
        let field = Arc::new(Field::new("item", DataType::clone(values.data_type()), true));
        Arc::new(ListArray::new(field, OffsetBuffer::new(self.ends.into()), values, None))
    }
}
