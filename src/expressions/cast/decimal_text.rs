//! Exact decimals as text, as scaled integers, and between scales.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array, Decimal256Array};
use datafusion::arrow::datatypes::{Decimal128Type, Decimal256Type, i256};

use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::analyze::coercion::check_precision;
use crate::types::SqlType;
use crate::types::decimal_text::{push_decimal128, push_decimal256};

/// A number: `digits` with the point `scale` places from the right. The scale may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exact {
    pub(crate) digits: i256,
    pub(crate) scale: i32,
}

const TEN: i256 = i256::from_i128(10);

/// The powers of ten that 128 bits hold.
pub(crate) const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// 10 to a power, if it fits 128 bits.
pub(crate) fn small_power(power: u32) -> Option<i128> {
    POWERS.get(power as usize).copied()
}

impl Exact {
    /// Reads `12`, `-1.50`, `.5`, `1.`, `1.5E-3`. `None` if it is no number or has more digits than fit.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, whole, fraction, exponent) = parts(text)?;
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        let all = whole.bytes().chain(fraction.bytes());
        let digits = if whole.len() + fraction.len() <= 18 {
            let digits = all.fold(0_u64, |sum, byte| sum * 10 + u64::from(byte - b'0'));
            i256::from_i128(i128::from(digits))
        } else {
            let mut digits = i256::ZERO;
            for byte in all {
                digits = digits.checked_mul(TEN)?.checked_add(i256::from_i128(i128::from(byte - b'0')))?;
            }
            digits
        };
        Some(Self { digits: if negative { digits.wrapping_neg() } else { digits }, scale })
    }

    /// Reads a number of any length, of which digits behind the point that no type holds are rounded away: halves
    /// away from zero, at the place `scale`. `None` if it is no number; the inner `None` if it is too large.
    pub(crate) fn parse_rounded(text: &str, scale: u32) -> Option<Option<Self>> {
        if let Some(exact) = Self::parse(text) {
            return Some(Some(exact));
        }
        let (negative, whole, fraction, exponent) = parts(text)?;
        let digits = [whole, fraction].concat();
        let digits = digits.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Some(Self { digits: i256::ZERO, scale: 0 }));
        }
        // How many of the digits stand before the place at which they are cut.
        let surplus = i64::try_from(fraction.len()).ok()? - i64::from(exponent) - i64::from(scale);
        let kept = i64::try_from(digits.len()).ok()? - surplus;
        if kept < 0 {
            return Some(Some(Self { digits: i256::ZERO, scale: 0 }));
        }
        let Some(kept) = usize::try_from(kept).ok().filter(|kept| *kept <= digits.len()) else { return Some(None) };
        let (kept, cut) = digits.split_at(kept);
        let up = cut.bytes().next().is_some_and(|digit| digit >= b'5');
        let magnitude = if kept.is_empty() { Some(i256::ZERO) } else { i256::from_string(kept) };
        let magnitude = magnitude.filter(|_| kept.len() <= SqlType::MAX_DECIMAL_PRECISION as usize);
        Some(magnitude.map(|magnitude| {
            let rounded = if up { magnitude.wrapping_add(i256::ONE) } else { magnitude };
            let digits = if negative { rounded.wrapping_neg() } else { rounded };
            Self { digits, scale: i32::try_from(scale).unwrap_or(i32::MAX) }
        }))
    }

    /// The same value at another scale, halves away from zero. `None` if the digits do not fit.
    pub(crate) fn rescale(self, scale: i32) -> Option<i256> {
        if self.digits == i256::ZERO {
            return Some(i256::ZERO);
        }
        let shift = scale.checked_sub(self.scale)?;
        if let (Some(digits), Some(power)) = (self.digits.to_i128(), small_power(shift.unsigned_abs())) {
            if shift <= 0 {
                return Some(i256::from_i128(divide_half_up(digits, power)));
            }
            if let Some(digits) = digits.checked_mul(power) {
                return Some(i256::from_i128(digits));
            }
        }
        if shift >= 0 {
            return self.digits.checked_mul(power_of_ten(u32::try_from(shift).ok()?)?);
        }
        // A divisor that does not fit is larger than twice any value.
        let Some(divisor) = power_of_ten(shift.unsigned_abs()) else { return Some(i256::ZERO) };
        let (quotient, remainder) = (self.digits.wrapping_div(divisor), self.digits.wrapping_rem(divisor));
        let twice = remainder.wrapping_abs().checked_mul(i256::from_i128(2));
        if twice.is_some_and(|twice| twice < divisor) {
            return Some(quotient);
        }
        let away = if self.digits < i256::ZERO { i256::MINUS_ONE } else { i256::ONE };
        Some(quotient.wrapping_add(away))
    }

    /// How many digits the value has; zero has one.
    pub(crate) fn precision(self) -> u32 {
        if let Some(small) = self.digits.to_i128() {
            return small.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
        }
        let (mut rest, mut n) = (self.digits, 0);
        while rest != i256::ZERO {
            rest = rest.wrapping_div(TEN);
            n += 1;
        }
        n.max(1)
    }
}

/// A quotient by a positive divisor, halves away from zero.
pub(crate) fn divide_half_up(value: i128, divisor: i128) -> i128 {
    let (quotient, rest) = (value / divisor, (value % divisor).unsigned_abs());
    let up = rest >= divisor.unsigned_abs() - rest && rest > 0;
    if up { quotient + value.signum() } else { quotient }
}

