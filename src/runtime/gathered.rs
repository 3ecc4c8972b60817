//! Rows taken from several queues in the order of their ranks, put together as few batches.
//!
//! ```text
//!   port 0, queue 0   a0 a1 │ a2        pieces   a0 a1, b0, a2, c0
//!   port 0, queue 1   b0    │           becomes  port 0  a0 a1 b0 a2
//!   port 1, queue 2   c0    │                    port 1  c0            order  0 1 2 3 | 4
//! ```
//!
//! Columns of a port that has rows of one message are shared, not copied.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, RecordBatch, RecordBatchOptions};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute;

use crate::operators::{Port, Round, StreamTime};
use crate::types::{ChangeBatch, Ops, RowMeta};

use super::exchange::Taken;

/// Rows after which nothing is added.
const MANY_ROWS: usize = 8192;

/// Rows of messages, in order.
#[derive(Default)]
pub(super) struct Gathered {
    messages: Vec<(Port, Arc<ChangeBatch>)>,
    /// Rows of messages.
    pieces: Vec<(usize, Range<usize>)>,
    /// Of all rows, as the reader is to see them.
    stream_time: Vec<StreamTime>,
    /// Of all rows, if the reader passes them on.
    rank: Option<Vec<u64>>,
}

impl Gathered {
    /// No rows. With `ranked`, rows keep their ranks.
    pub(super) fn new(ranked: bool) -> Self {
        Self { rank: ranked.then(Vec::new), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// True if nothing is to be added.
    pub(super) fn is_full(&self) -> bool {
        self.stream_time.len() >= MANY_ROWS
    }

    /// Adds a message, of which rows are to follow; gives its number.
    pub(super) fn message(&mut self, port: Port, message: &Arc<ChangeBatch>) -> usize {
        self.messages.push((port, Arc::clone(message)));
        self.messages.len() - 1
    }

    /// Adds rows of one rank of a message; gives their stream times, to be set.
    pub(super) fn add(&mut self, message: usize, rows: Range<usize>, rank: u64) -> &mut [StreamTime] {
        let from = self.stream_time.len();
        self.stream_time.extend_from_slice(&self.messages[message].1.meta.stream_time[rows.clone()]);
        if let Some(ranks) = &mut self.rank {
            ranks.resize(self.stream_time.len(), rank);
        }
        match self.pieces.last_mut() {
            Some((last, piece)) if *last == message && piece.end == rows.start => piece.end = rows.end,
            _ => self.pieces.push((message, rows)),
        }
        &mut self.stream_time[from..]
    }

    /// The rows as the reader takes them: of one port, or a round. There must be some.
    pub(super) fn into_taken(self) -> Taken {
        let Self { messages, pieces, stream_time, rank } = self;
        let (ports, mut messages): (Vec<Port>, Vec<_>) =
            messages.into_iter().map(|(port, message)| (port, Some(message))).unzip();
        let ports = &ports[..];
        let is_of = |port: Port| move |(message, _): &&(usize, Range<usize>)| ports[*message] == port;
        let first = pieces.first().map_or(Port(0), |(message, _)| ports[*message]);
        if pieces.iter().all(|piece| is_of(first)(&piece)) {
            let mut batch = batch_of(&mut messages, &pieces);
            (batch.meta.stream_time, batch.meta.rank) = (stream_time, rank);
            return Taken::Changes(first, batch);
        }
        let lefts: usize = pieces.iter().filter(is_of(Port(0))).map(|(_, rows)| rows.len()).sum();
        let mut order = Vec::with_capacity(stream_time.len());
        let mut next = [0, lefts as u32];
        for (message, rows) in &pieces {
            let next = &mut next[usize::from(ports[*message] != Port(0))];
            order.extend(*next..*next + rows.len() as u32);
            *next += rows.len() as u32;
        }
        let inputs = [Port(0), Port(1)].map(|port| {
            let of_port: Vec<_> = pieces.iter().filter(is_of(port)).cloned().collect();
            let mut batch = batch_of(&mut messages, &of_port);
            // The rows of both ports are in the order of the pieces.
            let is_own = order.iter().map(|entry| (*entry as usize >= lefts) == (port != Port(0)));
            let own: Vec<usize> = is_own.enumerate().filter_map(|(place, is_own)| is_own.then_some(place)).collect();
            batch.meta.stream_time = own.iter().map(|place| stream_time[*place]).collect();
            batch.meta.rank = rank.as_ref().map(|rank| own.iter().map(|place| rank[*place]).collect());
            batch
        });
        Taken::Round(Round { inputs, order })
    }
}

/// The batch of these rows of messages, which are all of one port; those of one message rise.
fn batch_of(messages: &mut [Option<Arc<ChangeBatch>>], pieces: &[(usize, Range<usize>)]) -> ChangeBatch {
    let (Some((first, Range { start, .. })), Some((_, Range { end, .. }))) = (pieces.first(), pieces.last()) else {
        unreachable!("a port has rows");
    };
    if pieces.iter().all(|(message, _)| message == first) {
        let message = messages[*first].take().expect("a message is of one port");
        return if *start == 0 && *end == message.len() {
            Arc::unwrap_or_clone(message)
        } else {
            message.slice(*start..*end)
        };
    }
    let messages: Vec<Option<&ChangeBatch>> = messages.iter().map(Option::as_deref).collect();
    interleaved(&messages, pieces)
}

fn interleaved(messages: &[Option<&ChangeBatch>], pieces: &[(usize, Range<usize>)]) -> ChangeBatch {
    let mut places = vec![0; messages.len()];
    let mut batches: Vec<&ChangeBatch> = Vec::new();
    for (message, _) in pieces {
        let batch = messages[*message].expect("a message is of one port");
        if batches.get(places[*message]).is_none_or(|known| !std::ptr::eq(*known, batch)) {
            places[*message] = batches.len();
            batches.push(batch);
        }
    }
    let picks: Vec<(usize, usize)> =
        pieces.iter().flat_map(|(message, rows)| rows.clone().map(|row| (places[*message], row))).collect();
    let rows = || picks.iter().map(|(batch, row)| (batches[*batch], *row));
    let column = |index: usize| {
        let columns: Vec<&dyn Array> = batches.iter().map(|batch| batch.rows.column(index).as_ref()).collect();
        compute::interleave(&columns, &picks).expect("messages of one port have one schema")
    };
    let schema = batches[0].rows.schema();
    let columns = (0..schema.fields().len()).map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(picks.len()));
    let is_inserts = batches.iter().all(|batch| batch.ops == Ops::Inserts);
    let has_nulls = batches.iter().any(|batch| batch.null_value.is_some());
    let has_headers = batches.iter().any(|batch| batch.meta.headers.is_some());
    let none = Arc::from([]);
    let headers = |(batch, row): (&ChangeBatch, usize)| {
        Arc::clone(batch.meta.headers.as_ref().map_or(&none, |headers| &headers[row]))
    };
    ChangeBatch {
        rows: RecordBatch::try_new_with_options(schema, columns, &options).expect("columns of the schema"),
        ops: if is_inserts { Ops::Inserts } else { Ops::Each(rows().map(|(batch, row)| batch.ops.get(row)).collect()) },
        null_value: has_nulls.then(|| rows().map(|(batch, row)| batch.is_null_row(row)).collect::<BooleanBuffer>()),
        meta: RowMeta {
            event_time: rows().map(|(batch, row)| batch.meta.event_time[row]).collect(),
            stream_time: Vec::new(),
            partition: rows().map(|(batch, row)| batch.meta.partition[row]).collect(),
            offset: rows().map(|(batch, row)| batch.meta.offset[row]).collect(),
            headers: has_headers.then(|| rows().map(headers).collect()),
            rank: None,
        },
    }
}
