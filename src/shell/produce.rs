//! `thalweg produce`: JSON lines from standard input to a topic.
//!
//! A line is `{"key": …, "value": …, "timestamp": ms, "headers": [{"key": …, "value": …}]}`, all but the value optional.
//! A string is written as its UTF-8 bytes, `{"base64": "…"}` as those bytes, anything else as its JSON text.

use std::io::{BufRead as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::arguments::ProduceArguments;
use super::client::{Client, ClientError};
use super::{Ended, locate};

/// A request carries at most so many records …
const RECORDS_A_REQUEST: usize = 1000;
/// … and about so many bytes.
const BYTES_A_REQUEST: usize = 1 << 20;

/// Sends standard input to its end; stops at the first line that is refused.
pub(super) async fn run(args: &ProduceArguments) -> Result<(), Ended> {
    let client = locate::server(args.server.as_deref());
    let mut sender = Sender::new(client, &args.topic);
    let mut failed = None;
    for (index, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|error| Ended::Usage(anyhow::Error::new(error).context("cannot read the input")))?;
        if line.trim().is_empty() {
            continue;
        }
        match to_rest_record(&line) {
            Ok(record) => sender.push(&record, index + 1).await?,
            Err(reason) => {
                failed = Some(format!("line {}: {reason}", index + 1));
                break;
            }
        }
    }
    sender.flush().await?;
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{} records produced to {}", sender.acknowledged, args.topic);
    match failed {
        Some(reason) => {
            let _ = writeln!(stderr, "{reason}");
            Err(Ended::Failed)
        }
        None => Ok(()),
    }
}

/// Collects records and sends them by the request.
pub(super) struct Sender {
    client: Client,
    topic: String,
    body: String,
    /// Input line of each record of the body.
    lines: Vec<usize>,
    /// Records the server has acknowledged.
    pub(super) acknowledged: u64,
}

impl Sender {
    /// A sender to a topic.
    pub(super) fn new(client: Client, topic: &str) -> Self {
        Self { client, topic: topic.to_owned(), body: String::new(), lines: Vec::new(), acknowledged: 0 }
    }

    /// Adds a record in the REST form; sends when a request is full. `line` is where it stood in the input.
    pub(super) async fn push(&mut self, record: &Value, line: usize) -> Result<(), Ended> {
        self.body.push_str(&record.to_string());
        self.body.push('\n');
        self.lines.push(line);
        if self.lines.len() >= RECORDS_A_REQUEST || self.body.len() >= BYTES_A_REQUEST {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends what was collected and waits until all of it is acknowledged.
    pub(super) async fn flush(&mut self) -> Result<(), Ended> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut answers = self.client.produce(&self.topic, std::mem::take(&mut self.body)).await?;
        for line in std::mem::take(&mut self.lines) {
            let Some(answer) = answers.next().await? else {
                return Err(ClientError::Broken(format!("no answer for line {line}")).into());
            };
            let answer: Value = serde_json::from_slice(&answer).unwrap_or(Value::Null);
            if answer.get("error_code").and_then(Value::as_u64) != Some(200) {
                let message =
                    answer.get("message").and_then(Value::as_str).map_or_else(|| answer.to_string(), str::to_owned);
                return Err(ClientError::Refused(format!("line {line}: {message}")).into());
            }
            self.acknowledged += 1;
        }
        Ok(())
    }
}

/// A line of input as a record of the Kafka REST v3 form.
fn to_rest_record(line: &str) -> Result<Value, String> {
    let Value::Object(fields) = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))? else {
        return Err("not a JSON object with key, value, timestamp, headers".to_owned());
    };
    let known = ["key", "value", "timestamp", "headers", "partition", "offset"];
    if let Some(unknown) = fields.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("unknown field {unknown:?}: a record has key, value, timestamp, headers"));
    }
    if !fields.contains_key("value") {
        return Err("no field \"value\" (null writes a tombstone)".to_owned());
    }
    let mut record = Map::new();
    for side in ["key", "value"] {
        if let Some(data) = fields.get(side).filter(|data| !data.is_null()) {
            record.insert(side.to_owned(), typed_data(data)?);
        }
    }
    match fields.get("timestamp") {
        None | Some(Value::Null) => {}
        Some(Value::Number(ms)) if ms.as_i64().is_some() => {
            record.insert("timestamp".to_owned(), Value::Number(ms.clone()));
        }
        Some(other) => return Err(format!("timestamp {other} is not a number of milliseconds")),
    }
    if let Some(headers) = fields.get("headers").filter(|headers| !headers.is_null()) {
        let headers = headers.as_array().ok_or("headers are not a list")?;
        let headers: Result<Vec<Value>, String> = headers.iter().map(rest_header).collect();
        record.insert("headers".to_owned(), Value::Array(headers?));
    }
    Ok(Value::Object(record))
}

fn typed_data(data: &Value) -> Result<Value, String> {
    Ok(match data {
        Value::String(_) => json!({"type": "STRING", "data": data}),
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("base64") => {
            let text = fields["base64"].as_str().ok_or("base64 is not a string")?;
            BASE64.decode(text).map_err(|error| format!("base64: {error}"))?;
            json!({"type": "BINARY", "data": text})
        }
        other => json!({"type": "JSON", "data": other}),
    })
}

fn rest_header(header: &Value) -> Result<Value, String> {
    let name = header.get("key").and_then(Value::as_str).ok_or("a header has no key")?;
    let value = match header.get("value") {
        None | Some(Value::Null) => Value::Null,
        Some(Value::String(text)) => Value::String(BASE64.encode(text)),
        Some(other) => other.get("base64").cloned().ok_or("a header's value is neither text nor base64")?,
    };
    Ok(json!({"name": name, "value": value}))
}

#[cfg(test)]
mod tests {
    use super::to_rest_record;

    #[test]
    fn lines_become_rest_records() {
        let record = to_rest_record(
            r#"{"key":"k","value":{"a":1.50},"timestamp":5,"headers":[{"key":"h","value":"x"},{"key":"n"}]}"#,
        );
        assert_eq!(
            record.unwrap().to_string(),
            r#"{"key":{"type":"STRING","data":"k"},"value":{"type":"JSON","data":{"a":1.50}},"timestamp":5,"headers":[{"name":"h","value":"eA=="},{"name":"n","value":null}]}"#
        );
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, reason) in [
            ("[1]", "not a JSON object with key, value, timestamp, headers"),
            (r#"{"key":1}"#, "no field \"value\" (null writes a tombstone)"),
            (r#"{"value":1,"ts":2}"#, "unknown field \"ts\": a record has key, value, timestamp, headers"),
            (r#"{"value":1,"timestamp":"x"}"#, "timestamp \"x\" is not a number of milliseconds"),
        ] {
            assert_eq!(to_rest_record(line).unwrap_err(), reason);
        }
    }
}
