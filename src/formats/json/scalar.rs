//! JSON values into columns of scalar types: the table of conversions.

use datafusion::arrow::datatypes::i256;

use super::Fault;
use super::cursor::{Cursor, Number, PlainNumber, RawString};
use super::text::{push_number_text, push_value_text, unescape};
use crate::formats::base64_text;
use crate::formats::column::{Text, Values};
use crate::types::decimal_text::{DecimalMisfit, DecimalText};
use crate::types::java_number::parse_double;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Powers of ten that are exact as DOUBLE.
const POWERS: [f64; 19] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18];

/// A value where a number is asked for.
enum Numeric<'a> {
    Number(Number<'a>),
    Text(String),
}

/// What kind of value is next, for messages.
fn kind(cursor: &mut Cursor<'_>) -> &'static str {
    match cursor.peek() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The fault of meeting a value of another kind: the cursor stands before it.
#[cold]
pub(super) fn wrong_kind(cursor: &mut Cursor<'_>, ty: &str) -> Box<Fault> {
    match cursor.peek() {
        Some(b'"' | b'{' | b'[' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9') => {
            Fault::mismatch(format!("cannot convert {} to {ty}", kind(cursor)))
        }
        _ => cursor.syntax("a JSON value"),
    }
}

#[cold]
fn bad_text(ty: &str) -> Box<Fault> {
    Fault::mismatch(format!("cannot convert the text of a string to {ty}"))
}

#[inline]
fn numeric<'a>(cursor: &mut Cursor<'a>, ty: &str) -> Result<Numeric<'a>, Box<Fault>> {
    match cursor.peek() {
        Some(b'-' | b'0'..=b'9') => cursor.number().map(Numeric::Number),
        Some(b'"') => owned_string(cursor).map(Numeric::Text),
        _ => Err(wrong_kind(cursor, ty)),
    }
}

/// Takes a string and gives what it stands for.
#[cold]
pub(super) fn owned_string(cursor: &mut Cursor<'_>) -> Result<String, Box<Fault>> {
    let raw = cursor.string()?;
    let mut bytes = Vec::with_capacity(raw.bytes.len());
    push_unescaped(cursor, raw, &mut bytes)?;
    String::from_utf8(bytes).map_err(|_| cursor.syntax("UTF-8"))
}

/// Appends what a string stands for.
#[inline]
pub(super) fn push_unescaped(cursor: &Cursor<'_>, raw: RawString<'_>, out: &mut Vec<u8>) -> Result<(), Box<Fault>> {
    if !raw.is_escaped {
        out.extend_from_slice(raw.bytes);
    } else if !unescape(raw.bytes, out) {
        return Err(cursor.syntax("valid escapes in the string"));
    }
    Ok(())
}

/// The number as Rust and our decimals read it.
fn number_text<'a>(cursor: &Cursor<'_>, number: &Number<'a>) -> Result<&'a str, Box<Fault>> {
    std::str::from_utf8(number.text).map_err(|_| cursor.syntax("UTF-8"))
}

/// Takes a number if it is plain; the cursor stays before anything else.
#[inline(always)]
fn plain_number(cursor: &mut Cursor<'_>) -> Option<PlainNumber> {
    match cursor.peek() {
        Some(b'-' | b'0'..=b'9') => cursor.plain_number(),
        _ => None,
    }
}

/// The lowest 64 bits of the number's integer part, or what the text of an integer says.
#[inline(always)]
fn low_bits(cursor: &mut Cursor<'_>, ty: &str, parse: impl FnOnce(&str) -> Option<i64>) -> Result<i64, Box<Fault>> {
    let start = cursor.at;
    if let Some(number) = plain_number(cursor) {
        if number.fraction_digits == 0 {
            return Ok(if number.is_negative { -number.magnitude } else { number.magnitude });
        }
        cursor.at = start;
    }
    cursor.away(|cursor| other_low_bits(cursor, ty, parse))
}

#[cold]
fn other_low_bits(
    cursor: &mut Cursor<'_>,
    ty: &str,
    parse: impl FnOnce(&str) -> Option<i64>,
) -> Result<i64, Box<Fault>> {
    match numeric(cursor, ty)? {
        // Like Java's BigDecimal, ours has no exponent beyond 32 bits.
        Numeric::Number(number) => match DecimalText::parse(number_text(cursor, &number)?) {
            Some(decimal) => Ok(decimal.low_bits()),
            None => Err(Fault::mismatch("the exponent of the number is out of range")),
        },
        Numeric::Text(text) => parse(&text).ok_or_else(|| bad_text(ty)),
    }
}

/// BOOLEAN: `true` and `false` only.
pub(super) fn boolean(cursor: &mut Cursor<'_>) -> Result<bool, Box<Fault>> {
    match cursor.peek() {
        Some(b't') => cursor.word("true").map(|()| true),
        Some(b'f') => cursor.word("false").map(|()| false),
        _ => Err(wrong_kind(cursor, "BOOLEAN")),
    }
}

/// INTEGER: any number, cut off and wrapped, or the text of an integer that fits.
#[inline(always)]
pub(super) fn integer(cursor: &mut Cursor<'_>) -> Result<i32, Box<Fault>> {
    let bits = low_bits(cursor, "INTEGER", |text| text.parse::<i32>().ok().map(i64::from))?;
    #[expect(clippy::cast_possible_truncation, reason = "Java's intValue wraps")]
    Ok(bits as i32)
}

/// BIGINT, and the milliseconds of TIMESTAMP: any number, cut off and wrapped, or the text of an integer that fits.
#[inline(always)]
pub(super) fn big_int(cursor: &mut Cursor<'_>, ty: &str) -> Result<i64, Box<Fault>> {
    low_bits(cursor, ty, |text| text.parse().ok())
}

