//! ARRAY[…], MAP(…) and STRUCT(…): every part is a unit of error handling.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StringArray, StructArray};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::interleave;
use datafusion::arrow::datatypes::{DataType, Field};

use super::Arguments;
use super::equality::equality;
use super::value::{Outcome, Value};
use crate::types::SqlType;

pub(super) fn array(args: Arguments, ty: &SqlType) -> Outcome {
    let SqlType::Array(element) = ty else { panic!("{ty} is not an ARRAY") };
    let n = args.values.len();
    let indices: Vec<(usize, usize)> = (0..args.rows)
        .flat_map(|row| args.values.iter().enumerate().map(move |(i, value)| (i, at(value, row))))
        .collect();
    let values = gather(&args.values.iter().collect::<Vec<_>>(), &indices);
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(n, args.rows));
    let list = ListArray::new(Arc::new(Field::new("item", element.arrow(), true)), offsets, values, None);
    args.outcome(Arc::new(list), Vec::new())
}

/// Of equal keys the last wins, at the place of the first. A null STRING key becomes the word `null`, as which every
/// format writes it, since Arrow's maps have no null keys; another null key fails its row.
pub(super) fn map(args: Arguments, ty: &SqlType) -> Outcome {
    let worded: Vec<Value> = args.values.iter().step_by(2).map(null_as_word).collect();
    let keys: Vec<&Value> = worded.iter().collect();
    let values: Vec<&Value> = args.values.iter().skip(1).step_by(2).collect();
    let (mut key_indices, mut value_indices, mut lengths) = (Vec::new(), Vec::new(), Vec::with_capacity(args.rows));
    let mut failures = Vec::new();
    let same = SameKeys::of(&keys);
    for row in 0..args.rows {
        let start = key_indices.len();
        if keys.iter().any(|key| key.is_null(row)) {
            failures.push((row, "a key of a MAP is null".into()));
            lengths.push(0);
            continue;
        }
        let mut seen: Vec<usize> = Vec::with_capacity(keys.len());
        for i in 0..keys.len() {
            match seen.iter().position(|key| same.equal(*key, i, row)) {
                Some(before) => value_indices[start + before] = (i, at(values[i], row)),
                None => {
                    seen.push(i);
                    key_indices.push((i, at(keys[i], row)));
                    value_indices.push((i, at(values[i], row)));
                }
            }
        }
        lengths.push(seen.len());
    }
    drop(same);
    let array = map_array(gather(&keys, &key_indices), gather(&values, &value_indices), lengths, None, ty);
    args.outcome(array, failures)
}

/// Text with the word `null` for NULL; other values as they are.
fn null_as_word(value: &Value) -> Value {
    let Some(texts) = value.array().as_string_opt::<i32>().filter(|texts| texts.null_count() > 0) else {
        return value.clone();
    };
    let worded: StringArray = texts.iter().map(|text| Some(text.unwrap_or("null"))).collect();
    if value.is_constant() { Value::constant(Arc::new(worded)) } else { Value::column(Arc::new(worded)) }
}

/// A map of entries laid end to end, `lengths` of them per row.
pub(crate) fn map_array(
    keys: ArrayRef,
    values: ArrayRef,
    lengths: Vec<usize>,
    nulls: Option<NullBuffer>,
    ty: &SqlType,
) -> ArrayRef {
    let DataType::Map(field, _) = ty.arrow() else { panic!("{ty} is not a MAP") };
    let DataType::Struct(fields) = field.data_type() else { panic!("entries of a map are structs") };
    let entries = StructArray::new(fields.clone(), vec![keys, values], None);
    Arc::new(MapArray::new(Arc::clone(&field), OffsetBuffer::from_lengths(lengths), entries, nulls, false))
}

/// Equality of the keys of one constructor within a row.
struct SameKeys<'a> {
    keys: Vec<&'a Value>,
    pairs: HashMap<(usize, usize), super::equality::Equality<'a>>,
}

impl<'a> SameKeys<'a> {
    fn of(keys: &[&'a Value]) -> Self {
        let mut pairs = HashMap::new();
        for i in 0..keys.len() {
            for j in 0..i {
                pairs.insert((j, i), equality(keys[j].array(), keys[i].array()));
            }
        }
        Self { keys: keys.to_vec(), pairs }
    }

    /// True if two keys, the first before the second, are equal in a row.
    fn equal(&self, before: usize, i: usize, row: usize) -> bool {
        self.pairs.get(&(before, i)).is_some_and(|equal| equal(at(self.keys[before], row), at(self.keys[i], row)))
    }
}

pub(super) fn structure(args: Arguments, ty: &SqlType, rows: usize) -> Outcome {
    let DataType::Struct(fields) = ty.arrow() else { panic!("{ty} is not a STRUCT") };
    if fields.is_empty() {
        return Outcome::clean(Value::column(Arc::new(StructArray::new_empty_fields(rows, None))));
    }
    let columns = args.values.iter().map(|value| value.to_rows(args.rows)).collect();
    let array = StructArray::new(fields, columns, None);
    args.outcome(Arc::new(array), Vec::new())
}

/// Where the value of a row is in the array behind.
fn at(value: &Value, row: usize) -> usize {
    if value.is_constant() { 0 } else { row }
}

fn gather(values: &[&Value], indices: &[(usize, usize)]) -> ArrayRef {
    let arrays: Vec<&dyn Array> = values.iter().map(|value| value.array().as_ref()).collect();
    interleave(&arrays, indices).expect("typing gives all elements one type")
}
