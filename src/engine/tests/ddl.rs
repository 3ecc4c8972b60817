//! Durable statements: what they answer, what they refuse, what a restart makes of them.

use super::{Bench, check, run};

const ORDERS: &str = "CREATE STREAM orders (id INT KEY, item STRING, price DOUBLE) \
                      WITH (kafka_topic='orders', value_format='JSON', partitions=1);";

#[test]
fn a_stream_is_created_with_its_topic_and_listed() {
    check(
        &format!("{ORDERS} SHOW STREAMS; SHOW TOPICS;"),
        "0 stream/`ORDERS`/create: Stream created\n\
         {\"@type\":\"streams\",\"streams\":[{\"type\":\"STREAM\",\"name\":\"ORDERS\",\"topic\":\"orders\",\
         \"keyFormat\":\"KAFKA\",\"valueFormat\":\"JSON\",\"isWindowed\":false}]}\n\
         {\"@type\":\"kafka_topics\",\"topics\":[{\"name\":\"orders\",\"replicaInfo\":[1]}]}",
    );
}

#[test]
fn a_mistake_in_the_last_statement_stops_the_first() {
    let bench = Bench::new();
    let engine = bench.open();
    let told = run(&engine, &format!("{ORDERS} DROP TABLE orders;"));
    assert!(told.starts_with("WRONG_KIND"), "{told}");
    assert_eq!(run(&engine, "SHOW STREAMS;"), "{\"@type\":\"streams\",\"streams\":[]}");
    assert_eq!(bench.records("orders"), "no topic");
}

#[test]
fn if_not_exists_warns_and_if_exists_is_content() {
    check(
        &format!("{ORDERS} {} DROP STREAM IF EXISTS nothing;", ORDERS.replace("STREAM", "STREAM IF NOT EXISTS")),
        "0 stream/`ORDERS`/create: Stream created\n\
         warning: Cannot add stream `ORDERS`: A stream with the same name already exists.\n\
         -1 stream/NOTHING/drop: Source `NOTHING` does not exist.",
    );
}

#[test]
fn values_are_inserted_in_the_formats_of_their_source() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, ORDERS);
    assert_eq!(run(&engine, "INSERT INTO orders (rowtime, id, item, price) VALUES (7, 1, 'pen', 1);"), "");
    assert_eq!(run(&engine, "INSERT INTO orders (item) VALUES ('cup');"), "");
    assert_eq!(
        bench.records("orders"),
        "\0\0\0\u{1} {\"ITEM\":\"pen\",\"PRICE\":1.0} @7\nnull {\"ITEM\":\"cup\",\"PRICE\":null} @1000"
    );
}

#[test]
fn a_restart_knows_what_was_there() {
    let bench = Bench::new();
    let before = {
        let engine = bench.open();
        run(&engine, ORDERS);
        run(&engine, "CREATE TYPE address AS STRUCT<city STRING>; ALTER STREAM orders ADD COLUMN a address;");
        run(&engine, "DESCRIBE orders; SHOW TYPES;")
    };
    let engine = bench.open();
    assert_eq!(run(&engine, "DESCRIBE orders; SHOW TYPES;"), before);
    assert_eq!(
        run(&engine, "DROP STREAM orders DELETE TOPIC;"),
        "3 stream/ORDERS/drop: Source `ORDERS` (topic: orders) was dropped."
    );
    assert_eq!(bench.records("orders"), "no topic");
    assert_eq!(run(&bench.open(), "SHOW STREAMS;"), "{\"@type\":\"streams\",\"streams\":[]}");
}
