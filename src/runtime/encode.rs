//! Change batches to records of a sink: formats, window suffix of keys, timestamps, partitions, tombstones.
//!
//! | change | record |
//! |---|---|
//! | insert, update-after | key and value |
//! | null row of a stream, delete | key and null value |
//! | update-before | none: the update-after replaces it |
//!
//! A key is null bytes if its only column is null. A key of several columns that are all null is null bytes where the
//! key is the source's own: its record had no key. PARTITION BY may compute such a key, and it is written as it is.
//!
//! A row whose timestamp is negative or null makes no record and is reported. Headers of the triggering record go
//! along. Records of one key go to one partition, in order; records without a key go, batch by batch, round robin.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::Int64Type;

use crate::expressions::EdgeSchema;
use crate::formats::{EncodeError, EncodedSide, RecordEncoder, encoder};
use crate::operators::RowError;
use crate::planner::graph::SinkOutput;
use crate::topics::{PartitionRecords, partition_for_key};
use crate::types::{
    ChangeBatch, EventTime, Header, Name, Offset, Op, Ops, Partition, RecordBlockBuilder, RecordView, WindowInfo,
    WindowType,
};

use super::BuildError;
use super::event_time::TimeReader;

/// Bytes of buffers that are kept from one epoch to the next.
const KEPT_BYTES: usize = 64 << 10;

/// Writes rows as records of one sink, gathered by partition until the barrier.
pub(super) struct SinkEncoder {
    // fixed
    topic: String,
    partitions: i32,
    /// Where everything goes, if a setting says so.
    only_partition: Option<Partition>,
    key_columns: Vec<usize>,
    /// True if the key is that of the source's records.
    keeps_keys: bool,
    value_columns: Vec<usize>,
    window: Option<(WindowInfo, usize, usize)>,
    timestamp: Option<(usize, TimeReader)>,
    // changing
    key: Box<dyn RecordEncoder>,
    value: Box<dyn RecordEncoder>,
    key_bytes: EncodedSide,
    value_bytes: EncodedSide,
    windowed_key: Vec<u8>,
    blocks: Vec<RecordBlockBuilder>,
    /// The partition of the next batch's records without a key.
    keyless_turn: i32,
}

/// What one batch became.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Written {
    /// Records.
    pub(super) records: usize,
    /// Bytes of keys and values.
    pub(super) bytes: usize,
}

impl SinkEncoder {
    /// An encoder for `sink`, whose topic has `partitions`, from rows of `edge`; with `keeps_keys` their keys are those
    /// of the source's records. Tasks start their round robin at different partitions by `turn`.
    ///
    /// # Errors
    /// A format that is not built yet, or a timestamp column that is not there.
    pub(super) fn new(
        sink: &SinkOutput,
        edge: &EdgeSchema,
        keeps_keys: bool,
        partitions: i32,
        only_partition: Option<Partition>,
        turn: usize,
    ) -> Result<Self, BuildError> {
        let column = |name: &str| {
            edge.index_of(&Name::from(name)).ok_or_else(|| BuildError::Graph(format!("the sink's edge has no {name}")))
        };
        let window = match sink.window {
            None => None,
            Some(window) => Some((window, column("WINDOWSTART")?, column("WINDOWEND")?)),
        };
        let timestamp = match &sink.timestamp {
            None => None,
            Some(timestamp) => {
                let index = column(timestamp.column.as_str())?;
                Some((index, TimeReader::new(timestamp, &edge.columns()[index].ty)?))
            }
        };
        Ok(Self {
            topic: sink.topic.clone(),
            partitions,
            only_partition,
            key_columns: sink.key_columns.clone(),
            keeps_keys,
            value_columns: sink.value_columns.clone(),
            window,
            timestamp,
            key: encoder(&sink.key)?,
            value: encoder(&sink.value)?,
            key_bytes: EncodedSide::default(),
            value_bytes: EncodedSide::default(),
            windowed_key: Vec::new(),
            blocks: (0..partitions).map(|_| RecordBlockBuilder::default()).collect(),
            keyless_turn: i32::try_from(turn).unwrap_or(0) % partitions.max(1),
        })
    }

