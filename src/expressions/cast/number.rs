//! Casts between numbers and from text to numbers, as Java makes them.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::{Float64Type, Int32Type, Int64Type, i256};

use super::decimal_text::{self, Exact, fits, power_of_ten};
use super::text::java_double;
use super::{Failure, parse};
use crate::types::SqlType;

/// A number to a number of another type.
pub(super) fn convert(array: &ArrayRef, from: &SqlType, to: &SqlType, failures: &mut Vec<Failure>) -> ArrayRef {
    match (from, to) {
        (SqlType::Integer, SqlType::BigInt) => {
            Arc::new(array.as_primitive::<Int32Type>().unary::<_, Int64Type>(i64::from))
        }
        (SqlType::Integer, SqlType::Double) => {
            Arc::new(array.as_primitive::<Int32Type>().unary::<_, Float64Type>(f64::from))
        }
        (SqlType::BigInt, SqlType::Integer) => {
            Arc::new(array.as_primitive::<Int64Type>().unary::<_, Int32Type>(|value| value as i32))
        }
        (SqlType::BigInt, SqlType::Double) => {
            Arc::new(array.as_primitive::<Int64Type>().unary::<_, Float64Type>(|value| value as f64))
        }
        (SqlType::Double, SqlType::Integer) => {
            Arc::new(array.as_primitive::<Float64Type>().unary::<_, Int32Type>(|value| value as i32))
        }
        (SqlType::Double, SqlType::BigInt) => {
            Arc::new(array.as_primitive::<Float64Type>().unary::<_, Int64Type>(|value| value as i64))
        }
        (SqlType::Decimal { scale, .. }, SqlType::Integer) => {
            let divisor = power_of_ten(*scale).unwrap_or(i256::ONE);
            let values: Int32Array = decimal_text::digits(array)
                .map(|value| value.map(|v| v.wrapping_div(divisor).as_i128() as i32))
                .collect();
            Arc::new(values)
        }
        (SqlType::Decimal { scale, .. }, SqlType::BigInt) => {
            let divisor = power_of_ten(*scale).unwrap_or(i256::ONE);
            let values: Int64Array = decimal_text::digits(array)
                .map(|value| value.map(|v| v.wrapping_div(divisor).as_i128() as i64))
                .collect();
            Arc::new(values)
        }
        (SqlType::Decimal { scale, .. }, SqlType::Double) => {
            let values: Float64Array =
                decimal_text::digits(array).map(|value| value.map(|v| decimal_to_f64(v, *scale))).collect();
            Arc::new(values)
        }
        (SqlType::Integer, SqlType::Decimal { .. }) => {
            let values = array.as_primitive::<Int32Type>().iter().map(|v| v.map(|v| whole(i128::from(v))));
            to_decimal(values, to, failures)
        }
        (SqlType::BigInt, SqlType::Decimal { .. }) => {
            let values = array.as_primitive::<Int64Type>().iter().map(|v| v.map(|v| whole(i128::from(v))));
            to_decimal(values, to, failures)
        }
        (SqlType::Decimal { scale, .. }, SqlType::Decimal { .. }) => {
            let scale = i32::try_from(*scale).unwrap_or(i32::MAX);
            let values = decimal_text::digits(array).map(|v| v.map(|digits| Some(Exact { digits, scale })));
            to_decimal(values, to, failures)
        }
        (SqlType::Double, SqlType::Decimal { precision, .. }) => {
            let values = array.as_primitive::<Float64Type>().iter().map(|v| v.map(|v| double_to_exact(v, *precision)));
            to_decimal(values, to, failures)
        }
        _ => Arc::clone(array),
    }
}

/// Text to a number.
pub(super) fn from_text(text: &StringArray, to: &SqlType, failures: &mut Vec<Failure>) -> ArrayRef {
    let message = |value: &str| format!("For input string: \"{value}\"");
    match to {
        SqlType::Integer => {
            let values: Int32Array = parse(text, failures, |value| value.trim().parse().ok(), message).collect();
            Arc::new(values)
        }
        SqlType::BigInt => {
            let values: Int64Array = parse(text, failures, |value| value.trim().parse().ok(), message).collect();
            Arc::new(values)
        }
        SqlType::Double => {
            let values: Float64Array = parse(text, failures, read_double, message).collect();
            Arc::new(values)
        }
        _ => to_decimal(text.iter().map(|value| value.map(|value| Exact::parse(value.trim()))), to, failures),
    }
}

/// A finite double; words for infinities and NaN are no numbers.
fn read_double(text: &str) -> Option<f64> {
    let trimmed = text.trim();
    let plain = trimmed.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    if plain { trimmed.parse().ok() } else { None }
}

fn whole(value: i128) -> Option<Exact> {
    Some(Exact { digits: i256::from_i128(value), scale: 0 })
}

/// A double as the decimal it prints as, rounded to `precision` digits.
fn double_to_exact(value: f64, precision: u32) -> Option<Exact> {
    let exact = Exact::parse(&java_double(value))?;
    let surplus = i32::try_from(exact.precision().saturating_sub(precision)).ok()?;
    if surplus == 0 {
        return Some(exact);
    }
    let scale = exact.scale - surplus;
    Some(Exact { digits: exact.rescale(scale)?, scale })
}

/// The double nearest to a decimal.
pub(crate) fn decimal_to_f64(digits: i256, scale: u32) -> f64 {
    format!("{digits}E-{scale}").parse().unwrap_or(f64::NAN)
}

/// Numbers to a DECIMAL type: halves away from zero, an overflow fails its row. The inner `None` is no number.
fn to_decimal(
    values: impl Iterator<Item = Option<Option<Exact>>>,
    to: &SqlType,
    failures: &mut Vec<Failure>,
) -> ArrayRef {
    let SqlType::Decimal { precision, scale } = to else { panic!("{to} is not DECIMAL") };
    let target = i32::try_from(*scale).unwrap_or(i32::MAX);
    let digits = values.enumerate().map(|(row, value)| {
        let fitting = match value? {
            None => Err("Cannot cast a text or number that is no decimal".into()),
            Some(exact) => exact.rescale(target).filter(|digits| fits(*digits, *precision)).ok_or_else(|| {
                format!(
                    "Numeric field overflow: A field with precision {precision} and scale {scale} must round to an \
                     absolute value less than 10^{}. Got {}",
                    precision - scale,
                    if exact.scale >= 0 {
                        decimal_text::plain(exact.digits, exact.scale.unsigned_abs())
                    } else {
                        format!("{}E{}", exact.digits, -exact.scale)
                    }
                )
            }),
        };
        match fitting {
            Ok(digits) => Some(digits),
            Err(message) => {
                failures.push((row, message.into()));
                None
            }
        }
    });
    decimal_text::array(digits, to)
}

#[cfg(test)]
mod tests {
    use super::double_to_exact;

    #[test]
    fn doubles_are_first_rounded_to_the_precision() {
        let exact = double_to_exact(123.456, 4).expect("finite");
        assert_eq!((exact.digits.to_string().as_str(), exact.scale), ("1235", 1));
        assert!(double_to_exact(f64::NAN, 4).is_none());
    }
}
