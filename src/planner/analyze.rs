//! A SELECT becomes a plan up to its projection: sources, WHERE, PARTITION BY, table functions, SELECT list.
//!
//! Names are resolved here and nowhere else. The order of operators is ksql's: source, WHERE, PARTITION BY, table
//! functions, projection.

use std::sync::Arc;

use super::compatibility;
use super::context::PlanContext;
use super::function_kinds::{calls, is_call};
use super::group_by;
use super::join_chain;
use super::joins::{self, JoinKey, Joined, KeyChoice};
use super::magic_timestamp;
use super::names::{NameGenerator, unique};
use super::partition_by::{self, KeyPart};
use super::plan::{FilterNode, FlatMapNode, Plan, ProjectNode, append};
use super::planned::OutputColumn;
use super::rewrite;
use super::scope::{Scope, ScopeRole};
use super::select::{self, SelectColumn};
use crate::catalog::{Catalog, Source};
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeColumn, EdgeSchema, type_of};
use crate::functions::{FunctionRegistry, Kind};
use crate::planner::graph::ProjectColumn;
use crate::sql::ast::{ColumnRef, Emit, Expr, ExprKind, Query, SourceKind, TypeName};
use crate::types::{Name, SqlType, WindowInfo};

/// What the query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// A stream or table of this name.
    Sink(&'a Name),
    /// A client.
    Client,
}

/// A query up to its projection.
#[derive(Debug)]
pub(super) struct Analyzed {
    /// The plan; its root is a [`ProjectNode`] whose edge begins with `columns`.
    pub(super) plan: Plan,
    /// The result: for a sink, its keys in order come first.
    pub(super) columns: Vec<OutputColumn>,
    /// The streams and tables that are read, the first one first.
    pub(super) sources: Vec<Arc<Source>>,
    /// True if no column of the result is a key.
    pub(super) keyless: bool,
    /// Whether the result is a stream or a table.
    pub(super) kind: SourceKind,
    /// The window suffix of the result's keys.
    pub(super) window: Option<WindowInfo>,
}

/// A statement under analysis.
pub(super) struct Analyzer<'a> {
    pub(super) query: &'a Query,
    pub(super) catalog: &'a Catalog,
    pub(super) ctx: &'a PlanContext<'a>,
    pub(super) target: Target<'a>,
    pub(super) scope: Scope,
    /// What the joins make, once they are checked.
    pub(super) joined: Option<Joined>,
}

/// Analyses a query.
pub(super) fn analyze<'a>(
    query: &'a Query,
    catalog: &'a Catalog,
    ctx: &'a PlanContext<'a>,
    target: Target<'a>,
) -> Result<Analyzed, Diagnostic> {
    let mut scope = Scope::of(query, catalog)?;
    let makes_bounds = query.window.is_some() && scope.relation().source.window.is_none();
    if makes_bounds && compatibility::finds_window_bounds(query, ctx) {
        scope.add_window_bounds();
    }
    let mut analyzer = Analyzer { query, catalog, ctx, target, scope, joined: None };
    if !query.joins.is_empty() {
        let edge = analyzer.scope.source_node().schema;
        let mut joined = joins::analyze(&analyzer, &edge)?;
        if let JoinKey::AnyOf(parts) = &mut joined.key {
            for part in parts {
                if let KeyChoice::Synthetic(ty) = part {
                    *part = KeyChoice::Columns(vec![analyzer.scope.add_synthetic_key(ty.clone())]);
                }
            }
        }
        analyzer.joined = Some(joined);
    }
    analyzer.check_clauses()?;
    analyzer.run()
}

