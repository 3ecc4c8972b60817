//! Which path leads to which handler.

use axum::Router;
use axum::routing::{get, post};

use super::doors::Doors;
use super::{consume, health, inserts, produce, queries};

/// The routes of the API.
pub fn router(doors: Doors) -> Router {
    Router::new()
        .route("/ksql", post(queries::statements))
        .route("/ksql/terminate", post(queries::terminate))
        .route("/query", post(queries::old_query))
        .route("/query-stream", post(queries::query_stream))
        .route("/inserts-stream", post(inserts::inserts_stream))
        .route("/v3/clusters/{cluster}/topics/{topic}/records", post(produce::produce))
        .route("/v1/topics/{topic}/records", get(consume::consume))
        .route("/close-query", post(queries::close_query))
        .route("/", get(health::root))
        .route("/info", get(health::info))
        .route("/healthcheck", get(health::healthcheck))
        .route("/chc/live", get(health::live))
        .route("/chc/ready", get(health::ready))
        .route("/status", get(health::statuses))
        .route("/status/{kind}/{entity}/{action}", get(health::status))
        .route("/is_valid_property/{name}", get(health::is_valid_property))
        .route("/v1/metadata", get(health::metadata))
        .route("/v1/metadata/id", get(health::metadata_id))
        .route("/clusterStatus", get(health::no_heartbeats))
        .route("/heartbeat", post(health::no_heartbeats))
        .route("/lag", post(health::no_heartbeats))
        .route("/metrics", get(health::metrics))
        .fallback(health::not_found)
        .with_state(doors)
}
