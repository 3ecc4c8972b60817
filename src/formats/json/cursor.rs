//! A cursor over the bytes of one JSON record.
//!
//! It checks the whole grammar of RFC 8259 as it goes, also where a value is only skipped, and allocates nothing.
//! Strings are checked to be UTF-8 where they are taken; outside strings the grammar knows ASCII only.
//!
//! This is the hottest code of a query that reads JSON. Strings and numbers are looked at eight bytes at a time; the
//! usual case of each step (no blank before it, an integer of at most 18 digits, an ASCII string without escapes) is
//! tried first and inlined, the others are calls, made on a copy of the cursor ([`Cursor::away`]): so the cursor of an
//! object's loop never has its address taken and stays in registers. A pass over the record ahead of it, to see that it is UTF-8, took a
//! sixth of the time.

use super::Fault;

/// Arrays and objects inside one another, at most. serde_json, which re-reads objects that become text, has the same
/// limit.
pub(super) const MAX_DEPTH: usize = 127;

/// Where a string lies between its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawString<'a> {
    pub(super) bytes: &'a [u8],
    /// True if it contains a backslash, and so is not what it stands for.
    pub(super) is_escaped: bool,
}

/// A number and what is cheap to know about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number<'a> {
    pub(super) text: &'a [u8],
    /// True if there is neither fraction nor exponent.
    pub(super) is_integer: bool,
}

/// A number of at most 18 digits and no exponent: `±magnitude / 10^fraction_digits`.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlainNumber {
    pub(super) is_negative: bool,
    pub(super) magnitude: i64,
    pub(super) fraction_digits: usize,
}

