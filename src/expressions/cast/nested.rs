//! Casts of ARRAY, MAP and STRUCT by their parts.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, UInt64Array, new_null_array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field};

use super::{Failure, cast};
use crate::expressions::map_array;
use crate::types::{SqlType, StructField};

/// Every element.
pub(super) fn list(array: &ArrayRef, from: &SqlType, to: &SqlType, failures: &mut Vec<Failure>) -> ArrayRef {
    let list = array.as_list::<i32>();
    let mut inner = Vec::new();
    let values = cast(list.values(), from, to, &mut inner);
    lift(inner, list.offsets(), failures);
    let field = Arc::new(Field::new("item", to.arrow(), true));
    Arc::new(ListArray::new(field, list.offsets().clone(), values, list.nulls().cloned()))
}

/// Every key and value.
pub(super) fn map(
    array: &ArrayRef,
    from: (&SqlType, &SqlType),
    to: (&SqlType, &SqlType),
    failures: &mut Vec<Failure>,
) -> ArrayRef {
    let map = array.as_map();
    let (mut of_keys, mut of_values) = (Vec::new(), Vec::new());
    let keys = cast(map.keys(), from.0, to.0, &mut of_keys);
    let values = cast(map.values(), from.1, to.1, &mut of_values);
    // A map cannot hold a NULL key, nor one key twice.
    let rebuilt = !of_keys.is_empty() || !keeps_apart(from.0, to.0);
    lift(of_keys, map.offsets(), failures);
    lift(of_values, map.offsets(), failures);
    let target = SqlType::Map(Box::new(to.0.clone()), Box::new(to.1.clone()));
    if rebuilt {
        return rebuild(map, &keys, &values, &target);
    }
    let DataType::Map(entries_field, _) = target.arrow() else { unreachable!("a MAP has an Arrow map") };
    let DataType::Struct(fields) = entries_field.data_type() else { unreachable!("entries are a struct") };
    let entries = StructArray::new(fields.clone(), vec![keys, values], None);
    Arc::new(MapArray::new(Arc::clone(&entries_field), map.offsets().clone(), entries, map.nulls().cloned(), false))
}

/// True if different values stay different in a cast.
fn keeps_apart(from: &SqlType, to: &SqlType) -> bool {
    use SqlType::{BigInt, Boolean, Date, Double, Integer, String, Timestamp};
    from == to
        || matches!(
            (from, to),
            (Boolean | Integer | BigInt | Double | Date, String) | (Integer, BigInt | Double) | (Date, Timestamp)
        )
}

/// The map with other keys and values: NULL where a key is, since its row has failed; of equal keys the last wins, at
/// the place of the first.
fn rebuild(map: &MapArray, keys: &ArrayRef, values: &ArrayRef, target: &SqlType) -> ArrayRef {
    let SqlType::Map(key_type, _) = target else { unreachable!("maps are cast to maps") };
    let offsets = map.offsets();
    // Values of one simple type are equal if they print alike.
    let texts = super::text::of_array(keys, key_type);
    let (mut key_at, mut value_at): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
    let mut lengths = Vec::with_capacity(map.len());
    let mut valid = Vec::with_capacity(map.len());
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for row in 0..map.len() {
        let range = offsets[row] as usize..offsets[row + 1] as usize;
        let good = map.is_valid(row) && range.clone().all(|i| keys.is_valid(i));
        let start = key_at.len();
        seen.clear();
        for i in range.filter(|_| good) {
            match seen.get(texts.value(i)) {
                Some(known) => value_at[*known] = i as u64,
                None => {
                    seen.insert(texts.value(i), key_at.len());
                    key_at.push(i as u64);
                    value_at.push(i as u64);
                }
            }
        }
        valid.push(good);
        lengths.push(key_at.len() - start);
    }
    let pick = |array: &ArrayRef, at: Vec<u64>| {
        take(array.as_ref(), &UInt64Array::from(at), None).expect("positions come from the array itself")
    };
    map_array(pick(keys, key_at), pick(values, value_at), lengths, Some(valid.into()), target)
}

/// Fields of one name; the others are dropped or NULL.
pub(super) fn structure(
    array: &ArrayRef,
    from: &[StructField],
    to: &[StructField],
    failures: &mut Vec<Failure>,
) -> ArrayRef {
    let source = array.as_struct();
    let mut columns = Vec::with_capacity(to.len());
    for field in to {
        columns.push(match from.iter().position(|known| known.name == field.name) {
            None => new_null_array(&field.ty.arrow(), array.len()),
            Some(i) => {
                let mut inner = Vec::new();
                let column = cast(source.column(i), &from[i].ty, &field.ty, &mut inner);
                failures.extend(inner.into_iter().filter(|(row, _)| array.is_valid(*row)));
                column
            }
        });
    }
    let DataType::Struct(fields) = SqlType::Struct(to.into()).arrow() else {
        unreachable!("a STRUCT has an Arrow struct")
    };
    if fields.is_empty() {
        return Arc::new(StructArray::new_empty_fields(array.len(), array.nulls().cloned()));
    }
    Arc::new(StructArray::new(fields, columns, array.nulls().cloned()))
}

/// Failures of elements as failures of the rows that hold them, one per row.
fn lift(inner: Vec<Failure>, offsets: &OffsetBuffer<i32>, failures: &mut Vec<Failure>) {
    let mut row = 0;
    let mut last = None;
    for (position, message) in inner {
        while row + 1 < offsets.len() && (offsets[row + 1] as usize) <= position {
            row += 1;
        }
        let within = row + 1 < offsets.len() && (offsets[row] as usize) <= position;
        if within && last != Some(row) {
            failures.push((row, message));
            last = Some(row);
        }
    }
}
