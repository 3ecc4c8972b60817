//! What a user may tune of running queries.

use std::time::Duration;

use crate::types::Partition;

/// What output, state and offsets promise each other (`processing.guarantee`). State and offsets always commit together,
/// so state is exact under all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guarantee {
    /// Every record has its effect once, whatever fails: output is in the transaction of state and offsets.
    #[default]
    ExactlyOnce,
    /// Output leaves at once; state and offsets follow when it is durable. After a failure some comes again.
    AtLeastOnce,
    /// Output follows once state and offsets are durable. After a failure some is missing.
    AtMostOnce,
}

/// How a query's output is delivered; decided when the query is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivery {
    /// `processing.guarantee`.
    pub guarantee: Guarantee,
    /// `epoch.interval`; `None` is what the settings of the runtime say.
    pub epoch_interval: Option<Duration>,
}

impl Delivery {
    /// Output leaves before its epoch ends, and does not wait for that.
    pub(super) fn leaves_at_once(self) -> bool {
        self.guarantee == Guarantee::AtLeastOnce
    }

    /// How long an epoch stays open while records keep coming.
    pub(super) fn epoch_interval(self, settings: &RuntimeSettings) -> Duration {
        let usual = if self.leaves_at_once() { settings.background_epoch_interval } else { settings.epoch_interval };
        self.epoch_interval.unwrap_or(usual)
    }
}

/// How queries run. Every member has a setting of the same meaning; the defaults are the product's.
#[derive(Debug, Clone)]
pub struct RuntimeSettings {
    /// Worker threads, shared by all queries (`worker.threads`). Default: the machine's cores.
    pub worker_threads: usize,
    /// Most rows of a batch (`batch.rows`). Default 8192.
    pub batch_rows: usize,
    /// Most bytes that one read of a partition asks for (`source.read.max.bytes`). Default 4 MiB.
    pub read_bytes: usize,
    /// How long an epoch stays open while records keep coming (`epoch.interval`). Default 5 ms.
    pub epoch_interval: Duration,
    /// The same for queries whose output does not wait for the epoch (`processing.guarantee` = `at_least_once`).
    /// Default 100 ms.
    pub background_epoch_interval: Duration,
    /// Bytes read and written after which an epoch closes early, and sources wait while the one before still commits
    /// (`epoch.max.bytes`). Default 16 MiB.
    pub epoch_max_bytes: usize,
    /// Memory that the state of one query may take before the query stops (`state.max.bytes`). Default 1 GiB.
    pub state_max_bytes: usize,
    /// Rows that may wait between one task and the next (`exchange.max.rows`). Default 65536.
    pub exchange_rows: usize,
    /// How long a source must have been at its end before stream time no longer waits for it (`source.idle`).
    /// Default 1 s.
    pub source_idle: Duration,
    /// How long every source of a query must have been at its end before stream time goes on by the clock and closes
    /// windows of EMIT FINAL (`windows.close.idle`). Default zero: never.
    pub windows_close_idle: Duration,
    /// How long a failed commit or query rests before the next try, doubled each time up to 64 times (`retry.backoff`).
    /// Default 50 ms.
    pub retry_backoff: Duration,
    /// Failures on the same records after which a query stays in ERROR (`query.max.failures`). Default 3.
    pub max_failures: u32,
    /// Appends everything that queries write to this partition, whatever their keys say (`append.partition`).
    /// Default: none, keys decide.
    pub append_partition: Option<Partition>,
    /// Puts the bytes of a bad record into its entry of the processing log
    /// (`ksql.logging.processing.rows.include`). Default false.
    pub log_records: bool,
    /// Batches that may wait for a slow client of a push query (`push.queue.batches`). Default 4.
    pub push_queue_batches: usize,
    /// Committers that carry epochs; a query stays with one of them (`commit.producers`). Default 1.
    pub commit_producers: u32,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            worker_threads: std::thread::available_parallelism().map_or(2, usize::from),
            batch_rows: 8192,
            read_bytes: 4 << 20,
            epoch_interval: Duration::from_millis(5),
            background_epoch_interval: Duration::from_millis(100),
            epoch_max_bytes: 16 << 20,
            state_max_bytes: 1 << 30,
            exchange_rows: 65_536,
            source_idle: Duration::from_secs(1),
            windows_close_idle: Duration::ZERO,
            retry_backoff: Duration::from_millis(50),
            max_failures: 3,
            append_partition: None,
            log_records: false,
            push_queue_batches: 4,
            commit_producers: 1,
        }
    }
}
