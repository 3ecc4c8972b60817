//! LIKE: patterns compiled once, matched against the whole text.

use std::sync::Arc;

use datafusion::arrow::array::{BooleanArray, StringArray};
use datafusion::arrow::buffer::BooleanBuffer;
use regex::Regex;

use super::Arguments;
use super::value::Outcome;

/// What `_` stands for: any character but the ends of lines, as `.` in Java.
const ANY: &str = "[^\\n\\r\\x{85}\\x{2028}\\x{2029}]";

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct LikePattern(Regex);

impl LikePattern {
    /// Compiles a pattern: `%` is any run of characters, `_` is one, what follows the escape character is itself.
    ///
    /// # Errors
    /// The pattern ends with the escape character.
    pub(crate) fn new(pattern: &str, escape: Option<char>) -> Result<Self, String> {
        let mut regex = String::from("^");
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if Some(c) == escape {
                let Some(literal) = chars.next() else {
                    return Err("LIKE pattern must not end with escape character".to_owned());
                };
                regex.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
            } else if c == '%' {
                regex.push_str(ANY);
                regex.push('*');
            } else if c == '_' {
                regex.push_str(ANY);
            } else {
                regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
            }
        }
        regex.push('$');
        Regex::new(&regex).map(Self).map_err(|error| format!("LIKE pattern is too large: {error}"))
    }

    fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// `x LIKE pattern`; `known` is the pattern where it is a literal.
pub(super) fn like(args: Arguments, escape: Option<char>, known: Option<&LikePattern>) -> Outcome {
    let texts = args.values[0].typed::<StringArray>();
    let patterns = args.values[1].typed::<StringArray>();
    let mut failures = Vec::new();
    let mut last: Option<(&str, Result<LikePattern, String>)> = None;
    let truths = BooleanBuffer::collect_bool(args.rows, |row| {
        let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)) else {
            failures.push((row, "an operand of LIKE is null".into()));
            return false;
        };
        if let Some(known) = known {
            return known.matches(text);
        }
        if last.as_ref().is_none_or(|(before, _)| *before != pattern) {
            last = Some((pattern, LikePattern::new(pattern, escape)));
        }
        match &last {
            Some((_, Ok(compiled))) => compiled.matches(text),
            Some((_, Err(message))) => {
                failures.push((row, message.clone().into()));
                false
            }
            None => false,
        }
    });
    args.outcome(Arc::new(BooleanArray::new(truths, None)), failures)
}
