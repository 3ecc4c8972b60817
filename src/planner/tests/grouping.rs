//! GROUP BY, HAVING, windows and aggregates: the graphs they become, and what is refused.

use super::{Planned, check, check_graph, check_refused, describe, plan_with};
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

/// Checks that the query is refused where ksqlDB's rules hold, and is planned where they do not.
#[track_caller]
fn refused_by_ksqldb(query: &str, primary: &str) {
    let sql = format!("{S} CREATE TABLE o AS {query};");
    let settings = PlanSettings { compatibility: Compatibility::Ksqldb, ..PlanSettings::default() };
    let error = plan_with(&sql, &settings).expect_err("ksqlDB refuses it");
    assert!(error.primary.contains(primary), "{error}");
    plan_with(&sql, &PlanSettings::default()).expect("ours takes it");
}

#[test]
fn a_stream_is_grouped_behind_an_exchange_by_the_key() {
    check_graph(
        &format!(
            "{S} CREATE TABLE o AS SELECT name, COUNT(*), SUM(n + 1), MAX(n), MIN(n) AS x FROM s WHERE id > 1 GROUP BY name;"
        ),
        "stage 0 Source
           from stream S topic s key JSON unwrapped value JSON reads key[0], value[0], value[1]
             ID INTEGER, NAME STRING, N INTEGER
           Where ID > 1
             ID INTEGER, NAME STRING, N INTEGER (Append)
           GroupBy NAME, N + 1 AS KSQL_ARG_0, N
             NAME STRING, KSQL_ARG_0 INTEGER, N INTEGER (Append)
           RequireKey NAME
             NAME STRING, KSQL_ARG_0 INTEGER, N INTEGER (Append)
           to exchange by [0] over 64 slots
         stage 1 Aggregate
           from stage 0
           Aggregate KSQL_AGG_0=COUNT(), KSQL_AGG_1=SUM(KSQL_ARG_0), KSQL_AGG_2=MAX(N), KSQL_AGG_3=MIN(N) Coalesced by NAME
             NAME STRING, KSQL_AGG_0 BIGINT, KSQL_AGG_1 INTEGER, KSQL_AGG_2 INTEGER, KSQL_AGG_3 INTEGER (Upsert)
           Project NAME, KSQL_AGG_0 AS KSQL_COL_0, KSQL_AGG_1 AS KSQL_COL_1, KSQL_AGG_2 AS KSQL_COL_2, KSQL_AGG_3 AS X
             NAME STRING, KSQL_COL_0 BIGINT, KSQL_COL_1 INTEGER, KSQL_COL_2 INTEGER, X INTEGER (Upsert)
           to table O topic O key JSON unwrapped [0] value JSON [1, 2, 3, 4]",
    );
    check(
        &format!("{S} CREATE TABLE o AS SELECT name AS who, COUNT(*) FROM s GROUP BY name;"),
        "table O: `WHO` STRING PRIMARY KEY, `KSQL_COL_0` BIGINT
         key JSON unwrapped, value JSON
         topic O of 4 partitions, new
         Sink table O: `WHO` STRING PRIMARY KEY, `KSQL_COL_0` BIGINT
           Project NAME AS WHO, KSQL_AGG_0 AS KSQL_COL_0
             Aggregate KSQL_AGG_0=COUNT() Coalesced by NAME
               Source stream S",
    );
}

