//! A push query: a pipeline without epochs, whose rows go to a client batch by batch.
//!
//! It reads committed records only, keeps nothing, and ends with its client, its LIMIT, or a failure. A bounded scan
//! (a pull query on a stream) is a push query that reads to the ends it saw at its start; a barrier behind its last
//! rows tells when they have gone through all stages. State is in memory alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio::sync::mpsc::Sender;

use crate::catalog::QueryId;
use crate::diagnostics::{Code, Diagnostic};
use crate::planner::OperatorGraph;
use crate::planner::graph::Input;
use crate::topics::{PartitionRecords, TopicId, TopicInfo};
use crate::types::{Epoch, Offset};

use super::RowEvent;
use super::RuntimeError;
use super::build::{self, Found, Plan, Start};
use super::client::{Client, Pump};
use super::counters::Counters;
use super::environment::Environment;
use super::pipeline::{Owner, Pipeline, SourceReport, TaskCapture, TaskFailure};
use super::positions::SourceKey;
use super::processing_log::ProcessingLogEntry;
use super::scheduler::Task;
use super::status::PushStatus;

/// Where a push query starts to read streams. Tables are always read from their beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushStart {
    /// At the first record that is retained.
    Earliest,
    /// Behind the last record.
    Latest,
}

/// A push query to run.
#[derive(Debug)]
pub struct PushDefinition {
    /// Id, unique among push queries that run.
    pub id: String,
    /// What to run; its last stage's output is [`crate::planner::graph::Output::Rows`].
    pub graph: Arc<OperatorGraph>,
    /// Where to start.
    pub start: PushStart,
    /// Read to the ends that the topics have now, then complete.
    pub until_end: bool,
    /// Rows after which the query is complete.
    pub limit: Option<u64>,
    /// Takes the events; bounded. Dropping the receiver ends the query.
    pub events: Sender<RowEvent>,
}

/// A running push query.
pub(super) struct PushQuery {
    // fixed
    id: String,
    env: Arc<Environment>,
    counters: Counters,
    client: Arc<Client>,
    /// It reads what there was when it began.
    until_end: bool,
    pump: OnceLock<Arc<Task>>,
    // changing
    control: Mutex<Control>,
}

#[derive(Default)]
struct Control {
    pipeline: Option<Pipeline>,
    /// Tasks that have not yet told that everything has gone through them.
    running: usize,
}

impl PushQuery {
    /// Starts a push query and enters it among those that run.
    ///
    /// # Errors
    /// Its graph cannot be run, or the log cannot be read.
    pub(super) fn start(env: &Arc<Environment>, definition: PushDefinition) -> Result<(), RuntimeError> {
        let sources: Vec<_> = definition.graph.stages.iter().flat_map(|stage| &stage.inputs).collect();
        let tables = sources.iter().filter_map(|input| match input {
            Input::Source(source) if source.is_table => Some(source.topic.clone()),
            Input::Source(_) | Input::Exchange { .. } => None,
        });
        let tables: BTreeSet<String> = tables.collect();
        let is_table = !tables.is_empty();
        let client = Arc::new(Client::new(env.settings.push_queue_batches, definition.limit, is_table));
        let query = Arc::new(Self {
            id: definition.id.clone(),
            env: Arc::clone(env),
            counters: Counters::default(),
            client: Arc::clone(&client),
            until_end: definition.until_end,
            pump: OnceLock::new(),
            control: Mutex::default(),
        });
        let lane = env.next_lane();
        let ended: Box<dyn FnOnce() + Send> = {
            let query = Arc::downgrade(&query);
            Box::new(move || {
                if let Some(query) = query.upgrade() {
                    query.end();
                }
            })
        };
        let pump = Pump::new(Arc::clone(&client), definition.events, ended);
        let pump = env.scheduler.task(lane, Box::new(pump));
        client.pumped_by(&pump);
        query.pump.get_or_init(|| Arc::clone(&pump));
        let owner = Arc::downgrade(&query);
        let owner: Weak<dyn Owner> = owner;
        let none = BTreeMap::new();
        let found = Found::ask(env, &QueryId(definition.id.clone()), &definition.graph, None, &none)?;
        let mut start_of = |topic: &TopicInfo, key: SourceKey, first: Offset| {
            let end = found.end(&topic.name, key.partition).unwrap_or(first);
            let starts_late = definition.start == PushStart::Latest && !tables.contains(&topic.name);
            let next = if starts_late { end } else { first };
            Start { next, stream_time: None, until: definition.until_end.then_some(end) }
        };
        // An append may wake a task before the pipeline is whole: until then whoever ends waits for this lock. The query
        // is known before, so that its end finds it.
        env.pushes.lock().insert(definition.id.clone(), Arc::clone(&query));
        let mut control = query.control.lock();
        let built = build::pipeline(
            env,
            Plan {
                query: &QueryId(definition.id.clone()),
                graph: &definition.graph,
                number: 0,
                lane,
                owner,
                epoch: Epoch(1),
                max_bytes: usize::MAX,
                paused: false,
                careful: false,
                skip: &BTreeSet::new(),
                durable: None,
                leaves_at_once: false,
                client: Some(&client),
            },
            &found,
            &mut start_of,
        );
        let pipeline = match built {
            Ok(pipeline) => pipeline,
            Err(error) => {
                drop(control);
                env.pushes.lock().remove(&definition.id);
                return Err(error.into());
            }
        };
        let sources: Vec<_> = pipeline.sources.iter().map(|source| Arc::clone(&source.task)).collect();
        *control = Control { running: pipeline.tasks.len(), pipeline: Some(pipeline) };
        drop(control);
        if definition.limit == Some(0) {
            client.finish(RowEvent::LimitReached);
        }
        pump.wake();
        sources.iter().for_each(|task| task.wake());
        Ok(())
    }

