//! GROUP BY, HAVING and aggregates: every rule that can be checked before a row flows.
//!
//! Behind the grouping a row holds the grouping expressions, the results of the aggregates and the window bounds, and
//! nothing else: HAVING and the SELECT list are rewritten over those.

use super::aggregates::Aggregates;
use super::analyze::{Analyzed, Analyzer, Target};
use super::compatibility;
use super::graph::{Aggregation, Emission, ProjectColumn};
use super::names::NameGenerator;
use super::partition_by::{Key, KeyPart, computed_part};
use super::plan::{AggregateNode, FilterNode, Plan};
use super::rewrite;
use super::select;
use super::windows;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeColumn, EdgeSchema, type_of};
use crate::formats::FormatName;
use crate::functions::Kind;
use crate::sql::ast::{Emit, Expr, ExprKind, SelectItem, SourceKind};
use crate::types::{Name, SqlType};

/// The columns that a WINDOW clause makes.
pub(super) const WINDOW_BOUNDS: [&str; 2] = ["WINDOWSTART", "WINDOWEND"];

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
    let below = plan.schema().clone();
    let mut aggregates = Aggregates::new(analyzer, &below, &grouping);
    let mut columns = selected.columns;
    let mut grouped =
        Grouped { grouping: &grouping, aggregates: &mut aggregates, reads_bounds: true, ungrouped: vec![] };
    for column in &mut columns {
        if column.key.is_none() {
            column.expr = grouped.expr(&column.expr, &mut Vec::new())?;
        }
    }
    refuse_ungrouped("SELECT", &grouped.ungrouped)?;
    let having = match &analyzer.query.having {
        Some(having) => {
            let converted = super::magic_timestamp::convert(having)?;
            let resolved = analyzer.resolve(&converted)?;
            grouped.reads_bounds = false;
            let condition = grouped.expr(&resolved, &mut Vec::new())?;
            refuse_ungrouped("HAVING", &grouped.ungrouped)?;
            Some(condition)
        }
        None => None,
    };
    if aggregates.is_empty() {
        return Err(Diagnostic::new(
            Code::InvalidGrouping,
            "GROUP BY needs an aggregate function in the SELECT list or HAVING",
        )
        .with_hint("Add one, such as COUNT(*); to change the key of a stream alone, there is PARTITION BY.")
        .at(analyzer.query.span));
    }
    aggregates.check_source()?;
    let node = node(analyzer, plan, &grouping, aggregates)?;
    check_having(analyzer, having.as_ref(), &node.schema)?;
    for column in &mut columns {
        column.ty = Some(analyzer.expression_type(&column.expr, &node.schema)?);
    }
    if let Target::Sink(sink) = analyzer.target {
        columns = select::for_sink(analyzer, columns, &grouping, sink, "grouping expression")?;
    }
    select::check_duplicates(&columns)?;
    let mut plan = Plan::Aggregate(node);
    if let Some(predicate) = having {
        plan = Plan::Filter(FilterNode { input: Box::new(plan), predicate });
    }
    let window = analyzer.query.window.as_ref().map(windows::key_suffix);
    analyzer.project(plan, columns, SourceKind::Table, window)
}

