//! Where keys and columns lie on the edges of a join, and how results are put together.
//!
//! ```text
//!   output edge    key columns │ all left columns │ all right columns
//! ```

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::SchemaRef;

use crate::diagnostics::Diagnostic;
use crate::expressions::EdgeSchema;
use crate::operators::aggregate::column;
use crate::operators::project::rows_of;
use crate::planner::graph::{Joining, OperatorNode};
use crate::types::{ChangeBatch, EncodedRows, EventTime, Op, Ops, RowCodec, SqlType};

use super::given::Given;

/// One input of a join.
#[derive(Debug, Clone)]
pub(super) struct SideLayout {
    /// The columns that make the key.
    pub(super) key: Vec<usize>,
    /// Their types.
    pub(super) key_types: Vec<SqlType>,
    /// Rows of the edge.
    pub(super) codec: RowCodec,
}

/// Both inputs and the output.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) left: SideLayout,
    pub(super) right: SideLayout,
    pub(super) schema: SchemaRef,
}

/// Rows of one side of results, encoded.
#[derive(Debug, Default)]
pub(super) struct SideResults {
    rows: EncodedRows,
}

impl SideResults {
    /// The side's row; `None` if it is not there.
    pub(super) fn push(&mut self, row: Option<&[u8]>, side: &SideLayout) {
        match row {
            Some(row) => self.rows.data.extend_from_slice(row),
            // NULL in every column.
            None => self.rows.data.resize(self.rows.data.len() + side.codec.types().len(), 0),
        }
        self.rows.ends.push(self.rows.data.len());
    }

    /// The side's columns.
    pub(super) fn columns(&self, side: &SideLayout) -> Vec<ArrayRef> {
        side.codec.decode(self.rows.iter()).expect("the codec wrote the rows")
    }
}

impl SideLayout {
    /// The layout of this edge.
    ///
    /// # Errors
    /// It lacks a key column.
    pub(super) fn new(edge: &EdgeSchema, key: &[crate::types::Name]) -> Result<Self, Diagnostic> {
        let key: Vec<usize> = key.iter().map(|name| column(edge, name)).collect::<Result<_, _>>()?;
        Ok(Self {
            key_types: key.iter().map(|index| edge.columns()[*index].ty.clone()).collect(),
            key,
            codec: RowCodec::new(edge.columns().iter().map(|column| column.ty.clone())),
        })
    }

    /// The key columns of a batch of this edge.
    pub(super) fn key_columns(&self, input: &ChangeBatch) -> Vec<ArrayRef> {
        self.key.iter().map(|index| ArrayRef::clone(input.rows.column(*index))).collect()
    }

    /// The rows that have a value and a whole key; `None` if all have.
    pub(super) fn with_key(&self, input: &ChangeBatch) -> Option<BooleanArray> {
        let columns = self.key_columns(input);
        if input.null_value.is_none() && columns.iter().all(|column| column.null_count() == 0) {
            return None;
        }
        let has_key = |row| !input.is_null_row(row) && columns.iter().all(|column| column.is_valid(row));
        Some((0..input.len()).map(|row| Some(has_key(row))).collect())
    }
}

impl Layout {
    /// The layout of a join of these edges.
    ///
    /// # Errors
    /// An edge lacks a key column.
    pub(super) fn new(
        node: &OperatorNode,
        joining: &Joining,
        left: &EdgeSchema,
        right: &EdgeSchema,
    ) -> Result<Self, Diagnostic> {
        Ok(Self {
            left: SideLayout::new(left, &joining.left_key)?,
            right: SideLayout::new(right, &joining.right_key)?,
            schema: node.schema.arrow(),
        })
    }

    /// The results that rows made: result `i` comes from entry `entries[i]`, whose key is in `keys`, key columns by
    /// side.
    pub(super) fn results(
        &self,
        given: &Given,
        keys: [&[ArrayRef]; 2],
        entries: &[u32],
        sides: [Vec<ArrayRef>; 2],
        ops: Vec<Op>,
        times: Vec<EventTime>,
    ) -> ChangeBatch {
        let meta = given.meta(entries, times);
        let rows = entries.len();
        let columns = given.take(keys, entries).into_iter().chain(sides.into_iter().flatten()).collect();
        let ops = if ops.iter().all(|op| *op == Op::Insert) { Ops::Inserts } else { Ops::Each(ops) };
        ChangeBatch { rows: rows_of(&self.schema, columns, rows), ops, null_value: None, meta }
    }
}
