//! WHERE, computed columns and keys, table functions, names of what has none.

use super::{check, check_graph, check_refused};
use crate::diagnostics::Code;

const S: &str = "CREATE STREAM s (id INT KEY, name STRING, n INT, st STRUCT<f INT, n STRING>, arr ARRAY<INT>)
    WITH (kafka_topic='s', format='JSON');";

#[test]
fn a_filter_reads_what_the_projection_does_not() {
    check_graph(
        &format!("{S} CREATE STREAM o AS SELECT id, name FROM s WHERE n > 5;"),
        "stage 0 Source
           from stream S topic s key JSON unwrapped value JSON reads key[0], value[0], value[1]
             ID INTEGER, NAME STRING, N INTEGER
           Where N > 5
             ID INTEGER, NAME STRING, N INTEGER (Append)
           Project ID, NAME
             ID INTEGER, NAME STRING (Append)
           to stream O topic O key JSON unwrapped [0] value JSON [1]",
    );
}

#[test]
fn a_condition_must_be_boolean() {
    check_refused(&format!("{S} SELECT * FROM s WHERE n EMIT CHANGES;"), Code::TypeMismatch, "must be of type BOOLEAN");
    check_refused(&format!("{S} SELECT * FROM s WHERE n > 'x' EMIT CHANGES;"), Code::TypeMismatch, "N");
    check_refused(
        &format!("{S} SELECT * FROM s WHERE SUM(n) > 1 EMIT CHANGES;"),
        Code::InvalidGrouping,
        "WHERE cannot",
    );
}

#[test]
fn expressions_get_numbers_and_fields_their_own_name() {
    check(
        &format!("{S} CREATE STREAM o AS SELECT id, n + 1, st->f, n + 2, st->n FROM s;"),
        "stream O: `ID` INTEGER KEY, `KSQL_COL_0` INTEGER, `F` INTEGER, `KSQL_COL_1` INTEGER, `N_1` STRING
         key JSON unwrapped, value JSON
         topic O of 4 partitions, new
         Sink stream O: `ID` INTEGER KEY, `KSQL_COL_0` INTEGER, `F` INTEGER, `KSQL_COL_1` INTEGER, `N_1` STRING
           Project ID, N + 1 AS KSQL_COL_0, ST->F AS F, N + 2 AS KSQL_COL_1, ST->N AS N_1
             Source stream S",
    );
}

#[test]
fn a_struct_star_is_its_fields() {
    check(
        &format!("{S} CREATE STREAM o AS SELECT id, st->* FROM s;"),
        "stream O: `ID` INTEGER KEY, `F` INTEGER, `N` STRING
         key JSON unwrapped, value JSON
         topic O of 4 partitions, new
         Sink stream O: `ID` INTEGER KEY, `F` INTEGER, `N` STRING
           Project ID, ST->F AS F, ST->N AS N
             Source stream S",
    );
}

#[test]
fn a_computed_key_is_a_column_before_rows_are_dealt() {
    check_graph(
        &format!("{S} CREATE STREAM o AS SELECT name, n * 2 AS twice FROM s PARTITION BY n * 2;"),
        "stage 0 Source
           from stream S topic s key JSON unwrapped value JSON reads value[0], value[1]
             NAME STRING, N INTEGER
           PartitionBy NAME, N * 2 IF VALUE AS KSQL_KEY_0
             NAME STRING, KSQL_KEY_0 INTEGER (Append)
           to exchange by [1] over 64 slots
         stage 1 Repartitioned
           from stage 0
           Project KSQL_KEY_0 AS TWICE, NAME
             TWICE INTEGER, NAME STRING (Append)
           to stream O topic O key JSON unwrapped [0] value JSON [1]",
    );
}

#[test]
fn a_star_names_a_computed_key() {
    check(
        &format!("{S} CREATE STREAM o AS SELECT * FROM s PARTITION BY id + 1;"),
        "stream O: `KSQL_COL_0` INTEGER KEY, `NAME` STRING, `N` INTEGER, `ST` STRUCT<`F` INTEGER, `N` STRING>, `ARR` ARRAY<INTEGER>, `ID` INTEGER
         key JSON unwrapped, value JSON
         topic O of 4 partitions, new
         Sink stream O: `KSQL_COL_0` INTEGER KEY, `NAME` STRING, `N` INTEGER, `ST` STRUCT<`F` INTEGER, `N` STRING>, `ARR` ARRAY<INTEGER>, `ID` INTEGER
           Project KSQL_KEY_0 AS KSQL_COL_0, NAME, N, ST, ARR, ID
             PartitionBy KSQL_KEY_0: ID + 1 AS KSQL_KEY_0
               Source stream S",
    );
}

