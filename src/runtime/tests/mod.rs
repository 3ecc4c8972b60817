//! Queries over a memory log, run from a seed.

mod delivery;
mod exactly_once;
mod failures;
mod fold;
mod queries;
mod state;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    Delivery, ManualClock, ProcessingLogEntry, QueryDefinition, Runtime, RuntimeParts, RuntimeSettings, Scheduler,
};
use crate::catalog::QueryId;
use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::formats::{FormatName, Side, SideColumn};
use crate::functions::FunctionRegistry;
use crate::planner::OperatorGraph;
use crate::planner::graph::{GRAPH_VERSION, Input, Output, SinkOutput, SourceColumn, SourceInput, Stage};
use crate::topics::memory::MemoryLog;
use crate::topics::{
    CleanupPolicy, CommitOutcome, PartitionRecords, TopicConfig, TopicLog, Transaction, partition_for_key,
};
use crate::types::{EventTime, Name, Offset, Partition, Record, RecordBlock, SqlType};

/// Long enough for anything that does not hang.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// A log and what queries told about it.
pub(super) struct World {
    pub(super) log: MemoryLog,
    pub(super) told: Arc<Mutex<Vec<ProcessingLogEntry>>>,
}

impl World {
    pub(super) fn new(topics: &[(&str, i32)]) -> Self {
        let log = MemoryLog::new();
        for (name, partitions) in topics {
            make_topic(&log, name, *partitions);
        }
        Self { log, told: Arc::default() }
    }

    /// A runtime whose tasks run from a seed.
    pub(super) fn seeded(&self, seed: u64, settings: RuntimeSettings) -> (Arc<Runtime>, Arc<Scheduler>) {
        let clock = Arc::new(ManualClock::at(1_000));
        let scheduler = Scheduler::seeded(seed, Arc::<ManualClock>::clone(&clock));
        let runtime =
            Runtime::start_with(self.parts(clock, settings, Some(Arc::clone(&scheduler))), fold::compile).unwrap();
        (runtime, scheduler)
    }

    /// A runtime with worker threads.
    pub(super) fn threaded(&self, settings: RuntimeSettings) -> Arc<Runtime> {
        Runtime::start_with(self.parts(Arc::new(super::WallClock::default()), settings, None), fold::compile).unwrap()
    }

    fn parts(
        &self,
        clock: Arc<dyn super::Clock>,
        settings: RuntimeSettings,
        scheduler: Option<Arc<Scheduler>>,
    ) -> RuntimeParts {
        let told = Arc::clone(&self.told);
        RuntimeParts {
            log: Arc::new(self.log.clone()),
            functions: Arc::new(FunctionRegistry::builtin()),
            clock,
            settings,
            service_id: "test".to_owned(),
            committers: 1,
            processing_log: Arc::new(move |entry| told.lock().push(entry)),
            scheduler,
        }
    }

    /// Appends `key=value@time` records, each to the partition of its key; `null` is a null key or value.
    pub(super) fn produce(&self, topic: &str, records: &str) {
        let partitions = self.log.topic(topic).unwrap().unwrap().config.partitions;
        let mut transaction = Transaction::default();
        for text in records.split_whitespace() {
            let (key, rest) = text.split_once('=').unwrap();
            let (value, time) = rest.split_once('@').unwrap();
            let key = (key != "null").then(|| Bytes::copy_from_slice(key.as_bytes()));
            let partition = key.as_ref().map_or(Partition(0), |key| partition_for_key(key, partitions));
            let value = match value {
                "null" => None,
                "bad" => Some(Bytes::from_static(b"xyz")),
                number => Some(Bytes::copy_from_slice(&number.parse::<i64>().unwrap().to_be_bytes())),
            };
            let record = Record { key, value, timestamp: EventTime(time.parse().unwrap()), headers: Vec::new() };
            let records: RecordBlock = [&record].into_iter().collect();
            transaction.records.push(PartitionRecords { topic: topic.to_owned(), partition, records });
        }
        let answer = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&answer);
        self.log.append(transaction, Box::new(move |outcome| *slot.lock() = Some(outcome)));
        assert!(matches!(*answer.lock(), Some(CommitOutcome::Committed(_))));
    }

    /// The records of one partition as `key=value@time`.
    pub(super) fn partition(&self, topic: &str, partition: i32) -> Vec<String> {
        let id = self.log.topic(topic).unwrap().unwrap().id;
        let mut next = Offset(0);
        let mut texts = Vec::new();
        loop {
            let fetch = self.log.read(id, Partition(partition), next, 1 << 20).unwrap();
            if fetch.records.is_empty() && fetch.next == next {
                return texts;
            }
            texts.extend(fetch.records.iter().map(|record| {
                let key = record.key.map_or("null".to_owned(), |key| String::from_utf8_lossy(key).into_owned());
                let value = record
                    .value
                    .map_or("null".to_owned(), |value| i64::from_be_bytes(value.try_into().unwrap()).to_string());
                format!("{key}={value}@{}", record.timestamp)
            }));
            next = fetch.next;
        }
    }

    /// The records of all partitions, one partition after the other.
    pub(super) fn all(&self, topic: &str) -> Vec<String> {
        let partitions = self.log.topic(topic).unwrap().unwrap().config.partitions;
        (0..partitions).flat_map(|partition| self.partition(topic, partition)).collect()
    }
}

