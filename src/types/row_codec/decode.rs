//! The bytes of rows back to columns.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array, GenericBinaryBuilder,
    Int32Array, Int64Array, ListArray, MapArray, StringBuilder, StructArray, Time32MillisecondArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, i256};

use super::NotARow;
use crate::types::SqlType;

/// What is left of a row.
struct Cursor<'a> {
    left: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(n)?;
        self.left = left;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// True for `01`, false for `00`.
    fn flag(&mut self) -> Option<bool> {
        match self.take(1)? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn int32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.array()?) ^ i32::MIN)
    }

    fn int64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.array()?) ^ i64::MIN)
    }

    fn double(&mut self) -> Option<f64> {
        let ordered = u64::from_be_bytes(self.array()?);
        Some(f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered }))
    }

    /// Bytes up to their end mark, to `out`.
    fn bytes(&mut self, out: &mut Vec<u8>) -> Option<()> {
        loop {
            let zero = memchr::memchr(0, self.left)?;
            out.extend_from_slice(self.take(zero)?);
            match self.array()? {
                [0, 0xff] => out.push(0),
                [0, 1] => return Some(()),
                _ => return None,
            }
        }
    }
}

impl Cursor<'_> {
    /// Passes a column over.
    fn skip(&mut self, ty: &SqlType) -> Option<()> {
        if !self.flag()? {
            return Some(());
        }
        match ty {
            SqlType::Boolean => self.take(1).map(drop),
            SqlType::Integer | SqlType::Date | SqlType::Time => self.take(4).map(drop),
            SqlType::BigInt | SqlType::Timestamp | SqlType::Double => self.take(8).map(drop),
            SqlType::Decimal { precision, .. } if *precision <= SqlType::MAX_DECIMAL128_PRECISION => {
                self.take(16).map(drop)
            }
            SqlType::Decimal { .. } => self.take(32).map(drop),
            SqlType::String | SqlType::Bytes => loop {
                let zero = memchr::memchr(0, self.left)?;
                self.take(zero)?;
                match self.array()? {
                    [0, 0xff] => {}
                    [0, 1] => return Some(()),
                    _ => return None,
                }
            },
            SqlType::Array(element) => {
                while self.flag()? {
                    self.skip(element)?;
                }
                Some(())
            }
            SqlType::Map(key, value) => {
                while self.flag()? {
                    self.skip(key)?;
                    self.skip(value)?;
                }
                Some(())
            }
            SqlType::Struct(fields) => fields.iter().try_for_each(|field| self.skip(&field.ty)),
        }
    }
}

/// A column under construction.
enum Builder {
    Boolean(Vec<Option<bool>>),
    Int32(Vec<Option<i32>>),
    Date(Vec<Option<i32>>),
    Time(Vec<Option<i32>>),
    Int64(Vec<Option<i64>>),
    Timestamp(Vec<Option<i64>>),
    Double(Vec<Option<f64>>),
    Decimal(Vec<Option<i128>>, DataType),
    LongDecimal(Vec<Option<i256>>, DataType),
    Text(StringBuilder, Vec<u8>),
    Bytes(GenericBinaryBuilder<i32>, Vec<u8>),
    List { ends: Vec<usize>, valid: Vec<bool>, element: Box<Builder>, ty: DataType },
    Map { ends: Vec<usize>, valid: Vec<bool>, key: Box<Builder>, value: Box<Builder>, ty: DataType },
    Struct { valid: Vec<bool>, fields: Vec<Builder>, ty: DataType },
}

