//! Tokens to trees: a recursive-descent parser, one file per noun of the grammar.
//!
//! Invariants:
//! - no token is read twice by different rules except for bounded looks ahead, so time is linear in the text;
//! - recursion is bounded by [`MAX_NESTING`], and the height of every tree by [`MAX_HEIGHT`], also where a tree grows
//!   without recursion (`a + b + c …`): whoever walks, prints, compares or drops a tree may recurse.
//!
//! Reading order: this file (the cursor), [`expression`], [`query`], [`statement`].

mod admin;
mod create;
mod error;
mod expression;
mod function;
mod literal;
mod query;
mod statement;
mod type_name;

pub(super) use expression::Level;

#[cfg(test)]
mod tests;

use crate::diagnostics::{Code, Diagnostic, Span};
use crate::sql::ast::{Expr, Ident, Statement};
use crate::sql::lexer::{Lexer, Token, TokenKind};
use crate::types::Name;

/// Result of a grammar rule.
type Parsed<T> = Result<T, Diagnostic>;

/// How deep parentheses, constructors and type parameters may nest.
pub const MAX_NESTING: u32 = 100;

/// How many expressions may stand inside each other, counting `a + b + c` as three.
pub const MAX_HEIGHT: u32 = 400;

/// How many bytes a statement may have.
pub const MAX_STATEMENT_BYTES: usize = 1 << 20;

/// Parses one expression and nothing after it.
pub(super) fn parse_expression(text: &str) -> Parsed<Expr> {
    if text.len() > MAX_STATEMENT_BYTES {
        return Err(too_long(text.len()));
    }
    let mut parser = Parser::new(Lexer::tokens(text)?);
    let expr = parser.expression()?;
    parser.expect_end()?;
    Ok(expr)
}

/// Parses every statement of a request.
pub(super) fn parse_statements(text: &str) -> Parsed<Vec<Statement>> {
    check_request(text)?;
    let mut parser = Parser::new(Lexer::tokens(text)?);
    let mut statements = Vec::new();
    while parser.peek().kind != TokenKind::End {
        statements.push(parser.terminated_statement()?);
    }
    Ok(statements)
}

/// Refuses a request whose places do not fit 32 bits.
pub(super) fn check_request(text: &str) -> Parsed<()> {
    if u32::try_from(text.len()).is_err() { Err(too_long(text.len())) } else { Ok(()) }
}

/// Parses one statement from its tokens, whose places may have been mapped to another text.
pub(super) fn parse_tokens(tokens: Vec<Token<'_>>) -> Parsed<Statement> {
    let mut parser = Parser::new(tokens);
    let statement = parser.terminated_statement()?;
    parser.expect_end()?;
    Ok(statement)
}

/// The refusal of a statement of this many bytes.
pub(super) fn too_long(bytes: usize) -> Diagnostic {
    Diagnostic::new(
        Code::LimitExceeded,
        format!("the statement has {bytes} bytes, more than the {MAX_STATEMENT_BYTES} a statement may have"),
    )
}

/// A cursor over the tokens of a request, with one method per grammar rule.
struct Parser<'a> {
    /// Ends with [`TokenKind::End`].
    tokens: Vec<Token<'a>>,
    at: usize,
    /// Rules under way that may contain themselves.
    nesting: u32,
    /// Height of the expression or type that was read last.
    height: u32,
}

impl<'a> Parser<'a> {
    fn new(tokens: Vec<Token<'a>>) -> Self {
        Self { tokens, at: 0, nesting: 0, height: 0 }
    }

