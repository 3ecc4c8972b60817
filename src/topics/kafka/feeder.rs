//! One place of reading in a partition: what the client fetched, as blocks, and what was read last.
//!
//! ```text
//!   blocks  [40..55) [55..56) [56..90)      taken from the client; the last ones stay for readers behind
//!   next    90                              where the client's queue goes on, filled in the background
//! ```
//!
//! What was read is kept as far back as readers were seen lately, and a little further: a reader alone needs next to
//! nothing of it, many readers of one topic need what lies between the first and the last.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::RDKafkaErrorCode;

use super::client::{Log, Refused};
use super::native::{BATCH, Feed, Taken};
use super::record_time;
use crate::topics::Fetch;
use crate::topics::gather::Gather;
use crate::types::{Offset, RecordBlock, RecordBlockBuilder, RecordView};

/// What is kept for readers behind though none was seen, in bytes.
const KEPT_ALONE: usize = 2 << 20;
/// What is kept at least where there are several readers: one that stood still for a moment goes on from here.
const KEPT_SHARED: usize = 16 << 20;
/// For so long a reader that was seen behind is expected again.
const SEEN: Duration = Duration::from_secs(5);

/// A place with records that nobody took for so long is given up.
const LEFT: Duration = Duration::from_secs(120);

/// Set when a client's queue has something.
#[derive(Debug, Default)]
pub(super) struct Signal {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    pub(super) fn set(&self) {
        *self.is_set.lock() = true;
        self.changed.notify_all();
    }

    fn clear(&self) {
        *self.is_set.lock() = false;
    }

    /// Waits until it is set; false if that took until `deadline`.
    pub(super) fn wait(&self, deadline: Instant) -> bool {
        let mut is_set = self.is_set.lock();
        while !*is_set {
            if self.changed.wait_until(&mut is_set, deadline).timed_out() {
                return *is_set;
            }
        }
        true
    }
}

/// Records that cover the offsets up to `next`.
struct Block {
    records: RecordBlock,
    next: Offset,
}

/// A place of reading.
pub(super) struct Feeder {
    // fixed
    feed: Feed,
    pub(super) lane: usize,
    pub(super) signal: Arc<Signal>,
    /// Bytes that all feeders keep, and how many they may.
    kept: Arc<AtomicUsize>,
    limit: usize,
    // changing
    blocks: VecDeque<Block>,
    bytes: usize,
    first: Offset,
    next: Offset,
    /// No more is there up to here, as the broker said last.
    pub(super) end: Offset,
    pub(super) failed: Option<(RDKafkaErrorCode, String)>,
    pub(super) used: Instant,
    behind: Behind,
}

/// How far behind the last block readers were seen lately; zero if none was.
#[derive(Debug, Clone, Copy)]
struct Behind {
    bytes: usize,
    seen: Instant,
}

/// What a feeder is made with.
pub(super) struct FeederPlace<'a> {
    pub(super) consumer: &'a Arc<BaseConsumer<Log>>,
    pub(super) lane: usize,
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) from: Offset,
}

impl Feeder {
    /// Begins to read.
    ///
    /// # Errors
    /// The client's.
    pub(super) fn start(
        place: &FeederPlace<'_>,
        on_ready: Arc<dyn Fn() + Send + Sync>,
        kept: &Arc<AtomicUsize>,
        limit: usize,
    ) -> Result<Self, Refused> {
        let signal = Arc::new(Signal::default());
        let ready = Arc::clone(&signal);
        let on_ready = Box::new(move || {
            ready.set();
            on_ready();
        });
        let feed = Feed::start(place.consumer, place.topic, place.partition, place.from, on_ready)?;
        Ok(Self {
            feed,
            lane: place.lane,
            signal,
            kept: Arc::clone(kept),
            limit,
            blocks: VecDeque::new(),
            bytes: 0,
            first: place.from,
            next: place.from,
            end: place.from,
            failed: None,
            used: Instant::now(),
            behind: Behind { bytes: 0, seen: Instant::now() },
        })
    }

    /// True if it can give records from `from` on without reading elsewhere.
    pub(super) fn covers(&self, from: Offset) -> bool {
        self.first <= from && from <= self.next
    }

    /// True if records wait here that nobody has asked for in a long time.
    pub(super) fn is_left(&self) -> bool {
        self.used.elapsed() > LEFT && *self.signal.is_set.lock()
    }

