//! One read and one decode of a partition for all queries that read it at the same time.
//!
//! ```text
//!   ring of decoded chunks       [100..180)  [180..260)  [260..300)
//!   query A is at 300: decodes the next chunk, with the columns all of them want, and appends it
//!   query B is at 180: takes its columns out of the chunk that is there
//!   query C is at 7: far behind; reads on its own until it meets the ring
//! ```
//!
//! Invariants:
//! - what a query gets is what its own decoder would give: a chunk in which a record was bad, perhaps in a column that
//!   the query does not want, is decoded again by each query whose columns are not all of them;
//! - a query alone at its place shares nothing and pays nothing;
//! - the ring is bounded by chunks; what every subscriber has passed is forgotten.
//!
//! Subscribers of one reader agree in topic, partition, formats, window and event time; columns may differ.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use parking_lot::Mutex;

use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::planner::graph::{SourceColumn, SourceInput};
use crate::topics::{TopicError, TopicId, TopicLog};
use crate::types::{ChangeBatch, Name, Offset, Partition};

use super::cursor::{Chunk, Cursor, Read, Wish};
use super::decode::SourceDecoder;

/// Chunks that a ring holds.
const MAX_CHUNKS: usize = 8;

/// A chunk for the ring, or why there is none.
type ReadForAll = Result<Arc<Shared>, Box<Read>>;

/// The readers of all partitions.
#[derive(Default)]
pub(super) struct SharedReaders {
    readers: Mutex<HashMap<Key, Weak<Mutex<Reader>>>>,
}

/// What subscribers of one reader have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    topic: TopicId,
    partition: Partition,
    /// Formats, window and event time, as text.
    sides: String,
}

/// What the subscribers of a partition share.
struct Reader {
    // fixed
    topic: TopicId,
    partition: Partition,
    // changing
    subscribers: BTreeMap<u64, Subscriber>,
    subscribed: u64,
    /// The source with the columns of all subscribers.
    union: SourceInput,
    /// Made when there are two subscribers or more.
    cursor: Option<Cursor>,
    ring: VecDeque<Arc<Shared>>,
}

struct Subscriber {
    source: SourceInput,
    position: Offset,
}

/// A chunk in the ring.
struct Shared {
    columns: Vec<SourceColumn>,
    chunk: Chunk,
}

/// A query's part in the reading of a partition. Ends when dropped.
pub(super) struct Subscription {
    // fixed
    reader: Arc<Mutex<Reader>>,
    id: u64,
    columns: Vec<SourceColumn>,
    schema: SchemaRef,
}

impl SharedReaders {
    /// Joins the readers of a partition.
    pub(super) fn subscribe(
        &self,
        topic: TopicId,
        partition: Partition,
        source: &SourceInput,
        position: Offset,
    ) -> Subscription {
        let sides = format!(
            "{:?} {:?} {:?} {:?} {}",
            source.key, source.value, source.window, source.timestamp, source.is_table
        );
        let key = Key { topic, partition, sides };
        let mut readers = self.readers.lock();
        readers.retain(|_, reader| reader.strong_count() > 0);
        let reader = readers.get(&key).and_then(Weak::upgrade).unwrap_or_else(|| {
            let reader = Arc::new(Mutex::new(Reader {
                topic,
                partition,
                subscribers: BTreeMap::new(),
                subscribed: 0,
                union: source.clone(),
                cursor: None,
                ring: VecDeque::new(),
            }));
            readers.insert(key, Arc::downgrade(&reader));
            reader
        });
        drop(readers);
        let id = reader.lock().join(Subscriber { source: source.clone(), position });
        Subscription { reader, id, columns: source.columns.clone(), schema: source.schema.arrow() }
    }
}

impl Subscription {
    /// The next records, if they are shared; `None` if the query has to read them on its own.
    pub(super) fn next(&self, log: &dyn TopicLog, wish: Wish) -> Option<Result<Read, TopicError>> {
        let mut reader = self.reader.lock();
        if reader.subscribers.len() < 2 {
            return None;
        }
        reader.moved(self.id, wish.from);
        let known = reader.ring.iter().find(|shared| shared.chunk.holds(wish.from)).cloned();
        let shared = match known {
            Some(shared) => shared,
            None => match reader.read(log, wish)? {
                Ok(Ok(shared)) => shared,
                Ok(Err(nothing)) => return Some(Ok(*nothing)),
                Err(error) => return Some(Err(error)),
            },
        };
        drop(reader);
        self.part(&shared, wish).map(|chunk| Ok(Read::Chunk(chunk)))
    }

