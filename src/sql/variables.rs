//! Variables: `${name}` replaced before a statement is parsed.
//!
//! A request is cut into statements first ([`split_statements`]), so that a DEFINE affects the statements after it:
//!
//! ```text
//! for piece in split_statements(request)? {
//!     let statement = parse_statement(&piece, &variables)?;   // DEFINE and UNDEFINE change `variables`
//! }
//! ```
//!
//! - Inside a string, every variable that has a value is replaced by it, quotes doubled; one without a value stays
//!   as it is, and `$${name}` stands for the text `${name}`.
//! - Anywhere else a variable stands for one name or one literal, and its value must be just that: a value never
//!   brings operators, comments or further statements with it.
//! - Quoted names and comments are left alone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::diagnostics::{Code, Diagnostic, Position, Span};

use super::ast::Statement;
use super::lexer::{Lexer, Token, TokenKind, advance, shifted, variable_len};
use super::parser;

/// A statement's own text in a request.
#[derive(Debug, Clone, Copy)]
pub struct StatementText<'a> {
    /// From the first token to the semicolon, which only the last statement may lack.
    pub text: &'a str,
    /// Where the text stands in the request.
    pub span: Span,
}

/// Cuts a request at its semicolons.
///
/// # Errors
/// A character, string or comment that no token begins with or that has no end.
pub fn split_statements(text: &str) -> Result<Vec<StatementText<'_>>, Diagnostic> {
    parser::check_request(text)?;
    let mut lexer = Lexer::new(text);
    let mut pieces = Vec::new();
    let mut span: Option<Span> = None;
    loop {
        let token = lexer.token()?;
        let at_end = token.kind == TokenKind::End;
        if !at_end {
            span = Some(span.map_or(token.span, |first| first.to(token.span)));
        }
        if (at_end || token.is_symbol(";"))
            && let Some(span) = span.take()
        {
            let text = &text[span.start.byte as usize..span.end.byte as usize];
            pieces.push(StatementText { text, span });
        }
        if at_end {
            return Ok(pieces);
        }
    }
}

/// Parses one statement of a request with its variables replaced. All places are places in the request.
///
/// Names of variables are compared without regard to case.
///
/// # Errors
/// As [`crate::sql::parse_statements`]; a variable without a value where a name or literal must stand; a value that
/// is not one.
pub fn parse_statement(
    piece: &StatementText<'_>,
    variables: &BTreeMap<String, String>,
) -> Result<Statement, Diagnostic> {
    let (replaced, edits) = replace(piece.text, variables).map_err(|wrong| shift(wrong, piece.span.start))?;
    let mut tokens = Lexer::tokens(&replaced)?;
    put_back(&mut tokens, &edits, piece);
    parser::parse_tokens(tokens)
}

/// A statement's text with its variables replaced; borrowed if there are none.
///
/// # Errors
/// A variable without a value where a name or literal must stand; a value that is not one. Places count from the
/// start of `text`.
pub fn substitute<'a>(text: &'a str, variables: &BTreeMap<String, String>) -> Result<Cow<'a, str>, Diagnostic> {
    Ok(replace(text, variables)?.0)
}

/// A replaced piece of text.
struct Edit {
    /// Bytes before.
    original: Range<usize>,
    /// Bytes after.
    replaced: Range<usize>,
}

fn replace<'a>(text: &'a str, variables: &BTreeMap<String, String>) -> Result<(Cow<'a, str>, Vec<Edit>), Diagnostic> {
    if !text.contains("${") {
        return Ok((Cow::Borrowed(text), Vec::new()));
    }
    let mut lexer = Lexer::new(text);
    let mut result = String::with_capacity(text.len());
    let mut edits = Vec::new();
    let mut copied = 0;
    loop {
        let token = lexer.token()?;
        let replacement = match token.kind {
            TokenKind::End => break,
            TokenKind::Variable => name_or_literal(&token, variables)?,
            TokenKind::String if token.text.contains("${") => inside_string(token.text, variables)?,
            _ => continue,
        };
        let original = token.span.start.byte as usize..token.span.end.byte as usize;
        result.push_str(&text[copied..original.start]);
        copied = original.end;
        let start = result.len();
        if !stay_apart(&result, &replacement) {
            result.push(' ');
        }
        result.push_str(&replacement);
        if !stay_apart(&result, &text[original.end..]) {
            result.push(' ');
        }
        edits.push(Edit { original, replaced: start..result.len() });
        if result.len() > parser::MAX_STATEMENT_BYTES {
            return Err(parser::too_long(result.len()));
        }
    }
    result.push_str(&text[copied..]);
    Ok((Cow::Owned(result), edits))
}

