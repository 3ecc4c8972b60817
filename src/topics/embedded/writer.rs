//! The one thread that writes commits, a group at a time.
//!
//! ```text
//! commit ─▶ queue ─▶ take all that wait ─▶ check ─▶ one write ─▶ one flush ─▶ publish ─▶ notify, answer
//! ```
//!
//! While it waits for the disk the next group gathers: the slower the disk, the larger the groups.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hashbrown::HashMap;

use super::batch::{BatchHead, Cover, Payload, encode};
use super::frame::SegmentKind;
use super::journal::{ActiveFile, Group, WriteError, write_group};
use super::manifest::{replace_file, sync_folder};
use super::queue::Job;
use super::segment::{Segment, build_index};
use super::settings::Fsync;
use super::shared::Shared;
use super::state::Published;
use crate::topics::log::check_record_sizes;
use crate::topics::{CommitOutcome, OnCommit, TopicError, TopicId, Transaction};
use crate::types::{Offset, Partition};

/// The most key and value bytes one entry of a transaction may have; lengths in the format are 32 bits.
const MAX_ENTRY_BYTES: usize = 1 << 30;

/// The writer's own view.
pub(super) struct Writer {
    // fixed
    shared: Arc<Shared>,
    // mutable
    active: Arc<ActiveFile>,
    last_ms: i64,
}

