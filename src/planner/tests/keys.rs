//! PARTITION BY and the key's place in the SELECT list.

use super::{check, check_graph, check_refused, describe, plan_with};
use crate::diagnostics::Code;
use crate::planner::PlanSettings;

const S: &str = "CREATE STREAM s (id INT KEY, name STRING, age INT) WITH (kafka_topic='s', value_format='JSON',
    key_format='JSON');";

#[test]
fn partition_by_a_column_puts_the_old_key_last() {
    check_graph(
        &format!("{S} CREATE STREAM o AS SELECT * FROM s PARTITION BY name;"),
        "stage 0 Source
           from stream S topic s key JSON unwrapped value JSON reads key[0], value[0], value[1]
             ID INTEGER, NAME STRING, AGE INTEGER
           to exchange by [1] over 64 slots
         stage 1 Repartitioned
           from stage 0
           Project NAME, AGE, ID
             NAME STRING, AGE INTEGER, ID INTEGER (Append)
           to stream O topic O key JSON unwrapped [0] value JSON [1, 2]",
    );
}

#[test]
fn partition_by_the_key_itself_changes_nothing() {
    check(
        &format!("{S} CREATE STREAM o AS SELECT id, name FROM s PARTITION BY s.id;"),
        "stream O: `ID` INTEGER KEY, `NAME` STRING
         key JSON unwrapped, value JSON
         topic O of 4 partitions, new
         Sink stream O: `ID` INTEGER KEY, `NAME` STRING
           Project ID, NAME
             Source stream S",
    );
}

#[test]
fn partition_by_null_takes_the_key_away() {
    check(
        &format!("{S} CREATE STREAM o AS SELECT * FROM s PARTITION BY NULL;"),
        "stream O: `NAME` STRING, `AGE` INTEGER, `ID` INTEGER
         key NONE, value JSON
         topic O of 4 partitions, new
         Sink stream O: `NAME` STRING, `AGE` INTEGER, `ID` INTEGER
           Project NAME, AGE, ID
             PartitionBy NULL
               Source stream S",
    );
    check_refused(
        &format!("{S} CREATE STREAM o WITH (key_format='JSON') AS SELECT * FROM s PARTITION BY NULL;"),
        Code::InvalidFormat,
        "a key format is given for a stream without key columns",
    );
    check_refused(
        &format!("{S} CREATE STREAM o AS SELECT * FROM s PARTITION BY NULL, id;"),
        Code::InvalidPartitioning,
        "several expressions including NULL",
    );
}

#[test]
fn the_key_must_be_projected_once() {
    check_refused(
        &format!("{S} CREATE STREAM o AS SELECT name FROM s;"),
        Code::InvalidProjection,
        "must hold the key column ID",
    );
    check_refused(
        &format!("{S} CREATE STREAM o AS SELECT name AS id, age FROM s;"),
        Code::InvalidProjection,
        "must hold the key column ID",
    );
    check_refused(
        &format!("{S} CREATE STREAM o AS SELECT id, id AS id2, age FROM s;"),
        Code::InvalidProjection,
        "key column ID is in the SELECT list more than once",
    );
    check_refused(&format!("{S} CREATE STREAM o AS SELECT id FROM s;"), Code::InvalidProjection, "no value columns");
    check_refused(
        &format!("{S} CREATE STREAM o AS SELECT id, age FROM s PARTITION BY name;"),
        Code::InvalidProjection,
        "must hold the partitioning expression NAME",
    );
}

#[test]
fn a_key_is_renamed_by_its_alias_and_keeps_its_place() {
    check(
        &format!("{S} CREATE STREAM o AS SELECT name, age AS old, id AS k FROM s PARTITION BY age, id;"),
        "stream O: `OLD` INTEGER KEY, `K` INTEGER KEY, `NAME` STRING
         key JSON, value JSON
         topic O of 4 partitions, new
         Sink stream O: `OLD` INTEGER KEY, `K` INTEGER KEY, `NAME` STRING
           Project AGE AS OLD, ID AS K, NAME
             PartitionBy AGE, ID
               Source stream S",
    );
}

#[test]
fn partition_by_is_resolved_on_the_input() {
    check_refused(
        &format!("{S} CREATE STREAM o AS SELECT name AS n, id FROM s PARTITION BY n;"),
        Code::UnknownColumn,
        "column N does not exist in stream S",
    );
    check_refused(
        "CREATE TABLE t (k INT PRIMARY KEY, v INT) WITH (kafka_topic='t', value_format='JSON');
         CREATE TABLE o AS SELECT * FROM t PARTITION BY v;",
        Code::InvalidPartitioning,
        "table T cannot be repartitioned",
    );
}

#[test]
fn a_setting_makes_the_key_follow_the_select_list() {
    let settings = PlanSettings { key_follows_select: true, ..PlanSettings::default() };
    let two = "CREATE STREAM s (a INT KEY, b INT KEY, v INT) WITH (kafka_topic='s', format='JSON');";
    for (select, schema) in [
        ("b, a, v", "stream O: `B` INTEGER KEY, `A` INTEGER KEY, `V` INTEGER\nkey JSON,"),
        ("v, b", "stream O: `B` INTEGER KEY, `V` INTEGER\nkey JSON unwrapped,"),
        ("v", "stream O: `V` INTEGER\nkey NONE,"),
    ] {
        let text = describe(plan_with(&format!("{two} CREATE STREAM o AS SELECT {select} FROM s;"), &settings));
        assert!(text.starts_with(schema), "{text}");
    }
}
