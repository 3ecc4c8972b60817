//! EXPLAIN of statements and of running queries.

use std::collections::BTreeMap;

use crate::catalog::QueryId;
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::ad_hoc::as_standard_query;
use crate::engine::database::Engine;
use crate::engine::entity::{Body, FieldInfo, QueryDescription};
use crate::engine::scope::{Outcome, Scope};
use crate::engine::world::World;
use crate::planner::{PlannedQuery, explain_graph, explain_plan, plan_create_as, plan_insert_select, plan_push};
use crate::sql::ast::{Ident, StandardQuery, Statement, StatementKind};

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
    let is_push = matches!(statement.kind, StatementKind::Query(_));
    let description = of_planned(&planned, statement.to_string(), is_push);
    Ok(Outcome::Answer(Body::QueryDescription { query_description: Box::new(description) }))
}

/// EXPLAIN of a query in standard SQL: DataFusion's plans.
fn explain_standard(scope: &Scope<'_>, query: &StandardQuery) -> Result<Outcome, Diagnostic> {
    let planned = scope.plan_standard("explained", query)?;
    let fields = planned.columns().iter().map(|(name, ty)| FieldInfo::plain(name, ty)).collect();
    let sources = planned.sources().iter().map(|name| name.as_str().to_owned()).collect();
    let explained = scope.engine.ad_hoc.explain(planned)?;
    let description = QueryDescription {
        id: String::new(),
        statement_text: query.text.clone(),
        window_type: None,
        fields,
        sources,
        sinks: Vec::new(),
        topology: explained.physical,
        execution_plan: explained.logical,
        overridden_properties: BTreeMap::new(),
        ksql_host_query_status: BTreeMap::new(),
        query_type: "PULL",
        query_errors: Vec::new(),
        tasks_metadata: Vec::new(),
        consumer_group_id: String::new(),
        state: None,
    };
    Ok(Outcome::Answer(Body::QueryDescription { query_description: Box::new(description) }))
}

fn of_planned(planned: &PlannedQuery, statement_text: String, is_push: bool) -> QueryDescription {
    QueryDescription {
        id: String::new(),
        statement_text,
        window_type: None,
        fields: planned.columns.iter().map(|column| FieldInfo::plain(&column.name, &column.ty)).collect(),
        sources: planned.sources.iter().map(|source| source.name.as_str().to_owned()).collect(),
        sinks: planned.sink.iter().map(|sink| sink.source.name.as_str().to_owned()).collect(),
        topology: explain_graph(&planned.graph),
        execution_plan: explain_plan(&planned.plan),
        overridden_properties: BTreeMap::new(),
        ksql_host_query_status: BTreeMap::new(),
        query_type: if is_push { "PUSH" } else { "PERSISTENT" },
        query_errors: Vec::new(),
        tasks_metadata: Vec::new(),
        consumer_group_id: String::new(),
        state: None,
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
