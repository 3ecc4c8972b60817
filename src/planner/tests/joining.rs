//! JOIN: what is refused, and the stages of what is planned.

use super::{Planned, check_refused, plan};
use crate::diagnostics::Code;

const SOURCES: &str = "
    CREATE STREAM a (id INT KEY, v INT, x STRING) WITH (kafka_topic='a', value_format='JSON');
    CREATE STREAM b (id INT KEY, v INT, y STRING) WITH (kafka_topic='b', value_format='JSON');
    CREATE TABLE t (id INT PRIMARY KEY, v INT, z STRING) WITH (kafka_topic='t', value_format='JSON');
    CREATE TABLE u (id INT PRIMARY KEY, v INT, w BIGINT) WITH (kafka_topic='u', value_format='JSON');
    CREATE TABLE two (id INT PRIMARY KEY, id2 INT PRIMARY KEY, v INT) WITH (kafka_topic='two', format='JSON');
    CREATE STREAM k (id INT KEY, v INT) WITH (kafka_topic='k', value_format='KAFKA');
    CREATE STREAM w (id INT KEY, v INT) WITH (kafka_topic='w', value_format='JSON', window_type='SESSION');";

#[track_caller]
fn refused(statement: &str, code: Code, primary: &str) {
    check_refused(&format!("{SOURCES} {statement};"), code, primary);
}

#[track_caller]
fn refused_join(from: &str, primary: &str) {
    refused(&format!("CREATE STREAM o AS SELECT * FROM {from}"), Code::InvalidJoin, primary);
}

/// Checks the operators of the stages behind the exchanges of a joining statement, and where they stand.
#[track_caller]
fn check_stages(statement: &str, expected: &[&str]) {
    let sql = format!("{SOURCES} {statement};");
    let graph = match plan(&sql) {
        Ok(Planned::Query(query)) => query.graph,
        other => panic!("no query: {other:?}"),
    };
    let stages: Vec<String> = graph
        .stages
        .iter()
        .map(|stage| {
            let operators = stage.operators.iter().map(|node| format!("{}:{:?}", node.name, node.encoding));
            format!("{}/{} {}", stage.name, stage.inputs.len(), operators.collect::<Vec<_>>().join(" "))
                .trim()
                .to_owned()
        })
        .collect();
    assert_eq!(stages, expected);
}

#[test]
fn tables_tell_old_rows_where_somebody_needs_them() {
    check_stages(
        "CREATE TABLE o AS SELECT t.id, z, w FROM t JOIN u ON t.id = u.id",
        &["Source/1", "Source2/1", "Join/2 Join:Upsert Project:Upsert"],
    );
    check_stages(
        "CREATE TABLE o AS SELECT t.id, z, w FROM t JOIN u ON t.id = u.id WHERE w > 5",
        &["Source/1", "Source2/1", "Join/2 Join:Changelog Where:Changelog Project:Changelog"],
    );
}

#[test]
fn foreign_keys_take_rows_to_the_right_table_and_back() {
    check_stages(
        "CREATE TABLE o AS SELECT t.id, z, w FROM t LEFT JOIN u ON t.v + 1 = u.id",
        &[
            "Source/1",
            "Remember/1 Remember:Changelog JoinKey:Changelog Version:Changelog",
            "Source2/1",
            "Join/2 Join:Upsert",
            "Resolve/1 Resolve:Upsert Project:Upsert",
        ],
    );
    check_stages(
        "CREATE TABLE o AS SELECT w, COUNT(*) AS n FROM t JOIN u ON t.v = u.id GROUP BY w",
        &[
            "Source/1",
            "Remember/1 Remember:Changelog Version:Changelog",
            "Source2/1",
            "Join/2 Join:Upsert",
            "Resolve/1 Resolve:Changelog GroupBy:Changelog RequireKey:Changelog",
            "Aggregate/1 Aggregate:Upsert Project:Upsert",
        ],
    );
}

