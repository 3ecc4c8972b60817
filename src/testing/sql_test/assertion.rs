//! Assertions of SQL script tests: about the next record of a topic, and about sources.

use std::collections::BTreeMap;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array};

use crate::catalog::{Catalog, CatalogChange, Source};
use crate::expressions::{EvaluationContext, equality, evaluate_constant, text};
use crate::formats::{Side, decoder};
use crate::functions::FunctionRegistry;
use crate::planner::{PlanContext, PlanSettings, TopicShape, define_source};
use crate::sql;
use crate::sql::ast::{Expr, InsertValues, StatementKind};
use crate::testing::conformance::split_window;
use crate::testing::fixture::Fixture;
use crate::types::{Name, Record, RecordView, SqlType};

/// What was asserted so far: a read position for each topic.
#[derive(Debug, Default)]
pub(super) struct Assertions {
    read: BTreeMap<String, usize>,
}

impl Assertions {
    /// Checks a statement if it is an assertion of tests; other statements, ASSERT TOPIC among them, give `None`.
    pub(super) fn check(&mut self, text: &str, fixture: &Fixture) -> Option<Result<(), String>> {
        let text = text.trim();
        let words: Vec<String> = text.split_whitespace().take(3).map(str::to_ascii_uppercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["ASSERT", "VALUES", ..] => Some(self.values(after(text, 2), fixture)),
            ["ASSERT", "NULL", "VALUES"] => Some(self.tombstone(after(text, 3), fixture)),
            ["ASSERT", "STREAM" | "TABLE", ..] => Some(source(after(text, 1), fixture)),
            _ => None,
        }
    }

    /// `s (columns) VALUES (values)`: the next record has these values.
    fn values(&mut self, rest: &str, fixture: &Fixture) -> Result<(), String> {
        let insert = parse_insert(rest)?;
        let (source, record) = self.next(&insert, fixture)?;
        if record.value.is_none() {
            return Err("expected a row, got a tombstone".to_owned());
        }
        compare(&insert, &source, &record)
    }

    /// `s (key) KEY (values)`: the next record deletes this key.
    fn tombstone(&mut self, rest: &str, fixture: &Fixture) -> Result<(), String> {
        let at = rest.to_ascii_uppercase().find(") KEY").ok_or("ASSERT NULL VALUES needs (columns) KEY (values)")?;
        let insert = parse_insert(&format!("{}) VALUES{}", &rest[..at], &rest[at + ") KEY".len()..]))?;
        let (source, record) = self.next(&insert, fixture)?;
        if record.value.is_some() {
            return Err(format!("expected a tombstone, got {}", shown(&record)));
        }
        compare(&insert, &source, &record)
    }

    /// The source that is meant, and the next record of its topic that was not read.
    fn next(&mut self, insert: &InsertValues, fixture: &Fixture) -> Result<(Source, Record), String> {
        let catalog = fixture.catalog();
        let name = &insert.target.name;
        let source = catalog.source(name).ok_or_else(|| format!("source {name} does not exist"))?;
        let position = self.read.entry(source.topic.clone()).or_default();
        let blocks = fixture.read_topic(&source.topic)?;
        let record = blocks.iter().flat_map(crate::types::RecordBlock::iter).nth(*position);
        let record: RecordView<'_> =
            record.ok_or_else(|| format!("topic {} holds only {position} records", source.topic))?;
        *position += 1;
        Ok((source.as_ref().clone(), record.into()))
    }
}

/// The text behind the first words.
fn after(text: &str, words: usize) -> &str {
    (0..words).fold(text, |rest, _| {
        let rest = rest.trim_start();
        rest.find(char::is_whitespace).map_or("", |end| &rest[end..])
    })
}

fn parse_insert(rest: &str) -> Result<InsertValues, String> {
    let text = format!("INSERT INTO {};", rest.trim().trim_end_matches(';'));
    let statements = sql::parse_statements(&text).map_err(|error| error.to_string())?;
    match statements.into_iter().next().map(|statement| statement.kind) {
        Some(StatementKind::InsertValues(insert)) => Ok(*insert),
        _ => Err("the assertion has no values".to_owned()),
    }
}

