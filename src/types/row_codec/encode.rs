//! Columns to the bytes of rows.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray, StringArray, StructArray,
};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType, i256,
};

use super::EncodedRows;

/// A column whose type is looked at once.
enum Reader<'a> {
    Boolean(&'a BooleanArray),
    Int32(&'a PrimitiveArray<Int32Type>),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<Time32MillisecondType>),
    Int64(&'a PrimitiveArray<Int64Type>),
    Timestamp(&'a PrimitiveArray<TimestampMillisecondType>),
    Double(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>),
    LongDecimal(&'a PrimitiveArray<Decimal256Type>),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    List(&'a ListArray, Box<Reader<'a>>),
    Map(&'a MapArray, Box<Reader<'a>>, Box<Reader<'a>>),
    Struct(&'a StructArray, Vec<Reader<'a>>),
}

impl<'a> Reader<'a> {
    fn new(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::Boolean => Self::Boolean(column.as_boolean()),
            DataType::Int32 => Self::Int32(column.as_primitive()),
            DataType::Date32 => Self::Date(column.as_primitive()),
            DataType::Time32(_) => Self::Time(column.as_primitive()),
            DataType::Int64 => Self::Int64(column.as_primitive()),
            DataType::Timestamp(..) => Self::Timestamp(column.as_primitive()),
            DataType::Float64 => Self::Double(column.as_primitive()),
            DataType::Decimal128(..) => Self::Decimal(column.as_primitive()),
            DataType::Decimal256(..) => Self::LongDecimal(column.as_primitive()),
            DataType::Utf8 => Self::Text(column.as_string()),
            DataType::Binary => Self::Bytes(column.as_binary()),
            DataType::List(_) => {
                let list = column.as_list::<i32>();
                Self::List(list, Box::new(Self::new(list.values())))
            }
            DataType::Map(..) => {
                let map = column.as_map();
                Self::Map(map, Box::new(Self::new(map.keys())), Box::new(Self::new(map.values())))
            }
            DataType::Struct(_) => {
                let fields = column.as_struct();
                Self::Struct(fields, fields.columns().iter().map(Self::new).collect())
            }
            other => unreachable!("{other} is the Arrow form of no SQL type"),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Boolean(array) => array.is_null(row),
            Self::Int32(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Time(array) => array.is_null(row),
            Self::Int64(array) => array.is_null(row),
            Self::Timestamp(array) => array.is_null(row),
            Self::Double(array) => array.is_null(row),
            Self::Decimal(array) => array.is_null(row),
            Self::LongDecimal(array) => array.is_null(row),
            Self::Text(array) => array.is_null(row),
            Self::Bytes(array) => array.is_null(row),
            Self::List(array, _) => array.is_null(row),
            Self::Map(array, ..) => array.is_null(row),
            Self::Struct(array, _) => array.is_null(row),
        }
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.push(0);
        }
        out.push(1);
        match self {
            Self::Boolean(array) => out.push(u8::from(array.value(row))),
            Self::Int32(array) => out.extend(flip32(array.value(row))),
            Self::Date(array) => out.extend(flip32(array.value(row))),
            Self::Time(array) => out.extend(flip32(array.value(row))),
            Self::Int64(array) => out.extend(flip64(array.value(row))),
            Self::Timestamp(array) => out.extend(flip64(array.value(row))),
            Self::Double(array) => {
                let bits = array.value(row).to_bits();
                let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
                out.extend(ordered.to_be_bytes());
            }
            Self::Decimal(array) => out.extend((array.value(row) ^ i128::MIN).to_be_bytes()),
            Self::LongDecimal(array) => out.extend((array.value(row) ^ i256::MIN).to_be_bytes()),
            Self::Text(array) => write_bytes(array.value(row).as_bytes(), out),
            Self::Bytes(array) => write_bytes(array.value(row), out),
            Self::List(array, elements) => {
                for index in range(array.value_offsets(), row) {
                    out.push(1);
                    elements.write(index, out);
                }
                out.push(0);
            }
            Self::Map(array, keys, values) => {
                for index in range(array.value_offsets(), row) {
                    out.push(1);
                    keys.write(index, out);
                    values.write(index, out);
                }
                out.push(0);
            }
            Self::Struct(_, fields) => fields.iter().for_each(|field| field.write(row, out)),
        }
    }
}

fn flip32(value: i32) -> [u8; 4] {
    (value ^ i32::MIN).to_be_bytes()
}

fn flip64(value: i64) -> [u8; 8] {
    (value ^ i64::MIN).to_be_bytes()
}

fn write_bytes(mut bytes: &[u8], out: &mut Vec<u8>) {
    while let Some(zero) = memchr::memchr(0, bytes) {
        out.extend_from_slice(&bytes[..zero]);
        out.extend([0, 0xff]);
        bytes = &bytes[zero + 1..];
    }
    out.extend_from_slice(bytes);
    out.extend([0, 1]);
}

fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |index: usize| usize::try_from(offsets[index]).expect("offsets of a list are not negative");
    at(row)..at(row + 1)
}

pub(super) fn append(columns: &[ArrayRef], rows: usize, encoded: &mut EncodedRows) {
    let readers: Vec<Reader<'_>> = columns.iter().map(Reader::new).collect();
    encoded.ends.reserve(rows);
    for row in 0..rows {
        readers.iter().for_each(|reader| reader.write(row, &mut encoded.data));
        encoded.ends.push(encoded.data.len());
    }
}

pub(super) fn append_row(columns: &[ArrayRef], row: usize, out: &mut Vec<u8>) {
    columns.iter().for_each(|column| Reader::new(column).write(row, out));
}
