//! CREATE STREAM and CREATE TABLE over a topic.

use super::{check, check_refused, describe, plan_with};
use crate::diagnostics::Code;
use crate::formats::FormatName;
use crate::planner::PlanSettings;

#[test]
fn a_stream_has_its_formats_and_topic() {
    check(
        "CREATE STREAM orders (id BIGINT KEY, item STRING, n INT) WITH (kafka_topic='o', value_format='json');",
        "stream ORDERS: `ID` BIGINT KEY, `ITEM` STRING, `N` INTEGER
         key KAFKA unwrapped, value JSON
         topic o of 4 partitions",
    );
    check(
        "CREATE TABLE t (a INT PRIMARY KEY, b INT PRIMARY KEY, v INT)
            WITH (KAFKA_TOPIC='new', PARTITIONS=2, FORMAT='DELIMITED', VALUE_DELIMITER='TAB');",
        "table T: `A` INTEGER PRIMARY KEY, `B` INTEGER PRIMARY KEY, `V` INTEGER
         key DELIMITED, value DELIMITED '\\t' unwrapped
         topic new of 2 partitions, new",
    );
}

#[test]
fn windows_and_event_time_are_read_from_properties() {
    check(
        "CREATE STREAM s (k STRING KEY, ts STRING) WITH (kafka_topic='t', value_format='JSON', window_type='hopping',
            window_size='30 seconds', timestamp='ts', timestamp_format='yyyy-MM-dd''T''HH:mm:ssX');",
        "stream S: `K` STRING KEY, `TS` STRING
         key KAFKA unwrapped, value JSON
         topic t of 4 partitions
         window HOPPING Some(30000)
         timestamp TS Some(\"yyyy-MM-dd'T'HH:mm:ssX\")",
    );
}

#[test]
fn settings_give_the_formats_that_a_statement_leaves_out() {
    let settings = PlanSettings {
        default_key_format: FormatName::Json,
        default_value_format: Some(FormatName::Delimited),
        ..PlanSettings::default()
    };
    let text = describe(plan_with("CREATE STREAM s (a INT) WITH (kafka_topic='t');", &settings));
    assert!(text.contains("key JSON, value DELIMITED unwrapped"), "{text}");
    let settings = PlanSettings { wrap_single_values: Some(false), ..PlanSettings::default() };
    let text = describe(plan_with("CREATE STREAM s (a INT) WITH (kafka_topic='t', value_format='JSON');", &settings));
    assert!(text.contains("value JSON unwrapped"), "{text}");
}

#[test]
fn wrong_columns_are_refused() {
    for (columns, code, primary) in [
        ("a INT PRIMARY KEY", Code::InvalidKey, "column A is a PRIMARY KEY column"),
        ("a INT, a STRING", Code::DuplicateName, "column A is declared twice"),
        ("rowtime INT", Code::ReservedName, "column name ROWTIME is kept"),
        ("h ARRAY<STRING> HEADERS", Code::TypeMismatch, "header column H must be of type ARRAY<STRUCT"),
        ("a INT, h STRING HEADER('x')", Code::TypeMismatch, "header column H must be of type BYTES"),
        ("a BYTES HEADER('x'), b BYTES HEADER('x')", Code::DuplicateName, "holds headers that column A holds"),
        ("k MAP<STRING, INT> KEY, v INT", Code::InvalidFormat, "map keys"),
        ("k BOOLEAN KEY, v INT", Code::InvalidFormat, "does not support type 'BOOLEAN'"),
        ("v MAP<INT, INT>", Code::InvalidFormat, "only supports MAP types with STRING keys"),
        ("v NOWHERE", Code::UnknownType, "type NOWHERE does not exist"),
    ] {
        let sql = format!("CREATE STREAM s ({columns}) WITH (kafka_topic='t', value_format='JSON');");
        check_refused(&sql, code, primary);
    }
    check_refused(
        "CREATE TABLE t (a INT) WITH (kafka_topic='t', value_format='JSON');",
        Code::InvalidKey,
        "a table needs a primary key",
    );
    check_refused(
        "CREATE TABLE t (a INT KEY, b INT) WITH (kafka_topic='t', value_format='JSON');",
        Code::InvalidKey,
        "column A is a KEY column, which only streams have",
    );
}

