//! Records of a source to change batches: formats, window suffix of keys, event time, pseudo columns, headers.
//!
//! ```text
//!   record: key, value, timestamp, headers, offset
//!     ── key and value decoders (wanted columns only) ── event time ──▶ one row of a change batch, or a bad record
//! ```
//!
//! - A bad record leaves no row: it is reported with its offset and reason, and the query goes on.
//! - A null value is a null row of a stream, a delete in a table. A table's record with a null key is dropped.
//! - Event time that is negative, or cannot be extracted, drops the record. A null value has nothing to extract from:
//!   its record keeps the timestamp it came with.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, BooleanArray, BooleanBufferBuilder, Int32Array, Int64Array, ListArray,
    RecordBatch, RecordBatchOptions, StringArray, StructArray,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};

use crate::diagnostics::Diagnostic;
use crate::formats::{RecordDecoder, Side, decoder};
use crate::planner::graph::{SourceColumn, SourceInput};
use crate::types::{
    ChangeBatch, EventTime, Header, Offset, Op, Ops, Partition, RecordBlock, RecordView, RowMeta, WindowInfo,
    WindowType,
};

use super::BuildError;
use super::event_time::TimeReader;
use super::processing_log::Failed;

/// A record that made no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadRecord {
    /// Its offset.
    pub(super) offset: Offset,
    /// What failed.
    pub(super) failed: Failed,
    /// Why.
    pub(super) message: String,
}

/// Where a column of the edge is taken from.
#[derive(Debug)]
enum From {
    /// Position among the key decoder's columns.
    Key(usize),
    /// Position among the value decoder's columns.
    Value(usize),
    Headers,
    Header(String),
    RowTime,
    RowPartition,
    RowOffset,
    WindowStart,
    WindowEnd,
}

/// Where event time comes from.
#[derive(Debug)]
enum TimeFrom {
    Record,
    Column { from: From, in_value: bool, reader: TimeReader },
}

/// Reads records of one source.
pub(super) struct SourceDecoder {
    // fixed
    schema: SchemaRef,
    columns: Vec<From>,
    time: TimeFrom,
    window: Option<WindowInfo>,
    is_table: bool,
    // changing
    key: Option<Box<dyn RecordDecoder>>,
    value: Option<Box<dyn RecordDecoder>>,
}

/// The rows decoded so far, beside the columns that the decoders hold.
struct Rows {
    times: Vec<EventTime>,
    offsets: Vec<Offset>,
    /// Rows whose value was null, kept only from the first such row on.
    nulls: Option<BooleanBufferBuilder>,
    headers: Option<Vec<Arc<[Header]>>>,
    windows: Vec<Option<(i64, i64)>>,
}

/// What a range of records became.
pub(super) struct Decoded {
    /// The rows, unless there are none. Stream time is not filled in.
    pub(super) batch: Option<ChangeBatch>,
    /// Records of a table that had no key.
    pub(super) without_key: usize,
}

impl SourceDecoder {
    /// A decoder of the columns that `source` wants.
    ///
    /// # Errors
    /// A format or a kind of event time that is not built yet.
    pub(super) fn new(source: &SourceInput) -> Result<Self, BuildError> {
        let (mut key_wanted, mut value_wanted) = (Vec::new(), Vec::new());
        let columns =
            source.columns.iter().map(|column| From::new(column, &mut key_wanted, &mut value_wanted)).collect();
        let time = match &source.timestamp {
            None => TimeFrom::Record,
            Some(timestamp) => {
                let find = |side: &Side| side.columns.iter().position(|column| column.name == timestamp.column);
                match (find(&source.value), find(&source.key)) {
                    (Some(index), _) => {
                        let reader = TimeReader::new(timestamp, &source.value.columns[index].ty)?;
                        let from = From::new(&SourceColumn::Value(index), &mut key_wanted, &mut value_wanted);
                        TimeFrom::Column { from, in_value: true, reader }
                    }
                    (None, Some(index)) => {
                        let reader = TimeReader::new(timestamp, &source.key.columns[index].ty)?;
                        let from = From::new(&SourceColumn::Key(index), &mut key_wanted, &mut value_wanted);
                        TimeFrom::Column { from, in_value: false, reader }
                    }
                    (None, None) => return Err(Diagnostic::not_implemented("TIMESTAMP of a header column").into()),
                }
            }
        };
        let side = |side: &Side, wanted: &[usize]| {
            if wanted.is_empty() { Ok(None) } else { decoder(side, wanted).map(Some) }
        };
        Ok(Self {
            schema: source.schema.arrow(),
            columns,
            time,
            window: source.window,
            is_table: source.is_table,
            key: side(&source.key, &key_wanted)?,
            value: side(&source.value, &value_wanted)?,
        })
    }

