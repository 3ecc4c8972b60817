//! Statements that ask, and statements that live for one request.

use super::{Bench, check, run};
use crate::engine::Request;

const ORDERS: &str = "CREATE STREAM orders (id INT KEY, item STRING) \
                      WITH (kafka_topic='orders', value_format='JSON', partitions=2);";

/// Runs statements over `orders` and a stream made from it; the answer must hold these pieces.
fn check_holds(sql: &str, pieces: &[&str]) {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, &format!("{ORDERS} CREATE STREAM pens AS SELECT * FROM orders WHERE item = 'pen';"));
    let told = run(&engine, sql);
    for piece in pieces {
        assert!(told.contains(piece), "{sql}: no {piece} in {told}");
    }
    engine.shutdown();
}

#[test]
fn describe_shows_columns_queries_and_topic() {
    check_holds(
        "DESCRIBE pens;",
        &[
            "\"name\":\"PENS\"",
            "{\"name\":\"ID\",\"schema\":{\"type\":\"INTEGER\",\"fields\":null,\"memberSchema\":null},\"type\":\"KEY\"}",
            "\"writeQueries\":[{\"queryString\":\"CREATE STREAM PENS WITH (KAFKA_TOPIC='PENS', PARTITIONS=2, REPLICAS=",
            "\"sinks\":[\"PENS\"],\"sinkKafkaTopics\":[\"PENS\"],\"id\":\"CSAS_PENS_1\"",
            "\"partitions\":2",
            "\"timestamp\":\"\"",
            "\"queryOffsetSummaries\":[]",
        ],
    );
    check_holds("DESCRIBE orders;", &["\"readQueries\":[{", "\"sourceConstraints\":[\"PENS\"]"]);
    check_holds(
        "DESCRIBE pens EXTENDED;",
        &["\"groupId\":\"_confluent-ksql-default_query_CSAS_PENS_1\"", "\"kafkaTopic\":\"orders\"", "consumer-total"],
    );
    check_holds("SHOW STREAMS EXTENDED;", &["\"sourceDescriptions\":[{", "\"name\":\"ORDERS\"", "\"name\":\"PENS\""]);
    check_holds("DESCRIBE penss;", &["UNKNOWN_SOURCE: line 1:10", "Did you mean \"PENS\"?"]);
}

#[test]
fn explain_plans_statements_and_shows_running_queries() {
    check_holds(
        "EXPLAIN SELECT item FROM orders EMIT CHANGES;",
        &["\"queryType\":\"PUSH\"", "\"sources\":[\"ORDERS\"],\"sinks\":[]", "\"state\":null"],
    );
    check_holds(
        "EXPLAIN CSAS_PENS_1;",
        &["\"id\":\"CSAS_PENS_1\"", "\"sinks\":[\"PENS\"]", "\"localhost:8088\":\"RUNNING\"", "\"state\":\"RUNNING\""],
    );
    check_holds("EXPLAIN CSAS_PENCILS_1;", &["UNKNOWN_QUERY"]);
    check_holds("EXPLAIN SHOW TOPICS;", &["only statements with a query can be explained"]);
}

#[test]
fn topics_are_listed_without_internal_ones_unless_all_are_asked_for() {
    check_holds(
        "SHOW TOPICS EXTENDED;",
        &["{\"name\":\"orders\",\"replicaInfo\":[1,1],\"consumerCount\":2,\"consumerGroupCount\":1}"],
    );
    check_holds("SHOW ALL TOPICS;", &["\"_thalweg-default_-commands\"", "\"orders\""]);
}

#[test]
fn functions_are_listed_and_described() {
    check_holds("SHOW FUNCTIONS;", &["{\"name\":\"UCASE\",\"type\":\"SCALAR\",\"category\":"]);
    check_holds(
        "DESCRIBE FUNCTION ucase;",
        &["\"name\":\"UCASE\"", "\"path\":\"internal\"", "\"arguments\":[{\"name\":", "\"returnType\":\"STRING\""],
    );
    check_holds("DESCRIBE FUNCTION nothing_like_it;", &["UNKNOWN_FUNCTION"]);
}

#[test]
fn settings_live_for_one_request_and_are_shown() {
    check_holds(
        "SET 'auto.offset.reset'='latest'; SHOW PROPERTIES;",
        &[
            "{\"name\":\"ksql.streams.auto.offset.reset\",\"scope\":\"KSQL\",\"value\":\"latest\",\"editable\":true,\
             \"level\":\"QUERY\"}",
            "\"overwrittenProperties\":[\"ksql.streams.auto.offset.reset\"]",
        ],
    );
    check_holds("SET 'auto.offset.rest'='latest';", &["UNKNOWN_PROPERTY", "Did you mean \"auto.offset.reset\"?"]);
    check_holds("SET 'service.id'='x';", &["INVALID_PROPERTY"]);
}

#[test]
fn altered_settings_of_the_service_survive_a_restart() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, "ALTER SYSTEM 'topic.name.prefix'='pre_';");
    engine.shutdown();
    let engine = bench.open();
    run(&engine, &format!("{ORDERS} CREATE STREAM pens AS SELECT * FROM orders;"));
    assert!(run(&engine, "SHOW TOPICS;").contains("\"pre_PENS\""));
    engine.shutdown();
}

