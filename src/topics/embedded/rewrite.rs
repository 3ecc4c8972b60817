//! Writes the batches that stay into a new sealed segment, and puts it in the place of those they came from.
//!
//! The new segment has a higher number than its sources: one rename makes it count and them not
//! (`docs/formats/embedded-log.md`, Start, rule 2). A source run goes into one new run whole, and a new run covers
//! nothing its sources did not: between two of them may lie a run of a segment that stays.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::batch::{BatchHead, COMPACTED, Cover, encode};
use super::frame::SegmentKind;
use super::journal::{ActiveFile, Faults, Group, WriteError, write_group};
use super::manifest::{replace_file, sync_folder};
use super::segment::{Run, Segment, build_index};
use super::shared::Shared;
use crate::topics::TopicId;
use crate::types::{RecordBlock, RecordBlockBuilder};

/// Small batches are merged up to about this size: a turn of a reader.
const MERGED_BYTES: usize = 256 << 10;
/// Or so many records.
const MERGED_RECORDS: usize = 8 << 10;
/// Batches are written in frames of about this size.
const FRAME_BYTES: usize = 4 << 20;

/// A segment in the making. Dropped before its end, it leaves nothing behind.
pub(super) struct Rewrite<'a> {
    // fixed
    shared: &'a Shared,
    segment: Arc<Segment>,
    unfinished: PathBuf,
    // mutable
    file: ActiveFile,
    frame: Vec<(TopicId, BatchHead, super::batch::Payload)>,
    frame_bytes: usize,
    written: Vec<(TopicId, BatchHead)>,
    replaced: Vec<Arc<Run>>,
    merging: Option<Merging>,
}

/// Records of one partition that become one batch.
struct Merging {
    topic: TopicId,
    cover: Cover,
    records: RecordBlockBuilder,
}

impl<'a> Rewrite<'a> {
    pub(super) fn begin(shared: &'a Shared) -> io::Result<Self> {
        let segment = Arc::new(Segment::new(&shared.folder, shared.next_segment_number()));
        let unfinished = segment.path().with_extension("tmp");
        let file = ActiveFile::create(&segment, &unfinished, SegmentKind::Rewritten, shared.now_ms())?;
        Ok(Self {
            shared,
            segment,
            unfinished,
            file,
            frame: vec![],
            frame_bytes: 0,
            written: vec![],
            replaced: vec![],
            merging: None,
        })
    }

    /// The number of the segment in the making.
    pub(super) fn number(&self) -> u64 {
        self.segment.number
    }

    /// Adds a source run: each of its batches, less what `keep` drops (`None`: all of it stays).
    pub(super) fn add_run(
        &mut self,
        run: &Arc<Run>,
        becomes_compacted: bool,
        keep: impl Fn(&BatchHead, &RecordBlock) -> Option<RecordBlock>,
    ) -> io::Result<()> {
        let flags = if becomes_compacted { COMPACTED } else { 0 };
        for head in run.load_heads()? {
            let records = run.segment.read(&head)?;
            let records = keep(&head, &records).unwrap_or(records);
            self.add(run.topic, &head, flags, &records)?;
        }
        self.replaced.push(Arc::clone(run));
        Ok(())
    }

    fn add(&mut self, topic: TopicId, head: &BatchHead, flags: u32, records: &RecordBlock) -> io::Result<()> {
        let continues = self.merging.as_ref().is_some_and(|merging| {
            merging.topic == topic
                && merging.cover.partition == head.partition
                && merging.cover.flags == flags
                && merging.cover.next == head.base
                && merging.records.data_bytes() + records.data_bytes() <= MERGED_BYTES
                && merging.records.len() + records.len() <= MERGED_RECORDS
        });
        if !continues {
            self.close_batch()?;
        }
        let merging = self.merging.get_or_insert_with(|| Merging {
            topic,
            cover: Cover {
                partition: head.partition,
                base: head.base,
                next: head.next,
                appended_ms: head.appended_ms,
                flags,
            },
            records: RecordBlockBuilder::default(),
        });
        merging.cover.next = head.next;
        merging.cover.appended_ms = merging.cover.appended_ms.max(head.appended_ms);
        for record in records.iter() {
            merging.records.push(record);
        }
        Ok(())
    }

    fn close_batch(&mut self) -> io::Result<()> {
        let Some(mut merging) = self.merging.take() else { return Ok(()) };
        let records = merging.records.finish();
        let (head, payload) = encode(&records, merging.cover, self.shared.settings.compression);
        self.frame_bytes += head.stored_len as usize;
        self.frame.push((merging.topic, head, payload));
        if self.frame_bytes >= FRAME_BYTES { self.close_frame() } else { Ok(()) }
    }

    fn close_frame(&mut self) -> io::Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let mut group = Group::default();
        group.push(&self.file, &mut self.frame);
        write_group(&self.file, &group, &Faults::default()).map_err(|error| match error {
            WriteError::Undone(error) | WriteError::Unknown(error) => error,
        })?;
        self.written.extend(self.frame.drain(..).map(|(topic, head, _)| (topic, head)));
        self.frame_bytes = 0;
        Ok(())
    }

    /// True if it is long enough to be closed.
    pub(super) fn is_full(&self) -> bool {
        self.file.written.load(std::sync::atomic::Ordering::Acquire) >= self.shared.settings.segment_bytes
    }

    /// Makes it durable and puts it in the place of its sources.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.close_batch()?;
        self.close_frame()?;
        let replaced = std::mem::take(&mut self.replaced);
        if replaced.is_empty() {
            return Ok(());
        }
        self.file.flush()?;
        let length = self.file.written.load(std::sync::atomic::Ordering::Acquire);
        let (index, runs) = build_index(&self.segment, length, std::mem::take(&mut self.written));
        replace_file(&self.shared.folder, &format!("{:020}.index", self.segment.number), &index, false)?;
        fs::rename(&self.unfinished, self.segment.path())?;
        sync_folder(&self.shared.folder)?;
        let mut state = self.shared.state.write();
        for run in &replaced {
            if let Some(partition) = state.partition_mut(run.topic, run.partition) {
                partition.runs.retain(|old| !Arc::ptr_eq(old, run));
            }
        }
        for run in runs {
            if let Some(partition) = state.partition_mut(run.topic, run.partition) {
                if run.is_compacted {
                    partition.forget_tail_before(run.end);
                }
                let place = partition.runs.partition_point(|other| other.start < run.start);
                partition.runs.insert(place, Arc::new(run));
            }
        }
        state.sealed.push(Arc::clone(&self.segment));
        Ok(())
    }
}

impl Drop for Rewrite<'_> {
    fn drop(&mut self) {
        // After the end it is gone already, and what cannot be removed now is removed at the next start.
        let _ = fs::remove_file(&self.unfinished);
    }
}
