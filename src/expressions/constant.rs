//! Expressions without columns, evaluated once: the values of INSERT.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, new_null_array};

use super::analyze::coercion::widens;
use super::analyze::{Analyzer, sql_text};
use super::cast::cast;
use super::evaluate::{Evaluator, Frame};
use super::{EdgeSchema, EvaluationContext};
use crate::diagnostics::{Code, Diagnostic};
use crate::functions::FunctionRegistry;
use crate::sql::ast::Expr;
use crate::types::SqlType;

/// The value of an expression without columns, as an array of one, with its type.
///
/// With a target the value is converted to it by the strict rules (semantics 2.3(c)): numbers to wider ones, text to
/// times and bytes, containers by their parts; a NULL becomes one of the target's. Without a target the untyped NULL
/// is a null STRING.
///
/// # Errors
/// As [`super::type_of`]; also if evaluation fails, or the value does not convert to the target.
pub fn evaluate_constant(
    expr: &Expr,
    target: Option<&SqlType>,
    functions: &FunctionRegistry,
    context: &EvaluationContext,
) -> Result<(ArrayRef, SqlType), Diagnostic> {
    super::type_of(expr, &EdgeSchema::default(), functions)?;
    let expr = &functions.expand(expr, BTreeSet::new())?;
    let mut analyzer = Analyzer::new(&EdgeSchema::default(), functions);
    let root = analyzer.analyze(expr)?;
    let given = analyzer.type_of(root).cloned();
    let program = analyzer.finish(vec![root]);
    let outcome = Evaluator::new(&program, Frame { columns: Vec::new(), rows: 1, context }).root(root);
    if let Some((_, message)) = outcome.failures.soft.first().or(outcome.failures.hard.first()) {
        return Err(Diagnostic::new(Code::InvalidValue, format!("{} cannot be evaluated", sql_text(expr)))
            .with_detail(message.clone().into_owned())
            .at(expr.span));
    }
    let value = Arc::clone(outcome.value.array());
    match (given, target) {
        (Some(given), None) => Ok((value, given)),
        (None, target) => {
            let ty = target.cloned().unwrap_or(SqlType::String);
            Ok((new_null_array(&ty.arrow(), 1), ty))
        }
        (Some(given), Some(target)) => convert(&value, &given, target, expr).map(|value| (value, target.clone())),
    }
}

fn convert(value: &ArrayRef, given: &SqlType, target: &SqlType, expr: &Expr) -> Result<ArrayRef, Diagnostic> {
    let refused = |why: String| {
        Diagnostic::new(Code::TypeMismatch, format!("{} is {given} where {target} is needed", sql_text(expr)))
            .with_detail(why)
            .at(expr.span)
    };
    if !inserts(given, target) {
        return Err(refused(format!("Expected type {target} but got {given}({}).", sql_text(expr))));
    }
    let mut failures = Vec::new();
    let converted = cast(value, given, target, &mut failures);
    if let Some((_, message)) = failures.into_iter().next() {
        return Err(refused(message.into_owned()));
    }
    // A decimal may not lose digits on its way into the column.
    if let SqlType::Decimal { .. } = target {
        let back = cast(&converted, target, given, &mut Vec::new());
        if !super::evaluate::equality::equality(&back, value)(0, 0) && value.is_valid(0) {
            return Err(refused(format!("The value does not fit {target} without rounding.")));
        }
    }
    Ok(converted)
}

/// True if values of `given` may be inserted into columns of `target`; whether one fits a DECIMAL is seen later.
fn inserts(given: &SqlType, target: &SqlType) -> bool {
    match (given, target) {
        (SqlType::Integer | SqlType::BigInt | SqlType::Decimal { .. }, SqlType::Decimal { .. }) => true,
        (SqlType::Array(given), SqlType::Array(target)) => inserts(given, target),
        (SqlType::Map(given_key, given), SqlType::Map(target_key, target)) => {
            inserts(given_key, target_key) && inserts(given, target)
        }
        (SqlType::Struct(given), SqlType::Struct(target)) => given.iter().all(|field| {
            target.iter().find(|known| known.name == field.name).is_some_and(|known| inserts(&field.ty, &known.ty))
        }),
        _ => widens(given, target),
    }
}
