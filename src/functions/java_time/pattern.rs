//! Pattern text to items.

use thiserror::Error;

/// A pattern that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternError {
    /// A letter that means nothing, or nothing here.
    #[error("Unknown pattern letter: {0}")]
    UnknownLetter(char),
    /// One letter too often in a row.
    #[error("Too many pattern letters: {0}")]
    TooManyLetters(char),
    /// A quote that does not end.
    #[error("Pattern ends with an incomplete string literal: {0}")]
    OpenQuote(String),
    /// Brackets that do not match.
    #[error("Pattern invalid as it contains {0} without previous [")]
    Bracket(char),
    /// More parts, or more brackets within each other, than any date or time has.
    #[error("Pattern is too long: at most {MOST_PARTS} parts, brackets {DEEPEST} deep")]
    TooLong,
}

/// The most parts of a pattern: they may come from data, and each costs time for each row.
const MOST_PARTS: usize = 500;

/// The most optional parts within each other: writing and reading them recurses.
const DEEPEST: usize = 32;

/// Part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// Text as it is.
    Text(String),
    /// A number.
    Number {
        field: Field,
        /// Digits at least.
        min: usize,
        /// Digits at most.
        max: usize,
    },
    /// The last two digits of a year from 2000 on; of one of whole weeks or not.
    ReducedYear { of_weeks: bool },
    /// So many digits of the fraction of a second.
    Fraction(usize),
    /// Name of a month.
    Month(Width),
    /// Name of a day of the week.
    Weekday(Width),
    /// `AM` or `PM`.
    AmPm,
    /// `AD`, `BC`, in full or as a letter.
    Era(Width),
    /// `Q1` or `1st quarter`.
    QuarterText { full: bool },
    /// `America/New_York`
    ZoneId,
    /// `EST`, or in full.
    ZoneName { full: bool },
    /// `+01:00` and the like.
    Offset(OffsetStyle),
    /// `GMT+1` or `GMT+01:00`.
    LocalizedOffset { full: bool },
    /// Something filled up with blanks on its left.
    Padded(usize, Box<Item>),
    /// A part that may be missing.
    Optional(Vec<Item>),
}

/// How much of a name is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Short,
    Full,
    /// The first letter.
    Narrow,
}

impl Width {
    /// Three letters, four, five.
    fn of(n: usize) -> Self {
        match n {
            4 => Self::Full,
            5 => Self::Narrow,
            _ => Self::Short,
        }
    }
}

/// Numeric fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Year,
    YearOfEra,
    Month,
    Day,
    DayOfYear,
    Quarter,
    WeekBasedYear,
    WeekOfYear,
    WeekOfMonth,
    /// Sunday is 1.
    DayOfWeek,
    /// Counts from 1 with each seventh day of the month.
    AlignedDay,
    Hour,
    Hour1To24,
    HourOfHalf,
    Hour1To12,
    Minute,
    Second,
    Nano,
    MilliOfDay,
    NanoOfDay,
}

impl Field {
    /// How many fields there are.
    pub(super) const COUNT: usize = Self::NanoOfDay as usize + 1;
}

/// How an offset is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OffsetStyle {
    pub(super) colon: bool,
    pub(super) minutes: Minutes,
    /// True if seconds stand where there are some.
    pub(super) seconds: bool,
    /// What stands for no offset.
    pub(super) zero: &'static str,
}

/// Whether an offset shows its minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Minutes {
    /// Only if there are some.
    IfAny,
    Always,
}

pub(super) fn compile(pattern: &str) -> Result<Vec<Item>, PatternError> {
    let chars: Vec<char> = pattern.chars().collect();
    // Open optional parts, the outermost first.
    let mut open: Vec<Vec<Item>> = vec![Vec::new()];
    let (mut at, mut parts) = (0, 0);
    while at < chars.len() {
        let c = chars[at];
        parts += 1;
        if parts > MOST_PARTS || open.len() > DEEPEST {
            return Err(PatternError::TooLong);
        }
        match c {
            '\'' => {
                let (text, next) = quoted(&chars, at).ok_or_else(|| PatternError::OpenQuote(pattern.to_owned()))?;
                push(&mut open, Item::Text(text));
                at = next;
            }
            '[' => {
                open.push(Vec::new());
                at += 1;
            }
            ']' => {
                let part = open.pop().filter(|_| !open.is_empty()).ok_or(PatternError::Bracket(']'))?;
                push(&mut open, Item::Optional(part));
                at += 1;
            }
            '{' | '}' | '#' => return Err(PatternError::UnknownLetter(c)),
            'p' => {
                let n = chars[at..].iter().take_while(|other| **other == 'p').count();
                if n > WIDEST * 4 {
                    return Err(PatternError::TooManyLetters('p'));
                }
                at += n;
                let letter = chars.get(at).copied().filter(char::is_ascii_alphabetic);
                let letter = letter.ok_or(PatternError::UnknownLetter('p'))?;
                let width = chars[at..].iter().take_while(|other| **other == letter).count();
                push(&mut open, Item::Padded(n, Box::new(letters(letter, width)?)));
                at += width;
            }
            c if c.is_ascii_alphabetic() => {
                let n = chars[at..].iter().take_while(|other| **other == c).count();
                push(&mut open, letters(c, n)?);
                at += n;
            }
            _ => {
                let plain = |c: &char| !c.is_ascii_alphabetic() && !matches!(c, '\'' | '[' | ']' | '{' | '}' | '#');
                let text: String = chars[at..].iter().take_while(|c| plain(c)).collect();
                at += text.chars().count();
                push(&mut open, Item::Text(text));
            }
        }
    }
    // An optional part that is not closed ends with the pattern.
    while open.len() > 1 {
        let part = open.pop().unwrap_or_default();
        push(&mut open, Item::Optional(part));
    }
    Ok(open.pop().unwrap_or_default())
}