/// DOUBLE: any number (too large is infinite, a zero has no sign), or text that Java reads as one.
#[inline(always)]
pub(super) fn double(cursor: &mut Cursor<'_>) -> Result<f64, Box<Fault>> {
    const EXACT: i64 = 1 << 53;
    let start = cursor.at;
    if let Some(number) = plain_number(cursor) {
        if number.magnitude <= EXACT {
            // Both fit a DOUBLE exactly, so that the quotient is rounded once: correctly.
            let value = number.magnitude as f64 / POWERS[number.fraction_digits];
            return Ok(if number.is_negative { -value } else { value } + 0.0);
        }
        cursor.at = start;
    }
    cursor.away(other_double)
}

#[inline(never)]
fn other_double(cursor: &mut Cursor<'_>) -> Result<f64, Box<Fault>> {
    match numeric(cursor, "DOUBLE")? {
        Numeric::Number(number) => {
            let value: f64 = number_text(cursor, &number)?.parse().map_err(|_| cursor.syntax("a number"))?;
            Ok(value + 0.0)
        }
        Numeric::Text(text) => parse_double(&text).ok_or_else(|| bad_text("DOUBLE")),
    }
}

/// DECIMAL: a number or its text, which must fit without rounding.
pub(super) fn decimal(cursor: &mut Cursor<'_>, precision: u8, scale: u8) -> Result<i256, Box<Fault>> {
    let fit = |decimal: Option<DecimalText>| match decimal {
        Some(decimal) => decimal
            .fit(u32::from(precision), u32::from(scale))
            .map_err(|misfit: DecimalMisfit| Fault::mismatch(misfit.to_string())),
        None => Err(bad_text("DECIMAL")),
    };
    match numeric(cursor, "DECIMAL")? {
        Numeric::Number(number) => fit(DecimalText::parse(number_text(cursor, &number)?)),
        Numeric::Text(text) => fit(DecimalText::parse(&text)),
    }
}

/// A DECIMAL of at most 38 digits.
pub(super) fn decimal128(cursor: &mut Cursor<'_>, precision: u8, scale: u8) -> Result<i128, Box<Fault>> {
    let start = cursor.at;
    if let Some(number) = plain_number(cursor) {
        // Where the digits as written are within the precision, trailing zeros included, nothing can be cut off.
        let added = usize::from(scale).checked_sub(number.fraction_digits).and_then(|n| u32::try_from(n).ok());
        let limit = 10_i128.pow(u32::from(precision));
        let scaled = added.and_then(|added| i128::from(number.magnitude).checked_mul(10_i128.pow(added)));
        if let Some(magnitude) = scaled.filter(|&magnitude| magnitude < limit) {
            return Ok(if number.is_negative { -magnitude } else { magnitude });
        }
        cursor.at = start;
    }
    let unscaled = decimal(cursor, precision, scale)?;
    unscaled.to_i128().ok_or_else(|| bad_text("DECIMAL"))
}

/// STRING: a string, or the text of anything else.
#[inline(always)]
pub(super) fn string(cursor: &mut Cursor<'_>, column: &mut Text, depth: usize) -> Result<(), Box<Fault>> {
    if cursor.peek() == Some(b'"') {
        let raw = cursor.string()?;
        if !raw.is_escaped {
            column.push(raw.bytes);
            return Ok(());
        }
        if !unescape(raw.bytes, column.buffer()) {
            return Err(cursor.syntax("valid escapes in the string"));
        }
        column.end();
        return Ok(());
    }
    cursor.away(|cursor| other_string(cursor, column, depth))
}

#[inline(never)]
fn other_string(cursor: &mut Cursor<'_>, column: &mut Text, depth: usize) -> Result<(), Box<Fault>> {
    match cursor.peek() {
        Some(b'-' | b'0'..=b'9') => {
            let number = cursor.number()?;
            push_number_text(column.buffer(), number.text, number.is_integer);
        }
        Some(b't' | b'f') => {
            column.buffer().extend_from_slice(if boolean(cursor)? { b"true" } else { b"false" });
        }
        _ => {
            let raw = cursor.raw_value(depth)?;
            if !push_value_text(column.buffer(), raw) {
                // The grammar was checked: only a surrogate that stands alone can be wrong.
                return Err(cursor.syntax("valid escapes in the string"));
            }
        }
    }
    column.end();
    Ok(())
}

/// BYTES: a string of base64. Blanks in it are passed over.
pub(super) fn bytes(cursor: &mut Cursor<'_>, column: &mut Text) -> Result<(), Box<Fault>> {
    if cursor.peek() != Some(b'"') {
        return Err(wrong_kind(cursor, "BYTES"));
    }
    let text = owned_string(cursor)?;
    if !base64_text::push_decoded(column.buffer(), &text) {
        return Err(bad_text("BYTES"));
    }
    column.end();
    Ok(())
}

/// TIME: milliseconds of a day.
pub(super) fn time(cursor: &mut Cursor<'_>, column: &mut Values<i32>) -> Result<(), Box<Fault>> {
    let ms = big_int(cursor, "TIME")?;
    match i32::try_from(ms) {
        Ok(value) if (0..DAY_MS).contains(&ms) => {
            column.push(value);
            Ok(())
        }
        _ => Err(Fault::mismatch(format!("a TIME is a number of milliseconds from 0 to {}, not {ms}", DAY_MS - 1))),
    }
}

/// DATE: days since 1970-01-01.
pub(super) fn date(cursor: &mut Cursor<'_>, column: &mut Values<i32>) -> Result<(), Box<Fault>> {
    let days = big_int(cursor, "DATE")?;
    let days = i32::try_from(days).map_err(|_| Fault::mismatch(format!("{days} days are out of range for a DATE")))?;
    column.push(days);
    Ok(())
}