    /// The part of a shared chunk that is asked for, with the columns of this query.
    fn part(&self, shared: &Shared, wish: Wish) -> Option<Chunk> {
        let chunk = &shared.chunk;
        if !chunk.bad.is_empty() && shared.columns != self.columns {
            return None;
        }
        let mut places = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            places.push(shared.columns.iter().position(|known| known == column)?);
        }
        let is_whole = chunk.first == wish.from && chunk.next <= wish.limit && chunk.records <= wish.records;
        if !is_whole && (!chunk.bad.is_empty() || chunk.without_key > 0 || chunk.records > wish.records) {
            return None;
        }
        let next = chunk.next.min(wish.limit);
        let batch = match &chunk.batch {
            None => None,
            Some(batch) => {
                let start = batch.meta.offset.partition_point(|offset| *offset < wish.from);
                let end = batch.meta.offset.partition_point(|offset| *offset < wish.limit);
                (start < end).then(|| self.columns_of(&batch.slice(start..end), &places))
            }
        };
        let records = if is_whole { chunk.records } else { batch.as_ref().map_or(0, ChangeBatch::len) };
        Some(Chunk {
            first: wish.from,
            next,
            batch,
            bad: chunk.bad.clone(),
            without_key: chunk.without_key,
            records,
            bytes: if is_whole { chunk.bytes } else { chunk.bytes * records / chunk.records.max(1) },
        })
    }

    fn columns_of(&self, batch: &ChangeBatch, places: &[usize]) -> ChangeBatch {
        let columns = places.iter().map(|place| Arc::clone(batch.rows.column(*place))).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.len()));
        let rows = RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), columns, &options)
            .unwrap_or_else(|error| panic!("shared columns do not fit the edge: {error}"));
        batch.with_rows(rows)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.reader.lock().leave(self.id);
    }
}

impl Chunk {
    fn holds(&self, offset: Offset) -> bool {
        self.first <= offset && offset < self.next
    }
}

impl Reader {
    fn join(&mut self, subscriber: Subscriber) -> u64 {
        self.subscribed += 1;
        self.subscribers.insert(self.subscribed, subscriber);
        self.unite();
        self.subscribed
    }

    fn leave(&mut self, id: u64) {
        self.subscribers.remove(&id);
        self.unite();
    }

    /// The subscribers changed: so does what all of them want.
    fn unite(&mut self) {
        let mut columns: Vec<SourceColumn> = Vec::new();
        let mut edge: Vec<EdgeColumn> = Vec::new();
        for subscriber in self.subscribers.values() {
            for (column, known) in subscriber.source.columns.iter().zip(subscriber.source.schema.columns()) {
                if !columns.contains(column) {
                    columns.push(column.clone());
                    edge.push(EdgeColumn { name: Name::new(format!("C{}", edge.len())), ty: known.ty.clone() });
                }
            }
        }
        if columns != self.union.columns || self.cursor.is_none() {
            (self.union.columns, self.union.schema) = (columns, EdgeSchema::new(edge));
            self.cursor = None;
            self.ring.clear();
        }
        if self.subscribers.len() < 2 {
            self.ring.clear();
        }
    }

    /// A subscriber is at `position`.
    fn moved(&mut self, id: u64, position: Offset) {
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.position = position;
        }
        let passed = self.subscribers.values().map(|subscriber| subscriber.position).min().unwrap_or(position);
        self.ring.retain(|shared| shared.chunk.next > passed);
    }

    /// Reads a chunk that is not in the ring, for the ring, or tells why there is none; `None` if it is not worth
    /// sharing.
    fn read(&mut self, log: &dyn TopicLog, wish: Wish) -> Option<Result<ReadForAll, TopicError>> {
        let near = i64::try_from(wish.records * MAX_CHUNKS).unwrap_or(i64::MAX);
        let furthest = self.subscribers.values().map(|subscriber| subscriber.position).max().unwrap_or(wish.from);
        let company = self
            .subscribers
            .values()
            .filter(|subscriber| (wish.from.0 - near..=wish.from.0).contains(&subscriber.position.0))
            .count();
        if company < 2 || furthest.0 - wish.from.0 > near {
            return None;
        }
        if self.cursor.is_none() {
            // What a subscriber's own decoder refuses, it has refused when the query was built.
            let decoder = SourceDecoder::new(&self.union).ok()?;
            self.cursor = Some(Cursor::new(self.topic, self.partition, decoder));
        }
        let read = self.cursor.as_mut()?.next(log, wish, |_| false);
        Some(read.map(|read| match read {
            Read::Dry | Read::Later => Err(Box::new(read)),
            Read::Chunk(chunk) => {
                let shared = Arc::new(Shared { columns: self.union.columns.clone(), chunk });
                self.ring.push_back(Arc::clone(&shared));
                if self.ring.len() > MAX_CHUNKS {
                    self.ring.pop_front();
                }
                Ok(shared)
            }
        }))
    }
}
