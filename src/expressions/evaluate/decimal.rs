//! Arithmetic and comparison of DECIMALs: exact, never rounded.

use std::cmp::Ordering;

use datafusion::arrow::array::{
    Array, ArrayRef, Decimal128Array, Decimal256Array, Float64Array, Int32Array, Int64Array,
};
use datafusion::arrow::datatypes::i256;

use super::Arguments;
use super::value::{Failure, Value};
use crate::expressions::cast::decimal_text::{self, Exact, power_of_ten};
use crate::expressions::cast::text::java_double;
use crate::sql::ast::BinaryOp;
use crate::types::SqlType;

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

fn scale_of(value: &Value) -> u32 {
    match SqlType::from_arrow(value.array().data_type()) {
        Some(SqlType::Decimal { scale, .. }) => scale,
        _ => 0,
    }
}

/// `+ - * / %` of two DECIMALs. `result` is wide enough for every exact result but a quotient, which may not end.
pub(super) fn binary(op: BinaryOp, args: &Arguments, result: &SqlType, failures: &mut Vec<Failure>) -> ArrayRef {
    let SqlType::Decimal { precision, scale } = result else { panic!("{result} is not DECIMAL") };
    let (left, right) = (&args.values[0], &args.values[1]);
    let (ls, rs) = (scale_of(left), scale_of(right));
    let (l, r) = (digits_of(left), digits_of(right));
    let power = |n: u32| power_of_ten(n).expect("typing bounds the digits of decimals");
    // Factors that bring both operands to the scale at which they are combined.
    let (lf, rf) = match op {
        BinaryOp::Multiply => (i256::ONE, i256::ONE),
        BinaryOp::Divide => (power((scale + rs).saturating_sub(ls)), i256::ONE),
        _ => (power(scale - ls), power(scale - rs)),
    };
    let digits = (0..args.rows).map(|row| {
        let (a, b) = (l(row)?.wrapping_mul(lf), r(row)?.wrapping_mul(rf));
        match op {
            BinaryOp::Add => Some(a.wrapping_add(b)),
            BinaryOp::Subtract => Some(a.wrapping_sub(b)),
            BinaryOp::Multiply => Some(a.wrapping_mul(b)),
            _ if b == i256::ZERO => {
                failures.push((row, "Division by zero".into()));
                None
            }
            BinaryOp::Modulo => Some(a.wrapping_rem(b)),
            _ if a.wrapping_rem(b) == i256::ZERO => {
                Some(a.wrapping_div(b)).filter(|quotient| decimal_text::fits(*quotient, *precision))
            }
            _ => {
                failures.push((row, "Rounding necessary".into()));
                None
            }
        }
    });
    decimal_text::array(digits.collect::<Vec<_>>().into_iter(), result)
}

/// Any number by row, exactly; `None` for NULL and NaN. Infinities are beyond every decimal.
pub(super) fn exact_of<'a>(value: &'a Value, ty: &SqlType) -> Box<dyn Fn(usize) -> Option<Exact> + 'a> {
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
                Exact::parse(&java_double(double))
            })
        }
        _ => {
            let scale = i32::try_from(scale_of(value)).unwrap_or(i32::MAX);
            let digits = digits_of(value);
            Box::new(move |row| digits(row).map(|digits| Exact { digits, scale }))
        }
    }
}

/// The order of two numbers of any scales.
pub(super) fn order(left: Exact, right: Exact) -> Ordering {
    let (ls, rs) = (left.digits.cmp(&i256::ZERO), right.digits.cmp(&i256::ZERO));
    if ls != rs || ls == Ordering::Equal {
        return ls.cmp(&rs);
    }
    if left.scale == right.scale {
        return left.digits.cmp(&right.digits);
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
