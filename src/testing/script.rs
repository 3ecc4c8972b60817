//! SQL scripts: sqllogictest files (`.slt`) on every log.
//!
//! A `.slt` file is one session on a fresh engine. `statement` and `query` records hold one statement each; after every
//! one the runner waits until all persistent queries have caught up, so that a script needs no pauses. A SELECT with
//! EMIT CHANGES ends by its LIMIT. Reading starts at the earliest offset unless the script SETs otherwise. Beyond SQL
//! there is `RESTART SERVER;`, which ends the engine and opens it again on the same log. `onlyif` and `skipif` know
//! `memory`, `embedded` and `kafka`, for what differs between logs: the offsets of records.
//!
//! Nothing waits for ever: a query that gives no row for [`LIMIT`] fails, and is named.

use std::collections::BTreeMap;
use std::path::Path;

use sqllogictest::{DB, DBOutput, DefaultColumnType};

use crate::engine::{QueryAnswer, RowEvent};
use crate::sql;
use crate::sql::ast::StatementKind;

use super::command::Job;
use super::fixture::{Fixture, LIMIT, LogKind};
use super::report::{CaseResult, Outcome};

/// What a test script can say beyond SQL.
const RESTART: &str = "RESTART SERVER";

/// Scripts on a cluster meet each other's topics: one at a time.
static ON_KAFKA: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

/// A job that runs a `.slt` file on each log, or on this Kafka cluster alone.
pub(super) fn job(path: &Path, kafka: Option<&str>) -> Job {
    let path = path.to_owned();
    let logs = match kafka {
        Some(servers) => vec![LogKind::Kafka(servers.to_owned())],
        None => LogKind::ALL.to_vec(),
    };
    Job {
        run: Box::new(move || CaseResult {
            id: path.display().to_string(),
            suite: "slt",
            tier: None,
            error_case: false,
            outcome: logs
                .iter()
                .try_for_each(|log| run_file(&path, log))
                .map_or_else(|outcome| outcome, |()| Outcome::Pass { note: None }),
        }),
    }
}

/// Runs a file on one log; `Err` is the outcome of a file that does not pass.
fn run_file(path: &Path, log: &LogKind) -> Result<(), Outcome> {
    let _turn = matches!(log, LogKind::Kafka(_)).then(|| ON_KAFKA.lock());
    if *log == LogKind::Embedded
        && let Err(error) = tempfile::tempdir()
    {
        return Err(Outcome::Skip(format!("no folder for the embedded log: {error}")));
    }
    let kind = log.clone();
    let mut runner = sqllogictest::Runner::new(move || {
        let session = Session::open(&kind).map_err(ScriptError);
        async move { session }
    });
    runner.add_label(&log.as_str().to_lowercase());
    let failed = |error: sqllogictest::TestError| format!("on the {} log: {}", log.as_str(), error.display(false));
    runner.run_file(path).map_err(|error| Outcome::Fail(failed(error)))
}

/// A script's session on a fresh engine.
struct Session {
    fixture: Fixture,
    properties: BTreeMap<String, String>,
    /// What DEFINE gave, by upper-case names.
    variables: BTreeMap<String, String>,
}

/// Why a statement of a script failed; prints as a person would see it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ScriptError(String);

impl Session {
    fn open(log: &LogKind) -> Result<Self, String> {
        let properties = BTreeMap::from([("auto.offset.reset".to_owned(), "earliest".to_owned())]);
        Ok(Self { fixture: Fixture::for_scripts(log)?, properties, variables: BTreeMap::new() })
    }

    fn statement(&mut self, text: &str) -> Result<DBOutput<DefaultColumnType>, String> {
        let text = text.trim().trim_end_matches(';');
        if text.eq_ignore_ascii_case(RESTART) {
            self.fixture.restart()?;
            return Ok(DBOutput::StatementComplete(0));
        }
        let text = format!("{text};");
        let text = sql::variables::substitute(&text, &self.variables).map_err(|diagnostic| diagnostic.to_string())?;
        let kind = match sql::parse_statements(&text) {
            Ok(statements) => statements.into_iter().next().map(|statement| statement.kind),
            // The engine knows more SQL than the dialect has; it says what is wrong otherwise.
            Err(_) if sql::begins_query(&text) => {
                let output = self.query(&text)?;
                self.fixture.wait_until_caught_up()?;
                return Ok(output);
            }
            Err(_) if sql::explains_query(&text) => None,
            Err(diagnostic) => return Err(diagnostic.to_string()),
        };
        let output = match kind {
            Some(StatementKind::Set { name, value }) => {
                self.properties.insert(name, value);
                DBOutput::StatementComplete(0)
            }
            Some(StatementKind::Unset { name }) => {
                self.properties.remove(&name);
                DBOutput::StatementComplete(0)
            }
            Some(StatementKind::Define { name, value }) => {
                self.variables.insert(name.as_str().to_uppercase(), value);
                DBOutput::StatementComplete(0)
            }
            Some(StatementKind::Undefine { name }) => {
                self.variables.remove(&name.as_str().to_uppercase());
                DBOutput::StatementComplete(0)
            }
            Some(StatementKind::Query(_) | StatementKind::Print { .. }) => self.query(&text)?,
            _ => {
                let entities = self.fixture.execute(&text, &self.properties);
                let entities = entities.map_err(|failure| failure.diagnostic.to_string())?;
                let rows = entities.iter().flat_map(|entity| {
                    let warnings = entity.warnings.iter().map(|warning| vec![format!("WARNING: {}", warning.message)]);
                    entity_rows(&serde_json::json!(entity)).into_iter().chain(warnings).collect::<Vec<_>>()
                });
                let rows = rows.collect();
                DBOutput::Rows { types: vec![DefaultColumnType::Text], rows }
            }
        };
        self.fixture.wait_until_caught_up()?;
        Ok(output)
    }

