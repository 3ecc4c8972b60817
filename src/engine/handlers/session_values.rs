//! SET, UNSET, DEFINE, UNDEFINE, SHOW VARIABLES: what lives for one request.

use crate::diagnostics::Diagnostic;
use crate::engine::entity::{Body, VariableInfo};
use crate::engine::scope::{Outcome, Scope};
use crate::types::Name;

/// Sets a setting for the rest of the request.
pub(super) fn set(scope: &mut Scope<'_>, name: &str, value: &str) -> Result<Outcome, Diagnostic> {
    let span = scope.statement.span;
    scope.session.given.set(name, value).map_err(|error| error.at(span))?;
    Ok(Outcome::Nothing)
}

/// Takes a setting back.
pub(super) fn unset(scope: &mut Scope<'_>, name: &str) -> Result<Outcome, Diagnostic> {
    let span = scope.statement.span;
    scope.session.given.unset(name).map_err(|error| error.at(span))?;
    Ok(Outcome::Nothing)
}

/// Gives a variable a value for the rest of the request.
pub(super) fn define(scope: &mut Scope<'_>, name: &Name, value: &str) -> Outcome {
    scope.session.variables.insert(name.as_str().to_owned(), value.to_owned());
    Outcome::Nothing
}

/// Forgets a variable.
pub(super) fn undefine(scope: &mut Scope<'_>, name: &Name) -> Outcome {
    scope.session.variables.retain(|known, _| !known.eq_ignore_ascii_case(name.as_str()));
    Outcome::Nothing
}

/// SHOW VARIABLES
pub(super) fn show_variables(scope: &Scope<'_>) -> Outcome {
    let variables = scope
        .session
        .variables
        .iter()
        .map(|(name, value)| VariableInfo { name: name.clone(), value: value.clone() })
        .collect();
    Outcome::Answer(Body::Variables { variables })
}
