//! JSON text: escapes read and written, and the text that numbers, arrays and objects become in a STRING column.

use serde_json::Value;

use super::cursor::plain_length;
use crate::types::decimal_text::DecimalText;

/// Appends what the inside of a string stands for. False if an escape is none, or a surrogate stands alone: then what
/// was appended must be thrown away.
pub(super) fn unescape(mut raw: &[u8], out: &mut Vec<u8>) -> bool {
    while let Some(at) = memchr::memchr(b'\\', raw) {
        out.extend_from_slice(&raw[..at]);
        let Some(&kind) = raw.get(at + 1) else { return false };
        raw = &raw[at + 2..];
        match kind {
            b'"' | b'\\' | b'/' => out.push(kind),
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => match unescape_unicode(raw) {
                Some((character, rest)) => {
                    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    raw = rest;
                }
                None => return false,
            },
            _ => return false,
        }
    }
    out.extend_from_slice(raw);
    true
}

/// True if every escape is one. Surrogates may stand alone in text that is only skipped, as in serde_json and Jackson.
pub(super) fn has_valid_escapes(mut raw: &[u8]) -> bool {
    while let Some(at) = memchr::memchr(b'\\', raw) {
        let escape = &raw[at + 1..];
        raw = match escape.split_first() {
            Some((b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest)) => rest,
            Some((b'u', rest)) => match code_unit(rest) {
                Some((_, rest)) => rest,
                None => return false,
            },
            _ => return false,
        };
    }
    true
}

/// The character after `\u`, and what follows it; a pair of surrogates is one character.
fn unescape_unicode(raw: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = code_unit(raw)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, rest));
    }
    let (second, rest) = code_unit(rest.strip_prefix(b"\\u")?)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, rest))
}

fn code_unit(raw: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = raw.split_first_chunk::<4>()?;
    let mut unit = 0;
    for &digit in digits {
        unit = unit * 16 + char::from(digit).to_digit(16)?;
    }
    Some((unit, rest))
}

/// Appends a string in quotes, escaping what Jackson escapes: quote, backslash and control characters.
#[inline]
pub(super) fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text.as_bytes());
    out.push(b'"');
}

#[inline]
fn push_escaped(out: &mut Vec<u8>, mut text: &[u8]) {
    loop {
        let (plain, _) = plain_length(text);
        out.extend_from_slice(&text[..plain]);
        let Some(&special) = text.get(plain) else { return };
        push_escape(out, special);
        text = &text[plain + 1..];
    }
}

#[cold]
fn push_escape(out: &mut Vec<u8>, special: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'\\');
    match special {
        b'"' | b'\\' => out.push(special),
        0x08 => out.push(b'b'),
        0x0c => out.push(b'f'),
        b'\n' => out.push(b'n'),
        b'\r' => out.push(b'r'),
        b'\t' => out.push(b't'),
        control => {
            out.extend_from_slice(b"u00");
            out.push(HEX[usize::from(control >> 4)]);
            out.push(HEX[usize::from(control & 15)]);
        }
    }
}

/// Appends a number as Java spells it once it was read: integers as they are (but `-0` is `0`), others as
/// `BigDecimal.toString`.
pub(super) fn push_number_text(out: &mut Vec<u8>, text: &[u8], is_integer: bool) {
    if is_integer {
        out.extend_from_slice(if text == b"-0" { b"0" } else { text });
        return;
    }
    match std::str::from_utf8(text).ok().and_then(DecimalText::parse) {
        Some(decimal) => out.extend_from_slice(decimal.to_string().as_bytes()),
        None => out.extend_from_slice(text),
    }
}

/// Appends what an array or object becomes in a STRING column: an object its JSON text without blanks, an array
/// `[a, b]` with its elements as strings. False if the text cannot be re-read.
pub(super) fn push_value_text(out: &mut Vec<u8>, raw: &[u8]) -> bool {
    match serde_json::from_slice(raw) {
        Ok(value) => {
            push_as_string(out, &value);
            true
        }
        Err(_) => false,
    }
}

fn push_as_string(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(b", ");
                }
                push_as_string(out, item);
            }
            out.push(b']');
        }
        other => push_json(out, other),
    }
}

fn push_json(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Number(number) => {
            let text = number.as_str();
            push_number_text(out, text.as_bytes(), !text.contains(['.', 'e', 'E']));
        }
        Value::String(text) => push_quoted(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                push_json(out, item);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (i, (name, member)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                push_quoted(out, name);
                out.push(b':');
                push_json(out, member);
            }
            out.push(b'}');
        }
    }
}
