//! Every cell of the CAST matrix, and containers of cells, against a row-at-a-time oracle.

use std::sync::LazyLock;

use chrono::{Datelike, NaiveDate};
use regex::Regex;

use super::arithmetic::{as_double, exact};
use crate::expressions::tests::oracle::big::Big;
use crate::expressions::tests::oracle::{Subject, V, random, seeds};
use crate::expressions::tests::typed;
use crate::types::SqlType;

fn fail(why: &str) -> Result<V, String> {
    Err(why.to_owned())
}

/// True if the matrix has the cell (semantics 2.5).
fn exists(from: &SqlType, to: &SqlType) -> bool {
    use SqlType::{Array, Boolean, Bytes, Date, Map, String, Struct, Time, Timestamp};
    from == to
        || match (from, to) {
            (Array(f), Array(t)) => exists(f, t),
            (Map(fk, fv), Map(tk, tv)) => exists(fk, tk) && exists(fv, tv),
            (Struct(f), Struct(t)) => f.iter().all(|f| t.iter().all(|t| f.name != t.name || exists(&f.ty, &t.ty))),
            (_, String) => *from != Bytes,
            (String, Boolean | Timestamp | Date | Time | Bytes) => true,
            (String, to) => to.is_numeric(),
            (Date, Timestamp) | (Timestamp, Date | Time) => true,
            _ => from.is_numeric() && to.is_numeric(),
        }
}

fn cast(value: &V, from: &SqlType, to: &SqlType) -> Result<V, String> {
    if from == to || value.is_null() {
        return Ok(value.clone());
    }
    match (value, from, to) {
        (V::Array(items), SqlType::Array(f), SqlType::Array(t)) => {
            Ok(V::Array(items.iter().map(|item| cast(item, f, t)).collect::<Result<_, _>>()?))
        }
        (V::Map(entries), SqlType::Map(fk, fv), SqlType::Map(tk, tv)) => {
            let mut result: Vec<(V, V)> = Vec::new();
            for (key, item) in entries {
                let entry = (cast(key, fk, tk)?, cast(item, fv, tv)?);
                // Keys that become equal: the last wins.
                match result.iter_mut().find(|(known, _)| *known == entry.0) {
                    Some(known) => known.1 = entry.1,
                    None => result.push(entry),
                }
            }
            Ok(V::Map(result))
        }
        (V::Struct(parts), SqlType::Struct(f), SqlType::Struct(t)) => {
            let part = |target: &crate::types::StructField| match f.iter().position(|f| f.name == target.name) {
                Some(i) => cast(&parts[i], &f[i].ty, &target.ty),
                None => Ok(V::Null),
            };
            Ok(V::Struct(t.iter().map(part).collect::<Result<_, _>>()?))
        }
        (_, _, SqlType::String) => Ok(V::Text(print(value, from))),
        (V::Text(text), _, _) => from_text(text, to),
        (V::Date(days), _, _) => Ok(V::Timestamp(i64::from(*days) * 86_400_000)),
        (V::Timestamp(ms), _, SqlType::Date) => {
            let days = ms.div_euclid(86_400_000);
            Ok(V::Date(days.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32))
        }
        (V::Timestamp(ms), _, _) => Ok(V::Time(ms.rem_euclid(86_400_000) as i32)),
        (V::Double(v), _, SqlType::Integer) => Ok(V::Int(if v.is_nan() { 0 } else { *v as i32 })),
        (V::Double(v), _, SqlType::BigInt) => Ok(V::Long(if v.is_nan() { 0 } else { *v as i64 })),
        (V::Double(v), _, SqlType::Decimal { precision, scale }) => {
            let (digits, at) = rounded_to_precision(*v, *precision).ok_or("no number")?;
            to_decimal((digits, at), *precision, *scale)
        }
        (_, _, SqlType::Double) => Ok(V::Double(as_double(value, from).expect("a number"))),
        (_, _, SqlType::Decimal { precision, scale }) => {
            let (digits, at) = exact(value, from).expect("an exact number");
            to_decimal((digits, i64::from(at)), *precision, *scale)
        }
        _ => {
            let (digits, scale) = exact(value, from).expect("an exact number");
            let low = digits.divided(&Big::ten_to(scale)).expect("not zero").0.low_bits();
            Ok(if *to == SqlType::Integer { V::Int(low as i32) } else { V::Long(low) })
        }
    }
}

