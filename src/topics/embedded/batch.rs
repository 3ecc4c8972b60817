//! A batch on disk: its head, and its records as a payload. Specified in `docs/formats/embedded-log.md`.

use bytes::Bytes;

use super::bytes_io::{Cursor, put_nullable_len, put_varint, put_zigzag};
use super::settings::Compression;
use crate::topics::TopicId;
use crate::types::{EventTime, Header, Offset, Partition, RecordBlock, RecordBlockIndexer};

/// Bytes of a head.
pub(super) const HEAD_BYTES: usize = 56;

const LZ4: u32 = 1;
const GAPS: u32 = 2;
const HEADERS: u32 = 4;
/// Flag of batches that compaction wrote: no key occurs twice in them or before them.
pub(super) const COMPACTED: u32 = 8;

/// What is known of a batch without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchHead {
    /// The payload's position in its file. In a frame's directory the topic id stands in its place.
    pub(super) position: u64,
    pub(super) partition: Partition,
    pub(super) flags: u32,
    /// First offset it covers.
    pub(super) base: Offset,
    /// One past the last offset it covers.
    pub(super) next: Offset,
    pub(super) appended_ms: i64,
    pub(super) records: u32,
    pub(super) stored_len: u32,
    pub(super) raw_len: u32,
    pub(super) crc: u32,
}

/// What the encoder is told of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cover {
    pub(super) partition: Partition,
    pub(super) base: Offset,
    pub(super) next: Offset,
    pub(super) appended_ms: i64,
    /// Flags the content does not tell.
    pub(super) flags: u32,
}

/// A payload: index and data apart, so that the data need not be copied before it is written.
#[derive(Debug)]
pub(super) struct Payload {
    /// Length, index; if compressed everything.
    pub(super) front: Vec<u8>,
    /// The data, or nothing if compressed.
    pub(super) data: RecordBlock,
}

impl BatchHead {
    /// Writes it with `id` in the first place.
    pub(super) fn put(&self, out: &mut Vec<u8>, id: u64) {
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&self.partition.0.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        for number in [self.base.0, self.next.0, self.appended_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.records, self.stored_len, self.raw_len, self.crc] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Reads one; the number in the first place is its position.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let head = Self {
            position: cursor.u64()?,
            partition: Partition(cursor.u32()?.cast_signed()),
            flags: cursor.u32()?,
            base: Offset(cursor.i64()?),
            next: Offset(cursor.i64()?),
            appended_ms: cursor.i64()?,
            records: cursor.u32()?,
            stored_len: cursor.u32()?,
            raw_len: cursor.u32()?,
            crc: cursor.u32()?,
        };
        (head.base <= head.next && head.base.0 >= 0).then_some(head)
    }

    /// The topic, in a head read from a frame's directory.
    pub(super) fn topic(&self) -> TopicId {
        TopicId(self.position)
    }
}

