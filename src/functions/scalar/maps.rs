//! Functions of maps.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, MapArray, StructArray, UInt64Array};
use datafusion::arrow::compute::{interleave, take};
use datafusion::arrow::datatypes::DataType;

use super::arrays::{list_array, range as list_range};
use crate::expressions::{Typed, map_array};
use crate::functions::Function;
use crate::functions::call::Call;
use crate::types::{Name, SqlType, StructField};

const CATEGORY: &str = "MAP";

pub(super) fn functions() -> Vec<Function> {
    let mut entries =
        Function::scalar("ENTRIES", CATEGORY, "The entries of a map as structs of K and V, perhaps sorted by key.");
    for ty in ["INTEGER", "BIGINT", "DOUBLE", "BOOLEAN", "STRING"] {
        entries = entries.with_rule(
            &format!("map MAP<STRING, {ty}>, sorted BOOLEAN!"),
            (entries_type, "ARRAY<STRUCT<K STRING, V V>>"),
            entries_of,
        );
    }
    vec![
        entries,
        Function::scalar("AS_MAP", CATEGORY, "A map from an array of keys to an array of values.").overload(
            "keys ARRAY<STRING>, values ARRAY<T>",
            "MAP<STRING, T>",
            as_map,
        ),
        Function::scalar("MAP_KEYS", CATEGORY, "The keys of a map.").overload(
            "input MAP<STRING, T>",
            "ARRAY<STRING>",
            |call| parts(call, |map| map.keys()),
        ),
        Function::scalar("MAP_VALUES", CATEGORY, "The values of a map.").overload(
            "input MAP<STRING, T>",
            "ARRAY<T>",
            |call| parts(call, |map| map.values()),
        ),
        Function::scalar("MAP_UNION", CATEGORY, "The entries of two maps; of equal keys the second map's.").overload(
            "map1 MAP<STRING, T>, map2 MAP<STRING, T>",
            "MAP<STRING, T>",
            union,
        ),
    ]
}

/// The positions of the entries of a row; `None` where the map is NULL.
pub(super) fn range(map: &Typed<'_, MapArray>, row: usize) -> Option<std::ops::Range<usize>> {
    let at = map.position(row);
    let offsets = map.array().value_offsets();
    map.array().is_valid(at).then(|| offsets[at] as usize..offsets[at + 1] as usize)
}

/// Lists of keys or of values.
fn parts(call: &Call<'_>, column: impl Fn(&MapArray) -> &ArrayRef) -> ArrayRef {
    let map = call.map(0);
    let (indices, lengths, valid) = laid_out(call, |row| range(&map, row).map(Iterator::collect));
    let values = take(column(map.array()).as_ref(), &indices, None).expect("positions come from the offsets");
    list_array(values, lengths, valid)
}

/// Positions per row laid end to end, how many each row has, and which rows are not NULL.
fn laid_out(call: &Call<'_>, positions: impl Fn(usize) -> Option<Vec<usize>>) -> (UInt64Array, Vec<usize>, Vec<bool>) {
    let (mut all, mut lengths, mut valid) = (Vec::new(), Vec::with_capacity(call.rows), Vec::with_capacity(call.rows));
    for row in 0..call.rows {
        let of_row = positions(row);
        valid.push(of_row.is_some());
        let of_row = of_row.unwrap_or_default();
        lengths.push(of_row.len());
        all.extend(of_row.into_iter().map(|i| i as u64));
    }
    (UInt64Array::from(all), lengths, valid)
}

fn entries_type(args: &[SqlType]) -> Result<SqlType, String> {
    let Some(SqlType::Map(key, value)) = args.first() else { return Err("A MAP is needed.".to_owned()) };
    let field = |name: &str, ty: &SqlType| StructField { name: Name::from(name), ty: ty.clone() };
    Ok(SqlType::Array(Box::new(SqlType::Struct([field("K", key), field("V", value)].into()))))
}

