//! The SQL types and their one Arrow form each.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde::{Deserialize, Serialize};

use super::Name;

/// A field of a STRUCT.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StructField {
    /// Field name after the case rule.
    pub name: Name,
    /// Field type.
    pub ty: SqlType,
}

/// A SQL type. Every value of every type, at every level, may be null.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SqlType {
    /// `true` or `false`.
    Boolean,
    /// 32-bit signed integer.
    Integer,
    /// 64-bit signed integer.
    BigInt,
    /// IEEE 754 64-bit.
    Double,
    /// Exact number of `precision` digits, `scale` of them after the point.
    Decimal {
        /// Digits in all, at least 1. Above [`SqlType::MAX_DECIMAL_PRECISION`] has no Arrow form and is refused.
        precision: u32,
        /// Digits after the point, at most `precision`.
        scale: u32,
    },
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// Time of day, milliseconds.
    Time,
    /// Day of the proleptic Gregorian calendar.
    Date,
    /// Milliseconds since 1970-01-01T00:00Z, without a zone.
    Timestamp,
    /// List of one type.
    Array(Box<SqlType>),
    /// Map from one type to another.
    Map(Box<SqlType>, Box<SqlType>),
    /// Named fields in order.
    Struct(Arc<[StructField]>),
}

impl SqlType {
    /// The most digits a DECIMAL can have: what Arrow's 256-bit decimals hold.
    pub const MAX_DECIMAL_PRECISION: u32 = 76;
    /// The most digits that fit Arrow's 128-bit decimals.
    pub const MAX_DECIMAL128_PRECISION: u32 = 38;

    /// The Arrow type that columns of this SQL type have everywhere.
    ///
    /// BOOLEAN is `Boolean`, INTEGER `Int32`, BIGINT `Int64`, DOUBLE `Float64`, DECIMAL `Decimal128` up to 38 digits
    /// and `Decimal256` above, STRING `Utf8`, BYTES `Binary`, TIME `Time32(ms)`, DATE `Date32`,
    /// TIMESTAMP `Timestamp(ms, no zone)`, ARRAY `List` of a nullable field `item`, MAP `Map` with the entries field
    /// `entries` of `key` (not null) and `value` (nullable), unsorted; STRUCT `Struct` of nullable fields.
    ///
    /// # Panics
    /// If a DECIMAL has more than [`Self::MAX_DECIMAL_PRECISION`] digits: types are checked where they are declared.
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => {
                let (p, s) = u8::try_from(*precision)
                    .ok()
                    .zip(i8::try_from(*scale).ok())
                    .filter(|(p, _)| u32::from(*p) <= Self::MAX_DECIMAL_PRECISION)
                    .unwrap_or_else(|| panic!("DECIMAL({precision}, {scale}) was declared unchecked"));
                if *precision <= Self::MAX_DECIMAL128_PRECISION {
                    DataType::Decimal128(p, s)
                } else {
                    DataType::Decimal256(p, s)
                }
            }
            Self::String => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Time => DataType::Time32(TimeUnit::Millisecond),
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            Self::Array(element) => DataType::List(Arc::new(Field::new("item", element.arrow(), true))),
            Self::Map(key, value) => {
                let entries =
                    Fields::from(vec![Field::new("key", key.arrow(), false), Field::new("value", value.arrow(), true)]);
                DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries), false)), false)
            }
            Self::Struct(fields) => DataType::Struct(
                fields.iter().map(|field| Field::new(field.name.as_str(), field.ty.arrow(), true)).collect(),
            ),
        }
    }

    /// The SQL type of an Arrow type, if it is one that [`SqlType::arrow`] gives.
    pub fn from_arrow(arrow: &DataType) -> Option<Self> {
        Some(match arrow {
            DataType::Boolean => Self::Boolean,
            DataType::Int32 => Self::Integer,
            DataType::Int64 => Self::BigInt,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => {
                Self::Decimal { precision: u32::from(*p), scale: u32::try_from(*s).ok()? }
            }
            DataType::Utf8 => Self::String,
            DataType::Binary => Self::Bytes,
            DataType::Time32(TimeUnit::Millisecond) => Self::Time,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(TimeUnit::Millisecond, None) => Self::Timestamp,
            DataType::List(item) => Self::Array(Box::new(Self::from_arrow(item.data_type())?)),
            DataType::Map(entries, _) => {
                let DataType::Struct(fields) = entries.data_type() else { return None };
                let [key, value] = fields.as_ref() else { return None };
                Self::Map(Box::new(Self::from_arrow(key.data_type())?), Box::new(Self::from_arrow(value.data_type())?))
            }
            DataType::Struct(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|field| {
                        Some(StructField {
                            name: Name::from(field.name().as_str()),
                            ty: Self::from_arrow(field.data_type())?,
                        })
                    })
                    .collect::<Option<_>>()?,
            ),
            _ => return None,
        })
    }

    /// True for INTEGER, BIGINT, DECIMAL and DOUBLE.
    pub fn is_numeric(&self) -> bool {
        matches!(self, Self::Integer | Self::BigInt | Self::Double | Self::Decimal { .. })
    }

    /// True for ARRAY, MAP and STRUCT.
    pub fn is_nested(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Map(..) | Self::Struct(_))
    }

    /// True if this is a MAP or holds one at any depth.
    pub fn contains_map(&self) -> bool {
        match self {
            Self::Map(..) => true,
            Self::Array(element) => element.contains_map(),
            Self::Struct(fields) => fields.iter().any(|field| field.ty.contains_map()),
            _ => false,
        }
    }

    /// The bare name ksqlDB uses in API schemas and messages: `INTEGER`, `ARRAY`, `STRUCT`, …
    pub fn base_name(&self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::Integer => "INTEGER",
            Self::BigInt => "BIGINT",
            Self::Double => "DOUBLE",
            Self::Decimal { .. } => "DECIMAL",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Time => "TIME",
            Self::Date => "DATE",
            Self::Timestamp => "TIMESTAMP",
            Self::Array(_) => "ARRAY",
            Self::Map(..) => "MAP",
            Self::Struct(_) => "STRUCT",
        }
    }
}

/// Full SQL text: `DECIMAL(4, 2)`, ``STRUCT<`A` INTEGER>``, `MAP<STRING, BIGINT>`.
impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal { precision, scale } => write!(f, "DECIMAL({precision}, {scale})"),
            Self::Array(element) => write!(f, "ARRAY<{element}>"),
            Self::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            Self::Struct(fields) => {
                f.write_str("STRUCT<")?;
                for (i, field) in fields.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{} {}", field.name.quoted(), field.ty)?;
                }
                f.write_str(">")
            }
            simple => f.write_str(simple.base_name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SqlType, StructField};

    #[test]
    fn every_type_survives_the_way_to_arrow_and_back() {
        let row = SqlType::Struct(
            [StructField { name: "a".into(), ty: SqlType::Array(Box::new(SqlType::Time)) }].into_iter().collect(),
        );
        let all = [
            SqlType::Boolean,
            SqlType::Integer,
            SqlType::BigInt,
            SqlType::Double,
            SqlType::Decimal { precision: 4, scale: 2 },
            SqlType::Decimal { precision: 50, scale: 50 },
            SqlType::String,
            SqlType::Bytes,
            SqlType::Date,
            SqlType::Timestamp,
            SqlType::Map(Box::new(SqlType::String), Box::new(row.clone())),
            row,
        ];
        for ty in all {
            assert_eq!(SqlType::from_arrow(&ty.arrow()), Some(ty));
        }
    }
}
