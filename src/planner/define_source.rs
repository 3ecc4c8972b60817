//! CREATE STREAM and CREATE TABLE over a topic.

use super::context::PlanContext;
use super::planned::{SourceDefinition, TopicPlan};
use super::properties::{Clause, Given, Properties};
use super::sides::{self, Format};
use super::timestamp;
use crate::catalog::{self, Catalog, Source};
use crate::diagnostics::{Code, Diagnostic};
use crate::formats::FormatName;
use crate::sql::ast::{ColumnDefinition, ColumnDefinitionRole, CreateSource, SourceKind};
use crate::types::{Column, ColumnRole, Name, PSEUDO_COLUMNS, Schema, SqlType, StructField};

/// The stream or table that a CREATE defines. IF NOT EXISTS is the caller's: here an existing name is an error unless
/// the statement says OR REPLACE and the new definition fits the old one.
///
/// # Errors
/// Whatever ksqlDB refuses about columns, properties, formats and names.
pub fn define_source(
    stmt: &CreateSource,
    catalog: &Catalog,
    ctx: &PlanContext<'_>,
) -> Result<SourceDefinition, Diagnostic> {
    let properties = Properties::parse(&stmt.with, Clause::Create)?;
    let topic_name = properties.topic.clone().ok_or_else(|| missing(stmt, "KAFKA_TOPIC"))?;
    let key_format = properties.key_format.as_ref().map_or(ctx.settings.default_key_format, |given| given.value);
    let value_format = properties
        .value_format
        .as_ref()
        .map(|given| given.value)
        .or(ctx.settings.default_value_format)
        .ok_or_else(|| missing(stmt, "VALUE_FORMAT"))?;
    sides::check_options(&properties, key_format, value_format)?;
    check_schema_ids(stmt, &properties, key_format, value_format)?;

    let schema = define_columns(stmt, catalog, ctx, key_format, value_format)?;
    if properties.window.is_some() && schema.key().next().is_none() {
        return Err(Diagnostic::new(Code::InvalidKey, "a windowed source needs a key column").at(stmt.name.span));
    }
    let key = Format { name: key_format, delimiter: properties.key_delimiter.as_ref().map(|given| given.value) };
    let value = Format { name: value_format, delimiter: properties.value_delimiter.as_ref().map(|given| given.value) };
    let at = |error: Diagnostic| error.at(stmt.name.span);
    let key = sides::key_side(&schema, key).map_err(at)?;
    let (value, wrap_given) =
        sides::value_side(&schema, value, properties.wrap_single_value.as_ref(), ctx.settings).map_err(at)?;
    let timestamp = timestamp::column(&properties, &schema)?;
    if stmt.kind == SourceKind::Table
        && properties.window.is_none()
        && let Some(given) = &properties.retention_ms
    {
        return Err(
            Diagnostic::new(Code::InvalidProperty, "tables without windows do not support RETENTION_MS").at(given.span)
        );
    }
    let source = Source {
        name: stmt.name.name.clone(),
        kind: stmt.kind,
        schema,
        topic: topic_name.value.clone(),
        key,
        value,
        wrap_given,
        window: properties.window,
        timestamp,
        read_only: stmt.read_only,
        created_by: None,
        begins_at: Vec::new(),
        sql: String::new(),
    };
    catalog::check_create(catalog, &source, stmt.or_replace).map_err(at)?;
    sides::check_built(&source.key, &source.value).map_err(at)?;
    let topic = plan_topic(stmt, &properties, &topic_name, ctx)?;
    Ok(SourceDefinition { source, topic })
}

fn missing(stmt: &CreateSource, property: &str) -> Diagnostic {
    Diagnostic::new(Code::InvalidProperty, format!("property {property} is missing from the WITH clause"))
        .at(stmt.name.span)
}

