//! Casts between numbers and from text to numbers, as Java makes them.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, StringArray};
use datafusion::arrow::datatypes::{Decimal128Type, Float64Type, Int32Type, Int64Type, i256};

use super::decimal_text::{self, Exact, fits, power_of_ten, small_power};
use super::{Failure, java_trim, parse};
use crate::types::SqlType;
use crate::types::java_number::{double_to_string, parse_double};

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
            let whole = whole_part(array, *scale).map(|value| value.map(|value| value as i32));
            Arc::new(whole.collect::<Int32Array>())
        }
        (SqlType::Decimal { scale, .. }, SqlType::BigInt) => {
            let whole = whole_part(array, *scale).map(|value| value.map(|value| value as i64));
            Arc::new(whole.collect::<Int64Array>())
        }
        (SqlType::Decimal { scale, .. }, SqlType::Double) => match array.as_primitive_opt::<Decimal128Type>() {
            Some(narrow) => Arc::new(narrow.unary::<_, Float64Type>(|digits| small_to_f64(digits, *scale))),
            None => {
                let values = decimal_text::digits(array).map(|value| value.map(|v| decimal_to_f64(v, *scale)));
                Arc::new(values.collect::<Float64Array>())
            }
        },
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
            let values = decimal_text::digits(array).map(|v| v.map(|digits| Read::Number(Exact { digits, scale })));
            to_decimal(values, to, failures)
        }
        (SqlType::Double, SqlType::Decimal { precision, .. }) => {
            let values = array.as_primitive::<Float64Type>().iter().map(|v| v.map(|v| double_to_exact(v, *precision)));
            to_decimal(values, to, failures)
        }
        _ => Arc::clone(array),
    }
}

/// DECIMALs without what stands behind the point; the lowest 128 bits of what is larger.
fn whole_part(array: &ArrayRef, scale: u32) -> Box<dyn Iterator<Item = Option<i128>> + '_> {
    match (array.as_primitive_opt::<Decimal128Type>(), small_power(scale)) {
        (Some(narrow), Some(divisor)) => Box::new(narrow.iter().map(move |value| value.map(|v| v / divisor))),
        _ => {
            let divisor = power_of_ten(scale).unwrap_or(i256::ONE);
            Box::new(decimal_text::digits(array).map(move |value| value.map(|v| v.wrapping_div(divisor).as_i128())))
        }
    }
}

/// Text to a number.
pub(super) fn from_text(text: &StringArray, to: &SqlType, failures: &mut Vec<Failure>) -> ArrayRef {
    let message = |value: &str| format!("For input string: \"{value}\"");
    match to {
        SqlType::Integer => {
            let values: Int32Array = parse(text, failures, |value| java_trim(value).parse().ok(), message).collect();
            Arc::new(values)
        }
        SqlType::BigInt => {
            let values: Int64Array = parse(text, failures, |value| java_trim(value).parse().ok(), message).collect();
            Arc::new(values)
        }
        SqlType::Double => {
            // Neither words for infinities and NaN nor what is too large are numbers here.
            let read = |value: &str| parse_double(value).filter(|value| value.is_finite());
            let values: Float64Array = parse(text, failures, read, message).collect();
            Arc::new(values)
        }
        _ => {
            let scale = if let SqlType::Decimal { scale, .. } = to { *scale } else { 0 };
            let read = |value: &str| match Exact::parse_rounded(java_trim(value), scale) {
                Some(Some(exact)) => Read::Number(exact),
                Some(None) => Read::TooLarge,
                None => Read::NoNumber,
            };
            to_decimal(text.iter().map(|value| value.map(read)), to, failures)
        }
    }
}

/// What was found where a DECIMAL is wanted.
enum Read {
    Number(Exact),
    /// Beyond every DECIMAL.
    TooLarge,
    NoNumber,
}

fn whole(value: i128) -> Read {
    Read::Number(Exact { digits: i256::from_i128(value), scale: 0 })
}

