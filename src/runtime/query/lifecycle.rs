//! How a persistent query starts, pauses, changes its graph, stops, and what it says of itself.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::planner::OperatorGraph;
use crate::runtime::build::{self, Plan, Start};
use crate::runtime::counters::Counters;
use crate::runtime::environment::Environment;
use crate::runtime::pipeline::{Owner, SourceHandle};
use crate::runtime::positions::SourceKey;
use crate::runtime::processing_log::{Failed, ProcessingLogEntry};
use crate::runtime::scheduler::Task;
use crate::runtime::status::{QueryState, QueryStatus, SourceProgress};
use crate::runtime::{BuildError, Delivery, RuntimeError};
use crate::topics::{TopicError, TopicId, TopicInfo};
use crate::types::{Offset, Partition};

use super::control::{Control, Failure};
use super::{Query, QueryDefinition, TaskFailure};

impl Query {
    /// A query that goes on where the log says it was, and starts reading.
    ///
    /// # Errors
    /// Its graph cannot be run, or the log cannot be read.
    pub(in crate::runtime) fn start(
        env: &Arc<Environment>,
        definition: QueryDefinition,
    ) -> Result<Arc<Self>, RuntimeError> {
        let (durable, told_until) = env.last_epoch(&definition.id)?;
        let lane = env.next_lane();
        let query = Arc::new_cyclic(|me| Self {
            id: definition.id,
            env: Arc::clone(env),
            counters: Counters::default(),
            lane,
            me: Weak::clone(me),
            coordinator: parking_lot::Mutex::default(),
            control: parking_lot::Mutex::new(Control::new(
                definition.graph,
                definition.first_offsets,
                definition.delivery,
                definition.paused,
                durable.unwrap_or_default(),
                told_until,
            )),
            answer: parking_lot::Mutex::default(),
        });
        query.coordinate_anew();
        query.build(&mut query.control.lock())?;
        Ok(query)
    }

    /// Makes a pipeline from the durable positions.
    fn build(&self, control: &mut Control) -> Result<(), BuildError> {
        control.discard_pipeline();
        control.pipelines += 1;
        control.epoch = control.durable.epoch.next();
        let me = Weak::clone(&self.me);
        let owner: Weak<dyn Owner> = me;
        let mut replaced = 0;
        let mut start_of = |topic: &TopicInfo, key: SourceKey, first: Offset| {
            if let Some(position) = control.durable.positions.get(&key) {
                return Start { next: position.next, stream_time: position.stream_time, until: None };
            }
            let told = control.first_offsets.iter().find(|(name, ..)| *name == topic.name);
            let next = match told {
                Some((_, id, offsets)) if *id == topic.id => {
                    usize::try_from(key.partition.0).ok().and_then(|i| offsets.get(i)).copied().unwrap_or(first)
                }
                Some(_) => {
                    replaced += 1;
                    first
                }
                None => first,
            };
            Start { next, stream_time: None, until: None }
        };
        let pipeline = build::pipeline(
            &self.env,
            Plan {
                query: &self.id,
                graph: &control.graph,
                number: control.pipelines,
                lane: self.lane,
                owner,
                epoch: control.epoch,
                max_bytes: self.env.settings.epoch_max_bytes,
                paused: control.paused,
                careful: control.strikes > 0,
                skip: &control.skip,
                durable: Some(&control.durable),
                leaves_at_once: control.delivery.leaves_at_once(),
                opened: &control.opened,
                client: None,
            },
            &mut start_of,
        )?;
        if replaced > 0 {
            self.counters.topics_replaced.add(1);
            (self.env.processing_log)(ProcessingLogEntry {
                query: self.id.clone(),
                failed: Failed::Query,
                topic: None,
                partition: None,
                offset: None,
                message: "a source topic was created again: it is read from its beginning".to_owned(),
                row: None,
            });
        }
        control.dry = vec![false; pipeline.sources.len()];
        control.sources = pipeline.sources.iter().map(|source| (source.topic.clone(), source.key)).collect();
        let tasks = pipeline.tasks.clone();
        control.opened = pipeline.changelogs.iter().map(|(operator, log)| (operator.clone(), log.id)).collect();
        control.pipeline = Some(pipeline);
        tasks.iter().for_each(Task::wake);
        Ok(())
    }

