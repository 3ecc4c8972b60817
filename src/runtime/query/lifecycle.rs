//! How a persistent query starts, pauses, changes its graph, stops, and what it says of itself.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::planner::OperatorGraph;
use crate::planner::graph::Input;
use crate::runtime::asked::Asked;
use crate::runtime::build::{self, Found, Plan, Start};
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

use super::control::{Control, Failure, Preparing};
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
        {
            let mut control = query.control.lock();
            let found = Found::ask(env, &query.id, &control.graph, Some(&control.durable), &control.opened)?;
            query.build(&mut control, &found)?;
        }
        Ok(query)
    }

    /// Asks the log for all that a pipeline is made of; the coordinator is woken when it has answered. `previous` is what
    /// the query goes back to if it cannot be made.
    pub(super) fn prepare(
        &self,
        control: &mut Control,
        me: &Arc<Task>,
        previous: Option<(Arc<OperatorGraph>, Delivery)>,
    ) {
        if control.error.is_some() || control.stopped {
            return;
        }
        control.discard_pipeline();
        let (env, query, graph) = (Arc::clone(&self.env), self.id.clone(), Arc::clone(&control.graph));
        let (durable, opened) = (control.durable.clone(), control.opened.clone());
        let found = Asked::ask(&self.env.log, me, move |_| Found::ask(&env, &query, &graph, Some(&durable), &opened));
        control.preparing = Some(Preparing { found, previous });
    }

    /// Makes a pipeline from the durable positions.
    fn build(&self, control: &mut Control, found: &Found) -> Result<(), BuildError> {
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
                client: None,
            },
            found,
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

    /// Makes a new pipeline once the log has answered.
    pub(super) fn rebuild(&self, control: &mut Control, me: &Arc<Task>) {
        let Some(found) = control.preparing.as_ref().and_then(|preparing| preparing.found.take()) else { return };
        let previous = control.preparing.take().and_then(|preparing| preparing.previous);
        let built = found.and_then(|found| self.build(control, &found));
        match (built, previous) {
            (Ok(()), _) => {}
            (Err(error), Some((graph, delivery))) => {
                control.refused_graph = Some(error.to_string());
                (control.graph, control.delivery) = (graph, delivery);
                control.restart_at = Some(Duration::ZERO);
                me.wake();
            }
            // The log is away: that is no fault of the query's.
            (Err(BuildError::Log(error @ TopicError::Unavailable { .. })), None) => {
                control.trouble = Some(error.to_string());
                let delay = self.env.settings.retry_backoff;
                control.restart_at = Some(self.env.scheduler.now() + delay);
                self.env.scheduler.wake_after(delay, me);
            }
            (Err(error), None) => {
                control.fail(TaskFailure::of_no_record(error.to_string()));
                self.after_failure(control, me);
            }
        }
    }

    /// After an unknown outcome that is decided by now: asks the log what is durable. The coordinator is woken when it
    /// has answered.
    pub(super) fn read_durable(&self, control: &mut Control, me: &Arc<Task>) {
        let (env, query, from) = (Arc::clone(&self.env), self.id.clone(), control.told_until);
        if let Some(doubt) = &mut control.uncertain {
            doubt.told = Some(Asked::ask(&self.env.log, me, move |_| env.told_since(&query, from)));
        }
        me.wake();
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
        self.prepare(control, me, Some((previous, delivered)));
        self.rebuild(control, me);
    }

    /// A topic was given partitions. They are read from their beginnings, from the end of the epoch under way on; but a
    /// table's rows of one key may then lie in two of them, whose order nobody knows: such a query stops.
    pub(in crate::runtime) fn topic_grew(&self, topic: TopicId, partitions: usize) {
        let mut control = self.control.lock();
        let Some(pipeline) = &control.pipeline else { return };
        let mut read = pipeline.sources.iter().filter(|source| source.key.topic == topic && source.key.reader == 0);
        let Some(first) = read.next() else { return };
        let (name, before) = (first.topic.clone(), read.count() + 1);
        if before >= partitions {
            return;
        }
        let inputs = control.graph.stages.iter().flat_map(|stage| &stage.inputs);
        let mut tables = inputs.filter_map(|input| match input {
            Input::Source(source) if source.is_table => Some(&source.topic),
            _ => None,
        });
        if tables.any(|table| *table == name) {
            drop(control);
            let reason = format!(
                "topic {name} had {before} partitions and has {partitions}: rows of one key of the table may lie in two of \
                 them, and nobody knows which is the last. RESUME reads all of them"
            );
            tracing::error!(query_id = %self.id, reason, "query stopped");
            return self.stop_with(Failure::of_no_record(reason));
        }
        tracing::info!(query_id = %self.id, topic = name, before, partitions, "a topic was given more partitions");
        if control.next_graph.is_none() {
            control.next_graph = Some((Arc::clone(&control.graph), control.delivery));
        }
        drop(control);
        self.wake();
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
            None => {
                let is_under_way = control.preparing.as_ref().is_some_and(|preparing| preparing.previous.is_some());
                Ok(control.next_graph.is_none() && !is_under_way)
            }
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
        control.uncertain.take_if(|doubt| doubt.probe_at.is_some() || doubt.told.is_some());
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
        let number = pipeline.number;
        let sources: Vec<_> =
            pipeline.sources.iter().map(|source| (source.key, Arc::clone(&source.progress))).collect();
        // A cluster may take its time to answer, and the query needs the lock to go on.
        drop(control);
        let mut ends = BTreeMap::new();
        for (key, progress) in sources {
            let ends = match ends.entry(key.topic) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.env.log.offsets(key.topic)?),
            };
            let partition = usize::try_from(key.partition.0).unwrap_or(0);
            let end = ends.get(partition).map_or(Offset(0), |range| range.end);
            let limit = Offset(progress.limit.load(Ordering::SeqCst));
            let read = Offset(progress.read.load(Ordering::SeqCst));
            if read < end.min(limit) {
                return Ok(false);
            }
        }
        let control = self.control.lock();
        Ok(control.is_settled() && control.is_current(number))
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
