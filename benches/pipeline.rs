//! A whole stateless query, records a second: `cargo bench --bench pipeline [memory|embedded] [records]`.
//!
//! One partition of JSON records of about 200 bytes and eight fields goes through a filter and a projection of four
//! columns to another topic, on one worker thread. Two clocks: the wall's, and the CPU time of the worker thread and
//! of all threads, which other work on the machine does not touch.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thalweg::catalog::{Catalog, CatalogChange, QueryId};
use thalweg::functions::FunctionRegistry;
use thalweg::planner::{OperatorGraph, PlanContext, PlanSettings, TopicShape, define_source, plan_create_as};
use thalweg::runtime::{Delivery, QueryDefinition, Runtime, RuntimeParts, RuntimeSettings, WallClock};
use thalweg::sql::ast::StatementKind;
use thalweg::sql::parse_statements;
use thalweg::topics::embedded::{EmbeddedLog, EmbeddedSettings};
use thalweg::topics::memory::MemoryLog;
use thalweg::topics::{CleanupPolicy, CommitOutcome, PartitionRecords, TopicConfig, TopicLog, Transaction};
use thalweg::types::{EventTime, Partition, Record, RecordBlock};

const STATEMENTS: &str = "
    CREATE STREAM S (K STRING KEY, ID BIGINT, USER_ID BIGINT, ITEM_ID BIGINT, COUNTED BIGINT, PRICE DOUBLE,
        CITY STRING, STATE STRING, NOTE STRING) WITH (KAFKA_TOPIC='in', VALUE_FORMAT='JSON');";

const QUERIES: [(&str, &str); 4] = [
    ("filter + project 4 of 8", "SELECT K, ID, PRICE, CITY, COUNTED + 1 AS N FROM S WHERE COUNTED >= 0"),
    ("select all", "SELECT * FROM S"),
    ("partition by", "SELECT ID, PRICE, CITY FROM S PARTITION BY CITY"),
    ("filter out nearly all", "SELECT K, ID, PRICE, CITY FROM S WHERE COUNTED = 1"),
];

#[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |log: &str| {
        arguments.iter().all(|argument| argument.parse::<usize>().is_ok()) || arguments.contains(&log.to_owned())
    };
    let records = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let blocks = input(records);
    let bytes: usize = blocks.iter().map(RecordBlock::data_bytes).sum();
    println!("{records} records of {} bytes", bytes / records);
    for (name, sql) in QUERIES {
        if wanted("memory") {
            run("memory", name, sql, &(Arc::new(MemoryLog::new()) as Arc<dyn TopicLog>), &blocks, records);
        }
        if wanted("embedded") {
            let folder = tempfile::tempdir().expect("a folder for the log");
            let log = EmbeddedLog::open(folder.path(), EmbeddedSettings::default()).expect("an empty log opens");
            run("embedded", name, sql, &(Arc::new(log) as Arc<dyn TopicLog>), &blocks, records);
        }
    }
}

/// The input in blocks of a thousand records.
fn input(records: usize) -> Vec<RecordBlock> {
    let cities = ["Lisbon", "Trondheim", "Ouagadougou", "Reykjavik", "Valparaiso"];
    let rows: Vec<usize> = (0..records).collect();
    rows.chunks(1000)
        .map(|rows| {
            let records: Vec<Record> = rows
                .iter()
                .map(|row| {
                    let value = format!(
                        r#"{{"ID":{row},"USER_ID":{},"ITEM_ID":{},"COUNTED":{},"PRICE":{}.25,"CITY":"{}","STATE":"st-{}","NOTE":"{}"}}"#,
                        row * 7919 % 100_003,
                        row * 104_729 % 1_000_003,
                        row % 97,
                        row % 1000,
                        cities[row % cities.len()],
                        row % 50,
                        "a note of some length that nobody reads, as all notes are once they go on",
                    );
                    Record {
                        key: Some(Bytes::from(format!("key-{}", row % 10_000))),
                        value: Some(Bytes::from(value)),
                        timestamp: EventTime(1_700_000_000_000 + *row as i64),
                        headers: Vec::new(),
                    }
                })
                .collect();
            records.iter().collect()
        })
        .collect()
}

