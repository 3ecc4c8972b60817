//! One line of delimited text, field by field.

use std::borrow::Cow;

/// Why a line ends too early.
pub(super) type LineFault = &'static str;

/// The fields of the first line that is not blank.
#[derive(Debug)]
pub(super) struct Line<'a> {
    text: &'a str,
    delimiter: char,
    /// Where the next field begins; past the end once the last was taken.
    at: usize,
    is_done: bool,
}

impl<'a> Line<'a> {
    pub(super) fn new(text: &'a str, delimiter: char) -> Self {
        let blank = text.len() - text.trim_start_matches(['\r', '\n']).len();
        Self { text, delimiter, at: blank, is_done: blank == text.len() }
    }

    /// The next field, without its quotes; `None` after the last. A text without any line has no field.
    pub(super) fn next_field(&mut self) -> Result<Option<Cow<'a, str>>, LineFault> {
        if self.is_done {
            return Ok(None);
        }
        if self.text[self.at..].starts_with('"') && self.delimiter != '"' { self.quoted() } else { Ok(self.plain()) }
    }

    fn plain(&mut self) -> Option<Cow<'a, str>> {
        let rest = &self.text[self.at..];
        let length = self.plain_length(rest);
        self.end_field(length);
        Some(Cow::Borrowed(&rest[..length]))
    }

    /// Bytes up to the delimiter or the end of the line.
    fn plain_length(&self, rest: &str) -> usize {
        match u8::try_from(self.delimiter) {
            Ok(delimiter) if delimiter.is_ascii() => {
                memchr::memchr3(delimiter, b'\n', b'\r', rest.as_bytes()).unwrap_or(rest.len())
            }
            _ => rest.find([self.delimiter, '\n', '\r']).unwrap_or(rest.len()),
        }
    }

    /// Moves past a field of this many bytes, and the delimiter behind it.
    fn end_field(&mut self, length: usize) {
        self.at += length;
        match self.text[self.at..].chars().next() {
            Some(next) if next == self.delimiter => self.at += next.len_utf8(),
            _ => self.is_done = true,
        }
    }

    fn quoted(&mut self) -> Result<Option<Cow<'a, str>>, LineFault> {
        let mut field = Cow::Borrowed("");
        let mut rest = &self.text[self.at + 1..];
        loop {
            let end = memchr::memchr(b'"', rest.as_bytes()).ok_or("a quoted field does not end")?;
            let (piece, after) = (&rest[..end], &rest[end + 1..]);
            if field.is_empty() {
                field = Cow::Borrowed(piece);
            } else {
                field.to_mut().push_str(piece);
            }
            match after.strip_prefix('"') {
                Some(after) => {
                    field.to_mut().push('"');
                    rest = after;
                }
                None => {
                    rest = after;
                    break;
                }
            }
        }
        // Blanks between the closing quote and the delimiter are passed over.
        let is_blank = |c: char| c.is_whitespace() && c != self.delimiter && c != '\n' && c != '\r';
        let rest = rest.trim_start_matches(is_blank);
        if !(rest.is_empty() || rest.starts_with([self.delimiter, '\n', '\r'])) {
            return Err("something other than the delimiter follows a quoted field");
        }
        self.at = self.text.len() - rest.len();
        self.end_field(0);
        Ok(Some(field))
    }
}
