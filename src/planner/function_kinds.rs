//! Aggregate and table functions stand apart before anything is typed: finding their calls.

use super::rewrite;
use crate::functions::{FunctionRegistry, Kind};
use crate::sql::ast::{Expr, ExprKind};

/// True for a call of a function of this kind.
pub(super) fn is_call(expr: &Expr, kind: Kind, functions: &FunctionRegistry) -> bool {
    matches!(&expr.kind, ExprKind::Call { function, .. } | ExprKind::Aggregate { function, .. } if functions.kind(function) == Some(kind))
}

/// True if a function of this kind is called anywhere in the expression.
pub(super) fn calls(expr: &Expr, kind: Kind, functions: &FunctionRegistry) -> bool {
    rewrite::any(expr, &|part| is_call(part, kind, functions))
}
