//! A persistent query: its pipeline, its epochs, and what happens when something fails.
//!
//! ```text
//!   sources read epoch 8        ┐
//!   epoch 7: barrier on its way │ at most one of these two at a time
//!   epoch 7: committing         ┘
//!   epoch 6: durable
//! ```
//!
//! Invariants:
//! - an epoch's output leaves only when every task has captured it, as one transaction with the positions behind it
//!   (under the other guarantees before or after that: [`delivery`]);
//! - a barrier is asked for only when no other is under way and nothing is committing;
//! - a failure never undoes memory: it throws the pipeline away and makes one from the last durable positions;
//! - only a definite outcome moves these; after an unknown one they are read from the log.
//!
//! | outcome | then |
//! |---|---|
//! | committed | the epoch is durable |
//! | aborted, the log's trouble | the same transaction again, later |
//! | aborted, the transaction's trouble | a failure of this epoch |
//! | fenced | every query stops: another owns the service |
//! | unknown | a probe; once it is committed what came before it is decided: positions from the log, new pipeline |

mod control;
mod delivery;
mod failure;
mod lifecycle;
mod outbox;
mod quiet;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::catalog::QueryId;
use crate::planner::OperatorGraph;
use crate::topics::{CommitOutcome, PartitionRecords, TopicError, TopicId, Transaction};
use crate::types::{Epoch, EventTime, Offset};

use self::control::{Closing, Commit, Control, Doubt, Failure};
use super::counters::Counters;
use super::environment::Environment;
use super::pipeline::{Owner, SourceReport, TaskCapture, TaskFailure};
use super::positions::{self, Durable};
use super::processing_log::ProcessingLogEntry;
use super::scheduler::{Body, Ran, Task};
use super::{Delivery, Guarantee};

/// Entries of the processing log that an epoch keeps; more are only counted.
const MAX_ENTRIES: usize = 10_000;
/// What every query says once the log has fenced one of them.
const FENCED: &str = "another server owns the service";

/// A query to run: data of the command that created it.
#[derive(Debug, Clone)]
pub struct QueryDefinition {
    /// Id.
    pub id: QueryId,
    /// What to run.
    pub graph: Arc<OperatorGraph>,
    /// Where each partition of a source topic is read from by the first epoch. A topic that is not told, or of another
    /// incarnation, is read from its beginning.
    pub first_offsets: Vec<(String, TopicId, Vec<Offset>)>,
    /// How its output is delivered.
    pub delivery: Delivery,
    /// It waits for [`super::Runtime::resume`].
    pub paused: bool,
}

/// A persistent query.
pub(super) struct Query {
    // fixed
    pub(super) id: QueryId,
    pub(super) env: Arc<Environment>,
    pub(super) counters: Counters,
    lane: u64,
    me: Weak<Query>,
    // changing
    /// Another one after a panic.
    coordinator: Mutex<Option<Arc<Task>>>,
    control: Mutex<Control>,
    answer: Mutex<Answer>,
}

/// What the log said, apart from [`Control`]: the log's thread leaves it here without waiting.
#[derive(Default)]
struct Answer {
    /// Transactions handed over so far. Only the last one's outcome is waited for.
    asked: u64,
    outcome: Option<CommitOutcome>,
    /// The same for output that leaves by itself.
    asked_output: u64,
    of_output: Option<CommitOutcome>,
}

impl Answer {
    fn ask(&mut self) -> u64 {
        self.outcome = None;
        self.asked += 1;
        self.asked
    }

    fn answered(&mut self, asked: u64, outcome: CommitOutcome) {
        if self.asked == asked {
            self.outcome = Some(outcome);
        }
    }

    fn ask_output(&mut self) -> u64 {
        self.of_output = None;
        self.asked_output += 1;
        self.asked_output
    }

    fn output_answered(&mut self, asked: u64, outcome: CommitOutcome) {
        if self.asked_output == asked {
            self.of_output = Some(outcome);
        }
    }

    /// True if there is nothing that was not looked at.
    fn is_empty(&self) -> bool {
        self.outcome.is_none() && self.of_output.is_none()
    }
}

/// Runs [`Query::coordinate`].
struct Coordinator(Weak<Query>);

impl Body for Coordinator {
    fn step(&mut self, me: &Arc<Task>) -> Ran {
        match self.0.upgrade() {
            Some(query) => query.coordinate(me),
            None => Ran::FINISHED,
        }
    }

    fn panicked(&mut self, message: String) {
        if let Some(query) = self.0.upgrade() {
            query.give_up(format!("internal error: {message}"));
            query.coordinate_anew();
        }
    }
}

impl Query {
    fn coordinator(&self) -> Option<Arc<Task>> {
        self.coordinator.lock().clone()
    }

