//! ALTER SYSTEM: settings of the whole service.

use crate::diagnostics::Diagnostic;
use crate::engine::command::{Command, CommandId};
use crate::engine::properties::Properties;
use crate::engine::scope::{Outcome, Scope};

/// Sets a setting for all later statements of all clients.
pub(super) fn alter_system(scope: &mut Scope<'_>, name: &str, value: &str) -> Result<Outcome, Diagnostic> {
    let mut checked = Properties::default();
    checked.set(name, value).map_err(|error| scope.at(error))?;
    let id = CommandId::new("cluster", format!("command-{}", scope.world.next_command), "alter");
    let message = format!("System property {name} was set to {value}.");
    let mut command = Command::new(id, scope.text.to_owned(), message);
    command.settings = checked.all().iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    Ok(Outcome::Command(Box::new(command)))
}
