//! HTTP tests: the same as query tests, asked through the server's own router.

use serde_json::{Value, json};

use crate::testing::fixture::Fixture;
use crate::testing::http::HttpAnswer;

use super::case::Case;
use super::number::Number;
use super::{qtt, setup};

/// Runs one case: a note for the report, or the first thing that is not as expected.
pub(super) fn run(case: &Case) -> Result<Option<String>, String> {
    let fixture = Fixture::for_http()?;
    for (name, (partitions, replicas)) in setup::topics(case) {
        fixture.create_topic(&name, partitions, replicas)?;
    }
    let is_select = |text: &String| text.trim_start().to_uppercase().starts_with("SELECT ");
    let split = case.statements.iter().position(is_select).unwrap_or(case.statements.len());
    let (admin, queries) = case.statements.split_at(split);

    let mut answers = Vec::new();
    if !admin.is_empty() {
        let answer = fixture.post("/ksql", &request(case, &admin.join("\n")))?;
        if let Some(verdict) = verdict_of_error(case, &answer, &case.statements)? {
            return Ok(verdict);
        }
        let Value::Array(entities) = answer.json()? else { return Err("/ksql did not answer a list".to_owned()) };
        answers.extend(entities);
    }
    if case.wait_for_active_push_query {
        let Some(query) = queries.first() else { return Err("the case has no query to wait for".to_owned()) };
        let running = fixture.start_query(&request(case, query))?;
        write_inputs(case, &fixture)?;
        let answer = running.finish()?;
        if let Some(verdict) = verdict_of_error(case, &answer, &case.statements)? {
            return Ok(verdict);
        }
        answers.push(answer.json()?);
    } else {
        write_inputs(case, &fixture)?;
        fixture.wait_until_caught_up()?;
        for query in queries {
            let answer = fixture.post("/query", &request(case, query))?;
            if let Some(verdict) = verdict_of_error(case, &answer, &case.statements)? {
                return Ok(verdict);
            }
            answers.push(answer.json()?);
        }
    }
    if case.expected_error {
        return Err(format!(
            "accepted, but expected: {}",
            case.expected_error_message.as_deref().unwrap_or("an error")
        ));
    }
    if case.test_pull_with_proto_format {
        return Err("NOT_IMPLEMENTED: rows in Protobuf".to_owned());
    }
    fixture.wait_until_caught_up()?;
    qtt::compare_outputs(case, &fixture)?;
    compare_responses(case, &answers)?;
    Ok(None)
}

fn request(case: &Case, text: &str) -> Value {
    let mut properties: serde_json::Map<String, Value> = Fixture::http_properties();
    properties.extend(case.engine_properties().into_iter().map(|(name, value)| (name, Value::String(value))));
    json!({ "ksql": text, "streamsProperties": properties })
}

fn write_inputs(case: &Case, fixture: &Fixture) -> Result<(), String> {
    for input in &case.inputs {
        fixture.append(&input.topic, qtt::to_record(input, fixture)?)?;
    }
    Ok(())
}

/// What an error answer means for the case; `None` if the answer is no error.
fn verdict_of_error(case: &Case, answer: &HttpAnswer, statements: &[String]) -> Result<Option<Option<String>>, String> {
    if answer.status == 200 {
        return Ok(None);
    }
    let body = answer.json().unwrap_or(Value::Null);
    let message = body.get("message").and_then(Value::as_str).unwrap_or(&answer.body).to_owned();
    if body.get("code").and_then(Value::as_str) == Some("NOT_IMPLEMENTED") {
        return Err(format!("NOT_IMPLEMENTED: {message}"));
    }
    if !case.expected_error {
        return Err(format!("answered {}: {message}", answer.status));
    }
    if let Some(expected) = case.expected_error_status
        && expected != answer.status
    {
        return Err(format!("expected status {expected}, got {}: {message}", answer.status));
    }
    let blamed = body.get("statementText").and_then(Value::as_str);
    if let (Some(blamed), Some(last)) = (blamed, statements.last())
        && statements.len() > 1
        && !same_text(blamed, last)
        && statements[..statements.len() - 1].iter().any(|earlier| same_text(blamed, earlier))
    {
        return Err(format!("rejected, but at an earlier statement: {message}"));
    }
    Ok(Some(Some(message)))
}

fn same_text(left: &str, right: &str) -> bool {
    let fold = |text: &str| text.trim_end_matches(';').split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase();
    fold(left) == fold(right)
}

