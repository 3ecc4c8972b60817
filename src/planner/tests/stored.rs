//! Graphs as they are written, and which may replace which.

use super::{Planned, plan};
use crate::planner::{Compatibility, OperatorGraph, check_upgrade, explain_graph};

const S: &str = "CREATE STREAM s (id INT KEY, name STRING, n BIGINT, arr ARRAY<INT>, `low` STRING)
    WITH (kafka_topic='s', format='JSON');
    CREATE TABLE t (id INT PRIMARY KEY, name STRING, n BIGINT) WITH (kafka_topic='t', format='JSON');";

fn graph(query: &str) -> OperatorGraph {
    match plan(&format!("{S} {query}")) {
        Ok(Planned::Query(query)) => query.graph,
        other => panic!("no query: {other:?}"),
    }
}

/// The graph of version 1 in the repository is what this version of the code reads, prints and would write.
#[test]
fn graphs_of_earlier_versions_load_and_print_the_same() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sql-tests/saved-graphs");
    let text = std::fs::read_to_string(folder.join("filter-partition-flat-map-v1.json")).unwrap();
    let graph: OperatorGraph = serde_json::from_str(&text).unwrap();
    let printed = std::fs::read_to_string(folder.join("filter-partition-flat-map-v1.txt")).unwrap();
    assert_eq!(explain_graph(&graph), printed);
    assert_eq!(serde_json::to_string_pretty(&graph).unwrap(), text.trim_end());
}

#[test]
fn a_graph_survives_being_written() {
    let made = graph(
        "CREATE STREAM o WITH (timestamp='n') AS SELECT n, `low` AS l, EXPLODE(arr) AS e, name + '''x' AS quoted
         FROM s WHERE name LIKE 'a!%%' ESCAPE '!' AND n IN (1, 2) PARTITION BY n;",
    );
    let text = serde_json::to_string_pretty(&made).unwrap();
    let read: OperatorGraph = serde_json::from_str(&text).unwrap();
    assert_eq!(read, made, "{text}");
}

#[test]
fn a_query_may_change_its_condition_and_its_select_list() {
    check_upgrades(
        "CREATE STREAM o AS SELECT id, name FROM s;",
        &[
            ("CREATE STREAM o AS SELECT id, name, n FROM s;", ""),
            ("CREATE STREAM o AS SELECT id, name FROM s WHERE n > 1;", ""),
            ("CREATE STREAM o AS SELECT id, name FROM s PARTITION BY name;", "keys or table functions"),
            ("CREATE STREAM o AS SELECT id, name, EXPLODE(arr) AS e FROM s;", "keys or table functions"),
            ("CREATE STREAM p AS SELECT id, name FROM s;", "output"),
        ],
    );
}

/// Checks what would change, if anything, that may not.
#[track_caller]
fn check_upgrades(old: &str, cases: &[(&str, &str)]) {
    let old = graph(old);
    for (new, changes) in cases {
        let told = match check_upgrade(&old, &graph(new), Compatibility::Extended) {
            Ok(()) => String::new(),
            Err(error) => error.primary,
        };
        let expected = match *changes {
            "" => String::new(),
            what => format!("the query cannot be upgraded: its {what} would change"),
        };
        assert_eq!(told, expected, "{new}");
    }
}

#[test]
fn a_filter_of_a_table_may_come_and_go_and_reads_what_was_remembered() {
    check_upgrades(
        "CREATE TABLE o AS SELECT id, name FROM t;",
        &[
            ("CREATE TABLE o AS SELECT id, name FROM t WHERE n > 1;", ""),
            ("CREATE TABLE o AS SELECT id, name, n FROM t;", ""),
        ],
    );
    check_upgrades(
        "CREATE TABLE o AS SELECT id, name FROM t WHERE n > 1;",
        &[
            ("CREATE TABLE o AS SELECT id, name FROM t;", ""),
            ("CREATE TABLE o AS SELECT id, name, n FROM t WHERE n < 1;", ""),
            ("CREATE TABLE o AS SELECT id, name FROM t WHERE id < 1;", "state"),
        ],
    );
}

#[test]
fn aggregations_keep_their_state_where_keys_arguments_and_windows_stay() {
    check_upgrades(
        "CREATE TABLE o AS SELECT name, COUNT(n) AS c FROM s WHERE n > 0 GROUP BY name;",
        &[
            ("CREATE TABLE o AS SELECT name, COUNT(n) AS c FROM s WHERE id > 1 GROUP BY name;", ""),
            ("CREATE TABLE o AS SELECT name, COUNT(n) AS c, AS_VALUE(name) AS n FROM s GROUP BY name;", ""),
            ("CREATE TABLE o AS SELECT name, COUNT(n) AS c FROM s GROUP BY name HAVING COUNT(n) > 1;", ""),
            ("CREATE TABLE o AS SELECT name, COUNT(*) AS c FROM s GROUP BY name;", "state"),
            ("CREATE TABLE o AS SELECT name, COUNT(n) AS c, MAX(n) AS m FROM s GROUP BY name;", "state"),
            ("CREATE TABLE o AS SELECT name, id, COUNT(n) AS c FROM s GROUP BY name, id;", "keys or table functions"),
        ],
    );
    check_upgrades(
        "CREATE TABLE o AS SELECT id, SUM(n) AS c FROM s WINDOW TUMBLING (SIZE 2 SECONDS) GROUP BY id;",
        &[
            (
                "CREATE TABLE o AS SELECT id, SUM(n) AS c FROM s WINDOW TUMBLING (SIZE 2 SECONDS) WHERE n > 1 GROUP BY id;",
                "",
            ),
            ("CREATE TABLE o AS SELECT id, SUM(n) AS c FROM s WINDOW TUMBLING (SIZE 3 SECONDS) GROUP BY id;", "state"),
            (
                "CREATE TABLE o AS SELECT id, SUM(n) AS c FROM s
                 WINDOW TUMBLING (SIZE 2 SECONDS, GRACE PERIOD 86398 SECONDS) GROUP BY id EMIT FINAL;",
                "state",
            ),
        ],
    );
}

#[test]
fn ksqldb_upgrades_no_windows_and_no_aggregation_to_other_columns() {
    let check = |old: &str, new: &str, why: &str| {
        let error = check_upgrade(&graph(old), &graph(new), Compatibility::Ksqldb).expect_err("ksqlDB refuses it");
        assert!(error.primary.contains(why), "{error}");
    };
    check(
        "CREATE TABLE o AS SELECT id, COUNT(*) AS c FROM s WINDOW TUMBLING (SIZE 2 SECONDS) GROUP BY id;",
        "CREATE TABLE o AS SELECT id, COUNT(*) AS c FROM s WINDOW TUMBLING (SIZE 2 SECONDS) WHERE id > 1 GROUP BY id;",
        "windowed aggregation",
    );
    check(
        "CREATE TABLE o AS SELECT id, COUNT(*) AS c FROM s GROUP BY id;",
        "CREATE TABLE o AS SELECT id, COUNT(*) AS c FROM s WHERE n > 1 GROUP BY id;",
        "columns",
    );
}
