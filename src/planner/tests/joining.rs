//! JOIN: what is refused, and the stages of what is planned.

use super::{PlanSettings, Planned, check_refused, describe, plan, plan_with};
use crate::diagnostics::Code;
use crate::planner::Compatibility;

const SOURCES: &str = "
    CREATE STREAM a (id INT KEY, v INT, x STRING) WITH (kafka_topic='a', value_format='JSON');
    CREATE STREAM b (id INT KEY, v INT, y STRING) WITH (kafka_topic='b', value_format='JSON');
    CREATE TABLE t (id INT PRIMARY KEY, v INT, z STRING) WITH (kafka_topic='t', value_format='JSON');
    CREATE TABLE u (id INT PRIMARY KEY, v INT, w BIGINT) WITH (kafka_topic='u', value_format='JSON');
    CREATE TABLE two (id INT PRIMARY KEY, id2 INT PRIMARY KEY, v INT) WITH (kafka_topic='two', format='JSON');
    CREATE STREAM k (id INT KEY, v INT) WITH (kafka_topic='k', value_format='KAFKA');
    CREATE STREAM w (id INT KEY, v INT) WITH (kafka_topic='w', value_format='JSON', window_type='SESSION');
    CREATE STREAM w2 (id INT KEY, v INT) WITH (kafka_topic='w2', value_format='JSON', window_type='SESSION');
    CREATE TABLE f (id INT PRIMARY KEY, v INT)
      WITH (kafka_topic='f', value_format='JSON', window_type='TUMBLING', window_size='1 MINUTE');
    CREATE TABLE g (id INT PRIMARY KEY, v INT)
      WITH (kafka_topic='g', value_format='JSON', window_type='TUMBLING', window_size='1 MINUTE');
    CREATE TABLE m (id INT PRIMARY KEY, v INT) WITH (kafka_topic='seven_m', value_format='JSON');
    CREATE TABLE p (id INT PRIMARY KEY, q INT) WITH (kafka_topic='p', value_format='JSON');
    CREATE STREAM l (id BIGINT KEY, v INT) WITH (kafka_topic='l', value_format='JSON');";

#[track_caller]
fn refused(statement: &str, code: Code, primary: &str) {
    check_refused(&format!("{SOURCES} {statement};"), code, primary);
}

#[track_caller]
fn refused_join(from: &str, primary: &str) {
    refused(&format!("CREATE STREAM o AS SELECT * FROM {from}"), Code::InvalidJoin, primary);
}

/// Checks what ksqlDB refuses because of how it deals rows to partitions, and that ours takes it, or would take it if
/// the operators were built.
#[track_caller]
fn only_extended(statement: &str, primary: &str) {
    let sql = format!("{SOURCES} {statement};");
    let settings = PlanSettings { compatibility: Compatibility::Ksqldb, ..PlanSettings::default() };
    match plan_with(&sql, &settings) {
        Err(error) => assert!(error.primary.contains(primary), "{error}"),
        Ok(planned) => panic!("accepted: {}", describe(Ok(planned))),
    }
    match plan(&sql) {
        Err(error) => assert_eq!(error.code, Code::NotImplemented, "{error}"),
        Ok(Planned::Query(_)) => {}
        other => panic!("no query: {other:?}"),
    }
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
fn rows_of_joined_streams_need_a_key() {
    check_stages(
        "CREATE STREAM o AS SELECT rowkey, x FROM a FULL OUTER JOIN b WITHIN 1 HOUR ON a.id = b.id",
        &["Source/1 RequireKey:Append", "Source2/1 RequireKey2:Append", "Join/2 Join:Append Project:Append"],
    );
}

#[test]
fn joins_stand_left_deep() {
    check_stages(
        "CREATE TABLE o AS SELECT t.id, z, q FROM t JOIN u ON t.id = u.id JOIN p ON u.id = p.id",
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
fn a_condition_holds_an_equality_between_two_sources() {
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id > b.id", "must be an equality");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id > b.id AND a.v = 5", "must be an equality");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id = b.id OR a.v = b.v", "with OR are not supported");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id = 1", "must read exactly one source");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id + b.id = b.id", "must read exactly one source");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id = a.v", "they must read different sources");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id = b.id JOIN t ON a.id = b.id", "does not read T, which it joins");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id = t.id JOIN t ON a.id = t.id", "reads T, which is joined later");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.x = b.v", "different types: STRING and INTEGER");
    refused_join("a JOIN b WITHIN 1 HOUR ON a.id = b.id AND COUNT(*) > 1", "cannot hold aggregate functions");
    refused_join("a JOIN b WITHIN 1 HOUR ON AS_MAP(ARRAY[a.x], ARRAY[1]) = AS_MAP(ARRAY[b.y], ARRAY[1])", "maps");
    refused(
        "CREATE STREAM o AS SELECT * FROM a JOIN b WITHIN 1 HOUR ON a.id = b.id AND a.v",
        Code::TypeMismatch,
        "ON must be of type BOOLEAN",
    );
}

