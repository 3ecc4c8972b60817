//! Queries in standard SQL, beyond the dialect's grammar: found and cut out here, read elsewhere.
//!
//! Joins of sub-queries, ORDER BY, UNION, OVER and the like are no part of the dialect. A SELECT without EMIT that the
//! dialect's parser refuses may be one of these; its text is handed on as it stands.

use std::collections::BTreeMap;

use crate::diagnostics::{Code, Diagnostic, Position, Span};

use super::ast::{StandardQuery, Statement, StatementKind};
use super::lexer::{Lexer, Token, TokenKind, shifted};
use super::variables::{StatementText, substitute};

/// True if a text's first word is SELECT or WITH.
pub fn begins_query(text: &str) -> bool {
    Lexer::new(text).token().is_ok_and(|token| is_head(&token))
}

/// True if a text's first words are EXPLAIN and SELECT or WITH.
pub fn explains_query(text: &str) -> bool {
    let mut lexer = Lexer::new(text);
    let explains = lexer.token().is_ok_and(|token| token.is_word("EXPLAIN"));
    explains && lexer.token().is_ok_and(|token| is_head(&token))
}

/// The statement, or the EXPLAIN of it, taken for a query in standard SQL; `None` if it does not begin as one does, or
/// has the word EMIT, which standard SQL does not know.
///
/// # Errors
/// A variable without a value, a character that begins no token, or no semicolon at the end.
pub fn parse_standard_query(
    piece: &StatementText<'_>,
    variables: &BTreeMap<String, String>,
) -> Result<Option<Statement>, Diagnostic> {
    let text = substitute(piece.text, variables)?;
    let tokens = Lexer::tokens(&text)?;
    let explains = tokens.first().is_some_and(|token| token.is_word("EXPLAIN"));
    let Some(first) = tokens.get(usize::from(explains)).filter(|token| is_head(token)) else { return Ok(None) };
    if tokens.iter().any(|token| token.is_word("EMIT")) {
        return Ok(None);
    }
    let [.., last, _] = tokens.as_slice() else { return Ok(None) };
    if !last.is_symbol(";") {
        return Err(Diagnostic::new(Code::SyntaxError, "the statement does not end with \";\"")
            .with_hint("Every statement, also the last, ends with a semicolon.")
            .at(Span { start: piece.span.end, end: piece.span.end }));
    }
    let is_verbatim = text == piece.text;
    let start = if is_verbatim { shifted(first.span.start, piece.span.start) } else { Position::default() };
    let own = &text[first.span.start.byte as usize..last.span.start.byte as usize];
    let query = StandardQuery { text: own.trim_end().to_owned(), span: Span { start, end: piece.span.end } };
    let kind = StatementKind::StandardQuery(query);
    let statement = Statement { kind, span: piece.span };
    if !explains {
        return Ok(Some(statement));
    }
    let kind = StatementKind::ExplainStatement { statement: Box::new(statement) };
    Ok(Some(Statement { kind, span: piece.span }))
}

fn is_head(token: &Token<'_>) -> bool {
    token.kind == TokenKind::Word && (token.is_word("SELECT") || token.is_word("WITH"))
}

impl StandardQuery {
    /// The place in the request of a piece of the text, given as lines and columns that count from 1; `None` if it is
    /// not known, because variables were replaced.
    pub fn place(&self, from: (u64, u64), to: (u64, u64)) -> Option<Span> {
        let start = self.position(from)?;
        Some(Span { start, end: self.position(to).unwrap_or(start) })
    }

    fn position(&self, (line, column): (u64, u64)) -> Option<Position> {
        if self.span.is_unknown() || line == 0 || column == 0 {
            return None;
        }
        let line_at =
            |n: u64| self.text.split_inclusive('\n').take(usize::try_from(n).unwrap_or(0)).map(str::len).sum();
        let before: usize = line_at(line - 1);
        let chars = usize::try_from(column - 1).ok()?;
        let inside: usize = self.text.get(before..)?.chars().take(chars).map(char::len_utf8).sum();
        let here = Position {
            line: u32::try_from(line).ok()?,
            column: u32::try_from(column).ok()?,
            byte: u32::try_from(before + inside).ok()?,
        };
        Some(shifted(here, self.span.start))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{begins_query, parse_standard_query};
    use crate::sql::ast::StatementKind;
    use crate::sql::variables::split_statements;

    fn check(text: &str, expected: &str) {
        let piece = split_statements(text).unwrap().pop().unwrap();
        let variables = BTreeMap::from([("T".to_owned(), "orders".to_owned())]);
        let found = match parse_standard_query(&piece, &variables).map_err(|refusal| refusal.to_string()) {
            Ok(Some(statement)) => match statement.kind {
                StatementKind::StandardQuery(query) => format!("{} at {:?}", query.text, query.span),
                StatementKind::ExplainStatement { statement } => format!("explain {statement}"),
                _ => "another statement".to_owned(),
            },
            Ok(None) => "none".to_owned(),
            Err(refusal) => refusal,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_query_is_cut_out_between_its_first_word_and_the_semicolon() {
        check("SHOW TABLES;\n /* c */ select 1 ORDER BY ';' ;", "select 1 ORDER BY ';' at 2:10");
        check("EXPLAIN WITH x AS (SELECT 1) SELECT * FROM x;", "explain WITH x AS (SELECT 1) SELECT * FROM x");
        check("SELECT * FROM ${t};", "SELECT * FROM orders at 0:0");
    }

    #[test]
    fn other_statements_are_none() {
        check("SELECT * FROM t ORDER BY a EMIT CHANGES;", "none");
        check("CREATE STREAM s AS SELECT 1;", "none");
        assert!(begins_query("-- c\nwith x as (select 1) select 2"));
        assert!(!begins_query("SHOW TABLES"));
    }

    #[test]
    fn a_query_without_a_semicolon_is_refused() {
        check(
            "SELECT 1 ORDER BY 1",
            "line 1:20: the statement does not end with \";\"\nHint: Every statement, also the last, ends with a semicolon.",
        );
    }

    #[test]
    fn places_in_the_text_are_places_in_the_request() {
        let piece = split_statements("SHOW TABLES;\n  SELECT `é`,\n x;").unwrap().pop().unwrap();
        let Some(statement) = parse_standard_query(&piece, &BTreeMap::new()).unwrap() else { panic!("no query") };
        let StatementKind::StandardQuery(query) = statement.kind else { panic!("no query") };
        let first = query.place((1, 12), (1, 13)).unwrap();
        let second = query.place((2, 2), (2, 3)).unwrap();
        assert_eq!((first.start.line, first.start.column, first.start.byte), (2, 14, 27));
        assert_eq!((second.start.line, second.start.column, second.start.byte), (3, 2, 29));
    }
}