/// The exact value of a double rounded to `precision` digits, halves away from zero, as `new BigDecimal(double,
/// MathContext)` makes it: 1.005 is a little less, so 1.00 in two places, if the precision shows it.
fn double_to_exact(value: f64, precision: u32) -> Read {
    if !value.is_finite() {
        return Read::NoNumber;
    }
    if value == 0.0 {
        return Read::Number(Exact { digits: i256::ZERO, scale: 0 });
    }
    let bits = value.to_bits();
    let biased = i32::try_from(bits >> 52 & 0x7FF).unwrap_or(0);
    let fraction = bits & ((1 << 52) - 1);
    // The magnitude is mantissa × 2^exponent.
    let (mantissa, exponent) = if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) };
    // How many digits stand before the point, perhaps one too few or too many.
    #[expect(clippy::cast_possible_truncation, reason = "logarithms of doubles are small")]
    let before = value.abs().log10().floor() as i32 + 1;
    let Ok(precision) = i32::try_from(precision) else { return Read::NoNumber };
    for before in [before, before + 1, before - 1] {
        let scale = precision - before;
        let Some(digits) = scaled(mantissa, exponent, scale) else { continue };
        let (Some(least), Some(limit)) = (
            power_of_ten(u32::try_from(precision - 1).unwrap_or(0)),
            power_of_ten(u32::try_from(precision).unwrap_or(0)),
        ) else {
            continue;
        };
        if digits < least || digits > limit {
            continue;
        }
        // Rounding up may give one digit more: if this is the least number of its length, a finer one may do.
        let finer =
            if digits == least { scaled(mantissa, exponent, scale + 1).filter(|finer| *finer <= limit) } else { None };
        let (digits, scale) = finer.map_or((digits, scale), |finer| (finer, scale + 1));
        return Read::Number(Exact { digits: if value < 0.0 { digits.wrapping_neg() } else { digits }, scale });
    }
    scaled_slowly(value, precision)
}

/// mantissa × 2^exponent × 10^scale, rounded to a whole number, halves up; `None` if 256 bits are too few on the way.
fn scaled(mantissa: u64, exponent: i32, scale: i32) -> Option<i256> {
    if scale >= 0 && exponent < 0 && exponent > -190 && scale <= 21 {
        // 53 bits and 70 for the power of ten: 128 do.
        let product = u128::from(mantissa) * small_power(scale.unsigned_abs())?.unsigned_abs();
        let shift = exponent.unsigned_abs();
        if shift <= 127 {
            let (kept, half) = (product >> shift, product >> (shift - 1) & 1);
            return i128::try_from(kept + half).ok().map(i256::from_i128);
        }
        return Some(i256::ZERO);
    }
    let wide = i256::from_i128(i128::from(mantissa));
    let (dividend, divisor) = match (scale >= 0, exponent >= 0) {
        (true, true) => {
            (wide.checked_mul(power_of_ten(scale.unsigned_abs())?)?.checked_mul(two_to(exponent)?)?, i256::ONE)
        }
        (true, false) => (wide.checked_mul(power_of_ten(scale.unsigned_abs())?)?, two_to(-exponent)?),
        (false, true) => (wide.checked_mul(two_to(exponent)?)?, power_of_ten(scale.unsigned_abs())?),
        (false, false) => (wide, power_of_ten(scale.unsigned_abs())?.checked_mul(two_to(-exponent)?)?),
    };
    let (quotient, rest) = (dividend.wrapping_div(divisor), dividend.wrapping_rem(divisor));
    let up = rest != i256::ZERO && rest >= divisor.wrapping_sub(rest);
    Some(if up { quotient.wrapping_add(i256::ONE) } else { quotient })
}

fn two_to(power: i32) -> Option<i256> {
    (power < 255).then(|| i256::ONE << u8::try_from(power).unwrap_or(0))
}

