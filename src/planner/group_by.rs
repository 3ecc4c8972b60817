//! GROUP BY, HAVING and aggregates: every rule that can be checked before a row flows.
//!
//! Analysis goes as far as the schema of the result, so that the sink is checked too. The operators are not built yet,
//! so what passes is refused by name at the end.

use super::aggregates::Aggregates;
use super::analyze::{Analyzed, Analyzer, Target};
use super::names::NameGenerator;
use super::partition_by::{Key, KeyPart, computed_part};
use super::plan::Plan;
use super::planned::OutputColumn;
use super::rewrite;
use super::select::{self, SelectColumn};
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeColumn, EdgeSchema, type_of};
use crate::formats::FormatName;
use crate::functions::Kind;
use crate::sql::ast::{Expr, ExprKind, SelectItem, SourceKind, WindowKind};
use crate::types::{Name, SqlType, WindowInfo, WindowType};

/// True if the query groups: it has a GROUP BY, a HAVING or an aggregate.
pub(super) fn groups(analyzer: &Analyzer<'_>) -> bool {
    let query = analyzer.query;
    !query.group_by.is_empty()
        || query.having.is_some()
        || query.select.iter().any(|item| match item {
            SelectItem::Expr { expr, .. } | SelectItem::StructStar { base: expr, .. } => {
                analyzer.calls(expr, Kind::Aggregate)
            }
            SelectItem::Star { .. } => false,
        })
}

/// Analyses a grouping query over `plan`, which ends before the grouping.
pub(super) fn analyze(analyzer: &Analyzer<'_>, plan: Plan, names: &mut NameGenerator) -> Result<Analyzed, Diagnostic> {
    check_source(analyzer)?;
    check_clauses(analyzer)?;
    let grouping = grouping(analyzer, plan.schema())?;
    let key = Key { parts: grouping.clone(), repartitioned: true };
    let selected = select::resolve(analyzer, key, plan.schema(), names)?;
    let mut aggregates = Aggregates::new(analyzer, plan.schema());
    let mut columns = selected.columns;
    let mut ungrouped = Vec::new();
    for column in &mut columns {
        if column.key.is_none() {
            column.expr = grouped(&column.expr, &grouping, &mut aggregates, true, &mut ungrouped)?;
        }
    }
    refuse_ungrouped("SELECT", &ungrouped)?;
    let having = match &analyzer.query.having {
        Some(having) => {
            let converted = super::magic_timestamp::convert(having)?;
            let resolved = analyzer.resolve(&converted)?;
            let condition = grouped(&resolved, &grouping, &mut aggregates, false, &mut ungrouped)?;
            refuse_ungrouped("HAVING", &ungrouped)?;
            Some(condition)
        }
        None => None,
    };
    if aggregates.calls().is_empty() {
        return Err(Diagnostic::new(
            Code::InvalidGrouping,
            "GROUP BY needs an aggregate function in the SELECT list or HAVING",
        )
        .at(analyzer.query.span));
    }
    aggregates.check_source(analyzer)?;
    let edge = edge(analyzer, plan.schema(), &grouping, &aggregates)?;
    check_having(analyzer, having.as_ref(), &edge)?;
    for column in &mut columns {
        column.ty = Some(analyzer.expression_type(&column.expr, &edge)?);
    }
    if let Target::Sink(sink) = analyzer.target {
        columns = select::for_sink(analyzer, columns, &grouping, sink, "grouping expression")?;
    }
    select::check_duplicates(&columns)?;
    analyzed(analyzer, plan, columns)
}

/// A source that can be grouped.
fn check_source(analyzer: &Analyzer<'_>) -> Result<(), Diagnostic> {
    let query = analyzer.query;
    for source in analyzer.scope.relations.iter().map(|relation| &relation.source) {
        if source.value.format == FormatName::Kafka {
            return Err(Diagnostic::new(
                Code::InvalidFormat,
                format!("source {} has value format KAFKA, which does not support GROUP BY", source.name),
            )
            .at(query.span));
        }
    }
    match &query.window {
        Some(window) if analyzer.result_kind() == SourceKind::Table => {
            Err(Diagnostic::new(Code::InvalidWindow, "windows are not supported for aggregations over a table")
                .at(window.span))
        }
        _ => Ok(()),
    }
}

