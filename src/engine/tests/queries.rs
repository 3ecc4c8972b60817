//! Queries that run: persistent ones, push queries, scans, PRINT; what a restart makes of them.

use std::time::Duration;

use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use futures_util::FutureExt as _;

use super::{Bench, run};
use crate::engine::{Engine, EngineSettings, QueryAnswer, Request, RowEvent, RowStream};
use std::sync::Arc;

const LONG: Duration = Duration::from_secs(30);

const ORDERS: &str = "CREATE STREAM orders (id INT KEY, price INT) \
                      WITH (kafka_topic='orders', value_format='JSON', key_format='JSON', partitions=1);";
const BIG: &str = "CREATE STREAM big AS SELECT id, price * 2 AS twice FROM orders WHERE price > 10;";

fn start(engine: &Arc<Engine>, sql: &str) -> RowStream {
    match engine.query(&Request::new(sql).with("auto.offset.reset", "earliest")) {
        Ok(QueryAnswer::Rows(rows)) => rows,
        Ok(QueryAnswer::Print(_)) => panic!("{sql} prints"),
        Err(failure) => panic!("{sql}: {}", failure.diagnostic),
    }
}

/// Rows as lines, then how the stream ended.
fn drain(mut stream: RowStream) -> String {
    let mut lines = Vec::new();
    while let Some(event) = stream.events.blocking_recv() {
        match event {
            RowEvent::Rows { rows, .. } => {
                let options = FormatOptions::default().with_null("null");
                let columns: Vec<_> = rows
                    .columns()
                    .iter()
                    .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("columns print"))
                    .collect();
                for row in 0..rows.num_rows() {
                    let cells: Vec<_> = columns.iter().map(|column| column.value(row).to_string()).collect();
                    lines.push(cells.join(" "));
                }
            }
            RowEvent::LimitReached => lines.push("limit".into()),
            RowEvent::Completed => lines.push("completed".into()),
            RowEvent::Failed(why) => lines.push(why.to_string()),
        }
    }
    lines.join("\n")
}

#[test]
fn rows_go_through_a_persistent_query_to_a_push_query() {
    let bench = Bench::new();
    let engine = bench.open();
    assert_eq!(
        run(&engine, &format!("{ORDERS} {BIG}")),
        "0 stream/`ORDERS`/create: Stream created\n1 stream/`BIG`/create: Created query with ID CSAS_BIG_1"
    );
    let push = start(&engine, "SELECT * FROM big EMIT CHANGES LIMIT 2;");
    assert!(push.is_push && push.query_id.starts_with("transient_BIG_"), "{push:?}");
    for price in [5, 20, 7, 30] {
        run(&engine, &format!("INSERT INTO orders VALUES (1, {price});"));
    }
    assert_eq!(drain(push), "1 40\n1 60\nlimit");
    engine.shutdown();
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let bench = Bench::new();
    {
        let engine = bench.open();
        run(&engine, &format!("{ORDERS} {BIG} INSERT INTO orders VALUES (1, 11);"));
        assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
        engine.shutdown();
    }
    let engine = bench.open();
    run(&engine, "INSERT INTO orders VALUES (2, 12);");
    assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
    assert_eq!(bench.records("BIG"), "1 {\"TWICE\":22} @1000\n2 {\"TWICE\":24} @1000");
    assert_eq!(drain(start(&engine, "SELECT id, twice FROM big;")), "1 22\n2 24\ncompleted");
    engine.shutdown();
}

#[test]
fn latest_is_resolved_when_the_query_is_created() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, &format!("{ORDERS} INSERT INTO orders VALUES (1, 11);"));
    engine.execute(&Request::new(BIG)).expect("the query is created");
    run(&engine, "INSERT INTO orders VALUES (2, 12);");
    assert!(engine.wait_until_caught_up(LONG));
    assert_eq!(bench.records("BIG"), "2 {\"TWICE\":24} @1000");
    engine.shutdown();
}

#[test]
fn a_paused_query_reads_nothing_until_it_is_resumed_and_a_terminated_one_never() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, &format!("{ORDERS} {BIG}"));
    assert_eq!(run(&engine, "PAUSE CSAS_BIG_1;"), "2 pause/CSAS_BIG_1/execute: Query paused.");
    run(&engine, "INSERT INTO orders VALUES (1, 11);");
    engine.shutdown();

    let engine = bench.open();
    assert!(run(&engine, "SHOW QUERIES;").contains("\"state\":\"PAUSED\""));
    assert_eq!(bench.records("BIG"), "");
    assert_eq!(run(&engine, "RESUME ALL;"), "3 resume/ALL/execute: Query resumed.");
    assert!(engine.wait_until_caught_up(LONG));
    assert_eq!(bench.records("BIG"), "1 {\"TWICE\":22} @1000");

    assert!(run(&engine, "DROP STREAM orders;").starts_with("IN_USE"));
    assert_eq!(run(&engine, "TERMINATE CSAS_BIG_1;"), "4 terminate/CSAS_BIG_1/execute: Query terminated.");
    assert_eq!(run(&engine, "SHOW QUERIES;"), "{\"@type\":\"queries\",\"queries\":[]}");
    assert!(run(&engine, "TERMINATE CSAS_BIG_1;").starts_with("UNKNOWN_QUERY"));
    assert!(run(&engine, "DROP STREAM big; DROP STREAM orders;").contains("was dropped"));
    engine.shutdown();
}