fn value<'v>(name: &str, variables: &'v BTreeMap<String, String>) -> Option<&'v str> {
    variables.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// What stands for a variable outside of strings.
fn name_or_literal(variable: &Token<'_>, variables: &BTreeMap<String, String>) -> Result<String, Diagnostic> {
    let name = &variable.text[2..variable.text.len() - 1];
    let Some(value) = value(name, variables) else {
        return Err(Diagnostic::new(Code::SyntaxError, format!("variable {name} has no value"))
            .with_near_miss(name, variables.keys().map(String::as_str))
            .at(variable.span));
    };
    let value = value.trim();
    if let Some(text) = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return Ok(format!("'{}'", text.replace('\'', "''")));
    }
    let tokens = Lexer::tokens(value).unwrap_or_default();
    match tokens.as_slice() {
        [only, _] if is_name_or_literal(only) => Ok(only.text.to_owned()),
        [minus, number, _] if minus.is_symbol("-") && is_number(number) => Ok(format!("-{}", number.text)),
        _ => Err(Diagnostic::new(
            Code::SyntaxError,
            format!("the value of variable {name} is neither a name nor a literal"),
        )
        .with_detail(format!("Got: {value}"))
        .with_hint("A name may be quoted; a string is defined with its quotes: DEFINE x = '''text'''.")
        .at(variable.span)),
    }
}

fn is_number(token: &Token<'_>) -> bool {
    matches!(token.kind, TokenKind::Integer | TokenKind::Decimal | TokenKind::Double)
}

fn is_name_or_literal(token: &Token<'_>) -> bool {
    is_number(token) || token.is_name() || token.is_word("TRUE") || token.is_word("FALSE")
}

/// A string's text, quotes included, with the variables in it replaced.
fn inside_string(text: &str, variables: &BTreeMap<String, String>) -> Result<String, Diagnostic> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        let Some(len) = variable_len(from) else {
            result.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            continue;
        };
        let (variable, after) = from.split_at(len);
        match (before.strip_suffix('$'), value(&variable[2..len - 1], variables)) {
            (Some(before), _) => result.extend([before, variable]),
            (None, Some(value)) => result.extend([before, &value.replace('\'', "''")]),
            (None, None) => result.extend([before, variable]),
        }
        if result.len() > parser::MAX_STATEMENT_BYTES {
            return Err(parser::too_long(result.len()));
        }
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

/// True if two texts side by side cannot become one token, or a comment.
fn stay_apart(left: &str, right: &str) -> bool {
    let is_mark = |c: char| c.is_ascii_whitespace() || "()[],;=<>+*%".contains(c);
    match (left.chars().next_back(), right.chars().next()) {
        (Some('.'), Some(right)) => !right.is_ascii_digit(),
        (Some(left), Some('.')) => !left.is_ascii_digit(),
        (Some(left), Some(right)) => is_mark(left) || is_mark(right),
        _ => true,
    }
}

/// Gives tokens of a piece's replaced text the places they have in the request. Tokens of one value share the place
/// of its variable.
fn put_back(tokens: &mut [Token<'_>], edits: &[Edit], piece: &StatementText<'_>) {
    let mut edits = edits.iter().peekable();
    // Ends of the last edit passed, before and after replacing.
    let (mut original, mut replaced) = (0, 0);
    // How far the request has been read, in the piece's bytes, and its place there.
    let (mut read, mut at) = (0, piece.span.start);
    for token in tokens {
        let (start, end) = (token.span.start.byte as usize, token.span.end.byte as usize);
        while let Some(edit) = edits.next_if(|edit| edit.replaced.end <= start) {
            (original, replaced) = (edit.original.end, edit.replaced.end);
        }
        let range = match edits.peek() {
            Some(edit) if edit.replaced.start <= start => edit.original.clone(),
            _ => start - replaced + original..end - replaced + original,
        };
        at = advance(at, &piece.text[read..range.start]);
        read = range.start;
        token.span = Span { start: at, end: advance(at, &piece.text[range]) };
    }
}

fn shift(mut wrong: Diagnostic, start: Position) -> Diagnostic {
    if let Some(span) = &mut wrong.span {
        *span = Span { start: shifted(span.start, start), end: shifted(span.end, start) };
    }
    wrong
}

#[cfg(test)]
mod tests;
