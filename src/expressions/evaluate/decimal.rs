//! Arithmetic and comparison of DECIMALs: exact, never rounded.
//!
//! What fits 128 bits, operands and result, is computed there; the rest in 256.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, Decimal128Array, Decimal256Array, Float64Array, Int32Array, Int64Array,
};
use datafusion::arrow::datatypes::{Decimal128Type, i256};

use super::Arguments;
use super::arithmetic::{zip, zip_checked};
use super::value::{Failure, Value};
use crate::expressions::cast::decimal_text::{self, Exact, power_of_ten, small_power};
use crate::expressions::cast::number::shortest_decimal;
use crate::sql::ast::BinaryOp;
use crate::types::SqlType;

const DIVISION_BY_ZERO: &str = "Division by zero";
const ENDLESS_QUOTIENT: &str = "Rounding necessary";

/// The digits of a DECIMAL value by row.
pub(crate) fn digits_of(value: &Value) -> Box<dyn Fn(usize) -> Option<i256> + '_> {
    if value.array().as_any().is::<Decimal128Array>() {
        let typed = value.typed::<Decimal128Array>();
        Box::new(move |row| typed.get(row).map(i256::from_i128))
    } else {
        let typed = value.typed::<Decimal256Array>();
        Box::new(move |row| typed.get(row))
    }
}

/// Precision and scale.
fn shape_of(value: &Value) -> (u32, u32) {
    match SqlType::from_arrow(value.array().data_type()) {
        Some(SqlType::Decimal { precision, scale }) => (precision, scale),
        _ => (SqlType::MAX_DECIMAL_PRECISION, 0),
    }
}

/// `+ - * / %` of two DECIMALs. `result` is wide enough for every exact result but a quotient, which may not end.
pub(super) fn binary(op: BinaryOp, args: &Arguments, result: &SqlType, failures: &mut Vec<Failure>) -> ArrayRef {
    let SqlType::Decimal { precision, scale } = result else { panic!("{result} is not DECIMAL") };
    let ((lp, ls), (rp, rs)) = (shape_of(&args.values[0]), shape_of(&args.values[1]));
    // Places by which the operands are lifted before they are combined.
    let lifts = match op {
        BinaryOp::Multiply => (0, 0),
        BinaryOp::Divide => ((scale + rs).saturating_sub(ls), 0),
        _ => (scale - ls, scale - rs),
    };
    let widest = (*precision).max(lp + lifts.0).max(rp + lifts.1);
    if widest <= SqlType::MAX_DECIMAL128_PRECISION {
        let digits = narrow(op, args, lifts, failures);
        return Arc::new(digits.with_data_type(result.arrow()));
    }
    let (l, r) = (digits_of(&args.values[0]), digits_of(&args.values[1]));
    let digits = (0..args.rows)
        .map(|row| wide(op, l(row)?, r(row)?, lifts).map_err(|message| failures.push((row, message.into()))).ok());
    decimal_text::array(digits.collect::<Vec<_>>().into_iter(), result)
}

/// In 128 bits: the digits of both operands, lifted, and those of the result fit.
fn narrow(op: BinaryOp, args: &Arguments, lifts: (u32, u32), failures: &mut Vec<Failure>) -> Decimal128Array {
    type Decimal = Decimal128Type;
    let (left, right, rows) = (&args.values[0], &args.values[1], args.rows);
    let power = |lift| small_power(lift).expect("the caller has bounded the digits");
    let (lf, rf) = (power(lifts.0), power(lifts.1));
    match op {
        BinaryOp::Add => zip::<Decimal, Decimal, Decimal>(left, right, rows, |a, b| {
            a.wrapping_mul(lf).wrapping_add(b.wrapping_mul(rf))
        }),
        BinaryOp::Subtract => zip::<Decimal, Decimal, Decimal>(left, right, rows, |a, b| {
            a.wrapping_mul(lf).wrapping_sub(b.wrapping_mul(rf))
        }),
        BinaryOp::Multiply => zip::<Decimal, Decimal, Decimal>(left, right, rows, i128::wrapping_mul),
        BinaryOp::Modulo => zip_checked::<Decimal>(left, right, rows, failures, |a, b| {
            quotient(a.wrapping_mul(lf), b.wrapping_mul(rf)).map(|(_, rest)| rest).ok_or(DIVISION_BY_ZERO)
        }),
        _ => zip_checked::<Decimal>(left, right, rows, failures, |a, b| {
            let (quotient, rest) = quotient(a.wrapping_mul(lf), b).ok_or(DIVISION_BY_ZERO)?;
            if rest == 0 { Ok(quotient) } else { Err(ENDLESS_QUOTIENT) }
        }),
    }
}

/// Quotient and remainder; `None` for a zero divisor.
fn quotient(a: i128, b: i128) -> Option<(i128, i128)> {
    // Division of 128 bits is several times slower.
    if let (Ok(a), Ok(b)) = (i64::try_from(a), i64::try_from(b)) {
        return Some((i128::from(a.checked_div(b)?), i128::from(a.checked_rem(b)?)));
    }
    let quotient = a.checked_div(b)?;
    Some((quotient, a - quotient * b))
}

