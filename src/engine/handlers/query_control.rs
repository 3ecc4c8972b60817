//! TERMINATE, PAUSE, RESUME.

use crate::catalog::{CatalogChange, QueryId, Source};
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::command::{Command, CommandId, QueryAction};
use crate::engine::scope::{Outcome, Scope};
use crate::sql::ast::{Ident, QuerySelector};

/// Ends queries for good. What they wrote stays and is a plain source from now on.
pub(super) fn terminate(scope: &mut Scope<'_>, which: &QuerySelector) -> Result<Outcome, Diagnostic> {
    if let QuerySelector::One(id) = which
        && !scope.world.queries.contains_key(&id_of(id))
        && let Some(push) = scope.engine.find_push(id.name.as_str())
    {
        return Ok(Outcome::ClosePush(push));
    }
    let (mut command, ids) = control(scope, which, "terminate", "Query terminated.")?;
    for id in ids {
        let sink = scope.catalog().query(&id).and_then(|query| scope.catalog().source(&query.sink));
        if let Some(sink) = sink.filter(|sink| sink.created_by.as_ref() == Some(&id)) {
            let sink = Source { created_by: None, ..sink.as_ref().clone() };
            command.changes.push(CatalogChange::PutSource(Box::new(sink)));
        }
        command.changes.push(CatalogChange::DropQuery(id.clone()));
        command.queries.push(QueryAction::Stop(id));
    }
    Ok(Outcome::Command(Box::new(command)))
}

/// Stops queries from reading; their offsets and state stay.
pub(super) fn pause(scope: &mut Scope<'_>, which: &QuerySelector) -> Result<Outcome, Diagnostic> {
    let (mut command, ids) = control(scope, which, "pause", "Query paused.")?;
    command.queries.extend(ids.into_iter().map(QueryAction::Pause));
    Ok(Outcome::Command(Box::new(command)))
}

/// Lets queries read on; one that failed tries again.
pub(super) fn resume(scope: &mut Scope<'_>, which: &QuerySelector) -> Result<Outcome, Diagnostic> {
    let (mut command, ids) = control(scope, which, "resume", "Query resumed.")?;
    command.queries.extend(ids.into_iter().map(QueryAction::Resume));
    Ok(Outcome::Command(Box::new(command)))
}

/// A command for the selected queries, and their ids.
fn control(
    scope: &Scope<'_>,
    which: &QuerySelector,
    verb: &str,
    message: &str,
) -> Result<(Command, Vec<QueryId>), Diagnostic> {
    let (entity, ids) = match which {
        QuerySelector::All => ("ALL".to_owned(), scope.world.queries.keys().cloned().collect()),
        QuerySelector::One(name) => {
            let id = id_of(name);
            if !scope.world.queries.contains_key(&id) {
                return Err(unknown_query(scope, name));
            }
            (id.to_string(), vec![id])
        }
    };
    Ok((Command::new(CommandId::new(verb, entity, "execute"), scope.text.to_owned(), message), ids))
}

/// Ids are upper case, however they are written.
pub(super) fn id_of(name: &Ident) -> QueryId {
    QueryId(name.name.as_str().to_uppercase())
}

/// There is no such query; perhaps one like it.
pub(super) fn unknown_query(scope: &Scope<'_>, name: &Ident) -> Diagnostic {
    Diagnostic::new(Code::UnknownQuery, format!("query {} does not exist", name.name.as_str()))
        .with_detail(format!("Unknown queryId: {}", name.name.as_str()))
        .with_near_miss(name.name.as_str(), scope.world.queries.keys().map(|id| id.0.as_str()))
        .at(name.span)
}
