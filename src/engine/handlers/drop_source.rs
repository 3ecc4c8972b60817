//! DROP STREAM and DROP TABLE.

use crate::catalog::{CatalogChange, check_drop};
use crate::diagnostics::Diagnostic;
use crate::engine::command::{Command, CommandId, DoomedTopic, QueryAction};
use crate::engine::scope::{Outcome, Purpose, Scope, check_writable, storage};
use crate::sql::ast::{Ident, SourceKind};
use crate::topics::TopicId;

use super::command_kind;

/// How a source is to be dropped.
pub(super) struct Drop {
    /// STREAM or TABLE, as the statement says.
    pub(super) kind: SourceKind,
    /// IF EXISTS.
    pub(super) if_exists: bool,
    /// DELETE TOPIC.
    pub(super) delete_topic: bool,
}

/// Forgets a source and ends the query that was created with it.
pub(super) fn drop_source(scope: &mut Scope<'_>, name: &Ident, drop: Drop) -> Result<Outcome, Diagnostic> {
    let id = CommandId::new(command_kind(drop.kind), name.name.as_str(), "drop");
    let Some(source) = check_drop(scope.catalog(), drop.kind, name, drop.if_exists, drop.delete_topic)? else {
        return Ok(Outcome::NoCommand(id, format!("Source {} does not exist.", name.name.quoted())));
    };
    if drop.delete_topic {
        check_writable(&source.topic).map_err(|error| error.at(name.span))?;
    }
    let message = format!("Source {} (topic: {}) was dropped.", name.name.quoted(), source.topic);
    let mut command = Command::new(id, scope.text.to_owned(), message);
    if let Some(query) = &source.created_by {
        command.changes.push(CatalogChange::DropQuery(query.clone()));
        command.queries.push(QueryAction::Stop(query.clone()));
    }
    command.changes.push(CatalogChange::DropSource(name.name.clone()));
    if drop.delete_topic {
        let topic = scope.engine.log.topic(&source.topic).map_err(|error| storage(&error))?;
        // In the sandbox the topic need not be there yet, and all the same it is gone for the statements that follow.
        let in_sandbox = (scope.purpose == Purpose::Validate).then_some(TopicId(0));
        if let Some(id) = topic.map(|topic| topic.id).or(in_sandbox) {
            command.delete_topics.push(DoomedTopic { name: source.topic.clone(), id });
        }
    }
    Ok(Outcome::Command(Box::new(command)))
}
