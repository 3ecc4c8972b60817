//! The written form of aggregation state, version 1. The bytes are part of stored state: never change them.
//!
//! ```text
//!   a group     key    01  [window start, 8 bytes]  key columns by RowCodec
//!               value  01  event time (of a session: its end), 8 bytes  [prior results]  each aggregate's state
//!   stream time key    00
//!               value  01  8 bytes
//! ```
//!
//! Times are big-endian with the sign bit flipped, so that keys compare as windows do. The stream time of a slot is
//! written when groups of it go for good: a row that belongs to one of them is late, whatever its partition's own
//! stream time says after a restart.

use bytes::Bytes;

use crate::operators::RestoreError;
use crate::state::{Slot, StateRow};
use crate::types::EventTime;

const VERSION: u8 = 1;
const TIME: u8 = 0;
const GROUP: u8 = 1;

/// What the key of a row says.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::operators) enum StateKey<'a> {
    /// Rows before this time are late.
    StreamTime,
    /// A group: window start, key bytes.
    Group(i64, &'a [u8]),
}

fn ordered(time: i64) -> [u8; 8] {
    (time ^ i64::MIN).to_be_bytes()
}

fn take_time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    bytes.split_first_chunk::<8>().map(|(time, rest)| (i64::from_be_bytes(*time) ^ i64::MIN, rest))
}

fn damaged(what: &str) -> RestoreError {
    RestoreError(format!("not the {what} of an aggregation"))
}

/// The key of a group; `start` if there are windows.
pub(in crate::operators) fn group_key(start: Option<i64>, key: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(key.len() + 9);
    bytes.push(GROUP);
    bytes.extend(start.into_iter().flat_map(ordered));
    bytes.extend_from_slice(key);
    bytes.into()
}

/// Begins the value of a group.
pub(in crate::operators) fn begin_value(event_time: EventTime, out: &mut Vec<u8>) {
    out.push(VERSION);
    out.extend(ordered(event_time.0));
}

/// The stream time of a slot.
pub(in crate::operators) fn stream_time_row(slot: Slot, time: i64) -> StateRow {
    let mut value = vec![VERSION];
    value.extend(ordered(time));
    StateRow { slot, key: Bytes::from_static(&[TIME]), value: Some(value.into()) }
}

/// Reads a key.
pub(in crate::operators) fn read_key(key: &[u8], windowed: bool) -> Result<StateKey<'_>, RestoreError> {
    match key {
        [TIME] => Ok(StateKey::StreamTime),
        [GROUP, key @ ..] if windowed => {
            take_time(key).map(|(start, key)| StateKey::Group(start, key)).ok_or_else(|| damaged("key"))
        }
        [GROUP, key @ ..] => Ok(StateKey::Group(0, key)),
        _ => Err(damaged("key")),
    }
}

/// Reads the beginning of a value: version and time. What follows is the rest.
pub(in crate::operators) fn read_value(value: &[u8]) -> Result<(EventTime, &[u8]), RestoreError> {
    match value {
        [VERSION, rest @ ..] => {
            take_time(rest).map(|(time, rest)| (EventTime(time), rest)).ok_or_else(|| damaged("value"))
        }
        [version, ..] => Err(RestoreError(format!("version {version} of aggregation state is not known"))),
        [] => Err(damaged("value")),
    }
}

#[cfg(test)]
mod tests {
    use super::{StateKey, begin_value, group_key, read_key, read_value, stream_time_row};
    use crate::state::Slot;
    use crate::types::EventTime;

    #[test]
    fn the_bytes_never_change() {
        assert_eq!(&*group_key(None, b"k"), b"\x01k");
        assert_eq!(&*group_key(Some(258), b"k"), b"\x01\x80\0\0\0\0\0\x01\x02k");
        let mut value = Vec::new();
        begin_value(EventTime(-1), &mut value);
        assert_eq!(value, b"\x01\x7f\xff\xff\xff\xff\xff\xff\xff");
        let row = stream_time_row(Slot(7), 1);
        assert_eq!((&*row.key, row.value.as_deref()), (&b"\0"[..], Some(&b"\x01\x80\0\0\0\0\0\0\x01"[..])));
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read_key(&group_key(Some(-3), b"key"), true), Ok(StateKey::Group(-3, b"key")));
        assert_eq!(read_key(&group_key(None, b"key"), false), Ok(StateKey::Group(0, b"key")));
        assert_eq!(read_key(&stream_time_row(Slot(0), 9).key, true), Ok(StateKey::StreamTime));
        let mut value = Vec::new();
        begin_value(EventTime(12), &mut value);
        assert_eq!(read_value(&value), Ok((EventTime(12), &[][..])));
        assert!(read_value(b"\x02").is_err());
        assert!(read_key(b"\x01short", true).is_err());
    }
}
