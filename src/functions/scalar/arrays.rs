//! Functions of arrays: sets, order, parts, series.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, BooleanArray, Int32Array, Int32Builder, Int64Array, Int64Builder, ListArray,
    ListBuilder, StringArray, UInt64Array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{interleave, take};
use datafusion::arrow::datatypes::Field;

use super::text::int;
use crate::expressions::{Typed, equality, text};
use crate::functions::Function;
use crate::functions::call::{Call, Message};
use crate::functions::order::order;
use crate::types::SqlType;

const CATEGORY: &str = "ARRAY";

pub(super) fn functions() -> Vec<Function> {
    let two = "left ARRAY<T>, right ARRAY<T>";
    vec![
        Function::scalar("ARRAY_CONCAT", CATEGORY, "The elements of two arrays one after another.").overload(
            two,
            "ARRAY<T>",
            |call| {
                combine(call, Nulls::Skip, |_, l, r, out| {
                    out.extend(l.map(|i| (0, i)));
                    out.extend(r.map(|i| (1, i)));
                })
            },
        ),
        Function::scalar("ARRAY_UNION", CATEGORY, "The distinct elements of two arrays.").overload(
            two,
            "ARRAY<T>",
            |call| {
                combine(call, Nulls::Spoil, |same, l, r, out| {
                    l.map(|i| (0, i)).chain(r.map(|i| (1, i))).for_each(|at| push_distinct(same, at, out));
                })
            },
        ),
        Function::scalar("ARRAY_INTERSECT", CATEGORY, "The distinct elements that stand in both arrays.").overload(
            two,
            "ARRAY<T>",
            |call| {
                combine(call, Nulls::Spoil, |same, l, r, out| {
                    l.filter(|i| r.clone().any(|j| same((0, *i), (1, j))))
                        .for_each(|i| push_distinct(same, (0, i), out));
                })
            },
        ),
        Function::scalar(
            "ARRAY_EXCEPT",
            CATEGORY,
            "The distinct elements of the first array that are not in the second.",
        )
        .overload(two, "ARRAY<T>", |call| {
            combine(call, Nulls::Spoil, |same, l, r, out| {
                l.filter(|i| !r.clone().any(|j| same((0, *i), (1, j)))).for_each(|i| push_distinct(same, (0, i), out));
            })
        }),
        Function::scalar("ARRAY_DISTINCT", CATEGORY, "The elements of an array, each once, where it stands first.")
            .overload("array ARRAY<T>", "ARRAY<T>", |call| {
                let values = call.list(0).array().values();
                let equal = equality(values, values);
                parts(call, |_, range| {
                    let mut kept: Vec<usize> = Vec::new();
                    for i in range {
                        if !kept.iter().any(|known| equal(*known, i)) {
                            kept.push(i);
                        }
                    }
                    Some(kept)
                })
            }),
        Function::scalar("ARRAY_REMOVE", CATEGORY, "An array without the elements that equal a value.").overload(
            "array ARRAY<T>, victim T",
            "ARRAY<T>",
            |call| {
                let values = call.list(0).array().values();
                let (victims, step) = (call.args[1].array(), usize::from(!call.args[1].is_constant()));
                let equal = equality(values, victims);
                parts(call, |row, range| Some(range.filter(|i| !equal(*i, row * step)).collect()))
            },
        ),
        Function::scalar("ARRAY_CONTAINS", CATEGORY, "True if a value is an element of an array.").overload(
            "array ARRAY<T>, val T",
            "BOOLEAN",
            |call| {
                let list = call.list(0);
                let (wanted, step) = (call.args[1].array(), usize::from(!call.args[1].is_constant()));
                let equal = equality(list.array().values(), wanted);
                call.rows::<_, BooleanArray>(|row| {
                    Ok(Some(range(&list, row).is_some_and(|mut range| range.any(|i| equal(i, row * step)))))
                })
            },
        ),
        Function::scalar("ARRAY_LENGTH", CATEGORY, "How many elements an array has.").overload(
            "array ARRAY<T>",
            "INTEGER",
            |call| {
                let list = call.list(0);
                call.rows::<_, Int32Array>(|row| Ok(range(&list, row).map(|range| int(range.len()))))
            },
        ),
        Function::scalar("ARRAY_JOIN", CATEGORY, "The elements of an array as one text with a delimiter between them.")
            .overload("array ARRAY<T>", "STRING", join)
            .overload("array ARRAY<T>, delimiter STRING", "STRING", join),
        extreme("ARRAY_MAX", "The largest element of an array; nulls are left out.", true),
        extreme("ARRAY_MIN", "The smallest element of an array; nulls are left out.", false),
        sort(),
        Function::scalar("SLICE", CATEGORY, "The elements from one position to another, both included.").overload(
            "in ARRAY<T>, from INTEGER, to INTEGER",
            "ARRAY<T>",
            |call| {
                let (from, to) = (call.int(1), call.int(2));
                parts(call, |row, range| {
                    let start = from.get(row).map_or(Some(0), |from| usize::try_from(from).ok()?.checked_sub(1))?;
                    let end = to.get(row).map_or(Some(range.len()), |to| usize::try_from(to).ok())?;
                    (end <= range.len() && start <= end).then(|| (range.start + start..range.start + end).collect())
                })
            },
        ),
        series(),
    ]
}

