//! Texts to times and back, by Java's patterns; the clock.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, Date32Array, Int32Array, Int64Array, StringArray, StringBuilder, Time32MillisecondArray,
    TimestampMillisecondArray,
};

use crate::expressions::{DAY_MS, Typed};
use crate::functions::Function;
use crate::functions::call::{Call, Message};
use crate::functions::java_time::{JavaPattern, Zone};

const CATEGORY: &str = "DATE / TIME";

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::scalar("FORMAT_TIMESTAMP", CATEGORY, "A timestamp as text by a pattern, in a zone.")
            .overload("timestamp TIMESTAMP, formatPattern STRING", "STRING", format_timestamp)
            .overload("timestamp TIMESTAMP, formatPattern STRING, timeZone STRING", "STRING", format_timestamp),
        Function::scalar("FORMAT_DATE", CATEGORY, "A date as text by a pattern.").overload(
            "date DATE, formatPattern STRING",
            "STRING",
            |call| {
                let date = call.date(0);
                formatted(call, 1, |row, pattern, out| date.get(row).map(|days| pattern.format_days(days, out)))
            },
        ),
        Function::scalar("FORMAT_TIME", CATEGORY, "A time as text by a pattern.").overload(
            "time TIME, formatPattern STRING",
            "STRING",
            |call| {
                let time = call.time(0);
                formatted(call, 1, |row, pattern, out| time.get(row).map(|ms| pattern.format_time_millis(ms, out)))
            },
        ),
        Function::scalar("PARSE_TIMESTAMP", CATEGORY, "The timestamp that a text spells by a pattern, in a zone.")
            .overload("formattedTimestamp STRING, formatPattern STRING", "TIMESTAMP", parse_timestamp)
            .overload("formattedTimestamp STRING, formatPattern STRING, timeZone STRING", "TIMESTAMP", parse_timestamp),
        Function::scalar("PARSE_DATE", CATEGORY, "The date that a text spells by a pattern.").overload(
            "formattedDate STRING, formatPattern STRING",
            "DATE",
            |call| parsed::<i32, Date32Array>(call, lenient, |pattern, text| pattern.parse_days(text)),
        ),
        Function::scalar("PARSE_TIME", CATEGORY, "The time that a text spells by a pattern.").overload(
            "formattedTime STRING, formatPattern STRING",
            "TIME",
            |call| parsed::<i32, Time32MillisecondArray>(call, strict, |pattern, text| pattern.parse_time_millis(text)),
        ),
        Function::scalar("STRINGTODATE", CATEGORY, "The days since 1970 of the date that a text spells by a pattern.")
            .overload("formattedDate STRING!, formatPattern STRING!", "INTEGER", |call| {
                parsed::<i32, Int32Array>(call, strict, |pattern, text| pattern.parse_full_days(text))
            }),
        Function::scalar("DATETOSTRING", CATEGORY, "Days since 1970 as text by a pattern.").overload(
            "epochDays INTEGER!, formatPattern STRING!",
            "STRING",
            |call| {
                let days = call.int(0);
                formatted(call, 1, |row, pattern, out| days.get(row).map(|days| pattern.format_days(days, out)))
            },
        ),
        Function::scalar("STRINGTOTIMESTAMP", CATEGORY, "The milliseconds since 1970 that a text spells by a pattern.")
            .overload("formattedTimestamp STRING!, formatPattern STRING!", "BIGINT", string_to_timestamp)
            .overload(
                "formattedTimestamp STRING!, formatPattern STRING!, timeZone STRING!",
                "BIGINT",
                string_to_timestamp,
            ),
        Function::scalar("TIMESTAMPTOSTRING", CATEGORY, "Milliseconds since 1970 as text by a pattern.")
            .overload("epochMilli BIGINT!, formatPattern STRING!", "STRING", timestamp_to_string)
            .overload("epochMilli BIGINT!, formatPattern STRING!, timeZone STRING!", "STRING", timestamp_to_string),
        Function::scalar("UNIX_TIMESTAMP", CATEGORY, "Milliseconds since 1970: now, or of a timestamp.")
            .overload("", "BIGINT", |call| {
                let now = call.context.now_ms;
                call.rows::<_, Int64Array>(|_| Ok(Some(now)))
            })
            .overload("timestamp TIMESTAMP", "BIGINT", |call| {
                let timestamp = call.timestamp(0);
                call.rows::<_, Int64Array>(|row| Ok(timestamp.get(row)))
            }),
        Function::scalar("UNIX_DATE", CATEGORY, "Days since 1970: today, or of a date.")
            .overload("", "INTEGER", |call| {
                let today = i32::try_from(call.context.now_ms.div_euclid(DAY_MS)).ok();
                call.rows::<_, Int32Array>(|_| Ok(today))
            })
            .overload("date DATE", "INTEGER", |call| {
                let date = call.date(0);
                call.rows::<_, Int32Array>(|row| Ok(date.get(row)))
            }),
        Function::scalar("FROM_UNIXTIME", CATEGORY, "The timestamp so many milliseconds after 1970.").overload(
            "epochMilli BIGINT",
            "TIMESTAMP",
            |call| {
                let ms = call.long(0);
                call.rows::<_, TimestampMillisecondArray>(|row| Ok(ms.get(row)))
            },
        ),
        Function::scalar("FROM_DAYS", CATEGORY, "The date so many days after 1970.").overload(
            "days INTEGER!",
            "DATE",
            |call| {
                let days = call.int(0);
                call.rows::<_, Date32Array>(|row| Ok(days.get(row)))
            },
        ),
    ]
}

type Compiled = Result<JavaPattern, String>;

