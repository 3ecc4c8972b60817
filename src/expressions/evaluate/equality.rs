//! Deep equality of two arrays by position.

use datafusion::arrow::array::make_comparator;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, Float64Type};

/// Says whether the value at a position of one array equals that at a position of another.
pub(crate) type Equality<'a> = Box<dyn Fn(usize, usize) -> bool + 'a>;

/// Equality of the values of two arrays of one type. Nulls equal nulls; lists compare in order, maps without one.
pub(crate) fn equality<'a>(left: &'a ArrayRef, right: &'a ArrayRef) -> Equality<'a> {
    let values = not_null(left, right);
    if left.null_count() == 0 && right.null_count() == 0 {
        return values;
    }
    Box::new(move |i, j| match (left.is_null(i), right.is_null(j)) {
        (false, false) => values(i, j),
        (l, r) => l == r,
    })
}

fn not_null<'a>(left: &'a ArrayRef, right: &'a ArrayRef) -> Equality<'a> {
    match (left.data_type(), right.data_type()) {
        (DataType::List(_), DataType::List(_)) => {
            let (l, r) = (left.as_list::<i32>(), right.as_list::<i32>());
            let element = equality(l.values(), r.values());
            Box::new(move |i, j| {
                let (a, b) = (range(l.offsets(), i), range(r.offsets(), j));
                a.len() == b.len() && a.zip(b).all(|(i, j)| element(i, j))
            })
        }
        (DataType::Map(..), DataType::Map(..)) => {
            let (l, r) = (left.as_map(), right.as_map());
            let (key, value) = (equality(l.keys(), r.keys()), equality(l.values(), r.values()));
            Box::new(move |i, j| {
                let (a, b) = (range(l.offsets(), i), range(r.offsets(), j));
                a.len() == b.len() && a.into_iter().all(|i| b.clone().any(|j| key(i, j) && value(i, j)))
            })
        }
        (DataType::Struct(_), DataType::Struct(_)) => {
            let (l, r) = (left.as_struct(), right.as_struct());
            let fields: Vec<Equality<'a>> = l.columns().iter().zip(r.columns()).map(|(l, r)| equality(l, r)).collect();
            Box::new(move |i, j| fields.iter().all(|field| field(i, j)))
        }
        (DataType::Float64, DataType::Float64) => {
            let (l, r) = (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
            // As `Double.equals`: NaN equals itself.
            Box::new(move |i, j| l.value(i).to_bits() == r.value(j).to_bits() || l.value(i) == r.value(j))
        }
        (DataType::Utf8, DataType::Utf8) => {
            let (l, r) = (left.as_string::<i32>(), right.as_string::<i32>());
            Box::new(move |i, j| l.value(i) == r.value(j))
        }
        _ => match make_comparator(left, right, SortOptions::default()) {
            Ok(order) => Box::new(move |i, j| order(i, j).is_eq()),
            // Values of different types are not equal.
            Err(_) => Box::new(|_, _| false),
        },
    }
}

fn range(offsets: &OffsetBuffer<i32>, row: usize) -> std::ops::Range<usize> {
    offsets[row] as usize..offsets[row + 1] as usize
}
