//! Assertions on the catalogue and the topics after a case's statements.

use regex::Regex;
use serde_json::Value;

use crate::catalog::Source;
use crate::sql;
use crate::sql::ast::{ColumnDefinitionRole, StatementKind};
use crate::testing::fixture::Fixture;
use crate::types::{Column, ColumnRole, Name};

use super::case::{Post, PostSource, PostTopic};

/// Topics of the Java engine's own making; a product may live without them.
const JAVA_INTERNAL_PREFIX: &str = "_confluent-ksql-";

/// Checks all assertions.
///
/// # Errors
/// The first that does not hold.
pub(super) fn check(post: &Post, fixture: &Fixture) -> Result<(), String> {
    for source in &post.sources {
        check_source(source, fixture).map_err(|difference| format!("post: source {}: {difference}", source.name))?;
    }
    for topic in post.topics.iter().filter(|topic| !topic.name.starts_with(JAVA_INTERNAL_PREFIX)) {
        check_topic(topic, fixture).map_err(|difference| format!("post: topic {}: {difference}", topic.name))?;
    }
    if let Some(pattern) = &post.topic_blacklist {
        let pattern = Regex::new(pattern).map_err(|error| format!("post: {error}"))?;
        let names = fixture.topic_names()?;
        if let Some(name) = names.iter().find(|name| pattern.is_match(name)) {
            return Err(format!("post: topic {name} must not exist"));
        }
    }
    Ok(())
}

fn check_source(expected: &PostSource, fixture: &Fixture) -> Result<(), String> {
    let catalog = fixture.catalog();
    let name = Name::new(expected.name.clone());
    let Some(source) = catalog.source(&name) else { return Err("does not exist".to_owned()) };
    let differs = |what: &str, expected: &str, actual: &str| {
        if expected == actual { Ok(()) } else { Err(format!("expected {what} {expected}, got {actual}")) }
    };
    differs("type", &expected.kind, source.kind.as_sql())?;
    if let Some(schema) = &expected.schema {
        let columns = parse_schema(schema, source, fixture)?;
        let show = |columns: &[Column]| crate::types::Schema::new(columns.to_vec()).display(source.is_table());
        let actual: Vec<Column> = source.schema.columns().to_vec();
        differs("schema", &show(&columns), &show(&actual))?;
    }
    if let Some(key) = &expected.key_format {
        if let Some(format) = &key.format {
            differs("key format", format, source.key.format.as_str())?;
        }
        let window_type = source.window.map(|window| window.window_type.to_string());
        if window_type != key.window_type {
            return Err(format!("expected window type {:?}, got {window_type:?}", key.window_type));
        }
        let window_size = source.window.and_then(|window| window.size_ms);
        if window_size != key.window_size {
            return Err(format!("expected window size {:?}, got {window_size:?}", key.window_size));
        }
    }
    if let Some(format) = expected.value_format.as_ref().and_then(format_name) {
        differs("value format", format, source.value.format.as_str())?;
    }
    match expected.is_source {
        Some(read_only) if read_only != source.read_only => {
            Err(format!("expected isSource {read_only}, got {}", source.read_only))
        }
        _ => Ok(()),
    }
}

/// A format is a name, or an object that has one.
fn format_name(format: &Value) -> Option<&str> {
    format.as_str().or_else(|| format.get("format").and_then(Value::as_str))
}

/// Columns in SQL notation, as the declaration of a source of the same kind.
fn parse_schema(schema: &str, source: &Source, fixture: &Fixture) -> Result<Vec<Column>, String> {
    let text = format!("CREATE {} X ({schema}) WITH (KAFKA_TOPIC='x');", source.kind.as_sql());
    let statements = sql::parse_statements(&text).map_err(|error| format!("cannot read schema {schema:?}: {error}"))?;
    let Some(StatementKind::CreateSource(create)) = statements.into_iter().next().map(|statement| statement.kind)
    else {
        return Err(format!("cannot read schema {schema:?}"));
    };
    let catalog = fixture.catalog();
    create
        .columns
        .into_iter()
        .map(|column| {
            let ty =
                column.ty.resolve(&|name| catalog.custom_type(name).cloned()).map_err(|error| error.to_string())?;
            let role = match column.role {
                ColumnDefinitionRole::Value => ColumnRole::Value,
                ColumnDefinitionRole::Key | ColumnDefinitionRole::PrimaryKey => ColumnRole::Key,
                ColumnDefinitionRole::Headers => ColumnRole::Headers,
                ColumnDefinitionRole::Header(key) => ColumnRole::Header(key),
            };
            Ok(Column { name: column.name.name, ty, role })
        })
        .collect()
}

fn check_topic(expected: &PostTopic, fixture: &Fixture) -> Result<(), String> {
    let Some(partitions) = fixture.partitions(&expected.name)? else { return Err("does not exist".to_owned()) };
    match expected.partitions {
        Some(expected) if expected != partitions => Err(format!("expected {expected} partitions, got {partitions}")),
        _ => Ok(()),
    }
}
