//! The columns that a table's stored rows give, and how their bytes are laid out.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;

use crate::catalog::Source;
use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::planner::graph::{SourceColumn, SourceInput};
use crate::types::{ColumnRole, Name, RowCodec, SqlType};

/// Where in a stored row a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TablePart {
    /// Column of the key, by position.
    Key(usize),
    /// Start of the window, milliseconds.
    WindowStart,
    /// End of the window, milliseconds.
    WindowEnd,
    /// Column of the value, by position; header columns follow the value's.
    Value(usize),
    /// Event time of the record that made the row, milliseconds.
    RowTime,
    /// Partition of that record.
    RowPartition,
    /// Offset of that record.
    RowOffset,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableColumn {
    /// Name.
    pub name: Name,
    /// Type.
    pub ty: SqlType,
    /// Where it is.
    pub part: TablePart,
}

impl TableColumn {
    /// True for columns that `SELECT *` leaves out: ROWTIME, ROWPARTITION and ROWOFFSET.
    pub fn is_pseudo(&self) -> bool {
        matches!(self.part, TablePart::RowTime | TablePart::RowPartition | TablePart::RowOffset)
    }
}

/// The columns of a table: key columns, WINDOWSTART and WINDOWEND if it is windowed, value columns, header columns, then
/// the pseudo columns ROWTIME, ROWPARTITION and ROWOFFSET.
///
/// A key is stored as its columns' [`RowCodec`] bytes, then those of start and end of the window: all windows of a key
/// lie together, in order. A value is stored as event time, partition and offset, then the [`RowCodec`] bytes of the value
/// and header columns.
#[derive(Debug)]
pub struct TableShape {
    columns: Vec<TableColumn>,
    edge: EdgeSchema,
    schema: SchemaRef,
    keys: usize,
    is_windowed: bool,
    pub(super) key_codec: RowCodec,
    pub(super) value_codec: RowCodec,
    pub(super) input: SourceInput,
}

impl TableShape {
    /// The shape of a table of the catalog.
    pub fn new(source: &Source) -> Self {
        let mut columns: Vec<TableColumn> = Vec::new();
        let mut wanted: Vec<SourceColumn> = Vec::new();
        for (at, column) in source.schema.key().enumerate() {
            columns.push(TableColumn { name: column.name.clone(), ty: column.ty.clone(), part: TablePart::Key(at) });
            wanted.push(SourceColumn::Key(at));
        }
        let keys = columns.len();
        if source.window.is_some() {
            for (name, part, from) in [
                ("WINDOWSTART", TablePart::WindowStart, SourceColumn::WindowStart),
                ("WINDOWEND", TablePart::WindowEnd, SourceColumn::WindowEnd),
            ] {
                columns.push(TableColumn { name: name.into(), ty: SqlType::BigInt, part });
                wanted.push(from);
            }
        }
        let stored_keys = columns.len();
        for (at, column) in source.schema.value().enumerate() {
            columns.push(TableColumn { name: column.name.clone(), ty: column.ty.clone(), part: TablePart::Value(at) });
            wanted.push(SourceColumn::Value(at));
        }
        for column in source.schema.headers() {
            let part = TablePart::Value(columns.len() - stored_keys);
            columns.push(TableColumn { name: column.name.clone(), ty: column.ty.clone(), part });
            wanted.push(match &column.role {
                ColumnRole::Header(name) => SourceColumn::Header(name.clone()),
                _ => SourceColumn::Headers,
            });
        }
        let types = |columns: &[TableColumn]| columns.iter().map(|column| column.ty.clone()).collect::<Vec<_>>();
        let (key_codec, value_codec) =
            (RowCodec::new(types(&columns[..stored_keys])), RowCodec::new(types(&columns[stored_keys..])));
        let input = SourceInput {
            source: source.name.clone(),
            topic: source.topic.clone(),
            key: source.key.clone(),
            value: source.value.clone(),
            window: source.window,
            timestamp: source.timestamp.clone(),
            is_table: true,
            begins_at: source.begins_at.clone(),
            columns: wanted,
            schema: edge(&columns),
        };
        for (name, ty, part) in [
            ("ROWTIME", SqlType::BigInt, TablePart::RowTime),
            ("ROWPARTITION", SqlType::Integer, TablePart::RowPartition),
            ("ROWOFFSET", SqlType::BigInt, TablePart::RowOffset),
        ] {
            columns.push(TableColumn { name: name.into(), ty, part });
        }
        let edge = edge(&columns);
        let schema = edge.arrow();
        Self { columns, edge, schema, keys, is_windowed: source.window.is_some(), key_codec, value_codec, input }
    }

    /// All columns, in order.
    pub fn columns(&self) -> &[TableColumn] {
        &self.columns
    }

    /// All columns as expressions are typed against them.
    pub fn edge(&self) -> &EdgeSchema {
        &self.edge
    }

    /// All columns as Arrow sees them; every one is nullable.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// How many key columns there are, without the window's: they are the first ones.
    pub fn key_columns(&self) -> usize {
        self.keys
    }

    /// True if the table's keys carry a window.
    pub fn is_windowed(&self) -> bool {
        self.is_windowed
    }

    /// The bytes that all stored keys with these key columns begin with: the columns' first row, as many columns as are
    /// given. Without windows and with all columns it is the stored key.
    pub fn key_prefix(&self, columns: &[datafusion::arrow::array::ArrayRef]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        self.key_codec.append_row(columns, 0, &mut bytes);
        bytes
    }
}

fn edge(columns: &[TableColumn]) -> EdgeSchema {
    EdgeSchema::new(
        columns.iter().map(|column| EdgeColumn { name: column.name.clone(), ty: column.ty.clone() }).collect(),
    )
}
