//! The changing half of a persistent query, behind one short lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::planner::OperatorGraph;
use crate::runtime::{BuildError, Delivery, RuntimeError};
use crate::topics::{PartitionRecords, TopicId, Transaction};
use crate::types::{Epoch, Offset};

use crate::runtime::asked::Asked;
use crate::runtime::build::Found;
use crate::runtime::pipeline::{Pipeline, Place, SourceHandle, TaskCapture, TaskFailure};
use crate::runtime::positions::{Durable, SourceKey};
use crate::runtime::processing_log::ProcessingLogEntry;

use super::outbox::Outbox;

/// A barrier under way.
pub(super) struct Closing {
    pub(super) epoch: Epoch,
    /// By task.
    pub(super) captures: Vec<Option<TaskCapture>>,
    pub(super) missing: usize,
}

/// An epoch's output, whole.
pub(super) struct Commit {
    pub(super) transaction: Transaction,
    /// Output of the epoch that leaves by itself is not durable yet: the transaction has to wait.
    pub(super) awaits_output: bool,
    /// Output that leaves once this is committed.
    pub(super) output: Vec<PartitionRecords>,
    /// What is durable once it is committed.
    pub(super) durable: Durable,
    /// Told once it is committed.
    pub(super) entries: Vec<ProcessingLogEntry>,
    pub(super) attempts: u32,
    pub(super) handed_over_at: Duration,
    /// When it is sent again, by the scheduler's time; `None` while the log has it.
    pub(super) retry_at: Option<Duration>,
}

/// A commit whose outcome nobody knows.
pub(super) struct Doubt {
    /// When to probe, by the scheduler's time; `None` while the log has the probe.
    pub(super) probe_at: Option<Duration>,
    /// Probes that were not committed.
    pub(super) probes: u32,
    /// Output that leaves if this epoch turns out to be committed.
    pub(super) output: Option<(Epoch, Vec<PartitionRecords>)>,
    /// The commit is decided: what the log says about it, and up to where.
    pub(super) told: Option<Asked<(Option<Durable>, Offset), RuntimeError>>,
}

impl Doubt {
    /// A doubt to be probed at once.
    pub(super) fn about(output: Option<(Epoch, Vec<PartitionRecords>)>) -> Self {
        Self { probe_at: Some(Duration::ZERO), probes: 0, output, told: None }
    }
}

/// A pipeline to be made.
pub(super) struct Preparing {
    /// What it is made of.
    pub(super) found: Asked<Found, BuildError>,
    /// The graph to go back to, if the query's graph was replaced by this.
    pub(super) previous: Option<(Arc<OperatorGraph>, Delivery)>,
}

/// Why a query stays in ERROR.
pub(super) type Failure = TaskFailure;

pub(super) struct Control {
    pub(super) graph: Arc<OperatorGraph>,
    pub(super) first_offsets: Vec<(String, TopicId, Vec<Offset>)>,
    pub(super) delivery: Delivery,
    /// The graph to go on with at the next epoch's end.
    pub(super) next_graph: Option<(Arc<OperatorGraph>, Delivery)>,
    /// Why the graph asked for last could not be built: the query goes on with the one before.
    pub(super) refused_graph: Option<String>,
    pub(super) paused: bool,
    /// It never runs again.
    pub(super) stopped: bool,
    /// It stays in ERROR until it is resumed.
    pub(super) error: Option<Failure>,

    pub(super) pipeline: Option<Pipeline>,
    /// What the last pipeline read, by topic name.
    pub(super) sources: Vec<(String, SourceKey)>,
    /// The next one, while the log is asked.
    pub(super) preparing: Option<Preparing>,
    /// The changelogs of the last pipeline, by operator.
    pub(super) opened: BTreeMap<String, TopicId>,
    /// Pipelines made so far.
    pub(super) pipelines: u64,
    /// The last epoch in the log, as far as known.
    pub(super) durable: Durable,
    /// Behind the record in the offsets topic that told `durable`.
    pub(super) told_until: Offset,
    /// Why the last commit did not go through; none after one that did.
    pub(super) trouble: Option<String>,
    /// A commit may or may not have been done: `durable` must be read from the log once that is decided.
    pub(super) uncertain: Option<Doubt>,

    /// The epoch that sources read.
    pub(super) epoch: Epoch,
    /// It has read something.
    pub(super) open: bool,
    pub(super) opened_at: Duration,
    /// By source: it waits for records.
    pub(super) dry: Vec<bool>,
    /// When all sources fell quiet, by the scheduler's time, if stream time then goes on by the clock.
    pub(super) quiet_since: Option<Duration>,
    pub(super) closing: Option<Closing>,
    pub(super) committing: Option<Commit>,
    /// Output that leaves before or behind its epoch's commit.
    pub(super) outbox: Outbox,
    /// Entries of the processing log, of epochs with an even and an odd number.
    pub(super) entries: [Vec<ProcessingLogEntry>; 2],

    /// Failures since the records to blame were last passed.
    pub(super) strikes: u32,
    /// The last failure.
    pub(super) failure: Option<Failure>,
    /// One past the last record that may be to blame for it, by source.
    pub(super) blamed: BTreeMap<SourceKey, Offset>,
    /// When a new pipeline is made, by the scheduler's time.
    pub(super) restart_at: Option<Duration>,
    /// Records that go to the processing log instead.
    pub(super) skip: BTreeSet<(String, i32, Offset)>,
}

