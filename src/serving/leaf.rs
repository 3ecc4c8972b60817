//! Some rows in the order of their keys, packed into one piece of memory.
//!
//! ```text
//!   bytes    key value key value key value …
//!   ends     (end of key, end of value) of each row
//! ```
//!
//! A row costs its bytes and eight more: no pointer, no allocation of its own. A change moves what is behind it, about
//! two kilobytes, which takes less time than an allocation would.

/// Bytes from which a leaf is split.
pub(super) const MAX_BYTES: usize = 4096;

/// Bytes by which a leaf grows.
const STEP: usize = 512;

/// The bytes of one row's place.
const PLACE: usize = size_of::<(u32, u32)>();

/// Rows in the order of their keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Leaf {
    bytes: Vec<u8>,
    ends: Vec<(u32, u32)>,
}

impl Leaf {
    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of keys and values.
    pub(super) fn data_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory, without this header.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * PLACE
    }

    /// The row at a position: its key and value.
    pub(super) fn row(&self, at: usize) -> Option<(&[u8], &[u8])> {
        let start = self.start(at);
        let (key, value) = *self.ends.get(at)?;
        Some((self.bytes.get(start..key as usize)?, self.bytes.get(key as usize..value as usize)?))
    }

    /// Where a key is, or where it would be.
    pub(super) fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.row(middle).map(|(known, _)| known.cmp(key)) {
                Some(std::cmp::Ordering::Less) => low = middle + 1,
                Some(std::cmp::Ordering::Equal) => return Ok(middle),
                Some(std::cmp::Ordering::Greater) | None => high = middle,
            }
        }
        Err(low)
    }

    /// Puts a row where [`Self::find`] said that its key would be.
    pub(super) fn insert(&mut self, at: usize, key: &[u8], value: &[u8]) {
        let start = self.start(at);
        let added = key.len() + value.len();
        self.open(start, 0, added);
        self.bytes[start..start + key.len()].copy_from_slice(key);
        self.bytes[start + key.len()..start + added].copy_from_slice(value);
        if self.ends.len() == self.ends.capacity() {
            self.ends.reserve_exact(STEP / 16);
        }
        self.ends.insert(at, (place(start + key.len()), place(start + added)));
        for (key_end, value_end) in &mut self.ends[at + 1..] {
            *key_end += place(added);
            *value_end += place(added);
        }
    }

    /// Replaces the value of the row at a position.
    pub(super) fn replace(&mut self, at: usize, value: &[u8]) {
        let (key_end, value_end) = self.ends[at];
        self.open(key_end as usize, (value_end - key_end) as usize, value.len());
        self.bytes[key_end as usize..key_end as usize + value.len()].copy_from_slice(value);
        let new_end = key_end + place(value.len());
        self.ends[at].1 = new_end;
        for (key, end) in &mut self.ends[at + 1..] {
            *key = *key - value_end + new_end;
            *end = *end - value_end + new_end;
        }
    }

    /// Removes the row at a position.
    pub(super) fn remove(&mut self, at: usize) {
        let start = self.start(at);
        let (_, end) = self.ends.remove(at);
        let removed = end - place(start);
        self.bytes.drain(start..end as usize);
        for (key, value) in &mut self.ends[at..] {
            *key -= removed;
            *value -= removed;
        }
    }

    /// Cuts the rows from a position on off.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let start = self.start(at);
        let mut right = Self::default();
        right.bytes.reserve_exact(self.bytes.len() - start + STEP);
        right.bytes.extend_from_slice(&self.bytes[start..]);
        right.ends.extend(self.ends[at..].iter().map(|(key, value)| (key - place(start), value - place(start))));
        self.bytes.truncate(start);
        self.bytes.shrink_to(start + STEP);
        self.ends.truncate(at);
        self.ends.shrink_to_fit();
        right
    }

    /// Where to split a leaf that grew too large, so that both halves have about as many bytes.
    pub(super) fn middle(&self) -> usize {
        let half = self.bytes.len() / 2;
        self.ends.partition_point(|(_, end)| (*end as usize) < half).clamp(1, self.len().saturating_sub(1).max(1))
    }

    /// Appends the rows of a leaf whose keys are all greater.
    pub(super) fn append(&mut self, right: &Self) {
        let start = place(self.bytes.len());
        self.bytes.reserve_exact(right.bytes.len());
        self.bytes.extend_from_slice(&right.bytes);
        self.ends.extend(right.ends.iter().map(|(key, value)| (key + start, value + start)));
    }

    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(_, end)| *end as usize)
    }

    /// Makes room for `new` bytes in place of the `old` ones at `start`. Their content is undefined.
    fn open(&mut self, start: usize, old: usize, new: usize) {
        let len = self.bytes.len();
        let then = len - old + new;
        if then > self.bytes.capacity() {
            self.bytes.reserve_exact((then - len).next_multiple_of(STEP));
        }
        if new > old {
            self.bytes.resize(then, 0);
        }
        self.bytes.copy_within(start + old..len, start + new);
        self.bytes.truncate(then);
    }
}

/// A place in a leaf as it is kept. A row of four gigabytes passes no log.
fn place(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a leaf is smaller than the largest record, and that is below 4 GiB")
}
