//! Arrow arrays with their types known, for encoders to read values from, and the text of scalar values, which JSON
//! and DELIMITED share.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array,
    Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray, Time32MillisecondArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::{DataType, Fields};

use super::{EncodeError, FormatName, base64_text};
use crate::types::decimal_text::{push_decimal128, push_decimal256};
use crate::types::java_number::push_double;

/// An array of one of our types.
pub(super) enum Values<'a> {
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
    Struct(&'a Fields, Vec<Source<'a>>),
}

/// A column to read values from.
pub(super) struct Source<'a> {
    nulls: Option<&'a NullBuffer>,
    pub(super) values: Values<'a>,
}

/// The columns of a batch, as many as the format declares.
///
/// # Errors
/// There are more or fewer, or one has an Arrow type that is none of ours.
pub(super) fn sources(
    format: FormatName,
    columns: &[ArrayRef],
    declared: usize,
) -> Result<Vec<Source<'_>>, EncodeError> {
    if columns.len() != declared {
        let message = format!("{format} writes {declared} columns, but {} came", columns.len());
        return Err(EncodeError { row: 0, message });
    }
    columns
        .iter()
        .map(|column| {
            Source::of(column)
                .ok_or_else(|| EncodeError { row: 0, message: format!("{format} cannot write {}", column.data_type()) })
        })
        .collect()
}

impl<'a> Source<'a> {
    fn of(array: &'a ArrayRef) -> Option<Self> {
        let scale = |scale: &i8| u8::try_from(*scale).ok();
        let values = match array.data_type() {
            DataType::Boolean => Values::Boolean(array.as_boolean()),
            DataType::Int32 => Values::Integer(array.as_primitive()),
            DataType::Int64 => Values::BigInt(array.as_primitive()),
            DataType::Float64 => Values::Double(array.as_primitive()),
            DataType::Decimal128(_, s) => Values::Decimal128(array.as_primitive(), scale(s)?),
            DataType::Decimal256(_, s) => Values::Decimal256(array.as_primitive(), scale(s)?),
            DataType::Utf8 => Values::String(array.as_string()),
            DataType::Binary => Values::Bytes(array.as_binary()),
            DataType::Time32(_) => Values::Time(array.as_primitive_opt()?),
            DataType::Date32 => Values::Date(array.as_primitive()),
            DataType::Timestamp(_, None) => Values::Timestamp(array.as_primitive_opt()?),
            DataType::List(_) => {
                let list: &ListArray = array.as_list();
                Values::List(list, Box::new(Self::of(list.values())?))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                Values::Map(map, map.keys().as_string_opt()?, Box::new(Self::of(map.values())?))
            }
            DataType::Struct(fields) => {
                let row: &StructArray = array.as_struct();
                Values::Struct(fields, row.columns().iter().map(Self::of).collect::<Option<_>>()?)
            }
            _ => return None,
        };
        Some(Self { nulls: array.nulls(), values })
    }

    #[inline]
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// Appends the text of a scalar that is not null: strings as they are, numbers as Java spells them, DECIMALs with
    /// all digits of their scale, BYTES in base64, times as numbers.
    ///
    /// # Panics
    /// If the value is not scalar.
    #[inline]
    pub(super) fn push_text(&self, out: &mut Vec<u8>, row: usize) {
        let mut buffer = itoa::Buffer::new();
        let text = match &self.values {
            Values::BigInt(values) => buffer.format(values.value(row)),
            Values::Integer(values) => buffer.format(values.value(row)),
            Values::Timestamp(values) => buffer.format(values.value(row)),
            Values::Time(values) => buffer.format(values.value(row)),
            Values::Date(values) => buffer.format(values.value(row)),
            Values::String(values) => values.value(row),
            Values::Double(values) => return push_double(out, values.value(row)),
            Values::Boolean(values) => match values.value(row) {
                true => "true",
                false => "false",
            },
            Values::Decimal128(values, scale) => return push_decimal128(out, values.value(row), *scale),
            Values::Decimal256(values, scale) => return push_decimal256(out, values.value(row), *scale),
            Values::Bytes(values) => return base64_text::push_encoded(out, values.value(row)),
            Values::List(..) | Values::Map(..) | Values::Struct(..) => unreachable!("scalars only have a text"),
        };
        out.extend_from_slice(text.as_bytes());
    }
}
