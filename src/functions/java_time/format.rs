//! Dates and times to text by a pattern.

use std::fmt::Write;

use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};

use super::pattern::{Field, Item, Minutes, Width};
use super::zone::{Zone, push_offset};

/// English names of months.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// English names of days, Monday first.
pub(super) const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Appends the items; the zone comes with its offset in seconds and the moment in milliseconds.
pub(super) fn write(
    items: &[Item],
    date: Option<NaiveDate>,
    time: Option<NaiveTime>,
    zone: Option<(Zone, i32, i64)>,
    out: &mut String,
) -> Result<(), String> {
    items.iter().try_for_each(|item| one(item, date, time, zone, out))
}

fn one(
    item: &Item,
    date: Option<NaiveDate>,
    time: Option<NaiveTime>,
    zone: Option<(Zone, i32, i64)>,
    out: &mut String,
) -> Result<(), String> {
    let day = || date.ok_or_else(|| "Unsupported field: a part of a date".to_owned());
    let clock = || time.ok_or_else(|| "Unsupported field: a part of a time of day".to_owned());
    let place = || zone.ok_or_else(|| "Unable to extract ZoneId from temporal".to_owned());
    match item {
        Item::Text(text) => out.push_str(text),
        Item::Number { field, min, max } => number(value(*field, day, clock)?, *min, *max, out),
        Item::ReducedYear { of_weeks } => {
            let year = if *of_weeks { week_of_year(day()?).0 } else { day()?.year() };
            number(i64::from(year.rem_euclid(100)), 2, 2, out);
        }
        Item::Fraction(n) => {
            let mut unit = 1_000_000_000;
            let nanos = clock()?.nanosecond() % unit;
            for _ in 0..(*n).min(9) {
                unit /= 10;
                out.push(char::from(b'0' + u8::try_from(nanos / unit % 10).unwrap_or(0)));
            }
        }
        Item::Month(width) => out.push_str(name(&MONTHS, day()?.month0(), *width)),
        Item::Weekday(width) => out.push_str(name(&WEEKDAYS, day()?.weekday().num_days_from_monday(), *width)),
        Item::AmPm => out.push_str(if clock()?.hour() < 12 { "AM" } else { "PM" }),
        Item::Era(width) => out.push_str(match (day()?.year() > 0, width) {
            (true, Width::Short) => "AD",
            (true, Width::Full) => "Anno Domini",
            (true, Width::Narrow) => "A",
            (false, Width::Short) => "BC",
            (false, Width::Full) => "Before Christ",
            (false, Width::Narrow) => "B",
        }),
        Item::QuarterText { full } => {
            let quarter = day()?.month0() / 3;
            if *full {
                out.push_str(["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"][quarter as usize % 4]);
            } else {
                out.push_str(["Q1", "Q2", "Q3", "Q4"][quarter as usize % 4]);
            }
        }
        Item::ZoneId => out.push_str(&place()?.0.id()),
        Item::ZoneName { .. } => {
            let (zone, _, ms) = place()?;
            out.push_str(&zone.short_name(ms));
        }
        Item::Offset(style) => {
            let (_, offset, _) = place()?;
            let parts = match style.minutes {
                _ if style.seconds && offset % 60 != 0 => 3,
                Minutes::IfAny if offset / 60 % 60 == 0 => 1,
                _ => 2,
            };
            if offset == 0 { out.push_str(style.zero) } else { push_offset(offset, style.colon, parts, out) }
        }
        Item::LocalizedOffset { full } => {
            let (_, offset, _) = place()?;
            out.push_str("GMT");
            let (minutes, seconds) = (offset.abs() / 60 % 60, offset.abs() % 60);
            if offset != 0 && *full {
                push_offset(offset, true, if seconds == 0 { 2 } else { 3 }, out);
            } else if offset != 0 {
                let sign = if offset < 0 { '-' } else { '+' };
                let hours = offset.abs() / 3600;
                // Writing to a String cannot fail.
                let _ = match (minutes, seconds) {
                    (0, 0) => write!(out, "{sign}{hours}"),
                    (_, 0) => write!(out, "{sign}{hours}:{minutes:02}"),
                    _ => write!(out, "{sign}{hours}:{minutes:02}:{seconds:02}"),
                };
            }
        }
        Item::Padded(width, item) => {
            let mut text = String::new();
            one(item, date, time, zone, &mut text)?;
            let missing = width.checked_sub(text.chars().count());
            let missing =
                missing.ok_or_else(|| format!("Cannot print as output of {text} exceeds pad width of {width}"))?;
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(&text);
        }
        Item::Optional(part) => {
            // A part that cannot be written is left out.
            let before = out.len();
            if write(part, date, time, zone, out).is_err() {
                out.truncate(before);
            }
        }
    }
    Ok(())
}