/// A source that can be grouped.
fn check_source(analyzer: &Analyzer<'_>) -> Result<(), Diagnostic> {
    let query = analyzer.query;
    for source in analyzer.scope.relations.iter().map(|relation| &relation.source) {
        if source.value.format == FormatName::Kafka && compatibility::keeps_state_in_value_format(analyzer.ctx) {
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
                .with_detail("A row of a table holds from its event time until it changes: it is in no window.")
                .with_hint("Aggregate the stream that the table is made from, or leave the WINDOW clause out.")
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
        .with_hint("Create a stream with the table function, and aggregate that.")
        .at(span));
    }
    if let Some(item) = query.partition_by.first() {
        return Err(Diagnostic::new(
            Code::InvalidGrouping,
            "PARTITION BY cannot be used together with GROUP BY and aggregations",
        )
        .with_hint("Leave it out: what is grouped by becomes the key.")
        .at(item.span));
    }
    if !query.group_by.is_empty() {
        return Ok(());
    }
    if let Some(having) = &query.having {
        return Err(Diagnostic::new(Code::InvalidGrouping, "HAVING needs a GROUP BY clause")
            .with_hint("Conditions on single rows stand in WHERE.")
            .at(having.span));
    }
    if analyzer.is_persistent() {
        return Err(Diagnostic::new(Code::InvalidGrouping, "aggregate functions need a GROUP BY clause")
            .with_hint("Add GROUP BY with the columns whose equal values make a group.")
            .at(query.span));
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
                .with_hint(format!("Create a stream or table with the {what} function first, and group that."))
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
    let read = rewrite::columns_of(expr);
    match WINDOW_BOUNDS.iter().find(|bound| analyzer.makes_window_bounds() && read.contains(&Name::from(**bound))) {
        Some(bound) => Err(Diagnostic::new(
            Code::InvalidWindow,
            format!("window bound {bound} can only stand in the SELECT list of a windowed aggregation"),
        )
        .with_detail("It cannot be an argument of an aggregate function either.")
        .at(expr.span)),
        None => Ok(()),
    }
}

/// Turns expressions over the edge before the grouping into such over the edge behind it.
struct Grouped<'g, 'a> {
    grouping: &'g [KeyPart],
    aggregates: &'g mut Aggregates<'a>,
    /// True where window bounds may be read.
    reads_bounds: bool,
    /// What neither groups nor aggregates.
    ungrouped: Vec<Expr>,
}

impl Grouped<'_, '_> {
    /// The expression behind the grouping; `bound` are the parameters of the lambdas around it.
    fn expr(&mut self, expr: &Expr, bound: &mut Vec<Name>) -> Result<Expr, Diagnostic> {
        if let ExprKind::Column(column) = &expr.kind
            && bound.contains(&column.name)
        {
            return Ok(expr.clone());
        }
        if let Some(part) = self.grouping.iter().find(|part| part.is(expr)) {
            return Ok(Expr::new(Expr::column(part.edge.clone()).kind, expr.span));
        }
        if let Some(column) = self.aggregates.call(expr)? {
            return Ok(column);
        }
        if let ExprKind::Column(column) = &expr.kind {
            let is_bound = matches!(column.name.as_str(), "WINDOWSTART" | "WINDOWEND");
            if is_bound && self.aggregates.makes_window_bounds() {
                if !self.reads_bounds {
                    self.aggregates.refuse_window_bounds(expr)?;
                }
            } else {
                self.ungrouped.push(expr.clone());
            }
            return Ok(expr.clone());
        }
        let depth = bound.len();
        if let ExprKind::Lambda { params, .. } = &expr.kind {
            bound.extend(params.iter().cloned());
        }
        let grouped = rewrite::map_children(expr, &mut |part| self.expr(part, bound));
        bound.truncate(depth);
        grouped
    }
}

fn refuse_ungrouped(clause: &str, ungrouped: &[Expr]) -> Result<(), Diagnostic> {
    let Some(first) = ungrouped.first() else { return Ok(()) };
    let listed: Vec<_> = ungrouped.iter().map(ToString::to_string).collect();
    Err(Diagnostic::new(
        Code::InvalidGrouping,
        format!("{clause} reads {} outside of aggregates and GROUP BY", listed.join(", ")),
    )
    .with_hint(format!(
        "Add it to GROUP BY, remove it from {clause}, or say which value of the group is meant, as in \
         LATEST_BY_OFFSET({first})."
    ))
    .at(first.span))
}

/// The aggregation over `input`.
fn node(
    analyzer: &Analyzer<'_>,
    input: Plan,
    grouping: &[KeyPart],
    aggregates: Aggregates<'_>,
) -> Result<AggregateNode, Diagnostic> {
    let query = analyzer.query;
    let mut key = Vec::with_capacity(grouping.len());
    let mut edge = Vec::with_capacity(grouping.len());
    for part in grouping {
        let ty = match &part.computed {
            Some(computed) => computed.ty.clone(),
            None => analyzer.expression_type(&part.expr, input.schema())?,
        };
        key.push(ProjectColumn { name: part.edge.clone(), expr: part.expr.clone(), needs_value: false });
        edge.push(EdgeColumn { name: part.edge.clone(), ty });
    }
    let mut before = edge.clone();
    edge.extend(aggregates.columns());
    let window = query.window.as_ref().map(|window| windows::aggregation_window(window, query.emit)).transpose()?;
    if window.is_some() {
        edge.extend(WINDOW_BOUNDS.map(|bound| EdgeColumn { name: bound.into(), ty: SqlType::BigInt }));
    }
    let settings = analyzer.ctx.settings;
    let emission = match query.emit {
        Some(Emit::Final) if settings.final_with_loss => Emission::FinalWithLoss,
        Some(Emit::Final) => Emission::Final,
        _ if settings.every_update || !analyzer.is_persistent() => Emission::EveryUpdate,
        _ => Emission::Coalesced,
    };
    let (calls, arguments) = aggregates.into_parts();
    for argument in &arguments {
        let ty = analyzer.expression_type(&argument.expr, input.schema())?;
        before.push(EdgeColumn { name: argument.name.clone(), ty });
    }
    let before = EdgeSchema::new(before);
    let aggregation = Aggregation {
        key: key.iter().map(|column| column.name.clone()).collect(),
        calls,
        window,
        emission,
        retracts: analyzer.is_over_table(),
    };
    Ok(AggregateNode { input: Box::new(input), key, arguments, before, aggregation, schema: EdgeSchema::new(edge) })
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
