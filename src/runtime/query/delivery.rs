//! How a query's output leaves under each guarantee (`processing.guarantee`).
//!
//! | guarantee | output leaves | state and positions commit | after a failure |
//! |---|---|---|---|
//! | exactly once | with state and positions, in one transaction | when the epoch ends | nothing shows |
//! | at least once | when a task's step ends | once all output of the epoch is durable | output since the last commit comes again, from there on in order |
//! | at most once | once state and positions are durable | when the epoch ends | output that was not durable is missing |
//!
//! So state is exact under all three. Where output does not wait for the epoch, epochs are longer, and end by the clock:
//! nobody waits for them.

use std::sync::Arc;

use crate::runtime::Guarantee;
use crate::runtime::pipeline::TaskFailure;
use crate::runtime::processing_log::{Failed, ProcessingLogEntry};
use crate::runtime::scheduler::Task;
use crate::topics::CommitOutcome;

use super::control::Control;
use super::{FENCED, Query, backoff, is_passing};

impl Query {
    /// Hands over output that waits, if none is under way.
    pub(super) fn send_output(&self) {
        let next = {
            let mut control = self.control.lock();
            if control.stopped {
                return;
            }
            control.outbox.next(self.env.scheduler.now())
        };
        let Some(records) = next else { return };
        let asked = self.answer.lock().ask_output();
        let me = std::sync::Weak::clone(&self.me);
        self.env.send(&self.id, records, move |outcome| {
            let Some(query) = me.upgrade() else { return };
            query.answer.lock().output_answered(asked, outcome);
            query.wake();
        });
    }

    /// The log answered output.
    pub(super) fn settle_output(&self, outcome: CommitOutcome, me: &Arc<Task>) {
        let mut control = self.control.lock();
        let Some(answered) = control.outbox.answered() else { return };
        let repeats = control.delivery.guarantee == Guarantee::AtLeastOnce;
        match outcome {
            CommitOutcome::Committed(_) => control.outbox.is_through(),
            CommitOutcome::Fenced => {
                drop(control);
                self.env.give_up(FENCED);
            }
            _ if control.stopped || answered.is_forgotten => control.outbox.is_through(),
            CommitOutcome::Aborted(error) if is_passing(&error) => {
                self.send_output_later(&mut control, answered.attempts, error.to_string(), me);
            }
            CommitOutcome::Unknown(reason) if repeats => {
                self.send_output_later(&mut control, answered.attempts, reason, me);
            }
            CommitOutcome::Unknown(reason) => {
                control.outbox.is_through();
                drop(control);
                self.tell_of_loss(&reason);
            }
            CommitOutcome::Aborted(error) => {
                control.outbox.is_through();
                control.outbox.forget();
                // What follows from records that are durably behind cannot be made again: no record is to blame then.
                let reason = format!("cannot write: {error}");
                control.fail(TaskFailure { reason, at: None, by_record: repeats });
                self.after_failure(&mut control, me);
                if !repeats {
                    drop(control);
                    self.tell_of_loss(&error.to_string());
                }
            }
        }
    }

    fn send_output_later(&self, control: &mut Control, attempts: u32, reason: String, me: &Arc<Task>) {
        self.counters.commits_aborted.add(1);
        control.trouble = Some(reason);
        let delay = backoff(self.env.settings.retry_backoff, attempts);
        control.outbox.again(self.env.scheduler.now() + delay);
        self.env.scheduler.wake_after(delay, me);
    }

    /// Under at most once: output will not be made again.
    fn tell_of_loss(&self, reason: &str) {
        tracing::warn!(query_id = %self.id, reason, "output may be missing");
        (self.env.processing_log)(ProcessingLogEntry {
            query: self.id.clone(),
            failed: Failed::Query,
            topic: None,
            partition: None,
            offset: None,
            message: format!("output may be missing (processing.guarantee is at_most_once): {reason}"),
            row: None,
        });
    }
}
