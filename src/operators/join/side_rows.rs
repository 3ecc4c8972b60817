//! The last row of every key of one side of a join.
//!
//! State, version 1: key `01` for the left side, `02` for the right one, and the key columns by [`RowCodec`]; value as
//! that of [`crate::operators::Remember`]: `01`, event time (8 bytes), the row.
//!
//! [`RowCodec`]: crate::types::RowCodec

use crate::operators::aggregate::state_rows;
use crate::operators::{Capture, RestoreError};
use crate::state::{GroupNumber, GroupTable, KeyBatch, StateRow};
use crate::types::EventTime;

use super::layout::SideLayout;

/// Which side rows belong to; the first byte of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left = 1,
    Right = 2,
}

/// The last row of every key.
#[derive(Debug)]
pub(super) struct SideRows {
    // fixed
    side: Side,
    layout: SideLayout,
    // changing
    table: GroupTable,
    /// By group; empty if the row is gone.
    rows: Vec<Box<[u8]>>,
    row_bytes: usize,
}

impl SideRows {
    pub(super) fn new(side: Side, layout: SideLayout, slots: u16) -> Self {
        let table = GroupTable::new(layout.key_types.clone(), slots);
        Self { side, layout, table, rows: Vec::new(), row_bytes: 0 }
    }

    /// The keys of these columns: of either side, they have the same types.
    pub(super) fn keys(&self, columns: Vec<datafusion::arrow::array::ArrayRef>, rows: usize) -> KeyBatch {
        self.table.keys(columns, rows)
    }

    /// The row of the key of entry `entry`, and its time.
    pub(super) fn get(&self, keys: &KeyBatch, entry: usize) -> Option<(&[u8], EventTime)> {
        let group = self.table.find(keys, entry, 0)?;
        let row = &self.rows[group as usize];
        (!row.is_empty()).then(|| (&**row, self.table.event_time(group)))
    }

    /// Sets the row of the key of entry `entry`; an empty one takes it away.
    pub(super) fn set(&mut self, keys: &KeyBatch, entry: u32, row: &[u8], time: EventTime) {
        if row.is_empty() && self.table.find(keys, entry as usize, 0).is_none() {
            return;
        }
        let mut groups = Vec::with_capacity(1);
        self.table.find_or_create(keys, Some(&[entry]), None, &mut groups);
        self.keep(groups[0], row);
        self.table.touch(groups[0], time);
        self.table.set_event_time(groups[0], time);
    }

    fn keep(&mut self, group: GroupNumber, row: &[u8]) {
        self.rows.resize(self.table.bound(), Box::default());
        let kept = &mut self.rows[group as usize];
        self.row_bytes = self.row_bytes + row.len() - kept.len();
        *kept = row.into();
    }

    /// Hands over what changed.
    pub(super) fn capture(&mut self, capture: &mut Capture) {
        let dirty = self.table.take_dirty();
        let keys = self.table.encoded_keys(&dirty);
        for (group, key) in dirty.iter().zip(keys.iter()) {
            let row = &self.rows[*group as usize];
            let is_gone = row.is_empty();
            if !is_gone || self.table.is_saved(*group) {
                let value = (!is_gone).then(|| {
                    let mut value = Vec::with_capacity(row.len() + 9);
                    state_rows::begin_value(self.table.event_time(*group), &mut value);
                    value.extend_from_slice(row);
                    value.into()
                });
                let key = [&[self.side as u8], key].concat().into();
                capture.state.push(StateRow { slot: self.table.slot(*group), key, value });
            }
            if is_gone {
                self.table.remove(*group);
            } else {
                self.table.set_saved(*group);
            }
        }
    }

    /// Puts back the rows of this side.
    ///
    /// # Errors
    /// Bytes that [`Self::capture`] did not write.
    pub(super) fn restore(&mut self, rows: &[StateRow]) -> Result<(), RestoreError> {
        let mut own = Vec::new();
        for row in rows {
            if let Some((side, key)) = row.key.split_first()
                && *side == self.side as u8
            {
                own.push((key, row.value.as_deref()));
            }
        }
        state_rows::put_back(
            self,
            |own| &mut own.table,
            &own,
            |own, group, row| {
                own.keep(group, state_rows::whole_row(&own.layout.codec, row)?);
                if row.is_some() {
                    own.table.set_saved(group);
                }
                Ok(())
            },
        )
    }

    /// Memory held, bytes.
    pub(super) fn size_bytes(&self) -> usize {
        // Each row is in an allocation of its own.
        let fixed = size_of::<Box<[u8]>>() + 16;
        self.table.size_bytes() + self.row_bytes + self.rows.capacity() * fixed
    }
}
