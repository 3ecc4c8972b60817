//! Whole statements over JSON and other records: what planner, operators, formats and runtime make of them together.

use super::*;
use crate::catalog::{Catalog, CatalogChange};
use crate::planner::{PlanContext, PlanSettings, TopicShape, define_source, plan_create_as, plan_insert_select};
use crate::sql::ast::StatementKind;
use crate::sql::parse_statements;
use crate::types::Header;

/// Runs statements over records of topic `a`, one a line: `key value @time {header=value}` (`~` is null). Gives the
/// records of topic `b` in the same form, and what was told.
fn check(statements: &str, input: &str, expected: &str) {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, _) = world.seeded(1, RuntimeSettings { worker_threads: 1, ..RuntimeSettings::default() });
    for (i, graph) in graphs(statements).into_iter().enumerate() {
        runtime.start_query(query(&format!("Q{i}"), graph)).unwrap();
    }
    let records: RecordBlock = lines(input).map(record_of).collect::<Vec<_>>().iter().collect();
    let records = PartitionRecords { topic: "a".to_owned(), partition: Partition(0), records };
    world.log.append(Transaction { records: vec![records] }, Box::new(|_| {}));
    runtime.wait_until_caught_up(None, SOON).unwrap();
    let id = world.log.topic("b").unwrap().unwrap().id;
    let mut output: Vec<String> =
        world.log.read(id, Partition(0), Offset(0), 1 << 20).unwrap().records.iter().map(text_of).collect();
    output.extend(world.told.lock().iter().map(|entry| format!("! {} {:?}", entry.offset.unwrap(), entry.failed)));
    assert_eq!(output, lines(expected).collect::<Vec<_>>());
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// The graphs of the persistent queries.
fn graphs(statements: &str) -> Vec<Arc<OperatorGraph>> {
    let functions = FunctionRegistry::builtin();
    let settings = PlanSettings::default();
    let topics = |_: &str| Some(TopicShape { partitions: 1, replicas: 1, retention_ms: None });
    let ctx = PlanContext { functions: &functions, settings: &settings, topics: &topics };
    let mut catalog = Catalog::default();
    let mut graphs = Vec::new();
    for statement in parse_statements(statements).unwrap() {
        let planned = match &statement.kind {
            StatementKind::CreateSource(stmt) => {
                let source = define_source(stmt, &catalog, &ctx).unwrap().source;
                catalog = catalog.with(CatalogChange::PutSource(Box::new(source)));
                continue;
            }
            StatementKind::CreateSourceAs(stmt) => plan_create_as(stmt, &catalog, &ctx).unwrap(),
            StatementKind::InsertSelect { target, with, query } => {
                plan_insert_select(target, with, query, &catalog, &ctx).unwrap()
            }
            other => panic!("no query: {other:?}"),
        };
        if let Some(sink) = planned.sink {
            catalog = catalog.with(CatalogChange::PutSource(Box::new(sink.source)));
        }
        // What runs is what is stored.
        let stored = serde_json::to_string(&planned.graph).unwrap();
        graphs.push(Arc::new(serde_json::from_str(&stored).unwrap()));
    }
    graphs
}

fn record_of(line: &str) -> Record {
    let bytes = |text: &str| (text != "~").then(|| Bytes::copy_from_slice(text.as_bytes()));
    let (line, time) = line.rsplit_once(" @").unwrap();
    let (time, headers) = time.split_once(" {").unwrap_or((time, ""));
    let (key, value) = line.split_once(' ').unwrap();
    let headers = headers.trim_end_matches('}').split(',').filter(|header| !header.is_empty()).map(|header| {
        let (key, value) = header.split_once('=').unwrap();
        Header { key: key.to_owned(), value: bytes(value) }
    });
    Record {
        key: bytes(key),
        value: bytes(value),
        timestamp: EventTime(time.parse().unwrap()),
        headers: headers.collect(),
    }
}

