//! Places in statement text.

use std::fmt;

/// A character position in the text of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// Byte offset, counted from 0.
    pub byte: u32,
}

/// A piece of text, from its first character to just past its last.
///
/// Syntax trees carry spans, and two trees that differ in spans alone mean the same: so all spans compare equal.
#[derive(Clone, Copy, Default)]
pub struct Span {
    /// First character.
    pub start: Position,
    /// Just past the last character.
    pub end: Position,
}

impl Span {
    /// The span of something that no text stands for.
    pub const UNKNOWN: Self =
        Self { start: Position { line: 0, column: 0, byte: 0 }, end: Position { line: 0, column: 0, byte: 0 } };

    /// True if no text is known.
    pub fn is_unknown(&self) -> bool {
        self.start.line == 0
    }

    /// From the start of `self` to the end of `other`.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Span {}

impl std::hash::Hash for Span {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.start.line, self.start.column)
    }
}
