//! The engine's queries at work: what the runtime is told and asked.
//!
//! What the runtime refuses to start is not lost: it is remembered as a query in ERROR with the reason, and RESUME
//! tries again. A command stays what it is, whether its query can run at the moment or not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::catalog::{QueryId, Source};
use crate::runtime::{
    QueryCounters, QueryDefinition, QueryState, QueryStatus, Runtime, RuntimeError, SourceProgress, group_name,
};
use crate::telemetry::{KafkaMetrics, PartitionMetrics, QueryMetrics};

use super::command::{QueryAction, StoredQuery};
use super::database::Engine;
use super::entity::{PartitionOffsets, QueryErrorInfo};
use super::properties::delivery;
use super::world::World;

/// How long CREATE OR REPLACE waits for the old graph to finish what it has read.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(30);

/// A push query that runs.
#[derive(Debug, Clone)]
pub(super) struct PushText {
    /// Its id.
    pub(super) id: String,
    /// Its text.
    pub(super) text: String,
}

/// What the engine remembers of queries beside the runtime.
#[derive(Debug, Default)]
pub(super) struct Running {
    /// Why queries that should run could not be started.
    refused: Mutex<BTreeMap<QueryId, String>>,
    /// Texts of push queries; those that ended are forgotten when one starts.
    pushes: Mutex<BTreeMap<String, String>>,
}

impl Engine {
    /// The runtime, for those who look at single queries (test runners, simulation).
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// Waits until running queries have processed all that is in their topics, durably; false if one failed or it took
    /// longer. Paused queries are not waited for.
    pub fn wait_until_caught_up(&self, timeout: Duration) -> bool {
        self.runtime.wait_until_caught_up(None, timeout).is_ok() && self.wait_for_processing_log(timeout)
    }

    /// The persistent queries in ERROR, each with the reason.
    pub fn failed_queries(&self) -> Vec<(String, String)> {
        let world = self.world();
        world.queries.keys().filter_map(|id| Some((id.to_string(), self.failure(id)?))).collect()
    }

    /// Has the runtime do what a command says.
    pub(super) fn act(&self, action: &QueryAction, world: &World) {
        match action {
            QueryAction::Start(query) => self.start(query, world),
            QueryAction::Stop(id) => {
                self.running.refused.lock().remove(id);
                match self.runtime.stop_query(id) {
                    Ok(()) | Err(RuntimeError::UnknownQuery(_)) => {}
                    Err(error) => tracing::warn!(%id, error = %chain(&error), "stopping a query did not go smoothly"),
                }
            }
            QueryAction::Pause(id) => match self.runtime.pause(id) {
                Ok(()) | Err(RuntimeError::UnknownQuery(_)) => {}
                Err(error) => tracing::warn!(%id, error = %chain(&error), "a query could not be paused"),
            },
            QueryAction::Resume(id) => match self.runtime.resume(id) {
                Ok(()) => {}
                Err(RuntimeError::UnknownQuery(_)) => {
                    if let Some(query) = world.queries.get(id) {
                        self.start(query, world);
                    }
                }
                Err(error) => self.refuse(id, &error),
            },
        }
    }

    fn start(&self, query: &StoredQuery, world: &World) {
        let graph = Arc::new(query.graph.clone());
        let delivery = delivery(&query.properties);
        let runs = self.runtime.status(&query.id).is_ok();
        let started = if runs {
            self.runtime.replace_graph(&query.id, graph, delivery, SWITCH_TIMEOUT)
        } else {
            let paused = world.catalog.query(&query.id).is_some_and(|query| query.paused);
            let first_offsets = query.first_offsets.clone();
            self.runtime.start_query(QueryDefinition { id: query.id.clone(), graph, first_offsets, delivery, paused })
        };
        match started {
            Ok(()) => {
                self.running.refused.lock().remove(&query.id);
            }
            Err(error @ RuntimeError::TimedOut(_)) if runs => {
                // The command holds: the query goes on with the new graph as soon as the log lets it.
                self.running.refused.lock().remove(&query.id);
                tracing::warn!(id = %query.id, error = %chain(&error), "a query still runs its old graph");
            }
            Err(error) => self.refuse(&query.id, &error),
        }
    }