    /// Makes a new pipeline after a failure or an unknown outcome.
    pub(super) fn rebuild(&self, control: &mut Control, me: &Arc<Task>) {
        if control.error.is_some() || control.stopped {
            return;
        }
        match self.build(control) {
            Ok(()) => {}
            // The log is away: that is no fault of the query's.
            Err(BuildError::Log(error @ TopicError::Unavailable { .. })) => {
                control.trouble = Some(error.to_string());
                let delay = self.env.settings.retry_backoff;
                control.restart_at = Some(self.env.scheduler.now() + delay);
                self.env.scheduler.wake_after(delay, me);
            }
            Err(error) => {
                control.fail(TaskFailure::of_no_record(error.to_string()));
                self.after_failure(control, me);
            }
        }
    }

    /// After an unknown outcome that is decided by now: asks the log what is durable.
    pub(super) fn read_durable(&self, control: &mut Control) -> Result<(), RuntimeError> {
        let (durable, told_until) = self.env.told_since(&self.id, control.told_until)?;
        control.told_until = told_until;
        if let Some(durable) = durable {
            self.counters.epochs.add(1);
            control.became_durable(durable);
        }
        Ok(())
    }

    /// Goes on with another graph once everything read so far is durable; with the old one if the new one cannot be
    /// built.
    pub(super) fn switch_graph(&self, control: &mut Control, me: &Arc<Task>) {
        if control.next_graph.is_none() {
            return;
        }
        if !control.is_settled() {
            if let Some(pipeline) = &control.pipeline {
                pipeline.set_paused(true);
            }
            return;
        }
        let Some((graph, delivery)) = control.next_graph.take() else { return };
        let previous = std::mem::replace(&mut control.graph, graph);
        let delivered = std::mem::replace(&mut control.delivery, delivery);
        if control.error.is_some() {
            // It runs when the query is resumed.
            return;
        }
        if let Err(error) = self.build(control) {
            control.refused_graph = Some(error.to_string());
            control.graph = previous;
            control.delivery = delivered;
            control.restart_at = Some(Duration::ZERO);
            me.wake();
        }
    }

    /// Asks for another graph; it runs from the end of the epoch under way on.
    pub(in crate::runtime) fn replace_graph(&self, graph: Arc<OperatorGraph>, delivery: Delivery) {
        let mut control = self.control.lock();
        control.next_graph = Some((graph, delivery));
        control.refused_graph = None;
        drop(control);
        self.wake();
    }

    /// True if the graph asked for last is the query's.
    ///
    /// # Errors
    /// It could not be built; the query goes on with the one before.
    pub(in crate::runtime) fn has_switched(&self) -> Result<bool, RuntimeError> {
        let control = self.control.lock();
        match control.refused_graph.clone() {
            Some(reason) => Err(RuntimeError::QueryFailed { query: self.id.clone(), reason }),
            None => Ok(control.next_graph.is_none()),
        }
    }

    /// Stops reading. What was read is committed.
    pub(in crate::runtime) fn pause(&self) {
        let mut control = self.control.lock();
        control.paused = true;
        if let Some(pipeline) = &control.pipeline {
            pipeline.set_paused(true);
        }
    }

    /// Never runs again. What is not yet handed over to the log is forgotten.
    pub(in crate::runtime) fn stop(&self) {
        let mut control = self.control.lock();
        control.stopped = true;
        control.discard_pipeline();
        control.restart_at = None;
        control.committing.take_if(|commit| commit.retry_at.is_some() || commit.awaits_output);
        control.outbox.forget();
        control.uncertain.take_if(|doubt| doubt.probe_at.is_some());
        drop(control);
        self.wake();
    }

    /// True if nothing is on its way to the log.
    pub(in crate::runtime) fn is_settled(&self) -> bool {
        let control = self.control.lock();
        control.is_settled() && self.answer.lock().is_empty()
    }

    /// True if the sources may stop: paused, and everything read is durable; or not running.
    pub(in crate::runtime) fn is_at_rest(&self) -> bool {
        let control = self.control.lock();
        let rests = match &control.pipeline {
            None => control.committing.is_none() && control.uncertain.is_none() && control.outbox.is_empty(),
            Some(_) => control.is_settled() && control.dry.iter().all(|dry| *dry),
        };
        rests && self.answer.lock().is_empty()
    }

    /// Has sources read on to these offsets at most.
    pub(in crate::runtime) fn limit_sources(&self, mut limit: impl FnMut(&str, Partition, Offset) -> Option<Offset>) {
        let control = self.control.lock();
        let Some(pipeline) = &control.pipeline else { return };
        for source in &pipeline.sources {
            let read = Offset(source.progress.read.load(Ordering::SeqCst));
            if let Some(limit) = limit(&source.topic, source.key.partition, read) {
                source.progress.limit.store(limit.0, Ordering::SeqCst);
            }
        }
        pipeline.wake_sources();
    }