#[test]
fn computed_keys_and_windows_reach_the_sink_and_final_results_replace_nothing() {
    check_graph(
        &format!(
            "{S} CREATE TABLE o AS SELECT name || 'x' AS k, n, WINDOWSTART AS ws, COUNT(*) + n AS c FROM s
             WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 5 SECONDS) GROUP BY name || 'x', n HAVING SUM(n) > 5 EMIT FINAL;"
        ),
        "stage 0 Source
           from stream S topic s key JSON unwrapped value JSON reads value[0], value[1]
             NAME STRING, N INTEGER
           GroupBy NAME || 'x' AS KSQL_KEY_0, N
             KSQL_KEY_0 STRING, N INTEGER (Append)
           RequireKey KSQL_KEY_0, N
             KSQL_KEY_0 STRING, N INTEGER (Append)
           to exchange by [0, 1] over 64 slots
         stage 1 Aggregate
           from stage 0
           Aggregate KSQL_AGG_0=COUNT(), KSQL_AGG_1=SUM(N) in hopping windows of 10000 ms every 5000 ms, grace 0 ms, kept 10000 ms, Final by KSQL_KEY_0, N
             KSQL_KEY_0 STRING, N INTEGER, KSQL_AGG_0 BIGINT, KSQL_AGG_1 INTEGER, WINDOWSTART BIGINT, WINDOWEND BIGINT (Append)
           Having KSQL_AGG_1 > 5
             KSQL_KEY_0 STRING, N INTEGER, KSQL_AGG_0 BIGINT, KSQL_AGG_1 INTEGER, WINDOWSTART BIGINT, WINDOWEND BIGINT (Append)
           Project KSQL_KEY_0 AS K, N, WINDOWSTART AS WS, KSQL_AGG_0 + N AS C, WINDOWSTART, WINDOWEND
             K STRING, N INTEGER, WS BIGINT, C BIGINT, WINDOWSTART BIGINT, WINDOWEND BIGINT (Append)
           to table O topic O key JSON [0, 1] value JSON [2, 3]",
    );
}

#[test]
fn a_table_is_remembered_and_its_old_rows_are_taken_back() {
    check_graph(
        &format!("{S} CREATE TABLE o AS SELECT name, SUM(n) AS x FROM t GROUP BY name HAVING COUNT(*) > 1;"),
        "stage 0 Source
           from table T topic t key JSON unwrapped value JSON reads key[0], value[0], value[1]
             ID INTEGER, NAME STRING, N INTEGER
           to exchange by [0] over 64 slots
         stage 1 Remember
           from stage 0
           Remember ID
             ID INTEGER, NAME STRING, N INTEGER (Changelog)
           GroupBy NAME, N
             NAME STRING, N INTEGER (Changelog)
           RequireKey NAME
             NAME STRING, N INTEGER (Changelog)
           to exchange by [0] over 64 slots
         stage 2 Aggregate
           from stage 1
           Aggregate KSQL_AGG_0=SUM(N), KSQL_AGG_1=COUNT() Coalesced taking back by NAME
             NAME STRING, KSQL_AGG_0 INTEGER, KSQL_AGG_1 BIGINT (Changelog)
           Having KSQL_AGG_1 > 1
             NAME STRING, KSQL_AGG_0 INTEGER, KSQL_AGG_1 BIGINT (Changelog)
           Project NAME, KSQL_AGG_0 AS X
             NAME STRING, X INTEGER (Changelog)
           to table O topic O key JSON unwrapped [0] value JSON [1]",
    );
}

#[test]
fn a_push_query_emits_every_update_and_may_group_everything_into_one() {
    check_graph(
        &format!("{S} SELECT COUNT(*), PREVIOUS(SUM(n)) AS p, SUM(DISTINCT n) FILTER (WHERE id > 3) FROM s EMIT CHANGES;"),
        "stage 0 Source
           from stream S topic s key JSON unwrapped value JSON reads key[0], value[1]
             ID INTEGER, N INTEGER
           GroupBy N, ID > 3 AS KSQL_ARG_1
             N INTEGER, KSQL_ARG_1 BOOLEAN (Append)
           RequireKey
             N INTEGER, KSQL_ARG_1 BOOLEAN (Append)
           to exchange by [] over 64 slots
         stage 1 Aggregate
           from stage 0
           Aggregate KSQL_AGG_0=COUNT(), KSQL_AGG_1=previous SUM(N), KSQL_AGG_2=SUM(DISTINCT N) where KSQL_ARG_1 EveryUpdate by
             KSQL_AGG_0 BIGINT, KSQL_AGG_1 INTEGER, KSQL_AGG_2 INTEGER (Upsert)
           Project KSQL_AGG_0 IF VALUE AS KSQL_COL_0, KSQL_AGG_1 IF VALUE AS P, KSQL_AGG_2 IF VALUE AS KSQL_COL_1
             KSQL_COL_0 BIGINT, P INTEGER, KSQL_COL_1 INTEGER (Upsert)
           to client",
    );
    check_graph(
        &format!("{S} SELECT WINDOWSTART, id, SUM(n) FROM s WINDOW SESSION (10 SECONDS) GROUP BY id EMIT CHANGES;"),
        "stage 0 Source
           from stream S topic s key JSON unwrapped value JSON reads key[0], value[1]
             ID INTEGER, N INTEGER
           GroupBy ID, N
             ID INTEGER, N INTEGER (Append)
           RequireKey ID
             ID INTEGER, N INTEGER (Append)
           to exchange by [0] over 64 slots
         stage 1 Aggregate
           from stage 0
           Aggregate KSQL_AGG_0=SUM(N) in sessions with gaps up to 10000 ms, grace 86390000 ms, kept 86400000 ms, EveryUpdate by ID
             ID INTEGER, KSQL_AGG_0 INTEGER, WINDOWSTART BIGINT, WINDOWEND BIGINT (Upsert)
           Project WINDOWSTART, ID, KSQL_AGG_0 IF VALUE AS KSQL_COL_0
             WINDOWSTART BIGINT, ID INTEGER, KSQL_COL_0 INTEGER (Upsert)
           to client",
    );
}

