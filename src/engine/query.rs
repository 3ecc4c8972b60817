//! SELECT and PRINT for a client.
//!
//! | statement | runs as |
//! |---|---|
//! | SELECT … EMIT CHANGES | a push query of the runtime |
//! | SELECT … over a stream | the same, up to the ends the topic had at its start |
//! | SELECT … over a table | a compiled program on a snapshot of the table |
//! | SELECT … that joins, groups, orders, … | an ad-hoc query of DataFusion |
//! | PRINT | a reading thread |

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::catalog::Source;
use crate::diagnostics::{Code, Diagnostic};
use crate::planner::graph::{Input, SourceColumn};
use crate::planner::{PlannedQuery, plan_push, plan_stream_scan};
use crate::runtime::{PushDefinition, PushStart, RuntimeError};
use crate::sql::ast::{Query, Statement, StatementKind, TopicName};

use super::ad_hoc::as_standard_query;
use super::answer::{Failure, PrintStream, QueryAnswer, Request, ResultColumn, RowStream};
use super::database::Engine;
use super::execute::Parsed;
use super::print::Printing;
use super::properties::OffsetReset;
use super::running::chain;
use super::scope::{Purpose, Scope, storage, unknown_source};
use super::session::Session;
use super::topic_access::TopicCursor;

/// Lines that wait for a slow client of PRINT.
const PRINT_LINES: usize = 256;

/// What PRINT asks for.
struct Print<'a> {
    topic: &'a TopicName,
    from_beginning: bool,
    interval: u64,
    limit: Option<u64>,
}

impl Engine {
    /// Starts one SELECT or PRINT.
    ///
    /// # Errors
    /// The statement is refused, or a limit on running queries is reached.
    pub fn query(self: &Arc<Self>, request: &Request) -> Result<QueryAnswer, Box<Failure>> {
        if let Some(answer) = self.pull_again(request)
            && !self.is_closed()
        {
            return answer
                .map(QueryAnswer::Rows)
                .map_err(|refusal| Failure::of_statement(refusal, request.sql.as_str()));
        }
        let mut session = self.begin(request)?;
        let statements = self.parse(request, &session)?;
        let [Parsed { statement, text }] = statements.as_slice() else {
            let found = statements.len();
            let refusal = Diagnostic::new(Code::WrongEndpoint, format!("one statement is taken here, not {found}"))
                .with_detail(format!("Expected exactly one KSQL statement; found {found} instead."));
            return Err(Failure::of_statement(refusal, request.sql.as_str()));
        };
        self.start_answer(statement, text, &mut session, request)
            .map_err(|refusal| Failure::of_statement(refusal, text.as_str()))
    }

    fn start_answer(
        self: &Arc<Self>,
        statement: &Statement,
        text: &str,
        session: &mut Session,
        request: &Request,
    ) -> Result<QueryAnswer, Diagnostic> {
        match &statement.kind {
            StatementKind::Query(query) => {
                let world = self.world();
                let scope = Scope { engine: self, world: &world, session, statement, text, purpose: Purpose::Execute };
                self.select(&scope, query, request).map(QueryAnswer::Rows)
            }
            StatementKind::StandardQuery(query) => {
                let world = self.world();
                let scope = Scope { engine: self, world: &world, session, statement, text, purpose: Purpose::Execute };
                self.start_standard(&scope, query).map(QueryAnswer::Rows)
            }
            StatementKind::Print { topic, from_beginning, interval, limit } => {
                let interval = interval.unwrap_or(1).max(1);
                let print = Print { topic, from_beginning: *from_beginning, interval, limit: *limit };
                self.print(&print).map(QueryAnswer::Print)
            }
            _ => Err(Diagnostic::new(Code::WrongEndpoint, "only SELECT and PRINT are taken here")
                .with_hint("Send other statements to the /ksql endpoint.")
                .at(statement.span)),
        }
    }

    fn select(self: &Arc<Self>, scope: &Scope<'_>, query: &Query, request: &Request) -> Result<RowStream, Diagnostic> {
        if let Some(query) = as_standard_query(scope, query) {
            return self.start_standard(scope, &query);
        }
        let is_push = query.emit.is_some();
        let planned = if is_push {
            scope.plan(|catalog, context| plan_push(query, catalog, context))?
        } else {
            let name = &query.from.source;
            let source = scope.catalog().source(&name.name).ok_or_else(|| unknown_source(scope.catalog(), name))?;
            check_pull_limit(scope, query)?;
            if source.is_table() {
                return self.pull(scope, query, request, name);
            }
            scope.plan(|catalog, context| plan_stream_scan(query, catalog, context))?
        };
        let start = match scope.session.properties().offset_reset() {
            _ if !is_push => PushStart::Earliest,
            OffsetReset::Earliest => PushStart::Earliest,
            OffsetReset::Latest => PushStart::Latest,
        };
        let source = planned.sources.first().map_or("", |source| source.name.as_str());
        let query_id = if is_push && start == PushStart::Latest && is_scalable(scope, query, &planned) {
            let (high, low) = (self.next_seed(), self.next_seed());
            format!(
                "SCALABLE_PUSH_QUERY_{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                high >> 32,
                (high >> 16) & 0xffff,
                high & 0xffff,
                low >> 48,
                low & 0xffff_ffff_ffff
            )
        } else {
            format!("transient_{source}_{}", self.next_seed() >> 1)
        };
        self.start_push(scope, query_id, planned, start, is_push)
    }

