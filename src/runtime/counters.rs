//! What a query has done so far, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! counters {
    ($($name:ident, $doc:literal;)*) => {
        /// Counters of one query, written by its tasks. What a failed epoch did is counted again when it is repeated.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        /// The counters of a query at one moment. They count since the server started.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct QueryCounters {
            $(#[doc = $doc] pub $name: u64,)*
        }

        impl Counters {
            pub(super) fn read(&self) -> QueryCounters {
                QueryCounters { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    records_in, "Records read from source topics.";
    bytes_in, "Bytes of keys and values read.";
    rows_in, "Rows those records made.";
    batches, "Batches decoded.";
    records_out, "Records written, or rows sent to a client.";
    bytes_out, "Bytes of keys and values written.";
    epochs, "Epochs committed.";
    commit_micros_sum, "Time from handing epochs to the log to their commit, microseconds, all together.";
    commit_micros_max, "The longest of these.";
    commits_aborted, "Commits that the log refused and that were sent again.";
    commits_unknown, "Commits whose outcome only the log knew.";
    bad_records, "Records and rows that did not go through as they should: entries of the processing log.";
    null_keys_dropped, "Records of tables that had no key.";
    late_rows, "Rows that came too late for their windows and were dropped.";
    gaps, "Times that offsets were gone before they were read.";
    topics_replaced, "Times that a source topic turned out to be another one of the same name.";
    failures, "Times the query failed and was started again or stopped.";
}

/// A number that tasks on several threads add to.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(super) fn add_micros(&self, time: Duration) {
        self.0.fetch_add(micros(time), Ordering::Relaxed);
    }

    pub(super) fn max_micros(&self, time: Duration) {
        self.0.fetch_max(micros(time), Ordering::Relaxed);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
