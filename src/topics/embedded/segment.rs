//! Segments, and where the batches of a sealed one lie. Specified in `docs/formats/embedded-log.md`.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hashbrown::HashMap;
use parking_lot::Mutex;

use super::batch::{self, BatchHead, COMPACTED, HEAD_BYTES};
use super::bytes_io::Cursor;
use super::frame::{FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, VERSION, read_frame};
use crate::topics::TopicId;
use crate::types::{Offset, Partition, RecordBlock};

const INDEX_MAGIC: &[u8; 8] = b"THALWIDX";
const INDEX_HEADER_BYTES: usize = 40;
const RUN_BYTES: usize = 56;
const ALL_COMPACTED: u64 = 1 << 63;

/// A file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    // fixed
    pub(super) number: u64,
    folder: PathBuf,
    // mutable
    /// Opened by the first read; closed by [`Segment::rest`], so that old segments cost no descriptor.
    file: Mutex<Option<Arc<File>>>,
    was_read: AtomicBool,
}

/// Batches of one partition in one sealed segment that cover its offsets from start to end without a gap.
///
/// A rewritten segment may hold several runs of a partition, with runs of other segments between them.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) segment: Arc<Segment>,
    pub(super) topic: TopicId,
    pub(super) partition: Partition,
    pub(super) start: Offset,
    pub(super) end: Offset,
    pub(super) newest_ms: i64,
    /// Bytes of its payloads.
    pub(super) bytes: u64,
    /// True if compaction wrote all of it.
    pub(super) is_compacted: bool,
    first_head: u32,
    heads: u32,
    heads_crc: u32,
}

