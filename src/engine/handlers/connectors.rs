//! Statements about connectors: there is no Kafka Connect here.

use crate::diagnostics::{Code, Diagnostic};
use crate::engine::entity::Body;
use crate::engine::scope::{Outcome, Scope};

/// Refuses a statement that needs Kafka Connect.
pub(super) fn no_connect(scope: &Scope<'_>, what: &str) -> Result<Outcome, Diagnostic> {
    Err(Diagnostic::new(Code::NotImplemented, format!("{what} needs a Kafka Connect cluster, and none is connected"))
        .with_hint("Write into the topic with another tool, such as `thalweg produce`.")
        .at(scope.statement.span))
}

/// SHOW CONNECTORS
pub(super) fn show_connectors() -> Outcome {
    Outcome::Answer(Body::ConnectorList { connectors: Vec::new() })
}

/// SHOW CONNECTOR PLUGINS
pub(super) fn show_plugins() -> Outcome {
    Outcome::Answer(Body::ConnectorPluginsList { connectors_plugins: Vec::new() })
}