/// A place in the text.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor before the first of these bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Does something with a copy, and takes over where it ends up.
    #[inline(always)]
    pub(super) fn away<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let mut copy = Self { bytes: self.bytes, at: self.at };
        let result = act(&mut copy);
        self.at = copy.at;
        result
    }

    /// The next byte, without blanks before it.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        match self.bytes.get(self.at) {
            Some(&next) if next > b' ' => Some(next),
            _ => {
                self.away(Self::pass_blanks);
                self.bytes.get(self.at).copied()
            }
        }
    }

    #[inline(never)]
    fn pass_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// Takes the next byte, which must be this one.
    #[inline(always)]
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Box<Fault>> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(self.syntax(match byte {
            b':' => "':'",
            b'"' => "a field name in quotes",
            _ => "a JSON object",
        }))
    }

    /// Takes what separates members: true after `,`, false after the closing byte.
    #[inline(always)]
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Box<Fault>> {
        let next = self.peek();
        if next != Some(b',') && next != Some(close) {
            return Err(self.syntax(if close == b'}' { "',' or '}'" } else { "',' or ']'" }));
        }
        self.at += 1;
        Ok(next == Some(b','))
    }

    /// Takes the closing byte if it is next: the array or object is empty.
    #[inline(always)]
    pub(super) fn is_closed(&mut self, close: u8) -> bool {
        let closed = self.peek() == Some(close);
        self.at += usize::from(closed);
        closed
    }

    /// Checks that nothing follows.
    pub(super) fn end(&mut self) -> Result<(), Box<Fault>> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax("the end of the record")),
        }
    }

    /// Takes these bytes if they are next.
    #[inline(always)]
    pub(super) fn take(&mut self, expected: &[u8]) -> bool {
        let taken = self.bytes[self.at..].starts_with(expected);
        if taken {
            self.at += expected.len();
        }
        taken
    }

    /// Takes one of the words `true`, `false` and `null`.
    #[inline(always)]
    pub(super) fn word(&mut self, word: &'static str) -> Result<(), Box<Fault>> {
        if self.take(word.as_bytes()) { Ok(()) } else { Err(self.syntax("a JSON value")) }
    }

    /// What follows the quote that is next.
    #[inline(always)]
    pub(super) fn after_quote(&self) -> &'a [u8] {
        self.bytes.get(self.at + 1..).unwrap_or_default()
    }

    /// Takes a string whose opening quote is next.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<RawString<'a>, Box<Fault>> {
        let rest = self.after_quote();
        let (length, is_ascii) = plain_length(rest);
        if is_ascii && rest.get(length) == Some(&b'"') {
            self.at += length + 2;
            return Ok(RawString { bytes: &rest[..length], is_escaped: false });
        }
        self.away(Self::other_string)
    }

    #[inline(never)]
    fn other_string(&mut self) -> Result<RawString<'a>, Box<Fault>> {
        let start = self.at + 1;
        let mut at = start;
        let mut is_escaped = false;
        loop {
            at += plain_length(self.bytes.get(at..).unwrap_or_default()).0;
            match self.bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_escaped = true;
                    at += 2;
                }
                _ => {
                    self.at = at.min(self.bytes.len());
                    return Err(self.syntax("the end of a string"));
                }
            }
        }
        self.at = at + 1;
        let bytes = &self.bytes[start..at];
        if std::str::from_utf8(bytes).is_err() {
            return Err(self.syntax("UTF-8"));
        }
        Ok(RawString { bytes, is_escaped })
    }

    /// Takes a number of at most 18 digits without an exponent, if that is what is next.
    #[inline(always)]
    pub(super) fn plain_number(&mut self) -> Option<PlainNumber> {
        let is_negative = self.bytes.get(self.at) == Some(&b'-');
        let first = self.at + usize::from(is_negative);
        let mut mantissa = 0;
        let mut end = digits(self.bytes, first, &mut mantissa);
        let whole = end - first;
        if whole == 0 || (whole > 1 && self.bytes[first] == b'0') {
            return None;
        }
        let mut fraction_digits = 0;
        if self.bytes.get(end) == Some(&b'.') {
            let point = end;
            end = digits(self.bytes, point + 1, &mut mantissa);
            fraction_digits = end - point - 1;
            if fraction_digits == 0 {
                return None;
            }
        }
        if whole + fraction_digits > 18 || matches!(self.bytes.get(end), Some(b'e' | b'E')) {
            return None;
        }
        self.at = end;
        let magnitude = mantissa.cast_signed();
        Some(PlainNumber { is_negative, magnitude, fraction_digits })
    }

    /// Takes a number whose first byte is next.
    #[inline(never)]
    pub(super) fn number(&mut self) -> Result<Number<'a>, Box<Fault>> {
        let bytes = self.bytes;
        let start = self.at;
        let first = start + usize::from(bytes.get(start) == Some(&b'-'));
        let mut at = digits(bytes, first, &mut 0);
        let whole = at - first;
        if whole == 0 || (whole > 1 && bytes[first] == b'0') {
            return Err(self.syntax("a number"));
        }
        let mut is_integer = true;
        if bytes.get(at) == Some(&b'.') {
            is_integer = false;
            let end = digits(bytes, at + 1, &mut 0);
            if end == at + 1 {
                return Err(self.syntax("a digit after the point"));
            }
            at = end;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            is_integer = false;
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(bytes, at + 1 + sign, &mut 0);
            if end == at + 1 + sign {
                return Err(self.syntax("a digit of the exponent"));
            }
            at = end;
        }
        self.at = at;
        Ok(Number { text: &bytes[start..at], is_integer })
    }

    /// Takes a value of any kind and gives its text.
    pub(super) fn raw_value(&mut self, depth: usize) -> Result<&'a [u8], Box<Fault>> {
        self.peek();
        let start = self.at;
        self.skip(depth)?;
        Ok(&self.bytes[start..self.at])
    }

    /// Takes a value of any kind. `depth` counts the arrays and objects around it.
    #[inline(always)]
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), Box<Fault>> {
        let is_skipped = match self.peek() {
            Some(b'"') => return self.skip_string(),
            Some(b'-' | b'0'..=b'9') => self.plain_number().is_some(),
            _ => false,
        };
        if is_skipped { Ok(()) } else { self.away(|cursor| cursor.skip_other(depth)) }
    }

    #[inline(never)]
    fn skip_other(&mut self, depth: usize) -> Result<(), Box<Fault>> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(open @ (b'[' | b'{')) => self.skip_nested(open, depth),
            _ => Err(self.syntax("a JSON value")),
        }
    }

    #[inline(always)]
    fn skip_string(&mut self) -> Result<(), Box<Fault>> {
        let string = self.string()?;
        if string.is_escaped && !super::text::has_valid_escapes(string.bytes) {
            return Err(self.syntax("valid escapes in the string"));
        }
        Ok(())
    }

    #[inline(never)]
    fn skip_nested(&mut self, open: u8, depth: usize) -> Result<(), Box<Fault>> {
        self.enter(depth)?;
        let close = if open == b'{' { b'}' } else { b']' };
        if self.is_closed(close) {
            return Ok(());
        }
        loop {
            if open == b'{' {
                if self.peek() != Some(b'"') {
                    return Err(self.syntax("a field name in quotes"));
                }
                self.skip_string()?;
                self.expect(b':')?;
            }
            self.skip(depth + 1)?;
            if !self.more(close)? {
                return Ok(());
            }
        }
    }

    /// Takes the opening byte of an array or object that stands inside `depth` others.
    #[inline(always)]
    pub(super) fn enter(&mut self, depth: usize) -> Result<(), Box<Fault>> {
        if depth >= MAX_DEPTH {
            return Err(self.syntax("at most 127 nested arrays and objects"));
        }
        self.at += 1;
        Ok(())
    }

    /// The fault of not finding here what the grammar asks for.
    #[inline(always)]
    pub(super) fn syntax(&self, expected: &'static str) -> Box<Fault> {
        syntax_fault(expected, self.at)
    }
}

