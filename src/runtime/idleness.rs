//! Which sources of a pipeline nobody waits for, and how they are waited for again in time.
//!
//! A source is idle while it has read everything that its log holds. When records come to several partitions at once,
//! the first source to read its own would find the others still marked as idle, and move stream time past rows that
//! are in their logs already. So who deals rows first looks at the idle ones: those that were woken count again from
//! that moment, whatever is on its way to the inboxes. One that was woken for nothing says so in its next step.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::exchange::Inbox;
use super::pipeline::Progress;
use super::scheduler::Task;

/// A source as the stage behind it knows it.
#[derive(Clone, Default)]
pub(super) struct Standing {
    /// Nobody waits for it.
    pub(super) is_idle: Arc<AtomicBool>,
    /// The inboxes it deals to, and its queue in each.
    pub(super) inboxes: Vec<(Arc<Inbox>, usize)>,
}

struct Source {
    task: Weak<Task>,
    standing: Standing,
    progress: Arc<Progress>,
}

impl Source {
    /// True unless it has read everything that it may read so far, whatever woke it.
    fn may_read(&self) -> bool {
        self.progress.read.load(Ordering::SeqCst) < self.progress.limit.load(Ordering::SeqCst)
    }
}

/// The sources of a pipeline. The lock makes resting and being called back exclude each other.
#[derive(Default)]
pub(super) struct Idleness {
    sources: Mutex<Vec<Source>>,
}

impl Idleness {
    /// Enters the next source of the pipeline.
    pub(super) fn add(&self, task: &Arc<Task>, standing: Standing, progress: &Arc<Progress>) {
        let (task, progress) = (Arc::downgrade(task), Arc::clone(progress));
        self.sources.lock().push(Source { task, standing, progress });
    }

    /// Has a source rest by `rest`, unless it was woken since it found nothing.
    pub(super) fn rest(&self, me: &Arc<Task>, rest: impl FnOnce()) {
        let _sources = self.sources.lock();
        if !me.is_woken() {
            rest();
        }
    }

    /// Before source `me` reads: true if a source behind it is idle and was woken. Its next step tells whether that was
    /// for nothing, and then rows need not wait for it. Of two sources only the first one lets the other go before.
    pub(super) fn is_soon_known(&self, me: usize) -> bool {
        let sources = self.sources.lock();
        sources.iter().skip(me + 1).any(|source| {
            source.standing.is_idle.load(Ordering::SeqCst)
                && source.may_read()
                && source.task.upgrade().is_some_and(|task| task.is_awake())
        })
    }

    /// Before the rows of source `me` are dealt: other sources that are idle and may have records are waited for.
    pub(super) fn call_back(&self, me: usize) {
        let sources = self.sources.lock();
        let others = sources.iter().enumerate().filter(|(index, _)| *index != me);
        for (_, source) in others {
            let standing = &source.standing;
            if standing.is_idle.load(Ordering::SeqCst)
                && source.may_read()
                && let Some(task) = source.task.upgrade()
                && task.is_awake()
            {
                standing.is_idle.store(false, Ordering::SeqCst);
                standing.inboxes.iter().for_each(|(inbox, queue)| inbox.wait_for(*queue));
                // It may be at the end of its step: only another tells that it is idle again.
                task.wake();
            }
        }
    }
}
