//! An engine in this process for one case or script, and the settings it runs with.
//!
//! All settings that the runners choose stand here, in [`settings`]; each is public and documented.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Value, json};

use crate::catalog::{Catalog, QueryId};
use crate::engine::{Engine, EngineParts, EngineSettings, Entity, Failure, QueryAnswer, Request};
use crate::runtime::{ManualClock, RuntimeSettings, WallClock};
use crate::server::{self, Doors};
use crate::settings::Settings;
use crate::topics::embedded::{EmbeddedLog, EmbeddedSettings, OpenError};
use crate::topics::kafka::{KafkaLog, KafkaSettings};
use crate::topics::memory::MemoryLog;
use crate::topics::{
    CleanupPolicy, CommitOutcome, PartitionRecords, TopicConfig, TopicLog, Transaction, partition_for_key,
};
use crate::types::{Offset, Partition, Record, RecordBlock};

use super::http::{self, HttpAnswer, RunningQuery};

/// How long anything in a case may take before it counts as hanging. Bounds a hang, measures nothing.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// Where time stands still in conformance cases: nothing may depend on it, but UNIX_TIMESTAMP() is not 1970.
const STILL_MS: i64 = 1_600_000_000_000;
/// The service that cases and scripts see.
const SERVICE_ID: &str = "some.ksql.service.id";
/// Bytes of one read of a topic.
const READ_BYTES: usize = 1 << 20;

/// The logs a script runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogKind {
    Memory,
    Embedded,
    /// A cluster, by its brokers.
    Kafka(String),
}

impl LogKind {
    /// Every log that needs nothing from outside.
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Embedded];

    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Embedded => "embedded",
            Self::Kafka(_) => "Kafka",
        }
    }
}

/// What a fixture is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Queries are created paused and run one after the other; everything is appended to partition 0; time stands still.
    Conformance,
    /// Queries run at once, keys choose partitions, time passes.
    Live,
}

/// The engine's settings for a purpose.
fn settings(purpose: Purpose) -> EngineSettings {
    let conformance = purpose == Purpose::Conformance;
    EngineSettings {
        queries_start_paused: conformance,
        runtime: RuntimeSettings {
            worker_threads: 1,
            append_partition: conformance.then_some(Partition(0)),
            source_idle: Duration::ZERO,
            // A clock that stands still would never come to a second try.
            max_failures: 1,
            ..RuntimeSettings::default()
        },
        ..EngineSettings::default()
    }
}

