//! CREATE STREAM and CREATE TABLE over a topic.

use std::sync::Arc;

use crate::catalog::{Catalog, CatalogChange, Source};
use crate::diagnostics::Diagnostic;
use crate::engine::command::{Command, CommandId};
use crate::engine::scope::{Outcome, Scope, check_writable};
use crate::planner::define_source;
use crate::sql::ast::{CreateSource, SourceKind};
use crate::types::Name;

use super::command_kind;

/// Defines a source, and its topic where there is none.
pub(super) fn create_source(scope: &mut Scope<'_>, create: &CreateSource) -> Result<Outcome, Diagnostic> {
    if create.if_not_exists
        && !create.or_replace
        && let Some(existing) = scope.catalog().source(&create.name.name)
    {
        return Ok(Outcome::Unchanged(already_there(create.kind, &create.name.name, existing)));
    }
    let definition = scope.plan(|catalog, context| define_source(create, catalog, context))?;
    if !definition.topic.exists {
        check_writable(&definition.topic.name).map_err(|error| scope.at(error))?;
    }
    let statement = scope.text.to_owned();
    let source = Source { sql: statement.clone(), ..definition.source };
    let message = format!("{} created", capitalised(create.kind));
    let mut command = Command::new(create_id(create.kind, &create.name.name), statement, message);
    command.create_topics.extend(Scope::new_topic(&definition.topic));
    command.changes.push(CatalogChange::PutSource(Box::new(keep_creator(scope.catalog(), source))));
    Ok(Outcome::Command(Box::new(command)))
}

/// A source that replaces another is still written by the same query.
fn keep_creator(catalog: &Catalog, source: Source) -> Source {
    match catalog.source(&source.name) {
        Some(old) => Source { created_by: old.created_by.clone(), begins_at: old.begins_at.clone(), ..source },
        None => source,
    }
}

/// ``stream/`PAGES`/create``
pub(super) fn create_id(kind: SourceKind, name: &Name) -> CommandId {
    CommandId::new(command_kind(kind), name.quoted(), "create")
}

/// `Stream` or `Table`
pub(super) fn capitalised(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "Stream",
        SourceKind::Table => "Table",
    }
}

/// Clients match the beginning of this text.
pub(super) fn already_there(kind: SourceKind, name: &Name, existing: &Arc<Source>) -> String {
    format!(
        "Cannot add {} {}: A {} with the same name already exists.",
        kind.noun(),
        name.quoted(),
        existing.kind.noun()
    )
}