    /// Decodes the records `range` of `block`, except those that `skip` names.
    pub(super) fn decode(
        &mut self,
        block: &RecordBlock,
        range: Range<usize>,
        partition: Partition,
        skip: impl Fn(Offset) -> bool,
        bad: &mut Vec<BadRecord>,
    ) -> Decoded {
        let mut rows = Rows {
            times: Vec::with_capacity(range.len()),
            offsets: Vec::with_capacity(range.len()),
            nulls: None,
            headers: block.has_headers().then(|| Vec::with_capacity(range.len())),
            windows: Vec::new(),
        };
        let mut without_key = 0;
        for row in range {
            let record = block.get(row);
            if self.is_table && record.key.is_none() {
                without_key += 1;
                continue;
            }
            if skip(record.offset) {
                let message = "skipped on request: the query failed on this record".to_owned();
                bad.push(BadRecord { offset: record.offset, failed: Failed::Skipped, message });
                continue;
            }
            if record.timestamp.0 < 0 && matches!(self.time, TimeFrom::Record) {
                let message = format!("the record's timestamp {} is negative", record.timestamp);
                bad.push(BadRecord { offset: record.offset, failed: Failed::Timestamp, message });
                continue;
            }
            if let Err((failed, message)) = self.append(&record, &mut rows) {
                bad.push(BadRecord { offset: record.offset, failed, message });
            }
        }
        Decoded { batch: self.finish(rows, partition, bad), without_key }
    }

    /// Appends a row, or nothing.
    fn append(&mut self, record: &RecordView<'_>, rows: &mut Rows) -> Result<(), (Failed, String)> {
        let (key, bounds) = match (record.key, self.window) {
            (Some(key), Some(window)) => {
                let (key, bounds) = split_window(key, window)
                    .ok_or_else(|| (Failed::Key, format!("a key of {} bytes has no window behind it", key.len())))?;
                (Some(key), Some(bounds))
            }
            (key, _) => (key, None),
        };
        match (&mut self.key, key) {
            (None, _) => {}
            (Some(decoder), None) => decoder.append_null(),
            (Some(decoder), Some(bytes)) => decoder.decode(bytes).map_err(|e| (Failed::Key, e.to_string()))?,
        }
        match (&mut self.value, record.value) {
            (None, _) => {}
            (Some(decoder), None) => decoder.append_null(),
            (Some(decoder), Some(bytes)) => {
                if let Err(error) = decoder.decode(bytes) {
                    if let Some(key) = &mut self.key {
                        key.undo_last();
                    }
                    return Err((Failed::Value, error.to_string()));
                }
            }
        }
        if let Some(nulls) = &mut rows.nulls {
            nulls.append(record.value.is_none());
        } else if record.value.is_none() {
            let mut nulls = BooleanBufferBuilder::new(rows.times.capacity());
            nulls.append_n(rows.times.len(), false);
            nulls.append(true);
            rows.nulls = Some(nulls);
        }
        rows.times.push(record.timestamp);
        rows.offsets.push(record.offset);
        if let Some(headers) = &mut rows.headers {
            headers.push(Arc::from(record.headers));
        }
        if self.window.is_some() {
            rows.windows.push(bounds);
        }
        Ok(())
    }

    fn finish(&mut self, mut rows: Rows, partition: Partition, bad: &mut Vec<BadRecord>) -> Option<ChangeBatch> {
        let key = self.key.as_mut().map(|decoder| decoder.finish()).unwrap_or_default();
        let value = self.value.as_mut().map(|decoder| decoder.finish()).unwrap_or_default();
        let count = rows.times.len();
        if count == 0 {
            return None;
        }
        let nulls = rows.nulls.as_mut().map(BooleanBufferBuilder::finish);
        let mut keep = None;
        if let TimeFrom::Column { from, in_value, reader } = &self.time {
            let column = match from {
                From::Key(at) => &key[*at],
                From::Value(at) => &value[*at],
                _ => unreachable!("event time comes from a key or value column"),
            };
            keep = extract_times(
                reader,
                column,
                |row| *in_value && nulls.as_ref().is_some_and(|n| n.value(row)),
                &mut rows,
                bad,
            );
        }
        let columns: Vec<ArrayRef> =
            self.columns.iter().map(|from| self.column(from, &key, &value, &rows, partition)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)
            .unwrap_or_else(|error| panic!("decoded columns do not fit the edge: {error}"));
        let (ops, null_value) = match nulls {
            None => (Ops::Inserts, None),
            Some(nulls) if self.is_table => {
                (Ops::Each(nulls.iter().map(|null| if null { Op::Delete } else { Op::Insert }).collect()), None)
            }
            Some(nulls) => (Ops::Inserts, Some(nulls)),
        };
        let meta = RowMeta {
            stream_time: rows.times.clone(),
            event_time: rows.times,
            partition: vec![partition; count],
            offset: rows.offsets,
            headers: rows.headers,
            rank: None,
        };
        let batch = ChangeBatch { rows: batch, ops, null_value, meta };
        match keep {
            None => Some(batch),
            Some(keep) => {
                let kept = batch.filter(&keep).expect("one boolean a row");
                (!kept.is_empty()).then_some(kept)
            }
        }
    }

