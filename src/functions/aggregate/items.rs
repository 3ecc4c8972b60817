//! Values in the order they came, in one piece of memory.

use super::encoded::Encoded;
use super::saved::{load_length, save_length};
use crate::types::NotARow;

/// Encoded values one after the other.
#[derive(Debug, Default)]
pub(super) struct Items {
    data: Vec<u8>,
    ends: Vec<u32>,
}

impl Items {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| &self.data[self.range(index)])
    }

    pub(super) fn push(&mut self, item: &[u8]) {
        self.data.extend_from_slice(item);
        self.ends.push(u32::try_from(self.data.len()).expect("a group keeps less than 4 GiB of values"));
    }

    /// Removes the item of an index.
    pub(super) fn remove(&mut self, index: usize) {
        let range = self.range(index);
        let length = u32::try_from(range.len()).expect("an item is part of what is kept");
        self.data.drain(range);
        self.ends.remove(index);
        self.ends[index..].iter_mut().for_each(|end| *end -= length);
    }

    /// Removes the last item that equals this one, if there is one.
    pub(super) fn remove_last(&mut self, item: &[u8]) {
        if let Some(index) = (0..self.len()).rev().find(|index| self.data[self.range(*index)] == *item) {
            self.remove(index);
        }
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        start..self.ends[index] as usize
    }

    /// How many, 4 bytes, then their encoded bytes.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        save_length(self.len(), out);
        out.extend_from_slice(&self.data);
    }

    pub(super) fn load(values: &Encoded, bytes: &mut &[u8]) -> Result<Self, NotARow> {
        let mut items = Self::default();
        for _ in 0..load_length(bytes)? {
            items.push(values.take(bytes)?);
        }
        Ok(items)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.data.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}