/// The same by the whole decimal expansion: for numbers very large or very near zero.
fn scaled_slowly(value: f64, precision: i32) -> Read {
    // No double has more than 767 significant digits.
    let text = format!("{:.780e}", value.abs());
    let Some((mantissa, exponent)) = text.split_once('e') else { return Read::NoNumber };
    let Ok(exponent) = exponent.parse::<i32>() else { return Read::NoNumber };
    let places = precision - 1;
    let digits = mantissa.replace('.', "");
    let number = format!("{}.{}", &digits[..1], &digits[1..]);
    match Exact::parse_rounded(&number, places.unsigned_abs()) {
        Some(Some(exact)) => {
            let digits = if value < 0.0 { exact.digits.wrapping_neg() } else { exact.digits };
            Read::Number(Exact { digits, scale: exact.scale - exponent })
        }
        _ => Read::NoNumber,
    }
}

/// The double nearest to a decimal.
pub(crate) fn decimal_to_f64(digits: i256, scale: u32) -> f64 {
    match digits.to_i128() {
        Some(small) => small_to_f64(small, scale),
        None => format!("{digits}E-{scale}").parse().unwrap_or(f64::NAN),
    }
}

fn small_to_f64(digits: i128, scale: u32) -> f64 {
    // Both are exact as doubles, so their quotient is the nearest.
    if digits.unsigned_abs() <= 1 << 53
        && scale <= 22
        && let Some(power) = small_power(scale)
    {
        return digits as f64 / power as f64;
    }
    format!("{digits}E-{scale}").parse().unwrap_or(f64::NAN)
}

/// Numbers to a DECIMAL type: halves away from zero, an overflow fails its row.
fn to_decimal(values: impl Iterator<Item = Option<Read>>, to: &SqlType, failures: &mut Vec<Failure>) -> ArrayRef {
    let SqlType::Decimal { precision, scale } = to else { panic!("{to} is not DECIMAL") };
    let target = i32::try_from(*scale).unwrap_or(i32::MAX);
    let overflow = |value: String| {
        format!(
            "Numeric field overflow: A field with precision {precision} and scale {scale} must round to an absolute \
             value less than 10^{}. Got {value}",
            precision - scale
        )
    };
    let digits = values.enumerate().map(|(row, value)| {
        let fitting = match value? {
            Read::NoNumber => Err("Cannot cast a text or number that is no decimal".into()),
            Read::TooLarge => Err(overflow("a number of more digits".to_owned())),
            Read::Number(exact) => {
                let digits = exact.rescale(target).filter(|digits| fits(*digits, *precision));
                digits.ok_or_else(|| overflow(shown(exact)))
            }
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

fn shown(exact: Exact) -> String {
    match u32::try_from(exact.scale) {
        Ok(scale) if scale <= SqlType::MAX_DECIMAL_PRECISION => decimal_text::plain(exact.digits, scale),
        _ => format!("{}E{}", exact.digits, -i64::from(exact.scale)),
    }
}

/// A finite double as the shortest decimal that reads back as it.
pub(crate) fn shortest_decimal(value: f64) -> Option<Exact> {
    if value.is_finite() { Exact::parse(&double_to_string(value)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::{Read, double_to_exact};

    #[test]
    fn doubles_are_first_rounded_to_the_precision() {
        for (value, precision, digits, scale) in [
            (123.456, 4, "1235", 1),
            (1.005, 4, "1005", 3),
            (1.005, 20, "1.0049999999999998934", 19),
            (-0.15, 20, "-1.4999999999999999445", 20),
            (5e-324, 3, "494", 326),
            (1.797_693_134_862_315_7e308, 3, "180", -306),
            (9.999, 3, "1000", 2),
        ] {
            let Read::Number(exact) = double_to_exact(value, precision) else { panic!("{value}") };
            assert_eq!((exact.digits.to_string(), exact.scale), (digits.replace('.', ""), scale), "{value}");
        }
        assert!(matches!(double_to_exact(f64::NAN, 4), Read::NoNumber));
    }
}