#[test]
fn settings_choose_when_results_leave_and_how_many_values_are_kept() {
    let every = PlanSettings {
        every_update: true,
        final_with_loss: true,
        aggregate_limits: [("COLLECT_LIST".to_owned(), 3)].into(),
        ..PlanSettings::default()
    };
    for (query, emission) in [
        ("SELECT id, COUNT(*) FROM s GROUP BY id", "EveryUpdate"),
        ("SELECT id, COUNT(*) FROM s WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY id EMIT FINAL", "FinalWithLoss"),
    ] {
        let planned = plan_with(&format!("{S} CREATE TABLE o AS {query};"), &every).expect("a plan");
        let text = describe(Ok(planned));
        assert!(text.contains(emission), "{text}");
    }
}

#[test]
fn window_topics_keep_records_as_long_as_the_windows() {
    for (window, retention) in [
        ("", None),
        ("WINDOW TUMBLING (SIZE 1 SECOND)", Some(-1)),
        ("WINDOW TUMBLING (SIZE 1 SECOND, RETENTION 30 DAYS)", Some(-1)),
    ] {
        let sql = format!("{S} CREATE TABLE o AS SELECT id, COUNT(*) FROM s {window} GROUP BY id;");
        let Ok(Planned::Query(query)) = plan_with(&sql, &PlanSettings::default()) else { panic!("{sql}") };
        let topic = query.sink.expect("a sink").topic;
        assert_eq!((topic.retention_ms, topic.compacted), (retention, true), "{window}");
    }
    let sql = format!(
        "{S} CREATE TABLE o WITH (retention_ms=1000) AS SELECT id, COUNT(*) FROM s
         WINDOW TUMBLING (SIZE 1 SECOND, RETENTION 30 DAYS) GROUP BY id;"
    );
    let Ok(Planned::Query(query)) = plan_with(&sql, &PlanSettings::default()) else { panic!("{sql}") };
    assert_eq!(query.sink.expect("a sink").topic.retention_ms, Some(30 * 24 * 60 * 60 * 1000));
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
    refused(
        "SELECT name, LATEST_BY_OFFSET(n) FROM t GROUP BY name",
        Code::InvalidGrouping,
        "LATEST_BY_OFFSET cannot be applied to a table",
    );
    refused_by_ksqldb("SELECT name, MAX(n), MIN(n) FROM t GROUP BY name", "MAX, MIN cannot be applied to a table");
    refused_by_ksqldb("SELECT id, AVG(n) FROM d GROUP BY id", "AVG keeps values that format DELIMITED");
    refused_by_ksqldb("SELECT name, COUNT(n) FILTER (WHERE n > 1) FROM s GROUP BY name", "FILTER of an aggregate");
    refused_by_ksqldb("SELECT name, COUNT(DISTINCT n) FROM s GROUP BY name", "DISTINCT of an aggregate");
    refused_by_ksqldb("SELECT name, PREVIOUS(SUM(n)) FROM s GROUP BY name", "PREVIOUS of an aggregate");
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
