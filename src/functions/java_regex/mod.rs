//! Java's regular expressions: patterns, and how one goes through a text.
//!
//! ```text
//!   Java's syntax ──translate──▶ syntax of the crates ─┬─▶ `regex`: linear time
//!                                                      └─▶ `fancy-regex`: look-around, back references, possessive and
//!                                                          atomic parts; backtracks, so its steps are bounded
//! ```
//!
//! Invariants:
//! - a pattern behaves as in Java or is refused, except for what the documentation lists: letter case beyond ASCII under
//!   `(?i)`, line ends other than `\n` under `(?m)`;
//! - no pattern and text take more than a bounded number of steps a match.

mod translate;

use std::sync::OnceLock;

/// How many steps a match may take in a pattern that backtracks: some tens of milliseconds.
const MOST_STEPS: usize = 500_000;

/// How long a pattern that backtracks may be, in bytes.
const MOST_BYTES: usize = 16 << 10;

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    engine: Engine,
    /// The pattern with `$` before a line end at the end of the text: for texts that have one.
    at_line_end: Option<(String, OnceLock<Result<Engine, String>>)>,
    groups: usize,
    /// True if an empty text matches.
    matches_empty: bool,
}

#[derive(Debug)]
enum Engine {
    Linear(regex::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

/// A match and its groups.
#[derive(Debug)]
pub(crate) enum Found<'t> {
    Linear(regex::Captures<'t>),
    Backtracking(fancy_regex::Captures<'t>),
}

impl<'t> Found<'t> {
    /// A group's text, if it took part; group 0 is the match.
    pub(crate) fn get(&self, group: usize) -> Option<&'t str> {
        match self {
            Self::Linear(found) => found.get(group).map(|part| part.as_str()),
            Self::Backtracking(found) => found.get(group).map(|part| part.as_str()),
        }
    }

    /// The text of the group of this name.
    pub(crate) fn name(&self, name: &str) -> Option<&'t str> {
        match self {
            Self::Linear(found) => found.name(name).map(|part| part.as_str()),
            Self::Backtracking(found) => found.name(name).map(|part| part.as_str()),
        }
    }

    /// Where the match starts and ends.
    fn range(&self) -> (usize, usize) {
        let range = match self {
            Self::Linear(found) => found.get(0).map(|part| part.range()),
            Self::Backtracking(found) => found.get(0).map(|part| part.range()),
        };
        range.map_or((0, 0), |range| (range.start, range.end))
    }
}

impl Engine {
    fn compile(pattern: &str, backtracks: bool) -> Result<Self, String> {
        if !backtracks {
            return regex::Regex::new(pattern).map(Self::Linear).map_err(|error| error.to_string());
        }
        if pattern.len() > MOST_BYTES {
            return Err(format!("a pattern with look-around or back references has at most {MOST_BYTES} bytes"));
        }
        let compiled = fancy_regex::RegexBuilder::new(pattern).backtrack_limit(MOST_STEPS).build();
        compiled.map(|regex| Self::Backtracking(Box::new(regex))).map_err(|error| error.to_string())
    }

    fn find<'t>(&self, text: &'t str, from: usize) -> Result<Option<Found<'t>>, String> {
        match self {
            Self::Linear(regex) => Ok(regex.captures_at(text, from).map(Found::Linear)),
            Self::Backtracking(regex) => match regex.captures_from_pos(text, from) {
                Ok(found) => Ok(found.map(Found::Backtracking)),
                Err(fancy_regex::Error::RuntimeError(_)) => {
                    Err(format!("the pattern needs more than {MOST_STEPS} steps on this text"))
                }
                Err(other) => Err(other.to_string()),
            },
        }
    }
}

impl Pattern {
    /// Compiles a pattern of Java's syntax.
    ///
    /// # Errors
    /// Why it is none, in one sentence.
    pub(crate) fn compile(java: &str) -> Result<Self, String> {
        let translated = translate::translate(java)?;
        let engine = Engine::compile(&translated.text, translated.backtracks)?;
        let groups = match &engine {
            Engine::Linear(regex) => regex.captures_len(),
            Engine::Backtracking(regex) => regex.captures_len(),
        };
        let matches_empty = engine.find("", 0)?.is_some();
        let at_line_end = translated.at_line_end.map(|text| (text, OnceLock::new()));
        Ok(Self { engine, at_line_end, groups, matches_empty })
    }

    /// How many groups there are, the whole match among them.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// True if an empty text matches.
    pub(crate) fn matches_empty(&self) -> bool {
        self.matches_empty
    }

    fn engine(&self, text: &str) -> Result<&Engine, String> {
        let ends_line = text.ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
        match &self.at_line_end {
            Some((pattern, engine)) if ends_line => {
                engine.get_or_init(|| Engine::compile(pattern, true)).as_ref().map_err(Clone::clone)
            }
            _ => Ok(&self.engine),
        }
    }

    /// A group of the first match. `scratch` belongs to this pattern and is kept from text to text, so that none needs
    /// memory of its own.
    ///
    /// # Errors
    /// The match would take too many steps.
    pub(crate) fn group<'t>(
        &self,
        text: &'t str,
        group: usize,
        scratch: &mut Option<regex::CaptureLocations>,
    ) -> Result<Option<&'t str>, String> {
        match self.engine(text)? {
            Engine::Linear(regex) => {
                let places = scratch.get_or_insert_with(|| regex.capture_locations());
                let found = regex.captures_read(places, text);
                Ok(found.and_then(|_| places.get(group)).and_then(|(start, end)| text.get(start..end)))
            }
            backtracking @ Engine::Backtracking(_) => {
                Ok(backtracking.find(text, 0)?.and_then(|found| found.get(group)))
            }
        }
    }

    /// Every match, with its start and end, in order. As in Java an empty match may follow another match at once.
    ///
    /// # Errors
    /// A match would take too many steps.
    pub(crate) fn find_all<'t, E: From<String>>(
        &self,
        text: &'t str,
        mut visit: impl FnMut(&Found<'t>, usize, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let engine = self.engine(text)?;
        let mut from = 0;
        while from <= text.len() {
            let Some(found) = engine.find(text, from)? else { break };
            let (start, end) = found.range();
            visit(&found, start, end)?;
            from = if start < end { end } else { end + text[end..].chars().next().map_or(1, char::len_utf8) };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
