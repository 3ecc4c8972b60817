//! GROUP BY, HAVING and aggregates: what is refused before anything is built, and what waits to be.

use super::{check_graph, check_refused, plan_with};
use crate::diagnostics::Code;
use crate::planner::{Compatibility, PlanSettings};

const S: &str = "CREATE STREAM s (id INT KEY, name STRING, n INT, m MAP<STRING, INT>)
    WITH (kafka_topic='s', format='JSON');
    CREATE STREAM d (id INT KEY, n INT) WITH (kafka_topic='d', format='DELIMITED');
    CREATE TABLE t (id INT PRIMARY KEY, name STRING, n INT) WITH (kafka_topic='t', format='JSON');";

#[track_caller]
fn refused(query: &str, code: Code, primary: &str) {
    check_refused(&format!("{S} CREATE TABLE o AS {query};"), code, primary);
}

#[test]
fn right_queries_wait_to_be_built() {
    for query in [
        "SELECT name, COUNT(*) FROM s GROUP BY name",
        "SELECT name AS k, n, n + 1, SUM(n) * 2 + n AS x FROM s GROUP BY name, n HAVING MAX(n) > 1 AND n < 5",
        "SELECT id, WINDOWSTART AS ws, COUNT(*) FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY id EMIT FINAL",
        "SELECT m['a'], COUNT(*) FROM s GROUP BY m['a']",
        "SELECT name, SUM(n) FROM t GROUP BY name",
    ] {
        refused(query, Code::NotImplemented, "is not implemented yet");
    }
}

#[test]
fn what_is_selected_is_grouped_or_aggregated() {
    for query in [
        "SELECT name, n, COUNT(*) FROM s GROUP BY name",
        "SELECT *, COUNT(*) FROM s GROUP BY name",
        "SELECT name, n * SUM(n) FROM s GROUP BY name",
        "SELECT name, m['a'], AS_VALUE(m), COUNT(*) FROM s GROUP BY name, m['a']",
        "SELECT name, COUNT(*) FROM s GROUP BY name HAVING n > 1",
    ] {
        refused(query, Code::InvalidGrouping, "outside of aggregates and GROUP BY");
    }
}

#[test]
fn grouping_expressions_are_projected_once_and_aggregates_are_there() {
    refused("SELECT COUNT(*) FROM s GROUP BY name", Code::InvalidProjection, "must hold the grouping expression NAME");
    refused("SELECT name, name AS b, COUNT(*) FROM s GROUP BY name", Code::InvalidProjection, "more than once");
    refused("SELECT name, COUNT(*) FROM s GROUP BY name, s.name", Code::InvalidGrouping, "an expression twice");
    refused("SELECT name FROM s GROUP BY name", Code::InvalidGrouping, "GROUP BY needs an aggregate function");
    refused("SELECT name FROM s GROUP BY name HAVING COUNT(*) = 1", Code::InvalidProjection, "no value columns");
    refused("SELECT COUNT(*) FROM s", Code::InvalidGrouping, "aggregate functions need a GROUP BY clause");
    refused("SELECT SUM(n), COUNT(*) FROM s GROUP BY SUM(n)", Code::InvalidGrouping, "does not support aggregate");
    refused("SELECT name, SUM(COUNT(*)) FROM s GROUP BY name", Code::InvalidGrouping, "cannot be nested");
}

#[test]
fn sources_that_an_aggregate_cannot_read_are_refused() {
    refused("SELECT name, MAX(n), MIN(n) FROM t GROUP BY name", Code::InvalidGrouping, "MAX, MIN cannot be applied");
    let settings = PlanSettings { compatibility: Compatibility::Ksqldb, ..PlanSettings::default() };
    let error = plan_with(&format!("{S} CREATE TABLE o AS SELECT id, AVG(n) FROM d GROUP BY id;"), &settings);
    let error = error.expect_err("ksqlDB keeps the state in the format of the source");
    assert!(error.primary.contains("AVG keeps values that format DELIMITED"), "{error}");
    refused(
        "SELECT name, COUNT(*) FROM t WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY name",
        Code::InvalidWindow,
        "windows are not supported for aggregations over a table",
    );
    refused("SELECT id, TOPK(n, n) FROM s GROUP BY id", Code::FunctionArguments, "must be a literal");
    check_refused(
        &format!("{S} CREATE STREAM o AS SELECT name, COUNT(*) FROM s GROUP BY name;"),
        Code::WrongKind,
        "the query produces a table",
    );
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let windowed = |window: &str| format!("SELECT id, COUNT(*) FROM s WINDOW {window} GROUP BY id");
    for (window, why) in [
        ("HOPPING (SIZE 1 SECOND, ADVANCE BY 2 SECONDS)", "not more than its size"),
        ("HOPPING (SIZE 1 SECOND, ADVANCE BY 0 SECONDS)", "by more than nothing"),
        ("TUMBLING (SIZE 0 SECONDS)", "a size of at least a millisecond"),
        ("TUMBLING (SIZE 1 SECOND, RETENTION 1 SECOND, GRACE PERIOD 1 SECOND)", "the retention of windows is shorter"),
    ] {
        refused(&windowed(window), Code::InvalidWindow, why);
    }
}

#[test]
fn a_table_that_is_filtered_is_remembered() {
    check_graph(
        &format!("{S} CREATE TABLE o AS SELECT id, name FROM t WHERE n > 5;"),
        "stage 0 Source
           from table T topic t key JSON unwrapped value JSON reads key[0], value[0], value[1]
             ID INTEGER, NAME STRING, N INTEGER
           to exchange by [0] over 64 slots
         stage 1 Remember
           from stage 0
           Remember ID
             ID INTEGER, NAME STRING, N INTEGER (Changelog)
           Where N > 5
             ID INTEGER, NAME STRING, N INTEGER (Changelog)
           Project ID, NAME
             ID INTEGER, NAME STRING (Changelog)
           to table O topic O key JSON unwrapped [0] value JSON [1]",
    );
    check_graph(
        "CREATE TABLE w (id INT PRIMARY KEY, n INT)
            WITH (kafka_topic='w', format='JSON', window_type='TUMBLING', window_size='1 SECOND');
         SELECT n FROM w WHERE n > 5 EMIT CHANGES;",
        "stage 0 Source
           from table W topic w key JSON unwrapped value JSON reads key[0], value[0], window start, window end
             ID INTEGER, N INTEGER, WINDOWSTART BIGINT, WINDOWEND BIGINT
           to exchange by [0, 2, 3] over 64 slots
         stage 1 Remember
           from stage 0
           Remember ID, WINDOWSTART, WINDOWEND
             ID INTEGER, N INTEGER, WINDOWSTART BIGINT, WINDOWEND BIGINT (Changelog)
           Where N > 5
             ID INTEGER, N INTEGER, WINDOWSTART BIGINT, WINDOWEND BIGINT (Changelog)
           Project N IF VALUE
             N INTEGER (Changelog)
           to client",
    );
}

#[test]
fn window_bounds_exist_behind_the_grouping_only() {
    let windowed = |rest: &str| format!("SELECT id, COUNT(*) FROM s WINDOW TUMBLING (SIZE 1 SECOND) {rest}");
    for rest in ["WHERE WINDOWEND > 5 GROUP BY id", "GROUP BY id, WINDOWSTART", "GROUP BY id HAVING WINDOWSTART > 1"] {
        refused(&windowed(rest), Code::InvalidWindow, "can only stand in the SELECT list");
    }
    refused(
        "SELECT id, MAX(WINDOWSTART) FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY id",
        Code::InvalidWindow,
        "can only stand in the SELECT list",
    );
}
