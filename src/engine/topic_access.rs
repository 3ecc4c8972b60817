//! Topics without streams over them: records produced as they are, and read as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::diagnostics::{Code, Diagnostic};
use crate::topics::{PartitionRecords, TopicInfo, Transaction, partition_for_key};
use crate::types::{EventTime, Offset, Partition, RecordBlockBuilder, RecordView};

use super::answer::{ConsumedRecord, ProducedAt, ProducedRecord, TopicRead};
use super::database::Engine;
use super::readers::Stop;
use super::scope::{check_writable, storage};

/// About how much of a partition is read at once.
const READ_BYTES: usize = 1 << 20;

/// Chunks that wait for a slow reader.
const CHUNKS: usize = 4;

/// A chunk of records, or why there are no more.
type Chunk = Result<Vec<ConsumedRecord>, Diagnostic>;

impl Engine {
    /// Appends records to a topic as they are, all in one transaction; returns when the log has them by its policy.
    ///
    /// # Errors
    /// The topic does not exist or is internal, a record is too large, the log refuses; then nothing was appended.
    pub fn produce(&self, topic: &str, records: Vec<ProducedRecord>) -> Result<Vec<ProducedAt>, Diagnostic> {
        self.check_open()?;
        check_writable(topic)?;
        let info = self.existing_topic(topic)?;
        let now = EventTime(self.clock.now_ms());
        let mut blocks: BTreeMap<Partition, RecordBlockBuilder> = BTreeMap::new();
        let mut places = Vec::with_capacity(records.len());
        for ProducedRecord { partition, record, has_timestamp } in &records {
            let partitions = info.config.partitions;
            let partition = match (partition, &record.key) {
                (Some(partition), _) if (0..partitions).contains(&partition.0) => *partition,
                (Some(partition), _) => {
                    return Err(Diagnostic::new(
                        Code::InvalidValue,
                        format!("topic {topic} has {partitions} partitions, there is no partition {partition}"),
                    ));
                }
                (None, Some(key)) => partition_for_key(key, partitions),
                (None, None) => self.next_partition(partitions),
            };
            let timestamp = if *has_timestamp { record.timestamp } else { now };
            let block = blocks.entry(partition).or_default();
            places.push((partition, block.len(), timestamp));
            block.push(RecordView {
                offset: Offset(0),
                timestamp,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &record.headers,
            });
        }
        let records: Vec<_> = blocks
            .into_iter()
            .map(|(partition, mut block)| PartitionRecords {
                topic: topic.to_owned(),
                partition,
                records: block.finish(),
            })
            .collect();
        let order: Vec<_> = records.iter().map(|entry| entry.partition).collect();
        if order.is_empty() {
            return Ok(Vec::new());
        }
        let bases: BTreeMap<_, _> = order.into_iter().zip(self.append(Transaction { records })?).collect();
        Ok(places
            .into_iter()
            .map(|(partition, row, timestamp)| {
                let base = bases.get(&partition).map_or(0, |base| base.0);
                let offset = Offset(base + i64::try_from(row).unwrap_or(i64::MAX));
                ProducedAt { partition, offset, timestamp }
            })
            .collect())
    }

    /// Reads a topic's committed records, partition by partition, a chunk at a time through a bounded channel; the
    /// channel's end is the end. Dropping the receiver ends the reading.
    ///
    /// # Errors
    /// The topic does not exist.
    pub fn read_topic(self: &Arc<Self>, topic: &str, read: TopicRead) -> Result<mpsc::Receiver<Chunk>, Diagnostic> {
        self.check_open()?;
        let info = self.existing_topic(topic)?;
        let cursor = TopicCursor::open(self, &info, read.from_earliest)?;
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let reading = Reading { cursor, left: read.limit, follow: read.follow, sender };
        self.spawn_reader("consume", move |engine, stop| reading.run(engine, stop))?;
        Ok(receiver)
    }

