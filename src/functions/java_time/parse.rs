//! Text to fields by a pattern, and fields to dates and times.

use chrono::{Datelike, NaiveDate, NaiveTime};

use super::Reading;
use super::format::{MONTHS, WEEKDAYS, first_week};
use super::pattern::{Field, Item};
use super::zone::{Zone, read_offset};

/// The fields that a text gave.
#[derive(Debug, Clone, Default)]
pub(super) struct Parsed {
    fields: Vec<(Field, i64)>,
    reduced_year: Option<i64>,
    afternoon: Option<bool>,
    before_christ: bool,
    pub(super) zone: Option<Zone>,
}

impl Parsed {
    fn get(&self, field: Field) -> Option<i64> {
        self.fields.iter().find(|(known, _)| *known == field).map(|(_, value)| *value)
    }

    fn year(&self) -> Option<i64> {
        let of_era = self.get(Field::YearOfEra).map(|year| if self.before_christ { 1 - year } else { year });
        self.get(Field::Year).or(of_era).or(self.reduced_year)
    }

    /// True if some part of a date stood in the text.
    pub(super) fn has_date(&self) -> bool {
        let date = [Field::Month, Field::Day, Field::DayOfYear, Field::Quarter];
        self.year().is_some() || date.iter().any(|field| self.get(*field).is_some())
    }

    /// True if the text tells a day.
    pub(super) fn has_full_date(&self) -> bool {
        let in_month = self.get(Field::Month).is_some() && self.get(Field::Day).is_some();
        self.year().is_some() && (in_month || self.get(Field::DayOfYear).is_some())
    }

    /// The date, with missing parts those of 1970-01-01.
    pub(super) fn date(&self) -> Result<NaiveDate, String> {
        let bad = |what: &str, value: i64| format!("Invalid value for {what}: {value}");
        let year = self.year().unwrap_or(1970);
        let year = i32::try_from(year).map_err(|_| bad("Year", year))?;
        if let Some(day) = self.get(Field::DayOfYear) {
            if day == 366 && self.year().is_none() {
                return Err("Leap day cannot be parsed without supplying the year field".to_owned());
            }
            let ordinal = u32::try_from(day).map_err(|_| bad("DayOfYear", day))?;
            return NaiveDate::from_yo_opt(year, ordinal).ok_or_else(|| bad("DayOfYear", day));
        }
        if let Some(day) = self.by_week() {
            return Ok(day);
        }
        let quarter_month = self.get(Field::Quarter).map(|quarter| (quarter - 1) * 3 + 1);
        let month = self.get(Field::Month).or(quarter_month).unwrap_or(1);
        let day = self.get(Field::Day).unwrap_or(1);
        if !(1..=12).contains(&month) {
            return Err(bad("MonthOfYear (valid values 1 - 12)", month));
        }
        if !(1..=31).contains(&day) {
            return Err(bad("DayOfMonth (valid values 1 - 28/31)", day));
        }
        let month = u32::try_from(month).map_err(|_| bad("MonthOfYear", month))?;
        let first = NaiveDate::from_ymd_opt(year, month, 1).ok_or_else(|| bad("Year", i64::from(year)))?;
        // A day past the end of its month is the month's last, as with SMART resolution.
        let length = first.num_days_in_month();
        let day = u32::try_from(day).unwrap_or(1).min(u32::from(length));
        first.with_day(day).ok_or_else(|| bad("DayOfMonth", i64::from(day)))
    }

    /// The day, if the text tells a year of whole weeks, a week and a day of it.
    fn by_week(&self) -> Option<NaiveDate> {
        let year = i32::try_from(self.get(Field::WeekBasedYear)?).ok()?;
        let (week, day) = (self.get(Field::WeekOfYear)?, self.get(Field::DayOfWeek)?);
        let days = u64::try_from((week - 1) * 7 + day - 1).ok()?;
        first_week(year)?.checked_add_days(chrono::Days::new(days))
    }

    /// The time of day, with missing parts zero.
    pub(super) fn time(&self) -> Result<NaiveTime, String> {
        let bad = |what: &str, value: i64| format!("Invalid value for {what}: {value}");
        let nanos_of_day = self.get(Field::NanoOfDay).or(self.get(Field::MilliOfDay).map(|ms| ms * 1_000_000));
        if let Some(nanos) = nanos_of_day {
            return u32::try_from(nanos / 1_000_000_000)
                .ok()
                .zip(u32::try_from(nanos % 1_000_000_000).ok())
                .and_then(|(seconds, nanos)| NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos))
                .ok_or_else(|| bad("NanoOfDay", nanos));
        }
        let of_half = self.get(Field::HourOfHalf).or(self.get(Field::Hour1To12).map(|hour| hour % 12));
        let half = of_half.map(|hour| if self.afternoon == Some(true) { hour + 12 } else { hour });
        let hour = self
            .get(Field::Hour)
            .or(self.get(Field::Hour1To24).map(|hour| hour % 24))
            .or(half)
            .unwrap_or(if self.afternoon == Some(true) { 12 } else { 0 });
        let minute = self.get(Field::Minute).unwrap_or(0);
        let second = self.get(Field::Second).unwrap_or(0);
        let nano = self.get(Field::Nano).unwrap_or(0);
        let part = |what: &str, value: i64| u32::try_from(value).map_err(|_| bad(what, value));
        NaiveTime::from_hms_nano_opt(
            part("HourOfDay", hour)?,
            part("MinuteOfHour", minute)?,
            part("SecondOfMinute", second)?,
            part("NanoOfSecond", nano)?,
        )
        .ok_or_else(|| format!("Invalid time of day: {hour}:{minute}:{second}"))
    }
}

