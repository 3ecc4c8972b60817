//! The API boundary: what a door (HTTP, the test runner) can ask of the database.
//!
//! Everything here blocks the calling thread for as long as the log needs; doors call it away from their event loops.
//! Results of queries arrive through bounded channels.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostics::Diagnostic;
pub use crate::runtime::RowEvent;
use crate::types::{Name, SqlType};

/// A request of a client: statements and what they are to be read with.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// One or more statements, each ended by a semicolon.
    pub sql: String,
    /// Settings for this request, as text (`auto.offset.reset` = `earliest`).
    pub properties: BTreeMap<String, String>,
    /// Values of `${name}` in the text.
    pub variables: BTreeMap<String, String>,
    /// Wait until the command of this number has been applied.
    pub command_sequence_number: Option<i64>,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultColumn {
    /// Name.
    pub name: Name,
    /// Type.
    pub ty: SqlType,
    /// True for a key column of a pull query.
    pub is_key: bool,
}

/// A query's answer.
#[derive(Debug)]
pub struct RowStream {
    /// Id for `/close-query` and TERMINATE.
    pub query_id: String,
    /// Its columns.
    pub columns: Vec<ResultColumn>,
    /// True for a push query, false for a pull query.
    pub is_push: bool,
    /// The events, bounded: a slow client slows the query, never fills memory. Dropping it ends the query.
    pub events: tokio::sync::mpsc::Receiver<RowEvent>,
}

/// The answer to PRINT: text lines.
#[derive(Debug)]
pub struct PrintStream {
    /// Lines without line ends; bounded. Dropping it ends the printing.
    pub lines: tokio::sync::mpsc::Receiver<String>,
}

/// The answer to SELECT or PRINT.
#[derive(Debug)]
pub enum QueryAnswer {
    /// Rows of a SELECT.
    Rows(RowStream),
    /// Lines of a PRINT.
    Print(PrintStream),
}

/// A request that was refused.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub diagnostic: Diagnostic,
    /// Text of the failing statement, if one is to blame.
    pub statement: Option<String>,
    /// Results of the statements before it.
    pub entities: Vec<Entity>,
}

/// The result of one statement, as the API shows it; serialises to ksqlDB's JSON (`rest-api.md` 4).
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub struct Entity(pub serde_json::Value);

/// A running database.
pub struct Engine {}

impl Engine {
    /// Runs statements other than SELECT and PRINT, all validated before the first takes effect.
    ///
    /// # Errors
    /// The first statement that is refused.
    pub fn execute(self: &Arc<Self>, request: &Request) -> Result<Vec<Entity>, Box<Failure>> {
        let _ = request;
        Err(Box::new(Failure {
            diagnostic: Diagnostic::not_implemented("execution"),
            statement: None,
            entities: vec![],
        }))
    }

    /// Starts one SELECT or PRINT.
    ///
    /// # Errors
    /// The statement is refused, or a limit on running queries is reached.
    pub fn query(self: &Arc<Self>, request: &Request) -> Result<QueryAnswer, Box<Failure>> {
        let _ = request;
        Err(Box::new(Failure { diagnostic: Diagnostic::not_implemented("queries"), statement: None, entities: vec![] }))
    }

    /// Ends a push query; false if there is none of this id.
    pub fn close_query(&self, query_id: &str) -> bool {
        let _ = query_id;
        false
    }
}
