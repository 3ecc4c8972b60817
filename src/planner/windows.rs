//! WINDOW clauses: sizes in milliseconds, with ksqlDB's defaults for grace and retention.

use std::time::Duration;

use super::graph::{AggregationWindow, WindowShape};
use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::{Emit, WindowClause, WindowKind};
use crate::types::{WindowInfo, WindowType};

/// The most windows that one row may be in: each is a group of its own.
const MAX_WINDOWS_OF_A_ROW: i64 = 10_000;

/// How long windows take rows past their end where nothing is said, less the length of the window.
const DEFAULT_GRACE_MS: i64 = 24 * 60 * 60 * 1000;

/// The windows of an aggregation.
///
/// # Errors
/// Sizes that make no windows, or a retention that is too short to let late rows in.
pub(super) fn aggregation_window(clause: &WindowClause, emit: Option<Emit>) -> Result<AggregationWindow, Diagnostic> {
    let refuse = |what: &str| Diagnostic::new(Code::InvalidWindow, what.to_owned()).at(clause.span);
    let millis =
        |duration: Duration| i64::try_from(duration.as_millis()).map_err(|_| refuse("a window does not last so long"));
    let (shape, length_ms) = match clause.kind {
        WindowKind::Tumbling { size } => {
            let size_ms = millis(size)?;
            (WindowShape::Time { size_ms, advance_ms: size_ms }, size_ms)
        }
        WindowKind::Hopping { size, advance } => {
            let (size_ms, advance_ms) = (millis(size)?, millis(advance)?);
            if advance_ms < 1 || advance_ms > size_ms {
                return Err(refuse("a hopping window must advance by more than nothing and not more than its size")
                    .with_detail(format!("Its size is {size_ms} milliseconds, and it advances by {advance_ms}."))
                    .with_hint("A window that advances by its size is WINDOW TUMBLING."));
            }
            if size_ms / advance_ms > MAX_WINDOWS_OF_A_ROW {
                return Err(refuse("a hopping window advances in steps that are too small for its size")
                    .with_detail(format!(
                        "Every row would be in {} windows; at most {MAX_WINDOWS_OF_A_ROW} are allowed.",
                        size_ms / advance_ms
                    ))
                    .with_hint("Advance in longer steps, or make the window shorter."));
            }
            (WindowShape::Time { size_ms, advance_ms }, size_ms)
        }
        WindowKind::Session { gap } => {
            let gap_ms = millis(gap)?;
            (WindowShape::Session { gap_ms }, gap_ms)
        }
    };
    if length_ms < 1 && matches!(shape, WindowShape::Time { .. }) {
        return Err(refuse("a window must have a size of at least a millisecond"));
    }
    let grace_ms = match (clause.grace, emit) {
        (Some(grace), _) => millis(grace)?,
        (None, Some(Emit::Final)) => 0,
        (None, _) => DEFAULT_GRACE_MS.saturating_sub(length_ms).max(0),
    };
    let needed = length_ms.checked_add(grace_ms).ok_or_else(|| refuse("a window does not last so long"))?;
    let retention_ms = clause.retention.map_or(Ok(needed), millis)?;
    if retention_ms < needed {
        return Err(refuse("the retention of windows is shorter than their size and grace period")
            .with_detail(format!("It is {retention_ms} milliseconds and must be at least {needed}."))
            .with_hint(match clause.grace {
                Some(_) => "Raise RETENTION, or lower GRACE PERIOD.",
                None => {
                    "Raise RETENTION, or say GRACE PERIOD: it is a day less the window's length if nothing is said."
                }
            }));
    }
    Ok(AggregationWindow { shape, grace_ms, retention_ms })
}

/// The window suffix of keys that the clause makes.
pub(super) fn key_suffix(clause: &WindowClause) -> WindowInfo {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).ok();
    match clause.kind {
        WindowKind::Tumbling { size } => WindowInfo { window_type: WindowType::Tumbling, size_ms: millis(size) },
        WindowKind::Hopping { size, .. } => WindowInfo { window_type: WindowType::Hopping, size_ms: millis(size) },
        WindowKind::Session { .. } => WindowInfo { window_type: WindowType::Session, size_ms: None },
    }
}
