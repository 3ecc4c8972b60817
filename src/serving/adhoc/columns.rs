//! The columns that streams and tables have for standard SQL, and SQL types of what DataFusion computes.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;

use crate::catalog::Source;
use crate::types::{Name, SqlType, StructField};

/// Columns that every source has and `*` leaves out.
pub(super) const HIDDEN: [(&str, SqlType); 3] =
    [("ROWTIME", SqlType::BigInt), ("ROWPARTITION", SqlType::Integer), ("ROWOFFSET", SqlType::BigInt)];

/// The columns that `*` means: keys, the window of a windowed source, values, headers.
pub(super) fn star(source: &Source) -> Vec<(Name, SqlType)> {
    let declared = |column: &crate::types::Column| (column.name.clone(), column.ty.clone());
    let mut columns: Vec<_> = source.schema.key().map(declared).collect();
    if source.window.is_some() {
        columns.extend(["WINDOWSTART", "WINDOWEND"].map(|name| (Name::from(name), SqlType::BigInt)));
    }
    columns.extend(source.schema.value().chain(source.schema.headers()).map(declared));
    columns
}

/// Every column in order, with those of [`HIDDEN`] that `wanted` names.
pub(super) fn all(source: &Source, wanted: &[Name]) -> Vec<(Name, SqlType)> {
    let mut columns = star(source);
    for (name, ty) in HIDDEN {
        let name = Name::from(name);
        if wanted.contains(&name) && columns.iter().all(|(known, _)| *known != name) {
            columns.push((name, ty));
        }
    }
    columns
}

/// The Arrow schema of columns: every one nullable.
pub(super) fn arrow(columns: &[(Name, SqlType)]) -> SchemaRef {
    let fields: Vec<_> = columns.iter().map(|(name, ty)| Field::new(name.as_str(), ty.arrow(), true)).collect();
    Arc::new(Schema::new(fields))
}

/// The SQL type that holds values of any Arrow type; `None` for what no SQL type holds (unions). Unsigned and small
/// integers widen, views and large forms become the usual ones, times take milliseconds.
pub(super) fn sql_type(arrow: &DataType) -> Option<SqlType> {
    Some(match arrow {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => SqlType::Integer,
        DataType::UInt32 | DataType::UInt64 => SqlType::BigInt,
        DataType::Float16 | DataType::Float32 => SqlType::Double,
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => {
            let scale = u32::try_from(*s).unwrap_or(0);
            SqlType::Decimal { precision: u32::from(*p).max(scale).max(1), scale }
        }
        DataType::Null | DataType::LargeUtf8 | DataType::Utf8View | DataType::Interval(_) | DataType::Duration(_) => {
            SqlType::String
        }
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => SqlType::Bytes,
        DataType::Timestamp(..) | DataType::Date64 => SqlType::Timestamp,
        DataType::Time32(_) | DataType::Time64(_) => SqlType::Time,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => SqlType::Array(Box::new(sql_type(item.data_type())?)),
        DataType::Dictionary(_, value) => sql_type(value)?,
        DataType::RunEndEncoded(_, values) => sql_type(values.data_type())?,
        DataType::Struct(fields) => SqlType::Struct(struct_fields(fields)?),
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { return None };
            let [key, value] = fields.as_ref() else { return None };
            SqlType::Map(Box::new(sql_type(key.data_type())?), Box::new(sql_type(value.data_type())?))
        }
        plain => SqlType::from_arrow(plain)?,
    })
}

fn struct_fields(fields: &Fields) -> Option<Arc<[StructField]>> {
    let field = |field: &Arc<Field>| {
        Some(StructField { name: Name::from(field.name().as_str()), ty: sql_type(field.data_type())? })
    };
    fields.iter().map(field).collect()
}

/// An array in the Arrow form of its SQL type. What does not fit (a BIGINT of 64 unsigned bits) is NULL.
///
/// # Errors
/// Arrow knows no way between the types.
pub(super) fn converted(array: &ArrayRef, ty: &SqlType) -> Result<ArrayRef, ArrowError> {
    let wanted = ty.arrow();
    if *array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    cast_with_options(array, &wanted, &CastOptions { safe: true, ..CastOptions::default() })
}

/// A batch in the Arrow forms of its columns' SQL types.
///
/// # Errors
/// As [`converted`].
pub(super) fn converted_batch(
    batch: &RecordBatch,
    types: &[SqlType],
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let arrays = batch.columns().iter().zip(types).map(|(array, ty)| converted(array, ty)).collect::<Result<_, _>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &rows)
}
