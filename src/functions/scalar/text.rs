//! Functions of text: case, length, parts, joins. Positions count UTF-16 units from 1, as in Java.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryArray, Int32Array, StringArray, StringBuilder};

use crate::functions::Function;
use crate::functions::call::{Call, Message};

const CATEGORY: &str = "STRING";

pub(super) fn functions() -> Vec<Function> {
    vec![
        simple("UCASE", "The text in upper case.", |text| text.to_uppercase()),
        simple("LCASE", "The text in lower case.", |text| text.to_lowercase()),
        simple("TRIM", "The text without blanks at its ends.", |text| text.trim_matches(|c| c <= ' ').to_owned()),
        simple("INITCAP", "The text in lower case with each word's first letter in upper case.", initcap),
        Function::scalar("LEN", CATEGORY, "How many characters a text or bytes have.")
            .overload("str STRING", "INTEGER", |call| {
                let text = call.text(0);
                call.rows::<_, Int32Array>(|row| Ok(text.get(row).map(length)))
            })
            .overload("bytes BYTES", "INTEGER", |call| {
                let bytes = call.bytes(0);
                call.rows::<_, Int32Array>(|row| Ok(bytes.get(row).map(|bytes| int(bytes.len()))))
            }),
        concat(),
        concat_ws(),
        substring(),
        pad("LPAD", "The text filled up on its left to a length, or cut to it.", true),
        pad("RPAD", "The text filled up on its right to a length, or cut to it.", false),
        Function::scalar("CHR", CATEGORY, "The character of a code point, or of Java escapes.")
            .overload("decimalCode INTEGER", "STRING", |call| {
                let code = call.int(0);
                let character = |code: i32| u32::try_from(code).ok().and_then(char::from_u32).map(String::from);
                call.rows::<_, StringArray>(|row| Ok(code.get(row).and_then(character)))
            })
            .overload("utf16Code STRING", "STRING", |call| {
                let code = call.text(0);
                call.rows::<_, StringArray>(|row| Ok(code.get(row).and_then(unescape)))
            }),
        Function::scalar("ELT", CATEGORY, "The n-th of the texts.").overload(
            "n INTEGER!, args STRING...",
            "STRING",
            |call| {
                let n = call.int(0);
                let texts: Vec<_> = (1..call.args.len()).map(|i| call.text(i)).collect();
                call.rows::<_, StringArray>(|row| {
                    let at = n.get(row).and_then(|n| usize::try_from(n).ok()).and_then(|n| n.checked_sub(1));
                    Ok(at.and_then(|at| texts.get(at)).and_then(|text| text.get(row)).map(str::to_owned))
                })
            },
        ),
        Function::scalar("FIELD", CATEGORY, "The position of the first text among the others, or 0.").overload(
            "str STRING, args STRING...",
            "INTEGER",
            |call| {
                let texts: Vec<_> = (0..call.args.len()).map(|i| call.text(i)).collect();
                call.rows::<_, Int32Array>(|row| {
                    let wanted = texts[0].get(row);
                    let found = texts[1..].iter().position(|text| wanted.is_some() && text.get(row) == wanted);
                    Ok(Some(found.map_or(0, |at| int(at + 1))))
                })
            },
        ),
    ]
}

/// How many UTF-16 units a text has.
pub(super) fn length(text: &str) -> i32 {
    if text.is_ascii() { int(text.len()) } else { int(text.encode_utf16().count()) }
}

