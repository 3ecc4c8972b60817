//! What goes wrong in a memory log, and when.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

/// How a commit goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `Aborted`: nothing was applied.
    Abort,
    /// `Fenced`, now and for ever: as if another had opened a committer under the id.
    Fence,
    /// `Unknown`, and the transaction is in the log.
    UnknownApplied,
    /// `Unknown`, and the transaction is not in the log.
    UnknownLost,
}

/// The faults to come; clones share them.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    planned: Arc<Mutex<VecDeque<Planned>>>,
}

/// Whom it hits (`None`: anyone), and how.
type Planned = (Option<String>, Fault);

impl FaultPlan {
    /// One of the next commits of anyone fails so; faults hit in the order they were planned.
    pub fn fail_next(&self, fault: Fault) {
        self.planned.lock().push_back((None, fault));
    }

    /// One of the next commits under this transactional id fails so; commits of others are left alone.
    pub fn fail_next_of(&self, transactional_id: &str, fault: Fault) {
        self.planned.lock().push_back((Some(transactional_id.into()), fault));
    }

    /// Forgets what has not happened yet.
    pub fn clear(&self) {
        self.planned.lock().clear();
    }

    pub(super) fn take(&self, transactional_id: Option<&str>) -> Option<Fault> {
        let mut planned = self.planned.lock();
        let hits = |(id, _): &Planned| id.is_none() || id.as_deref() == transactional_id;
        let place = planned.iter().position(hits)?;
        planned.remove(place).map(|(_, fault)| fault)
    }
}
