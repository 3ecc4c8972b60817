//! Restarts with much state on the durable log: changelogs stay small, and what is read back is what was there.
//!
//! `THALWEG_KEYS` sets the number of keys; with `--nocapture` the times are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::run;
use crate::engine::{Engine, EngineParts, EngineSettings};
use crate::runtime::WallClock;
use crate::topics::embedded::{EmbeddedLog, EmbeddedSettings};
use crate::topics::{PartitionRecords, TopicLog, Transaction};
use crate::types::{EventTime, Offset, Partition, RecordBlockBuilder, RecordView};

const LONG: Duration = Duration::from_secs(600);
const CHANGELOG: &str = "_thalweg-default_-CTAS_T_1-";

fn keys() -> usize {
    std::env::var("THALWEG_KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(3_000)
}

fn open(folder: &std::path::Path) -> (Arc<EmbeddedLog>, Arc<Engine>) {
    let log = Arc::new(EmbeddedLog::open(folder, EmbeddedSettings::default()).unwrap());
    let engine = Engine::open(EngineParts {
        log: Arc::<EmbeddedLog>::clone(&log),
        clock: Arc::new(WallClock::default()),
        settings: EngineSettings { processing_log: false, ..EngineSettings::default() },
        cluster_id: "test".into(),
        host: String::new(),
        scheduler: None,
    });
    (log, engine.unwrap())
}

/// Every key once more, with value 1.
fn produce(log: &EmbeddedLog, keys: usize, time: i64) {
    for first in (0..keys).step_by(50_000) {
        let mut block = RecordBlockBuilder::default();
        for key in first..keys.min(first + 50_000) {
            let key = format!("key-{key:010}");
            block.push(RecordView {
                offset: Offset(0),
                timestamp: EventTime(time),
                key: Some(key.as_bytes()),
                value: Some(br#"{"V":1}"#),
                headers: &[],
            });
        }
        let records =
            vec![PartitionRecords { topic: "s".to_owned(), partition: Partition(0), records: block.finish() }];
        let (sender, answer) = std::sync::mpsc::channel();
        log.append(Transaction { records }, Box::new(move |outcome| drop(sender.send(outcome))));
        answer.recv().unwrap();
    }
}

/// Records and bytes of the query's changelog.
fn changelog(log: &EmbeddedLog) -> (usize, usize) {
    let topics = log.topics().unwrap();
    let topic = topics.values().find(|topic| topic.name.starts_with(CHANGELOG)).unwrap();
    let (mut records, mut bytes) = (0, 0);
    for (partition, range) in (0..).zip(log.offsets(topic.id).unwrap()) {
        let mut next = range.start;
        while next < range.end {
            let fetch = log.read(topic.id, Partition(partition), next, 4 << 20).unwrap();
            records += fetch.records.len();
            bytes += fetch.records.data_bytes();
            next = fetch.next;
        }
    }
    (records, bytes)
}

/// Opens an engine again, and tells how long its state and the bare records of its state take to read.
fn reopen(folder: &std::path::Path) -> (Arc<EmbeddedLog>, Arc<Engine>) {
    let started = Instant::now();
    let (log, engine) = open(folder);
    let opened = started.elapsed();
    assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
    let restored = started.elapsed();
    let started = Instant::now();
    let (records, _) = changelog(&log);
    let read = started.elapsed();
    println!("opened in {opened:?}, state read back in {restored:?}; its {records} records alone in {read:?}");
    (log, engine)
}

#[test]
fn a_changelog_is_compacted_and_read_back_at_the_next_start() {
    let keys = keys();
    let folder = tempfile::tempdir().unwrap();
    let (log, engine) = open(folder.path());
    let made = run(
        &engine,
        "CREATE STREAM s (k STRING KEY, v BIGINT) WITH (kafka_topic='s', value_format='JSON', partitions=1);
         CREATE TABLE t WITH (kafka_topic='t', partitions=1, value_format='JSON') AS
           SELECT k, COUNT(*) AS n, SUM(v) AS sum, MAX(v) AS top FROM s GROUP BY k;",
    );
    assert!(made.contains("CTAS_T_1"), "{made}");
    for time in 1..=4 {
        produce(&log, keys, time);
        let started = Instant::now();
        assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
        println!("{keys} keys aggregated in {:?}, changelog {:?}", started.elapsed(), changelog(&log));
    }
    engine.shutdown();
    log.close();
    let (log, engine) = reopen(folder.path());
    engine.shutdown();
    drop(engine);
    let started = Instant::now();
    log.clean().unwrap();
    let (records, bytes) = changelog(&log);
    println!("compacted in {:?}: {records} records, {bytes} bytes", started.elapsed());
    assert_eq!(records, keys);
    log.close();

    let (log, engine) = reopen(folder.path());
    let state = engine.query_metrics()[0].state_bytes;
    println!("{state} bytes of state, {} a key", state / keys as u64);
    produce(&log, 1, 5);
    assert!(engine.wait_until_caught_up(LONG));
    let topic = log.topic("t").unwrap().unwrap().id;
    let end = log.offsets(topic).unwrap()[0].end;
    let last =
        log.read(topic, Partition(0), Offset(end.0 - 1), 1).unwrap().records.get(0).value.map(Bytes::copy_from_slice);
    assert_eq!(last.as_deref(), Some(&br#"{"N":5,"SUM":5,"TOP":1}"#[..]));
    engine.shutdown();
}
