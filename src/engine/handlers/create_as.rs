//! CREATE STREAM … AS SELECT and CREATE TABLE … AS SELECT.

use std::collections::BTreeMap;

use crate::catalog::{CatalogChange, PersistentQuery, QueryId, Source};
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::command::{Command, CommandId, QueryAction, StoredQuery};
use crate::engine::scope::{Outcome, Purpose, Scope, check_writable, storage};
use crate::planner::{
    PlannedQuery, QueryVerb, TopicPlan, check_upgrade, explain_plan, leaves_rows, plan_create_as, query_id,
};
use crate::sql::ast::{CreateSourceAs, Ident, Literal, Property, SourceKind, Statement, StatementKind};
use crate::types::Offset;

use super::create_source::{already_there, create_id};

/// Defines a source and starts the query that fills it.
pub(super) fn create_as(scope: &mut Scope<'_>, create: &CreateSourceAs) -> Result<Outcome, Diagnostic> {
    let name = &create.name.name;
    let existing = scope.catalog().source(name).cloned();
    if create.if_not_exists
        && !create.or_replace
        && let Some(existing) = &existing
    {
        return Ok(Outcome::Unchanged(already_there(create.kind, name, existing)));
    }
    let planned = scope.plan(|catalog, context| plan_create_as(create, catalog, context))?;
    let Some(sink) = planned.sink.clone() else {
        return Err(Diagnostic::new(Code::Internal, "a CREATE … AS was planned without a sink"));
    };
    check_writable(&sink.topic.name).map_err(|error| scope.at(error))?;
    let replaced = match &existing {
        Some(source) => check_replaced(scope, source, &planned)?,
        None => None,
    };
    let verb = match create.kind {
        SourceKind::Stream => QueryVerb::CreateStreamAs,
        SourceKind::Table => QueryVerb::CreateTableAs,
    };
    let id = match &replaced {
        Some(id) => id.clone(),
        None => {
            check_query_count(scope)?;
            query_id(verb, name, scope.next_number())
        }
    };
    let statement = with_defaults(create, &sink.topic, scope.statement);
    let held = match &existing {
        Some(existing) => Held { begins_at: existing.begins_at.clone(), is_news: false },
        None => Held::of(scope, &sink.source)?,
    };
    let warning = held.warning(&sink.source);
    let source = Source {
        sql: statement.clone(),
        created_by: Some(id.clone()),
        begins_at: held.begins_at,
        ..sink.source.clone()
    };
    let mut command = start_query(scope, create_id(create.kind, name), statement, &id, &planned, &source)?;
    command.create_topics.extend(Scope::new_topic(&sink.topic));
    command.changes.insert(0, CatalogChange::PutSource(Box::new(source)));
    command.warnings.extend(warning);
    if let Some(old) = replaced.as_ref().and_then(|id| scope.world.queries.get(id))
        && leaves_rows(&old.graph, &planned.graph)
    {
        command.warnings.push(format!(
            "Rows that table {name} holds stay as they are until their keys change: only then the new conditions are \
             asked. To have them asked of all rows, drop the table and create it again."
        ));
    }
    Ok(Outcome::Command(Box::new(command)))
}

/// What the topic of a new table holds: rows that its query knows nothing of, so they are none of the table's.
struct Held {
    /// Where the table's own rows begin; empty if the topic is new or empty.
    begins_at: Vec<Offset>,
    /// Nobody was told yet.
    is_news: bool,
}

impl Held {
    fn of(scope: &Scope<'_>, sink: &Source) -> Result<Self, Diagnostic> {
        let nothing = Self { begins_at: Vec::new(), is_news: false };
        if !sink.is_table() || scope.purpose == Purpose::Validate {
            return Ok(nothing);
        }
        let log = &scope.engine.log;
        let Some(topic) = log.topic(&sink.topic).map_err(|error| storage(&error))? else { return Ok(nothing) };
        let ranges = log.offsets(topic.id).map_err(|error| storage(&error))?;
        if ranges.iter().all(|range| range.start >= range.end) {
            return Ok(nothing);
        }
        Ok(Self { begins_at: ranges.iter().map(|range| range.end).collect(), is_news: true })
    }

    /// What to tell of them.
    fn warning(&self, sink: &Source) -> Option<String> {
        let (topic, name) = (&sink.topic, &sink.name);
        self.is_news.then(|| {
            format!(
                "Topic {topic} held records when table {name} was created over it. They stay in the topic and are not \
                 rows of the table, which begins behind them. DROP TABLE {name} DELETE TOPIC before the \
                 statement begins with an empty topic."
            )
        })
    }
}