fn text_of(record: crate::types::RecordView<'_>) -> String {
    let text = |bytes: Option<&[u8]>| bytes.map_or("~".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut line = format!("{} {} @{}", text(record.key), text(record.value), record.timestamp);
    if !record.headers.is_empty() {
        let headers: Vec<_> =
            record.headers.iter().map(|header| format!("{}={}", header.key, text(header.value.as_deref()))).collect();
        line += &format!(" {{{}}}", headers.join(","));
    }
    line
}

const STREAM: &str = "CREATE STREAM S (K STRING KEY, A BIGINT, T STRING) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');";
const TABLE: &str =
    "CREATE TABLE S (K STRING PRIMARY KEY, A BIGINT, T STRING) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');";

#[test]
fn a_stream_is_filtered_and_projected() {
    check(
        &format!("{STREAM} CREATE STREAM D WITH (KAFKA_TOPIC='b') AS SELECT K, A + 1 AS B, T AS U FROM S WHERE A > 1;"),
        r#"x {"A":1,"T":"a"} @10
           y {"A":2,"T":"b"} @20
           ~ {"A":3} @5
           z ~ @30
           w {"A":"no"} @40
           v {"A":4,"T":"d"} @50 {h=1,i=~}"#,
        r#"y {"B":3,"U":"b"} @20
           ~ {"B":4,"U":null} @5
           v {"B":5,"U":"d"} @50 {h=1,i=~}
           ! 4 Value"#,
    );
}

#[test]
fn null_rows_go_through_a_projection() {
    check(
        &format!("{STREAM} CREATE STREAM D WITH (KAFKA_TOPIC='b') AS SELECT K, A FROM S;"),
        r#"x ~ @1
           ~ ~ @2"#,
        r#"x ~ @1
           ~ ~ @2"#,
    );
}

#[test]
fn a_table_forwards_deletes_and_drops_records_without_a_key() {
    check(
        &format!("{TABLE} CREATE TABLE D WITH (KAFKA_TOPIC='b') AS SELECT K, A FROM S;"),
        r#"x {"A":1} @1
           ~ {"A":2} @2
           x ~ @3
           y ~ @4"#,
        r#"x {"A":1} @1
           x ~ @3
           y ~ @4"#,
    );
}

#[test]
fn partition_by_makes_new_keys() {
    check(
        &format!("{STREAM} CREATE STREAM D WITH (KAFKA_TOPIC='b') AS SELECT T, A, K FROM S PARTITION BY T;"),
        r#"x {"A":1,"T":"t"} @1
           y ~ @2
           z {"A":2} @3"#,
        r#"t {"A":1,"K":"x"} @1
           ~ ~ @2
           ~ {"A":2,"K":"z"} @3"#,
    );
}

#[test]
fn a_record_without_a_key_stays_without_one() {
    check(
        "CREATE STREAM S (A STRING KEY, B STRING KEY, V BIGINT) WITH (KAFKA_TOPIC='a', FORMAT='DELIMITED');
         CREATE STREAM D WITH (KAFKA_TOPIC='b', KEY_FORMAT='JSON') AS SELECT * FROM S;",
        "x,y 1 @1
         ~ 2 @2",
        r#"{"A":"x","B":"y"} 1 @1
           ~ 2 @2"#,
    );
    check(
        "CREATE STREAM S (A STRING KEY, V BIGINT) WITH (KAFKA_TOPIC='a', FORMAT='DELIMITED');
         CREATE STREAM D WITH (KAFKA_TOPIC='b') AS SELECT * FROM S;",
        "~ 2 @2",
        "~ 2 @2",
    );
    check(
        "CREATE STREAM S (A BIGINT, B BIGINT) WITH (KAFKA_TOPIC='a', FORMAT='JSON');
         CREATE STREAM D WITH (KAFKA_TOPIC='b') AS SELECT A, B, ROWTIME AS T FROM S PARTITION BY A, B;",
        r#"~ {"A":null,"B":null} @1
           ~ ~ @2"#,
        r#"{"A":null,"B":null} {"T":1} @1
           {"A":null,"B":null} ~ @2"#,
    );
}

#[test]
fn table_functions_make_a_row_for_each_result() {
    check(
        "CREATE STREAM S (K STRING KEY, X ARRAY<INT>, Y ARRAY<STRING>) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
         CREATE STREAM D WITH (KAFKA_TOPIC='b') AS SELECT K, EXPLODE(X) AS X, EXPLODE(Y) AS Y FROM S;",
        r#"x {"X":[1,2],"Y":["p"]} @1
           y {"X":[],"Y":null} @2
           z ~ @3
           w {"X":null,"Y":["q","r"]} @4"#,
        r#"x {"X":1,"Y":"p"} @1
           x {"X":2,"Y":null} @1
           w {"X":null,"Y":"q"} @4
           w {"X":null,"Y":"r"} @4"#,
    );
}

#[test]
fn event_time_comes_from_a_column_and_goes_to_the_sink() {
    check(
        "CREATE STREAM S (K STRING KEY, A BIGINT, B BIGINT) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON', TIMESTAMP='A');
         CREATE STREAM D WITH (KAFKA_TOPIC='b', TIMESTAMP='B2') AS SELECT K, ROWTIME AS R, B AS B2 FROM S;",
        r#"x {"A":5,"B":50} @1
           y {"A":-1,"B":50} @2
           z {"A":6,"B":-2} @3
           w {"B":60} @4
           v {"A":7,"B":70} @5"#,
        r#"x {"R":5,"B2":50} @50
           v {"R":7,"B2":70} @70
           ! 1 Timestamp
           ! 3 Timestamp
           ! 2 Expression"#,
    );
}

#[test]
fn event_time_is_read_by_a_java_pattern() {
    check(
        "CREATE STREAM S (K STRING KEY, T STRING) WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON', TIMESTAMP='T',
             TIMESTAMP_FORMAT='yyyy-MM-dd''T''HH:mm:ssX');
         CREATE STREAM D WITH (KAFKA_TOPIC='b', TIMESTAMP='D', TIMESTAMP_FORMAT='yyyy') AS
             SELECT K, ROWTIME AS R, SUBSTRING(T, 1, 4) AS D FROM S;",
        r#"x {"T":"2001-09-09T01:46:40Z"} @1
           y {"T":"yesterday"} @2
           z ~ @3"#,
        r#"x {"R":1000000000000,"D":"2001"} @978307200000
           z ~ @1000000000000
           ! 1 Timestamp"#,
    );
}

