//! Retention and compaction, in the background, a bounded piece at a time.
//!
//! One pass: seal the active segment if it has grown old; let retention move the starts of partitions; compact the
//! partitions that gained enough new records; copy what is left in segments that are mostly dead; remove dead segments.
//! Readers and the writer go on meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use hashbrown::{HashMap, HashSet};

use super::manifest::Manifest;
use super::queue::Job;
use super::rewrite::Rewrite;
use super::segment::Run;
use super::shared::Shared;
use crate::topics::compaction::{LastOffsets, survivors};
use crate::topics::{TopicError, TopicId};
use crate::types::Partition;

/// The active segment is sealed at this age if retention could remove part of it, milliseconds.
const EXPIRED_AGE_MS: i64 = 10 * 60_000;
/// And at this age if there is anything cleaning may look at.
const OLD_AGE_MS: i64 = 60 * 60_000;
/// Fewer new bytes than this are not worth a compaction.
const LEAST_DIRTY_BYTES: u64 = 256 << 10;
/// Bytes of keys one compaction holds in memory; what is beyond is compacted next time.
const KEY_BYTES: usize = 64 << 20;

/// A sealed segment below this part of the full size is small.
const SMALL_PART: u64 = 8;
/// So many small segments are copied together.
const MANY_SMALL: usize = 16;

/// How hard a pass tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// What is worth it.
    Background,
    /// Everything that can go.
    Full,
}

impl Shared {
    /// Cleans at each turn until the log ends.
    pub(super) fn run_cleaner(&self) {
        while self.alarm.wait(self.settings.cleanup_interval) {
            if self.health.lock().is_none()
                && let Err(error) = self.clean(Effort::Background)
            {
                tracing::warn!(%error, "could not clean the log");
            }
        }
    }

    /// One pass.
    pub(super) fn clean(&self, effort: Effort) -> Result<(), TopicError> {
        let _one_at_a_time = self.cleaning.lock();
        let now_ms = self.now_ms();
        if effort == Effort::Full || self.active_is_old(now_ms) {
            let (sender, rolled) = mpsc::sync_channel(1);
            if self.queue.push(Job::Roll(sender)) {
                rolled.recv().unwrap_or(Ok(()))?;
            }
        }
        let storage = |error: io::Error| TopicError::storage("clean the log", &error);
        self.expire(now_ms).map_err(storage)?;
        let mut rewrite = None;
        for (topic, partition) in self.partitions_to_compact(effort) {
            if self.alarm.is_over() {
                return Ok(());
            }
            self.compact(topic, partition, now_ms, &mut rewrite).map_err(storage)?;
        }
        rewrite.take().map_or(Ok(()), Rewrite::finish).map_err(storage)?;
        self.copy_out_of_dying_segments().map_err(storage)?;
        self.remove_dead_segments().map_err(storage)
    }

    fn active_is_old(&self, now_ms: i64) -> bool {
        let state = self.state.read();
        let age_ms = now_ms.saturating_sub(state.active_since_ms);
        let mut partitions =
            state.topics.values().flat_map(|topic| topic.partitions.iter().map(|part| (&topic.info.config, part)));
        age_ms >= EXPIRED_AGE_MS
            && partitions.any(|(config, partition)| {
                let Some(last) = partition.active.last() else { return false };
                let retention_ms = config.retention_ms.filter(|_| config.cleanup.deletes());
                let is_expired = retention_ms.is_some_and(|ms| last.appended_ms < now_ms.saturating_sub(ms));
                let is_cleaned = retention_ms.is_some() || config.cleanup.compacts();
                is_expired || (age_ms >= OLD_AGE_MS && is_cleaned)
            })
    }

