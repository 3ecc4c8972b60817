//! SHOW QUERIES.

use std::collections::BTreeMap;

use crate::catalog::PersistentQuery;
use crate::engine::database::Engine;
use crate::engine::entity::{Body, QueryInfo};
use crate::engine::scope::{Outcome, Scope};
use crate::engine::world::World;

use super::explain::describe_query;

/// The persistent queries by id, then the push queries that run.
pub(super) fn show_queries(scope: &Scope<'_>, extended: bool) -> Outcome {
    let queries = scope.catalog().queries();
    Outcome::Answer(if extended {
        let query_descriptions =
            queries.filter_map(|query| describe_query(scope.engine, scope.world, &query.id)).collect();
        Body::QueryDescriptions { query_descriptions }
    } else {
        let mut queries: Vec<_> = queries.map(|query| query_info(scope.engine, scope.world, query)).collect();
        queries.extend(scope.engine.push_queries().iter().map(|push| describe_push(&push.id, &push.text)));
        Body::Queries { queries }
    })
}

/// A persistent query as lists show it.
pub(super) fn query_info(engine: &Engine, world: &World, query: &PersistentQuery) -> QueryInfo {
    let state = engine.query_state(&query.id).to_owned();
    let topics = world.catalog.source(&query.sink).map(|sink| sink.topic.clone());
    QueryInfo {
        query_string: query.sql.clone(),
        sinks: vec![query.sink.as_str().to_owned()],
        sink_kafka_topics: topics.into_iter().collect(),
        id: query.id.to_string(),
        status_count: BTreeMap::from([(state, 1)]),
        query_type: "PERSISTENT",
        state: engine.query_state_text(&query.id),
        query_errors: engine.query_errors(&query.id),
    }
}

/// A push query as lists show it.
pub(super) fn describe_push(id: &str, text: &str) -> QueryInfo {
    QueryInfo {
        query_string: text.to_owned(),
        sinks: Vec::new(),
        sink_kafka_topics: Vec::new(),
        id: id.to_owned(),
        status_count: BTreeMap::from([("RUNNING".to_owned(), 1)]),
        query_type: "PUSH",
        state: "RUNNING".to_owned(),
        query_errors: Vec::new(),
    }
}
