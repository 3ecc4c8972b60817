//! Walking and rebuilding expressions.
//!
//! Lambda parameters look like columns; [`resolve_columns`] and [`columns_of`] know which names a lambda binds and leave
//! those alone.

use std::collections::BTreeSet;

use crate::diagnostics::Diagnostic;
use crate::types::Name;

use super::{ColumnRef, Expr, ExprKind};

/// The direct parts of an expression, in the order of the text.
pub(crate) fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Column(_) | ExprKind::Star | ExprKind::IntervalUnit(_) => vec![],
        ExprKind::Unary { operand, .. } | ExprKind::IsNull { operand, .. } | ExprKind::Cast { operand, .. } => {
            vec![operand]
        }
        ExprKind::Binary { left, right, .. } => vec![left, right],
        ExprKind::Between { operand, low, high, .. } => vec![operand, low, high],
        ExprKind::InList { operand, list, .. } => std::iter::once(operand.as_ref()).chain(list).collect(),
        ExprKind::Like { operand, pattern, .. } => vec![operand, pattern],
        ExprKind::Case { operand, branches, otherwise } => operand
            .iter()
            .map(AsRef::as_ref)
            .chain(branches.iter().flat_map(|(when, then)| [when, then]))
            .chain(otherwise.iter().map(AsRef::as_ref))
            .collect(),
        ExprKind::Call { args, .. } | ExprKind::Array(args) => args.iter().collect(),
        ExprKind::Aggregate { args, filter, .. } => args.iter().chain(filter.iter().map(AsRef::as_ref)).collect(),
        ExprKind::Lambda { body, .. } => vec![body],
        ExprKind::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
        ExprKind::Struct(fields) => fields.iter().map(|(_, value)| value).collect(),
        ExprKind::Field { base, .. } => vec![base],
        ExprKind::Subscript { base, index } => vec![base, index],
    }
}

/// The expression with each direct part replaced by what `f` makes of it.
pub(crate) fn map_children<E>(expr: &Expr, f: &mut dyn FnMut(&Expr) -> Result<Expr, E>) -> Result<Expr, E> {
    let mut result = expr.clone();
    for part in children_mut(&mut result) {
        *part = f(part)?;
    }
    Ok(result)
}

fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match &mut expr.kind {
        ExprKind::Literal(_) | ExprKind::Column(_) | ExprKind::Star | ExprKind::IntervalUnit(_) => vec![],
        ExprKind::Unary { operand, .. } | ExprKind::IsNull { operand, .. } | ExprKind::Cast { operand, .. } => {
            vec![operand]
        }
        ExprKind::Binary { left, right, .. } => vec![left, right],
        ExprKind::Between { operand, low, high, .. } => vec![operand, low, high],
        ExprKind::InList { operand, list, .. } => std::iter::once(operand.as_mut()).chain(list).collect(),
        ExprKind::Like { operand, pattern, .. } => vec![operand, pattern],
        ExprKind::Case { operand, branches, otherwise } => operand
            .iter_mut()
            .map(AsMut::as_mut)
            .chain(branches.iter_mut().flat_map(|(when, then)| [when, then]))
            .chain(otherwise.iter_mut().map(AsMut::as_mut))
            .collect(),
        ExprKind::Call { args, .. } | ExprKind::Array(args) => args.iter_mut().collect(),
        ExprKind::Aggregate { args, filter, .. } => {
            args.iter_mut().chain(filter.iter_mut().map(AsMut::as_mut)).collect()
        }
        ExprKind::Lambda { body, .. } => vec![body],
        ExprKind::Map(entries) => entries.iter_mut().flat_map(|(key, value)| [key, value]).collect(),
        ExprKind::Struct(fields) => fields.iter_mut().map(|(_, value)| value).collect(),
        ExprKind::Field { base, .. } => vec![base],
        ExprKind::Subscript { base, index } => vec![base, index],
    }
}

/// True if `test` holds for the expression or any part of it.
pub(crate) fn any(expr: &Expr, test: &dyn Fn(&Expr) -> bool) -> bool {
    test(expr) || children(expr).into_iter().any(|part| any(part, test))
}

/// What becomes of a column.
type ResolveColumn<'a> = dyn Fn(&Expr, &ColumnRef) -> Result<Expr, Diagnostic> + 'a;

/// What becomes of a part whose own parts are done, with the lambda parameters around it.
type VisitPart<'a> = dyn Fn(Expr, &[Name]) -> Result<Expr, Diagnostic> + 'a;

/// Replaces each column that no lambda binds by what `resolve` makes of it, and each other part by what `visit` makes
/// of it once its own parts are done.
pub(crate) fn resolve_columns(
    expr: &Expr,
    resolve: &ResolveColumn<'_>,
    visit: &VisitPart<'_>,
) -> Result<Expr, Diagnostic> {
    fn go(
        expr: &Expr,
        bound: &mut Vec<Name>,
        resolve: &ResolveColumn<'_>,
        visit: &VisitPart<'_>,
    ) -> Result<Expr, Diagnostic> {
        match &expr.kind {
            ExprKind::Column(column) if column.qualifier.is_none() && bound.contains(&column.name) => Ok(expr.clone()),
            ExprKind::Column(column) => resolve(expr, column),
            ExprKind::Lambda { params, .. } => {
                visit(expr.clone(), bound)?;
                let depth = bound.len();
                bound.extend(params.iter().cloned());
                let result = map_children(expr, &mut |part| go(part, bound, resolve, visit));
                bound.truncate(depth);
                result
            }
            _ => {
                let rebuilt = map_children(expr, &mut |part| go(part, bound, resolve, visit))?;
                visit(rebuilt, bound)
            }
        }
    }
    go(expr, &mut Vec::new(), resolve, visit)
}

/// The columns an expression reads, without the parameters of lambdas.
pub(crate) fn columns_of(expr: &Expr) -> BTreeSet<Name> {
    fn go(expr: &Expr, bound: &mut Vec<Name>, found: &mut BTreeSet<Name>) {
        match &expr.kind {
            ExprKind::Column(column) => {
                if column.qualifier.is_some() || !bound.contains(&column.name) {
                    found.insert(column.name.clone());
                }
            }
            ExprKind::Lambda { params, body } => {
                let depth = bound.len();
                bound.extend(params.iter().cloned());
                go(body, bound, found);
                bound.truncate(depth);
            }
            _ => children(expr).into_iter().for_each(|part| go(part, bound, found)),
        }
    }
    let mut found = BTreeSet::new();
    go(expr, &mut Vec::new(), &mut found);
    found
}
