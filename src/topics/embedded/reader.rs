//! Reads: the tail from memory, the rest from segments.

use std::io;
use std::sync::Arc;

use super::batch::BatchHead;
use super::segment::{HeadCache, Run, Segment};
use super::shared::Shared;
use crate::topics::gather::Gather;
use crate::topics::{Fetch, TopicError, TopicId};
use crate::types::{Offset, Partition, RecordBlock};

/// The most batches of the active segment one look takes along.
const ACTIVE_BATCHES: usize = 512;
/// How often a read starts again because cleaning removed the file under it.
const ATTEMPTS: usize = 10;

/// Where records from an offset on lie.
enum Source {
    Run(Arc<Run>),
    Active(Arc<Segment>, Vec<BatchHead>),
}

impl Shared {
    /// As [`TopicLog::read`](crate::topics::TopicLog::read).
    pub(super) fn read(
        &self,
        topic: TopicId,
        partition: Partition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Fetch, TopicError> {
        let mut gather = Gather::new(from, max_bytes);
        let mut attempt = 1;
        loop {
            let (end, source) = match self.look(topic, partition, &mut gather) {
                Ok((end, None)) => return Ok(gather.finish(end)),
                Ok((end, Some(source))) => (end, source),
                // What was gathered before retention came by is good.
                Err(TopicError::OffsetOutOfRange { start, .. }) if !gather.is_empty() => {
                    return Ok(gather.finish(start));
                }
                Err(error) => return Err(error),
            };
            match self.take(&source, &mut gather, end) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => attempt += 1,
                Err(_) if !gather.is_empty() => return Ok(gather.finish(end)),
                Err(error) => return Err(TopicError::storage("read the log", &error)),
            }
        }
    }

    /// The partition's end, and where to read on, unless there is enough, nothing more, or all of it in memory.
    fn look(
        &self,
        topic: TopicId,
        partition: Partition,
        gather: &mut Gather,
    ) -> Result<(Offset, Option<Source>), TopicError> {
        let state = self.state.read();
        let found = state.partition(topic, partition)?;
        let (start, end, from) = (found.start, found.end, gather.next());
        if from < start {
            return Err(TopicError::OffsetOutOfRange { offset: from, start });
        }
        if from >= end || !gather.wants(0) {
            return Ok((end, None));
        }
        if found.tail_holds(from) {
            let first = found.tail.partition_point(|(_, block)| last_offset(block) < from);
            for (_, block) in found.tail.range(first..) {
                if !gather.wants(block.data_bytes()) {
                    break;
                }
                gather.push(block, last_offset(block).next());
            }
            return Ok((end, None));
        }
        let run = found.runs.partition_point(|run| run.end <= from);
        if let Some(run) = found.runs.get(run) {
            return Ok((end, Some(Source::Run(Arc::clone(run)))));
        }
        let first = found.active.partition_point(|head| head.next <= from);
        let heads = found.active[first..].iter().take(ACTIVE_BATCHES).copied().collect();
        Ok((end, Some(Source::Active(Arc::clone(&state.active), heads))))
    }

    /// Gathers what a source holds, as far as it is wanted.
    fn take(&self, source: &Source, gather: &mut Gather, end: Offset) -> io::Result<()> {
        let loaded;
        let (segment, heads) = match source {
            Source::Active(segment, heads) => (segment, &heads[..]),
            Source::Run(run) => {
                loaded = HeadCache::heads(&self.heads, run)?;
                let first = loaded.partition_point(|head| head.next <= gather.next());
                (&run.segment, &loaded[first..])
            }
        };
        for head in heads {
            if !gather.wants(head.raw_len as usize) {
                gather.stop();
                return Ok(());
            }
            gather.push(&segment.read(head)?, head.next);
        }
        if heads.is_empty() {
            // Offsets were given up to `end`, but their records went with retention or with the machine.
            gather.push(&RecordBlock::default(), end);
        }
        Ok(())
    }
}

fn last_offset(block: &RecordBlock) -> Offset {
    block.get(block.len() - 1).offset
}
