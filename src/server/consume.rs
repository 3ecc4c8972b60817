//! `GET /v1/topics/{topic}/records`: a topic's records as JSON lines.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;

use super::doors::Doors;
use super::refusal::{Refusal, number};
use super::value_json::string;
use crate::diagnostics::Code;
use crate::engine::{ConsumedRecord, TopicRead};

/// Parameters of the request.
#[derive(Deserialize)]
pub(super) struct ConsumeParameters {
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    follow: bool,
}

/// `GET /v1/topics/{topic}/records?from=earliest|latest&limit=N&follow=bool`.
pub(super) async fn consume(
    State(doors): State<Doors>,
    Path(topic): Path<String>,
    Query(parameters): Query<ConsumeParameters>,
) -> Result<Response, Refusal> {
    let from_earliest = match parameters.from.as_deref() {
        Some("earliest") => true,
        Some("latest") | None => false,
        Some(other) => return Err(Refusal::bad_request(format!("from={other} is neither earliest nor latest"))),
    };
    let read = TopicRead { from_earliest, limit: parameters.limit, follow: parameters.follow };
    let records = doors.call(move |engine| engine.read_topic(&topic, read)).await?.map_err(|diagnostic| {
        let unknown = diagnostic.code == Code::UnknownTopic;
        let refusal = Refusal::from(diagnostic);
        if unknown { refusal.renumbered(number::UNKNOWN_TOPIC) } else { refusal }
    })?;
    let stopping = doors.stopping();
    let lines = stream::unfold((Some(records), stopping), |(records, mut stopping)| async move {
        let mut records = records?;
        let chunk = tokio::select! {
            chunk = records.recv() => chunk?,
            _ = stopping.wait_for(|stopping| *stopping) => return None,
        };
        let (text, records) = match chunk {
            Ok(chunk) => (lines_of(&chunk), Some(records)),
            Err(diagnostic) => (format!("{}\n", Refusal::from(diagnostic).body()).into_bytes(), None),
        };
        Some((Ok::<Bytes, Infallible>(Bytes::from(text)), (records, stopping)))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

fn lines_of(records: &[ConsumedRecord]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len() * 128);
    for record in records {
        out.extend_from_slice(
            format!(
                "{{\"partition\":{},\"offset\":{},\"timestamp\":{},\"key\":",
                record.partition, record.offset, record.timestamp
            )
            .as_bytes(),
        );
        bytes_json(record.key.as_deref(), &mut out);
        out.extend_from_slice(b",\"value\":");
        bytes_json(record.value.as_deref(), &mut out);
        out.extend_from_slice(b",\"headers\":[");
        for (i, header) in record.headers.iter().enumerate() {
            out.extend_from_slice(if i > 0 { b",{\"name\":" } else { b"{\"name\":" });
            string(&header.key, &mut out);
            out.extend_from_slice(b",\"value\":");
            bytes_json(header.value.as_deref(), &mut out);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}\n");
    }
    out
}

/// Text as a string, other bytes as `{"base64":"…"}`.
fn bytes_json(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => out.extend_from_slice(b"null"),
        Some((_, Ok(text))) => string(text, out),
        Some((bytes, Err(_))) => {
            out.extend_from_slice(format!("{{\"base64\":\"{}\"}}", STANDARD.encode(bytes)).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::lines_of;
    use crate::engine::ConsumedRecord;
    use crate::types::{EventTime, Header, Offset, Partition};

    #[test]
    fn a_record_is_a_line_and_bytes_that_are_no_text_are_base64() {
        let record = ConsumedRecord {
            partition: Partition(1),
            offset: Offset(5),
            timestamp: EventTime(9),
            key: None,
            value: Some(Bytes::from_static(b"\xff")),
            headers: vec![Header { key: "h".to_owned(), value: Some(Bytes::from_static(b"v")) }],
        };
        assert_eq!(
            String::from_utf8(lines_of(&[record])).unwrap(),
            "{\"partition\":1,\"offset\":5,\"timestamp\":9,\"key\":null,\"value\":{\"base64\":\"/w==\"},\
             \"headers\":[{\"name\":\"h\",\"value\":\"v\"}]}\n"
        );
    }
}
