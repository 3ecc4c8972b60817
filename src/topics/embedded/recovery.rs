//! Opening the folder of a log: what is there, what is dead, where the tail is torn.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;

use super::frame::{HeaderProblem, SEGMENT_HEADER_BYTES, SegmentKind, VERSION, find_frame_after, read_segment_header};
use super::journal::ActiveFile;
use super::manifest::{self, Manifest, replace_file, sync_folder};
use super::segment::{Run, Segment, build_index, read_index, scan};
use super::state::{PartitionState, State, TopicState};
use crate::topics::TopicId;
use crate::types::{Offset, Partition};

/// Why a log cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody has it open.
    #[error("the log in {folder} is open in another process")]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// A later version of this program wrote it.
    #[error("{file} has format version {version}, this program reads versions up to {}", VERSION)]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: u64,
    },
    /// A file is not as it was written.
    #[error("{file} is damaged at byte {position}: {reason}")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The system refused.
    #[error("cannot open the log in {folder}")]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A folder that was opened.
pub(super) struct Recovered {
    pub(super) state: State,
    pub(super) active: ActiveFile,
    pub(super) last_segment: u64,
    /// Bytes cut off the tail: a commit that was never acknowledged as durable.
    pub(super) torn_bytes: u64,
}

/// Reads the folder, which is locked; makes what is missing.
pub(super) fn recover(folder: &Path, now_ms: i64) -> Result<Recovered, OpenError> {
    let at = |source| OpenError::Io { folder: folder.into(), source };
    let numbers = list(folder).map_err(at)?;
    let manifest = read_manifest(folder, !numbers.is_empty())?;
    let (mut sealed, mut journals) = (vec![], vec![]);
    for number in &numbers {
        let segment = Arc::new(Segment::new(folder, *number));
        let header = fs::File::open(segment.path()).and_then(|file| read_front(&file)).map_err(at)?;
        match read_segment_header(&header, *number) {
            Ok(SegmentKind::Journal) => journals.push(segment),
            Ok(SegmentKind::Rewritten) => sealed.push(segment),
            Err(HeaderProblem::Newer(version)) => {
                return Err(OpenError::NewerFormat { file: segment.path(), version: u64::from(version) });
            }
            // Its making was cut short: headers are on disk before anything follows them.
            Err(HeaderProblem::Damaged) if is_stillborn(&segment).map_err(at)? => {
                segment.remove().map_err(at)?;
            }
            Err(HeaderProblem::Damaged) => return Err(damaged(&segment, 0, "it does not begin as a segment")),
        }
    }
    let last = journals.pop();
    sealed.extend(journals);
    let mut runs = vec![];
    for segment in &sealed {
        runs.extend(sealed_runs(segment, at)?);
    }
    let last_segment = numbers.iter().copied().max().unwrap_or(0);
    let (segment, file, batches, last_segment, torn_bytes) = if let Some(segment) = last {
        let (file, batches, torn_bytes) = open_active(&segment, at)?;
        (segment, file, batches, last_segment, torn_bytes)
    } else {
        let segment = Arc::new(Segment::new(folder, last_segment + 1));
        // The manifest first: a process that dies in between leaves no segment without one.
        manifest.write(folder).map_err(at)?;
        let file = ActiveFile::create(&segment, &segment.path(), SegmentKind::Journal, now_ms).map_err(at)?;
        sync_folder(folder).map_err(at)?;
        (segment, file, vec![], last_segment + 1, 0)
    };
    let mut state = State::new((segment, now_ms), sealed, manifest.next_topic_id);
    for topic in manifest.topics {
        let info = topic.info();
        let partitions = topic.partitions.iter().map(|(start, end)| PartitionState {
            start: *start,
            end: *end,
            ..PartitionState::default()
        });
        state.names.insert(info.name.clone(), info.id);
        state.topics.insert(info.id, TopicState { info, partitions: partitions.collect() });
    }
    place_runs(&mut state, runs)?;
    for (topic, head) in batches {
        let Some(partition) = state.partition_mut(topic, head.partition) else { continue };
        if head.next > partition.start {
            partition.end = partition.end.max(head.next);
            partition.active.push(head);
        }
    }
    Ok(Recovered { state, active: file, last_segment, torn_bytes })
}

