//! SQL values one at a time, for oracles: made at random, laid into columns, read back.
//!
//! Oracles compute with [`V`] in ways that share no code with what they check.

pub(crate) mod big;
pub(crate) mod random;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array,
    Int32Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray, StructArray, Time32MillisecondArray,
    TimestampMillisecondArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int32Type, Int64Type, Time32MillisecondType,
    TimestampMillisecondType, i256,
};

use self::big::Big;
use super::{registry, schema};
use crate::expressions::{EdgeSchema, ErrorSink, EvaluationContext, Projection};
use crate::sql::parse_expression;
use crate::types::SqlType;

/// A value. Doubles are equal if they print alike: NaN equals itself, and zeros have signs.
#[derive(Debug, Clone)]
pub(crate) enum V {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    /// The unscaled digits.
    Decimal(Big),
    Text(String),
    Bytes(Vec<u8>),
    Time(i32),
    Date(i32),
    Timestamp(i64),
    Array(Vec<V>),
    Map(Vec<(V, V)>),
    Struct(Vec<V>),
}

impl V {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl PartialEq for V {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

/// How many random batches a property is tried on; `THALWEG_SEEDS` says otherwise.
pub(crate) fn seeds() -> u64 {
    std::env::var("THALWEG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200)
}

macro_rules! pick {
    ($values:expr, $variant:ident) => {
        $values.iter().map(|value| match value {
            V::$variant(inner) => Some(inner.clone()),
            V::Null => None,
            other => panic!("{other:?} in a column of another type"),
        })
    };
}

/// A column of values.
pub(crate) fn column(ty: &SqlType, values: &[V]) -> ArrayRef {
    let valid: Vec<bool> = values.iter().map(|value| !value.is_null()).collect();
    let nulls = Some(NullBuffer::from(valid));
    match ty {
        SqlType::Boolean => Arc::new(pick!(values, Bool).collect::<BooleanArray>()),
        SqlType::Integer => Arc::new(pick!(values, Int).collect::<Int32Array>()),
        SqlType::BigInt => Arc::new(pick!(values, Long).collect::<Int64Array>()),
        SqlType::Double => Arc::new(pick!(values, Double).collect::<Float64Array>()),
        SqlType::Decimal { precision: 0..=38, .. } => {
            let digits = pick!(values, Decimal).map(|v| v.map(|v| v.to_string().parse::<i128>().expect("38 digits")));
            Arc::new(digits.collect::<Decimal128Array>().with_data_type(ty.arrow()))
        }
        SqlType::Decimal { .. } => {
            let digits = pick!(values, Decimal).map(|v| v.map(|v| i256::from_string(&v.to_string()).expect("fits")));
            Arc::new(digits.collect::<Decimal256Array>().with_data_type(ty.arrow()))
        }
        SqlType::String => Arc::new(pick!(values, Text).collect::<StringArray>()),
        SqlType::Bytes => Arc::new(pick!(values, Bytes).collect::<BinaryArray>()),
        SqlType::Time => Arc::new(pick!(values, Time).collect::<Time32MillisecondArray>()),
        SqlType::Date => Arc::new(pick!(values, Date).collect::<Date32Array>()),
        SqlType::Timestamp => Arc::new(pick!(values, Timestamp).collect::<TimestampMillisecondArray>()),
        SqlType::Array(element) => {
            let lists: Vec<Vec<V>> = pick!(values, Array).map(Option::unwrap_or_default).collect();
            let DataType::List(field) = ty.arrow() else { panic!("a list") };
            let offsets = OffsetBuffer::from_lengths(lists.iter().map(Vec::len));
            Arc::new(ListArray::new(field, offsets, column(element, &lists.concat()), nulls))
        }
        SqlType::Map(key, value) => {
            let maps: Vec<Vec<(V, V)>> = pick!(values, Map).map(Option::unwrap_or_default).collect();
            let DataType::Map(field, _) = ty.arrow() else { panic!("a map") };
            let DataType::Struct(fields) = field.data_type() else { panic!("entries") };
            let offsets = OffsetBuffer::from_lengths(maps.iter().map(Vec::len));
            let (keys, items): (Vec<V>, Vec<V>) = maps.into_iter().flatten().unzip();
            let entries = StructArray::new(fields.clone(), vec![column(key, &keys), column(value, &items)], None);
            Arc::new(MapArray::new(field, offsets, entries, nulls, false))
        }
        SqlType::Struct(fields) => {
            let DataType::Struct(arrow) = ty.arrow() else { panic!("a struct") };
            let columns = fields.iter().enumerate().map(|(i, field)| {
                let parts = values.iter().map(|value| match value {
                    V::Struct(parts) => parts[i].clone(),
                    _ => V::Null,
                });
                column(&field.ty, &parts.collect::<Vec<_>>())
            });
            Arc::new(StructArray::new(arrow, columns.collect(), nulls))
        }
    }
}

/// The value at a position.
pub(crate) fn read(array: &ArrayRef, ty: &SqlType, i: usize) -> V {
    if array.is_null(i) {
        return V::Null;
    }
    match ty {
        SqlType::Boolean => V::Bool(array.as_boolean().value(i)),
        SqlType::Integer => V::Int(array.as_primitive::<Int32Type>().value(i)),
        SqlType::BigInt => V::Long(array.as_primitive::<Int64Type>().value(i)),
        SqlType::Double => V::Double(array.as_primitive::<Float64Type>().value(i)),
        SqlType::Decimal { precision: 0..=38, .. } => {
            V::Decimal(Big::read(&array.as_primitive::<Decimal128Type>().value(i).to_string()))
        }
        SqlType::Decimal { .. } => V::Decimal(Big::read(&array.as_primitive::<Decimal256Type>().value(i).to_string())),
        SqlType::String => V::Text(array.as_string::<i32>().value(i).to_owned()),
        SqlType::Bytes => V::Bytes(array.as_binary::<i32>().value(i).to_vec()),
        SqlType::Time => V::Time(array.as_primitive::<Time32MillisecondType>().value(i)),
        SqlType::Date => V::Date(array.as_primitive::<Date32Type>().value(i)),
        SqlType::Timestamp => V::Timestamp(array.as_primitive::<TimestampMillisecondType>().value(i)),
        SqlType::Array(element) => {
            let list = array.as_list::<i32>().value(i);
            V::Array((0..list.len()).map(|i| read(&list, element, i)).collect())
        }
        SqlType::Map(key, value) => {
            let entries = array.as_map().value(i);
            let (keys, items) = (entries.column(0), entries.column(1));
            V::Map((0..entries.len()).map(|i| (read(keys, key, i), read(items, value, i))).collect())
        }
        SqlType::Struct(fields) => {
            let columns = array.as_struct().columns();
            V::Struct(columns.iter().zip(fields.iter()).map(|(column, field)| read(column, &field.ty, i)).collect())
        }
    }
}

/// An expression over columns, to be run on random batches.
pub(crate) struct Subject {
    expression: String,
    projection: Projection,
    schema: EdgeSchema,
}

impl Subject {
    /// Compiles `expression` over `a INT, b STRING`.
    #[track_caller]
    pub(crate) fn new(expression: &str, columns: &str) -> Self {
        let schema = schema(columns);
        let parsed = parse_expression(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
        let projection = Projection::compile(&[("X".to_owned(), parsed)], &schema, registry());
        let projection = projection.unwrap_or_else(|error| panic!("{expression} of {columns}: {error}"));
        Self { expression: expression.to_owned(), projection, schema }
    }

    /// The types of its columns.
    pub(crate) fn types(&self) -> Vec<SqlType> {
        self.schema.columns().iter().map(|column| column.ty.clone()).collect()
    }

    /// The type of its result.
    pub(crate) fn result(&self) -> SqlType {
        self.projection.types().next().flatten().cloned().unwrap_or(SqlType::String)
    }

    /// The value of each row, and how many failures the row reported. Rows hold a value per column.
    pub(crate) fn run(&self, rows: &[Vec<V>]) -> Vec<(V, usize)> {
        // A row in front, then cut off: kernels must respect the offsets of arrays.
        let Some(first) = rows.first() else { return Vec::new() };
        let rows: Vec<&Vec<V>> = std::iter::once(first).chain(rows).collect();
        let types = self.types();
        let arrays = types.iter().enumerate().map(|(i, ty)| {
            let values: Vec<V> = rows.iter().map(|row| row[i].clone()).collect();
            column(ty, &values)
        });
        let batch = RecordBatch::try_new(self.schema.arrow(), arrays.collect()).expect("columns of the schema");
        let batch = batch.slice(1, rows.len() - 1);
        let mut errors = ErrorSink::default();
        let context = EvaluationContext { now_ms: 1_000, seed: 7 };
        let result = self.projection.evaluate(&batch, &context, &mut errors).remove(0);
        result.to_data().validate_full().expect("a valid array");
        let mut failures: BTreeMap<usize, usize> = BTreeMap::new();
        for error in errors.errors {
            *failures.entry(error.row).or_default() += 1;
        }
        let ty = self.result();
        assert_eq!(result.data_type(), &ty.arrow(), "{}", self.expression);
        (0..batch.num_rows()).map(|i| (read(&result, &ty, i), failures.remove(&i).unwrap_or(0))).collect()
    }

    /// Compares with an oracle, over random batches. The oracle gives a value or says that the row fails: then the
    /// result is NULL, and only then is a failure reported.
    #[track_caller]
    pub(crate) fn agrees(&self, oracle: impl Fn(&[V]) -> Result<V, String>) {
        let types = self.types();
        self.agrees_on(|random| types.iter().map(|ty| random::value(ty, random)).collect(), oracle);
    }

    /// As [`Self::agrees`], on rows that `row` makes.
    #[track_caller]
    pub(crate) fn agrees_on(
        &self,
        row: impl Fn(&mut fastrand::Rng) -> Vec<V>,
        oracle: impl Fn(&[V]) -> Result<V, String>,
    ) {
        self.agrees_for(seeds(), row, oracle);
    }

    /// As [`Self::agrees_on`], for a number of batches.
    #[track_caller]
    pub(crate) fn agrees_for(
        &self,
        batches: u64,
        row: impl Fn(&mut fastrand::Rng) -> Vec<V>,
        oracle: impl Fn(&[V]) -> Result<V, String>,
    ) {
        for seed in 0..batches {
            let mut random = fastrand::Rng::with_seed(seed);
            let rows: Vec<Vec<V>> = (0..random.usize(1..24)).map(|_| row(&mut random)).collect();
            for (row, (value, failures)) in rows.iter().zip(self.run(&rows)) {
                let (expected, fails) = match oracle(row) {
                    Ok(expected) => (expected, false),
                    Err(_) => (V::Null, true),
                };
                assert_eq!(value, expected, "{} of {row:?}, seed {seed}", self.expression);
                assert_eq!(failures > 0, fails, "{} of {row:?} reports {failures}, seed {seed}", self.expression);
            }
        }
    }
}
