//! Records as bytes: what a topic holds, a block at a time.
//!
//! A [`RecordBlock`] is one immutable buffer plus an index, so that a block read from disk or received from a
//! broker is passed by reference to every reader and decoded in place.

use bytes::Bytes;

use super::{EventTime, Offset};

/// A header of a record: a name and bytes that may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Header {
    /// Name; several headers of one record may share it.
    pub key: String,
    /// Value; `None` is Kafka's null.
    pub value: Option<Bytes>,
}

/// One record that owns its bytes: for inserts and tests, not for the hot path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Key bytes; `None` is a null key.
    pub key: Option<Bytes>,
    /// Value bytes; `None` is a null value (a tombstone where the topic is compacted).
    pub value: Option<Bytes>,
    /// Event time.
    pub timestamp: EventTime,
    /// Headers in order.
    pub headers: Vec<Header>,
}

/// One record of a block, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Position in the partition.
    pub offset: Offset,
    /// Event time.
    pub timestamp: EventTime,
    /// Key bytes; `None` is a null key.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is a null value.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [Header],
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: Offset,
    timestamp: EventTime,
    key: Slice,
    value: Slice,
    /// Index into `headers`, or `u32::MAX` for none.
    headers: u32,
}

/// A range of the block's buffer; `start == u32::MAX` is null.
#[derive(Debug, Clone, Copy)]
struct Slice {
    start: u32,
    len: u32,
}

const NONE: u32 = u32::MAX;

impl Slice {
    fn of(self, data: &[u8]) -> Option<&[u8]> {
        (self.start != NONE).then(|| &data[self.start as usize..self.start as usize + self.len as usize])
    }
}

/// Consecutive records of one partition (or records not yet appended, whose offsets count from 0).
///
/// At most 4 GiB - 1 of key and value bytes: [`RecordBlockBuilder::push`] says when a block is full.
#[derive(Debug, Clone, Default)]
pub struct RecordBlock {
    data: Bytes,
    entries: Vec<Entry>,
    headers: Vec<Vec<Header>>,
}

impl RecordBlock {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is no record.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn data_bytes(&self) -> usize {
        self.data.len()
    }

    /// The record at `row`.
    ///
    /// # Panics
    /// If `row >= self.len()`.
    pub fn get(&self, row: usize) -> RecordView<'_> {
        let entry = &self.entries[row];
        RecordView {
            offset: entry.offset,
            timestamp: entry.timestamp,
            key: entry.key.of(&self.data),
            value: entry.value.of(&self.data),
            headers: if entry.headers == NONE { &[] } else { &self.headers[entry.headers as usize] },
        }
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordView<'_>> {
        (0..self.len()).map(|row| self.get(row))
    }

    /// True if any record has headers: lets readers skip the whole subject.
    pub fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// The same records with offsets `base`, `base + 1`, …
    pub fn with_base_offset(mut self, base: Offset) -> Self {
        for (offset, entry) in (base.0..).zip(&mut self.entries) {
            entry.offset = Offset(offset);
        }
        self
    }

    /// The records from `row` on, sharing the buffer.
    pub fn skip(&self, row: usize) -> Self {
        Self { data: self.data.clone(), entries: self.entries[row..].to_vec(), headers: self.headers.clone() }
    }
}

impl<'a> FromIterator<&'a Record> for RecordBlock {
    fn from_iter<T: IntoIterator<Item = &'a Record>>(records: T) -> Self {
        let mut builder = RecordBlockBuilder::default();
        for (row, record) in (0..).zip(records) {
            builder.push(RecordView {
                offset: Offset(row),
                timestamp: record.timestamp,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &record.headers,
            });
        }
        builder.finish()
    }
}

/// Builds a [`RecordBlock`] record by record.
#[derive(Debug, Default)]
pub struct RecordBlockBuilder {
    data: Vec<u8>,
    entries: Vec<Entry>,
    headers: Vec<Vec<Header>>,
}

impl RecordBlockBuilder {
    /// Number of records so far.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys and values so far.
    pub fn data_bytes(&self) -> usize {
        self.data.len()
    }

    /// Appends a copy of `record`.
    ///
    /// # Panics
    /// If the block would pass 4 GiB: callers close a block by size long before.
    pub fn push(&mut self, record: RecordView<'_>) {
        let key = self.copy(record.key);
        let value = self.copy(record.value);
        let headers = if record.headers.is_empty() {
            NONE
        } else {
            self.headers.push(record.headers.to_vec());
            u32::try_from(self.headers.len() - 1).expect("fewer records than bytes in a block")
        };
        self.entries.push(Entry { offset: record.offset, timestamp: record.timestamp, key, value, headers });
    }

    fn copy(&mut self, bytes: Option<&[u8]>) -> Slice {
        let Some(bytes) = bytes else { return Slice { start: NONE, len: 0 } };
        let start = u32::try_from(self.data.len()).expect("a block is closed before 4 GiB");
        let len = u32::try_from(bytes.len()).expect("a record is smaller than 4 GiB");
        assert!(start.checked_add(len).is_some_and(|end| end < NONE), "a block is closed before 4 GiB");
        self.data.extend_from_slice(bytes);
        Slice { start, len }
    }

    /// The block; the builder is empty afterwards.
    pub fn finish(&mut self) -> RecordBlock {
        let built = std::mem::take(self);
        RecordBlock { data: Bytes::from(built.data), entries: built.entries, headers: built.headers }
    }
}