#[test]
fn a_push_query_is_closed_by_its_id_by_terminate_and_by_its_client() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, ORDERS);
    let text = "SELECT * FROM orders EMIT CHANGES;";
    let push = start(&engine, text);
    assert!(run(&engine, "SHOW QUERIES;").contains(&push.query_id));
    assert!(engine.close_query(&push.query_id));
    assert!(!engine.close_query(&push.query_id));
    assert_eq!(drain(push), "");
    let push = start(&engine, text);
    assert!(run(&engine, &format!("TERMINATE {};", push.query_id)).contains("\"wasTerminated\":true"));
    assert_eq!(drain(push), "");
    engine.shutdown();
    assert!(engine.query(&Request::new(text)).is_err());
}

#[test]
fn a_push_query_beyond_the_limit_is_refused_by_name() {
    let bench = Bench::new();
    let engine = bench.open_with(|settings| settings.max_push_queries = 1);
    run(&engine, ORDERS);
    let text = "SELECT * FROM orders EMIT CHANGES;";
    let _first = start(&engine, text);
    let refused = engine.query(&Request::new(text)).expect_err("one too many");
    assert_eq!(refused.diagnostic.code.as_str(), "TOO_MANY_REQUESTS");
    engine.shutdown();
}

#[test]
fn print_shows_records_and_formats() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, &format!("{ORDERS} INSERT INTO orders VALUES (1, 11); INSERT INTO orders VALUES (2, 12);"));
    let Ok(QueryAnswer::Print(mut print)) = engine.query(&Request::new("PRINT orders FROM BEGINNING LIMIT 2;")) else {
        panic!("PRINT prints")
    };
    let mut lines = Vec::new();
    while let Some(line) = print.lines.blocking_recv() {
        lines.push(line);
    }
    assert_eq!(
        lines.join("\n"),
        "Key format: KAFKA_STRING\nValue format: JSON or KAFKA_STRING\n\
         rowtime: 1970/01/01 00:00:01.000 Z, key: 1, value: {\"PRICE\":11}, partition: 0\n\
         rowtime: 1970/01/01 00:00:01.000 Z, key: 2, value: {\"PRICE\":12}, partition: 0"
    );
    engine.shutdown();
}

#[test]
fn create_or_replace_keeps_the_query_and_its_place() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, &format!("{ORDERS} {BIG} INSERT INTO orders VALUES (1, 11);"));
    assert!(engine.wait_until_caught_up(LONG));
    let replaced = "CREATE OR REPLACE STREAM big AS \
                    SELECT id, price * 2 AS twice, price FROM orders WHERE price > 5;";
    assert_eq!(run(&engine, replaced), "2 stream/`BIG`/create: Created query with ID CSAS_BIG_1");
    run(&engine, "INSERT INTO orders VALUES (2, 6);");
    assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
    assert_eq!(bench.records("BIG"), "1 {\"TWICE\":22} @1000\n2 {\"TWICE\":12,\"PRICE\":6} @1000");
    engine.shutdown();
    let engine = bench.open();
    assert!(engine.wait_until_caught_up(LONG));
    assert_eq!(bench.records("BIG").lines().count(), 2);
    engine.shutdown();
}

#[test]
fn bad_records_are_rows_of_the_processing_log() {
    let bench = Bench::new();
    let engine = bench.open_with(|settings| settings.processing_log = true);
    run(&engine, &format!("{ORDERS} {BIG}"));
    let log = start(
        &engine,
        "SELECT message->type, message->deserializationError->target, message->deserializationError->`OFFSET` \
         FROM ksql_processing_log EMIT CHANGES LIMIT 1;",
    );
    let record = crate::types::Record { value: Some("no json".into()), ..crate::types::Record::default() };
    let record = crate::engine::ProducedRecord { partition: None, record, has_timestamp: false };
    engine.produce("orders", vec![record]).expect("the topic exists");
    assert_eq!(drain(log), "0 value 0\nlimit");
    engine.shutdown();
    assert!(
        run(&bench.open_with(|settings| settings.processing_log = true), "SHOW STREAMS;").contains("KSQL_PROCESSING")
    );
}

