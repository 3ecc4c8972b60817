//! What every handler sees: the engine once it is open, the limits, and whether the server is stopping.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use axum::body::Body;
use axum::http::Request as HttpRequest;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::refusal::{Refusal, number};
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::Engine;
use crate::settings::{ByteSize, Settings};

/// Shared by all handlers.
#[derive(Clone)]
pub struct Doors {
    inner: Arc<Inner>,
}

struct Inner {
    engine: OnceLock<Arc<Engine>>,
    limits: Limits,
    stopping: watch::Sender<bool>,
    standing: RwLock<Standing>,
    terminated: AtomicBool,
    started: SystemTime,
}

/// Why there is no engine yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is being opened.
    Starting,
    /// Another server owns the service.
    Standby {
        /// Where that one answers, if it has said so.
        owner: Option<String>,
    },
    /// This server will never own the service.
    Lost {
        /// Why, in a clause.
        reason: String,
    },
}

/// Bounds of what a request may ask for; each is a setting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// `http.max.body.bytes`.
    pub(super) body: ByteSize,
    /// `http.max.line.bytes`.
    pub(super) line: ByteSize,
    /// `query.pull.max.rows`.
    pub(super) pull_rows: u64,
}

impl Doors {
    /// Doors without an engine: until [`Doors::open`] they answer that the server is not ready.
    pub fn new(settings: &Settings) -> Self {
        let limits = Limits {
            body: settings.http.max_body,
            line: settings.http.max_line,
            pull_rows: settings.sql.max_pull_rows,
        };
        let started = SystemTime::now();
        Self {
            inner: Arc::new(Inner {
                engine: OnceLock::new(),
                limits,
                stopping: watch::Sender::new(false),
                standing: RwLock::new(Standing::Starting),
                terminated: AtomicBool::new(false),
                started,
            }),
        }
    }

    /// Lets requests in. Later calls have no effect.
    pub fn open(&self, engine: Arc<Engine>) {
        let _ = self.inner.engine.set(engine);
    }

    /// What requests are told while there is no engine.
    pub(super) fn stand(&self, standing: Standing) {
        *self.inner.standing.write() = standing;
    }

    /// Who owns the service that this server waits for; `None` if it does not wait, or no longer.
    pub(super) fn standby(&self) -> Option<Option<String>> {
        let is_waiting = self.inner.engine.get().is_none() && !*self.inner.stopping.borrow();
        match &*self.inner.standing.read() {
            Standing::Standby { owner } if is_waiting => Some(owner.clone()),
            Standing::Starting | Standing::Standby { .. } | Standing::Lost { .. } => None,
        }
    }

    /// From now on requests are refused and running results come to their end.
    pub fn stop(&self) {
        self.inner.stopping.send_replace(true);
    }

    /// From now on requests are refused: the service was ended for good.
    pub(super) fn terminate(&self) {
        self.inner.terminated.store(true, Ordering::Release);
    }

    /// Changes to true when the server stops.
    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.inner.stopping.subscribe()
    }

    pub(super) fn limits(&self) -> Limits {
        self.inner.limits
    }

    pub(super) fn started(&self) -> SystemTime {
        self.inner.started
    }

    /// The engine, if requests may use it now.
    pub(super) fn engine(&self) -> Result<Arc<Engine>, Refusal> {
        if *self.inner.stopping.borrow() {
            let diagnostic = Diagnostic::new(Code::NotReady, "the server is shutting down");
            return Err(Refusal::new(number::SHUTTING_DOWN, &diagnostic));
        }
        if self.inner.terminated.load(Ordering::Acquire) {
            let diagnostic = Diagnostic::new(Code::NotReady, "the service was terminated");
            return Err(Refusal::new(number::TERMINATED, &diagnostic));
        }
        match self.inner.engine.get() {
            Some(engine) => Ok(Arc::clone(engine)),
            None => Err(Refusal::from(match &*self.inner.standing.read() {
                Standing::Starting => Diagnostic::new(Code::NotReady, "the server is starting"),
                Standing::Standby { owner } => {
                    let owner = owner.as_deref().unwrap_or("another server");
                    Diagnostic::new(Code::NotReady, format!("this server is the standby of {owner}"))
                        .with_detail("It takes over when that one is gone.".to_owned())
                        .with_hint("Send the request to the server that owns the service.")
                }
                Standing::Lost { reason } => Diagnostic::new(Code::NotReady, "the service is not this server's")
                    .with_detail(format!("{reason}.")),
            })),
        }
    }

    /// Runs a call into the engine on a thread that may block.
    pub(super) async fn call<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        F: FnOnce(Arc<Engine>) -> T + Send + 'static,
        T: Send + 'static,
    {
        let engine = self.engine()?;
        tokio::task::spawn_blocking(move || work(engine)).await.map_err(|error| {
            tracing::error!(%error, "a request ended in a panic");
            Refusal::from(Diagnostic::new(Code::Internal, "the request ended in a panic; the server's log has more"))
        })
    }

    /// The whole body of a request.
    pub(super) async fn read_body(&self, request: HttpRequest<Body>) -> Result<Bytes, Refusal> {
        let limit = self.inner.limits.body;
        match Limited::new(request.into_body(), limit.bytes()).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Refusal::new(
                number::TOO_LARGE,
                &Diagnostic::new(
                    Code::LimitExceeded,
                    format!("request body is larger than {limit} (http.max.body.bytes)"),
                ),
            )),
            Err(error) => Err(Refusal::bad_request(format!("request body could not be read: {error}"))),
        }
    }
}

/// Properties and variables as text, whatever JSON scalar they came as; null is none.
pub(super) fn texts(values: serde_json::Map<String, serde_json::Value>) -> BTreeMap<String, String> {
    let text = |value: serde_json::Value| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    values.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}
