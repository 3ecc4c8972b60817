//! Rows on their way in: `/inserts-stream`, produced records, records read back.

use bytes::Bytes;

use super::{Bench, run};
use crate::engine::{ProducedRecord, TopicRead};
use crate::types::{Partition, Record};

/// Inserts rows into `S`, made with these columns; gives what was acknowledged, refused and written.
fn check(columns: &str, rows: &[&str], expected: &str) {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, &format!("CREATE STREAM s ({columns}) WITH (kafka_topic='s', format='JSON', partitions=1);"));
    let inserter = engine.inserter("s", &std::collections::BTreeMap::new()).expect("s can be written");
    let rows: Vec<_> = rows.iter().map(|row| Bytes::copy_from_slice(row.as_bytes())).collect();
    let inserted = inserter.insert(&rows);
    let failure = inserted.failure.map(|failure| format!("\n{}", failure.primary)).unwrap_or_default();
    assert_eq!(format!("{} rows\n{}{failure}", inserted.rows, bench.records("s")), expected);
}

#[test]
fn fields_find_their_columns_whatever_their_case_and_numbers_widen() {
    check(
        "k INT KEY, d DOUBLE, `q` STRING, p DECIMAL(4, 2)",
        &[r#"{"K":1,"d":2,"`q`":"x","P":1.005,"other":[]}"#, r#"{"k":2,"q":"upper-cased: no column"}"#],
        "2 rows\n1 {\"D\":2.0,\"q\":\"x\",\"P\":1.01} @1000\n2 {\"D\":null,\"q\":null,\"P\":null} @1000",
    );
}

#[test]
fn times_are_iso_texts_and_nested_values_are_converted_too() {
    check(
        "k STRING KEY, t TIME, d DATE, m TIMESTAMP, b BYTES, s STRUCT<a ARRAY<DATE>, n INT>",
        &[r#"{"k":"a","t":"00:00:01","d":"1970-01-02","m":"1970-01-01T00:00:00.005","b":"AQI=",
            "s":{"a":["1970-01-03"],"n":3}}"#],
        "1 rows\n\"a\" {\"T\":1000,\"D\":1,\"M\":5,\"B\":\"AQI=\",\"S\":{\"A\":[2],\"N\":3}} @1000",
    );
}

#[test]
fn the_first_bad_row_ends_the_inserting_and_names_column_and_types() {
    let good = r#"{"k":1,"v":1}"#;
    for (bad, told) in [
        (r#"{"k":2,"v":"1"}"#, "column V takes INTEGER, not STRING"),
        (r#"{"k":2,"v":1.5}"#, "column V takes INTEGER, not DECIMAL"),
        (r#"{"v":1}"#, "key column K has no value"),
        ("[]", "a row is no JSON object"),
    ] {
        check("k INT KEY, v INT", &[good, bad, good], &format!("1 rows\n1 {{\"V\":1}} @1000\n{told}"));
    }
}

#[test]
fn sources_that_nobody_may_write_are_refused() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, "CREATE SOURCE STREAM r (v INT) WITH (kafka_topic='r', value_format='JSON', partitions=1);");
    for (target, told) in
        [("r", "stream R is read-only"), ("x", "source X does not exist"), ("`r`", "source `r` does not exist")]
    {
        let refusal = engine.inserter(target, &std::collections::BTreeMap::new()).expect_err("refused");
        assert_eq!(refusal.diagnostic.primary, told);
    }
}

#[test]
fn produced_records_are_read_back_in_their_partitions() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, "CREATE STREAM s (v INT) WITH (kafka_topic='s', value_format='JSON', partitions=2);");
    let record = |value: &str, partition| ProducedRecord {
        partition: Some(Partition(partition)),
        record: Record { value: Some(Bytes::copy_from_slice(value.as_bytes())), ..Record::default() },
        has_timestamp: false,
    };
    let places = engine.produce("s", vec![record("a", 1), record("b", 0), record("c", 1)]).expect("the topic exists");
    let places: Vec<_> = places.iter().map(|at| (at.partition.0, at.offset.0, at.timestamp.0)).collect();
    assert_eq!(places, [(1, 0, 1000), (0, 0, 1000), (1, 1, 1000)]);

    let read = |limit| {
        let read = TopicRead { from_earliest: true, limit, follow: false };
        let mut chunks = engine.read_topic("s", read).expect("the topic exists");
        let mut values = Vec::new();
        while let Some(chunk) = chunks.blocking_recv() {
            for record in chunk.expect("the log reads") {
                values.push(String::from_utf8(record.value.expect("a value").to_vec()).expect("text"));
            }
        }
        values.join(" ")
    };
    assert_eq!(read(None), "b a c");
    assert_eq!(read(Some(2)), "b a");
    assert!(engine.produce("nothing", vec![]).is_err());
    assert!(engine.produce("s", vec![record("x", 2)]).is_err());
    engine.shutdown();
}