    /// Makes a new coordinator: the first, or after one that panicked, which never runs again.
    fn coordinate_anew(&self) {
        let task = self.env.scheduler.task(self.lane, Box::new(Coordinator(Weak::clone(&self.me))));
        *self.coordinator.lock() = Some(task);
        self.wake();
    }

    fn wake(&self) {
        if let Some(coordinator) = self.coordinator() {
            coordinator.wake_first();
        }
    }

    /// Everything that waits for somebody to do it.
    fn coordinate(&self, me: &Arc<Task>) -> Ran {
        let (outcome, of_output) = {
            let mut answer = self.answer.lock();
            (answer.outcome.take(), answer.of_output.take())
        };
        if let Some(outcome) = of_output {
            self.settle_output(outcome, me);
        }
        if let Some(outcome) = outcome {
            self.settle(outcome, me);
        }
        self.send_output();
        let now = self.env.scheduler.now();
        let mut control = self.control.lock();
        if control.stopped {
            drop(control);
            self.env.made_progress();
            return Ran::IDLE;
        }
        if control.take_due_commit(now) {
            drop(control);
            self.send();
            return Ran::AGAIN;
        }
        self.learn_durable(&mut control, me);
        let probe = control.uncertain.as_mut().is_some_and(|doubt| doubt.probe_at.take_if(|at| *at <= now).is_some());
        if probe {
            drop(control);
            self.hand_over(Transaction { records: vec![positions::probe(&self.env.offsets_topic)] });
            return Ran::AGAIN;
        }
        if control.committing.is_none()
            && control.uncertain.is_none()
            && !control.outbox.awaits_forgotten()
            && control.restart_at.take_if(|at| *at <= now).is_some()
        {
            self.prepare(&mut control, me, None);
        }
        self.rebuild(&mut control, me);
        self.switch_graph(&mut control, me);
        self.pass_quiet_time(&mut control, me);
        self.maybe_close(&mut control);
        drop(control);
        self.env.made_progress();
        Ran::IDLE
    }

    /// There is something in the epoch under way.
    fn open_epoch(&self, control: &mut Control) {
        control.open = true;
        control.opened_at = self.env.scheduler.now();
        if control.delivery.leaves_at_once()
            && let Some(coordinator) = self.coordinator()
        {
            // It ends by the clock: no source may have anything to report by then.
            let interval = control.delivery.epoch_interval(&self.env.settings);
            self.env.scheduler.wake_after(interval, &coordinator);
        }
    }

    /// Ends the epoch under way if it is time: sources dry, interval over, or full.
    fn maybe_close(&self, control: &mut Control) {
        if !control.open || control.closing.is_some() || control.committing.is_some() || control.restart_at.is_some() {
            return;
        }
        // What is behind durable offsets cannot be made again: no more of it than one epoch is kept.
        if control.delivery.guarantee == Guarantee::AtMostOnce && !control.outbox.is_empty() {
            return;
        }
        let Some(pipeline) = &control.pipeline else { return };
        let now = self.env.scheduler.now();
        // Where output has left already nobody waits for the epoch, unless the query is to come to rest.
        let may_wait = control.delivery.leaves_at_once() && !control.paused && control.next_graph.is_none();
        let is_due = (!may_wait && control.dry.iter().all(|dry| *dry))
            || now.saturating_sub(control.opened_at) >= control.delivery.epoch_interval(&self.env.settings)
            || pipeline.gate.is_full(control.epoch)
            // With care, each record has an epoch of its own: the one that cannot be written is known by it.
            || pipeline.gate.is_careful();
        if is_due {
            let epoch = control.epoch;
            pipeline.ask_barrier(epoch);
            let tasks = pipeline.tasks.len();
            control.closing = Some(Closing { epoch, captures: (0..tasks).map(|_| None).collect(), missing: tasks });
            control.epoch = epoch.next();
            control.open = false;
        }
    }