    fn query(&self, text: &str) -> Result<DBOutput<DefaultColumnType>, String> {
        let answer = self.fixture.query(text, &self.properties).map_err(|failure| failure.diagnostic.to_string())?;
        let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let waiting = waiting.map_err(|error| error.to_string())?;
        let hangs = |_| format!("nothing came within {LIMIT:?}");
        match answer {
            QueryAnswer::Rows(mut stream) => {
                let types = vec![DefaultColumnType::Text; stream.columns.len()];
                let mut rows = Vec::new();
                let mut next = || waiting.block_on(async { tokio::time::timeout(LIMIT, stream.events.recv()).await });
                while let Some(event) = next().map_err(hangs)? {
                    match event {
                        RowEvent::Rows { rows: batch, tombstones } => {
                            rows.extend(super::fixture::text_rows(&batch, tombstones.as_deref())?);
                        }
                        RowEvent::LimitReached | RowEvent::Completed => break,
                        RowEvent::Failed(diagnostic) => return Err(diagnostic.to_string()),
                    }
                }
                Ok(DBOutput::Rows { types, rows })
            }
            QueryAnswer::Print(mut stream) => {
                let mut rows = Vec::new();
                let mut next = || waiting.block_on(async { tokio::time::timeout(LIMIT, stream.lines.recv()).await });
                while let Some(line) = next().map_err(hangs)? {
                    rows.push(vec![line]);
                }
                Ok(DBOutput::Rows { types: vec![DefaultColumnType::Text], rows })
            }
        }
    }
}

/// What a script can compare of a statement's answer: one line of text a row.
fn entity_rows(entity: &serde_json::Value) -> Vec<Vec<String>> {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line = |text: String| vec![text];
    let lists = [
        ("streams", "streams"),
        ("tables", "tables"),
        ("kafka_topics", "topics"),
        ("queries", "queries"),
        ("function_names", "functions"),
    ];
    let kind = entity["@type"].as_str().unwrap_or_default();
    if let Some((_, member)) = lists.iter().find(|(name, _)| *name == kind) {
        let items = entity[*member].as_array().into_iter().flatten();
        return items.map(|item| line(text(item.get("name").or_else(|| item.get("id")).unwrap_or(item)))).collect();
    }
    match kind {
        "currentStatus" => vec![line(text(&entity["commandStatus"]["message"]))],
        "warning_entity" => vec![line(text(&entity["message"]))],
        "sourceDescription" => {
            let fields = entity["sourceDescription"]["fields"].as_array().into_iter().flatten();
            fields.map(|field| line(format!("{} {}", text(&field["name"]), text(&field["schema"]["type"])))).collect()
        }
        "queryDescription" => {
            let query = &entity["queryDescription"];
            let plan = text(&query["executionPlan"]);
            // What runs, for queries that go on.
            let graph = if query["queryType"] == "PULL" { String::new() } else { text(&query["topology"]) };
            plan.lines().chain(graph.lines()).map(|text| line(text.to_owned())).collect()
        }
        _ => vec![line(entity.to_string())],
    }
}

impl DB for Session {
    type Error = ScriptError;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, ScriptError> {
        match self.statement(sql) {
            Ok(DBOutput::Rows { types, rows }) => {
                let shown = |row: Vec<String>| row.into_iter().map(|cell| self.fixture.shown(cell)).collect();
                Ok(DBOutput::Rows { types, rows: rows.into_iter().map(shown).collect() })
            }
            Ok(output) => Ok(output),
            Err(reason) => Err(ScriptError(self.fixture.shown(reason))),
        }
    }

    fn engine_name(&self) -> &str {
        "thalweg"
    }

    fn shutdown(&mut self) {
        self.fixture.shutdown();
    }
}
