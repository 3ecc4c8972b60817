//! PRINT: a topic's records as text, with their formats guessed from the bytes.
//!
//! A guess is a list of candidates, most telling first; every record strikes out those that cannot read it. The line
//! shows the record as the first candidate left reads it.

use chrono::DateTime;
use tokio::sync::mpsc;

use crate::types::EventTime;

use super::answer::ConsumedRecord;
use super::database::Engine;
use super::readers::Stop;
use super::topic_access::TopicCursor;

/// What ksqlDB shows before it has seen any bytes.
const NO_DATA: &str = "¯\\_(ツ)_/¯ - no data processed";

/// Formats that bytes may be in, most telling first. Formats with a schema registry are not guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Candidate {
    Json,
    KafkaInt,
    KafkaBigint,
    KafkaDouble,
    KafkaString,
}

impl Candidate {
    const ALL: [Self; 5] = [Self::Json, Self::KafkaInt, Self::KafkaBigint, Self::KafkaDouble, Self::KafkaString];

    fn as_str(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::KafkaInt => "KAFKA_INT",
            Self::KafkaBigint => "KAFKA_BIGINT",
            Self::KafkaDouble => "KAFKA_DOUBLE",
            Self::KafkaString => "KAFKA_STRING",
        }
    }

    /// The bytes as text, if they can be of this format.
    fn read(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Json => {
                // Bare numbers, strings and words are JSON too, but nobody means that.
                let text = std::str::from_utf8(bytes).ok()?;
                let opens = text.trim_start().starts_with(['{', '[']);
                (opens && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()).then(|| text.to_owned())
            }
            Self::KafkaInt => Some(i32::from_be_bytes(bytes.try_into().ok()?).to_string()),
            Self::KafkaBigint => Some(i64::from_be_bytes(bytes.try_into().ok()?).to_string()),
            Self::KafkaDouble => Some(format!("{:?}", f64::from_be_bytes(bytes.try_into().ok()?))),
            Self::KafkaString => {
                let text = std::str::from_utf8(bytes).ok()?;
                let printable = text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'));
                printable.then(|| text.to_owned())
            }
        }
    }
}

/// What one side of the records seen so far can be.
#[derive(Debug, Clone)]
struct Guess {
    left: Vec<Candidate>,
    seen: bool,
}

impl Guess {
    fn new() -> Self {
        Self { left: Candidate::ALL.to_vec(), seen: false }
    }

    /// The bytes as text; candidates that cannot read them are struck out.
    fn read(&mut self, bytes: Option<&[u8]>) -> String {
        let Some(bytes) = bytes else { return "<null>".to_owned() };
        let able: Vec<_> = Candidate::ALL.into_iter().filter(|candidate| candidate.read(bytes).is_some()).collect();
        self.left.retain(|candidate| able.contains(candidate));
        self.seen = true;
        // Once nothing reads them all, each record is shown as it reads best.
        let best = self.left.first().or(able.first());
        best.and_then(|candidate| candidate.read(bytes)).unwrap_or_else(|| "<Failed to deserialize>".to_owned())
    }

    fn as_text(&self) -> String {
        match (self.seen, self.left.as_slice()) {
            (false, _) => NO_DATA.to_owned(),
            (true, []) => "MIXED".to_owned(),
            (true, left) => left.iter().map(|candidate| candidate.as_str()).collect::<Vec<_>>().join(" or "),
        }
    }
}

/// Makes lines of records.
#[derive(Debug)]
pub(super) struct Printer {
    key: Guess,
    value: Guess,
    told: Option<(String, String)>,
}

impl Printer {
    pub(super) fn new() -> Self {
        Self { key: Guess::new(), value: Guess::new(), told: None }
    }

