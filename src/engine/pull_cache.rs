//! Pull queries that were planned before: by their text, or by their text with its literals taken out.
//!
//! Nothing here outlives a command: what was planned in another world is not found.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::catalog::Source;
use crate::serving::{PointLookup, PullProgram};
use crate::sql::ast::Literal;

use super::answer::{Request, ResultColumn};

/// Statements that are remembered; when there are more, all are forgotten.
const MAX_ENTRIES: usize = 1000;

/// Texts longer than this are not remembered.
const MAX_TEXT: usize = 4096;

/// A pull query that was planned.
#[derive(Debug)]
pub(super) struct PlannedPull {
    pub(super) table: Arc<Source>,
    pub(super) program: Arc<PullProgram>,
    pub(super) columns: Vec<ResultColumn>,
    /// How the literals of other statements of this form make other keys.
    pub(super) point: Option<PointLookup>,
}

/// What a statement is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    text: String,
    /// True if the text is a [`Form`]'s: a text may look like the form of another.
    is_form: bool,
    properties: BTreeMap<String, String>,
}

/// The pull queries that were planned in one world.
#[derive(Debug, Default)]
pub(super) struct PullCache {
    planned: RwLock<Planned>,
}

#[derive(Debug, Default)]
struct Planned {
    /// The number of the command that would be next in the world of all entries.
    world: i64,
    entries: HashMap<Key, Arc<PlannedPull>>,
}

/// A statement's text without its literals, and these.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    text: String,
    pub(super) literals: Vec<Literal>,
}

impl PullCache {
    /// A query of the same text; or one of the same form, with this statement's literals.
    pub(super) fn find(&self, request: &Request, world: i64) -> Option<(Arc<PlannedPull>, Option<Vec<Literal>>)> {
        if request.sql.len() > MAX_TEXT || !request.variables.is_empty() || request.command_sequence_number.is_some() {
            return None;
        }
        let planned = self.planned.read();
        if planned.world != world || planned.entries.is_empty() {
            return None;
        }
        let mut key = Key { text: String::new(), is_form: true, properties: request.properties.clone() };
        if let Some(form) = Form::of(&request.sql) {
            key.text = form.text;
            if let Some(found) = planned.entries.get(&key) {
                return Some((Arc::clone(found), Some(form.literals)));
            }
        }
        key.text.clone_from(&request.sql);
        key.is_form = false;
        planned.entries.get(&key).map(|found| (Arc::clone(found), None))
    }

    /// Remembers a query that was planned in a world.
    pub(super) fn remember(&self, request: &Request, world: i64, pull: PlannedPull) {
        if request.sql.len() > MAX_TEXT || !request.variables.is_empty() {
            return;
        }
        let form = pull.point.as_ref().and_then(|_| Form::of(&request.sql));
        let is_form = form.is_some();
        let text = form.map_or_else(|| request.sql.clone(), |form| form.text);
        let mut planned = self.planned.write();
        if planned.world > world {
            return;
        }
        if planned.world < world || planned.entries.len() >= MAX_ENTRIES {
            planned.entries.clear();
            planned.world = world;
        }
        planned.entries.insert(Key { text, is_form, properties: request.properties.clone() }, Arc::new(pull));
    }
}

impl Form {
    /// Takes the literals out of a text; `None` if it holds what makes that more than a look at its characters: comments,
    /// variables, numbers other than integers.
    pub(super) fn of(sql: &str) -> Option<Self> {
        let bytes = sql.as_bytes();
        let mut text = String::with_capacity(sql.len());
        let mut literals = Vec::new();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let start = at;
            match byte {
                b'\'' => {
                    let (value, end) = quoted(sql, at, b'\'')?;
                    text.push_str("'?'");
                    literals.push(Literal::String(value));
                    at = end;
                    continue;
                }
                b'"' | b'`' => at = quoted(sql, at, *byte)?.1,
                b'$' => return None,
                b'-' if bytes.get(at + 1) == Some(&b'-') => return None,
                b'/' if bytes.get(at + 1) == Some(&b'*') => return None,
                b'-' if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                    // A sign where an operand must begin belongs to the number, else it is an operator.
                    let before = text.trim_end().chars().next_back()?;
                    if !matches!(before, '=' | '(' | ',') {
                        return None;
                    }
                    at = number(bytes, at + 1)?;
                    literals.push(integer(&sql[start..at])?);
                    text.push_str(if matches!(literals.last(), Some(Literal::Integer(_))) { "?4" } else { "?8" });
                    continue;
                }
                b'0'..=b'9' => {
                    at = number(bytes, at)?;
                    literals.push(integer(&sql[start..at])?);
                    text.push_str(if matches!(literals.last(), Some(Literal::Integer(_))) { "?4" } else { "?8" });
                    continue;
                }
                b'.' => return None,
                _ if is_word(*byte) => {
                    while bytes.get(at).is_some_and(|byte| is_word(*byte)) {
                        at += 1;
                    }
                }
                _ => at += 1,
            }
            text.push_str(sql.get(start..at)?);
        }
        Some(Self { text, literals })
    }
}

/// Bytes of names and keywords; those beyond ASCII are taken with their neighbours.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'@' || byte >= 0x80
}

/// The text between quotes from `start` on, two quotes being one, and where it ends.
fn quoted(sql: &str, start: usize, quote: u8) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut from = start + 1;
    loop {
        let end = from + memchr::memchr(quote, &sql.as_bytes()[from..])?;
        value.push_str(sql.get(from..end)?);
        if sql.as_bytes().get(end + 1) != Some(&quote) {
            return Some((value, end + 1));
        }
        value.push(char::from(quote));
        from = end + 2;
    }
}

/// Where the digits from `at` on end; `None` if they are not an integer.
fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    let is_more = bytes.get(at).is_some_and(|byte| is_word(*byte) || *byte == b'.');
    (!is_more).then_some(at)
}

fn integer(digits: &str) -> Option<Literal> {
    digits.parse::<i32>().map(Literal::Integer).or_else(|_| digits.parse::<i64>().map(Literal::BigInt)).ok()
}

#[cfg(test)]
mod tests {
    use super::Form;

    fn check(sql: &str, expected: &str) {
        let found =
            Form::of(sql).map_or_else(|| "none".to_owned(), |form| format!("{} {:?}", form.text, form.literals));
        assert_eq!(found, expected, "{sql}");
    }

    #[test]
    fn literals_are_taken_out_and_the_rest_stays() {
        check(
            "SELECT * FROM T1 WHERE A='x''y' AND B = -5;",
            "SELECT * FROM T1 WHERE A='?' AND B = ?4; [String(\"x'y\"), Integer(-5)]",
        );
        check("WHERE K IN (1, 3000000000)", "WHERE K IN (?4, ?8) [Integer(1), BigInt(3000000000)]");
        check("SELECT `a'1` FROM \"x\"\"1\"", "SELECT `a'1` FROM \"x\"\"1\" []");
        check("SELECT été FROM t WHERE k = 'naïve'", "SELECT été FROM t WHERE k = '?' [String(\"naïve\")]");
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_parser() {
        for sql in [
            "K = 1.5",
            "K = 1E3",
            "K = 3-1",
            "K = 1 -- x",
            "K = /* x */ 1",
            "K = ${v}",
            "K = 'open",
            "K = 99999999999999999999",
        ] {
            check(sql, "none");
        }
    }
}
