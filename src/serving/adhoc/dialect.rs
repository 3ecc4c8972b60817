//! Standard SQL with this dialect's words: names folded to upper case, back-ticks, `->` for fields of structs.

use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Query};
use datafusion::sql::sqlparser::dialect::{Dialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::StandardQuery;

/// How deep expressions and sub-queries may nest.
const MAX_NESTING: usize = 50;

/// How many expressions the parser may begin for each token, and for the whole beside: it tries and goes back, and each
/// level of nesting can double its tries.
const TRIES: (usize, usize) = (8, 1_000);

/// What sqlparser asks about the language.
#[derive(Debug)]
struct AdHocDialect {
    /// Expressions that may still be begun.
    tries: AtomicUsize,
}

impl AdHocDialect {
    fn new(tokens: usize) -> Self {
        Self { tries: AtomicUsize::new(tokens.saturating_mul(TRIES.0).saturating_add(TRIES.1)) }
    }
}

impl Dialect for AdHocDialect {
    fn is_delimited_identifier_start(&self, c: char) -> bool {
        matches!(c, '"' | '`')
    }

    fn is_identifier_start(&self, c: char) -> bool {
        c.is_ascii_alphabetic() || c == '_'
    }

    fn is_identifier_part(&self, c: char) -> bool {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '@')
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_map_literal_with_angle_brackets(&self) -> bool {
        true
    }

    fn supports_struct_literal(&self) -> bool {
        true
    }

    /// Parses nothing; ends a parse that goes back too often.
    fn parse_prefix(&self, _: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let left = self.tries.load(Ordering::Relaxed);
        self.tries.store(left.saturating_sub(1), Ordering::Relaxed);
        (left == 0).then_some(Err(ParserError::RecursionLimitExceeded))
    }

    /// `->` binds as tightly as a dot: `a->b + 1` is `(a->b) + 1`.
    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        (parser.peek_token_ref().token == Token::Arrow).then(|| Ok(self.prec_value(Precedence::Period)))
    }

    fn parse_infix(&self, parser: &mut Parser<'_>, left: &Expr, _: u8) -> Option<Result<Expr, ParserError>> {
        match parser.peek_token_ref().token {
            Token::Arrow => {
                parser.next_token();
                Some(
                    parser
                        .parse_identifier()
                        .map(|field| access(left.clone(), AccessExpr::Dot(Expr::Identifier(field)))),
                )
            }
            // After a field: `a->b[1]`. Elsewhere a prefix rule has taken the bracket.
            Token::LBracket => Some(parser.parse_compound_expr(left.clone(), Vec::new()).map(flat)),
            _ => None,
        }
    }
}

/// `left` with one more access.
fn access(left: Expr, last: AccessExpr) -> Expr {
    flat(Expr::CompoundFieldAccess { root: Box::new(left), access_chain: vec![last] })
}

/// Accesses of accesses as one chain.
fn flat(expr: Expr) -> Expr {
    match expr {
        Expr::CompoundFieldAccess { root, access_chain } => match *root {
            Expr::CompoundFieldAccess { root, access_chain: mut inner } => {
                inner.extend(access_chain);
                Expr::CompoundFieldAccess { root, access_chain: inner }
            }
            other => Expr::CompoundFieldAccess { root: Box::new(other), access_chain },
        },
        other => other,
    }
}

/// A query's tokens and its tree.
#[derive(Debug)]
pub(super) struct ParsedQuery {
    /// The tree; unquoted names are upper case.
    pub(super) tree: Box<Query>,
    /// Words of the text with their places, for messages about names.
    pub(super) tokens: Vec<TokenWithSpan>,
}

