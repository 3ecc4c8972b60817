//! Rows on their way into a topic: typed columns of one source, checked, encoded, appended, acknowledged.
//!
//! INSERT VALUES and `/inserts-stream` meet here: both make [`RowsToInsert`], columns of the source's types.

use std::sync::mpsc;

use datafusion::arrow::array::{Array, ArrayRef, new_null_array};
use datafusion::arrow::buffer::BooleanBuffer;

use crate::catalog::Source;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EvaluationContext, evaluate_constant};
use crate::formats::{EncodedSide, Side, encoder};
use crate::functions::FunctionRegistry;
use crate::planner::Compatibility;
use crate::sql::ast::{Expr, Ident, InsertValues};
use crate::topics::{CommitOutcome, PartitionRecords, Transaction, partition_for_key};
use crate::types::{ColumnRole, EventTime, Name, Offset, Partition, RecordBlockBuilder, RecordView, SqlType};

use super::database::Engine;
use super::scope::{Scope, check_writable, storage};

/// Rows for one source, as columns; what a row does not give is null.
#[derive(Debug)]
pub(super) struct RowsToInsert {
    /// The topic.
    pub(super) topic: String,
    /// How keys are written.
    pub(super) key: Side,
    /// How values are written.
    pub(super) value: Side,
    /// A column for each of the key side's.
    pub(super) key_columns: Vec<ArrayRef>,
    /// A column for each of the value side's.
    pub(super) value_columns: Vec<ArrayRef>,
    /// Event time of each row.
    pub(super) timestamps: Vec<EventTime>,
}

/// The rows of one INSERT VALUES: always one.
pub(super) type ValuesToInsert = RowsToInsert;

/// Refuses a source that nobody may write rows into.
///
/// The table of a query is its result: a row from elsewhere would stand in it unknown to the query. ksqlDB takes such rows.
pub(super) fn check_target(source: &Source, enabled: bool, compatibility: Compatibility) -> Result<(), Diagnostic> {
    let (kind, name) = (source.kind.noun(), &source.name);
    if !enabled {
        return Err(Diagnostic::new(Code::Unsupported, "inserting values is switched off")
            .with_detail("The server has disabled INSERT INTO ... VALUES functionality."));
    }
    if source.window.is_some() {
        return Err(Diagnostic::new(Code::Unsupported, format!("{kind} {name} is windowed"))
            .with_detail("Cannot insert values into windowed stream/table!"));
    }
    if source.read_only {
        return Err(Diagnostic::new(Code::ReadOnly, format!("{kind} {name} is read-only"))
            .with_detail(format!("Cannot insert values into read-only {kind}: {name}")));
    }
    if let Some(query) = source.created_by.as_ref().filter(|_| source.is_table())
        && compatibility == Compatibility::Extended
    {
        return Err(Diagnostic::new(Code::ReadOnly, format!("table {name} is the result of query {query}"))
            .with_detail("A row that somebody else puts into it would not be known to the query.")
            .with_hint(format!(
                "Insert into what the query reads. Or end the query with TERMINATE {query}: the table is then a plain one."
            )));
    }
    check_writable(&source.topic)
}

/// Evaluates an INSERT VALUES.
///
/// # Errors
/// There is no such target, it cannot be written, or a value does not fit.
pub(super) fn values_to_insert(scope: &Scope<'_>, insert: &InsertValues) -> Result<ValuesToInsert, Diagnostic> {
    let target = &insert.target;
    let source = scope.catalog().source(&target.name).cloned().ok_or_else(|| {
        Diagnostic::new(Code::UnknownSource, format!("source {} does not exist", target.name))
            .with_detail(format!("Cannot insert values into an unknown stream/table: {}", target.name.quoted()))
            .with_near_miss(target.name.as_str(), scope.catalog().sources().map(|source| source.name.as_str()))
            .at(target.span)
    })?;
    let enabled = scope.session.properties().is_on("ksql.insert.into.values.enabled", true);
    let compatibility = scope.session.plan_settings().compatibility;
    check_target(&source, enabled, compatibility).map_err(|error| error.at(target.span))?;
    let columns = columns_of(&source, insert)?;
    let mut given: Vec<(Name, ArrayRef)> = Vec::with_capacity(columns.len());
    let mut timestamp = EventTime(scope.engine.clock.now_ms());
    let functions = scope.functions();
    for ((name, ty), value) in columns.iter().zip(&insert.values) {
        let array = scope.engine.constant(value, ty, &name.name, &functions)?;
        if name.name.as_str() == "ROWTIME" && source.schema.column(&name.name).is_none() {
            timestamp = row_time(&array, name)?;
        } else {
            given.push((name.name.clone(), array));
        }
    }
    check_primary_key(&source, &given).map_err(|error| error.at(target.span))?;
    Ok(RowsToInsert::new(&source, &given, vec![timestamp]))
}

