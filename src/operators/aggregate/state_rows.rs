//! The written form of aggregation state, version 1. The bytes are part of stored state: never change them.
//!
//! ```text
//!   a group     key    01  [window start, 8 bytes]  key columns by RowCodec
//!               value  01  event time (of a session: its end), 8 bytes  [prior results]  each aggregate's state
//!   shadowed    key    02  session start, 8 bytes  key columns by RowCodec
//!               value  01  for each session: its end, 8 bytes  length of what follows, 4 bytes  the rest of a group's value
//!   stream time key    00
//!               value  01  8 bytes
//! ```
//!
//! Several sessions of a key may begin at one time, where those that end earlier are too old for most rows to join:
//! the one that ends last is the group, the others are its shadowed ones.
//!
//! Times are big-endian with the sign bit flipped, so that keys compare as windows do. The stream time of a slot is
//! written when groups of it go for good: a row that belongs to one of them is late, whatever its partition's own
//! stream time says after a restart.

use std::ops::Range;

use bytes::Bytes;

use crate::operators::{Capture, RestoreError};
use crate::state::{GroupNumber, GroupTable, Slot, StateRow};
use crate::types::{EventTime, RowCodec};

const VERSION: u8 = 1;
const TIME: u8 = 0;
const GROUP: u8 = 1;
const SHADOWED: u8 = 2;