fn plan(sql: &str) -> OperatorGraph {
    let functions = FunctionRegistry::builtin();
    let settings = PlanSettings::default();
    let topics = |_: &str| Some(TopicShape { partitions: 1, replicas: 1, retention_ms: None });
    let ctx = PlanContext { functions: &functions, settings: &settings, topics: &topics };
    let mut catalog = Catalog::default();
    let text = format!("{STATEMENTS} CREATE STREAM D WITH (KAFKA_TOPIC='out') AS {sql};");
    for statement in parse_statements(&text).expect("the statements parse") {
        match &statement.kind {
            StatementKind::CreateSource(stmt) => {
                let source = define_source(stmt, &catalog, &ctx).expect("a source").source;
                catalog = catalog.with(CatalogChange::PutSource(Box::new(source)));
            }
            StatementKind::CreateSourceAs(stmt) => {
                return plan_create_as(stmt, &catalog, &ctx).expect("a query").graph;
            }
            other => panic!("not a query: {other:?}"),
        }
    }
    panic!("no query")
}

#[expect(clippy::print_stdout, reason = "a bench prints what it measured")]
fn run(kind: &str, name: &str, sql: &str, log: &Arc<dyn TopicLog>, blocks: &[RecordBlock], records: usize) {
    let config = TopicConfig { partitions: 1, replicas: 1, cleanup: CleanupPolicy::Delete, retention_ms: None };
    for topic in ["in", "out"] {
        log.create_topic(topic, &config).expect("a new topic");
    }
    for blocks in blocks.chunks(100) {
        let (done, answered) = std::sync::mpsc::sync_channel(blocks.len());
        for block in blocks {
            let records =
                vec![PartitionRecords { topic: "in".to_owned(), partition: Partition(0), records: block.clone() }];
            let done = done.clone();
            log.append(Transaction { records }, Box::new(move |outcome| done.send(outcome).expect("room for all")));
        }
        for outcome in answered.iter().take(blocks.len()) {
            assert!(matches!(outcome, CommitOutcome::Committed(_)), "{outcome:?}");
        }
    }
    let runtime = Runtime::start(RuntimeParts {
        log: Arc::clone(log),
        functions: Arc::new(FunctionRegistry::builtin()),
        clock: Arc::new(WallClock::default()),
        settings: RuntimeSettings { worker_threads: 1, ..RuntimeSettings::default() },
        service_id: "bench".to_owned(),
        committers: 1,
        processing_log: Arc::new(|entry| panic!("{entry}")),
        scheduler: None,
    })
    .expect("a runtime");
    let (before, began) = (cpu_times(), Instant::now());
    let id = QueryId("Q".to_owned());
    let graph = Arc::new(plan(sql));
    runtime
        .start_query(QueryDefinition {
            id: id.clone(),
            graph,
            first_offsets: vec![],
            delivery: Delivery::default(),
            paused: false,
        })
        .expect("the query starts");
    runtime.wait_until_caught_up(None, Duration::from_secs(300)).expect("the query catches up");
    let (wall, after) = (began.elapsed(), cpu_times());
    let spent = |thread: &dyn Fn(&str) -> bool| -> Duration {
        after
            .iter()
            .filter(|((name, _), _)| thread(name))
            .map(|(thread, spent)| spent.saturating_sub(before.get(thread).copied().unwrap_or_default()))
            .sum()
    };
    let rate = |time: Duration| records as f64 / time.as_secs_f64() / 1e6;
    let (worker, all) = (spent(&|name| name.starts_with("worker-")), spent(&|_| true));
    let counters = runtime.status(&id).expect("the query runs").counters;
    println!(
        "{kind:9} {name:24} wall {:5.2} M/s   worker CPU {:5.2} M/s ({:4.0} ns)   all CPU {:5.2} M/s   {} epochs, {} batches, {} out",
        rate(wall),
        rate(worker),
        worker.as_nanos() as f64 / records as f64,
        rate(all),
        counters.epochs,
        counters.batches,
        counters.records_out,
    );
    runtime.shutdown(Duration::from_secs(5));
}

/// CPU time of each thread by name and id; empty where the system does not tell.
fn cpu_times() -> BTreeMap<(String, String), Duration> {
    let mut times = BTreeMap::new();
    let Ok(tasks) = std::fs::read_dir(Path::new("/proc/self/task")) else { return times };
    for task in tasks.flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let nanos = read("schedstat").split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
        let id = task.file_name().to_string_lossy().into_owned();
        times.insert((read("comm").trim().to_owned(), id), Duration::from_nanos(nanos));
    }
    times
}