/// The positions of the elements of a row; `None` where the array is NULL.
pub(super) fn range(list: &Typed<'_, ListArray>, row: usize) -> Option<std::ops::Range<usize>> {
    let at = list.position(row);
    let offsets = list.array().value_offsets();
    list.array().is_valid(at).then(|| offsets[at] as usize..offsets[at + 1] as usize)
}

/// Arrays of those elements of the first argument that `which` names; `None` gives NULL.
fn parts(call: &Call<'_>, which: impl Fn(usize, std::ops::Range<usize>) -> Option<Vec<usize>>) -> ArrayRef {
    let list = call.list(0);
    let mut indices: Vec<u64> = Vec::new();
    let (mut lengths, mut valid) = (Vec::with_capacity(call.rows), Vec::with_capacity(call.rows));
    for row in 0..call.rows {
        let kept = range(&list, row).and_then(|range| which(row, range));
        valid.push(kept.is_some());
        let kept = kept.unwrap_or_default();
        lengths.push(kept.len());
        indices.extend(kept.into_iter().map(|i| i as u64));
    }
    let values = take(list.array().values().as_ref(), &UInt64Array::from(indices), None)
        .expect("positions come from the offsets");
    list_array(values, lengths, valid)
}

/// An array of lists of elements laid end to end.
pub(super) fn list_array(values: ArrayRef, lengths: Vec<usize>, valid: Vec<bool>) -> ArrayRef {
    let field = Arc::new(Field::new("item", values.data_type().clone(), true));
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), values, Some(NullBuffer::from(valid))))
}

/// What a NULL array does to the result of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nulls {
    /// The result is NULL.
    Spoil,
    /// It counts as empty, unless both are NULL.
    Skip,
}

/// An element: of which argument, at which position.
type Element = (usize, usize);

fn push_distinct(same: &dyn Fn(Element, Element) -> bool, element: Element, out: &mut Vec<Element>) {
    if !out.iter().any(|known| same(*known, element)) {
        out.push(element);
    }
}

/// Arrays made of elements of two.
fn combine(
    call: &Call<'_>,
    nulls: Nulls,
    pick: impl Fn(&dyn Fn(Element, Element) -> bool, std::ops::Range<usize>, std::ops::Range<usize>, &mut Vec<Element>),
) -> ArrayRef {
    let lists = [call.list(0), call.list(1)];
    let values = [lists[0].array().values(), lists[1].array().values()];
    let equal: Vec<_> = (0..4).map(|pair| equality(values[pair / 2], values[pair % 2])).collect();
    let same = |left: Element, right: Element| equal[left.0 * 2 + right.0](left.1, right.1);
    let mut all: Vec<Element> = Vec::new();
    let (mut lengths, mut valid) = (Vec::with_capacity(call.rows), Vec::with_capacity(call.rows));
    let mut picked = Vec::new();
    for row in 0..call.rows {
        picked.clear();
        let (l, r) = (range(&lists[0], row), range(&lists[1], row));
        let usable = match nulls {
            Nulls::Spoil => l.is_some() && r.is_some(),
            Nulls::Skip => l.is_some() || r.is_some(),
        };
        if usable {
            pick(&same, l.unwrap_or(0..0), r.unwrap_or(0..0), &mut picked);
        }
        valid.push(usable);
        lengths.push(picked.len());
        all.append(&mut picked);
    }
    let arrays: Vec<&dyn Array> = values.iter().map(|array| array.as_ref()).collect();
    let elements = interleave(&arrays, &all).expect("both arrays have elements of one type");
    list_array(elements, lengths, valid)
}

fn join(call: &mut Call<'_>) -> ArrayRef {
    let list = call.list(0);
    let delimiter = (call.args.len() > 1).then(|| call.text(1));
    let SqlType::Array(element) = call.arg_type(0) else { unreachable!("the signature takes an ARRAY") };
    let printable = matches!(**element, SqlType::Boolean | SqlType::String) || element.is_numeric();
    let values = list.array().values();
    let print = text::printer(values, element);
    call.rows::<_, StringArray>(|row| {
        let Some(range) = range(&list, row) else { return Ok(None) };
        if !printable {
            return Err(Message::from("ARRAY_JOIN takes arrays of simple values only"));
        }
        let delimiter = delimiter.map_or(",", |delimiter| delimiter.get(row).unwrap_or(""));
        let mut joined = String::new();
        for (n, i) in range.enumerate() {
            joined.push_str(if n > 0 { delimiter } else { "" });
            if values.is_null(i) {
                joined.push_str("null");
            } else {
                print(i, &mut joined);
            }
        }
        Ok(Some(joined))
    })
}

