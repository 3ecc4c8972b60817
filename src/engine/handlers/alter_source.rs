//! ALTER STREAM and ALTER TABLE … ADD COLUMN.

use crate::catalog::{CatalogChange, altered};
use crate::diagnostics::Diagnostic;
use crate::engine::command::{Command, CommandId};
use crate::engine::scope::{Outcome, Scope};
use crate::sql::ast::{Ident, SourceKind, TypeName};

use super::command_kind;
use super::create_source::capitalised;

/// Appends value columns to a source.
pub(super) fn alter_source(
    scope: &mut Scope<'_>,
    kind: SourceKind,
    name: &Ident,
    columns: &[(Ident, TypeName)],
) -> Result<Outcome, Diagnostic> {
    let source = altered(scope.catalog(), kind, name, columns)?;
    let id = CommandId::new(command_kind(kind), name.name.as_str(), "alter");
    let message = format!("{} {} altered.", capitalised(kind), name.name.quoted());
    let mut command = Command::new(id, scope.text.to_owned(), message);
    command.changes.push(CatalogChange::PutSource(Box::new(source)));
    Ok(Outcome::Command(Box::new(command)))
}