/// Packs records: a head (without position) and what to write.
pub(super) fn encode(records: &RecordBlock, cover: Cover, compression: Compression) -> (BatchHead, Payload) {
    let consecutive = match records.len() {
        0 => true,
        n => {
            let (first, last) = (records.get(0).offset, records.get(n - 1).offset);
            first == cover.base && last.0 - first.0 == n as i64 - 1
        }
    };
    let mut flags = cover.flags;
    if !consecutive {
        flags |= GAPS;
    }
    if records.has_headers() {
        flags |= HEADERS;
    }
    let mut front = Vec::with_capacity(4 + records.len() * 6);
    front.extend_from_slice(&[0; 4]);
    let (mut time, mut offset) = (0_i64, cover.base.0 - 1);
    for record in records.iter() {
        if flags & GAPS != 0 {
            put_varint(&mut front, (record.offset.0 - offset - 1).cast_unsigned());
            offset = record.offset.0;
        }
        put_zigzag(&mut front, record.timestamp.0.wrapping_sub(time));
        time = record.timestamp.0;
        put_nullable_len(&mut front, record.key);
        put_nullable_len(&mut front, record.value);
        if flags & HEADERS != 0 {
            put_headers(&mut front, record.headers);
        }
    }
    let index_len = length(front.len() - 4);
    front[..4].copy_from_slice(&index_len.to_le_bytes());
    let raw_len = length(front.len() + records.data_bytes());
    let mut data = records.clone();
    if compression == Compression::Lz4 {
        let mut raw = front.clone();
        raw.extend_from_slice(records.data());
        let packed = lz4_flex::block::compress(&raw);
        if packed.len() < raw.len() {
            flags |= LZ4;
            front = packed;
            data = RecordBlock::default();
        }
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(&front);
    crc.update(data.data());
    let head = BatchHead {
        position: 0,
        partition: cover.partition,
        flags,
        base: cover.base,
        next: cover.next,
        appended_ms: cover.appended_ms,
        records: length(records.len()),
        stored_len: length(front.len() + data.data_bytes()),
        raw_len,
        crc: crc.finalize(),
    };
    (head, Payload { front, data })
}

fn length(len: usize) -> u32 {
    u32::try_from(len).expect("the writer refuses batches of 2 GiB")
}

fn put_headers(out: &mut Vec<u8>, headers: &[Header]) {
    put_varint(out, headers.len() as u64);
    for header in headers {
        put_varint(out, header.key.len() as u64);
        out.extend_from_slice(header.key.as_bytes());
        put_nullable_len(out, header.value.as_deref());
        out.extend_from_slice(header.value.as_deref().unwrap_or_default());
    }
}

/// Unpacks a payload; `None` if it is not what its head says.
pub(super) fn decode(head: &BatchHead, stored: Bytes) -> Option<RecordBlock> {
    if stored.len() != head.stored_len as usize || crc32fast::hash(&stored) != head.crc {
        return None;
    }
    let raw = if head.flags & LZ4 == 0 {
        stored
    } else {
        Bytes::from(lz4_flex::block::decompress(&stored, head.raw_len as usize).ok()?)
    };
    let index_len = Cursor::new(&raw).u32()? as usize;
    let index_end = index_len.checked_add(4).filter(|end| *end <= raw.len())?;
    let mut index = Cursor::new(&raw[4..index_end]);
    let records = head.records as usize;
    // Each record takes at least three bytes of the index: a false count cannot reserve much.
    let mut block = RecordBlockIndexer::new(raw.slice(index_end..), records.min(index_len));
    let (mut time, mut offset) = (0_i64, head.base.0 - 1);
    let mut headers = vec![];
    for _ in 0..records {
        let gap = if head.flags & GAPS == 0 { 0 } else { i64::try_from(index.varint()?).ok()? };
        offset = offset.checked_add(gap)?.checked_add(1).filter(|offset| *offset < head.next.0)?;
        time = time.wrapping_add(index.zigzag()?);
        let (key_len, value_len) = (index.nullable_len()?, index.nullable_len()?);
        if head.flags & HEADERS != 0 {
            read_headers(&mut index, &mut headers)?;
        }
        if !block.push((Offset(offset), EventTime(time)), key_len, value_len, &headers) {
            return None;
        }
    }
    block.finish()
}

fn read_headers(index: &mut Cursor<'_>, headers: &mut Vec<Header>) -> Option<()> {
    headers.clear();
    for _ in 0..index.varint()? {
        let len = usize::try_from(index.varint()?).ok()?;
        let key = std::str::from_utf8(index.take(len)?).ok()?.to_owned();
        let value = match index.nullable_len()? {
            None => None,
            Some(len) => Some(Bytes::copy_from_slice(index.take(len as usize)?)),
        };
        headers.push(Header { key, value });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

    use super::{BatchHead, Compression, Cover, Cursor, HEAD_BYTES, decode, encode, length};
    use crate::types::{EventTime, Header, Offset, Partition, Record, RecordBlock, RecordBlockBuilder, RecordView};

    fn record() -> impl Strategy<Value = (i64, Record)> {
        let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from));
        let header = ("[a-z]{0,3}", bytes()).prop_map(|(key, value)| Header { key, value });
        (0_i64..3, bytes(), bytes(), any::<i64>(), prop::collection::vec(header, 0..3)).prop_map(
            |(gap, key, value, time, headers)| (gap, Record { key, value, timestamp: EventTime(time), headers }),
        )
    }

    fn packed(records: &[(i64, Record)], compression: Compression) -> (BatchHead, Bytes, RecordBlock) {
        let mut builder = RecordBlockBuilder::default();
        let mut offset = 100;
        for (gap, record) in records {
            offset += gap;
            builder.push(RecordView {
                offset: Offset(offset),
                timestamp: record.timestamp,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &record.headers,
            });
            offset += 1;
        }
        let block = builder.finish();
        let (base, next) = (Offset(100), Offset(offset + 5));
        let cover = Cover { partition: Partition(3), base, next, appended_ms: 7, flags: 0 };
        let (head, payload) = encode(&block, cover, compression);
        (head, [&payload.front[..], payload.data.data()].concat().into(), block)
    }

    proptest! {
        #[test]
        fn batches_come_back(records in prop::collection::vec(record(), 0..30), lz4: bool) {
            let (head, stored, block) = packed(&records, if lz4 { Compression::Lz4 } else { Compression::None });
            let back = decode(&head, stored.clone()).unwrap();
            prop_assert_eq!(back.iter().collect::<Vec<_>>(), block.iter().collect::<Vec<_>>());
            let mut head_bytes = vec![];
            head.put(&mut head_bytes, 0);
            prop_assert_eq!(head_bytes.len(), HEAD_BYTES);
            prop_assert_eq!(BatchHead::read(&mut Cursor::new(&head_bytes)), Some(head));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), flags in 0_u32..16, records in 0_u32..20) {
            let (mut head, ..) = packed(&[], Compression::None);
            head.flags = flags;
            head.records = records;
            head.next = Offset(i64::MAX);
            (head.stored_len, head.raw_len, head.crc) = (length(bytes.len()), 50, crc32fast::hash(&bytes));
            let _ = decode(&head, Bytes::from(bytes));
        }
    }

    #[test]
    fn one_flipped_bit_is_noticed() {
        let record = Record { key: Some(Bytes::from_static(b"key")), ..Record::default() };
        let (head, stored, _) = packed(&[(0, record)], Compression::None);
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&head, damaged.into()).is_none());
        }
    }
}
