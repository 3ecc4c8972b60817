//! One side (key or value) of a record: how it is written, and many of them as bytes.

use serde::{Deserialize, Serialize};

use super::FormatName;
use crate::types::{Name, SqlType};

/// A column of one side of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SideColumn {
    /// Name, which is the field's name where the format has names.
    pub name: Name,
    /// Type.
    pub ty: SqlType,
}

/// How one side of a record is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Side {
    /// The format.
    pub format: FormatName,
    /// The delimiter of DELIMITED; `None` is the comma. Always `None` for the other formats.
    pub delimiter: Option<char>,
    /// True if a single column stands bare (`10`), false if it stands in a record (`{"V":10}`). Only meaningful with
    /// exactly one column.
    pub unwrapped: bool,
    /// The columns in order; none for keyless streams.
    pub columns: Vec<SideColumn>,
}

/// One side of many records, as bytes.
#[derive(Debug, Default)]
pub struct EncodedSide {
    /// The bytes of all rows, one after the other.
    pub data: Vec<u8>,
    /// Where each row ends in `data`; a row starts where the one before it ends.
    pub ends: Vec<usize>,
    /// True for rows whose bytes are null (then they are empty in `data`). One entry a row.
    pub nulls: Vec<bool>,
}

impl EncodedSide {
    /// The bytes of `row`; `None` is null bytes.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        (!self.nulls[row]).then(|| &self.data[start..self.ends[row]])
    }

    /// Ends the current row; what was pushed to `data` since the last call is its bytes.
    pub fn end_row(&mut self, is_null: bool) {
        self.ends.push(self.data.len());
        self.nulls.push(is_null);
    }
}