/// A length or position as INTEGER.
pub(super) fn int(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// A function of one text.
fn simple(name: &'static str, description: &'static str, f: fn(&str) -> String) -> Function {
    Function::scalar(name, CATEGORY, description).overload("str STRING", "STRING", move |call| {
        let text = call.text(0);
        let mut results = StringBuilder::with_capacity(call.rows, call.rows * 16);
        for row in 0..call.rows {
            results.append_option(text.get(row).map(f));
        }
        Arc::new(results.finish())
    })
}

/// Words end at Java's `\s`; a first character that takes two UTF-16 units stays as it is.
fn initcap(text: &str) -> String {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\x0B' | '\x0C' | '\r');
    let mut capital = String::with_capacity(text.len());
    let mut first = true;
    for c in text.to_lowercase().trim_start_matches(blank).chars() {
        if first && c.len_utf16() == 1 {
            capital.extend(c.to_uppercase());
        } else {
            capital.push(c);
        }
        first = blank(c);
    }
    capital
}

fn concat() -> Function {
    Function::scalar("CONCAT", CATEGORY, "The arguments one after another; nulls are left out.")
        .overload("args STRING...", "STRING", |call| {
            let texts: Vec<_> = (0..call.args.len()).map(|i| call.text(i)).collect();
            let mut results = StringBuilder::with_capacity(call.rows, call.rows * 16);
            let mut joined = String::new();
            for row in 0..call.rows {
                joined.clear();
                for text in &texts {
                    joined.push_str(text.get(row).unwrap_or(""));
                }
                results.append_value(&joined);
            }
            Arc::new(results.finish())
        })
        .overload("args BYTES...", "BYTES", |call| {
            let parts: Vec<_> = (0..call.args.len()).map(|i| call.bytes(i)).collect();
            let joined = |row| parts.iter().flat_map(|part| part.get(row).unwrap_or(&[])).copied().collect::<Vec<u8>>();
            call.rows::<_, BinaryArray>(|row| Ok(Some(joined(row))))
        })
}

fn concat_ws() -> Function {
    let few = || Message::from("CONCAT_WS expects at least two input arguments.");
    Function::scalar("CONCAT_WS", CATEGORY, "The arguments with a separator between them; nulls are left out.")
        .overload("separator STRING, args STRING...", "STRING", move |call| {
            let texts: Vec<_> = (0..call.args.len()).map(|i| call.text(i)).collect();
            call.rows::<_, StringArray>(|row| {
                let Some(separator) = texts[0].get(row) else { return Ok(None) };
                if texts.len() < 2 {
                    return Err(few());
                }
                Ok(Some(texts[1..].iter().filter_map(|text| text.get(row)).collect::<Vec<_>>().join(separator)))
            })
        })
        .overload("separator BYTES, args BYTES...", "BYTES", move |call| {
            let parts: Vec<_> = (0..call.args.len()).map(|i| call.bytes(i)).collect();
            call.rows::<_, BinaryArray>(|row| {
                let Some(separator) = parts[0].get(row) else { return Ok(None) };
                if parts.len() < 2 {
                    return Err(few());
                }
                Ok(Some(parts[1..].iter().filter_map(|part| part.get(row)).collect::<Vec<_>>().join(separator)))
            })
        })
}

fn substring() -> Function {
    Function::scalar("SUBSTRING", CATEGORY, "The part of a text or bytes from a position on, perhaps of a length.")
        .overload("str STRING, pos INTEGER", "STRING", substring_text)
        .overload("str STRING, pos INTEGER, length INTEGER", "STRING", substring_text)
        .overload("bytes BYTES, pos INTEGER", "BYTES", substring_bytes)
        .overload("bytes BYTES, pos INTEGER, length INTEGER", "BYTES", substring_bytes)
}

/// From where to where a part reaches in something of `length`; 0 is the first position, negative ones count from the end.
fn part(length: usize, position: i32, wanted: Option<i32>) -> std::ops::Range<usize> {
    let offset = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
    let start = if position < 0 { length.saturating_sub(offset) } else { offset.saturating_sub(1).min(length) };
    let end = match wanted {
        None => length,
        Some(wanted) => start.saturating_add(usize::try_from(wanted).unwrap_or(0)).min(length),
    };
    start..end
}

/// The third argument, where there is one: the outer `None` is NULL, the inner that it was not given.
fn given_length(call: &Call<'_>, row: usize) -> Option<Option<i32>> {
    if call.args.len() < 3 { Some(None) } else { call.int(2).get(row).map(Some) }
}

fn substring_text(call: &mut Call<'_>) -> ArrayRef {
    let (text, position) = (call.text(0), call.int(1));
    let mut results = StringBuilder::with_capacity(call.rows, call.rows * 8);
    for row in 0..call.rows {
        let (Some(text), Some(position), Some(wanted)) = (text.get(row), position.get(row), given_length(call, row))
        else {
            results.append_null();
            continue;
        };
        if text.is_ascii() {
            results.append_value(&text[part(text.len(), position, wanted)]);
        } else {
            let units: Vec<u16> = text.encode_utf16().collect();
            results.append_value(String::from_utf16_lossy(&units[part(units.len(), position, wanted)]));
        }
    }
    Arc::new(results.finish())
}

fn substring_bytes(call: &mut Call<'_>) -> ArrayRef {
    let (bytes, position) = (call.bytes(0), call.int(1));
    let results: BinaryArray = (0..call.rows)
        .map(|row| {
            let (bytes, position, wanted) = (bytes.get(row)?, position.get(row)?, given_length(call, row)?);
            Some(bytes[part(bytes.len(), position, wanted)].to_vec())
        })
        .collect();
    Arc::new(results)
}

fn pad(name: &'static str, description: &'static str, left: bool) -> Function {
    Function::scalar(name, CATEGORY, description)
        .overload("input STRING, targetLen INTEGER, padding STRING", "STRING", move |call| {
            let (text, target, padding) = (call.text(0), call.int(1), call.text(2));
            call.rows::<_, StringArray>(|row| {
                let (Some(text), Some(target), Some(padding)) = (text.get(row), target.get(row), padding.get(row))
                else {
                    return Ok(None);
                };
                let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
                let padded = padded(&units(text), target, &units(padding), left)?;
                Ok(padded.map(|units| String::from_utf16_lossy(&units)))
            })
        })
        .overload("input BYTES, targetLen INTEGER, padding BYTES", "BYTES", move |call| {
            let (bytes, target, padding) = (call.bytes(0), call.int(1), call.bytes(2));
            call.rows::<_, BinaryArray>(|row| {
                let (Some(bytes), Some(target), Some(padding)) = (bytes.get(row), target.get(row), padding.get(row))
                else {
                    return Ok(None);
                };
                padded(bytes, target, padding, left)
            })
        })
}

/// The most units that padding makes of one value: a batch of such values must fit the memory.
const LONGEST_PADDED: usize = 1 << 20;

fn padded<T: Copy>(input: &[T], target: i32, padding: &[T], left: bool) -> Result<Option<Vec<T>>, Message> {
    let Some(target) = usize::try_from(target).ok().filter(|_| !padding.is_empty()) else { return Ok(None) };
    if target > LONGEST_PADDED {
        return Err(format!("padding makes at most {LONGEST_PADDED} characters").into());
    }
    let kept = &input[..input.len().min(target)];
    let fill = padding.iter().copied().cycle().take(target - kept.len());
    let kept = kept.iter().copied();
    Ok(Some(if left { fill.chain(kept).collect() } else { kept.chain(fill).collect() }))
}

/// The text of Java escapes like `\u004d`; nothing else begins so.
fn unescape(text: &str) -> Option<String> {
    if !text.starts_with("\\u") || text.len() < 6 {
        return None;
    }
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let escaped = rest.strip_prefix("\\u").map(|rest| rest.trim_start_matches('u'));
        match escaped
            .and_then(|rest| rest.get(..4).and_then(|hex| u16::from_str_radix(hex, 16).ok()).map(|u| (u, &rest[4..])))
        {
            Some((unit, after)) => {
                units.push(unit);
                rest = after;
            }
            None => {
                units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    String::from_utf16(&units).ok()
}
