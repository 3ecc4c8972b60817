//! The stream or table that CREATE … AS SELECT makes: kind, topic, formats, schema.

use super::analyze::Analyzed;
use super::context::PlanContext;
use super::plan::Plan;
use super::planned::{SourceDefinition, TopicPlan};
use super::properties::{Clause, Properties};
use super::sides::{self, Format};
use super::timestamp;
use crate::catalog::{self, Catalog, Source};
use crate::diagnostics::{Code, Diagnostic};
use crate::formats::FormatName;
use crate::sql::ast::{CreateSourceAs, SourceKind};
use crate::types::{Column, ColumnRole, Schema};

/// Kafka's default: a week.
const DEFAULT_RETENTION_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// A retention that lets no record go.
const KEPT_FOR_EVER: i64 = -1;

/// The sink of an analysed query.
pub(super) fn define(
    stmt: &CreateSourceAs,
    analyzed: &Analyzed,
    catalog: &Catalog,
    ctx: &PlanContext<'_>,
) -> Result<SourceDefinition, Diagnostic> {
    let from = &analyzed.sources[0];
    let properties = Properties::parse(&stmt.with, Clause::CreateAs)?;
    if let Some(format) = properties.key_format.as_ref().filter(|_| properties.key_format_alone && analyzed.keyless)
        && format.value != FormatName::None
    {
        return Err(Diagnostic::new(Code::InvalidFormat, "a key format is given for a stream without key columns")
            .at(format.span));
    }
    let inherited = match Format::of(&from.key) {
        Format { name: FormatName::None, .. } if !analyzed.keyless => {
            Format { name: ctx.settings.default_key_format, delimiter: None }
        }
        _ if analyzed.keyless => Format { name: FormatName::None, delimiter: None },
        inherited => inherited,
    };
    let key = Format::inherit(inherited, properties.key_format.as_ref(), properties.key_delimiter.as_ref());
    let value =
        Format::inherit(Format::of(&from.value), properties.value_format.as_ref(), properties.value_delimiter.as_ref());
    sides::check_options(&properties, key.name, value.name)?;
    check_kind(stmt, analyzed.kind)?;
    if analyzed.columns.iter().all(|column| column.is_key) {
        return Err(Diagnostic::new(Code::InvalidProjection, "the SELECT list holds no value columns")
            .with_hint("Use AS_VALUE to copy a key column into the value.")
            .at(stmt.query.span));
    }
    let schema = schema(analyzed);
    let at = |error: Diagnostic| error.at(stmt.query.span);
    let key = sides::key_side(&schema, key).map_err(at)?;
    let (value, wrap_given) =
        sides::value_side(&schema, value, properties.wrap_single_value.as_ref(), ctx.settings).map_err(at)?;
    let timestamp = timestamp::column(&properties, &schema)?;
    let topic = properties.topic.as_ref().map_or_else(
        || format!("{}{}", ctx.settings.output_topic_prefix, stmt.name.name.as_str()),
        |topic| topic.value.clone(),
    );
    let source = Source {
        name: stmt.name.name.clone(),
        kind: stmt.kind,
        schema,
        topic,
        key,
        value,
        wrap_given,
        window: analyzed.window,
        timestamp,
        read_only: false,
        created_by: None,
        begins_at: Vec::new(),
        sql: String::new(),
    };
    catalog::check_create(catalog, &source, stmt.or_replace).map_err(|error| error.at(stmt.name.span))?;
    for source in &analyzed.sources {
        sides::check_built(&source.key, &source.value).map_err(at)?;
    }
    sides::check_built(&source.key, &source.value).map_err(at)?;
    let topic = plan_topic(stmt, analyzed, &properties, &source, from, ctx)?;
    Ok(SourceDefinition { source, topic })
}

/// The statement's kind is that of the result.
fn check_kind(stmt: &CreateSourceAs, result: SourceKind) -> Result<(), Diagnostic> {
    if stmt.kind == result {
        return Ok(());
    }
    Err(Diagnostic::new(
        Code::WrongKind,
        format!("the query produces a {}, but the statement is CREATE {}", result.noun(), stmt.kind.as_sql()),
    )
    .with_hint(format!("Use CREATE {} … AS SELECT.", result.as_sql()))
    .at(stmt.name.span))
}

fn schema(analyzed: &Analyzed) -> Schema {
    Schema::new(
        analyzed
            .columns
            .iter()
            .map(|column| Column {
                name: column.name.clone(),
                ty: column.ty.clone(),
                role: if column.is_key { ColumnRole::Key } else { ColumnRole::Value },
            })
            .collect(),
    )
}

/// How long the windows of a plan are kept, if it makes some.
fn windows_kept_ms(plan: &Plan) -> Option<i64> {
    match plan {
        Plan::Aggregate(node) => node.aggregation.window.map(|window| window.retention_ms),
        other => other.inputs().into_iter().find_map(windows_kept_ms),
    }
}

fn plan_topic(
    stmt: &CreateSourceAs,
    analyzed: &Analyzed,
    properties: &Properties,
    sink: &Source,
    from: &Source,
    ctx: &PlanContext<'_>,
) -> Result<TopicPlan, Diagnostic> {
    let existing = (ctx.topics)(&sink.topic);
    let origin = (ctx.topics)(&from.topic);
    if let (Some(shape), Some(asked)) = (existing, &properties.partitions)
        && shape.partitions != asked.value
    {
        return Err(Diagnostic::new(
            Code::InvalidProperty,
            format!("topic {} exists with {} partitions, not {}", sink.topic, shape.partitions, asked.value),
        )
        .at(asked.span));
    }
    let is_table = stmt.kind == SourceKind::Table;
    if let Some(given) = properties.retention_ms.as_ref().filter(|_| is_table && sink.window.is_none()) {
        return Err(
            Diagnostic::new(Code::InvalidProperty, "tables without windows do not support RETENTION_MS").at(given.span)
        );
    }
    let given = properties.retention_ms.as_ref().map(|given| given.value);
    let retention_ms = match (is_table, windows_kept_ms(&analyzed.plan)) {
        (true, Some(windows)) => {
            let inherited = origin.map_or(DEFAULT_RETENTION_MS, |shape| shape.retention_ms.unwrap_or(KEPT_FOR_EVER));
            let records = given.unwrap_or(inherited);
            Some(if records < 0 { KEPT_FOR_EVER } else { records.max(windows) })
        }
        (true, None) => given,
        (false, _) => given.or(origin.and_then(|shape| shape.retention_ms)),
    };
    Ok(TopicPlan {
        name: sink.topic.clone(),
        partitions: existing
            .map(|shape| shape.partitions)
            .or(properties.partitions.as_ref().map(|given| given.value))
            .or(origin.map(|shape| shape.partitions))
            .unwrap_or(1),
        replicas: properties
            .replicas
            .as_ref()
            .map(|given| given.value)
            .or(existing.map(|shape| shape.replicas))
            .or(origin.map(|shape| shape.replicas))
            .unwrap_or(ctx.settings.default_replicas),
        retention_ms,
        compacted: is_table,
        exists: existing.is_some(),
    })
}
