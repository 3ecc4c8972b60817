//! Streams and tables as DataFusion sees them.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use tokio::sync::mpsc::Receiver;

use crate::catalog::Source;
use crate::diagnostics::Diagnostic;
use crate::runtime::RowEvent;
use crate::serving::{KeyRange, Snapshot, TableShape};
use crate::types::Name;

use super::columns;
use super::scan::{Reads, ScanExec};

/// Keys that a query may name one by one; more are scanned for.
const MAX_POINTS: usize = 10_000;

/// Gives the rows of streams and tables.
pub trait Rows: fmt::Debug + Send + Sync {
    /// A table as it is now.
    ///
    /// # Errors
    /// The table cannot be read.
    fn table(&self, table: &Arc<Source>) -> Result<Snapshot, Diagnostic>;

    /// Starts to read a stream up to its present end: rows with these columns, at least one, in this order.
    ///
    /// # Errors
    /// The stream cannot be read.
    fn stream(&self, stream: &Arc<Source>, columns: &[Name]) -> Result<Receiver<RowEvent>, Diagnostic>;
}

/// A stream or table of the catalog within one query.
#[derive(Debug)]
pub(super) struct SourceTable {
    data: Data,
    names: Vec<Name>,
    schema: SchemaRef,
}

/// Where rows come from.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Table(Snapshot),
    Stream(Arc<Source>, Arc<dyn Rows>),
}

impl SourceTable {
    /// `hidden` are the hidden columns that the query names.
    pub(super) fn new(source: &Source, data: Data, hidden: &[Name]) -> Self {
        let columns = columns::all(source, hidden);
        let schema = columns::arrow(&columns);
        Self { data, names: columns.into_iter().map(|(name, _)| name).collect(), schema }
    }

    fn shape(&self) -> Option<&TableShape> {
        match &self.data {
            Data::Table(snapshot) => Some(snapshot.shape()),
            Data::Stream(..) => None,
        }
    }
}

#[async_trait]
impl TableProvider for SourceTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters on keys say which rows to read; they are all checked again above the scan.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let of_key = |filter: &&Expr| self.shape().is_some_and(|shape| wanted_values(filter, shape).is_some());
        let answer = |filter: &&Expr| match of_key(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.names.len()).collect());
        let schema = Arc::new(self.schema.project(&wanted)?);
        let names = || wanted.iter().filter_map(|at| self.names.get(*at));
        let reads = match &self.data {
            Data::Table(snapshot) => {
                let at = |name: &Name| snapshot.shape().columns().iter().position(|column| column.name == *name);
                let ranges = key_ranges(filters, snapshot.shape())?;
                Reads::Table { snapshot: snapshot.clone(), columns: names().filter_map(at).collect(), ranges }
            }
            Data::Stream(source, rows) => {
                // A scan of no columns reads a cheap one, to count rows.
                let names: Vec<Name> = names().cloned().collect();
                let columns = if names.is_empty() { vec![Name::from("ROWOFFSET")] } else { names };
                Reads::Stream { source: Arc::clone(source), columns, rows: Arc::clone(rows) }
            }
        };
        Ok(Arc::new(ScanExec::new(schema, reads, limit)))
    }
}

/// The key column and the values that a filter of the form `key = value` or `key IN (values)` asks for.
fn wanted_values(filter: &Expr, shape: &TableShape) -> Option<(usize, Vec<ScalarValue>)> {
    let (column, values): (&Expr, Vec<&Expr>) = match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
            (column @ Expr::Column(_), value) | (value, column @ Expr::Column(_)) => (column, vec![value]),
            _ => return None,
        },
        Expr::InList(InList { expr, list, negated: false }) => (expr.as_ref(), list.iter().collect()),
        _ => return None,
    };
    let Expr::Column(column) = column else { return None };
    let at = shape.columns().iter().take(shape.key_columns()).position(|key| key.name.as_str() == column.name)?;
    let ty = shape.columns()[at].ty.arrow();
    let literal = |value: &Expr| match value {
        Expr::Literal(value, _) if value.data_type() == ty && !value.is_null() => Some(value.clone()),
        _ => None,
    };
    Some((at, values.into_iter().map(literal).collect::<Option<_>>()?))
}

/// The keys to read: those that begin with wanted values of the first key columns, else all.
fn key_ranges(filters: &[Expr], shape: &TableShape) -> Result<Vec<KeyRange>> {
    let wanted: Vec<_> = filters.iter().filter_map(|filter| wanted_values(filter, shape)).collect();
    let of =
        |at: usize| wanted.iter().filter(|(column, _)| *column == at).map(|(_, values)| values).min_by_key(|v| v.len());
    let mut rows: Vec<Vec<ArrayRef>> = vec![Vec::new()];
    for values in (0..shape.key_columns()).map_while(of) {
        if rows.len() * values.len() > MAX_POINTS {
            break;
        }
        let mut longer = Vec::with_capacity(rows.len() * values.len());
        for row in &rows {
            for value in values {
                let mut row = row.clone();
                row.push(value.to_array()?);
                longer.push(row);
            }
        }
        rows = longer;
    }
    if rows.iter().any(Vec::is_empty) {
        return Ok(vec![KeyRange::ALL]);
    }
    // A value that is named twice is read once.
    let mut prefixes: Vec<Vec<u8>> = rows.iter().map(|row| shape.key_prefix(row)).collect();
    prefixes.sort();
    prefixes.dedup();
    Ok(prefixes.iter().map(|prefix| KeyRange::prefix(prefix)).collect())
}

/// True if a range is not bounded at all.
pub(super) fn is_all(range: &KeyRange) -> bool {
    matches!((&range.from, &range.to), (Bound::Unbounded, Bound::Unbounded))
}