fn compare_responses(case: &Case, answers: &[Value]) -> Result<(), String> {
    for (index, expected) in case.responses.iter().enumerate() {
        let Some(actual) = answers.get(index) else {
            return Err(format!("response {index}: there are only {} answers", answers.len()));
        };
        let Some((kind, expected)) = expected.as_object().and_then(|object| object.iter().next()) else {
            return Err(format!("response {index} of the case is not an object"));
        };
        let difference = match kind.as_str() {
            "admin" => contains(expected, actual, &case.statements),
            "query" => compare_rows(case, expected, actual),
            other => Err(format!("NOT_IMPLEMENTED: answers of kind {other}")),
        };
        difference.map_err(|difference| match difference.strip_prefix("NOT_IMPLEMENTED") {
            Some(_) => difference,
            None => format!("response {index}: {difference}"),
        })?;
    }
    Ok(())
}

fn compare_rows(case: &Case, expected: &Value, actual: &Value) -> Result<(), String> {
    let (Value::Array(expected), Value::Array(actual)) = (expected, actual) else {
        return Err(format!("expected a list of rows, got {actual}"));
    };
    if expected.len() != actual.len() {
        return Err(format!(
            "expected {} rows, got {}: {}",
            expected.len(),
            actual.len(),
            Value::Array(actual.clone())
        ));
    }
    let columns = |row: &Value| row.get("row").and_then(|row| row.get("columns")).cloned();
    let mut actual_rows: Vec<Value> = actual.iter().filter_map(columns).collect();
    for (position, (expected, actual)) in expected.iter().zip(actual).enumerate() {
        let Some(wanted) = columns(expected).filter(|_| !case.verify_order) else {
            contains(expected, actual, &case.statements).map_err(|error| format!("row {position}: {error}"))?;
            continue;
        };
        if columns(actual).is_none() {
            return Err(format!("row {position}: expected a row, got {actual}"));
        }
        let found = actual_rows.iter().position(|row| contains(&wanted, row, &case.statements).is_ok());
        match found {
            Some(found) => drop(actual_rows.swap_remove(found)),
            None => {
                let left = Value::Array(actual_rows);
                return Err(format!("row {position}: expected {wanted}, not among {left}"));
            }
        }
    }
    Ok(())
}

/// True where nothing can be told from nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Checks that `actual` has at least what `expected` names.
fn contains(expected: &Value, actual: &Value, statements: &[String]) -> Result<(), String> {
    let differs = || Err(format!("expected {expected}, got {actual}"));
    match (expected, actual) {
        (Value::Object(fields), Value::Object(actuals)) => {
            for (name, expected) in fields {
                let (name, prefix) = match name.strip_suffix("|starts_with") {
                    Some(name) => (name, true),
                    None => (name.as_str(), false),
                };
                let actual = actuals.get(name).unwrap_or(&Value::Null);
                if actual.is_null() && is_empty(expected) {
                    continue;
                }
                let holds = match (prefix, expected, actual) {
                    (true, Value::String(prefix), Value::String(text)) => {
                        let prefix = substitute(prefix, statements);
                        if text.starts_with(&prefix) {
                            Ok(())
                        } else {
                            Err(format!("expected a text that starts with {prefix:?}, got {text:?}"))
                        }
                    }
                    _ => contains(expected, actual, statements),
                };
                holds.map_err(|error| format!("{name}: {error}"))?;
            }
            Ok(())
        }
        (Value::Array(items), Value::Array(actuals)) => {
            if items.len() != actuals.len() {
                return differs();
            }
            items.iter().zip(actuals).try_for_each(|(item, actual)| contains(item, actual, statements))
        }
        (Value::Number(number), Value::Number(actual)) => {
            let same = Number::parse(&number.to_string()) == Number::parse(&actual.to_string());
            if same { Ok(()) } else { differs() }
        }
        (Value::String(text), Value::String(actual)) if substitute(text, statements) == *actual => Ok(()),
        _ if expected == actual => Ok(()),
        _ => differs(),
    }
}

/// Replaces `{STATEMENT}`: the text of the statement the answer belongs to.
fn substitute(text: &str, statements: &[String]) -> String {
    match statements.last() {
        Some(last) if text.contains("{STATEMENT}") => text.replace("{STATEMENT}", last),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    fn check(expected: &str, actual: &str) -> bool {
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        super::contains(&parse(expected), &parse(actual), &[]).is_ok()
    }

    #[test]
    fn an_answer_may_have_more_fields_but_not_other_values() {
        assert!(check(r#"{"a":{"b":1}}"#, r#"{"a":{"b":1,"c":2},"d":[]}"#));
        assert!(!check(r#"{"a":1}"#, r#"{"a":1.0}"#));
        assert!(check(r#"{"m|starts_with":"Cannot"}"#, r#"{"m":"Cannot add"}"#));
        assert!(!check(r#"[1]"#, r#"[1,2]"#));
        assert!(check(r#"{"warnings":[]}"#, r#"{}"#));
    }
}