/// Digits with `at` of them behind the point, at a scale, halves away from zero.
fn to_decimal((digits, at): (Big, i64), precision: u32, scale: u32) -> Result<V, String> {
    let shift = i64::from(scale) - at;
    let small = u32::try_from(shift.unsigned_abs().min(2_000)).expect("small");
    let digits = if shift >= 0 { digits.times(&Big::ten_to(small)) } else { digits.rounded_off(small) };
    if digits.precision() > precision as usize { fail("overflow") } else { Ok(V::Decimal(digits)) }
}

/// The exact value of a double, rounded to so many digits: the digits and how many stand behind the point.
fn rounded_to_precision(value: f64, precision: u32) -> Option<(Big, i64)> {
    if !value.is_finite() {
        return None;
    }
    let text = format!("{value:.1074}");
    let digits = Big::read(&text.replace('.', ""));
    let surplus = u32::try_from(digits.precision()).expect("few").saturating_sub(precision);
    Some((digits.rounded_off(surplus), 1074 - i64::from(surplus)))
}

fn java_trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

fn from_text(text: &str, to: &SqlType) -> Result<V, String> {
    static WHOLE: LazyLock<Regex> = LazyLock::new(|| regex(r"\A[+-]?[0-9]+\z"));
    static NUMBER: LazyLock<Regex> =
        LazyLock::new(|| regex(r"\A([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?([dDfF]?)\z"));
    let trimmed = java_trim(text);
    let number = || {
        NUMBER
            .captures(trimmed)
            .filter(|parts| parts.get(2).is_some_and(|p| !p.is_empty()) || parts.get(3).is_some_and(|p| !p.is_empty()))
    };
    match to {
        SqlType::Boolean => {
            let lower = text.to_lowercase();
            Ok(V::Bool(!lower.is_empty() && ["true", "yes"].iter().any(|word| word.starts_with(&lower))))
        }
        SqlType::Integer | SqlType::BigInt => {
            if !WHOLE.is_match(trimmed) {
                return fail("no whole number");
            }
            let value = Big::read(trimmed.trim_start_matches('+'));
            let narrow = *to == SqlType::Integer;
            let (low, high) =
                if narrow { ("-2147483648", "2147483647") } else { ("-9223372036854775808", "9223372036854775807") };
            if value < Big::read(low) || value > Big::read(high) {
                return fail("too large");
            }
            Ok(if narrow { V::Int(value.low_bits() as i32) } else { V::Long(value.low_bits()) })
        }
        SqlType::Double => {
            let parts = number().ok_or("no number")?;
            let suffix = parts.get(5).map_or(0, |suffix| suffix.len());
            let value: f64 = trimmed[..trimmed.len() - suffix].parse().expect("a number");
            if value.is_infinite() { fail("infinite") } else { Ok(V::Double(value)) }
        }
        SqlType::Decimal { precision, scale } => {
            let parts =
                number().filter(|parts| parts.get(5).is_none_or(|suffix| suffix.is_empty())).ok_or("no number")?;
            let part = |i: usize| parts.get(i).map_or("", |part| part.as_str());
            let exponent: i64 = if part(4).is_empty() { 0 } else { part(4).parse().map_err(|_| "a large exponent")? };
            let digits = Big::read(&format!("{}{}{}", if part(1) == "-" { "-" } else { "" }, part(2), part(3)));
            if digits.is_zero() {
                return Ok(V::Decimal(Big::default()));
            }
            let at = part(3).len() as i64 - exponent;
            if at < -1_500 { fail("overflow") } else { to_decimal((digits, at), *precision, *scale) }
        }
        SqlType::Bytes => {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.decode(text).map(V::Bytes).map_err(|error| error.to_string())
        }
        SqlType::Time => time(text).map(V::Time).ok_or_else(|| "no time".to_owned()),
        SqlType::Date => date(text).map(V::Date).ok_or_else(|| "no date".to_owned()),
        SqlType::Timestamp => timestamp(text).map(V::Timestamp).ok_or_else(|| "no timestamp".to_owned()),
        other => panic!("no cast of text to {other}"),
    }
}