/// Ids of registered schemas stand in for columns, so both together are refused, and so are formats without registry.
fn check_schema_ids(
    stmt: &CreateSource,
    properties: &Properties,
    key_format: FormatName,
    value_format: FormatName,
) -> Result<(), Diagnostic> {
    let is_key = |column: &&ColumnDefinition| {
        matches!(column.role, ColumnDefinitionRole::Key | ColumnDefinitionRole::PrimaryKey)
    };
    let is_value = |column: &&ColumnDefinition| matches!(column.role, ColumnDefinitionRole::Value);
    let declared = [stmt.columns.iter().find(is_key), stmt.columns.iter().find(is_value)];
    let given = [
        ("KEY", &properties.key_schema_id, key_format, declared[0]),
        ("VALUE", &properties.value_schema_id, value_format, declared[1]),
    ];
    for (side, id, format, column) in given {
        let Some(id) = id else { continue };
        if !format.infers_schema() {
            return Err(Diagnostic::new(
                Code::InvalidProperty,
                format!("property {side}_SCHEMA_ID needs a format with a schema registry, not {format}"),
            )
            .at(id.span));
        }
        if let Some(column) = column {
            return Err(Diagnostic::new(
                Code::InvalidProperty,
                format!("columns and property {side}_SCHEMA_ID cannot be given together"),
            )
            .at(column.name.span));
        }
    }
    Ok(())
}

fn define_columns(
    stmt: &CreateSource,
    catalog: &Catalog,
    ctx: &PlanContext<'_>,
    key_format: FormatName,
    value_format: FormatName,
) -> Result<Schema, Diagnostic> {
    let is_table = stmt.kind == SourceKind::Table;
    let mut columns: Vec<Column> = Vec::with_capacity(stmt.columns.len());
    for definition in &stmt.columns {
        let column = define_column(definition, is_table, catalog, ctx)?;
        check_column(definition, &column, &columns)?;
        columns.push(column);
    }
    let schema = Schema::new(columns);
    let (has_key, has_value) = (schema.key().next().is_some(), schema.value().next().is_some());
    let infers_key = !has_key && key_format.infers_schema();
    if !has_value && value_format.infers_schema() || infers_key && (is_table || stmt.columns.is_empty()) {
        return Err(Diagnostic::not_implemented("inference of columns from a schema registry").at(stmt.name.span));
    }
    if is_table && !has_key {
        return Err(Diagnostic::new(Code::InvalidKey, "a table needs a primary key")
            .with_hint("Write PRIMARY KEY after the type of a column.")
            .at(stmt.name.span));
    }
    if schema.columns().is_empty() {
        return Err(Diagnostic::new(Code::InvalidProjection, "no columns are given")
            .with_detail(format!("Format {value_format} has no schema registry from which columns could be taken."))
            .at(stmt.name.span));
    }
    Ok(schema)
}

fn define_column(
    definition: &ColumnDefinition,
    is_table: bool,
    catalog: &Catalog,
    ctx: &PlanContext<'_>,
) -> Result<Column, Diagnostic> {
    let name = &definition.name;
    let ty = definition.ty.resolve(&|custom| catalog.custom_type(custom).cloned())?;
    let role = match (&definition.role, is_table) {
        (ColumnDefinitionRole::Value, _) => ColumnRole::Value,
        (ColumnDefinitionRole::Key, false) | (ColumnDefinitionRole::PrimaryKey, true) => ColumnRole::Key,
        (ColumnDefinitionRole::Key, true) => {
            return Err(Diagnostic::new(
                Code::InvalidKey,
                format!("column {} is a KEY column, which only streams have", name.name),
            )
            .with_hint("Use PRIMARY KEY for tables.")
            .at(name.span));
        }
        (ColumnDefinitionRole::PrimaryKey, false) => {
            return Err(Diagnostic::new(
                Code::InvalidKey,
                format!("column {} is a PRIMARY KEY column, which only tables have", name.name),
            )
            .with_hint("Use KEY for streams.")
            .at(name.span));
        }
        (ColumnDefinitionRole::Headers, _) => {
            check_header_type(definition, &ty, &headers_type(), ctx)?;
            ColumnRole::Headers
        }
        (ColumnDefinitionRole::Header(key), _) => {
            check_header_type(definition, &ty, &SqlType::Bytes, ctx)?;
            ColumnRole::Header(key.clone())
        }
    };
    Ok(Column { name: name.name.clone(), ty, role })
}