fn extreme(name: &'static str, description: &'static str, largest: bool) -> Function {
    Function::scalar(name, CATEGORY, description).overload("array ARRAY<T>", "T", move |call| {
        let list = call.list(0);
        let values = list.array().values();
        if values.data_type().is_nested() {
            (0..call.rows).for_each(|row| call.fail(row, "the elements have no order"));
            return datafusion::arrow::array::new_null_array(values.data_type(), call.rows);
        }
        let order = order(values, values);
        let positions: UInt64Array = (0..call.rows)
            .map(|row| {
                let elements = range(&list, row)?.filter(|i| values.is_valid(*i));
                elements.reduce(
                    |best, i| if (order(i, best).is_gt()) == largest && order(i, best).is_ne() { i } else { best },
                )
            })
            .map(|position| position.map(|i| i as u64))
            .collect();
        take(values.as_ref(), &positions, None).expect("positions come from the offsets")
    })
}

fn sort() -> Function {
    let kernel = |call: &mut Call<'_>| {
        let direction = (call.args.len() > 1).then(|| call.text(1));
        let values = call.list(0).array().values();
        if values.data_type().is_nested() {
            (0..call.rows).for_each(|row| call.fail(row, "the elements have no order"));
            return datafusion::arrow::array::new_null_array(&call.returns().arrow(), call.rows);
        }
        let order = order(values, values);
        parts(call, |row, range| {
            let direction = direction.map_or(Some("ASC"), |direction| direction.get(row))?.to_ascii_uppercase();
            let descending = match direction.as_str() {
                "ASC" | "ASCENDING" => false,
                "DESC" | "DESCENDING" => true,
                _ => return None,
            };
            let (mut sorted, nulls): (Vec<usize>, Vec<usize>) = range.partition(|i| values.is_valid(*i));
            sorted.sort_by(|i, j| if descending { order(*j, *i) } else { order(*i, *j) });
            sorted.extend(nulls);
            Some(sorted)
        })
    };
    Function::scalar("ARRAY_SORT", CATEGORY, "The elements of an array in order, nulls last.")
        .overload("array ARRAY<T>", "ARRAY<T>", kernel)
        .overload("array ARRAY<T>, direction STRING", "ARRAY<T>", kernel)
}

/// The most elements that the series of a batch have together: they must fit the memory.
const MOST_IN_SERIES: usize = 20_000_000;

fn series() -> Function {
    let ints = |call: &mut Call<'_>| {
        let (start, end) = (call.int(0), call.int(1));
        let mut lists = ListBuilder::new(Int32Builder::new());
        for row in 0..call.rows {
            let bounds = start.get(row).zip(end.get(row)).map(|(start, end)| (i64::from(start), i64::from(end)));
            let numbers = steps(call, row, bounds, MOST_IN_SERIES - lists.values().len());
            let filled = numbers.is_some();
            numbers.into_iter().flatten().for_each(|n| lists.values().append_option(i32::try_from(n).ok()));
            lists.append(filled);
        }
        Arc::new(lists.finish()) as ArrayRef
    };
    let longs = |call: &mut Call<'_>| {
        let (start, end): (Typed<'_, Int64Array>, _) = (call.long(0), call.long(1));
        let mut lists = ListBuilder::new(Int64Builder::new());
        for row in 0..call.rows {
            let bounds = start.get(row).zip(end.get(row));
            let numbers = steps(call, row, bounds, MOST_IN_SERIES - lists.values().len());
            let filled = numbers.is_some();
            numbers.into_iter().flatten().for_each(|n| lists.values().append_value(n));
            lists.append(filled);
        }
        Arc::new(lists.finish()) as ArrayRef
    };
    Function::scalar("GENERATE_SERIES", CATEGORY, "The numbers from one to another, both included.")
        .overload("start INTEGER!, end INTEGER!", "ARRAY<INTEGER>", ints)
        .overload("start INTEGER!, end INTEGER!, step INTEGER!", "ARRAY<INTEGER>", ints)
        .overload("start BIGINT!, end BIGINT!", "ARRAY<BIGINT>", longs)
        .overload("start BIGINT!, end BIGINT!, step INTEGER!", "ARRAY<BIGINT>", longs)
}

/// The numbers of a row's series; `None` after a failure, and where an argument is NULL, which has failed before.
fn steps(
    call: &mut Call<'_>,
    row: usize,
    bounds: Option<(i64, i64)>,
    room: usize,
) -> Option<impl Iterator<Item = i64> + use<>> {
    let (start, end) = bounds?;
    let step = if call.args.len() > 2 {
        i64::from(call.int(2).get(row)?)
    } else if end >= start {
        1
    } else {
        -1
    };
    if step == 0 {
        call.fail(row, "GENERATE_SERIES step cannot be zero");
        return None;
    }
    let distance = i128::from(end) - i128::from(start);
    if distance != 0 && (distance > 0) != (step > 0) {
        call.fail(row, "GENERATE_SERIES step has wrong sign");
        return None;
    }
    let n =
        i64::try_from(distance / i128::from(step) + 1).ok().filter(|n| usize::try_from(*n).is_ok_and(|n| n <= room));
    if n.is_none() {
        call.fail(row, format!("GENERATE_SERIES gives at most {MOST_IN_SERIES} numbers in a batch"));
    }
    n.map(|n| (0..n).map(move |i| start + i * step))
}