    /// Every task has captured: makes the epoch's transaction.
    fn assemble(&self, control: &mut Control, closing: Closing) {
        let mut positions = control.durable.positions.clone();
        let (mut records, mut output) = (Vec::new(), Vec::new());
        let mut stages = BTreeMap::new();
        let mut state_bytes = 0;
        for mut capture in closing.captures.into_iter().flatten() {
            output.append(&mut capture.output);
            records.append(&mut capture.state);
            state_bytes += capture.state_bytes;
            if let Some((stage, time)) = capture.stage_time {
                let latest = stages.entry(stage.to_string()).or_insert(time);
                *latest = time.max(*latest);
            }
            if let Some((source, position)) = capture.position {
                positions.insert(source, position);
            }
        }
        let mut changelogs = BTreeMap::new();
        if let Some(pipeline) = &control.pipeline {
            pipeline.gate.forget_bytes(closing.epoch, state_bytes);
            if pipeline.gate.take_refused() {
                pipeline.wake_sources();
            }
            changelogs = pipeline.changelogs.iter().map(|(operator, log)| (operator.clone(), log.id)).collect();
            // Positions of incarnations and topics that are no longer read would stay for ever.
            positions.retain(|key, _| pipeline.sources.iter().any(|source| source.key == *key));
        }
        let mut behind = Vec::new();
        match control.delivery.guarantee {
            Guarantee::ExactlyOnce => records.append(&mut output),
            Guarantee::AtLeastOnce => debug_assert!(output.is_empty(), "it has left before the capture"),
            Guarantee::AtMostOnce => behind = output,
        }
        let durable = Durable { epoch: closing.epoch, positions, stages, changelogs };
        let now = EventTime(self.env.clock.now_ms().max(0));
        let graph = control.graph.version;
        records.push(positions::record(&self.env.offsets_topic, &self.id, Some(&durable), graph, now));
        let entries = std::mem::take(&mut control.entries[parity(closing.epoch)]);
        control.committing = Some(Commit {
            transaction: Transaction { records },
            awaits_output: control.delivery.leaves_at_once() && control.outbox.has(closing.epoch),
            output: behind,
            durable,
            entries,
            attempts: 0,
            handed_over_at: self.env.scheduler.now(),
            retry_at: None,
        });
    }

    /// Hands the epoch over to the log, unless output has to be durable before.
    fn send(&self) {
        let transaction = {
            let mut control = self.control.lock();
            let Some(commit) = control.committing.as_mut().filter(|commit| !commit.awaits_output) else { return };
            commit.attempts += 1;
            commit.transaction.clone()
        };
        self.hand_over(transaction);
    }

    fn hand_over(&self, transaction: Transaction) {
        let asked = self.answer.lock().ask();
        let me = Weak::clone(&self.me);
        self.env.commit(&self.id, transaction, move |outcome| {
            let Some(query) = me.upgrade() else { return };
            query.answer.lock().answered(asked, outcome);
            query.wake();
        });
    }

    /// The log answered.
    fn settle(&self, outcome: CommitOutcome, me: &Arc<Task>) {
        let mut control = self.control.lock();
        if control.uncertain.is_some() {
            drop(control);
            return self.settle_probe(&outcome, me);
        }
        let Some(commit) = control.committing.take() else { return };
        match outcome {
            CommitOutcome::Committed(offsets) => {
                let took = self.env.scheduler.now().saturating_sub(commit.handed_over_at);
                self.counters.epochs.add(1);
                self.counters.commit_micros_sum.add_micros(took);
                self.counters.commit_micros_max.max_micros(took);
                if let Some(offset) = offsets.last() {
                    control.told_until = offset.next();
                }
                let epoch = commit.durable.epoch;
                control.became_durable(commit.durable);
                if !control.stopped {
                    control.outbox.put(epoch, commit.output);
                }
                drop(control);
                commit.entries.into_iter().for_each(|entry| (self.env.processing_log)(entry));
            }
            _ if control.stopped => {}
            CommitOutcome::Aborted(error) if is_passing(&error) => {
                self.counters.commits_aborted.add(1);
                control.trouble = Some(error.to_string());
                self.send_later(&mut control, commit, me);
            }
            CommitOutcome::Aborted(error) => {
                let at = control.only_read(&commit.durable);
                control.fail(TaskFailure { reason: format!("cannot write: {error}"), at, by_record: true });
                self.after_failure(&mut control, me);
            }
            CommitOutcome::Fenced => {
                drop(control);
                self.env.give_up(FENCED);
            }
            CommitOutcome::Unknown(reason) => {
                self.counters.commits_unknown.add(1);
                tracing::warn!(query_id = %self.id, %reason, "outcome of a commit is unknown, reading it from the log");
                control.discard_pipeline();
                control.trouble = Some(reason);
                control.uncertain = Some(Doubt::about(Some((commit.durable.epoch, commit.output))));
                me.wake();
            }
        }
    }

    /// The log answered a probe: once one is committed, every transaction handed over before it is decided.
    fn settle_probe(&self, outcome: &CommitOutcome, me: &Arc<Task>) {
        let mut control = self.control.lock();
        if control.stopped {
            control.uncertain = None;
            return;
        }
        match outcome {
            CommitOutcome::Committed(_) => self.read_durable(&mut control, me),
            CommitOutcome::Fenced => {
                drop(control);
                self.env.give_up(FENCED);
            }
            CommitOutcome::Aborted(_) | CommitOutcome::Unknown(_) => self.probe_later(&mut control, me),
        }
    }

