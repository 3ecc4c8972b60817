//! The HTTP client of the command line.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

/// What every request of a session carries.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestContext {
    /// Properties that SET gave.
    pub(crate) properties: BTreeMap<String, String>,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No answer.
    #[error("cannot reach the server at {url}: {reason}\nHint: start one with `thalweg server`, or give its address.")]
    Unreachable {
        /// Address asked.
        url: String,
        /// Why.
        reason: String,
    },
    /// The server refused.
    #[error("{0}")]
    Refused(String),
    /// The connection broke while an answer was read.
    #[error("the connection to the server broke: {0}")]
    Broken(String),
}

impl ClientError {
    /// True if nothing answered.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// A server as the command line sees it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    url: String,
    http: reqwest::Client,
}

impl Client {
    /// A client of the server at `url`; a missing scheme is `http`.
    pub(crate) fn new(url: &str) -> Self {
        let url = url.trim_end_matches('/');
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        Self { url, http: reqwest::Client::new() }
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// `/info`: version and status.
    pub(crate) async fn info(&self) -> Result<Value, ClientError> {
        let answer = self.http.get(format!("{}/info", self.url)).send().await;
        self.json(answer).await
    }

    /// Runs statements through `/ksql`; the entities of the answer.
    pub(crate) async fn statements(&self, sql: &str, context: &RequestContext) -> Result<Vec<Value>, ClientError> {
        let body = json!({"ksql": sql, "streamsProperties": context.properties});
        match self.json(self.http.post(format!("{}/ksql", self.url)).json(&body).send().await).await? {
            Value::Array(entities) => Ok(entities),
            other => Err(ClientError::Broken(format!("/ksql answered {other}"))),
        }
    }

    /// Starts a SELECT: its answer in the layout that [`super::row_line`] reads.
    pub(crate) async fn select(&self, sql: &str, context: &RequestContext) -> Result<Lines, ClientError> {
        let body = json!({"sql": sql, "properties": context.properties});
        let request = self.http.post(format!("{}/query-stream", self.url));
        self.lines(request.header("accept", "application/vnd.ksql.v1+json").json(&body)).await
    }

    /// Starts a PRINT: lines of text.
    pub(crate) async fn print(&self, sql: &str, context: &RequestContext) -> Result<Lines, ClientError> {
        let body = json!({"ksql": sql, "streamsProperties": context.properties});
        self.lines(self.http.post(format!("{}/query", self.url)).json(&body)).await
    }

    /// Records of a topic as JSON lines.
    pub(crate) async fn records(&self, topic: &str, query: &str) -> Result<Lines, ClientError> {
        self.lines(self.http.get(format!("{}/v1/topics/{}/records?{query}", self.url, encode_segment(topic)))).await
    }

    /// Appends records in the Kafka REST v3 form: one JSON object each, one answer each.
    pub(crate) async fn produce(&self, topic: &str, records: String) -> Result<Lines, ClientError> {
        let url = format!("{}/v3/clusters/thalweg/topics/{}/records", self.url, encode_segment(topic));
        self.lines(self.http.post(url).header("content-type", "application/json").body(records)).await
    }

    async fn lines(&self, request: reqwest::RequestBuilder) -> Result<Lines, ClientError> {
        let answer = self.checked(request.send().await).await?;
        Ok(Lines { answer, buffer: BytesMut::new(), is_over: false })
    }

    async fn json(&self, answer: reqwest::Result<reqwest::Response>) -> Result<Value, ClientError> {
        let answer = self.checked(answer).await?;
        answer.json().await.map_err(|error| ClientError::Broken(error.to_string()))
    }

    /// The answer if it is a success, else the error that its body tells.
    async fn checked(&self, answer: reqwest::Result<reqwest::Response>) -> Result<reqwest::Response, ClientError> {
        let answer = answer.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            ClientError::Unreachable { url: self.url.clone(), reason: cause.unwrap_or_else(|| error.to_string()) }
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let message = body.get("message").and_then(Value::as_str).map(str::to_owned);
        Err(ClientError::Refused(message.unwrap_or_else(|| format!("the server answered {status} {text}"))))
    }
}

/// Percent-encodes what is not plain in a path segment.
fn encode_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The lines of a streamed answer. Dropping it closes the request, which ends the query at the server.
#[derive(Debug)]
pub(crate) struct Lines {
    answer: reqwest::Response,
    buffer: BytesMut,
    is_over: bool,
}

impl Lines {
    /// What the server says besides.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let given = self.answer.headers().get_all("x-thalweg-warning").iter();
        given.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    }

    /// The next line without its end; empty lines (keep-alives) are passed over.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let mut line = self.buffer.split_to(end + 1).freeze();
                line.truncate(end);
                if line.last() == Some(&b'\r') {
                    line.truncate(end - 1);
                }
                if !line.is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            if self.is_over {
                let rest = self.buffer.split().freeze();
                return Ok((!rest.is_empty()).then_some(rest));
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) => self.is_over = true,
                Err(error) => return Err(ClientError::Broken(error.to_string())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, encode_segment};

    #[test]
    fn addresses_get_a_scheme_and_segments_are_encoded() {
        assert_eq!(Client::new("localhost:8088/").url(), "http://localhost:8088");
        assert_eq!(encode_segment("a b/ü"), "a%20b%2F%C3%BC");
    }
}