/// Patterns by row: a constant one is compiled once for its place in the statement, others when they change.
struct Patterns<'a> {
    texts: Typed<'a, StringArray>,
    constant: Option<&'a Compiled>,
    last: Option<(&'a str, Compiled)>,
    compile: fn(&str) -> Compiled,
}

impl<'a> Patterns<'a> {
    fn of(call: &Call<'a>, i: usize, compile: fn(&str) -> Compiled) -> Self {
        let texts = call.text(i);
        let constant = call.args[i].is_constant().then(|| texts.get(0)).flatten();
        Self { texts, constant: constant.map(|text| call.prepared(|| compile(text))), last: None, compile }
    }

    /// The pattern of a row; `None` where it is NULL.
    fn get(&mut self, row: usize) -> Option<Result<&JavaPattern, Message>> {
        let text = self.texts.get(row)?;
        let compiled = match self.constant {
            Some(compiled) => compiled,
            None => {
                if self.last.as_ref().is_none_or(|(known, _)| *known != text) {
                    self.last = Some((text, (self.compile)(text)));
                }
                &self.last.as_ref()?.1
            }
        };
        Some(compiled.as_ref().map_err(|message| Message::from(message.clone())))
    }
}

fn strict(text: &str) -> Compiled {
    JavaPattern::compile(text).map_err(|error| error.to_string())
}

fn lenient(text: &str) -> Compiled {
    JavaPattern::compile_lenient(text).map_err(|error| error.to_string())
}

/// Texts that `write` appends by the pattern in argument `i`; where it gives `None` the value is NULL.
fn formatted(
    call: &mut Call<'_>,
    i: usize,
    write: impl Fn(usize, &JavaPattern, &mut String) -> Option<Result<(), String>>,
) -> ArrayRef {
    let mut patterns = Patterns::of(call, i, strict);
    let mut texts = StringBuilder::with_capacity(call.rows, call.rows * 16);
    let mut text = String::new();
    for row in 0..call.rows {
        text.clear();
        let written = match patterns.get(row) {
            None => None,
            Some(Err(message)) => Some(Err(message)),
            Some(Ok(pattern)) => write(row, pattern, &mut text)
                .map(|written| written.map_err(|message| format!("Failed to format value: {message}").into())),
        };
        match written {
            Some(Ok(())) => texts.append_value(&text),
            None => texts.append_null(),
            Some(Err(message)) => {
                texts.append_null();
                call.fail(row, message);
            }
        }
    }
    Arc::new(texts.finish())
}

/// Values of the text in argument 0 by the pattern in argument 1.
fn parsed<T, A>(
    call: &mut Call<'_>,
    compile: fn(&str) -> Compiled,
    read: impl Fn(&JavaPattern, &str) -> Result<T, String>,
) -> ArrayRef
where
    A: Array + FromIterator<Option<T>> + 'static,
{
    let mut patterns = Patterns::of(call, 1, compile);
    let text = call.text(0);
    call.rows::<T, A>(|row| {
        let (Some(text), Some(pattern)) = (text.get(row), patterns.get(row)) else { return Ok(None) };
        read(pattern?, text).map(Some).map_err(|message| format!("Failed to parse '{text}': {message}").into())
    })
}

/// The zone in argument 2 by row, `default` where it was not given; the outer `None` is NULL.
fn zones<'a>(call: &Call<'a>, default: Zone) -> impl Fn(usize) -> Option<Result<Zone, Message>> + use<'a> {
    let texts = (call.args.len() > 2).then(|| call.text(2));
    let read = |text: &str| Zone::read(text).ok_or_else(|| Message::from(format!("Unknown time-zone ID: {text}")));
    let constant = match texts {
        None => Some(Some(Ok(default))),
        Some(texts) => call.args[2].is_constant().then(|| texts.get(0).map(read)),
    };
    move |row| match (&constant, texts) {
        (Some(constant), _) => constant.clone(),
        (None, texts) => texts?.get(row).map(read),
    }
}

fn format_timestamp(call: &mut Call<'_>) -> ArrayRef {
    let (timestamp, zone) = (call.timestamp(0), zones(call, Zone::GMT));
    formatted(call, 1, |row, pattern, out| {
        let (ms, zone) = (timestamp.get(row)?, zone(row)?);
        Some(zone.map_err(|message| message.into_owned()).and_then(|zone| pattern.format_millis(ms, zone, out)))
    })
}

fn timestamp_to_string(call: &mut Call<'_>) -> ArrayRef {
    let (ms, zone) = (call.long(0), zones(call, Zone::UTC));
    formatted(call, 1, |row, pattern, out| {
        let (ms, zone) = (ms.get(row)?, zone(row)?);
        Some(zone.map_err(|message| message.into_owned()).and_then(|zone| pattern.format_millis(ms, zone, out)))
    })
}

/// Milliseconds by row.
fn millis(call: &mut Call<'_>) -> ArrayRef {
    let mut patterns = Patterns::of(call, 1, strict);
    let (text, zone) = (call.text(0), zones(call, Zone::UTC));
    call.rows::<_, Int64Array>(|row| {
        let (Some(text), Some(pattern), Some(zone)) = (text.get(row), patterns.get(row), zone(row)) else {
            return Ok(None);
        };
        let ms = pattern?.parse_millis(text, zone?);
        ms.map(Some).map_err(|message| format!("Failed to parse timestamp '{text}': {message}").into())
    })
}

fn parse_timestamp(call: &mut Call<'_>) -> ArrayRef {
    let ms = millis(call);
    let ms = ms.as_any().downcast_ref::<Int64Array>().expect("milliseconds are BIGINT");
    Arc::new(ms.reinterpret_cast::<datafusion::arrow::datatypes::TimestampMillisecondType>())
}

fn string_to_timestamp(call: &mut Call<'_>) -> ArrayRef {
    millis(call)
}