fn check_clauses(analyzer: &Analyzer<'_>) -> Result<(), Diagnostic> {
    let query = analyzer.query;
    let table_call = query.select.iter().find_map(|item| match item {
        SelectItem::Expr { expr, .. } => analyzer.calls(expr, Kind::Table).then_some(expr.span),
        _ => None,
    });
    if let Some(span) = table_call {
        return Err(Diagnostic::new(
            Code::InvalidProjection,
            "table functions cannot be used together with aggregations",
        )
        .at(span));
    }
    if !query.group_by.is_empty() {
        return Ok(());
    }
    if let Some(having) = &query.having {
        return Err(Diagnostic::new(Code::InvalidGrouping, "HAVING needs a GROUP BY clause").at(having.span));
    }
    if analyzer.is_persistent() {
        return Err(Diagnostic::new(Code::InvalidGrouping, "aggregate functions need a GROUP BY clause").at(query.span));
    }
    Ok(())
}

/// The grouping expressions.
fn grouping(analyzer: &Analyzer<'_>, edge: &EdgeSchema) -> Result<Vec<KeyPart>, Diagnostic> {
    let mut parts: Vec<KeyPart> = Vec::with_capacity(analyzer.query.group_by.len());
    for item in &analyzer.query.group_by {
        for (kind, what) in [(Kind::Aggregate, "aggregate"), (Kind::Table, "table")] {
            if analyzer.calls(item, kind) {
                return Err(Diagnostic::new(
                    Code::InvalidGrouping,
                    format!("GROUP BY does not support {what} functions"),
                )
                .at(item.span));
            }
        }
        let expr = analyzer.resolve(item)?;
        refuse_window_bounds(analyzer, &expr)?;
        let part = computed_part(analyzer, item, expr, edge, &parts)?;
        if parts.iter().any(|other| other.expr == part.expr) {
            return Err(Diagnostic::new(Code::InvalidGrouping, "GROUP BY holds an expression twice").at(item.span));
        }
        parts.push(part);
    }
    Ok(parts)
}

/// Bounds that the WINDOW clause makes do not exist before the grouping.
pub(super) fn refuse_window_bounds(analyzer: &Analyzer<'_>, expr: &Expr) -> Result<(), Diagnostic> {
    let bounds = ["WINDOWSTART", "WINDOWEND"];
    let read = rewrite::columns_of(expr);
    match bounds.iter().find(|bound| analyzer.makes_window_bounds() && read.contains(&Name::from(**bound))) {
        Some(bound) => Err(Diagnostic::new(
            Code::InvalidWindow,
            format!("window bound {bound} can only stand in the SELECT list of a windowed aggregation"),
        )
        .with_detail("It cannot be an argument of an aggregate function either.")
        .at(expr.span)),
        None => Ok(()),
    }
}

/// The expression over the edge behind the grouping; what neither groups nor aggregates goes to `ungrouped`.
fn grouped(
    expr: &Expr,
    grouping: &[KeyPart],
    aggregates: &mut Aggregates<'_>,
    may_read_bounds: bool,
    ungrouped: &mut Vec<Expr>,
) -> Result<Expr, Diagnostic> {
    if let Some(part) = grouping.iter().find(|part| part.is(expr)) {
        return Ok(Expr::new(Expr::column(part.edge.clone()).kind, expr.span));
    }
    if let Some(column) = aggregates.call(expr)? {
        return Ok(column);
    }
    if let ExprKind::Column(column) = &expr.kind {
        let is_bound = matches!(column.name.as_str(), "WINDOWSTART" | "WINDOWEND");
        if is_bound && aggregates.makes_window_bounds() {
            if !may_read_bounds {
                aggregates.refuse_window_bounds(expr)?;
            }
        } else {
            ungrouped.push(expr.clone());
        }
        return Ok(expr.clone());
    }
    if let ExprKind::Lambda { .. } = &expr.kind {
        // Parameters of lambdas look like columns; what else a body reads is checked when the query is built.
        return Ok(expr.clone());
    }
    rewrite::map_children(expr, &mut |part| grouped(part, grouping, aggregates, may_read_bounds, ungrouped))
}

