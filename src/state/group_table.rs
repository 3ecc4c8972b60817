//! Keys (and windows) to dense group numbers.
//!
//! ```text
//!   window 0      { a → 0, b → 1 }        groups   0  1  2  3      one arena of numbers for all windows;
//!   window 10 000 { a → 2, c → 3 }        states  [·][·][·][·]     aggregates hold their state by number
//! ```
//!
//! Each window has a hash table of its own, so that a window that is over goes as a whole. A table entry holds 32 bits of
//! the hash and the number; key, window, largest event time and slot are in one record of 32 bytes a group; texts and
//! encoded rows are bytes in one piece a window.
//!
//! Invariants:
//! - a key of a window has one number for as long as it lives; a freed number is given again;
//! - a group is in the list of dirty groups at most once an epoch with its mark set.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray, UInt32Array};
use datafusion::arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use datafusion::arrow::compute;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::types::{EncodedRows, EventTime, NotARow, RowCodec, SqlType};

use super::key_batch::{KeyBatch, KeyForm, Keys};
use super::{Slot, hash_keys, slot_of};

/// The number of a group.
pub type GroupNumber = u32;

/// Finds groups by key and window.
#[derive(Debug)]
pub struct GroupTable {
    // fixed
    form: KeyForm,
    codec: RowCodec,
    slots: u16,
    // changing
    groups: Vec<Group>,
    free: Vec<GroupNumber>,
    windows: Vec<Window>,
    free_windows: Vec<u32>,
    by_start: BTreeMap<i64, u32>,
    /// Windows looked up lately, by a hash of their start.
    recent: [(i64, u32); RECENT],
    dirty: Vec<GroupNumber>,
    created: Vec<(u32, GroupNumber)>,
    /// Bytes that windows hold, those of keys that are gone included.
    key_bytes: usize,
}

/// Windows that are found without a search: a row of a hopping window has `size / advance` of them.
const RECENT: usize = 64;
const NO_WINDOW: u32 = u32::MAX;

const LIVE: u8 = 1;
const DIRTY: u8 = 2;
const EMITTED: u8 = 4;
const TOUCHED: u8 = 8;
const KNOWN: u8 = 16;
const SAVED: u8 = 32;

#[derive(Debug, Clone, Copy)]
struct Group {
    /// The key itself if it is a number, else where its bytes begin in its window.
    key: u64,
    event_time: i64,
    key_len: u32,
    window: u32,
    slot: u16,
    marks: u8,
}

#[derive(Debug, Default)]
struct Window {
    start: i64,
    table: HashTable<TableEntry>,
    bytes: Vec<u8>,
    /// Bytes of groups that are gone.
    waste: usize,
}

#[derive(Debug, Clone, Copy)]
struct TableEntry {
    hash: u32,
    group: GroupNumber,
}

/// 64 bits for a hash table, which looks at the lowest and the highest ones.
fn widened(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

/// Keys of one form, read by row.
trait KeyReader {
    fn is(&self, row: usize, group: &Group, bytes: &[u8]) -> bool;
    /// Keeps the key; gives [`Group::key`] and its length.
    fn keep(&self, row: usize, bytes: &mut Vec<u8>) -> (u64, u32);
}

impl KeyReader for ScalarBuffer<i32> {
    fn is(&self, row: usize, group: &Group, _bytes: &[u8]) -> bool {
        group.key == i64::from(self[row]).cast_unsigned()
    }

    fn keep(&self, row: usize, _bytes: &mut Vec<u8>) -> (u64, u32) {
        (i64::from(self[row]).cast_unsigned(), 0)
    }
}

impl KeyReader for ScalarBuffer<i64> {
    fn is(&self, row: usize, group: &Group, _bytes: &[u8]) -> bool {
        group.key == self[row].cast_unsigned()
    }

    fn keep(&self, row: usize, _bytes: &mut Vec<u8>) -> (u64, u32) {
        (self[row].cast_unsigned(), 0)
    }
}

fn keep_bytes(key: &[u8], bytes: &mut Vec<u8>) -> (u64, u32) {
    let start = bytes.len() as u64;
    bytes.extend_from_slice(key);
    (start, u32::try_from(key.len()).expect("a key has fewer than 2^32 bytes"))
}

impl KeyReader for StringArray {
    fn is(&self, row: usize, group: &Group, bytes: &[u8]) -> bool {
        group.bytes_in(bytes) == self.value(row).as_bytes()
    }

    fn keep(&self, row: usize, bytes: &mut Vec<u8>) -> (u64, u32) {
        keep_bytes(self.value(row).as_bytes(), bytes)
    }
}

impl KeyReader for EncodedRows {
    fn is(&self, row: usize, group: &Group, bytes: &[u8]) -> bool {
        group.bytes_in(bytes) == self.get(row)
    }

    fn keep(&self, row: usize, bytes: &mut Vec<u8>) -> (u64, u32) {
        keep_bytes(self.get(row), bytes)
    }
}

impl Group {
    fn bytes_in<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.key as usize;
        &bytes[start..start + self.key_len as usize]
    }
}

