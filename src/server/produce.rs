//! `POST /v3/clusters/{id}/topics/{topic}/records`: the produce form of Kafka's REST API, version 3.
//!
//! One request may carry many records, JSON objects one behind the other; each gets its own object in the answer.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request as HttpRequest;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::doors::Doors;
use super::refusal::{Refusal, number};
use super::request_items::{Framing, RequestItems};
use super::value_json;
use crate::diagnostics::{Code, Diagnostic};
use crate::engine::{ProducedAt, ProducedRecord};
use crate::types::{EventTime, Header, Partition, Record};

#[derive(Deserialize)]
struct RecordBody<'a> {
    #[serde(default)]
    partition_id: Option<i32>,
    #[serde(default)]
    headers: Option<Vec<HeaderBody>>,
    #[serde(default, borrow)]
    key: Option<DataBody<'a>>,
    #[serde(default, borrow)]
    value: Option<DataBody<'a>>,
    /// RFC 3339 text as in Kafka's API, or milliseconds.
    #[serde(default)]
    timestamp: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct HeaderBody {
    name: String,
    #[serde(default)]
    value: Option<String>,
}

#[derive(Deserialize)]
struct DataBody<'a> {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

/// Sizes for the answer, of what was sent.
struct Sent {
    key: Option<usize>,
    value: Option<usize>,
}

struct Production {
    doors: Doors,
    cluster: String,
    topic: String,
    records: RequestItems,
    ended: bool,
}

/// `POST /v3/clusters/{id}/topics/{topic}/records`.
pub(super) async fn produce(
    State(doors): State<Doors>,
    Path((cluster, topic)): Path<(String, String)>,
    request: HttpRequest<Body>,
) -> Result<Response, Refusal> {
    doors.engine()?;
    let records = RequestItems::new(request.into_body(), Framing::Objects, doors.limits().line);
    let mut production = Production { doors, cluster, topic, records, ended: false };
    // What is wrong with the first records shows in the status; later errors are objects of the answer.
    let first = production.next_batch().await?;
    let rest = stream::unfold((Some(first), production), |(first, mut production)| async move {
        let frame = match first {
            Some(first) => first,
            None if production.ended => return None,
            None => production.next_batch().await.unwrap_or_else(|refusal| {
                production.ended = true;
                format!("{}\n", refusal.body())
            }),
        };
        Some((Ok::<Bytes, Infallible>(Bytes::from(frame)), (None, production)))
    });
    Ok(([(CONTENT_TYPE, "application/json")], Body::from_stream(rest)).into_response())
}

impl Production {
    async fn next_batch(&mut self) -> Result<String, Refusal> {
        let items = self.records.next_batch().await?;
        if items.is_empty() {
            self.ended = true;
            return Ok(String::new());
        }
        let topic = self.topic.clone();
        let work = move |engine: std::sync::Arc<crate::engine::Engine>| {
            let records = items.iter().map(|item| read_record(item)).collect::<Result<Vec<_>, Refusal>>()?;
            let sent = records.iter().map(|produced| Sent {
                key: produced.record.key.as_ref().map(Bytes::len),
                value: produced.record.value.as_ref().map(Bytes::len),
            });
            let sent: Vec<Sent> = sent.collect();
            let placed = engine.produce(&topic, records).map_err(|diagnostic| {
                let unknown = diagnostic.code == Code::UnknownTopic;
                let refusal = Refusal::from(diagnostic);
                if unknown { refusal.renumbered(number::UNKNOWN_TOPIC) } else { refusal }
            })?;
            Ok::<_, Refusal>((sent, placed))
        };
        let (sent, placed) = self.records.read_during(self.doors.call(work)).await??;
        let mut answers = Answers::new(&self.cluster, &self.topic);
        sent.iter().zip(&placed).for_each(|(sent, placed)| answers.push(sent, placed));
        Ok(answers.lines)
    }
}

/// The answers to records of one topic, a line each.
struct Answers {
    // fixed
    /// What all lines begin with.
    head: String,
    // changing
    /// The time of the last record, and its text: neighbours often have the same.
    time: Option<(EventTime, String)>,
    lines: String,
}