    fn peek(&self) -> Token<'a> {
        self.peek_at(0)
    }

    /// The token `n` after the next one, or the end.
    fn peek_at(&self, n: usize) -> Token<'a> {
        self.tokens[(self.at + n).min(self.tokens.len() - 1)]
    }

    /// Takes the next token. At the end it stays there.
    fn bump(&mut self) -> Token<'a> {
        let token = self.peek();
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        token
    }

    /// The token taken last, if any was.
    fn previous(&self) -> Option<Token<'a>> {
        self.at.checked_sub(1).map(|at| self.tokens[at])
    }

    /// From the start of `first` to the end of the token taken last.
    fn span_from(&self, first: Span) -> Span {
        self.previous().map_or(first, |last| first.to(last.span))
    }

    fn at_word(&self, word: &str) -> bool {
        self.peek().is_word(word)
    }

    fn at_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.peek_at(n).is_word(word))
    }

    fn at_symbol(&self, symbol: &str) -> bool {
        self.peek().is_symbol(symbol)
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let eats = self.at_word(word);
        self.at += usize::from(eats);
        eats
    }

    /// Takes all of the words or none.
    fn eat_words(&mut self, words: &[&str]) -> bool {
        let eats = self.at_words(words);
        if eats {
            self.at += words.len();
        }
        eats
    }

    fn eat_symbol(&mut self, symbol: &str) -> bool {
        let eats = self.at_symbol(symbol);
        self.at += usize::from(eats);
        eats
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.expected(&[word])) }
    }

    fn expect_words(&mut self, words: &[&str]) -> Parsed<()> {
        words.iter().try_for_each(|word| self.expect_word(word))
    }

    fn expect_symbol(&mut self, symbol: &str) -> Parsed<()> {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(self.expected_what(&format!("\"{symbol}\""))) }
    }

    fn expect_end(&self) -> Parsed<()> {
        if self.peek().kind == TokenKind::End { Ok(()) } else { Err(self.expected_what("the end of the text")) }
    }

    /// One or more, separated by commas.
    fn comma_separated<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat_symbol(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// A name after the case rule. `what` says what it would name, for messages: `a column name`.
    fn ident(&mut self, what: &str) -> Parsed<Ident> {
        let token = self.peek();
        if !token.is_name() {
            return Err(self.expected_name(what));
        }
        self.bump();
        let name = match token.kind {
            TokenKind::Quoted => token.unquoted(),
            _ => token.text.to_ascii_uppercase(),
        };
        Ok(Ident { name: Name::new(name), span: token.span })
    }

    /// The name of a stream or table.
    fn source_name(&mut self, what: &str) -> Parsed<Ident> {
        let ident = self.ident(what)?;
        let name = ident.name.as_str();
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
            return Ok(ident);
        }
        Err(Diagnostic::new(Code::SyntaxError, format!("{} cannot name a stream or table", ident.name.quoted()))
            .with_detail("Names of streams and tables consist of letters, digits, \"_\" and \"-\".")
            .at(ident.span))
    }

    /// A string, unescaped.
    fn string(&mut self, what: &str) -> Parsed<(String, Span)> {
        let token = self.peek();
        if token.kind != TokenKind::String {
            return Err(self.expected_what(what));
        }
        self.bump();
        Ok((token.unquoted(), token.span))
    }

    /// Begins a rule that may contain itself. The first error ends the parse, so only success must [`Self::leave`].
    fn enter(&mut self) -> Parsed<()> {
        if self.nesting == MAX_NESTING {
            return Err(Diagnostic::new(
                Code::LimitExceeded,
                format!("the statement is nested deeper than the {MAX_NESTING} levels allowed"),
            )
            .at(self.peek().span));
        }
        self.nesting += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.nesting -= 1;
    }

    /// Notes that an expression or type was built over others, the highest of which has height `below`.
    fn grow(&mut self, below: u32) -> Parsed<()> {
        self.height = below + 1;
        if self.height > MAX_HEIGHT {
            return Err(Diagnostic::new(
                Code::LimitExceeded,
                format!("more than {MAX_HEIGHT} expressions stand inside each other"),
            )
            .with_hint("A chain of operators counts one for each; IN lists and function arguments do not.")
            .at(self.previous().unwrap_or_else(|| self.peek()).span));
        }
        Ok(())
    }
}
