//! Values with how often each was added: what an extreme or a top of values needs to take rows back.
//!
//! A value may be taken back before it is added (its count is then negative and it does not show): rows of one group come
//! in any order.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use super::ordered::Ordered;
use super::saved::{Saved, load_length, save_length};
use crate::types::NotARow;

/// Keys with their counts, in order. No count is zero.
#[derive(Debug)]
pub(super) struct Multiset<O: Ordered> {
    counts: BTreeMap<O::Key, i64>,
    heap: usize,
}

/// About what an entry of the map takes beside the key's own bytes.
const ENTRY_BYTES: usize = 24;

impl<O: Ordered> Multiset<O> {
    pub(super) fn new() -> Self {
        Self { counts: BTreeMap::new(), heap: 0 }
    }

    /// Adds a key so many times, or takes it back.
    pub(super) fn add(&mut self, key: &O::Ref, times: i64) {
        let Some(count) = self.counts.get_mut(key) else {
            let key = key.to_owned();
            self.heap += Self::entry_bytes(&key);
            self.counts.insert(key, times);
            return;
        };
        *count += times;
        if *count == 0
            && let Some((key, _)) = self.counts.remove_entry(key)
        {
            self.heap -= Self::entry_bytes(&key);
        }
    }

    /// The keys that were added more often than taken back, smallest first, with how much more often.
    pub(super) fn present(&self) -> impl DoubleEndedIterator<Item = (&O::Ref, i64)> {
        self.counts.iter().filter(|(_, count)| **count > 0).map(|(key, count)| (key.borrow(), *count))
    }

    /// Adds all of another.
    pub(super) fn merge(&mut self, other: &Self) {
        for (key, count) in &other.counts {
            self.add(key.borrow(), *count);
        }
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        save_length(self.counts.len(), out);
        for (key, count) in &self.counts {
            O::save(key.borrow(), out);
            count.save(out);
        }
    }

    pub(super) fn load(values: &O, bytes: &mut &[u8]) -> Result<Self, NotARow> {
        let mut loaded = Self::new();
        for _ in 0..load_length(bytes)? {
            let key = values.load(bytes)?;
            loaded.add(key.borrow(), i64::load(bytes)?);
        }
        Ok(loaded)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.heap
    }

    fn entry_bytes(key: &O::Key) -> usize {
        size_of::<O::Key>() + ENTRY_BYTES + O::heap_bytes(key)
    }
}
