//! Durable statements: what they answer, what they refuse, what a restart makes of them.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::{Bench, check, run};
use crate::engine::Engine;

const ORDERS: &str = "CREATE STREAM orders (id INT KEY, item STRING, price DOUBLE) \
                      WITH (kafka_topic='orders', value_format='JSON', partitions=1);";

#[test]
fn a_stream_is_created_with_its_topic_and_listed() {
    check(
        &format!("{ORDERS} SHOW STREAMS; SHOW TOPICS;"),
        "0 stream/`ORDERS`/create: Stream created\n\
         {\"@type\":\"streams\",\"streams\":[{\"type\":\"STREAM\",\"name\":\"ORDERS\",\"topic\":\"orders\",\
         \"keyFormat\":\"KAFKA\",\"valueFormat\":\"JSON\",\"isWindowed\":false}]}\n\
         {\"@type\":\"kafka_topics\",\"topics\":[{\"name\":\"orders\",\"replicaInfo\":[1]}]}",
    );
}

#[test]
fn a_mistake_in_the_last_statement_stops_the_first() {
    let bench = Bench::new();
    let engine = bench.open();
    let told = run(&engine, &format!("{ORDERS} DROP TABLE orders;"));
    assert!(told.starts_with("WRONG_KIND"), "{told}");
    assert_eq!(run(&engine, "SHOW STREAMS;"), "{\"@type\":\"streams\",\"streams\":[]}");
    assert_eq!(bench.records("orders"), "no topic");
}

#[test]
fn if_not_exists_warns_and_if_exists_is_content() {
    check(
        &format!("{ORDERS} {} DROP STREAM IF EXISTS nothing;", ORDERS.replace("STREAM", "STREAM IF NOT EXISTS")),
        "0 stream/`ORDERS`/create: Stream created\n\
         warning: Cannot add stream `ORDERS`: A stream with the same name already exists.\n\
         -1 stream/NOTHING/drop: Source `NOTHING` does not exist.",
    );
}

#[test]
fn values_are_inserted_in_the_formats_of_their_source() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, ORDERS);
    assert_eq!(run(&engine, "INSERT INTO orders (rowtime, id, item, price) VALUES (7, 1, 'pen', 1);"), "");
    assert_eq!(run(&engine, "INSERT INTO orders (item) VALUES ('cup');"), "");
    assert_eq!(
        bench.records("orders"),
        "\0\0\0\u{1} {\"ITEM\":\"pen\",\"PRICE\":1.0} @7\nnull {\"ITEM\":\"cup\",\"PRICE\":null} @1000"
    );
}

#[test]
fn a_restart_knows_what_was_there() {
    let bench = Bench::new();
    let before = {
        let engine = bench.open();
        run(&engine, ORDERS);
        run(&engine, "CREATE TYPE address AS STRUCT<city STRING>; ALTER STREAM orders ADD COLUMN a address;");
        run(&engine, "DESCRIBE orders; SHOW TYPES;")
    };
    let engine = bench.open();
    assert_eq!(run(&engine, "DESCRIBE orders; SHOW TYPES;"), before);
    assert_eq!(
        run(&engine, "DROP STREAM orders DELETE TOPIC;"),
        "3 stream/ORDERS/drop: Source `ORDERS` (topic: orders) was dropped."
    );
    assert_eq!(bench.records("orders"), "no topic");
    assert_eq!(run(&bench.open(), "SHOW STREAMS;"), "{\"@type\":\"streams\",\"streams\":[]}");
}

#[test]
fn a_function_is_listed_described_kept_over_a_restart_and_dropped() {
    let bench = Bench::new();
    {
        let engine = bench.open();
        let told = run(&engine, "CREATE FUNCTION Twice(n BIGINT) RETURNS BIGINT AS 'n + n';");
        assert_eq!(told, "0 function/`TWICE`/create: Function created");
        let told = run(&engine, "CREATE FUNCTION IF NOT EXISTS twice(n INT) RETURNS INT AS 'n';");
        assert_eq!(told, "-1 function/`TWICE`/create: Function `TWICE` already exists.");
    }
    let engine = bench.open();
    let listed = run(&engine, "SHOW FUNCTIONS;");
    let entry = "{\"name\":\"TWICE\",\"type\":\"SCALAR\",\"category\":\"MACRO\"}";
    assert!(listed.contains(entry), "{listed}");
    let described = run(&engine, "DESCRIBE FUNCTION twice;");
    for piece in ["Stands for: N + N", "\"name\":\"N\"", "\"returnType\":\"BIGINT\""] {
        assert!(described.contains(piece), "no {piece} in {described}");
    }
    assert_eq!(run(&engine, "DROP FUNCTION twice;"), "1 function/TWICE/drop: Function `TWICE` was dropped.");
    assert!(!run(&bench.open(), "SHOW FUNCTIONS;").contains("TWICE"));
}

