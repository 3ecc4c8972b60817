//! What ksqlDB rejects and ours would take: every rule that `sql.compatibility = ksqldb` switches on.

use super::context::{Compatibility, PlanContext};
use super::rewrite::columns_of;
use crate::diagnostics::{Code, Diagnostic};
use crate::functions::aggregate::AggregateFunction;
use crate::sql::ast::{CreateFunction, Query, SelectItem};
use crate::types::Name;

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

/// Clauses and columns that a pull query over a stream cannot have. What ours will take is refused as not built.
pub(super) fn check_stream_scan(query: &Query, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
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
