//! INSERT INTO … VALUES.

use crate::diagnostics::Diagnostic;
use crate::engine::insert::values_to_insert;
use crate::engine::scope::{Outcome, Scope};
use crate::sql::ast::InsertValues;

/// Evaluates the values; appending them is left to the engine.
pub(super) fn insert_values(scope: &mut Scope<'_>, insert: &InsertValues) -> Result<Outcome, Diagnostic> {
    Ok(Outcome::Insert(Box::new(values_to_insert(scope, insert)?)))
}
