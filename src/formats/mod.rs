//! Record bytes to columns and back.
//!
//! A record has two sides, key and value; each has a [`Side`]: its format, its columns, and whether a single column
//! is wrapped. [`decoder`] and [`encoder`] give the two directions for one side; both work on batches, and neither
//! knows topics, offsets or windows (the window suffix of a key is cut off before and put on after).
//!
//! Invariants:
//! - a bad record leaves no trace in the columns;
//! - null bytes never reach a decoder: what a null key or value means is decided above;
//! - text in bytes is checked UTF-8 before it becomes a STRING.

use std::fmt;

use datafusion::arrow::array::ArrayRef;
use serde::{Deserialize, Serialize};

use crate::types::{Name, SqlType};

/// The formats of the dialect. Names are matched without regard to case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "each is the format its name says")]
pub enum FormatName {
    Kafka,
    Delimited,
    Json,
    JsonSr,
    Avro,
    Protobuf,
    ProtobufNosr,
    None,
}

impl FormatName {
    /// The name as statements write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "KAFKA",
            Self::Delimited => "DELIMITED",
            Self::Json => "JSON",
            Self::JsonSr => "JSON_SR",
            Self::Avro => "AVRO",
            Self::Protobuf => "PROTOBUF",
            Self::ProtobufNosr => "PROTOBUF_NOSR",
            Self::None => "NONE",
        }
    }

    /// Every format, in the order above.
    pub const ALL: [Self; 8] = [
        Self::Kafka,
        Self::Delimited,
        Self::Json,
        Self::JsonSr,
        Self::Avro,
        Self::Protobuf,
        Self::ProtobufNosr,
        Self::None,
    ];

    /// The format of this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str().eq_ignore_ascii_case(name))
    }

    /// True if schemas of this format live in a registry, so that columns can be inferred.
    pub fn infers_schema(self) -> bool {
        matches!(self, Self::Avro | Self::Protobuf | Self::JsonSr)
    }
}

impl fmt::Display for FormatName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
    /// The delimiter of DELIMITED; `None` is the comma.
    pub delimiter: Option<char>,
    /// True if a single column stands bare (`10`), false if it stands in a record (`{"V":10}`). Only meaningful with
    /// exactly one column.
    pub unwrapped: bool,
    /// The columns in order; none for keyless streams.
    pub columns: Vec<SideColumn>,
}

/// Why a record cannot be read. Nothing of it was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", .path.as_ref().map(|path| format!(" at {path}")).unwrap_or_default())]
pub struct DecodeError {
    /// What is wrong.
    pub message: String,
    /// Where in the record, such as `$.A[0].B`, if the format has paths.
    pub path: Option<String>,
}

/// Why a row cannot be written. This stops the query: the output would be incomplete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row {row}: {message}")]
pub struct EncodeError {
    /// Row of the batch.
    pub row: usize,
    /// What is wrong.
    pub message: String,
}

/// Reads one side of records into columns.
pub trait RecordDecoder: Send {
    /// Appends one row, made of these bytes.
    ///
    /// # Errors
    /// The bytes are no record of the format, or do not fit the columns: nothing is appended.
    fn decode(&mut self, bytes: &[u8]) -> Result<(), DecodeError>;

    /// Appends one row of nulls: for null bytes.
    fn append_null(&mut self);

    /// Takes back the last row appended: its other side turned out to be bad.
    fn undo_last(&mut self);

    /// The wanted columns, in the order asked for, and an empty decoder.
    fn finish(&mut self) -> Vec<ArrayRef>;
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

/// Writes columns as one side of records.
pub trait RecordEncoder: Send {
    /// Appends to `out` one entry for each row of the columns, which are those of the [`Side`], in its order. A row
    /// whose bit in `skip` is set (a tombstone, a null row) becomes null bytes without being looked at.
    ///
    /// # Errors
    /// A value cannot be written in this format; `out` is left with part of the rows and must be thrown away.
    fn encode(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        skip: Option<&datafusion::arrow::buffer::BooleanBuffer>,
        out: &mut EncodedSide,
    ) -> Result<(), EncodeError>;
}
