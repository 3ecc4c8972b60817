//! Shows other programs how far persistent queries have read: where the log can, now and then.
//!
//! What is shown is what is durable. A seeded run shows nothing: its timers have to come to an end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::catalog::QueryId;
use crate::topics::ReaderGroup;

use super::environment::Environment;
use super::scheduler::{Body, Ran, Task};

/// How often.
const INTERVAL: Duration = Duration::from_secs(3);

/// The consumer group of a query: ksqlDB's name for it, which tools and access rules of its users know.
pub fn group_name(service_id: &str, query: &QueryId) -> String {
    format!("_confluent-ksql-{service_id}query_{query}")
}

impl Environment {
    /// Begins to show groups, if the log can.
    pub(super) fn begin_to_show_groups(self: &Arc<Self>) {
        if self.log.shows_groups() && !self.scheduler.is_seeded() {
            let task = self.scheduler.task(self.next_lane(), Box::new(Showing(Arc::downgrade(self))));
            self.scheduler.wake_after(INTERVAL, &task);
        }
    }

    /// Hands the log where queries are.
    pub(super) fn show_groups(&self) {
        if !self.log.shows_groups() {
            return;
        }
        let queries: Vec<_> = self.queries.lock().values().cloned().collect();
        let groups = queries.iter().map(|query| ReaderGroup {
            name: group_name(&self.service_id, &query.id),
            positions: query.durable_positions(),
        });
        self.log.show_groups(groups.filter(|group| !group.positions.is_empty()).collect());
    }

    /// The query is no more.
    pub(super) fn forget_group(&self, query: &QueryId) {
        self.log.forget_group(&group_name(&self.service_id, query));
    }
}

/// Wakes itself again and again, as long as there are queries to come.
struct Showing(Weak<Environment>);

impl Body for Showing {
    fn step(&mut self, me: &Arc<Task>) -> Ran {
        let Some(env) = self.0.upgrade() else { return Ran::FINISHED };
        env.show_groups();
        env.scheduler.wake_after(INTERVAL, me);
        Ran::IDLE
    }

    fn panicked(&mut self, message: String) {
        tracing::error!(message, "consumer groups are not shown any more");
    }
}
