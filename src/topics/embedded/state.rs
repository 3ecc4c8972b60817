//! What the log holds, in memory: topics, where their batches lie, the latest records.
//!
//! ```text
//! partition   start                                                  end
//!             |-- run --|-- run --|----- run -----|-- active heads --|
//!               sealed    sealed    sealed           active segment
//!                                            |---- tail: records ----|     kept in memory, any length
//! ```
//!
//! One lock guards all of it: a commit is published under one write lock, so no reader sees half of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;

use super::batch::BatchHead;
use super::segment::{Run, Segment};
use crate::topics::{OffsetRange, TopicError, TopicId, TopicInfo};
use crate::types::{Offset, Partition, RecordBlock};

/// The state under the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) names: BTreeMap<String, TopicId>,
    pub(super) topics: HashMap<TopicId, TopicState>,
    pub(super) next_topic_id: u64,
    /// The journal that is being written.
    pub(super) active: Arc<Segment>,
    pub(super) active_since_ms: i64,
    /// All others.
    pub(super) sealed: Vec<Arc<Segment>>,
    tail_bytes: usize,
    /// Blocks in the tails, oldest first: number, whose, and its bytes. Some may have left their tail already.
    tail_order: VecDeque<(u64, TopicId, Partition, usize)>,
    tail_blocks: u64,
}

/// A topic.
#[derive(Debug)]
pub(super) struct TopicState {
    pub(super) info: TopicInfo,
    pub(super) partitions: Vec<PartitionState>,
}

/// A partition; see the picture above.
#[derive(Debug, Default)]
pub(super) struct PartitionState {
    pub(super) start: Offset,
    pub(super) end: Offset,
    pub(super) runs: Vec<Arc<Run>>,
    pub(super) active: Vec<BatchHead>,
    /// Numbered blocks.
    pub(super) tail: VecDeque<(u64, RecordBlock)>,
}

/// A batch to publish: where it lies and what it holds (with its offsets).
pub(super) type Published = (TopicId, BatchHead, RecordBlock);

impl State {
    pub(super) fn new(active: (Arc<Segment>, i64), sealed: Vec<Arc<Segment>>, next_topic_id: u64) -> Self {
        Self {
            names: BTreeMap::new(),
            topics: HashMap::new(),
            next_topic_id,
            active: active.0,
            active_since_ms: active.1,
            sealed,
            tail_bytes: 0,
            tail_order: VecDeque::new(),
            tail_blocks: 0,
        }
    }

    pub(super) fn topic(&self, id: TopicId) -> Result<&TopicState, TopicError> {
        self.topics.get(&id).ok_or_else(|| TopicError::no_incarnation(id))
    }

    pub(super) fn partition(&self, id: TopicId, partition: Partition) -> Result<&PartitionState, TopicError> {
        let topic = self.topic(id)?;
        topic.partition(partition)
    }

    pub(super) fn partition_mut(&mut self, id: TopicId, partition: Partition) -> Option<&mut PartitionState> {
        self.topics.get_mut(&id)?.partitions.get_mut(usize::try_from(partition.0).ok()?)
    }

    /// Makes batches readable; what belongs to a topic that was deleted meanwhile is dropped.
    pub(super) fn publish(&mut self, batches: Vec<Published>, cache_bytes: usize) {
        for (topic, head, records) in batches {
            let number = self.tail_blocks;
            let Some(partition) = self.partition_mut(topic, head.partition) else { continue };
            partition.end = head.next;
            partition.active.push(head);
            // What a block holds besides its bytes: an index entry a record, buffers, reference counts.
            let bytes = records.data_bytes() + 40 * records.len() + 200;
            partition.tail.push_back((number, records));
            self.tail_blocks += 1;
            self.tail_bytes += bytes;
            self.tail_order.push_back((number, topic, head.partition, bytes));
        }
        while self.tail_bytes > cache_bytes
            && let Some((number, topic, partition, bytes)) = self.tail_order.pop_front()
        {
            self.tail_bytes -= bytes;
            if let Some(partition) = self.partition_mut(topic, partition)
                && partition.tail.front().is_some_and(|(front, _)| *front == number)
            {
                partition.tail.pop_front();
            }
        }
    }

    /// The batches of the active segment, by topic.
    pub(super) fn active_batches(&self) -> Vec<(TopicId, BatchHead)> {
        let partitions = self.topics.iter().flat_map(|(id, topic)| topic.partitions.iter().map(move |p| (*id, p)));
        partitions.flat_map(|(id, partition)| partition.active.iter().map(move |head| (id, *head))).collect()
    }

    /// Replaces the active segment by another; `runs` are its batches, now sealed.
    pub(super) fn seal(&mut self, runs: Vec<Run>, next: Arc<Segment>, now_ms: i64) {
        for topic in self.topics.values_mut() {
            for partition in &mut topic.partitions {
                partition.active = vec![];
            }
        }
        for run in runs {
            if let Some(partition) = self.partition_mut(run.topic, run.partition) {
                partition.runs.push(Arc::new(run));
            }
        }
        self.sealed.push(std::mem::replace(&mut self.active, next));
        self.active_since_ms = now_ms;
    }

    /// Every run there is.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.topics.values().flat_map(|topic| topic.partitions.iter().flat_map(|partition| &partition.runs))
    }
}

impl TopicState {
    pub(super) fn partition(&self, partition: Partition) -> Result<&PartitionState, TopicError> {
        usize::try_from(partition.0).ok().and_then(|i| self.partitions.get(i)).ok_or_else(|| {
            let partitions = self.info.config.partitions;
            TopicError::UnknownPartition { topic: self.info.name.clone(), partition, partitions }
        })
    }
}

impl PartitionState {
    pub(super) fn range(&self) -> OffsetRange {
        OffsetRange { start: self.start, end: self.end }
    }

    /// True if the tail holds every record from `from` on.
    pub(super) fn tail_holds(&self, from: Offset) -> bool {
        self.tail.front().is_some_and(|(_, block)| block.get(0).offset <= from)
    }

    /// Takes out of the tail what was compacted on disk.
    pub(super) fn forget_tail_before(&mut self, end: Offset) {
        while self.tail.front().is_some_and(|(_, block)| block.get(0).offset < end) {
            self.tail.pop_front();
        }
    }
}
