//! TRANSFORM, FILTER and REDUCE. A failure inside a lambda fails the whole call of its row.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt64Array, new_null_array};
use datafusion::arrow::compute::{interleave, take};

use super::arrays::{list_array, range as list_range};
use super::maps::range as map_range;
use crate::expressions::{Body, equality, map_array};
use crate::functions::Function;
use crate::functions::call::Call;

const CATEGORY: &str = "LAMBDA";

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::scalar("TRANSFORM", CATEGORY, "A collection with a lambda applied to each element or entry.")
            .overload("array ARRAY<T>, lambda T => R", "ARRAY<R>", transform_array)
            .overload("map MAP<K, V>, key (K, V) => R, value (K, V) => S", "MAP<R, S>", transform_map),
        Function::scalar("FILTER", CATEGORY, "The elements or entries of a collection for which a lambda is true.")
            .overload("array ARRAY<T>, lambda T => BOOLEAN", "ARRAY<T>", filter_array)
            .overload("map MAP<K, V>, lambda (K, V) => BOOLEAN", "MAP<K, V>", filter_map),
        Function::scalar("REDUCE", CATEGORY, "A value made of a first one and each element or entry in turn.")
            .overload("array ARRAY<T>, init S, lambda (S, T) => S", "S", reduce_array)
            .overload("map MAP<K, V>, init S, lambda (S, K, V) => S", "S", reduce_map),
    ]
}

