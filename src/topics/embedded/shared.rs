//! What the threads of an open log share.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, RwLock};

use super::journal::{ActiveFile, Faults};
use super::queue::Queue;
use super::segment::HeadCache;
use super::settings::EmbeddedSettings;
use super::state::State;
use crate::topics::{OnAppend, TopicId};
use crate::types::Partition;

/// Gives the time, milliseconds since 1970.
pub(super) type NowMs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// An open log.
pub(super) struct Shared {
    // fixed
    pub(super) folder: PathBuf,
    pub(super) settings: EmbeddedSettings,
    pub(super) faults: Faults,
    now_ms: NowMs,
    // mutable
    pub(super) state: RwLock<State>,
    pub(super) heads: Mutex<HeadCache>,
    pub(super) queue: Queue,
    /// The file the writer writes, for the flusher.
    pub(super) active: Mutex<Arc<ActiveFile>>,
    /// Why nothing is written any more.
    pub(super) health: Mutex<Option<String>>,
    /// Why the last write was undone; `None` if it was not.
    refusal: Mutex<Option<String>>,
    /// Held while `topics.json` and the topics change.
    pub(super) catalog: Mutex<()>,
    /// Held by a pass of cleaning.
    pub(super) cleaning: Mutex<()>,
    /// Retention moved starts that `topics.json` does not tell yet: until it does, no segment may go.
    pub(super) starts_unsaved: AtomicBool,
    next_segment: AtomicU64,
    listeners: RwLock<Vec<OnAppend>>,
    pub(super) alarm: Alarm,
    pub(super) flush_alarm: Alarm,
}

/// Wakes a thread that waits for its next turn.
#[derive(Default)]
pub(super) struct Alarm {
    state: Mutex<AlarmState>,
    changed: Condvar,
}

#[derive(Default)]
struct AlarmState {
    rings: bool,
    is_over: bool,
}

impl Alarm {
    /// Waits for the time or a ring; false when it is over.
    pub(super) fn wait(&self, timeout: std::time::Duration) -> bool {
        let mut state = self.state.lock();
        if !state.rings && !state.is_over {
            self.changed.wait_for(&mut state, timeout);
        }
        state.rings = false;
        !state.is_over
    }

    pub(super) fn ring(&self) {
        self.state.lock().rings = true;
        self.changed.notify_all();
    }

    pub(super) fn end(&self) {
        self.state.lock().is_over = true;
        self.changed.notify_all();
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.lock().is_over
    }
}

impl Shared {
    pub(super) fn new(
        (folder, settings): (PathBuf, EmbeddedSettings),
        now_ms: NowMs,
        (state, active): (State, Arc<ActiveFile>),
        last_segment: u64,
    ) -> Self {
        Self {
            folder,
            faults: Faults::default(),
            now_ms,
            state: RwLock::new(state),
            heads: Mutex::default(),
            queue: Queue::new(settings.queue_bytes),
            settings,
            active: Mutex::new(active),
            health: Mutex::new(None),
            refusal: Mutex::new(None),
            catalog: Mutex::new(()),
            cleaning: Mutex::new(()),
            starts_unsaved: AtomicBool::new(false),
            next_segment: AtomicU64::new(last_segment + 1),
            listeners: RwLock::new(vec![]),
            alarm: Alarm::default(),
            flush_alarm: Alarm::default(),
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        (self.now_ms)()
    }

    pub(super) fn next_segment_number(&self) -> u64 {
        self.next_segment.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn wake_cleaner(&self) {
        self.alarm.ring();
    }

    /// From now on nothing is written.
    pub(super) fn poison(&self, error: &io::Error) {
        let mut health = self.health.lock();
        if health.is_none() {
            tracing::error!(%error, "the log cannot be written and takes no more commits until it is opened again");
            *health = Some(format!("an earlier write failed ({error}); open the log again"));
        }
    }

    /// Notes whether the last write could be done, or was undone: while a disk is full, say.
    pub(super) fn note_refusal(&self, refusal: Option<String>) {
        *self.refusal.lock() = refusal;
    }

    /// Why nothing is written, if nothing is.
    pub(super) fn trouble(&self) -> Option<String> {
        self.health.lock().clone().or_else(|| self.refusal.lock().clone())
    }

    pub(super) fn listen(&self, on_append: OnAppend) {
        self.listeners.write().push(on_append);
    }

    /// Lets go of the listeners, which may hold whoever holds the log.
    pub(super) fn forget_listeners(&self) {
        self.listeners.write().clear();
    }

    pub(super) fn tell(&self, touched: &[(TopicId, Partition)]) {
        let listeners = self.listeners.read();
        for (topic, partition) in touched {
            for listener in listeners.iter() {
                listener(*topic, *partition);
            }
        }
    }

    /// Flushes what is written but not on disk, at each turn, until the log ends.
    pub(super) fn run_flusher(&self, interval: std::time::Duration) {
        while self.flush_alarm.wait(interval) {
            let active = Arc::clone(&self.active.lock());
            if self.health.lock().is_none()
                && let Err(error) = active.flush()
            {
                self.poison(&error);
            }
        }
    }
}
