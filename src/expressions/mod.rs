//! Expressions: typed by ksql's rules, compiled to DataFusion, evaluated on whole batches.
//!
//! ```text
//!   Expr (our AST, unqualified unique column names, no custom types)
//!     ── type_of ──▶ SqlType           overloads, coercion, errors with places: all ksql's rules
//!     ── Projection::compile ──▶ evaluators ── evaluate(batch) ──▶ arrays + error sink
//! ```
//!
//! Invariants:
//! - a record never fails a batch: what can fail on data gives NULL and an entry in the [`ErrorSink`];
//! - comparisons are two-valued before any DataFusion rule sees them;
//! - functions of wall time or chance read the [`EvaluationContext`].

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::diagnostics::Diagnostic;
use crate::functions::FunctionRegistry;
use crate::sql::ast::Expr;
use crate::types::{Name, SqlType};

/// A column of an edge between operators. Names are unique on an edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EdgeColumn {
    /// Internal name, unique on its edge.
    pub name: Name,
    /// Type.
    pub ty: SqlType,
}

/// The columns that flow along an edge; what expressions are typed against.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EdgeSchema {
    columns: Vec<EdgeColumn>,
}

impl EdgeSchema {
    /// A schema of these columns; names are unique.
    pub fn new(columns: Vec<EdgeColumn>) -> Self {
        Self { columns }
    }

    /// The columns in order.
    pub fn columns(&self) -> &[EdgeColumn] {
        &self.columns
    }

    /// Position of a column.
    pub fn index_of(&self, name: &Name) -> Option<usize> {
        self.columns.iter().position(|column| column.name == *name)
    }

    /// The Arrow schema of batches on this edge: every column nullable.
    pub fn arrow(&self) -> SchemaRef {
        Arc::new(ArrowSchema::new(
            self.columns
                .iter()
                .map(|column| Field::new(column.name.as_str(), column.ty.arrow(), true))
                .collect::<Vec<_>>(),
        ))
    }
}

/// What functions of wall time and chance read; filled by the runtime once per batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct EvaluationContext {
    /// Wall clock, milliseconds since 1970-01-01T00:00Z.
    pub now_ms: i64,
    /// Seed for `RANDOM` and `UUID`.
    pub seed: u64,
}

/// One failed evaluation: the value became NULL (or the row was treated as not matching).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationError {
    /// Row of the batch.
    pub row: usize,
    /// The expression's label: the column it makes, or the clause.
    pub expression: String,
    /// What went wrong.
    pub message: String,
}

/// Collects what failed while a batch was evaluated.
#[derive(Debug, Default)]
pub struct ErrorSink {
    /// In no promised order.
    pub errors: Vec<EvaluationError>,
}

/// The type of an expression over an edge; `None` is the untyped NULL.
///
/// # Errors
/// A [`Diagnostic`] with place and hint, for whatever ksql refuses while planning.
pub fn type_of(expr: &Expr, input: &EdgeSchema, functions: &FunctionRegistry) -> Result<Option<SqlType>, Diagnostic> {
    let _ = (expr, input, functions);
    Err(Diagnostic::not_implemented("typing of expressions"))
}

/// Expressions evaluated together, so that common sub-expressions are computed once.
#[derive(Debug)]
pub struct Projection {}

impl Projection {
    /// Compiles expressions; each label names its expression in the error sink.
    ///
    /// # Errors
    /// As [`type_of`].
    pub fn compile(
        expressions: &[(String, Expr)],
        input: &EdgeSchema,
        functions: &FunctionRegistry,
    ) -> Result<Self, Diagnostic> {
        let _ = (expressions, input, functions);
        Err(Diagnostic::not_implemented("compilation of expressions"))
    }

    /// One array per expression, each as long as `rows`.
    pub fn evaluate(&self, rows: &RecordBatch, context: &EvaluationContext, errors: &mut ErrorSink) -> Vec<ArrayRef> {
        let _ = (rows, context, errors);
        Vec::new()
    }
}

/// A condition: WHERE, HAVING.
#[derive(Debug)]
pub struct Predicate {}

impl Predicate {
    /// Compiles a condition; `label` names the clause in the error sink and in messages (`WHERE`).
    ///
    /// # Errors
    /// As [`type_of`]; the type must be BOOLEAN.
    pub fn compile(
        label: &str,
        expr: &Expr,
        input: &EdgeSchema,
        functions: &FunctionRegistry,
    ) -> Result<Self, Diagnostic> {
        let _ = (label, expr, input, functions);
        Err(Diagnostic::not_implemented("compilation of conditions"))
    }

    /// True where the condition holds; false where it does not, is null or failed. Never null.
    pub fn evaluate(&self, rows: &RecordBatch, context: &EvaluationContext, errors: &mut ErrorSink) -> BooleanArray {
        let _ = (context, errors);
        BooleanArray::from(vec![false; rows.num_rows()])
    }
}