/// What the key of a row says.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::operators) enum StateKey<'a> {
    /// Rows before this time are late.
    StreamTime,
    /// A group: window start, key bytes.
    Group(i64, &'a [u8]),
    /// The other sessions that begin there.
    Shadowed(i64, &'a [u8]),
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

/// State rows being written: keys and values are parts of one piece of memory.
#[derive(Debug, Default)]
pub(in crate::operators) struct RowWriter {
    data: Vec<u8>,
    /// Where key and value end; without a value the key is gone.
    rows: Vec<(Slot, usize, Option<usize>)>,
}

impl RowWriter {
    /// The state of a group: `start` if there are windows; `value` appends it.
    pub(in crate::operators) fn group(
        &mut self,
        slot: Slot,
        start: Option<i64>,
        key: &[u8],
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        let key_end = self.key(GROUP, start, key);
        value(&mut self.data);
        self.rows.push((slot, key_end, Some(self.data.len())));
    }

    /// A group that is gone.
    pub(in crate::operators) fn gone(&mut self, slot: Slot, start: Option<i64>, key: &[u8]) {
        let key_end = self.key(GROUP, start, key);
        self.rows.push((slot, key_end, None));
    }

    /// The shadowed sessions of a key and start, by end and state; there may be none any more.
    pub(super) fn shadowed(&mut self, slot: Slot, start: i64, key: &[u8], sessions: &[(i64, Vec<u8>)]) {
        let key_end = self.key(SHADOWED, Some(start), key);
        if sessions.is_empty() {
            return self.rows.push((slot, key_end, None));
        }
        self.data.push(VERSION);
        for (end, state) in sessions {
            self.data.extend(ordered(*end));
            self.data.extend(u32::try_from(state.len()).expect("a state has fewer than 2^32 bytes").to_be_bytes());
            self.data.extend_from_slice(state);
        }
        self.rows.push((slot, key_end, Some(self.data.len())));
    }

    /// Memory held, bytes.
    pub(in crate::operators) fn size_bytes(&self) -> usize {
        self.data.capacity() + self.rows.capacity() * size_of::<(Slot, usize, Option<usize>)>()
    }

    fn key(&mut self, kind: u8, start: Option<i64>, key: &[u8]) -> usize {
        self.data.push(kind);
        self.data.extend(start.into_iter().flat_map(ordered));
        self.data.extend_from_slice(key);
        self.data.len()
    }

    /// Hands the rows over and is empty again.
    pub(in crate::operators) fn hand_over(&mut self, capture: &mut Capture) {
        let data = Bytes::from(std::mem::take(&mut self.data));
        let mut start = 0;
        capture.state.reserve(self.rows.len());
        for (slot, key_end, value_end) in self.rows.drain(..) {
            let key = data.slice(start..key_end);
            let value = value_end.map(|end| data.slice(key_end..end));
            start = value_end.unwrap_or(key_end);
            capture.state.push(StateRow { slot, key, value });
        }
    }
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

/// Runs of rows that all have a state, or all have none: each can be put back at once, in this order.
pub(in crate::operators) fn runs<T>(rows: &[T], has_state: impl Fn(&T) -> bool) -> Vec<Range<usize>> {
    let mut start = 0;
    let next = |run: &[T]| {
        start += run.len();
        start - run.len()..start
    };
    rows.chunk_by(|left, right| has_state(left) == has_state(right)).map(next).collect()
}

/// Puts the rows of groups without windows back into `store`, which has `table`: for each, its key as the table writes it,
/// and what was written of it, `None` if it is gone. `keep` is told each group and what follows version and time.
pub(in crate::operators) fn put_back<S>(
    store: &mut S,
    table: impl Fn(&mut S) -> &mut GroupTable,
    rows: &[(&[u8], Option<&[u8]>)],
    mut keep: impl FnMut(&mut S, GroupNumber, Option<&[u8]>) -> Result<(), RestoreError>,
) -> Result<(), RestoreError> {
    let columns = table(store).decode_keys(rows.iter().map(|(key, _)| *key));
    let columns = columns.map_err(|error| RestoreError(error.to_string()))?;
    let keys = table(store).keys(columns, rows.len());
    let mut groups = Vec::new();
    for run in runs(rows, |(_, value)| value.is_some()) {
        if rows[run.start].1.is_none() {
            for entry in run {
                if let Some(group) = table(store).find(&keys, entry, 0) {
                    keep(store, group, None)?;
                    table(store).remove(group);
                }
            }
            continue;
        }
        let entries: Vec<u32> = run.clone().map(|entry| entry as u32).collect();
        groups.clear();
        table(store).find_or_create(&keys, Some(&entries), None, &mut groups);
        for (group, value) in groups.iter().zip(rows[run].iter().filter_map(|(_, value)| *value)) {
            let (event_time, value) = read_value(value)?;
            keep(store, *group, Some(value))?;
            table(store).set_event_time(*group, event_time);
        }
    }
    Ok(())
}

/// A row put back, which is all there is; an empty one if it is gone.
pub(in crate::operators) fn whole_row<'a>(codec: &RowCodec, row: Option<&'a [u8]>) -> Result<&'a [u8], RestoreError> {
    let Some(row) = row else { return Ok(&[]) };
    match codec.row_length(row) {
        Ok(length) if length == row.len() => Ok(row),
        Ok(_) => Err(RestoreError("a row has bytes behind it".to_owned())),
        Err(error) => Err(RestoreError(error.to_string())),
    }
}

/// Reads a key of a group without windows.
pub(in crate::operators) fn group_key<'a>(key: &'a [u8], what: &str) -> Result<&'a [u8], RestoreError> {
    match read_key(key, false)? {
        StateKey::Group(_, key) => Ok(key),
        StateKey::StreamTime | StateKey::Shadowed(..) => Err(RestoreError(format!("not the key of a {what}"))),
    }
}

