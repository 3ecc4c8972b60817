//! Columns into records: every column is written, nulls too, under its name, in order.
//!
//! Numbers are spelled as Java spells them (`1.0E10`), DECIMALs with all digits of their scale; `NaN` and the
//! infinities, which JSON has no number for, as strings, as Jackson does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array,
    Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray, Time32MillisecondArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::datatypes::DataType;

use super::text::push_quoted;
use crate::formats::{EncodeError, EncodedSide, RecordEncoder, Side};
use crate::types::decimal_text::{push_decimal128, push_decimal256};
use crate::types::java_number::push_double;

/// Writes all columns of one side.
#[derive(Debug)]
pub(in crate::formats) struct JsonEncoder {
    is_unwrapped: bool,
    /// What stands before the value of each column: `{"A":`, `,"B":`.
    prefixes: Vec<Vec<u8>>,
}

impl JsonEncoder {
    pub(in crate::formats) fn new(side: &Side) -> Self {
        Self {
            is_unwrapped: side.unwrapped && side.columns.len() == 1,
            prefixes: prefixes(side.columns.iter().map(|column| column.name.as_str())),
        }
    }
}

impl RecordEncoder for JsonEncoder {
    fn encode(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        skip: Option<&BooleanBuffer>,
        out: &mut EncodedSide,
    ) -> Result<(), EncodeError> {
        if columns.len() != self.prefixes.len() {
            let message = format!("{} columns came, {} are declared", columns.len(), self.prefixes.len());
            return Err(EncodeError { row: 0, message });
        }
        let sources: Vec<Source<'_>> = columns
            .iter()
            .map(Source::of)
            .collect::<Result<_, _>>()
            .map_err(|ty| EncodeError { row: 0, message: format!("JSON cannot write {ty}") })?;
        for row in 0..rows {
            let mut is_null = skip.is_some_and(|skip| skip.value(row));
            if is_null {
            } else if self.is_unwrapped {
                is_null = columns[0].is_null(row);
                if !is_null {
                    sources[0].push(&mut out.data, row);
                }
            } else {
                push_object(&mut out.data, &self.prefixes, &sources, row);
            }
            out.end_row(is_null);
        }
        Ok(())
    }
}

fn prefixes<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Vec<u8>> {
    names
        .enumerate()
        .map(|(i, name)| {
            let mut prefix = vec![if i == 0 { b'{' } else { b',' }];
            push_quoted(&mut prefix, name);
            prefix.push(b':');
            prefix
        })
        .collect()
}

