//! Zones by name or offset, and moments in them.

use std::str::FromStr;

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// A time zone: rules by name, or a fixed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// Seconds east of Greenwich.
    Fixed(i32),
    /// The same, written behind this name: `UTC`, `GMT+01:00`.
    Prefixed(&'static str, i32),
    /// Rules of a region.
    Named(Tz),
}

impl Zone {
    /// Greenwich, called UTC.
    pub const UTC: Self = Self::Prefixed("UTC", 0);
    /// Greenwich, called GMT.
    pub const GMT: Self = Self::Prefixed("GMT", 0);

    /// Reads what `java.time.ZoneId.of` reads: `UTC`, `Z`, `+01:00`, `GMT+1`, `Europe/Paris`. Case matters.
    pub fn read(text: &str) -> Option<Self> {
        if text == "Z" {
            return Some(Self::Fixed(0));
        }
        for prefix in ["UTC", "GMT", "UT"] {
            match text.strip_prefix(prefix) {
                Some("") => return Some(Self::Prefixed(prefix, 0)),
                Some(rest) if rest.starts_with(['+', '-']) => {
                    return read_offset(rest).map(|seconds| Self::Prefixed(prefix, seconds));
                }
                _ => {}
            }
        }
        if text.starts_with(['+', '-']) {
            return read_offset(text).map(Self::Fixed);
        }
        Tz::from_str(text).ok().map(Self::Named)
    }

    /// The zone that a short English name means: `PST`, `CEST`, `UTC`.
    pub(super) fn by_short_name(text: &str) -> Option<Self> {
        let region = match text.to_ascii_uppercase().as_str() {
            "UTC" | "GMT" | "Z" | "UT" => return Some(Self::UTC),
            "PST" | "PDT" | "PT" => "America/Los_Angeles",
            "MST" | "MDT" | "MT" => "America/Denver",
            "CST" | "CDT" | "CT" => "America/Chicago",
            "EST" | "EDT" | "ET" => "America/New_York",
            "CET" | "CEST" => "Europe/Paris",
            "EET" | "EEST" => "Europe/Bucharest",
            "WET" | "WEST" => "Europe/Lisbon",
            "BST" => "Europe/London",
            "MSK" => "Europe/Moscow",
            "IST" => "Asia/Kolkata",
            "JST" => "Asia/Tokyo",
            _ => return None,
        };
        Tz::from_str(region).ok().map(Self::Named)
    }

    /// Local date and time of a moment, and the offset then, in seconds east.
    pub(super) fn local(self, ms: i64) -> Option<(NaiveDateTime, i32)> {
        let moment = DateTime::<Utc>::from_timestamp_millis(ms)?;
        let offset = self.offset_at(moment);
        Some((moment.naive_utc().checked_add_signed(TimeDelta::seconds(i64::from(offset)))?, offset))
    }

    /// Seconds east of Greenwich at a moment.
    pub(crate) fn offset_at(self, moment: DateTime<Utc>) -> i32 {
        match self {
            Self::Fixed(seconds) | Self::Prefixed(_, seconds) => seconds,
            Self::Named(zone) => zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc(),
        }
    }

    /// The moment of a local date and time, in milliseconds: of two the earlier; in a gap, as late after its start.
    pub(super) fn instant(self, local: NaiveDateTime) -> Option<i64> {
        let offset = match self {
            Self::Fixed(seconds) | Self::Prefixed(_, seconds) => seconds,
            Self::Named(zone) => match zone.offset_from_local_datetime(&local) {
                LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => offset.fix().local_minus_utc(),
                // The offset before the gap carries the time over it.
                LocalResult::None => [3, 30].into_iter().find_map(|hours| {
                    // Few gaps are longer than an hour, but places at the date line have left out whole days.
                    let before = local.checked_sub_signed(TimeDelta::hours(hours))?;
                    Some(zone.offset_from_local_datetime(&before).latest()?.fix().local_minus_utc())
                })?,
            },
        };
        Some(local.checked_sub_signed(TimeDelta::seconds(i64::from(offset)))?.and_utc().timestamp_millis())
    }

    /// The name of its rules, or the offset.
    pub(super) fn id(self) -> String {
        match self {
            Self::Fixed(0) => "Z".to_owned(),
            Self::Fixed(seconds) | Self::Prefixed(_, seconds) => {
                let mut text = if let Self::Prefixed(prefix, _) = self { prefix.to_owned() } else { String::new() };
                if seconds != 0 {
                    push_offset(seconds, true, if seconds % 60 == 0 { 2 } else { 3 }, &mut text);
                }
                text
            }
            Self::Named(zone) => zone.name().to_owned(),
        }
    }

    /// The short English name at a moment: `PDT`.
    pub(super) fn short_name(self, ms: i64) -> String {
        match (self, DateTime::<Utc>::from_timestamp_millis(ms)) {
            (Self::Named(zone), Some(moment)) => {
                let abbreviation = moment.with_timezone(&zone).format("%Z").to_string();
                if abbreviation.starts_with(['+', '-']) { zone.name().to_owned() } else { abbreviation }
            }
            (other, _) => other.id(),
        }
    }
}

/// Appends `+01`, `+0130` or `+01:30`, or with seconds `+01:30:15`.
pub(super) fn push_offset(seconds: i32, colon: bool, parts: usize, out: &mut String) {
    out.push(if seconds < 0 { '-' } else { '+' });
    let seconds = seconds.unsigned_abs();
    for (i, part) in [seconds / 3600, seconds / 60 % 60, seconds % 60].into_iter().take(parts).enumerate() {
        if i > 0 && colon {
            out.push(':');
        }
        out.push(char::from(b'0' + u8::try_from(part / 10).unwrap_or(0)));
        out.push(char::from(b'0' + u8::try_from(part % 10).unwrap_or(0)));
    }
}

/// `+1`, `+01`, `+0130`, `+01:30`, `+01:30:15` as seconds.
fn read_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |text| text.parse::<i32>().ok());
    let (hours, minutes, seconds) = match digits.len() {
        1 | 2 => (digits.parse().ok()?, 0, 0),
        4 => (part(0, 2)?, part(2, 4)?, 0),
        6 => (part(0, 2)?, part(2, 4)?, part(4, 6)?),
        _ => return None,
    };
    (hours <= 18 && minutes < 60 && seconds < 60).then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}