    /// True if everything in the log (up to the sources' limits) is durably behind.
    ///
    /// # Errors
    /// The query is in ERROR, or the log cannot be read.
    pub(in crate::runtime) fn is_caught_up(&self) -> Result<bool, RuntimeError> {
        if !self.is_settled() {
            return Ok(false);
        }
        let control = self.control.lock();
        if let Some(failure) = &control.error {
            return Err(self.failed(failure));
        }
        if control.paused {
            return Ok(true);
        }
        let Some(pipeline) = &control.pipeline else { return Ok(control.stopped) };
        if !pipeline.restored.is_over() || !pipeline.is_quiet() {
            return Ok(false);
        }
        for source in &pipeline.sources {
            let partition = usize::try_from(source.key.partition.0).unwrap_or(0);
            let end = self.env.log.offsets(source.key.topic)?.get(partition).map_or(Offset(0), |range| range.end);
            let limit = Offset(source.progress.limit.load(Ordering::SeqCst));
            let read = Offset(source.progress.read.load(Ordering::SeqCst));
            if read < end.min(limit) {
                return Ok(false);
            }
        }
        Ok(control.is_settled())
    }

    /// While state is read back: rows read, and rows to read.
    pub(in crate::runtime) fn restoring(&self) -> Option<(u64, u64)> {
        self.control.lock().restoring()
    }

    fn failed(&self, failure: &Failure) -> RuntimeError {
        RuntimeError::QueryFailed { query: self.id.clone(), reason: failure.reason.clone() }
    }

    /// Whether the query runs.
    pub(in crate::runtime) fn state(&self) -> QueryState {
        state_of(&self.control.lock())
    }

    /// Where it is durably in the partitions that it reads; nothing before its first epoch.
    pub(in crate::runtime) fn durable_positions(&self) -> Vec<(TopicId, Partition, Offset)> {
        let control = self.control.lock();
        let positions = control.durable.positions.iter();
        positions.map(|(source, position)| (source.topic, source.partition, position.next)).collect()
    }

    /// What the query does, and has done. Asks nobody: where its topics end is told as it was last learned.
    pub(in crate::runtime) fn status(&self) -> QueryStatus {
        let control = self.control.lock();
        let state = state_of(&control);
        let mut ranges = BTreeMap::new();
        let read = |source: &SourceHandle| {
            let read = Offset(source.progress.read.load(Ordering::SeqCst));
            let durable = control.durable.positions.get(&source.key).map(|position| position.next);
            (source.topic.clone(), source.key, durable.unwrap_or(read))
        };
        let known: Vec<_> = match &control.pipeline {
            Some(pipeline) => pipeline.sources.iter().map(read).collect(),
            // While it does not run: where it would go on.
            None => control
                .sources
                .iter()
                .filter_map(|(topic, key)| Some((topic.clone(), *key, control.durable.positions.get(key)?.next)))
                .collect(),
        };
        let sources = known
            .into_iter()
            .map(|(topic, key, next)| {
                let range = ranges
                    .entry(key.topic)
                    .or_insert_with(|| self.env.log.known_offsets(key.topic).unwrap_or_default())
                    .get(usize::try_from(key.partition.0).unwrap_or(0))
                    .copied();
                let partition = key.partition;
                let (start, end) = range.map_or((next, next), |range| (range.start, range.end.max(next)));
                SourceProgress { topic, partition, start, next, end }
            })
            .collect();
        let pipeline = control.pipeline.as_ref();
        QueryStatus {
            state,
            restoring: control.restoring(),
            state_bytes: pipeline.map_or(0, |pipeline| pipeline.gate.state_bytes()),
            epoch: control.durable.epoch,
            refused_graph: control.refused_graph.clone(),
            trouble: control.trouble.clone(),
            sources,
            counters: self.counters.read(),
        }
    }

    /// How long to wait for a commit under way when a query stops.
    pub(in crate::runtime) const STOP_TIMEOUT: Duration = Duration::from_secs(10);
}

fn state_of(control: &Control) -> QueryState {
    match &control.error {
        Some(failure) => QueryState::Error {
            reason: failure.reason.clone(),
            topic: failure.at.as_ref().map(|place| place.topic.clone()),
            partition: failure.at.as_ref().map(|place| place.partition),
            offset: failure.at.as_ref().map(|place| place.offset),
        },
        None if control.paused => QueryState::Paused,
        None => QueryState::Running,
    }
}