/// `ARRAY<STRUCT<KEY STRING, VALUE BYTES>>`
fn headers_type() -> SqlType {
    let field = |name: &str, ty| StructField { name: name.into(), ty };
    let entry = [field("KEY", SqlType::String), field("VALUE", SqlType::Bytes)];
    SqlType::Array(Box::new(SqlType::Struct(entry.into_iter().collect())))
}

fn check_header_type(
    definition: &ColumnDefinition,
    ty: &SqlType,
    expected: &SqlType,
    ctx: &PlanContext<'_>,
) -> Result<(), Diagnostic> {
    if !ctx.settings.header_columns {
        return Err(Diagnostic::new(Code::Unsupported, "header columns are switched off").at(definition.name.span));
    }
    if ty == expected {
        return Ok(());
    }
    Err(Diagnostic::new(
        Code::TypeMismatch,
        format!("header column {} must be of type {expected}, not {ty}", definition.name.name),
    )
    .at(definition.ty.span))
}

/// Rules between a column and those before it.
fn check_column(definition: &ColumnDefinition, column: &Column, before: &[Column]) -> Result<(), Diagnostic> {
    let span = definition.name.span;
    if is_pseudo_column(&column.name) {
        return Err(Diagnostic::new(
            Code::ReservedName,
            format!("column name {} is kept for a pseudo column", column.name.as_str()),
        )
        .at(span));
    }
    if before.iter().any(|other| other.name == column.name) {
        return Err(Diagnostic::new(Code::DuplicateName, format!("column {} is declared twice", column.name)).at(span));
    }
    let clash = before.iter().find(|other| match (&other.role, &column.role) {
        (ColumnRole::Headers, ColumnRole::Headers | ColumnRole::Header(_))
        | (ColumnRole::Header(_), ColumnRole::Headers) => true,
        (ColumnRole::Header(one), ColumnRole::Header(two)) => one == two,
        _ => false,
    });
    if let Some(other) = clash {
        return Err(Diagnostic::new(
            Code::DuplicateName,
            format!("column {} holds headers that column {} holds already", column.name, other.name),
        )
        .with_detail("There may be one HEADERS column, or several HEADER columns with different keys.")
        .at(span));
    }
    Ok(())
}

/// True for the names that no column may be given.
pub(super) fn is_pseudo_column(name: &Name) -> bool {
    PSEUDO_COLUMNS.iter().any(|(pseudo, _)| *pseudo == name.as_str())
}

fn plan_topic(
    stmt: &CreateSource,
    properties: &Properties,
    topic: &Given<String>,
    ctx: &PlanContext<'_>,
) -> Result<TopicPlan, Diagnostic> {
    let existing = (ctx.topics)(&topic.value);
    if let (Some(shape), Some(asked)) = (existing, &properties.partitions)
        && shape.partitions != asked.value
    {
        return Err(Diagnostic::new(
            Code::InvalidProperty,
            format!("topic {} has {} partitions, not {}", topic.value, shape.partitions, asked.value),
        )
        .at(asked.span));
    }
    let partitions = existing
        .map(|shape| shape.partitions)
        .or(properties.partitions.as_ref().map(|given| given.value))
        .ok_or_else(|| {
            Diagnostic::new(Code::UnknownTopic, format!("topic {} does not exist", topic.value))
                .with_hint(format!(
                    "To create the topic with the {}, give property PARTITIONS in the WITH clause.",
                    stmt.kind.noun()
                ))
                .at(topic.span)
        })?;
    let replicas = properties.replicas.as_ref().map(|given| given.value);
    Ok(TopicPlan {
        name: topic.value.clone(),
        partitions,
        replicas: replicas.or(existing.map(|shape| shape.replicas)).unwrap_or(ctx.settings.default_replicas),
        retention_ms: properties.retention_ms.as_ref().map(|given| given.value),
        compacted: stmt.kind == SourceKind::Table && !stmt.read_only,
        exists: existing.is_some(),
    })
}
