//! What must hold for any text given to the SQL parser.
//!
//! - It neither panics nor overflows the stack.
//! - What it accepts prints to text that parses to the same tree, and that prints the same again.
//! - Places lie in the text, on character boundaries.
//! - Parsing a request statement by statement gives what parsing it whole gives.

use std::collections::BTreeMap;

use thalweg::diagnostics::{Diagnostic, Span};
use thalweg::sql::variables::{parse_statement, split_statements, substitute};
use thalweg::sql::{parse_expression, parse_statements};

/// Checks one input.
pub(super) fn fuzz_one(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    match parse_expression(text) {
        Ok(expr) => {
            slice(text, expr.span);
            let printed = expr.to_string();
            let again = parse_expression(&printed).unwrap_or_else(|error| panic!("{text}\n{printed}\n{error}"));
            assert_eq!(again, expr, "{text}\n{printed}");
            assert_eq!(again.to_string(), printed);
        }
        Err(error) => check_error(text, &error),
    }

    let whole = parse_statements(text);
    match &whole {
        Ok(statements) => {
            for statement in statements {
                let own = format!("{};", slice(text, statement.span));
                assert_eq!(parse_statements(&own).as_deref(), Ok(std::slice::from_ref(statement)), "{text}");
                let printed = format!("{statement};");
                let again = parse_statements(&printed).unwrap_or_else(|error| panic!("{text}\n{printed}\n{error}"));
                assert_eq!(&again[0], statement, "{text}\n{printed}");
            }
        }
        Err(error) => check_error(text, error),
    }

    let pieces = match split_statements(text) {
        Ok(pieces) => pieces,
        Err(error) => return check_error(text, &error),
    };
    let none = BTreeMap::new();
    let one_by_one: Result<Vec<_>, _> = pieces.iter().map(|piece| parse_statement(piece, &none)).collect();
    // `$${name}` is an escape only where variables are replaced.
    if !text.contains("$${") {
        assert_eq!(one_by_one.as_ref().ok(), whole.as_ref().ok(), "{text}");
    }
    if let (Ok(one_by_one), Ok(whole)) = (&one_by_one, &whole) {
        for (one, other) in one_by_one.iter().zip(whole) {
            assert_eq!((one.span.start, one.span.end), (other.span.start, other.span.end), "{text}");
        }
    }

    let some: BTreeMap<String, String> =
        [("A", "b"), ("B", "'it''s'"), ("C", "-5"), ("D", "--")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    for piece in &pieces {
        if let Err(error) = parse_statement(piece, &some) {
            check_error(text, &error);
        }
        if let Err(error) = substitute(piece.text, &some) {
            check_error(piece.text, &error);
        }
    }
}

fn check_error(text: &str, error: &Diagnostic) {
    assert!(!error.primary.is_empty());
    if let Some(span) = error.span {
        slice(text, span);
        assert!(span.start.line >= 1 && span.start.column >= 1);
    }
}

/// The text at a place.
fn slice(text: &str, span: Span) -> &str {
    text.get(span.start.byte as usize..span.end.byte as usize).unwrap_or_else(|| panic!("{text}\n{span:?}"))
}