/// In 256 bits.
fn wide(op: BinaryOp, a: i256, b: i256, lifts: (u32, u32)) -> Result<i256, &'static str> {
    let lifted = |digits: i256, lift| {
        let power = power_of_ten(lift).expect("typing bounds the places of decimals");
        digits.checked_mul(power)
    };
    let fits = "typing bounds the digits of results";
    if matches!(op, BinaryOp::Divide | BinaryOp::Modulo) && b == i256::ZERO {
        return Err(DIVISION_BY_ZERO);
    }
    let sum = |b: i256| Some(lifted(a, lifts.0)?.wrapping_add(lifted(b, lifts.1)?));
    Ok(match op {
        BinaryOp::Add => sum(b).expect(fits),
        BinaryOp::Subtract => sum(b.wrapping_neg()).expect(fits),
        BinaryOp::Multiply => a.wrapping_mul(b),
        BinaryOp::Modulo => match (lifted(a, lifts.0), lifted(b, lifts.1)) {
            (Some(a), Some(b)) => a.wrapping_rem(b),
            // A divisor of so many digits is larger than the dividend, which is not lifted.
            (_, None) => a,
            (None, Some(b)) => lifted_remainder(a, b, lifts.0),
        },
        _ => {
            let a = lifted(a, lifts.0).expect(fits);
            if a.wrapping_rem(b) != i256::ZERO {
                return Err(ENDLESS_QUOTIENT);
            }
            a.wrapping_div(b)
        }
    })
}

/// The remainder of `a` × 10^`lift` by `b`, digit by digit, since the product does not fit.
fn lifted_remainder(a: i256, b: i256, lift: u32) -> i256 {
    let by = b.wrapping_abs();
    // Twice a remainder fits: no divisor has more than 76 digits.
    let sum = |x: i256, y: i256| x.wrapping_add(y).wrapping_rem(by);
    let mut rest = a.wrapping_abs().wrapping_rem(by);
    for _ in 0..lift {
        let two = sum(rest, rest);
        let four = sum(two, two);
        rest = sum(sum(four, four), two);
    }
    if a < i256::ZERO { rest.wrapping_neg() } else { rest }
}

/// A number that a comparison reads, exactly.
pub(super) type ExactByRow<'a> = Box<dyn Fn(usize) -> Option<Exact> + 'a>;

/// Any number by row, exactly; `None` for NULL and NaN. Infinities are beyond every decimal.
pub(super) fn exact_of<'a>(value: &'a Value, ty: &SqlType) -> ExactByRow<'a> {
    let exact = exact_by_row(value, ty);
    if value.is_constant() {
        let known = exact(0);
        return Box::new(move |_| known);
    }
    exact
}

fn exact_by_row<'a>(value: &'a Value, ty: &SqlType) -> ExactByRow<'a> {
    let whole = |n: i64| Exact { digits: i256::from_i128(i128::from(n)), scale: 0 };
    match ty {
        SqlType::Integer => {
            let typed = value.typed::<Int32Array>();
            Box::new(move |row| typed.get(row).map(|n| whole(i64::from(n))))
        }
        SqlType::BigInt => {
            let typed = value.typed::<Int64Array>();
            Box::new(move |row| typed.get(row).map(whole))
        }
        SqlType::Double => {
            let typed = value.typed::<Float64Array>();
            Box::new(move |row| {
                let double = typed.get(row)?;
                if double.is_infinite() {
                    let digits = if double > 0.0 { i256::ONE } else { i256::MINUS_ONE };
                    return Some(Exact { digits, scale: -1000 });
                }
                shortest_decimal(double)
            })
        }
        _ => {
            let scale = i32::try_from(shape_of(value).1).unwrap_or(i32::MAX);
            let digits = digits_of(value);
            Box::new(move |row| digits(row).map(|digits| Exact { digits, scale }))
        }
    }
}

/// The order of two numbers of any scales.
pub(super) fn order(left: Exact, right: Exact) -> Ordering {
    if left.scale == right.scale {
        return left.digits.cmp(&right.digits);
    }
    if let Some(order) = small_order(left, right) {
        return order;
    }
    let (ls, rs) = (left.digits.cmp(&i256::ZERO), right.digits.cmp(&i256::ZERO));
    if ls != rs || ls == Ordering::Equal {
        return ls.cmp(&rs);
    }
    // How many digits stand before the point decides unless it is the same; then both fit at the larger scale.
    let places = |number: Exact| i64::from(number.precision()) - i64::from(number.scale);
    let magnitude = places(left).cmp(&places(right)).then_with(|| {
        let scale = left.scale.max(right.scale);
        match (left.rescale(scale), right.rescale(scale)) {
            (Some(l), Some(r)) => l.wrapping_abs().cmp(&r.wrapping_abs()),
            (l, r) => l.is_none().cmp(&r.is_none()),
        }
    });
    if ls == Ordering::Less { magnitude.reverse() } else { magnitude }
}

/// The order, where both numbers fit 128 bits at the larger of their scales.
fn small_order(left: Exact, right: Exact) -> Option<Ordering> {
    let lift = |number: Exact| {
        let places = left.scale.max(right.scale).checked_sub(number.scale)?;
        number.digits.to_i128()?.checked_mul(small_power(u32::try_from(places).ok()?)?)
    };
    Some(lift(left)?.cmp(&lift(right)?))
}

#[cfg(test)]
mod tests {
    use super::{Exact, order};
    use std::cmp::Ordering;

    #[test]
    fn numbers_of_any_scale_have_an_order() {
        for (l, r, expected) in [
            ("1.0", "1.00", Ordering::Equal),
            ("1.01", "1.1", Ordering::Less),
            ("-1.01", "-1.1", Ordering::Greater),
            ("1E300", "99999999999999999999999999999999999999", Ordering::Greater),
            ("1E-300", "0.1", Ordering::Less),
            ("0", "0.00", Ordering::Equal),
            ("-1", "1E-300", Ordering::Less),
        ] {
            let parse = |text| Exact::parse(text).expect("a number");
            assert_eq!(order(parse(l), parse(r)), expected, "{l} {r}");
        }
    }
}
