//! Numbers by their spelling: an unscaled integer and a scale, of any size.
//!
//! `1.10` is (110, 2) and not (11, 1); `1.0E10` is (10, -9). Conformance cases tell them apart.

use std::fmt;

/// An exact decimal as it was spelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Number {
    negative: bool,
    /// Digits without leading zeros; empty is zero.
    digits: String,
    scale: i64,
}

impl Number {
    /// Reads a JSON number token, or the text of a decimal.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let (negative, rest) = match token.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, token.strip_prefix('+').unwrap_or(token)),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let digits = format!("{whole}{fraction}").trim_start_matches('0').to_owned();
        let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Some(Self { negative: negative && !digits.is_empty(), digits, scale })
    }

    /// True if the token has neither fraction nor exponent.
    pub(crate) fn is_integer_token(token: &str) -> bool {
        !token.contains(['.', 'e', 'E'])
    }

    /// Digits after the point; negative if the digits stand for tens, hundreds, …
    pub(crate) fn scale(&self) -> i64 {
        self.scale
    }

    /// The integer part (toward zero), if it fits.
    pub(crate) fn truncated(&self) -> Option<i128> {
        let plain = self.plain();
        let whole = plain.split_once('.').map_or(plain.as_str(), |(whole, _)| whole);
        if whole == "-0" { Some(0) } else { whole.parse().ok() }
    }

    /// True if both stand for the same value, however spelled.
    pub(crate) fn same_value(&self, other: &Self) -> bool {
        let canonical = |number: &Self| {
            let digits = number.digits.trim_end_matches('0');
            let dropped = i64::try_from(number.digits.len() - digits.len()).unwrap_or(i64::MAX);
            (number.negative, digits.to_owned(), if digits.is_empty() { 0 } else { number.scale - dropped })
        };
        canonical(self) == canonical(other)
    }

    /// The value in plain notation, without an exponent: `1E3` reads `1000`, `1.50` reads `1.50`.
    pub(crate) fn plain(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        let Ok(scale) = usize::try_from(self.scale) else {
            let zeros = usize::try_from(-self.scale).unwrap_or(0).min(MAX_EXPANDED_ZEROS);
            return if self.digits.is_empty() {
                "0".to_owned()
            } else {
                format!("{sign}{digits}{}", "0".repeat(zeros))
            };
        };
        if scale == 0 {
            return format!("{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        format!("{sign}{whole}.{fraction}")
    }

    /// The nearest double.
    pub(crate) fn to_f64(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }
}

/// More zeros than any number of the corpus needs; bounds what a hostile exponent can make.
const MAX_EXPANDED_ZEROS: usize = 10_000;

/// `digits` and scale, for difference reports: `110 (scale 2)`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let digits = if self.digits.is_empty() { "0" } else { &self.digits };
        write!(f, "{sign}{digits}e{}", -self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    fn number(token: &str) -> Number {
        Number::parse(token).unwrap()
    }

    #[test]
    fn spelling_is_kept_as_digits_and_scale() {
        assert_ne!(number("1.10"), number("1.1"));
        assert!(number("1.10").same_value(&number("1.1")));
        assert_eq!(number("1.0E10").scale(), -9);
        assert_ne!(number("1.0E10"), number("10000000000.0"));
        assert_eq!(number("-0"), number("0"));
    }

    #[test]
    fn plain_notation_expands_exponents() {
        for (token, plain) in
            [("1E3", "1000"), ("-1.5e-2", "-0.015"), ("1.50", "1.50"), ("0e5", "0"), ("1.0E1", "10"), ("0.5", "0.5")]
        {
            assert_eq!(number(token).plain(), plain, "{token}");
        }
    }

    #[test]
    fn truncation_goes_toward_zero() {
        for (token, whole) in [("5.9", 5), ("-5.9", -5), ("1.5E1", 15), ("0.1", 0), ("-0.5", 0)] {
            assert_eq!(number(token).truncated(), Some(whole), "{token}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for token in ["", "abc", "1.2.3", "-", "1e", "."] {
            assert_eq!(Number::parse(token), None, "{token}");
        }
    }
}
