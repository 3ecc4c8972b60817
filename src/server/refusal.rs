//! Errors as the API shows them (`rest-api.md` 3): ksqlDB's JSON and numbers, with our members behind.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::diagnostics::{Code, Diagnostic};
use crate::engine::{Entity, Failure};

/// ksqlDB's error numbers; the HTTP status is the number divided by 100.
pub(super) mod number {
    /// Bad request, property or JSON.
    pub(crate) const BAD_REQUEST: u32 = 40000;
    /// Bad statement.
    pub(crate) const BAD_STATEMENT: u32 = 40001;
    /// SELECT or PRINT sent to `/ksql`.
    pub(crate) const QUERY_ENDPOINT: u32 = 40002;
    /// Too many push queries.
    pub(crate) const MAX_PUSH_QUERIES: u32 = 40003;
    /// Command not found.
    pub(crate) const NOT_FOUND: u32 = 40400;
    /// The topic does not exist (as in Kafka's REST API).
    pub(crate) const UNKNOWN_TOPIC: u32 = 40403;
    /// The request body is too large (not ksqlDB's).
    pub(crate) const TOO_LARGE: u32 = 41300;
    /// ASSERT failed.
    pub(crate) const ASSERTION: u32 = 41700;
    /// A limit on requests under way was reached.
    pub(crate) const TOO_MANY_REQUESTS: u32 = 42900;
    /// Unexpected error.
    pub(crate) const SERVER_ERROR: u32 = 50000;
    /// A previous command took too long.
    pub(crate) const COMMAND_TIMEOUT: u32 = 50301;
    /// Starting.
    pub(crate) const NOT_READY: u32 = 50302;
    /// Stopping.
    pub(crate) const SHUTTING_DOWN: u32 = 50303;
    /// Ended by `/ksql/terminate`.
    pub(crate) const TERMINATED: u32 = 50304;
}

/// The number of a diagnostic; `of_statement`: a statement is to blame, not the request around it.
pub(super) fn error_number(code: Code, of_statement: bool) -> u32 {
    match code {
        Code::WrongEndpoint => number::QUERY_ENDPOINT,
        Code::NotReady => number::NOT_READY,
        Code::TimedOut => number::COMMAND_TIMEOUT,
        Code::TooManyRequests => number::TOO_MANY_REQUESTS,
        Code::AssertionFailed => number::ASSERTION,
        Code::Storage | Code::Internal => number::SERVER_ERROR,
        _ if of_statement => number::BAD_STATEMENT,
        _ => number::BAD_REQUEST,
    }
}

/// A request that is answered with an error.
#[derive(Debug)]
pub(super) struct Refusal {
    number: u32,
    body: Value,
}

impl Refusal {
    /// A refusal of the request itself.
    pub(super) fn new(number: u32, diagnostic: &Diagnostic) -> Self {
        Self { number, body: generic_error(number, diagnostic) }
    }

    /// A request that cannot be read.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(number::BAD_REQUEST, &Diagnostic::new(Code::SyntaxError, message))
    }

    /// The refusal with another number.
    pub(super) fn renumbered(mut self, number: u32) -> Self {
        self.number = number;
        self.body["error_code"] = json!(number);
        self
    }

    /// The error's JSON.
    pub(super) fn body(&self) -> &Value {
        &self.body
    }
}

impl From<Diagnostic> for Refusal {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::new(error_number(diagnostic.code, false), &diagnostic)
    }
}

impl From<Box<Failure>> for Refusal {
    fn from(failure: Box<Failure>) -> Self {
        let Failure { diagnostic, statement, entities } = *failure;
        let number = error_number(diagnostic.code, statement.is_some());
        let body = match statement {
            Some(statement) => statement_error(number, &diagnostic, &statement, entities),
            None => generic_error(number, &diagnostic),
        };
        Self { number, body }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = u16::try_from(self.number / 100).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, [(CONTENT_TYPE, "application/json")], self.body.to_string()).into_response();
        if self.number == number::NOT_READY {
            response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static("10"));
        }
        response
    }
}

/// A `generic_error`.
pub(super) fn generic_error(number: u32, diagnostic: &Diagnostic) -> Value {
    let mut members = head("generic_error", number, diagnostic);
    add_ours(&mut members, diagnostic);
    Value::Object(members)
}

fn statement_error(number: u32, diagnostic: &Diagnostic, statement: &str, entities: Vec<Entity>) -> Value {
    let mut members = head("statement_error", number, diagnostic);
    members.insert("statementText".to_owned(), json!(statement));
    members.insert("entities".to_owned(), json!(entities));
    add_ours(&mut members, diagnostic);
    Value::Object(members)
}

fn head(kind: &str, number: u32, diagnostic: &Diagnostic) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("@type".to_owned(), json!(kind));
    members.insert("error_code".to_owned(), json!(number));
    members.insert("message".to_owned(), json!(diagnostic.to_string()));
    members
}

/// What ksqlDB does not have; old clients read `stackTrace`.
fn add_ours(members: &mut Map<String, Value>, diagnostic: &Diagnostic) {
    members.insert("code".to_owned(), json!(diagnostic.code.as_str()));
    if let Some(span) = diagnostic.span {
        members.insert("line".to_owned(), json!(span.start.line));
        members.insert("column".to_owned(), json!(span.start.column));
    }
    if let Some(hint) = &diagnostic.hint {
        members.insert("hint".to_owned(), json!(hint));
    }
    members.insert("stackTrace".to_owned(), json!([]));
}

#[cfg(test)]
mod tests {
    use super::Refusal;
    use crate::diagnostics::{Code, Diagnostic, Position, Span};
    use crate::engine::{Body, Entity, Failure};

    #[test]
    fn a_statement_error_carries_ksqldbs_members_and_ours() {
        let start = Position { line: 1, column: 8, byte: 7 };
        let diagnostic = Diagnostic::new(Code::UnknownColumn, "column `X` does not exist")
            .with_hint("Did you mean \"Y\"?")
            .at(Span { start, end: start });
        let refusal = Refusal::from(Box::new(Failure {
            diagnostic,
            statement: Some("SELECT X FROM S;".to_owned()),
            entities: vec![Entity::new("LIST STREAMS;", Body::Streams { streams: vec![] })],
        }));
        assert_eq!(
            refusal.body().to_string(),
            "{\"@type\":\"statement_error\",\"error_code\":40001,\
             \"message\":\"line 1:8: column `X` does not exist\\nHint: Did you mean \\\"Y\\\"?\",\
             \"statementText\":\"SELECT X FROM S;\",\"entities\":[{\"@type\":\"streams\",\"statementText\":\"LIST STREAMS;\",\"streams\":[],\"warnings\":[]}],\
             \"code\":\"UNKNOWN_COLUMN\",\"line\":1,\"column\":8,\"hint\":\"Did you mean \\\"Y\\\"?\",\"stackTrace\":[]}"
        );
    }
}
