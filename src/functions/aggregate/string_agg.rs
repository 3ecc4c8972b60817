//! STRING_AGG: the texts of a group one behind the other, in the order they came, each after its delimiter.
//!
//! Saved: the rows of text and delimiter as `Items` are.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::buffer::NullBuffer;

use super::encoded::Encoded;
use super::groups::Fold;
use super::items::Items;
use crate::types::{EncodedRows, NotARow, SqlType};

/// STRING_AGG; texts that are NULL are left out, and a NULL delimiter is an empty one.
#[derive(Debug)]
pub(super) struct StringAgg(Encoded);

impl StringAgg {
    pub(super) fn new() -> Self {
        Self(Encoded::new(&[SqlType::String, SqlType::String]))
    }
}

/// The rows of a batch, and which of them have a text.
#[derive(Debug)]
pub(super) struct Texts<'a> {
    rows: EncodedRows,
    nulls: Option<&'a NullBuffer>,
}

impl Texts<'_> {
    fn get(&self, row: usize) -> Option<&[u8]> {
        self.nulls.is_none_or(|nulls| nulls.is_valid(row)).then(|| self.rows.get(row))
    }
}

impl Fold for StringAgg {
    type State = Items;
    type Input<'a> = Texts<'a>;
    type Output = StringBuilder;

    fn empty(&self) -> Items {
        Items::default()
    }

    fn read<'a>(&self, arguments: &'a [ArrayRef]) -> Texts<'a> {
        Texts { rows: self.0.rows(arguments), nulls: arguments[0].nulls() }
    }

    fn add(&self, state: &mut Items, input: &Texts<'_>, row: usize) -> Result<(), String> {
        if let Some(item) = input.get(row) {
            state.push(item);
        }
        Ok(())
    }

    fn remove(&self, state: &mut Items, input: &Texts<'_>, row: usize) -> Result<(), String> {
        if let Some(item) = input.get(row) {
            state.remove_last(item);
        }
        Ok(())
    }

    fn output(&self, _rows: usize) -> StringBuilder {
        StringBuilder::new()
    }

    fn put(&self, state: &Items, output: &mut StringBuilder) {
        if state.len() == 0 {
            return output.append_null();
        }
        let columns = self.0.columns(state.iter());
        let (texts, delimiters) = (columns[0].as_string::<i32>(), columns[1].as_string::<i32>());
        let mut all = String::new();
        for row in 0..texts.len() {
            if row > 0 && delimiters.is_valid(row) {
                all.push_str(delimiters.value(row));
            }
            all.push_str(texts.value(row));
        }
        output.append_value(all);
    }

    fn finish(&self, mut output: StringBuilder) -> ArrayRef {
        Arc::new(output.finish())
    }

    fn merge(&self, state: &mut Items, other: Items) -> Result<(), String> {
        let later = std::mem::replace(state, other);
        later.iter().for_each(|item| state.push(item));
        Ok(())
    }

    fn save(&self, state: &Items, out: &mut Vec<u8>) {
        state.save(out);
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Items, NotARow> {
        Items::load(&self.0, bytes)
    }

    fn heap_bytes(&self, state: &Items) -> usize {
        state.heap_bytes()
    }
}