fn entries_of(call: &mut Call<'_>) -> ArrayRef {
    let (map, sorted) = (call.map(0), call.truth(1));
    let keys = map.array().keys().as_string::<i32>();
    let (indices, lengths, valid) = laid_out(call, |row| {
        let mut positions: Vec<usize> = range(&map, row)?.collect();
        if sorted.get(row)? {
            positions.sort_by(|i, j| keys.value(*i).cmp(keys.value(*j)));
        }
        Some(positions)
    });
    let pick = |array: &ArrayRef| take(array.as_ref(), &indices, None).expect("positions come from the offsets");
    let SqlType::Array(entry) = call.returns() else { unreachable!("the rule gives an ARRAY") };
    let DataType::Struct(fields) = entry.arrow() else { unreachable!("the rule gives an ARRAY of STRUCT") };
    let structs = StructArray::new(fields, vec![pick(map.array().keys()), pick(map.array().values())], None);
    list_array(Arc::new(structs), lengths, valid)
}

fn as_map(call: &mut Call<'_>) -> ArrayRef {
    let (keys, values) = (call.list(0), call.list(1));
    let texts = keys.array().values().as_string::<i32>();
    let (mut key_positions, mut value_positions): (Vec<u64>, Vec<Option<u64>>) = (Vec::new(), Vec::new());
    let (mut lengths, mut valid) = (Vec::with_capacity(call.rows), Vec::with_capacity(call.rows));
    for row in 0..call.rows {
        let ranges = list_range(&keys, row).zip(list_range(&values, row));
        valid.push(ranges.is_some());
        let start = key_positions.len();
        if let Some((of_keys, of_values)) = ranges {
            for (n, key) in of_keys.enumerate() {
                let value = Some(of_values.start + n).filter(|value| *value < of_values.end).map(|value| value as u64);
                if texts.is_null(key) {
                    continue;
                }
                let known =
                    key_positions[start..].iter().position(|known| texts.value(*known as usize) == texts.value(key));
                match known {
                    Some(at) => value_positions[start + at] = value,
                    None => {
                        key_positions.push(key as u64);
                        value_positions.push(value);
                    }
                }
            }
        }
        lengths.push(key_positions.len() - start);
    }
    let pick = |array: &ArrayRef, positions: UInt64Array| {
        take(array.as_ref(), &positions, None).expect("positions come from the offsets")
    };
    let (keys, values) = (
        pick(keys.array().values(), UInt64Array::from(key_positions)),
        pick(values.array().values(), UInt64Array::from(value_positions)),
    );
    map_array(keys, values, lengths, Some(valid.into()), call.returns())
}

fn union(call: &mut Call<'_>) -> ArrayRef {
    let maps = [call.map(0), call.map(1)];
    let keys = [maps[0].array().keys().as_string::<i32>(), maps[1].array().keys().as_string::<i32>()];
    // Of which map, at which position.
    let mut key_at: Vec<(usize, usize)> = Vec::new();
    let mut value_at: Vec<(usize, usize)> = Vec::new();
    let (mut lengths, mut valid) = (Vec::with_capacity(call.rows), Vec::with_capacity(call.rows));
    for row in 0..call.rows {
        let start = key_at.len();
        let ranges = [range(&maps[0], row), range(&maps[1], row)];
        valid.push(ranges.iter().any(Option::is_some));
        for (n, range) in ranges.into_iter().enumerate() {
            for i in range.into_iter().flatten() {
                let known = key_at[start..].iter().position(|(m, j)| keys[*m].value(*j) == keys[n].value(i));
                match known {
                    Some(at) => value_at[start + at] = (n, i),
                    None => {
                        key_at.push((n, i));
                        value_at.push((n, i));
                    }
                }
            }
        }
        lengths.push(key_at.len() - start);
    }
    let gather = |columns: [&ArrayRef; 2], at: &[(usize, usize)]| {
        let columns: Vec<&dyn Array> = columns.iter().map(|column| column.as_ref()).collect();
        interleave(&columns, at).expect("both maps have one type")
    };
    let keys = gather([maps[0].array().keys(), maps[1].array().keys()], &key_at);
    let values = gather([maps[0].array().values(), maps[1].array().values()], &value_at);
    map_array(keys, values, lengths, Some(valid.into()), call.returns())
}
