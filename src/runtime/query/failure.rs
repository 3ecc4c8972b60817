//! What a persistent query does when its pipeline failed: rest and try again with care, or stay in ERROR.
//!
//! After a failure rows go one at a time, so that the next failure names the record to blame. A failure counts until
//! the records to blame are durably behind. The third one stops the query; [`Query::resume`] tries again,
//! [`Query::skip_failed`] passes the record into the processing log first.

use std::sync::Arc;

use crate::runtime::RuntimeError;
use crate::runtime::pipeline::Place;
use crate::runtime::processing_log::{Failed, ProcessingLogEntry};
use crate::runtime::scheduler::Task;

use super::control::{Control, Doubt, Failure};
use super::outbox::Outbox;
use super::{Query, backoff};

impl Query {
    /// Decides what follows a failure that `control` knows.
    pub(super) fn after_failure(&self, control: &mut Control, me: &Arc<Task>) {
        let Some(failure) = control.failure.clone() else { return };
        self.counters.failures.add(1);
        let strikes = control.strikes;
        if strikes >= self.env.settings.max_failures {
            tracing::error!(query_id = %self.id, reason = failure.reason, "query stopped");
            control.error = Some(failure.clone());
            control.restart_at = None;
        } else {
            tracing::warn!(query_id = %self.id, reason = failure.reason, strikes, "query failed, trying again");
            let delay = backoff(self.env.settings.retry_backoff, strikes);
            control.restart_at = Some(self.env.scheduler.now() + delay);
            self.env.scheduler.wake_after(delay, me);
        }
        let verb = if strikes >= self.env.settings.max_failures { "stopped" } else { "failed and is tried again" };
        self.tell(&failure, format!("the query {verb}: {}", failure.reason));
        self.env.made_progress();
    }

    fn tell(&self, failure: &Failure, message: String) {
        let at = failure.at.clone();
        (self.env.processing_log)(ProcessingLogEntry {
            query: self.id.clone(),
            failed: Failed::Query,
            partition: at.as_ref().map(|place| place.partition),
            offset: at.as_ref().map(|place| place.offset),
            topic: at.map(|place| place.topic),
            message,
            row: None,
        });
    }

    /// Stays in ERROR until it is resumed, and says so.
    pub(super) fn stop_with(&self, failure: Failure) {
        self.counters.failures.add(1);
        let message = format!("the query stopped: {}", failure.reason);
        self.give_up(failure.reason.clone());
        self.tell(&failure, message);
    }

    /// Stays in ERROR without another try. What the log may still have of the query is asked for before it is resumed.
    pub(in crate::runtime) fn give_up(&self, reason: String) {
        let mut control = self.control.lock();
        control.discard_pipeline();
        control.committing = None;
        // After a panic nobody knows what was handed over and what was answered.
        control.outbox = Outbox::default();
        control.uncertain = (!self.env.is_fenced()).then(|| Doubt::about(None));
        control.restart_at = None;
        control.error = Some(Failure::of_no_record(reason));
        drop(control);
        self.wake();
        self.env.made_progress();
    }

    /// Leaves ERROR or PAUSED and goes on.
    ///
    /// # Errors
    /// Another server owns the service.
    pub(in crate::runtime) fn resume(&self) -> Result<(), RuntimeError> {
        if self.env.is_fenced() {
            return Err(RuntimeError::Fenced);
        }
        let mut control = self.control.lock();
        control.paused = false;
        if control.error.take().is_some() {
            control.strikes = 0;
            control.restart_at = Some(self.env.scheduler.now());
        }
        if let Some(pipeline) = &control.pipeline {
            pipeline.set_paused(false);
        }
        drop(control);
        self.wake();
        Ok(())
    }

    /// Passes the record that the query failed on into the processing log, and goes on behind it.
    ///
    /// # Errors
    /// The query is not in ERROR, or no single record is known to be to blame; another server owns the service.
    pub(in crate::runtime) fn skip_failed(&self) -> Result<(), RuntimeError> {
        {
            let mut control = self.control.lock();
            let is_one_record = |place: &Place| place.until == place.offset.next();
            let at = control.error.as_ref().and_then(|failure| failure.at.clone());
            let Some(place) = at.filter(is_one_record) else {
                return Err(RuntimeError::NothingToSkip(self.id.clone()));
            };
            control.skip.insert((place.topic, place.partition.0, place.offset));
        }
        self.resume()
    }
}
