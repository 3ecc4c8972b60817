//! SHOW TOPICS.

use crate::diagnostics::Diagnostic;
use crate::engine::command::StoredQuery;
use crate::engine::entity::{Body, TopicDetails, TopicSummary};
use crate::engine::scope::{Outcome, Scope, storage};
use crate::topics::TopicInfo;

/// Beginnings of the names of internal topics: ours, and those that ksqlDB and Kafka would hide.
const HIDDEN_PREFIXES: &[&str] = &[
    "_thalweg-",
    "_confluent",
    "__confluent",
    "_schemas",
    "__consumer_offsets",
    "__transaction_state",
    "connect-configs",
    "connect-offsets",
    "connect-status",
];

/// True for topics that SHOW TOPICS leaves out.
pub(super) fn is_hidden(topic: &str) -> bool {
    HIDDEN_PREFIXES.iter().any(|prefix| topic.starts_with(prefix))
}

/// The topics by name; internal ones only with ALL.
pub(super) fn show_topics(scope: &Scope<'_>, all: bool, extended: bool) -> Result<Outcome, Diagnostic> {
    let topics = scope.engine.log.topics().map_err(|error| storage(&error))?;
    let shown = topics.into_values().filter(|topic| all || !is_hidden(&topic.name));
    Ok(Outcome::Answer(if extended {
        Body::KafkaTopicsExtended { topics: shown.map(|topic| details(scope, topic)).collect() }
    } else {
        let summary = |topic: TopicInfo| TopicSummary { replica_info: replica_info(&topic), name: topic.name };
        Body::KafkaTopics { topics: shown.map(summary).collect() }
    }))
}

fn details(scope: &Scope<'_>, topic: TopicInfo) -> TopicDetails {
    let reads = |query: &StoredQuery| query.first_offsets.iter().any(|(name, ..)| *name == topic.name);
    let readers = scope.world.queries.values().filter(|query| reads(query)).count();
    let partitions = usize::try_from(topic.config.partitions).unwrap_or_default();
    TopicDetails {
        replica_info: replica_info(&topic),
        consumer_count: readers * partitions,
        consumer_group_count: readers,
        name: topic.name,
    }
}

fn replica_info(topic: &TopicInfo) -> Vec<i32> {
    (0..topic.config.partitions).map(|_| i32::from(topic.config.replicas.max(1))).collect()
}