    /// Writes a batch. Rows without a timestamp are reported to `errors`.
    ///
    /// # Errors
    /// A value cannot be written: with the offset of the row's record. The encoder must be thrown away.
    pub(super) fn write(
        &mut self,
        batch: ChangeBatch,
        errors: &mut Vec<RowError>,
    ) -> Result<Written, (Option<Offset>, EncodeError)> {
        let batch = without_old_rows(batch);
        let rows = batch.len();
        let columns = |indices: &[usize]| -> Vec<ArrayRef> {
            indices.iter().map(|index| Arc::clone(batch.rows.column(*index))).collect()
        };
        let without_value = without_value(&batch);
        let blame = |error: EncodeError| (batch.meta.offset.get(error.row).copied(), error);
        clear(&mut self.key_bytes);
        clear(&mut self.value_bytes);
        let key = columns(&self.key_columns);
        let without_key = self.without_key(&key, rows);
        self.key.encode(&key, rows, without_key.as_ref(), &mut self.key_bytes).map_err(blame)?;
        self.value
            .encode(&columns(&self.value_columns), rows, without_value.as_ref(), &mut self.value_bytes)
            .map_err(blame)?;
        let mut written = Written::default();
        for row in 0..rows {
            let is_tombstone = without_value.as_ref().is_some_and(|nulls| nulls.value(row));
            let timestamp = match &self.timestamp {
                Some((column, reader)) if !is_tombstone => reader.read(batch.rows.column(*column), row),
                // Stream time is not known while a partition has told none.
                Some(_) => not_negative(batch.meta.stream_time[row].max(batch.meta.event_time[row])),
                None => not_negative(batch.meta.event_time[row]),
            };
            let timestamp = match timestamp {
                Ok(timestamp) => timestamp,
                Err(reason) => {
                    errors.push(RowError {
                        partition: batch.meta.partition[row],
                        offset: batch.meta.offset[row],
                        expression: "TIMESTAMP".to_owned(),
                        message: format!("{reason}: the row is not written"),
                    });
                    continue;
                }
            };
            let inner_key = self.key_bytes.get(row);
            let partition = match (self.only_partition, inner_key) {
                (Some(partition), _) => partition,
                (None, Some(key)) => partition_for_key(key, self.partitions),
                (None, None) => Partition(self.keyless_turn),
            };
            let key = match (inner_key, self.window) {
                (Some(key), Some((window, start, end))) => {
                    self.windowed_key.clear();
                    self.windowed_key.extend_from_slice(key);
                    let bound = |column: usize| {
                        let bound = batch.rows.column(column).as_primitive::<Int64Type>();
                        bound.value(row).to_be_bytes()
                    };
                    if window.window_type == WindowType::Session {
                        self.windowed_key.extend_from_slice(&bound(end));
                    }
                    self.windowed_key.extend_from_slice(&bound(start));
                    Some(&self.windowed_key[..])
                }
                (key, _) => key,
            };
            let value = self.value_bytes.get(row);
            let headers: &[Header] = batch.meta.headers.as_ref().map_or(&[], |headers| &headers[row]);
            written.records += 1;
            written.bytes += key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
            let block = &mut self.blocks[usize::try_from(partition.0).unwrap_or(0)];
            block.push(RecordView { offset: Offset(0), timestamp, key, value, headers });
        }
        self.keyless_turn = (self.keyless_turn + 1) % self.partitions.max(1);
        Ok(written)
    }

    /// The rows whose records have no key.
    fn without_key(&self, key: &[ArrayRef], rows: usize) -> Option<BooleanBuffer> {
        if key.is_empty() || key.iter().any(|column| column.null_count() == 0) {
            return None;
        }
        if !self.keeps_keys && key.len() > 1 {
            return None;
        }
        Some(BooleanBuffer::collect_bool(rows, |row| key.iter().all(|column| column.is_null(row))))
    }

    /// What was written since the last call, by partition.
    pub(super) fn take(&mut self) -> Vec<PartitionRecords> {
        // A query at rest keeps no memory of its busiest moment.
        for side in [&mut self.key_bytes, &mut self.value_bytes] {
            if side.data.capacity() > KEPT_BYTES {
                *side = EncodedSide::default();
            }
        }
        (0..)
            .zip(&mut self.blocks)
            .filter(|(_, block)| !block.is_empty())
            .map(|(partition, block)| PartitionRecords {
                topic: self.topic.clone(),
                partition: Partition(partition),
                records: block.finish(),
            })
            .collect()
    }
}

fn clear(side: &mut EncodedSide) {
    side.data.clear();
    side.ends.clear();
    side.nulls.clear();
}

/// The batch without the old rows of updates.
fn without_old_rows(batch: ChangeBatch) -> ChangeBatch {
    let Ops::Each(ops) = &batch.ops else { return batch };
    if !ops.contains(&Op::UpdateBefore) {
        return batch;
    }
    let keep: BooleanArray = ops.iter().map(|op| Some(*op != Op::UpdateBefore)).collect();
    batch.filter(&keep).expect("one boolean a row")
}

/// The rows whose records have no value.
fn without_value(batch: &ChangeBatch) -> Option<BooleanBuffer> {
    match (&batch.ops, &batch.null_value) {
        (Ops::Inserts, nulls) => nulls.clone(),
        (Ops::Each(ops), nulls) => {
            let deletes = BooleanBuffer::collect_bool(ops.len(), |row| ops[row] == Op::Delete);
            Some(nulls.as_ref().map_or(deletes.clone(), |nulls| &deletes | nulls))
        }
    }
}

fn not_negative(time: EventTime) -> Result<EventTime, String> {
    if time.0 < 0 { Err(format!("the timestamp {time} is negative")) } else { Ok(time) }
}
