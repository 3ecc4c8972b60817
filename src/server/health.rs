//! The small endpoints: who the server is, how it does, what became of commands, which properties exist, metrics.

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::doors::Doors;
use super::refusal::{Refusal, number};
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::EngineHealth;
use crate::telemetry;

/// The ksqlDB version whose API this is: clients compare it with their own.
const KSQLDB_VERSION: &str = "0.29.0";

/// A JSON body.
pub(super) fn json_response<T: Serialize>(body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => ([(CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => {
            Refusal::from(Diagnostic::new(Code::Internal, format!("answer cannot be written: {error}"))).into_response()
        }
    }
}

/// `GET /`.
pub(super) async fn root() -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/info")]).into_response()
}

/// `GET /info`.
pub(super) async fn info(State(doors): State<Doors>) -> Result<Response, Refusal> {
    if let Some(owner) = doors.standby() {
        return Ok(json_response(&json!({ "KsqlServerInfo": {
            "version": KSQLDB_VERSION,
            "serverStatus": "STANDBY",
            "standbyOf": owner,
            "thalwegVersion": env!("CARGO_PKG_VERSION"),
        }})));
    }
    let (info, health) = doors.call(|engine| (engine.info(), engine.health())).await?;
    let status = if is_healthy(&health) { "RUNNING" } else { "DEGRADED" };
    Ok(json_response(&json!({ "KsqlServerInfo": {
        "version": KSQLDB_VERSION,
        "kafkaClusterId": info.cluster_id,
        "ksqlServiceId": info.service_id,
        "serverStatus": status,
        "thalwegVersion": env!("CARGO_PKG_VERSION"),
    }})))
}

/// `GET /healthcheck`.
pub(super) async fn healthcheck(State(doors): State<Doors>) -> Result<Response, Refusal> {
    if let Some(owner) = doors.standby() {
        // Not ill: it does what a standby does. `/chc/ready` refuses.
        return Ok(json_response(&json!({
            "isHealthy": true,
            "details": { "ownership": { "isHealthy": true, "standbyOf": owner } },
            "serverState": "STANDBY",
        })));
    }
    let health = doors.call(|engine| engine.health()).await?;
    let part = |is_healthy: bool| json!({ "isHealthy": is_healthy });
    let mut details = json!({
        "metastore": part(health.metastore),
        "kafka": part(health.log),
        "commandRunner": part(health.commands),
    });
    if let Some(trouble) = &health.trouble {
        details["kafka"]["reason"] = json!(trouble);
    }
    if let Some(reason) = &health.lost {
        details["ownership"] = json!({ "isHealthy": false, "reason": reason });
    }
    if let Some(restoring) = &health.restoring {
        // Not ill: queries go on once their state is read back.
        details["restore"] = json!({
            "isHealthy": true,
            "queries": restoring.queries,
            "rowsRead": restoring.rows_read,
            "rows": restoring.rows,
        });
    }
    Ok(json_response(&json!({
        "isHealthy": is_healthy(&health),
        "details": details,
        "serverState": "READY",
    })))
}

fn is_healthy(health: &EngineHealth) -> bool {
    health.metastore && health.log && health.commands && health.lost.is_none()
}

/// `GET /chc/live`: the process serves.
pub(super) async fn live() -> Response {
    json_response(&json!({}))
}

/// `GET /chc/ready`: requests are let in.
pub(super) async fn ready(State(doors): State<Doors>) -> Result<Response, Refusal> {
    doors.engine()?;
    Ok(json_response(&json!({})))
}

/// `GET /status`.
pub(super) async fn statuses(State(doors): State<Doors>) -> Result<Response, Refusal> {
    let statuses = doors.call(|engine| engine.command_statuses()).await?;
    let words: Map<String, Value> =
        statuses.into_iter().map(|(id, mut status)| (id, status["status"].take())).collect();
    Ok(json_response(&json!({ "commandStatuses": words })))
}

/// `GET /status/{type}/{entity}/{action}`.
pub(super) async fn status(
    State(doors): State<Doors>,
    Path((kind, entity, action)): Path<(String, String, String)>,
) -> Result<Response, Refusal> {
    let id = format!("{kind}/{entity}/{action}");
    match doors.call(move |engine| engine.command_status(&id)).await? {
        Some(status) => Ok(json_response(&status)),
        None => Err(Refusal::new(number::NOT_FOUND, &Diagnostic::new(Code::UnknownQuery, "Command not found"))),
    }
}

/// `GET /is_valid_property/{name}`.
pub(super) async fn is_valid_property(
    State(doors): State<Doors>,
    Path(name): Path<String>,
) -> Result<Response, Refusal> {
    let checked = doors.call(move |engine| engine.check_property(&name)).await?;
    checked.map_err(|diagnostic| Refusal::new(number::BAD_REQUEST, &diagnostic))?;
    Ok(json_response(&true))
}

/// `GET /v1/metadata`.
pub(super) async fn metadata(State(doors): State<Doors>) -> Result<Response, Refusal> {
    let id = cluster_id(&doors).await?;
    Ok(json_response(&json!({ "version": KSQLDB_VERSION, "clusterId": id })))
}

/// `GET /v1/metadata/id`.
pub(super) async fn metadata_id(State(doors): State<Doors>) -> Result<Response, Refusal> {
    Ok(json_response(&cluster_id(&doors).await?))
}

async fn cluster_id(doors: &Doors) -> Result<Value, Refusal> {
    let info = doors.call(|engine| engine.info()).await?;
    Ok(json!({ "id": "", "scope": {
        "path": [],
        "clusters": { "kafka-cluster": info.cluster_id, "ksql-cluster": info.service_id },
    }}))
}

/// `GET /clusterStatus`, `POST /heartbeat`, `POST /lag`: empty as where heartbeats are disabled.
pub(super) async fn no_heartbeats() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// `GET /metrics`.
pub(super) async fn metrics(State(doors): State<Doors>) -> Result<Response, Refusal> {
    let started = doors.started();
    let text = doors
        .call(move |engine| {
            let (queries, tables, kafka) = (engine.query_metrics(), engine.table_metrics(), engine.kafka_metrics());
            telemetry::render(&queries, &tables, kafka.as_ref(), started)
        })
        .await?;
    Ok(([(CONTENT_TYPE, telemetry::METRICS_CONTENT_TYPE)], text).into_response())
}

/// Any other path.
pub(super) async fn not_found(_: Uri) -> Response {
    (StatusCode::NOT_FOUND, "Not Found").into_response()
}
