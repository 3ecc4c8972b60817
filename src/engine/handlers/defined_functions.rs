//! CREATE FUNCTION and DROP FUNCTION.

use crate::catalog::CatalogChange;
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::command::{Command, CommandId};
use crate::engine::scope::{Outcome, Scope};
use crate::planner::define_function;
use crate::sql::ast::{CreateFunction, Ident};

/// Gives an expression a name. Calls stand for it where they are used: replacing or dropping it later changes nothing
/// there.
pub(super) fn create_function(scope: &mut Scope<'_>, create: &CreateFunction) -> Result<Outcome, Diagnostic> {
    let name = &create.name.name;
    let id = CommandId::new("function", name.quoted(), "create");
    let exists = scope.catalog().functions().contains_key(name);
    if exists && create.if_not_exists && !create.or_replace {
        return Ok(Outcome::NoCommand(id, format!("Function {} already exists.", name.quoted())));
    }
    if exists && !create.or_replace {
        return Err(Diagnostic::new(Code::DuplicateName, format!("function {name} exists already"))
            .with_hint("Say CREATE OR REPLACE FUNCTION to replace it.")
            .at(create.name.span));
    }
    let definition = scope.plan(|catalog, context| define_function(create, catalog, context))?;
    let mut command = Command::new(id, scope.text.to_owned(), "Function created");
    command.changes.push(CatalogChange::PutFunction(Box::new(definition)));
    Ok(Outcome::Command(Box::new(command)))
}

/// Forgets a function.
pub(super) fn drop_function(scope: &mut Scope<'_>, if_exists: bool, name: &Ident) -> Result<Outcome, Diagnostic> {
    let id = CommandId::new("function", name.name.as_str(), "drop");
    if !scope.catalog().functions().contains_key(&name.name) {
        if scope.engine.functions.get(&name.name).is_some() {
            return Err(Diagnostic::new(
                Code::ReadOnly,
                format!("function {} is built in and cannot be dropped", name.name),
            )
            .at(name.span));
        }
        if if_exists {
            return Ok(Outcome::NoCommand(id, format!("Function {} does not exist.", name.name.quoted())));
        }
        return Err(Diagnostic::new(Code::UnknownFunction, format!("function {} does not exist", name.name))
            .with_near_miss(name.name.as_str(), scope.catalog().functions().keys().map(|name| name.as_str()))
            .at(name.span));
    }
    let mut command = Command::new(id, scope.text.to_owned(), format!("Function {} was dropped.", name.name.quoted()));
    command.changes.push(CatalogChange::DropFunction(name.name.clone()));
    Ok(Outcome::Command(Box::new(command)))
}
