//! The written form of the rows of two joined streams, version 1. The bytes are part of stored state: never change them.
//!
//! ```text
//!   rows         key    01 left, 02 right   segment start, 8 bytes   number, 8 bytes
//!                value  01   for each row:  01 it waits, 00 not   time, 8 bytes   length, 4 bytes   the row by RowCodec
//!   matched      key    03 left, 04 right   segment start, 8 bytes   number, 8 bytes
//!                value  01   for each row:  time, 8 bytes   its key by RowCodec
//!   stream time  key    00
//!                value  01   8 bytes
//! ```
//!
//! Integers are big-endian, times with the sign bit flipped. The rows of a slot that an epoch adds to a segment are one
//! piece, which is written once and taken back when the segment is over. Rows that waited when they were written and have
//! found a partner since are told as matched: those of this key and time in the pieces before. Rows that waited and whose
//! time has passed are not told one by one: the stream time of the slot says that they have left. Numbers rise from piece
//! to piece of a slot.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::operators::aggregate::state_rows;
use crate::operators::{Capture, RestoreError};
use crate::state::{GroupNumber, Slot, StateRow};
use crate::types::{EncodedRows, NotARow};

use super::store::{KeyPlace, RowRef, StreamStore};
use crate::operators::join::given::{LEFT, RIGHT};
use crate::operators::join::layout::SideLayout;

const VERSION: u8 = 1;
const TIME: u8 = 0;
/// First byte of keys of rows and of matched rows of the left side; those of the right side are one more.
const ROWS: u8 = 1;
const MATCHED: u8 = 3;

/// How many pieces a barrier takes back at least: many are over at once, when a segment is.
const MOST_GONE: usize = 16_384;

/// A piece that was handed over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    slot: Slot,
    kind: u8,
    number: u64,
}

/// Pieces that are over and have to be taken back.
#[derive(Debug, Default)]
pub(super) struct Gone {
    chunks: Vec<(i64, Chunk)>,
}

impl Gone {
    /// The pieces of a segment.
    pub(super) fn push(&mut self, start: i64, chunks: Vec<Chunk>) {
        self.chunks.extend(chunks.into_iter().map(|chunk| (start, chunk)));
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<(i64, Chunk)>()
    }
}

/// Writes and reads the rows of a [`StreamStore`].
#[derive(Debug, Default)]
pub(super) struct StateWriter {
    next_number: u64,
    /// The rows of each piece read back; forgotten when the store goes on.
    restored: BTreeMap<(Slot, Bytes), Vec<RowRef>>,
}

fn ordered(time: i64) -> [u8; 8] {
    (time ^ i64::MIN).to_be_bytes()
}

fn take_time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    bytes.split_first_chunk::<8>().map(|(time, rest)| (i64::from_be_bytes(*time) ^ i64::MIN, rest))
}

fn key_of(start: i64, chunk: Chunk) -> Vec<u8> {
    let mut key = Vec::with_capacity(17);
    key.push(chunk.kind);
    key.extend(ordered(start));
    key.extend(chunk.number.to_be_bytes());
    key
}

fn damaged() -> RestoreError {
    RestoreError("not the rows of a join of streams".to_owned())
}

impl StateWriter {
    /// Hands over what changed since the last call.
    pub(super) fn capture(&mut self, store: &mut StreamStore, capture: &mut Capture) {
        self.restored.clear();
        // A share of a backlog, so that it is bounded however many pieces a barrier adds.
        let backlog = store.gone.chunks.len();
        for (start, chunk) in store.gone.chunks.drain(..backlog.min(MOST_GONE.max(backlog / 4))) {
            let key = key_of(start, chunk).into();
            capture.state.push(StateRow { slot: chunk.slot, key, value: None });
        }
        for number in store.take_changed() {
            for side in [LEFT, RIGHT] {
                self.capture_matched(store, number, side, capture);
                self.capture_rows(store, number, side, capture);
            }
        }
    }

