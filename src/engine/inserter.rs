//! Rows that a client streams into a source.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::diagnostics::Diagnostic;

use super::answer::{Failure, Inserted};
use super::database::Engine;

/// Writes the rows of one client into one stream or table.
#[derive(Debug)]
pub struct Inserter {
    engine: Arc<Engine>,
}

impl Inserter {
    /// Appends rows, each the text of a JSON object of columns (`rest-api.md` 5, insert side), in order; returns
    /// when the log has them by its policy.
    pub fn insert(&self, rows: &[Bytes]) -> Inserted {
        let _ = (&self.engine, rows);
        Inserted { rows: 0, failure: Some(Diagnostic::not_implemented("inserting rows")) }
    }
}

impl Engine {
    /// Opens a writer of rows into a stream or table; `target` is a name as in SQL (upper-cased unless quoted).
    ///
    /// # Errors
    /// There is no such source, it cannot be written, or a property is refused.
    pub fn inserter(
        self: &Arc<Self>,
        target: &str,
        properties: &BTreeMap<String, String>,
    ) -> Result<Inserter, Box<Failure>> {
        let _ = (target, properties);
        Err(Failure::general(Diagnostic::not_implemented("inserting rows")))
    }
}
