//! SET, UNSET, DEFINE, UNDEFINE, SHOW VARIABLES: what lives for one request.

use crate::diagnostics::Diagnostic;
use crate::engine::entity::{Body, VariableInfo};
use crate::engine::execute::apply_definition;
use crate::engine::scope::{Outcome, Scope};

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

/// DEFINE and UNDEFINE: what they do to the text of later statements was done when these were parsed.
pub(super) fn define(scope: &mut Scope<'_>) -> Outcome {
    apply_definition(scope.statement, &mut scope.session.variables);
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
