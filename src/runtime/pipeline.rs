//! One incarnation of a query: its tasks, and what they share with the query that owns them.
//!
//! Tasks know nothing of epochs beyond their number: they read the [`Gate`], capture at barriers, and report to their
//! [`Owner`]. A pipeline that failed is not mended: it is marked dead, and its query makes another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::topics::PartitionRecords;
use crate::types::{Epoch, EventTime, Offset, Partition};

use super::changelog::{Changelog, RestoreProgress};
use super::counters::Counters;
use super::exchange::Inbox;
use super::positions::{SourceKey, SourcePosition};
use super::processing_log::ProcessingLogEntry;
use super::scheduler::Task;

/// Who made the tasks of a pipeline. `pipeline` numbers incarnations: what dead ones say is ignored.
pub(super) trait Owner: Send + Sync {
    /// A source task did a step.
    fn report(&self, pipeline: u64, report: SourceReport);

    /// A task has records for the sink that do not wait for the end of this epoch. What it has for the epoch comes before
    /// its capture.
    fn leaves(&self, pipeline: u64, epoch: Epoch, records: Vec<PartitionRecords>);

    /// A task reached a barrier.
    fn captured(&self, pipeline: u64, capture: TaskCapture);

    /// Stream time rose in a task without rows: it may have emitted something in this epoch.
    fn time_passed(&self, pipeline: u64, epoch: Epoch);

    /// A task cannot go on.
    fn failed(&self, pipeline: u64, failure: TaskFailure);

    /// A task has something to tell about records of this epoch.
    fn log(&self, pipeline: u64, epoch: Epoch, entries: Vec<ProcessingLogEntry>);

    /// The query's counters.
    fn counters(&self) -> &Counters;
}

/// What a source task says after a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct SourceReport {
    /// Index of the source task among the pipeline's.
    pub(super) source: usize,
    /// The epoch its rows belong to.
    pub(super) epoch: Epoch,
    /// It read on.
    pub(super) advanced: bool,
    /// It waits for records, or may not read on.
    pub(super) dry: bool,
}

/// What a task hands over at a barrier.
#[derive(Debug)]
pub(super) struct TaskCapture {
    /// Index among the pipeline's tasks.
    pub(super) task: usize,
    /// The epoch that ends.
    pub(super) epoch: Epoch,
    /// Records for the sink.
    pub(super) output: Vec<PartitionRecords>,
    /// Records for changelogs.
    pub(super) state: Vec<PartitionRecords>,
    /// Bytes of those for changelogs.
    pub(super) state_bytes: usize,
    /// For a task behind an exchange: its stage, and the stream time there.
    pub(super) stage_time: Option<(Arc<str>, EventTime)>,
    /// For a source task: its source and where it reads on.
    pub(super) position: Option<(SourceKey, SourcePosition)>,
}

/// Why a task cannot go on, and the record it was at, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskFailure {
    pub(super) reason: String,
    pub(super) at: Option<Place>,
    /// A record is to blame, though it may not be known which.
    pub(super) by_record: bool,
}

impl TaskFailure {
    /// A failure that no record is to blame for.
    pub(super) fn of_no_record(reason: String) -> Self {
        Self { reason, at: None, by_record: false }
    }
}

/// A record, or the first of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    /// One past the last record that may be to blame.
    pub(super) until: Offset,
}