    /// The lines for a record: first the formats, if the guess changed.
    pub(super) fn lines(&mut self, record: &ConsumedRecord) -> Vec<String> {
        let key = self.key.read(record.key.as_deref());
        let value = self.value.read(record.value.as_deref());
        let guess = (self.key.as_text(), self.value.as_text());
        let mut lines = Vec::with_capacity(3);
        if self.told.as_ref() != Some(&guess) {
            lines.push(format!("Key format: {}", guess.0));
            lines.push(format!("Value format: {}", guess.1));
            self.told = Some(guess);
        }
        let rowtime = rowtime_text(record.timestamp);
        lines.push(format!("rowtime: {rowtime}, key: {key}, value: {value}, partition: {}", record.partition));
        lines
    }
}

/// `2024/05/01 10:00:00.123 Z`
fn rowtime_text(time: EventTime) -> String {
    match DateTime::from_timestamp_millis(time.0) {
        Some(moment) if time.0 >= 0 => moment.format("%Y/%m/%d %H:%M:%S%.3f Z").to_string(),
        _ => "N/A".to_owned(),
    }
}

/// One PRINT at work, on a thread of its own.
pub(super) struct Printing {
    pub(super) cursor: TopicCursor,
    /// Every how many records one is shown, at least 1.
    pub(super) interval: u64,
    /// Records that may still be shown.
    pub(super) left: Option<u64>,
    pub(super) sender: mpsc::Sender<String>,
}

impl Printing {
    /// Prints until the limit, the client or the engine ends it.
    pub(super) fn run(mut self, engine: &Engine, stop: &Stop) {
        let mut printer = Printer::new();
        let mut seen: u64 = 0;
        while self.left != Some(0) && !stop.is_set() && !self.sender.is_closed() {
            let records = match self.cursor.read(engine, false) {
                Ok(records) => records,
                Err(error) => {
                    stop.send(&self.sender, format!("ERROR: {error}"));
                    return;
                }
            };
            if records.is_empty() {
                stop.wait();
            }
            for record in &records {
                let shown = seen.is_multiple_of(self.interval);
                seen += 1;
                if !shown {
                    continue;
                }
                if self.left == Some(0) || !printer.lines(record).into_iter().all(|line| stop.send(&self.sender, line))
                {
                    return;
                }
                self.left = self.left.map(|left| left - 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConsumedRecord, Printer};
    use crate::types::{EventTime, Offset, Partition};

    type KeyAndValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

    fn check(records: &[KeyAndValue<'_>], expected: &str) {
        let mut printer = Printer::new();
        let mut lines = Vec::new();
        for (key, value) in records {
            lines.extend(printer.lines(&ConsumedRecord {
                partition: Partition(0),
                offset: Offset(0),
                timestamp: EventTime(1_714_557_600_123),
                key: key.map(bytes::Bytes::copy_from_slice),
                value: value.map(bytes::Bytes::copy_from_slice),
                headers: vec![],
            }));
        }
        assert_eq!(lines.join("\n"), expected);
    }

    #[test]
    fn formats_are_told_first_and_again_when_the_guess_changes() {
        check(
            &[(Some(&18_i64.to_be_bytes()), Some(b"{\"A\":1}")), (None, Some(b"x"))],
            "Key format: KAFKA_BIGINT or KAFKA_DOUBLE\n\
             Value format: JSON or KAFKA_STRING\n\
             rowtime: 2024/05/01 10:00:00.123 Z, key: 18, value: {\"A\":1}, partition: 0\n\
             Key format: KAFKA_BIGINT or KAFKA_DOUBLE\n\
             Value format: KAFKA_STRING\n\
             rowtime: 2024/05/01 10:00:00.123 Z, key: <null>, value: x, partition: 0",
        );
    }

    #[test]
    fn bytes_that_nothing_reads_are_said_to_fail_and_mixed_ones_are_mixed() {
        check(
            &[(None, Some(&[0xff])), (None, Some(b"a text"))],
            "Key format: ¯\\_(ツ)_/¯ - no data processed\n\
             Value format: MIXED\n\
             rowtime: 2024/05/01 10:00:00.123 Z, key: <null>, value: <Failed to deserialize>, partition: 0\n\
             rowtime: 2024/05/01 10:00:00.123 Z, key: <null>, value: a text, partition: 0",
        );
    }
}
