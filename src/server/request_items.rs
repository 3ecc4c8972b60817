//! Streaming request bodies: lines, or JSON objects one behind the other, in batches of what has arrived.

use axum::body::Body;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use http_body_util::BodyExt;

use super::refusal::{Refusal, number};
use crate::diagnostics::{Code, Diagnostic};
use crate::settings::ByteSize;

/// A batch ends at so many items …
const BATCH_ITEMS: usize = 4096;
/// … or at about so many bytes; a bound on memory, far above what is needed to keep the log busy.
const BATCH_BYTES: usize = 1 << 20;

/// How items are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// A line each.
    Lines,
    /// A JSON object each, with or without anything but commas and blanks between.
    Objects,
}

/// The items of a request body.
pub(super) struct RequestItems {
    body: Body,
    framing: Framing,
    max_item: ByteSize,
    buffer: BytesMut,
    /// Bytes of `buffer` that hold no end of an item.
    scanned: usize,
    scanner: ObjectScanner,
    body_ended: bool,
    /// What went wrong while reading ahead; told when the items before it were taken.
    broken: Option<Refusal>,
}

#[derive(Debug, Default)]
struct ObjectScanner {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl RequestItems {
    /// The items of `body`, each at most `max_item` long.
    pub(super) fn new(body: Body, framing: Framing, max_item: ByteSize) -> Self {
        Self {
            body,
            framing,
            max_item,
            buffer: BytesMut::new(),
            scanned: 0,
            scanner: ObjectScanner::default(),
            body_ended: false,
            broken: None,
        }
    }

    /// The next item alone; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            if let Some(item) = self.split()? {
                return Ok(Some(item));
            }
            if let Some(refusal) = self.broken.take() {
                return Err(refusal);
            }
            if self.body_ended {
                return Ok(self.last());
            }
            self.read().await?;
        }
    }

    /// Waits for `work` and meanwhile takes in what arrives, up to a batch: the next one is then ready at once, and
    /// under load batches grow with the time that work takes. Nobody else reads: HTTP/1.1 hands over a chunk at a time
    /// and only to a reader that waits for it.
    pub(super) async fn read_during<F: Future>(&mut self, work: F) -> F::Output {
        tokio::select! {
            biased;
            output = work => output,
            () = self.read_ahead() => unreachable!("reading ahead waits at its end"),
        }
    }

    async fn read_ahead(&mut self) {
        while !self.body_ended && self.broken.is_none() && self.buffer.len() < BATCH_BYTES {
            self.broken = self.read().await.err();
        }
        std::future::pending().await
    }

    /// At least one item, and those that have arrived behind it; empty at the end.
    pub(super) async fn next_batch(&mut self) -> Result<Vec<Bytes>, Refusal> {
        let Some(first) = self.next().await? else { return Ok(Vec::new()) };
        let mut bytes = first.len();
        let mut items = vec![first];
        while items.len() < BATCH_ITEMS && bytes < BATCH_BYTES {
            // An error, or the end, is met again by the next call.
            match self.split() {
                Ok(Some(item)) => {
                    bytes += item.len();
                    items.push(item);
                }
                Ok(None) if !self.body_ended && self.broken.is_none() => match self.read().now_or_never() {
                    Some(Ok(())) => {}
                    Some(Err(refusal)) => self.broken = Some(refusal),
                    None => break,
                },
                Ok(None) | Err(_) => break,
            }
        }
        Ok(items)
    }

    async fn read(&mut self) -> Result<(), Refusal> {
        match self.body.frame().await {
            None => self.body_ended = true,
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.buffer.extend_from_slice(&data);
                }
            }
            Some(Err(error)) => return Err(Refusal::bad_request(format!("request body broke off: {error}"))),
        }
        Ok(())
    }

    /// The next whole item of the buffer, without blanks around it; blank items are skipped.
    fn split(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let fresh = &self.buffer[self.scanned..];
            let end = match self.framing {
                Framing::Lines => memchr::memchr(b'\n', fresh).map(|at| at + 1),
                Framing::Objects => self.scanner.end(fresh),
            };
            let len = end.map_or(self.buffer.len(), |end| self.scanned + end);
            if len > self.max_item.bytes() {
                return Err(self.too_long());
            }
            if end.is_none() {
                self.scanned = len;
                return Ok(None);
            }
            self.scanned = 0;
            let item = trim(self.buffer.split_to(len).freeze());
            if !item.is_empty() {
                return Ok(Some(item));
            }
        }
    }

    /// What stands behind the last end of an item.
    fn last(&mut self) -> Option<Bytes> {
        self.scanned = 0;
        let item = trim(self.buffer.split().freeze());
        (!item.is_empty()).then_some(item)
    }

    fn too_long(&self) -> Refusal {
        let message = format!("an item of the request body is larger than {} (http.max.line.bytes)", self.max_item);
        Refusal::new(number::TOO_LARGE, &Diagnostic::new(Code::LimitExceeded, message))
    }
}

impl ObjectScanner {
    /// Where the object that began here or earlier ends.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        for (i, byte) in bytes.iter().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(i + 1);
                    }
                }
                // Something that is no object ends with its line, for the reader to complain.
                b'\n' if self.depth == 0 => return Some(i + 1),
                _ => {}
            }
        }
        None
    }
}

fn trim(mut item: Bytes) -> Bytes {
    while item.first().is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b',') {
        item.advance(1);
    }
    while item.last().is_some_and(u8::is_ascii_whitespace) {
        item.truncate(item.len() - 1);
    }
    item
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use futures_util::{FutureExt, stream};

    use super::{Framing, RequestItems};
    use crate::settings::ByteSize;

    /// Feeds the parts and shows the items, whichever way the parts are cut.
    fn check(framing: Framing, parts: &[&'static str], expected: &[&str]) {
        let frames: Vec<Result<&'static str, Infallible>> = parts.iter().map(|part| Ok(*part)).collect();
        let mut items = RequestItems::new(Body::from_stream(stream::iter(frames)), framing, ByteSize(20));
        let mut found = Vec::new();
        let told = loop {
            match items.next_batch().now_or_never().unwrap() {
                Ok(batch) if batch.is_empty() => break None,
                Ok(batch) => found.extend(batch.iter().map(|item| String::from_utf8_lossy(item).into_owned())),
                Err(refusal) => break Some(refusal),
            }
        };
        if let Some(refusal) = told {
            found.push(format!("error {}", refusal.body()["error_code"]));
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_come_whole_wherever_frames_are_cut() {
        check(Framing::Lines, &["ab\ncd", "ef\n\n", "\r\ngh"], &["ab", "cdef", "gh"]);
        check(Framing::Lines, &[], &[]);
        check(Framing::Lines, &["ok\n", "123456789012345", "678901234"], &["ok", "error 41300"]);
    }

    #[test]
    fn objects_need_no_line_ends() {
        check(
            Framing::Objects,
            &["{\"a\":1}{\"b\":\"}\\\"{", "\"}\n, {\n\"c\":[{}]}", "oops\n{}"],
            &["{\"a\":1}", "{\"b\":\"}\\\"{\"}", "{\n\"c\":[{}]}", "oops", "{}"],
        );
    }
}