impl GroupTable {
    /// An empty table for keys of these columns, which hash to `slots` slots.
    pub fn new(key: impl IntoIterator<Item = SqlType>, slots: u16) -> Self {
        let codec = RowCodec::new(key);
        Self {
            form: KeyForm::of(codec.types()),
            codec,
            slots,
            groups: Vec::new(),
            free: Vec::new(),
            windows: Vec::new(),
            free_windows: Vec::new(),
            by_start: BTreeMap::new(),
            recent: [(0, NO_WINDOW); RECENT],
            dirty: Vec::new(),
            created: Vec::new(),
            key_bytes: 0,
        }
    }

    /// All group numbers are below this.
    pub fn bound(&self) -> usize {
        self.groups.len()
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len() - self.free.len()
    }

    /// True if there is no group.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys that `columns` make in each of `rows` rows.
    pub fn keys(&self, columns: Vec<ArrayRef>, rows: usize) -> KeyBatch {
        KeyBatch::new(self.form, &self.codec, columns, rows)
    }

    /// Appends to `out` the group of each entry, making those that are missing. Entry `i` is the key of row `rows[i]`
    /// (of row `i` without `rows`) in the window that starts at `starts[i]` (without `starts`: at 0).
    pub fn find_or_create(
        &mut self,
        keys: &KeyBatch,
        rows: Option<&[u32]>,
        starts: Option<&[i64]>,
        out: &mut Vec<GroupNumber>,
    ) {
        match &keys.keys {
            Keys::Int32(reader) => self.find_all(reader, &keys.hashes, rows, starts, out),
            Keys::Int64(reader) => self.find_all(reader, &keys.hashes, rows, starts, out),
            Keys::Text(reader) => self.find_all(reader, &keys.hashes, rows, starts, out),
            Keys::Row(reader) => self.find_all(reader, &keys.hashes, rows, starts, out),
        }
        self.assign_slots(keys);
    }

    fn find_all<K: KeyReader>(
        &mut self,
        reader: &K,
        hashes: &[u32],
        rows: Option<&[u32]>,
        starts: Option<&[i64]>,
        out: &mut Vec<GroupNumber>,
    ) {
        let entries = rows.map_or(hashes.len(), <[u32]>::len);
        out.reserve(entries);
        let mut window = None;
        for entry in 0..entries {
            let row = rows.map_or(entry, |rows| rows[entry] as usize);
            let start = starts.map_or(0, |starts| starts[entry]);
            let index = match window {
                Some((same, index)) if same == start => index,
                _ => self.window_at(start),
            };
            window = Some((start, index));
            let Window { table, bytes, .. } = &mut self.windows[index as usize];
            let hash = hashes[row];
            let groups = &mut self.groups;
            let found = table.entry(
                widened(hash),
                |entry| entry.hash == hash && reader.is(row, &groups[entry.group as usize], bytes),
                |entry| widened(entry.hash),
            );
            let number = match found {
                Entry::Occupied(found) => found.get().group,
                Entry::Vacant(vacant) => {
                    let number = self.free.pop().unwrap_or_else(|| {
                        GroupNumber::try_from(groups.len()).expect("a task has fewer than 2^32 groups")
                    });
                    vacant.insert(TableEntry { hash, group: number });
                    let (key, key_len) = reader.keep(row, bytes);
                    self.key_bytes += key_len as usize;
                    let group = Group { key, key_len, event_time: i64::MIN, window: index, slot: 0, marks: LIVE };
                    match groups.get_mut(number as usize) {
                        Some(free) => *free = group,
                        None => groups.push(group),
                    }
                    self.created.push((row as u32, number));
                    number
                }
            };
            out.push(number);
        }
    }

