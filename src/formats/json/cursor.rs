//! A cursor over the text of one JSON record.
//!
//! It checks the whole grammar of RFC 8259 as it goes, also where a value is only skipped, and allocates nothing.
//! The text is UTF-8 (checked before); every delimiter is ASCII, so bytes can be looked at one by one.
//!
//! Strings, where most of a record's bytes are, are looked at eight bytes at a time.

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
    pub(super) text: &'a str,
    pub(super) is_negative: bool,
    /// True if there is neither fraction nor exponent.
    pub(super) is_integer: bool,
    /// All digits before the exponent as one integer: right only if `digits` is at most 19.
    pub(super) mantissa: u64,
    /// Digits before the exponent, leading zeros included.
    pub(super) digits: usize,
    /// Digits between point and exponent.
    pub(super) fraction_digits: usize,
    /// True if there is an exponent.
    pub(super) has_exponent: bool,
}

/// A place in the text.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0 }
    }

    /// The next byte, without blanks before it.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                next => return next.copied(),
            }
        }
    }

    /// Takes the next byte, which must be this one.
    #[inline]
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
    #[inline]
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Box<Fault>> {
        let next = self.peek();
        if next != Some(b',') && next != Some(close) {
            return Err(self.syntax(if close == b'}' { "',' or '}'" } else { "',' or ']'" }));
        }
        self.at += 1;
        Ok(next == Some(b','))
    }

    /// Takes the closing byte if it is next: the array or object is empty.
    #[inline]
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
    #[inline]
    pub(super) fn take(&mut self, expected: &[u8]) -> bool {
        let taken = self.bytes[self.at..].starts_with(expected);
        if taken {
            self.at += expected.len();
        }
        taken
    }

    /// Takes one of the words `true`, `false` and `null`.
    pub(super) fn word(&mut self, word: &'static str) -> Result<(), Box<Fault>> {
        if self.take(word.as_bytes()) { Ok(()) } else { Err(self.syntax("a JSON value")) }
    }

    /// What follows the quote that is next.
    #[inline]
    pub(super) fn after_quote(&self) -> &'a [u8] {
        self.bytes.get(self.at + 1..).unwrap_or_default()
    }

    /// Takes a string whose opening quote is next.
    #[inline]
    pub(super) fn string(&mut self) -> Result<RawString<'a>, Box<Fault>> {
        let start = self.at + 1;
        let mut at = start;
        let mut is_escaped = false;
        loop {
            at += plain_length(self.bytes.get(at..).unwrap_or_default());
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
        Ok(RawString { bytes: &self.bytes[start..at], is_escaped })
    }

    /// Takes a number whose first byte is next.
    #[inline]
    pub(super) fn number(&mut self) -> Result<Number<'a>, Box<Fault>> {
        let bytes = self.bytes;
        let start = self.at;
        let is_negative = bytes.get(start) == Some(&b'-');
        let first = start + usize::from(is_negative);
        let mut mantissa = 0;
        let mut at = digits(bytes, first, &mut mantissa);
        let whole = at - first;
        if whole == 0 || (whole > 1 && bytes[first] == b'0') {
            return Err(self.syntax("a number"));
        }
        let (mut fraction_digits, mut has_exponent) = (0, false);
        if bytes.get(at) == Some(&b'.') {
            let end = digits(bytes, at + 1, &mut mantissa);
            fraction_digits = end - at - 1;
            if fraction_digits == 0 {
                return Err(self.syntax("a digit after the point"));
            }
            at = end;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            has_exponent = true;
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(bytes, at + 1 + sign, &mut 0);
            if end == at + 1 + sign {
                return Err(self.syntax("a digit of the exponent"));
            }
            at = end;
        }
        self.at = at;
        Ok(Number {
            text: &self.text[start..at],
            is_negative,
            is_integer: fraction_digits == 0 && !has_exponent,
            mantissa,
            digits: whole + fraction_digits,
            fraction_digits,
            has_exponent,
        })
    }

    /// Takes a value of any kind and gives its text.
    pub(super) fn raw_value(&mut self, depth: usize) -> Result<&'a str, Box<Fault>> {
        self.peek();
        let start = self.at;
        self.skip(depth)?;
        Ok(&self.text[start..self.at])
    }

    /// Takes a value of any kind. `depth` counts the arrays and objects around it.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), Box<Fault>> {
        match self.peek() {
            Some(b'"') => self.skip_string(),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(open @ (b'[' | b'{')) => self.skip_nested(open, depth),
            _ => Err(self.syntax("a JSON value")),
        }
    }

    fn skip_string(&mut self) -> Result<(), Box<Fault>> {
        let string = self.string()?;
        if string.is_escaped && !super::text::unescape(string.bytes, &mut Vec::new()) {
            return Err(self.syntax("valid escapes in the string"));
        }
        Ok(())
    }

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
    pub(super) fn enter(&mut self, depth: usize) -> Result<(), Box<Fault>> {
        if depth >= MAX_DEPTH {
            return Err(self.syntax("at most 127 nested arrays and objects"));
        }
        self.at += 1;
        Ok(())
    }

    /// The fault of not finding here what the grammar asks for.
    #[cold]
    pub(super) fn syntax(&self, expected: &'static str) -> Box<Fault> {
        Box::new(Fault::Syntax { expected, at: self.at })
    }
}

/// Adds the digits from `at` on to `mantissa`, wrapping, and returns where they end.
#[inline]
fn digits(bytes: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
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

/// True for the bytes that end the plain part of a string: quote, backslash, control characters.
#[inline]
pub(super) fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// How many bytes at the start need no attention.
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let special = special_bits(u64::from_le_bytes(*word));
        if special != 0 {
            return length + special.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len())
}

/// Sets the highest bit of each byte that is special; bytes above the first such byte may be wrong.
///
/// `x - 1` borrows into the highest bit of a byte that was zero (Bit Twiddling Hacks, "Determine if a word has a zero
/// byte"); the other two tests are the same after taking the difference to the byte sought, or with 0x20 for 1.
#[inline]
fn special_bits(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = 0x8080_8080_8080_8080;
    let quotes = word ^ (ONES * b'"' as u64);
    let backslashes = word ^ (ONES * b'\\' as u64);
    let quotes = quotes.wrapping_sub(ONES) & !quotes;
    let backslashes = backslashes.wrapping_sub(ONES) & !backslashes;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & HIGHEST
}
