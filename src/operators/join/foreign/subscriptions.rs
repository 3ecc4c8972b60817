//! The left rows of a foreign-key join, found by their foreign key.
//!
//! ```text
//!   foreign keys   x ─▶ right row (if there is one), [0, 2]        left rows   0  (x, a) → V, version
//!                  y ─▶ none,                        [1]                       1  (y, b) → V, version
//!                                                                              2  (x, c) → V, version
//! ```
//!
//! A left row is kept once, without the columns of its keys: those are read from the key of its entry. The list of a
//! foreign key holds numbers, in the order of the left keys once somebody has asked for it.
//!
//! State, version 1: key `01`, foreign key and left key by [`RowCodec`], value `01`, event time (8 bytes), the other
//! columns; key `02` and the foreign key, value `01`, event time, the right row. Both are in the slot of the foreign key.

use datafusion::arrow::array::ArrayRef;

use crate::operators::aggregate::state_rows;
use crate::operators::join::version::Version;
use crate::operators::{Capture, RestoreError};
use crate::state::{GroupNumber, GroupTable, KeyBatch, StateRow};
use crate::types::{EventTime, NotARow, RowCodec, SqlType};

const LEFT: u8 = 1;
const RIGHT: u8 = 2;
/// The number of no foreign key.
const NONE: GroupNumber = GroupNumber::MAX;

/// Types of the columns.
#[derive(Debug, Clone)]
pub(super) struct Types {
    /// The foreign key.
    pub(super) foreign: Vec<SqlType>,
    /// The left table's primary key.
    pub(super) primary: Vec<SqlType>,
    /// The other columns of left rows.
    pub(super) rest: Vec<SqlType>,
    /// Right rows.
    pub(super) right: Vec<SqlType>,
}

/// A left row.
#[derive(Debug)]
struct LeftRow {
    /// `None` if it is gone.
    rest: Option<Box<[u8]>>,
    version: Version,
    /// Its foreign key, and where it stands in the list of that.
    foreign: GroupNumber,
    place: u32,
}

/// What is known of a foreign key.
#[derive(Debug, Default)]
struct ForeignKey {
    right: Option<Box<[u8]>>,
    /// The right row is not what was handed over last.
    is_right_changed: bool,
    lefts: Vec<GroupNumber>,
    /// True if `lefts` are in the order of their keys.
    is_sorted: bool,
}

/// Left rows by foreign key, and the right row of each foreign key.
#[derive(Debug)]
pub(super) struct Subscriptions {
    // fixed
    types: Types,
    rest_codec: RowCodec,
    right_codec: RowCodec,
    // changing
    foreign_table: GroupTable,
    foreign: Vec<ForeignKey>,
    left_table: GroupTable,
    lefts: Vec<LeftRow>,
    /// Bytes of rows on both sides.
    row_bytes: usize,
    /// Room of all lists.
    list_entries: usize,
}

impl Subscriptions {
    pub(super) fn new(types: Types, slots: u16) -> Self {
        let left_key = types.foreign.iter().chain(&types.primary).cloned();
        Self {
            rest_codec: RowCodec::new(types.rest.iter().cloned()),
            right_codec: RowCodec::new(types.right.iter().cloned()),
            foreign_table: GroupTable::new(types.foreign.iter().cloned(), slots),
            foreign: Vec::new(),
            left_table: GroupTable::new(left_key, slots),
            lefts: Vec::new(),
            row_bytes: 0,
            list_entries: 0,
            types,
        }
    }

    /// Numbers of foreign keys; new ones are made.
    pub(super) fn foreign_keys(&mut self, columns: Vec<ArrayRef>, rows: usize) -> Vec<GroupNumber> {
        let keys = self.foreign_table.keys(columns, rows);
        let mut groups = Vec::new();
        self.foreign_table.find_or_create(&keys, None, None, &mut groups);
        self.foreign.resize_with(self.foreign_table.bound(), ForeignKey::default);
        // One that nothing comes to refer to goes at the barrier.
        for group in &groups {
            self.foreign_table.touch(*group, EventTime(i64::MIN));
        }
        groups
    }

    /// Numbers of left rows, by the columns of foreign and left key; new ones are made, without a row.
    pub(super) fn left_rows(&mut self, columns: Vec<ArrayRef>, rows: usize) -> Vec<GroupNumber> {
        let keys = self.left_table.keys(columns, rows);
        self.left_numbers(&keys)
    }

    fn left_numbers(&mut self, keys: &KeyBatch) -> Vec<GroupNumber> {
        let mut groups = Vec::new();
        self.left_table.find_or_create(keys, None, None, &mut groups);
        self.lefts.resize_with(self.left_table.bound(), || LeftRow {
            rest: None,
            version: Version::RESTORED,
            foreign: NONE,
            place: 0,
        });
        for group in &groups {
            self.left_table.touch(*group, EventTime(i64::MIN));
        }
        groups
    }

    /// Columns of left rows as state keeps them: without those of the keys.
    pub(super) fn rest_codec(&self) -> &RowCodec {
        &self.rest_codec
    }