impl Builder {
    fn new(ty: &SqlType) -> Self {
        match ty {
            SqlType::Boolean => Self::Boolean(vec![]),
            SqlType::Integer => Self::Int32(vec![]),
            SqlType::Date => Self::Date(vec![]),
            SqlType::Time => Self::Time(vec![]),
            SqlType::BigInt => Self::Int64(vec![]),
            SqlType::Timestamp => Self::Timestamp(vec![]),
            SqlType::Double => Self::Double(vec![]),
            SqlType::Decimal { precision, .. } if *precision <= SqlType::MAX_DECIMAL128_PRECISION => {
                Self::Decimal(vec![], ty.arrow())
            }
            SqlType::Decimal { .. } => Self::LongDecimal(vec![], ty.arrow()),
            SqlType::String => Self::Text(StringBuilder::new(), vec![]),
            SqlType::Bytes => Self::Bytes(GenericBinaryBuilder::new(), vec![]),
            SqlType::Array(element) => {
                Self::List { ends: vec![], valid: vec![], element: Box::new(Self::new(element)), ty: ty.arrow() }
            }
            SqlType::Map(key, value) => Self::Map {
                ends: vec![],
                valid: vec![],
                key: Box::new(Self::new(key)),
                value: Box::new(Self::new(value)),
                ty: ty.arrow(),
            },
            SqlType::Struct(fields) => Self::Struct {
                valid: vec![],
                fields: fields.iter().map(|field| Self::new(&field.ty)).collect(),
                ty: ty.arrow(),
            },
        }
    }

    /// Takes one column off the row.
    fn read(&mut self, row: &mut Cursor<'_>) -> Option<()> {
        if !row.flag()? {
            self.push_null();
            return Some(());
        }
        match self {
            Self::Boolean(values) => values.push(Some(row.flag()?)),
            Self::Int32(values) | Self::Date(values) | Self::Time(values) => values.push(Some(row.int32()?)),
            Self::Int64(values) | Self::Timestamp(values) => values.push(Some(row.int64()?)),
            Self::Double(values) => values.push(Some(row.double()?)),
            Self::Decimal(values, _) => values.push(Some(i128::from_be_bytes(row.array()?) ^ i128::MIN)),
            Self::LongDecimal(values, _) => values.push(Some(i256::from_be_bytes(row.array()?) ^ i256::MIN)),
            Self::Text(values, text) => {
                text.clear();
                row.bytes(text)?;
                values.append_value(std::str::from_utf8(text).ok()?);
            }
            Self::Bytes(values, bytes) => {
                bytes.clear();
                row.bytes(bytes)?;
                values.append_value(&*bytes);
            }
            Self::List { ends, valid, element, .. } => {
                let mut end = ends.last().copied().unwrap_or(0);
                while row.flag()? {
                    element.read(row)?;
                    end += 1;
                }
                ends.push(end);
                valid.push(true);
            }
            Self::Map { ends, valid, key, value, .. } => {
                let mut end = ends.last().copied().unwrap_or(0);
                while row.flag()? {
                    key.read(row)?;
                    value.read(row)?;
                    end += 1;
                }
                ends.push(end);
                valid.push(true);
            }
            Self::Struct { valid, fields, .. } => {
                for field in fields {
                    field.read(row)?;
                }
                valid.push(true);
            }
        }
        Some(())
    }

