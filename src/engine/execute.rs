//! A request of statements, from text to entities.
//!
//! ```text
//!   text ─parse─▶ statements ─sandbox─▶ all valid? ─┬─▶ decide ─▶ append command ─▶ effects ─▶ entity ─┐
//!                                                   └──────────────── next statement ◀─────────────────┘
//! ```
//!
//! Durable statements run under one lock, from the first validation to the last effect: nobody changes what a
//! statement was validated against. Only while an assertion waits is the lock free; the statements behind it are then
//! validated again. A command that is in the log has happened, whatever its effects answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::{Statement, StatementKind};
use crate::sql::format::masked;
use crate::sql::variables::{parse_statement, split_statements, substitute};
use crate::types::EventTime;

use super::ad_hoc::standard_statement;
use super::answer::{Failure, Request};
use super::command::Command;
use super::command_log::{CommandLog, CommandLogError};
use super::database::Engine;
use super::entity::{Body, CommandState, CommandStatus, Entity, Warning};
use super::handlers;
use super::scope::{Outcome, Purpose, Scope};
use super::session::Session;

impl Command {
    /// The status of a command that was applied.
    pub(super) fn success(&self) -> CommandStatus {
        CommandStatus {
            status: CommandState::Success,
            message: self.message.clone(),
            query_id: self.query_id.as_ref().map(ToString::to_string),
        }
    }
}

/// A statement and its text, variables replaced.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) statement: Statement,
    pub(super) text: String,
}

impl Parsed {
    /// The text as answers show it: values that may be secret are hidden.
    pub(super) fn shown(&self) -> String {
        match self.statement.kind {
            StatementKind::InsertValues(_) | StatementKind::CreateConnector { .. } => {
                format!("{};", masked(&self.statement))
            }
            _ => self.text.clone(),
        }
    }
}

/// True for statements that append to the command log.
fn is_durable(statement: &Statement) -> bool {
    matches!(
        statement.kind,
        StatementKind::CreateSource(_)
            | StatementKind::CreateSourceAs(_)
            | StatementKind::InsertSelect { .. }
            | StatementKind::CreateType { .. }
            | StatementKind::DropType { .. }
            | StatementKind::CreateFunction(_)
            | StatementKind::DropFunction { .. }
            | StatementKind::DropSource { .. }
            | StatementKind::AlterSource { .. }
            | StatementKind::AlterSystem { .. }
            | StatementKind::Terminate(_)
            | StatementKind::Pause(_)
            | StatementKind::Resume(_)
    )
}

impl Engine {
    /// Runs statements other than SELECT and PRINT, all validated before the first takes effect.
    ///
    /// # Errors
    /// The first statement that is refused.
    pub fn execute(self: &Arc<Self>, request: &Request) -> Result<Vec<Entity>, Box<Failure>> {
        let mut session = self.begin(request)?;
        let statements = self.parse(request, &session)?;
        for parsed in &statements {
            refuse_queries(&parsed.statement).map_err(|refusal| Failure::of_statement(refusal, parsed.shown()))?;
        }
        let durable = statements.iter().find(|parsed| is_durable(&parsed.statement));
        if let Some(parsed) = durable {
            self.check_takes_definitions()
                .map_err(|refusal| Failure::of_statement(refusal.at(parsed.statement.span), parsed.shown()))?;
        }
        let is_durable = durable.is_some();
        let mut commands = is_durable.then(|| self.commands.lock());
        self.validate(&statements, session.clone())?;
        let mut entities = Vec::with_capacity(statements.len());
        for (at, parsed) in statements.iter().enumerate() {
            let ran = match commands.as_mut() {
                // What an assertion waits for may be made by somebody who waits for the lock. What comes behind it is
                // looked at again, in the world that it finds then.
                Some(commands) if matches!(parsed.statement.kind, StatementKind::Assert { .. }) => {
                    let ran = MutexGuard::unlocked(commands, || {
                        self.run(&parsed.statement, &parsed.text, &mut session, None)
                    });
                    let rest = statements.get(at + 1..).unwrap_or_default();
                    match ran.is_ok().then(|| self.validate(rest, session.clone())) {
                        Some(Err(failure)) => {
                            entities.extend(ran.ok().flatten());
                            return Err(Box::new(Failure { entities, ..*failure }));
                        }
                        _ => ran,
                    }
                }
                commands => self.run(&parsed.statement, &parsed.text, &mut session, commands),
            };
            match ran {
                Ok(entity) => entities.extend(entity),
                Err(diagnostic) => {
                    return Err(Box::new(Failure { diagnostic, statement: Some(parsed.shown()), entities }));
                }
            }
        }
        Ok(entities)
    }

