//! Threads that read topics for one client each: PRINT and consume. Named, stopped and joined.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::diagnostics::{Code, Diagnostic};

use super::database::Engine;

/// Longest time a reader waits before it looks again whether its client is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Tells readers to end, and wakes them when there may be more to read.
#[derive(Debug, Default)]
pub(super) struct Stop {
    stopped: AtomicBool,
    turns: Mutex<u64>,
    turned: Condvar,
}

impl Stop {
    /// True when readers are to end.
    pub(super) fn is_set(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Tells readers to end.
    pub(super) fn set(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake();
    }

    /// Wakes all who wait.
    pub(super) fn wake(&self) {
        *self.turns.lock() += 1;
        self.turned.notify_all();
    }

    /// Waits until records came, the end was told, or it is time to look again; true in the last case.
    pub(super) fn wait(&self) -> bool {
        let mut turns = self.turns.lock();
        !self.is_set() && self.turned.wait_for(&mut turns, LOOK_AGAIN).timed_out()
    }

    /// Sends, waiting while the channel is full; false when the client went away or readers are to end.
    pub(super) fn send<T>(&self, sender: &mpsc::Sender<T>, mut item: T) -> bool {
        while !self.is_set() {
            item = match sender.try_send(item) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(back)) => back,
            };
            self.wait();
        }
        false
    }
}

/// The reading threads of an engine.
#[derive(Debug, Default)]
pub(super) struct Readers {
    pub(super) stop: Arc<Stop>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    running: Arc<AtomicUsize>,
}

impl Readers {
    /// Ends all readers and waits for them.
    pub(super) fn shutdown(&self) {
        self.stop.set();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A reader that panicked has nothing more to end.
            let _ = thread.join();
        }
    }
}

impl Engine {
    /// Runs `work` on a thread of its own.
    ///
    /// # Errors
    /// Too many read already, or the machine gives no thread.
    pub(super) fn spawn_reader(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce(&Engine, &Stop) + Send + 'static,
    ) -> Result<(), Diagnostic> {
        let limit = self.settings.max_push_queries;
        let running = Arc::clone(&self.readers.running);
        if running.fetch_add(1, Ordering::AcqRel) >= limit {
            running.fetch_sub(1, Ordering::AcqRel);
            return Err(Diagnostic::new(
                Code::TooManyRequests,
                format!("{limit} topics are being read for clients, and the limit is {limit} (queries.max.push)"),
            ));
        }
        let (engine, stop) = (Arc::clone(self), Arc::clone(&self.readers.stop));
        let counted = Arc::clone(&running);
        let spawned = std::thread::Builder::new().name(format!("thalweg-{name}")).spawn(move || {
            work(&engine, &stop);
            counted.fetch_sub(1, Ordering::AcqRel);
        });
        let thread = spawned.map_err(|error| {
            running.fetch_sub(1, Ordering::AcqRel);
            Diagnostic::new(Code::Storage, format!("cannot start a thread: {error}"))
        })?;
        let mut threads = self.readers.threads.lock();
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    /// Looks again and again until `holds` or the time is over. Looks when records come, and ten times a second. Under
    /// a clock that stands still there is nothing to wait for.
    pub(super) fn wait_until(
        &self,
        timeout: Duration,
        mut holds: impl FnMut() -> Result<bool, Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let mut now = self.clock.elapsed();
        let until = now + timeout;
        while !holds()? && now < until && !self.is_closed() {
            let timed_out = self.readers.stop.wait();
            let before = std::mem::replace(&mut now, self.clock.elapsed());
            if timed_out && now == before {
                break;
            }
        }
        Ok(())
    }
}
