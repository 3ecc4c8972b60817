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
    let mut body = ResultBody {
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
    if body.is_short() {
        // Its length is known, and it leaves in one piece.
        return Body::from(body.out);
    }
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
                Err(tokio::sync::mpsc::error::TryRecvError::Disconnected) => self.break_off(),
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

    /// Writes what is there. True if that is the whole answer, and a short one.
    fn is_short(&mut self) -> bool {
        while !self.is_push && !self.ended && self.out.len() < PULL_FLUSH_BYTES {
            if self.rest.is_some() {
                self.write_rows();
            } else if let Ok(event) = self.events.try_recv() {
                self.take(event);
            } else {
                break;
            }
        }
        self.ended
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
            None => self.break_off(),
        }
    }

    /// The query was ended from outside. For a push query that is an end as good as any; the rows of a pull query
    /// would pass for the whole answer.
    fn break_off(&mut self) {
        if self.is_push {
            self.finish(None);
        } else if *self.stopping.borrow() {
            self.fail(&Diagnostic::new(Code::NotReady, "the server is shutting down: the answer is not complete"));
        } else {
            self.fail(&Diagnostic::new(Code::Internal, "the query was ended: the answer is not complete"));
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
            Code::NotReady => number::SHUTTING_DOWN,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Int64Array, RecordBatch};
    use http_body_util::BodyExt;
    use tokio::sync::{mpsc, watch};

    use super::result_body;
    use crate::diagnostics::{Code, Diagnostic};
    use crate::engine::{ResultColumn, RowEvent, RowStream};
    use crate::server::row_format::RowFormat;
    use crate::types::SqlType;

    fn rows(from: i64, count: i64) -> RowEvent {
        let ids = Int64Array::from_iter_values(from..from + count);
        RowEvent::Rows { rows: RecordBatch::try_from_iter([("ID", Arc::new(ids) as _)]).unwrap(), tombstones: None }
    }

    fn stream(is_push: bool, over_table: bool) -> (mpsc::Sender<RowEvent>, RowStream) {
        let (sender, events) = mpsc::channel(16);
        let columns = vec![ResultColumn { name: "ID".into(), ty: SqlType::BigInt, is_key: false }];
        (sender, RowStream { query_id: "q".to_owned(), columns, is_push, over_table, warnings: vec![], events })
    }

    async fn check(is_push: bool, over_table: bool, events: Vec<RowEvent>, expected_tail: &str) {
        let (sender, rows) = stream(is_push, over_table);
        for event in events {
            sender.send(event).await.unwrap();
        }
        drop(sender);
        let (_stopping, watch) = watch::channel(false);
        let body = result_body(rows, RowFormat::RowJson, 3, watch).collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let (header, tail) = body.split_once('\n').unwrap_or((&body, ""));
        assert!(header.starts_with("[{\"header\":{\"queryId\":\"q\",\"schema\":\"`ID` BIGINT\"}}"), "{header}");
        assert_eq!(tail, expected_tail);
    }

    #[tokio::test]
    async fn every_kind_of_result_has_its_end() {
        let one = "{\"row\":{\"columns\":[7]}}";
        check(
            true,
            false,
            vec![rows(7, 1), RowEvent::LimitReached],
            &format!("{one},\n{{\"finalMessage\":\"Limit Reached\"}}]"),
        )
        .await;
        check(true, false, vec![rows(7, 1)], &format!("{one},\n{{\"finalMessage\":\"Query Completed\"}}]")).await;
        check(
            false,
            false,
            vec![rows(7, 1), RowEvent::Completed],
            &format!("{one},\n{{\"finalMessage\":\"Query Completed\"}}]"),
        )
        .await;
        check(false, true, vec![rows(7, 1), RowEvent::Completed], &format!("{one}]")).await;
        let broken = "{\"errorMessage\":{\"@type\":\"generic_error\",\"error_code\":50000,\
                      \"message\":\"the query was ended: the answer is not complete\",\
                      \"code\":\"INTERNAL\",\"stackTrace\":[]}}]";
        check(false, true, vec![rows(7, 1)], &format!("{one},\n{broken}")).await;
        check(
            true,
            false,
            vec![RowEvent::Failed(Diagnostic::new(Code::Storage, "disk is full"))],
            "{\"errorMessage\":{\"@type\":\"generic_error\",\"error_code\":50000,\"message\":\"disk is full\",\
             \"code\":\"STORAGE\",\"stackTrace\":[]}}]",
        )
        .await;
    }

    #[tokio::test]
    async fn a_pull_query_with_too_many_rows_ends_in_an_error_that_names_the_limit() {
        let (sender, rows_of) = stream(false, true);
        sender.send(rows(0, 4)).await.unwrap();
        let (_stopping, watch) = watch::channel(false);
        let body = result_body(rows_of, RowFormat::Delimited, 3, watch).collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            body.ends_with("more than 3 rows (query.pull.max.rows)\",\"code\":\"LIMIT_EXCEEDED\",\"stackTrace\":[]}\n"),
            "{body}"
        );
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn rows_of_a_push_query_leave_one_event_at_a_time_and_dropping_the_body_ends_the_query() {
        let (sender, rows_of) = stream(true, false);
        let (_stopping, watch) = watch::channel(false);
        let mut body = result_body(rows_of, RowFormat::Delimited, 3, watch);
        let mut next = async || body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(next().await.ends_with(b"\"columnTypes\":[\"BIGINT\"]}\n"));
        for id in 0..3 {
            sender.send(rows(id, 1)).await.unwrap();
            assert_eq!(next().await, format!("[{id}]\n"));
        }
        drop(body);
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn a_large_batch_leaves_in_small_frames() {
        let (sender, rows_of) = stream(true, false);
        sender.send(rows(0, 100_000)).await.unwrap();
        drop(sender);
        let (_stopping, watch) = watch::channel(false);
        let mut body = result_body(rows_of, RowFormat::Delimited, 3, watch);
        let mut lines = 0;
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() < 20_000);
            lines += data.iter().filter(|byte| **byte == b'\n').count();
        }
        assert_eq!(lines, 100_001);
    }
}
