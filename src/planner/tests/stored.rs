//! Graphs as they are written, and which may replace which.

use super::{Planned, plan};
use crate::planner::{OperatorGraph, check_upgrade, explain_graph};

const S: &str = "CREATE STREAM s (id INT KEY, name STRING, n BIGINT, arr ARRAY<INT>, `low` STRING)
    WITH (kafka_topic='s', format='JSON');";

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
    let old = graph("CREATE STREAM o AS SELECT id, name FROM s;");
    for (new, accepted) in [
        ("CREATE STREAM o AS SELECT id, name, n FROM s;", true),
        ("CREATE STREAM o AS SELECT id, name FROM s WHERE n > 1;", true),
        ("CREATE STREAM o AS SELECT id, name FROM s PARTITION BY name;", false),
        ("CREATE STREAM o AS SELECT id, name, EXPLODE(arr) AS e FROM s;", false),
        ("CREATE STREAM p AS SELECT id, name FROM s;", false),
    ] {
        assert_eq!(check_upgrade(&old, &graph(new)).is_ok(), accepted, "{new}");
    }
}
