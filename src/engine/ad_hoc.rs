//! Queries without EMIT in any other SQL: which they are, and what [`crate::serving::adhoc`] needs to run them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::mpsc;

use crate::catalog::{Catalog, QueryId, Source};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::expressions::EvaluationContext;
use crate::functions::{FunctionRegistry, Kind};
use crate::planner::{Compatibility, PlanContext, PlanSettings, TopicShape, plan_stream_scan};
use crate::runtime::{Failed, ProcessingLogEntry, PushDefinition, PushStart, RowEvent};
use crate::serving::Snapshot;
use crate::serving::adhoc::{self, AdHocQuery, Reading, Rows, Told};
use crate::sql::ast::{
    Expr, ExprKind, Ident, Query, Relation, SelectItem, StandardQuery, Statement, StatementKind, rewrite,
};
use crate::sql::parse_standard_query;
use crate::sql::variables::StatementText;
use crate::types::Name;

use super::answer::{ResultColumn, RowStream};
use super::database::Engine;
use super::query::runtime_refused;
use super::scope::{Scope, storage};
use super::session::Session;

/// Failed rows of one query that the processing log is told of.
const TOLD_FAILURES: usize = 100;

/// Batches of a stream that wait for a query that reads it.
const SCAN_BATCHES: usize = 4;

/// A statement that the dialect's parser refused, taken for a query in standard SQL.
///
/// # Errors
/// It is none, or no sound one: then of two refusals the one that got further in the text.
pub(super) fn standard_statement(
    piece: &StatementText<'_>,
    session: &Session,
    variables: &BTreeMap<String, String>,
    refusal: Diagnostic,
) -> Result<Statement, Diagnostic> {
    if session.plan_settings().compatibility == Compatibility::Ksqldb || refusal.code == Code::LimitExceeded {
        return Err(refusal);
    }
    let other = match parse_standard_query(piece, variables) {
        Ok(None) => return Err(refusal),
        Ok(Some(statement)) => match standard_query(&statement).map_or(Ok(()), adhoc::check) {
            Ok(()) => return Ok(statement),
            Err(other) => other,
        },
        Err(other) => other,
    };
    let reached = |refusal: &Diagnostic| refusal.span.map_or(0, |span| span.start.byte);
    Err(if reached(&other) > reached(&refusal) { other } else { refusal })
}

fn standard_query(statement: &Statement) -> Option<&StandardQuery> {
    match &statement.kind {
        StatementKind::StandardQuery(query) => Some(query),
        StatementKind::ExplainStatement { statement } => standard_query(statement),
        _ => None,
    }
}

/// A query that the dialect's parser read and only standard SQL can answer once: it joins, groups or aggregates.
pub(super) fn as_standard_query(scope: &Scope<'_>, query: &Query) -> Option<StandardQuery> {
    let is_allowed = scope.session.plan_settings().compatibility == Compatibility::Extended;
    let is_streaming = query.emit.is_some()
        || query.window.is_some()
        || !query.partition_by.is_empty()
        || query.joins.iter().any(|join| join.within.is_some());
    if !is_allowed || is_streaming {
        return None;
    }
    let functions = scope.functions();
    let is_aggregate = |name: &Name| functions.kind(name) == Some(Kind::Aggregate);
    let aggregates = |expr: &Expr| {
        rewrite::any(expr, &|part| match &part.kind {
            ExprKind::Aggregate { .. } => true,
            ExprKind::Call { function, .. } => is_aggregate(function),
            _ => false,
        })
    };
    let selects_aggregate =
        query.select.iter().any(|item| matches!(item, SelectItem::Expr { expr, .. } if aggregates(expr)));
    let needs_it = !query.joins.is_empty() || !query.group_by.is_empty() || query.having.is_some() || selects_aggregate;
    needs_it.then(|| own_text(scope, query))
}

/// The text of a query that stands at the end of its statement.
fn own_text(scope: &Scope<'_>, query: &Query) -> StandardQuery {
    let text = scope.text.trim_end();
    let text = text.strip_suffix(';').unwrap_or(text).trim_end();
    let (whole, own) = (scope.statement.span, query.span);
    let is_verbatim = text.len() == (whole.end.byte.saturating_sub(whole.start.byte)) as usize;
    let before = own.start.byte.saturating_sub(whole.start.byte) as usize;
    // Where variables were replaced, places in the text are not places in the request; then EXPLAIN is cut off by hand.
    let (start, span) = match text.get(before..).filter(|_| is_verbatim) {
        Some(_) => (before, own),
        None => (text.to_ascii_uppercase().find("SELECT").unwrap_or(0), Span::UNKNOWN),
    };
    StandardQuery { text: text.get(start..).unwrap_or(text).to_owned(), span }
}

