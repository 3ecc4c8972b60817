//! Comparisons in two-valued logic: with a null they are false.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryArray, BooleanArray, Float64Array, StringArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::kernels::cmp;

use super::equality::equality;
use super::value::{Outcome, Value};
use super::{Arguments, decimal, truths};
use crate::sql::ast::BinaryOp;
use crate::types::SqlType;

pub(super) fn compare(op: BinaryOp, args: Arguments, types: (&SqlType, &SqlType)) -> Outcome {
    let (left, right) = (&args.values[0], &args.values[1]);
    let truths = match types {
        (SqlType::Decimal { .. }, _) | (_, SqlType::Decimal { .. }) => {
            let (l, r) = (decimal::exact_of(left, types.0), decimal::exact_of(right, types.1));
            by_row(args.rows, |row| Some(holds(op, decimal::order(l(row)?, r(row)?))))
        }
        (SqlType::Double, _) => {
            let (l, r) = (left.typed::<Float64Array>(), right.typed::<Float64Array>());
            // NaN is not even different from anything.
            by_row(args.rows, |row| Some(holds(op, l.get(row)?.partial_cmp(&r.get(row)?)?)))
        }
        (SqlType::String, _) if is_ordering(op) => {
            let (l, r) = (left.typed::<StringArray>(), right.typed::<StringArray>());
            by_row(args.rows, |row| Some(holds(op, utf16_order(l.get(row)?, r.get(row)?))))
        }
        (SqlType::Bytes, _) if is_ordering(op) => {
            let (l, r) = (left.typed::<BinaryArray>(), right.typed::<BinaryArray>());
            by_row(args.rows, |row| Some(holds(op, signed_order(l.get(row)?, r.get(row)?))))
        }
        (ty, _) if ty.is_nested() => {
            let equal = equality(left.array(), right.array());
            let (at_left, at_right) = positions(left, right);
            by_row(args.rows, |row| {
                (!left.is_null(row) && !right.is_null(row))
                    .then(|| equal(at_left(row), at_right(row)) == (op == BinaryOp::Equal))
            })
        }
        _ => kernel(op, left, right),
    };
    args.outcome(Arc::new(truths), Vec::new())
}

/// `IS DISTINCT FROM`, or with `negated` `IS NOT DISTINCT FROM`: nulls are values like others.
pub(super) fn distinct(negated: bool, args: Arguments, types: (&SqlType, &SqlType)) -> Outcome {
    let (left, right) = (&args.values[0], &args.values[1]);
    let rows = args.rows;
    let bits = if types.0 == types.1 {
        let equal = equality(left.array(), right.array());
        let (at_left, at_right) = positions(left, right);
        BooleanBuffer::collect_bool(rows, |row| equal(at_left(row), at_right(row)) == negated)
    } else {
        // Numbers of different types, one of them DECIMAL.
        let (l, r) = (decimal::exact_of(left, types.0), decimal::exact_of(right, types.1));
        BooleanBuffer::collect_bool(rows, |row| {
            let equal = match (l(row), r(row)) {
                (Some(l), Some(r)) => decimal::order(l, r) == Ordering::Equal,
                (None, None) => left.is_null(row) == right.is_null(row),
                _ => false,
            };
            equal == negated
        })
    };
    args.outcome(Arc::new(BooleanArray::new(bits, None)), Vec::new())
}

/// The first argument is one of the others.
pub(super) fn is_in(args: Arguments) -> Outcome {
    let tested = &args.values[0];
    let mut found = BooleanBuffer::new_unset(args.rows);
    for element in &args.values[1..] {
        let equal = equality(tested.array(), element.array());
        let (at_tested, at_element) = positions(tested, element);
        let hit = BooleanBuffer::collect_bool(args.rows, |row| {
            !tested.is_null(row) && !element.is_null(row) && equal(at_tested(row), at_element(row))
        });
        found = &found | &hit;
    }
    args.outcome(Arc::new(BooleanArray::new(found, None)), Vec::new())
}

/// Where the values of a row are in the arrays behind.
fn positions(left: &Value, right: &Value) -> (impl Fn(usize) -> usize, impl Fn(usize) -> usize) {
    let step = |value: &Value| usize::from(!value.is_constant());
    let (l, r) = (step(left), step(right));
    (move |row| row * l, move |row| row * r)
}

/// Arrow's comparison of values of one type, with nulls made false.
fn kernel(op: BinaryOp, left: &Value, right: &Value) -> BooleanArray {
    let compared = match op {
        BinaryOp::Equal => cmp::eq(left, right),
        BinaryOp::NotEqual => cmp::neq(left, right),
        BinaryOp::Less => cmp::lt(left, right),
        BinaryOp::LessOrEqual => cmp::lt_eq(left, right),
        BinaryOp::Greater => cmp::gt(left, right),
        _ => cmp::gt_eq(left, right),
    };
    let array: ArrayRef = Arc::new(compared.expect("typing compares values of one simple type"));
    truths(&array)
}

/// A truth per row; `None` is false.
fn by_row(rows: usize, truth: impl Fn(usize) -> Option<bool>) -> BooleanArray {
    BooleanArray::new(BooleanBuffer::collect_bool(rows, |row| truth(row).unwrap_or(false)), None)
}

fn is_ordering(op: BinaryOp) -> bool {
    !matches!(op, BinaryOp::Equal | BinaryOp::NotEqual)
}

fn holds(op: BinaryOp, order: Ordering) -> bool {
    match op {
        BinaryOp::Equal => order == Ordering::Equal,
        BinaryOp::NotEqual => order != Ordering::Equal,
        BinaryOp::Less => order == Ordering::Less,
        BinaryOp::LessOrEqual => order != Ordering::Greater,
        BinaryOp::Greater => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }
}

/// The order of texts by UTF-16 code units, as Java has it: characters beyond the first plane come before U+E000.
pub(crate) fn utf16_order(left: &str, right: &str) -> Ordering {
    let (l, r) = (left.as_bytes(), right.as_bytes());
    match l.iter().zip(r).find(|(a, b)| a != b) {
        None => l.len().cmp(&r.len()),
        // Lead bytes from 0xEE are U+E000 to U+FFFF, from 0xF0 the surrogates' characters.
        Some((a, b)) if *a >= 0xEE && *b >= 0xEE && (*a >= 0xF0) != (*b >= 0xF0) => b.cmp(a),
        Some((a, b)) => a.cmp(b),
    }
}

/// The order of bytes as Java's `ByteBuffer` has it: bytes are signed.
pub(crate) fn signed_order(left: &[u8], right: &[u8]) -> Ordering {
    let signed = |bytes: &[u8]| bytes.iter().map(|byte| i8::from_ne_bytes([*byte])).collect::<Vec<_>>();
    signed(left).cmp(&signed(right))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::{any, proptest};

    use super::{signed_order, utf16_order};

    proptest! {
        #[test]
        fn text_order_is_that_of_utf16(left in any::<String>(), right in any::<String>()) {
            let expected = left.encode_utf16().collect::<Vec<_>>().cmp(&right.encode_utf16().collect());
            assert_eq!(utf16_order(&left, &right), expected);
        }
    }

    #[test]
    fn characters_beyond_the_first_plane_come_before_the_private_ones() {
        assert_eq!(utf16_order("\u{1F600}", "\u{E000}"), Ordering::Less);
        assert_eq!(signed_order(&[0xFF], &[0x01]), Ordering::Less);
    }
}