fn date(text: &str) -> Option<i32> {
    static DATE: LazyLock<Regex> = LazyLock::new(|| regex(r"\A([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?\z"));
    let parts = DATE.captures(text)?;
    let part = |i: usize| parts.get(i).map_or(1, |part| part.as_str().parse::<u32>().expect("digits"));
    let day = NaiveDate::from_ymd_opt(i32::try_from(part(1)).ok()?, part(2), part(3))?;
    Some(day.num_days_from_ce() - 719_163)
}

fn time(text: &str) -> Option<i32> {
    static TIME: LazyLock<Regex> =
        LazyLock::new(|| regex(r"\A([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{0,9}))?)?\z"));
    let parts = TIME.captures(text)?;
    let part = |i: usize| parts.get(i).map_or(0, |part| part.as_str().parse::<i32>().expect("digits"));
    let (hour, minute, second) = (part(1), part(2), part(3));
    let millis: i32 = format!("{:0<3}", parts.get(4).map_or("", |part| part.as_str()))[..3].parse().expect("digits");
    (hour < 24 && minute < 60 && second < 60).then_some(((hour * 60 + minute) * 60 + second) * 1000 + millis)
}

fn timestamp(text: &str) -> Option<i64> {
    static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
        regex(r"\A([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{3})(?:Z|([+-])([0-9]{2})(?::?([0-9]{2}))?)?\z")
    });
    let Some((day, tail)) = text.split_once('T') else { return Some(i64::from(date(text)?) * 86_400_000) };
    let days = if day.len() < 10 { return None } else { i64::from(date(day)?) };
    // The end of the clock may be missing.
    let end = tail.find(['Z', '+', '-']).unwrap_or(tail.len());
    let missing = "00:00:00.000".get(end..).unwrap_or("");
    let whole = format!("{}{missing}{}", &tail[..end], &tail[end..]);
    let parts = WHOLE.captures(&whole)?;
    let part = |i: usize| parts.get(i).map_or(0, |part| part.as_str().parse::<i64>().expect("digits"));
    let offset = part(6) * 60 + part(7);
    if part(1) > 23 || part(2) > 59 || part(3) > 59 || part(7) > 59 || offset > 18 * 60 {
        return None;
    }
    let west = parts.get(5).is_some_and(|sign| sign.as_str() == "-");
    let minutes = (days * 24 + part(1)) * 60 + part(2) + if west { offset } else { -offset };
    Some((minutes * 60 + part(3)) * 1000 + part(4))
}

