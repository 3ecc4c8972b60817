//! Text to statements and back, with places. Knows no catalog.
//!
//! Invariants:
//! - no other room names a token or a rule of the grammar;
//! - no input makes the parser panic, hang or overflow the stack;
//! - what a statement prints parses to the same statement.
//!
//! Reading order: [`ast`], `lexer`, `parser`, [`mod@format`], [`variables`].

pub mod ast;
pub(crate) mod expr_text;
pub mod format;
mod lexer;
mod parser;
mod standard;
pub mod variables;

use crate::diagnostics::Diagnostic;

pub use parser::{MAX_HEIGHT, MAX_NESTING, MAX_STATEMENT_BYTES};
pub use standard::{begins_query, explains_query, parse_standard_query};

/// Parses one expression: what [`ast::Expr`] prints.
///
/// # Errors
/// The text is not exactly one expression; the diagnostic tells where and what was expected.
pub fn parse_expression(text: &str) -> Result<ast::Expr, Diagnostic> {
    parser::parse_expression(text)
}

/// Parses the statements of a request. Each must end with a semicolon, also the last.
///
/// `text[statement.span.start.byte..statement.span.end.byte]` is a statement's own text, without its semicolon. An
/// empty text has no statements.
///
/// # Errors
/// The first mistake, with line, column, the offending token and what was expected.
pub fn parse_statements(text: &str) -> Result<Vec<ast::Statement>, Diagnostic> {
    parser::parse_statements(text)
}
