//! MASK and its kin: characters replaced by class.

use std::borrow::Cow;

use datafusion::arrow::array::{ArrayRef, StringArray};

use crate::functions::Function;
use crate::functions::call::{Call, Message};

/// Which characters of a text are masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Left,
    Right,
    AllButLeft,
    AllButRight,
}

const MASKS: &str = "upper STRING, lower STRING, digit STRING, other STRING";

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::scalar("MASK", "STRING", "The text with each character replaced by the mask of its class.")
            .overload("input STRING", "STRING", |call| mask(call, None))
            .overload(&format!("input STRING, {MASKS}"), "STRING", |call| mask(call, None)),
        partial("MASK_LEFT", "The text with its first n characters masked.", Part::Left),
        partial("MASK_RIGHT", "The text with its last n characters masked.", Part::Right),
        partial("MASK_KEEP_LEFT", "The text with all but its first n characters masked.", Part::AllButLeft),
        partial("MASK_KEEP_RIGHT", "The text with all but its last n characters masked.", Part::AllButRight),
    ]
}

fn partial(name: &'static str, description: &'static str, part: Part) -> Function {
    Function::scalar(name, "STRING", description)
        .overload("input STRING, numChars INTEGER!", "STRING", move |call| mask(call, Some(part)))
        .overload(&format!("input STRING, numChars INTEGER!, {MASKS}"), "STRING", move |call| mask(call, Some(part)))
}

fn mask(call: &mut Call<'_>, part: Option<Part>) -> ArrayRef {
    let text = call.text(0);
    let n = part.map(|_| call.int(1));
    let first = if part.is_some() { 2 } else { 1 };
    let given: Option<Vec<_>> = (call.args.len() > first).then(|| (first..first + 4).map(|i| call.text(i)).collect());
    call.rows::<_, StringArray>(|row| {
        let mut masks = [Some('X'), Some('x'), Some('n'), Some('-')];
        if let Some(given) = &given {
            for (mask, text) in masks.iter_mut().zip(given) {
                *mask = text.get(row).map(one_character).transpose()?;
            }
        }
        let n =
            match n.map(|n| n.get(row)) {
                None => None,
                // A null here has failed already.
                Some(None) => return Ok(None),
                Some(Some(n)) => Some(usize::try_from(n).map_err(|_| {
                    Message::from("function requires a non-negative number of characters to mask or skip")
                })?),
            };
        let Some(text) = text.get(row) else { return Ok(None) };
        let count = text.chars().count();
        let masked = |i: usize| match (part, n) {
            (Some(Part::Left), Some(n)) => i < n,
            (Some(Part::Right), Some(n)) => i + n >= count,
            (Some(Part::AllButLeft), Some(n)) => i >= n,
            (Some(Part::AllButRight), Some(n)) => i + n < count,
            _ => true,
        };
        Ok(Some(
            text.chars().enumerate().map(|(i, c)| if masked(i) { replaced(c, masks) } else { c }).collect::<String>(),
        ))
    })
}

fn replaced(c: char, masks: [Option<char>; 4]) -> char {
    let [upper, lower, digit, other] = masks;
    let mask = if c.is_uppercase() {
        upper
    } else if c.is_lowercase() {
        lower
    } else if c.is_numeric() {
        digit
    } else {
        other
    };
    mask.unwrap_or(c)
}

fn one_character(mask: &str) -> Result<char, Message> {
    let mut chars = mask.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(Cow::from(format!("Invalid mask character: {mask}"))),
    }
}