/// The query whose graph is replaced, if the sink has one.
fn check_replaced(scope: &Scope<'_>, sink: &Source, planned: &PlannedQuery) -> Result<Option<QueryId>, Diagnostic> {
    let enabled = scope.session.properties().is_on("ksql.create.or.replace.enabled", true);
    let writers: Vec<_> = scope.catalog().writers(&sink.name).map(|query| query.id.to_string()).collect();
    if !enabled || writers.len() > 1 {
        let why = if enabled {
            format!("{} {} is written by several queries: {}", sink.kind.noun(), sink.name, writers.join(", "))
        } else {
            "CREATE OR REPLACE is switched off (ksql.create.or.replace.enabled)".to_owned()
        };
        return Err(scope.at(Diagnostic::new(Code::Unsupported, why)));
    }
    if let Some(old) = sink.created_by.as_ref().and_then(|id| scope.world.queries.get(id)) {
        check_upgrade(&old.graph, &planned.graph, scope.session.plan_settings().compatibility)
            .map_err(|error| scope.at(error))?;
    }
    Ok(sink.created_by.clone())
}

/// The command that stores and starts a planned query.
pub(super) fn start_query(
    scope: &Scope<'_>,
    command_id: CommandId,
    statement: String,
    id: &QueryId,
    planned: &PlannedQuery,
    sink: &Source,
) -> Result<Command, Diagnostic> {
    let message = format!("Created query with ID {id}");
    let mut command = Command::new(command_id, statement.clone(), message);
    let sources: Vec<_> = planned.sources.iter().map(|source| source.name.clone()).collect();
    let starts_paused = scope.engine.settings.queries_start_paused;
    let paused = scope.catalog().query(id).map_or(starts_paused, |query| query.paused);
    let query = PersistentQuery { id: id.clone(), sink: sink.name.clone(), sources, sql: statement, paused };
    command.query_id = Some(id.clone());
    command.changes.push(CatalogChange::PutQuery(Box::new(query)));
    command.queries.push(QueryAction::Start(Box::new(StoredQuery {
        id: id.clone(),
        graph: planned.graph.clone(),
        first_offsets: scope.first_offsets(&planned.graph).map_err(|error| scope.at(error))?,
        properties: stored_properties(scope),
        plan: explain_plan(&planned.plan),
    })));
    Ok(command)
}

/// The settings that a query keeps from its creation.
pub(super) fn stored_properties(scope: &Scope<'_>) -> BTreeMap<String, String> {
    const KEPT: &[&str] = &[
        "auto.offset.reset",
        "cache.max.bytes.buffering",
        "emit.final.kafka-loss",
        "ksql.fail.on.deserialization.error",
        "ksql.nested.error.set.null",
        "ksql.timestamp.throw.on.invalid",
        "processing.guarantee",
        "source.idle",
    ];
    // What the server says of these holds for all queries, whenever they were created.
    const KEPT_IF_GIVEN: &[&str] = &["epoch.interval"];
    let in_force = scope.session.properties();
    let in_force = in_force.all().iter().filter(|(name, _)| KEPT.contains(&name.as_str()));
    let given = scope.session.given.all().iter().filter(|(name, _)| KEPT_IF_GIVEN.contains(&name.as_str()));
    in_force.chain(given).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Refuses a query beyond the limit.
pub(super) fn check_query_count(scope: &Scope<'_>) -> Result<(), Diagnostic> {
    let limit = scope.engine.settings.max_persistent_queries;
    if scope.world.queries.len() < limit {
        return Ok(());
    }
    Err(Diagnostic::new(
        Code::LimitExceeded,
        format!("there are {limit} persistent queries, and the limit is {limit} (queries.max.persistent)"),
    )
    .with_hint("TERMINATE queries that are no longer needed, or raise the limit.")
    .at(scope.statement.span))
}

/// The statement's text with the properties that were decided for it.
fn with_defaults(create: &CreateSourceAs, topic: &TopicPlan, statement: &Statement) -> String {
    let mut filled = create.clone();
    let decided = [
        ("KAFKA_TOPIC", Literal::String(topic.name.clone())),
        ("PARTITIONS", Literal::Integer(topic.partitions)),
        ("REPLICAS", Literal::Integer(i32::from(topic.replicas.max(1)))),
    ];
    for (place, (name, value)) in decided.into_iter().enumerate() {
        if filled.with.iter().all(|property| property.name.name.as_str() != name) {
            let name = Ident { name: name.into(), span: statement.span };
            let property = Property { name, value, value_span: statement.span };
            filled.with.insert(place.min(filled.with.len()), property);
        }
    }
    let kind = StatementKind::CreateSourceAs(Box::new(filled));
    format!("{};", Statement { kind, span: statement.span })
}