    /// Where the client's queue goes on.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// Goes on elsewhere; what was read is forgotten.
    ///
    /// # Errors
    /// The client's.
    pub(super) fn seek(&mut self, from: Offset) -> Result<(), Refused> {
        self.feed.seek(from)?;
        self.forget(usize::MAX);
        (self.first, self.next, self.end, self.failed) = (from, from, from, None);
        Ok(())
    }

    /// Records from `from` on, about `max_bytes`, of those that are here; `None` if nothing is known behind `from`.
    pub(super) fn get(&mut self, from: Offset, max_bytes: usize) -> Option<Fetch> {
        self.used = Instant::now();
        if from >= self.next {
            self.signal.clear();
            self.take();
        }
        if from >= self.next {
            return None;
        }
        let place = self.blocks.partition_point(|block| block.next <= from);
        self.see(place);
        let mut gather = Gather::new(from, max_bytes);
        for block in self.blocks.range(place..) {
            if !gather.wants(block.records.data_bytes()) {
                break;
            }
            gather.push(&block.records, block.next);
        }
        Some(gather.finish(self.end.max(self.next)))
    }

    /// Takes what the client told of: it tells again only when its queue was empty.
    pub(super) fn drain(&mut self) {
        if *self.signal.is_set.lock() {
            self.signal.clear();
            self.take();
        }
    }

    /// Takes what the client has.
    fn take(&mut self) {
        let from = self.next;
        let next = Cell::new(from);
        let (mut end, mut failed) = (self.end, None);
        let mut builder = RecordBlockBuilder::default();
        let mut headers = Vec::new();
        let mut each = |taken: Taken<'_>| match taken {
            // Fetched in a batch that begins before the offset that was asked for.
            Taken::Record(record) if record.offset < next.get() => {}
            Taken::Record(record) => {
                let (mut timestamp, mut of_record) = (record.timestamp, record.headers);
                if !of_record.is_empty() {
                    headers.clear();
                    headers.extend_from_slice(of_record);
                    timestamp = record_time::read(timestamp, &mut headers);
                    of_record = &headers;
                }
                builder.push(RecordView { timestamp, headers: of_record, ..record });
                next.set(record.offset.next());
            }
            Taken::End(offset) => {
                next.set(next.get().max(offset));
                end = end.max(offset);
            }
            Taken::Failed(code, text) => failed = Some((code, text)),
        };
        // Nobody tells of a queue that was not emptied.
        while self.feed.take(&mut each) == BATCH && next.get() == from {}
        let next = next.get();
        if failed.is_some() {
            self.failed = failed;
        }
        (self.next, self.end) = (next, end.max(next));
        if next > from {
            let records = builder.finish();
            self.bytes += records.data_bytes();
            self.kept.fetch_add(records.data_bytes(), Ordering::Relaxed);
            self.blocks.push_back(Block { records, next });
            self.forget_some();
        }
    }

    /// A reader is at this block.
    fn see(&mut self, place: usize) {
        let behind = self.blocks.range(place..).skip(1);
        let bytes: usize = behind.map(|block| block.records.data_bytes()).sum();
        if bytes > self.behind.bytes || self.behind.seen.elapsed() > SEEN {
            self.behind = Behind { bytes, seen: self.used };
        }
    }

    /// Forgets what nobody is going to read, and more while all feeders together keep too much.
    fn forget_some(&mut self) {
        let needed = match self.behind.bytes {
            0 => KEPT_ALONE,
            bytes => bytes.saturating_mul(4).max(KEPT_SHARED),
        };
        while self.blocks.len() > 1 {
            let first = self.blocks.front().map_or(0, |block| block.records.data_bytes());
            let is_too_much = self.kept.load(Ordering::Relaxed) > self.limit || self.blocks.len() > 1000;
            if !is_too_much && self.bytes - first < needed {
                break;
            }
            self.forget(1);
        }
    }

    fn forget(&mut self, blocks: usize) {
        for block in self.blocks.drain(..blocks.min(self.blocks.len())) {
            let bytes = block.records.data_bytes();
            self.bytes -= bytes;
            self.kept.fetch_sub(bytes, Ordering::Relaxed);
            self.first = block.next;
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.forget(usize::MAX);
    }
}