/// A value that is not NULL as Java prints it.
fn print(value: &V, ty: &SqlType) -> String {
    let or_null = |value: &V, ty: &SqlType| if value.is_null() { "null".to_owned() } else { print(value, ty) };
    match (value, ty) {
        (V::Bool(v), _) => v.to_string(),
        (V::Int(v), _) => v.to_string(),
        (V::Long(v), _) => v.to_string(),
        (V::Double(v), _) => double(*v),
        (V::Decimal(digits), SqlType::Decimal { scale, .. }) => {
            let scale = *scale as usize;
            let all = format!("{:0>width$}", digits.magnitude().to_string(), width = scale + 1);
            let (whole, places) = all.split_at(all.len() - scale);
            let point = if scale > 0 { "." } else { "" };
            format!("{}{whole}{point}{places}", if digits.is_negative() { "-" } else { "" })
        }
        (V::Text(text), _) => text.clone(),
        (V::Bytes(bytes), _) => format!("java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", bytes.len()),
        (V::Time(ms), _) => {
            let seconds = ms / 1000;
            let text = format!("{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
            if seconds % 60 == 0 { text } else { format!("{text}:{:02}", seconds % 60) }
        }
        (V::Date(days), _) => {
            let (year, month, day) = civil(i64::from(*days));
            format!("{}-{month:02}-{day:02}", iso_year(year))
        }
        (V::Timestamp(ms), _) => {
            let (year, month, day) = civil(ms.div_euclid(86_400_000));
            // Pattern `yyyy` is the year of its era.
            let year = iso_year(if year > 0 { year } else { 1 - year });
            let in_day = ms.rem_euclid(86_400_000);
            let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
            format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}", in_day % 1000)
        }
        (V::Array(items), SqlType::Array(element)) => {
            format!("[{}]", items.iter().map(|item| or_null(item, element)).collect::<Vec<_>>().join(", "))
        }
        (V::Map(entries), SqlType::Map(key, item)) => {
            let entries = entries.iter().map(|(k, v)| format!("{}={}", print(k, key), or_null(v, item)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        (V::Struct(parts), SqlType::Struct(fields)) => {
            let parts = parts.iter().zip(fields.iter()).filter(|(part, _)| !part.is_null());
            let parts = parts.map(|(part, field)| format!("{}={}", field.name.as_str(), print(part, &field.ty)));
            format!("Struct{{{}}}", parts.collect::<Vec<_>>().join(","))
        }
        other => panic!("{other:?}"),
    }
}

/// The digits that Rust prints, spelled as `Double.toString` spells them.
fn double(v: f64) -> String {
    if !v.is_finite() {
        return if v.is_nan() {
            "NaN"
        } else if v > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    if v == 0.0 || (v.abs() >= 1e-3 && v.abs() < 1e7) {
        return format!("{v:?}");
    }
    // Java looks for the nearest of two digits where one would do.
    let shortest = format!("{v:e}");
    let two = format!("{v:.1e}");
    let one_digit = !shortest.contains('.');
    let text = if one_digit && two.parse() == Ok(v) { two } else { even_of_ties(v, shortest) };
    let (mantissa, exponent) = text.split_once('e').expect("an exponent");
    if mantissa.contains('.') { format!("{mantissa}E{exponent}") } else { format!("{mantissa}.0E{exponent}") }
}

/// Of two spellings equally near to the exact value the one with an even last digit.
fn even_of_ties(v: f64, text: String) -> String {
    let (mantissa, exponent) = text.split_once('e').expect("an exponent");
    let places = mantissa.split_once('.').map_or(0, |(_, places)| places.len() as i64);
    let digits = Big::read(&mantissa.replace('.', ""));
    // A tie's exact value has one digit more, a 5.
    let exact = format!("{:.60e}", v.abs());
    let exact = exact.split_once('e').expect("an exponent").0.replace('.', "");
    let exact = exact.trim_end_matches('0');
    if exact.len() != digits.precision() + 1 || !exact.ends_with('5') {
        return text;
    }
    let odd = digits.to_string().ends_with(['1', '3', '5', '7', '9']);
    let below = Big::read(&exact[..exact.len() - 1]) == digits.magnitude();
    let step = Big::read(if below == digits.is_negative() { "-1" } else { "1" });
    let other = digits.plus(&step);
    let reads_back = format!("{other}e{}", exponent.parse::<i64>().expect("digits") - places).parse() == Ok(v);
    if odd && reads_back { respelled(&other, exponent, places) } else { text }
}

fn respelled(digits: &Big, exponent: &str, places: i64) -> String {
    let text = digits.to_string();
    let at = text.len() - usize::try_from(places).expect("few");
    let point = if places > 0 { "." } else { "" };
    format!("{}{point}{}e{exponent}", &text[..at], &text[at..])
}

fn iso_year(year: i64) -> String {
    let digits = format!("{:04}", year.unsigned_abs());
    match year {
        _ if year > 9999 => format!("+{digits}"),
        _ if year < 0 => format!("-{digits}"),
        _ => digits,
    }
}

/// The calendar repeats every 400 years, so chrono's part of it is enough.
fn civil(days: i64) -> (i64, u32, u32) {
    let (cycles, rest) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let day = NaiveDate::from_num_days_from_ce_opt(719_163 + i32::try_from(rest).expect("small")).expect("a day");
    (i64::from(day.year()) + 400 * cycles, day.month(), day.day())
}

const SIMPLE: [&str; 12] = [
    "BOOLEAN",
    "INT",
    "BIGINT",
    "DOUBLE",
    "DECIMAL(6, 2)",
    "DECIMAL(76, 20)",
    "STRING",
    "BYTES",
    "TIME",
    "DATE",
    "TIMESTAMP",
    "DECIMAL(3, 3)",
];

fn check_cell(from: &str, to: &str) {
    let columns = format!("a {from}");
    let expression = format!("CAST(a AS {to})");
    let (source, target) = (crate::expressions::tests::sql_type(from), crate::expressions::tests::sql_type(to));
    if exists(&source, &target) {
        let subject = Subject::new(&expression, &columns);
        assert_eq!(subject.result(), target);
        // There are many cells: fewer batches for each.
        let row = |random: &mut fastrand::Rng| vec![random::value(&source, random)];
        subject.agrees_for(seeds().div_ceil(5), row, |row| cast(&row[0], &source, &target));
    } else {
        typed(&expression, &columns, &format!("Cast of {source} to {target} is not supported"));
    }
}

#[test]
fn every_cell_is_as_the_oracle_says() {
    for from in SIMPLE {
        for to in SIMPLE {
            check_cell(from, to);
        }
    }
}

#[test]
fn containers_are_cast_by_their_parts() {
    for seed in 0..seeds() {
        let mut random = fastrand::Rng::with_seed(seed);
        let from = random::ty(2, &mut random);
        // Another type of the same shape, or text.
        let to = if random.u8(..4) == 0 { SqlType::String } else { reshaped(&from, &mut random) };
        let (columns, expression) = (format!("a {from}"), format!("CAST(a AS {to})"));
        if !exists(&from, &to) {
            typed(&expression, &columns, "is not supported");
            continue;
        }
        let subject = Subject::new(&expression, &columns);
        let rows: Vec<Vec<V>> = (0..12).map(|_| vec![random::value(&from, &mut random)]).collect();
        for (row, (value, failures)) in rows.iter().zip(subject.run(&rows)) {
            let expected = cast(&row[0], &from, &to);
            assert_eq!(value, *expected.as_ref().unwrap_or(&V::Null), "{expression} of {row:?}, {from}, seed {seed}");
            assert_eq!(failures > 0, expected.is_err(), "{expression} of {row:?}, {from}, seed {seed}");
        }
    }
}

fn reshaped(ty: &SqlType, random: &mut fastrand::Rng) -> SqlType {
    match ty {
        SqlType::Array(element) => SqlType::Array(Box::new(reshaped(element, random))),
        SqlType::Map(key, value) => SqlType::Map(Box::new(reshaped(key, random)), Box::new(reshaped(value, random))),
        SqlType::Struct(fields) => {
            let mut fields = fields.to_vec();
            for field in &mut fields {
                field.ty = reshaped(&field.ty, random);
            }
            fields.rotate_left(1);
            SqlType::Struct(fields.into())
        }
        simple if random.bool() => simple.clone(),
        _ => random::ty(0, random),
    }
}