    /// What every request begins with: the engine is open, settings are known, earlier commands are applied.
    pub(super) fn begin(&self, request: &Request) -> Result<Session, Box<Failure>> {
        self.check_open().map_err(Failure::general)?;
        let session = Session::new(request, self.defaults()).map_err(Failure::general)?;
        let limit = self.settings.command_timeout;
        if request.command_sequence_number.is_some_and(|number| !self.wait_for_command(number, limit)) {
            return Err(Failure::general(Diagnostic::new(
                Code::TimedOut,
                "the command that the request waits for was not applied in time",
            )));
        }
        Ok(session)
    }

    /// Parses a request's text within its limits. DEFINE and UNDEFINE have their effect on the statements after them.
    pub(super) fn parse(&self, request: &Request, session: &Session) -> Result<Vec<Parsed>, Box<Failure>> {
        let (len, limit) = (request.sql.len(), self.settings.max_text_bytes);
        let passed = |what: String| Failure::general(Diagnostic::new(Code::LimitExceeded, what));
        if len > limit {
            return Err(passed(format!(
                "the text of {len} bytes passes the limit of {limit} bytes (statement.max.bytes)"
            )));
        }
        let pieces =
            split_statements(&request.sql).map_err(|refusal| Failure::of_statement(refusal, request.sql.as_str()))?;
        let (count, limit) = (pieces.len(), self.settings.max_statements);
        if count > limit {
            return Err(passed(format!(
                "{count} statements pass the limit of {limit} in one request (request.max.statements)"
            )));
        }
        let replaces = session.properties().is_on("variable.substitution", true);
        let mut variables = if replaces { session.variables.clone() } else { BTreeMap::new() };
        let mut statements = Vec::with_capacity(count);
        for piece in &pieces {
            let parsed = parse_statement(piece, &variables)
                .or_else(|refusal| standard_statement(piece, session, &variables, refusal))
                .and_then(|statement| Ok((statement, substitute(piece.text, &variables)?)));
            let (statement, text) = parsed.map_err(|refusal| Failure::of_statement(refusal, piece.text))?;
            if replaces {
                apply_definition(&statement, &mut variables);
            }
            statements.push(Parsed { statement, text: text.into_owned() });
        }
        Ok(statements)
    }

    /// Reads all statements in a sandbox, each in the world that those before it would make.
    pub(super) fn validate(&self, statements: &[Parsed], mut session: Session) -> Result<(), Box<Failure>> {
        let mut world = self.world().settled();
        for parsed in statements {
            let Parsed { statement, text } = parsed;
            let scope = Scope {
                engine: self,
                world: &world,
                session: &mut session,
                statement,
                text,
                purpose: Purpose::Validate,
            };
            match handlers::handle(scope) {
                Ok(Outcome::Command(command)) => {
                    command.check().map_err(|told| Failure::of_statement(told.at(statement.span), parsed.shown()))?;
                    world.apply(world.next_command, &command);
                }
                Ok(_) => {}
                Err(refusal) => return Err(Failure::of_statement(refusal, parsed.shown())),
            }
        }
        Ok(())
    }

