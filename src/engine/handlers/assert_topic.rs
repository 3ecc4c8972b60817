//! ASSERT TOPIC and ASSERT SCHEMA.

use std::time::Duration;

use crate::diagnostics::{Code, Diagnostic};
use crate::engine::entity::Body;
use crate::engine::scope::{Outcome, Purpose, Scope, storage};
use crate::sql::ast::{Assertion, Literal, Property, TopicName};
use crate::topics::TopicConfig;

/// How long an assertion may take to come true unless it says so: ksqlDB's default.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest TIMEOUT: the statements of other requests that change anything wait meanwhile.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until what is asserted holds.
pub(super) fn assert(
    scope: &Scope<'_>,
    negated: bool,
    what: &Assertion,
    timeout: Option<Duration>,
) -> Result<Outcome, Diagnostic> {
    let Assertion::Topic { topic, with } = what else {
        return Err(Diagnostic::not_implemented("ASSERT SCHEMA").at(scope.statement.span));
    };
    let expected = expectations(with)?;
    if timeout.is_some_and(|timeout| timeout > MAX_TIMEOUT) {
        let limit = MAX_TIMEOUT.as_secs();
        let told = format!("the TIMEOUT of the assertion passes the limit of {limit} seconds");
        return Err(Diagnostic::new(Code::LimitExceeded, told).at(scope.statement.span));
    }
    if scope.purpose == Purpose::Execute {
        let mut failure = check(scope, negated, topic, &expected)?;
        if failure.is_some() {
            scope.engine.wait_until(timeout.unwrap_or(DEFAULT_TIMEOUT), || {
                failure = check(scope, negated, topic, &expected)?;
                Ok(failure.is_none())
            })?;
        }
        if let Some(why) = failure {
            return Err(Diagnostic::new(Code::AssertionFailed, why).at(topic.span));
        }
    }
    Ok(Outcome::Answer(Body::AssertTopic { topic_name: topic.name.clone(), exists: !negated }))
}

/// What WITH asks for: PARTITIONS and REPLICAS.
fn expectations(with: &[Property]) -> Result<Vec<(&'static str, i64)>, Diagnostic> {
    with.iter()
        .map(|property| {
            let name = match property.name.name.as_str() {
                "PARTITIONS" => "partitions",
                "REPLICAS" => "replicas",
                other => {
                    return Err(Diagnostic::new(
                        Code::UnknownProperty,
                        format!("property {other} cannot be asserted of a topic"),
                    )
                    .with_hint("PARTITIONS and REPLICAS can.")
                    .at(property.name.span));
                }
            };
            match property.value {
                Literal::Integer(count) => Ok((name, i64::from(count))),
                _ => Err(Diagnostic::new(Code::InvalidProperty, format!("{name} must be an integer"))
                    .at(property.value_span)),
            }
        })
        .collect()
}

/// Why the assertion does not hold; `None` if it does.
fn check(
    scope: &Scope<'_>,
    negated: bool,
    topic: &TopicName,
    expected: &[(&'static str, i64)],
) -> Result<Option<String>, Diagnostic> {
    let found = scope.topic(&topic.name).map_err(|error| storage(&error))?;
    Ok(match (found, negated) {
        (Some(_), true) => Some(format!("topic {} exists", topic.name)),
        (None, false) => Some(format!("topic {} does not exist", topic.name)),
        (None, true) => None,
        (Some(config), false) => differs(&config, expected).map(|why| format!("topic {} {why}", topic.name)),
    })
}

fn differs(config: &TopicConfig, expected: &[(&'static str, i64)]) -> Option<String> {
    expected.iter().find_map(|(name, count)| {
        let actual =
            if *name == "partitions" { i64::from(config.partitions) } else { i64::from(config.replicas.max(1)) };
        (actual != *count).then(|| format!("has {actual} {name}, not {count}"))
    })
}
