//! Text to fields by a pattern, and fields to dates and times.

use chrono::{Datelike, NaiveDate, NaiveTime};

use super::Reading;
use super::format::{MONTHS, WEEKDAYS, first_week};
use super::pattern::{Field, Item, Minutes, OffsetStyle};
use super::zone::Zone;

/// The fields that a text gave.
#[derive(Debug, Clone, Default)]
pub(super) struct Parsed {
    fields: [Option<i64>; Field::COUNT],
    /// True if the day of the week must be that of the date.
    strict: bool,
    reduced_year: Option<i64>,
    afternoon: Option<bool>,
    before_christ: bool,
    pub(super) zone: Option<Zone>,
}

impl Parsed {
    fn get(&self, field: Field) -> Option<i64> {
        self.fields[field as usize]
    }

    /// Takes a field in. Strictly read it must be the same wherever it stands; leniently the last counts.
    fn set(&mut self, field: Field, value: i64, reading: Reading, at: usize) -> Result<(), usize> {
        let known = self.fields[field as usize].replace(value);
        if reading == Reading::Strict && known.is_some_and(|known| known != value) { Err(at) } else { Ok(()) }
    }

    fn year(&self) -> Option<i64> {
        let of_era =
            self.get(Field::YearOfEra).map(|year| if self.before_christ { 1_i64.saturating_sub(year) } else { year });
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

    /// The date, with missing parts those of 1970-01-01; 24:00 is of the day after.
    pub(super) fn date(&self) -> Result<NaiveDate, String> {
        let date = self.named_date()?;
        if self.is_end_of_day() { date.succ_opt().ok_or_else(|| "out of range".to_owned()) } else { Ok(date) }
    }

    /// True of 24:00.
    fn is_end_of_day(&self) -> bool {
        let rest = [Field::Minute, Field::Second, Field::Nano];
        self.get(Field::Hour) == Some(24) && rest.iter().all(|field| self.get(*field).unwrap_or(0) == 0)
    }

    fn named_date(&self) -> Result<NaiveDate, String> {
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
        let quarter_month =
            self.get(Field::Quarter).map(|quarter| quarter.saturating_sub(1).saturating_mul(3).saturating_add(1));
        let month = self.get(Field::Month).or(quarter_month).unwrap_or(1);
        let day = self.get(Field::Day).unwrap_or(1);
        if !self.strict {
            return rolled_over(year, month, day).ok_or_else(|| bad("Date", day));
        }
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
        let date = first.with_day(day).ok_or_else(|| bad("DayOfMonth", i64::from(day)))?;
        let weekday = i64::from(date.weekday().number_from_sunday());
        match self.get(Field::DayOfWeek) {
            Some(given) if given != weekday && self.strict && self.has_full_date() => {
                Err(format!("Conflict found: day {weekday} of the week differs from day {given}"))
            }
            _ => Ok(date),
        }
    }

    /// The day, if the text tells a year of whole weeks, a week and a day of it.
    fn by_week(&self) -> Option<NaiveDate> {
        let year = i32::try_from(self.get(Field::WeekBasedYear)?).ok()?;
        let (week, day) = (self.get(Field::WeekOfYear)?, self.get(Field::DayOfWeek)?);
        let days = week.checked_sub(1)?.checked_mul(7)?.checked_add(day.checked_sub(1)?)?;
        let days = u64::try_from(days).ok().filter(|days| *days < 54 * 7)?;
        first_week(year)?.checked_add_days(chrono::Days::new(days))
    }

    /// The time of day, with missing parts zero.
    pub(super) fn time(&self) -> Result<NaiveTime, String> {
        if self.is_end_of_day() {
            return Ok(NaiveTime::MIN);
        }
        let bad = |what: &str, value: i64| format!("Invalid value for {what}: {value}");
        let within = |field: Field, what: &str, range: std::ops::RangeInclusive<i64>| match self.get(field) {
            Some(value) if !range.contains(&value) => Err(bad(what, value)),
            value => Ok(value),
        };
        let milli_of_day = within(Field::MilliOfDay, "MilliOfDay (valid values 0 - 86399999)", 0..=86_399_999)?;
        let nanos_of_day = self.get(Field::NanoOfDay).or(milli_of_day.map(|ms| ms * 1_000_000));
        if let Some(nanos) = nanos_of_day {
            return u32::try_from(nanos / 1_000_000_000)
                .ok()
                .zip(u32::try_from(nanos % 1_000_000_000).ok())
                .and_then(|(seconds, nanos)| NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos))
                .ok_or_else(|| bad("NanoOfDay", nanos));
        }
        let of_twelve = within(Field::Hour1To12, "ClockHourOfAmPm (valid values 1 - 12)", 0..=12)?;
        let of_half = within(Field::HourOfHalf, "HourOfAmPm (valid values 0 - 11)", 0..=11)?;
        let of_half = of_half.or(of_twelve.map(|hour| hour % 12));
        let of_day = within(Field::Hour1To24, "ClockHourOfDay (valid values 1 - 24)", 0..=24)?.map(|hour| hour % 24);
        let half = of_half.map(|hour| if self.afternoon == Some(true) { hour + 12 } else { hour });
        let noon = if self.afternoon == Some(true) { 12 } else { 0 };
        let hour = self.get(Field::Hour).or(of_day).or(half).unwrap_or(noon);
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

/// The day that many months and days into a year, counted from 1: the 30th of February is the 1st or 2nd of March.
fn rolled_over(year: i32, month: i64, day: i64) -> Option<NaiveDate> {
    let months = i64::from(year) * 12 + month.checked_sub(1).filter(|month| month.abs() < 1 << 40)?;
    let year = i32::try_from(months.div_euclid(12)).ok()?;
    let first = NaiveDate::from_ymd_opt(year, u32::try_from(months.rem_euclid(12) + 1).ok()?, 1)?;
    first.checked_add_signed(chrono::TimeDelta::try_days(day.checked_sub(1)?)?)
}

/// Reads a whole text.
pub(super) fn read(items: &[Item], text: &str, reading: Reading) -> Result<Parsed, String> {
    let mut parsed = Parsed { strict: reading == Reading::Strict, ..Parsed::default() };
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
        // No more is looked at than may be taken: texts may be long.
        let most = max + reserved.unwrap_or(0);
        let available = self.text[start..].bytes().take(most).take_while(u8::is_ascii_digit).count();
        let width =
            if max > min { available.saturating_sub(reserved.unwrap_or(0)).min(max) } else { available.min(max) };
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
                parsed.set(*field, value, self.reading, self.at)?;
            }
            Item::ReducedYear { of_weeks } => {
                let year = if width == 2 { self.two_digit_year(value) } else { value };
                if *of_weeks {
                    parsed.set(Field::WeekBasedYear, year, self.reading, self.at)?;
                } else {
                    parsed.reduced_year = Some(year);
                }
            }
            // `SimpleDateFormat` reads milliseconds, whatever the width.
            Item::Fraction(_) if lenient => parsed.set(Field::Nano, value * 1_000_000, self.reading, self.at)?,
            _ => {
                let missing = u32::try_from(9 - width).map_err(|_| self.at)?;
                parsed.set(Field::Nano, value * 10_i64.pow(missing), self.reading, self.at)?;
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
                parsed.set(Field::Month, month + 1, self.reading, at)?;
            }
            Item::Weekday(_) => {
                let day = self.one_of(&WEEKDAYS).ok_or(at)?;
                parsed.set(Field::DayOfWeek, (day + 1) % 7 + 1, self.reading, at)?;
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
                parsed.set(Field::Quarter, quarter.ok_or(at)? + 1, self.reading, at)?;
            }
            Item::ZoneId | Item::ZoneName { .. } => parsed.zone = Some(self.zone(item).ok_or(at)?),
            Item::Offset(style) => {
                if style.zero == "Z" && self.take("Z") {
                    parsed.zone = Some(Zone::UTC);
                    return Ok(());
                }
                parsed.zone = Some(Zone::Fixed(self.offset(*style).ok_or(at)?));
            }
            Item::LocalizedOffset { full } => {
                if !self.take("GMT") {
                    return Err(at);
                }
                parsed.zone = Some(Zone::Fixed(self.localized_offset(*full).ok_or(at)?));
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
        /// Longer than any name of a zone.
        const LONGEST: usize = 48;
        let part = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'/' | b'_' | b'+' | b'-' | b':');
        let mut length = self.rest().bytes().take(LONGEST).take_while(part).count();
        // The longest beginning that names a zone.
        while length > 0 {
            let name = &self.rest()[..length];
            let by_name = if matches!(item, Item::ZoneName { .. }) { Zone::by_short_name(name) } else { None };
            if let Some(zone) = by_name.or_else(|| Zone::read(name)) {
                self.at += length;
                return Some(zone);
            }
            length -= 1;
        }
        None
    }