    /// Sets a left row.
    pub(super) fn subscribe(
        &mut self,
        left: GroupNumber,
        foreign: GroupNumber,
        rest: &[u8],
        version: Version,
        time: EventTime,
    ) {
        self.keep_left(left, foreign, rest, version);
        self.left_table.touch(left, time);
        self.left_table.set_event_time(left, time);
    }

    fn keep_left(&mut self, left: GroupNumber, foreign: GroupNumber, rest: &[u8], version: Version) {
        let row = &mut self.lefts[left as usize];
        if row.rest.is_none() {
            let key = &mut self.foreign[foreign as usize];
            let room = key.lefts.capacity();
            (row.foreign, row.place) = (foreign, key.lefts.len() as u32);
            key.lefts.push(left);
            key.is_sorted = key.lefts.len() == 1;
            self.list_entries += key.lefts.capacity() - room;
        }
        self.row_bytes = self.row_bytes + rest.len() - row.rest.as_ref().map_or(0, |rest| rest.len());
        row.rest = Some(rest.into());
        row.version = version;
    }

    /// Takes a left row away, if it is there.
    pub(super) fn unsubscribe(&mut self, left: GroupNumber) {
        let row = &mut self.lefts[left as usize];
        let Some(rest) = row.rest.take() else { return };
        self.row_bytes -= rest.len();
        let (foreign, place) = (row.foreign, row.place);
        let key = &mut self.foreign[foreign as usize];
        key.lefts.swap_remove(place as usize);
        if let Some(moved) = key.lefts.get(place as usize) {
            self.lefts[*moved as usize].place = place;
            key.is_sorted = false;
        }
        if key.lefts.is_empty() {
            self.list_entries -= key.lefts.capacity();
            key.lefts = Vec::new();
        }
        self.left_table.touch(left, EventTime(i64::MIN));
        self.foreign_table.touch(foreign, EventTime(i64::MIN));
    }

    /// The right row of a foreign key, and its time.
    pub(super) fn right(&self, foreign: GroupNumber) -> Option<(&[u8], EventTime)> {
        let row = self.foreign[foreign as usize].right.as_deref()?;
        Some((row, self.foreign_table.event_time(foreign)))
    }

    /// Sets the right row of a foreign key, or takes it away; true if there was one.
    pub(super) fn set_right(&mut self, foreign: GroupNumber, row: Option<&[u8]>, time: EventTime) -> bool {
        self.foreign_table.touch(foreign, time);
        self.foreign_table.set_event_time(foreign, time);
        self.foreign[foreign as usize].is_right_changed = true;
        self.keep_right(foreign, row)
    }

    fn keep_right(&mut self, foreign: GroupNumber, row: Option<&[u8]>) -> bool {
        let kept = &mut self.foreign[foreign as usize].right;
        let before = kept.as_ref().map(|row| row.len());
        self.row_bytes = self.row_bytes + row.map_or(0, <[u8]>::len) - before.unwrap_or(0);
        *kept = row.map(Into::into);
        before.is_some()
    }

    /// The left rows of a foreign key from place `from` on, at most `limit`, in the order of their keys.
    pub(super) fn lefts_of(&mut self, foreign: GroupNumber, from: usize, limit: usize) -> &[GroupNumber] {
        let key = &mut self.foreign[foreign as usize];
        if !key.is_sorted {
            // The foreign key is the same in all: its rows compare as their left keys.
            let encoded = self.left_table.encoded_keys(&key.lefts);
            let mut order: Vec<usize> = (0..key.lefts.len()).collect();
            order.sort_by(|one, other| encoded.get(*one).cmp(encoded.get(*other)));
            key.lefts = order.into_iter().map(|place| key.lefts[place]).collect();
            for (place, left) in (0..).zip(&key.lefts) {
                self.lefts[*left as usize].place = place;
            }
            key.is_sorted = true;
        }
        let until = key.lefts.len().min(from.saturating_add(limit));
        &key.lefts[from.min(until)..until]
    }

    /// Version and time of a left row.
    pub(super) fn version(&self, left: GroupNumber) -> (Version, EventTime) {
        (self.lefts[left as usize].version, self.left_table.event_time(left))
    }

    /// The columns of these left rows: foreign key, left key, the others.
    pub(super) fn columns(&self, lefts: &[GroupNumber]) -> Vec<ArrayRef> {
        let mut columns = self.left_table.key_columns(lefts);
        let rest = lefts.iter().map(|left| self.lefts[*left as usize].rest.as_deref().unwrap_or_default());
        columns.extend(self.rest_codec.decode(rest).expect("the codec wrote the rows"));
        columns
    }

    /// Hands over what changed.
    pub(super) fn capture(&mut self, capture: &mut Capture) {
        self.capture_lefts(capture);
        self.capture_rights(capture);
    }

