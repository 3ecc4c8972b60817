//! The body of a streamed result: takes a query's events, writes them in the chosen layout, a frame at a time.
//!
//! Dropping the body (the client went away, the connection broke) drops the query's receiver and so ends the query.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::refusal::{generic_error, number};
use super::row_format::{ResultHeader, RowFormat, RowWriter};
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::{RowEvent, RowStream};

/// Rows of a pull query leave when so many bytes have come together …
const PULL_FLUSH_BYTES: usize = 5 * 1024;
/// … or after so long; both are ksqlDB's numbers.
const PULL_FLUSH_INTERVAL: Duration = Duration::from_millis(200);
/// A frame ends at about this size, so that writing one takes well under a millisecond.
const FRAME_BYTES: usize = 16 * 1024;

/// Turns a query's rows into bytes.
struct ResultBody {
    events: Receiver<RowEvent>,
    writer: RowWriter,
    is_push: bool,
    over_table: bool,
    rows_left: u64,
    max_rows: u64,
    stopping: watch::Receiver<bool>,
    /// Rows not yet written: event and next row.
    rest: Option<(RowEvent, usize)>,
    out: Vec<u8>,
    ended: bool,
}

/// The body of a result. `max_rows` bounds a pull query; `stopping` ends a push query.
pub(super) fn result_body(rows: RowStream, format: RowFormat, max_rows: u64, stopping: watch::Receiver<bool>) -> Body {
    let mut out = Vec::with_capacity(1024);
    let header = ResultHeader { query_id: rows.query_id, columns: rows.columns, is_push: rows.is_push };
    let writer = RowWriter::start(format, &header, &mut out);
    let body = ResultBody {
        events: rows.events,
        writer,
        is_push: rows.is_push,
        over_table: rows.over_table,
        rows_left: max_rows,
        max_rows,
        stopping,
        rest: None,
        out,
        ended: false,
    };
    Body::from_stream(stream::unfold(body, |mut body| async move {
        let frame = body.next_frame().await?;
        Some((Ok::<Bytes, Infallible>(frame), body))
    }))
}

impl ResultBody {
    /// The next bytes to send; `None` at the end.
    async fn next_frame(&mut self) -> Option<Bytes> {
        // The header of a push query goes out before its first row, that of a pull query along with it.
        let wait_for_more = !self.is_push;
        if self.ended && self.out.is_empty() {
            return None;
        }
        let flush_at = Instant::now() + PULL_FLUSH_INTERVAL;
        let flush_bytes = if self.is_push { FRAME_BYTES } else { PULL_FLUSH_BYTES };
        while !self.ended && self.out.len() < flush_bytes {
            if self.rest.is_some() {
                self.write_rows();
                continue;
            }
            if self.is_push && *self.stopping.borrow() {
                self.finish(None);
                continue;
            }
            match self.events.try_recv() {
                Ok(event) => self.take(event),
                Err(tokio::sync::mpsc::error::TryRecvError::Disconnected) => self.finish(None),
                Err(tokio::sync::mpsc::error::TryRecvError::Empty) => {
                    if self.out.is_empty() {
                        self.wait().await;
                    } else if !wait_for_more || timeout_at(flush_at, self.wait()).await.is_err() {
                        break;
                    }
                }
            }
        }
        Some(Bytes::from(std::mem::take(&mut self.out)))
    }

    /// Waits for one event or for the server's end.
    async fn wait(&mut self) {
        let event = tokio::select! {
            biased;
            event = self.events.recv() => event,
            _ = self.stopping.wait_for(|stopping| *stopping) => None,
        };
        match event {
            Some(event) => self.take(event),
            None => self.finish(None),
        }
    }

    fn take(&mut self, event: RowEvent) {
        match event {
            RowEvent::Rows { .. } => self.rest = Some((event, 0)),
            RowEvent::LimitReached => self.finish(Some("Limit Reached")),
            RowEvent::Completed => self.finish(None),
            RowEvent::Failed(diagnostic) => self.fail(&diagnostic),
        }
    }

    fn write_rows(&mut self) {
        let Some((RowEvent::Rows { rows, tombstones }, from)) = self.rest.take() else { return };
        let next = self.writer.rows(&rows, tombstones.as_deref(), from, FRAME_BYTES, &mut self.out);
        let written = u64::try_from(next - from).unwrap_or(u64::MAX);
        if !self.is_push && written > self.rows_left {
            let limit = self.max_rows;
            self.fail(&Diagnostic::new(
                Code::LimitExceeded,
                format!("result has more than {limit} rows (query.pull.max.rows)"),
            ));
            return;
        }
        self.rows_left = self.rows_left.saturating_sub(written);
        if next < rows.num_rows() {
            self.rest = Some((RowEvent::Rows { rows, tombstones }, next));
        }
    }

    fn finish(&mut self, message: Option<&str>) {
        let completed = (self.is_push || !self.over_table).then_some("Query Completed");
        self.writer.finish(message.or(completed), &mut self.out);
        self.end();
    }

    /// Errors after the first byte are the server's (50000) unless they tell of a limit.
    fn fail(&mut self, diagnostic: &Diagnostic) {
        let number = match diagnostic.code {
            Code::TooManyRequests => number::TOO_MANY_REQUESTS,
            _ => number::SERVER_ERROR,
        };
        self.writer.fail(&generic_error(number, diagnostic), &mut self.out);
        self.end();
    }

    fn end(&mut self) {
        self.ended = true;
        self.rest = None;
        self.events.close();
    }
}