    /// The topic of this name.
    fn existing_topic(&self, topic: &str) -> Result<TopicInfo, Diagnostic> {
        let found = self.log.topic(topic).map_err(|error| storage(&error))?;
        found.ok_or_else(|| self.unknown_topic(topic))
    }

    /// There is no such topic; perhaps one like it.
    pub(super) fn unknown_topic(&self, topic: &str) -> Diagnostic {
        let names: Vec<String> = self.log.topics().map(|topics| topics.into_keys().collect()).unwrap_or_default();
        let told = Diagnostic::new(Code::UnknownTopic, format!("topic {topic} does not exist")).with_detail(format!(
            "Could not find topic '{topic}', or it is not visible. Topic names are case-sensitive."
        ));
        match names.iter().find(|name| name.eq_ignore_ascii_case(topic)) {
            Some(name) => told.with_hint(format!("Did you mean \"{name}\"? PRINT '{name}' reads it.")),
            None => told.with_near_miss(topic, names.iter().map(String::as_str)),
        }
    }
}

/// A position in every partition of a topic, and where each partition ended when the reading began.
pub(super) struct TopicCursor {
    info: TopicInfo,
    next: Vec<Offset>,
    ends: Vec<Offset>,
}

impl TopicCursor {
    /// A cursor at the first retained record of each partition, or past the last.
    pub(super) fn open(engine: &Engine, info: &TopicInfo, from_earliest: bool) -> Result<Self, Diagnostic> {
        let ranges = engine.log.offsets(info.id).map_err(|error| storage(&error))?;
        let next = ranges.iter().map(|range| if from_earliest { range.start } else { range.end }).collect();
        Ok(Self { info: info.clone(), next, ends: ranges.iter().map(|range| range.end).collect() })
    }

    /// The next records of one partition; partitions take turns as they come. Empty at the end of all of them.
    pub(super) fn read(&mut self, engine: &Engine, within_ends: bool) -> Chunk {
        for (index, next) in self.next.iter_mut().enumerate() {
            let partition = Partition(i32::try_from(index).unwrap_or(i32::MAX));
            if within_ends && *next >= self.ends[index] {
                continue;
            }
            let fetch = engine.log.read(self.info.id, partition, *next, READ_BYTES).map_err(|error| storage(&error))?;
            let end = if within_ends { self.ends[index] } else { Offset(i64::MAX) };
            let records: Vec<_> = fetch
                .records
                .iter()
                .filter(|record| record.offset < end)
                .map(|record| ConsumedRecord {
                    partition,
                    offset: record.offset,
                    timestamp: record.timestamp,
                    key: record.key.map(bytes::Bytes::copy_from_slice),
                    value: record.value.map(bytes::Bytes::copy_from_slice),
                    headers: record.headers.to_vec(),
                })
                .collect();
            *next = fetch.next;
            if !records.is_empty() {
                return Ok(records);
            }
        }
        Ok(Vec::new())
    }
}

/// One call of [`Engine::read_topic`] at work, on a thread of its own.
struct Reading {
    cursor: TopicCursor,
    left: Option<u64>,
    follow: bool,
    sender: mpsc::Sender<Chunk>,
}

impl Reading {
    fn run(mut self, engine: &Engine, stop: &Stop) {
        loop {
            if self.left == Some(0) || stop.is_set() || self.sender.is_closed() {
                return;
            }
            match self.cursor.read(engine, !self.follow) {
                Ok(records) if records.is_empty() => {
                    if !self.follow {
                        return;
                    }
                    stop.wait();
                }
                Ok(mut records) => {
                    if let Some(left) = &mut self.left {
                        records.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                        *left -= records.len() as u64;
                    }
                    if !stop.send(&self.sender, Ok(records)) {
                        return;
                    }
                }
                Err(error) => {
                    stop.send(&self.sender, Err(error));
                    return;
                }
            }
        }
    }
}
