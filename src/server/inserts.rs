//! `POST /inserts-stream`: rows in, acknowledgements out, while the request is still open.
//!
//! The response body drives the request body: it takes the rows that have arrived, hands them to the engine as one
//! batch, and writes their acknowledgements. What arrives meanwhile is the next batch; a client that reads no
//! acknowledgements is not read from.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request as HttpRequest, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::accept::{DELIMITED, JSON, Wanted, negotiate};
use super::doors::{Doors, texts};
use super::refusal::{Refusal, number};
use super::request_body::parse;
use super::request_items::{Framing, RequestItems};
use crate::diagnostics::Code;
use crate::engine::Inserter;

#[derive(Deserialize)]
struct InsertsArgs {
    target: String,
    #[serde(default)]
    properties: Option<Map<String, Value>>,
}

struct Acknowledgements {
    doors: Doors,
    rows: RequestItems,
    inserter: Arc<Inserter>,
    /// Number of the next row.
    seq: u64,
    is_json: bool,
    ended: bool,
}

/// `POST /inserts-stream`.
pub(super) async fn inserts_stream(
    State(doors): State<Doors>,
    request: HttpRequest<Body>,
) -> Result<Response, Refusal> {
    doors.engine()?;
    let content_type = match negotiate(request.headers(), &[DELIMITED, JSON]) {
        Wanted::Nothing => return Ok(StatusCode::NOT_ACCEPTABLE.into_response()),
        Wanted::Type(wanted) => wanted,
        Wanted::Anything | Wanted::Wildcard => DELIMITED,
    };
    let mut rows = RequestItems::new(request.into_body(), Framing::Lines, doors.limits().line);
    let Some(first) = rows.next().await? else {
        return Err(Refusal::bad_request("the request body is empty: its first line names the target"));
    };
    let InsertsArgs { target, properties: given } = parse(&first)?;
    let given = texts(given.unwrap_or_default());
    let inserter = doors.call(move |engine| engine.inserter(&target, &given)).await?.map_err(|failure| {
        let of_target = matches!(
            failure.diagnostic.code,
            Code::UnknownSource | Code::ReadOnly | Code::WrongKind | Code::Unsupported
        );
        let refusal = Refusal::from(failure);
        if of_target { refusal.renumbered(number::BAD_STATEMENT) } else { refusal }
    })?;
    let acknowledgements = Acknowledgements {
        doors,
        rows,
        inserter: Arc::new(inserter),
        seq: 0,
        is_json: content_type == JSON,
        ended: false,
    };
    let body = Body::from_stream(stream::unfold(acknowledgements, |mut acknowledgements| async move {
        let frame = acknowledgements.next_frame().await?;
        Some((Ok::<Bytes, Infallible>(Bytes::from(frame)), acknowledgements))
    }));
    Ok(([(CONTENT_TYPE, content_type)], body).into_response())
}

impl Acknowledgements {
    async fn next_frame(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        let mut out = String::new();
        if let Err(refusal) = self.insert_batch(&mut out).await {
            self.refuse(&refusal, &mut out);
        }
        if self.ended && self.is_json {
            out.push_str(if self.seq == 0 && out.is_empty() { "[]" } else { "]" });
        }
        Some(out)
    }

    async fn insert_batch(&mut self, out: &mut String) -> Result<(), Refusal> {
        let rows = self.rows.next_batch().await?;
        if rows.is_empty() {
            self.ended = true;
            return Ok(());
        }
        let inserter = Arc::clone(&self.inserter);
        let inserted = self.rows.read_during(self.doors.call(move |_| inserter.insert(&rows))).await?;
        for _ in 0..inserted.rows {
            self.element(&format!("{{\"seq\":{},\"status\":\"ok\"}}", self.seq), out);
            self.seq += 1;
        }
        match inserted.failure {
            Some(diagnostic) => Err(Refusal::from(diagnostic)),
            None => Ok(()),
        }
    }

    /// The first error ends the response.
    fn refuse(&mut self, refusal: &Refusal, out: &mut String) {
        let mut error = json!({ "@type": "generic_error", "status": "error", "seq": self.seq });
        if let (Value::Object(error), Value::Object(body)) = (&mut error, refusal.body()) {
            error.extend(body.iter().filter(|(name, _)| *name != "@type").map(|(k, v)| (k.clone(), v.clone())));
        }
        self.element(&error.to_string(), out);
        self.ended = true;
    }

    fn element(&self, text: &str, out: &mut String) {
        if self.is_json {
            out.push(if self.seq == 0 && out.is_empty() { '[' } else { ',' });
        }
        out.push_str(text);
        if !self.is_json {
            out.push('\n');
        }
    }
}