/// What a pipeline's tasks read at every step.
#[derive(Debug)]
pub(super) struct Gate {
    // fixed
    /// A source waits when its epoch has this many bytes.
    max_bytes: usize,
    /// The query stops when its state takes more.
    max_state_bytes: usize,
    // changing
    dead: AtomicBool,
    paused: AtomicBool,
    /// After a failure: rows go one at a time, so that the next failure names its record.
    careful: AtomicBool,
    /// With care: held while one source reads one record.
    turn: Mutex<()>,
    /// The last epoch that is durable.
    durable: AtomicU64,
    /// The last epoch that was asked to end.
    barrier: AtomicU64,
    /// Bytes read and written in the epochs with an even and an odd number: at most two are under way.
    bytes: [AtomicUsize; 2],
    /// What an epoch weighs once its state rows are in it, per cent of `bytes`: as the last one did. Its own are known
    /// only when it ends.
    weight: AtomicUsize,
    /// A source stopped because its epoch was full.
    has_refused: AtomicBool,
    /// Memory held by the state of all tasks.
    state_bytes: AtomicUsize,
    /// How long all sources have been quiet, if stream time goes on by the clock; else 0. Milliseconds.
    quiet_ms: AtomicI64,
}

/// An epoch with its state rows is reckoned at most so many times as heavy as without.
const MAX_WEIGHT: usize = 10_000;

