//! Which types turn into which silently: widening, and the one type of the elements of a list.
//!
//! INTEGER → BIGINT → DECIMAL → DOUBLE, STRING → TIME, DATE, TIMESTAMP, BYTES, containers by their parts. In lists,
//! literals convert further: numbers and booleans to text, text to the numbers and booleans it spells.

use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::{Expr, ExprKind, Literal};
use crate::types::{SqlType, StructField};

use super::{Analyzer, NodeId, sql_text};
use crate::expressions::cast::decimal_text;

/// Precision and scale of a number that turns into a DECIMAL.
pub(crate) fn as_decimal(ty: &SqlType) -> Option<(u32, u32)> {
    match ty {
        SqlType::Integer => Some((10, 0)),
        SqlType::BigInt => Some((19, 0)),
        SqlType::Decimal { precision, scale } => Some((*precision, *scale)),
        _ => None,
    }
}

/// Refuses a DECIMAL that has no Arrow form.
pub(crate) fn check_precision(ty: &SqlType) -> Result<(), Diagnostic> {
    match ty {
        SqlType::Decimal { precision, .. } if *precision > SqlType::MAX_DECIMAL_PRECISION => {
            Err(Diagnostic::new(Code::Unsupported, format!("the result {ty} has too many digits")).with_hint(format!(
                "A DECIMAL has at most {} digits: CAST an operand to fewer.",
                SqlType::MAX_DECIMAL_PRECISION
            )))
        }
        _ => Ok(()),
    }
}

/// True if `from` turns into `to` silently.
pub(crate) fn widens(from: &SqlType, to: &SqlType) -> bool {
    if from == to {
        return true;
    }
    match (from, to) {
        (SqlType::Integer, SqlType::BigInt)
        | (SqlType::Integer | SqlType::BigInt | SqlType::Decimal { .. }, SqlType::Double)
        | (SqlType::String, SqlType::Time | SqlType::Date | SqlType::Timestamp | SqlType::Bytes) => true,
        (_, SqlType::Decimal { precision, scale }) => {
            as_decimal(from).is_some_and(|(p, s)| s <= *scale && p - s <= precision - scale)
        }
        _ => false,
    }
}

/// The type both turn into, if there is one.
pub(crate) fn common_type(left: &SqlType, right: &SqlType) -> Option<SqlType> {
    if left == right {
        return Some(left.clone());
    }
    match (left, right) {
        (SqlType::Array(l), SqlType::Array(r)) => Some(SqlType::Array(Box::new(common_type(l, r)?))),
        (SqlType::Map(lk, lv), SqlType::Map(rk, rv)) => {
            Some(SqlType::Map(Box::new(common_type(lk, rk)?), Box::new(common_type(lv, rv)?)))
        }
        (SqlType::Struct(l), SqlType::Struct(r)) => {
            let mut fields: Vec<StructField> = l.to_vec();
            for field in r.iter() {
                match fields.iter_mut().find(|known| known.name == field.name) {
                    Some(known) => known.ty = common_type(&known.ty, &field.ty)?,
                    None => fields.push(field.clone()),
                }
            }
            Some(SqlType::Struct(fields.into()))
        }
        _ if widens(left, right) => Some(right.clone()),
        _ if widens(right, left) => Some(left.clone()),
        _ => {
            let ((p1, s1), (p2, s2)) = (as_decimal(left)?, as_decimal(right)?);
            let scale = s1.max(s2);
            Some(SqlType::Decimal { precision: (p1 - s1).max(p2 - s2) + scale, scale })
        }
    }
}

impl Analyzer<'_> {
    /// Converts the elements of a list to their one type; `None` if all are untyped NULLs.
    pub(super) fn unify(&mut self, elements: &[(&Expr, NodeId)]) -> Result<Option<(Vec<NodeId>, SqlType)>, Diagnostic> {
        let mut running: Option<SqlType> = None;
        for (expr, node) in elements {
            let Some(ty) = self.type_of(*node) else { continue };
            running = Some(match &running {
                None => ty.clone(),
                Some(known) => merge(known, ty, expr)?,
            });
        }
        let Some(ty) = running else { return Ok(None) };
        check_precision(&ty)?;
        let nodes = elements.iter().map(|(_, node)| self.convert(*node, &ty)).collect();
        Ok(Some((nodes, ty)))
    }
}

