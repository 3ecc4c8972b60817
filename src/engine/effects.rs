//! What a command does outside of the catalog: topics and queries. Everything here may be done twice.

use crate::topics::{CleanupPolicy, TopicConfig, TopicError};

use super::command::{Command, DoomedTopic, NewTopic, QueryAction};
use super::database::{Engine, OpenError};
use super::running::chain;
use super::world::World;

impl Engine {
    /// Applies an appended command: makes its topics, changes the world, tells the queries, deletes topics.
    ///
    /// # Errors
    /// The log refused something. The command stays: what is missing is mended at the next start.
    pub(super) fn perform(&self, number: i64, command: &Command) -> Result<(), TopicError> {
        let topics = command.create_topics.iter().try_for_each(|topic| self.create_missing(topic));
        let mut world = World::clone(&self.world());
        world.apply(number, command);
        for action in &command.queries {
            self.act(action, &world);
        }
        self.set_world(world);
        self.forget_dropped_tables();
        topics?;
        let deleted = command.delete_topics.iter().try_for_each(|topic| self.delete_doomed(topic));
        if !command.delete_topics.is_empty() {
            self.forget_dropped_tables();
        }
        deleted
    }

    /// After a replay: makes what the world wants and a crash left undone, and starts all queries.
    pub(super) fn mend(&self, world: World) -> Result<(), OpenError> {
        for (name, config) in world.wanted_topics() {
            self.create_missing(&NewTopic { name: name.to_owned(), config: config.clone() })?;
        }
        for topic in world.doomed_topics() {
            self.delete_doomed(topic)?;
        }
        let world = world.settled();
        // A crash may have come between the command that dropped a query and its end.
        if let Err(error) = self.runtime.forget_all_but(&world.queries.keys().cloned().collect()) {
            tracing::warn!(error = %chain(&error), "what is left of dropped queries could not be removed");
        }
        for query in world.queries.values() {
            self.act(&QueryAction::Start(Box::new(query.as_ref().clone())), &world);
        }
        self.set_world(world);
        Ok(())
    }

    fn create_missing(&self, topic: &NewTopic) -> Result<(), TopicError> {
        match self.log.create_topic(&topic.name, &topic.config) {
            Ok(_) | Err(TopicError::TopicExists(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    fn delete_doomed(&self, topic: &DoomedTopic) -> Result<(), TopicError> {
        match self.log.topic(&topic.name)? {
            Some(found) if found.id == topic.id => match self.log.delete_topic(&topic.name) {
                Ok(()) | Err(TopicError::UnknownTopic(_)) => Ok(()),
                Err(other) => Err(other),
            },
            _ => Ok(()),
        }
    }
}

/// How a planned topic is made.
pub(super) fn topic_config(plan: &crate::planner::TopicPlan) -> TopicConfig {
    /// Kafka's default: a week.
    const DEFAULT_RETENTION_MS: i64 = 7 * 24 * 60 * 60 * 1000;
    let cleanup = match (plan.compacted, plan.retention_ms) {
        (true, Some(_)) => CleanupPolicy::CompactDelete,
        (true, None) => CleanupPolicy::Compact,
        (false, _) => CleanupPolicy::Delete,
    };
    let retention_ms = match (plan.compacted, plan.retention_ms) {
        (_, Some(retention)) if retention >= 0 => Some(retention),
        (_, Some(_)) | (true, None) => None,
        (false, None) => Some(DEFAULT_RETENTION_MS),
    };
    TopicConfig { partitions: plan.partitions, replicas: plan.replicas.max(1), cleanup, retention_ms }
}