impl Gate {
    pub(super) fn new(max_bytes: usize, max_state_bytes: usize, paused: bool, careful: bool, durable: Epoch) -> Self {
        Self {
            max_bytes,
            max_state_bytes,
            dead: AtomicBool::new(false),
            paused: AtomicBool::new(paused),
            careful: AtomicBool::new(careful),
            turn: Mutex::new(()),
            durable: AtomicU64::new(durable.0),
            barrier: AtomicU64::new(0),
            bytes: [AtomicUsize::new(0), AtomicUsize::new(0)],
            weight: AtomicUsize::new(100),
            has_refused: AtomicBool::new(false),
            state_bytes: AtomicUsize::new(0),
            quiet_ms: AtomicI64::new(0),
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    pub(super) fn is_careful(&self) -> bool {
        self.careful.load(Ordering::SeqCst)
    }

    pub(super) fn end_care(&self) {
        self.careful.store(false, Ordering::SeqCst);
    }

    /// With care, the right to read a record. None if another source has it.
    pub(super) fn take_turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.turn.try_lock()
    }

    /// `epoch` is in the log.
    pub(super) fn became_durable(&self, epoch: Epoch) {
        self.durable.store(epoch.0, Ordering::SeqCst);
    }

    /// True if `epoch` was asked to end.
    pub(super) fn wants_barrier(&self, epoch: Epoch) -> bool {
        self.barrier.load(Ordering::SeqCst) >= epoch.0
    }

    pub(super) fn add_bytes(&self, epoch: Epoch, bytes: usize) {
        self.bytes_of(epoch).fetch_add(bytes, Ordering::SeqCst);
    }

    /// True if `epoch` has as many bytes as it may: with care, those of one record, and none before the last epoch is
    /// durable. So everything read and not durable is one record.
    pub(super) fn is_full(&self, epoch: Epoch) -> bool {
        let bytes = self.bytes_of(epoch).load(Ordering::SeqCst);
        let weight = self.weight.load(Ordering::SeqCst);
        let waits = || bytes > 0 || epoch.0 > self.durable.load(Ordering::SeqCst) + 1;
        // An epoch without bytes is never full, however little it may hold.
        bytes >= (self.max_bytes.saturating_mul(100) / weight).max(1) || (self.is_careful() && waits())
    }

    /// As [`Gate::is_full`], for a source that then waits: it is woken by a barrier, or when the epoch turns out to be
    /// lighter than it was reckoned.
    pub(super) fn refuses(&self, epoch: Epoch) -> bool {
        if !self.is_full(epoch) {
            return false;
        }
        self.has_refused.store(true, Ordering::SeqCst);
        self.is_full(epoch)
    }

    /// True if a source waits that may have been refused for a weight that changed since.
    pub(super) fn take_refused(&self) -> bool {
        self.has_refused.swap(false, Ordering::SeqCst)
    }

    /// The epoch is captured, with so many bytes of state rows: its number's successor but one starts from nothing.
    pub(super) fn forget_bytes(&self, epoch: Epoch, of_state: usize) {
        let bytes = self.bytes_of(epoch).swap(0, Ordering::SeqCst).max(1);
        let weight = 100 + of_state.saturating_mul(100) / bytes;
        self.weight.store(weight.min(MAX_WEIGHT), Ordering::SeqCst);
    }

    pub(super) fn set_quiet_ms(&self, ms: i64) {
        self.quiet_ms.store(ms, Ordering::SeqCst);
    }

    pub(super) fn quiet_ms(&self) -> i64 {
        self.quiet_ms.load(Ordering::SeqCst)
    }

    /// A task's state takes `now` bytes and took `before`.
    pub(super) fn state_changed(&self, before: usize, now: usize) {
        self.state_bytes.fetch_add(now.wrapping_sub(before), Ordering::SeqCst);
    }

    /// Memory held by the state of all tasks, bytes.
    pub(super) fn state_bytes(&self) -> usize {
        self.state_bytes.load(Ordering::SeqCst)
    }

    /// Why the query must stop, if its state takes more memory than it may.
    pub(super) fn over_state_limit(&self) -> Option<String> {
        let bytes = self.state_bytes();
        (bytes > self.max_state_bytes).then(|| {
            format!(
                "STATE_LIMIT: the state of the query takes {bytes} bytes of memory, state.max.bytes allows {}",
                self.max_state_bytes
            )
        })
    }

    fn bytes_of(&self, epoch: Epoch) -> &AtomicUsize {
        &self.bytes[usize::from(epoch.0 % 2 == 1)]
    }
}

/// A source partition that a pipeline reads.
pub(super) struct SourceHandle {
    pub(super) topic: String,
    pub(super) key: SourceKey,
    /// Where this incarnation began to read.
    pub(super) start: Offset,
    pub(super) task: Arc<Task>,
    pub(super) progress: Arc<Progress>,
}

impl SourceHandle {
    /// One past the last record that was given to the operators.
    pub(super) fn given(&self) -> Offset {
        Offset(self.progress.given.load(Ordering::SeqCst))
    }
}

/// How far a source task has read, and how far it may.
#[derive(Debug)]
pub(super) struct Progress {
    /// The next offset to read.
    pub(super) read: AtomicI64,
    /// One past the last record that was given to the operators.
    pub(super) given: AtomicI64,
    /// Offsets from here on are not read yet.
    pub(super) limit: AtomicI64,
}

/// The tasks of one incarnation.
pub(super) struct Pipeline {
    pub(super) number: u64,
    pub(super) gate: Arc<Gate>,
    pub(super) tasks: Vec<Arc<Task>>,
    /// Source tasks, in the order of [`SourceReport::source`].
    pub(super) sources: Vec<SourceHandle>,
    pub(super) inboxes: Vec<Arc<Inbox>>,
    /// By the name of the stateful operator.
    pub(super) changelogs: BTreeMap<String, Arc<Changelog>>,
    pub(super) restored: Arc<RestoreProgress>,
}

impl Pipeline {
    /// Asks every source to end `epoch`.
    pub(super) fn ask_barrier(&self, epoch: Epoch) {
        self.gate.barrier.store(epoch.0, Ordering::SeqCst);
        self.sources.iter().for_each(|source| source.task.wake_first());
    }

    /// True if nothing waits between tasks, and what was taken has left: there are no rows under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.inboxes.iter().all(|inbox| inbox.is_quiet())
    }

    /// Sources stop or go on reading.
    pub(super) fn set_paused(&self, paused: bool) {
        self.gate.paused.store(paused, Ordering::SeqCst);
        self.wake_sources();
    }

    /// Has every source look again whether it may read.
    pub(super) fn wake_sources(&self) {
        self.sources.iter().for_each(|source| source.task.wake());
    }

    /// Ends every task at its next step.
    pub(super) fn kill(&self) {
        self.gate.dead.store(true, Ordering::SeqCst);
        self.tasks.iter().for_each(Task::wake);
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.kill();
    }
}
