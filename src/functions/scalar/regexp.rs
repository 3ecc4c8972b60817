//! Regular expressions. The syntax is that of the `regex` crate: Java's without look-around and back references.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListBuilder, StringArray, StringBuilder};
use regex::{Captures, Regex};

use crate::expressions::Typed;
use crate::functions::Function;
use crate::functions::call::{Call, Message};

const CATEGORY: &str = "REGULAR EXPRESSION";

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::scalar("REGEXP_EXTRACT", CATEGORY, "The first match of a pattern, or of one of its groups.")
            .overload("pattern STRING, input STRING", "STRING", extract)
            .overload("pattern STRING, input STRING, group INTEGER", "STRING", extract),
        Function::scalar("REGEXP_EXTRACT_ALL", CATEGORY, "Every match of a pattern, or of one of its groups.")
            .overload("pattern STRING, input STRING", "ARRAY<STRING>", extract_all)
            .overload("pattern STRING, input STRING, group INTEGER", "ARRAY<STRING>", extract_all),
        Function::scalar("REGEXP_REPLACE", CATEGORY, "The text with every match of a pattern replaced.").overload(
            "str STRING, regexp STRING, newStr STRING",
            "STRING",
            replace,
        ),
        Function::scalar("REGEXP_SPLIT_TO_ARRAY", CATEGORY, "The parts of a text between matches of a pattern.")
            .overload("string STRING, regexp STRING", "ARRAY<STRING>", split),
    ]
}

/// Patterns by row: a constant one is compiled once for its place in the statement, others when they change.
struct Patterns<'a> {
    texts: Typed<'a, StringArray>,
    constant: Option<&'a Result<Regex, String>>,
    last: Option<(&'a str, Result<Regex, String>)>,
}

impl<'a> Patterns<'a> {
    fn of(call: &Call<'a>, i: usize) -> Self {
        let texts = call.text(i);
        let constant = call.args[i].is_constant().then(|| texts.get(0)).flatten();
        Self { texts, constant: constant.map(|text| call.prepared(|| compile(text))), last: None }
    }

    fn get(&mut self, row: usize) -> Option<Result<&Regex, Message>> {
        let text = self.texts.get(row)?;
        let compiled = match self.constant {
            Some(compiled) => compiled,
            None => {
                if self.last.as_ref().is_none_or(|(known, _)| *known != text) {
                    self.last = Some((text, compile(text)));
                }
                &self.last.as_ref()?.1
            }
        };
        Some(compiled.as_ref().map_err(|message| Message::from(message.clone())))
    }
}

fn compile(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| format!("Invalid regular expression pattern: {text}: {error}"))
}

/// The group that is asked for; the outer `None` is NULL.
fn group(call: &Call<'_>, row: usize) -> Option<Option<usize>> {
    if call.args.len() < 3 {
        return Some(Some(0));
    }
    call.int(2).get(row).map(|group| usize::try_from(group).ok())
}

fn extract(call: &mut Call<'_>) -> ArrayRef {
    let mut patterns = Patterns::of(call, 0);
    let text = call.text(1);
    let groups: Vec<_> = (0..call.rows).map(|row| group(call, row)).collect();
    call.rows::<_, StringArray>(|row| {
        let (Some(pattern), Some(text), Some(group)) = (patterns.get(row), text.get(row), groups[row]) else {
            return Ok(None);
        };
        let found = pattern?.captures(text);
        Ok(group.and_then(|group| found.and_then(|found| found.get(group).map(|part| part.as_str().to_owned()))))
    })
}

fn extract_all(call: &mut Call<'_>) -> ArrayRef {
    let mut patterns = Patterns::of(call, 0);
    let text = call.text(1);
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..call.rows {
        let (Some(pattern), Some(text), Some(group)) = (patterns.get(row), text.get(row), group(call, row)) else {
            lists.append_null();
            continue;
        };
        match (pattern, group) {
            (Err(message), _) => {
                lists.append_null();
                call.failures.push((row, message));
            }
            (Ok(pattern), Some(group)) if group < pattern.captures_len() => {
                for found in pattern.captures_iter(text) {
                    lists.values().append_option(found.get(group).map(|part| part.as_str()));
                }
                lists.append(true);
            }
            (Ok(_), _) => lists.append_null(),
        }
    }
    Arc::new(lists.finish())
}

fn replace(call: &mut Call<'_>) -> ArrayRef {
    let mut patterns = Patterns::of(call, 1);
    let (text, replacement) = (call.text(0), call.text(2));
    call.rows::<_, StringArray>(|row| {
        let (Some(text), Some(pattern), Some(replacement)) = (text.get(row), patterns.get(row), replacement.get(row))
        else {
            return Ok(None);
        };
        let mut failed = None;
        let replaced = pattern?.replace_all(text, |found: &Captures<'_>| {
            expand(replacement, found).unwrap_or_else(|message| {
                failed = Some(message);
                String::new()
            })
        });
        match failed {
            Some(message) => Err(message),
            None => Ok(Some(replaced.into_owned())),
        }
    })
}

/// A Java replacement: `$1` and `${name}` are groups, a backslash takes what follows as it is.
fn expand(replacement: &str, found: &Captures<'_>) -> Result<String, Message> {
    let mut text = String::new();
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().ok_or(Message::from("character to be escaped is missing"))?),
            '$' if chars.peek() == Some(&'{') => {
                chars.next();
                let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
                let part = found.name(&name).ok_or_else(|| Message::from(format!("No group with name {{{name}}}")))?;
                text.push_str(part.as_str());
            }
            '$' => {
                let mut group =
                    chars.next().and_then(|c| c.to_digit(10)).ok_or(Message::from("Illegal group reference"))?;
                // Further digits belong to the group as long as there is such a group.
                while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                    if (group * 10 + digit) as usize >= found.len() {
                        break;
                    }
                    group = group * 10 + digit;
                    chars.next();
                }
                if group as usize >= found.len() {
                    return Err(format!("No group {group}").into());
                }
                text.push_str(found.get(group as usize).map_or("", |part| part.as_str()));
            }
            other => text.push(other),
        }
    }
    Ok(text)
}

fn split(call: &mut Call<'_>) -> ArrayRef {
    let mut patterns = Patterns::of(call, 1);
    let text = call.text(0);
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..call.rows {
        let (Some(text), Some(pattern)) = (text.get(row), patterns.get(row)) else {
            lists.append_null();
            continue;
        };
        match pattern {
            Ok(pattern) => {
                let mut parts: Vec<&str> = pattern.split(text).collect();
                if pattern.is_match("") {
                    // As Java's split: no part before an empty match at the start, none at the end.
                    if parts.len() > 1 && parts.first() == Some(&"") {
                        parts.remove(0);
                    }
                    while parts.len() > 1 && parts.last() == Some(&"") {
                        parts.pop();
                    }
                }
                parts.into_iter().for_each(|part| lists.values().append_value(part));
                lists.append(true);
            }
            Err(message) => {
                lists.append_null();
                call.failures.push((row, message));
            }
        }
    }
    Arc::new(lists.finish())
}
