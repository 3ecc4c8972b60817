//! SQL script tests: `.sql` files that contain their own assertions, as ksqlDB's testing tool runs them.
//!
//! ```text
//!   --@test: name                  begins a test, on a fresh engine
//!   --@expected.error: class       from here on a statement must fail; what follows it is not run
//!   --@expected.message: text      … with this text in its message
//!   INSERT INTO s … VALUES …;      goes through all queries before the next statement
//!   ASSERT VALUES s (…) VALUES (…);  the next unread record of the topic of s
//! ```
//!
//! Topics are made with one partition unless WITH says otherwise.

mod assertion;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::diagnostics::Code;
use crate::sql;
use crate::sql::ast::{CreateSource, Literal, StatementKind};
use crate::sql::variables::{split_statements, substitute};

use super::command::Job;
use super::conformance::panic_text;
use super::fixture::Fixture;
use super::report::{CaseResult, Outcome};
use assertion::Assertions;

/// Begins a test.
const TEST: &str = "--@test:";
/// Some statement that follows must fail; the class is Java's and not looked at.
const EXPECTED_ERROR: &str = "--@expected.error:";
/// What the message of the failure must contain.
const EXPECTED_MESSAGE: &str = "--@expected.message:";

/// A test of a script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Test {
    name: String,
    steps: Vec<Step>,
}

/// A part of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Statements, as they stand.
    Run(String),
    /// A statement of the steps that follow must fail.
    ExpectError,
    /// … with this text in its message.
    ExpectMessage(String),
}

/// Adds a job for each test of a script; false if the file is none.
///
/// # Errors
/// The file cannot be read.
pub(super) fn jobs(path: &Path, jobs: &mut Vec<Job>) -> anyhow::Result<bool> {
    let tests = split(&std::fs::read_to_string(path)?);
    let found = !tests.is_empty();
    for test in tests {
        let path = path.to_owned();
        jobs.push(Job { run: Box::new(move || run(&path, &test)) });
    }
    Ok(found)
}

/// The tests of a script. What stands before the first is not run.
fn split(text: &str) -> Vec<Test> {
    let mut tests: Vec<Test> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix(TEST) {
            tests.push(Test { name: name.trim().to_owned(), steps: Vec::new() });
            continue;
        }
        let Some(test) = tests.last_mut() else { continue };
        if trimmed.starts_with(EXPECTED_ERROR) {
            test.steps.push(Step::ExpectError);
        } else if let Some(message) = trimmed.strip_prefix(EXPECTED_MESSAGE) {
            test.steps.push(Step::ExpectMessage(message.trim().to_owned()));
        } else if let Some(Step::Run(text)) = test.steps.last_mut() {
            text.push('\n');
            text.push_str(line);
        } else {
            test.steps.push(Step::Run(line.to_owned()));
        }
    }
    tests
}

fn run(path: &Path, test: &Test) -> CaseResult {
    let expects_error = test.steps.iter().any(|step| !matches!(step, Step::Run(_)));
    let outcome = catch_unwind(AssertUnwindSafe(|| Session::open(path).and_then(|mut session| session.run(test))));
    CaseResult {
        id: format!("sql/{}#{}", path.display(), test.name),
        suite: "sql",
        tier: None,
        error_case: expects_error,
        outcome: match outcome {
            Ok(Ok(())) => Outcome::Pass { note: None },
            Ok(Err(reason)) => Outcome::Fail(reason),
            Err(panic) => Outcome::Fail(format!("panicked: {}", panic_text(&*panic))),
        },
    }
}

/// A test under way.
struct Session {
    /// The folder of the script.
    folder: PathBuf,
    fixture: Fixture,
    assertions: Assertions,
    properties: BTreeMap<String, String>,
    /// What DEFINE gave, by upper-case names.
    variables: BTreeMap<String, String>,
}

/// Why a statement did not do what it should.
#[derive(Debug)]
enum Trouble {
    /// It was refused, or its query died: what an expected error means.
    Refused(String),
    /// It needs what is not built: never what is expected.
    NotBuilt(String),
    /// An assertion does not hold, or the test itself is wrong.
    Wrong(String),
}

impl Session {
    fn open(path: &Path) -> Result<Self, String> {
        Ok(Self {
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
            fixture: Fixture::for_sql_tests()?,
            assertions: Assertions::default(),
            properties: Fixture::sql_test_properties(),
            variables: BTreeMap::new(),
        })
    }

