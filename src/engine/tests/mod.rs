//! The engine over a log in memory: scripts in, entities and rows out.

mod aggregations;
mod answers;
mod crashes;
mod ddl;
mod join_order;
mod joins;
mod memory;
mod on_kafka;
mod ownership;
mod queries;
mod queries_file;
mod restarts;
mod rows;
mod saved_commands;
mod terminate;

use std::sync::Arc;

use crate::runtime::{ManualClock, RuntimeSettings, Scheduler};
use crate::topics::TopicLog;
use crate::topics::memory::MemoryLog;
use crate::types::{Offset, Partition};

use super::{Body, Engine, EngineParts, EngineSettings, Entity, Request};

/// A log in memory that outlives the engines opened on it.
pub(super) struct Bench {
    pub(super) log: Arc<MemoryLog>,
    pub(super) clock: Arc<ManualClock>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { log: Arc::new(MemoryLog::new()), clock: Arc::new(ManualClock::at(1_000)) }
    }

    /// Opens an engine, as a (re)start would.
    pub(super) fn open(&self) -> Arc<Engine> {
        self.open_with(|_| {})
    }

    /// Opens an engine with other settings.
    pub(super) fn open_with(&self, change: impl FnOnce(&mut EngineSettings)) -> Arc<Engine> {
        self.open_on(None, change)
    }

    /// Opens an engine whose tasks run on this scheduler.
    pub(super) fn open_on(
        &self,
        scheduler: Option<Arc<Scheduler>>,
        change: impl FnOnce(&mut EngineSettings),
    ) -> Arc<Engine> {
        let log: Arc<dyn TopicLog> = Arc::<MemoryLog>::clone(&self.log);
        let runtime = RuntimeSettings { worker_threads: 1, ..RuntimeSettings::default() };
        let mut settings = EngineSettings { processing_log: false, runtime, ..EngineSettings::default() };
        change(&mut settings);
        let parts = EngineParts {
            log,
            clock: Arc::<ManualClock>::clone(&self.clock),
            settings,
            cluster_id: "test".into(),
            host: String::new(),
            scheduler,
        };
        Engine::open(parts).expect("the engine opens")
    }

    /// The records of a topic as text: `partition key value @time`.
    pub(super) fn records(&self, topic: &str) -> String {
        let Some(info) = self.log.topic(topic).expect("the log answers") else { return "no topic".into() };
        let mut lines = Vec::new();
        for partition in 0..info.config.partitions {
            let fetch = self.log.read(info.id, Partition(partition), Offset(0), usize::MAX).expect("the log reads");
            for record in fetch.records.iter() {
                let text = |bytes: Option<&[u8]>| {
                    bytes.map_or("null".into(), |bytes| String::from_utf8_lossy(bytes).into_owned())
                };
                lines.push(format!("{} {} @{}", text(record.key), text(record.value), record.timestamp));
            }
        }
        lines.join("\n")
    }
}

/// Runs statements; each entity, or the refusal, as a line.
pub(super) fn run(engine: &Arc<Engine>, sql: &str) -> String {
    match engine.execute(&Request::new(sql).with("auto.offset.reset", "earliest")) {
        Ok(entities) => entities.iter().map(line).collect::<Vec<_>>().join("\n"),
        Err(failure) => {
            let mut lines: Vec<_> = failure.entities.iter().map(line).collect();
            lines.push(format!("{}: {}", failure.diagnostic.code, failure.diagnostic));
            lines.join("\n")
        }
    }
}

fn line(entity: &Entity) -> String {
    match &entity.body {
        Body::CurrentStatus { command_id, command_status, command_sequence_number } => {
            format!("{command_sequence_number} {command_id}: {}", command_status.message)
        }
        Body::WarningEntity { message } => format!("warning: {message}"),
        other => serde_json::to_string(other).expect("bodies serialise"),
    }
}

/// Runs statements on an engine of their own and compares.
pub(super) fn check(sql: &str, expected: &str) {
    let bench = Bench::new();
    assert_eq!(run(&bench.open(), sql), expected, "{sql}");
}
