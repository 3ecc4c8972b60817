//! Changes and change batches: what flows between operators.
//!
//! ```text
//!   rows          a  b      (columns of the edge: keys, values, wanted pseudo columns)
//!   ops           +  +      insert, delete, update-before, update-after
//!   event_time    10 12     milliseconds
//!   null_value    0  1      the record had a key and no value (a null row of a stream)
//! ```
//!
//! Invariants, checked by [`ChangeBatch::check`] in tests and debug builds:
//! - all per-row parts have as many entries as `rows` has rows;
//! - an update-before is directly followed by its update-after, never across a batch border.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute;
use datafusion::arrow::error::ArrowError;

use super::{EventTime, Header, Offset, Partition};

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// A new row.
    Insert,
    /// The row of this key is gone. On an upsert edge only the key columns are filled.
    Delete,
    /// The old row of an update; the next row is its [`Op::UpdateAfter`].
    UpdateBefore,
    /// The new row of an update.
    UpdateAfter,
}

/// The operations of a batch. Streams are inserts only, and then cost nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ops {
    /// Every row is an insert.
    Inserts,
    /// One operation a row.
    Each(Vec<Op>),
}

impl Ops {
    /// The operation of `row`.
    pub fn get(&self, row: usize) -> Op {
        match self {
            Self::Inserts => Op::Insert,
            Self::Each(ops) => ops[row],
        }
    }
}

/// Where each row came from. Rows that several inputs made carry the position of the last one.
#[derive(Debug, Clone, PartialEq)]
pub struct RowMeta {
    /// Event time of each row, milliseconds.
    pub event_time: Vec<EventTime>,
    /// Stream time at each row (running maximum of its source partition), milliseconds.
    pub stream_time: Vec<EventTime>,
    /// Source partition: one for the whole batch, which never mixes partitions before an exchange.
    pub partition: Vec<Partition>,
    /// Source offset of each row.
    pub offset: Vec<Offset>,
    /// Headers of the triggering record, forwarded to the sink; `None` when no row has any.
    pub headers: Option<Vec<Arc<[Header]>>>,
    /// The place of each row among all rows of a query that joins sources, which rises from row to row; `None` where
    /// nobody asks for it.
    pub rank: Option<Vec<u64>>,
}

impl RowMeta {
    /// What is known of these rows, in this order; a row may occur several times.
    #[must_use]
    pub fn pick(&self, rows: impl Iterator<Item = usize> + Clone) -> Self {
        Self {
            event_time: rows.clone().map(|row| self.event_time[row]).collect(),
            stream_time: rows.clone().map(|row| self.stream_time[row]).collect(),
            partition: rows.clone().map(|row| self.partition[row]).collect(),
            offset: rows.clone().map(|row| self.offset[row]).collect(),
            headers: self.headers.as_ref().map(|headers| rows.clone().map(|row| Arc::clone(&headers[row])).collect()),
            rank: self.rank.as_ref().map(|rank| rows.clone().map(|row| rank[row]).collect()),
        }
    }

    fn slice(&self, rows: Range<usize>) -> Self {
        Self {
            event_time: self.event_time[rows.clone()].to_vec(),
            stream_time: self.stream_time[rows.clone()].to_vec(),
            partition: self.partition[rows.clone()].to_vec(),
            offset: self.offset[rows.clone()].to_vec(),
            headers: self.headers.as_ref().map(|headers| headers[rows.clone()].to_vec()),
            rank: self.rank.as_ref().map(|rank| rank[rows].to_vec()),
        }
    }
}

/// A batch of changes.
#[derive(Debug, Clone)]
pub struct ChangeBatch {
    /// Key, value and wanted pseudo columns, in the order of the edge's schema.
    pub rows: RecordBatch,
    /// What happened to each row.
    pub ops: Ops,
    /// Rows of a stream whose record had no value; `None` when every row has one.
    pub null_value: Option<BooleanBuffer>,
    /// Time and place of each row.
    pub meta: RowMeta,
}

impl ChangeBatch {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if the record of `row` had no value.
    pub fn is_null_row(&self, row: usize) -> bool {
        self.null_value.as_ref().is_some_and(|nulls| nulls.value(row))
    }

    /// The same changes over other columns of the same length (a projection).
    pub fn with_rows(&self, rows: RecordBatch) -> Self {
        debug_assert_eq!(rows.num_rows(), self.len(), "a projection keeps the number of rows");
        Self { rows, ops: self.ops.clone(), null_value: self.null_value.clone(), meta: self.meta.clone() }
    }

