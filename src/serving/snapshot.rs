//! A table at one moment.

use std::ops::Bound;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;

use super::materialization::{Stamp, split_value};
use super::ordered_map::OrderedMap;
use super::table_shape::{TablePart, TableShape};

/// A table's rows at one moment; cloning one costs a few pointers. While it is held, what the follower changes is copied:
/// let go of it soon.
#[derive(Debug, Clone)]
pub struct Snapshot {
    shape: Arc<TableShape>,
    map: OrderedMap,
    live_from: Option<i64>,
}

/// Stored keys from one bound to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The lower bound.
    pub from: Bound<Vec<u8>>,
    /// The upper bound.
    pub to: Bound<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub const ALL: Self = Self { from: Bound::Unbounded, to: Bound::Unbounded };

    /// The keys that begin with these bytes ([`TableShape::key_prefix`]).
    pub fn prefix(bytes: &[u8]) -> Self {
        Self { from: Bound::Included(bytes.to_vec()), to: successor(bytes) }
    }

    /// True if no key can be in it.
    pub fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
            | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
            _ => false,
        }
    }
}

/// The upper bound of what begins with these bytes.
pub(crate) fn successor(bytes: &[u8]) -> Bound<Vec<u8>> {
    let mut next = bytes.to_vec();
    while let Some(last) = next.pop() {
        if last < u8::MAX {
            next.push(last + 1);
            return Bound::Excluded(next);
        }
    }
    Bound::Unbounded
}

impl Snapshot {
    pub(super) fn new(shape: Arc<TableShape>, map: OrderedMap, live_from: Option<i64>) -> Self {
        Self { shape, map, live_from }
    }

    /// The table's columns.
    pub fn shape(&self) -> &Arc<TableShape> {
        &self.shape
    }

    /// All columns as Arrow sees them: what [`Snapshot::scan`] counts its columns by.
    pub fn schema(&self) -> SchemaRef {
        self.shape.schema()
    }

    /// How many rows are stored; of a windowed table some may be past their retention, and are not given.
    pub fn rows(&self) -> usize {
        self.map.len()
    }

    /// The row of a stored key, with these columns (positions in [`Snapshot::schema`]); no row if there is none.
    ///
    /// # Errors
    /// Arrow's, if the stored bytes are damaged.
    ///
    /// # Panics
    /// If a position is not a column's.
    pub fn get(&self, key: &[u8], columns: &[usize]) -> Result<RecordBatch, ArrowError> {
        let found = self.map.get(key).filter(|_| self.is_live(key));
        Chosen::new(&self.shape, columns).decode(&self.shape, found.map(|value| (key, value)))
    }

    /// The rows of the keys in `range`, in the order of their stored keys, with these columns (positions in
    /// [`Snapshot::schema`]), at most `batch_rows` a batch. Nothing is decoded before it is asked for, nor columns that
    /// are not.
    ///
    /// # Panics
    /// If a position is not a column's.
    pub fn scan(&self, range: KeyRange, columns: &[usize], batch_rows: usize) -> Scan {
        self.scan_chosen(range, Arc::new(Chosen::new(&self.shape, columns)), batch_rows)
    }

    /// As [`Self::scan`], with columns chosen before.
    pub(super) fn scan_chosen(&self, range: KeyRange, columns: Arc<Chosen>, batch_rows: usize) -> Scan {
        Scan { snapshot: self.clone(), columns, batch_rows: batch_rows.max(1), range, ended: false }
    }

    /// False for windows past their retention.
    fn is_live(&self, key: &[u8]) -> bool {
        match self.live_from {
            None => true,
            Some(live_from) => super::materialization::window_end(key).is_none_or(|end| end >= live_from),
        }
    }
}

/// Rows of a snapshot, batch by batch. None is empty.
#[derive(Debug)]
pub struct Scan {
    // fixed
    snapshot: Snapshot,
    columns: Arc<Chosen>,
    batch_rows: usize,
    // changing
    /// What is left.
    range: KeyRange,
    ended: bool,
}