#[test]
fn joins_of_streams_wait_to_be_built() {
    for (statement, what) in [
        ("CREATE STREAM o AS SELECT * FROM a JOIN b WITHIN 1 HOUR ON a.id = b.id", "JOIN of two streams"),
        ("CREATE STREAM o AS SELECT rowkey, x FROM a FULL OUTER JOIN b WITHIN 1 HOUR ON a.id = b.id", "two streams"),
        ("CREATE STREAM o AS SELECT t.id, z FROM a JOIN t ON a.v + 1 = t.id", "JOIN of a stream with a table"),
    ] {
        refused(statement, Code::NotImplemented, what);
    }
}

#[test]
fn joins_stand_left_deep() {
    check_stages(
        "CREATE TABLE p (id INT PRIMARY KEY, q INT) WITH (kafka_topic='p', value_format='JSON');
         CREATE TABLE o AS SELECT t.id, z, q FROM t JOIN u ON t.id = u.id JOIN p ON u.id = p.id",
        &["Source/1", "Source2/1", "Join/2 Join:Upsert", "Source3/1", "Join2/2 Join2:Upsert Project:Upsert"],
    );
    check_stages(
        "CREATE TABLE o AS SELECT z, COUNT(*) FROM t JOIN u ON t.id = u.id GROUP BY z",
        &[
            "Source/1",
            "Source2/1",
            "Join/2 Join:Changelog GroupBy:Changelog RequireKey:Changelog",
            "Aggregate/1 Aggregate:Upsert Project:Upsert",
        ],
    );
}

#[test]
fn a_condition_is_one_equality_between_two_sources() {
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id = b.id AND a.v = b.v", "several conditions");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id > b.id", "must be an equality");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id = 1", "must read exactly one source");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id + b.id = b.id", "must read exactly one source");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id = a.v", "they must read different sources");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id = b.id JOIN t ON a.id = b.id", "does not read T, which it joins");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.x = b.v", "different types: STRING and INTEGER");
    refused_join("a x JOIN a y WITHIN 1 HOUR ON x.id = y.id", "source A is joined to itself");
}

#[test]
fn kinds_of_sources_join_in_their_own_ways() {
    refused_join("a JOIN b ON a.id = b.id", "needs a WITHIN clause");
    refused_join("a JOIN t WITHIN 1 HOUR ON a.id = t.id", "WITHIN clause is only for joins of two streams");
    refused_join("t JOIN a ON a.id = t.id", "write the stream first");
    refused_join("a FULL OUTER JOIN t ON a.id = t.id", "join as INNER or LEFT only");
    refused_join("a JOIN t ON a.id = t.v", "must read the primary key of the table");
    refused_join("a JOIN two ON a.id = two.id", "must read the primary key of the table");
    refused_join("t JOIN u ON t.id = u.v", "must read the primary key of the right table");
    refused_join("t FULL OUTER JOIN u ON t.v = u.id", "tables join on a foreign key as INNER or LEFT only");
    refused_join("a JOIN w WITHIN 1 HOUR ON a.id = w.id", "W is windowed and A is not");
    check_refused(
        &format!("{SOURCES} SELECT * FROM a JOIN k WITHIN 1 HOUR ON a.id = k.id EMIT CHANGES;"),
        Code::InvalidFormat,
        "value format KAFKA, which does not support JOIN",
    );
}

#[test]
fn names_and_keys_of_joined_sources_are_checked() {
    let from = "FROM a JOIN b WITHIN 1 HOUR ON a.id = b.id";
    refused(&format!("CREATE STREAM o AS SELECT a.id, v {from}"), Code::AmbiguousColumn, "column V is ambiguous");
    refused(&format!("CREATE STREAM o AS SELECT a.id, c.v {from}"), Code::UnknownSource, "C is not a source");
    refused(&format!("CREATE STREAM o AS SELECT x, y {from}"), Code::InvalidProjection, "expression A.ID or B.ID");
    refused(
        &format!("CREATE STREAM o AS SELECT a.id, a.v > b.y AS c {from}"),
        Code::TypeMismatch,
        "INTEGER with STRING",
    );
    refused(
        "CREATE TABLE o AS SELECT u.id, z FROM t JOIN u ON t.v = u.id",
        Code::InvalidProjection,
        "must hold the key column ID",
    );
    refused(&format!("CREATE TABLE o AS SELECT a.id, x {from}"), Code::WrongKind, "the query produces a stream");
}