#[test]
fn pseudo_and_header_columns_have_their_values() {
    check(
        "CREATE STREAM S (K STRING KEY, A BIGINT, H BYTES HEADER('h'), ALL_H ARRAY<STRUCT<KEY STRING, VALUE BYTES>>)
             WITH (KAFKA_TOPIC='a', VALUE_FORMAT='JSON');
         CREATE STREAM D WITH (KAFKA_TOPIC='b') AS
             SELECT K, ROWTIME AS RT, ROWPARTITION AS RP, ROWOFFSET AS RO, H FROM S;",
        r#"x {"A":1} @10
           y {"A":2} @20 {h=a,h=b,g=c}"#,
        r#"x {"RT":10,"RP":0,"RO":0,"H":null} @10
           y {"RT":20,"RP":0,"RO":1,"H":"Yg=="} @20 {h=a,h=b,g=c}"#,
    );
}

#[test]
fn what_fails_on_data_is_null_and_told() {
    check(
        &format!("{STREAM} CREATE STREAM D WITH (KAFKA_TOPIC='b') AS SELECT K, 10 / A AS B FROM S;"),
        r#"x {"A":0} @1
           y {"A":5} @2"#,
        r#"x {"B":null} @1
           y {"B":2} @2
           ! 0 Expression"#,
    );
}
