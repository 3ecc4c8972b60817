//! Times, dates and timestamps as ISO text, with parts left out where ksql lets them be.

use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};

use super::DAY_MS;

/// Days from year 1 to 1970.
const EPOCH_FROM_CE: i32 = 719_163;

/// `2020-01-02T03:04:05.678`
pub(crate) fn timestamp(ms: i64) -> String {
    let in_day = ms.rem_euclid(DAY_MS);
    let (seconds, millis) = (in_day / 1000, in_day % 1000);
    let day = day_text(ms.div_euclid(DAY_MS));
    format!("{day}T{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `2020-01-02`
pub(crate) fn date(days: i32) -> String {
    day_text(i64::from(days))
}

/// `03:04` or `03:04:05`: seconds stand only where they are not zero, parts of them never.
pub(crate) fn time(ms: i32) -> String {
    let seconds = ms / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if second == 0 { format!("{hour:02}:{minute:02}") } else { format!("{hour:02}:{minute:02}:{second:02}") }
}

fn day_text(days: i64) -> String {
    let day = i32::try_from(days)
        .ok()
        .and_then(|days| days.checked_add(EPOCH_FROM_CE))
        .and_then(NaiveDate::from_num_days_from_ce_opt);
    match day {
        Some(day) if (0..=9999).contains(&day.year()) => {
            format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day())
        }
        Some(day) => format!("{:+}-{:02}-{:02}", day.year(), day.month(), day.day()),
        None => format!("day {days}"),
    }
}

/// Days since 1970-01-01 of a calendar day.
pub(crate) fn days_of(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_FROM_CE
}

/// `2020`, `2020-05`, `2020-05-26`, then `T`, `T23`, `T23:59`, `T23:59:58`, `T23:59:58.123`, then `Z` or an offset.
/// Milliseconds since the epoch; what is missing is the first of its kind, the zone UTC.
pub(crate) fn read_timestamp(text: &str) -> Option<i64> {
    let (day, rest) = match text.split_once('T') {
        Some((day, rest)) => (day, Some(rest)),
        None => (text, None),
    };
    let days = i64::from(read_date(day)?);
    let (clock, offset_minutes) = match rest {
        None => ("", 0),
        Some(rest) => split_offset(rest)?,
    };
    Some(days * DAY_MS + read_clock(clock)? - i64::from(offset_minutes) * 60_000)
}

/// A time of day and the offset after it, in minutes.
fn split_offset(text: &str) -> Option<(&str, i32)> {
    if let Some(clock) = text.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let Some(at) = text.find(['+', '-']) else { return Some((text, 0)) };
    let (clock, offset) = text.split_at(at);
    let (sign, digits) = offset.split_at(1);
    let digits = digits.replace(':', "");
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !matches!(digits.len(), 2 | 4) {
        return None;
    }
    let hours: i32 = digits[..2].parse().ok()?;
    let minutes: i32 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    let total = hours * 60 + minutes;
    Some((clock, if sign == "-" { -total } else { total }))
}

/// Milliseconds of a time of day of which the end may be missing.
fn read_clock(text: &str) -> Option<i64> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, fraction),
        None => (text, ""),
    };
    let mut parts = [0_i64; 3];
    if !clock.is_empty() {
        let given: Vec<&str> = clock.split(':').collect();
        if given.len() > 3 || (!fraction.is_empty() && given.len() < 3) {
            return None;
        }
        for (part, text) in parts.iter_mut().zip(given) {
            *part = digits(text, 1..=2)?;
        }
    }
    let [hour, minute, second] = parts;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let millis = match fraction.len() {
        0 => 0,
        _ => digits(&format!("{fraction:0<3}").chars().take(3).collect::<String>(), 3..=3)?,
    };
    Some((hour * 3600 + minute * 60 + second) * 1000 + millis)
}

/// `2020`, `2020-05` or `2020-05-26`, as days since the epoch.
pub(crate) fn read_date(text: &str) -> Option<i32> {
    let mut parts = text.splitn(3, '-');
    let year = i32::try_from(digits(parts.next()?, 4..=4)?).ok()?;
    let month = parts.next().map_or(Some(1), |part| digits(part, 1..=2))?;
    let day = parts.next().map_or(Some(1), |part| digits(part, 1..=2))?;
    NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?).map(days_of)
}

/// An ISO local time, as milliseconds of the day: `10:00`, `10:00:01`, `10:00:01.123`.
pub(crate) fn read_time(text: &str) -> Option<i32> {
    let valid = text.len() >= 5 && text.as_bytes()[2] == b':';
    let time = if text.len() == 5 {
        NaiveTime::parse_from_str(text, "%H:%M").ok()?
    } else {
        NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok()?
    };
    let ms = i64::from(time.num_seconds_from_midnight()) * 1000 + i64::from(time.nanosecond() / 1_000_000);
    if valid { i32::try_from(ms).ok() } else { None }
}

fn digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<i64> {
    if !lengths.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{read_date, read_time, read_timestamp, time, timestamp};

    #[test]
    fn timestamps_may_end_early_and_have_a_zone() {
        for (text, expected) in [
            ("2020", "2020-01-01T00:00:00.000"),
            ("2020-05", "2020-05-01T00:00:00.000"),
            ("2020-05-26T", "2020-05-26T00:00:00.000"),
            ("2020-05-26T23", "2020-05-26T23:00:00.000"),
            ("2020-05-26T23:59:58.123", "2020-05-26T23:59:58.123"),
            ("2020-05-26T23:59:58Z", "2020-05-26T23:59:58.000"),
            ("2020-05-26T23:59+0200", "2020-05-26T21:59:00.000"),
            ("2019-01-01T00:00:00+04:45", "2018-12-31T19:15:00.000"),
        ] {
            assert_eq!(timestamp(read_timestamp(text).expect(text)), expected, "{text}");
        }
        for text in ["", "20", "2020-13", "x", "2020-05-26 10:00", "2020-05-26T25"] {
            assert_eq!(read_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn dates_and_times_read_back() {
        assert_eq!(read_date("1970-01-02"), Some(1));
        assert_eq!(read_time("10:00").map(time).as_deref(), Some("10:00"));
        assert_eq!(read_time("10:00:01.5"), Some(36_001_500));
        assert_eq!(read_time("1:00"), None);
        assert_eq!(time(36_001_500), "10:00:01");
    }
}