#[cold]
fn syntax_fault(expected: &'static str, at: usize) -> Box<Fault> {
    Box::new(Fault::Syntax { expected, at })
}

/// Adds the digits from `at` on to `mantissa`, wrapping, and returns where they end.
#[inline(always)]
fn digits(bytes: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    loop {
        let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) else {
            return last_digits(bytes, at, mantissa);
        };
        let word = u64::from_le_bytes(*word) ^ (ONES * b'0' as u64);
        // 0x76 carries a byte above 9 into its highest bit; bytes above the first such byte may be wrong.
        let others = (word.wrapping_add(ONES * 0x76) | word) & HIGHEST;
        let count = others.trailing_zeros() / 8;
        if count == 0 {
            return at;
        }
        *mantissa = mantissa.wrapping_mul(POWERS[count as usize]).wrapping_add(eight_digits(word << (64 - 8 * count)));
        at += count as usize;
        if count < 8 {
            return at;
        }
    }
}

/// The number of eight digits, the first in the lowest byte, each byte from 0 to 9: pairs, then fours, then all.
#[inline(always)]
fn eight_digits(word: u64) -> u64 {
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

#[inline(never)]
fn last_digits(bytes: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    while let Some(&byte) = bytes.get(at) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    at
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHEST: u64 = 0x8080_8080_8080_8080;
const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// How many bytes at the start need no attention: up to a quote, a backslash or a control character. And true if they
/// are all ASCII; a false may be wrong.
#[inline(always)]
pub(super) fn plain_length(bytes: &[u8]) -> (usize, bool) {
    let mut length = 0;
    let mut seen = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        seen |= word;
        let special = special_bits(word);
        if special != 0 {
            return (length + special.trailing_zeros() as usize / 8, seen & HIGHEST == 0);
        }
        length += 8;
    }
    let is_special = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < 0x20;
    let tail = rest.iter().position(is_special).unwrap_or(rest.len());
    (length + tail, seen & HIGHEST == 0 && rest.is_ascii())
}

/// Sets the highest bit of each byte that is special; bytes above the first such byte may be wrong.
///
/// `x - 1` borrows into the highest bit of a byte that was zero (Bit Twiddling Hacks, "Determine if a word has a zero
/// byte"); the other two tests are the same after taking the difference to the byte sought, or with 0x20 for 1.
#[inline(always)]
fn special_bits(word: u64) -> u64 {
    let quotes = word ^ (ONES * b'"' as u64);
    let backslashes = word ^ (ONES * b'\\' as u64);
    let quotes = quotes.wrapping_sub(ONES) & !quotes;
    let backslashes = backslashes.wrapping_sub(ONES) & !backslashes;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & HIGHEST
}
