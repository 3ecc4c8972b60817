//! What is left of a query that is no more: its positions and its changelogs go.
//!
//! A command that drops a query is durable before any of this happens, and a crash may come in between. So whoever
//! starts the runtime names the queries that live, and what is left of others goes first; and a query of an id that
//! could not be forgotten does not start. Otherwise an id that is used again could go on where its predecessor stopped.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::catalog::QueryId;
use crate::topics::{CommitOutcome, TopicError, Transaction};
use crate::types::EventTime;

use super::RuntimeError;
use super::changelog::{is_changelog, topic_prefix};
use super::environment::Environment;
use super::positions;

/// How long one try to forget waits for the log.
const FORGET_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries before the caller is told.
const FORGET_TRIES: u32 = 8;

impl Environment {
    /// Takes a query's positions and changelogs out of the log. When this returns, they are gone.
    ///
    /// # Errors
    /// The log refuses: then no query of this id starts until they are gone.
    pub(super) fn forget(self: &Arc<Self>, query: &QueryId) -> Result<(), RuntimeError> {
        self.unforgotten.lock().insert(query.clone());
        self.forget_positions(query)?;
        let prefix = topic_prefix(&self.service_id, &query.0);
        let changelogs = self.log.topics()?.into_keys();
        for topic in changelogs.filter(|topic| topic.starts_with(&prefix) && is_changelog(&self.service_id, topic)) {
            self.delete_topic(&topic)?;
        }
        self.forget_group(query);
        self.unforgotten.lock().remove(query);
        self.forget_committer_of(query);
        Ok(())
    }

    /// Forgets every query that is not among `live`.
    ///
    /// # Errors
    /// The log refuses.
    pub(super) fn forget_all_but(self: &Arc<Self>, live: &BTreeSet<QueryId>) -> Result<(), RuntimeError> {
        let dead: Vec<_> = self.told_queries()?.into_iter().filter(|query| !live.contains(query)).collect();
        self.unforgotten.lock().extend(dead.iter().cloned());
        dead.iter().try_for_each(|query| self.forget(query))?;
        let prefixes: Vec<_> = live.iter().map(|query| topic_prefix(&self.service_id, &query.0)).collect();
        for topic in self.log.topics()?.into_keys().filter(|topic| is_changelog(&self.service_id, topic)) {
            if !prefixes.iter().any(|prefix| topic.starts_with(prefix)) {
                self.delete_topic(&topic)?;
            }
        }
        Ok(())
    }

    fn delete_topic(&self, topic: &str) -> Result<(), RuntimeError> {
        match self.log.delete_topic(topic) {
            Ok(()) | Err(TopicError::UnknownTopic(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn forget_positions(self: &Arc<Self>, query: &QueryId) -> Result<(), RuntimeError> {
        let mut pause = self.settings.retry_backoff;
        let mut last = TopicError::Storage { action: "forget the query's positions", reason: "no answer".to_owned() };
        for _ in 0..FORGET_TRIES {
            if self.is_fenced() {
                return Err(RuntimeError::Fenced);
            }
            let now = EventTime(self.clock.now_ms().max(0));
            let record = positions::record(&self.offsets_topic, query, None, 0, now);
            let answer = Arc::new(Mutex::new(None));
            let (slot, env) = (Arc::clone(&answer), Arc::downgrade(self));
            self.commit(query, Transaction { records: vec![record] }, move |outcome| {
                *slot.lock() = Some(outcome);
                if let Some(env) = env.upgrade() {
                    env.made_progress();
                }
            });
            self.wait_until(FORGET_TIMEOUT, || Ok::<_, RuntimeError>(answer.lock().is_some()))?;
            match answer.lock().take() {
                Some(CommitOutcome::Committed(_)) => return Ok(()),
                Some(CommitOutcome::Fenced) => return Err(RuntimeError::Fenced),
                Some(CommitOutcome::Aborted(error)) => last = error,
                Some(CommitOutcome::Unknown(_)) | None => {}
            }
            self.wait_until(pause, || Ok::<_, RuntimeError>(false))?;
            pause *= 2;
        }
        Err(last.into())
    }
}