#[test]
fn wrong_properties_are_refused() {
    for (properties, code, primary) in [
        ("value_format='JSON'", Code::InvalidProperty, "property KAFKA_TOPIC is missing"),
        ("kafka_topic='t'", Code::InvalidProperty, "property VALUE_FORMAT is missing"),
        ("kafka_topic=' ', value_format='JSON'", Code::InvalidProperty, "not blank"),
        ("kafka_topic='t', value_format='FOO'", Code::InvalidFormat, "format FOO does not exist"),
        ("kafka_topic='t', format='JSON', key_format='JSON'", Code::InvalidProperty, "cannot be given together"),
        ("kafka_topic='t', format='JSON', valu='1'", Code::UnknownProperty, "property VALU does not exist"),
        ("kafka_topic='t', format='JSON', value_delimiter=';'", Code::InvalidFormat, "does not know option delimiter"),
        ("kafka_topic='t', format='DELIMITED', value_delimiter='<~>'", Code::InvalidFormat, "delimiter"),
        ("kafka_topic='t', format='KAFKA', wrap_single_value=true", Code::InvalidFormat, "WRAP_SINGLE_VALUE"),
        ("kafka_topic='t', format='JSON', window_type='SESSION', window_size='1 DAY'", Code::InvalidWindow, "SESSION"),
        ("kafka_topic='t', format='JSON', window_type='SESSION'", Code::InvalidKey, "needs a key column"),
        ("kafka_topic='t', format='JSON', window_type='TUMBLING'", Code::InvalidWindow, "need property WINDOW_SIZE"),
        ("kafka_topic='t', format='JSON', timestamp='b'", Code::InvalidTimestamp, "column B does not exist"),
        ("kafka_topic='t', format='JSON', timestamp='a'", Code::InvalidTimestamp, "must be of type BIGINT"),
        ("kafka_topic='new', format='JSON'", Code::UnknownTopic, "topic new does not exist"),
        ("kafka_topic='t', format='JSON', partitions=7", Code::InvalidProperty, "has 4 partitions, not 7"),
        ("kafka_topic='t', format='JSON', partitions=0", Code::InvalidProperty, "must be a positive number"),
        ("kafka_topic='t', format='JSON', value_schema_id=1", Code::InvalidProperty, "needs a format with a schema"),
        ("kafka_topic='t', value_format='AVRO'", Code::NotImplemented, "format AVRO"),
    ] {
        check_refused(&format!("CREATE STREAM s (a INT) WITH ({properties});"), code, primary);
    }
}

#[test]
fn a_name_is_taken_once_unless_it_is_replaced_by_what_fits() {
    let first = "CREATE STREAM s (k INT KEY, a INT) WITH (kafka_topic='t', value_format='JSON');";
    let then = |statement: &str| format!("{first} {statement}");
    check_refused(
        &then("CREATE TABLE s (k INT PRIMARY KEY, a INT) WITH (kafka_topic='t', value_format='JSON');"),
        Code::DuplicateName,
        "table S cannot be added: a stream of this name exists",
    );
    check(
        &then("CREATE OR REPLACE STREAM s (k INT KEY, a INT, b INT) WITH (kafka_topic='t', value_format='JSON');"),
        "stream S: `K` INTEGER KEY, `A` INTEGER, `B` INTEGER
         key KAFKA unwrapped, value JSON
         topic t of 4 partitions",
    );
    for (columns, with, differs) in [
        ("k INT KEY, b INT", "kafka_topic='t', value_format='JSON'", "value columns"),
        ("k BIGINT KEY, a INT", "kafka_topic='t', value_format='JSON'", "key columns"),
        ("k INT KEY, a INT", "kafka_topic='u', value_format='JSON'", "topic"),
        ("k INT KEY, a INT", "kafka_topic='t', value_format='KAFKA'", "value format"),
    ] {
        let statement = format!("CREATE OR REPLACE STREAM s ({columns}) WITH ({with});");
        check_refused(&then(&statement), Code::SchemaMismatch, &format!("its {differs} would change"));
    }
}
