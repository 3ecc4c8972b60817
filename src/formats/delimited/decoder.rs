//! Lines into columns.

use datafusion::arrow::array::ArrayRef;

use super::DEFAULT_DELIMITER;
use super::line::Line;
use crate::formats::column::{BatchBytes, Column};
use crate::formats::{DecodeError, RecordDecoder, Side, base64_text};
use crate::types::decimal_text::DecimalText;
use crate::types::java_number::parse_double;

/// Milliseconds of a day.
const DAY_MS: i32 = 86_400_000;

/// Reads the wanted columns of one side.
#[derive(Debug)]
pub(in crate::formats) struct DelimitedDecoder {
    delimiter: char,
    /// For each field of the line, its name for messages and the column it goes to, if it is wanted.
    fields: Vec<(String, Option<usize>)>,

    columns: Vec<Column>,
    rows: usize,
    bytes: BatchBytes,
}

impl DelimitedDecoder {
    /// A decoder of these columns of `side`; the indices are in bounds and different.
    pub(in crate::formats) fn new(side: &Side, wanted: &[usize]) -> Self {
        let target = |index| wanted.iter().position(|&wanted| wanted == index);
        Self {
            delimiter: side.delimiter.unwrap_or(DEFAULT_DELIMITER),
            fields: side.columns.iter().enumerate().map(|(i, c)| (c.name.quoted(), target(i))).collect(),
            columns: wanted.iter().map(|&index| Column::new(&side.columns[index].ty)).collect(),
            rows: 0,
            bytes: BatchBytes::default(),
        }
    }

    fn record(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::new("the bytes are not UTF-8"))?;
        self.bytes.add(bytes.len())?;
        let mut line = Line::new(text, self.delimiter);
        let mut count = 0;
        while let Some(field) = line.next_field().map_err(DecodeError::new)? {
            if let Some((name, Some(column))) = self.fields.get(count) {
                push_field(&mut self.columns[*column], &field)
                    .map_err(|reason| DecodeError::new(format!("column {name}: {reason}")))?;
            }
            count += 1;
        }
        match count {
            0 => Err(DecodeError::new("no fields in record")),
            _ if count == self.fields.len() => Ok(()),
            _ => Err(DecodeError::new(format!("the record has {count} fields, not {}", self.fields.len()))),
        }
    }
}

impl RecordDecoder for DelimitedDecoder {
    fn decode(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let read = self.record(bytes);
        match read {
            Ok(()) => self.rows += 1,
            Err(_) => self.columns.iter_mut().for_each(|column| column.truncate(self.rows)),
        }
        read
    }

    fn append_null(&mut self) {
        self.columns.iter_mut().for_each(Column::push_null);
        self.rows += 1;
    }

    fn undo_last(&mut self) {
        self.rows = self.rows.checked_sub(1).expect("undo_last is called after a row was appended");
        self.columns.iter_mut().for_each(|column| column.truncate(self.rows));
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.rows = 0;
        self.bytes.reset();
        self.columns.iter_mut().map(Column::finish).collect()
    }
}

/// Appends the value that a field's text stands for; on errors the column must be cut back.
fn push_field(column: &mut Column, text: &str) -> Result<(), String> {
    if text.is_empty() {
        column.push_null();
        return Ok(());
    }
    let cannot = |ty: &str| format!("cannot convert the text of a field to {ty}");
    match column {
        Column::String(values) => values.push(text.as_bytes()),
        Column::BigInt(values) => values.push(text.parse().map_err(|_| cannot("BIGINT"))?),
        Column::Integer(values) => values.push(text.parse().map_err(|_| cannot("INTEGER"))?),
        Column::Double(values) => values.push(parse_double(text).ok_or_else(|| cannot("DOUBLE"))?),
        Column::Boolean(values) => values.push(text.eq_ignore_ascii_case("true")),
        Column::Timestamp(values) => values.push(text.parse().map_err(|_| cannot("TIMESTAMP"))?),
        Column::Date(values) => values.push(text.parse().map_err(|_| cannot("DATE"))?),
        Column::Time(values) => match text.parse() {
            Ok(ms) if (0..DAY_MS).contains(&ms) => values.push(ms),
            _ => return Err(cannot("TIME")),
        },
        Column::Bytes(values) => {
            if !base64_text::push_decoded(values.buffer(), text) {
                return Err(cannot("BYTES"));
            }
            values.end();
        }
        Column::Decimal128 { values, precision, scale } => {
            let unscaled = decimal(text, *precision, *scale)?;
            values.push(unscaled.to_i128().ok_or_else(|| cannot("DECIMAL"))?);
        }
        Column::Decimal256 { values, precision, scale } => values.push(decimal(text, *precision, *scale)?),
        Column::Array(_) | Column::Map(_) | Column::Struct(_) => unreachable!("capability rules refuse nested types"),
    }
    Ok(())
}

fn decimal(text: &str, precision: u8, scale: u8) -> Result<datafusion::arrow::datatypes::i256, String> {
    let decimal = DecimalText::parse(text).ok_or("cannot convert the text of a field to DECIMAL")?;
    decimal.fit(u32::from(precision), u32::from(scale)).map_err(|misfit| misfit.to_string())
}