impl Scan {
    /// The columns of its batches.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns.schema)
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.range.is_empty() {
            return None;
        }
        let snapshot = &self.snapshot;
        let (from, to) = (as_slice(&self.range.from), as_slice(&self.range.to));
        let mut found = Vec::new();
        let mut last = None;
        for (key, value) in snapshot.map.range(from, to) {
            last = Some(key);
            if snapshot.is_live(key) {
                found.push((key, value));
                if found.len() == self.batch_rows {
                    break;
                }
            }
        }
        if found.is_empty() {
            self.ended = true;
            return None;
        }
        let next = last.map(<[u8]>::to_vec);
        let is_last = found.len() < self.batch_rows;
        let batch = self.columns.decode(&snapshot.shape, found);
        self.ended = is_last || batch.is_err();
        if let Some(next) = next {
            self.range.from = Bound::Excluded(next);
        }
        Some(batch)
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(bytes) => Bound::Included(bytes),
        Bound::Excluded(bytes) => Bound::Excluded(bytes),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// Columns of a table that are wanted, and what is to be decoded for them.
#[derive(Debug)]
pub(super) struct Chosen {
    parts: Vec<TablePart>,
    schema: SchemaRef,
    keys: Vec<bool>,
    values: Vec<bool>,
}

impl Chosen {
    /// Chooses columns by their positions.
    pub(super) fn new(shape: &TableShape, columns: &[usize]) -> Self {
        let schema = shape.schema().project(columns).expect("positions of columns are the table's");
        let parts: Vec<TablePart> = columns.iter().map(|column| shape.columns()[*column].part).collect();
        let (mut keys, mut values) =
            (vec![false; shape.key_codec.types().len()], vec![false; shape.value_codec.types().len()]);
        for part in &parts {
            match part {
                TablePart::Value(at) => values[*at] = true,
                part => {
                    if let Some(at) = in_key(*part, shape) {
                        keys[at] = true;
                    }
                }
            }
        }
        Self { parts, schema: Arc::new(schema), keys, values }
    }

    fn decode<'r>(
        &self,
        shape: &TableShape,
        rows: impl IntoIterator<Item = (&'r [u8], &'r [u8])>,
    ) -> Result<RecordBatch, ArrowError> {
        let (mut keys, mut values, mut stamps) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in rows {
            let (stamp, value) = split_value(value).ok_or_else(|| damaged(value.len()))?;
            keys.push(key);
            values.push(value);
            stamps.push(stamp);
        }
        let count = keys.len();
        let keys = shape.key_codec.decode_wanted(&self.keys, keys).map_err(|error| damaged(error.0))?;
        let values = shape.value_codec.decode_wanted(&self.values, values).map_err(|error| damaged(error.0))?;
        let taken = |columns: &[Option<ArrayRef>], at: usize| columns.get(at).cloned().flatten();
        let arrays = self.parts.iter().map(|part| match *part {
            TablePart::Value(at) => taken(&values, at),
            TablePart::RowTime => Some(numbers(stamps.iter().map(|stamp| stamp.time))),
            TablePart::RowPartition => {
                let partitions = Int32Array::from_iter_values(stamps.iter().map(|stamp: &Stamp| stamp.partition));
                Some(Arc::new(partitions) as ArrayRef)
            }
            TablePart::RowOffset => Some(numbers(stamps.iter().map(|stamp| stamp.offset))),
            part => in_key(part, shape).and_then(|at| taken(&keys, at)),
        });
        let arrays = arrays.collect::<Option<Vec<_>>>().ok_or_else(|| damaged(0))?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
    }
}

/// Which column of the stored key this is.
fn in_key(part: TablePart, shape: &TableShape) -> Option<usize> {
    match part {
        TablePart::Key(at) => Some(at),
        TablePart::WindowStart => Some(shape.key_columns()),
        TablePart::WindowEnd => Some(shape.key_columns() + 1),
        _ => None,
    }
}

fn numbers(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn damaged(bytes: usize) -> ArrowError {
    ArrowError::InvalidArgumentError(format!("a stored row is damaged: {bytes} bytes do not fit the table's columns"))
}