/// The elements of all rows end to end: where each is, and of which row it is.
struct Flat {
    positions: Vec<u64>,
    rows: Vec<usize>,
    /// How many each row has.
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl Flat {
    fn of(rows: usize, range: impl Fn(usize) -> Option<std::ops::Range<usize>>) -> Self {
        let mut flat = Self { positions: Vec::new(), rows: Vec::new(), lengths: Vec::new(), valid: Vec::new() };
        for row in 0..rows {
            let range = range(row);
            flat.valid.push(range.is_some());
            let range = range.unwrap_or(0..0);
            flat.lengths.push(range.len());
            flat.rows.extend(std::iter::repeat_n(row, range.len()));
            flat.positions.extend(range.map(|i| i as u64));
        }
        flat
    }

    fn take(&self, values: &ArrayRef) -> ArrayRef {
        pick(values, self.positions.clone())
    }

    /// Applies a lambda to every element; a failed one fails its row in the call.
    fn apply(&mut self, call: &mut Call<'_>, lambda: usize, params: Vec<ArrayRef>) -> ArrayRef {
        let mut inner = Vec::new();
        let array = call.lambdas[lambda].apply(params, &self.rows, &mut inner);
        for (element, message) in inner {
            call.failures.push((self.rows[element], message));
        }
        array
    }
}

fn pick(values: &ArrayRef, positions: Vec<u64>) -> ArrayRef {
    take(values.as_ref(), &UInt64Array::from(positions), None).expect("positions come from the offsets")
}

fn transform_array(call: &mut Call<'_>) -> ArrayRef {
    let list = call.list(0);
    let mut flat = Flat::of(call.rows, |row| list_range(&list, row));
    let elements = flat.take(list.array().values());
    let values = flat.apply(call, 0, vec![elements]);
    list_array(values, flat.lengths, flat.valid)
}

fn transform_map(call: &mut Call<'_>) -> ArrayRef {
    let map = call.map(0);
    let mut flat = Flat::of(call.rows, |row| map_range(&map, row));
    let params = vec![flat.take(map.array().keys()), flat.take(map.array().values())];
    let keys = flat.apply(call, 0, params.clone());
    let values = flat.apply(call, 1, params);
    let equal = equality(&keys, &keys);
    let mut failed = vec![false; call.rows];
    for (row, _) in &call.failures {
        failed[*row] = true;
    }
    let mut start = 0;
    for (row, length) in flat.lengths.iter().enumerate() {
        let range = start..start + length;
        start += length;
        let problem = range.clone().find_map(|i| {
            if keys.is_null(i) {
                Some("a key that the lambda gives is null")
            } else if values.is_null(i) {
                Some("a value that the lambda gives is null")
            } else if (range.start..i).any(|j| equal(i, j)) {
                Some("the lambda gives a key twice")
            } else {
                None
            }
        });
        if let Some(message) = problem
            && !failed[row]
        {
            failed[row] = true;
            call.fail(row, message);
        }
    }
    drop(equal);
    let kept: Vec<u64> = (0..flat.rows.len()).filter(|i| !failed[flat.rows[*i]]).map(|i| i as u64).collect();
    let lengths = flat.lengths.iter().zip(&failed).map(|(length, failed)| if *failed { 0 } else { *length }).collect();
    map_array(pick(&keys, kept.clone()), pick(&values, kept), lengths, Some(flat.valid.into()), call.returns())
}

/// Which elements a lambda keeps, and how many each row keeps then.
fn kept(call: &mut Call<'_>, flat: &mut Flat, params: Vec<ArrayRef>) -> (Vec<u64>, Vec<usize>) {
    let truths = flat.apply(call, 0, params);
    let truths = truths.as_boolean();
    let mut lengths = vec![0; call.rows];
    let mut positions = Vec::new();
    for (i, row) in flat.rows.iter().enumerate() {
        if truths.is_null(i) {
            call.failures.push((*row, "the lambda gives null".into()));
        } else if truths.value(i) {
            lengths[*row] += 1;
            positions.push(flat.positions[i]);
        }
    }
    (positions, lengths)
}

fn filter_array(call: &mut Call<'_>) -> ArrayRef {
    let list = call.list(0);
    let mut flat = Flat::of(call.rows, |row| list_range(&list, row));
    let elements = flat.take(list.array().values());
    let (positions, lengths) = kept(call, &mut flat, vec![elements]);
    list_array(pick(list.array().values(), positions), lengths, flat.valid)
}

fn filter_map(call: &mut Call<'_>) -> ArrayRef {
    let map = call.map(0);
    let mut flat = Flat::of(call.rows, |row| map_range(&map, row));
    let params = vec![flat.take(map.array().keys()), flat.take(map.array().values())];
    let (positions, lengths) = kept(call, &mut flat, params);
    for i in &positions {
        if map.array().values().is_null(usize::try_from(*i).unwrap_or(0)) {
            // Found again by its offset: kept entries are few.
            let row = flat.positions.iter().position(|known| known == i).map_or(0, |at| flat.rows[at]);
            call.fail(row, "a kept value is null");
        }
    }
    let (keys, values) = (pick(map.array().keys(), positions.clone()), pick(map.array().values(), positions));
    map_array(keys, values, lengths, Some(flat.valid.into()), call.returns())
}

fn reduce_array(call: &mut Call<'_>) -> ArrayRef {
    let list = call.list(0);
    reduce(call, |row| list_range(&list, row), &[list.array().values()])
}

fn reduce_map(call: &mut Call<'_>) -> ArrayRef {
    let map = call.map(0);
    reduce(call, |row| map_range(&map, row), &[map.array().keys(), map.array().values()])
}

/// One application of the lambda per position, over all rows that reach so far.
fn reduce(
    call: &mut Call<'_>,
    range: impl Fn(usize) -> Option<std::ops::Range<usize>>,
    columns: &[&ArrayRef],
) -> ArrayRef {
    let mut state = call.array(1);
    let ranges: Vec<std::ops::Range<usize>> =
        (0..call.rows).map(|row| if call.args[1].is_null(row) { 0..0 } else { range(row).unwrap_or(0..0) }).collect();
    let mut failed = vec![false; call.rows];
    let longest = ranges.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
    for n in 0..longest {
        let rows: Vec<usize> = (0..call.rows).filter(|row| n < ranges[*row].len() && !failed[*row]).collect();
        let current = pick(&state, rows.iter().map(|row| *row as u64).collect());
        let at: Vec<u64> = rows.iter().map(|row| (ranges[*row].start + n) as u64).collect();
        let params = std::iter::once(current).chain(columns.iter().map(|column| pick(column, at.clone()))).collect();
        let mut inner = Vec::new();
        let body: &Body<'_> = &call.lambdas[0];
        let next = body.apply(params, &rows, &mut inner);
        for (i, message) in inner {
            failed[rows[i]] = true;
            call.failures.push((rows[i], message));
        }
        // Rows that went on take the new state, the others keep theirs.
        let mut indices: Vec<(usize, usize)> = (0..call.rows).map(|row| (0, row)).collect();
        for (i, row) in rows.iter().enumerate() {
            indices[*row] = (1, i);
        }
        state = interleave(&[state.as_ref(), next.as_ref()], &indices).expect("the lambda gives the state's type");
    }
    if call.rows == 0 { new_null_array(&call.returns().arrow(), 0) } else { Arc::clone(&state) }
}