/// Compares the columns that are listed, or all of them.
fn compare(insert: &InsertValues, source: &Source, record: &Record) -> Result<(), String> {
    let listed: Vec<Name> = if insert.columns.is_empty() {
        source.schema.star().map(|column| column.name.clone()).collect()
    } else {
        insert.columns.iter().map(|column| column.name.clone()).collect()
    };
    if listed.len() != insert.values.len() {
        return Err(format!("{} values for {} columns", insert.values.len(), listed.len()));
    }
    for (name, expected) in listed.iter().zip(&insert.values) {
        let (actual, ty) = actual(name, source, record)?;
        let expected = constant(expected, &ty)?;
        let same = match (expected.is_null(0), actual.is_null(0)) {
            (false, false) => equality(&expected, &actual)(0, 0),
            (expected, actual) => expected == actual,
        };
        if !same {
            let shown = |array: &ArrayRef| {
                let texts = text::of_array(array, &ty);
                if texts.is_null(0) { "null".to_owned() } else { texts.value(0).to_owned() }
            };
            return Err(format!("column {name}: expected {}, got {}", shown(&expected), shown(&actual)));
        }
    }
    Ok(())
}

/// The value of a column in a record, with its type.
fn actual(name: &Name, source: &Source, record: &Record) -> Result<(ArrayRef, SqlType), String> {
    let in_side = |side: &Side, bytes: Option<&[u8]>, index: usize| -> Result<(ArrayRef, SqlType), String> {
        let mut decoder = decoder(side, &[index]).map_err(|error| format!("NOT_IMPLEMENTED: {error}"))?;
        match bytes {
            Some(bytes) => decoder.decode(bytes).map_err(|error| error.to_string())?,
            None => decoder.append_null(),
        }
        let column = decoder.finish().into_iter().next().ok_or("a decoder gave no column")?;
        Ok((column, side.columns[index].ty.clone()))
    };
    let position = |side: &Side| side.columns.iter().position(|column| column.name == *name);
    if let Some(index) = position(&source.key) {
        let key = match (source.window, record.key.clone()) {
            (Some(window), Some(key)) => Some(split_window(&key, window)?.0.to_vec()),
            (_, key) => key.map(|key| key.to_vec()),
        };
        return in_side(&source.key, key.as_deref(), index);
    }
    if let Some(index) = position(&source.value) {
        return in_side(&source.value, record.value.as_deref(), index);
    }
    if name.as_str() == "ROWTIME" {
        return Ok((std::sync::Arc::new(Int64Array::from(vec![record.timestamp.0])), SqlType::BigInt));
    }
    Err(format!("column {name} does not exist"))
}

fn constant(value: &Expr, ty: &SqlType) -> Result<ArrayRef, String> {
    let functions = FunctionRegistry::builtin();
    let value = evaluate_constant(value, Some(ty), &functions, &EvaluationContext::default());
    value.map(|(array, _)| array).map_err(|error| error.to_string())
}

fn shown(record: &Record) -> String {
    record.value.as_deref().map_or("null".into(), String::from_utf8_lossy).into_owned()
}

/// `STREAM|TABLE s (columns) WITH (…)`: the source is what this CREATE would make.
fn source(rest: &str, fixture: &Fixture) -> Result<(), String> {
    let text = format!("CREATE {};", rest.trim().trim_end_matches(';'));
    let statements = sql::parse_statements(&text).map_err(|error| error.to_string())?;
    let Some(StatementKind::CreateSource(create)) = statements.into_iter().next().map(|statement| statement.kind)
    else {
        return Err("the assertion defines no source".to_owned());
    };
    let catalog = fixture.catalog();
    let name = &create.name.name;
    let actual = catalog.source(name).ok_or_else(|| format!("source {name} does not exist"))?;
    let without: Catalog = catalog.with(CatalogChange::DropSource(name.clone()));
    let functions = FunctionRegistry::builtin();
    let settings = PlanSettings::default();
    let topics = |topic: &str| {
        let partitions = fixture.partitions(topic).ok().flatten()?;
        Some(TopicShape { partitions, replicas: 1, retention_ms: None })
    };
    let context = PlanContext { functions: &functions, settings: &settings, topics: &topics };
    let expected = define_source(&create, &without, &context).map_err(|error| error.to_string())?.source;
    let schemas = |source: &Source| source.schema.display(source.is_table());
    let sides = |source: &Source| format!("{:?} {:?}", source.key, source.value);
    for (what, expected, actual) in [
        ("kind", expected.kind.noun().to_owned(), actual.kind.noun().to_owned()),
        ("schema", schemas(&expected), schemas(actual)),
        ("topic", expected.topic.clone(), actual.topic.clone()),
        ("formats", sides(&expected), sides(actual)),
        ("timestamp", format!("{:?}", expected.timestamp), format!("{:?}", actual.timestamp)),
        ("window", format!("{:?}", expected.window), format!("{:?}", actual.window)),
    ] {
        if expected != actual {
            return Err(format!("expected {what} {expected}, got {actual}"));
        }
    }
    Ok(())
}