impl Segment {
    pub(super) fn new(folder: &Path, number: u64) -> Self {
        Self { number, folder: folder.into(), file: Mutex::new(None), was_read: AtomicBool::new(false) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(format!("{:020}.log", self.number))
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.folder.join(format!("{:020}.index", self.number))
    }

    fn file(&self) -> io::Result<Arc<File>> {
        self.was_read.store(true, Ordering::Relaxed);
        let mut file = self.file.lock();
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let opened = Arc::new(File::open(self.path())?);
        *file = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Closes the file if nobody read it since the last call.
    pub(super) fn rest(&self) {
        if !self.was_read.swap(false, Ordering::Relaxed) {
            *self.file.lock() = None;
        }
    }

    /// The payload of a batch as stored.
    pub(super) fn payload(&self, head: &BatchHead) -> io::Result<Bytes> {
        let mut stored = vec![0; head.stored_len as usize];
        self.file()?.read_exact_at(&mut stored, head.position)?;
        Ok(stored.into())
    }

    /// A batch's records.
    pub(super) fn read(&self, head: &BatchHead) -> io::Result<RecordBlock> {
        batch::decode(head, self.payload(head)?).ok_or_else(|| {
            let reason = format!("the batch at byte {} of {} is damaged", head.position, self.path().display());
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })
    }

    /// Removes its files; readers that have it open finish in peace.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_file(self.path())?;
        match fs::remove_file(self.index_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Run {
    /// Bytes of its payloads, with what frames add to small batches.
    pub(super) fn framed_bytes(&self) -> u64 {
        self.bytes + u64::from(self.heads) * (HEAD_BYTES + FRAME_HEADER_BYTES) as u64
    }

    /// The heads of its batches, in offset order, from the disk.
    pub(super) fn load_heads(&self) -> io::Result<Vec<BatchHead>> {
        let from_index = self.heads_from_index();
        if let Ok(Some(heads)) = from_index {
            return Ok(heads);
        }
        let bytes = fs::read(self.segment.path())?;
        let (batches, _) = scan(&bytes);
        let ours = |(topic, head): &(TopicId, BatchHead)| {
            (*topic, head.partition) == (self.topic, self.partition) && head.base >= self.start && head.next <= self.end
        };
        Ok(batches.iter().filter(|batch| ours(batch)).map(|(_, head)| *head).collect())
    }

    fn heads_from_index(&self) -> io::Result<Option<Vec<BatchHead>>> {
        let file = File::open(self.segment.index_path())?;
        let mut header = [0; INDEX_HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let runs = Cursor::new(&header[32..]).u32().unwrap_or(0) as usize;
        let at = INDEX_HEADER_BYTES + runs * RUN_BYTES + self.first_head as usize * HEAD_BYTES;
        let mut bytes = vec![0; self.heads as usize * HEAD_BYTES];
        file.read_exact_at(&mut bytes, at as u64)?;
        if crc32fast::hash(&bytes) != self.heads_crc {
            return Ok(None);
        }
        let mut cursor = Cursor::new(&bytes);
        Ok((0..self.heads).map(|_| BatchHead::read(&mut cursor)).collect())
    }
}

/// Heads of the runs that are being read, so that a scan does not load them for every batch.
#[derive(Debug, Default)]
pub(super) struct HeadCache {
    loaded: HashMap<HeadKey, Arc<[BatchHead]>>,
    order: VecDeque<HeadKey>,
    heads: usize,
}

type HeadKey = (u64, TopicId, Partition, Offset);

/// The most heads kept: 14 MB.
const CACHED_HEADS: usize = 256 << 10;

impl HeadCache {
    /// The heads of a run; the lock is not held while they are loaded.
    pub(super) fn heads(cache: &Mutex<Self>, run: &Run) -> io::Result<Arc<[BatchHead]>> {
        let key = (run.segment.number, run.topic, run.partition, run.start);
        if let Some(heads) = cache.lock().loaded.get(&key) {
            return Ok(Arc::clone(heads));
        }
        let heads: Arc<[BatchHead]> = run.load_heads()?.into();
        let mut cache = cache.lock();
        if cache.loaded.insert(key, Arc::clone(&heads)).is_none() {
            cache.order.push_back(key);
            cache.heads += heads.len();
        }
        while cache.heads > CACHED_HEADS
            && let Some(oldest) = cache.order.pop_front()
        {
            cache.heads -= cache.loaded.remove(&oldest).map_or(0, |heads| heads.len());
        }
        Ok(heads)
    }
}

/// All whole frames from the front of a segment's bytes: their batches, and where they end.
pub(super) fn scan(bytes: &[u8]) -> (Vec<(TopicId, BatchHead)>, u64) {
    let mut batches = vec![];
    let mut position = SEGMENT_HEADER_BYTES as u64;
    while let Some(frame) = read_frame(bytes, position) {
        batches.extend(frame.batches);
        position = frame.end;
    }
    (batches, position)
}

/// Makes the index of a segment of `length` bytes: the file's bytes, and the runs.
pub(super) fn build_index(
    segment: &Arc<Segment>,
    length: u64,
    mut batches: Vec<(TopicId, BatchHead)>,
) -> (Vec<u8>, Vec<Run>) {
    batches.sort_by_key(|(topic, head)| (*topic, head.partition, head.base, head.next));
    let mut runs: Vec<Run> = vec![];
    let mut heads = Vec::with_capacity(batches.len() * HEAD_BYTES);
    let continues = |a: &(TopicId, BatchHead), b: &(TopicId, BatchHead)| {
        (a.0, a.1.partition, a.1.next) == (b.0, b.1.partition, b.1.base)
    };
    for group in batches.chunk_by(continues) {
        let start = heads.len();
        group.iter().for_each(|(_, head)| head.put(&mut heads, head.position));
        let (topic, first) = group[0];
        let number = |bytes: usize| u32::try_from(bytes / HEAD_BYTES).expect("a segment has fewer than 4 billion");
        runs.push(Run {
            segment: Arc::clone(segment),
            topic,
            partition: first.partition,
            start: first.base,
            end: group[group.len() - 1].1.next,
            newest_ms: group.iter().map(|(_, head)| head.appended_ms).max().unwrap_or(0),
            bytes: group.iter().map(|(_, head)| u64::from(head.stored_len)).sum(),
            is_compacted: group.iter().all(|(_, head)| head.flags & COMPACTED != 0),
            first_head: number(start),
            heads: number(heads.len() - start),
            heads_crc: crc32fast::hash(&heads[start..]),
        });
    }
    let mut body = segment.number.to_le_bytes().to_vec();
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(&u32::try_from(runs.len()).expect("fewer runs than heads").to_le_bytes());
    body.extend_from_slice(&[0; 4]);
    for run in &runs {
        run.put(&mut body);
    }
    let mut out = INDEX_MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    out.extend_from_slice(&body);
    out.extend_from_slice(&heads);
    (out, runs)
}

/// The runs of a sealed segment of `length` bytes by its index; `None` if that is missing, damaged or out of date.
pub(super) fn read_index(segment: &Arc<Segment>, length: u64) -> Option<Vec<Run>> {
    let file = File::open(segment.index_path()).ok()?;
    let file_length = file.metadata().ok()?.len();
    let mut header = vec![0; INDEX_HEADER_BYTES];
    file.read_exact_at(&mut header, 0).ok()?;
    let mut cursor = Cursor::new(&header);
    let is_ours = cursor.take(8)? == INDEX_MAGIC && cursor.u16()? == VERSION;
    cursor.u16()?;
    let crc = cursor.u32()?;
    if !is_ours || cursor.u64()? != segment.number || cursor.u64()? != length {
        return None;
    }
    let count = cursor.u32()? as usize;
    if (INDEX_HEADER_BYTES + count.checked_mul(RUN_BYTES)?) as u64 > file_length {
        return None;
    }
    header.resize(INDEX_HEADER_BYTES + count * RUN_BYTES, 0);
    file.read_exact_at(&mut header[INDEX_HEADER_BYTES..], INDEX_HEADER_BYTES as u64).ok()?;
    if crc32fast::hash(&header[16..]) != crc {
        return None;
    }
    let mut cursor = Cursor::new(&header[INDEX_HEADER_BYTES..]);
    (0..count).map(|_| Run::get(&mut cursor, segment)).collect()
}

impl Run {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.topic.0.to_le_bytes());
        out.extend_from_slice(&self.partition.0.to_le_bytes());
        out.extend_from_slice(&self.heads_crc.to_le_bytes());
        for number in [self.start.0, self.end.0, self.newest_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let bytes = self.bytes | if self.is_compacted { ALL_COMPACTED } else { 0 };
        out.extend_from_slice(&bytes.to_le_bytes());
        out.extend_from_slice(&self.first_head.to_le_bytes());
        out.extend_from_slice(&self.heads.to_le_bytes());
    }

    fn get(cursor: &mut Cursor<'_>, segment: &Arc<Segment>) -> Option<Self> {
        let (topic, partition) = (TopicId(cursor.u64()?), Partition(cursor.u32()?.cast_signed()));
        let heads_crc = cursor.u32()?;
        let (start, end, newest_ms) = (Offset(cursor.i64()?), Offset(cursor.i64()?), cursor.i64()?);
        let bytes = cursor.u64()?;
        Some(Self {
            segment: Arc::clone(segment),
            topic,
            partition,
            start,
            end,
            newest_ms,
            bytes: bytes & !ALL_COMPACTED,
            is_compacted: bytes & ALL_COMPACTED != 0,
            first_head: cursor.u32()?,
            heads: cursor.u32()?,
            heads_crc,
        })
    }
}
