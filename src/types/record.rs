//! Records as bytes: what a topic holds, a block at a time.
//!
//! A [`RecordBlock`] is one immutable buffer plus a shared index, so that a block read from disk or received from a
//! broker is passed by reference to every reader and decoded in place: cloning, slicing and re-basing cost no copy.
//!
//! ```text
//! data   k0 v0 k1 v1 v2 k3 v3 …          keys and values in order, nothing between them (v2 has a null key)
//! index  (offset, timestamp, start, key length, value length, headers) per record
//! ```

use std::ops::Range;
use std::sync::Arc;

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

/// Where a record lies in the buffer: its key at `start`, its value right behind. `NONE` as a length is null, as
/// `headers` it is "none".
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Relative to the block's base, so that a block is re-based without touching its index.
    offset: i64,
    timestamp: EventTime,
    start: u32,
    key_len: u32,
    value_len: u32,
    headers: u32,
}

const NONE: u32 = u32::MAX;

fn len_of(len: u32) -> usize {
    if len == NONE { 0 } else { len as usize }
}

impl Entry {
    fn value_start(&self) -> usize {
        self.start as usize + len_of(self.key_len)
    }

    fn end(&self) -> usize {
        self.value_start() + len_of(self.value_len)
    }
}

/// Consecutive records of one partition (or records not yet appended, whose offsets count from 0).
///
/// At most 4 GiB - 1 of key and value bytes. Clones and slices share buffer and index.
#[derive(Debug, Clone, Default)]
pub struct RecordBlock {
    data: Bytes,
    index: Arc<Index>,
    rows: Range<usize>,
    base: i64,
}

#[derive(Debug, Default)]
struct Index {
    entries: Vec<Entry>,
    headers: Vec<Vec<Header>>,
}

impl RecordBlock {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if there is no record.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn entries(&self) -> &[Entry] {
        &self.index.entries[self.rows.clone()]
    }

    /// Bytes of all keys and values.
    pub fn data_bytes(&self) -> usize {
        self.data_range().len()
    }

    /// Keys and values of all records, in order, with nothing between them.
    pub fn data(&self) -> &[u8] {
        &self.data[self.data_range()]
    }

    fn data_range(&self) -> Range<usize> {
        match self.entries() {
            [] => 0..0,
            [first, .., last] => first.start as usize..last.end(),
            [only] => only.start as usize..only.end(),
        }
    }

