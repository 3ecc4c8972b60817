//! Reads and decodes a partition chunk by chunk, from a position that its owner keeps.

use bytes::Bytes;

use crate::topics::{TopicError, TopicId, TopicLog};
use crate::types::{ChangeBatch, Offset, Partition, RecordBlock};

use super::decode::{BadRecord, SourceDecoder};

/// Consecutive records, decoded.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The position asked for.
    pub(super) first: Offset,
    /// Where to read on.
    pub(super) next: Offset,
    /// The rows, unless there are none. Stream time is not filled in.
    pub(super) batch: Option<ChangeBatch>,
    /// Records that made no row, each with its value bytes if they were asked for.
    pub(super) bad: Vec<(BadRecord, Option<Bytes>)>,
    /// Records of a table that had no key.
    pub(super) without_key: usize,
    /// Records read.
    pub(super) records: usize,
    /// Bytes of their keys and values.
    pub(super) bytes: usize,
}

/// What a read gives.
#[expect(clippy::large_enum_variant, reason = "one a batch, moved a few times: a box would cost more")]
#[derive(Debug)]
pub(super) enum Read {
    /// Records, or a gap that was jumped over.
    Chunk(Chunk),
    /// No record yet below the limit.
    Dry,
    /// There are records, but they are not here yet; the log tells when they are.
    Later,
}

/// How much to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// The first offset.
    pub(super) from: Offset,
    /// Read no record from this offset on.
    pub(super) limit: Offset,
    /// At most so many records.
    pub(super) records: usize,
    /// Bytes to ask of the log at once.
    pub(super) bytes: usize,
    /// Keep the value bytes of bad records.
    pub(super) keep_bad: bool,
}

/// A partition and what is left of the last read.
pub(super) struct Cursor {
    // fixed
    topic: TopicId,
    partition: Partition,
    // changing
    decoder: SourceDecoder,
    unread: Option<Unread>,
}

/// What is left of a read.
struct Unread {
    block: RecordBlock,
    /// The first row not decoded.
    row: usize,
    /// Where the first row not decoded would be read from.
    position: Offset,
    /// Where to read on behind the block.
    then: Offset,
}

impl Cursor {
    pub(super) fn new(topic: TopicId, partition: Partition, decoder: SourceDecoder) -> Self {
        Self { topic, partition, decoder, unread: None }
    }

    /// Decodes the next records, except those that `skip` names.
    ///
    /// # Errors
    /// The log's; of them [`TopicError::OffsetOutOfRange`] tells where to read on.
    pub(super) fn next(
        &mut self,
        log: &dyn TopicLog,
        wish: Wish,
        skip: impl Fn(Offset) -> bool,
    ) -> Result<Read, TopicError> {
        if wish.from >= wish.limit {
            return Ok(Read::Dry);
        }
        let mut unread = match self.unread.take() {
            Some(unread) if unread.position == wish.from => unread,
            _ => {
                let Some(fetch) = log.read_now(self.topic, self.partition, wish.from, wish.bytes)? else {
                    return Ok(Read::Later);
                };
                if fetch.records.is_empty() && fetch.next <= wish.from {
                    return Ok(Read::Dry);
                }
                Unread { block: fetch.records, row: 0, position: wish.from, then: fetch.next }
            }
        };
        let first = unread.position;
        let mut end = (unread.row + wish.records).min(unread.block.len());
        if end > unread.row && unread.block.get(end - 1).offset >= wish.limit {
            end = unread.block.row_at(wish.limit).clamp(unread.row, end);
        }
        let range = unread.row..end;
        unread.position = if end < unread.block.len() {
            unread.block.get(end).offset.min(wish.limit)
        } else {
            unread.then.min(wish.limit)
        };
        let mut bad = Vec::new();
        let records = range.len();
        let bytes = unread.block.slice(range.clone()).data_bytes();
        let decoded = self.decoder.decode(&unread.block, range, self.partition, skip, &mut bad);
        let bad = bad
            .into_iter()
            .map(|record| {
                let value = if wish.keep_bad { value_of(&unread.block, record.offset) } else { None };
                (record, value)
            })
            .collect();
        unread.row = end;
        let next = unread.position;
        self.unread = (end < unread.block.len()).then_some(unread);
        Ok(Read::Chunk(Chunk {
            first,
            next,
            batch: decoded.batch,
            bad,
            without_key: decoded.without_key,
            records,
            bytes,
        }))
    }
}

/// The value bytes of the record at `offset`.
fn value_of(block: &RecordBlock, offset: Offset) -> Option<Bytes> {
    let row = block.row_at(offset);
    (row < block.len()).then(|| block.get(row).value.map(Bytes::copy_from_slice)).flatten()
}