    /// The log told what is durable.
    fn learn_durable(&self, control: &mut Control, me: &Arc<Task>) {
        let Some(told) = control.uncertain.as_mut().and_then(|doubt| doubt.told.take_if(|told| told.is_there())) else {
            return;
        };
        match told.take() {
            Some(Ok((durable, told_until))) => {
                control.told_until = told_until;
                if let Some(durable) = durable {
                    self.counters.epochs.add(1);
                    control.became_durable(durable);
                }
                let output = control.uncertain.take().and_then(|doubt| doubt.output);
                if let Some((epoch, output)) = output.filter(|(epoch, _)| *epoch <= control.durable.epoch) {
                    control.outbox.put(epoch, output);
                }
                control.restart_at = Some(Duration::ZERO);
                me.wake();
            }
            Some(Err(error)) => {
                tracing::warn!(query_id = %self.id, %error, "cannot read the log, trying again");
                self.probe_later(control, me);
            }
            None => {}
        }
    }

    fn probe_later(&self, control: &mut Control, me: &Arc<Task>) {
        if let Some(doubt) = &mut control.uncertain {
            doubt.probes += 1;
            let delay = backoff(self.env.settings.retry_backoff, doubt.probes);
            doubt.probe_at = Some(self.env.scheduler.now() + delay);
            self.env.scheduler.wake_after(delay, me);
        }
    }

    fn send_later(&self, control: &mut Control, mut commit: Commit, me: &Arc<Task>) {
        let delay = backoff(self.env.settings.retry_backoff, commit.attempts);
        commit.retry_at = Some(self.env.scheduler.now() + delay);
        control.committing = Some(commit);
        self.env.scheduler.wake_after(delay, me);
    }
}

impl Owner for Query {
    fn report(&self, pipeline: u64, report: SourceReport) {
        let mut control = self.control.lock();
        if !control.is_current(pipeline) {
            return;
        }
        control.dry[report.source] = report.dry;
        self.note_quiet(&mut control);
        if report.advanced && report.epoch == control.epoch && !control.open {
            self.open_epoch(&mut control);
        }
        self.maybe_close(&mut control);
        let is_settled = control.is_settled();
        drop(control);
        if is_settled {
            self.env.made_progress();
        }
    }

    fn leaves(&self, pipeline: u64, epoch: Epoch, records: Vec<PartitionRecords>) {
        let mut control = self.control.lock();
        if control.is_current(pipeline) {
            control.outbox.put(epoch, records);
            drop(control);
            self.send_output();
        }
    }

    fn captured(&self, pipeline: u64, capture: TaskCapture) {
        let mut control = self.control.lock();
        if !control.is_current(pipeline) {
            return;
        }
        let Some(mut closing) = control.closing.take() else { return };
        debug_assert_eq!(capture.epoch, closing.epoch, "one barrier at a time");
        let task = capture.task;
        closing.missing -= usize::from(closing.captures[task].is_none());
        closing.captures[task] = Some(capture);
        if closing.missing > 0 {
            control.closing = Some(closing);
            return;
        }
        let over = control.pipeline.as_ref().and_then(|pipeline| pipeline.gate.over_state_limit());
        if let Some(reason) = over {
            drop(control);
            tracing::error!(query_id = %self.id, reason, "query stopped");
            return self.stop_with(Failure::of_no_record(reason));
        }
        self.assemble(&mut control, closing);
        drop(control);
        self.send();
    }

    fn time_passed(&self, pipeline: u64, epoch: Epoch) {
        let mut control = self.control.lock();
        let has_state = control.pipeline.as_ref().is_some_and(|pipeline| !pipeline.changelogs.is_empty());
        if control.is_current(pipeline) && has_state && epoch == control.epoch && !control.open {
            self.open_epoch(&mut control);
            self.maybe_close(&mut control);
        }
    }

    fn failed(&self, pipeline: u64, failure: TaskFailure) {
        let mut control = self.control.lock();
        if control.is_current(pipeline)
            && let Some(me) = self.coordinator()
        {
            control.fail(failure);
            self.after_failure(&mut control, &me);
        }
    }

    fn log(&self, pipeline: u64, epoch: Epoch, entries: Vec<ProcessingLogEntry>) {
        let mut control = self.control.lock();
        if control.is_current(pipeline) {
            let kept = &mut control.entries[parity(epoch)];
            let room = MAX_ENTRIES.saturating_sub(kept.len());
            kept.extend(entries.into_iter().take(room));
        }
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }
}

fn parity(epoch: Epoch) -> usize {
    usize::from(epoch.0 % 2 == 1)
}

/// True if the same transaction may go through later.
fn is_passing(error: &TopicError) -> bool {
    matches!(error, TopicError::Storage { .. } | TopicError::Unavailable { .. } | TopicError::Overloaded { .. })
}

/// How long to rest after the `attempts`th failure.
fn backoff(first: Duration, attempts: u32) -> Duration {
    first * 2_u32.pow(attempts.saturating_sub(1).min(6))
}