fn push(open: &mut [Vec<Item>], item: Item) {
    if let Some(part) = open.last_mut() {
        part.push(item);
    }
}

/// The text between quotes and the position after it; a doubled quote is one quote.
fn quoted(chars: &[char], start: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut at = start + 1;
    if chars.get(at) == Some(&'\'') {
        return Some(("'".to_owned(), at + 1));
    }
    loop {
        match (chars.get(at)?, chars.get(at + 1)) {
            ('\'', Some('\'')) => {
                text.push('\'');
                at += 2;
            }
            ('\'', _) => return Some((text, at + 1)),
            (c, _) => {
                text.push(*c);
                at += 1;
            }
        }
    }
}

/// The widest number that Java reads.
const WIDEST: usize = 19;

fn letters(letter: char, n: usize) -> Result<Item, PatternError> {
    let too_many = Err(PatternError::TooManyLetters(letter));
    let number = |field, min, max| Ok(Item::Number { field, min, max });
    // One letter reads any width, two exactly two digits.
    let short = |field| match n {
        1 => number(field, 1, WIDEST),
        2 => number(field, 2, 2),
        _ => Err(PatternError::TooManyLetters(letter)),
    };
    match letter {
        'u' | 'y' if n <= WIDEST => {
            let field = if letter == 'u' { Field::Year } else { Field::YearOfEra };
            if n == 2 { Ok(Item::ReducedYear { of_weeks: false }) } else { number(field, n, WIDEST) }
        }
        'M' | 'L' => match n {
            1 | 2 => short(Field::Month),
            3..=5 => Ok(Item::Month(Width::of(n))),
            _ => too_many,
        },
        'Q' | 'q' => match n {
            1 | 2 => short(Field::Quarter),
            3 | 4 => Ok(Item::QuarterText { full: n == 4 }),
            _ => too_many,
        },
        'D' if n <= 3 => number(Field::DayOfYear, n, 3),
        'd' => short(Field::Day),
        'H' => short(Field::Hour),
        'k' => short(Field::Hour1To24),
        'K' => short(Field::HourOfHalf),
        'h' => short(Field::Hour1To12),
        'm' => short(Field::Minute),
        's' => short(Field::Second),
        'S' if n <= 9 => Ok(Item::Fraction(n)),
        'n' if n <= WIDEST => number(Field::Nano, n, WIDEST),
        'A' if n <= WIDEST => number(Field::MilliOfDay, n, WIDEST),
        'N' if n <= WIDEST => number(Field::NanoOfDay, n, WIDEST),
        'Y' if n == 2 => Ok(Item::ReducedYear { of_weeks: true }),
        'Y' if n <= WIDEST => number(Field::WeekBasedYear, n, WIDEST),
        'w' => short(Field::WeekOfYear),
        'W' if n == 1 => number(Field::WeekOfMonth, 1, 1),
        'F' if n == 1 => number(Field::AlignedDay, 1, 1),
        'e' if n <= 2 => number(Field::DayOfWeek, n, 2),
        'c' if n == 1 => number(Field::DayOfWeek, 1, 2),
        'e' | 'c' if (3..=5).contains(&n) => Ok(Item::Weekday(Width::of(n))),
        'E' if n <= 5 => Ok(Item::Weekday(Width::of(n))),
        'a' if n == 1 => Ok(Item::AmPm),
        'G' if n <= 5 => Ok(Item::Era(Width::of(n))),
        'V' if n == 2 => Ok(Item::ZoneId),
        'z' if n <= 4 => Ok(Item::ZoneName { full: n == 4 }),
        'O' if n == 1 || n == 4 => Ok(Item::LocalizedOffset { full: n == 4 }),
        'X' | 'x' if n <= 5 => {
            let zero = match (letter, n) {
                ('X', _) => "Z",
                (_, 1) => "+00",
                (_, 2 | 4) => "+0000",
                _ => "+00:00",
            };
            let minutes = if n == 1 { Minutes::IfAny } else { Minutes::Always };
            Ok(Item::Offset(OffsetStyle { colon: n == 3 || n == 5, minutes, seconds: n >= 4, zero }))
        }
        'Z' if n <= 3 => {
            Ok(Item::Offset(OffsetStyle { colon: false, minutes: Minutes::Always, seconds: false, zero: "+0000" }))
        }
        'Z' if n == 4 => Ok(Item::LocalizedOffset { full: true }),
        'Z' if n == 5 => {
            Ok(Item::Offset(OffsetStyle { colon: true, minutes: Minutes::Always, seconds: true, zero: "Z" }))
        }
        'u' | 'y' | 'Y' | 'n' | 'A' | 'N' | 'D' | 'S' | 'E' | 'W' | 'F' | 'e' | 'c' | 'a' | 'G' | 'O' | 'X' | 'x'
        | 'Z' | 'z' | 'V' => too_many,
        other => Err(PatternError::UnknownLetter(other)),
    }
}
