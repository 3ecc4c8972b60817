//! What ksqlDB rejects and ours would take: every rule that `sql.compatibility = ksqldb` switches on.

use super::context::{Compatibility, PlanContext};
use super::key_access;
use super::rewrite::columns_of;
use crate::catalog::Source;
use crate::diagnostics::{Code, Diagnostic};
use crate::functions::aggregate::AggregateFunction;
use crate::sql::ast::{CreateFunction, Expr, ExprKind, Literal, Query, SelectItem};
use crate::types::{Name, SqlType};

fn is_ksqldb(ctx: &PlanContext<'_>) -> bool {
    ctx.settings.compatibility == Compatibility::Ksqldb
}

/// Whether the bounds that a WINDOW clause makes are found in the SELECT list: ksqlDB does not find them behind a join.
pub(super) fn finds_window_bounds(query: &Query, ctx: &PlanContext<'_>) -> bool {
    query.joins.is_empty() || !is_ksqldb(ctx)
}

/// Whether an aggregate may be applied to a table: ksqlDB takes rows back for some that ours takes back exactly.
pub(super) fn takes_rows_back(function: &AggregateFunction, ctx: &PlanContext<'_>) -> bool {
    if is_ksqldb(ctx) { function.retracts_in_ksqldb } else { function.retracts }
}

/// ksqlDB has a fixed list of aggregates.
pub(super) fn check_aggregate(function: &AggregateFunction, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    if !function.is_extension || !is_ksqldb(ctx) {
        return Ok(());
    }
    Err(Diagnostic::new(Code::UnknownFunction, format!("aggregate function {} is not one of ksqlDB's", function.name))
        .with_hint("Set sql.compatibility to 'extended' to use it."))
}

/// ksqlDB has neither DISTINCT and FILTER in aggregates nor PREVIOUS.
pub(super) fn check_aggregate_extension(call: &Expr, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    let what = match &call.kind {
        ExprKind::Aggregate { filter: Some(_), .. } => "FILTER",
        ExprKind::Aggregate { .. } => "DISTINCT",
        ExprKind::Call { function, .. } if function.as_str() == "PREVIOUS" => "PREVIOUS",
        _ => return Ok(()),
    };
    if !is_ksqldb(ctx) {
        return Ok(());
    }
    Err(Diagnostic::new(Code::Unsupported, format!("{what} of an aggregate is not known to ksqlDB"))
        .with_hint("Set sql.compatibility to 'extended' to use it.")
        .at(call.span))
}

/// Whether what aggregates keep must have a place in the source's value format, as ksqlDB keeps it there.
pub(super) fn keeps_state_in_value_format(ctx: &PlanContext<'_>) -> bool {
    is_ksqldb(ctx)
}

/// ksqlDB has no CREATE FUNCTION.
pub(super) fn check_create_function(create: &CreateFunction, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    if !is_ksqldb(ctx) {
        return Ok(());
    }
    Err(Diagnostic::new(Code::Unsupported, "CREATE FUNCTION is not a statement of ksqlDB")
        .with_hint("Set sql.compatibility to 'extended' to use it.")
        .at(create.name.span))
}

/// Clauses and columns that a pull query cannot have. What ours will take is refused as not built.
pub(super) fn check_pull(query: &Query, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    let clauses = [
        (query.partition_by.first().map(|item| item.span), "PARTITION BY"),
        (query.group_by.first().map(|item| item.span), "GROUP BY"),
        (query.window.as_ref().map(|window| window.span), "WINDOW"),
        (query.having.as_ref().map(|having| having.span), "HAVING"),
        (query.joins.first().map(|join| join.span), "JOIN"),
    ];
    for (span, clause) in clauses {
        let Some(span) = span else { continue };
        let error = if is_ksqldb(ctx) {
            Diagnostic::new(Code::Unsupported, format!("pull queries do not support {clause}"))
                .with_hint("Add EMIT CHANGES to make it a push query.")
        } else {
            Diagnostic::not_implemented(format!("{clause} in a pull query"))
        };
        return Err(error.at(span));
    }
    if is_ksqldb(ctx) { refuse_offsets(query) } else { Ok(()) }
}

/// ksqlDB's pull queries do not know ROWPARTITION and ROWOFFSET.
fn refuse_offsets(query: &Query) -> Result<(), Diagnostic> {
    let exprs = query.select.iter().filter_map(|item| match item {
        SelectItem::Expr { expr, .. } | SelectItem::StructStar { base: expr, .. } => Some(expr),
        SelectItem::Star { .. } => None,
    });
    for expr in exprs.chain(&query.filter) {
        let read = columns_of(expr);
        if let Some(name) = ["ROWPARTITION", "ROWOFFSET"].iter().find(|name| read.contains(&Name::from(**name))) {
            return Err(
                Diagnostic::new(Code::Unsupported, format!("pull queries do not support column {name}")).at(expr.span)
            );
        }
    }
    Ok(())
}

/// A key column is not looked up by NULL, nor by text that would have to become a number first.
pub(super) fn check_key_comparisons(filter: &Expr, source: &Source, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    for condition in key_access::disjuncts(filter).unwrap_or_default().iter().flatten() {
        let ExprKind::Binary { left, right, .. } = &condition.kind else { continue };
        for (key, value) in [(left, right), (right, left)] {
            let ExprKind::Column(column) = &key.kind else { continue };
            let Some(column) = source.schema.key().find(|known| known.name == column.name) else { continue };
            if key_access::is_null(value) {
                return Err(Diagnostic::new(Code::TypeMismatch, format!("key column {} is never NULL", column.name))
                    .with_detail("Primary key columns can not be NULL.")
                    .at(value.span));
            }
            let is_text = matches!(value.kind, ExprKind::Literal(Literal::String(_)));
            let is_number = matches!(
                column.ty,
                SqlType::Integer | SqlType::BigInt | SqlType::Double | SqlType::Decimal { .. } | SqlType::Boolean
            );
            if is_ksqldb(ctx) && is_text && is_number {
                return Err(Diagnostic::new(
                    Code::TypeMismatch,
                    format!("key column {} is {} and is compared with text", column.name, column.ty),
                )
                .at(value.span));
            }
        }
    }
    Ok(())
}