/// Numbers of the segments, ascending; removes what was never finished.
fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = vec![];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension {
            Some("tmp") => fs::remove_file(&path)?,
            Some("log") => {
                let stem = path.file_stem().and_then(|stem| stem.to_str());
                numbers.extend(stem.filter(|stem| stem.len() == 20).and_then(|stem| stem.parse::<u64>().ok()));
            }
            _ => {}
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_manifest(folder: &Path, has_segments: bool) -> Result<Manifest, OpenError> {
    let file = folder.join("topics.json");
    let text = Manifest::text(folder).map_err(|source| OpenError::Io { folder: folder.into(), source })?;
    let damaged = |reason: String| OpenError::Damaged { file: file.clone(), position: 0, reason };
    let Some(text) = text else {
        return if has_segments { Err(damaged("it is missing".into())) } else { Ok(Manifest::empty()) };
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version > u64::from(manifest::VERSION) => Err(OpenError::NewerFormat { file, version }),
        _ => serde_json::from_value(value).map_err(|error| damaged(error.to_string())),
    }
}

fn read_front(mut file: &File) -> io::Result<Vec<u8>> {
    let mut front = vec![];
    io::Read::read_to_end(&mut io::Read::take(&mut file, SEGMENT_HEADER_BYTES as u64), &mut front)?;
    Ok(front)
}

fn is_stillborn(segment: &Segment) -> io::Result<bool> {
    Ok(fs::metadata(segment.path())?.len() <= SEGMENT_HEADER_BYTES as u64)
}

fn damaged(segment: &Segment, position: u64, reason: &str) -> OpenError {
    OpenError::Damaged { file: segment.path(), position, reason: reason.into() }
}

/// The runs of a sealed segment; its index is written again if it is of no use.
fn sealed_runs(segment: &Arc<Segment>, at: impl Fn(io::Error) -> OpenError) -> Result<Vec<Run>, OpenError> {
    let length = fs::metadata(segment.path()).map_err(&at)?.len();
    if let Some(runs) = read_index(segment, length) {
        return Ok(runs);
    }
    let bytes = fs::read(segment.path()).map_err(&at)?;
    let (batches, end) = scan(&bytes);
    if end != length {
        return Err(damaged(segment, end, "a sealed segment holds something that is no whole frame"));
    }
    let (index, runs) = build_index(segment, length, batches);
    let folder = segment.index_path();
    let folder = folder.parent().unwrap_or(Path::new("."));
    replace_file(folder, &format!("{:020}.index", segment.number), &index, false).map_err(&at)?;
    Ok(runs)
}

type Active = (ActiveFile, Vec<(TopicId, super::batch::BatchHead)>, u64);

/// Reads the active segment and cuts off a torn tail.
fn open_active(segment: &Arc<Segment>, at: impl Fn(io::Error) -> OpenError) -> Result<Active, OpenError> {
    // It was sealed perhaps, but the next one never came: it grows again.
    match fs::remove_file(segment.index_path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
        _ => {}
    }
    let bytes = fs::read(segment.path()).map_err(&at)?;
    let (batches, end) = scan(&bytes);
    let torn_bytes = bytes.len() as u64 - end;
    let mut file = OpenOptions::new().write(true).open(segment.path()).map_err(&at)?;
    if torn_bytes > 0 {
        if let Some(later) = find_frame_after(&bytes, end).filter(|later| later.durable > end) {
            let reason =
                format!("a commit behind it was written when {} bytes were known to be on disk", later.durable);
            return Err(damaged(segment, end, &reason));
        }
        file.set_len(end).map_err(&at)?;
    }
    // What the last process left to the operating system may not be on disk yet.
    file.sync_all().map_err(&at)?;
    file.seek(SeekFrom::Start(end)).map_err(&at)?;
    Ok((ActiveFile::at(file, end), batches, torn_bytes))
}

/// Gives each partition its runs: of two where one covers the other, the one that was written later.
fn place_runs(state: &mut State, mut runs: Vec<Run>) -> Result<(), OpenError> {
    runs.sort_by_key(|run| std::cmp::Reverse(run.segment.number));
    let mut placed: HashMap<(TopicId, Partition), BTreeMap<Offset, Arc<Run>>> = HashMap::new();
    for run in runs {
        let Some(partition) = state.partition_mut(run.topic, run.partition) else { continue };
        partition.end = partition.end.max(run.end);
        if run.end <= partition.start {
            continue;
        }
        let ours = placed.entry((run.topic, run.partition)).or_default();
        let before = ours.range(..=run.start).next_back().map(|(_, run)| run);
        if before.is_some_and(|before| before.end >= run.end) {
            continue;
        }
        let overlaps_before = before.is_some_and(|before| before.end > run.start);
        if overlaps_before || ours.range(run.start..run.end).next().is_some() {
            let reason = format!("offsets {} to {} overlap those of a later segment", run.start, run.end);
            return Err(damaged(&run.segment, 0, &reason));
        }
        ours.insert(run.start, Arc::new(run));
    }
    for ((topic, partition), runs) in placed {
        if let Some(partition) = state.partition_mut(topic, partition) {
            partition.runs = runs.into_values().collect();
        }
    }
    Ok(())
}