    fn start_push(
        self: &Arc<Self>,
        scope: &Scope<'_>,
        query_id: String,
        planned: PlannedQuery,
        start: PushStart,
        is_push: bool,
    ) -> Result<RowStream, Diagnostic> {
        self.check_push_limit()?;
        let over_table = planned.sources.first().is_some_and(|source| source.is_table());
        let columns = planned
            .columns
            .iter()
            .map(|column| ResultColumn {
                name: column.name.clone(),
                ty: column.ty.clone(),
                is_key: !is_push && column.is_key,
            })
            .collect();
        let (sender, events) = mpsc::channel(self.settings.push_buffer_batches.max(1));
        self.remember_push(&query_id, scope.text);
        self.runtime
            .start_push(PushDefinition {
                id: query_id.clone(),
                graph: Arc::new(planned.graph),
                start,
                until_end: !is_push,
                limit: planned.limit,
                events: sender,
            })
            .map_err(|error| scope.at(runtime_refused(&error)))?;
        Ok(RowStream { query_id, columns, is_push, over_table, warnings: Vec::new(), events })
    }

    /// Refuses one more push query or scan where as many run as may.
    pub(super) fn check_push_limit(&self) -> Result<(), Diagnostic> {
        let limit = self.settings.max_push_queries;
        if self.runtime.pushes().len() < limit {
            return Ok(());
        }
        Err(Diagnostic::new(
            Code::TooManyRequests,
            format!("{limit} push queries run, and the limit is {limit} (queries.max.push)"),
        )
        .with_detail(format!("Not executing statement as {limit} push queries are already running."))
        .with_hint("Close one of them, or raise the limit."))
    }

    fn print(self: &Arc<Self>, print: &Print<'_>) -> Result<PrintStream, Diagnostic> {
        let TopicName { name, span } = print.topic;
        let info = self.log.topic(name).map_err(|error| storage(&error))?;
        let info = info.ok_or_else(|| self.unknown_topic(name).at(*span))?;
        let cursor = TopicCursor::open(self, &info, print.from_beginning)?;
        let (sender, lines) = mpsc::channel(PRINT_LINES);
        let printing = Printing { cursor, interval: print.interval, left: print.limit, sender };
        self.spawn_reader("print", move |engine, stop| printing.run(engine, stop))?;
        Ok(PrintStream { lines })
    }
}

/// True for queries that ksqlDB would run as its scalable push queries (`rest-api` 6.5): clients tell them by their ids.
fn is_scalable(scope: &Scope<'_>, query: &Query, planned: &PlannedQuery) -> bool {
    let is_simple = query.group_by.is_empty()
        && query.partition_by.is_empty()
        && query.having.is_none()
        && query.window.is_none()
        && query.joins.is_empty();
    let has_one_writer = |source: &Source| scope.catalog().writers(&source.name).count() == 1;
    let reads_places = planned.graph.stages.iter().flat_map(|stage| &stage.inputs).any(|input| match input {
        Input::Source(source) => {
            source.columns.iter().any(|column| matches!(column, SourceColumn::RowPartition | SourceColumn::RowOffset))
        }
        Input::Exchange { .. } => false,
    });
    scope.session.properties().is_on("ksql.query.push.v2.enabled", false)
        && is_simple
        && !reads_places
        && planned.sources.first().is_some_and(|source| has_one_writer(source))
}

/// LIMIT of a pull query can be switched off.
fn check_pull_limit(scope: &Scope<'_>, query: &Query) -> Result<(), Diagnostic> {
    if query.limit.is_none() || scope.session.properties().is_on("ksql.query.pull.limit.clause.enabled", true) {
        return Ok(());
    }
    Err(Diagnostic::new(Code::Unsupported, "LIMIT in pull queries is switched off")
        .with_detail("LIMIT clause in pull queries is currently disabled.")
        .with_hint("Set ksql.query.pull.limit.clause.enabled=true, or add EMIT CHANGES if a push query was meant.")
        .at(query.span))
}

/// Why the runtime does not run a query, for its author.
pub(super) fn runtime_refused(error: &RuntimeError) -> Diagnostic {
    use crate::runtime::BuildError;
    match error {
        RuntimeError::Build(BuildError::Statement(refusal)) => refusal.clone(),
        RuntimeError::Build(BuildError::MissingTopic(topic)) => {
            Diagnostic::new(Code::UnknownTopic, format!("topic {topic} does not exist"))
        }
        RuntimeError::Log(_) => Diagnostic::new(Code::Storage, chain(error)),
        _ => Diagnostic::new(Code::Internal, chain(error)),
    }
}
