//! Parts of containers: `array[i]`, `map[key]`, `struct->field`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, UInt64Array};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::take;

use super::Arguments;
use super::equality::equality;
use super::value::{Outcome, with_nulls};

/// A field; NULL where the struct is.
pub(super) fn field(args: Arguments, i: usize) -> Outcome {
    let structs = args.values[0].array().as_struct();
    let column = structs.column(i);
    let array = match structs.nulls() {
        Some(nulls) if nulls.null_count() > 0 => with_nulls(column, NullBuffer::union(column.nulls(), Some(nulls))),
        _ => Arc::clone(column),
    };
    args.outcome(array, Vec::new())
}

/// An element by its position from 1, or from -1 at the end; NULL where there is none.
pub(super) fn element(args: Arguments) -> Outcome {
    let list = args.values[0].array().as_list::<i32>();
    let step = usize::from(!args.values[0].is_constant());
    let indices = args.values[1].typed::<Int32Array>();
    let positions: UInt64Array = (0..args.rows)
        .map(|row| {
            let at = row * step;
            let index = i64::from(indices.get(row)?);
            if list.is_null(at) {
                return None;
            }
            let (start, end) = (i64::from(list.value_offsets()[at]), i64::from(list.value_offsets()[at + 1]));
            let position = if index > 0 { start + index - 1 } else { end + index };
            (index != 0 && (start..end).contains(&position)).then(|| u64::try_from(position).ok()).flatten()
        })
        .collect();
    let array = pick(list.values(), &positions);
    args.outcome(array, Vec::new())
}

/// The value of a key; NULL where there is none.
pub(super) fn lookup(args: Arguments) -> Outcome {
    let map = args.values[0].array().as_map();
    let step = usize::from(!args.values[0].is_constant());
    let wanted = &args.values[1];
    let equal = equality(map.keys(), wanted.array());
    let wanted_step = usize::from(!wanted.is_constant());
    let positions: UInt64Array = (0..args.rows)
        .map(|row| {
            let at = row * step;
            if map.is_null(at) || wanted.is_null(row) {
                return None;
            }
            let range = map.value_offsets()[at] as usize..map.value_offsets()[at + 1] as usize;
            range.into_iter().find(|i| equal(*i, row * wanted_step)).map(|i| i as u64)
        })
        .collect();
    drop(equal);
    let array = pick(map.values(), &positions);
    args.outcome(array, Vec::new())
}

fn pick(values: &ArrayRef, positions: &UInt64Array) -> ArrayRef {
    take(values.as_ref(), positions, None).expect("positions were checked against the offsets")
}
