//! Queries that are refused, and where the message points.

use super::{check, check_refused, describe, plan_with};
use crate::diagnostics::Code;
use crate::planner::{Compatibility, PlanSettings};

const S: &str = "CREATE STREAM s (k INT KEY, v INT, `low` STRING, st STRUCT<f INT>)
    WITH (kafka_topic='s', value_format='JSON');";
const T: &str = "CREATE TABLE t (k INT PRIMARY KEY, v INT, a ARRAY<INT>) WITH (kafka_topic='t', value_format='JSON');";

#[test]
fn unknown_names_are_refused_with_place_and_hint() {
    check(
        &format!("{S}\nSELECT vv FROM s EMIT CHANGES;"),
        "UNKNOWN_COLUMN: line 3:8: column VV does not exist in stream S
         Hint: Did you mean \"V\"?",
    );
    check(
        &format!("{S}\nSELECT low FROM s EMIT CHANGES;"),
        "UNKNOWN_COLUMN: line 3:8: column LOW does not exist in stream S
         Hint: Did you mean \"low\"? Wrap the name in double quotes to keep its letter case.",
    );
    check(
        &format!("{S}\nSELECT * FROM `s` EMIT CHANGES;"),
        "UNKNOWN_SOURCE: line 3:15: source `s` does not exist
         Hint: Did you mean S? Remove the quotes: names without quotes are upper case.",
    );
    check(
        &format!("{S}\nSELECT other.* FROM s EMIT CHANGES;"),
        "UNKNOWN_SOURCE: line 3:8: OTHER is not a source or alias of this query",
    );
    check_refused(&format!("{S} SELECT s.v FROM s a EMIT CHANGES;"), Code::UnknownSource, "S is not a source or alias");
}

#[test]
fn pseudo_column_names_are_kept() {
    check_refused(&format!("{S} CREATE STREAM o AS SELECT k, rowtime FROM s;"), Code::ReservedName, "ROWTIME is kept");
    check_refused(
        &format!("{S} CREATE STREAM o AS SELECT k, v AS windowend FROM s;"),
        Code::ReservedName,
        "WINDOWEND is kept for a pseudo column and cannot be an alias",
    );
}

#[test]
fn the_statement_must_make_what_the_query_gives() {
    check_refused(&format!("{S} CREATE TABLE o AS SELECT * FROM s;"), Code::WrongKind, "the query produces a stream");
    check_refused(&format!("{T} CREATE STREAM o AS SELECT * FROM t;"), Code::WrongKind, "the query produces a table");
}

#[test]
fn clauses_that_do_not_go_together_are_refused() {
    check_refused(
        &format!("{S} CREATE STREAM o AS SELECT * FROM s WINDOW TUMBLING (SIZE 1 SECOND);"),
        Code::InvalidWindow,
        "a WINDOW clause needs a GROUP BY clause",
    );
    check_refused(&format!("{S} CREATE STREAM o AS SELECT * FROM s EMIT FINAL;"), Code::InvalidWindow, "EMIT FINAL");
    check_refused(&format!("{S} CREATE STREAM o AS SELECT * FROM s LIMIT 1;"), Code::Unsupported, "LIMIT");
}

#[test]
fn result_names_occur_once() {
    check_refused(&format!("{S} CREATE STREAM o AS SELECT k, v, v FROM s;"), Code::DuplicateName, "column V");
    check_refused(&format!("{S} CREATE STREAM o AS SELECT k, v AS k FROM s;"), Code::DuplicateName, "column K");
}

#[test]
fn insert_into_wants_exactly_the_targets_schema() {
    let two = format!("{S} CREATE STREAM o AS SELECT k, v FROM s;");
    check(
        &format!("{two} INSERT INTO o SELECT v, k FROM s;"),
        "stream O: `K` INTEGER KEY, `V` INTEGER
         key KAFKA unwrapped, value JSON
         topic O of 1 partitions, new
         Sink stream O: `K` INTEGER KEY, `V` INTEGER
           Project K, V
             Source stream S",
    );
    check_refused(
        &format!("{two} INSERT INTO o SELECT k, v AS w FROM s;"),
        Code::SchemaMismatch,
        "the result does not fit stream O",
    );
    check_refused(&format!("{S} {T} INSERT INTO t SELECT k, v FROM s;"), Code::WrongKind, "T is a table");
    check_refused(&format!("{two} INSERT INTO nowhere SELECT k, v FROM s;"), Code::UnknownSource, "NOWHERE");
    check_refused(
        "CREATE SOURCE STREAM r (v INT) WITH (kafka_topic='r', value_format='JSON'); INSERT INTO r SELECT * FROM r;",
        Code::ReadOnly,
        "stream R is read-only",
    );
}

#[test]
fn a_scan_of_a_stream_is_a_pull_query() {
    check(
        &format!("{S} SELECT v, rowoffset FROM s WHERE v > 1;"),
        "V INTEGER, ROWOFFSET BIGINT
         Project V, ROWOFFSET
           Filter V > 1
             Source stream S",
    );
    let ksqldb = PlanSettings { compatibility: Compatibility::Ksqldb, ..PlanSettings::default() };
    for (query, refusal) in [
        ("SELECT rowoffset FROM s;", "pull queries do not support column ROWOFFSET"),
        ("SELECT * FROM s PARTITION BY v;", "pull queries do not support PARTITION BY"),
    ] {
        let text = describe(plan_with(&format!("{S} {query}"), &ksqldb));
        assert!(text.contains(refusal), "{text}");
    }
}