    /// The rows whose bit in `keep` is set; null bits drop the row.
    ///
    /// # Errors
    /// Arrow's, if `keep` has another length than the batch.
    pub fn filter(self, keep: &BooleanArray) -> Result<Self, ArrowError> {
        if keep.null_count() == 0 && keep.true_count() == keep.len() {
            return Ok(self);
        }
        let rows = compute::filter_record_batch(&self.rows, keep)?;
        let kept: Vec<u32> = (0_u32..)
            .zip(0..keep.len())
            .filter(|&(_, row)| keep.is_valid(row) && keep.value(row))
            .map(|(row, _)| row)
            .collect();
        Ok(self.pick(rows, &kept))
    }

    /// The rows at `indices`, in that order; an index may occur several times (a flat map).
    ///
    /// # Errors
    /// Arrow's, if an index is out of bounds.
    pub fn take(&self, indices: &UInt32Array) -> Result<Self, ArrowError> {
        let rows = if self.rows.num_columns() == 0 {
            let options = RecordBatchOptions::new().with_row_count(Some(indices.len()));
            RecordBatch::try_new_with_options(self.rows.schema(), vec![], &options)?
        } else {
            compute::take_record_batch(&self.rows, indices)?
        };
        Ok(self.pick(rows, indices.values()))
    }

    /// The rows of this range. Columns are shared, the rest is copied.
    ///
    /// # Panics
    /// If the range is not within the batch.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Self {
        if rows == (0..self.len()) {
            return self.clone();
        }
        let meta = self.meta.slice(rows.clone());
        let ops = match &self.ops {
            Ops::Inserts => Ops::Inserts,
            Ops::Each(ops) => Ops::Each(ops[rows.clone()].to_vec()),
        };
        let null_value = self.null_value.as_ref().map(|nulls| nulls.slice(rows.start, rows.len()));
        Self { rows: self.rows.slice(rows.start, rows.len()), ops, null_value, meta }
    }

    /// The same changes with every update told as a delete, then an insert.
    #[must_use]
    pub fn without_updates(mut self) -> Self {
        if let Ops::Each(ops) = &mut self.ops {
            for op in ops {
                *op = match op {
                    Op::UpdateBefore => Op::Delete,
                    Op::UpdateAfter => Op::Insert,
                    Op::Insert | Op::Delete => *op,
                };
            }
        }
        self
    }

    fn pick(&self, rows: RecordBatch, kept: &[u32]) -> Self {
        let meta = self.meta.pick(kept.iter().map(|&row| row as usize));
        let ops = match &self.ops {
            Ops::Inserts => Ops::Inserts,
            Ops::Each(ops) => Ops::Each(kept.iter().map(|&row| ops[row as usize]).collect()),
        };
        let null_value = self
            .null_value
            .as_ref()
            .map(|nulls| BooleanBuffer::collect_bool(kept.len(), |i| nulls.value(kept[i] as usize)));
        Self { rows, ops, null_value, meta }
    }

    /// Why this batch breaks an invariant, if it does.
    pub fn check(&self) -> Result<(), String> {
        let rows = self.len();
        let lengths = [
            ("event times", self.meta.event_time.len()),
            ("stream times", self.meta.stream_time.len()),
            ("partitions", self.meta.partition.len()),
            ("offsets", self.meta.offset.len()),
            ("headers", self.meta.headers.as_ref().map_or(rows, Vec::len)),
            ("ranks", self.meta.rank.as_ref().map_or(rows, Vec::len)),
            ("null flags", self.null_value.as_ref().map_or(rows, BooleanBuffer::len)),
        ];
        if let Some((what, len)) = lengths.iter().find(|(_, len)| *len != rows) {
            return Err(format!("{rows} rows but {len} {what}"));
        }
        let Ops::Each(ops) = &self.ops else { return Ok(()) };
        if ops.len() != rows {
            return Err(format!("{rows} rows but {} operations", ops.len()));
        }
        for (row, op) in ops.iter().enumerate() {
            let paired = match op {
                Op::UpdateBefore => ops.get(row + 1) == Some(&Op::UpdateAfter),
                Op::UpdateAfter => row > 0 && ops[row - 1] == Op::UpdateBefore,
                Op::Insert | Op::Delete => true,
            };
            if !paired {
                return Err(format!("row {row} is half an update"));
            }
        }
        Ok(())
    }
}
