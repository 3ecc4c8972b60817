//! Output that leaves by itself, in one queue for each query: before its epoch commits, or behind it.
//!
//! ```text
//!   tasks ──leaves──▶ waiting: [epoch 8] [epoch 7] ──next──▶ under way, one sending at a time ──▶ log
//!                                                            answered: the next; refused for now: the same again
//! ```
//!
//! Invariants:
//! - one sending is under way, and the next begins when it is answered: so output of one key keeps its order, and only
//!   whole stretches of it come again;
//! - what arrives meanwhile goes together: the busier the log, the larger the sendings.

use std::collections::VecDeque;
use std::time::Duration;

use crate::topics::{PartitionRecords, Transaction};
use crate::types::Epoch;

/// Bytes of keys and values in one sending, about.
const SENDING_BYTES: usize = 4 << 20;

/// Output on its way to the log.
#[derive(Default)]
pub(super) struct Outbox {
    /// Oldest first. Tasks end their epochs one after the other, so epochs may be mixed.
    waiting: VecDeque<(Epoch, Vec<PartitionRecords>)>,
    under_way: Option<Sending>,
}

struct Sending {
    records: Transaction,
    /// The earliest epoch among them.
    epoch: Epoch,
    attempts: u32,
    /// When it is sent again, by the scheduler's time; `None` while the log has it.
    retry_at: Option<Duration>,
    /// The pipeline that made it is no more: its answer is waited for, and that is all.
    is_forgotten: bool,
}

/// What an answer was to.
pub(super) struct Answered {
    /// How often it was sent.
    pub(super) attempts: u32,
    /// Nobody cares any more.
    pub(super) is_forgotten: bool,
}

impl Outbox {
    /// Takes output of an epoch, behind all that was taken before.
    pub(super) fn put(&mut self, epoch: Epoch, records: Vec<PartitionRecords>) {
        if !records.is_empty() {
            self.waiting.push_back((epoch, records));
        }
    }

    /// What is to be handed to the log now, if anything is. It counts as handed over.
    pub(super) fn next(&mut self, now: Duration) -> Option<Transaction> {
        if let Some(sending) = &mut self.under_way {
            sending.retry_at.take_if(|at| *at <= now)?;
            sending.attempts += 1;
            return Some(sending.records.clone());
        }
        let (mut epoch, mut records) = self.waiting.pop_front()?;
        let bytes_of =
            |records: &[PartitionRecords]| records.iter().map(|part| part.records.data_bytes()).sum::<usize>();
        let mut bytes = bytes_of(&records);
        while let Some((_, more)) = self.waiting.front() {
            bytes += bytes_of(more);
            if bytes > SENDING_BYTES {
                break;
            }
            let Some((other, mut more)) = self.waiting.pop_front() else { break };
            epoch = epoch.min(other);
            records.append(&mut more);
        }
        let records = Transaction { records };
        self.under_way =
            Some(Sending { records: records.clone(), epoch, attempts: 1, retry_at: None, is_forgotten: false });
        Some(records)
    }

    /// The log answered what was under way: it is no longer, unless [`Outbox::again`] is called.
    pub(super) fn answered(&mut self) -> Option<Answered> {
        let sending = self.under_way.as_ref().filter(|sending| sending.retry_at.is_none())?;
        Some(Answered { attempts: sending.attempts, is_forgotten: sending.is_forgotten })
    }

    /// What was under way is through, or given up.
    pub(super) fn is_through(&mut self) {
        self.under_way = None;
    }

    /// What was under way is sent again at `at`.
    pub(super) fn again(&mut self, at: Duration) {
        if let Some(sending) = &mut self.under_way {
            sending.retry_at = Some(at);
        }
    }

    /// Throws away what the log does not have. It may still take what is under way.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.under_way.take_if(|sending| sending.retry_at.is_some());
        if let Some(sending) = &mut self.under_way {
            sending.is_forgotten = true;
        }
    }

    /// True if output of `epoch` or an earlier one is not through.
    pub(super) fn has(&self, epoch: Epoch) -> bool {
        self.under_way.as_ref().is_some_and(|sending| sending.epoch <= epoch)
            || self.waiting.iter().any(|(waiting, _)| *waiting <= epoch)
    }

    /// True if everything is through.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    /// True if something of a pipeline that is no more is under way: nothing may be sent before it is answered.
    pub(super) fn awaits_forgotten(&self) -> bool {
        self.under_way.as_ref().is_some_and(|sending| sending.is_forgotten)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Outbox;
    use crate::topics::{PartitionRecords, Transaction};
    use crate::types::{Epoch, Partition, RecordBlock};

    fn output(name: &str) -> Vec<PartitionRecords> {
        vec![PartitionRecords { topic: name.to_owned(), partition: Partition(0), records: RecordBlock::default() }]
    }

    fn text(sending: Option<Transaction>) -> String {
        sending.map_or("nothing".to_owned(), |sending| {
            sending.records.iter().map(|part| part.topic.as_str()).collect::<Vec<_>>().join(" ")
        })
    }

    #[test]
    fn one_sending_is_under_way_and_what_came_meanwhile_goes_together() {
        let mut outbox = Outbox::default();
        outbox.put(Epoch(1), output("a"));
        assert_eq!(text(outbox.next(Duration::ZERO)), "a");
        outbox.put(Epoch(2), output("b"));
        outbox.put(Epoch(1), output("c"));
        assert_eq!(text(outbox.next(Duration::ZERO)), "nothing");
        assert!(outbox.has(Epoch(1)));
        outbox.is_through();
        assert_eq!(text(outbox.next(Duration::ZERO)), "b c");
        assert!(outbox.has(Epoch(1)) && !outbox.has(Epoch(0)));
        outbox.is_through();
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_failed_goes_again_before_all_else() {
        let mut outbox = Outbox::default();
        outbox.put(Epoch(1), output("a"));
        assert_eq!(text(outbox.next(Duration::ZERO)), "a");
        outbox.put(Epoch(1), output("b"));
        outbox.again(Duration::from_secs(2));
        assert_eq!(text(outbox.next(Duration::from_secs(1))), "nothing");
        assert_eq!(text(outbox.next(Duration::from_secs(2))), "a");
        assert_eq!(outbox.answered().map(|answered| answered.attempts), Some(2));
    }

    #[test]
    fn what_the_log_has_is_waited_for_though_it_is_forgotten() {
        let mut outbox = Outbox::default();
        outbox.put(Epoch(1), output("a"));
        outbox.next(Duration::ZERO);
        outbox.put(Epoch(1), output("b"));
        outbox.forget();
        assert!(outbox.awaits_forgotten() && !outbox.is_empty());
        outbox.is_through();
        assert!(outbox.is_empty());
        outbox.put(Epoch(1), output("c"));
        outbox.next(Duration::ZERO);
        outbox.again(Duration::ZERO);
        outbox.forget();
        assert!(outbox.is_empty(), "nobody waits for what the log does not have");
    }
}
