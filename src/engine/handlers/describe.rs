//! DESCRIBE of sources.

use std::fmt::Write as _;

use crate::catalog::Source;
use crate::diagnostics::Diagnostic;
use crate::engine::QueryMetrics;
use crate::engine::entity::{Body, FieldInfo, OffsetSummary, QueryInfo, QueryOffsets, SourceDescription};
use crate::engine::scope::{Outcome, Scope, storage};
use crate::sql::ast::{Ident, SourceKind};

use super::show_queries::query_info;

/// DESCRIBE name
pub(super) fn describe(scope: &Scope<'_>, name: &Ident, extended: bool) -> Result<Outcome, Diagnostic> {
    let source = scope.source(name)?;
    let source_description = Box::new(description(scope, &source, extended)?);
    let warnings = scope.engine.staleness(&source).into_iter().collect();
    Ok(Outcome::AnswerWith(Body::SourceDescription { source_description }, warnings))
}

/// DESCRIBE STREAMS, SHOW STREAMS EXTENDED and the like.
pub(super) fn describe_all(scope: &Scope<'_>, kind: SourceKind, extended: bool) -> Result<Outcome, Diagnostic> {
    let sources = scope.catalog().sources().filter(|source| source.kind == kind);
    let source_descriptions = sources.map(|source| description(scope, source, extended)).collect::<Result<_, _>>()?;
    Ok(Outcome::Answer(Body::SourceDescriptions { source_descriptions }))
}

fn description(scope: &Scope<'_>, source: &Source, extended: bool) -> Result<SourceDescription, Diagnostic> {
    let catalog = scope.catalog();
    let info = |query: &std::sync::Arc<_>| query_info(scope.engine, scope.world, query);
    let read_queries: Vec<QueryInfo> = catalog.readers(&source.name).map(info).collect();
    let write_queries: Vec<QueryInfo> = catalog.writers(&source.name).map(info).collect();
    let topic = scope.topic(&source.topic).map_err(|error| storage(&error))?;
    let mut constraints: Vec<_> = catalog.readers(&source.name).map(|query| query.sink.as_str().to_owned()).collect();
    constraints.sort();
    constraints.dedup();
    Ok(SourceDescription {
        name: source.name.as_str().to_owned(),
        window_type: source.window.map(|window| window.window_type.to_string()),
        window_size_ms: source.window.and_then(|window| window.size_ms),
        fields: FieldInfo::of_schema(&source.schema),
        kind: source.kind.as_sql(),
        timestamp: source.timestamp.as_ref().map(|column| column.column.as_str().to_owned()).unwrap_or_default(),
        statistics: if extended { statistics(scope, &read_queries, &write_queries) } else { String::new() },
        error_stats: if extended { error_stats(scope, &read_queries, &write_queries) } else { String::new() },
        extended,
        key_format: source.key.format.to_string(),
        value_format: source.value.format.to_string(),
        topic: source.topic.clone(),
        partitions: topic.as_ref().map_or(0, |topic| topic.partitions),
        replication: topic.as_ref().map_or(0, |topic| i32::from(topic.replicas.max(1))),
        statement: source.sql.clone(),
        query_offset_summaries: if extended { offset_summaries(scope, source) } else { Vec::new() },
        source_constraints: constraints,
        cluster_statistics: Vec::new(),
        cluster_error_stats: Vec::new(),
        read_queries,
        write_queries,
    })
}

/// ksqlDB's words for what readers consumed and writers produced.
fn statistics(scope: &Scope<'_>, readers: &[QueryInfo], writers: &[QueryInfo]) -> String {
    let metrics = scope.engine.query_metrics();
    let sum = |queries: &[QueryInfo], count: fn(&QueryMetrics) -> u64| -> u64 {
        metrics.iter().filter(|one| queries.iter().any(|query| query.id == one.query_id)).map(count).sum()
    };
    let mut text = String::new();
    let _ = write!(text, "consumer-total-messages: {:>10}", sum(readers, |metrics| metrics.records_in));
    let _ = write!(text, "     total-messages: {:>10}", sum(writers, |metrics| metrics.records_out));
    text
}

fn error_stats(scope: &Scope<'_>, readers: &[QueryInfo], writers: &[QueryInfo]) -> String {
    let metrics = scope.engine.query_metrics();
    let of_source = |one: &&QueryMetrics| readers.iter().chain(writers).any(|query| query.id == one.query_id);
    let sum = |count: fn(&QueryMetrics) -> u64| metrics.iter().filter(of_source).map(count).sum::<u64>();
    let told = [
        ("consumer-failed-messages", sum(|metrics| metrics.record_errors)),
        ("late-rows", sum(|metrics| metrics.late_rows)),
    ];
    let told = told.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name}: {count:>10}"));
    told.collect::<Vec<_>>().join("     ")
}

/// Where the queries that write this source are in the topics they read.
fn offset_summaries(scope: &Scope<'_>, source: &Source) -> Vec<OffsetSummary> {
    let catalog = scope.catalog();
    catalog
        .writers(&source.name)
        .map(|query| {
            let topic_summaries = scope
                .engine
                .query_positions(&query.id)
                .into_iter()
                .map(|(kafka_topic, offsets)| QueryOffsets { kafka_topic, offsets })
                .collect();
            OffsetSummary { group_id: scope.engine.consumer_group(&query.id), topic_summaries }
        })
        .collect()
}
