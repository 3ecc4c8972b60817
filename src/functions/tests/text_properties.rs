//! Text functions against oracles that work on Java's strings: arrays of UTF-16 units. Half of a pair that is cut off
//! is printed as U+FFFD.

use crate::expressions::tests::oracle::{Subject, V, random};

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn text(units: &[u16]) -> V {
    V::Text(String::from_utf16_lossy(units))
}

/// Rows of random values, with whole numbers near the lengths of texts.
fn near(subject: &Subject) -> impl Fn(&mut fastrand::Rng) -> Vec<V> + use<> {
    let types = subject.types();
    move |random| {
        types
            .iter()
            .map(|ty| match random::value(ty, random) {
                V::Int(n) if random.u8(..6) > 0 => V::Int(n % 9),
                other => other,
            })
            .collect()
    }
}

#[track_caller]
fn agrees(expression: &str, columns: &str, oracle: impl Fn(&[V]) -> Result<V, String>) {
    let subject = Subject::new(expression, columns);
    subject.agrees_on(near(&subject), oracle);
}

/// A constant argument takes other ways than a column: the oracle is asked with the constant in its place.
#[track_caller]
fn agrees_with(call: &str, constants: &[V], columns: &str, oracle: impl Fn(&[V]) -> Result<V, String>) {
    let spelled: Vec<String> = constants
        .iter()
        .map(|value| match value {
            V::Text(text) => format!("'{}'", text.replace('\'', "''")),
            V::Int(n) => n.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expression = call.replace('?', &spelled.join(", "));
    agrees(&expression, columns, |row| oracle(&[row, constants].concat()));
}

/// Where a part begins and ends.
fn part(length: usize, position: i32, wanted: Option<i32>) -> (usize, usize) {
    let n = length as i64;
    let start = match i64::from(position) {
        0 => 0,
        p if p > 0 => (p - 1).min(n),
        p => (n + p).max(0),
    };
    let end = wanted.map_or(n, |wanted| (start + i64::from(wanted).max(0)).min(n));
    (start as usize, end as usize)
}

fn substring(row: &[V]) -> Result<V, String> {
    Ok(match row {
        [V::Text(t), V::Int(p)] => {
            let (from, to) = part(units(t).len(), *p, None);
            text(&units(t)[from..to])
        }
        [V::Text(t), V::Int(p), V::Int(l)] => {
            let (from, to) = part(units(t).len(), *p, Some(*l));
            text(&units(t)[from..to])
        }
        [V::Bytes(b), V::Int(p), V::Int(l)] => {
            let (from, to) = part(b.len(), *p, Some(*l));
            V::Bytes(b[from..to].to_vec())
        }
        _ => V::Null,
    })
}

#[test]
fn substrings_count_units_from_both_ends() {
    agrees("SUBSTRING(s, p)", "s STRING, p INT", substring);
    agrees("SUBSTRING(s, p, l)", "s STRING, p INT, l INT", substring);
    agrees("SUBSTRING(s, p, l)", "s BYTES, p INT, l INT", substring);
    for (position, length) in [(1, 3), (2, 1), (-2, 5), (0, 0), (3, i32::MAX), (i32::MIN, 2)] {
        agrees_with("SUBSTRING(s, ?)", &[V::Int(position), V::Int(length)], "s STRING", substring);
    }
}

fn instr(row: &[V]) -> Result<V, String> {
    let (position, occurrence) = match row.get(2..) {
        Some([V::Int(p), V::Int(o)]) => (*p, *o),
        Some([V::Int(p)]) => (*p, 1),
        Some([]) => (1, 1),
        _ => return Err("a null that must not be".to_owned()),
    };
    let (V::Text(t), V::Text(part)) = (&row[0], &row[1]) else { return Ok(V::Int(0)) };
    let (t, part) = (units(t), units(part));
    let away = i64::from(position).unsigned_abs() as usize;
    if position == 0 || occurrence < 1 || away > t.len() {
        return Ok(V::Int(0));
    }
    let hits = |at: &usize| at + part.len() <= t.len() && t[*at..at + part.len()] == part[..];
    let places: Vec<usize> = if position > 0 {
        (away - 1..=t.len()).filter(hits).collect()
    } else {
        (0..=t.len() - away).rev().filter(hits).collect()
    };
    Ok(V::Int(places.get(occurrence as usize - 1).map_or(0, |at| *at as i32 + 1)))
}

#[test]
fn instr_finds_the_nth_from_either_side() {
    let row = |n: usize| {
        move |random: &mut fastrand::Rng| {
            let short = |random: &mut fastrand::Rng| {
                let chars = ['a', 'b', 'a', 'é', '😀'];
                let length = random.usize(..5);
                let few = if random.bool() { 2 } else { 5 };
                V::Text((0..length).map(|_| chars[random.usize(..few)]).collect())
            };
            let mut row = vec![short(random), short(random)];
            row.extend((0..n).map(|_| if random.u8(..9) == 0 { V::Null } else { V::Int(random.i32(-4..5)) }));
            if random.u8(..9) == 0 {
                row[random.usize(..2)] = V::Null;
            }
            row
        }
    };
    Subject::new("INSTR(s, t)", "s STRING, t STRING").agrees_on(row(0), instr);
    Subject::new("INSTR(s, t, p)", "s STRING, t STRING, p INT").agrees_on(row(1), instr);
    Subject::new("INSTR(s, t, p, o)", "s STRING, t STRING, p INT, o INT").agrees_on(row(2), instr);
    agrees_with("INSTR(s, ?)", &[V::Text("a".to_owned())], "s STRING", instr);
    agrees_with("INSTR(s, ?)", &[V::Text("1".to_owned()), V::Int(-1), V::Int(1)], "s STRING", instr);
}

fn pad(row: &[V], left: bool) -> Result<V, String> {
    fn padded<T: Copy>(input: &[T], target: i32, padding: &[T], left: bool) -> Option<Vec<T>> {
        let target = usize::try_from(target).ok()?;
        if padding.is_empty() {
            return None;
        }
        let mut result: Vec<T> = input.iter().take(target).copied().collect();
        let missing = target - result.len();
        let fill: Vec<T> = (0..missing).map(|i| padding[i % padding.len()]).collect();
        if left {
            result.splice(0..0, fill)
        } else {
            result.splice(result.len().., fill)
        };
        Some(result)
    }
    match row {
        [_, V::Int(n), _] if *n > 1 << 20 && row.iter().all(|v| !v.is_null()) => match row {
            [_, _, V::Text(p)] if p.is_empty() => Ok(V::Null),
            _ => Err("too long".to_owned()),
        },
        [V::Text(t), V::Int(n), V::Text(p)] => {
            Ok(padded(&units(t), *n, &units(p), left).map_or(V::Null, |units| text(&units)))
        }
        _ => Ok(V::Null),
    }
}

#[test]
fn padding_fills_or_cuts_to_a_length() {
    let small = |random: &mut fastrand::Rng| {
        let ty = crate::types::SqlType::String;
        let length = if random.u8(..9) == 0 { V::Null } else { V::Int([0, 1, 3, 12, -1, i32::MAX][random.usize(..6)]) };
        vec![random::value(&ty, random), length, random::value(&ty, random)]
    };
    for (name, left) in [("LPAD", true), ("RPAD", false)] {
        Subject::new(&format!("{name}(s, n, p)"), "s STRING, n INT, p STRING").agrees_on(small, |row| pad(row, left));
        let constants = [V::Int(8), V::Text("*😀".to_owned())];
        agrees_with(&format!("{name}(s, ?)"), &constants, "s STRING", |row| pad(row, left));
        agrees_with(&format!("{name}(s, ?)"), &[V::Int(8), V::Text("0".to_owned())], "s STRING", |row| pad(row, left));
    }
}

#[test]
fn trim_takes_what_java_takes() {
    agrees("TRIM(s)", "s STRING", |row| {
        let V::Text(t) = &row[0] else { return Ok(V::Null) };
        let units = units(t);
        let keeps = |unit: &u16| *unit > 32;
        let Some(from) = units.iter().position(keeps) else { return Ok(V::Text(String::new())) };
        let to = units.iter().rposition(keeps).expect("there is one") + 1;
        Ok(text(&units[from..to]))
    });
}

fn replace(row: &[V]) -> Result<V, String> {
    let [V::Text(t), V::Text(old), V::Text(new)] = row else { return Ok(V::Null) };
    if old.is_empty() {
        let spaced: String = t.chars().map(|c| format!("{new}{c}")).collect();
        return Ok(V::Text(format!("{spaced}{new}")));
    }
    let (mut rest, mut result) = (t.as_str(), String::new());
    while !rest.is_empty() {
        match rest.strip_prefix(old.as_str()) {
            Some(after) => {
                result.push_str(new);
                rest = after;
            }
            None => {
                let c = rest.chars().next().expect("not empty");
                result.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    Ok(V::Text(result))
}

#[test]
fn replace_puts_a_text_for_every_other() {
    agrees("REPLACE(s, t, u)", "s STRING, t STRING, u STRING", replace);
    for (old, new) in [("1", ""), ("", "-"), ("a", "😀"), ("😀", "a"), ("20", "2020")] {
        let constants = [V::Text(old.to_owned()), V::Text(new.to_owned())];
        agrees_with("REPLACE(s, ?)", &constants, "s STRING", replace);
    }
}

fn split(row: &[V]) -> Result<V, String> {
    let [V::Text(t), V::Text(delimiter)] = row else { return Ok(V::Null) };
    if delimiter.is_empty() {
        let parts: Vec<V> = t.chars().map(|c| V::Text(c.to_string())).collect();
        return Ok(V::Array(if parts.is_empty() { vec![V::Text(String::new())] } else { parts }));
    }
    let (mut parts, mut part, mut rest) = (Vec::new(), String::new(), t.as_str());
    while let Some(c) = rest.chars().next() {
        match rest.strip_prefix(delimiter.as_str()) {
            Some(after) => {
                parts.push(V::Text(std::mem::take(&mut part)));
                rest = after;
            }
            None => {
                part.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    parts.push(V::Text(part));
    Ok(V::Array(parts))
}

#[test]
fn split_keeps_empty_parts() {
    agrees("SPLIT(s, t)", "s STRING, t STRING", split);
    for delimiter in ["1", " ", "", "😀", "12", "-"] {
        agrees_with("SPLIT(s, ?)", &[V::Text(delimiter.to_owned())], "s STRING", split);
    }
}

#[test]
fn initcap_knows_javas_blanks() {
    agrees("INITCAP(s)", "s STRING", |row| {
        let V::Text(t) = &row[0] else { return Ok(V::Null) };
        let lower = t.to_lowercase();
        let pattern = regex::Regex::new(r"[^ \t\n\x0B\f\r]+[ \t\n\x0B\f\r]*").expect("a pattern");
        let capital = |word: &str| {
            let first = word.chars().next().expect("not empty");
            // The first unit is put in upper case: half a pair has none.
            let head = if first.len_utf16() == 1 { first.to_uppercase().to_string() } else { first.to_string() };
            format!("{head}{}", &word[first.len_utf8()..])
        };
        Ok(V::Text(pattern.find_iter(&lower).map(|word| capital(word.as_str())).collect()))
    });
}

#[test]
fn joins_leave_out_nulls() {
    let present = |row: &[V]| -> Vec<String> {
        row.iter().filter_map(|v| if let V::Text(t) = v { Some(t.clone()) } else { None }).collect()
    };
    agrees("CONCAT(s, t, u)", "s STRING, t STRING, u STRING", |row| Ok(V::Text(present(row).concat())));
    agrees("s || t || 'x'", "s STRING, t STRING", |row| Ok(V::Text(present(row).concat() + "x")));
    agrees("CONCAT_WS(s, t, u, v)", "s STRING, t STRING, u STRING, v STRING", |row| {
        let V::Text(separator) = &row[0] else { return Ok(V::Null) };
        Ok(V::Text(present(&row[1..]).join(separator)))
    });
}

#[test]
fn lengths_and_places() {
    agrees("LEN(s)", "s STRING", |row| {
        Ok(if let V::Text(t) = &row[0] { V::Int(units(t).len() as i32) } else { V::Null })
    });
    agrees("FIELD(s, t, u)", "s STRING, t STRING, u STRING", |row| {
        let found = row[1..].iter().position(|other| !row[0].is_null() && *other == row[0]);
        Ok(V::Int(found.map_or(0, |at| at as i32 + 1)))
    });
    agrees("ELT(n, s, t)", "n INT, s STRING, t STRING", |row| match &row[0] {
        V::Null => Err("null".to_owned()),
        V::Int(n @ 1..=2) => Ok(row[*n as usize].clone()),
        _ => Ok(V::Null),
    });
    for (name, upper) in [("UCASE", true), ("LCASE", false)] {
        agrees(&format!("{name}(s)"), "s STRING", |row| {
            let V::Text(t) = &row[0] else { return Ok(V::Null) };
            Ok(V::Text(if upper { t.to_uppercase() } else { t.to_lowercase() }))
        });
    }
}
