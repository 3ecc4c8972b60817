//! When rows of two streams meet, and how long they wait for each other.

use crate::operators::join::given::LEFT;

/// The WITHIN clause: l and r meet if `l - before <= r <= l + after`. Times in milliseconds, none negative.
#[derive(Debug, Clone, Copy)]
pub(in crate::operators::join) struct Meeting {
    pub(in crate::operators::join) before: i64,
    pub(in crate::operators::join) after: i64,
    pub(in crate::operators::join) grace: i64,
    /// True if rows without a partner leave once their wait is over; false: as soon as they come.
    pub(in crate::operators::join) waits: bool,
}

impl Meeting {
    /// The times of rows of the other side that a row of side `own` meets, both included.
    pub(super) fn range(&self, own: usize, time: i64) -> (i64, i64) {
        let (back, forth) = if own == LEFT { (self.before, self.after) } else { (self.after, self.before) };
        (time.saturating_sub(back), time.saturating_add(forth))
    }

    /// How long past its own time a row of side `own` waits: it is over when stream time is larger.
    pub(super) fn wait(&self, own: usize) -> i64 {
        (if own == LEFT { self.after } else { self.before }).saturating_add(self.grace)
    }

    /// How long past its own time a row is found: until its side has come so far.
    pub(super) fn retention(&self) -> i64 {
        self.before.saturating_add(self.after).saturating_add(self.grace).max(1)
    }

    /// The length of the pieces of time in which rows are kept and forgotten: rows of at most two meet a row.
    pub(super) fn segment(&self) -> i64 {
        const LEAST: i64 = 1000;
        self.before.saturating_add(self.after).saturating_add(1).max(LEAST)
    }
}
