//! The formats in text form, for tests: columns as `("A", "ARRAY<INTEGER>")`, rows as Arrow prints them.

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{EncodedSide, FormatName, Side, SideColumn, decoder, encoder};
use crate::types::{SqlType, StructField};

/// A side under test.
pub(super) struct Codec {
    pub(super) side: Side,
}

impl Codec {
    /// A side of these columns, bare if the format's single columns are.
    pub(super) fn new(format: FormatName, columns: &[(&str, &str)]) -> Self {
        let columns: Vec<SideColumn> =
            columns.iter().map(|(name, ty)| SideColumn { name: (*name).into(), ty: sql_type(ty) }).collect();
        let unwrapped = super::default_unwrapped(format, false, columns.len());
        Self { side: Side { format, delimiter: None, unwrapped, columns } }
    }

    pub(super) fn unwrapped(mut self) -> Self {
        self.side.unwrapped = true;
        self
    }

    pub(super) fn delimiter(mut self, delimiter: char) -> Self {
        self.side.delimiter = Some(delimiter);
        self
    }

    /// The columns of these records; the first bad one ends it.
    pub(super) fn decode(&self, records: &[&[u8]]) -> Result<Vec<ArrayRef>, String> {
        let wanted: Vec<usize> = (0..self.side.columns.len()).collect();
        let mut decoder = decoder(&self.side, &wanted).unwrap();
        for record in records {
            decoder.decode(record).map_err(|e| e.to_string())?;
        }
        let columns = decoder.finish();
        for (column, side) in columns.iter().zip(&self.side.columns) {
            assert_eq!(*column.data_type(), side.ty.arrow());
            assert_eq!(column.len(), records.len());
        }
        Ok(columns)
    }

    /// The row a record decodes to, values joined by ` | `, or the error.
    pub(super) fn read(&self, record: &[u8]) -> String {
        self.decode(&[record]).map_or_else(|error| error, |columns| row_text(&columns, 0))
    }

    /// Asserts that a record decodes to this row.
    pub(super) fn check(&self, record: &[u8], row: &str) {
        assert_eq!(self.read(record), row, "{}", String::from_utf8_lossy(record));
    }

    /// Asserts that a record is bad in this way, and that what surrounds it is none the worse.
    pub(super) fn check_bad(&self, record: &[u8], error: &str) {
        assert_eq!(self.read(record), error, "{}", String::from_utf8_lossy(record));
        let wanted: Vec<usize> = (0..self.side.columns.len()).collect();
        let mut decoder = decoder(&self.side, &wanted).unwrap();
        decoder.append_null();
        assert!(decoder.decode(record).is_err());
        decoder.append_null();
        let columns = decoder.finish();
        assert!(columns.iter().all(|column| column.len() == 2 && column.null_count() == 2));
    }

    /// What a record is written as after it was read.
    pub(super) fn rewrite(&self, record: &[u8]) -> String {
        let columns = self.decode(&[record]).unwrap();
        match encode(&self.side, &columns).get(0) {
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            None => "null bytes".to_owned(),
        }
    }

    /// Asserts that a record decodes to this row and the row encodes to the record.
    pub(super) fn check_both_ways(&self, record: &[u8], row: &str) {
        self.check(record, row);
        let encoded = encode(&self.side, &self.decode(&[record]).unwrap());
        assert_eq!(encoded.get(0), Some(record));
    }

    /// Asserts that a row of nulls and a skipped row become null bytes.
    pub(super) fn check_null(&self) {
        let columns: Vec<ArrayRef> =
            self.side.columns.iter().map(|c| datafusion::arrow::array::new_null_array(&c.ty.arrow(), 1)).collect();
        assert_eq!(encode(&self.side, &columns).get(0), None);
    }
}

/// All rows of the columns encoded.
pub(super) fn encode(side: &Side, columns: &[ArrayRef]) -> EncodedSide {
    let mut out = EncodedSide::default();
    let rows = columns.first().map_or(0, |column| column.len());
    encoder(side).unwrap().encode(columns, rows, None, &mut out).unwrap();
    out
}

/// A row as text.
pub(super) fn row_text(columns: &[ArrayRef], row: usize) -> String {
    let options = FormatOptions::new().with_null("null");
    let values: Vec<String> = columns
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string())
        .collect();
    values.join(" | ")
}

/// Bytes from hexadecimal text.
pub(super) fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// A type from its SQL text; names are taken as they are.
pub(super) fn sql_type(text: &str) -> SqlType {
    let (ty, rest) = read_type(text);
    assert_eq!(rest.trim(), "", "{text}");
    ty
}

fn read_type(text: &str) -> (SqlType, &str) {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let simple = |ty| (ty, rest);
    let inside = |open: char| rest.trim_start().strip_prefix(open).unwrap();
    match word {
        "BOOLEAN" => simple(SqlType::Boolean),
        "INTEGER" => simple(SqlType::Integer),
        "BIGINT" => simple(SqlType::BigInt),
        "DOUBLE" => simple(SqlType::Double),
        "STRING" => simple(SqlType::String),
        "BYTES" => simple(SqlType::Bytes),
        "TIME" => simple(SqlType::Time),
        "DATE" => simple(SqlType::Date),
        "TIMESTAMP" => simple(SqlType::Timestamp),
        "DECIMAL" => {
            let (numbers, rest) = inside('(').split_once(')').unwrap();
            let (precision, scale) = numbers.split_once(',').unwrap();
            let number = |n: &str| n.trim().parse().unwrap();
            (SqlType::Decimal { precision: number(precision), scale: number(scale) }, rest)
        }
        "ARRAY" => {
            let (element, rest) = read_type(inside('<'));
            (SqlType::Array(Box::new(element)), rest.trim_start().strip_prefix('>').unwrap())
        }
        "MAP" => {
            let (key, rest) = read_type(inside('<'));
            let (value, rest) = read_type(rest.trim_start().strip_prefix(',').unwrap());
            (SqlType::Map(Box::new(key), Box::new(value)), rest.trim_start().strip_prefix('>').unwrap())
        }
        "STRUCT" => {
            let (mut fields, mut rest) = (Vec::new(), inside('<'));
            loop {
                let (name, after) = rest.trim_start().split_once(' ').unwrap();
                let (ty, after) = read_type(after);
                fields.push(StructField { name: name.into(), ty });
                rest = after.trim_start();
                let more = rest.starts_with(',');
                rest = &rest[1..];
                if !more {
                    return (SqlType::Struct(fields.into()), rest);
                }
            }
        }
        other => panic!("no type {other}"),
    }
}