impl Control {
    pub(super) fn new(
        graph: Arc<OperatorGraph>,
        first_offsets: Vec<(String, TopicId, Vec<Offset>)>,
        delivery: Delivery,
        paused: bool,
        durable: Durable,
        told_until: Offset,
    ) -> Self {
        Self {
            graph,
            first_offsets,
            delivery,
            next_graph: None,
            refused_graph: None,
            paused,
            stopped: false,
            error: None,
            pipeline: None,
            sources: Vec::new(),
            preparing: None,
            opened: BTreeMap::new(),
            pipelines: 0,
            epoch: durable.epoch.next(),
            durable,
            told_until,
            trouble: None,
            uncertain: None,
            open: false,
            opened_at: Duration::ZERO,
            dry: Vec::new(),
            quiet_since: None,
            closing: None,
            committing: None,
            outbox: Outbox::default(),
            entries: [Vec::new(), Vec::new()],
            strikes: 0,
            failure: None,
            blamed: BTreeMap::new(),
            restart_at: None,
            skip: BTreeSet::new(),
        }
    }

    /// True if `pipeline` is the one that counts.
    pub(super) fn is_current(&self, pipeline: u64) -> bool {
        self.pipeline.as_ref().is_some_and(|current| current.number == pipeline)
    }

    /// While state is read back: rows read, and rows to read.
    pub(super) fn restoring(&self) -> Option<(u64, u64)> {
        let pipeline = self.pipeline.as_ref().filter(|pipeline| !pipeline.restored.is_over())?;
        Some(pipeline.restored.read())
    }

    /// True if nothing is on its way to the log.
    pub(super) fn is_settled(&self) -> bool {
        !self.open
            && self.closing.is_none()
            && self.committing.is_none()
            && self.uncertain.is_none()
            && self.outbox.is_empty()
            && self.restart_at.is_none()
            && self.preparing.is_none()
    }

    /// Takes notice that a commit is to be handed over at `now`: what it had to wait for is through, or it is tried again.
    pub(super) fn take_due_commit(&mut self, now: Duration) -> bool {
        let Some(commit) = &mut self.committing else { return false };
        if commit.awaits_output {
            commit.awaits_output = self.outbox.has(commit.durable.epoch);
            return !commit.awaits_output;
        }
        commit.retry_at.take_if(|at| *at <= now).is_some()
    }

    /// Throws away all memory of what is not durable, and will be made again.
    pub(super) fn discard_pipeline(&mut self) {
        if self.delivery.leaves_at_once() {
            self.outbox.forget();
            self.committing.take_if(|commit| commit.awaits_output);
        }
        self.pipeline = None;
        self.preparing = None;
        self.closing = None;
        self.open = false;
        self.quiet_since = None;
        self.entries = [Vec::new(), Vec::new()];
    }

    /// The epoch is in the log.
    pub(super) fn became_durable(&mut self, durable: Durable) {
        self.durable = durable;
        self.trouble = None;
        // A source of which nothing is known is no longer read.
        let mut blamed = self.blamed.iter();
        let is_behind = |(source, until): (&SourceKey, &Offset)| {
            self.durable.positions.get(source).is_none_or(|position| position.next >= *until)
        };
        let passed = self.failure.is_some() && blamed.all(is_behind);
        if passed {
            self.strikes = 0;
            self.failure = None;
            self.blamed.clear();
        }
        if let Some(pipeline) = &self.pipeline {
            pipeline.gate.became_durable(self.durable.epoch);
            let was_careful = pipeline.gate.is_careful();
            if passed {
                pipeline.gate.end_care();
            }
            if was_careful {
                pipeline.wake_sources();
            }
        }
        let (durable, pipeline) = (&self.durable, &self.pipeline);
        self.skip.retain(|(topic, partition, offset)| {
            let source = pipeline.as_ref().and_then(|pipeline| {
                pipeline.sources.iter().find(|source| source.topic == *topic && source.key.partition.0 == *partition)
            });
            source.and_then(|source| durable.positions.get(&source.key)).is_none_or(|position| position.next <= *offset)
        });
    }

    /// The records that an epoch has read, if they are of one partition.
    pub(super) fn only_read(&self, epoch: &Durable) -> Option<Place> {
        self.only_until(|source| Some(epoch.positions.get(&source.key)?.next))
    }

    /// The records between the durable positions and `until`, if they are of one partition.
    fn only_until(&self, until: impl Fn(&SourceHandle) -> Option<Offset>) -> Option<Place> {
        let pipeline = self.pipeline.as_ref()?;
        let mut read = pipeline.sources.iter().filter_map(|source| {
            let until = until(source)?;
            let offset = self.durable.positions.get(&source.key).map_or(source.start, |position| position.next);
            let (topic, partition) = (source.topic.clone(), source.key.partition);
            (offset < until).then_some(Place { topic, partition, offset, until })
        });
        let place = read.next()?;
        read.next().is_none().then_some(place)
    }

    /// The pipeline failed. What it had read and is not durable is to blame, or less if more is known.
    pub(super) fn fail(&mut self, mut failure: Failure) {
        if failure.at.is_none() && failure.by_record {
            failure.at = self.only_until(|source| Some(source.given()));
        }
        if let Some(pipeline) = &self.pipeline {
            let all = pipeline.sources.iter().map(|source| (source.key, source.given()));
            self.blamed = match &failure.at {
                None => all.collect(),
                Some(place) => pipeline
                    .sources
                    .iter()
                    .filter(|source| source.topic == place.topic && source.key.partition == place.partition)
                    .map(|source| (source.key, place.until))
                    .collect(),
            };
        }
        self.discard_pipeline();
        self.strikes += 1;
        self.failure = Some(failure);
    }
}
