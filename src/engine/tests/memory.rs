//! The memory of queries: all state is counted, and a query that holds too much stops alone.

use std::sync::Arc;
use std::time::Duration;

use super::{Bench, run};
use crate::engine::{Engine, QueryAnswer, Request};
use crate::runtime::{ManualClock, Scheduler};
use crate::topics::{PartitionRecords, TopicLog, Transaction};
use crate::types::{EventTime, Offset, Partition, RecordBlockBuilder, RecordView};

const LONG: Duration = Duration::from_secs(60);

/// Bytes of a key and of the text in its value.
const KEY_BYTES: usize = 14;
const TEXT_BYTES: usize = 100;

const SOURCES: &str = "
  CREATE STREAM s (k STRING KEY, t STRING, v BIGINT)
    WITH (kafka_topic='s', key_format='KAFKA', value_format='JSON', partitions=1);
  CREATE TABLE a (k STRING PRIMARY KEY, t STRING, v BIGINT)
    WITH (kafka_topic='a', key_format='KAFKA', value_format='JSON', partitions=1);
  CREATE TABLE b (k STRING PRIMARY KEY, t STRING, v BIGINT)
    WITH (kafka_topic='b', key_format='KAFKA', value_format='JSON', partitions=1);
  CREATE STREAM c (k STRING KEY, t STRING, v BIGINT)
    WITH (kafka_topic='c', key_format='KAFKA', value_format='JSON', partitions=1);";

/// So many keys, a record each, in each topic.
fn produce(bench: &Bench, topics: &[&str], keys: std::ops::Range<usize>) {
    let text = "x".repeat(TEXT_BYTES);
    let value = format!("{{\"T\":\"{text}\",\"V\":1}}");
    for topic in topics {
        let mut block = RecordBlockBuilder::default();
        for key in keys.clone() {
            let text = format!("key-{key:010}");
            assert_eq!(text.len(), KEY_BYTES);
            block.push(RecordView {
                offset: Offset(0),
                timestamp: EventTime(key as i64),
                key: Some(text.as_bytes()),
                value: Some(value.as_bytes()),
                headers: &[],
            });
        }
        let records =
            vec![PartitionRecords { topic: (*topic).to_owned(), partition: Partition(0), records: block.finish() }];
        bench.log.append(Transaction { records }, Box::new(|_| {}));
    }
}

fn state_bytes(engine: &Engine, query: &str) -> u64 {
    engine.query_metrics().into_iter().find(|metrics| metrics.query_id.contains(query)).expect("it runs").state_bytes
}

/// The state that `query` keeps takes at least so many bytes a key.
fn check(query: &str, bytes_a_key: usize) {
    const KEYS: usize = 4_000;
    let bench = Bench::new();
    let engine = bench.open_with(|settings| settings.runtime.worker_threads = 2);
    let kind = if query.contains("WITHIN") { "STREAM" } else { "TABLE" };
    let made = run(&engine, &format!("{SOURCES} CREATE {kind} r WITH (value_format='JSON') AS {query};"));
    assert!(made.contains("Created query"), "{made}");
    produce(&bench, &["s", "a", "b", "c"], 0..KEYS);
    assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
    let bytes = state_bytes(&engine, "AS_R_") as usize;
    assert!(bytes >= KEYS * bytes_a_key, "{query}: {} bytes a key", bytes / KEYS);
    assert!(bytes < 12 * KEYS * bytes_a_key, "{query}: {} bytes a key", bytes / KEYS);
}

#[test]
fn the_state_of_every_kind_of_query_is_counted() {
    check("SELECT k, COUNT(*) AS n FROM s GROUP BY k", KEY_BYTES + 8);
    check("SELECT k, LATEST_BY_OFFSET(t) AS t FROM s GROUP BY k", KEY_BYTES + TEXT_BYTES);
    check("SELECT k, COLLECT_LIST(t) AS t FROM s GROUP BY k", KEY_BYTES + TEXT_BYTES);
    check("SELECT k, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY k", KEY_BYTES + 8);
    check("SELECT k, LATEST_BY_OFFSET(t) AS t FROM s WINDOW SESSION (1 SECOND) GROUP BY k", KEY_BYTES + TEXT_BYTES);
    // The last row of each key is kept to take it out of its group again.
    check("SELECT v, COUNT(*) AS n FROM a GROUP BY v", KEY_BYTES + 8);
    check("SELECT a.k AS k, a.t AS t, b.t AS u FROM a JOIN b ON a.k = b.k", 2 * (KEY_BYTES + TEXT_BYTES));
    check("SELECT a.k, a.t AS t, b.t AS u FROM a JOIN b ON a.t = b.k", 2 * (KEY_BYTES + TEXT_BYTES));
    check("SELECT s.k AS k, s.t AS t, c.t AS u FROM s JOIN c WITHIN 1 HOUR ON s.k = c.k", 2 * (KEY_BYTES + TEXT_BYTES));
}