    fn capture_lefts(&mut self, capture: &mut Capture) {
        let dirty = self.left_table.take_dirty();
        let keys = self.left_table.encoded_keys(&dirty);
        for (left, key) in dirty.iter().zip(keys.iter()) {
            let row = &self.lefts[*left as usize];
            if row.rest.is_some() || self.left_table.is_saved(*left) {
                let value = row.rest.as_deref().map(|rest| value(self.left_table.event_time(*left), rest));
                let slot = self.foreign_table.slot(row.foreign);
                capture.state.push(StateRow { slot, key: [&[LEFT], key].concat().into(), value });
            }
            if row.rest.is_some() {
                self.left_table.set_saved(*left);
            } else {
                self.lefts[*left as usize].foreign = NONE;
                self.left_table.remove(*left);
            }
        }
    }

    fn capture_rights(&mut self, capture: &mut Capture) {
        let dirty = self.foreign_table.take_dirty();
        let keys = self.foreign_table.encoded_keys(&dirty);
        for (foreign, key) in dirty.iter().zip(keys.iter()) {
            // Groups are marked by changes of left rows too.
            let entry = &mut self.foreign[*foreign as usize];
            let is_changed = std::mem::take(&mut entry.is_right_changed);
            if is_changed && (entry.right.is_some() || self.foreign_table.is_saved(*foreign)) {
                let value = entry.right.as_deref().map(|row| value(self.foreign_table.event_time(*foreign), row));
                let slot = self.foreign_table.slot(*foreign);
                capture.state.push(StateRow { slot, key: [&[RIGHT], key].concat().into(), value });
            }
            if entry.right.is_some() {
                self.foreign_table.set_saved(*foreign);
            } else if entry.lefts.is_empty() {
                self.foreign_table.remove(*foreign);
            }
        }
    }

    /// Puts back what was handed over.
    ///
    /// # Errors
    /// Bytes that [`Self::capture`] did not write.
    pub(super) fn restore(&mut self, rows: &[StateRow]) -> Result<(), RestoreError> {
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        for row in rows {
            match &*row.key {
                [LEFT, key @ ..] => lefts.push((key, row)),
                [RIGHT, key @ ..] => rights.push((key, row)),
                _ => return Err(RestoreError("not the key of a foreign-key join".to_owned())),
            }
        }
        let columns = self.foreign_table.decode_keys(rights.iter().map(|(key, _)| *key)).map_err(unreadable)?;
        let groups = self.foreign_keys(columns, rights.len());
        for (group, (_, row)) in groups.into_iter().zip(&rights) {
            let read = row.value.as_deref().map(|value| read_value(value, &self.right_codec)).transpose()?;
            self.keep_right(group, read.map(|(_, row)| row));
            if let Some((time, _)) = read {
                self.foreign_table.set_event_time(group, time);
                self.foreign_table.set_saved(group);
            }
        }
        let columns = self.left_table.decode_keys(lefts.iter().map(|(key, _)| *key)).map_err(unreadable)?;
        let foreign = self.foreign_keys(columns[..self.types.foreign.len()].to_vec(), lefts.len());
        let groups = self.left_rows(columns, lefts.len());
        for ((group, foreign), (_, row)) in groups.into_iter().zip(foreign).zip(&lefts) {
            let Some(value) = row.value.as_deref() else {
                self.unsubscribe(group);
                continue;
            };
            let (time, rest) = read_value(value, &self.rest_codec)?;
            self.keep_left(group, foreign, rest, Version::RESTORED);
            self.left_table.set_event_time(group, time);
            self.left_table.set_saved(group);
        }
        self.forget_empty();
        Ok(())
    }

    /// Drops what state put back has no row for, and the marks of what it has.
    fn forget_empty(&mut self) {
        for left in self.left_table.take_dirty() {
            if self.lefts[left as usize].rest.is_none() {
                self.lefts[left as usize].foreign = NONE;
                self.left_table.remove(left);
            }
        }
        for foreign in self.foreign_table.take_dirty() {
            let key = &self.foreign[foreign as usize];
            if key.right.is_none() && key.lefts.is_empty() {
                self.foreign_table.remove(foreign);
            }
        }
    }

    /// Memory held, bytes.
    pub(super) fn size_bytes(&self) -> usize {
        // Each row is in an allocation of its own.
        self.foreign_table.size_bytes()
            + self.left_table.size_bytes()
            + self.foreign.capacity() * (size_of::<ForeignKey>() + 16)
            + self.lefts.capacity() * (size_of::<LeftRow>() + 16)
            + self.list_entries * size_of::<GroupNumber>()
            + self.row_bytes
    }
}

fn value(time: EventTime, row: &[u8]) -> bytes::Bytes {
    let mut value = Vec::with_capacity(row.len() + 9);
    state_rows::begin_value(time, &mut value);
    value.extend_from_slice(row);
    value.into()
}

fn read_value<'a>(value: &'a [u8], codec: &RowCodec) -> Result<(EventTime, &'a [u8]), RestoreError> {
    let (time, row) = state_rows::read_value(value)?;
    if codec.row_length(row).map_err(unreadable)? == row.len() {
        Ok((time, row))
    } else {
        Err(RestoreError("a row has bytes behind it".to_owned()))
    }
}

fn unreadable(error: NotARow) -> RestoreError {
    RestoreError(error.to_string())
}
