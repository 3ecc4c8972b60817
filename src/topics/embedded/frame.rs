//! Frames: one transaction each, whole or torn. Specified in `docs/formats/embedded-log.md`.

use super::batch::{BatchHead, HEAD_BYTES, Payload};
use super::bytes_io::Cursor;
use crate::topics::TopicId;

/// Bytes before the directory.
pub(super) const FRAME_HEADER_BYTES: usize = 40;
/// Bytes before the first frame of a segment.
pub(super) const SEGMENT_HEADER_BYTES: usize = 32;

const SEGMENT_MAGIC: &[u8; 8] = b"THALWLOG";
const FRAME_MAGIC: &[u8; 4] = b"FRM1";
/// The version of the format that is written, and the only one that is read.
pub(super) const VERSION: u16 = 1;

/// Where the batches of a segment come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SegmentKind {
    /// Commits, in their order.
    Journal,
    /// Retention and compaction.
    Rewritten,
}

/// The header of a segment.
pub(super) fn segment_header(number: u64, kind: SegmentKind, made_ms: i64) -> Vec<u8> {
    let mut out = SEGMENT_MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(if kind == SegmentKind::Journal { 0_u16 } else { 1 }).to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&made_ms.to_le_bytes());
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Reads a segment's header: kind, or what is wrong with it.
pub(super) fn read_segment_header(bytes: &[u8], number: u64) -> Result<SegmentKind, HeaderProblem> {
    let whole = bytes.get(..SEGMENT_HEADER_BYTES).ok_or(HeaderProblem::Damaged)?;
    let mut cursor = Cursor::new(whole);
    let magic = cursor.take(8);
    let version = cursor.u16().ok_or(HeaderProblem::Damaged)?;
    if magic == Some(SEGMENT_MAGIC) && version > VERSION {
        return Err(HeaderProblem::Newer(version));
    }
    let (kind, found) = (cursor.u16(), cursor.u64());
    let crc = Cursor::new(&whole[28..]).u32();
    let is_good = magic == Some(SEGMENT_MAGIC) && found == Some(number) && crc == Some(crc32fast::hash(&whole[..28]));
    match kind {
        Some(0) if is_good => Ok(SegmentKind::Journal),
        Some(1) if is_good => Ok(SegmentKind::Rewritten),
        _ => Err(HeaderProblem::Damaged),
    }
}

/// Why a segment's header is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderProblem {
    /// Another format version.
    Newer(u16),
    /// Not a header.
    Damaged,
}

/// Lays out a frame at `position`: writes header, directory and payload fronts into `out` in pieces, fills in the
/// positions of the heads, and calls `data` where a payload's data belongs.
pub(super) fn put_frame(
    out: &mut Vec<u8>,
    (position, durable): (u64, u64),
    batches: &mut [(TopicId, BatchHead, Payload)],
    mut data: impl FnMut(&mut Vec<u8>, &Payload),
) -> u64 {
    let mut at = position + (FRAME_HEADER_BYTES + batches.len() * HEAD_BYTES) as u64;
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    for (topic, head, _) in batches.iter_mut() {
        head.position = at;
        at += u64::from(head.stored_len);
        head.put(out, topic.0);
    }
    let length = at - position;
    let header = &mut out[start..];
    header[..4].copy_from_slice(FRAME_MAGIC);
    header[8..16].copy_from_slice(&position.to_le_bytes());
    header[16..24].copy_from_slice(&durable.to_le_bytes());
    header[24..32].copy_from_slice(&length.to_le_bytes());
    let count = u32::try_from(batches.len()).expect("a transaction names fewer than 4 billion partitions");
    header[32..36].copy_from_slice(&count.to_le_bytes());
    let crc = crc32fast::hash(&header[8..]);
    header[4..8].copy_from_slice(&crc.to_le_bytes());
    for (_, _, payload) in batches.iter() {
        out.extend_from_slice(&payload.front);
        data(out, payload);
    }
    length
}

/// A whole frame that was found.
#[derive(Debug)]
pub(super) struct Frame {
    /// Bytes of the file that were flushed when it was written.
    pub(super) durable: u64,
    /// Where the next frame begins.
    pub(super) end: u64,
    /// Its batches, positions filled in.
    pub(super) batches: Vec<(TopicId, BatchHead)>,
}

/// Reads the frame at `position` of a segment's bytes; `None` if there is no whole one.
pub(super) fn read_frame(segment: &[u8], position: u64) -> Option<Frame> {
    let bytes = segment.get(usize::try_from(position).ok()?..)?;
    let mut cursor = Cursor::new(bytes);
    if cursor.take(4)? != FRAME_MAGIC {
        return None;
    }
    let crc = cursor.u32()?;
    if cursor.u64()? != position {
        return None;
    }
    let (durable, length, count) = (cursor.u64()?, cursor.u64()?, cursor.u32()? as usize);
    let directory_end = count.checked_mul(HEAD_BYTES)?.checked_add(FRAME_HEADER_BYTES)?;
    if crc32fast::hash(bytes.get(8..directory_end)?) != crc {
        return None;
    }
    cursor.u32()?;
    let frame = bytes.get(..usize::try_from(length).ok()?)?;
    let mut at = directory_end;
    let mut batches = Vec::with_capacity(count);
    for _ in 0..count {
        let mut head = BatchHead::read(&mut cursor)?;
        let end = at.checked_add(head.stored_len as usize)?;
        if crc32fast::hash(frame.get(at..end)?) != head.crc {
            return None;
        }
        let topic = head.topic();
        head.position = position + at as u64;
        batches.push((topic, head));
        at = end;
    }
    (at == frame.len()).then_some(Frame { durable, end: position + length, batches })
}

/// The first whole frame that begins after `position`.
pub(super) fn find_frame_after(segment: &[u8], position: u64) -> Option<Frame> {
    let from = usize::try_from(position).ok()?.checked_add(1)?;
    let candidates = memchr::memmem::find_iter(segment.get(from..)?, FRAME_MAGIC);
    candidates.filter_map(|at| read_frame(segment, (from + at) as u64)).next()
}
