//! The statements of a file, run at every start: ksqlDB's headless mode.
//!
//! The file says what is to be. What is there already as the file says is left alone, so that queries go on where they
//! were; what has another definition is replaced as by CREATE OR REPLACE, together with what reads it; the rest is
//! made. What exists and is not in the file goes on and is reported.
//!
//! ksqlDB keeps no commands in this mode and numbers queries by their place in the file; here a query keeps its id, and
//! with it its state, wherever its statement moves.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use crate::catalog::{Catalog, QueryId, Source};
use crate::diagnostics::{Code, Diagnostic};
use crate::planner::define_function;
use crate::sql::ast::{CreateFunction, CreateSourceAs, Statement, StatementKind};
use crate::sql::parse_statements;
use crate::types::Name;

use super::answer::{Failure, Request};
use super::database::Engine;
use super::entity::{Body, CommandState, CommandStatus};
use super::execute::Parsed;
use super::scope::{Purpose, Scope};
use super::session::Session;

/// What a start did with its file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueriesFileReport {
    /// How many statements made something.
    pub created: usize,
    /// How many replaced something of another definition.
    pub replaced: usize,
    /// How many found what they define.
    pub unchanged: usize,
    /// Queries that run and are not in the file.
    pub unlisted: Vec<QueryId>,
}

impl Engine {
    /// Makes what the statements of a file define, all validated before the first takes effect. From then on requests
    /// cannot define, change or drop anything.
    ///
    /// # Errors
    /// The first statement that is refused, or has no place in such a file; or none of them is a query.
    pub fn run_queries_file(&self, text: &str) -> Result<QueriesFileReport, Box<Failure>> {
        let request = Request::new(text);
        let mut session = self.begin(&request)?;
        let statements = self.parse(&request, &session)?;
        for parsed in &statements {
            check_kind(&parsed.statement).map_err(|refusal| Failure::of_statement(refusal, parsed.shown()))?;
        }
        if !statements.iter().any(|parsed| is_query(&parsed.statement)) {
            return Err(Failure::general(
                Diagnostic::new(Code::InvalidProperty, "the queries file holds no persistent query")
                    .with_hint("Write CREATE STREAM … AS SELECT, CREATE TABLE … AS SELECT or INSERT INTO … SELECT."),
            ));
        }
        let mut commands = self.commands.lock();
        let mut report = QueriesFileReport::default();
        let wanted = self.still_wanted(statements, &mut session.clone(), &mut report);
        self.validate(&wanted, session.clone())?;
        for parsed in &wanted {
            let entity = self.run(&parsed.statement, &parsed.text, &mut session, Some(&mut commands));
            let entity = entity.map_err(|refusal| Failure::of_statement(refusal, parsed.shown()))?;
            if let Some(Body::CurrentStatus { command_status, .. }) = entity.map(|entity| entity.body) {
                check_status(&command_status).map_err(|failed| Failure::of_statement(failed, parsed.shown()))?;
            }
        }
        let listed: BTreeSet<&Name> = wanted.iter().filter_map(|parsed| sink_of(&parsed.statement)).collect();
        let is_new = |id: &QueryId| self.catalog().query(id).is_some_and(|query| listed.contains(&query.sink));
        report.unlisted.retain(|id| !is_new(id));
        self.takes_definitions.store(false, Ordering::Release);
        Ok(report)
    }

    /// The statements that have something to do, as they are to be run.
    fn still_wanted(
        &self,
        statements: Vec<Parsed>,
        session: &mut Session,
        report: &mut QueriesFileReport,
    ) -> Vec<Parsed> {
        let world = self.world();
        let catalog = &world.catalog;
        let mut unlisted: BTreeSet<QueryId> = world.queries.keys().cloned().collect();
        let mut replaced: BTreeSet<Name> = BTreeSet::new();
        let mut wanted = Vec::with_capacity(statements.len());
        for mut parsed in statements {
            let text = Some(without_flags(parsed.statement.kind.clone()));
            let found = match &mut parsed.statement.kind {
                StatementKind::CreateSource(create) => catalog.source(&create.name.name).map(|source| {
                    let is_same = bare(&source.sql) == text;
                    create.or_replace |= !is_same;
                    is_same
                }),
                StatementKind::CreateSourceAs(create) => catalog.source(&create.name.name).map(|source| {
                    let query = source.created_by.as_ref().and_then(|id| catalog.query(id));
                    unlisted.retain(|id| Some(id) != source.created_by.as_ref());
                    let reads_replaced =
                        query.is_some_and(|query| query.sources.iter().any(|read| replaced.contains(read)));
                    let is_same = is_same_query(source, create) && !reads_replaced;
                    create.or_replace |= !is_same;
                    is_same
                }),
                StatementKind::InsertSelect { target, .. } => {
                    let mut writers = catalog.writers(&target.name);
                    let known = writers.find(|query| unlisted.contains(&query.id) && bare(&query.sql) == text);
                    known.map(|query| unlisted.remove(&query.id))
                }
                StatementKind::CreateType { name, ty, .. } => {
                    let known = catalog.custom_type(&name.name);
                    known
                        .filter(|known| {
                            ty.resolve(&|custom| catalog.custom_type(custom).cloned()).as_ref() == Ok(*known)
                        })
                        .map(|_| true)
                }
                StatementKind::CreateFunction(create) => {
                    let is_same = self.is_same_function(catalog, create, session);
                    if let Some(is_same) = is_same {
                        create.or_replace |= !is_same;
                    }
                    is_same
                }
                StatementKind::Set { name, value } => {
                    // A setting that is refused is refused again when all are validated.
                    let _ = session.given.set(name, value);
                    None
                }
                _ => None,
            };
            match found {
                Some(true) => {
                    report.unchanged += 1;
                    continue;
                }
                Some(false) => {
                    report.replaced += 1;
                    replaced.extend(defined_name(&parsed.statement).cloned());
                }
                None if defined_name(&parsed.statement).is_some() => report.created += 1,
                None => {}
            }
            wanted.push(parsed);
        }
        report.unlisted = unlisted.into_iter().collect();
        wanted
    }

