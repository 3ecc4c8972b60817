//! Expressions: typed by ksql's rules, compiled to programs over Arrow arrays, evaluated on whole batches.
//!
//! ```text
//!   Expr (our AST, unqualified unique column names, no custom types)
//!     ── analyze ──▶ Program            overloads, coercion, errors with places: all ksql's rules
//!     ── evaluate(batch) ──▶ arrays + error sink
//! ```
//!
//! Invariants:
//! - a record never fails a batch: what can fail on data gives NULL and an entry in the [`ErrorSink`];
//! - comparisons are two-valued; every silent conversion is a node of the program, so nothing is decided by type
//!   while a batch is evaluated;
//! - functions of wall time or chance read the [`EvaluationContext`];
//! - no expression is evaluated row by row through a tree: each node handles the whole batch at once.
//!
//! Reading order: [`EdgeSchema`], [`Projection`], then `analyze`, `program`, `evaluate`, `cast`.

mod analyze;
mod cast;
mod constant;
mod context;
mod edge;
mod evaluate;
mod program;
mod projection;
#[cfg(test)]
pub(crate) mod tests;

use crate::diagnostics::Diagnostic;
use crate::functions::FunctionRegistry;
use crate::sql::ast::Expr;
use crate::types::SqlType;

pub(crate) use analyze::coercion::{common_type, widens};
pub(crate) use cast::number::{decimal_to_f64, shortest_decimal};
pub(crate) use cast::{DAY_MS, decimal_text, text, time_text};
pub use constant::evaluate_constant;
pub use context::{ErrorSink, EvaluationContext, EvaluationError};
pub use edge::{EdgeColumn, EdgeSchema};
pub(crate) use evaluate::call::Body;
pub(crate) use evaluate::comparison::{signed_order, utf16_order};
pub(crate) use evaluate::construct::map_array;
pub(crate) use evaluate::decimal::digits_of as decimal_digits;
pub(crate) use evaluate::equality::equality;
pub use evaluate::read_timestamp;
pub(crate) use evaluate::value::{Typed, Value};
pub use projection::{Predicate, Projection};

/// The type of an expression over an edge; `None` is the untyped NULL.
///
/// # Errors
/// A [`Diagnostic`] with place and hint, for whatever ksql refuses while planning.
pub fn type_of(expr: &Expr, input: &EdgeSchema, functions: &FunctionRegistry) -> Result<Option<SqlType>, Diagnostic> {
    let mut analyzer = analyze::Analyzer::of_types(input, functions);
    let node = analyzer.analyze(expr)?;
    Ok(analyzer.type_of(node).cloned())
}