/// The type of a list whose elements so far have type `running`, with one more element.
fn merge(running: &SqlType, element: &SqlType, expr: &Expr) -> Result<SqlType, Diagnostic> {
    match (&expr.kind, running, element) {
        (ExprKind::Literal(Literal::String(text)), SqlType::Boolean, _) => {
            if boolean_text(text).is_some() {
                return Ok(SqlType::Boolean);
            }
            return Err(bad_text(running, text, expr));
        }
        (ExprKind::Literal(Literal::String(text)), running, _) if running.is_numeric() => {
            let spelled = number_type(text, running).ok_or_else(|| bad_text(running, text, expr))?;
            return common_type(running, &spelled).ok_or_else(|| no_common(running, element, expr));
        }
        (kind, SqlType::String, SqlType::Boolean | SqlType::Integer | SqlType::BigInt | SqlType::Double)
        | (kind, SqlType::String, SqlType::Decimal { .. })
            if is_literal(kind) =>
        {
            return Ok(SqlType::String);
        }
        (ExprKind::Struct(given), SqlType::Struct(known), SqlType::Struct(fields)) => {
            // A constructor's fields keep the freedom of literals.
            let mut merged: Vec<StructField> = known.to_vec();
            for (field, (_, value)) in fields.iter().zip(given) {
                match merged.iter_mut().find(|candidate| candidate.name == field.name) {
                    Some(candidate) => candidate.ty = merge(&candidate.ty, &field.ty, value)?,
                    None => merged.push(field.clone()),
                }
            }
            return Ok(SqlType::Struct(merged.into()));
        }
        (ExprKind::Array(given), SqlType::Array(known), SqlType::Array(inner)) => {
            let mut merged = known.as_ref().clone();
            for value in given.iter().filter(|value| value.kind != ExprKind::Literal(Literal::Null)) {
                let freedom = if is_literal(&value.kind) { literal_type(value, inner) } else { inner.as_ref().clone() };
                merged = merge(&merged, &freedom, value)?;
            }
            return Ok(SqlType::Array(Box::new(merged)));
        }
        _ => {}
    }
    common_type(running, element).ok_or_else(|| no_common(running, element, expr))
}

fn is_literal(kind: &ExprKind) -> bool {
    matches!(kind, ExprKind::Literal(_))
}

/// The type that a literal has by itself, where its list may have widened it to `listed`.
fn literal_type(expr: &Expr, listed: &SqlType) -> SqlType {
    match &expr.kind {
        ExprKind::Literal(Literal::String(_)) => SqlType::String,
        _ => listed.clone(),
    }
}

fn no_common(running: &SqlType, element: &SqlType, expr: &Expr) -> Diagnostic {
    Diagnostic::new(Code::TypeMismatch, format!("{running} and {element} have no common type"))
        .with_detail(format!("operator does not exist: {running} = {element} ({})", sql_text(expr)))
        .with_hint("You might need to add explicit type casts.")
        .at(expr.span)
}

fn bad_text(running: &SqlType, text: &str, expr: &Expr) -> Diagnostic {
    Diagnostic::new(Code::InvalidLiteral, format!("invalid input syntax for type {}: \"{text}\"", running.base_name()))
        .at(expr.span)
}

/// What a text spells as a boolean: any beginning of true, yes, false or no.
fn boolean_text(text: &str) -> Option<bool> {
    let lower = text.to_lowercase();
    if lower.is_empty() {
        return None;
    }
    if "true".starts_with(&lower) || "yes".starts_with(&lower) {
        return Some(true);
    }
    ("false".starts_with(&lower) || "no".starts_with(&lower)).then_some(false)
}

/// The type of the number a text spells, in a list of `running`.
fn number_type(text: &str, running: &SqlType) -> Option<SqlType> {
    let trimmed = text.trim();
    if *running == SqlType::Double {
        return trimmed.parse::<f64>().ok().filter(|value| value.is_finite()).map(|_| SqlType::Double);
    }
    if trimmed.parse::<i32>().is_ok() {
        return Some(SqlType::Integer);
    }
    if trimmed.parse::<i64>().is_ok() {
        return Some(SqlType::BigInt);
    }
    decimal_text::type_of(trimmed)
}
