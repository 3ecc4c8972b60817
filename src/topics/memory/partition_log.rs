//! One partition in memory: batches in offset order, some perhaps of transactions still open.

use std::collections::VecDeque;

use crate::topics::compaction::{LastOffsets, survivors};
use crate::topics::gather::Gather;
use crate::topics::{Fetch, OffsetRange, TopicError};
use crate::types::{Offset, RecordBlock};

/// The batches of a partition.
#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    batches: VecDeque<Batch>,
    start: Offset,
    /// One past the last record, committed or not.
    end: Offset,
}

/// Records that were appended together, or what is left of them.
#[derive(Debug)]
struct Batch {
    records: RecordBlock,
    base: Offset,
    /// One past the offsets it covers.
    next: Offset,
    appended_ms: i64,
    /// The number of its transaction while that is open.
    open: Option<u64>,
}

impl PartitionLog {
    /// Appends records and gives the offset of the first.
    pub(super) fn append(&mut self, records: &RecordBlock, appended_ms: i64, open: Option<u64>) -> Offset {
        let base = self.end;
        if !records.is_empty() {
            let records = records.clone().with_base_offset(base);
            self.end = Offset(base.0 + records.len() as i64);
            self.batches.push_back(Batch { records, base, next: self.end, appended_ms, open });
        }
        base
    }

    /// What may be read.
    pub(super) fn range(&self) -> OffsetRange {
        let first_open = self.batches.iter().find(|batch| batch.open.is_some());
        OffsetRange { start: self.start, end: first_open.map_or(self.end, |batch| batch.base) }
    }

    /// Committed records from `from` on.
    pub(super) fn read(&self, from: Offset, max_bytes: usize) -> Result<Fetch, TopicError> {
        let OffsetRange { start, end } = self.range();
        if from < start {
            return Err(TopicError::OffsetOutOfRange { offset: from, start });
        }
        let first = self.batches.partition_point(|batch| batch.next <= from);
        let mut gather = Gather::new(from, max_bytes);
        for batch in self.batches.range(first..).take_while(|batch| batch.base < end) {
            if !gather.wants(batch.records.data_bytes()) {
                break;
            }
            gather.push(&batch.records, batch.next);
        }
        Ok(gather.finish(end))
    }

    /// Ends an open transaction: its records become readable, or go and leave a gap.
    pub(super) fn close(&mut self, number: u64, commits: bool) {
        for batch in self.batches.iter_mut().filter(|batch| batch.open == Some(number)) {
            batch.open = None;
            if !commits {
                batch.records = RecordBlock::default();
            }
        }
    }

    /// Removes what was appended before `horizon_ms`, oldest first.
    pub(super) fn expire(&mut self, horizon_ms: i64) {
        while let Some(oldest) = self.batches.front() {
            if oldest.open.is_some() || oldest.appended_ms >= horizon_ms {
                break;
            }
            self.start = oldest.next;
            self.batches.pop_front();
        }
    }

    /// Keeps the last record of each key, null values only if they were appended at or after `horizon_ms`.
    pub(super) fn compact(&mut self, horizon_ms: i64) {
        let end = self.range().end;
        let mut last = LastOffsets::default();
        for batch in self.batches.iter().take_while(|batch| batch.base < end) {
            last.note(&batch.records);
        }
        for batch in self.batches.iter_mut().take_while(|batch| batch.base < end) {
            if let Some(left) = survivors(&batch.records, &last, batch.appended_ms < horizon_ms) {
                batch.records = left;
            }
        }
    }
}
