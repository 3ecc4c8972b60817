//! Regular expressions, by Java's rules.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListBuilder, StringArray, StringBuilder};

use crate::expressions::Typed;
use crate::functions::Function;
use crate::functions::call::{Call, Message};
use crate::functions::java_regex::{Found, Pattern};

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
    constant: Option<&'a Result<Pattern, String>>,
    last: Option<(&'a str, Result<Pattern, String>)>,
}

impl<'a> Patterns<'a> {
    fn of(call: &Call<'a>, i: usize) -> Self {
        let texts = call.text(i);
        let constant = call.args[i].is_constant().then(|| texts.get(0)).flatten();
        Self { texts, constant: constant.map(|text| call.prepared(|| compile(text))), last: None }
    }

    fn get(&mut self, row: usize) -> Option<Result<&Pattern, Message>> {
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

fn compile(text: &str) -> Result<Pattern, String> {
    Pattern::compile(text).map_err(|error| format!("Invalid regular expression pattern: {text}: {error}"))
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
    let constant = patterns.constant.is_some();
    let mut scratch = None;
    call.rows::<_, StringArray>(|row| {
        let (Some(pattern), Some(text), Some(group)) = (patterns.get(row), text.get(row), groups[row]) else {
            return Ok(None);
        };
        if !constant {
            scratch = None;
        }
        let Some(group) = group else { return Ok(None) };
        Ok(pattern?.group(text, group, &mut scratch)?.map(str::to_owned))
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
        let mut parts = Vec::new();
        let found = pattern.and_then(|pattern| {
            let group = group.filter(|group| *group < pattern.groups());
            let Some(group) = group else { return Ok(false) };
            pattern.find_all::<Message>(text, |found, _, _| {
                parts.push(found.get(group));
                Ok(())
            })?;
            Ok(true)
        });
        let found = found.unwrap_or_else(|message| {
            call.failures.push((row, message));
            false
        });
        if found {
            parts.into_iter().for_each(|part| lists.values().append_option(part));
        }
        lists.append(found);
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
        let pattern = pattern?;
        let mut replaced = String::with_capacity(text.len());
        let mut copied = 0;
        pattern.find_all::<Message>(text, |found, start, end| {
            replaced.push_str(&text[copied..start]);
            expand(replacement, found, pattern.groups(), &mut replaced)?;
            copied = end;
            Ok(())
        })?;
        replaced.push_str(&text[copied..]);
        Ok(Some(replaced))
    })
}

/// A Java replacement: `$1` and `${name}` are groups, a backslash takes what follows as it is.
fn expand(replacement: &str, found: &Found<'_>, groups: usize, text: &mut String) -> Result<(), Message> {
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().ok_or(Message::from("character to be escaped is missing"))?),
            '$' if chars.peek() == Some(&'{') => {
                chars.next();
                let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
                let part = found.name(&name).ok_or_else(|| Message::from(format!("No group with name {{{name}}}")))?;
                text.push_str(part);
            }
            '$' => {
                let mut group =
                    chars.next().and_then(|c| c.to_digit(10)).ok_or(Message::from("Illegal group reference"))?;
                // Further digits belong to the group as long as there is such a group.
                while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                    if (group * 10 + digit) as usize >= groups {
                        break;
                    }
                    group = group * 10 + digit;
                    chars.next();
                }
                if group as usize >= groups {
                    return Err(format!("No group {group}").into());
                }
                text.push_str(found.get(group as usize).unwrap_or(""));
            }
            other => text.push(other),
        }
    }
    Ok(())
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
        match pattern.and_then(|pattern| parts(pattern, text)) {
            Ok(parts) => {
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

/// The parts of a text between matches. Where an empty text matches, by the rules of Java's `split`: no part before an
/// empty match at the start, no empty parts at the end.
fn parts<'t>(pattern: &Pattern, text: &'t str) -> Result<Vec<&'t str>, Message> {
    let mut parts = Vec::new();
    let mut copied = 0;
    pattern.find_all::<Message>(text, |_, start, end| {
        if end > 0 || !pattern.matches_empty() {
            parts.push(&text[copied..start]);
            copied = end;
        }
        Ok(())
    })?;
    let is_whole = parts.is_empty();
    parts.push(&text[copied..]);
    if pattern.matches_empty() && !is_whole {
        while parts.last() == Some(&"") {
            parts.pop();
        }
    }
    Ok(parts)
}
