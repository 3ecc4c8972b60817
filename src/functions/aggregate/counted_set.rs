//! Distinct values with how often each was added, in the order they first came.
//!
//! Few values are searched one by one; more have an index of hashes. A value whose count comes to zero is gone: its place is
//! dead until the set is packed.

use std::hash::Hasher;

use hashbrown::HashTable;

use super::encoded::Encoded;
use super::saved::{Saved, load_length, save_length};
use crate::types::NotARow;

/// From here on there is an index.
const INDEXED: usize = 12;

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: u32,
    end: u32,
    /// Zero: dead.
    count: i64,
}

/// Encoded values with counts. Counts may be negative: the value was taken back before it was added.
#[derive(Debug, Default)]
pub(super) struct CountedSet {
    data: Vec<u8>,
    entries: Vec<Entry>,
    /// Places of the entries that are not dead; empty while there are few.
    index: HashTable<u32>,
    dead: usize,
    /// Entries whose count is above zero.
    present: usize,
}

impl CountedSet {
    /// How many values were added more often than taken back.
    pub(super) fn present_len(&self) -> usize {
        self.present
    }

    /// The values that were added more often than taken back, with how much more often.
    pub(super) fn present(&self) -> impl Iterator<Item = (&[u8], i64)> {
        self.entries.iter().filter(|entry| entry.count > 0).map(|entry| (self.bytes(entry), entry.count))
    }

    /// How much more often a value was added than taken back.
    pub(super) fn count(&self, value: &[u8]) -> i64 {
        self.find(value).map_or(0, |place| self.entries[place].count)
    }

    /// Adds a value so many times, or takes it back; gives the counts before and after.
    pub(super) fn add(&mut self, value: &[u8], times: i64) -> (i64, i64) {
        if times == 0 {
            let count = self.count(value);
            return (count, count);
        }
        let Some(place) = self.find(value) else {
            self.append(value, times);
            return (0, times);
        };
        let entry = &mut self.entries[place];
        let before = entry.count;
        entry.count += times;
        let after = entry.count;
        self.present = self.present + usize::from(after > 0) - usize::from(before > 0);
        if after == 0 {
            self.bury(place, value);
        }
        (before, after)
    }

    fn append(&mut self, value: &[u8], count: i64) {
        let offset = |at: usize| u32::try_from(at).expect("a group keeps less than 4 GiB of values");
        let start = offset(self.data.len());
        self.data.extend_from_slice(value);
        self.entries.push(Entry { start, end: offset(self.data.len()), count });
        self.present += usize::from(count > 0);
        let Self { data, entries, index, .. } = self;
        let place_hash = |place: &u32| hash(slice(data, &entries[*place as usize]));
        if !index.is_empty() {
            let place = offset(entries.len() - 1);
            index.insert_unique(hash(value), place, place_hash);
        } else if entries.len() > INDEXED {
            for (place, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.count != 0) {
                index.insert_unique(hash(slice(data, entry)), offset(place), place_hash);
            }
        }
    }

    /// Takes a dead entry out of the index, and packs if most are dead.
    fn bury(&mut self, place: usize, value: &[u8]) {
        if let Ok(found) = self.index.find_entry(hash(value), |other| *other as usize == place) {
            found.remove();
        }
        self.dead += 1;
        if self.dead > INDEXED && self.dead * 2 > self.entries.len() {
            let old = std::mem::take(self);
            for entry in old.entries.iter().filter(|entry| entry.count != 0) {
                self.append(old.bytes(entry), entry.count);
            }
        }
    }

    fn find(&self, value: &[u8]) -> Option<usize> {
        if self.index.is_empty() {
            return self.entries.iter().position(|entry| entry.count != 0 && self.bytes(entry) == value);
        }
        let same = |place: &u32| self.bytes(&self.entries[*place as usize]) == value;
        self.index.find(hash(value), same).map(|place| *place as usize)
    }

    fn bytes(&self, entry: &Entry) -> &[u8] {
        slice(&self.data, entry)
    }

    /// How many values, 4 bytes, then of each the count, 8 bytes, and the encoded bytes; in order.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        save_length(self.entries.len() - self.dead, out);
        for entry in self.entries.iter().filter(|entry| entry.count != 0) {
            entry.count.save(out);
            out.extend_from_slice(self.bytes(entry));
        }
    }

    pub(super) fn load(values: &Encoded, bytes: &mut &[u8]) -> Result<Self, NotARow> {
        let mut set = Self::default();
        for _ in 0..load_length(bytes)? {
            let count = i64::load(bytes)?;
            set.add(values.take(bytes)?, count);
        }
        Ok(set)
    }

    /// Adds all of `self` behind what came earlier.
    pub(super) fn merge(&mut self, earlier: Self) {
        let later = std::mem::replace(self, earlier);
        for entry in &later.entries {
            self.add(later.bytes(entry), entry.count);
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.data.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.index.capacity() * (size_of::<u32>() + 1)
    }
}

fn slice<'a>(data: &'a [u8], entry: &Entry) -> &'a [u8] {
    &data[entry.start as usize..entry.end as usize]
}

fn hash(value: &[u8]) -> u64 {
    // Keys of this hasher are constant: lookups are the same in every run.
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(value);
    hasher.finish()
}