pub(super) fn make_topic(log: &MemoryLog, name: &str, partitions: i32) {
    let config = TopicConfig { partitions, replicas: 1, cleanup: CleanupPolicy::Delete, retention_ms: None };
    log.create_topic(name, &config).unwrap();
}

fn side(column: &str, ty: SqlType) -> Side {
    let columns = vec![SideColumn { name: Name::from(column), ty }];
    Side { format: FormatName::Kafka, delimiter: None, unwrapped: true, columns }
}

/// The edge `K STRING, V BIGINT`.
pub(super) fn edge() -> EdgeSchema {
    EdgeSchema::new(vec![
        EdgeColumn { name: "K".into(), ty: SqlType::String },
        EdgeColumn { name: "V".into(), ty: SqlType::BigInt },
    ])
}

pub(super) fn source(topic: &str) -> Input {
    Input::Source(SourceInput {
        source: Name::from("S"),
        topic: topic.to_owned(),
        key: side("K", SqlType::String),
        value: side("V", SqlType::BigInt),
        window: None,
        timestamp: None,
        is_table: false,
        begins_at: Vec::new(),
        columns: vec![SourceColumn::Key(0), SourceColumn::Value(0)],
        schema: edge(),
    })
}

/// As [`source`], for operators that take what tables say.
pub(super) fn table(topic: &str) -> Input {
    match source(topic) {
        Input::Source(input) => Input::Source(SourceInput { is_table: true, ..input }),
        other @ Input::Exchange { .. } => other,
    }
}

pub(super) fn sink(topic: &str) -> Output {
    Output::Sink(SinkOutput {
        sink: Name::from("T"),
        topic: topic.to_owned(),
        key: side("K", SqlType::String),
        key_columns: vec![0],
        value: side("V", SqlType::BigInt),
        value_columns: vec![1],
        window: None,
        timestamp: None,
        is_table: false,
    })
}

pub(super) fn graph(stages: Vec<(Vec<Input>, Output)>) -> Arc<OperatorGraph> {
    let stages = stages
        .into_iter()
        .enumerate()
        .map(|(i, (inputs, output))| Stage { name: format!("stage-{i}"), inputs, operators: vec![], output })
        .collect();
    Arc::new(OperatorGraph { version: GRAPH_VERSION, stages, slots: 64, stops_at_bad_time: false })
}

/// Copies a topic.
pub(super) fn copy(from: &str, to: &str) -> Arc<OperatorGraph> {
    graph(vec![(vec![source(from)], sink(to))])
}

/// Copies a topic through an exchange by key.
pub(super) fn copy_by_key(from: &str, to: &str) -> Arc<OperatorGraph> {
    graph(vec![(vec![source(from)], Output::Exchange { key: vec![0] }), (vec![Input::Exchange { stage: 0 }], sink(to))])
}

pub(super) fn id(name: &str) -> QueryId {
    QueryId(name.to_owned())
}

pub(super) fn query(name: &str, graph: Arc<OperatorGraph>) -> QueryDefinition {
    QueryDefinition { id: id(name), graph, first_offsets: vec![], delivery: Delivery::default(), paused: false }
}