    /// Decides on one statement and lets it take effect.
    pub(super) fn run(
        &self,
        statement: &Statement,
        text: &str,
        session: &mut Session,
        commands: Option<&mut MutexGuard<'_, CommandLog>>,
    ) -> Result<Option<Entity>, Diagnostic> {
        let world = self.world();
        let scope = Scope { engine: self, world: &world, session, statement, text, purpose: Purpose::Execute };
        Ok(match handlers::handle(scope)? {
            Outcome::Nothing => None,
            Outcome::Answer(body) => Some(Entity::new(text, body)),
            Outcome::AnswerWith(body, warnings) => {
                Some(Entity { warnings: Warning::of(&warnings), ..Entity::new(text, body) })
            }
            Outcome::Unchanged(message) => Some(Entity::new(text, Body::WarningEntity { message })),
            Outcome::NoCommand(id, message) => {
                let status = CommandStatus { status: CommandState::Success, message, query_id: None };
                let command_id = id.to_string();
                let body = Body::CurrentStatus { command_id, command_status: status, command_sequence_number: -1 };
                Some(Entity::new(text, body))
            }
            Outcome::Insert(values) => {
                self.insert_rows(&values)?;
                None
            }
            Outcome::ClosePush(id) => {
                let was_terminated = self.close_query(&id);
                Some(Entity::new(text, Body::TerminateQuery { query_id: id, was_terminated }))
            }
            Outcome::Command(command) => {
                let commands = commands
                    .ok_or_else(|| Diagnostic::new(Code::Internal, "a durable statement was not taken for one"))?;
                Some(self.carry_out(&command, commands)?)
            }
        })
    }

    /// Appends a command and lets it take effect.
    pub(super) fn carry_out(&self, command: &Command, commands: &mut CommandLog) -> Result<Entity, Diagnostic> {
        let number = commands
            .append(command, EventTime(self.clock.now_ms()))
            .map_err(|error| self.command_log_refused(&error))?;
        let status = match self.perform(number, command) {
            Ok(()) => command.success(),
            Err(error) => CommandStatus {
                status: CommandState::Error,
                message: format!("{error}; the statement is durable and is carried on at the next start"),
                query_id: None,
            },
        };
        let command_id = command.id.to_string();
        self.statuses.lock().insert(command_id.clone(), status.clone());
        let body = Body::CurrentStatus { command_id, command_status: status, command_sequence_number: number };
        Ok(Entity { warnings: Warning::of(&command.warnings), ..Entity::new(command.statement.clone(), body) })
    }

    fn command_log_refused(&self, error: &CommandLogError) -> Diagnostic {
        if matches!(error, CommandLogError::Fenced | CommandLogError::Lost(_) | CommandLogError::Unreadable { .. }) {
            // What the log holds is no longer what this engine knows: only a restart reads it again.
            self.closed.store(true, Ordering::Release);
        }
        let mut told = Diagnostic::new(Code::Storage, error.to_string());
        if let Some(cause) = std::error::Error::source(error) {
            told = told.with_detail(cause.to_string());
        }
        match error {
            CommandLogError::Lost(_) => told.with_hint("Restart the server: only the log knows what came of it."),
            _ => told.with_hint("Nothing was changed."),
        }
    }
}

/// What DEFINE and UNDEFINE do to variables, whose names are compared without regard to case.
pub(super) fn apply_definition(statement: &Statement, variables: &mut BTreeMap<String, String>) {
    if let StatementKind::Define { name, .. } | StatementKind::Undefine { name } = &statement.kind {
        variables.retain(|known, _| !known.eq_ignore_ascii_case(name.as_str()));
    }
    if let StatementKind::Define { name, value } = &statement.kind {
        variables.insert(name.as_str().to_owned(), value.clone());
    }
}

/// SELECT and PRINT have a door of their own.
fn refuse_queries(statement: &Statement) -> Result<(), Diagnostic> {
    let what = match &statement.kind {
        StatementKind::Query(query) if query.emit.is_some() => "SELECT statements with EMIT",
        StatementKind::Query(_) | StatementKind::StandardQuery(_) => "SELECT statements",
        StatementKind::Print { .. } => "PRINT statements",
        _ => return Ok(()),
    };
    Err(Diagnostic::new(Code::WrongEndpoint, format!("{what} are not taken by the /ksql endpoint"))
        .with_detail("The /ksql endpoint takes neither SELECT nor PRINT statements.")
        .with_hint("Send SELECT and PRINT statements to the /query or /query-stream endpoint.")
        .at(statement.span))
}
