//! What became of the records of one transaction: a report for each, on the producer's own thread.

use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::{ClientContext, Message};

use super::client::log_line;
use super::numbers::Counted;
use crate::types::Offset;

/// The reports of a producer's records, by the place of the entry they belong to.
#[derive(Debug)]
pub(super) struct Deliveries {
    counted: Counted,
    reports: Mutex<Reports>,
}

/// What was reported since [`Deliveries::expect`].
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// By entry: the smallest and the largest offset reported.
    pub(super) offsets: Vec<Option<(Offset, Offset)>>,
    /// Records that the brokers have.
    pub(super) delivered: usize,
    /// The entries of records that were refused, and why.
    pub(super) failed: Vec<(usize, RDKafkaErrorCode)>,
}

impl Reports {
    /// None yet, of so many entries.
    pub(super) fn of(entries: usize) -> Self {
        Self { offsets: vec![None; entries], ..Self::default() }
    }

    /// A record of an entry was refused before it was sent.
    pub(super) fn fail(&mut self, entry: usize, code: RDKafkaErrorCode) {
        self.failed.push((entry, code));
    }

    /// What became of a record of an entry.
    pub(super) fn note(&mut self, result: &DeliveryResult<'_>, entry: usize) {
        match result {
            Ok(message) => {
                self.delivered += 1;
                let offset = Offset(message.offset());
                if let Some(known) = self.offsets.get_mut(entry) {
                    let (first, last) = known.unwrap_or((offset, offset));
                    *known = Some((first.min(offset), last.max(offset)));
                }
            }
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                self.fail(entry, code);
            }
        }
    }
}

impl Deliveries {
    pub(super) fn new(counted: Counted) -> Self {
        Self { counted, reports: Mutex::default() }
    }

    /// Begins anew, for so many entries.
    pub(super) fn expect(&self, entries: usize) {
        *self.reports.lock() = Reports::of(entries);
    }

    /// A record of an entry was refused before it was sent.
    pub(super) fn fail(&self, entry: usize, code: RDKafkaErrorCode) {
        self.reports.lock().fail(entry, code);
    }

    /// What was reported; nothing is left.
    pub(super) fn take(&self) -> Reports {
        std::mem::take(&mut self.reports.lock())
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka producer");
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.counted.statistics(statistics);
    }
}

impl ProducerContext for Deliveries {
    /// The place of the record's entry.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, entry: usize) {
        self.reports.lock().note(result, entry);
    }
}