#[test]
fn variables_are_replaced_from_the_request_and_by_define() {
    let bench = Bench::new();
    let engine = bench.open();
    let mut request = Request::new(
        "DEFINE v = '''json'''; CREATE STREAM ${name} (a INT) WITH (kafka_topic='${name}', \
         value_format=${v}, partitions=1); SHOW VARIABLES; UNDEFINE v; SHOW VARIABLES;",
    );
    request.variables.insert("name".into(), "s".into());
    let told = engine.execute(&request).expect("variables have values");
    let told = serde_json::to_string(&told).expect("entities serialise");
    assert!(told.contains("\"stream/`S`/create\""), "{told}");
    assert!(told.contains("\"variables\":[{\"name\":\"name\",\"value\":\"s\"}]"), "{told}");
    assert_eq!(bench.records("s"), "");
    assert!(run(&engine, "SHOW ${nothing};").starts_with("SYNTAX_ERROR"));
}

#[test]
fn asserted_topics_must_be_there_as_asserted() {
    check(
        &format!("{ORDERS} ASSERT TOPIC orders WITH (partitions=2); ASSERT NOT EXISTS TOPIC nothing;"),
        "0 stream/`ORDERS`/create: Stream created\n\
         {\"@type\":\"assert_topic\",\"topicName\":\"orders\",\"exists\":true}\n\
         {\"@type\":\"assert_topic\",\"topicName\":\"nothing\",\"exists\":false}",
    );
    check_holds("ASSERT NOT EXISTS TOPIC orders TIMEOUT 1 MILLISECONDS;", &["ASSERTION_FAILED"]);
    check_holds(
        "ASSERT TOPIC orders WITH (partitions=3) TIMEOUT 1 MILLISECONDS;",
        &["topic orders has 2 partitions, not 3"],
    );
    check_holds("ASSERT SCHEMA SUBJECT x;", &["NOT_IMPLEMENTED"]);
}

#[test]
fn there_is_no_connect_cluster() {
    check("SHOW CONNECTORS;", "{\"@type\":\"connector_list\",\"connectors\":[]}");
    check_holds("DESCRIBE CONNECTOR c;", &["NOT_IMPLEMENTED"]);
    let engine = Bench::new().open();
    let create = "CREATE SOURCE CONNECTOR c WITH ('connector.class'='k', 'password'='secret');";
    let refused = engine.execute(&Request::new(create)).expect_err("no Connect");
    assert!(!refused.statement.unwrap_or_default().contains("secret"));
}

#[test]
fn limits_are_named_when_they_are_passed() {
    let bench = Bench::new();
    let engine = bench.open_with(|settings| {
        settings.max_statements = 2;
        settings.max_text_bytes = 400;
        settings.max_persistent_queries = 1;
    });
    assert!(run(&engine, "SHOW TOPICS; SHOW TOPICS; SHOW TOPICS;").contains("limit of 2"));
    assert!(run(&engine, &" ".repeat(401)).contains("statement.max.bytes"));
    run(&engine, ORDERS);
    let told = run(&engine, "CREATE STREAM a AS SELECT * FROM orders; CREATE STREAM b AS SELECT * FROM orders;");
    assert!(told.starts_with("LIMIT_EXCEEDED") && told.contains("queries.max.persistent"), "{told}");
    assert_eq!(run(&engine, "SHOW QUERIES;"), "{\"@type\":\"queries\",\"queries\":[]}");
    engine.shutdown();
}

#[test]
fn queries_are_pointed_to_their_own_door() {
    check_holds("SHOW TOPICS; SELECT * FROM orders EMIT CHANGES;", &["WRONG_ENDPOINT", "/query"]);
    check_holds("PRINT orders;", &["WRONG_ENDPOINT"]);
    let engine = Bench::new().open();
    for sql in ["SHOW TOPICS;", "", "SHOW TOPICS; SHOW TOPICS;"] {
        let refused = engine.query(&Request::new(sql)).expect_err("no query");
        assert_eq!(refused.diagnostic.code.as_str(), "WRONG_ENDPOINT", "{sql}");
    }
}

#[test]
fn a_table_that_no_query_made_cannot_be_pulled_from_in_ksqldb() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, "CREATE TABLE t (k INT PRIMARY KEY, v INT) WITH (kafka_topic='t', format='JSON', partitions=1);");
    let request = Request::new("SELECT * FROM t;");
    assert!(engine.query(&request).is_ok());
    let refused = engine.query(&request.with("sql.compatibility", "ksqldb")).expect_err("not materialized");
    assert!(refused.diagnostic.to_string().contains("Can't pull from `T` as it's not a materialized table."));
    engine.shutdown();
}

#[test]
fn a_request_waits_for_the_command_it_names() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, ORDERS);
    let asks = |number| Request { command_sequence_number: Some(number), ..Request::new("SHOW STREAMS;") };
    assert!(engine.execute(&asks(0)).is_ok());
    assert!(engine.execute(&asks(-1)).is_ok());
}
