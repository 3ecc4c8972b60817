//! The one shape of a message that a user sees: code, primary, detail, hint, and the place in the SQL.
//!
//! Rooms that read or plan statements return a [`Diagnostic`] as their error. Rooms that touch bytes or the world
//! have error enums of their own, which the engine turns into diagnostics at its boundary.
//!
//! Wording: the primary is lower case without a full stop and names the kind of object before its name; detail and
//! hint are sentences.

mod code;
mod place;

use std::fmt;

pub use code::Code;
pub use place::{Position, Span};

/// A message for the author of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code, for programs.
    pub code: Code,
    /// What is wrong, in one line: ``column `AMOUT` does not exist in stream ORDERS``.
    pub primary: String,
    /// More facts, in full sentences: the alternatives, the types, the rule.
    pub detail: Option<String>,
    /// What to do about it, in full sentences.
    pub hint: Option<String>,
    /// Where in the statement's text.
    pub span: Option<Span>,
}

impl Diagnostic {
    /// A diagnostic without detail, hint or place.
    pub fn new(code: Code, primary: impl Into<String>) -> Self {
        Self { code, primary: primary.into(), detail: None, hint: None, span: None }
    }

    /// A feature that belongs to the language and is not built yet.
    pub fn not_implemented(what: impl fmt::Display) -> Self {
        Self::new(Code::NotImplemented, format!("{what} is not implemented yet"))
    }

    /// Adds the place, unless one is known already (the innermost place wins).
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        if self.span.is_none() && !span.is_unknown() {
            self.span = Some(span);
        }
        self
    }

    /// Adds detail sentences.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds a hint sentence.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds `Did you mean "x"?` if one of `candidates` is close to `wrong`.
    #[must_use]
    pub fn with_near_miss<'a>(self, wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(wrong, candidates) {
            Some(near) if self.hint.is_none() => self.with_hint(format!("Did you mean \"{near}\"?")),
            _ => self,
        }
    }
}

/// `line L:C: primary`, then detail and `Hint: …` on lines of their own.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = self.span {
            write!(f, "line {}:{}: ", span.start.line, span.start.column)?;
        }
        f.write_str(&self.primary)?;
        if let Some(detail) = &self.detail {
            write!(f, "\n{detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nHint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// The candidate nearest to `wrong`, if it is near enough to be what was meant: at most a third of its letters
/// differ, letter case aside.
pub fn nearest<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong_folded = wrong.to_uppercase();
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(&wrong_folded, &candidate.to_uppercase()), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance with adjacent swaps counted once.
fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before_last: Vec<usize> = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let mut cost = (last[j] + usize::from(l != r)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::{Code, Diagnostic, Position, Span, nearest};

    #[test]
    fn a_diagnostic_prints_place_primary_detail_and_hint() {
        let at = Position { line: 2, column: 7, byte: 20 };
        let message = Diagnostic::new(Code::UnknownColumn, "column `AMOUT` does not exist in stream ORDERS")
            .with_near_miss("AMOUT", ["ID", "AMOUNT"])
            .at(Span { start: at, end: at });
        assert_eq!(
            message.to_string(),
            "line 2:7: column `AMOUT` does not exist in stream ORDERS\nHint: Did you mean \"AMOUNT\"?"
        );
    }

    #[test]
    fn far_names_are_not_offered() {
        assert_eq!(nearest("X", ["ORDERS"]), None);
        assert_eq!(nearest("odrers", ["ORDERS", "USERS"]), Some("ORDERS"));
    }
}
