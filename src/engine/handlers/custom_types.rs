//! CREATE TYPE, DROP TYPE, SHOW TYPES.

use crate::catalog::CatalogChange;
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::command::{Command, CommandId};
use crate::engine::entity::{Body, SchemaInfo};
use crate::engine::scope::{Outcome, Scope};
use crate::sql::ast::{Ident, TypeName};

/// Gives a type a name. The name stands for the type where it is used: dropping it later changes nothing there.
pub(super) fn create_type(
    scope: &mut Scope<'_>,
    if_not_exists: bool,
    name: &Ident,
    ty: &TypeName,
) -> Result<Outcome, Diagnostic> {
    let known = |custom: &_| scope.catalog().custom_type(custom).cloned();
    let ty = ty.resolve(&known)?;
    let id = CommandId::new("type", name.name.as_str(), "create");
    if let Some(existing) = scope.catalog().custom_type(&name.name) {
        let told = format!(
            "Cannot register custom type '{}' since it is already registered with type: {existing}",
            name.name.as_str()
        );
        if if_not_exists {
            return Ok(Outcome::NoCommand(id, told));
        }
        return Err(Diagnostic::new(Code::DuplicateName, format!("type {} exists already", name.name))
            .with_detail(told)
            .at(name.span));
    }
    let message = format!("Registered custom type with name '{}' and SQL type {ty}", name.name.as_str());
    let mut command = Command::new(id, scope.text.to_owned(), message);
    command.changes.push(CatalogChange::PutType(name.name.clone(), ty));
    Ok(Outcome::Command(Box::new(command)))
}

/// Forgets a name of a type.
pub(super) fn drop_type(scope: &mut Scope<'_>, if_exists: bool, name: &Ident) -> Result<Outcome, Diagnostic> {
    let id = CommandId::new("type", name.name.as_str(), "drop");
    if scope.catalog().custom_type(&name.name).is_none() {
        if if_exists {
            return Ok(Outcome::NoCommand(id, format!("Type '{}' does not exist", name.name.as_str())));
        }
        return Err(Diagnostic::new(Code::UnknownType, format!("type {} does not exist", name.name))
            .with_near_miss(name.name.as_str(), scope.catalog().custom_types().map(|(name, _)| name.as_str()))
            .at(name.span));
    }
    let message = format!("Dropped type '{}'", name.name.as_str());
    let mut command = Command::new(id, scope.text.to_owned(), message);
    command.changes.push(CatalogChange::DropType(name.name.clone()));
    Ok(Outcome::Command(Box::new(command)))
}

/// SHOW TYPES
pub(super) fn show_types(scope: &Scope<'_>) -> Outcome {
    let types =
        scope.catalog().custom_types().map(|(name, ty)| (name.as_str().to_owned(), SchemaInfo::from(ty))).collect();
    Outcome::Answer(Body::TypeList { types })
}