/// Reads a whole text.
pub(super) fn read(items: &[Item], text: &str, reading: Reading) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut reader = Reader { text, at: 0, reading };
    reader.items(items, &mut parsed).map_err(|at| format!("Text '{text}' could not be parsed at index {at}"))?;
    if reader.at < text.len() && reading == Reading::Strict {
        return Err(format!("Text '{text}' could not be parsed, unparsed text found at index {}", reader.at));
    }
    Ok(parsed)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    reading: Reading,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Reads items in order; the error is the place that did not fit.
    fn items(&mut self, items: &[Item], parsed: &mut Parsed) -> Result<(), usize> {
        for (i, item) in items.iter().enumerate() {
            match item {
                Item::Optional(part) => {
                    let (before, kept) = (self.at, parsed.clone());
                    if self.items(part, parsed).is_err() {
                        self.at = before;
                        *parsed = kept;
                    }
                }
                Item::Padded(width, item) => {
                    let start = self.at;
                    let blanks = self.rest().len() - self.rest().trim_start_matches(' ').len();
                    self.at += blanks.min(*width);
                    self.items(std::slice::from_ref(item), parsed)?;
                    if self.at - start != *width {
                        return Err(start);
                    }
                }
                Item::Number { .. } | Item::ReducedYear { .. } | Item::Fraction(_) => {
                    self.number(item, reserved(&items[i + 1..]), parsed)?;
                }
                other => self.word(other, parsed)?,
            }
        }
        Ok(())
    }

    /// Reads digits, leaving `reserved` of them to the fixed widths that follow.
    fn number(&mut self, item: &Item, reserved: Option<usize>, parsed: &mut Parsed) -> Result<(), usize> {
        let failed = Err(self.at);
        let (negative, start) = match (item, self.rest().as_bytes().first()) {
            (Item::Number { max, .. }, Some(b'-')) if *max > 3 => (true, self.at + 1),
            (Item::Number { field: Field::Year | Field::YearOfEra, .. }, Some(b'+')) => (false, self.at + 1),
            _ => (false, self.at),
        };
        let signed = start > self.at;
        let available = self.text[start..].bytes().take_while(u8::is_ascii_digit).count();
        let lenient = self.reading == Reading::Lenient;
        let (min, max) = match item {
            Item::Number { min, max, .. } if lenient && reserved.is_none() => (1.min(*min), (*max).max(18)),
            Item::Number { min, .. } if lenient => (*min, *min),
            Item::Number { min, max, .. } => (*min, *max),
            Item::ReducedYear { .. } if lenient && reserved.is_none() => (1, 18),
            Item::ReducedYear { .. } => (2, 2),
            Item::Fraction(_) if lenient && reserved.is_none() => (1, 9),
            Item::Fraction(n) => (*n, *n),
            _ => return failed,
        };
        let width =
            if max > min { available.saturating_sub(reserved.unwrap_or(0)).clamp(0, max) } else { available.min(max) };
        if width < min || width == 0 {
            return failed;
        }
        let digits = &self.text[start..start + width];
        let mut value: i64 = digits.parse().map_err(|_| self.at)?;
        match item {
            Item::Number { field, min, .. } => {
                // More digits than the pattern shows need a sign before a year.
                let is_year = matches!(field, Field::Year | Field::YearOfEra);
                if is_year && !lenient && *min >= 4 && width > *min && !signed {
                    return failed;
                }
                if negative {
                    value = -value;
                }
                parsed.fields.push((*field, value));
            }
            Item::ReducedYear { of_weeks } => {
                let year = if width == 2 { self.two_digit_year(value) } else { value };
                if *of_weeks {
                    parsed.fields.push((Field::WeekBasedYear, year));
                } else {
                    parsed.reduced_year = Some(year);
                }
            }
            // `SimpleDateFormat` reads milliseconds, whatever the width.
            Item::Fraction(_) if lenient => parsed.fields.push((Field::Nano, value * 1_000_000)),
            _ => {
                let missing = u32::try_from(9 - width).map_err(|_| self.at)?;
                parsed.fields.push((Field::Nano, value * 10_i64.pow(missing)));
            }
        }
        self.at = start + width;
        Ok(())
    }

    /// Two digits mean 2000 to 2099; leniently, a year from 80 before to 20 after now, for which 2025 stands.
    fn two_digit_year(&self, value: i64) -> i64 {
        if self.reading == Reading::Lenient && value > 45 { 1900 + value } else { 2000 + value }
    }

    fn word(&mut self, item: &Item, parsed: &mut Parsed) -> Result<(), usize> {
        let at = self.at;
        match item {
            Item::Text(text) => self.take(text).then_some(()).ok_or(at)?,
            Item::Month(_) => {
                let month = self.one_of(&MONTHS).ok_or(at)?;
                parsed.fields.push((Field::Month, month + 1));
            }
            Item::Weekday(_) => {
                let day = self.one_of(&WEEKDAYS).ok_or(at)?;
                parsed.fields.push((Field::DayOfWeek, (day + 1) % 7 + 1));
            }
            Item::AmPm => parsed.afternoon = Some(self.one_of(&["AM", "PM"]).ok_or(at)? == 1),
            Item::Era(_) => {
                parsed.before_christ = match self.one_of(&["Before Christ", "Anno Domini"]) {
                    Some(era) => era == 0,
                    None if self.take("BC") => true,
                    None if self.take("AD") => false,
                    None => return Err(at),
                }
            }
            Item::QuarterText { .. } => {
                let short = self.one_of(&["Q1", "Q2", "Q3", "Q4"]);
                let quarter =
                    short.or_else(|| self.one_of(&["1st quarter", "2nd quarter", "3rd quarter", "4th quarter"]));
                parsed.fields.push((Field::Quarter, quarter.ok_or(at)? + 1));
            }
            Item::ZoneId | Item::ZoneName { .. } => parsed.zone = Some(self.zone(item).ok_or(at)?),
            Item::Offset(style) => {
                if style.zero == "Z" && self.take("Z") {
                    parsed.zone = Some(Zone::UTC);
                    return Ok(());
                }
                parsed.zone = Some(Zone::Fixed(self.offset(style.colon).ok_or(at)?));
            }
            Item::LocalizedOffset { .. } => {
                if !self.take("GMT") {
                    return Err(at);
                }
                parsed.zone = Some(Zone::Fixed(self.offset(true).unwrap_or(0)));
            }
            _ => return Err(at),
        }
        Ok(())
    }

    /// Takes a text if it comes next, letter case aside.
    fn take(&mut self, text: &str) -> bool {
        let next = self.rest().get(..text.len());
        let fits = next.is_some_and(|next| next.eq_ignore_ascii_case(text));
        if fits {
            self.at += text.len();
        }
        fits
    }

    /// Takes one of these names, or its first three letters.
    fn one_of(&mut self, names: &[&str]) -> Option<i64> {
        for (i, name) in names.iter().enumerate() {
            if self.take(name) {
                return i64::try_from(i).ok();
            }
        }
        for (i, name) in names.iter().enumerate() {
            if name.len() > 3 && self.take(&name[..3]) {
                return i64::try_from(i).ok();
            }
        }
        None
    }

    fn zone(&mut self, item: &Item) -> Option<Zone> {
        let length = self
            .rest()
            .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '/' | '_' | '+' | '-' | ':'))
            .unwrap_or(self.rest().len());
        let mut name = self.rest()[..length].to_owned();
        // The longest beginning that names a zone.
        while !name.is_empty() {
            let by_name = if matches!(item, Item::ZoneName { .. }) { Zone::by_short_name(&name) } else { None };
            if let Some(zone) = by_name.or_else(|| Zone::read(&name)) {
                self.at += name.len();
                return Some(zone);
            }
            name.pop();
        }
        None
    }

    fn offset(&mut self, colon: bool) -> Option<i32> {
        let rest = self.rest();
        if !rest.starts_with(['+', '-']) {
            return None;
        }
        let length = 1 + rest[1..].find(|c: char| !(c.is_ascii_digit() || colon && c == ':')).unwrap_or(rest.len() - 1);
        let offset = read_offset(&rest[..length])?;
        self.at += length;
        Some(offset)
    }
}

/// How many digits the numbers of fixed width that follow at once take; `None` if no number follows.
fn reserved(items: &[Item]) -> Option<usize> {
    let mut total = None;
    for item in items {
        let width = match item {
            Item::Number { min, max, .. } if min == max => *min,
            Item::ReducedYear { .. } => 2,
            Item::Fraction(n) => *n,
            Item::Number { .. } => return total.or(Some(0)),
            _ => break,
        };
        total = Some(total.unwrap_or(0) + width);
    }
    total
}