fn value(
    field: Field,
    day: impl Fn() -> Result<NaiveDate, String>,
    clock: impl Fn() -> Result<NaiveTime, String>,
) -> Result<i64, String> {
    Ok(match field {
        Field::Year => i64::from(day()?.year()),
        Field::YearOfEra => {
            let year = i64::from(day()?.year());
            if year > 0 { year } else { 1 - year }
        }
        Field::Month => i64::from(day()?.month()),
        Field::Day => i64::from(day()?.day()),
        Field::DayOfYear => i64::from(day()?.ordinal()),
        Field::Quarter => i64::from(day()?.month0() / 3 + 1),
        Field::WeekBasedYear => i64::from(week_of_year(day()?).0),
        Field::WeekOfYear => week_of_year(day()?).1,
        Field::WeekOfMonth => {
            let day = day()?;
            let first = day.with_day(1).unwrap_or(day);
            i64::from((day.day0() + first.weekday().num_days_from_sunday()) / 7 + 1)
        }
        Field::DayOfWeek => i64::from(day()?.weekday().number_from_sunday()),
        Field::AlignedDay => i64::from(day()?.day0() % 7 + 1),
        Field::Hour => i64::from(clock()?.hour()),
        Field::Hour1To24 => i64::from((clock()?.hour() + 23) % 24 + 1),
        Field::HourOfHalf => i64::from(clock()?.hour() % 12),
        Field::Hour1To12 => i64::from((clock()?.hour() + 11) % 12 + 1),
        Field::Minute => i64::from(clock()?.minute()),
        Field::Second => i64::from(clock()?.second()),
        Field::Nano => i64::from(clock()?.nanosecond()),
        Field::MilliOfDay => {
            let time = clock()?;
            i64::from(time.num_seconds_from_midnight()) * 1000 + i64::from(time.nanosecond() / 1_000_000)
        }
        Field::NanoOfDay => {
            let time = clock()?;
            i64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + i64::from(time.nanosecond())
        }
    })
}

/// A number padded to its least width; one that exceeds a year's width of four has a sign.
fn number(value: i64, min: usize, max: usize, out: &mut String) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs());
    if value < 0 {
        out.push('-');
    } else if min >= 4 && max > min && digits.len() > min {
        out.push('+');
    }
    (digits.len()..min).for_each(|_| out.push('0'));
    out.push_str(digits);
}

fn name<'a>(names: &[&'a str], i: u32, width: Width) -> &'a str {
    let name = names[i as usize % names.len()];
    match width {
        Width::Full => name,
        Width::Short => &name[..3],
        Width::Narrow => &name[..1],
    }
}

/// The first day of a year of whole weeks: the Sunday at or before its first of January.
pub(super) fn first_week(year: i32) -> Option<NaiveDate> {
    let first = NaiveDate::from_ymd_opt(year, 1, 1)?;
    first.checked_sub_days(chrono::Days::new(u64::from(first.weekday().num_days_from_sunday())))
}

/// The year of whole weeks that a day is in, and the week.
fn week_of_year(day: NaiveDate) -> (i32, i64) {
    let next = first_week(day.year() + 1).filter(|start| day >= *start);
    let year = if next.is_some() { day.year() + 1 } else { day.year() };
    let start = next.or_else(|| first_week(year)).unwrap_or(day);
    (year, day.signed_duration_since(start).num_days() / 7 + 1)
}
