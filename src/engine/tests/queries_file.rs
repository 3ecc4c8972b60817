//! Headless mode: what a file of statements makes at the first start and at later ones.

use super::{Bench, run};
use crate::engine::{Engine, QueriesFileReport};

const FILE: &str = "
    CREATE TYPE MONEY AS DECIMAL(8, 2);
    CREATE FUNCTION DOUBLED(n INTEGER) RETURNS INTEGER AS 'n * 2';
    SET 'auto.offset.reset' = 'earliest';
    CREATE STREAM S (K STRING KEY, N INTEGER) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);
    CREATE STREAM D AS SELECT K, DOUBLED(N) AS N FROM S;
    CREATE TABLE T AS SELECT K, COUNT(*) AS C FROM S GROUP BY K;
    CREATE STREAM LARGE (K STRING KEY, N INTEGER) WITH (KAFKA_TOPIC='large', VALUE_FORMAT='JSON', PARTITIONS=1);
    INSERT INTO LARGE SELECT K, N FROM S WHERE N > 100;
";

fn told(engine: &Engine, file: &str) -> String {
    match engine.run_queries_file(file) {
        Ok(QueriesFileReport { created, replaced, unchanged, unlisted }) => {
            let unlisted: Vec<String> = unlisted.iter().map(ToString::to_string).collect();
            format!("created {created}, replaced {replaced}, unchanged {unchanged}, unlisted {unlisted:?}")
        }
        Err(failure) => format!("{}: {}", failure.diagnostic.code, failure.diagnostic),
    }
}

#[test]
fn a_file_is_made_once_and_left_alone_at_later_starts() {
    let bench = Bench::new();
    let engine = bench.open();
    assert_eq!(told(&engine, FILE), "created 7, replaced 0, unchanged 0, unlisted []");
    let queries = run(&engine, "SHOW QUERIES;");
    assert!(["CSAS_D_", "CTAS_T_", "INSERTQUERY_"].iter().all(|id| queries.contains(id)), "{queries}");
    engine.shutdown();
    let engine = bench.open();
    assert_eq!(told(&engine, FILE), "created 0, replaced 0, unchanged 7, unlisted []");
    assert_eq!(run(&engine, "SHOW QUERIES;"), queries);
}

#[test]
fn what_the_file_says_otherwise_is_replaced_with_what_reads_it() {
    let bench = Bench::new();
    let engine = bench.open();
    told(&engine, FILE);
    let queries = run(&engine, "SHOW QUERIES;").matches("PERSISTENT").count();
    engine.shutdown();
    let engine = bench.open();
    let longer = FILE
        .replace("N INTEGER) WITH (KAFKA_TOPIC='s'", "N INTEGER, MORE STRING) WITH (KAFKA_TOPIC='s'")
        .replace("n * 2", "n + n");
    assert_eq!(told(&engine, &longer), "created 0, replaced 4, unchanged 3, unlisted []");
    assert_eq!(run(&engine, "SHOW QUERIES;").matches("PERSISTENT").count(), queries);
    engine.shutdown();
    let engine = bench.open();
    assert_eq!(told(&engine, &longer), "created 0, replaced 0, unchanged 7, unlisted []");
}

#[test]
fn what_is_not_in_the_file_goes_on_and_is_told() {
    let bench = Bench::new();
    let engine = bench.open();
    told(&engine, FILE);
    engine.shutdown();
    let engine = bench.open();
    let shorter = FILE.replace("CREATE TABLE T AS SELECT K, COUNT(*) AS C FROM S GROUP BY K;", "");
    let report = told(&engine, &shorter);
    assert!(report.starts_with("created 0, replaced 0, unchanged 6, unlisted [\"CTAS_T_"), "{report}");
}

#[test]
fn a_headless_server_takes_no_other_definitions() {
    let bench = Bench::new();
    let engine = bench.open();
    told(&engine, FILE);
    let refused = run(&engine, "DROP STREAM S;");
    assert!(refused.contains("READ_ONLY: line 1:1: the server runs the statements of a file"), "{refused}");
    assert!(run(&engine, "SHOW STREAMS;").contains("\"S\""));
}

#[test]
fn a_file_that_cannot_be_run_changes_nothing() {
    let bench = Bench::new();
    let engine = bench.open();
    for (file, expected) in [
        (
            "CREATE STREAM S (N INTEGER) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);",
            "no persistent query",
        ),
        (&format!("{FILE} DROP TABLE T;"), "UNSUPPORTED: line 10:2: the statement has no place in a queries file"),
        (&FILE.replace("COUNT(*)", "COUNT(X)"), "line 7:"),
        ("SELECT", "SYNTAX_ERROR"),
    ] {
        let report = told(&engine, file);
        assert!(report.contains(expected), "{report}");
    }
    assert!(!run(&engine, "SHOW STREAMS;").contains("\"S\""));
    assert!(!run(&engine, FILE).contains("READ_ONLY"));
}