#[test]
fn queries_that_ksqldb_would_scale_are_told_by_their_ids() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, &format!("{ORDERS} {BIG}"));
    let id = |sql: &str| {
        let request = Request::new(sql).with("ksql.query.push.v2.enabled", "true");
        match engine.query(&request) {
            Ok(QueryAnswer::Rows(rows)) => rows.query_id.split('_').next().unwrap_or_default().to_owned(),
            _ => panic!("{sql} does not start"),
        }
    };
    assert_eq!(id("SELECT * FROM big WHERE twice > 1 EMIT CHANGES;"), "SCALABLE");
    assert_eq!(id("SELECT rowoffset, id FROM big EMIT CHANGES;"), "transient");
    assert_eq!(id("SELECT * FROM orders EMIT CHANGES;"), "transient");
    assert_eq!(id("SELECT * FROM big;"), "transient");
    engine.shutdown();
}

#[test]
fn limit_of_pull_queries_can_be_switched_off() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, ORDERS);
    let ask = |value: &str| {
        let request = Request::new("SELECT * FROM orders LIMIT 1;").with("ksql.query.pull.limit.clause.enabled", value);
        engine.query(&request).err().map(|failure| failure.diagnostic.primary)
    };
    assert_eq!(ask("true"), None);
    assert_eq!(ask("false").as_deref(), Some("LIMIT in pull queries is switched off"));
    engine.shutdown();
}

#[test]
fn rows_of_a_table_that_stands_still_come_with_a_warning() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, &format!("{ORDERS} CREATE TABLE sums AS SELECT id, SUM(price) AS total FROM orders GROUP BY id;"));
    let warnings = |sql: &str| start(&engine, sql).warnings;
    let look_up = "SELECT * FROM sums WHERE id = 1;";
    assert!(warnings(look_up).is_empty());
    run(&engine, "PAUSE CTAS_SUMS_1;");
    let told = ["Table SUMS stands still, for its query CTAS_SUMS_1 is paused. RESUME CTAS_SUMS_1 goes on with it."];
    assert_eq!(warnings(look_up), told);
    assert_eq!(warnings("SELECT COUNT(*) FROM sums;"), told);
    assert_eq!(
        engine.look_up_soon(&look_up_request(look_up)).now_or_never().flatten().map(|rows| rows.warnings),
        Some(vec![told[0].to_owned()])
    );
    run(&engine, "RESUME CTAS_SUMS_1;");
    assert!(warnings(look_up).is_empty());
}

fn look_up_request(sql: &str) -> Request {
    Request::new(sql).with("auto.offset.reset", "earliest")
}

#[test]
fn a_table_that_was_dropped_meanwhile_is_followed_no_longer() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, &format!("{ORDERS} CREATE TABLE sums AS SELECT id, SUM(price) AS total FROM orders GROUP BY id;"));
    let table = engine.catalog().source(&"SUMS".into()).cloned().expect("it was created");
    engine.table_snapshot(&table).expect("it is read");
    assert_eq!(engine.table_metrics().len(), 1);
    run(&engine, "DROP TABLE sums;");
    assert_eq!(engine.table_metrics().len(), 0);
    // A reader that found it in the catalog before.
    engine.table_snapshot(&table).expect("its topic is still there");
    assert_eq!(engine.table_metrics().len(), 0);
}

#[test]
fn a_query_keeps_the_guarantee_it_was_created_with() {
    let bench = Bench::new();
    let at_least_once = |settings: &mut EngineSettings| {
        settings.defaults.insert("ksql.streams.processing.guarantee".to_owned(), "at_least_once".to_owned());
    };
    let engine = bench.open_with(at_least_once);
    run(
        &engine,
        "CREATE STREAM S (A INTEGER) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);
         CREATE STREAM ONE AS SELECT * FROM S;
         SET 'epoch.interval' = '7ms';
         CREATE STREAM TWO AS SELECT * FROM S;
         SET 'processing.guarantee' = 'exactly_once';
         CREATE STREAM THREE AS SELECT * FROM S;",
    );
    drop(engine);
    // Restarted with another default.
    let told = run(&bench.open(), "SHOW QUERIES EXTENDED;");
    let kept: Vec<_> = told.match_indices("overriddenProperties").map(|(at, _)| &told[at..]).collect();
    for (kept, expected) in kept.into_iter().zip([
        r#"{"auto.offset.reset":"earliest","processing.guarantee":"at_least_once"}"#,
        r#"{"auto.offset.reset":"earliest","epoch.interval":"7ms","processing.guarantee":"exactly_once_v2"}"#,
        r#"{"auto.offset.reset":"earliest","epoch.interval":"7ms","processing.guarantee":"at_least_once"}"#,
    ]) {
        assert!(kept.starts_with(&format!("overriddenProperties\":{expected}")), "{kept}");
    }
}
