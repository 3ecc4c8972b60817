//! Command logs that older servers wrote: each version's records must load and mean what they meant.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use crate::topics::{CleanupPolicy, CommitOutcome, PartitionRecords, TopicConfig, TopicLog, Transaction};
use crate::types::{Partition, Record};

use super::{Bench, run};
use crate::engine::{Engine, EngineParts, EngineSettings, OpenError};

const COMMANDS: &str = "_thalweg-default_-commands";

/// Version 1, a command a line: a stream, a query over it, PAUSE, a type, a second stream, ALTER SYSTEM, DROP of the
/// second stream with its topic. Never change it; a new version gets a file of its own.
const VERSION_1: &str = include_str!("commands_v1.jsonl");

/// A log that holds these commands and nothing else: not even the topics they made.
fn bench_with(commands: &str) -> Bench {
    let bench = Bench::new();
    let config = TopicConfig { partitions: 1, replicas: 1, cleanup: CleanupPolicy::Delete, retention_ms: None };
    bench.log.create_topic(COMMANDS, &config).expect("the log is empty");
    let records: Vec<Record> =
        commands.lines().map(|line| Record { value: Some(line.to_owned().into()), ..Record::default() }).collect();
    let records =
        PartitionRecords { topic: COMMANDS.into(), partition: Partition(0), records: records.iter().collect() };
    let (answer, answered) = mpsc::sync_channel(1);
    let done = move |outcome| drop(answer.send(outcome));
    bench.log.append(Transaction { records: vec![records] }, Box::new(done));
    assert!(matches!(answered.recv(), Ok(CommitOutcome::Committed(_))));
    bench
}

#[test]
fn commands_of_version_1_make_what_they_made_then() {
    let bench = bench_with(VERSION_1);
    let engine = bench.open();
    let lists = run(&engine, "SHOW STREAMS; SHOW TYPES; SHOW QUERIES;");
    for piece in ["\"name\":\"ORDERS\"", "\"name\":\"BIG\"", "\"ADDRESS\":{\"type\":\"STRUCT\"", "\"state\":\"PAUSED\""]
    {
        assert!(lists.contains(piece), "no {piece} in {lists}");
    }
    assert!(!lists.contains("GONE"), "{lists}");
    run(&engine, "INSERT INTO orders VALUES (1, 11); INSERT INTO orders VALUES (2, 2);");
    assert_eq!(run(&engine, "RESUME CSAS_BIG_1;"), "7 resume/CSAS_BIG_1/execute: Query resumed.");
    assert!(engine.wait_until_caught_up(Duration::from_secs(30)), "{:?}", engine.failed_queries());
    assert_eq!(bench.records("BIG"), "1 {\"TWICE\":22} @1000");
    engine.shutdown();
}

#[test]
fn a_command_of_a_newer_version_is_refused_by_name() {
    let bench = bench_with("{\"version\":99,\"what\":\"nobody knows\"}");
    let log: Arc<dyn TopicLog> = Arc::<crate::topics::memory::MemoryLog>::clone(&bench.log);
    let opened = Engine::open(EngineParts {
        log,
        clock: Arc::<crate::runtime::ManualClock>::clone(&bench.clock),
        settings: EngineSettings::default(),
        cluster_id: String::new(),
        host: String::new(),
        scheduler: None,
    });
    let Err(error @ OpenError::Commands { .. }) = opened else { panic!("a newer command was read") };
    let told = crate::engine::running::chain(&error);
    assert!(told.contains("command 0 cannot be read: the command is of version 99"), "{told}");
}