#[test]
fn the_side_to_cast_is_named() {
    let sql = format!("{SOURCES} CREATE STREAM o AS SELECT * FROM l JOIN t ON l.id = t.id;");
    match plan(&sql) {
        Err(error) => assert_eq!(error.hint.as_deref(), Some("Write CAST(T.ID AS BIGINT)."), "{error}"),
        Ok(planned) => panic!("accepted: {}", describe(Ok(planned))),
    }
}

#[test]
fn what_only_the_architecture_of_ksqldb_forbids_is_for_extended_compatibility() {
    let several = "joins on several conditions";
    only_extended(
        "CREATE STREAM o AS SELECT a.id, x, y FROM a JOIN b WITHIN 1 HOUR ON a.id = b.id AND a.v > b.v",
        several,
    );
    only_extended("CREATE STREAM o AS SELECT a.id, x, z FROM a LEFT JOIN t ON a.id = t.id AND t.v > 3", several);
    only_extended("CREATE TABLE o AS SELECT t.id, z, w FROM t LEFT JOIN u ON t.id = u.id AND t.v = u.v", several);
    only_extended(
        "CREATE STREAM o AS SELECT l.id, l.x, r.x FROM a l JOIN a r WITHIN 1 HOUR ON l.id = r.id",
        "to itself",
    );
    only_extended("CREATE TABLE o AS SELECT l.id, r.z FROM t l JOIN t r ON l.v = r.id", "to itself");
    only_extended("CREATE STREAM o AS SELECT l.id, z FROM l JOIN t ON l.id = CAST(t.id AS BIGINT)", "primary key");
    only_extended(
        "CREATE STREAM o AS SELECT t.id, x FROM a JOIN b WITHIN 1 HOUR ON a.id = b.id JOIN t ON a.v + b.v = t.id",
        "exactly one source",
    );
    only_extended(
        "CREATE TABLE o AS SELECT t.id, q FROM t JOIN u ON t.id = u.id JOIN p ON t.v = p.id",
        "foreign-key join can only be the first",
    );
    only_extended("CREATE STREAM o AS SELECT a.id, x FROM a JOIN m ON a.id = m.id", "4 and 7 partitions");
    only_extended(
        "CREATE STREAM o AS SELECT w.v, w.id FROM w JOIN w2 WITHIN 1 HOUR ON w.v = w2.v",
        "they cannot be repartitioned",
    );
    only_extended("CREATE TABLE o AS SELECT f.id, f.v FROM f JOIN g ON f.id = g.id", "windowed tables");
}

#[test]
fn several_equalities_make_several_key_columns() {
    check_stages(
        "CREATE TABLE o AS SELECT x.id, y.id2, x.v, y.v FROM two x LEFT JOIN two y ON y.id2 = x.id2 AND x.id = y.id",
        &["Source/1", "Source2/1", "Join/2 Join:Upsert Project:Upsert"],
    );
    refused(
        "CREATE STREAM o WITH (key_format='JSON') AS SELECT a.id, x FROM a JOIN b WITHIN 1 HOUR ON a.id = b.id AND a.v = b.v",
        Code::InvalidProjection,
        "join expression A.V or B.V",
    );
    refused(
        "CREATE STREAM o AS SELECT a.id, a.v, x FROM a JOIN b WITHIN 1 HOUR ON a.id = b.id AND a.v = b.v",
        Code::InvalidFormat,
        "KAFKA",
    );
}

#[test]
fn a_condition_that_would_lose_rows_without_partner_is_refused() {
    let on = "WITHIN 1 HOUR ON a.id = b.id AND";
    refused_join(&format!("a LEFT JOIN b {on} a.v > b.v"), "condition of this LEFT JOIN can hold");
    refused_join(&format!("a LEFT JOIN b {on} a.v > 1"), "conditions on the right stream only");
    refused_join(&format!("a RIGHT JOIN b {on} b.v > 1"), "conditions on the left stream only");
    refused_join(&format!("a FULL OUTER JOIN b {on} b.v > 1"), "can hold equalities only");
    refused_join("t FULL OUTER JOIN u ON t.id = u.id AND u.v > 1", "can hold equalities only");
}

#[test]
fn streams_join_without_within_only_where_a_setting_bounds_them() {
    let sql = format!("{SOURCES} CREATE STREAM o AS SELECT * FROM a JOIN b ON a.id = b.id;");
    let planned = |join_streams_ttl_ms, compatibility| {
        let settings = PlanSettings { join_streams_ttl_ms, compatibility, ..PlanSettings::default() };
        match plan_with(&sql, &settings) {
            Ok(Planned::Query(query)) => format!("{:?}", query.graph),
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    };
    let bounded = "Streams { before_ms: 5000, after_ms: 5000, grace_ms: 0, waits: true }";
    assert!(planned(5000, Compatibility::Extended).contains(bounded));
    assert!(planned(0, Compatibility::Extended).contains("SET 'join.streams.ttl' = '7d'"));
    let refused = planned(5000, Compatibility::Ksqldb);
    assert!(refused.contains("needs a WITHIN clause") && !refused.contains("ttl"), "{refused}");
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
