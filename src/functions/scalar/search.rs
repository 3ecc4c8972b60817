//! Finding, replacing and splitting in text: INSTR, REPLACE, SPLIT, SPLIT_TO_MAP.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryBuilder, Int32Array, ListBuilder, StringArray, StringBuilder};

use memchr::memmem::Finder;

use super::text::int;
use crate::expressions::map_array;
use crate::functions::Function;
use crate::functions::call::Call;

const CATEGORY: &str = "STRING";

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::scalar("INSTR", CATEGORY, "Where a text stands in another, counted from 1; 0 if nowhere.")
            .overload("str STRING, substring STRING", "INTEGER", instr)
            .overload("str STRING, substring STRING, position INTEGER!", "INTEGER", instr)
            .overload("str STRING, substring STRING, position INTEGER!, occurrence INTEGER!", "INTEGER", instr),
        Function::scalar("REPLACE", CATEGORY, "The text with every occurrence of a text replaced by another.")
            .overload("str STRING, oldStr STRING, newStr STRING", "STRING", |call| {
                let (text, old, new) = (call.text(0), call.text(1), call.text(2));
                call.rows::<_, StringArray>(|row| {
                    let (Some(text), Some(old), Some(new)) = (text.get(row), old.get(row), new.get(row)) else {
                        return Ok(None);
                    };
                    Ok(Some(text.replace(old, new)))
                })
            }),
        Function::scalar("SPLIT", CATEGORY, "The parts of a text or bytes between delimiters.")
            .overload("string STRING, delimiter STRING", "ARRAY<STRING>", split_text)
            .overload("bytes BYTES, delimiter BYTES", "ARRAY<BYTES>", split_bytes),
        Function::scalar("SPLIT_TO_MAP", "MAP", "The entries that a text spells, between delimiters.").overload(
            "input STRING, entryDelimiter STRING, kvDelimiter STRING",
            "MAP<STRING, STRING>",
            split_to_map,
        ),
    ]
}

fn instr(call: &mut Call<'_>) -> ArrayRef {
    let (text, part) = (call.text(0), call.text(1));
    let position = (call.args.len() > 2).then(|| call.int(2));
    let occurrence = (call.args.len() > 3).then(|| call.int(3));
    // What is looked for is mostly the same in all rows.
    let known = call.args[1].is_constant().then(|| part.get(0)).flatten().map(Finder::new);
    let (mut text_units, mut part_units) = (Vec::new(), Vec::new());
    let results: Int32Array = (0..call.rows)
        .map(|row| {
            let position = position.map_or(Some(1), |position| position.get(row))?;
            let occurrence = occurrence.map_or(Some(1), |occurrence| occurrence.get(row))?;
            let (Some(text), Some(part)) = (text.get(row), part.get(row)) else { return Some(0) };
            let found = if text.is_ascii() && position > 0 && !part.is_empty() {
                let own = if known.is_none() { Some(Finder::new(part)) } else { None };
                let finder = known.as_ref().or(own.as_ref())?;
                find_ahead(text.as_bytes(), finder, position, occurrence)
            } else {
                text_units.clear();
                text_units.extend(text.encode_utf16());
                part_units.clear();
                part_units.extend(part.encode_utf16());
                find(&text_units, &part_units, position, occurrence)
            };
            Some(found.map_or(0, |at| int(at + 1)))
        })
        .collect();
    Arc::new(results)
}

/// [`find`] from the left in a text of which each byte is a unit.
fn find_ahead(text: &[u8], part: &Finder<'_>, position: i32, occurrence: i32) -> Option<usize> {
    let mut from = usize::try_from(position).ok()?.checked_sub(1).filter(|from| *from < text.len())?;
    let mut left = usize::try_from(occurrence).ok().filter(|occurrence| *occurrence > 0)?;
    loop {
        let at = from + part.find(text.get(from..)?)?;
        left -= 1;
        if left == 0 {
            return Some(at);
        }
        // Occurrences may overlap.
        from = at + 1;
    }
}

/// Where the n-th occurrence begins; a negative position counts from the end and searches backwards.
fn find(text: &[u16], part: &[u16], position: i32, occurrence: i32) -> Option<usize> {
    let away = usize::try_from(position.unsigned_abs()).ok()?;
    let nth = usize::try_from(occurrence).ok()?.checked_sub(1)?;
    if away > text.len() || position == 0 {
        return None;
    }
    let hit = |at: &usize| text[*at..].starts_with(part);
    if position > 0 {
        (away - 1..=text.len()).filter(hit).nth(nth)
    } else {
        (0..=text.len() - away).rev().filter(hit).nth(nth)
    }
}

/// An empty delimiter splits into characters.
fn split_text(call: &mut Call<'_>) -> ArrayRef {
    let (text, delimiter) = (call.text(0), call.text(1));
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..call.rows {
        let (Some(text), Some(delimiter)) = (text.get(row), delimiter.get(row)) else {
            lists.append_null();
            continue;
        };
        if delimiter.is_empty() && !text.is_empty() {
            for c in text.chars() {
                lists.values().append_value(c.encode_utf8(&mut [0; 4]));
            }
        } else if delimiter.is_empty() {
            lists.values().append_value("");
        } else {
            text.split(delimiter).for_each(|part| lists.values().append_value(part));
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn split_bytes(call: &mut Call<'_>) -> ArrayRef {
    let (bytes, delimiter) = (call.bytes(0), call.bytes(1));
    let mut lists = ListBuilder::new(BinaryBuilder::new());
    for row in 0..call.rows {
        let (Some(bytes), Some(delimiter)) = (bytes.get(row), delimiter.get(row)) else {
            lists.append_null();
            continue;
        };
        if delimiter.is_empty() && !bytes.is_empty() {
            bytes.chunks(1).for_each(|byte| lists.values().append_value(byte));
        } else if delimiter.is_empty() {
            lists.values().append_value(bytes);
        } else {
            let mut rest = bytes;
            while let Some(at) = rest.windows(delimiter.len()).position(|window| window == delimiter) {
                lists.values().append_value(&rest[..at]);
                rest = &rest[at + delimiter.len()..];
            }
            lists.values().append_value(rest);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn split_to_map(call: &mut Call<'_>) -> ArrayRef {
    let (text, entry_delimiter, kv_delimiter) = (call.text(0), call.text(1), call.text(2));
    let (mut keys, mut values) = (StringBuilder::new(), StringBuilder::new());
    let (mut lengths, mut valid) = (Vec::with_capacity(call.rows), Vec::with_capacity(call.rows));
    for row in 0..call.rows {
        let given = text.get(row).zip(entry_delimiter.get(row)).zip(kv_delimiter.get(row));
        let usable = given.filter(|((_, entry), kv)| !entry.is_empty() && !kv.is_empty() && entry != kv);
        valid.push(usable.is_some());
        let mut entries: Vec<(&str, &str)> = Vec::new();
        if let Some(((text, entry_delimiter), kv_delimiter)) = usable {
            for entry in text.split(entry_delimiter).filter(|entry| !entry.is_empty()) {
                let mut parts = entry.split(kv_delimiter);
                if let (Some(key), Some(value)) = (parts.next(), parts.next()) {
                    match entries.iter_mut().find(|(known, _)| *known == key) {
                        Some(known) => known.1 = value,
                        None => entries.push((key, value)),
                    }
                }
            }
        }
        lengths.push(entries.len());
        for (key, value) in entries {
            keys.append_value(key);
            values.append_value(value);
        }
    }
    let (keys, values) = (Arc::new(keys.finish()), Arc::new(values.finish()));
    map_array(keys, values, lengths, Some(valid.into()), call.returns())
}
