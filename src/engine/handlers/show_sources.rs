//! SHOW STREAMS and SHOW TABLES.

use crate::engine::entity::{Body, SourceInfo};
use crate::engine::scope::{Outcome, Scope};
use crate::sql::ast::SourceKind;

/// The streams, or the tables, by name.
pub(super) fn show_sources(scope: &Scope<'_>, kind: SourceKind) -> Outcome {
    let found = scope
        .catalog()
        .sources()
        .filter(|source| source.kind == kind)
        .map(|source| SourceInfo::from(source.as_ref()))
        .collect();
    let body = match kind {
        SourceKind::Stream => Body::Streams { streams: found },
        SourceKind::Table => Body::Tables { tables: found },
    };
    let of_kind = scope.catalog().sources().filter(|source| source.kind == kind);
    Outcome::AnswerWith(body, of_kind.filter_map(|source| scope.engine.staleness(source)).collect())
}
