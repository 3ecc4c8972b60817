//! Transactions on their way to the writer, bounded by bytes; nobody waits to hand one over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use hashbrown::HashMap;
use parking_lot::{Condvar, Mutex};

use crate::topics::{CommitOutcome, OnCommit, TopicError, Transaction};

/// The most bytes the writer takes at once: what waits for one flush.
const GROUP_BYTES: usize = 8 << 20;
/// The most jobs it takes at once.
const GROUP_JOBS: usize = 4096;

/// Who hands over a transaction: an id and the generation that holds it.
pub(super) type Owner = (Arc<str>, u64);

/// Something for the writer to do.
pub(super) enum Job {
    /// Append and answer.
    Commit { owner: Option<Owner>, transaction: Transaction, done: OnCommit },
    /// Answer when everything before is done.
    Barrier(SyncSender<()>),
    /// Seal the active segment if it holds anything, then answer.
    Roll(SyncSender<Result<(), TopicError>>),
}

/// The queue.
pub(super) struct Queue {
    limit_bytes: usize,
    inner: Mutex<Inner>,
    arrived: Condvar,
}

#[derive(Default)]
struct Inner {
    jobs: VecDeque<(usize, Job)>,
    bytes: usize,
    /// The generation that holds each transactional id.
    owners: HashMap<Arc<str>, u64>,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, inner: Mutex::default(), arrived: Condvar::new() }
    }

    /// Hands over a transaction, or answers it at once if there is no room or no writer.
    pub(super) fn commit(&self, owner: Option<Owner>, transaction: Transaction, done: OnCommit) {
        let entries = transaction.records.iter();
        let bytes = entries.map(|entry| entry.records.data_bytes() + 40 * entry.records.len() + 100).sum::<usize>();
        let refusal = {
            let mut inner = self.inner.lock();
            if inner.is_closed {
                TopicError::Storage { action: "commit", reason: "the log is closed".into() }
            } else if inner.bytes > 0 && inner.bytes + bytes > self.limit_bytes {
                TopicError::Overloaded { bytes, queued: inner.bytes, limit: self.limit_bytes }
            } else {
                inner.bytes += bytes;
                inner.jobs.push_back((bytes, Job::Commit { owner, transaction, done }));
                self.arrived.notify_one();
                return;
            }
        };
        done(CommitOutcome::Aborted(refusal));
    }

    /// Adds a job that is no commit; false if the log is closed.
    pub(super) fn push(&self, job: Job) -> bool {
        let mut inner = self.inner.lock();
        if !inner.is_closed {
            inner.jobs.push_back((0, job));
            self.arrived.notify_one();
        }
        !inner.is_closed
    }

    /// The next jobs, in order; waits for one. `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Vec<Job>> {
        let mut inner = self.inner.lock();
        while inner.jobs.is_empty() {
            if inner.is_closed {
                return None;
            }
            self.arrived.wait(&mut inner);
        }
        let (mut taken, mut taken_bytes) = (vec![], 0);
        while let Some((bytes, _)) = inner.jobs.front() {
            if !taken.is_empty() && (taken_bytes + bytes > GROUP_BYTES || taken.len() == GROUP_JOBS) {
                break;
            }
            let Some((bytes, job)) = inner.jobs.pop_front() else { break };
            taken_bytes += bytes;
            taken.push(job);
        }
        inner.bytes -= taken_bytes;
        Some(taken)
    }

    /// The next generation of a transactional id; the former may no longer commit.
    pub(super) fn next_generation(&self, id: &Arc<str>) -> u64 {
        let mut inner = self.inner.lock();
        let generation = inner.owners.entry(Arc::clone(id)).or_default();
        *generation += 1;
        *generation
    }

    /// True if another generation holds the id.
    pub(super) fn is_fenced(&self, (id, generation): &Owner) -> bool {
        self.inner.lock().owners.get(id) != Some(generation)
    }

    /// Takes nothing in any more; what is in it is still done.
    pub(super) fn close(&self) {
        self.inner.lock().is_closed = true;
        self.arrived.notify_all();
    }
}
