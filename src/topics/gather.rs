//! Gathers stored batches into the one block a read answers with.
//!
//! A large batch is passed on as it is stored, by reference. Small ones (single inserted rows, short epochs) are
//! copied together, because every batch costs its reader a fixed amount however few records it holds.

use super::Fetch;
use crate::types::{Offset, RecordBlock, RecordBlockBuilder};

/// From this many bytes on a block is worth a turn of its reader, and copying dearer than another turn.
const ENOUGH_BYTES: usize = 32 << 10;
/// As many records are enough, however small.
const ENOUGH_RECORDS: usize = 8 << 10;

/// Collects batches of one partition, in offset order.
#[derive(Debug)]
pub(super) struct Gather {
    max_bytes: usize,
    pieces: Vec<RecordBlock>,
    bytes: usize,
    records: usize,
    next: Offset,
    is_full: bool,
}

impl Gather {
    /// For a read from `from` on, of about `max_bytes`.
    pub(super) fn new(from: Offset, max_bytes: usize) -> Self {
        Self { max_bytes, pieces: vec![], bytes: 0, records: 0, next: from, is_full: false }
    }

    /// True if the next batch, of about `bytes` bytes, should be pushed too.
    pub(super) fn wants(&self, bytes: usize) -> bool {
        self.records == 0
            || (!self.is_full
                && self.bytes < ENOUGH_BYTES
                && self.records < ENOUGH_RECORDS
                && bytes < ENOUGH_BYTES
                && self.bytes + bytes <= self.max_bytes)
    }

    /// Where to read on.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// True if there is no record yet.
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Wants nothing more, if it has anything.
    pub(super) fn stop(&mut self) {
        self.is_full = true;
    }

    /// Takes a batch that covers the offsets up to `next`. It may begin before where to read on: batches that were
    /// gathered may have become part of it since.
    pub(super) fn push(&mut self, block: &RecordBlock, next: Offset) {
        let block = block.skip(block.row_at(self.next));
        let rows = block.rows_within(self.max_bytes.saturating_sub(self.bytes));
        let whole = rows == block.len();
        let block = if whole { block } else { block.slice(0..rows) };
        self.next = if whole { next.max(self.next) } else { block.get(rows - 1).offset.next() };
        if !block.is_empty() {
            self.bytes += block.data_bytes();
            self.records += block.len();
            self.pieces.push(block);
        }
        self.is_full |= !whole;
    }

    /// The answer; `end` is the end of the partition.
    pub(super) fn finish(mut self, end: Offset) -> Fetch {
        let records = if self.pieces.len() > 1 {
            let mut builder = RecordBlockBuilder::with_capacity(self.records, self.bytes);
            for record in self.pieces.iter().flat_map(RecordBlock::iter) {
                builder.push(record);
            }
            builder.finish()
        } else {
            self.pieces.pop().unwrap_or_default()
        };
        Fetch { records, next: self.next, end }
    }
}

#[cfg(test)]
mod tests {
    use super::Gather;
    use crate::types::{EventTime, Offset, RecordBlock, RecordBlockBuilder, RecordView};

    /// Records at the offsets from `first` to before `next`.
    fn block(first: i64, next: i64) -> RecordBlock {
        let mut builder = RecordBlockBuilder::default();
        for offset in first..next {
            let record = RecordView {
                offset: Offset(offset),
                timestamp: EventTime(0),
                key: None,
                value: Some(b"v"),
                headers: &[],
            };
            builder.push(record);
        }
        builder.finish()
    }

    #[test]
    fn batches_that_were_merged_while_they_were_read_give_each_record_once() {
        let mut gather = Gather::new(Offset(1), 1 << 20);
        for (first, next) in [(0, 2), (0, 5), (3, 5), (4, 8)] {
            gather.push(&block(first, next), Offset(next));
        }
        let fetch = gather.finish(Offset(9));
        let offsets: Vec<i64> = fetch.records.iter().map(|record| record.offset.0).collect();
        assert_eq!((offsets, fetch.next), ((1..8).collect(), Offset(8)));
    }
}
