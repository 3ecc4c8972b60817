//! The two directions every format has: bytes to columns, columns to bytes.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::buffer::BooleanBuffer;

use super::{EncodedSide, FormatName};

/// Why a record cannot be read. Nothing of it was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", .path.as_ref().map(|path| format!(" at {path}")).unwrap_or_default())]
pub struct DecodeError {
    /// What is wrong.
    pub message: String,
    /// Where in the record, such as `$.A[0].B`, if the format has paths.
    pub path: Option<String>,
}

impl DecodeError {
    /// An error without a path.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), path: None }
    }
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

/// Why there is no decoder or encoder for a side. [`super::validate`] finds the first two when a statement is
/// planned, with a message for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The format belongs to the language and is not built yet.
    #[error("the format {0} is not implemented yet")]
    NotImplemented(FormatName),
    /// The format cannot hold these columns.
    #[error("the format {format} cannot hold the columns: {reason}")]
    Unsupported {
        /// The format.
        format: FormatName,
        /// What it cannot hold.
        reason: String,
    },
    /// A wanted column lies outside the side.
    #[error("column {wanted} is wanted of a side of {columns} columns")]
    NoSuchColumn {
        /// The index asked for.
        wanted: usize,
        /// The number of columns there are.
        columns: usize,
    },
}

/// Reads one side of records into columns.
pub trait RecordDecoder: Send {
    /// Appends one row, made of these bytes.
    ///
    /// # Errors
    /// The bytes are no record of the format, or do not fit the columns: nothing is appended. Neither is it when the
    /// records since the last [`Self::finish`] came to more than 1 GiB: callers end batches long before.
    fn decode(&mut self, bytes: &[u8]) -> Result<(), DecodeError>;

    /// Appends one row of nulls: for null bytes.
    fn append_null(&mut self);

    /// Takes back the last row appended: its other side turned out to be bad.
    ///
    /// # Panics
    /// If there is no row.
    fn undo_last(&mut self);

    /// The wanted columns, in the order asked for, and an empty decoder.
    fn finish(&mut self) -> Vec<ArrayRef>;
}

/// Writes columns as one side of records.
pub trait RecordEncoder: Send {
    /// Appends to `out` one entry for each row of the columns, which are those of the [`super::Side`], in its order.
    /// A row whose bit in `skip` is set (a tombstone, a null row) becomes null bytes without being looked at.
    ///
    /// # Errors
    /// A value cannot be written in this format; `out` is left with part of the rows and must be thrown away.
    fn encode(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        skip: Option<&BooleanBuffer>,
        out: &mut EncodedSide,
    ) -> Result<(), EncodeError>;
}
