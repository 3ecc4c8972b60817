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

/// How the window of a key is written behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suffix {
    None,
    /// End and start of a session.
    Session,
    /// The start of a window that advances by less than its size …
    Hopping,
    /// … or by its size: bytes do not tell them apart.
    Tumbling,
}

impl Suffix {
    /// Cuts the suffix off a key: what is left, and the window as it is shown. A time that is none of the years to 9999
    /// is no window, nor is one without a key before it.
    fn cut(self, bytes: &[u8]) -> Option<(&[u8], String)> {
        const LAST_MS: i64 = 253_402_300_799_999;
        let time = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_be_bytes).filter(|ms| (0..=LAST_MS).contains(ms));
        let (key, window) = match self {
            Self::None => return Some((bytes, String::new())),
            Self::Session => {
                let (key, window) = bytes.split_at_checked(bytes.len().checked_sub(16)?)?;
                let (end, start) = (time(window.get(..8)?)?, time(window.get(8..)?)?);
                (key, (start <= end).then(|| format!("{start}/{end}"))?)
            }
            Self::Hopping | Self::Tumbling => {
                let (key, window) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
                (key, format!("{}/-", time(window)?))
            }
        };
        (!key.is_empty()).then_some((key, window))
    }
}

/// A format with what may stand behind its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    candidate: Candidate,
    suffix: Suffix,
}

impl Reading {
    /// The bytes as text, if they can be read so: a key with a window as `[key@start/end]`.
    fn read(self, bytes: &[u8]) -> Option<String> {
        let (inner, window) = self.suffix.cut(bytes)?;
        let text = self.candidate.read(inner)?;
        Some(if self.suffix == Suffix::None { text } else { format!("[{text}@{window}]") })
    }

    fn name(self) -> String {
        let format = self.candidate.as_str();
        match self.suffix {
            Suffix::None => format.to_owned(),
            Suffix::Session => format!("SESSION({format})"),
            Suffix::Hopping => format!("HOPPING({format})"),
            Suffix::Tumbling => format!("TUMBLING({format})"),
        }
    }
}

/// What one side of the records seen so far can be.
#[derive(Debug, Clone)]
struct Guess {
    all: Vec<Reading>,
    left: Vec<Reading>,
    seen: bool,
}

impl Guess {
    /// Of keys, which may have windows behind them.
    fn of_keys() -> Self {
        Self::among(&[Suffix::Session, Suffix::Hopping, Suffix::Tumbling, Suffix::None])
    }

    fn of_values() -> Self {
        Self::among(&[Suffix::None])
    }

    fn among(suffixes: &[Suffix]) -> Self {
        let readings = |candidate| suffixes.iter().map(move |suffix| Reading { candidate, suffix: *suffix });
        let all: Vec<_> = Candidate::ALL.into_iter().flat_map(readings).collect();
        Self { left: all.clone(), all, seen: false }
    }

    /// The bytes as text; candidates that cannot read them are struck out.
    fn read(&mut self, bytes: Option<&[u8]>) -> String {
        let Some(bytes) = bytes else { return "<null>".to_owned() };
        let able: Vec<_> = self.all.iter().copied().filter(|reading| reading.read(bytes).is_some()).collect();
        self.left.retain(|reading| able.contains(reading));
        self.seen = true;
        // Once nothing reads them all, each record is shown as it reads best.
        let best = self.left.first().or(able.first());
        best.and_then(|reading| reading.read(bytes)).unwrap_or_else(|| "<Failed to deserialize>".to_owned())
    }

    fn as_text(&self) -> String {
        match (self.seen, self.left.as_slice()) {
            (false, _) => NO_DATA.to_owned(),
            (true, []) => "MIXED".to_owned(),
            (true, left) => left.iter().map(|reading| reading.name()).collect::<Vec<_>>().join(" or "),
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
        Self { key: Guess::of_keys(), value: Guess::of_values(), told: None }
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
    fn keys_with_windows_are_shown_with_them() {
        let key = |parts: &[&[u8]]| parts.concat();
        let time = |ms: i64| ms.to_be_bytes();
        let told = |format: &str, key: &str| {
            format!(
                "Key format: {format}\nValue format: KAFKA_STRING\n\
                 rowtime: 2024/05/01 10:00:00.123 Z, key: {key}, value: x, partition: 0"
            )
        };
        let shows = |bytes: &[u8], format: &str, shown: &str| check(&[(Some(bytes), Some(b"x"))], &told(format, shown));
        let times = "HOPPING(KAFKA_STRING) or TUMBLING(KAFKA_STRING)";
        shows(&key(&[b"abc", &time(1_714_557_600_000)]), times, "[abc@1714557600000/-]");
        shows(&key(&[b"abc", &time(0)]), times, "[abc@0/-]");
        shows(&key(&[b"abc", &time(7000), &time(5000)]), "SESSION(KAFKA_STRING)", "[abc@5000/7000]");
        let both = "SESSION(KAFKA_BIGINT) or SESSION(KAFKA_DOUBLE)";
        shows(&key(&[&18_i64.to_be_bytes(), &time(7000), &time(5000)]), both, "[18@5000/7000]");
        shows(b"sixteen letters.", "KAFKA_STRING", "sixteen letters.");
        shows(&18_i64.to_be_bytes(), "KAFKA_BIGINT or KAFKA_DOUBLE", "18");
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