/// Properties of every request of a conformance case.
fn conformance_properties() -> BTreeMap<String, String> {
    [
        ("auto.offset.reset", "earliest"),
        ("sql.compatibility", "ksqldb"),
        ("cache.max.bytes.buffering", "0"),
        ("emit.final.kafka-loss", "true"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// An engine on a log of its own.
pub(super) struct Fixture {
    purpose: Purpose,
    log: Arc<dyn TopicLog>,
    engine: Option<Arc<Engine>>,
    /// The folder of an embedded log, removed at the end.
    folder: Option<tempfile::TempDir>,
    cluster: Option<Cluster>,
    service_id: String,
}

/// A Kafka cluster that others may use too.
struct Cluster {
    servers: String,
    /// Topics that were there before; all others go at the end.
    before: BTreeSet<String>,
}

impl Fixture {
    /// An engine for a query test.
    pub(super) fn for_conformance() -> Result<Self, String> {
        Self::open(Purpose::Conformance, Arc::new(MemoryLog::new()), None)
    }

    /// An engine for an HTTP test.
    pub(super) fn for_http() -> Result<Self, String> {
        Self::open(Purpose::Live, Arc::new(MemoryLog::new()), None)
    }

    /// An engine for a SQL script test.
    pub(super) fn for_sql_tests() -> Result<Self, String> {
        Self::open(Purpose::Live, Arc::new(MemoryLog::new()), None)
    }

    /// Properties that every request of a SQL script test begins with. Rows go through the queries that are there when
    /// they are inserted: a new query sees none of the rows before.
    pub(super) fn sql_test_properties() -> BTreeMap<String, String> {
        let mut properties = conformance_properties();
        properties.insert("auto.offset.reset".to_owned(), "latest".to_owned());
        properties
    }

    /// An engine for a script.
    pub(super) fn for_scripts(log: &LogKind) -> Result<Self, String> {
        match log {
            LogKind::Memory => Self::open(Purpose::Live, Arc::new(MemoryLog::new()), None),
            LogKind::Embedded => {
                let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
                let log = open_embedded(&folder)?;
                Self::open(Purpose::Live, log, Some(folder))
            }
            LogKind::Kafka(servers) => {
                // Other services of the cluster keep their topics.
                let service_id = format!("{SERVICE_ID}-{:08x}", fastrand::u32(..));
                let log = open_kafka(servers, &service_id)?;
                let before = log.topics().map_err(|error| error.to_string())?.into_keys().collect();
                let mut fixture = Self::new(Purpose::Live, log, None);
                fixture.cluster = Some(Cluster { servers: servers.clone(), before });
                fixture.service_id = service_id;
                fixture.open_engine()?;
                Ok(fixture)
            }
        }
    }

    fn open(purpose: Purpose, log: Arc<dyn TopicLog>, folder: Option<tempfile::TempDir>) -> Result<Self, String> {
        let mut fixture = Self::new(purpose, log, folder);
        fixture.open_engine()?;
        Ok(fixture)
    }

    fn new(purpose: Purpose, log: Arc<dyn TopicLog>, folder: Option<tempfile::TempDir>) -> Self {
        let service_id = SERVICE_ID.to_owned();
        Self { purpose, log, engine: None, folder, cluster: None, service_id }
    }

    fn open_engine(&mut self) -> Result<(), String> {
        let engine = Engine::open(EngineParts {
            log: Arc::clone(&self.log),
            clock: match self.purpose {
                Purpose::Conformance => Arc::new(ManualClock::at(STILL_MS)),
                Purpose::Live => Arc::new(WallClock::default()),
            },
            settings: EngineSettings { service_id: self.service_id.clone(), ..settings(self.purpose) },
            cluster_id: String::new(),
            host: String::new(),
            scheduler: None,
        });
        self.engine = Some(engine.map_err(|error| format!("the engine does not open: {error}"))?);
        Ok(())
    }

    /// Ends the engine and opens it again on what the log holds.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        self.shutdown();
        if let Some(folder) = &self.folder {
            // The old log lets go of its folder before the new one takes it.
            self.log = Arc::new(MemoryLog::new());
            self.log = open_embedded(folder)?;
        }
        if let Some(cluster) = &self.cluster {
            self.log = open_kafka(&cluster.servers, &self.service_id)?;
        }
        self.open_engine()
    }

    /// Ends the engine.
    pub(super) fn shutdown(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.shutdown();
        }
    }

    fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().expect("only shutdown takes the engine, and nothing is asked after it")
    }

    /// What exists.
    pub(super) fn catalog(&self) -> Catalog {
        self.engine().catalog()
    }

    fn request(&self, text: &str, properties: &BTreeMap<String, String>) -> Request {
        let mut request = Request::new(text);
        if self.purpose == Purpose::Conformance {
            request.properties = conformance_properties();
        }
        request.properties.extend(properties.clone());
        request
    }

    /// Runs statements.
    pub(super) fn execute(
        &self,
        text: &str,
        properties: &BTreeMap<String, String>,
    ) -> Result<Vec<Entity>, Box<Failure>> {
        self.engine().execute(&self.request(text, properties))
    }

    /// Starts a SELECT or PRINT.
    pub(super) fn query(&self, text: &str, properties: &BTreeMap<String, String>) -> Result<QueryAnswer, Box<Failure>> {
        self.engine().query(&self.request(text, properties))
    }

    /// Creates a topic.
    pub(super) fn create_topic(&self, name: &str, partitions: i32, replicas: i16) -> Result<(), String> {
        let config = TopicConfig { partitions, replicas, cleanup: CleanupPolicy::Delete, retention_ms: None };
        self.log.create_topic(name, &config).map(drop).map_err(|error| error.to_string())
    }

    /// Names of all topics.
    pub(super) fn topic_names(&self) -> Result<Vec<String>, String> {
        Ok(self.log.topics().map_err(|error| error.to_string())?.into_keys().collect())
    }

    /// Partitions of a topic, if it exists.
    pub(super) fn partitions(&self, name: &str) -> Result<Option<i32>, String> {
        let topic = self.log.topic(name).map_err(|error| error.to_string())?;
        Ok(topic.map(|topic| topic.config.partitions))
    }

    /// Appends a record and waits until it is there.
    pub(super) fn append(&self, topic: &str, record: Record) -> Result<(), String> {
        let partitions = self.partitions(topic)?.ok_or_else(|| format!("topic {topic} does not exist"))?;
        let partition = match (self.purpose, &record.key) {
            (Purpose::Live, Some(key)) => partition_for_key(key, partitions),
            _ => Partition(0),
        };
        let records = PartitionRecords { topic: topic.to_owned(), partition, records: [&record].into_iter().collect() };
        let (sender, receiver) = mpsc::sync_channel(1);
        let done = move |outcome| drop(sender.send(outcome));
        self.log.append(Transaction { records: vec![records] }, Box::new(done));
        match receiver.recv_timeout(LIMIT) {
            Ok(CommitOutcome::Committed(_)) => Ok(()),
            other => Err(format!("appending to {topic} answered {other:?}")),
        }
    }

    /// All records of a topic, partition by partition.
    pub(super) fn read_topic(&self, name: &str) -> Result<Vec<RecordBlock>, String> {
        let topic = self.log.topic(name).map_err(|error| error.to_string())?;
        let topic = topic.ok_or_else(|| format!("topic {name} does not exist"))?;
        let mut blocks = Vec::new();
        for number in 0..topic.config.partitions {
            let mut next = Offset(0);
            loop {
                let fetch = self.log.read(topic.id, Partition(number), next, READ_BYTES);
                let fetch = fetch.map_err(|error| error.to_string())?;
                if fetch.records.is_empty() && fetch.next >= fetch.end {
                    break;
                }
                next = fetch.next;
                blocks.push(fetch.records);
            }
        }
        Ok(blocks)
    }

    /// Runs the queries one after the other, in the order they were created, each to the end of its sources. A query of
    /// several topics is handed one record at a time: those of `inputs`, the topics of the inputs in order, then what
    /// its other topics hold, topic by topic.
    pub(super) fn run_held_queries(&self, inputs: &[&str]) -> Result<(), String> {
        for id in self.queries_in_creation_order() {
            let runtime = self.engine().runtime();
            let status = runtime.status(&id).map_err(|error| error.to_string())?;
            let topics: BTreeSet<String> = status.sources.into_iter().map(|source| source.topic).collect();
            if topics.len() > 1 {
                runtime.hold(&id).map_err(|error| error.to_string())?;
            }
            let resumed = self.execute(&format!("RESUME `{id}`;"), &BTreeMap::new());
            resumed.map_err(|failure| format!("RESUME {id}: {}", failure.diagnostic))?;
            if topics.len() > 1 {
                self.hand_over(&id, &topics, inputs)?;
            }
            match self.wait_until_caught_up() {
                // What a query died of is the caller's to judge.
                Err(_) if self.failed_query().is_some() => return Ok(()),
                outcome => outcome?,
            }
        }
        Ok(())
    }

    fn hand_over(&self, id: &QueryId, topics: &BTreeSet<String>, inputs: &[&str]) -> Result<(), String> {
        let hand_over = |topic: &str, until: Offset| {
            // A query that fails is told by the verdict of its case.
            drop(self.engine().runtime().hand_over(id, topic, Partition(0), until, LIMIT));
        };
        let fed = |topic: &str| inputs.iter().filter(|input| **input == topic).count();
        let mut next = BTreeMap::new();
        for topic in topics {
            let inputs = i64::try_from(fed(topic)).map_err(|error| error.to_string())?;
            next.insert(topic.as_str(), self.end(topic)?.0 - inputs);
        }
        for input in inputs {
            if let Some(next) = next.get_mut(input) {
                *next += 1;
                hand_over(input, Offset(*next));
            }
        }
        for (topic, end) in next {
            if fed(topic) == 0 {
                hand_over(topic, Offset(end));
            }
        }
        Ok(())
    }

    /// Behind the last record of a topic's first partition.
    fn end(&self, topic: &str) -> Result<Offset, String> {
        let info = self.log.topic(topic).map_err(|error| error.to_string())?;
        let info = info.ok_or_else(|| format!("topic {topic} does not exist"))?;
        let ranges = self.log.offsets(info.id).map_err(|error| error.to_string())?;
        Ok(ranges.first().map_or(Offset(0), |range| range.end))
    }

    fn queries_in_creation_order(&self) -> Vec<QueryId> {
        let mut ids: Vec<QueryId> = self.catalog().queries().map(|query| query.id.clone()).collect();
        let number = |id: &QueryId| id.0.rsplit('_').next().and_then(|text| text.parse::<u64>().ok());
        ids.sort_by_key(|id| number(id).unwrap_or(u64::MAX));
        ids
    }

    /// Waits until every running query has read its sources to their ends and committed.
    pub(super) fn wait_until_caught_up(&self) -> Result<(), String> {
        if self.engine().wait_until_caught_up(LIMIT) {
            Ok(())
        } else {
            Err(format!("queries did not come to rest within {LIMIT:?}"))
        }
    }

    /// Why a query failed, if one did.
    pub(super) fn failed_query(&self) -> Option<String> {
        self.engine().failed_queries().into_iter().next().map(|(id, reason)| format!("{id}: {reason}"))
    }

    /// A text as a script sees it: the service has the same id on every log.
    pub(super) fn shown(&self, text: String) -> String {
        if self.service_id == SERVICE_ID { text } else { text.replace(&self.service_id, SERVICE_ID) }
    }

    /// Posts to the server's router.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<HttpAnswer, String> {
        http::post(&self.router(), path, body)
    }

    /// Starts a query through the server's router; comes back once its header has arrived.
    pub(super) fn start_query(&self, body: &Value) -> Result<RunningQuery, String> {
        http::start_query(&self.router(), body)
    }

    fn router(&self) -> axum::Router {
        let doors = Doors::new(&Settings::default());
        doors.open(Arc::clone(self.engine()));
        server::router(doors)
    }

    /// Properties of every request of an HTTP case.
    pub(super) fn http_properties() -> serde_json::Map<String, Value> {
        let scalable = ("ksql.query.push.v2.enabled".to_owned(), "true".to_owned());
        conformance_properties().into_iter().chain([scalable]).map(|(name, value)| (name, json!(value))).collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.shutdown();
        if let Some(cluster) = &self.cluster {
            let made = self.log.topics().unwrap_or_default().into_keys();
            for topic in made.filter(|topic| !cluster.before.contains(topic)) {
                // Nobody is left to be told.
                drop(self.log.delete_topic(&topic));
            }
        }
    }
}