    /// Ends the query: its client sees the events stop.
    pub(super) fn end(&self) {
        let pipeline = self.control.lock().pipeline.take();
        drop(pipeline);
        self.env.pushes.lock().remove(&self.id);
        self.client.abandon();
        self.env.forget_dead_readers();
        self.env.made_progress();
    }

    /// True if everything in the log was read and handed to the client.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) fn is_caught_up(&self) -> Result<bool, RuntimeError> {
        let control = self.control.lock();
        let Some(pipeline) = &control.pipeline else { return Ok(true) };
        for source in &pipeline.sources {
            let partition = usize::try_from(source.key.partition.0).unwrap_or(0);
            let end = self.env.log.offsets(source.key.topic)?.get(partition).map_or(Offset(0), |range| range.end);
            if source.progress.read.load(std::sync::atomic::Ordering::SeqCst) < end.0 {
                return Ok(false);
            }
        }
        Ok(pipeline.is_quiet() && self.client.is_empty())
    }

    /// A topic was given partitions that the query does not read: what it gives is no longer all there is.
    pub(super) fn topic_grew(&self, topic: TopicId, partitions: usize) {
        let name = {
            let control = self.control.lock();
            let Some(pipeline) = control.pipeline.as_ref().filter(|_| !self.until_end) else { return };
            let mut read = pipeline.sources.iter().filter(|source| source.key.topic == topic && source.key.reader == 0);
            let Some(first) = read.next() else { return };
            if read.count() + 1 >= partitions {
                return;
            }
            first.topic.clone()
        };
        let message = format!("topic {name} was given more partitions: it has {partitions} now");
        let hint = "Start the query again: it reads all of them.";
        self.client.finish(RowEvent::Failed(Diagnostic::new(Code::Internal, message).with_hint(hint)));
    }

    /// What the query has done, and what it holds.
    pub(super) fn status(&self) -> PushStatus {
        let state_bytes = self.control.lock().pipeline.as_ref().map_or(0, |pipeline| pipeline.gate.state_bytes());
        PushStatus { id: self.id.clone(), state_bytes, counters: self.counters.read() }
    }
}

impl Owner for PushQuery {
    fn report(&self, _pipeline: u64, report: SourceReport) {
        if report.dry {
            self.env.made_progress();
        }
    }

    /// The only barrier of a query that reads to an end comes behind its last row.
    fn captured(&self, _pipeline: u64, _capture: TaskCapture) {
        let mut control = self.control.lock();
        control.running = control.running.saturating_sub(1);
        if control.running == 0 {
            self.client.finish(RowEvent::Completed);
        }
    }

    /// Rows go to the client, not through here.
    fn leaves(&self, _pipeline: u64, _epoch: Epoch, _records: Vec<PartitionRecords>) {}

    fn time_passed(&self, _pipeline: u64, _epoch: Epoch) {}

    fn failed(&self, _pipeline: u64, failure: TaskFailure) {
        let mut message = Diagnostic::new(Code::Internal, failure.reason);
        if let Some(place) = failure.at {
            message = message.with_detail(format!(
                "The query failed on partition {} offset {} of topic {}.",
                place.partition, place.offset, place.topic
            ));
        }
        self.counters.failures.add(1);
        self.client.finish(RowEvent::Failed(message));
    }

    fn log(&self, _pipeline: u64, _epoch: Epoch, entries: Vec<ProcessingLogEntry>) {
        entries.into_iter().for_each(|entry| (self.env.processing_log)(entry));
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }
}
