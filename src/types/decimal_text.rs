//! Decimal numbers as text: read as Java's `BigDecimal` reads them, fitted to a DECIMAL without rounding, spelled.

use std::fmt;

use datafusion::arrow::datatypes::i256;

/// An exact number of any size: `±digits × 10^-scale`. Unlike a DECIMAL it remembers how it was spelled: `1.50` has
/// digits `150` and scale 2, `2E3` has digits `2` and scale -3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecimalText {
    negative: bool,
    /// Without leading zeros, but at least one digit.
    digits: String,
    scale: i64,
}

/// Why a number is no value of a DECIMAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalMisfit {
    /// It has too many digits before the point.
    #[error("numeric field overflow: a field with precision {precision} and scale {scale} must have an absolute value less than 10^{}", .precision - .scale)]
    Overflow {
        /// Digits in all of the DECIMAL.
        precision: u32,
        /// Digits after the point of the DECIMAL.
        scale: u32,
    },
    /// It has too many digits after the point, not all of them zero.
    #[error("cannot fit the decimal into DECIMAL({precision}, {scale}) without rounding")]
    Rounding {
        /// Digits in all of the DECIMAL.
        precision: u32,
        /// Digits after the point of the DECIMAL.
        scale: u32,
    },
}

impl DecimalText {
    /// Reads what `new BigDecimal(text)` reads: `-1.50`, `.5`, `5.`, `+1e-3`; no blanks. `None` for anything else, and
    /// for exponents beyond 32 bits.
    pub fn parse(text: &str) -> Option<Self> {
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], unsigned[at + 1..].parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_number = whole.len() + fraction.len() > 0
            && whole.bytes().chain(fraction.bytes()).all(|digit| digit.is_ascii_digit());
        if !is_number {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let digits = match all.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        };
        Some(Self { negative, digits, scale: i64::try_from(fraction.len()).ok()? - i64::from(exponent) })
    }

    fn is_zero(&self) -> bool {
        self.digits == "0"
    }

    /// The unscaled value of this number as a DECIMAL(precision, scale). Zeros after the point may be dropped, other
    /// digits may not.
    ///
    /// # Errors
    /// The number does not fit.
    pub fn fit(&self, precision: u32, scale: u32) -> Result<i256, DecimalMisfit> {
        if self.is_zero() {
            return Ok(i256::ZERO);
        }
        let overflow = DecimalMisfit::Overflow { precision, scale };
        let shift = i64::from(scale) - self.scale;
        let length = i64::try_from(self.digits.len()).map_err(|_| overflow)?;
        if length + shift > i64::from(precision) {
            return Err(overflow);
        }
        let zeros = usize::try_from(shift.unsigned_abs()).map_err(|_| overflow)?;
        let unscaled = if shift >= 0 {
            format!("{}{}", self.digits, "0".repeat(zeros))
        } else {
            let kept = self.digits.len().saturating_sub(zeros);
            let (kept, dropped) = self.digits.split_at(kept);
            if kept.is_empty() || dropped.bytes().any(|digit| digit != b'0') {
                return Err(DecimalMisfit::Rounding { precision, scale });
            }
            kept.to_owned()
        };
        let magnitude = i256::from_string(&unscaled).ok_or(overflow)?;
        Ok(if self.negative { magnitude.wrapping_neg() } else { magnitude })
    }

    /// The integer part's lowest 64 bits, as `BigDecimal.longValue` gives them: the fraction is cut off, and what is
    /// too large wraps.
    pub fn low_bits(&self) -> i64 {
        let (kept, power) = match usize::try_from(self.scale) {
            Ok(fraction) => (self.digits.len().saturating_sub(fraction), 0),
            Err(_) => (self.digits.len(), self.scale.unsigned_abs()),
        };
        let digits = self.digits.as_bytes()[..kept].iter();
        let whole = digits.fold(0_u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
        // From 10^64 on the lowest 64 bits are all zero.
        let scaled = (0..power.min(64)).fold(whole, |value, _| value.wrapping_mul(10));
        let signed = scaled.cast_signed();
        if self.negative { signed.wrapping_neg() } else { signed }
    }
}

/// `BigDecimal.toString`: plain down to 0.000001, else scientific (`1E+3`, `1.5E-7`).
impl fmt::Display for DecimalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative && !self.is_zero() { "-" } else { "" };
        f.write_str(sign)?;
        let length = i64::try_from(self.digits.len()).map_err(|_| fmt::Error)?;
        let exponent = length - 1 - self.scale;
        if self.scale == 0 {
            return f.write_str(&self.digits);
        }
        if self.scale > 0 && exponent >= -6 {
            let mut plain = Vec::new();
            push_point(&mut plain, &self.digits, usize::try_from(self.scale).map_err(|_| fmt::Error)?);
            return f.write_str(std::str::from_utf8(&plain).map_err(|_| fmt::Error)?);
        }
        let (first, rest) = self.digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{first}{point}{rest}")?;
        if exponent == 0 { Ok(()) } else { write!(f, "E{exponent:+}") }
    }
}