    fn push_null(&mut self) {
        match self {
            Self::Boolean(values) => values.push(None),
            Self::Int32(values) | Self::Date(values) | Self::Time(values) => values.push(None),
            Self::Int64(values) | Self::Timestamp(values) => values.push(None),
            Self::Double(values) => values.push(None),
            Self::Decimal(values, _) => values.push(None),
            Self::LongDecimal(values, _) => values.push(None),
            Self::Text(values, _) => values.append_null(),
            Self::Bytes(values, _) => values.append_null(),
            Self::List { ends, valid, .. } | Self::Map { ends, valid, .. } => {
                ends.push(ends.last().copied().unwrap_or(0));
                valid.push(false);
            }
            Self::Struct { valid, fields, .. } => {
                fields.iter_mut().for_each(Self::push_null);
                valid.push(false);
            }
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Boolean(values) => Arc::new(BooleanArray::from(values)),
            Self::Int32(values) => Arc::new(Int32Array::from(values)),
            Self::Date(values) => Arc::new(Date32Array::from(values)),
            Self::Time(values) => Arc::new(Time32MillisecondArray::from(values)),
            Self::Int64(values) => Arc::new(Int64Array::from(values)),
            Self::Timestamp(values) => Arc::new(TimestampMillisecondArray::from(values)),
            Self::Double(values) => Arc::new(Float64Array::from(values)),
            Self::Decimal(values, ty) => Arc::new(Decimal128Array::from(values).with_data_type(ty)),
            Self::LongDecimal(values, ty) => Arc::new(Decimal256Array::from(values).with_data_type(ty)),
            Self::Text(mut values, _) => Arc::new(values.finish()),
            Self::Bytes(mut values, _) => Arc::new(values.finish()),
            Self::List { ends, valid, element, ty } => {
                let DataType::List(field) = ty else { unreachable!("a list has a list type") };
                let (offsets, nulls) = (offsets(&ends), Some(NullBuffer::from(valid)));
                Arc::new(ListArray::new(field, offsets, element.finish(), nulls))
            }
            Self::Map { ends, valid, key, value, ty } => {
                let DataType::Map(entries, sorted) = ty else { unreachable!("a map has a map type") };
                let DataType::Struct(fields) = entries.data_type() else { unreachable!("entries are pairs") };
                let pairs = StructArray::new(fields.clone(), vec![key.finish(), value.finish()], None);
                Arc::new(MapArray::new(entries, offsets(&ends), pairs, Some(NullBuffer::from(valid)), sorted))
            }
            Self::Struct { valid, fields, ty } => {
                let DataType::Struct(of) = ty else { unreachable!("a struct has a struct type") };
                let (rows, nulls) = (valid.len(), Some(NullBuffer::from(valid)));
                if fields.is_empty() {
                    return Arc::new(StructArray::new_empty_fields(rows, nulls));
                }
                Arc::new(StructArray::new(of, fields.into_iter().map(Self::finish).collect(), nulls))
            }
        }
    }
}

fn offsets(ends: &[usize]) -> OffsetBuffer<i32> {
    let end = |end: &usize| i32::try_from(*end).expect("a batch holds less than 2^31 elements");
    OffsetBuffer::new(std::iter::once(0).chain(ends.iter().map(end)).collect())
}

pub(super) fn columns<'a>(
    types: &[SqlType],
    rows: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<ArrayRef>, NotARow> {
    let mut builders: Vec<Builder> = types.iter().map(Builder::new).collect();
    for bytes in rows {
        let mut row = Cursor { left: bytes };
        let is_row = builders.iter_mut().try_for_each(|builder| builder.read(&mut row));
        if is_row.is_none() || !row.left.is_empty() {
            return Err(NotARow(bytes.len()));
        }
    }
    Ok(builders.into_iter().map(Builder::finish).collect())
}

pub(super) fn wanted_columns<'a>(
    types: &[SqlType],
    wanted: &[bool],
    rows: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Option<ArrayRef>>, NotARow> {
    let is_wanted = |at: usize| wanted.get(at).copied().unwrap_or(false);
    let mut builders: Vec<Result<Builder, &SqlType>> =
        types.iter().enumerate().map(|(at, ty)| if is_wanted(at) { Ok(Builder::new(ty)) } else { Err(ty) }).collect();
    // What stands behind the last wanted column is not looked at.
    let read = builders.iter().rposition(Result::is_ok).map_or(0, |last| last + 1);
    for bytes in rows {
        let mut row = Cursor { left: bytes };
        let is_row = builders[..read].iter_mut().try_for_each(|column| match column {
            Ok(builder) => builder.read(&mut row),
            Err(ty) => row.skip(ty),
        });
        is_row.ok_or(NotARow(bytes.len()))?;
    }
    Ok(builders.into_iter().map(|column| column.ok().map(Builder::finish)).collect())
}

pub(super) fn row_length(types: &[SqlType], bytes: &[u8]) -> Result<usize, NotARow> {
    let mut row = Cursor { left: bytes };
    types.iter().try_for_each(|ty| row.skip(ty)).map(|()| bytes.len() - row.left.len()).ok_or(NotARow(bytes.len()))
}
