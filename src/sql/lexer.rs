//! Text to tokens, each with its place.
//!
//! The rules are ksqlDB's: the longest match wins, and of two equally long matches a number wins over a name that
//! starts with a digit (`1E3` is a number, `1E3A` a name). Words are not sorted into keywords and names here: which
//! word is a keyword depends on where it stands.
//!
//! Tokens borrow their text; nothing is unescaped before the parser asks for it.

use crate::diagnostics::{Code, Diagnostic, Position, Span};
use crate::types::Name;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// An unquoted name or keyword, also one that starts with a digit.
    Word,
    /// A name between back-ticks or double quotes, quotes included.
    Quoted,
    /// A string between single quotes, quotes included.
    String,
    /// Digits.
    Integer,
    /// Digits with a point.
    Decimal,
    /// Digits with an exponent.
    Double,
    /// `${name}`
    Variable,
    /// An operator or punctuation mark; its text tells which.
    Symbol,
    /// The end of the text.
    End,
}

/// A token, its text and its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    /// What it is.
    pub(super) kind: TokenKind,
    /// Its text as written; empty at the end.
    pub(super) text: &'a str,
    /// Where it stands.
    pub(super) span: Span,
}

impl Token<'_> {
    /// True for this keyword, whatever its case.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// True for this operator or punctuation mark.
    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// True for a word that cannot be a name without quotes.
    pub(super) fn is_reserved(&self) -> bool {
        self.kind == TokenKind::Word && Name::is_reserved_word(&self.text.to_ascii_uppercase())
    }

    /// True for what can stand where a name is expected.
    pub(super) fn is_name(&self) -> bool {
        match self.kind {
            TokenKind::Quoted => true,
            TokenKind::Word => !self.is_reserved(),
            _ => false,
        }
    }

    /// The text of a quoted token without its quotes, doubled quotes made single.
    pub(super) fn unquoted(&self) -> String {
        let quote = &self.text[..1];
        self.text[1..self.text.len() - 1].replace(&quote.repeat(2), quote)
    }
}

/// Symbols of two characters; they win over their first character.
const LONG_SYMBOLS: [&str; 8] = ["<>", "!=", "<=", ">=", ":=", "->", "=>", "||"];

