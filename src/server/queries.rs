//! `POST /query`, `POST /query-stream`, `POST /close-query`.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Request as HttpRequest, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;

use super::accept::{JSON, QueryEndpoint, row_format};
use super::doors::Doors;
use super::refusal::{Refusal, number};
use super::request_body::{ksql_request, parse, query_stream_request};
use super::result_body::result_body;
use super::row_format::RowFormat;
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::{PrintStream, QueryAnswer, RowStream};

/// The header that holds a remark on an answer, UTF-8; there may be several.
const WARNING: &str = "x-thalweg-warning";

/// `POST /query-stream`.
pub(super) async fn query_stream(State(doors): State<Doors>, request: HttpRequest<Body>) -> Result<Response, Refusal> {
    query(doors, request, QueryEndpoint::QueryStream).await
}

/// `POST /query`.
pub(super) async fn old_query(State(doors): State<Doors>, request: HttpRequest<Body>) -> Result<Response, Refusal> {
    query(doors, request, QueryEndpoint::Query).await
}

async fn query(doors: Doors, request: HttpRequest<Body>, endpoint: QueryEndpoint) -> Result<Response, Refusal> {
    let Some((format, content_type)) = row_format(request.headers(), endpoint) else {
        return Ok(StatusCode::NOT_ACCEPTABLE.into_response());
    };
    let body = doors.read_body(request).await?;
    let request = match endpoint {
        QueryEndpoint::Query => ksql_request(&body)?,
        QueryEndpoint::QueryStream => query_stream_request(&body)?,
    };
    if request.sql.trim().is_empty() {
        return Err(Refusal::bad_request("the request holds no statement"));
    }
    // A look-up that takes a moment is not worth a change of threads.
    if let Some(rows) = doors.engine()?.look_up_soon(&request).await {
        return Ok(rows_response(&doors, rows, format, content_type));
    }
    let answer = doors.call(move |engine| engine.query(&request)).await?.map_err(|failure| {
        let code = failure.diagnostic.code;
        let refusal = Refusal::from(failure);
        match code {
            Code::TooManyRequests => refusal.renumbered(number::MAX_PUSH_QUERIES),
            // 40002 tells a client of /ksql to come here.
            Code::WrongEndpoint => refusal.renumbered(number::BAD_STATEMENT),
            _ => refusal,
        }
    })?;
    Ok(match answer {
        QueryAnswer::Rows(rows) => rows_response(&doors, rows, format, content_type),
        QueryAnswer::Print(lines) if endpoint == QueryEndpoint::Query => {
            ([(CONTENT_TYPE, JSON)], print_body(lines, true, doors.stopping())).into_response()
        }
        QueryAnswer::Print(lines) if format == RowFormat::Delimited => {
            ([(CONTENT_TYPE, content_type)], print_body(lines, false, doors.stopping())).into_response()
        }
        QueryAnswer::Print(_) => StatusCode::NOT_ACCEPTABLE.into_response(),
    })
}

/// Rows, and what their reader is to know besides in the header [`WARNING`]: ksqlDB's answers have no place for it.
fn rows_response(doors: &Doors, mut rows: RowStream, format: RowFormat, content_type: &'static str) -> Response {
    let warnings = std::mem::take(&mut rows.warnings);
    let body = result_body(rows, format, doors.limits().pull_rows, doors.stopping());
    let mut response = ([(CONTENT_TYPE, content_type)], body).into_response();
    for warning in warnings {
        // A header is one line of text.
        let line: String = warning.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}

/// The lines of a PRINT; what the formats are is only told by `/query`.
fn print_body(lines: PrintStream, with_formats: bool, stopping: watch::Receiver<bool>) -> Body {
    Body::from_stream(stream::unfold((lines, stopping), move |(mut print, mut stopping)| async move {
        loop {
            let line = tokio::select! {
                line = print.lines.recv() => line?,
                _ = stopping.wait_for(|stopping| *stopping) => return None,
            };
            let tells_format = line.starts_with("Key format: ") || line.starts_with("Value format: ");
            if with_formats || !tells_format {
                return Some((Ok::<Bytes, Infallible>(Bytes::from(line + "\n")), (print, stopping)));
            }
        }
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CloseQuery {
    query_id: String,
}

/// `POST /close-query`.
pub(super) async fn close_query(State(doors): State<Doors>, request: HttpRequest<Body>) -> Result<Response, Refusal> {
    let body = doors.read_body(request).await?;
    let CloseQuery { query_id } = parse(&body)?;
    let id = query_id.clone();
    if doors.call(move |engine| engine.close_query(&id)).await? {
        Ok(StatusCode::OK.into_response())
    } else {
        let told = Diagnostic::new(Code::UnknownQuery, format!("No query with id {query_id}"));
        Err(Refusal::new(number::BAD_REQUEST, &told))
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Terminate {
    #[serde(default)]
    delete_topic_list: Vec<String>,
}

/// `POST /ksql/terminate`: the service ends; the server stays and refuses.
pub(super) async fn terminate(State(doors): State<Doors>, request: HttpRequest<Body>) -> Result<Response, Refusal> {
    let body = doors.read_body(request).await?;
    let Terminate { delete_topic_list } = if body.is_empty() { Terminate::default() } else { parse(&body)? };
    let entities = doors.call(move |engine| engine.terminate(&delete_topic_list)).await??;
    doors.terminate();
    Ok(super::health::json_response(&entities))
}

/// `POST /ksql`.
pub(super) async fn statements(
    State(doors): State<Doors>,
    headers: HeaderMap,
    request: HttpRequest<Body>,
) -> Result<Response, Refusal> {
    if super::accept::negotiate(&headers, &[super::accept::V1_JSON, JSON]) == super::accept::Wanted::Nothing {
        return Ok(StatusCode::NOT_ACCEPTABLE.into_response());
    }
    let body = doors.read_body(request).await?;
    let request = ksql_request(&body)?;
    let entities = doors.call(move |engine| engine.execute(&request)).await??;
    Ok(super::health::json_response(&entities))
}
