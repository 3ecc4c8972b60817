//! Times moved by units, and between zones.

use chrono::{DateTime, Utc};
use datafusion::arrow::array::{ArrayRef, Date32Array, StringArray, Time32MillisecondArray, TimestampMillisecondArray};

use crate::expressions::{DAY_MS, Typed};
use crate::functions::Function;
use crate::functions::call::{Call, Message};
use crate::functions::java_time::Zone;

const CATEGORY: &str = "DATE / TIME";

pub(super) fn functions() -> Vec<Function> {
    vec![
        timestamps("TIMESTAMPADD", "A timestamp so many units later.", 1),
        timestamps("TIMESTAMPSUB", "A timestamp so many units earlier.", -1),
        dates("DATEADD", "A date so many units later, in whole days.", 1),
        dates("DATESUB", "A date so many units earlier, in whole days.", -1),
        times("TIMEADD", "A time so many units later, around midnight.", 1),
        times("TIMESUB", "A time so many units earlier, around midnight.", -1),
        Function::scalar("CONVERT_TZ", CATEGORY, "A timestamp of one zone as it is in another.").overload(
            "timestamp TIMESTAMP, fromTz STRING, toTz STRING",
            "TIMESTAMP",
            convert,
        ),
    ]
}

/// Milliseconds of a unit of time, singular or plural.
fn unit_ms(unit: &str) -> Option<i64> {
    Some(match unit.trim_end_matches('S') {
        "MILLISECOND" => 1,
        "SECOND" => 1_000,
        "MINUTE" => 60_000,
        "HOUR" => 3_600_000,
        "DAY" => DAY_MS,
        _ => return None,
    })
}

/// The distance of a row in milliseconds; `None` is NULL.
fn distance(call: &Call<'_>, sign: i64) -> impl Fn(usize) -> Result<Option<i64>, Message> + use<> {
    let unit: Typed<'_, StringArray> = call.text(0);
    let ms = unit.get(0).and_then(unit_ms);
    let amounts: Vec<Option<i32>> = {
        let amount = call.int(1);
        (0..call.rows).map(|row| amount.get(row)).collect()
    };
    move |row| {
        let ms = ms.ok_or(Message::from("unit of time is none of MILLISECONDS, SECONDS, MINUTES, HOURS, DAYS"))?;
        Ok(amounts[row].map(|amount| i64::from(amount) * ms * sign))
    }
}

fn timestamps(name: &'static str, description: &'static str, sign: i64) -> Function {
    Function::scalar(name, CATEGORY, description).overload(
        "unit UNIT, interval INTEGER, timestamp TIMESTAMP",
        "TIMESTAMP",
        move |call| {
            let (value, distance) = (call.timestamp(2), distance(call, sign));
            call.rows::<_, TimestampMillisecondArray>(|row| {
                let Some((ms, distance)) = value.get(row).zip(distance(row)?) else { return Ok(None) };
                ms.checked_add(distance).map(Some).ok_or(Message::from("timestamp out of range"))
            })
        },
    )
}

fn dates(name: &'static str, description: &'static str, sign: i64) -> Function {
    Function::scalar(name, CATEGORY, description).overload(
        "unit UNIT, interval INTEGER, date DATE",
        "DATE",
        move |call| {
            let (value, distance) = (call.date(2), distance(call, sign));
            call.rows::<_, Date32Array>(|row| {
                let Some((days, distance)) = value.get(row).zip(distance(row)?) else { return Ok(None) };
                // Java's division truncates toward 1970.
                let moved = (i64::from(days) * DAY_MS + distance) / DAY_MS;
                i32::try_from(moved).map(Some).map_err(|_| Message::from("date out of range"))
            })
        },
    )
}

fn times(name: &'static str, description: &'static str, sign: i64) -> Function {
    Function::scalar(name, CATEGORY, description).overload(
        "unit UNIT, interval INTEGER, time TIME",
        "TIME",
        move |call| {
            let (value, distance) = (call.time(2), distance(call, sign));
            call.rows::<_, Time32MillisecondArray>(|row| {
                let Some((ms, distance)) = value.get(row).zip(distance(row)?) else { return Ok(None) };
                Ok(i32::try_from((i64::from(ms) + distance).rem_euclid(DAY_MS)).ok())
            })
        },
    )
}

fn convert(call: &mut Call<'_>) -> ArrayRef {
    let (timestamp, from, to) = (call.timestamp(0), call.text(1), call.text(2));
    let read = |text: &str| Zone::read(text).ok_or_else(|| Message::from(format!("Unknown time-zone ID: {text}")));
    call.rows::<_, TimestampMillisecondArray>(|row| {
        let (Some(ms), Some(from), Some(to)) = (timestamp.get(row), from.get(row), to.get(row)) else {
            return Ok(None);
        };
        let moment = DateTime::<Utc>::from_timestamp_millis(ms).ok_or(Message::from("timestamp out of range"))?;
        let shift = read(to)?.offset_at(moment) - read(from)?.offset_at(moment);
        Ok(Some(ms + i64::from(shift) * 1000))
    })
}
