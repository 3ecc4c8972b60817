//! Queries: CREATE … AS SELECT, INSERT INTO … SELECT, push queries, scans of a stream.

use std::sync::Arc;

use super::analyze::{Analyzed, Target, analyze};
use super::compatibility;
use super::context::PlanContext;
use super::expand_functions::expanded;
use super::insert_select;
use super::lower::lower;
use super::plan::{Plan, SinkNode};
use super::planned::{PlannedQuery, SourceDefinition};
use super::sink;
use crate::catalog::Catalog;
use crate::diagnostics::{Code, Diagnostic};
use crate::planner::graph::{OperatorGraph, TimestampColumn};
use crate::sql::ast::{CreateSourceAs, Ident, Property, Query, SourceKind};
use crate::types::Name;

/// Plans CREATE STREAM or TABLE … AS SELECT. IF NOT EXISTS is the caller's: here an existing name is an error unless
/// the statement says OR REPLACE and the new sink fits the old one.
///
/// # Errors
/// Whatever ksqlDB refuses about the query and its sink; then [`Code::NotImplemented`] for what cannot run yet.
pub fn plan_create_as(
    stmt: &CreateSourceAs,
    catalog: &Catalog,
    ctx: &PlanContext<'_>,
) -> Result<PlannedQuery, Diagnostic> {
    refuse_limit(&stmt.query, &format!("CREATE {} … AS SELECT", stmt.kind.as_sql()))?;
    let analyzed = analyze(&stmt.query, catalog, ctx, Target::Sink(&stmt.name.name))?;
    let sink = sink::define(stmt, &analyzed, catalog, ctx)?;
    let timestamp = sink.source.timestamp.clone();
    finish_sink(analyzed, sink, timestamp, ctx)
}

/// Plans INSERT INTO … SELECT.
///
/// # Errors
/// As [`plan_create_as`]; and a target that cannot be written or whose schema is not exactly the result's.
pub fn plan_insert_select(
    target: &Ident,
    with: &[Property],
    query: &Query,
    catalog: &Catalog,
    ctx: &PlanContext<'_>,
) -> Result<PlannedQuery, Diagnostic> {
    refuse_limit(query, "INSERT INTO … SELECT")?;
    let sink = insert_select::target(target, with, catalog, ctx)?;
    let analyzed = analyze(query, catalog, ctx, Target::Sink(&target.name))?;
    let analyzed = insert_select::fit(analyzed, &sink.source, target)?;
    finish_sink(analyzed, sink, None, ctx)
}

/// The id that INSERT INTO … WITH (QUERY_ID = …) asks for.
///
/// # Errors
/// Another property, or an id that cannot be one.
pub fn insert_query_id(with: &[Property]) -> Result<Option<String>, Diagnostic> {
    insert_select::query_id(with)
}

/// Plans SELECT … EMIT CHANGES for a client.
///
/// # Errors
/// As [`plan_create_as`].
pub fn plan_push(query: &Query, catalog: &Catalog, ctx: &PlanContext<'_>) -> Result<PlannedQuery, Diagnostic> {
    let analyzed = analyze(query, catalog, ctx, Target::Client)?;
    finish_client(analyzed, query, ctx)
}

/// Plans SELECT without EMIT over a stream: what a push query gives, up to the present end of the topic.
///
/// # Errors
/// As [`plan_create_as`]; and clauses that a pull query cannot have.
pub fn plan_stream_scan(query: &Query, catalog: &Catalog, ctx: &PlanContext<'_>) -> Result<PlannedQuery, Diagnostic> {
    compatibility::check_pull(query, ctx)?;
    let mut planned = finish_client(analyze(query, catalog, ctx, Target::Client)?, query, ctx)?;
    for column in &mut planned.columns {
        column.is_key = false;
    }
    Ok(planned)
}

fn refuse_limit(query: &Query, statement: &str) -> Result<(), Diagnostic> {
    match query.limit {
        Some(_) => {
            Err(Diagnostic::new(Code::Unsupported, format!("{statement} does not support LIMIT")).at(query.span))
        }
        None => Ok(()),
    }
}

fn finish_sink(
    analyzed: Analyzed,
    sink: SourceDefinition,
    timestamp: Option<TimestampColumn>,
    ctx: &PlanContext<'_>,
) -> Result<PlannedQuery, Diagnostic> {
    let names = |is_key: bool| -> Vec<Name> {
        analyzed.columns.iter().filter(|column| column.is_key == is_key).map(|column| column.name.clone()).collect()
    };
    let (key, value) = (names(true), names(false));
    let plan = Plan::Sink(SinkNode {
        input: Box::new(analyzed.plan),
        sink: Arc::new(sink.source.clone()),
        key,
        value,
        timestamp,
    });
    Ok(PlannedQuery {
        graph: finished(lower(&plan, ctx.settings.slots)?, ctx)?,
        plan,
        is_table: sink.source.is_table(),
        sink: Some(sink),
        sources: analyzed.sources,
        columns: analyzed.columns,
        limit: None,
    })
}

/// The graph as it is stored and run: without calls of defined functions, with the settings it runs by.
fn finished(graph: OperatorGraph, ctx: &PlanContext<'_>) -> Result<OperatorGraph, Diagnostic> {
    let graph = expanded(graph, ctx.functions)?;
    super::encodings::check(&graph)?;
    Ok(OperatorGraph { stops_at_bad_time: ctx.settings.stops_at_bad_time, ..graph })
}

fn finish_client(analyzed: Analyzed, query: &Query, ctx: &PlanContext<'_>) -> Result<PlannedQuery, Diagnostic> {
    for source in &analyzed.sources {
        super::sides::check_built(&source.key, &source.value)?;
    }
    Ok(PlannedQuery {
        graph: finished(lower(&analyzed.plan, ctx.settings.slots)?, ctx)?,
        plan: analyzed.plan,
        is_table: analyzed.kind == SourceKind::Table,
        sink: None,
        sources: analyzed.sources,
        columns: analyzed.columns,
        limit: query.limit,
    })
}
