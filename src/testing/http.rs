//! The server's own router, asked in this process without a socket.

use std::sync::mpsc;
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

/// Row layout that HTTP cases expect.
const ROW_JSON: &str = "application/vnd.ksql.v1+json";

/// What the server answered.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl HttpAnswer {
    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.body).map_err(|error| format!("the answer is not JSON: {error}: {}", self.body))
    }
}

/// A request whose answer is still coming.
pub(super) struct RunningQuery {
    thread: JoinHandle<Result<HttpAnswer, String>>,
}

impl RunningQuery {
    /// Waits for the end of the answer.
    pub(super) fn finish(self) -> Result<HttpAnswer, String> {
        self.thread.join().map_err(|_| "the request panicked".to_owned())?
    }
}

/// Posts a body and reads the whole answer.
pub(super) fn post(router: &Router, path: &str, body: &Value) -> Result<HttpAnswer, String> {
    exchange(router.clone(), path, body, || {})
}

/// Posts a query on a thread of its own and comes back once its header row has arrived, or its refusal.
pub(super) fn start_query(router: &Router, body: &Value) -> Result<RunningQuery, String> {
    let (started, has_started) = mpsc::sync_channel(1);
    let (router, body) = (router.clone(), body.clone());
    let work = move || {
        exchange(router, "/query", &body, move || {
            // Nobody waits any more if the case timed out.
            let _ = started.try_send(());
        })
    };
    let thread = std::thread::Builder::new().name("push query".to_owned()).spawn(work);
    let thread = thread.map_err(|error| error.to_string())?;
    // An error here means that the request ended without a byte: finish() tells why.
    let _ = has_started.recv_timeout(super::fixture::LIMIT);
    Ok(RunningQuery { thread })
}

fn exchange(router: Router, path: &str, body: &Value, mut on_bytes: impl FnMut()) -> Result<HttpAnswer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let request = Request::post(path)
        .header(header::ACCEPT, ROW_JSON)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .map_err(|error| error.to_string())?;
    // A router that is gone looks like a server that stops, and would end the answer.
    let _open = router.clone();
    let work = async move {
        let answer = router.oneshot(request).await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| error.to_string())?;
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(data);
                on_bytes();
            }
        }
        let body = String::from_utf8(bytes).map_err(|error| error.to_string())?;
        Ok(HttpAnswer { status, body })
    };
    runtime.block_on(async {
        let limited = tokio::time::timeout(super::fixture::LIMIT, work);
        limited.await.unwrap_or_else(|_| Err(format!("{path} did not answer within {:?}", super::fixture::LIMIT)))
    })
}
