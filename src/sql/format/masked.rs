//! Statements without the values that may be secret, for logs and answers.

use crate::diagnostics::Span;
use crate::sql::ast::{Expr, ExprKind, Literal, Statement, StatementKind};

/// A statement's text where the values of INSERT are `'[value]'`, and the properties of CREATE CONNECTOR, all but its
/// class, `'[string]'`; without the semicolon.
pub fn masked(statement: &Statement) -> String {
    masked_kind(&statement.kind).to_string()
}

fn masked_kind(kind: &StatementKind) -> StatementKind {
    let mut kind = kind.clone();
    match &mut kind {
        StatementKind::InsertValues(insert) => {
            for value in &mut insert.values {
                let hidden = Literal::String("[value]".to_owned());
                *value = Expr::new(ExprKind::Literal(hidden), Span::UNKNOWN);
            }
        }
        StatementKind::CreateConnector { with, .. } => {
            for property in with {
                if !property.name.name.as_str().eq_ignore_ascii_case("connector.class") {
                    property.value = Literal::String("[string]".to_owned());
                }
            }
        }
        StatementKind::ExplainStatement { statement } => statement.kind = masked_kind(&statement.kind),
        _ => {}
    }
    kind
}
