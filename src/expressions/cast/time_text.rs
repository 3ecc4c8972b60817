//! Times, dates and timestamps as ISO text, with parts left out where ksql lets them be.

use chrono::{Datelike, NaiveDate};

use super::DAY_MS;

/// Days from year 1 to 1970.
const EPOCH_FROM_CE: i32 = 719_163;

/// Appends `2020-01-02T03:04:05.678`. The year is that of its era, as the pattern `yyyy` writes it.
pub(crate) fn push_timestamp(ms: i64, out: &mut String) {
    let (year, month, day) = civil(ms.div_euclid(DAY_MS));
    push_day(if year > 0 { year } else { 1 - year }, month, day, out);
    let in_day = ms.rem_euclid(DAY_MS);
    let (seconds, millis) = (in_day / 1000, in_day % 1000);
    out.push('T');
    push_two(seconds / 3600, out);
    out.push(':');
    push_two(seconds / 60 % 60, out);
    out.push(':');
    push_two(seconds % 60, out);
    out.push('.');
    push_digit(millis / 100, out);
    push_two(millis % 100, out);
}

/// Appends `2020-01-02`, as `LocalDate.toString` writes it: `-0001-12-31`, `+12345-01-01`.
pub(crate) fn push_date(days: i32, out: &mut String) {
    let (year, month, day) = civil(i64::from(days));
    push_day(year, month, day, out);
}

/// Appends `03:04` or `03:04:05`: seconds stand only where they are not zero, parts of them never.
pub(crate) fn push_time(ms: i32, out: &mut String) {
    let seconds = i64::from(ms / 1000);
    push_two(seconds / 3600, out);
    out.push(':');
    push_two(seconds / 60 % 60, out);
    if seconds % 60 != 0 {
        out.push(':');
        push_two(seconds % 60, out);
    }
}

/// `2020-01-02T03:04:05.678`
pub(crate) fn timestamp(ms: i64) -> String {
    let mut text = String::with_capacity(24);
    push_timestamp(ms, &mut text);
    text
}

/// `2020-01-02`
pub(crate) fn date(days: i32) -> String {
    let mut text = String::with_capacity(12);
    push_date(days, &mut text);
    text
}

/// `03:04` or `03:04:05`
pub(crate) fn time(ms: i32) -> String {
    let mut text = String::with_capacity(8);
    push_time(ms, &mut text);
    text
}

fn push_day(year: i64, month: i64, day: i64, out: &mut String) {
    if (0..=9999).contains(&year) {
        push_two(year / 100, out);
        push_two(year % 100, out);
    } else {
        out.push(if year < 0 { '-' } else { '+' });
        let digits = year.unsigned_abs().to_string();
        (digits.len()..4).for_each(|_| out.push('0'));
        out.push_str(&digits);
    }
    out.push('-');
    push_two(month, out);
    out.push('-');
    push_two(day, out);
}

/// Appends a number from 0 to 99 as two digits.
fn push_two(value: i64, out: &mut String) {
    push_digit(value / 10, out);
    push_digit(value % 10, out);
}

fn push_digit(digit: i64, out: &mut String) {
    out.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
}

/// Year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar, for any number of days that
/// milliseconds of 64 bits reach (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    // Eras of 400 years begin on the first of March, so that leap days come last.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Days since 1970-01-01 of a calendar day.
pub(crate) fn days_of(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_FROM_CE
}

/// `2020`, `2020-05`, `2020-05-26`, and the last with `T`, `T23`, `T23:59`, `T23:59:58`, `T23:59:58.123`, then `Z` or
/// an offset. Milliseconds since the epoch; what is missing is the first of its kind, the zone UTC.
pub(crate) fn read_timestamp(text: &str) -> Option<i64> {
    let Some((day, rest)) = text.split_once('T') else { return read_date(text).map(|days| i64::from(days) * DAY_MS) };
    if day.len() != 10 {
        return None;
    }
    let days = i64::from(read_date(day)?);
    let (clock, offset_minutes) = split_offset(rest)?;
    // As in Java, 24:00 is the end of the day.
    let is_end = clock.starts_with("24") && clock.bytes().skip(2).all(|byte| matches!(byte, b'0' | b':' | b'.'));
    let of_day = if is_end && clock.len() <= "24:00:00.000".len() { DAY_MS } else { read_clock(clock)? };
    Some(days * DAY_MS + of_day - offset_minutes * 60_000)
}

/// A time of day and the offset after it, in minutes: `Z`, `+02`, `+0200`, `+02:00`, at most 18 hours.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let Some(at) = text.find(['+', '-']) else { return Some((text, 0)) };
    let (clock, offset) = text.split_at(at);
    let (sign, rest) = offset.split_at(1);
    let (hours, minutes) = match rest.len() {
        2 => (number(rest, 2)?, 0),
        4 => (number(rest.get(..2)?, 2)?, number(rest.get(2..)?, 2)?),
        5 => (number(rest.get(..2)?, 2)?, number(rest.get(2..)?.strip_prefix(':')?, 2)?),
        _ => return None,
    };
    let total = hours * 60 + minutes;
    if minutes > 59 || total > 18 * 60 {
        return None;
    }
    Some((clock, if sign == "-" { -total } else { total }))
}

