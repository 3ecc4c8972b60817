//! Closes windows of quiet sources by the clock (`windows.close.idle`).
//!
//! Without it the last windows of EMIT FINAL wait for a later record. With it, once every source has been at its end for
//! that long, stream time goes on as the clock does, from where it stood. It stops when no window can be open any more.
//! What comes late after that is late: that is why it is off by default.

use std::sync::Arc;
use std::time::Duration;

use crate::planner::OperatorGraph;
use crate::planner::graph::{Emission, OperatorKind, WindowShape};
use crate::runtime::scheduler::Task;

use super::Query;
use super::control::Control;

impl Query {
    /// Notes whether all sources are quiet.
    pub(super) fn note_quiet(&self, control: &mut Control) {
        if self.env.settings.windows_close_idle.is_zero() || longest_window(&control.graph).is_none() {
            return;
        }
        let is_quiet = !control.paused && control.dry.iter().all(|dry| *dry);
        if is_quiet && control.quiet_since.is_none() {
            control.quiet_since = Some(self.env.scheduler.now());
            if let Some(coordinator) = self.coordinator() {
                self.env.scheduler.wake_after(self.env.settings.windows_close_idle, &coordinator);
            }
        } else if !is_quiet
            && control.quiet_since.take().is_some()
            && let Some(pipeline) = &control.pipeline
        {
            pipeline.gate.set_quiet_ms(0);
        }
    }

    /// Has sources that have been quiet for long enough pass on the time since.
    pub(super) fn pass_quiet_time(&self, control: &mut Control, me: &Arc<Task>) {
        let close_idle = self.env.settings.windows_close_idle;
        let (Some(since), Some(pipeline)) = (control.quiet_since, &control.pipeline) else { return };
        let Some(longest) = longest_window(&control.graph) else { return };
        let quiet = self.env.scheduler.now().saturating_sub(since);
        let quiet_ms = i64::try_from(quiet.as_millis()).unwrap_or(i64::MAX);
        let told_ms = pipeline.gate.quiet_ms();
        if quiet < close_idle || told_ms >= longest || quiet_ms <= told_ms {
            return;
        }
        // No further than needed: what comes next is not to be late without reason.
        pipeline.gate.set_quiet_ms(quiet_ms.min(longest));
        pipeline.wake_sources();
        if quiet_ms < longest {
            let part = Duration::from_millis(longest.unsigned_abs() / MOST_STEPS);
            self.env.scheduler.wake_after(close_idle.max(part), me);
        }
    }
}

/// Time passes in at most about so many steps until the longest window is closed.
const MOST_STEPS: u64 = 1_000;

/// How far behind the last record stream time must be for every window to be closed, milliseconds; none if no window
/// waits to be closed.
fn longest_window(graph: &OperatorGraph) -> Option<i64> {
    let operators = graph.stages.iter().flat_map(|stage| &stage.operators);
    let lengths = operators.filter_map(|operator| match &operator.kind {
        OperatorKind::Aggregate(aggregation)
            if matches!(aggregation.emission, Emission::Final | Emission::FinalWithLoss) =>
        {
            let window = aggregation.window?;
            let length = match window.shape {
                WindowShape::Time { size_ms, .. } => size_ms,
                WindowShape::Session { gap_ms } => gap_ms.saturating_add(1),
            };
            Some(length.saturating_add(window.grace_ms))
        }
        _ => None,
    });
    lengths.max()
}
