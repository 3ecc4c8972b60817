//! Query tests: statements, records in, records out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Source;
use crate::diagnostics::Code;
use crate::engine::Failure;
use crate::sql;
use crate::testing::fixture::Fixture;
use crate::types::{EventTime, Record, RecordView};

use super::case::{Case, CaseRecord, CaseWindow};
use super::compare::{Fractions, matches};
use super::{bytes, post, setup};

/// Runs one case: a note for the report, or the first thing that is not as expected.
pub(super) fn run(case: &Case) -> Result<Option<String>, String> {
    let fixture = Fixture::for_conformance()?;
    for (name, (partitions, replicas)) in setup::topics(case) {
        fixture.create_topic(&name, partitions, replicas)?;
    }
    if let Some(verdict) = execute_all(case, &fixture)? {
        return Ok(verdict);
    }
    write_inputs(case, &fixture)?;
    let fed: Vec<&str> = case.inputs.iter().map(|input| input.topic.as_str()).collect();
    fixture.run_held_queries(&fed)?;
    let failed = fixture.failed_query();
    if case.expected_error {
        return match failed {
            // A query that dies of what is not built proves nothing about the rule that the case checks.
            Some(reason) if reason.contains("not implemented") => Err(format!("NOT_IMPLEMENTED: {reason}")),
            Some(reason) => Ok(Some(reason)),
            None => Err(expected_a_rejection(case)),
        };
    }
    if let Some(reason) = failed {
        return Err(format!("a query failed: {reason}"));
    }
    compare_outputs(case, &fixture)?;
    if let Some(post) = &case.post {
        post::check(post, &fixture)?;
    }
    Ok(None)
}

fn expected_a_rejection(case: &Case) -> String {
    format!("accepted, but expected: {}", case.expected_error_message.as_deref().unwrap_or("an error"))
}

/// Executes the statements. `Some` is the verdict of a case that is over: an error case rejected where it must be.
fn execute_all(case: &Case, fixture: &Fixture) -> Result<Option<Option<String>>, String> {
    let count = case.statements.len();
    if case.expected_error {
        // The whole text is parsed before anything runs: a syntax error anywhere rejects at once.
        for text in &case.statements {
            if let Err(diagnostic) = sql::parse_statements(text) {
                if diagnostic.code == Code::NotImplemented {
                    return Err(format!("NOT_IMPLEMENTED: {diagnostic}"));
                }
                return Ok(Some(Some(diagnostic.to_string())));
            }
        }
    }
    for (index, text) in case.statements.iter().enumerate() {
        let Err(failure) = fixture.execute(text, &case.engine_properties()) else { continue };
        let message = message_of(&failure);
        if failure.diagnostic.code == Code::NotImplemented {
            return Err(message);
        }
        if !case.expected_error {
            return Err(format!("statement {} of {count} rejected: {message}", index + 1));
        }
        if index + 1 < count {
            return Err(format!("rejected, but at statement {} of {count}: {message}", index + 1));
        }
        return Ok(Some(Some(message)));
    }
    if case.expected_error && case.inputs.is_empty() {
        return Err(expected_a_rejection(case));
    }
    if fixture.catalog().queries().next().is_none() {
        return Err("the statements leave no persistent query".to_owned());
    }
    Ok(None)
}

/// The message of a rejection, led by its code where the code decides the outcome.
pub(super) fn message_of(failure: &Failure) -> String {
    match failure.diagnostic.code {
        Code::NotImplemented => format!("NOT_IMPLEMENTED: {}", failure.diagnostic),
        _ => failure.diagnostic.to_string(),
    }
}

/// The stream or table whose formats a topic's records have.
pub(super) fn source_over(topic: &str, fixture: &Fixture) -> Result<Arc<Source>, String> {
    fixture
        .catalog()
        .sources()
        .find(|source| source.topic == topic)
        .map(Arc::clone)
        .ok_or_else(|| format!("no stream or table over topic {topic}"))
}

/// One input as record bytes.
pub(super) fn to_record(input: &CaseRecord, fixture: &Fixture) -> Result<Record, String> {
    let source = source_over(&input.topic, fixture)?;
    let key = bytes::to_bytes(&input.key, &source.key)?;
    Ok(Record {
        key: match input.window {
            Some(window) => bytes::add_window(key, window),
            None => key,
        },
        value: bytes::to_bytes(&input.value, &source.value)?,
        timestamp: EventTime(input.timestamp.unwrap_or(0)),
        headers: bytes::to_headers(&input.headers)?,
    })
}

fn write_inputs(case: &Case, fixture: &Fixture) -> Result<(), String> {
    for input in &case.inputs {
        fixture.append(&input.topic, to_record(input, fixture)?)?;
    }
    Ok(())
}

/// Compares every topic that the case expects records in.
pub(super) fn compare_outputs(case: &Case, fixture: &Fixture) -> Result<(), String> {
    let mut topics: BTreeMap<&str, Vec<&CaseRecord>> = BTreeMap::new();
    for output in &case.outputs {
        topics.entry(&output.topic).or_default().push(output);
    }
    for (topic, expected) in topics {
        let source = source_over(topic, fixture)?;
        let blocks = fixture.read_topic(topic)?;
        let actual: Vec<RecordView<'_>> = blocks.iter().flat_map(crate::types::RecordBlock::iter).collect();
        for (position, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
            compare_record(case, expected, actual, &source)
                .map_err(|difference| format!("{topic}[{position}]: {difference}"))?;
        }
        if expected.len() != actual.len() {
            let surplus = actual.get(expected.len()).map(|record| {
                let value = bytes::from_bytes(record.value, &source.value);
                value.map_or_else(|error| error, |value| value.show())
            });
            let surplus = surplus.map(|value| format!(", first surplus value {value}")).unwrap_or_default();
            return Err(format!("{topic}: expected {} records, got {}{surplus}", expected.len(), actual.len()));
        }
    }
    Ok(())
}

fn compare_record(case: &Case, expected: &CaseRecord, actual: &RecordView<'_>, source: &Source) -> Result<(), String> {
    let fractions = if case.compares_numbers_exactly() { Fractions::Exact } else { Fractions::Doubles };
    let (key_bytes, window) = match (source.window, actual.key) {
        (Some(info), Some(key)) => bytes::split_window(key, info).map(|(key, window)| (Some(key), Some(window)))?,
        (_, key) => (key, None),
    };
    if window != expected.window {
        let show =
            |window: Option<CaseWindow>| window.map_or("none".to_owned(), |w| format!("[{},{}]", w.start, w.end));
        return Err(format!("expected window {}, got {}", show(expected.window), show(window)));
    }
    for (what, expected, bytes, side) in
        [("key", &expected.key, key_bytes, &source.key), ("value", &expected.value, actual.value, &source.value)]
    {
        let actual = bytes::from_bytes(bytes, side)?;
        if !matches(expected, &actual, fractions) {
            return Err(format!("expected {what} {expected}, got {}", actual.show()));
        }
    }
    let headers = bytes::to_headers(&expected.headers)?;
    if headers != actual.headers {
        return Err(format!("expected headers {headers:?}, got {:?}", actual.headers));
    }
    // Cases that only insert values run on the wall clock: their 0 stands for any time.
    let any_time = case.inputs.is_empty() && expected.timestamp == Some(0);
    match expected.timestamp {
        Some(timestamp) if !any_time && actual.timestamp != EventTime(timestamp) => {
            Err(format!("expected timestamp {timestamp}, got {}", actual.timestamp))
        }
        _ => Ok(()),
    }
}