/// Milliseconds of a time of day. What is missing at its end is zeros, even within a number: `23:5` is `23:50`.
fn read_clock(text: &str) -> Option<i64> {
    const MIDNIGHT: &[u8; 12] = b"00:00:00.000";
    let mut whole = *MIDNIGHT;
    whole.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    let mut fields = [0_i64; 4];
    let mut field = 0;
    for (byte, shape) in whole.iter().zip(MIDNIGHT) {
        match (byte, shape) {
            (b'0'..=b'9', b'0') => fields[field] = fields[field] * 10 + i64::from(byte - b'0'),
            (mark, shape) if mark == shape => field += 1,
            _ => return None,
        }
    }
    let [hour, minute, second, millis] = fields;
    let clock = (hour * 3600 + minute * 60 + second) * 1000 + millis;
    // 24:00 is the midnight that ends the day.
    let is_good = minute < 60 && second < 60 && clock <= DAY_MS;
    is_good.then_some(clock)
}

/// `2020`, `2020-05` or `2020-05-26`, as days since the epoch.
pub(crate) fn read_date(text: &str) -> Option<i32> {
    let mut parts = text.splitn(3, '-');
    let year = i32::try_from(number(parts.next()?, 4)?).ok()?;
    let month = parts.next().map_or(Some(1), |part| number(part, 2))?;
    let day = parts.next().map_or(Some(1), |part| number(part, 2))?;
    NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?).map(days_of)
}

/// An ISO local time, as milliseconds of the day: `10:00`, `10:00:01`, `10:00:01.123`; up to nine digits may follow
/// the point.
pub(crate) fn read_time(text: &str) -> Option<i32> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let pointless = clock.len() == text.len();
    if !(clock.len() == 8 || clock.len() == 5 && pointless) || fraction.len() > 9 {
        return None;
    }
    let whole = read_clock(clock)?;
    let digits = fraction.bytes().take(3).chain(std::iter::repeat(b'0')).take(3);
    let millis = digits.fold(0, |sum, digit| sum * 10 + i64::from(digit.wrapping_sub(b'0')));
    let good = fraction.bytes().all(|digit| digit.is_ascii_digit());
    i32::try_from(whole + millis).ok().filter(|_| good && whole + millis < DAY_MS)
}

/// A number of exactly so many digits.
fn number(text: &str, length: usize) -> Option<i64> {
    let good = text.len() == length && text.bytes().all(|digit| digit.is_ascii_digit());
    good.then(|| text.bytes().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::{date, read_date, read_time, read_timestamp, time, timestamp};

    #[test]
    fn timestamps_may_end_early_and_have_a_zone() {
        for (text, expected) in [
            ("2020", "2020-01-01T00:00:00.000"),
            ("2020-05", "2020-05-01T00:00:00.000"),
            ("2020-05-26T", "2020-05-26T00:00:00.000"),
            ("2020-05-26T23", "2020-05-26T23:00:00.000"),
            ("2020-05-26T23:59:58.123", "2020-05-26T23:59:58.123"),
            ("2020-05-26T23:59:58.1", "2020-05-26T23:59:58.100"),
            ("2020-05-26T24", "2020-05-27T00:00:00.000"),
            ("2020-05-26T23:5", "2020-05-26T23:50:00.000"),
            ("2020-05-26T23:59:58Z", "2020-05-26T23:59:58.000"),
            ("2020-05-26T23:59+0200", "2020-05-26T21:59:00.000"),
            ("2019-01-01T00:00:00+04:45", "2018-12-31T19:15:00.000"),
        ] {
            assert_eq!(timestamp(read_timestamp(text).expect(text)), expected, "{text}");
        }
        for text in [
            "",
            "20",
            "2020-13",
            "x",
            "2020-05-26 10:00",
            "2020-05-26T25",
            "2020-05-26T24:00:00.001",
            "2020-5-6",
            "2020-05-26T1:02",
            "2020é",
            "2020-05-26T23:59:58.12x",
            "2020-05-26T23:59:58.1234",
            "2020-05-26T10:00+19:00",
        ] {
            assert_eq!(read_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn dates_and_times_read_back() {
        assert_eq!(read_date("1970-01-02"), Some(1));
        assert_eq!(read_time("10:00").map(time).as_deref(), Some("10:00"));
        assert_eq!(read_time("10:00:01.5"), Some(36_001_500));
        for text in ["1:00", "24:00", "10:60", "10:00:60", "10: 0", "10:00:0", "10:00.5", "é:00", "10:00:01.1234567891"]
        {
            assert_eq!(read_time(text), None, "{text}");
        }
        assert_eq!(time(36_001_500), "10:00:01");
    }

    #[test]
    fn years_of_any_length_are_written() {
        assert_eq!(date(i32::MIN), "-5877641-06-23");
        assert_eq!(date(i32::MAX), "+5881580-07-11");
        assert_eq!(date(-719_528), "0000-01-01");
        assert_eq!(date(-719_529), "-0001-12-31");
        assert_eq!(timestamp(i64::MAX), "+292278994-08-17T07:12:55.807");
        assert_eq!(timestamp(-62_167_219_200_001), "0002-12-31T23:59:59.999");
    }
}
