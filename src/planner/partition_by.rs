//! PARTITION BY: the parts of the new key, and the node that computes them.

use super::analyze::Analyzer;
use super::names::unique;
use super::plan::{PartitionByNode, Plan, append};
use super::rewrite;
use super::scope::ScopeRole;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::functions::Kind;
use crate::planner::graph::ProjectColumn;
use crate::sql::ast::{Expr, ExprKind, Literal};
use crate::types::{Name, SqlType};

/// A column of the key while a query is analysed.
#[derive(Debug, Clone)]
pub(super) struct KeyPart {
    /// The expression as written, which gives it its default name.
    pub(super) written: Expr,
    /// The expression over the edge before the key changes.
    pub(super) expr: Expr,
    /// The column of the edge that holds it.
    pub(super) edge: Name,
    /// How it is computed, if it is more than a column that is there already.
    pub(super) computed: Option<Computed>,
}

/// A part of a key that is computed.
#[derive(Debug, Clone)]
pub(super) struct Computed {
    pub(super) ty: SqlType,
    /// True if it reads more than key columns, so that rows without a value have none.
    pub(super) needs_value: bool,
}

impl KeyPart {
    /// A key that is a column of the edge.
    pub(super) fn column(name: &Name, edge: &Name) -> Self {
        Self {
            written: Expr::column(name.clone()),
            expr: Expr::column(edge.clone()),
            edge: edge.clone(),
            computed: None,
        }
    }

    /// True if `expr`, over the edge before or behind the change of key, is this part and nothing else.
    pub(super) fn is(&self, expr: &Expr) -> bool {
        *expr == self.expr || matches!(&expr.kind, ExprKind::Column(column) if column.name == self.edge)
    }
}

/// The key that rows have from here on.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) parts: Vec<KeyPart>,
    /// True if rows get another key than they came with.
    pub(super) repartitioned: bool,
}

/// The key after PARTITION BY.
pub(super) fn key(analyzer: &Analyzer<'_>, edge: &EdgeSchema) -> Result<Key, Diagnostic> {
    let items = &analyzer.query.partition_by;
    let source_key = analyzer.source_key();
    let Some(first) = items.first() else {
        return Ok(Key { parts: source_key, repartitioned: false });
    };
    let source = analyzer.source();
    if analyzer.is_over_table() {
        return Err(Diagnostic::new(
            Code::InvalidPartitioning,
            format!("table {} cannot be repartitioned: PARTITION BY is for streams", source.name),
        )
        .with_hint("GROUP BY with LATEST_BY_OFFSET over a stream makes a table with another key.")
        .at(first.span));
    }
    let is_null = |item: &Expr| item.kind == ExprKind::Literal(Literal::Null);
    if let Some(null) = items.iter().find(|item| is_null(item)) {
        if items.len() > 1 {
            return Err(Diagnostic::new(
                Code::InvalidPartitioning,
                "PARTITION BY cannot hold several expressions including NULL",
            )
            .at(null.span));
        }
        return refuse_if_windowed(analyzer, first, Key { parts: vec![], repartitioned: true });
    }
    let mut parts: Vec<KeyPart> = Vec::with_capacity(items.len());
    for item in items {
        let part = part(analyzer, item, edge, &parts)?;
        if parts.iter().any(|other| other.expr == part.expr) {
            return Err(
                Diagnostic::new(Code::InvalidPartitioning, "PARTITION BY holds an expression twice").at(item.span)
            );
        }
        parts.push(part);
    }
    if let ([part], [only]) = (parts.as_slice(), source_key.as_slice())
        && part.is(&only.expr)
    {
        return Ok(Key { parts: source_key, repartitioned: false });
    }
    refuse_if_windowed(analyzer, first, Key { parts, repartitioned: true })
}

fn refuse_if_windowed(analyzer: &Analyzer<'_>, at: &Expr, key: Key) -> Result<Key, Diagnostic> {
    if analyzer.result_window().is_none() {
        return Ok(key);
    }
    Err(Diagnostic::new(Code::InvalidPartitioning, "windowed sources cannot be repartitioned").at(at.span))
}

fn part(analyzer: &Analyzer<'_>, item: &Expr, edge: &EdgeSchema, before: &[KeyPart]) -> Result<KeyPart, Diagnostic> {
    if analyzer.calls(item, Kind::Aggregate) || analyzer.calls(item, Kind::Table) {
        return Err(Diagnostic::new(
            Code::InvalidPartitioning,
            "PARTITION BY does not support aggregate and table functions",
        )
        .with_hint("Create a stream or table with the function first.")
        .at(item.span));
    }
    let expr = analyzer.resolve(item).map_err(|error| match error.code {
        Code::UnknownColumn => {
            error.with_detail("PARTITION BY is applied to the input, so its columns must be columns of the source.")
        }
        _ => error,
    })?;
    computed_part(analyzer, item, expr, edge, before)
}

/// The key part of a resolved expression: a column that is there already, or one to compute.
pub(super) fn computed_part(
    analyzer: &Analyzer<'_>,
    item: &Expr,
    expr: Expr,
    edge: &EdgeSchema,
    before: &[KeyPart],
) -> Result<KeyPart, Diagnostic> {
    let ty = analyzer.expression_type(&expr, edge)?;
    let role = |name: &Name| analyzer.scope.by_edge(name).map(|column| column.role);
    if let ExprKind::Column(column) = &expr.kind
        && matches!(role(&column.name), Some(ScopeRole::Key | ScopeRole::Value))
    {
        let edge = column.name.clone();
        return Ok(KeyPart { written: item.clone(), expr, edge, computed: None });
    }
    let needs_value = rewrite::columns_of(&expr).iter().any(|column| role(column) != Some(ScopeRole::Key));
    let taken = |name: &Name| edge.index_of(name).is_some() || before.iter().any(|part| part.edge == *name);
    let edge = unique(&format!("KSQL_KEY_{}", before.len()), taken);
    Ok(KeyPart { written: item.clone(), expr, edge, computed: Some(Computed { ty, needs_value }) })
}

/// The node that computes the key.
pub(super) fn node(input: Plan, key: &[KeyPart]) -> PartitionByNode {
    let computed: Vec<(&KeyPart, &Computed)> =
        key.iter().filter_map(|part| Some((part, part.computed.as_ref()?))).collect();
    let schema = append(
        input.schema(),
        computed.iter().map(|(part, computed)| EdgeColumn { name: part.edge.clone(), ty: computed.ty.clone() }),
    );
    let columns = computed
        .into_iter()
        .map(|(part, computed)| ProjectColumn {
            name: part.edge.clone(),
            expr: part.expr.clone(),
            needs_value: computed.needs_value,
        })
        .collect();
    PartitionByNode {
        input: Box::new(input),
        computed: columns,
        key: key.iter().map(|part| part.edge.clone()).collect(),
        schema,
    }
}
