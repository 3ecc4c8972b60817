//! Rows that a client streams into a source.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::catalog::Source;
use crate::diagnostics::{Code, Diagnostic};
use crate::formats::{FormatName, RecordDecoder, Side, SideColumn, decoder};
use crate::types::{ColumnRole, EventTime, Name};

use super::answer::{Failure, Inserted};
use super::database::Engine;
use super::insert::{RowsToInsert, check_target};
use super::json_row::{column_name, strict_row};
use super::properties::Properties;

/// Writes the rows of one client into one stream or table.
pub struct Inserter {
    engine: Arc<Engine>,
    source: Arc<Source>,
    /// The source's key and value columns as one JSON object.
    row: Side,
}

/// Rows up to the first bad one.
struct ReadRows {
    /// How many.
    count: usize,
    /// What is wrong with the one after them.
    failure: Option<Diagnostic>,
    /// Holds them.
    columns: Box<dyn RecordDecoder>,
}

impl std::fmt::Debug for Inserter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inserter").field("source", &self.source.name).finish_non_exhaustive()
    }
}

impl Inserter {
    /// Appends rows, each the text of a JSON object of columns (`rest-api.md` 5, insert side), in order; returns
    /// when the log has them by its policy.
    pub fn insert(&self, rows: &[Bytes]) -> Inserted {
        let read = self.read(rows).and_then(|read| {
            if read.count > 0 {
                self.append(read.columns, read.count)?;
            }
            Ok((read.count, read.failure))
        });
        match read {
            Ok((rows, failure)) => Inserted { rows, failure },
            Err(failure) => Inserted { rows: 0, failure: Some(failure) },
        }
    }

    /// Reads rows up to the first bad one.
    fn read(&self, rows: &[Bytes]) -> Result<ReadRows, Diagnostic> {
        let wanted: Vec<usize> = (0..self.row.columns.len()).collect();
        let mut read =
            decoder(&self.row, &wanted).map_err(|error| Diagnostic::new(Code::InvalidFormat, error.to_string()))?;
        for (count, text) in rows.iter().enumerate() {
            let strict = strict_row(text, &self.source).and_then(|row| {
                read.decode(row.to_string().as_bytes()).map_err(|error| {
                    Diagnostic::new(Code::InvalidValue, "a row does not fit the columns").with_detail(error.to_string())
                })
            });
            if let Err(failure) = strict {
                return Ok(ReadRows { count, failure: Some(failure), columns: read });
            }
        }
        Ok(ReadRows { count: rows.len(), failure: None, columns: read })
    }

    fn append(&self, mut read: Box<dyn RecordDecoder>, count: usize) -> Result<(), Diagnostic> {
        self.engine.check_open()?;
        self.engine.check_owned()?;
        let now = EventTime(self.engine.clock.now_ms());
        let names = self.row.columns.iter().map(|column| column.name.clone());
        let given: Vec<(Name, _)> = names.zip(read.finish()).collect();
        self.engine.insert_rows(&RowsToInsert::new(&self.source, &given, vec![now; count]))
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
        self.check_open().map_err(Failure::general)?;
        let given = Properties::new(properties).map_err(Failure::general)?.over(&self.defaults());
        let name = column_name(target.trim());
        let catalog = self.catalog();
        let refuse = |refusal| Failure::of_statement(refusal, target);
        let source = catalog.source(&name).cloned().ok_or_else(|| {
            refuse(
                Diagnostic::new(Code::UnknownSource, format!("source {name} does not exist"))
                    .with_detail(format!("Cannot insert values into an unknown stream/table: {}", name.quoted()))
                    .with_near_miss(name.as_str(), catalog.sources().map(|source| source.name.as_str())),
            )
        })?;
        let enabled = given.is_on("ksql.insert.into.values.enabled", true);
        check_target(&source, enabled, given.compatibility()).map_err(refuse)?;
        let columns = source
            .schema
            .columns()
            .iter()
            .filter(|column| matches!(column.role, ColumnRole::Key | ColumnRole::Value))
            .map(|column| SideColumn { name: column.name.clone(), ty: column.ty.clone() })
            .collect();
        let row = Side { format: FormatName::Json, delimiter: None, unwrapped: false, columns };
        Ok(Inserter { engine: Arc::clone(self), source, row })
    }
}