impl Analyzer<'_> {
    pub(super) fn source(&self) -> &Arc<Source> {
        &self.scope.relation().source
    }

    /// Whether the rows of FROM make a stream or a table.
    pub(super) fn result_kind(&self) -> SourceKind {
        self.joined.as_ref().map_or(self.source().kind, |joined| joined.kind)
    }

    pub(super) fn is_over_table(&self) -> bool {
        self.result_kind() == SourceKind::Table
    }

    /// The window suffix of the keys of the rows of FROM.
    pub(super) fn result_window(&self) -> Option<WindowInfo> {
        self.joined.as_ref().map_or(self.source().window, |joined| joined.window)
    }

    /// True if the WINDOW clause makes the window bounds, so that rows do not have them before.
    pub(super) fn makes_window_bounds(&self) -> bool {
        self.query.window.is_some() && self.source().window.is_none()
    }

    /// True if a function of this kind is called in the expression.
    pub(super) fn calls(&self, expr: &Expr, kind: Kind) -> bool {
        calls(expr, kind, self.ctx.functions)
    }

    pub(super) fn is_persistent(&self) -> bool {
        matches!(self.target, Target::Sink(_))
    }

    /// Rules between clauses that look at no expression.
    fn check_clauses(&self) -> Result<(), Diagnostic> {
        let query = self.query;
        let source = self.source();
        if let Some(window) = query.window.as_ref().filter(|_| query.group_by.is_empty()) {
            return Err(Diagnostic::new(Code::InvalidWindow, "a WINDOW clause needs a GROUP BY clause")
                .with_hint("Add GROUP BY with the columns whose equal values share a window.")
                .at(window.span));
        }
        if query.emit == Some(Emit::Final) && query.window.is_none() {
            return Err(Diagnostic::new(Code::InvalidWindow, "EMIT FINAL is only for windowed aggregations")
                .with_detail("A result is final once its window is closed.")
                .with_hint("Add a WINDOW clause, or write EMIT CHANGES.")
                .at(query.span));
        }
        if self.is_persistent() && source.is_table() && source.window.is_some() {
            compatibility::check_windowed_table(source, self.ctx).map_err(|error| error.at(query.from.source.span))?;
        }
        Ok(())
    }

    fn run(&self) -> Result<Analyzed, Diagnostic> {
        let query = self.query;
        let (mut plan, join_key) = match &self.joined {
            None => (Plan::Source(self.scope.source_node()), vec![]),
            Some(joined) => join_chain::plan(&self.scope, joined),
        };
        if let Some(condition) = &query.filter {
            let predicate = self.condition("WHERE", condition, plan.schema())?;
            plan = Plan::Filter(FilterNode { input: Box::new(plan), predicate });
        }
        let mut names = self.name_generator();
        if group_by::groups(self) {
            return group_by::analyze(self, plan, &mut names);
        }
        let key = partition_by::key(self, plan.schema())?;
        let mut select = select::resolve(self, key, plan.schema(), &mut names)?;
        if let Some(Joined { key: JoinKey::AnyOf(parts), .. }) = &self.joined
            && self.query.partition_by.is_empty()
        {
            select = select::with_join_key(self, select, parts)?;
        }
        let repartitioned = select.repartitioned;
        if repartitioned {
            plan = Plan::PartitionBy(partition_by::node(plan, &select.key));
        }
        let (mut columns, calls) = self.pull_out_table_calls(select.columns, plan.schema())?;
        if !calls.is_empty() {
            let schema = self.with_calls(plan.schema(), &calls)?;
            plan = Plan::FlatMap(FlatMapNode { input: Box::new(plan), calls, schema });
        }
        for column in &mut columns {
            column.ty = Some(self.column_type(column, plan.schema())?);
        }
        let mut columns = match self.target {
            Target::Sink(sink) => {
                let what = if repartitioned { "partitioning expression" } else { select::KEY_COLUMN };
                select::for_sink(self, columns, &select.key, sink, what)?
            }
            Target::Client => columns,
        };
        select::check_duplicates(&columns)?;
        if !repartitioned {
            // A side whose column is the key may not be there, or be gone: the join knows the key all the same.
            for column in &mut columns {
                if let Some(part) = column.key.and_then(|position| join_key.get(position)) {
                    column.expr = Expr::column(part.clone());
                }
            }
        }
        self.project(plan, columns, self.result_kind(), self.result_window())
    }

    /// The SELECT list over `input`; `kind` and `window` are the result's.
    pub(super) fn project(
        &self,
        input: Plan,
        columns: Vec<SelectColumn>,
        kind: SourceKind,
        window: Option<WindowInfo>,
    ) -> Result<Analyzed, Diagnostic> {
        let is_client = self.target == Target::Client;
        let on_deletes = is_client && kind == SourceKind::Table;
        let mut project = Vec::with_capacity(columns.len());
        let mut edge = Vec::with_capacity(columns.len());
        let mut output = Vec::with_capacity(columns.len());
        for column in columns {
            let ty = column.ty.ok_or_else(|| Diagnostic::new(Code::Internal, "a column was not typed"))?;
            let is_key = column.key.is_some();
            // A delete of a window has its key, and the window belongs to it.
            let is_bound = group_by::WINDOW_BOUNDS.iter().any(|bound| column.expr == Expr::column((*bound).into()));
            edge.push(EdgeColumn { name: column.name.clone(), ty: ty.clone() });
            project.push(ProjectColumn {
                name: column.name.clone(),
                expr: column.expr,
                needs_value: on_deletes && !is_key && !is_bound,
            });
            output.push(OutputColumn { name: column.name, ty, is_key });
        }
        if !is_client && window.is_some() {
            for bound in group_by::WINDOW_BOUNDS.map(Name::from) {
                edge.push(EdgeColumn { name: bound.clone(), ty: SqlType::BigInt });
                project.push(ProjectColumn { name: bound.clone(), expr: Expr::column(bound), needs_value: false });
            }
        }
        let schema = EdgeSchema::new(edge);
        let plan = Plan::Project(ProjectNode { input: Box::new(input), columns: project, schema });
        let keyless = output.iter().all(|column| !column.is_key);
        let sources = self.sources();
        Ok(Analyzed { plan, columns: output, sources, keyless, kind, window })
    }

    fn name_generator(&self) -> NameGenerator {
        NameGenerator::avoiding(
            self.scope
                .relations
                .iter()
                .flat_map(|relation| &relation.columns)
                .filter(|column| !matches!(column.role, ScopeRole::Pseudo | ScopeRole::WindowBound))
                .map(|column| &column.name),
        )
    }

    /// A condition over `edge`, resolved and known to be BOOLEAN.
    pub(super) fn condition(&self, clause: &str, condition: &Expr, edge: &EdgeSchema) -> Result<Expr, Diagnostic> {
        if self.calls(condition, Kind::Aggregate) {
            let refused = Diagnostic::new(Code::InvalidGrouping, format!("{clause} cannot hold aggregate functions"));
            let hint = match clause {
                "WHERE" => "WHERE looks at single rows; conditions on groups stand in HAVING, behind GROUP BY.",
                _ => "Create a table with the aggregate first.",
            };
            return Err(refused.with_hint(hint).at(condition.span));
        }
        if self.calls(condition, Kind::Table) {
            return Err(Diagnostic::new(Code::InvalidProjection, format!("{clause} cannot hold table functions"))
                .at(condition.span));
        }
        let condition = magic_timestamp::convert(condition)?;
        let resolved = self.resolve(&condition)?;
        group_by::refuse_window_bounds(self, &resolved)?;
        match type_of(&resolved, edge, self.ctx.functions)? {
            Some(SqlType::Boolean) => Ok(resolved),
            other => {
                let ty = other.map_or_else(|| "NULL".to_owned(), |ty| ty.to_string());
                Err(Diagnostic::new(Code::TypeMismatch, format!("{clause} must be of type BOOLEAN, not {ty}"))
                    .at(condition.span))
            }
        }
    }

    /// The expression over the edge: columns by their edge names, custom types by what they stand for.
    pub(super) fn resolve(&self, expr: &Expr) -> Result<Expr, Diagnostic> {
        let resolve = |expr: &Expr, column: &ColumnRef| {
            let found = self.scope.resolve(column, expr.span)?;
            let column = ColumnRef { qualifier: None, name: found.edge.clone() };
            Ok(Expr::new(ExprKind::Column(column), expr.span))
        };
        let visit = |expr: Expr, bound: &[Name]| self.check_part(expr, bound);
        rewrite::resolve_columns(expr, &resolve, &visit)
    }

    /// Resolves the type of a cast, and refuses lambda parameters that hide something.
    fn check_part(&self, mut expr: Expr, bound: &[Name]) -> Result<Expr, Diagnostic> {
        match &mut expr.kind {
            ExprKind::Cast { ty, .. } => {
                let span = ty.span;
                let resolved = ty.resolve(&|custom| self.catalog.custom_type(custom).cloned())?;
                *ty = TypeName { span, ..TypeName::from(&resolved) };
            }
            // Before any rule about groups or columns: a misspelt aggregate is not taken for a scalar function.
            // PREVIOUS is no function, but belongs to the aggregate in it.
            ExprKind::Call { function, args }
                if self.ctx.functions.get(function).is_none()
                    && !(function.as_str() == "PREVIOUS"
                        && matches!(args.as_slice(), [call] if is_call(call, Kind::Aggregate, self.ctx.functions))) =>
            {
                return Err(self.ctx.functions.unknown(function).at(expr.span));
            }
            ExprKind::Lambda { params, .. } => {
                for param in &*params {
                    let taken = if self.scope.has_column(param) {
                        "a column"
                    } else if bound.contains(param) {
                        "a parameter of an outer lambda"
                    } else {
                        continue;
                    };
                    return Err(Diagnostic::new(
                        Code::DuplicateName,
                        format!("lambda parameter {param} is also the name of {taken}"),
                    )
                    .at(expr.span));
                }
            }
            _ => {}
        }
        Ok(expr)
    }

    /// Takes the table function calls out of the SELECT list and leaves columns in their place.
    fn pull_out_table_calls(
        &self,
        mut columns: Vec<SelectColumn>,
        edge: &EdgeSchema,
    ) -> Result<(Vec<SelectColumn>, Vec<ProjectColumn>), Diagnostic> {
        let mut calls: Vec<ProjectColumn> = Vec::new();
        for column in &mut columns {
            if !self.calls(&column.expr, Kind::Table) {
                continue;
            }
            if self.is_over_table() {
                return Err(Diagnostic::new(Code::Unsupported, "table functions are not supported over a table")
                    .at(column.expr.span));
            }
            column.expr = take_table_calls(&column.expr, self.ctx.functions, &mut |call| {
                let taken = |name: &Name| edge.index_of(name).is_some();
                let name = unique(&format!("KSQL_TABLE_{}", calls.len()), taken);
                let replaced = Expr::column(name.clone());
                calls.push(ProjectColumn { name, expr: call.clone(), needs_value: false });
                Expr::new(replaced.kind, call.span)
            })?;
        }
        Ok((columns, calls))
    }

    /// The edge behind table function calls.
    fn with_calls(&self, edge: &EdgeSchema, calls: &[ProjectColumn]) -> Result<EdgeSchema, Diagnostic> {
        let mut columns = Vec::with_capacity(calls.len());
        for call in calls {
            // A table function gives the array of the values it makes rows of.
            let SqlType::Array(element) = self.expression_type(&call.expr, edge)? else {
                return Err(Diagnostic::new(Code::Internal, "a table function gives no array").at(call.expr.span));
            };
            columns.push(EdgeColumn { name: call.name.clone(), ty: *element });
        }
        Ok(append(edge, columns))
    }

    fn column_type(&self, column: &SelectColumn, edge: &EdgeSchema) -> Result<SqlType, Diagnostic> {
        self.expression_type(&column.expr, edge)
    }

    /// The type of a column that is to be made; the bare NULL has none.
    pub(super) fn expression_type(&self, expr: &Expr, edge: &EdgeSchema) -> Result<SqlType, Diagnostic> {
        if let ExprKind::Column(column) = &expr.kind
            && let Some(index) = edge.index_of(&column.name)
        {
            return Ok(edge.columns()[index].ty.clone());
        }
        type_of(expr, edge, self.ctx.functions)?.ok_or_else(|| {
            Diagnostic::new(Code::TypeMismatch, "the type of NULL cannot be inferred")
                .with_hint("Cast it to the type you want: CAST(NULL AS STRING).")
                .at(expr.span)
        })
    }

    /// The key that rows of FROM come with; the key of a join that may be one of several columns is chosen later.
    pub(super) fn source_key(&self) -> Vec<KeyPart> {
        let edges: Vec<&Name> = match &self.joined {
            Some(Joined { key: JoinKey::AllOf(key), .. }) => key.iter().collect(),
            Some(_) => return vec![],
            None => {
                let columns = self.scope.relation().columns.iter();
                columns.filter(|column| column.role == ScopeRole::Key).map(|column| &column.edge).collect()
            }
        };
        edges
            .into_iter()
            .filter_map(|edge| self.scope.by_edge(edge))
            .map(|column| KeyPart::column(&column.name, &column.edge))
            .collect()
    }

    /// All sources, the first one first.
    pub(super) fn sources(&self) -> Vec<Arc<Source>> {
        self.scope.relations.iter().map(|relation| Arc::clone(&relation.source)).collect()
    }
}

/// Replaces each table function call by what `replace` makes of it.
fn take_table_calls(
    expr: &Expr,
    functions: &FunctionRegistry,
    replace: &mut dyn FnMut(&Expr) -> Expr,
) -> Result<Expr, Diagnostic> {
    let has_call = |part: &Expr| calls(part, Kind::Table, functions);
    if is_call(expr, Kind::Table, functions) {
        if let Some(inner) = rewrite::children(expr).into_iter().find(|part| has_call(part)) {
            return Err(Diagnostic::new(Code::InvalidProjection, "table functions cannot be nested")
                .with_hint("Create a stream with the inner one first.")
                .at(inner.span));
        }
        return Ok(replace(expr));
    }
    if matches!(expr.kind, ExprKind::Case { .. }) && has_call(expr) {
        return Err(Diagnostic::new(Code::InvalidProjection, "table functions cannot stand in CASE").at(expr.span));
    }
    rewrite::map_children(expr, &mut |part| take_table_calls(part, functions, replace))
}
