//! What compaction keeps: of records with one key the last, and deletions for a while.
//!
//! Source: Kafka's log compaction. Departures: the age of a deletion counts from its append; a record without a key is
//! kept (a broker would not take it in).

use hashbrown::HashMap;

use crate::types::{Offset, RecordBlock, RecordBlockBuilder, RecordView};

/// The offset of the last record of each key.
#[derive(Debug, Default)]
pub(super) struct LastOffsets {
    by_key: HashMap<Box<[u8]>, Offset>,
    key_bytes: usize,
}

impl LastOffsets {
    /// Notes the records of a batch; batches come in offset order.
    pub(super) fn note(&mut self, block: &RecordBlock) {
        for record in block.iter() {
            let Some(key) = record.key else { continue };
            if let Some(last) = self.by_key.get_mut(key) {
                *last = record.offset;
            } else {
                self.key_bytes += key.len();
                self.by_key.insert(key.into(), record.offset);
            }
        }
    }

    /// Bytes of the keys noted.
    pub(super) fn key_bytes(&self) -> usize {
        self.key_bytes
    }

    /// True if no later record with the key of this one was noted.
    pub(super) fn is_last(&self, record: &RecordView<'_>) -> bool {
        record.key.and_then(|key| self.by_key.get(key)).is_none_or(|last| *last <= record.offset)
    }
}

/// The records of `block` that compaction keeps, with their offsets; `None` if it keeps all.
///
/// `drops_tombstones`: the batch was appended so long ago that its null values go too.
pub(super) fn survivors(block: &RecordBlock, last: &LastOffsets, drops_tombstones: bool) -> Option<RecordBlock> {
    let stays = |record: &RecordView<'_>| {
        let is_old_tombstone = drops_tombstones && record.key.is_some() && record.value.is_none();
        !is_old_tombstone && last.is_last(record)
    };
    if block.iter().all(|record| stays(&record)) {
        return None;
    }
    let mut builder = RecordBlockBuilder::default();
    for record in block.iter().filter(stays) {
        builder.push(record);
    }
    Some(builder.finish())
}
