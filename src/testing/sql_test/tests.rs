//! Scripts from text to outcomes.

use super::{Session, split};

/// The outcome of every test of a script, a line each.
fn outcomes(script: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("script.sql");
    let outcomes = split(script).into_iter().map(|test| {
        let outcome = Session::open(&path).and_then(|mut session| session.run(&test));
        format!("{}: {}", test.name, outcome.err().unwrap_or_else(|| "ok".to_owned()))
    });
    outcomes.collect::<Vec<_>>().join("\n")
}

const S: &str = "CREATE STREAM s (id INT KEY, v INT) WITH (kafka_topic='s', value_format='JSON');
                 CREATE STREAM t AS SELECT id, v + 1 AS w FROM s;";

#[test]
fn records_are_read_one_after_another() {
    let script = format!(
        "-- a comment before the first test
--@test: all as expected
{S}
INSERT INTO s (id, v) VALUES (1, 1);
INSERT INTO s (rowtime, id, v) VALUES (7, 2, NULL);
ASSERT VALUES t (id, w) VALUES (1, 2);
ASSERT VALUES s (v) VALUES (1);
ASSERT VALUES t (rowtime, id, w) VALUES (7, 2, NULL);
ASSERT STREAM t (id INT KEY, w INT) WITH (kafka_topic='T', value_format='JSON');
--@test: a wrong value
{S}
INSERT INTO s VALUES (1, 1);
ASSERT VALUES t VALUES (1, 3);
--@test: no such record
{S}
ASSERT VALUES t (id) VALUES (1);
--@test: another schema
{S}
ASSERT STREAM t (id INT KEY, w BIGINT) WITH (kafka_topic='T', value_format='JSON');
--@test: a tombstone
CREATE TABLE a (id INT PRIMARY KEY, v INT) WITH (kafka_topic='a', value_format='KAFKA');
INSERT INTO a (id, v) VALUES (1, 2);
ASSERT NULL VALUES a (id) KEY (1);
"
    );
    assert_eq!(
        outcomes(&script),
        "all as expected: ok\n\
         a wrong value: column W: expected 3, got 2, in: ASSERT VALUES t VALUES (1, 3);\n\
         no such record: topic T holds only 0 records, in: ASSERT VALUES t (id) VALUES (1);\n\
         another schema: expected schema `ID` INTEGER KEY, `W` BIGINT, got `ID` INTEGER KEY, `W` INTEGER, in: ASSERT STREAM \
         t (id INT KEY, w BIGINT) WITH (kafka_topic='T', value_format='JSON');\n\
         a tombstone: expected a tombstone, got \0\0\0\u{2}, in: ASSERT NULL VALUES a (id) KEY (1);"
    );
}

#[test]
fn expected_errors_must_come_and_end_the_test() {
    let script = format!(
        "--@test: the error comes
--@expected.error: x.y.Z
--@expected.message: does not exist
{S}
DROP STREAM nothing;
ASSERT VALUES t (id) VALUES (1);
--@test: another error comes
--@expected.message: something else
DROP STREAM nothing;
--@test: no error comes
--@expected.error: x.y.Z
{S}
--@test: an assertion is no error
--@expected.error: x.y.Z
{S}
ASSERT VALUES t (id) VALUES (1);
--@test: too early
DROP STREAM nothing;
--@expected.error: x.y.Z
"
    );
    assert_eq!(
        outcomes(&script),
        "the error comes: ok\n\
         another error comes: expected an error with \"something else\", got: line 1:13: stream NOTHING does not exist\n\
         no error comes: accepted, but expected: an error\n\
         an assertion is no error: topic T holds only 0 records, in: ASSERT VALUES t (id) VALUES (1);\n\
         too early: line 1:13: stream NOTHING does not exist"
    );
}

#[test]
fn variables_settings_and_other_scripts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("main.sql");
    std::fs::write(folder.path().join("streams.sql"), S).expect("a file");
    let script = "--@test: x
DEFINE n = '5';
SET 'auto.offset.reset' = 'earliest';
RUN SCRIPT 'streams.sql';
INSERT INTO s VALUES (1, ${n});
ASSERT VALUES t (w) VALUES (6);
UNSET 'auto.offset.reset';
UNDEFINE n;
";
    for test in split(script) {
        assert_eq!(Session::open(&path).and_then(|mut session| session.run(&test)), Ok(()));
    }
}