/// Appends the DECIMAL of this unscaled value with exactly `scale` digits after the point: `1.50`, `-0.05`, `7`.
pub fn push_decimal128(out: &mut Vec<u8>, unscaled: i128, scale: u8) {
    if unscaled < 0 {
        out.push(b'-');
    }
    push_point(out, itoa::Buffer::new().format(unscaled.unsigned_abs()), usize::from(scale));
}

/// The same for DECIMALs of more than 38 digits.
pub fn push_decimal256(out: &mut Vec<u8>, unscaled: i256, scale: u8) {
    let text = unscaled.to_string();
    let digits = text.strip_prefix('-').inspect(|_| out.push(b'-')).unwrap_or(&text);
    push_point(out, digits, usize::from(scale));
}

fn push_point(out: &mut Vec<u8>, digits: &str, scale: usize) {
    if scale == 0 {
        out.extend_from_slice(digits.as_bytes());
        return;
    }
    let whole = digits.len().saturating_sub(scale);
    let (whole, fraction) = digits.as_bytes().split_at(whole);
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    out.push(b'.');
    out.extend(std::iter::repeat_n(b'0', scale - fraction.len()));
    out.extend_from_slice(fraction);
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::i256;

    use super::{DecimalText, push_decimal128, push_decimal256};

    /// The number as a DECIMAL of precision 6 and scale 2, spelled again, or the reason why not.
    fn fitted(text: &str) -> String {
        let Some(decimal) = DecimalText::parse(text) else { return "no number".to_owned() };
        match decimal.fit(6, 2) {
            Err(misfit) => misfit.to_string().split(':').next().unwrap_or_default().to_owned(),
            Ok(unscaled) => {
                let (mut small, mut large) = (Vec::new(), Vec::new());
                push_decimal128(&mut small, unscaled.to_i128().unwrap(), 2);
                push_decimal256(&mut large, unscaled, 2);
                assert_eq!(small, large);
                String::from_utf8(small).unwrap()
            }
        }
    }

    #[test]
    fn numbers_fit_a_decimal_if_only_zeros_are_dropped() {
        for (text, expected) in [
            ("1", "1.00"),
            ("-0.05", "-0.05"),
            (".5", "0.50"),
            ("5.", "5.00"),
            ("+1e3", "1000.00"),
            ("12.3000", "12.30"),
            ("9999.99", "9999.99"),
            ("0e999999999", "0.00"),
            ("-0", "0.00"),
            ("1000E-2", "10.00"),
            ("10000", "numeric field overflow"),
            ("1e999999999", "numeric field overflow"),
            ("1.005", "cannot fit the decimal into DECIMAL(6, 2) without rounding"),
            ("1e-999999999", "cannot fit the decimal into DECIMAL(6, 2) without rounding"),
            ("1e9999999999", "no number"),
            ("", "no number"),
            (".", "no number"),
            ("-", "no number"),
            (" 1", "no number"),
            ("1x", "no number"),
            ("--1", "no number"),
        ] {
            assert_eq!(fitted(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_spelled_as_java_spells_big_decimals() {
        for (text, expected) in [
            ("12.50", "12.50"),
            ("1E3", "1E+3"),
            ("12E3", "1.2E+4"),
            ("-1.50e1", "-15.0"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1E-7"),
            ("1.23e-10", "1.23E-10"),
            ("-0.0", "0.0"),
            ("0E1", "0E+1"),
            ("007", "7"),
        ] {
            assert_eq!(DecimalText::parse(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn low_bits_cut_the_fraction_and_wrap() {
        for (text, expected) in [
            ("1.9", 1),
            ("-1.9", -1),
            ("0.9", 0),
            ("1e2", 100),
            ("9223372036854775808", i64::MIN),
            ("18446744073709551617", 1),
            ("-18446744073709551617", -1),
            ("3e64", 0),
            ("1e999999999", 0),
            ("1e-999999999", 0),
        ] {
            assert_eq!(DecimalText::parse(text).unwrap().low_bits(), expected, "{text}");
        }
    }

    #[test]
    fn wide_decimals_keep_every_digit() {
        let text = "1234567890123456789012345678901234567890123456789.01";
        let unscaled = DecimalText::parse(text).unwrap().fit(51, 2).unwrap();
        let mut out = Vec::new();
        push_decimal256(&mut out, unscaled, 2);
        assert_eq!(out, text.as_bytes());
        push_decimal256(&mut out, i256::ZERO, 0);
        assert!(out.ends_with(b"010"));
    }
}