#[test]
fn the_query_that_grows_beyond_its_limit_stops_and_others_go_on() {
    let bench = Bench::new();
    let engine = bench.open_with(|settings| settings.runtime.state_max_bytes = 200_000);
    let made = run(
        &engine,
        &format!(
            "{SOURCES}
             CREATE TABLE many WITH (value_format='JSON') AS SELECT k, LATEST_BY_OFFSET(t) AS t FROM s GROUP BY k;
             CREATE TABLE few WITH (value_format='JSON') AS SELECT v, COUNT(*) AS n FROM s GROUP BY v;"
        ),
    );
    assert!(made.contains("CTAS_FEW"), "{made}");
    produce(&bench, &["s"], 0..200);
    assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
    produce(&bench, &["s"], 200..5_000);
    engine.wait_until_caught_up(LONG);
    let failed = engine.failed_queries();
    let [(query, reason)] = &failed[..] else { panic!("{failed:?}") };
    assert!(query.contains("CTAS_MANY") && reason.starts_with("STATE_LIMIT"), "{failed:?}");
    produce(&bench, &["s"], 5_000..5_001);
    let few = || bench.records("FEW").lines().last().is_some_and(|line| line.contains("{\"N\":5001}"));
    let started = std::time::Instant::now();
    while !few() && started.elapsed() < LONG {
        std::thread::yield_now();
    }
    assert!(few(), "{}", bench.records("FEW").lines().last().unwrap_or_default());
}

#[test]
fn a_query_that_reads_its_state_back_says_so_wherever_queries_are_shown() {
    let bench = Bench::new();
    let scheduler = || Scheduler::seeded(1, Arc::<ManualClock>::clone(&bench.clock));
    let engine = bench.open_on(Some(scheduler()), |_| {});
    run(
        &engine,
        &format!("{SOURCES} CREATE TABLE r WITH (value_format='JSON') AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;"),
    );
    produce(&bench, &["s"], 0..10);
    assert!(engine.wait_until_caught_up(LONG));
    drop(engine);
    let engine = bench.open_on(Some(scheduler()), |_| {});
    for statement in ["SHOW QUERIES;", "DESCRIBE r EXTENDED;", "EXPLAIN CTAS_R_4;"] {
        let shown = run(&engine, statement);
        assert!(shown.contains("\"state\":\"RESTORING (0 of 10 rows)\""), "{statement} {shown}");
        assert!(shown.contains("RUNNING"), "clients of ksqlDB know no other: {shown}");
    }
    let restoring = engine.health().restoring.unwrap();
    assert_eq!((restoring.queries, restoring.rows_read, restoring.rows), (1, 0, 10));
    let metrics = &engine.query_metrics()[0];
    assert_eq!((metrics.state.as_str(), metrics.restored_rows, metrics.restore_rows), ("RESTORING", 0, 10));
    assert!(engine.wait_until_caught_up(LONG));
    assert!(run(&engine, "SHOW QUERIES;").contains("\"state\":\"RUNNING\""));
    assert_eq!(engine.health().restoring, None);
}

#[test]
fn a_push_query_tells_its_state_and_does_not_remember_what_is_gone() {
    let bench = Bench::new();
    let scheduler = Scheduler::seeded(1, Arc::<ManualClock>::clone(&bench.clock));
    let engine = bench.open_on(Some(Arc::clone(&scheduler)), |_| {});
    run(&engine, SOURCES);
    let sql = "SELECT k, COUNT(*) AS n FROM s
                 WINDOW TUMBLING (SIZE 10 MILLISECONDS, RETENTION 20 MILLISECONDS, GRACE PERIOD 0 MILLISECONDS)
                 GROUP BY k EMIT CHANGES;";
    let answer = engine.query(&Request::new(sql).with("auto.offset.reset", "earliest"));
    let Ok(QueryAnswer::Rows(mut stream)) = answer else { panic!("{answer:?}") };
    let mut held = Vec::new();
    for step in 0..10 {
        produce(&bench, &["s"], step * 5_000..(step + 1) * 5_000);
        loop {
            scheduler.run_until_idle();
            if stream.events.try_recv().is_err() {
                break;
            }
        }
        let push = engine.query_metrics().into_iter().find(|metrics| metrics.is_push).expect("it runs");
        held.push(push.state_bytes);
    }
    // All windows but a few are over at every step.
    assert!(held[1] > 10_000, "{held:?}");
    assert!(held.iter().all(|bytes| *bytes < 3 * held[1]), "{held:?}");
}