/// The columns that values are given for, with their types.
fn columns_of(source: &Source, insert: &InsertValues) -> Result<Vec<(Ident, SqlType)>, Diagnostic> {
    let headers: Vec<_> = source.schema.headers().map(|column| column.name.to_string()).collect();
    let refuse_headers = |span| {
        Err(Diagnostic::new(
            Code::ReadOnly,
            format!("columns {} hold headers, which nobody inserts", headers.join(", ")),
        )
        .with_detail(format!("Cannot insert into HEADER columns: {}", headers.join(", ")))
        .at(span))
    };
    let mut columns = Vec::new();
    if insert.columns.is_empty() {
        if !headers.is_empty() {
            return refuse_headers(insert.target.span);
        }
        for column in source.schema.star() {
            let ident = Ident { name: column.name.clone(), span: insert.target.span };
            columns.push((ident, column.ty.clone()));
        }
    }
    for ident in &insert.columns {
        let column = source.schema.column(&ident.name);
        match (ident.name.as_str(), column) {
            (_, Some(column)) => match column.role {
                ColumnRole::Key | ColumnRole::Value => columns.push((ident.clone(), column.ty.clone())),
                ColumnRole::Headers | ColumnRole::Header(_) => return refuse_headers(ident.span),
            },
            ("ROWTIME", None) => columns.push((ident.clone(), SqlType::BigInt)),
            ("ROWPARTITION" | "ROWOFFSET", None) => {
                return Err(Diagnostic::new(Code::ReadOnly, format!("column {} is not inserted", ident.name))
                    .with_detail(format!("Inserting into column {} is not allowed.", ident.name.quoted()))
                    .at(ident.span));
            }
            (_, None) => {
                let known = source.schema.columns().iter().map(|column| column.name.as_str());
                return Err(Diagnostic::new(
                    Code::UnknownColumn,
                    format!("column {} does not exist in {} {}", ident.name, source.kind.noun(), source.name),
                )
                .with_detail(format!("Column name {} does not exist.", ident.name.quoted()))
                .with_near_miss(ident.name.as_str(), known)
                .at(ident.span));
            }
        }
        if columns[..columns.len() - 1].iter().any(|(before, _)| before.name == ident.name) {
            return Err(
                Diagnostic::new(Code::DuplicateName, format!("column {} is given twice", ident.name)).at(ident.span)
            );
        }
    }
    if columns.len() != insert.values.len() {
        let names: Vec<_> = columns.iter().map(|(ident, _)| ident.name.quoted()).collect();
        return Err(Diagnostic::new(
            Code::SchemaMismatch,
            format!("{} values are given for {} columns", insert.values.len(), columns.len()),
        )
        .with_detail(format!("Expected a value for each column. Expected Columns: [{}].", names.join(", ")))
        .at(insert.target.span));
    }
    Ok(columns)
}

/// The value of ROWTIME, which must not be null or negative.
fn row_time(array: &ArrayRef, name: &Ident) -> Result<EventTime, Diagnostic> {
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::Int64Type;
    array
        .as_primitive_opt::<Int64Type>()
        .filter(|times| times.len() == 1 && times.is_valid(0) && times.value(0) >= 0)
        .map(|times| EventTime(times.value(0)))
        .ok_or_else(|| {
            Diagnostic::new(Code::InvalidValue, "ROWTIME must be a time in milliseconds, not null or negative")
                .at(name.span)
        })
}

/// Rows of a table need their whole key.
fn check_primary_key(source: &Source, given: &[(Name, ArrayRef)]) -> Result<(), Diagnostic> {
    if !source.is_table() {
        return Ok(());
    }
    let missing: Vec<_> = source
        .schema
        .key()
        .filter(|column| given.iter().all(|(name, array)| *name != column.name || array.null_count() > 0))
        .map(|column| column.name.to_string())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Diagnostic::new(Code::InvalidKey, format!("table {} needs a value for its primary key", source.name))
        .with_detail(format!("Value for primary key column(s) {} is required for tables", missing.join(", "))))
}

impl RowsToInsert {
    /// Rows of a source; columns that are not given are null.
    pub(super) fn new(source: &Source, given: &[(Name, ArrayRef)], timestamps: Vec<EventTime>) -> Self {
        let rows = timestamps.len();
        let of = |side: &Side| {
            side.columns
                .iter()
                .map(|column| {
                    given.iter().find(|(name, _)| *name == column.name).map_or_else(
                        || new_null_array(&column.ty.arrow(), rows),
                        |(_, array)| std::sync::Arc::clone(array),
                    )
                })
                .collect()
        };
        Self {
            topic: source.topic.clone(),
            key_columns: of(&source.key),
            value_columns: of(&source.value),
            key: source.key.clone(),
            value: source.value.clone(),
            timestamps,
        }
    }

