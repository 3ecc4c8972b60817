//! Joins of windowed sources: rows of the same key and the same window meet.

use super::analyze::Analyzer;
use super::compatibility;
use super::join_condition::Equality;
use super::joins::{is_column, key_of};
use super::scope::ScopeRelation;
use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::Join;
use crate::types::{WindowInfo, WindowType};

/// Windowed sources join windowed ones of the same kind and size; `keeps_key`: the rows of earlier joins have the key
/// already, `None` if there are none.
///
/// # Errors
/// One side has no windows, or other ones; ksqlDB's rules hold and a side is not joined by its own key.
pub(super) fn check(
    analyzer: &Analyzer<'_>,
    join: &Join,
    right: &ScopeRelation,
    equalities: &[Equality],
    keeps_key: Option<bool>,
) -> Result<(), Diagnostic> {
    let left = &analyzer.scope.relations[0];
    let invalid = |text: String| Diagnostic::new(Code::InvalidJoin, text).at(join.span);
    let (one, other) = match (left.source.window, right.source.window) {
        (None, None) => return Ok(()),
        (Some(one), Some(other)) => (one, other),
        (one, _) => {
            let (windowed, plain) = if one.is_some() { (left, right) } else { (right, left) };
            return Err(invalid(format!(
                "{} is windowed and {} is not: they cannot be joined",
                windowed.alias, plain.alias
            ))
            .with_detail("Rows meet in the same window of the same key."));
        }
    };
    let is_session = |window: WindowInfo| window.window_type == WindowType::Session;
    if is_session(one) != is_session(other) {
        return Err(invalid(format!(
            "{} has {} windows and {} has {}: they cannot be joined",
            left.alias, one.window_type, right.alias, other.window_type
        )));
    }
    if one.size_ms != other.size_ms {
        return Err(invalid(format!(
            "the windows of {} and {} have different sizes: they cannot be joined",
            left.alias, right.alias
        )));
    }
    let on_key = |side: &ScopeRelation, expr| matches!(key_of(side).as_slice(), [only] if is_column(expr, only));
    let is_on_keys =
        equalities.iter().all(|one| on_key(right, &one.right) && keeps_key.unwrap_or_else(|| on_key(left, &one.left)));
    if is_on_keys && one == other {
        return Ok(());
    }
    compatibility::check_windowed_repartition(analyzer.ctx).map_err(|error| error.at(join.span))
}