    /// The slots of groups just made.
    fn assign_slots(&mut self, keys: &KeyBatch) {
        if self.created.is_empty() {
            return;
        }
        let rows: UInt32Array = self.created.iter().map(|(row, _)| *row).collect::<Vec<_>>().into();
        let columns: Vec<ArrayRef> = keys
            .columns
            .iter()
            .map(|column| compute::take(column, &rows, None).expect("rows are within the batch"))
            .collect();
        let hashes = hash_keys(&columns.iter().collect::<Vec<_>>(), self.created.len());
        for ((_, number), hash) in self.created.drain(..).zip(hashes) {
            self.groups[number as usize].slot = slot_of(hash, self.slots).0;
        }
    }

    /// The group of row `row` in the window that starts at `start`, if there is one.
    pub fn find(&self, keys: &KeyBatch, row: usize, start: i64) -> Option<GroupNumber> {
        let window = &self.windows[*self.by_start.get(&start)? as usize];
        let hash = keys.hashes[row];
        let is = |entry: &TableEntry| {
            let group = &self.groups[entry.group as usize];
            entry.hash == hash
                && match &keys.keys {
                    Keys::Int32(reader) => reader.is(row, group, &window.bytes),
                    Keys::Int64(reader) => reader.is(row, group, &window.bytes),
                    Keys::Text(reader) => reader.is(row, group, &window.bytes),
                    Keys::Row(reader) => reader.is(row, group, &window.bytes),
                }
        };
        window.table.find(widened(hash), is).map(|entry| entry.group)
    }

    /// Appends to `out` the group of each entry, if there is one. Entry `i` is the key of row `rows[i]` in the window that
    /// starts at `starts[i]`.
    pub fn find_each(&self, keys: &KeyBatch, rows: &[u32], starts: &[i64], out: &mut Vec<Option<GroupNumber>>) {
        match &keys.keys {
            Keys::Int32(reader) => self.find_present(reader, &keys.hashes, rows, starts, out),
            Keys::Int64(reader) => self.find_present(reader, &keys.hashes, rows, starts, out),
            Keys::Text(reader) => self.find_present(reader, &keys.hashes, rows, starts, out),
            Keys::Row(reader) => self.find_present(reader, &keys.hashes, rows, starts, out),
        }
    }

    fn find_present<K: KeyReader>(
        &self,
        reader: &K,
        hashes: &[u32],
        rows: &[u32],
        starts: &[i64],
        out: &mut Vec<Option<GroupNumber>>,
    ) {
        out.reserve(rows.len());
        let mut last: Option<(i64, Option<&Window>)> = None;
        for (row, start) in rows.iter().zip(starts) {
            let window = match last {
                Some((same, window)) if same == *start => window,
                _ => self.by_start.get(start).map(|index| &self.windows[*index as usize]),
            };
            last = Some((*start, window));
            let hash = hashes[*row as usize];
            out.push(window.and_then(|window| {
                let is = |entry: &TableEntry| {
                    entry.hash == hash && reader.is(*row as usize, &self.groups[entry.group as usize], &window.bytes)
                };
                window.table.find(widened(hash), is).map(|entry| entry.group)
            }));
        }
    }