    /// Moves the starts of partitions past runs that are older than their retention.
    fn expire(&self, now_ms: i64) -> io::Result<()> {
        let _catalog = self.catalog.lock();
        let mut state = self.state.write();
        for topic in state.topics.values_mut() {
            let config = &topic.info.config;
            let Some(retention_ms) = config.retention_ms.filter(|_| config.cleanup.deletes()) else { continue };
            let horizon_ms = now_ms.saturating_sub(retention_ms);
            for partition in &mut topic.partitions {
                let expired = partition.runs.iter().take_while(|run| run.newest_ms < horizon_ms).count();
                if let Some(last) = partition.runs.drain(..expired).next_back() {
                    partition.start = last.end;
                    self.starts_unsaved.store(true, Ordering::Relaxed);
                }
            }
        }
        if !self.starts_unsaved.load(Ordering::Relaxed) {
            return Ok(());
        }
        let manifest = Manifest::of(&state);
        drop(state);
        manifest.write(&self.folder)?;
        self.starts_unsaved.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn partitions_to_compact(&self, effort: Effort) -> Vec<(TopicId, Partition)> {
        let state = self.state.read();
        let mut found = vec![];
        for (id, topic) in state.topics.iter().filter(|(_, topic)| topic.info.config.cleanup.compacts()) {
            for (number, partition) in (0..).zip(&topic.partitions) {
                let bytes = |compacted: bool| {
                    let runs = partition.runs.iter().filter(|run| run.is_compacted == compacted);
                    runs.map(|run| run.bytes).sum::<u64>()
                };
                let dirty = bytes(false);
                let is_worth_it = dirty >= LEAST_DIRTY_BYTES && dirty >= bytes(true);
                if is_worth_it || (effort == Effort::Full && !partition.runs.is_empty()) {
                    found.push((*id, Partition(number)));
                }
            }
        }
        found.sort_unstable();
        found
    }

    fn compact<'a>(
        &'a self,
        topic: TopicId,
        partition: Partition,
        now_ms: i64,
        rewrite: &mut Option<Rewrite<'a>>,
    ) -> io::Result<()> {
        let Ok(mut runs) = self.state.read().partition(topic, partition).map(|found| found.runs.clone()) else {
            return Ok(());
        };
        let mut last = LastOffsets::default();
        let mut noted = runs.len();
        for (i, run) in runs.iter().enumerate().filter(|(_, run)| !run.is_compacted) {
            for head in run.load_heads()? {
                last.note(&run.segment.read(&head)?);
            }
            if last.key_bytes() > KEY_BYTES {
                noted = i + 1;
                break;
            }
        }
        runs.truncate(noted);
        let retention_ms = i64::try_from(self.settings.delete_retention.as_millis()).unwrap_or(i64::MAX);
        let horizon_ms = now_ms.saturating_sub(retention_ms);
        self.rewrite(&runs, rewrite, |rewrite, run| {
            rewrite.add_run(run, true, |head, records| survivors(records, &last, head.appended_ms < horizon_ms))
        })
    }

    /// Segments of which less than half is alive are copied, so that the rest can go; many small ones become one.
    fn copy_out_of_dying_segments(&self) -> io::Result<()> {
        let (sealed, mut runs_of) = {
            let state = self.state.read();
            let mut runs_of: HashMap<u64, Vec<Arc<Run>>> = HashMap::new();
            for run in state.runs() {
                runs_of.entry(run.segment.number).or_default().push(Arc::clone(run));
            }
            (state.sealed.clone(), runs_of)
        };
        let (mut copied, mut small, mut small_segments) = (vec![], vec![], 0);
        for segment in sealed {
            segment.rest();
            let Some(runs) = runs_of.remove(&segment.number) else { continue };
            let length = std::fs::metadata(segment.path())?.len();
            if runs.iter().map(|run| run.framed_bytes()).sum::<u64>() * 2 < length {
                copied.extend(runs);
            } else if length < self.settings.segment_bytes / SMALL_PART {
                small.extend(runs);
                small_segments += 1;
            }
        }
        if small_segments >= MANY_SMALL {
            copied.extend(small);
        }
        copied.sort_by_key(|run| (run.topic, run.partition, run.start));
        let mut rewrite = None;
        self.rewrite(&copied, &mut rewrite, |rewrite, run| rewrite.add_run(run, run.is_compacted, |_, _| None))?;
        rewrite.map_or(Ok(()), Rewrite::finish)
    }

    /// Adds runs to the segment in the making, finishing it and beginning another where one is full.
    fn rewrite<'a>(
        &'a self,
        runs: &[Arc<Run>],
        rewrite: &mut Option<Rewrite<'a>>,
        add: impl Fn(&mut Rewrite<'a>, &Arc<Run>) -> io::Result<()>,
    ) -> io::Result<()> {
        for run in runs {
            if self.alarm.is_over() {
                return Ok(());
            }
            // The journal may have rolled since the rewrite began; what it replaces must have a lower number.
            let mut current = match rewrite.take() {
                Some(current) if current.number() > run.segment.number => current,
                Some(current) => {
                    current.finish()?;
                    Rewrite::begin(self)?
                }
                None => Rewrite::begin(self)?,
            };
            add(&mut current, run)?;
            if current.is_full() {
                current.finish()?;
            } else {
                *rewrite = Some(current);
            }
        }
        Ok(())
    }

    fn remove_dead_segments(&self) -> io::Result<()> {
        let dead = {
            let mut state = self.state.write();
            let alive: HashSet<u64> = state.runs().map(|run| run.segment.number).collect();
            let (alive, dead): (Vec<_>, Vec<_>) =
                std::mem::take(&mut state.sealed).into_iter().partition(|segment| alive.contains(&segment.number));
            state.sealed = alive;
            dead
        };
        for segment in dead {
            segment.remove()?;
        }
        Ok(())
    }
}