/// Sign, digits before and after the point, and the exponent of a number's text.
fn parts(text: &str) -> Option<(bool, &str, &str, i32)> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, unsigned) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_number =
        whole.len() + fraction.len() > 0 && whole.bytes().chain(fraction.bytes()).all(|digit| digit.is_ascii_digit());
    is_number.then_some((negative, whole, fraction, exponent))
}

/// 10 to a power, if it fits.
pub(crate) fn power_of_ten(power: u32) -> Option<i256> {
    if let Some(small) = small_power(power) {
        return Some(i256::from_i128(small));
    }
    (power <= SqlType::MAX_DECIMAL_PRECISION).then(|| TEN.wrapping_pow(power))
}

/// True if digits fit a precision.
pub(crate) fn fits(digits: i256, precision: u32) -> bool {
    if let (Some(digits), Some(limit)) = (digits.to_i128(), small_power(precision)) {
        return digits.unsigned_abs() < limit.unsigned_abs();
    }
    power_of_ten(precision).is_none_or(|limit| digits.wrapping_abs() < limit)
}

/// The type of the DECIMAL literal that a text spells: as many digits as it has, and one before the point.
pub(crate) fn type_of(text: &str) -> Option<SqlType> {
    let exact = Exact::parse(text)?;
    let Ok(scale) = u32::try_from(exact.scale) else {
        // `2E1` has the digits of 20.
        let precision = exact.precision().checked_add(exact.scale.unsigned_abs())?;
        return Some(SqlType::Decimal { precision, scale: 0 });
    };
    Some(SqlType::Decimal { precision: exact.precision().max(scale + 1), scale })
}

/// The value and type of a DECIMAL literal.
pub(crate) fn literal(text: &str) -> Result<(ArrayRef, SqlType), Diagnostic> {
    let bad = || Diagnostic::new(Code::InvalidLiteral, format!("invalid DECIMAL literal: {text}"));
    let exact = Exact::parse(text).ok_or_else(bad)?;
    let ty = type_of(text).ok_or_else(bad)?;
    check_precision(&ty)?;
    Ok((array(std::iter::once(Some(exact.digits)), &ty), ty))
}

/// A DECIMAL array of scaled integers that fit its type.
pub(crate) fn array(digits: impl Iterator<Item = Option<i256>>, ty: &SqlType) -> ArrayRef {
    let narrow = matches!(ty, SqlType::Decimal { precision, .. } if *precision <= SqlType::MAX_DECIMAL128_PRECISION);
    let arrow = ty.arrow();
    if narrow {
        let values: Decimal128Array = digits.map(|value| value.map(i256::as_i128)).collect();
        Arc::new(values.with_data_type(arrow))
    } else {
        let values: Decimal256Array = digits.collect();
        Arc::new(values.with_data_type(arrow))
    }
}

/// The scaled integers of a DECIMAL array.
pub(crate) fn digits(array: &ArrayRef) -> Box<dyn Iterator<Item = Option<i256>> + '_> {
    match array.as_primitive_opt::<Decimal128Type>() {
        Some(narrow) => Box::new(narrow.iter().map(|value| value.map(i256::from_i128))),
        None => Box::new(array.as_primitive::<Decimal256Type>().iter()),
    }
}

/// A scaled integer as plain text: `-1.50`, `0.05`.
pub(crate) fn plain(digits: i256, scale: u32) -> String {
    let mut text = Vec::new();
    let scale = u8::try_from(scale).expect("typing bounds the places of decimals");
    match digits.to_i128() {
        Some(small) => push_decimal128(&mut text, small, scale),
        None => push_decimal256(&mut text, digits, scale),
    }
    String::from_utf8(text).expect("digits are ASCII")
}

/// Appends a scaled integer as plain text.
pub(crate) fn push_small(digits: i128, scale: u32, out: &mut String) {
    if digits < 0 {
        out.push('-');
    }
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(digits.unsigned_abs());
    let scale = scale as usize;
    match text.len().checked_sub(scale) {
        Some(0) | None => {
            out.push_str("0.");
            (text.len()..scale).for_each(|_| out.push('0'));
            out.push_str(text);
        }
        Some(whole) => {
            out.push_str(&text[..whole]);
            if scale > 0 {
                out.push('.');
                out.push_str(&text[whole..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::i256;

    use super::{Exact, plain, type_of};

    #[test]
    fn halves_are_rounded_away_from_zero() {
        for (text, scale, expected) in
            [("1.25", 1, "1.3"), ("-1.25", 1, "-1.3"), ("1.24", 1, "1.2"), ("5E-99", 2, "0.00")]
        {
            let exact = Exact::parse(text).expect("a number");
            assert_eq!(plain(exact.rescale(scale).expect("fits"), scale.unsigned_abs()), expected);
        }
    }

    #[test]
    fn literals_have_the_digits_they_are_written_with() {
        for (text, expected) in [
            ("0.05", "DECIMAL(3, 2)"),
            ("0.5", "DECIMAL(2, 1)"),
            ("10.10", "DECIMAL(4, 2)"),
            ("1.", "DECIMAL(1, 0)"),
            ("2E1", "DECIMAL(2, 0)"),
        ] {
            assert_eq!(type_of(text).expect("a number").to_string(), expected);
        }
    }

    #[test]
    fn plain_text_has_a_digit_before_the_point() {
        assert_eq!(plain(i256::from_i128(-5), 2), "-0.05");
        assert_eq!(plain(i256::from_i128(123), 0), "123");
    }
}