    /// The window that starts at `start`, made if it is missing.
    fn window_at(&mut self, start: i64) -> u32 {
        let place = (start.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize % RECENT;
        let (recent, index) = self.recent[place];
        if recent == start && index != NO_WINDOW {
            return index;
        }
        let (windows, free) = (&mut self.windows, &mut self.free_windows);
        let index = *self.by_start.entry(start).or_insert_with(|| match free.pop() {
            Some(index) => {
                windows[index as usize].start = start;
                index
            }
            None => {
                windows.push(Window { start, ..Window::default() });
                u32::try_from(windows.len() - 1).expect("a task has fewer than 2^32 windows")
            }
        });
        self.recent[place] = (start, index);
        index
    }

    /// Notes a row of the group: the largest event time of its rows, this one included. The group is dirty from here.
    pub fn touch(&mut self, number: GroupNumber, event_time: EventTime) -> EventTime {
        let group = &mut self.groups[number as usize];
        group.event_time = group.event_time.max(event_time.0);
        if group.marks & DIRTY == 0 {
            group.marks |= DIRTY;
            self.dirty.push(number);
        }
        EventTime(group.event_time)
    }

    /// The largest event time of the group's rows.
    pub fn event_time(&self, number: GroupNumber) -> EventTime {
        EventTime(self.groups[number as usize].event_time)
    }

    /// Sets what [`Self::event_time`] gives, of a group put back.
    pub fn set_event_time(&mut self, number: GroupNumber, event_time: EventTime) {
        self.groups[number as usize].event_time = event_time.0;
    }

    /// The slot of the group's key.
    pub fn slot(&self, number: GroupNumber) -> Slot {
        Slot(self.groups[number as usize].slot)
    }

    /// Where the group's window starts.
    pub fn start(&self, number: GroupNumber) -> i64 {
        self.windows[self.groups[number as usize].window as usize].start
    }

    /// True if a result of the group has left.
    pub fn is_emitted(&self, number: GroupNumber) -> bool {
        self.groups[number as usize].marks & EMITTED != 0
    }

    /// Notes that a result of the group has left.
    pub fn set_emitted(&mut self, number: GroupNumber) {
        self.groups[number as usize].marks |= EMITTED;
    }

    /// True if a row of the group was taken before the batch under way.
    pub fn is_known(&self, number: GroupNumber) -> bool {
        self.groups[number as usize].marks & KNOWN != 0
    }

    /// Notes that rows of the group were taken.
    pub fn set_known(&mut self, number: GroupNumber) {
        self.groups[number as usize].marks |= KNOWN;
    }

    /// True if state of the group was handed over.
    pub fn is_saved(&self, number: GroupNumber) -> bool {
        self.groups[number as usize].marks & SAVED != 0
    }

    /// Notes that state of the group was handed over.
    pub fn set_saved(&mut self, number: GroupNumber) {
        self.groups[number as usize].marks |= SAVED;
    }

    /// Marks the group as touched; true if it was not.
    pub fn mark_touched(&mut self, number: GroupNumber) -> bool {
        let marks = &mut self.groups[number as usize].marks;
        let first = *marks & TOUCHED == 0;
        *marks |= TOUCHED;
        first
    }

    /// Takes the mark of [`Self::mark_touched`] off.
    pub fn unmark_touched(&mut self, number: GroupNumber) {
        self.groups[number as usize].marks &= !TOUCHED;
    }

    /// The groups that are dirty since the last call and still there, in the order in which they became so.
    pub fn take_dirty(&mut self) -> Vec<GroupNumber> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.retain(|number| {
            let marks = &mut self.groups[*number as usize].marks;
            let is_dirty = *marks & DIRTY != 0;
            *marks &= !DIRTY;
            is_dirty
        });
        dirty
    }

    /// The key columns of these groups.
    pub fn key_columns(&self, numbers: &[GroupNumber]) -> Vec<ArrayRef> {
        let groups = numbers.iter().map(|number| &self.groups[*number as usize]);
        match self.form {
            KeyForm::Int32 => {
                let value = |group: &Group| i32::try_from(group.key.cast_signed()).expect("the key was an INTEGER");
                vec![Arc::new(Int32Array::from_iter_values(groups.map(value)))]
            }
            KeyForm::Int64 => {
                vec![Arc::new(Int64Array::from_iter_values(groups.map(|group| group.key.cast_signed())))]
            }
            KeyForm::Text => {
                let length = groups.clone().map(|group| group.key_len as usize).sum();
                let mut text = Vec::with_capacity(length);
                let mut ends = Vec::with_capacity(numbers.len() + 1);
                ends.push(0);
                for group in groups {
                    text.extend_from_slice(self.bytes_of(group));
                    ends.push(i32::try_from(text.len()).expect("an array of keys has fewer than 2^31 bytes"));
                }
                let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
                vec![Arc::new(StringArray::new(offsets, Buffer::from_vec(text), None))]
            }
            KeyForm::Row => self
                .codec
                .decode(groups.map(|group| self.bytes_of(group)))
                .expect("the table holds what the codec wrote"),
        }
    }

    /// The keys of these groups as [`RowCodec`] writes them.
    pub fn encoded_keys(&self, numbers: &[GroupNumber]) -> EncodedRows {
        if self.form != KeyForm::Row {
            return self.codec.encode(&self.key_columns(numbers), numbers.len());
        }
        let mut rows = EncodedRows::default();
        for number in numbers {
            rows.data.extend_from_slice(self.bytes_of(&self.groups[*number as usize]));
            rows.ends.push(rows.data.len());
        }
        rows
    }

