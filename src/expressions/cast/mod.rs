//! CAST: which types turn into which, and how, on whole arrays.
//!
//! Conversions that ksql applies silently are a part of these. A value that cannot be converted gives NULL and a
//! failure of its row; in a container, one such part fails the whole row.
//!
//! Reading order: this file (the matrix), [`number`], [`decimal_text`], [`time_text`], [`text`], [`nested`].

pub(crate) mod decimal_text;
mod nested;
pub(crate) mod number;
pub(crate) mod text;
pub(crate) mod time_text;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, StringArray, Time32MillisecondArray,
    TimestampMillisecondArray, new_null_array,
};
use datafusion::arrow::datatypes::{Date32Type, TimestampMillisecondType};

use crate::diagnostics::{Code, Diagnostic};
use crate::types::SqlType;

use super::evaluate::value::Failure;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// Refuses a cast that does not exist.
pub(crate) fn check(from: &SqlType, to: &SqlType) -> Result<(), Diagnostic> {
    if exists(from, to) {
        return Ok(());
    }
    Err(Diagnostic::new(Code::InvalidCast, format!("there is no cast from {from} to {to}"))
        .with_detail(format!("Cast of {from} to {to} is not supported")))
}

fn exists(from: &SqlType, to: &SqlType) -> bool {
    if from == to {
        return true;
    }
    match (from, to) {
        (SqlType::Bytes, SqlType::String) => false,
        (_, SqlType::String) => true,
        (SqlType::Array(f), SqlType::Array(t)) => exists(f, t),
        (SqlType::Map(fk, fv), SqlType::Map(tk, tv)) => exists(fk, tk) && exists(fv, tv),
        (SqlType::Struct(f), SqlType::Struct(t)) => t.iter().all(|field| {
            f.iter().find(|known| known.name == field.name).is_none_or(|known| exists(&known.ty, &field.ty))
        }),
        (SqlType::String, to) => !to.is_nested(),
        (SqlType::Date, SqlType::Timestamp) | (SqlType::Timestamp, SqlType::Date | SqlType::Time) => true,
        (from, to) => from.is_numeric() && to.is_numeric(),
    }
}

/// Converts every value of `array`; the cast exists.
///
/// The result has NULL where the input has; failures name positions of `array`.
pub(crate) fn cast(array: &ArrayRef, from: &SqlType, to: &SqlType, failures: &mut Vec<Failure>) -> ArrayRef {
    match (from, to) {
        _ if from == to => Arc::clone(array),
        (SqlType::Array(f), SqlType::Array(t)) => nested::list(array, f, t, failures),
        (SqlType::Map(fk, fv), SqlType::Map(tk, tv)) => nested::map(array, (fk, fv), (tk, tv), failures),
        (SqlType::Struct(f), SqlType::Struct(t)) => nested::structure(array, f, t, failures),
        (_, SqlType::String) => Arc::new(text::of_array(array, from)),
        (SqlType::String, to) => from_text(array.as_string::<i32>(), to, failures),
        (SqlType::Date, SqlType::Timestamp) => {
            let dates = array.as_primitive::<Date32Type>();
            Arc::new(dates.unary::<_, TimestampMillisecondType>(|day| i64::from(day) * DAY_MS))
        }
        (SqlType::Timestamp, SqlType::Date) => {
            let instants = array.as_primitive::<TimestampMillisecondType>();
            Arc::new(instants.unary::<_, Date32Type>(|ms| saturating_i32(ms.div_euclid(DAY_MS))))
        }
        (SqlType::Timestamp, SqlType::Time) => {
            let instants = array.as_primitive::<TimestampMillisecondType>();
            let times: Time32MillisecondArray = instants.unary(|ms| saturating_i32(ms.rem_euclid(DAY_MS)));
            Arc::new(times)
        }
        (from, to) => number::convert(array, from, to, failures),
    }
}

/// Text to every simple type.
fn from_text(text: &StringArray, to: &SqlType, failures: &mut Vec<Failure>) -> ArrayRef {
    match to {
        SqlType::Boolean => {
            let truths: BooleanArray = text.iter().map(|value| value.map(is_true)).collect();
            Arc::new(truths)
        }
        SqlType::Bytes => {
            let read = |value: &str| STANDARD.decode(value).ok();
            let bytes: BinaryArray = parse(text, failures, read, |value| format!("Illegal base64: {value}")).collect();
            Arc::new(bytes)
        }
        SqlType::Timestamp => {
            let message = |value: &str| format!("Failed to parse timestamp '{value}'");
            let instants: TimestampMillisecondArray =
                parse(text, failures, time_text::read_timestamp, message).collect();
            Arc::new(instants)
        }
        SqlType::Date => {
            let message = |value: &str| format!("Failed to parse date '{value}'");
            let days: Date32Array = parse(text, failures, time_text::read_date, message).collect();
            Arc::new(days)
        }
        SqlType::Time => {
            let message = |value: &str| format!("Failed to parse time '{value}'");
            let times: Time32MillisecondArray = parse(text, failures, time_text::read_time, message).collect();
            Arc::new(times)
        }
        number if number.is_numeric() => number::from_text(text, number, failures),
        other => new_null_array(&other.arrow(), text.len()),
    }
}

/// Reads each text; one that cannot be read fails its row.
fn parse<'a, T>(
    text: &'a StringArray,
    failures: &'a mut Vec<Failure>,
    read: impl Fn(&str) -> Option<T> + 'a,
    message: impl Fn(&str) -> String + 'a,
) -> impl Iterator<Item = Option<T>> + 'a {
    text.iter().enumerate().map(move |(row, value)| {
        let value = value?;
        let result = read(value);
        if result.is_none() {
            failures.push((row, message(value).into()));
        }
        result
    })
}

/// TRUE for any beginning of true or yes, in any case; FALSE for all other text.
fn is_true(text: &str) -> bool {
    let begins = |word: &str| word.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    !text.is_empty() && (begins("true") || begins("yes"))
}

/// A text without what `String.trim` takes off its ends.
fn java_trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

fn saturating_i32(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}
