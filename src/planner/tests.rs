//! Statements in, plans and graphs or the refusal out, as text.

mod define;
mod expressions;
mod graphs;
mod grouping;
mod joining;
mod keys;
mod rejections;
mod stored;

use super::{
    PlanContext, PlanSettings, PlannedQuery, SourceDefinition, TopicShape, define_source, explain_graph, explain_plan,
    plan_create_as, plan_insert_select, plan_push, plan_stream_scan,
};
use crate::catalog::{Catalog, CatalogChange};
use crate::diagnostics::{Code, Diagnostic};
use crate::functions::FunctionRegistry;
use crate::sql::ast::{StatementKind, TypeName};
use crate::sql::parse_statements;

/// What the last statement gave.
#[derive(Debug)]
enum Planned {
    Source(Box<SourceDefinition>),
    Query(Box<PlannedQuery>),
    Nothing,
}

/// Plans statements one after the other over a catalog that they fill; topics have 4 partitions, those whose name
/// begins with `seven` 7, and all exist, save those whose name begins with `new`.
fn plan_with(sql: &str, settings: &PlanSettings) -> Result<Planned, Diagnostic> {
    let functions = FunctionRegistry::builtin();
    let topics = |name: &str| {
        let partitions = if name.starts_with("seven") { 7 } else { 4 };
        let shape = TopicShape { partitions, replicas: 1, retention_ms: None };
        (!name.starts_with("new") && name.chars().next().is_some_and(char::is_lowercase)).then_some(shape)
    };
    let ctx = PlanContext { functions: &functions, settings, topics: &topics };
    let mut catalog = Catalog::default();
    let mut last = Planned::Nothing;
    for statement in parse_statements(sql)? {
        last = match &statement.kind {
            StatementKind::CreateSource(stmt) => Planned::Source(Box::new(define_source(stmt, &catalog, &ctx)?)),
            StatementKind::CreateSourceAs(stmt) => Planned::Query(Box::new(plan_create_as(stmt, &catalog, &ctx)?)),
            StatementKind::InsertSelect { target, with, query } => {
                Planned::Query(Box::new(plan_insert_select(target, with, query, &catalog, &ctx)?))
            }
            StatementKind::Query(query) if query.emit.is_some() => {
                Planned::Query(Box::new(plan_push(query, &catalog, &ctx)?))
            }
            StatementKind::Query(query) => Planned::Query(Box::new(plan_stream_scan(query, &catalog, &ctx)?)),
            StatementKind::CreateType { name, ty, .. } => {
                let ty = TypeName::resolve(ty, &|name| catalog.custom_type(name).cloned())?;
                catalog = catalog.with(CatalogChange::PutType(name.name.clone(), ty));
                Planned::Nothing
            }
            other => panic!("no planning for {other:?}"),
        };
        let made = match &last {
            Planned::Source(definition) => Some(definition.source.clone()),
            Planned::Query(query) => query.sink.as_ref().map(|sink| sink.source.clone()),
            Planned::Nothing => None,
        };
        if let Some(source) = made {
            catalog = catalog.with(CatalogChange::PutSource(Box::new(source)));
        }
    }
    Ok(last)
}

fn plan(sql: &str) -> Result<Planned, Diagnostic> {
    plan_with(sql, &PlanSettings::default())
}

fn describe_source(definition: &SourceDefinition) -> String {
    let SourceDefinition { source, topic } = definition;
    let side = |side: &crate::formats::Side| {
        let wrap = if side.unwrapped { " unwrapped" } else { "" };
        let delimiter = side.delimiter.map_or(String::new(), |delimiter| format!(" {delimiter:?}"));
        format!("{}{delimiter}{wrap}", side.format)
    };
    let mut text = format!(
        "{} {}: {}\nkey {}, value {}\ntopic {} of {} partitions{}",
        source.kind.noun(),
        source.name,
        source.schema.display(source.is_table()),
        side(&source.key),
        side(&source.value),
        topic.name,
        topic.partitions,
        if topic.exists { "" } else { ", new" },
    );
    if let Some(window) = source.window {
        text += &format!("\nwindow {} {:?}", window.window_type, window.size_ms);
    }
    if let Some(timestamp) = &source.timestamp {
        text += &format!("\ntimestamp {} {:?}", timestamp.column, timestamp.format);
    }
    text
}

fn describe(result: Result<Planned, Diagnostic>) -> String {
    match result {
        Err(error) => format!("{}: {error}", error.code),
        Ok(Planned::Nothing) => String::new(),
        Ok(Planned::Source(definition)) => describe_source(&definition),
        Ok(Planned::Query(query)) => match &query.sink {
            Some(sink) => format!("{}\n{}", describe_source(sink), explain_plan(&query.plan)),
            None => {
                let columns: Vec<_> = query
                    .columns
                    .iter()
                    .map(|column| format!("{} {}{}", column.name, column.ty, if column.is_key { " KEY" } else { "" }))
                    .collect();
                format!("{}\n{}", columns.join(", "), explain_plan(&query.plan))
            }
        },
    }
}

/// Checks what the last statement gives; lines are compared without indentation of the test's source.
#[track_caller]
fn check(sql: &str, expected: &str) {
    assert_text(&describe(plan(sql)), expected);
}

/// Checks the operator graph of the last statement.
#[track_caller]
fn check_graph(sql: &str, expected: &str) {
    match plan(sql) {
        Ok(Planned::Query(query)) => assert_text(&explain_graph(&query.graph), expected),
        other => panic!("no query: {other:?}"),
    }
}

#[track_caller]
fn assert_text(actual: &str, expected: &str) {
    let lines = |text: &str| -> Vec<String> {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    assert!(lines(actual) == lines(expected), "\n--- expected\n{expected}\n--- actual\n{actual}");
}

/// Checks that the last statement is refused with this code, and why.
#[track_caller]
fn check_refused(sql: &str, code: Code, primary: &str) {
    match plan(sql) {
        Err(error) => assert!(
            error.code == code && error.primary.contains(primary),
            "\n--- expected {code}: {primary}\n--- actual {}: {error}",
            error.code
        ),
        Ok(planned) => panic!("accepted: {}", describe(Ok(planned))),
    }
}
