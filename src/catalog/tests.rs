//! What may be dropped, altered and replaced, over a small catalog.

use std::sync::Arc;

use super::{Catalog, CatalogChange, PersistentQuery, QueryId, Source, altered, check_drop};
use crate::diagnostics::Diagnostic;
use crate::formats::{FormatName, Side, SideColumn};
use crate::sql::ast::{SourceKind, StatementKind};
use crate::types::{Column, ColumnRole, Name, Schema, SqlType};

fn source(name: &str, kind: SourceKind, topic: &str) -> Source {
    let column = |name: &str, role| Column { name: name.into(), ty: SqlType::Integer, role };
    let side = |name: &str, format| Side {
        format,
        delimiter: None,
        unwrapped: format == FormatName::Kafka,
        columns: vec![SideColumn { name: name.into(), ty: SqlType::Integer }],
    };
    Source {
        name: name.into(),
        kind,
        schema: Schema::new(vec![column("K", ColumnRole::Key), column("V", ColumnRole::Value)]),
        topic: topic.to_owned(),
        key: side("K", FormatName::Kafka),
        value: side("V", FormatName::Json),
        wrap_given: None,
        window: None,
        timestamp: None,
        read_only: false,
        created_by: None,
        begins_at: Vec::new(),
        sql: String::new(),
    }
}

/// Streams A and RO (read-only) and its neighbour N over one topic, table T; query Q makes stream B of A, I inserts
/// A into N.
fn catalog() -> Catalog {
    let query = |id: &str, sink: &str| PersistentQuery {
        id: QueryId(id.to_owned()),
        sink: sink.into(),
        sources: vec!["A".into()],
        sql: String::new(),
        paused: false,
    };
    let made = Source { created_by: Some(QueryId("Q".to_owned())), ..source("B", SourceKind::Stream, "b") };
    let read_only = Source { read_only: true, ..source("RO", SourceKind::Stream, "shared") };
    [
        CatalogChange::PutSource(Box::new(source("A", SourceKind::Stream, "a"))),
        CatalogChange::PutSource(Box::new(source("N", SourceKind::Stream, "shared"))),
        CatalogChange::PutSource(Box::new(source("T", SourceKind::Table, "t"))),
        CatalogChange::PutSource(Box::new(read_only)),
        CatalogChange::PutSource(Box::new(made)),
        CatalogChange::PutQuery(Box::new(query("Q", "B"))),
        CatalogChange::PutQuery(Box::new(query("I", "N"))),
    ]
    .into_iter()
    .fold(Catalog::default(), |catalog, change| catalog.with(change))
}

fn run(sql: &str) -> Result<Option<Arc<Source>>, Diagnostic> {
    let statement = crate::sql::parse_statements(sql)?.remove(0);
    match &statement.kind {
        StatementKind::DropSource { kind, name, if_exists, delete_topic } => {
            check_drop(&catalog(), *kind, name, *if_exists, *delete_topic)
        }
        StatementKind::AlterSource { kind, name, columns } => {
            altered(&catalog(), *kind, name, columns).map(|source| Some(Arc::new(source)))
        }
        other => panic!("neither DROP nor ALTER: {other:?}"),
    }
}

#[track_caller]
fn check(sql: &str, expected: &str) {
    let actual = match run(sql) {
        Ok(None) => "nothing".to_owned(),
        Ok(Some(source)) => format!("{}: {}", source.name, source.schema.display(source.is_table())),
        Err(error) => format!("{} {}", error.code, error.primary),
    };
    assert_eq!(actual, expected);
}

#[test]
fn only_what_nobody_uses_is_dropped() {
    check("DROP TABLE t;", "T: `K` INTEGER PRIMARY KEY, `V` INTEGER");
    check("DROP STREAM b;", "B: `K` INTEGER KEY, `V` INTEGER");
    check("DROP STREAM IF EXISTS nowhere;", "nothing");
    check("DROP STREAM nowhere;", "UNKNOWN_SOURCE stream NOWHERE does not exist");
    check("DROP STREAM t;", "WRONG_KIND T is a table, but the statement is DROP STREAM");
    check("DROP STREAM a;", "IN_USE stream A cannot be dropped: others read it");
    check("DROP STREAM n;", "IN_USE stream N cannot be dropped: queries write to it");
    check("DROP STREAM ro DELETE TOPIC;", "READ_ONLY topic of read-only stream RO cannot be deleted");
    check("DROP STREAM n DELETE TOPIC;", "IN_USE topic shared cannot be deleted: stream RO uses it too");
}

#[test]
fn columns_are_added_at_the_end_of_what_people_declared() {
    check("ALTER STREAM a ADD COLUMN w STRING;", "A: `K` INTEGER KEY, `V` INTEGER, `W` STRING");
    check("ALTER STREAM a ADD COLUMN v STRING;", "DUPLICATE_NAME column V exists already");
    check("ALTER TABLE a ADD COLUMN w STRING;", "WRONG_KIND A is a stream, but the statement is ALTER TABLE");
    check("ALTER STREAM ro ADD COLUMN w STRING;", "READ_ONLY ALTER is not supported on source streams");
    check("ALTER STREAM b ADD COLUMN w STRING;", "UNSUPPORTED B was made by CREATE … AS SELECT and cannot be altered");
}

#[test]
fn a_snapshot_does_not_change() {
    let before = catalog();
    let after = before.with(CatalogChange::DropSource("A".into()));
    let name = Name::from("A");
    assert!(before.source(&name).is_some() && after.source(&name).is_none());
    assert_eq!(after.version, before.version + 1);
}
