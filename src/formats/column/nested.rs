//! Columns of arrays, maps and structs.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListArray, MapArray, StructArray};
use datafusion::arrow::datatypes::{DataType, FieldRef, Fields};

use super::Column;
use super::values::{Text, Validity, offsets};
use crate::types::{SqlType, StructField};

/// Arrays. Push the elements to [`ListColumn::items`], then call [`ListColumn::end`].
#[derive(Debug)]
pub(in crate::formats) struct ListColumn {
    field: FieldRef,
    items: Box<Column>,
    /// Elements after each row.
    ends: Vec<i32>,
    /// Elements so far, those of the unfinished row included.
    count: i32,
    validity: Validity,
}

impl ListColumn {
    pub(super) fn new(element: &SqlType) -> Self {
        let DataType::List(field) = SqlType::Array(Box::new(element.clone())).arrow() else {
            unreachable!("an ARRAY is a List")
        };
        Self { field, items: Box::new(Column::new(element)), ends: Vec::new(), count: 0, validity: Validity::default() }
    }

    /// Where the next element goes, and the number of elements already there over all rows.
    pub(in crate::formats) fn next_item(&mut self) -> &mut Column {
        self.count += 1;
        &mut self.items
    }

    /// Ends the row.
    pub(in crate::formats) fn end(&mut self) {
        self.ends.push(self.count);
        self.validity.push_valid();
    }

    pub(super) fn push_null(&mut self) {
        self.ends.push(self.count);
        self.validity.push_null();
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        self.count = self.ends.last().copied().unwrap_or(0);
        self.items.truncate(self.count as usize);
        self.validity.truncate(rows);
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        self.count = 0;
        let offsets = offsets(&mut self.ends);
        Arc::new(ListArray::new(Arc::clone(&self.field), offsets, self.items.finish(), self.validity.finish()))
    }
}

/// Maps with STRING keys. For each entry end a key, then push a value; then call [`MapColumn::end`].
#[derive(Debug)]
pub(in crate::formats) struct MapColumn {
    entries: FieldRef,
    entry_fields: Fields,
    keys: Text,
    values: Box<Column>,
    /// Entries after each row.
    ends: Vec<i32>,
    validity: Validity,
}

impl MapColumn {
    /// # Panics
    /// If keys are not STRING: no format that is built holds such maps, and their capability rules refuse them.
    pub(super) fn new(key: &SqlType, value: &SqlType) -> Self {
        assert_eq!(*key, SqlType::String, "capability rules refuse other map keys");
        let DataType::Map(entries, _) = SqlType::Map(Box::new(key.clone()), Box::new(value.clone())).arrow() else {
            unreachable!("a MAP is a Map")
        };
        let DataType::Struct(entry_fields) = entries.data_type().clone() else {
            unreachable!("the entries of a Map are a Struct")
        };
        Self {
            entries,
            entry_fields,
            keys: Text::default(),
            values: Box::new(Column::new(value)),
            ends: Vec::new(),
            validity: Validity::default(),
        }
    }

    /// Where keys go.
    pub(in crate::formats) fn keys(&mut self) -> &mut Text {
        &mut self.keys
    }

    /// Where values go.
    pub(in crate::formats) fn values(&mut self) -> &mut Column {
        &mut self.values
    }

    /// The keys of the unfinished row.
    pub(in crate::formats) fn open_keys(&self) -> impl Iterator<Item = &[u8]> {
        let first = self.ends.last().copied().unwrap_or(0) as usize;
        (first..self.keys.len()).map(|entry| self.keys.row(entry))
    }

    /// Forgets the entries of the unfinished row.
    pub(in crate::formats) fn reopen(&mut self) {
        self.truncate(self.ends.len());
    }

    /// Ends the row.
    pub(in crate::formats) fn end(&mut self) {
        self.end_offset();
        self.validity.push_valid();
    }

    fn end_offset(&mut self) {
        self.ends.push(i32::try_from(self.keys.len()).expect("BatchBytes bounds what a batch is made of"));
    }

    pub(super) fn push_null(&mut self) {
        self.end_offset();
        self.validity.push_null();
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        let entries = self.ends.last().copied().unwrap_or(0) as usize;
        self.keys.truncate(entries);
        self.values.truncate(entries);
        self.validity.truncate(rows);
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        let (keys, values) = (self.keys.finish_string(), self.values.finish());
        let entries = StructArray::new(self.entry_fields.clone(), vec![keys, values], None);
        let offsets = offsets(&mut self.ends);
        Arc::new(MapArray::new(Arc::clone(&self.entries), offsets, entries, self.validity.finish(), false))
    }
}

/// Structs. Push to every field, then call [`StructColumn::end`].
#[derive(Debug)]
pub(in crate::formats) struct StructColumn {
    arrow_fields: Fields,
    fields: Vec<Column>,
    validity: Validity,
}

impl StructColumn {
    pub(super) fn new(fields: &[StructField]) -> Self {
        let DataType::Struct(arrow_fields) = SqlType::Struct(fields.into()).arrow() else {
            unreachable!("a STRUCT is a Struct")
        };
        let fields = fields.iter().map(|field| Column::new(&field.ty)).collect();
        Self { arrow_fields, fields, validity: Validity::default() }
    }

    /// The finished rows.
    pub(in crate::formats) fn len(&self) -> usize {
        self.validity.len()
    }

    /// Where the fields go.
    pub(in crate::formats) fn fields(&mut self) -> &mut [Column] {
        &mut self.fields
    }

    /// Ends the row.
    pub(in crate::formats) fn end(&mut self) {
        self.validity.push_valid();
    }

    pub(super) fn push_null(&mut self) {
        self.fields.iter_mut().for_each(Column::push_null);
        self.validity.push_null();
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.fields.iter_mut().for_each(|field| field.truncate(rows));
        self.validity.truncate(rows);
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        let rows = self.validity.len();
        let nulls = self.validity.finish();
        let fields = self.fields.iter_mut().map(Column::finish).collect();
        let row = StructArray::try_new_with_length(self.arrow_fields.clone(), fields, nulls, rows);
        Arc::new(row.expect("every row was pushed to every field"))
    }
}