    /// The key columns that [`Self::encoded_keys`] wrote.
    ///
    /// # Errors
    /// Bytes that are no key of this table.
    pub fn decode_keys<'a>(&self, keys: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ArrayRef>, NotARow> {
        self.codec.decode(keys)
    }

    /// The length of the key that `bytes` begin with.
    ///
    /// # Errors
    /// They begin with no key of this table.
    pub fn key_length(&self, bytes: &[u8]) -> Result<usize, NotARow> {
        self.codec.row_length(bytes)
    }

    fn bytes_of(&self, group: &Group) -> &[u8] {
        group.bytes_in(&self.windows[group.window as usize].bytes)
    }

    /// Where the earliest window starts.
    pub fn first_start(&self) -> Option<i64> {
        self.by_start.keys().next().copied()
    }

    /// Where the window after the one at `start` starts.
    pub fn next_start(&self, start: i64) -> Option<i64> {
        let after = (std::ops::Bound::Excluded(start), std::ops::Bound::Unbounded);
        self.by_start.range(after).next().map(|(start, _)| *start)
    }

    /// The groups of the window that starts at `start`, in any order.
    pub fn groups_of(&self, start: i64) -> Vec<GroupNumber> {
        let Some(index) = self.by_start.get(&start) else { return Vec::new() };
        self.windows[*index as usize].table.iter().map(|entry| entry.group).collect()
    }

    /// The groups of the window that starts at `start`, by key.
    pub fn groups_by_key(&self, start: i64) -> Vec<GroupNumber> {
        let mut numbers = self.groups_of(start);
        let group = |number: &GroupNumber| &self.groups[*number as usize];
        match self.form {
            KeyForm::Int32 | KeyForm::Int64 => numbers.sort_unstable_by_key(|number| group(number).key.cast_signed()),
            KeyForm::Text | KeyForm::Row => {
                numbers.sort_unstable_by(|a, b| self.bytes_of(group(a)).cmp(self.bytes_of(group(b))));
            }
        }
        numbers
    }

    /// Forgets a window; its groups are free.
    pub fn remove_window(&mut self, start: i64) {
        let Some(index) = self.by_start.remove(&start) else { return };
        let window = std::mem::take(&mut self.windows[index as usize]);
        self.key_bytes -= window.bytes.len();
        for entry in &window.table {
            self.groups[entry.group as usize].marks = 0;
            self.free.push(entry.group);
        }
        self.free_windows.push(index);
        self.forget_recent(index);
    }

    fn forget_recent(&mut self, index: u32) {
        for (_, recent) in &mut self.recent {
            if *recent == index {
                *recent = NO_WINDOW;
            }
        }
    }

    /// Forgets a group; its number is free. The window stays.
    pub fn remove(&mut self, number: GroupNumber) {
        let group = self.groups[number as usize];
        let hash = self.hash_of(&group);
        let window = &mut self.windows[group.window as usize];
        let found = window.table.find_entry(widened(hash), |entry| entry.group == number);
        if let Ok(entry) = found {
            entry.remove();
        }
        window.waste += group.key_len as usize;
        self.groups[number as usize].marks = 0;
        self.free.push(number);
        if window.waste > 4096 && window.waste > window.bytes.len() / 2 {
            self.compact(group.window);
        }
    }

    fn hash_of(&self, group: &Group) -> u32 {
        match self.form {
            KeyForm::Int32 | KeyForm::Int64 => super::key_batch::hash_integer(group.key.cast_signed()),
            KeyForm::Text | KeyForm::Row => super::key_batch::hash_bytes(self.bytes_of(group)),
        }
    }

    /// Drops the bytes of keys that are gone.
    fn compact(&mut self, window: u32) {
        let window = &mut self.windows[window as usize];
        self.key_bytes -= window.waste;
        let mut bytes = Vec::with_capacity(window.bytes.len() - window.waste);
        for entry in &window.table {
            let group = &mut self.groups[entry.group as usize];
            let start = bytes.len() as u64;
            bytes.extend_from_slice(group.bytes_in(&window.bytes));
            group.key = start;
        }
        (window.bytes, window.waste) = (bytes, 0);
    }

    /// Memory held, bytes, about. Costs the same however much that is.
    pub fn size_bytes(&self) -> usize {
        // Tables and byte vectors are on average three quarters full.
        let held = self.len() * (size_of::<TableEntry>() + 1) + self.key_bytes;
        held / 3 * 4
            + self.windows.len() * (size_of::<Window>() + 64)
            + self.groups.capacity() * size_of::<Group>()
            + (self.free.capacity() + self.dirty.capacity()) * size_of::<GroupNumber>()
    }
}

#[cfg(test)]
mod tests;
