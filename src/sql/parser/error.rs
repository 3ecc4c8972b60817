//! What the parser says when the next token is not what the grammar wants.

use crate::diagnostics::{Code, Diagnostic, nearest};
use crate::sql::lexer::{Token, TokenKind};

use super::Parser;

/// How many characters of a token a message shows.
const SHOWN: usize = 40;

/// Shorter words are near to too much.
const SHORTEST_MISSPELT: usize = 3;

impl Parser<'_> {
    /// The next token is none of these keywords or symbols.
    pub(super) fn expected(&self, words: &[&str]) -> Diagnostic {
        let quoted = |word: &&str| {
            if word.starts_with(|c: char| c.is_ascii_alphabetic()) { (*word).to_owned() } else { format!("\"{word}\"") }
        };
        let what = match words.split_last() {
            Some((last, [])) => quoted(last),
            Some((last, others)) => {
                format!("{} or {}", others.iter().map(quoted).collect::<Vec<_>>().join(", "), quoted(last))
            }
            None => "nothing".to_owned(),
        };
        self.misspelt(self.expected_what(&what), words)
    }

    /// The next token is not `what`, named in words.
    pub(super) fn expected_what(&self, what: &str) -> Diagnostic {
        let token = self.peek();
        let primary = format!("expected {what}, found {}", describe(&token));
        let found = Diagnostic::new(Code::SyntaxError, primary).at(token.span);
        match self.known_trap(&token) {
            Some(hint) => found.with_hint(hint),
            None => found,
        }
    }

    /// The next token is not a name, and `what` says what should have been named.
    pub(super) fn expected_name(&self, what: &str) -> Diagnostic {
        let token = self.peek();
        let found = self.expected_what(what);
        if found.hint.is_none() && token.is_reserved() {
            let name = token.text.to_ascii_uppercase();
            return found.with_hint(format!("{name} is a reserved word; as a name it stands between back-ticks."));
        }
        if found.hint.is_none() && token.kind == TokenKind::String {
            return found.with_hint("Single quotes make a string; names stand between back-ticks or double quotes.");
        }
        found
    }

    /// Adds a hint if the next token, or the one before it taken for a name, looks like the first word of one of
    /// `phrases` misspelt.
    pub(super) fn misspelt(&self, diagnostic: Diagnostic, phrases: &[&str]) -> Diagnostic {
        let first_words = || phrases.iter().map(|phrase| phrase.split(' ').next().unwrap_or(phrase));
        let near = [Some(self.peek()), self.previous()]
            .into_iter()
            .flatten()
            .filter(|token| {
                token.kind == TokenKind::Word && token.text.len() >= SHORTEST_MISSPELT && !token.is_reserved()
            })
            .filter_map(|token| nearest(token.text, first_words()).filter(|near| !token.is_word(near)))
            .next();
        match near {
            Some(near) if diagnostic.hint.is_none() => diagnostic.with_hint(format!("Did you mean {near}?")),
            _ => diagnostic,
        }
    }

    /// What other dialects of SQL have at this place and this one has not.
    pub(super) fn known_trap(&self, token: &Token<'_>) -> Option<&'static str> {
        let previous = self.previous();
        let after = |word: &str| previous.is_some_and(|previous| previous.is_word(word));
        Some(match token.kind {
            TokenKind::Variable => "Variables are given a value with DEFINE name = 'value'.",
            _ if token.is_word("BY") && after("ORDER") => "There is no ORDER BY.",
            _ if token.is_word("DISTINCT") && after("SELECT") => {
                "There is no SELECT DISTINCT; a GROUP BY keeps one row for each value."
            }
            _ if token.is_word("SELECT") && (after("(") || previous.is_some_and(|p| p.is_symbol("("))) => {
                "There are no sub-queries; create a stream or table for the inner query and read from it."
            }
            _ if token.is_word("SELECT") && (after("UNION") || after("ALL")) => {
                "There is no UNION; write both queries into one stream with INSERT INTO."
            }
            TokenKind::String if after("DATE") || after("TIME") || after("TIMESTAMP") => {
                "There are no such literals; write CAST('…' AS DATE), TIME or TIMESTAMP, or the bare string."
            }
            _ => return None,
        })
    }
}

/// A token as a message shows it.
pub(super) fn describe(token: &Token<'_>) -> String {
    let mut text: String = token.text.chars().take(SHOWN).collect();
    if text.len() < token.text.len() {
        text.push('…');
    }
    match token.kind {
        TokenKind::End => "the end of the text".to_owned(),
        TokenKind::String => format!("string {text}"),
        TokenKind::Quoted => format!("name {text}"),
        TokenKind::Variable => format!("variable {text} without a value"),
        _ => format!("\"{text}\""),
    }
}