/// Reads a key.
pub(in crate::operators) fn read_key(key: &[u8], windowed: bool) -> Result<StateKey<'_>, RestoreError> {
    match key {
        [TIME] => Ok(StateKey::StreamTime),
        [GROUP, key @ ..] if windowed => {
            take_time(key).map(|(start, key)| StateKey::Group(start, key)).ok_or_else(|| damaged("key"))
        }
        [GROUP, key @ ..] => Ok(StateKey::Group(0, key)),
        [SHADOWED, key @ ..] if windowed => {
            take_time(key).map(|(start, key)| StateKey::Shadowed(start, key)).ok_or_else(|| damaged("key"))
        }
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

/// Reads the sessions of a shadowed row: end and state of each.
pub(super) fn read_shadowed(value: &[u8]) -> Result<Vec<(i64, &[u8])>, RestoreError> {
    let mut sessions = Vec::new();
    let [VERSION, rest @ ..] = value else { return Err(damaged("shadowed sessions")) };
    let mut rest = rest;
    while !rest.is_empty() {
        let session = take_time(rest).and_then(|(end, rest)| {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (state, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            Some((end, state, rest))
        });
        let (end, state, behind) = session.ok_or_else(|| damaged("shadowed sessions"))?;
        sessions.push((end, state));
        rest = behind;
    }
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use super::{RowWriter, StateKey, begin_value, read_key, read_shadowed, read_value, stream_time_row};
    use crate::operators::Capture;
    use crate::state::{Slot, StateRow};
    use crate::types::EventTime;

    /// A group with this event time and state `s`, and one that is gone.
    fn written(start: Option<i64>, event_time: i64) -> Vec<StateRow> {
        let mut writer = RowWriter::default();
        writer.group(Slot(3), start, b"k", |value| {
            begin_value(EventTime(event_time), value);
            value.push(b's');
        });
        writer.gone(Slot(4), start, b"gone");
        let mut capture = Capture::default();
        writer.hand_over(&mut capture);
        capture.state
    }

    #[test]
    fn the_bytes_never_change() {
        let [group, gone] = &written(None, -1)[..] else { panic!("two rows") };
        assert_eq!((group.slot, &*group.key), (Slot(3), &b"\x01k"[..]));
        assert_eq!(group.value.as_deref(), Some(&b"\x01\x7f\xff\xff\xff\xff\xff\xff\xffs"[..]));
        assert_eq!((gone.slot, &*gone.key, &gone.value), (Slot(4), &b"\x01gone"[..], &None));
        assert_eq!(&*written(Some(258), 0)[0].key, b"\x01\x80\0\0\0\0\0\x01\x02k");
        let row = stream_time_row(Slot(7), 1);
        assert_eq!((&*row.key, row.value.as_deref()), (&b"\0"[..], Some(&b"\x01\x80\0\0\0\0\0\0\x01"[..])));
    }

    #[test]
    fn what_was_written_is_read() {
        let rows = written(Some(-3), 12);
        assert_eq!(read_key(&rows[0].key, true), Ok(StateKey::Group(-3, b"k")));
        assert_eq!(read_key(&written(None, 0)[1].key, false), Ok(StateKey::Group(0, b"gone")));
        assert_eq!(read_key(&stream_time_row(Slot(0), 9).key, true), Ok(StateKey::StreamTime));
        assert_eq!(read_value(rows[0].value.as_deref().unwrap()), Ok((EventTime(12), &b"s"[..])));
        assert!(read_value(b"\x02").is_err());
        assert!(read_key(b"\x01short", true).is_err());
    }

    #[test]
    fn shadowed_sessions_are_read_as_written() {
        let mut writer = RowWriter::default();
        writer.shadowed(Slot(1), 7, b"k", &[(9, b"state".to_vec()), (8, vec![])]);
        writer.shadowed(Slot(1), 7, b"k", &[]);
        let mut capture = Capture::default();
        writer.hand_over(&mut capture);
        let [some, none] = &capture.state[..] else { panic!("two rows") };
        assert_eq!(&*some.key, b"\x02\x80\0\0\0\0\0\0\x07k");
        assert_eq!(read_key(&some.key, true), Ok(StateKey::Shadowed(7, b"k")));
        let value = some.value.as_deref().unwrap();
        assert_eq!(value, b"\x01\x80\0\0\0\0\0\0\x09\0\0\0\x05state\x80\0\0\0\0\0\0\x08\0\0\0\0");
        assert_eq!(read_shadowed(value), Ok(vec![(9, &b"state"[..]), (8, b"")]));
        assert_eq!((&none.key, &none.value), (&some.key, &None));
        assert!(read_shadowed(&value[..20]).is_err());
        assert!(read_key(b"\x02short", true).is_err());
    }
}
