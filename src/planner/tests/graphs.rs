//! Plans and operator graphs of queries.

use super::{check, check_graph};

const ORDERS: &str = "CREATE STREAM orders (id BIGINT KEY, item STRING, price DOUBLE, tags ARRAY<STRING>,
    h BYTES HEADER('h')) WITH (kafka_topic='orders', value_format='JSON');";

#[test]
fn a_projection_keeps_the_key_first_and_reads_only_what_it_wants() {
    check(
        &format!("{ORDERS} CREATE STREAM o AS SELECT item AS what, id FROM orders;"),
        "stream O: `ID` BIGINT KEY, `WHAT` STRING
         key KAFKA unwrapped, value JSON
         topic O of 4 partitions, new
         Sink stream O: `ID` BIGINT KEY, `WHAT` STRING
           Project ID, ITEM AS WHAT
             Source stream ORDERS",
    );
    check_graph(
        &format!("{ORDERS} CREATE STREAM o AS SELECT item AS what, id FROM orders;"),
        "stage 0 Source
           from stream ORDERS topic orders key KAFKA unwrapped value JSON reads key[0], value[0]
             ID BIGINT, ITEM STRING
           Project ID, ITEM AS WHAT
             ID BIGINT, WHAT STRING (Append)
           to stream O topic O key KAFKA unwrapped [0] value JSON [1]",
    );
}

#[test]
fn a_star_is_keys_values_and_headers() {
    check(
        &format!("{ORDERS} CREATE STREAM o AS SELECT * FROM orders;"),
        "stream O: `ID` BIGINT KEY, `ITEM` STRING, `PRICE` DOUBLE, `TAGS` ARRAY<STRING>, `H` BYTES
         key KAFKA unwrapped, value JSON
         topic O of 4 partitions, new
         Sink stream O: `ID` BIGINT KEY, `ITEM` STRING, `PRICE` DOUBLE, `TAGS` ARRAY<STRING>, `H` BYTES
           Project ID, ITEM, PRICE, TAGS, H
             Source stream ORDERS",
    );
}

#[test]
fn a_push_query_may_leave_out_the_key_and_read_pseudo_columns() {
    check_graph(
        &format!("{ORDERS} SELECT rowtime, item FROM orders EMIT CHANGES;"),
        "stage 0 Source
           from stream ORDERS topic orders key KAFKA unwrapped value JSON reads value[0], time
             ITEM STRING, ROWTIME BIGINT
           Project ROWTIME, ITEM
             ROWTIME BIGINT, ITEM STRING (Append)
           to client",
    );
}

#[test]
fn a_table_projection_passes_deletes() {
    check_graph(
        "CREATE TABLE t (k INT PRIMARY KEY, v INT) WITH (kafka_topic='t', value_format='JSON');
         SELECT v, k FROM t EMIT CHANGES;",
        "stage 0 Source
           from table T topic t key KAFKA unwrapped value JSON reads key[0], value[0]
             K INTEGER, V INTEGER
           Project V IF VALUE, K
             V INTEGER, K INTEGER (Upsert)
           to client",
    );
}

#[test]
fn a_windowed_sink_has_its_bounds_on_the_last_edge() {
    check_graph(
        "CREATE STREAM s (k INT KEY, v INT)
            WITH (kafka_topic='s', value_format='JSON', window_type='TUMBLING', window_size='1 SECOND');
         CREATE STREAM o AS SELECT * FROM s;",
        "stage 0 Source
           from stream S topic s key KAFKA unwrapped value JSON reads key[0], value[0], window start, window end
             K INTEGER, V INTEGER, WINDOWSTART BIGINT, WINDOWEND BIGINT
           Project K, V, WINDOWSTART, WINDOWEND
             K INTEGER, V INTEGER, WINDOWSTART BIGINT, WINDOWEND BIGINT (Append)
           to stream O topic O key KAFKA unwrapped [0] value JSON [1]",
    );
}

#[test]
fn formats_are_inherited_with_their_delimiter_and_changed_without() {
    let source = "CREATE STREAM s (k INT KEY, v INT) WITH (kafka_topic='s', format='DELIMITED', value_delimiter='|');";
    check(
        &format!("{source} CREATE STREAM o AS SELECT * FROM s;"),
        "stream O: `K` INTEGER KEY, `V` INTEGER
         key DELIMITED unwrapped, value DELIMITED '|' unwrapped
         topic O of 4 partitions, new
         Sink stream O: `K` INTEGER KEY, `V` INTEGER
           Project K, V
             Source stream S",
    );
    check(
        &format!(
            "{source} CREATE STREAM o WITH (value_format='JSON', kafka_topic='newt', partitions=2) AS SELECT * FROM s;"
        ),
        "stream O: `K` INTEGER KEY, `V` INTEGER
         key DELIMITED unwrapped, value JSON
         topic newt of 2 partitions, new
         Sink stream O: `K` INTEGER KEY, `V` INTEGER
           Project K, V
             Source stream S",
    );
}

#[test]
fn timestamps_come_from_the_sinks_column_only_where_the_statement_says_so() {
    let source = "CREATE STREAM s (k INT KEY, t BIGINT) WITH (kafka_topic='s', value_format='JSON');
        CREATE STREAM o WITH (timestamp='t') AS SELECT * FROM s;";
    let lines = |end: &str| {
        format!(
            "stage 0 Source
               from stream S topic s key KAFKA unwrapped value JSON reads key[0], value[0]
                 K INTEGER, T BIGINT
               Project K, T
                 K INTEGER, T BIGINT (Append)
               to stream O topic O key KAFKA unwrapped [0] value JSON [1]{end}"
        )
    };
    check_graph(source, &lines(" time T"));
    check_graph(&format!("{source} INSERT INTO o SELECT * FROM s;"), &lines(""));
}