    /// Whether a function is there with this definition; `None`: it is not there.
    fn is_same_function(&self, catalog: &Catalog, create: &CreateFunction, session: &mut Session) -> Option<bool> {
        let known = catalog.functions().get(&create.name.name)?;
        let world = self.world();
        let statement =
            Statement { kind: StatementKind::CreateFunction(Box::new(create.clone())), span: create.name.span };
        let scope =
            Scope { engine: self, world: &world, session, statement: &statement, text: "", purpose: Purpose::Validate };
        let planned = scope.plan(|catalog, context| define_function(create, catalog, context));
        let known = known.definition()?;
        Some(planned.is_ok_and(|planned| {
            (&planned.params, &planned.returns, &planned.definition)
                == (&known.params, &known.returns, &known.definition)
        }))
    }
}

/// A command that was appended and whose effects failed.
fn check_status(status: &CommandStatus) -> Result<(), Diagnostic> {
    match status.status {
        CommandState::Error => Err(Diagnostic::new(Code::Storage, status.message.clone())),
        _ => Ok(()),
    }
}

/// What a headless server runs: definitions, queries, and settings for those behind them.
fn check_kind(statement: &Statement) -> Result<(), Diagnostic> {
    match &statement.kind {
        StatementKind::CreateSource(_)
        | StatementKind::CreateSourceAs(_)
        | StatementKind::InsertSelect { .. }
        | StatementKind::CreateType { .. }
        | StatementKind::CreateFunction(_)
        | StatementKind::Set { .. }
        | StatementKind::Unset { .. }
        | StatementKind::Define { .. }
        | StatementKind::Undefine { .. } => Ok(()),
        _ => Err(Diagnostic::new(Code::Unsupported, "the statement has no place in a queries file")
            .with_detail("Such a file holds CREATE statements, INSERT INTO … SELECT, SET, UNSET, DEFINE and UNDEFINE.")
            .at(statement.span)),
    }
}

fn is_query(statement: &Statement) -> bool {
    sink_of(statement).is_some()
}

/// The source that the statement's query writes.
fn sink_of(statement: &Statement) -> Option<&Name> {
    match &statement.kind {
        StatementKind::CreateSourceAs(create) => Some(&create.name.name),
        StatementKind::InsertSelect { target, .. } => Some(&target.name),
        _ => None,
    }
}

/// What the statement defines.
fn defined_name(statement: &Statement) -> Option<&Name> {
    match &statement.kind {
        StatementKind::CreateSource(create) => Some(&create.name.name),
        StatementKind::CreateType { name, .. } => Some(&name.name),
        StatementKind::CreateFunction(create) => Some(&create.name.name),
        _ => sink_of(statement),
    }
}

/// A stored statement without what says whether it may replace.
fn bare(sql: &str) -> Option<String> {
    let [statement] = <[Statement; 1]>::try_from(parse_statements(&closed(sql)).ok()?).ok()?;
    Some(without_flags(statement.kind))
}

/// The text of one statement, with its semicolon.
fn closed(sql: &str) -> String {
    let sql = sql.trim_end();
    if sql.ends_with(';') { sql.to_owned() } else { format!("{sql};") }
}

fn without_flags(mut kind: StatementKind) -> String {
    match &mut kind {
        StatementKind::CreateSource(create) => (create.or_replace, create.if_not_exists) = (false, false),
        StatementKind::CreateSourceAs(create) => (create.or_replace, create.if_not_exists) = (false, false),
        _ => {}
    }
    kind.to_string()
}

/// True if a source was made by this statement. What was decided for it when it was made counts where it says nothing.
fn is_same_query(source: &Source, create: &CreateSourceAs) -> bool {
    let Some(statements) = parse_statements(&closed(&source.sql)).ok() else { return false };
    let [Statement { kind: StatementKind::CreateSourceAs(stored), .. }] = statements.as_slice() else { return false };
    let mut stored = stored.clone();
    let says = |name: &Name| create.with.iter().any(|property| property.name.name == *name);
    let decided = |name: &Name| matches!(name.as_str(), "KAFKA_TOPIC" | "PARTITIONS" | "REPLICAS");
    stored.with.retain(|property| says(&property.name.name) || !decided(&property.name.name));
    without_flags(StatementKind::CreateSourceAs(stored))
        == without_flags(StatementKind::CreateSourceAs(Box::new(create.clone())))
}

impl Engine {
    /// Refuses definitions from requests where a file says what runs.
    pub(super) fn check_takes_definitions(&self) -> Result<(), Diagnostic> {
        self.check_owned()?;
        if self.takes_definitions.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Diagnostic::new(Code::ReadOnly, "the server runs the statements of a file, and nothing else")
            .with_hint("Change the file (queries.file) and restart the server."))
    }
}
