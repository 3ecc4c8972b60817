//! Constants: their ranges, and the one spelling each has in the tree.

use crate::diagnostics::{Code, Diagnostic, Span};
use crate::sql::ast::Literal;
use crate::sql::lexer::{Token, TokenKind};

use super::{Parsed, Parser};

impl Parser<'_> {
    /// True if a literal starts here, with `-` counting where a number follows.
    pub(super) fn at_literal(&self) -> bool {
        let token = self.peek();
        match token.kind {
            TokenKind::String | TokenKind::Integer | TokenKind::Decimal | TokenKind::Double => true,
            TokenKind::Word if token.is_word("DECIMAL") => self.peek_at(1).kind == TokenKind::String,
            TokenKind::Word => token.is_word("NULL") || token.is_word("TRUE") || token.is_word("FALSE"),
            TokenKind::Symbol => token.text == "-" && is_number(&self.peek_at(1)),
            _ => false,
        }
    }

    /// A constant with its sign.
    pub(super) fn literal(&mut self) -> Parsed<(Literal, Span)> {
        if !self.at_literal() {
            return Err(self.expected_what("a literal"));
        }
        let first = self.bump();
        let literal = match first.kind {
            TokenKind::String => Literal::String(first.unquoted()),
            TokenKind::Word if first.is_word("DECIMAL") => {
                let text = self.bump();
                typed_decimal(&text.unquoted()).ok_or_else(|| {
                    Diagnostic::new(Code::InvalidLiteral, format!("{} is not a decimal number", text.text))
                        .with_detail("A DECIMAL literal has digits, at most one point, and a sign if wanted.")
                        .at(text.span)
                })?
            }
            TokenKind::Word if first.is_word("NULL") => Literal::Null,
            TokenKind::Word => Literal::Boolean(first.is_word("TRUE")),
            TokenKind::Symbol => {
                let digits = self.bump();
                number(&digits, true).map_err(|wrong| wrong.at(first.span.to(digits.span)))?
            }
            _ => number(&first, false)?,
        };
        Ok((literal, self.span_from(first.span)))
    }

    /// A whole number without a sign, for counts and sizes.
    pub(super) fn count(&mut self, what: &str) -> Parsed<u64> {
        let token = self.peek();
        if token.kind != TokenKind::Integer {
            return Err(self.expected_what(what));
        }
        self.bump();
        token.text.parse().ok().filter(|count| i64::try_from(*count).is_ok()).ok_or_else(|| out_of_range(&token, false))
    }
}

fn is_number(token: &Token<'_>) -> bool {
    matches!(token.kind, TokenKind::Integer | TokenKind::Decimal | TokenKind::Double)
}

/// The literal that a number's token stands for.
fn number(token: &Token<'_>, negative: bool) -> Parsed<Literal> {
    let sign = if negative { "-" } else { "" };
    match token.kind {
        TokenKind::Integer => {
            let value: i64 = format!("{sign}{}", token.text).parse().map_err(|_| out_of_range(token, negative))?;
            Ok(i32::try_from(value).map_or(Literal::BigInt(value), Literal::Integer))
        }
        TokenKind::Decimal => Ok(decimal(negative, token.text)),
        _ => {
            let text = format!("{sign}{}", token.text.to_ascii_uppercase());
            match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Literal::Double(text)),
                _ => {
                    Err(Diagnostic::new(Code::InvalidLiteral, format!("number {text} overflows DOUBLE")).at(token.span))
                }
            }
        }
    }
}

fn out_of_range(token: &Token<'_>, negative: bool) -> Diagnostic {
    let sign = if negative { "-" } else { "" };
    Diagnostic::new(Code::InvalidLiteral, format!("number {sign}{} does not fit BIGINT", token.text))
        .with_hint("A number with a point, even a last one, is a DECIMAL and can be larger.")
        .at(token.span)
}

/// A decimal from digits with at most one point: no zeros in front of the last digit before the point, and no sign
/// on zero.
fn decimal(negative: bool, digits: &str) -> Literal {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let is_zero = whole == "0" && fraction.bytes().all(|digit| digit == b'0');
    let sign = if negative && !is_zero { "-" } else { "" };
    Literal::Decimal(format!("{sign}{whole}.{fraction}"))
}

/// The decimal of `DECIMAL '1.23'`, if the text is one.
fn typed_decimal(text: &str) -> Option<Literal> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.bytes().filter(u8::is_ascii_digit).count();
    let points = unsigned.bytes().filter(|byte| *byte == b'.').count();
    let well_formed = digits > 0 && points <= 1 && digits + points == unsigned.len();
    well_formed.then(|| decimal(text.starts_with('-'), unsigned))
}