    /// Rows that were handed over as waiting and have found a partner.
    fn capture_matched(&mut self, store: &mut StreamStore, segment: u32, side: usize, capture: &mut Capture) {
        let matched = std::mem::take(&mut store.segment_mut(segment).sides[side].matched);
        self.pieces(store, segment, side, MATCHED, &matched, capture, |store, rows, value| {
            let rows: Vec<_> = rows.iter().map(|row| store.row(side, RowRef { segment, row: *row })).collect();
            let groups: Vec<GroupNumber> = rows.iter().map(|row| row.group).collect();
            for (row, key) in rows.iter().zip(store.table.encoded_keys(&groups).iter()) {
                value.extend(ordered(row.time));
                value.extend_from_slice(key);
            }
        });
    }

    /// New rows.
    fn capture_rows(&mut self, store: &mut StreamStore, segment: u32, side: usize, capture: &mut Capture) {
        let rows = &mut store.segment_mut(segment).sides[side];
        let new: Vec<u32> = (rows.saved..rows.rows.len() as u32).collect();
        rows.saved = rows.rows.len() as u32;
        self.pieces(store, segment, side, ROWS, &new, capture, |store, rows, value| {
            let side = &store.segment(segment).sides[side];
            for number in rows {
                let (row, bytes) = (&side.rows[*number as usize], side.bytes(*number));
                value.push(u8::from(row.is_waiting()));
                value.extend(ordered(row.time));
                value.extend((bytes.len() as u32).to_be_bytes());
                value.extend_from_slice(bytes);
            }
        });
    }