    fn refuse(&self, id: &QueryId, error: &RuntimeError) {
        let reason = chain(error);
        tracing::error!(%id, reason, "a query could not be started");
        self.running.refused.lock().insert(id.clone(), reason);
    }

    fn status_of(&self, id: &QueryId) -> Option<QueryStatus> {
        self.runtime.status(id).ok()
    }

    /// Why a persistent query is in ERROR; `None` if it is not.
    fn failure(&self, id: &QueryId) -> Option<String> {
        if let Some(reason) = self.running.refused.lock().get(id) {
            return Some(reason.clone());
        }
        let status = self.status_of(id)?;
        match status.state {
            QueryState::Error { reason, topic: Some(topic), partition: Some(partition), offset: Some(offset) } => {
                Some(format!("{reason} (topic {topic}, partition {partition}, offset {offset})"))
            }
            QueryState::Error { reason, .. } => Some(reason),
            QueryState::Running | QueryState::Paused => status.refused_graph,
        }
    }

    /// The state of a persistent query: RUNNING, PAUSED or ERROR.
    pub(super) fn query_state(&self, id: &QueryId) -> &'static str {
        if self.failure(id).is_some() {
            return "ERROR";
        }
        match self.runtime.state(id) {
            Ok(QueryState::Paused) => "PAUSED",
            Ok(QueryState::Running | QueryState::Error { .. }) | Err(_) => "RUNNING",
        }
    }

    /// The state of a persistent query as lists show it: with how far its state is read back, or why it waits.
    pub(super) fn query_state_text(&self, id: &QueryId) -> String {
        let state = self.query_state(id);
        let Some(status) = self.status_of(id).filter(|_| state == "RUNNING") else { return state.to_owned() };
        if let Some((read, rows)) = status.restoring {
            return format!("RESTORING ({read} of {rows} rows)");
        }
        // A commit under way has no answer yet while the log is in trouble.
        match status.trouble.or_else(|| self.log.trouble()) {
            Some(trouble) => format!("WAITING ({trouble})"),
            None => state.to_owned(),
        }
    }

    /// What readers of a table are to know: that its query does not run, so that its rows may be of an earlier time.
    pub(super) fn staleness(&self, table: &Source) -> Option<String> {
        let id = table.created_by.as_ref().filter(|_| table.is_table())?;
        let refused = self.running.refused.lock().get(id).cloned();
        let state = match (refused, self.runtime.state(id)) {
            (Some(reason), _) | (None, Ok(QueryState::Error { reason, .. })) => format!("is in ERROR: {reason}"),
            (None, Ok(QueryState::Paused)) => "is paused".to_owned(),
            (None, Ok(QueryState::Running) | Err(_)) => return None,
        };
        let name = &table.name;
        Some(format!("Table {name} stands still, for its query {id} {state}. RESUME {id} goes on with it."))
    }

    /// The latest failures of a persistent query.
    pub(super) fn query_errors(&self, id: &QueryId) -> Vec<QueryErrorInfo> {
        let timestamp = self.clock.now_ms();
        let failure = self.failure(id);
        failure.into_iter().map(|error_message| QueryErrorInfo { timestamp, error_message, kind: "UNKNOWN" }).collect()
    }

    /// Where a persistent query is, by topic.
    pub(super) fn query_positions(&self, id: &QueryId) -> BTreeMap<String, Vec<PartitionOffsets>> {
        let mut positions: BTreeMap<String, Vec<PartitionOffsets>> = BTreeMap::new();
        for source in self.status_of(id).map(|status| status.sources).unwrap_or_default() {
            positions.entry(source.topic).or_default().push(PartitionOffsets {
                partition: source.partition.0,
                log_start_offset: source.start.0,
                log_end_offset: source.end.0,
                consumer_offset: source.next.0,
            });
        }
        positions
    }

    /// The name ksqlDB gives to a query's consumer group.
    pub(super) fn consumer_group(&self, id: &QueryId) -> String {
        group_name(&self.settings.service_id, id)
    }

    /// Counters of every query that lives, by query id.
    pub fn query_metrics(&self) -> Vec<QueryMetrics> {
        let world = self.world();
        let mut metrics: Vec<_> = world
            .queries
            .keys()
            .map(|id| {
                let status = self.status_of(id);
                let counters = status.as_ref().map(|status| status.counters).unwrap_or_default();
                let state_bytes = status.as_ref().map_or(0, |status| status.state_bytes as u64);
                let (restored_rows, restore_rows) = status.as_ref().and_then(|it| it.restoring).unwrap_or_default();
                let sources = status.map(|status| status.sources).unwrap_or_default();
                let lag = sources.iter().map(SourceProgress::lag).sum();
                let partitions = sources.into_iter().map(of_source).collect();
                let state = match self.query_state(id) {
                    "RUNNING" if restore_rows > 0 => "RESTORING",
                    state => state,
                };
                let counted = of_counters(id.to_string(), state, false, &counters);
                QueryMetrics { lag, partitions, state_bytes, restored_rows, restore_rows, ..counted }
            })
            .collect();
        let pushes = self.runtime.pushes();
        metrics.extend(pushes.into_iter().map(|push| QueryMetrics {
            state_bytes: push.state_bytes as u64,
            ..of_counters(push.id, "RUNNING", true, &push.counters)
        }));
        metrics
    }

    /// What the clients of the Kafka cluster do; `None` without one.
    pub fn kafka_metrics(&self) -> Option<KafkaMetrics> {
        self.log.kafka_metrics()
    }

    /// The push queries that run, by id.
    pub(super) fn push_queries(&self) -> Vec<PushText> {
        let texts = self.running.pushes.lock();
        let mut found: Vec<_> = self
            .runtime
            .pushes()
            .into_iter()
            .map(|push| PushText { text: texts.get(&push.id).cloned().unwrap_or_default(), id: push.id })
            .collect();
        found.sort_by(|left, right| left.id.cmp(&right.id));
        found
    }

    /// Remembers the text of a push query that starts.
    pub(super) fn remember_push(&self, id: &str, text: &str) {
        let live: Vec<_> = self.runtime.pushes().into_iter().map(|push| push.id).collect();
        let mut texts = self.running.pushes.lock();
        texts.retain(|known, _| live.contains(known));
        texts.insert(id.to_owned(), text.to_owned());
    }

    /// The id, as it was given, of the push query of this name, if it runs. TERMINATE upper-cases names.
    pub(super) fn find_push(&self, id: &str) -> Option<String> {
        let pushes = self.runtime.pushes().into_iter().map(|push| push.id);
        pushes.chain(self.ad_hoc.running()).find(|known| known.eq_ignore_ascii_case(id))
    }

    /// Ends a push query; false if there is none of this id.
    pub fn close_query(&self, query_id: &str) -> bool {
        self.find_push(query_id).is_some_and(|id| self.runtime.end_push(&id) || self.ad_hoc.end(&id))
    }
}

fn of_source(source: SourceProgress) -> PartitionMetrics {
    let lag = source.lag();
    let SourceProgress { topic, partition, next, .. } = source;
    PartitionMetrics { topic, partition: partition.0, position: next.0, lag }
}

fn of_counters(query_id: String, state: &str, is_push: bool, counters: &QueryCounters) -> QueryMetrics {
    QueryMetrics {
        query_id,
        state: state.to_owned(),
        is_push,
        records_in: counters.records_in,
        records_out: counters.records_out,
        bytes_in: counters.bytes_in,
        bytes_out: counters.bytes_out,
        batches: counters.batches,
        epochs: counters.epochs,
        commit_seconds: Duration::from_micros(counters.commit_micros_sum).as_secs_f64(),
        commits_aborted: counters.commits_aborted,
        commits_unknown: counters.commits_unknown,
        lag: 0,
        partitions: Vec::new(),
        record_errors: counters.bad_records,
        failures: counters.failures,
        late_rows: counters.late_rows,
        state_bytes: 0,
        restored_rows: 0,
        restore_rows: 0,
    }
}

/// An error and its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