/// Reads a query's text.
///
/// # Errors
/// The first mistake, with its place.
pub(super) fn parse(query: &StandardQuery) -> Result<ParsedQuery, Diagnostic> {
    let refused = |message: &str, at: Option<Location>| {
        let told = Diagnostic::new(Code::SyntaxError, message);
        let place = at.and_then(|at| query.place((at.line, at.column), (at.line, at.column)));
        place.map_or(told.clone(), |place| told.at(place)).at(query.span)
    };
    let mut tokens = Tokenizer::new(&AdHocDialect::new(0), &query.text)
        .tokenize_with_location()
        .map_err(|error| refused(&lower_first(&error.message), Some(error.location)))?;
    // The one rule of the parser that goes into itself without counting.
    let is_interval =
        |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if word.keyword == Keyword::INTERVAL);
    let words: Vec<_> = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    if let Some(pair) = words.windows(2).find(|pair| pair.iter().all(is_interval)) {
        return Err(refused("expected a text, found \"INTERVAL\"", pair.last().map(|token| token.span.start)));
    }
    for token in &mut tokens {
        if let Token::Word(word) = &mut token.token
            && word.quote_style.is_none()
        {
            word.value.make_ascii_uppercase();
        }
    }
    let dialect = AdHocDialect::new(tokens.len());
    let mut parser = Parser::new(&dialect).with_recursion_limit(MAX_NESTING).with_tokens_with_locations(tokens.clone());
    let parsed = parser.parse_query().and_then(|tree| match parser.peek_token_ref().token {
        Token::EOF => Ok(tree),
        _ => parser.expected_ref("the end of the query", parser.peek_token_ref()),
    });
    match parsed {
        Ok(tree) => Ok(ParsedQuery { tree, tokens }),
        Err(ParserError::RecursionLimitExceeded) => Err(Diagnostic::new(
            Code::LimitExceeded,
            format!("the query is nested deeper than the {MAX_NESTING} levels allowed"),
        )
        .at(query.span)),
        Err(ParserError::ParserError(message) | ParserError::TokenizerError(message)) => {
            let (text, at) = located(&message);
            let here = || {
                let token = parser.peek_token_ref();
                let last =
                    || tokens.iter().rev().find(|token| !matches!(token.token, Token::EOF | Token::Whitespace(_)));
                if token.span.start.line > 0 { Some(token.span.start) } else { last().map(|token| token.span.end) }
            };
            Err(refused(&worded(text), at.or_else(here)))
        }
    }
}

/// A message of the parser without the place at its end, and the place.
fn located(message: &str) -> (&str, Option<Location>) {
    let Some((text, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let at = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(Location { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
    });
    at.map_or((message, None), |at| (text, Some(at)))
}

/// `Expected: an expression, found: *` as this product words it.
fn worded(message: &str) -> String {
    let message = message.strip_prefix("sql parser error: ").unwrap_or(message);
    match message.strip_prefix("Expected: ").and_then(|rest| rest.rsplit_once(", found: ")) {
        Some((expected, "EOF")) => format!("expected {expected}, found the end of the query"),
        Some((expected, found)) => format!("expected {expected}, found \"{found}\""),
        None => lower_first(message),
    }
}

/// The text with a small first letter, and no full stop.
pub(super) fn lower_first(text: &str) -> String {
    let text = text.trim().trim_end_matches('.');
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if chars.clone().next().is_none_or(|second| !second.is_uppercase()) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::diagnostics::Span;
    use crate::sql::ast::StandardQuery;

    fn check(text: &str, expected: &str) {
        let query = StandardQuery { text: text.to_owned(), span: Span::default() };
        let found = parse(&query).map_or_else(|refusal| refusal.to_string(), |parsed| parsed.tree.to_string());
        assert_eq!(found, expected);
    }

    #[test]
    fn unquoted_names_are_upper_case_and_others_as_written() {
        check("select a, `b`, \"c\" from t order by a", "SELECT A, `b`, \"c\" FROM T ORDER BY A");
    }

    #[test]
    fn arrows_bind_as_tightly_as_dots() {
        check("select a->b->c[1] + 1 from t", "SELECT A.B.C[1] + 1 FROM T");
    }

    #[test]
    fn hostile_nesting_ends_soon() {
        let openers = [
            "ARRAY[",
            "(",
            "(SELECT ",
            "f(",
            "CAST(",
            "CASE ",
            "CASE WHEN ",
            "NOT ",
            "- ",
            "x IN (",
            "EXISTS (SELECT ",
            "a[",
            "INTERVAL ",
            "MAP(",
            "STRUCT(",
            "x->",
            "1 + (",
            "(1, (",
            "DATE ",
            "a BETWEEN (",
            "SUBSTRING(",
            "EXTRACT(",
            "f(x => ",
            "f(a := ",
            "TRIM(",
            "POSITION(",
            "CONVERT(",
        ];
        for opener in openers {
            for (head, tail) in [("SELECT ", " 1 FROM S"), ("SELECT * FROM ", ""), ("SELECT * FROM t WHERE ", "")] {
                for end in ["", "1 x 2", "1"] {
                    let query = StandardQuery {
                        text: format!("{head}{}{end}{tail}", opener.repeat(95)),
                        span: Span::default(),
                    };
                    let _ = parse(&query).map(|_| ());
                }
            }
        }
    }
}