impl Scope<'_> {
    /// Plans a query in standard SQL under the id that it will have.
    ///
    /// # Errors
    /// What is wrong with it, or a table that cannot be read.
    pub(super) fn plan_standard(&self, id: &str, query: &StandardQuery) -> Result<AdHocQuery, Diagnostic> {
        let engine = self.engine;
        let rows = EngineRows {
            engine: engine.weak(),
            catalog: self.catalog().clone(),
            functions: self.functions(),
            settings: self.session.plan_settings(),
        };
        let reading = Reading {
            catalog: self.catalog(),
            functions: self.functions(),
            context: EvaluationContext { now_ms: engine.clock.now_ms(), seed: engine.next_seed() },
            rows: Arc::new(rows),
            told: tell(engine, id),
        };
        engine.ad_hoc.plan(query, reading).map_err(|refusal| self.at(refusal))
    }
}

/// Tells the processing log of the first failures of a query.
fn tell(engine: &Engine, id: &str) -> Told {
    let (sink, query, told) = (engine.processing_log.sink(), QueryId(id.to_owned()), AtomicUsize::new(0));
    Arc::new(move |expression, reason| {
        if told.fetch_add(1, Ordering::Relaxed) < TOLD_FAILURES {
            sink(ProcessingLogEntry {
                query: query.clone(),
                failed: Failed::Expression,
                topic: None,
                partition: None,
                offset: None,
                message: format!("{expression}: {reason}"),
                row: None,
            });
        }
    })
}

impl Engine {
    /// Starts a query in standard SQL.
    pub(super) fn start_standard(&self, scope: &Scope<'_>, query: &StandardQuery) -> Result<RowStream, Diagnostic> {
        let query_id = format!("adhoc_{}", self.next_seed() >> 1);
        let planned = scope.plan_standard(&query_id, query)?;
        let columns = planned
            .columns()
            .iter()
            .map(|(name, ty)| ResultColumn { name: name.clone(), ty: ty.clone(), is_key: false })
            .collect();
        let sources = planned.sources().iter().filter_map(|name| scope.catalog().source(name));
        let warnings = sources.filter_map(|source| self.staleness(source)).collect();
        let (sender, events) = mpsc::channel(self.settings.push_buffer_batches.max(1));
        self.ad_hoc.run(query_id.clone(), planned, sender).map_err(|refusal| scope.at(refusal))?;
        Ok(RowStream { query_id, columns, is_push: false, over_table: true, warnings, events })
    }
}

/// The rows of an engine's streams and tables for one query.
#[derive(Debug)]
struct EngineRows {
    /// A query does not keep a database open.
    engine: Weak<Engine>,
    catalog: Catalog,
    functions: FunctionRegistry,
    settings: PlanSettings,
}

impl EngineRows {
    fn engine(&self) -> Result<Arc<Engine>, Diagnostic> {
        self.engine.upgrade().ok_or_else(|| Diagnostic::new(Code::NotReady, "the server is stopping"))
    }
}

impl Rows for EngineRows {
    fn table(&self, table: &Arc<Source>) -> Result<Snapshot, Diagnostic> {
        self.engine()?.table_snapshot(table)
    }

    fn stream(&self, stream: &Arc<Source>, columns: &[Name]) -> Result<mpsc::Receiver<RowEvent>, Diagnostic> {
        let engine = self.engine()?;
        let shape = |name: &str| {
            let config = engine.log.topic(name).ok().flatten()?.config;
            Some(TopicShape {
                partitions: config.partitions,
                replicas: config.replicas.max(1),
                retention_ms: config.retention_ms,
            })
        };
        engine.log.topic(&stream.topic).map_err(|error| storage(&error))?;
        let context = PlanContext { functions: &self.functions, settings: &self.settings, topics: &shape };
        let planned = plan_stream_scan(&scan_of(stream, columns), &self.catalog, &context)?;
        engine.check_push_limit()?;
        let (sender, events) = mpsc::channel(SCAN_BATCHES);
        let id = format!("adhoc_scan_{}_{}", stream.name.as_str(), engine.next_seed() >> 1);
        let definition = PushDefinition {
            id,
            graph: Arc::new(planned.graph),
            start: PushStart::Earliest,
            until_end: true,
            limit: None,
            events: sender,
        };
        engine.runtime.start_push(definition).map_err(|error| runtime_refused(&error))?;
        Ok(events)
    }
}

/// `SELECT columns FROM stream`
fn scan_of(stream: &Source, columns: &[Name]) -> Query {
    let ident = |name: Name| Ident { name, span: Span::UNKNOWN };
    let item = |(at, name): (usize, &Name)| SelectItem::Expr {
        expr: Expr::column(name.clone()),
        alias: Some(ident(Name::new(format!("C{at}")))),
    };
    Query {
        select: columns.iter().enumerate().map(item).collect(),
        from: Relation { source: ident(stream.name.clone()), alias: None },
        joins: Vec::new(),
        window: None,
        filter: None,
        group_by: Vec::new(),
        partition_by: Vec::new(),
        having: None,
        emit: None,
        limit: None,
        span: Span::UNKNOWN,
    }
}