    /// `+01`, `+0130`, `+01:30`, with seconds: just as the style writes them.
    fn offset(&mut self, style: OffsetStyle) -> Option<i32> {
        let mut marks = Marks { bytes: self.rest().as_bytes(), at: 0 };
        let sign = marks.sign()?;
        let mut seconds = marks.digits(2)? * 3600;
        let part = |marks: &mut Marks<'_>| {
            let before = marks.at;
            let part = if !style.colon || marks.byte(b':') { marks.digits(2) } else { None };
            if part.is_none() {
                marks.at = before;
            }
            part
        };
        match part(&mut marks) {
            Some(minutes) => seconds += minutes * 60,
            None if style.minutes == Minutes::Always => return None,
            None => {}
        }
        if style.seconds {
            seconds += part(&mut marks).unwrap_or(0);
        }
        self.at += marks.at;
        offset_in_range(sign, seconds)
    }

    /// What stands after `GMT`: nothing, `+5`, `+5:30`, or in full `+05:30`.
    fn localized_offset(&mut self, full: bool) -> Option<i32> {
        let mut marks = Marks { bytes: self.rest().as_bytes(), at: 0 };
        let Some(sign) = marks.sign() else { return Some(0) };
        let hours = if full { marks.digits(2)? } else { marks.digits(2).or_else(|| marks.digits(1))? };
        let mut seconds = hours * 3600;
        for unit in [60, 1] {
            let before = marks.at;
            match if marks.byte(b':') { marks.digits(2) } else { None } {
                Some(part) => seconds += part * unit,
                None => {
                    marks.at = before;
                    break;
                }
            }
        }
        self.at += marks.at;
        offset_in_range(sign, seconds)
    }
}

/// The marks of an offset, from the left.
struct Marks<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Marks<'_> {
    fn byte(&mut self, wanted: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&wanted);
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self) -> Option<i32> {
        if self.byte(b'+') {
            return Some(1);
        }
        self.byte(b'-').then_some(-1)
    }

    /// Exactly so many digits.
    fn digits(&mut self, n: usize) -> Option<i32> {
        let digits = self.bytes.get(self.at..self.at + n).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        self.at += n;
        Some(digits.iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
    }
}

/// At most 18 hours, as `ZoneOffset` has them.
fn offset_in_range(sign: i32, seconds: i32) -> Option<i32> {
    let sixties = seconds % 3600 / 60 < 60 && seconds % 60 < 60;
    (sixties && seconds <= 18 * 3600).then_some(sign * seconds)
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
