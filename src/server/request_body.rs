//! Request objects (`rest-api.md` 2) and how they become a request to the engine.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::doors::texts;
use super::refusal::Refusal;
use crate::engine::Request;

/// Body of `/ksql` and `/query`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KsqlRequest {
    #[serde(default)]
    ksql: Option<String>,
    #[serde(default)]
    streams_properties: Option<Map<String, Value>>,
    #[serde(default)]
    session_variables: Option<Map<String, Value>>,
    #[serde(default)]
    command_sequence_number: Option<i64>,
}

/// Body of `/query-stream`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryStreamArgs {
    #[serde(default)]
    sql: Option<String>,
    #[serde(default)]
    properties: Option<Map<String, Value>>,
    #[serde(default)]
    session_variables: Option<Map<String, Value>>,
}

/// Reads a JSON body.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(format!("Invalid JSON in request: {error}")))
}

/// The request in the body of `/ksql` or `/query`.
pub(super) fn ksql_request(body: &[u8]) -> Result<Request, Refusal> {
    let request: KsqlRequest = parse(body)?;
    Ok(Request {
        sql: request.ksql.unwrap_or_default(),
        properties: texts(request.streams_properties.unwrap_or_default()),
        variables: texts(request.session_variables.unwrap_or_default()),
        // ksqlDB's clients send -1 when they have seen no command yet.
        command_sequence_number: request.command_sequence_number.filter(|number| *number >= 0),
    })
}

/// The request in the body of `/query-stream`.
pub(super) fn query_stream_request(body: &[u8]) -> Result<Request, Refusal> {
    let request: QueryStreamArgs = parse(body)?;
    Ok(Request {
        sql: request.sql.ok_or_else(|| Refusal::bad_request("Invalid JSON in request: member sql is missing"))?,
        properties: texts(request.properties.unwrap_or_default()),
        variables: texts(request.session_variables.unwrap_or_default()),
        command_sequence_number: None,
    })
}
