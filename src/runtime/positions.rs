//! How far a query has read its sources, and the record that says so.
//!
//! Positions are records of the compacted topic `_thalweg-<service.id>-offsets`, in the same transaction as the output
//! they belong to. Key: the query's id, UTF-8. Value: JSON, version 1:
//!
//! ```json
//! {"version":1,"epoch":7,"graph":1,"sources":[{"topic":3,"partition":0,"next":42,"stream_time":1000}],
//!  "stages":[{"stage":"aggregate","stream_time":990}],"changelogs":[{"operator":"sums","topic":9}]}
//! ```
//!
//! `topic` is the id of the topic's incarnation, `reader` tells apart the inputs of one graph that read the same topic
//! (absent for the first), `next` the next offset to read, `stream_time` the running maximum of
//! event times (absent if no row was seen), `graph` the written version of the operator graph. `stages` are the stream
//! times of stages behind exchanges, `changelogs` the topics that hold the state of the epoch; both are absent if empty.
//! A null value forgets the query.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::QueryId;
use crate::topics::{PartitionRecords, TopicId, TopicLog};
use crate::types::{Epoch, EventTime, Offset, Partition, RecordBlockBuilder, RecordView};

use super::RuntimeError;

/// Version of the written form; a newer one is refused.
const VERSION: u32 = 1;

/// Where a source partition is read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SourcePosition {
    /// The next offset to read.
    pub(super) next: Offset,
    /// The running maximum of event times.
    pub(super) stream_time: Option<EventTime>,
}

/// A partition of an input of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourceKey {
    pub(super) topic: TopicId,
    pub(super) partition: Partition,
    /// Counts the inputs that read the same topic, from 0.
    pub(super) reader: u32,
}

/// Where each source partition is read on.
pub(super) type Positions = BTreeMap<SourceKey, SourcePosition>;

/// The last epoch of a query that is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Durable {
    pub(super) epoch: Epoch,
    pub(super) positions: Positions,
    /// The stream time of each stage behind an exchange, by its name.
    pub(super) stages: BTreeMap<String, EventTime>,
    /// The changelog of each stateful operator, by its name.
    pub(super) changelogs: BTreeMap<String, TopicId>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    epoch: Epoch,
    graph: u32,
    sources: Vec<WrittenSource>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stages: Vec<WrittenStage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changelogs: Vec<WrittenChangelog>,
}

#[derive(Serialize, Deserialize)]
struct WrittenStage {
    stage: String,
    stream_time: EventTime,
}

#[derive(Serialize, Deserialize)]
struct WrittenChangelog {
    operator: String,
    topic: TopicId,
}