    /// The record at `row`.
    ///
    /// # Panics
    /// If `row >= self.len()`.
    pub fn get(&self, row: usize) -> RecordView<'_> {
        self.view(&self.entries()[row])
    }

    fn view(&self, entry: &Entry) -> RecordView<'_> {
        let value_start = entry.value_start();
        RecordView {
            offset: Offset(self.base + entry.offset),
            timestamp: entry.timestamp,
            key: (entry.key_len != NONE).then(|| &self.data[entry.start as usize..value_start]),
            value: (entry.value_len != NONE).then(|| &self.data[value_start..entry.end()]),
            headers: if entry.headers == NONE { &[] } else { &self.index.headers[entry.headers as usize] },
        }
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordView<'_>> {
        self.entries().iter().map(|entry| self.view(entry))
    }

    /// A key or value of one of the records, sharing the buffer.
    ///
    /// # Panics
    /// If `part` is not of this block.
    pub fn share(&self, part: &[u8]) -> Bytes {
        self.data.slice_ref(part)
    }

    /// False if no record has headers: lets readers skip the whole subject.
    pub fn has_headers(&self) -> bool {
        !self.index.headers.is_empty()
    }

    /// The same records with offsets `base`, `base + 1`, …
    pub fn with_base_offset(self, base: Offset) -> Self {
        let consecutive = match self.entries() {
            [first, .., last] => last.offset - first.offset == self.len() as i64 - 1,
            _ => true,
        };
        if consecutive {
            let first = self.entries().first().map_or(0, |entry| entry.offset);
            return Self { base: base.0 - first, ..self };
        }
        let mut entries = self.entries().to_vec();
        for (offset, entry) in (0..).zip(&mut entries) {
            entry.offset = offset;
        }
        let rows = 0..entries.len();
        let headers = self.index.headers.clone();
        Self { data: self.data, index: Arc::new(Index { entries, headers }), rows, base: base.0 }
    }

    /// The records from `row` on, sharing the buffer.
    ///
    /// # Panics
    /// If `row > self.len()`.
    pub fn skip(&self, row: usize) -> Self {
        self.slice(row..self.len())
    }

    /// The records of `rows`, sharing the buffer.
    ///
    /// # Panics
    /// If `rows` is not inside `0..self.len()`.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.len(), "rows {rows:?} of a block of {}", self.len());
        let start = self.rows.start;
        Self {
            data: self.data.clone(),
            index: Arc::clone(&self.index),
            rows: start + rows.start..start + rows.end,
            base: self.base,
        }
    }

    /// How many of the first records hold at most `bytes` bytes of keys and values; at least one, if there is any.
    pub fn rows_within(&self, bytes: usize) -> usize {
        let Some(first) = self.entries().first() else { return 0 };
        self.entries().partition_point(|entry| entry.end() - first.start as usize <= bytes).max(1)
    }

    /// The first row whose offset is not below `offset`, or `len()`.
    pub fn row_at(&self, offset: Offset) -> usize {
        self.entries().partition_point(|entry| self.base + entry.offset < offset.0)
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

impl From<RecordView<'_>> for Record {
    fn from(view: RecordView<'_>) -> Self {
        Self {
            key: view.key.map(Bytes::copy_from_slice),
            value: view.value.map(Bytes::copy_from_slice),
            timestamp: view.timestamp,
            headers: view.headers.to_vec(),
        }
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
    /// A builder with room for so many records and bytes of keys and values.
    pub fn with_capacity(records: usize, data_bytes: usize) -> Self {
        Self { data: Vec::with_capacity(data_bytes), entries: Vec::with_capacity(records), headers: Vec::new() }
    }

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
        let start = self.data.len();
        let mut copy = |bytes: Option<&[u8]>| {
            let Some(bytes) = bytes else { return NONE };
            self.data.extend_from_slice(bytes);
            u32::try_from(bytes.len()).expect("a record is smaller than 4 GiB")
        };
        let (key_len, value_len) = (copy(record.key), copy(record.value));
        assert!(self.data.len() < NONE as usize, "a block is closed before 4 GiB");
        self.entries.push(Entry {
            offset: record.offset.0,
            timestamp: record.timestamp,
            start: u32::try_from(start).expect("checked above"),
            key_len,
            value_len,
            headers: push_headers(&mut self.headers, record.headers),
        });
    }

    /// The block; the builder is empty afterwards.
    pub fn finish(&mut self) -> RecordBlock {
        let built = std::mem::take(self);
        block_of(Bytes::from(built.data), built.entries, built.headers)
    }
}

/// Lays an index over bytes that hold keys and values in order already, as they come from a file.
#[derive(Debug)]
pub struct RecordBlockIndexer {
    data: Bytes,
    at: usize,
    entries: Vec<Entry>,
    headers: Vec<Vec<Header>>,
}

impl RecordBlockIndexer {
    /// Starts at the front of `data`.
    ///
    /// # Panics
    /// If `data` holds 4 GiB or more.
    pub fn new(data: Bytes, records: usize) -> Self {
        assert!(data.len() < NONE as usize, "a block is smaller than 4 GiB");
        Self { data, at: 0, entries: Vec::with_capacity(records), headers: Vec::new() }
    }

    /// Takes the next `key_len` bytes as key and `value_len` bytes as value (`None`: null). False, and nothing is
    /// taken, if there are not so many bytes left.
    #[must_use]
    pub fn push(
        &mut self,
        (offset, timestamp): (Offset, EventTime),
        key_len: Option<u32>,
        value_len: Option<u32>,
        headers: &[Header],
    ) -> bool {
        let len = u64::from(key_len.unwrap_or(0)) + u64::from(value_len.unwrap_or(0));
        let fits = len <= (self.data.len() - self.at) as u64 && key_len != Some(NONE) && value_len != Some(NONE);
        if fits {
            self.entries.push(Entry {
                offset: offset.0,
                timestamp,
                start: u32::try_from(self.at).expect("smaller than the block"),
                key_len: key_len.unwrap_or(NONE),
                value_len: value_len.unwrap_or(NONE),
                headers: push_headers(&mut self.headers, headers),
            });
            self.at += usize::try_from(len).expect("smaller than the block");
        }
        fits
    }

