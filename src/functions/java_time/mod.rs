//! Java's date-time patterns (`java.time.format.DateTimeFormatter`): compiled once, then parse and format.
//!
//! Covered: the letters `G u y D M L d Q q Y w W E e c F a h K k H m s S A n N V z O X x Z p`, quoted text, optional
//! parts in brackets; texts and weeks are those of the United States, whose weeks begin on Sunday. Not covered: full names
//! of zones (`zzzz` writes the short one), `g`, `v` and `B`.
//!
//! Where parts of a moment are missing from the text they are those of 1970-01-01T00:00.
//!
//! Reading order: this file, [`pattern`], [`parse`], [`format`], [`zone`].

mod format;
mod parse;
mod pattern;
mod zone;

use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};

pub use pattern::PatternError;
pub use zone::Zone;

use parse::Parsed;
use pattern::Item;

/// How strictly texts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// As `DateTimeFormatter`, letter case aside: every width as the pattern says, nothing left over.
    Strict,
    /// As `SimpleDateFormat`: numbers of any width, what stands behind is ignored.
    Lenient,
}

/// A compiled date-time pattern.
#[derive(Debug, Clone)]
pub struct JavaPattern {
    items: Vec<Item>,
    reading: Reading,
}

/// Nanoseconds of a millisecond.
const MILLI_NANOS: u32 = 1_000_000;

impl JavaPattern {
    /// Compiles a pattern for strict reading.
    ///
    /// # Errors
    /// A letter that is reserved or not covered, too many of one letter, an open quote or bracket.
    pub fn compile(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self { items: pattern::compile(pattern)?, reading: Reading::Strict })
    }

    /// Compiles a pattern for lenient reading.
    ///
    /// # Errors
    /// As [`JavaPattern::compile`].
    pub fn compile_lenient(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self { items: pattern::compile(pattern)?, reading: Reading::Lenient })
    }

    /// Reads a moment, in milliseconds since 1970-01-01T00:00Z. A zone in the text beats `zone`.
    ///
    /// # Errors
    /// A sentence that tells what was expected where.
    pub fn parse_millis(&self, text: &str, zone: Zone) -> Result<i64, String> {
        let parsed = self.read(text)?;
        let local = parsed.date()?.and_time(parsed.time()?);
        parsed.zone.unwrap_or(zone).instant(local).ok_or_else(|| format!("Text '{text}' is out of range"))
    }

    /// Reads a day, in days since 1970-01-01.
    ///
    /// # Errors
    /// As [`JavaPattern::parse_millis`]; also if the text has a time of day that is not midnight.
    pub fn parse_days(&self, text: &str) -> Result<i32, String> {
        let parsed = self.read(text)?;
        if parsed.time()? != NaiveTime::MIN {
            return Err(format!("Date format contains time field: '{text}'"));
        }
        Ok(days(parsed.date()?))
    }

    /// Reads a day of which year, month and day must all stand in the text, in days since 1970-01-01.
    ///
    /// # Errors
    /// As [`JavaPattern::parse_millis`].
    pub fn parse_full_days(&self, text: &str) -> Result<i32, String> {
        let parsed = self.read(text)?;
        if !parsed.has_full_date() {
            return Err(format!("Text '{text}' could not be parsed: Unable to obtain LocalDate"));
        }
        Ok(days(parsed.date()?))
    }

    /// Reads a time of day, in milliseconds.
    ///
    /// # Errors
    /// As [`JavaPattern::parse_millis`]; also if the pattern holds parts of a date, or no hour.
    pub fn parse_time_millis(&self, text: &str) -> Result<i32, String> {
        let parsed = self.read(text)?;
        if parsed.has_date() {
            return Err(format!("Time format contains date field: '{text}'"));
        }
        let time = parsed.time()?;
        let millis = time.num_seconds_from_midnight() * 1000 + time.nanosecond() / MILLI_NANOS;
        i32::try_from(millis).map_err(|_| format!("Text '{text}' is out of range"))
    }

    /// Appends a moment as it is in a zone; after an error what was appended means nothing.
    ///
    /// # Errors
    /// The moment is out of range.
    pub fn format_millis(&self, ms: i64, zone: Zone, out: &mut String) -> Result<(), String> {
        let (local, offset) = zone.local(ms).ok_or_else(|| format!("{ms} ms is out of range"))?;
        format::write(&self.items, Some(local.date()), Some(local.time()), Some((zone, offset, ms)), out)
    }

    /// Appends a day; after an error what was appended means nothing.
    ///
    /// # Errors
    /// The pattern holds a time of day or a zone, or the day is out of range.
    pub fn format_days(&self, days: i32, out: &mut String) -> Result<(), String> {
        let date = days
            .checked_add(EPOCH_FROM_CE)
            .and_then(NaiveDate::from_num_days_from_ce_opt)
            .ok_or_else(|| format!("day {days} is out of range"))?;
        format::write(&self.items, Some(date), None, None, out)
    }

    /// Appends a time of day in milliseconds; after an error what was appended means nothing.
    ///
    /// # Errors
    /// The pattern holds a date or a zone.
    pub fn format_time_millis(&self, ms: i32, out: &mut String) -> Result<(), String> {
        let time = u32::try_from(ms)
            .ok()
            .and_then(|ms| NaiveTime::from_num_seconds_from_midnight_opt(ms / 1000, ms % 1000 * MILLI_NANOS))
            .ok_or_else(|| format!("{ms} ms is no time of day"))?;
        format::write(&self.items, None, Some(time), None, out)
    }

    fn read(&self, text: &str) -> Result<Parsed, String> {
        parse::read(&self.items, text, self.reading)
    }
}

/// Days from year 1 to 1970.
const EPOCH_FROM_CE: i32 = 719_163;

fn days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_FROM_CE
}

#[cfg(test)]
mod tests;
