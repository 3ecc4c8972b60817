//! Event times that Kafka's clients cannot write: 0 stands for "now" in librdkafka, and brokers refuse negative ones.
//!
//! Such a record is written at millisecond 1 with its true time in a header, which is taken off when it is read. Every
//! other record is written as it is.

use bytes::Bytes;
use rdkafka::message::{Header as Written, OwnedHeaders};

use crate::types::{EventTime, Header};

/// The header that holds an event time, decimal.
const HEADER: &str = "_thalweg-time";
/// What stands for it in the record.
const STAND_IN_MS: i64 = 1;

/// The timestamp and headers to write.
pub(super) fn written(time: EventTime, headers: &[Header]) -> (i64, Option<OwnedHeaders>) {
    let is_legal = time.0 > 0;
    if is_legal && headers.is_empty() {
        return (time.0, None);
    }
    let mut all = OwnedHeaders::new_with_capacity(headers.len() + 1);
    for header in headers {
        all = all.insert(Written { key: &header.key, value: header.value.as_deref() });
    }
    if is_legal {
        return (time.0, Some(all));
    }
    let text = time.0.to_string();
    (STAND_IN_MS, Some(all.insert(Written { key: HEADER, value: Some(&text) })))
}

/// The event time of a record that was read; a header of ours is taken off.
pub(super) fn read(time: EventTime, headers: &mut Vec<Header>) -> EventTime {
    if time.0 != STAND_IN_MS {
        return time;
    }
    let told = match headers.last() {
        Some(Header { key, value: Some(value) }) if key == HEADER => parse(value),
        _ => None,
    };
    told.map_or(time, |told| {
        headers.pop();
        told
    })
}

fn parse(value: &Bytes) -> Option<EventTime> {
    std::str::from_utf8(value).ok()?.parse().ok().map(EventTime)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{HEADER, read};
    use crate::types::{EventTime, Header};

    #[test]
    fn only_our_own_header_is_taken_off() {
        let header = |key: &str, value: &'static str| Header { key: key.into(), value: Some(Bytes::from(value)) };
        let check = |time, headers: Vec<Header>| {
            let mut headers = headers;
            (read(EventTime(time), &mut headers).0, headers.len())
        };
        assert_eq!(check(1, vec![header("a", "1"), header(HEADER, "-5")]), (-5, 1));
        assert_eq!(check(1, vec![header("a", "1")]), (1, 1));
        assert_eq!(check(1, vec![header(HEADER, "x")]), (1, 1));
        assert_eq!(check(7, vec![header(HEADER, "0")]), (7, 1));
    }
}
