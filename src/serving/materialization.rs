//! A table's rows in memory, as its follower changes them and readers see them.
//!
//! ```text
//!   Changes ─▶ working map ── Reached ──▶ published map (a clone) ──▶ snapshots
//! ```
//!
//! Windows past their retention are not given to readers from the moment they are, and leave memory in sweeps: when stream
//! time has gone on by an eighth of the retention, all rows are looked at once, a bounded number at a time as rows come.

use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use super::ordered_map::OrderedMap;
use super::snapshot::Snapshot;
use super::table_shape::TableShape;
use crate::runtime::Followed;
use crate::types::{ChangeBatch, EncodedRows, Op};

/// Time and place of the record that made a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) time: i64,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// Rows that a sweep looks at for each row that comes: a sweep is due when an eighth of the retention has passed, and
/// should be over well before the next one.
const SWEPT_PER_ROW: usize = 16;

/// Rows that a sweep looks at before something is published, whatever came: about 50 µs.
const SWEPT_PER_ROUND: usize = 1024;

/// What readers see.
#[derive(Debug)]
pub(super) struct Materialization {
    // fixed
    shape: Arc<TableShape>,
    // changing
    published: Mutex<Published>,
}

#[derive(Debug, Default)]
struct Published {
    map: OrderedMap,
    /// Windows that end before are past their retention.
    live_from: Option<i64>,
}

impl Materialization {
    pub(super) fn new(shape: Arc<TableShape>) -> Self {
        Self { shape, published: Mutex::default() }
    }

    pub(super) fn shape(&self) -> &Arc<TableShape> {
        &self.shape
    }

    /// The table now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let published = self.published.lock();
        Snapshot::new(Arc::clone(&self.shape), published.map.clone(), published.live_from)
    }

    /// Rows, bytes of keys and values, bytes of memory.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        let published = self.published.lock();
        (published.map.len(), published.map.data_bytes(), published.map.heap_bytes())
    }
}

/// Changes a materialisation.
pub(super) struct Changer {
    // fixed
    table: Arc<Materialization>,
    /// How long windows are kept behind the latest one.
    retention_ms: Option<i64>,
    // changing
    map: OrderedMap,
    latest_window: Option<i64>,
    /// Where stream time was when the last sweep began.
    swept_at: Option<i64>,
    /// The key that the sweep under way goes on behind; `None` if there is none.
    sweeping: Option<Vec<u8>>,
    keys: EncodedRows,
    values: EncodedRows,
    value: Vec<u8>,
}

impl Changer {
    pub(super) fn new(table: Arc<Materialization>, retention_ms: Option<i64>) -> Self {
        Self {
            retention_ms: retention_ms.filter(|retention| *retention >= 0 && table.shape.is_windowed()),
            table,
            map: OrderedMap::default(),
            latest_window: None,
            swept_at: None,
            sweeping: None,
            keys: EncodedRows::default(),
            values: EncodedRows::default(),
            value: Vec::new(),
        }
    }

    /// Takes what the follower tells.
    pub(super) fn take(&mut self, followed: Followed<'_>) {
        match followed {
            Followed::Changes(batch) => self.change(batch),
            Followed::Reached(_) => self.publish(),
        }
    }

    fn change(&mut self, batch: &ChangeBatch) {
        let shape = &self.table.shape;
        let key_columns = shape.key_codec.types().len();
        let (keys, values) = (&mut self.keys, &mut self.values);
        for encoded in [&mut *keys, &mut *values] {
            encoded.data.clear();
            encoded.ends.clear();
        }
        let columns = batch.rows.columns();
        shape.key_codec.append(&columns[..key_columns], batch.len(), keys);
        shape.value_codec.append(&columns[key_columns..], batch.len(), values);
        for row in 0..batch.len() {
            let key = keys.get(row);
            match batch.ops.get(row) {
                Op::Delete | Op::UpdateBefore => {
                    self.map.remove(key);
                }
                Op::Insert | Op::UpdateAfter => {
                    self.value.clear();
                    write_number(batch.meta.event_time[row].0, &mut self.value);
                    write_number(i64::from(batch.meta.partition[row].0), &mut self.value);
                    write_number(batch.meta.offset[row].0, &mut self.value);
                    self.value.extend_from_slice(values.get(row));
                    self.map.insert(key, &self.value);
                }
            }
            if self.retention_ms.is_some() {
                self.latest_window = self.latest_window.max(window_end(key));
            }
        }
        // A sweep is over before as many rows have come as it found.
        self.sweep(batch.len().saturating_mul(SWEPT_PER_ROW));
    }

    fn publish(&mut self) {
        self.sweep(SWEPT_PER_ROUND);
        let live_from = self.live_from();
        let mut published = self.table.published.lock();
        let old = std::mem::replace(&mut published.map, self.map.clone());
        published.live_from = live_from;
        drop(published);
        // Freed outside the lock: it may be the last to hold what was changed.
        drop(old);
    }

    /// The first window end that is kept.
    fn live_from(&self) -> Option<i64> {
        Some(self.latest_window?.saturating_sub(self.retention_ms?).saturating_add(1))
    }

    /// Looks at some rows for windows past their retention, if it is time for that.
    fn sweep(&mut self, rows: usize) {
        let (Some(live_from), Some(retention)) = (self.live_from(), self.retention_ms) else { return };
        if self.sweeping.is_none() {
            if self.swept_at.is_some_and(|swept| live_from.saturating_sub(swept) <= retention / 8) {
                return;
            }
            self.swept_at = Some(live_from);
        }
        let from = self.sweeping.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut seen, mut last) = (0, None);
        let mut expired: Vec<Vec<u8>> = Vec::new();
        for (key, _) in self.map.range(from, Bound::Unbounded).take(rows) {
            seen += 1;
            last = Some(key);
            if window_end(key).is_some_and(|end| end < live_from) {
                expired.push(key.to_vec());
            }
        }
        self.sweeping = last.filter(|_| seen == rows).map(<[u8]>::to_vec);
        for key in expired {
            self.map.remove(&key);
        }
    }
}

/// The end of the window that a stored key of a windowed table ends with: `01` and eight bytes, behind as many for its
/// start. Time windows of a table are equally long, so their ends tell their age as well as their starts; a session is
/// as old as its end.
pub(super) fn window_end(key: &[u8]) -> Option<i64> {
    let (mark, end) = key.get(key.len().checked_sub(9)?..)?.split_first()?;
    let end: [u8; 8] = end.try_into().ok()?;
    (*mark == 1).then(|| i64::from_be_bytes(end) ^ i64::MIN)
}

/// Cuts time and place off a stored value.
pub(super) fn split_value(value: &[u8]) -> Option<(Stamp, &[u8])> {
    let (time, value) = read_number(value)?;
    let (partition, value) = read_number(value)?;
    let (offset, value) = read_number(value)?;
    Some((Stamp { time, partition: i32::try_from(partition).ok()?, offset }, value))
}

/// Seven bits a byte, the lowest first, the sign in the lowest: small numbers take few bytes.
fn write_number(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn read_number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(((number >> 1).cast_signed() ^ -((number & 1).cast_signed()), &bytes[at + 1..]));
        }
    }
    None
}