#[test]
fn internal_topics_are_read_and_never_written_made_or_deleted() {
    const COMMANDS: &str = "_thalweg-default_-commands";
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, ORDERS);
    let over = format!("CREATE STREAM log (v STRING) WITH (kafka_topic='{COMMANDS}', value_format='KAFKA');");
    assert!(run(&engine, &over).contains("Stream created"));
    for sql in [
        "INSERT INTO log VALUES ('x');".to_owned(),
        "DROP STREAM log DELETE TOPIC;".to_owned(),
        "INSERT INTO log SELECT item AS v FROM orders PARTITION BY NULL;".to_owned(),
        format!("CREATE STREAM bad WITH (kafka_topic='{COMMANDS}') AS SELECT * FROM orders;"),
        "CREATE STREAM bad (v INT) WITH (kafka_topic='_thalweg-x', value_format='JSON', partitions=1);".to_owned(),
    ] {
        let told = run(&engine, &sql);
        assert!(told.contains("is internal and read-only"), "{sql}: {told}");
    }
    let record = crate::types::Record { value: Some("{}".into()), ..crate::types::Record::default() };
    let record = crate::engine::ProducedRecord { partition: None, record, has_timestamp: false };
    assert_eq!(engine.produce(COMMANDS, vec![record]).expect_err("internal").code.as_str(), "READ_ONLY");
    engine.shutdown();
    bench.open().shutdown();
}

/// Runs `waiting`, and `making` once stream FIRST is there; time goes on meanwhile. What the first answers.
fn run_beside(bench: &Bench, engine: &Arc<Engine>, waiting: &str, making: &str) -> String {
    std::thread::scope(|scope| {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        // An assertion gives up where time stands still.
        scope.spawn(move || {
            while ended.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                bench.clock.advance(Duration::from_millis(1));
            }
        });
        let waiter = scope.spawn(|| run(engine, waiting));
        while engine.catalog().source(&"FIRST".into()).is_none() && !waiter.is_finished() {
            std::thread::yield_now();
        }
        run(engine, making);
        let told = waiter.join().unwrap();
        drop(end);
        told
    })
}

#[test]
fn other_statements_have_their_turn_while_an_assertion_waits() {
    let bench = Bench::new();
    let engine = bench.open();
    let waiting = "CREATE STREAM first (a INT) WITH (kafka_topic='first', value_format='JSON', partitions=1);
                   ASSERT TOPIC 'later' TIMEOUT 30 SECONDS;
                   CREATE STREAM third (a INT) WITH (kafka_topic='third', value_format='JSON', partitions=1);";
    let making = "CREATE STREAM second (a INT) WITH (kafka_topic='later', value_format='JSON', partitions=1);";
    let told = run_beside(&bench, &engine, waiting, making);
    assert_eq!(
        told,
        "0 stream/`FIRST`/create: Stream created\n\
         {\"@type\":\"assert_topic\",\"topicName\":\"later\",\"exists\":true}\n\
         2 stream/`THIRD`/create: Stream created"
    );
}

#[test]
fn what_stands_behind_an_assertion_is_validated_again() {
    let bench = Bench::new();
    let engine = bench.open();
    let waiting = "CREATE STREAM first (a INT) WITH (kafka_topic='first', value_format='JSON', partitions=1);
                   ASSERT TOPIC 'later' TIMEOUT 30 SECONDS; SHOW TYPES;
                   CREATE STREAM second (a INT) WITH (kafka_topic='later', value_format='JSON', partitions=1);";
    let making = "CREATE STREAM second (a INT) WITH (kafka_topic='later', value_format='JSON', partitions=1);";
    let told = run_beside(&bench, &engine, waiting, making);
    assert!(told.contains("assert_topic") && told.contains("DUPLICATE_NAME") && !told.contains("type_list"), "{told}");
}