    /// The block, if the records used up all bytes.
    pub fn finish(self) -> Option<RecordBlock> {
        (self.at == self.data.len()).then(|| block_of(self.data, self.entries, self.headers))
    }
}

fn block_of(data: Bytes, entries: Vec<Entry>, headers: Vec<Vec<Header>>) -> RecordBlock {
    let rows = 0..entries.len();
    RecordBlock { data, index: Arc::new(Index { entries, headers }), rows, base: 0 }
}

fn push_headers(all: &mut Vec<Vec<Header>>, headers: &[Header]) -> u32 {
    if headers.is_empty() {
        return NONE;
    }
    all.push(headers.to_vec());
    u32::try_from(all.len() - 1).expect("fewer records than bytes in a block")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{EventTime, Offset, Record, RecordBlock, RecordBlockBuilder, RecordBlockIndexer, RecordView};

    fn block() -> RecordBlock {
        let record = |key: Option<&'static str>, value: Option<&'static str>, timestamp| Record {
            key: key.map(Bytes::from),
            value: value.map(Bytes::from),
            timestamp: EventTime(timestamp),
            headers: vec![],
        };
        [record(Some("a"), Some("1"), 10), record(None, Some(""), 11), record(Some("c"), None, 12)].iter().collect()
    }

    fn text(block: &RecordBlock) -> String {
        let side = |bytes: Option<&[u8]>| bytes.map_or("null".into(), |b| format!("{:?}", String::from_utf8_lossy(b)));
        let line = |r: RecordView<'_>| format!("{}:{}={}@{}", r.offset, side(r.key), side(r.value), r.timestamp);
        block.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn null_and_empty_are_different() {
        assert_eq!(text(&block()), r#"0:"a"="1"@10 1:null=""@11 2:"c"=null@12"#);
    }

    #[test]
    fn slices_share_bytes_and_keep_offsets() {
        let block = block().with_base_offset(Offset(40));
        let slice = block.slice(1..3);
        assert_eq!(text(&slice), r#"41:null=""@11 42:"c"=null@12"#);
        assert_eq!(slice.data(), b"c");
        assert_eq!(text(&slice.skip(1).with_base_offset(Offset(7))), r#"7:"c"=null@12"#);
        assert_eq!((block.row_at(Offset(0)), block.row_at(Offset(42)), block.row_at(Offset(99))), (0, 2, 3));
    }

    #[test]
    fn gaps_close_when_a_block_gets_a_new_base() {
        let mut builder = RecordBlockBuilder::default();
        for record in block().iter() {
            builder.push(RecordView { offset: Offset(record.offset.0 * 5), ..record });
        }
        let block = builder.finish();
        assert_eq!(block.row_at(Offset(6)), 2);
        assert_eq!(text(&block.with_base_offset(Offset(3))), r#"3:"a"="1"@10 4:null=""@11 5:"c"=null@12"#);
    }

    #[test]
    fn an_index_over_bytes_takes_exactly_those_bytes() {
        let at = |offset| (Offset(offset), EventTime(0));
        let mut indexer = RecordBlockIndexer::new(Bytes::from_static(b"k1value"), 2);
        assert!(indexer.push(at(0), Some(2), Some(5), &[]));
        assert!(!indexer.push(at(1), None, Some(1), &[]));
        assert!(indexer.push(at(1), None, None, &[]));
        assert_eq!(indexer.finish().map(|block| text(&block)).as_deref(), Some(r#"0:"k1"="value"@0 1:null=null@0"#));
        let mut short = RecordBlockIndexer::new(Bytes::from_static(b"k1"), 1);
        assert!(short.push(at(0), Some(1), None, &[]));
        assert!(short.finish().is_none());
    }
}