    /// Encodes the rows and deals them to `partitions`. Rows without a key go to the partition that `turn` tells.
    ///
    /// # Errors
    /// A value cannot be written in the source's format.
    pub(super) fn encode(
        &self,
        partitions: i32,
        mut turn: impl FnMut() -> Partition,
    ) -> Result<Vec<PartitionRecords>, Diagnostic> {
        let rows = self.timestamps.len();
        let null_keys =
            BooleanBuffer::collect_bool(rows, |row| self.key_columns.iter().all(|column| column.is_null(row)));
        let keys = encode_side(&self.key, &self.key_columns, rows, Some(&null_keys))?;
        let values = encode_side(&self.value, &self.value_columns, rows, None)?;
        let mut blocks: std::collections::BTreeMap<Partition, RecordBlockBuilder> = std::collections::BTreeMap::new();
        for (row, timestamp) in self.timestamps.iter().enumerate() {
            let key = keys.get(row);
            let partition = key.map_or_else(&mut turn, |key| partition_for_key(key, partitions));
            blocks.entry(partition).or_default().push(RecordView {
                offset: Offset(0),
                timestamp: *timestamp,
                key,
                value: values.get(row),
                headers: &[],
            });
        }
        Ok(blocks
            .into_iter()
            .map(|(partition, mut block)| PartitionRecords {
                topic: self.topic.clone(),
                partition,
                records: block.finish(),
            })
            .collect())
    }
}

fn encode_side(
    side: &Side,
    columns: &[ArrayRef],
    rows: usize,
    skip: Option<&BooleanBuffer>,
) -> Result<EncodedSide, Diagnostic> {
    let mut out = EncodedSide::default();
    encoder(side)
        .map_err(|error| Diagnostic::new(Code::InvalidFormat, error.to_string()))?
        .encode(columns, rows, skip, &mut out)
        .map_err(|error| Diagnostic::new(Code::InvalidValue, error.message))?;
    Ok(out)
}

impl Engine {
    /// The value of an expression without columns, as one of a column's type.
    fn constant(
        &self,
        value: &Expr,
        ty: &SqlType,
        column: &Name,
        functions: &FunctionRegistry,
    ) -> Result<ArrayRef, Diagnostic> {
        let context = EvaluationContext { now_ms: self.clock.now_ms(), seed: self.next_seed() };
        match evaluate_constant(value, Some(ty), functions, &context) {
            Ok((array, _)) => Ok(array),
            Err(error) if error.code == Code::TypeMismatch && error.hint.is_none() => {
                Err(error.with_hint(format!("Column {column} takes values of type {ty}.")))
            }
            Err(error) => Err(error),
        }
    }

    /// Appends rows and waits until the log has them by its policy.
    ///
    /// # Errors
    /// The topic is gone, a value cannot be written, the log refuses.
    pub(super) fn insert_rows(&self, rows: &RowsToInsert) -> Result<(), Diagnostic> {
        let topic = self
            .log
            .topic(&rows.topic)
            .map_err(|error| storage(&error))?
            .ok_or_else(|| Diagnostic::new(Code::UnknownTopic, format!("topic {} does not exist", rows.topic)))?;
        let partitions = topic.config.partitions;
        let records = rows.encode(partitions, || self.next_partition(partitions))?;
        self.append(Transaction { records }).map(drop)
    }

    /// Appends and waits for the answer: the base offset of each entry.
    ///
    /// # Errors
    /// The log refuses, or lost the answer.
    pub(super) fn append(&self, transaction: Transaction) -> Result<Vec<Offset>, Diagnostic> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.log.append(
            transaction,
            Box::new(move |outcome| {
                // Whoever waits takes the answer or panicked.
                let _ = answer.send(outcome);
            }),
        );
        let lost = |reason: String| {
            Diagnostic::new(Code::Storage, "the log lost its answer: the rows may or may not be there")
                .with_detail(reason)
        };
        match answered.recv() {
            Ok(CommitOutcome::Committed(offsets)) => Ok(offsets),
            Ok(CommitOutcome::Aborted(error)) => Err(storage(&error)),
            Ok(CommitOutcome::Fenced) => Err(Diagnostic::new(Code::Storage, "the log is owned by another server")),
            Ok(CommitOutcome::Unknown(reason)) => Err(lost(reason)),
            Err(mpsc::RecvError) => Err(lost("The log went away.".to_owned())),
        }
    }

    /// The partitions in turn, for records without a key.
    pub(super) fn next_partition(&self, partitions: i32) -> Partition {
        let turn = self.turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Partition(i32::try_from(turn % u32::try_from(partitions.max(1)).unwrap_or(1)).unwrap_or_default())
    }
}
