//! CREATE FUNCTION and the expression that stands in its string.

use crate::diagnostics::{Diagnostic, Span};
use crate::sql::ast::{CreateFunction, Expr, Ident, StatementKind, TypeName};
use crate::sql::lexer::{Lexer, Token, TokenKind, shifted};

use super::{Parsed, Parser};

impl Parser<'_> {
    /// After `FUNCTION`.
    pub(super) fn create_function(&mut self, or_replace: bool) -> Parsed<StatementKind> {
        let if_not_exists = self.if_not_exists()?;
        let name = self.ident("the name of a function")?;
        self.expect_symbol("(")?;
        let params = if self.at_symbol(")") { Vec::new() } else { self.comma_separated(Self::declared_argument)? };
        if !self.eat_symbol(")") {
            return Err(self.expected(&[",", ")"]));
        }
        self.expect_word("RETURNS")?;
        let returns = self.type_name()?;
        self.expect_word("AS")?;
        let body = self.quoted_expression()?;
        let create = CreateFunction { or_replace, if_not_exists, name, params, returns, body };
        Ok(StatementKind::CreateFunction(Box::new(create)))
    }

    fn declared_argument(&mut self) -> Parsed<(Ident, TypeName)> {
        Ok((self.ident("the name of an argument")?, self.type_name()?))
    }

    /// An expression inside a string, with the places it has in the request.
    fn quoted_expression(&mut self) -> Parsed<Expr> {
        let literal = self.peek();
        if literal.kind != TokenKind::String {
            let found = self.expected_what("an expression between single quotes");
            return Err(found.with_hint("The body is a string: AS 'A + 1'; quotes inside it are doubled."));
        }
        self.bump();
        let text = literal.unquoted();
        let mut tokens = Lexer::tokens(&text).map_err(|wrong| placed(wrong, &literal))?;
        for token in &mut tokens {
            token.span = place(token.span, &literal);
        }
        let mut body = Parser::new(tokens);
        body.nesting = self.nesting;
        let expr = body.expression()?;
        body.expect_end()?;
        Ok(expr)
    }
}

/// Where a piece of a string's content stands: exactly, or in the string where quotes were doubled or a variable
/// replaced.
fn place(inside: Span, literal: &Token<'_>) -> Span {
    let span = literal.span;
    let is_verbatim = (span.end.byte - span.start.byte) as usize == literal.text.len()
        && !literal.text[1..literal.text.len() - 1].contains('\'');
    if !is_verbatim {
        return span;
    }
    let mut start = span.start;
    start.column += 1;
    start.byte += 1;
    Span { start: shifted(inside.start, start), end: shifted(inside.end, start) }
}

fn placed(mut wrong: Diagnostic, literal: &Token<'_>) -> Diagnostic {
    wrong.span = Some(wrong.span.map_or(literal.span, |inside| place(inside, literal)));
    wrong
}