type Encoded = Vec<(TopicId, BatchHead, Payload)>;
type Ends = HashMap<(TopicId, Partition), Offset>;

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, active: Arc<ActiveFile>) -> Self {
        Self { shared, active, last_ms: i64::MIN }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        while let Some(jobs) = self.shared.queue.take() {
            let mut commits = vec![];
            for job in jobs {
                match job {
                    Job::Commit { owner, transaction, done } => {
                        if owner.is_some_and(|owner| self.shared.queue.is_fenced(&owner)) {
                            answer(done, CommitOutcome::Fenced);
                        } else {
                            commits.push((transaction, done));
                        }
                    }
                    Job::Barrier(reached) => {
                        self.commit_group(std::mem::take(&mut commits));
                        // Whoever waited may have gone.
                        let _ = reached.send(());
                    }
                    Job::Roll(rolled) => {
                        self.commit_group(std::mem::take(&mut commits));
                        let _ = rolled.send(self.roll());
                    }
                }
            }
            self.commit_group(commits);
        }
        if let Err(error) = self.active.flush() {
            tracing::error!(%error, "could not flush the log at its end");
        }
    }

    fn commit_group(&mut self, commits: Vec<(Transaction, OnCommit)>) {
        if commits.is_empty() {
            return;
        }
        self.last_ms = self.last_ms.max(self.shared.now_ms());
        let (mut group, mut pending, mut published) = (Group::default(), vec![], Vec::<Published>::new());
        let mut ends = Ends::new();
        let refusal = self.shared.health.lock().clone();
        for (transaction, done) in commits {
            let encoded = match &refusal {
                Some(reason) => Err(unwritable(reason.clone())),
                None => self.encode(&transaction, &mut ends),
            };
            match encoded {
                Err(error) => pending.push((Err(error), done)),
                Ok((offsets, mut batches)) => {
                    if !batches.is_empty() {
                        group.push(&self.active, &mut batches);
                    }
                    let entries = transaction.records.into_iter().filter(|entry| !entry.records.is_empty());
                    published.extend(
                        batches
                            .into_iter()
                            .zip(entries)
                            .map(|((topic, head, _), entry)| (topic, head, entry.records.with_base_offset(head.base))),
                    );
                    pending.push((Ok(offsets), done));
                }
            }
        }
        let failure = if group.is_empty() { None } else { self.write(&group) };
        let mut touched: Vec<_> = published.iter().map(|(topic, head, _)| (*topic, head.partition)).collect();
        if failure.is_none() {
            self.shared.state.write().publish(published, self.shared.settings.cache_bytes);
        }
        // Readers first: what is appended once this is answered is not to reach them sooner.
        if failure.is_none() {
            touched.sort_unstable();
            touched.dedup();
            self.shared.tell(&touched);
        }
        for (offsets, done) in pending {
            let outcome = match (offsets, &failure) {
                (Err(error), _) => CommitOutcome::Aborted(error),
                (Ok(offsets), None) => CommitOutcome::Committed(offsets),
                (Ok(_), Some(outcome)) => outcome.clone(),
            };
            answer(done, outcome);
        }
        if self.active.written.load(std::sync::atomic::Ordering::Acquire) >= self.shared.settings.segment_bytes
            && let Err(error) = self.roll()
        {
            tracing::warn!(%error, "could not begin a new segment, going on with the old one");
        }
    }

    /// Writes and, by policy, flushes; gives the answer for the whole group if that fails.
    fn write(&self, group: &Group) -> Option<CommitOutcome> {
        let error = match write_group(&self.active, group, &self.shared.faults) {
            Ok(()) => {
                self.shared.note_refusal(None);
                if self.shared.settings.fsync != Fsync::Commit {
                    return None;
                }
                self.active.flush().err()?
            }
            Err(WriteError::Undone(error)) => {
                self.shared.note_refusal(Some(error.to_string()));
                return Some(CommitOutcome::Aborted(unwritable(error.to_string())));
            }
            Err(WriteError::Unknown(error)) => error,
        };
        self.shared.poison(&error);
        Some(CommitOutcome::Unknown(format!("the log could not be written: {error}")))
    }

    /// Checks a transaction and packs it; `ends` are the ends of partitions as far as this group has come.
    fn encode(&self, transaction: &Transaction, ends: &mut Ends) -> Result<(Vec<Offset>, Encoded), TopicError> {
        let mut places = Vec::with_capacity(transaction.records.len());
        {
            let state = self.shared.state.read();
            for entry in &transaction.records {
                let id = state.names.get(&entry.topic).ok_or_else(|| TopicError::UnknownTopic(entry.topic.clone()))?;
                places.push((*id, entry.partition, state.partition(*id, entry.partition)?.end));
            }
        }
        for entry in &transaction.records {
            check_record_sizes(&entry.records, self.shared.settings.max_record_bytes)?;
            let bytes = entry.records.data_bytes();
            if bytes > MAX_ENTRY_BYTES {
                let reason = format!("{bytes} bytes for one partition pass {MAX_ENTRY_BYTES}");
                return Err(TopicError::Storage { action: "take the transaction", reason });
            }
        }
        let (mut offsets, mut batches) = (vec![], vec![]);
        for (entry, (topic, partition, end)) in transaction.records.iter().zip(places) {
            let end = ends.entry((topic, partition)).or_insert(end);
            let base = *end;
            offsets.push(base);
            if entry.records.is_empty() {
                continue;
            }
            *end = Offset(base.0 + entry.records.len() as i64);
            let cover = Cover { partition, base, next: *end, appended_ms: self.last_ms, flags: 0 };
            let records = entry.records.clone().with_base_offset(base);
            let (head, payload) = encode(&records, cover, self.shared.settings.compression);
            batches.push((topic, head, payload));
        }
        Ok((offsets, batches))
    }

    /// Seals the active segment, if it holds anything, and begins the next.
    fn roll(&mut self) -> Result<(), TopicError> {
        let shared = Arc::clone(&self.shared);
        if let Some(reason) = shared.health.lock().clone() {
            return Err(unwritable(reason));
        }
        let (old, batches) = {
            let state = shared.state.read();
            (Arc::clone(&state.active), state.active_batches())
        };
        let written = self.active.written.load(std::sync::atomic::Ordering::Acquire);
        if written <= super::frame::SEGMENT_HEADER_BYTES as u64 {
            return Ok(());
        }
        if let Err(error) = self.active.flush() {
            shared.poison(&error);
            return Err(unwritable(error.to_string()));
        }
        let storage = |error: std::io::Error| TopicError::storage("begin a segment of the log", &error);
        let (index, runs) = build_index(&old, written, batches);
        let index_name = format!("{:020}.index", old.number);
        replace_file(&shared.folder, &index_name, &index, false).map_err(storage)?;
        let next = Arc::new(Segment::new(&shared.folder, shared.next_segment_number()));
        let file = ActiveFile::create(&next, &next.path(), SegmentKind::Journal, shared.now_ms()).map_err(storage)?;
        sync_folder(&shared.folder).map_err(storage)?;
        self.active = Arc::new(file);
        *shared.active.lock() = Arc::clone(&self.active);
        shared.state.write().seal(runs, next, shared.now_ms());
        shared.wake_cleaner();
        Ok(())
    }
}

fn unwritable(reason: String) -> TopicError {
    TopicError::Storage { action: "write to the log", reason }
}

/// A panic in an answer is its owner's; the writer serves the others.
fn answer(done: OnCommit, outcome: CommitOutcome) {
    if catch_unwind(AssertUnwindSafe(|| done(outcome))).is_err() {
        tracing::error!("the receiver of a commit's answer panicked");
    }
}