#[test]
fn table_functions_come_before_the_projection() {
    check_graph(
        &format!("{S} CREATE STREAM o AS SELECT id, EXPLODE(arr) + 1 AS e, EXPLODE(ARRAY[n]) FROM s;"),
        "stage 0 Source
           from stream S topic s key JSON unwrapped value JSON reads key[0], value[1], value[3]
             ID INTEGER, N INTEGER, ARR ARRAY<INTEGER>
           FlatMap EXPLODE(ARR) AS KSQL_TABLE_0, EXPLODE(ARRAY[N]) AS KSQL_TABLE_1
             ID INTEGER, KSQL_TABLE_0 INTEGER, KSQL_TABLE_1 INTEGER (Append)
           Project ID, KSQL_TABLE_0 + 1 AS E, KSQL_TABLE_1 AS KSQL_COL_0
             ID INTEGER, E INTEGER, KSQL_COL_0 INTEGER (Append)
           to stream O topic O key JSON unwrapped [0] value JSON [1, 2]",
    );
    let refused = |select: &str, primary| {
        check_refused(&format!("{S} SELECT {select} FROM s EMIT CHANGES;"), Code::InvalidProjection, primary);
    };
    refused("EXPLODE(ARRAY[EXPLODE(arr)])", "cannot be nested");
    refused("CASE WHEN n = 1 THEN EXPLODE(arr) ELSE 2 END", "cannot stand in CASE");
    check_refused(
        "CREATE TABLE t (k INT PRIMARY KEY, a ARRAY<INT>) WITH (kafka_topic='t', value_format='JSON');
         CREATE TABLE o AS SELECT k, EXPLODE(a) FROM t;",
        Code::Unsupported,
        "table functions are not supported over a table",
    );
}

#[test]
fn text_compared_with_rowtime_is_a_point_in_time() {
    check(
        &format!(
            "{S} SELECT id FROM s WHERE s.rowtime > '1970-01-01T00:00:01' AND rowtime BETWEEN '1970' AND '2020' EMIT CHANGES;"
        ),
        "ID INTEGER KEY
         Project ID
           Filter ROWTIME > 1000 AND ROWTIME BETWEEN 0 AND 1577836800000
             Source stream S",
    );
    check_refused(
        &format!("{S} SELECT id FROM s WHERE rowtime > 'soon' EMIT CHANGES;"),
        Code::InvalidLiteral,
        "'soon' is not a point in time",
    );
}

#[test]
fn custom_types_are_resolved_in_casts() {
    check(
        &format!("CREATE TYPE small AS DECIMAL(4, 2); {S} SELECT CAST(n AS small) AS d FROM s EMIT CHANGES;"),
        "D DECIMAL(4, 2)
         Project CAST(N AS DECIMAL(4, 2)) AS D
           Source stream S",
    );
}

#[test]
fn lambda_parameters_are_not_columns_and_do_not_hide_them() {
    check(
        &format!("{S} SELECT TRANSFORM(arr, x => x + n) AS d FROM s EMIT CHANGES;"),
        "D ARRAY<INTEGER>
         Project TRANSFORM(ARR, X => X + N) AS D
           Source stream S",
    );
    check_refused(
        &format!("{S} SELECT TRANSFORM(arr, n => n + 1) FROM s EMIT CHANGES;"),
        Code::DuplicateName,
        "lambda parameter N is also the name of a column",
    );
}

#[test]
fn the_bare_null_has_no_type() {
    check_refused(&format!("{S} SELECT NULL AS x FROM s EMIT CHANGES;"), Code::TypeMismatch, "type of NULL");
}

#[test]
fn numbers_fit_decimal_columns_of_an_insert() {
    let two = "CREATE STREAM a (k INT KEY, d DECIMAL(4, 2)) WITH (kafka_topic='a', value_format='JSON');";
    check(
        &format!("{S} {two} INSERT INTO a SELECT id AS k, 12.5 AS d FROM s;"),
        "stream A: `K` INTEGER KEY, `D` DECIMAL(4, 2)
         key KAFKA unwrapped, value JSON
         topic a of 4 partitions
         Sink stream A: `K` INTEGER KEY, `D` DECIMAL(4, 2)
           Project ID AS K, CAST(12.5 AS DECIMAL(4, 2)) AS D
             Source stream S",
    );
    check_refused(
        &format!("{S} {two} INSERT INTO a SELECT id AS k, 12.555 AS d FROM s;"),
        Code::SchemaMismatch,
        "does not fit stream A",
    );
}
