//! The end of a service.

use super::{Bench, run};
use crate::topics::TopicLog;

const STATEMENTS: &str = "
    CREATE TYPE MONEY AS DECIMAL(8, 2);
    CREATE STREAM S (K STRING KEY, N INTEGER) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);
    CREATE STREAM D WITH (KAFKA_TOPIC='d-1') AS SELECT * FROM S;
    CREATE TABLE T WITH (KAFKA_TOPIC='t') AS SELECT K, COUNT(*) AS C FROM S GROUP BY K;
    ALTER SYSTEM 'auto.offset.reset' = 'earliest';
";

#[test]
fn nothing_is_left_but_topics_that_no_pattern_names() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, STATEMENTS);
    let refused = engine.terminate(&["d-[".to_owned()]).unwrap_err();
    assert!(refused.diagnostic.to_string().contains("Invalid pattern: d-["));
    let entities = engine.terminate(&["d-.".to_owned(), "s".to_owned()]).unwrap();
    assert!(format!("{entities:?}").contains("TerminateCluster"));
    let topics: Vec<String> = bench.log.topics().unwrap().into_keys().filter(|name| !name.starts_with('_')).collect();
    assert_eq!(topics, ["s", "t"], "s was not made by a query, t matches no pattern");
    assert!(run(&engine, "SHOW STREAMS;").contains("stopping"));
    let engine = bench.open();
    for (statement, name) in [("SHOW STREAMS;", "\"S\""), ("SHOW QUERIES;", "CSAS"), ("SHOW TYPES;", "MONEY")] {
        let told = run(&engine, statement);
        assert!(!told.contains(name), "{told}");
    }
    assert!(!run(&engine, STATEMENTS).contains("DUPLICATE_NAME"));
}