/// Reads tokens one after another.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: Position,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `text`, which is shorter than 4 GiB.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: Position { line: 1, column: 1, byte: 0 } }
    }

    /// All tokens of `text`, the last of them [`TokenKind::End`].
    pub(super) fn tokens(text: &'a str) -> Result<Vec<Token<'a>>, Diagnostic> {
        let mut lexer = Self::new(text);
        let mut tokens = Vec::with_capacity(text.len() / 4);
        loop {
            let token = lexer.token()?;
            tokens.push(token);
            if token.kind == TokenKind::End {
                return Ok(tokens);
            }
        }
    }

    /// The next token.
    pub(super) fn token(&mut self) -> Result<Token<'a>, Diagnostic> {
        self.skip_blanks()?;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(Token { kind: TokenKind::End, text: "", span: Span { start: self.at, end: self.at } });
        };
        let (kind, len) = match first {
            'a'..='z' | 'A'..='Z' | '_' => (TokenKind::Word, word_len(rest)),
            '0'..='9' => number_or_word(rest),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => number(rest),
            '\'' => (TokenKind::String, self.quoted_len(rest, '\'', "string")?),
            '`' => (TokenKind::Quoted, self.quoted_len(rest, '`', "quoted name")?),
            '"' => (TokenKind::Quoted, self.quoted_len(rest, '"', "quoted name")?),
            '$' => (TokenKind::Variable, self.variable_len(rest)?),
            _ if LONG_SYMBOLS.iter().any(|symbol| rest.starts_with(symbol)) => (TokenKind::Symbol, 2),
            '(' | ')' | '[' | ']' | ',' | ';' | '.' | '+' | '-' | '*' | '/' | '%' | '=' | '<' | '>' => {
                (TokenKind::Symbol, 1)
            }
            _ => {
                let shown = first.escape_debug();
                let found = Diagnostic::new(Code::SyntaxError, format!("unexpected character \"{shown}\""));
                return Err(if first.is_alphanumeric() {
                    found.with_hint("Names with other characters than a-z, A-Z, 0-9, _ and @ stand between back-ticks.")
                } else {
                    found
                }
                .at(self.here(first.len_utf8())));
            }
        };
        let start = self.at;
        let text = &rest[..len];
        self.advance(len);
        Ok(Token { kind, text, span: Span { start, end: self.at } })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at.byte as usize..]
    }

    /// Moves over `len` bytes.
    fn advance(&mut self, len: usize) {
        self.at = advance(self.at, &self.rest()[..len]);
    }

    /// The span of the next `len` bytes.
    fn here(&self, len: usize) -> Span {
        Span { start: self.at, end: advance(self.at, &self.rest()[..len]) }
    }

    fn skip_blanks(&mut self) -> Result<(), Diagnostic> {
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            if blanks > 0 {
                self.advance(blanks);
            } else if rest.starts_with("--") {
                self.advance(rest.find('\n').unwrap_or(rest.len()));
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    return Err(Diagnostic::new(Code::SyntaxError, "the comment has no end")
                        .with_hint("A comment that starts with /* ends with */.")
                        .at(self.here(2)));
                };
                self.advance(end + 4);
            } else {
                return Ok(());
            }
        }
    }

    /// Bytes of the quoted text at the start of `rest`, quotes included. A doubled quote does not end it.
    fn quoted_len(&self, rest: &str, quote: char, what: &str) -> Result<usize, Diagnostic> {
        let mut from = 1;
        while let Some(found) = rest[from..].find(quote) {
            let end = from + found + 1;
            if !rest[end..].starts_with(quote) {
                return Ok(end);
            }
            from = end + 1;
        }
        Err(Diagnostic::new(Code::SyntaxError, format!("the {what} has no end"))
            .with_hint(format!("A {what} that starts with {quote} ends with {quote}."))
            .at(self.here(1)))
    }

    fn variable_len(&self, rest: &str) -> Result<usize, Diagnostic> {
        variable_len(rest).ok_or_else(|| {
            Diagnostic::new(Code::SyntaxError, "unexpected character \"$\"")
                .with_hint("A variable is written ${name}.")
                .at(self.here(1))
        })
    }
}

/// Bytes of the `${name}` at the start of `rest`, if there is one.
pub(super) fn variable_len(rest: &str) -> Option<usize> {
    let name = rest.strip_prefix("${")?;
    let len = word_len(name);
    let is_named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (is_named && name[len..].starts_with('}')).then_some(len + 3)
}

/// The place after `text`, which starts at `at`.
pub(super) fn advance(mut at: Position, text: &str) -> Position {
    for byte in text.bytes() {
        if byte == b'\n' {
            at.line += 1;
            at.column = 1;
        } else if byte & 0b1100_0000 != 0b1000_0000 {
            at.column += 1;
        }
    }
    at.byte += u32::try_from(text.len()).unwrap_or(u32::MAX);
    at
}

/// The place in a text of a place in a piece of it that starts at `start`.
pub(super) fn shifted(place: Position, start: Position) -> Position {
    let column = if place.line == 1 { start.column + place.column - 1 } else { place.column };
    Position { line: start.line + place.line - 1, column, byte: start.byte + place.byte }
}

fn word_len(rest: &str) -> usize {
    rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@')).count()
}

fn digits(rest: &str) -> usize {
    rest.bytes().take_while(u8::is_ascii_digit).count()
}

/// The longer of a number and a name that starts with a digit; the number if they are equally long.
fn number_or_word(rest: &str) -> (TokenKind, usize) {
    let (kind, len) = number(rest);
    let word = word_len(rest);
    if word > len { (TokenKind::Word, word) } else { (kind, len) }
}

/// Kind and length of the number at the start of `rest`, which starts with a digit or a point and a digit.
fn number(rest: &str) -> (TokenKind, usize) {
    let mut len = digits(rest);
    let mut kind = TokenKind::Integer;
    if rest[len..].starts_with('.') {
        len += 1 + digits(&rest[len + 1..]);
        kind = TokenKind::Decimal;
    }
    if rest[len..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[len + 1..].starts_with(['+', '-']));
        let exponent = digits(&rest[len + 1 + sign..]);
        if exponent > 0 {
            return (TokenKind::Double, len + 1 + sign + exponent);
        }
    }
    (kind, len)
}