    fn column(&self, from: &From, key: &[ArrayRef], value: &[ArrayRef], rows: &Rows, partition: Partition) -> ArrayRef {
        let count = rows.times.len();
        match from {
            From::Key(at) => Arc::clone(&key[*at]),
            From::Value(at) => Arc::clone(&value[*at]),
            From::RowTime => Arc::new(Int64Array::from_iter_values(rows.times.iter().map(|time| time.0))),
            From::RowPartition => Arc::new(Int32Array::from_value(partition.0, count)),
            From::RowOffset => Arc::new(Int64Array::from_iter_values(rows.offsets.iter().map(|offset| offset.0))),
            From::WindowStart => {
                Arc::new(rows.windows.iter().map(|w| w.map(|(start, _)| start)).collect::<Int64Array>())
            }
            From::WindowEnd => Arc::new(rows.windows.iter().map(|w| w.map(|(_, end)| end)).collect::<Int64Array>()),
            From::Headers => all_headers(rows),
            From::Header(name) => last_header(rows, name),
        }
    }
}

impl From {
    /// Notes that a column is wanted, and where it will be.
    fn new(column: &SourceColumn, key_wanted: &mut Vec<usize>, value_wanted: &mut Vec<usize>) -> Self {
        let position = |wanted: &mut Vec<usize>, index: usize| {
            wanted.iter().position(|known| *known == index).unwrap_or_else(|| {
                wanted.push(index);
                wanted.len() - 1
            })
        };
        match column {
            SourceColumn::Key(index) => Self::Key(position(key_wanted, *index)),
            SourceColumn::Value(index) => Self::Value(position(value_wanted, *index)),
            SourceColumn::Headers => Self::Headers,
            SourceColumn::Header(name) => Self::Header(name.clone()),
            SourceColumn::RowTime => Self::RowTime,
            SourceColumn::RowPartition => Self::RowPartition,
            SourceColumn::RowOffset => Self::RowOffset,
            SourceColumn::WindowStart => Self::WindowStart,
            SourceColumn::WindowEnd => Self::WindowEnd,
        }
    }
}

/// Cuts the window off a key: start for time windows, end and start for sessions, 8 bytes each, big-endian.
fn split_window(key: &[u8], window: WindowInfo) -> Option<(&[u8], (i64, i64))> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_be_bytes);
    if window.window_type == WindowType::Session {
        let (inner, suffix) = key.split_at_checked(key.len().checked_sub(16)?)?;
        return Some((inner, (number(&suffix[8..])?, number(&suffix[..8])?)));
    }
    let (inner, suffix) = key.split_at_checked(key.len().checked_sub(8)?)?;
    let start = number(suffix)?;
    Some((inner, (start, start.saturating_add(window.size_ms.unwrap_or(0)))))
}

/// Replaces the rows' times by those of `column`; says which rows stay if some cannot.
fn extract_times(
    reader: &TimeReader,
    column: &ArrayRef,
    keeps_record_time: impl Fn(usize) -> bool,
    rows: &mut Rows,
    bad: &mut Vec<BadRecord>,
) -> Option<BooleanArray> {
    let mut keep = None;
    let count = rows.times.len();
    for (row, time) in rows.times.iter_mut().enumerate() {
        let read = if !keeps_record_time(row) {
            reader.read(column, row)
        } else if time.0 < 0 {
            Err(format!("the record's timestamp {time} is negative"))
        } else {
            Ok(*time)
        };
        match read {
            Ok(read) => *time = read,
            Err(message) => {
                bad.push(BadRecord { offset: rows.offsets[row], failed: Failed::Timestamp, message });
                keep.get_or_insert_with(|| vec![true; count])[row] = false;
            }
        }
    }
    keep.map(BooleanArray::from)
}

/// Headers as ARRAY<STRUCT<KEY STRING, VALUE BYTES>>; records without headers have an empty array.
fn all_headers(rows: &Rows) -> ArrayRef {
    let of_row = |row: usize| rows.headers.as_ref().map_or(&[][..], |headers| &headers[row]);
    let count = rows.times.len();
    let flat = || (0..count).flat_map(of_row);
    let keys: ArrayRef = Arc::new(flat().map(|header| Some(header.key.as_str())).collect::<StringArray>());
    let values: ArrayRef = Arc::new(flat().map(|header| header.value.as_deref()).collect::<BinaryArray>());
    let fields = vec![Field::new("KEY", DataType::Utf8, true), Field::new("VALUE", DataType::Binary, true)];
    let structs = StructArray::new(fields.into(), vec![keys, values], None);
    let item = Arc::new(Field::new("item", structs.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths((0..count).map(|row| of_row(row).len()));
    Arc::new(ListArray::new(item, offsets, Arc::new(structs), None))
}

/// The value of the last header of this name.
fn last_header(rows: &Rows, name: &str) -> ArrayRef {
    let mut values = BinaryBuilder::new();
    for row in 0..rows.times.len() {
        let headers = rows.headers.as_ref().map_or(&[][..], |headers| &headers[row]);
        let last = headers.iter().rev().find(|header| header.key == name);
        values.append_option(last.and_then(|header| header.value.as_deref()));
    }
    Arc::new(values.finish())
}
