//! Threads that wait for the cluster's answers, so that nobody else has to.
//!
//! There are as many as questions are open at once, up to [`MOST`], and none after a while without any: one broker that
//! does not answer holds up those alone who asked for what it leads.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Threads at once.
const MOST: usize = 16;
/// A thread without work ends.
const IDLE: Duration = Duration::from_secs(10);

/// What is to be asked.
type Job = Box<dyn FnOnce() + Send>;

/// Asks in the background. Jobs that were not begun are dropped with it.
#[derive(Default)]
pub(super) struct Background {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

impl Background {
    /// Has a job done soon, on another thread.
    pub(super) fn run(&self, job: Job) {
        let mut waiting = self.shared.waiting.lock();
        if waiting.is_closed {
            return;
        }
        waiting.jobs.push_back(job);
        if waiting.idle >= waiting.jobs.len() || waiting.threads >= MOST {
            drop(waiting);
            self.shared.more.notify_one();
            return;
        }
        waiting.threads += 1;
        drop(waiting);
        let shared = Arc::clone(&self.shared);
        let started = std::thread::Builder::new().name("kafka-asks".to_owned()).spawn(move || shared.work());
        if let Err(error) = started {
            tracing::warn!(%error, "cannot start a thread that asks the cluster");
            let mut waiting = self.shared.waiting.lock();
            waiting.threads -= 1;
            // Somebody has to, if only whoever wants to know.
            let left = if waiting.threads == 0 { std::mem::take(&mut waiting.jobs) } else { VecDeque::new() };
            drop(waiting);
            left.into_iter().for_each(|job| job());
        }
    }

    /// Begins nothing any more.
    pub(super) fn close(&self) {
        let left = {
            let mut waiting = self.shared.waiting.lock();
            waiting.is_closed = true;
            std::mem::take(&mut waiting.jobs)
        };
        self.shared.more.notify_all();
        drop(left);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn work(&self) {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                drop(waiting);
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!("a question to the cluster panicked");
                }
                waiting = self.waiting.lock();
                continue;
            }
            if waiting.is_closed {
                break;
            }
            waiting.idle += 1;
            let timed_out = self.more.wait_for(&mut waiting, IDLE).timed_out();
            waiting.idle -= 1;
            if timed_out && waiting.jobs.is_empty() {
                break;
            }
        }
        waiting.threads -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::{Background, MOST};

    #[test]
    fn a_job_that_waits_holds_no_other_up() {
        let background = Background::default();
        let (go, gone) = mpsc::channel::<()>();
        let (done, all_done) = mpsc::channel();
        background.run(Box::new(move || assert!(gone.recv().is_err())));
        for nth in 0..100 {
            let done = done.clone();
            background.run(Box::new(move || done.send(nth).unwrap()));
        }
        let mut seen: Vec<i32> = all_done.iter().take(100).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..100));
        assert!(background.shared.waiting.lock().threads <= MOST);
        drop(go);
    }

    #[test]
    fn a_job_that_panics_takes_its_thread_not_along() {
        let background = Background::default();
        let (done, is_done) = mpsc::channel();
        for _ in 0..2 * MOST {
            background.run(Box::new(|| panic!("on purpose")));
        }
        background.run(Box::new(move || done.send(()).unwrap()));
        is_done.recv().unwrap();
    }
}
