//! Numbers spelled and read as Java does it, which is how ksqlDB writes them into records and strings.
//!
//! ```text
//!   0.001 … 9999999.999   plain, always a fraction:   1.0   0.001   123.45
//!   all others            scientific, 1 digit before: 1.0E7   9.5E-4   1.0E-5
//! ```
//!
//! The digits are the shortest that read back as the same number (`Double.toString` since JDK 19).

/// Appends a DOUBLE as `Double.toString` spells it: `1.0`, `1.0E10`, `NaN`, `-Infinity`.
pub fn push_double(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(match value {
            _ if value.is_nan() => b"NaN",
            _ if value > 0.0 => b"Infinity",
            _ => b"-Infinity",
        });
        return;
    }
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value);
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        // Here ryu writes plain digits with a fraction, as Java does.
        out.extend_from_slice(shortest.as_bytes());
    } else {
        push_scientific(out, value, shortest);
    }
}

/// A DOUBLE as `Double.toString` spells it.
pub fn double_to_string(value: f64) -> String {
    let mut out = Vec::with_capacity(24);
    push_double(&mut out, value);
    String::from_utf8(out).expect("digits are ASCII")
}

/// `[-]d.d+E[-]d+` from any spelling of the shortest digits.
fn push_scientific(out: &mut Vec<u8>, value: f64, shortest: &str) {
    let unsigned = shortest.strip_prefix('-').unwrap_or(shortest);
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let exponent: i32 = exponent.parse().expect("ryu writes exponents as integers");
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let leading_zeros = digits.len() - digits.trim_start_matches('0').len();
    let significant = digits.trim_matches('0');
    let whole_digits = i32::try_from(whole.len()).expect("at most 17 digits");
    let skipped = i32::try_from(leading_zeros).expect("at most 17 digits");
    let mut exponent = exponent + whole_digits - skipped - 1;
    let mut significant = significant.to_owned();
    if significant.len() == 1 {
        // Where one digit would do, Java takes the nearest of two: 4.9E-324, not 5.0E-324.
        let two = format!("{:.1e}", value.abs());
        if two.parse() == Ok(value.abs())
            && let Some((mantissa, two_exponent)) = two.split_once('e')
            && let Ok(two_exponent) = two_exponent.parse()
        {
            significant = mantissa.replace('.', "").trim_end_matches('0').to_owned();
            exponent = two_exponent;
        }
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let (first, rest) = significant.split_at(1);
    out.extend_from_slice(first.as_bytes());
    out.push(b'.');
    out.extend_from_slice(if rest.is_empty() { b"0" } else { rest.as_bytes() });
    out.push(b'E');
    out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
}

/// Reads a DOUBLE as `Double.parseDouble` does: blanks around it, `+`, `.5`, `5.`, `1e3`, a suffix `d` or `f`, `NaN`
/// and `Infinity` (in this case only) are understood. Numbers out of range are infinite or zero. `None` for anything
/// else; hexadecimal floats are not understood.
pub fn parse_double(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let value = match unsigned {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        _ => {
            let digits = unsigned.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(unsigned);
            let starts_well = digits.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'.');
            let is_plain = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
            if !starts_well || !is_plain {
                return None;
            }
            digits.parse::<f64>().ok()?
        }
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{double_to_string, parse_double};

    #[test]
    fn doubles_are_spelled_as_java_spells_them() {
        for (value, spelled) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-10.5, "-10.5"),
            (0.001, "0.001"),
            (0.000_95, "9.5E-4"),
            (0.000_1, "1.0E-4"),
            (9_999_999.0, "9999999.0"),
            (9_999_999.999, "9999999.999"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (1e10, "1.0E10"),
            (-1.5e300, "-1.5E300"),
            (1e16, "1.0E16"),
            (1e17, "1.0E17"),
            (1e23, "1.0E23"),
            (2e-3, "0.002"),
            (123_456_789_012_345_680.0, "1.2345678901234568E17"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (5e-324, "4.9E-324"),
            (1e-323, "9.9E-324"),
            (2e-323, "2.0E-323"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double_to_string(value), spelled);
        }
    }

    #[test]
    fn doubles_are_read_as_java_reads_them() {
        for (text, value) in [
            (" 1.5 ", 1.5),
            ("+.5", 0.5),
            ("5.", 5.0),
            ("1e3", 1e3),
            ("2d", 2.0),
            ("-Infinity", f64::NEG_INFINITY),
            ("1e999", f64::INFINITY),
        ] {
            assert_eq!(parse_double(text), Some(value), "{text}");
        }
        assert!(parse_double("NaN").is_some_and(f64::is_nan));
        for text in ["", " ", "inf", "nan", "infinity", "1_0", "0x1p3", "--1", "+-1", "e5", ".", "1e", "1.0dd", "one"] {
            assert_eq!(parse_double(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_spelled_reads_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            prop_assert_eq!(parse_double(&double_to_string(value)), Some(value));
        }
    }
}