#[derive(Serialize, Deserialize)]
struct WrittenSource {
    topic: TopicId,
    partition: Partition,
    #[serde(default, skip_serializing_if = "is_first")]
    reader: u32,
    next: Offset,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream_time: Option<EventTime>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_first(reader: &u32) -> bool {
    *reader == 0
}

impl Durable {
    fn encode(&self, graph: u32) -> Vec<u8> {
        let sources = self
            .positions
            .iter()
            .map(|(key, at)| WrittenSource {
                topic: key.topic,
                partition: key.partition,
                reader: key.reader,
                next: at.next,
                stream_time: at.stream_time,
            })
            .collect();
        let stages = self.stages.iter();
        let stages = stages.map(|(stage, time)| WrittenStage { stage: stage.clone(), stream_time: *time }).collect();
        let changelogs = self.changelogs.iter();
        let changelogs = changelogs
            .map(|(operator, topic)| WrittenChangelog { operator: operator.clone(), topic: *topic })
            .collect();
        serde_json::to_vec(&Written { version: VERSION, epoch: self.epoch, graph, sources, stages, changelogs })
            .expect("numbers always serialise")
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if written.version > VERSION {
            return Err(format!("version {} is newer than {VERSION}", written.version));
        }
        let positions = written
            .sources
            .into_iter()
            .map(|at| {
                let key = SourceKey { topic: at.topic, partition: at.partition, reader: at.reader };
                (key, SourcePosition { next: at.next, stream_time: at.stream_time })
            })
            .collect();
        let stages = written.stages.into_iter().map(|at| (at.stage, at.stream_time)).collect();
        let changelogs = written.changelogs.into_iter().map(|at| (at.operator, at.topic)).collect();
        Ok(Self { epoch: written.epoch, positions, stages, changelogs })
    }
}

/// The topic of a service that holds the positions of its queries.
pub(super) fn topic_name(service_id: &str) -> String {
    format!("_thalweg-{service_id}-offsets")
}

/// The record that makes `durable` the last epoch of `query`, or forgets the query.
pub(super) fn record(
    topic: &str,
    query: &QueryId,
    durable: Option<&Durable>,
    graph: u32,
    now: EventTime,
) -> PartitionRecords {
    let value = durable.map(|durable| durable.encode(graph));
    let mut block = RecordBlockBuilder::default();
    block.push(RecordView {
        offset: Offset(0),
        timestamp: now,
        key: Some(query.0.as_bytes()),
        value: value.as_deref(),
        headers: &[],
    });
    PartitionRecords { topic: topic.to_owned(), partition: Partition(0), records: block.finish() }
}

/// A record that says nothing (it forgets a query that never is): once it is committed, every transaction handed over
/// before it is decided.
pub(super) fn probe(topic: &str) -> PartitionRecords {
    record(topic, &QueryId("_probe".to_owned()), None, 0, EventTime(0))
}

/// Reads the topic from `from` to its end. Gives the last epoch of each query told on the way (`None`: forgotten) and
/// where the reading ended.
///
/// # Errors
/// The log cannot be read, or a record is of a newer version or damaged.
pub(super) fn read(
    log: &dyn TopicLog,
    topic: TopicId,
    from: Offset,
) -> Result<(BTreeMap<String, Option<Durable>>, Offset), RuntimeError> {
    const READ_BYTES: usize = 4 << 20;
    let mut told = BTreeMap::new();
    let end = log.offsets(topic)?.first().map_or(Offset(0), |range| range.end);
    let start = log.offsets(topic)?.first().map_or(Offset(0), |range| range.start);
    let mut next = from.max(start);
    while next < end {
        let fetch = log.read(topic, Partition(0), next, READ_BYTES)?;
        for record in fetch.records.iter() {
            let query = String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned();
            let durable = match record.value {
                None => None,
                Some(bytes) => Some(Durable::decode(bytes).map_err(|reason| RuntimeError::Positions {
                    query: query.clone(),
                    offset: record.offset,
                    reason,
                })?),
            };
            told.insert(query, durable);
        }
        if fetch.next <= next {
            break;
        }
        next = fetch.next;
    }
    Ok((told, next))
}

#[cfg(test)]
mod tests {
    use super::{Durable, SourceKey, SourcePosition};
    use crate::topics::TopicId;
    use crate::types::{Epoch, EventTime, Offset, Partition};

    /// As written by version 1. Never change it: servers find it in their logs.
    const VERSION_1: &str = r#"{"version":1,"epoch":7,"graph":1,"sources":[{"topic":3,"partition":0,"next":42,"stream_time":1000},{"topic":3,"partition":1,"next":0}]}"#;

    fn key(partition: i32, reader: u32) -> SourceKey {
        SourceKey { topic: TopicId(3), partition: Partition(partition), reader }
    }

    #[test]
    fn two_inputs_that_read_one_topic_have_positions_of_their_own() {
        let at = |next| SourcePosition { next: Offset(next), stream_time: None };
        let positions = [(key(0, 0), at(1)), (key(0, 1), at(2))].into();
        let durable = Durable { epoch: Epoch(1), positions, ..Durable::default() };
        assert_eq!(Durable::decode(&durable.encode(1)), Ok(durable));
    }

    #[test]
    fn the_first_written_form_is_read_and_written() {
        let at = |next, time: Option<i64>| SourcePosition { next: Offset(next), stream_time: time.map(EventTime) };
        let durable = Durable {
            epoch: Epoch(7),
            positions: [(key(0, 0), at(42, Some(1000))), (key(1, 0), at(0, None))].into(),
            ..Durable::default()
        };
        assert_eq!(Durable::decode(VERSION_1.as_bytes()), Ok(durable.clone()));
        assert_eq!(durable.encode(1), VERSION_1.as_bytes());
    }

    /// As written by version 1 for a query with state. Never change it either.
    const WITH_STATE: &str = r#"{"version":1,"epoch":2,"graph":1,"sources":[],"stages":[{"stage":"s","stream_time":990}],"changelogs":[{"operator":"sums","topic":9}]}"#;

    #[test]
    fn the_times_of_stages_and_the_changelogs_of_operators_are_read_and_written() {
        let durable = Durable {
            epoch: Epoch(2),
            stages: [("s".to_owned(), EventTime(990))].into(),
            changelogs: [("sums".to_owned(), TopicId(9))].into(),
            ..Durable::default()
        };
        assert_eq!(Durable::decode(WITH_STATE.as_bytes()), Ok(durable.clone()));
        assert_eq!(durable.encode(1), WITH_STATE.as_bytes());
    }

    #[test]
    fn a_newer_written_form_is_refused() {
        assert!(Durable::decode(br#"{"version":2,"epoch":7,"graph":1,"sources":[]}"#).is_err());
    }
}