fn push_object(out: &mut Vec<u8>, prefixes: &[Vec<u8>], sources: &[Source<'_>], row: usize) {
    if prefixes.is_empty() {
        out.push(b'{');
    }
    for (prefix, source) in prefixes.iter().zip(sources) {
        out.extend_from_slice(prefix);
        source.push(out, row);
    }
    out.push(b'}');
}

/// An array with its type known.
enum Values<'a> {
    Boolean(&'a BooleanArray),
    Integer(&'a Int32Array),
    BigInt(&'a Int64Array),
    Double(&'a Float64Array),
    Decimal128(&'a Decimal128Array, u8),
    Decimal256(&'a Decimal256Array, u8),
    String(&'a StringArray),
    Bytes(&'a BinaryArray),
    Time(&'a Time32MillisecondArray),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMillisecondArray),
    List(&'a ListArray, Box<Source<'a>>),
    Map(&'a MapArray, &'a StringArray, Box<Source<'a>>),
    Struct(Vec<Vec<u8>>, Vec<Source<'a>>),
}

/// A column to read values from.
struct Source<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

impl<'a> Source<'a> {
    /// The error is the type that is none of ours.
    fn of(array: &'a ArrayRef) -> Result<Self, DataType> {
        let scale = |scale: i8| u8::try_from(scale).map_err(|_| array.data_type().clone());
        let values = match array.data_type() {
            DataType::Boolean => Values::Boolean(array.as_boolean()),
            DataType::Int32 => Values::Integer(array.as_primitive()),
            DataType::Int64 => Values::BigInt(array.as_primitive()),
            DataType::Float64 => Values::Double(array.as_primitive()),
            DataType::Decimal128(_, s) => Values::Decimal128(array.as_primitive(), scale(*s)?),
            DataType::Decimal256(_, s) => Values::Decimal256(array.as_primitive(), scale(*s)?),
            DataType::Utf8 => Values::String(array.as_string()),
            DataType::Binary => Values::Bytes(array.as_binary()),
            DataType::Time32(_) => {
                Values::Time(array.as_any().downcast_ref().ok_or_else(|| array.data_type().clone())?)
            }
            DataType::Date32 => Values::Date(array.as_primitive()),
            DataType::Timestamp(_, None) => {
                Values::Timestamp(array.as_any().downcast_ref().ok_or_else(|| array.data_type().clone())?)
            }
            DataType::List(_) => {
                let list: &ListArray = array.as_list();
                Values::List(list, Box::new(Self::of(list.values())?))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let keys = map.keys().as_string_opt().ok_or_else(|| array.data_type().clone())?;
                Values::Map(map, keys, Box::new(Self::of(map.values())?))
            }
            DataType::Struct(fields) => {
                let row: &StructArray = array.as_struct();
                let columns = row.columns().iter().map(Self::of).collect::<Result<_, _>>()?;
                Values::Struct(prefixes(fields.iter().map(|field| field.name().as_str())), columns)
            }
            other => return Err(other.clone()),
        };
        Ok(Self { nulls: array.nulls(), values })
    }

    #[inline]
    fn push(&self, out: &mut Vec<u8>, row: usize) {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(b"null");
            return;
        }
        let mut buffer = itoa::Buffer::new();
        match &self.values {
            Values::Boolean(values) => {
                out.extend_from_slice(if values.value(row) { b"true" } else { b"false" });
            }
            Values::Integer(values) => out.extend_from_slice(buffer.format(values.value(row)).as_bytes()),
            Values::BigInt(values) => out.extend_from_slice(buffer.format(values.value(row)).as_bytes()),
            Values::Time(values) => out.extend_from_slice(buffer.format(values.value(row)).as_bytes()),
            Values::Date(values) => out.extend_from_slice(buffer.format(values.value(row)).as_bytes()),
            Values::Timestamp(values) => out.extend_from_slice(buffer.format(values.value(row)).as_bytes()),
            Values::Double(values) => {
                let value = values.value(row);
                let quote: &[u8] = if value.is_finite() { b"" } else { b"\"" };
                out.extend_from_slice(quote);
                push_double(out, value);
                out.extend_from_slice(quote);
            }
            Values::Decimal128(values, scale) => push_decimal128(out, values.value(row), *scale),
            Values::Decimal256(values, scale) => push_decimal256(out, values.value(row), *scale),
            Values::String(values) => push_quoted(out, values.value(row)),
            Values::Bytes(values) => push_base64(out, values.value(row)),
            Values::List(..) | Values::Map(..) | Values::Struct(..) => self.push_nested(out, row),
        }
    }

    fn push_nested(&self, out: &mut Vec<u8>, row: usize) {
        match &self.values {
            Values::List(list, items) => {
                let offsets = list.value_offsets();
                out.push(b'[');
                for (i, item) in (offsets[row]..offsets[row + 1]).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    items.push(out, item as usize);
                }
                out.push(b']');
            }
            Values::Map(map, keys, values) => {
                let offsets = map.value_offsets();
                out.push(b'{');
                for (i, entry) in (offsets[row]..offsets[row + 1]).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    push_quoted(out, keys.value(entry as usize));
                    out.push(b':');
                    values.push(out, entry as usize);
                }
                out.push(b'}');
            }
            Values::Struct(prefixes, fields) => push_object(out, prefixes, fields, row),
            _ => unreachable!("scalars are written where they are met"),
        }
    }
}

fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.push(b'"');
}