fn refuse_ungrouped(clause: &str, ungrouped: &[Expr]) -> Result<(), Diagnostic> {
    let Some(first) = ungrouped.first() else { return Ok(()) };
    let listed: Vec<_> = ungrouped.iter().map(ToString::to_string).collect();
    Err(Diagnostic::new(
        Code::InvalidGrouping,
        format!("{clause} reads {} outside of aggregates and GROUP BY", listed.join(", ")),
    )
    .with_hint(format!("Add it to GROUP BY, or remove it from {clause}."))
    .at(first.span))
}

/// The columns behind the grouping: grouping expressions, aggregates, window bounds.
fn edge(
    analyzer: &Analyzer<'_>,
    before: &EdgeSchema,
    grouping: &[KeyPart],
    aggregates: &Aggregates<'_>,
) -> Result<EdgeSchema, Diagnostic> {
    let mut columns = Vec::new();
    for part in grouping {
        let ty = match &part.computed {
            Some(computed) => computed.ty.clone(),
            None => analyzer.expression_type(&part.expr, before)?,
        };
        columns.push(EdgeColumn { name: part.edge.clone(), ty });
    }
    columns.extend(aggregates.calls().iter().map(|call| EdgeColumn { name: call.name.clone(), ty: call.ty.clone() }));
    for bound in ["WINDOWSTART", "WINDOWEND"].map(Name::from) {
        let missing = columns.iter().all(|column| column.name != bound);
        if missing && analyzer.query.window.is_some() {
            columns.push(EdgeColumn { name: bound, ty: SqlType::BigInt });
        }
    }
    Ok(EdgeSchema::new(columns))
}

fn check_having(analyzer: &Analyzer<'_>, having: Option<&Expr>, edge: &EdgeSchema) -> Result<(), Diagnostic> {
    let Some(condition) = having else { return Ok(()) };
    match type_of(condition, edge, analyzer.ctx.functions)? {
        Some(SqlType::Boolean) => Ok(()),
        other => {
            let ty = other.map_or_else(|| "NULL".to_owned(), |ty| ty.to_string());
            Err(Diagnostic::new(Code::TypeMismatch, format!("HAVING must be of type BOOLEAN, not {ty}"))
                .at(condition.span))
        }
    }
}

fn analyzed(analyzer: &Analyzer<'_>, plan: Plan, columns: Vec<SelectColumn>) -> Result<Analyzed, Diagnostic> {
    let mut output = Vec::with_capacity(columns.len());
    for column in columns {
        let ty = column.ty.ok_or_else(|| Diagnostic::new(Code::Internal, "a column was not typed"))?;
        output.push(OutputColumn { name: column.name, ty, is_key: column.key.is_some() });
    }
    let keyless = output.iter().all(|column| !column.is_key);
    let window = analyzer.query.window.as_ref().map(|window| {
        let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).ok();
        match window.kind {
            WindowKind::Tumbling { size } => WindowInfo { window_type: WindowType::Tumbling, size_ms: millis(size) },
            WindowKind::Hopping { size, .. } => WindowInfo { window_type: WindowType::Hopping, size_ms: millis(size) },
            WindowKind::Session { .. } => WindowInfo { window_type: WindowType::Session, size_ms: None },
        }
    });
    Ok(Analyzed {
        plan,
        columns: output,
        sources: analyzer.sources(),
        keyless,
        kind: SourceKind::Table,
        window,
        unbuilt: Some(Diagnostic::not_implemented("GROUP BY").at(analyzer.query.span)),
    })
}
