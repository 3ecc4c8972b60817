//! What ksqlDB rejects and ours would take: every rule that `sql.compatibility = ksqldb` switches on.

use super::context::{Compatibility, PlanContext};
use super::key_access;
use super::rewrite::columns_of;
use super::scope::ScopeRelation;
use crate::catalog::Source;
use crate::diagnostics::{Code, Diagnostic};
use crate::functions::aggregate::AggregateFunction;
use crate::sql::ast::{CreateFunction, Expr, ExprKind, Join, Literal, Query, SelectItem};
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

/// What a join of ksqlDB's does not do because of how it deals rows to partitions.
fn refuse_join(text: impl Into<String>, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    if !is_ksqldb(ctx) {
        return Ok(());
    }
    Err(Diagnostic::new(Code::InvalidJoin, text).with_hint("Set sql.compatibility to 'extended' to use it."))
}

/// ksqlDB does not join a source with itself.
pub(super) fn check_self_join(source: &Name, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    refuse_join(format!("source {source} is joined to itself, which ksqlDB does not support"), ctx)
}

/// Whether two streams may be joined without WITHIN, if a setting says how long their rows are kept.
pub(super) fn may_join_streams_without_within(ctx: &PlanContext<'_>) -> bool {
    !is_ksqldb(ctx)
}

/// How far apart rows of two streams may lie that are joined without WITHIN, milliseconds; `None`: they are not.
pub(super) fn ttl_of_joined_streams(ctx: &PlanContext<'_>) -> Option<i64> {
    let ttl_ms = ctx.settings.join_streams_ttl_ms;
    (ttl_ms > 0 && may_join_streams_without_within(ctx)).then_some(ttl_ms)
}

/// ksqlDB joins on one equality.
pub(super) fn check_one_condition(on: &Expr, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    refuse_join("joins on several conditions are not supported by ksqlDB", ctx).map_err(|error| error.at(on.span))
}

/// Whether each side of a join condition reads one source only, also where several stand before the join.
pub(super) fn reads_one_source(ctx: &PlanContext<'_>) -> bool {
    is_ksqldb(ctx)
}

/// Whether a table is joined by a cast of its primary key.
pub(super) fn finds_tables_by_casts(ctx: &PlanContext<'_>) -> bool {
    !is_ksqldb(ctx)
}

/// ksqlDB has foreign-key joins at the beginning of a chain only.
pub(super) fn check_foreign_key_behind_joins(ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    refuse_join("a foreign-key join can only be the first of several joins in ksqlDB", ctx)
}

/// ksqlDB does not give windowed rows another key, nor joins hopping with tumbling windows.
pub(super) fn check_windowed_repartition(ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    refuse_join("windowed sources join on their keys only in ksqlDB: they cannot be repartitioned", ctx)
}

/// ksqlDB's persistent queries do not read windowed tables.
pub(super) fn check_windowed_table(source: &Source, ctx: &PlanContext<'_>) -> Result<(), Diagnostic> {
    if !is_ksqldb(ctx) {
        return Ok(());
    }
    Err(Diagnostic::new(
        Code::Unsupported,
        format!("persistent queries on windowed tables are not supported by ksqlDB, and {} is one", source.name),
    )
    .with_hint("Set sql.compatibility to 'extended' to use it."))
}

/// ksqlDB joins partition by partition: both sides have the same number.
pub(super) fn check_partitions(
    sides: [&ScopeRelation; 2],
    join: &Join,
    ctx: &PlanContext<'_>,
) -> Result<(), Diagnostic> {
    match sides.map(|side| (ctx.topics)(&side.source.topic).map(|shape| shape.partitions)) {
        [Some(left), Some(right)] if left != right && is_ksqldb(ctx) => Err(Diagnostic::new(
            Code::InvalidJoin,
            format!(
                "{} and {} cannot be joined: their topics have {left} and {right} partitions",
                sides[0].source.name, sides[1].source.name
            ),
        )
        .with_hint("Repartition one of them, or set sql.compatibility to 'extended'.")
        .at(join.span)),
        _ => Ok(()),
    }
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
        } else if clause == "JOIN" {
            // Every other join is planned as any SQL.
            Diagnostic::new(Code::Unsupported, "WITHIN joins streams as they come, not in a pull query").with_hint(
                "Add EMIT CHANGES to follow the join, or leave WITHIN out and compare the ROWTIME of both sides.",
            )
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
