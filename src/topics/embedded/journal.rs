//! The active segment and the pen that writes it.
//!
//! A group of transactions is one vectored write and, by policy, one flush. If the write fails the file is cut back
//! to where it was; only if that fails too, or a flush fails, is the outcome unknown: then the journal is not to be
//! written again (after a failed flush the operating system may have dropped the pages and call the next one good).

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use super::batch::{BatchHead, Payload};
use super::frame::{SEGMENT_HEADER_BYTES, SegmentKind, put_frame, segment_header};
use super::segment::Segment;
use crate::topics::TopicId;
use crate::types::RecordBlock;

/// Data of at least so many bytes goes to the file from where it is; less is cheaper to copy than to name.
const COPY_BELOW_BYTES: usize = 8 << 10;
/// Slices per write; the system's limit is 1024.
const SLICES: usize = 512;

/// A file being written, and how much of it is on disk.
#[derive(Debug)]
pub(super) struct ActiveFile {
    file: File,
    pub(super) written: AtomicU64,
    pub(super) durable: AtomicU64,
}

impl ActiveFile {
    /// Creates the segment's file with its header, durably.
    pub(super) fn create(
        segment: &Segment,
        path: &std::path::Path,
        kind: SegmentKind,
        now_ms: i64,
    ) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(&segment_header(segment.number, kind, now_ms))?;
        file.sync_all()?;
        Ok(Self::at(file, SEGMENT_HEADER_BYTES as u64))
    }

    /// A file that holds `length` good bytes, all durable, and is positioned behind them.
    pub(super) fn at(file: File, length: u64) -> Self {
        Self { file, written: AtomicU64::new(length), durable: AtomicU64::new(length) }
    }

    /// Brings to disk what was written so far.
    pub(super) fn flush(&self) -> io::Result<()> {
        let written = self.written.load(Ordering::Acquire);
        if self.durable.load(Ordering::Acquire) < written {
            self.file.sync_data()?;
            self.durable.fetch_max(written, Ordering::AcqRel);
        }
        Ok(())
    }
}

/// Frames gathered for one write.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Everything small, and the heads.
    copied: Vec<u8>,
    /// Large data, each behind so many bytes of `copied`.
    referenced: Vec<(usize, RecordBlock)>,
    bytes: u64,
}

impl Group {
    /// Adds a transaction's frame behind what is gathered; fills in the positions of its batches.
    pub(super) fn push(&mut self, active: &ActiveFile, batches: &mut [(TopicId, BatchHead, Payload)]) {
        let position = active.written.load(Ordering::Acquire) + self.bytes;
        let durable = active.durable.load(Ordering::Acquire);
        let Self { copied, referenced, bytes } = self;
        *bytes += put_frame(copied, (position, durable), batches, |out, payload| {
            if payload.data.data_bytes() < COPY_BELOW_BYTES {
                out.extend_from_slice(payload.data.data());
            } else {
                referenced.push((out.len(), payload.data.clone()));
            }
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

/// How a write failed.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The file is as it was.
    Undone(io::Error),
    /// Nobody knows what is in the file.
    Unknown(io::Error),
}

/// Appends a group to the file, all or nothing.
pub(super) fn write_group(active: &ActiveFile, group: &Group, faults: &Faults) -> Result<(), WriteError> {
    let written = active.written.load(Ordering::Acquire);
    let result = faults.write(active, group).unwrap_or_else(|| write_slices(&active.file, group));
    match result {
        Ok(()) => {
            active.written.store(written + group.bytes, Ordering::Release);
            Ok(())
        }
        Err(error) => match faults.undo().and_then(|()| undo(&active.file, written)) {
            Ok(()) => Err(WriteError::Undone(error)),
            Err(_) => Err(WriteError::Unknown(error)),
        },
    }
}

/// Cuts the file back, durably: a whole frame behind the cut must not come back with the machine.
fn undo(mut file: &File, length: u64) -> io::Result<()> {
    file.set_len(length)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(length))?;
    file.sync_data()
}

fn write_slices(mut file: &File, group: &Group) -> io::Result<()> {
    let mut slices = Vec::with_capacity(2 * group.referenced.len() + 1);
    let mut at = 0;
    for (position, data) in &group.referenced {
        slices.push(IoSlice::new(&group.copied[at..*position]));
        slices.push(IoSlice::new(data.data()));
        at = *position;
    }
    slices.push(IoSlice::new(&group.copied[at..]));
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let some = rest.len().min(SLICES);
        match file.write_vectored(&rest[..some]) {
            Ok(0) if rest[..some].iter().any(|slice| !slice.is_empty()) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut rest, n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        // Empty slices at the front are not advanced over by a write of nothing.
        while rest.first().is_some_and(|slice| slice.is_empty()) {
            rest = &mut rest[1..];
        }
    }
    Ok(())
}

/// Faults of the disk, for tests.
#[derive(Debug, Default, Clone)]
pub(super) struct Faults {
    #[cfg(test)]
    pub(super) planned: std::sync::Arc<parking_lot::Mutex<std::collections::VecDeque<DiskFault>>>,
    #[cfg(test)]
    undo_fails: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

/// What a disk may do to a write.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiskFault {
    /// No space: half of it is written.
    Full,
    /// Half of it is written, and the file cannot be cut.
    Torn,
    /// All of it is written, yet the system says it failed, and the file cannot be cut.
    Lies,
}

impl Faults {
    #[cfg(not(test))]
    fn write(&self, _: &ActiveFile, _: &Group) -> Option<io::Result<()>> {
        None
    }

    #[cfg(not(test))]
    fn undo(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn write(&self, active: &ActiveFile, group: &Group) -> Option<io::Result<()>> {
        let fault = self.planned.lock().pop_front()?;
        let all = whole(group);
        let bytes = if fault == DiskFault::Lies { &all[..] } else { &all[..all.len() / 2] };
        (&active.file).write_all(bytes).unwrap();
        self.undo_fails.store(fault != DiskFault::Full, Ordering::Relaxed);
        Some(Err(io::ErrorKind::StorageFull.into()))
    }

    #[cfg(test)]
    fn undo(&self) -> io::Result<()> {
        if self.undo_fails.swap(false, Ordering::Relaxed) { Err(io::Error::other("injected fault")) } else { Ok(()) }
    }
}

#[cfg(test)]
fn whole(group: &Group) -> Vec<u8> {
    let mut out = vec![];
    let mut at = 0;
    for (position, data) in &group.referenced {
        out.extend_from_slice(&group.copied[at..*position]);
        out.extend_from_slice(data.data());
        at = *position;
    }
    out.extend_from_slice(&group.copied[at..]);
    out
}
