//! KAFKA: Kafka's own serialisers, one bare value. INTEGER, BIGINT and DOUBLE are big-endian, STRING is UTF-8, BYTES
//! are as they are; null is null bytes.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};

use super::column::{BatchBytes, Column};
use super::{DecodeError, EncodeError, EncodedSide, RecordDecoder, RecordEncoder};
use crate::types::SqlType;

/// Reads the single column.
#[derive(Debug)]
pub(super) struct KafkaDecoder {
    column: Column,
    is_wanted: bool,
    rows: usize,
    bytes: BatchBytes,
}

impl KafkaDecoder {
    /// A decoder of a side of exactly one column of this type; the column is yielded only if it is wanted.
    pub(super) fn new(ty: &SqlType, is_wanted: bool) -> Self {
        Self { column: Column::new(ty), is_wanted, rows: 0, bytes: BatchBytes::default() }
    }
}

impl RecordDecoder for KafkaDecoder {
    fn decode(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        if !self.is_wanted {
            return Ok(());
        }
        self.bytes.add(bytes.len())?;
        match &mut self.column {
            Column::Integer(values) => values.push(i32::from_be_bytes(exactly(bytes, "INTEGER")?)),
            Column::BigInt(values) => values.push(i64::from_be_bytes(exactly(bytes, "BIGINT")?)),
            Column::Double(values) => values.push(f64::from_be_bytes(exactly(bytes, "DOUBLE")?)),
            Column::String(text) => {
                std::str::from_utf8(bytes).map_err(|_| DecodeError::new("the bytes are not UTF-8"))?;
                text.push(bytes);
            }
            Column::Bytes(text) => text.push(bytes),
            other => unreachable!("capability rules refuse {other:?}"),
        }
        self.rows += 1;
        Ok(())
    }

    fn append_null(&mut self) {
        self.column.push_null();
        self.rows += 1;
    }

    fn undo_last(&mut self) {
        self.rows = self.rows.saturating_sub(1);
        self.column.truncate(self.rows);
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.rows = 0;
        self.bytes.reset();
        let column = self.column.finish();
        if self.is_wanted { vec![column] } else { Vec::new() }
    }
}

fn exactly<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], DecodeError> {
    bytes
        .try_into()
        .map_err(|_| DecodeError::new(format!("the size of the bytes is {}, but {what} takes {N}", bytes.len())))
}

/// Writes the single column.
#[derive(Debug)]
pub(super) struct KafkaEncoder;

impl RecordEncoder for KafkaEncoder {
    fn encode(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        skip: Option<&BooleanBuffer>,
        out: &mut EncodedSide,
    ) -> Result<(), EncodeError> {
        let [column] = columns else {
            return Err(EncodeError { row: 0, message: format!("KAFKA writes one column, not {}", columns.len()) });
        };
        let is_null = |row| skip.is_some_and(|skip| skip.value(row)) || column.is_null(row);
        let mut each = |write: &dyn Fn(usize, &mut Vec<u8>)| {
            for row in 0..rows {
                let null = is_null(row);
                if !null {
                    write(row, &mut out.data);
                }
                out.end_row(null);
            }
        };
        match column.data_type() {
            DataType::Int32 => {
                let values = column.as_primitive::<Int32Type>();
                each(&|row, data| data.extend_from_slice(&values.value(row).to_be_bytes()));
            }
            DataType::Int64 => {
                let values = column.as_primitive::<Int64Type>();
                each(&|row, data| data.extend_from_slice(&values.value(row).to_be_bytes()));
            }
            DataType::Float64 => {
                let values = column.as_primitive::<Float64Type>();
                each(&|row, data| data.extend_from_slice(&values.value(row).to_be_bytes()));
            }
            DataType::Utf8 => {
                let values = column.as_string::<i32>();
                each(&|row, data| data.extend_from_slice(values.value(row).as_bytes()));
            }
            DataType::Binary => {
                let values = column.as_binary::<i32>();
                each(&|row, data| data.extend_from_slice(values.value(row)));
            }
            other => return Err(EncodeError { row: 0, message: format!("KAFKA cannot write {other}") }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
