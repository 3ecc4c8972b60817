//! The order of values, as ksql's functions have it.

use std::cmp::Ordering;

use datafusion::arrow::array::{ArrayRef, AsArray, make_comparator};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::DataType;

use crate::expressions::{signed_order, utf16_order};

/// Compares the value at a position of one array with that at a position of another; neither is NULL.
pub(super) type Order<'a> = Box<dyn Fn(usize, usize) -> Ordering + 'a>;

/// The order of values of two arrays of one simple type: texts by UTF-16, bytes as signed.
pub(super) fn order<'a>(left: &'a ArrayRef, right: &'a ArrayRef) -> Order<'a> {
    match left.data_type() {
        DataType::Utf8 => {
            let (l, r) = (left.as_string::<i32>(), right.as_string::<i32>());
            Box::new(move |i, j| utf16_order(l.value(i), r.value(j)))
        }
        DataType::Binary => {
            let (l, r) = (left.as_binary::<i32>(), right.as_binary::<i32>());
            Box::new(move |i, j| signed_order(l.value(i), r.value(j)))
        }
        _ => make_comparator(left, right, SortOptions::default())
            .unwrap_or_else(|error| panic!("signatures admit types with an order only: {error}")),
    }
}