    /// Makes a piece of the rows of each slot.
    #[expect(clippy::too_many_arguments, reason = "a piece is of a segment, a side and a kind")]
    fn pieces(
        &mut self,
        store: &mut StreamStore,
        segment: u32,
        side: usize,
        kind: u8,
        rows: &[u32],
        capture: &mut Capture,
        write: impl Fn(&StreamStore, &[u32], &mut Vec<u8>),
    ) {
        let slot_of = |row: &u32| store.table.slot(store.row(side, RowRef { segment, row: *row }).group);
        let mut by_slot: Vec<(Slot, u32)> = rows.iter().map(|row| (slot_of(row), *row)).collect();
        by_slot.sort_by_key(|(slot, _)| *slot);
        let start = store.segment(segment).start;
        let (mut data, mut ends, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
        for piece in by_slot.chunk_by(|(one, _), (other, _)| one == other) {
            let chunk = Chunk { slot: piece[0].0, kind: kind + side as u8, number: self.next_number };
            self.next_number += 1;
            let rows: Vec<u32> = piece.iter().map(|(_, row)| *row).collect();
            data.extend(key_of(start, chunk));
            let key_end = data.len();
            data.push(VERSION);
            write(store, &rows, &mut data);
            ends.push((chunk.slot, key_end, data.len()));
            chunks.push(chunk);
        }
        let (data, mut begin) = (Bytes::from(data), 0);
        for (slot, key_end, end) in ends {
            let (key, value) = (data.slice(begin..key_end), data.slice(key_end..end));
            capture.state.push(StateRow { slot, key, value: Some(value) });
            begin = end;
        }
        store.segment_mut(segment).sides[side].chunks.extend(chunks);
    }

    /// Hands over how far stream time has taken rows that waited out of these slots.
    pub(super) fn capture_times(slots: impl IntoIterator<Item = Slot>, now: i64, capture: &mut Capture) {
        capture.state.extend(slots.into_iter().map(|slot| state_rows::stream_time_row(slot, now)));
    }

    /// The store goes on: nothing more is put back.
    pub(super) fn begin(&mut self) {
        if !self.restored.is_empty() {
            self.restored.clear();
        }
    }

    /// Puts back a row of state. Rows that wait are told to `waits`; the stream time of a slot is the answer.
    ///
    /// # Errors
    /// Bytes that [`Self::capture`] did not write.
    pub(super) fn restore(
        &mut self,
        store: &mut StreamStore,
        layouts: [&SideLayout; 2],
        row: &StateRow,
        mut waits: impl FnMut(usize, i64, RowRef),
    ) -> Result<Option<i64>, RestoreError> {
        if *row.key == [TIME] {
            return row.value.as_ref().map(|value| Ok(state_rows::read_value(value)?.0.0)).transpose();
        }
        let (kind, rest) = row.key.split_first().ok_or_else(damaged)?;
        let (start, number) = take_time(rest).ok_or_else(damaged)?;
        let number = u64::from_be_bytes(number.try_into().map_err(|_| damaged())?);
        let chunk = Chunk { slot: row.slot, kind: *kind, number };
        self.next_number = self.next_number.max(number + 1);
        let (kind, side) = match chunk.kind {
            1 | 2 => (ROWS, usize::from(chunk.kind - ROWS)),
            3 | 4 => (MATCHED, usize::from(chunk.kind - MATCHED)),
            _ => return Err(damaged()),
        };
        for gone in self.restored.remove(&(row.slot, row.key.clone())).unwrap_or_default() {
            store.kill(side, gone);
        }
        let Some(value) = &row.value else { return Ok(None) };
        let value = match value.split_first() {
            Some((&VERSION, rest)) => rest,
            Some((version, _)) => return Err(RestoreError(format!("version {version} of join state is not known"))),
            None => return Err(damaged()),
        };
        let segment = if kind == ROWS {
            let (segment, rows) = restore_rows(store, layouts[side], start, side, value, &mut waits)?;
            self.restored.insert((row.slot, row.key.clone()), rows);
            segment
        } else {
            restore_matched(store, start, side, value)?
        };
        match segment {
            Some(segment) => store.segment_mut(segment).sides[side].chunks.push(chunk),
            // Its rows were taken back already.
            None => store.gone.push(start, vec![chunk]),
        }
        Ok(None)
    }
}

fn unreadable(error: NotARow) -> RestoreError {
    RestoreError(error.to_string())
}

fn restore_rows(
    store: &mut StreamStore,
    layout: &SideLayout,
    start: i64,
    side: usize,
    mut value: &[u8],
    waits: &mut impl FnMut(usize, i64, RowRef),
) -> Result<(Option<u32>, Vec<RowRef>), RestoreError> {
    let (mut rows, mut bytes) = (Vec::new(), Vec::new());
    while let Some((is_waiting, rest)) = value.split_first() {
        let (time, rest) = take_time(rest).ok_or_else(damaged)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let (row, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(damaged)?;
        if store.start_of(time) != start {
            return Err(damaged());
        }
        rows.push((time, *is_waiting == 1));
        bytes.push(row);
        value = rest;
    }
    // The whole row is decoded so that its bytes are known to be good.
    let columns = layout.codec.decode(bytes.iter().copied()).map_err(unreadable)?;
    let key = layout.key.iter().map(|column| Arc::clone(&columns[*column])).collect();
    let keys = store.table.keys(key, rows.len());
    let numbers: Vec<u32> = (0..rows.len() as u32).collect();
    let places = store.place(&keys, &numbers, &vec![start; rows.len()]);
    let mut restored = Vec::with_capacity(rows.len());
    for (((time, is_waiting), bytes), place) in rows.into_iter().zip(bytes).zip(&places) {
        let at = store.insert(side, *place, time, bytes, is_waiting);
        store.advance(side, time);
        if is_waiting {
            waits(side, time, at);
        }
        restored.push(at);
    }
    let segment = places.first().map(|place| place.segment);
    if let Some(segment) = segment {
        let rows = &mut store.segment_mut(segment).sides[side];
        rows.saved = rows.rows.len() as u32;
    }
    Ok((segment, restored))
}

fn restore_matched(
    store: &mut StreamStore,
    start: i64,
    side: usize,
    mut value: &[u8],
) -> Result<Option<u32>, RestoreError> {
    let (mut times, mut keys) = (Vec::new(), EncodedRows::default());
    while !value.is_empty() {
        let (time, rest) = take_time(value).ok_or_else(damaged)?;
        let length = store.table.key_length(rest).map_err(unreadable)?;
        let (key, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
        times.push(time);
        keys.data.extend_from_slice(key);
        keys.ends.push(keys.data.len());
        value = rest;
    }
    let columns = store.table.decode_keys(keys.iter()).map_err(unreadable)?;
    let keys = store.table.keys(columns, times.len());
    let numbers: Vec<u32> = (0..times.len() as u32).collect();
    let places: Vec<Option<KeyPlace>> = store.find(&keys, &numbers, &vec![start; times.len()]);
    let mut found = Vec::new();
    for (time, place) in times.iter().zip(&places) {
        let Some(place) = place else { continue };
        store.matches(side, *place, (*time, *time), &mut found);
        for at in found.drain(..) {
            store.end_wait(side, at);
        }
    }
    Ok(places.iter().flatten().next().map(|place| place.segment))
}
