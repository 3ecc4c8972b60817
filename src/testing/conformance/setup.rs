//! What exists before the first statement of a case: topics, and later the schemas of a registry.

use std::collections::BTreeMap;

use crate::sql;
use crate::sql::ast::{Literal, StatementKind};

use super::case::Case;

/// Partitions of a topic that no one gives a number to.
const DEFAULT_PARTITIONS: i32 = 4;

/// The topics to create, with partitions and replicas, by name.
pub(super) fn topics(case: &Case) -> BTreeMap<String, (i32, i16)> {
    let mut topics = BTreeMap::new();
    for topic in &case.topics {
        topics.insert(topic.name.clone(), (topic.partitions, topic.replicas));
    }
    for (name, partitions) in case.statements.iter().flat_map(|text| declared_topics(text)) {
        topics.entry(name).or_insert((partitions, 1));
    }
    for record in case.inputs.iter().chain(&case.outputs) {
        topics.entry(record.topic.clone()).or_insert((DEFAULT_PARTITIONS, 1));
    }
    topics
}

/// Topics of `CREATE STREAM|TABLE` statements with a column list. A statement that does not parse declares none.
fn declared_topics(text: &str) -> Vec<(String, i32)> {
    let Ok(statements) = sql::parse_statements(text) else { return Vec::new() };
    let mut topics = Vec::new();
    for statement in statements {
        let StatementKind::CreateSource(create) = statement.kind else { continue };
        if create.columns.is_empty() {
            continue;
        }
        let property = |name: &str| create.with.iter().find(|property| property.name.name.as_str() == name);
        let Some(Literal::String(topic)) = property("KAFKA_TOPIC").map(|property| &property.value) else { continue };
        let partitions = match property("PARTITIONS").map(|property| &property.value) {
            Some(Literal::Integer(partitions)) if *partitions > 0 => *partitions,
            _ => DEFAULT_PARTITIONS,
        };
        topics.push((topic.clone(), partitions));
    }
    topics
}