impl Answers {
    fn new(cluster: &str, topic: &str) -> Self {
        let (cluster, topic) = (json!(cluster), json!(topic));
        let head = format!(r#"{{"error_code":200,"cluster_id":{cluster},"topic_name":{topic}"#);
        Self { head, time: None, lines: String::new() }
    }

    fn push(&mut self, sent: &Sent, placed: &ProducedAt) {
        if self.time.as_ref().is_none_or(|(known, _)| *known != placed.timestamp) {
            let mut text = Vec::new();
            value_json::timestamp(placed.timestamp.0, &mut text);
            self.time = Some((placed.timestamp, format!("{}Z", String::from_utf8_lossy(&text))));
        }
        let mut digits = itoa::Buffer::new();
        let lines = &mut self.lines;
        lines.push_str(&self.head);
        lines.push_str(r#","partition_id":"#);
        lines.push_str(digits.format(placed.partition.0));
        lines.push_str(r#","offset":"#);
        lines.push_str(digits.format(placed.offset.0));
        lines.push_str(r#","timestamp":""#);
        lines.push_str(self.time.as_ref().map_or("", |(_, text)| text));
        lines.push('"');
        for (name, size) in [(r#","key":{"size":"#, sent.key), (r#","value":{"size":"#, sent.value)] {
            if let Some(size) = size {
                lines.push_str(name);
                lines.push_str(digits.format(size));
                lines.push('}');
            }
        }
        lines.push_str("}\n");
    }
}

fn read_record(item: &[u8]) -> Result<ProducedRecord, Refusal> {
    let body: RecordBody<'_> = serde_json::from_slice(item)
        .map_err(|error| Refusal::bad_request(format!("Invalid JSON in record: {error}")))?;
    let timestamp = body.timestamp.as_ref().map(read_timestamp).transpose()?;
    let header = |header: HeaderBody| {
        let value = header.value.map(|value| from_base64(&value)).transpose()?;
        Ok::<_, Refusal>(Header { key: header.name, value })
    };
    let record = Record {
        key: body.key.map(read_data).transpose()?.flatten(),
        value: body.value.map(read_data).transpose()?.flatten(),
        timestamp: timestamp.unwrap_or_default(),
        headers: body.headers.unwrap_or_default().into_iter().map(header).collect::<Result<_, _>>()?,
    };
    Ok(ProducedRecord { partition: body.partition_id.map(Partition), record, has_timestamp: timestamp.is_some() })
}

fn read_data(body: DataBody<'_>) -> Result<Option<Bytes>, Refusal> {
    let Some(data) = body.data.filter(|data| data.get() != "null") else { return Ok(None) };
    let text = || serde_json::from_str::<String>(data.get());
    match body.kind.as_deref().unwrap_or("JSON") {
        "JSON" => Ok(Some(Bytes::copy_from_slice(data.get().as_bytes()))),
        "STRING" => match text() {
            Ok(text) => Ok(Some(Bytes::from(text))),
            Err(_) => Err(Refusal::bad_request("data of type STRING is not a string")),
        },
        "BINARY" => match text() {
            Ok(text) => from_base64(&text).map(Some),
            Err(_) => Err(Refusal::bad_request("data of type BINARY is not a base64 string")),
        },
        other => Err(Refusal::from(Diagnostic::not_implemented(format!("producing data of type {other}")))),
    }
}

fn from_base64(text: &str) -> Result<Bytes, Refusal> {
    STANDARD.decode(text).map(Bytes::from).map_err(|error| Refusal::bad_request(format!("not base64: {error}")))
}

fn read_timestamp(value: &serde_json::Value) -> Result<EventTime, Refusal> {
    let ms = match value {
        serde_json::Value::String(text) => {
            chrono::DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis())
        }
        other => other.as_i64(),
    };
    ms.map(EventTime).ok_or_else(|| {
        Refusal::bad_request(format!("timestamp {value} is neither 2024-05-01T10:00:00Z nor milliseconds"))
    })
}

#[cfg(test)]
mod tests {
    use super::{Answers, Sent, read_record};
    use crate::engine::ProducedAt;
    use crate::types::{EventTime, Offset, Partition};

    fn check(body: &str, expected: &str) {
        let told = match read_record(body.as_bytes()) {
            Ok(produced) => {
                let text = |bytes: &Option<bytes::Bytes>| {
                    bytes.as_ref().map_or("null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
                };
                let record = &produced.record;
                format!("{} {} @{} {:?}", text(&record.key), text(&record.value), record.timestamp, produced.partition)
            }
            Err(refusal) => refusal.body()["message"].to_string(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn each_record_has_a_line_of_the_answer() {
        let placed =
            |offset, time| ProducedAt { partition: Partition(3), offset: Offset(offset), timestamp: EventTime(time) };
        let mut answers = Answers::new("c\"1", "t");
        answers.push(&Sent { key: Some(2), value: Some(30) }, &placed(7, 0));
        answers.push(&Sent { key: None, value: Some(4) }, &placed(8, 0));
        answers.push(&Sent { key: Some(1), value: None }, &placed(9, 1500));
        let expected = r#"{"error_code":200,"cluster_id":"c\"1","topic_name":"t","partition_id":3,"offset":7,"timestamp":"1970-01-01T00:00:00.000Z","key":{"size":2},"value":{"size":30}}
{"error_code":200,"cluster_id":"c\"1","topic_name":"t","partition_id":3,"offset":8,"timestamp":"1970-01-01T00:00:00.000Z","value":{"size":4}}
{"error_code":200,"cluster_id":"c\"1","topic_name":"t","partition_id":3,"offset":9,"timestamp":"1970-01-01T00:00:01.500Z","key":{"size":1}}
"#;
        assert_eq!(answers.lines, expected);
        for line in answers.lines.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn records_come_as_string_binary_or_json() {
        check(
            r#"{"key":{"type":"STRING","data":"k"},"value":{"type":"JSON","data":{"A": 1.50}},"timestamp":7,"partition_id":2}"#,
            r#"k {"A": 1.50} @7 Some(Partition(2))"#,
        );
        check(r#"{"value":{"type":"BINARY","data":"aGk="},"timestamp":"1970-01-01T00:00:01Z"}"#, "null hi @1000 None");
        check(r#"{"key":{"data":null}}"#, "null null @0 None");
        check(r#"{"value":{"type":"AVRO","data":1}}"#, "\"producing data of type AVRO is not implemented yet\"");
        check(r#"{"value":{"type":"STRING","data":1}}"#, "\"data of type STRING is not a string\"");
    }
}