    fn run(&mut self, test: &Test) -> Result<(), String> {
        let mut expects_error = false;
        let mut message = None;
        for step in &test.steps {
            let text = match step {
                Step::ExpectError => {
                    expects_error = true;
                    continue;
                }
                Step::ExpectMessage(text) => {
                    (expects_error, message) = (true, Some(text));
                    continue;
                }
                Step::Run(text) => text,
            };
            match self.statements(text) {
                Ok(()) => {}
                Err(Trouble::NotBuilt(reason)) => return Err(format!("NOT_IMPLEMENTED: {reason}")),
                Err(Trouble::Refused(reason)) if expects_error => {
                    return match message {
                        Some(expected) if !reason.contains(expected.as_str()) => {
                            Err(format!("expected an error with {expected:?}, got: {reason}"))
                        }
                        _ => Ok(()),
                    };
                }
                Err(Trouble::Refused(reason) | Trouble::Wrong(reason)) => return Err(reason),
            }
        }
        if expects_error {
            return Err(format!("accepted, but expected: {}", message.map_or("an error", String::as_str)));
        }
        Ok(())
    }

    fn statements(&mut self, text: &str) -> Result<(), Trouble> {
        let pieces = split_statements(text).map_err(|error| Trouble::Refused(error.to_string()))?;
        for piece in pieces {
            let substituted = substitute(piece.text, &self.variables);
            let text = substituted.map_err(|error| Trouble::Refused(error.to_string()))?;
            self.statement(&text)?;
            self.fixture.wait_until_caught_up().map_err(Trouble::Wrong)?;
            match self.fixture.failed_query() {
                Some(reason) if reason.contains("not implemented") => return Err(Trouble::NotBuilt(reason)),
                Some(reason) => return Err(Trouble::Refused(format!("a query failed: {reason}"))),
                None => {}
            }
        }
        Ok(())
    }

    fn statement(&mut self, text: &str) -> Result<(), Trouble> {
        let wrong = |reason: String| Trouble::Wrong(format!("{reason}, in: {}", text.trim()));
        if let Some(outcome) = self.assertions.check(text, &self.fixture) {
            return outcome.map_err(wrong);
        }
        if let Some(script) = run_script(text) {
            let path = self.folder.join(&script);
            let text = std::fs::read_to_string(&path).map_err(|error| wrong(format!("{}: {error}", path.display())))?;
            return self.statements(&text);
        }
        let statements = sql::parse_statements(text).map_err(|error| match error.code {
            Code::NotImplemented => Trouble::NotBuilt(error.to_string()),
            _ => Trouble::Refused(error.to_string()),
        })?;
        for statement in statements {
            match statement.kind {
                StatementKind::Set { name, value } => {
                    self.properties.insert(name, value);
                }
                StatementKind::Unset { name } => {
                    self.properties.remove(&name);
                }
                StatementKind::Define { name, value } => {
                    self.variables.insert(name.as_str().to_uppercase(), value);
                }
                StatementKind::Undefine { name } => {
                    self.variables.remove(&name.as_str().to_uppercase());
                }
                kind => {
                    if let StatementKind::CreateSource(create) = &kind {
                        self.create_topic(create).map_err(wrong)?;
                    }
                    self.execute(text)?;
                }
            }
        }
        Ok(())
    }

    fn execute(&self, text: &str) -> Result<(), Trouble> {
        match self.fixture.execute(text, &self.properties) {
            Ok(_) => Ok(()),
            Err(failure) if failure.diagnostic.code == Code::NotImplemented => {
                Err(Trouble::NotBuilt(failure.diagnostic.to_string()))
            }
            Err(failure) => Err(Trouble::Refused(failure.diagnostic.to_string())),
        }
    }

    /// Makes the topic that a CREATE names, unless it is there or the statement will make it.
    fn create_topic(&self, create: &CreateSource) -> Result<(), String> {
        let property = |name: &str| create.with.iter().find(|property| property.name.name.as_str() == name);
        let topic = property("KAFKA_TOPIC").map(|property| &property.value);
        match topic {
            Some(Literal::String(topic))
                if property("PARTITIONS").is_none() && self.fixture.partitions(topic)?.is_none() =>
            {
                self.fixture.create_topic(topic, 1, 1)
            }
            _ => Ok(()),
        }
    }
}

/// The file that `RUN SCRIPT 'file'` names.
fn run_script(text: &str) -> Option<String> {
    let rest = text.trim().trim_end_matches(';').trim();
    let upper = rest.to_ascii_uppercase();
    let file = upper.starts_with("RUN SCRIPT").then(|| rest["RUN SCRIPT".len()..].trim())?;
    Some(file.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'"))
}

#[cfg(test)]
mod tests;
