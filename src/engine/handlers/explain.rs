//! EXPLAIN of statements and of running queries.

use std::collections::BTreeMap;

use crate::catalog::QueryId;
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::ad_hoc::as_standard_query;
use crate::engine::database::Engine;
use crate::engine::entity::{Body, FieldInfo, QueryDescription};
use crate::engine::pull::pull_options;
use crate::engine::scope::{Outcome, Scope};
use crate::engine::world::World;
use crate::planner::{
    PlannedQuery, explain_graph, explain_plan, explain_pull, plan_create_as, plan_insert_select, plan_pull, plan_push,
    plan_stream_scan,
};
use crate::sql::ast::{Ident, Query, StandardQuery, Statement, StatementKind};

use super::create_as::stored_properties;
use super::query_control::{id_of, unknown_query};

/// EXPLAIN of a persistent query.
pub(super) fn explain_query(scope: &Scope<'_>, id: &Ident) -> Result<Outcome, Diagnostic> {
    let found = describe_query(scope.engine, scope.world, &id_of(id)).ok_or_else(|| unknown_query(scope, id))?;
    Ok(Outcome::Answer(Body::QueryDescription { query_description: Box::new(found) }))
}

/// EXPLAIN of a statement: planned, not run.
pub(super) fn explain_statement(scope: &Scope<'_>, statement: &Statement) -> Result<Outcome, Diagnostic> {
    let standard = match &statement.kind {
        StatementKind::StandardQuery(query) => Some(query.clone()),
        StatementKind::Query(query) => as_standard_query(scope, query),
        _ => None,
    };
    if let Some(query) = standard {
        return explain_standard(scope, &query);
    }
    if let StatementKind::Query(query) = &statement.kind
        && query.emit.is_none()
        && let Some(source) = scope.catalog().source(&query.from.source.name)
    {
        return explain_once(scope, query, source.is_table(), statement.to_string());
    }
    let planned = scope.plan(|catalog, context| match &statement.kind {
        StatementKind::Query(query) => plan_push(query, catalog, context),
        StatementKind::CreateSourceAs(create) => plan_create_as(create, catalog, context),
        StatementKind::InsertSelect { target, with, query } => {
            plan_insert_select(target, with, query, catalog, context)
        }
        _ => Err(Diagnostic::new(Code::Unsupported, "only statements with a query can be explained")
            .with_detail("The provided statement does not run a ksql query.")
            .at(statement.span)),
    })?;
    let query_type = if matches!(statement.kind, StatementKind::Query(_)) { "PUSH" } else { "PERSISTENT" };
    let mut description = of_planned(&planned, statement.to_string(), query_type);
    if query_type == "PERSISTENT" {
        description.overridden_properties = stored_properties(scope);
    }
    Ok(Outcome::Answer(Body::QueryDescription { query_description: Box::new(description) }))
}

/// EXPLAIN of SELECT without EMIT: how a table is read once, or the graph that reads a stream to its end.
fn explain_once(
    scope: &Scope<'_>,
    query: &Query,
    over_table: bool,
    statement_text: String,
) -> Result<Outcome, Diagnostic> {
    let description = if over_table {
        let options = pull_options(scope);
        let plan = scope.plan(|catalog, context| plan_pull(query, options, catalog, context))?;
        QueryDescription {
            statement_text,
            fields: plan.columns.iter().map(|column| FieldInfo::plain(&column.name, &column.ty)).collect(),
            sources: vec![plan.source.name.as_str().to_owned()],
            execution_plan: explain_pull(&plan),
            ..unborn("PULL")
        }
    } else {
        let planned = scope.plan(|catalog, context| plan_stream_scan(query, catalog, context))?;
        of_planned(&planned, statement_text, "PULL")
    };
    Ok(Outcome::Answer(Body::QueryDescription { query_description: Box::new(description) }))
}

/// The description of a query that does not run.
fn unborn(query_type: &'static str) -> QueryDescription {
    QueryDescription {
        id: String::new(),
        statement_text: String::new(),
        window_type: None,
        fields: Vec::new(),
        sources: Vec::new(),
        sinks: Vec::new(),
        topology: String::new(),
        execution_plan: String::new(),
        overridden_properties: BTreeMap::new(),
        ksql_host_query_status: BTreeMap::new(),
        query_type,
        query_errors: Vec::new(),
        tasks_metadata: Vec::new(),
        consumer_group_id: String::new(),
        state: None,
    }
}

/// EXPLAIN of a query in standard SQL: DataFusion's plans.
fn explain_standard(scope: &Scope<'_>, query: &StandardQuery) -> Result<Outcome, Diagnostic> {
    let planned = scope.plan_standard("explained", query)?;
    let fields = planned.columns().iter().map(|(name, ty)| FieldInfo::plain(name, ty)).collect();
    let sources = planned.sources().iter().map(|name| name.as_str().to_owned()).collect();
    let explained = scope.engine.ad_hoc.explain(planned)?;
    let description = QueryDescription {
        statement_text: query.text.clone(),
        fields,
        sources,
        topology: explained.physical,
        execution_plan: explained.logical,
        ..unborn("PULL")
    };
    Ok(Outcome::Answer(Body::QueryDescription { query_description: Box::new(description) }))
}

fn of_planned(planned: &PlannedQuery, statement_text: String, query_type: &'static str) -> QueryDescription {
    QueryDescription {
        statement_text,
        fields: planned.columns.iter().map(|column| FieldInfo::plain(&column.name, &column.ty)).collect(),
        sources: planned.sources.iter().map(|source| source.name.as_str().to_owned()).collect(),
        sinks: planned.sink.iter().map(|sink| sink.source.name.as_str().to_owned()).collect(),
        topology: explain_graph(&planned.graph),
        execution_plan: explain_plan(&planned.plan),
        ..unborn(query_type)
    }
}

/// A persistent query, described; `None` if there is none of this id.
pub(super) fn describe_query(engine: &Engine, world: &World, id: &QueryId) -> Option<QueryDescription> {
    let query = world.catalog.query(id)?;
    let stored = world.queries.get(id)?;
    let sink = world.catalog.source(&query.sink);
    let state = engine.query_state(id).to_owned();
    Some(QueryDescription {
        id: id.to_string(),
        statement_text: query.sql.clone(),
        window_type: sink.and_then(|sink| sink.window).map(|window| window.window_type.to_string()),
        fields: sink.map(|sink| FieldInfo::of_schema(&sink.schema)).unwrap_or_default(),
        sources: query.sources.iter().map(|source| source.as_str().to_owned()).collect(),
        sinks: vec![query.sink.as_str().to_owned()],
        topology: explain_graph(&stored.graph),
        execution_plan: stored.plan.clone(),
        overridden_properties: stored.properties.clone(),
        ksql_host_query_status: BTreeMap::from([(engine.host(), state)]),
        query_type: "PERSISTENT",
        query_errors: engine.query_errors(id),
        tasks_metadata: Vec::new(),
        consumer_group_id: engine.consumer_group(id),
        state: Some(engine.query_state_text(id)),
    })
}
