//! Exact decimals as text, as scaled integers, and between scales.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array, Decimal256Array};
use datafusion::arrow::datatypes::{Decimal128Type, Decimal256Type, i256};

use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::analyze::coercion::check_precision;
use crate::types::SqlType;

/// A number: `digits` with the point `scale` places from the right. The scale may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exact {
    pub(crate) digits: i256,
    pub(crate) scale: i32,
}

const TEN: i256 = i256::from_i128(10);

impl Exact {
    /// Reads `12`, `-1.50`, `.5`, `1.`, `1.5E-3`. `None` if it is no number or has more digits than fit.
    pub(crate) fn parse(text: &str) -> Option<Self> {
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
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut digits = i256::ZERO;
        for byte in whole.bytes().chain(fraction.bytes()) {
            if !byte.is_ascii_digit() {
                return None;
            }
            digits = digits.checked_mul(TEN)?.checked_add(i256::from_i128(i128::from(byte - b'0')))?;
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Some(Self { digits: if negative { digits.wrapping_neg() } else { digits }, scale })
    }

    /// The same value at another scale, halves away from zero. `None` if the digits do not fit.
    pub(crate) fn rescale(self, scale: i32) -> Option<i256> {
        if self.digits == i256::ZERO {
            return Some(i256::ZERO);
        }
        let shift = scale - self.scale;
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
        let (mut rest, mut n) = (self.digits, 0);
        while rest != i256::ZERO {
            rest = rest.wrapping_div(TEN);
            n += 1;
        }
        n.max(1)
    }
}

/// 10 to a power, if it fits.
pub(crate) fn power_of_ten(power: u32) -> Option<i256> {
    (power <= SqlType::MAX_DECIMAL_PRECISION).then(|| TEN.wrapping_pow(power))
}

/// True if digits fit a precision.
pub(crate) fn fits(digits: i256, precision: u32) -> bool {
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
    let text = digits.to_string();
    let scale = scale as usize;
    if scale == 0 {
        return text;
    }
    let (sign, magnitude) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.as_str()),
    };
    let padded = format!("{magnitude:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
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
