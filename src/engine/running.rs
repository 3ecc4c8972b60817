//! The engine's queries at work: what the runtime is told and asked.

use crate::catalog::QueryId;
use crate::telemetry::QueryMetrics;
use crate::types::Offset;

use super::command::QueryAction;
use super::database::Engine;
use super::entity::QueryErrorInfo;
use super::world::World;
use crate::topics::OffsetRange;

/// A push query that runs.
#[derive(Debug, Clone)]
pub(super) struct PushQuery {
    /// Its id.
    pub(super) id: String,
    /// Its text.
    pub(super) text: String,
}

/// The running queries.
#[derive(Debug, Default)]
pub(super) struct Running {}

impl Engine {
    /// Has the runtime do what a command says.
    pub(super) fn act(&self, action: &QueryAction, world: &World) {
        let _ = (action, world);
    }

    /// The state of a persistent query; `None` if the runtime does not know it.
    pub(super) fn query_state(&self, id: &QueryId) -> Option<String> {
        let _ = id;
        None
    }

    /// The latest failures of a persistent query.
    pub(super) fn query_errors(&self, id: &QueryId) -> Vec<QueryErrorInfo> {
        let _ = id;
        Vec::new()
    }

    /// Where a persistent query is: by topic, for each partition what it holds and what is read next.
    pub(super) fn query_positions(&self, id: &QueryId) -> Vec<(String, Vec<(OffsetRange, Offset)>)> {
        let _ = id;
        Vec::new()
    }

    /// The name ksqlDB gives to a query's consumer group.
    pub(super) fn consumer_group(&self, id: &QueryId) -> String {
        format!("_confluent-ksql-{}query_{id}", self.settings.service_id)
    }

    /// Counters of every query that lives, by query id.
    pub fn query_metrics(&self) -> Vec<QueryMetrics> {
        Vec::new()
    }

    /// The push queries that run.
    pub(super) fn push_queries(&self) -> Vec<PushQuery> {
        Vec::new()
    }

    /// True if a push query of this id runs.
    pub(super) fn has_push(&self, id: &str) -> bool {
        self.push_queries().iter().any(|push| push.id.eq_ignore_ascii_case(id))
    }

    /// Ends a push query; false if there is none of this id.
    pub fn close_query(&self, query_id: &str) -> bool {
        let _ = query_id;
        false
    }
}