fn open_kafka(servers: &str, service_id: &str) -> Result<Arc<dyn TopicLog>, String> {
    let (bootstrap_servers, service_id) = (servers.to_owned(), service_id.to_owned());
    let settings = KafkaSettings { bootstrap_servers, service_id, ..KafkaSettings::default() };
    Ok(Arc::new(KafkaLog::open(settings).map_err(|error| error.to_string())?))
}

fn open_embedded(folder: &tempfile::TempDir) -> Result<Arc<dyn TopicLog>, String> {
    let until = std::time::Instant::now() + LIMIT;
    let log = loop {
        match EmbeddedLog::open(folder.path(), EmbeddedSettings::default()) {
            // A thread that commits may be the last to let go of the log before.
            Err(OpenError::Locked { .. }) if std::time::Instant::now() < until => std::thread::yield_now(),
            outcome => break outcome,
        }
    };
    Ok(Arc::new(log.map_err(|error| format!("the embedded log does not open: {error}"))?))
}

/// Rows as text, for comparison in scripts: NULL for nulls, `<TOMBSTONE>` for the values of deleted rows.
pub(super) fn text_rows(batch: &RecordBatch, tombstones: Option<&[bool]>) -> Result<Vec<Vec<String>>, String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Result<Vec<_>, _> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options)).collect();
    let columns = columns.map_err(|error| error.to_string())?;
    let row = |row: usize| -> Vec<String> {
        let deleted = tombstones.is_some_and(|tombstones| tombstones[row]);
        let cell = |formatter: &ArrayFormatter<'_>| formatter.value(row).to_string();
        let cells = columns.iter().map(cell);
        if deleted {
            cells.map(|cell| if cell == "NULL" { "<TOMBSTONE>".to_owned() } else { cell }).collect()
        } else {
            cells.collect()
        }
    };
    Ok((0..batch.num_rows()).map(row).collect())
}
