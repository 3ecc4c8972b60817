//! Whether this server may still write under an id, asked when brokers refuse its producer.
//!
//! Brokers shut a producer out whose transaction's partitions they refuse, or whose transaction is open for longer than
//! `transaction.timeout.ms`, even if they themselves were away meanwhile. To the producer that looks as if another server
//! had taken its id. Who owns the service tells these apart: an owner takes its id again, anybody else is fenced for good.

use std::collections::HashMap;

use parking_lot::{Mutex, RwLock};

use crate::topics::TopicError;

/// Whether this server owns its service, as the cluster says when it is asked.
pub(super) type OwnsService = Box<dyn Fn() -> Result<bool, TopicError> + Send + Sync>;

/// What committers of a log share.
#[derive(Default)]
pub(super) struct Rights {
    /// Nobody has asked for the service before this is there.
    owns: RwLock<Option<OwnsService>>,
    /// How often an id was opened here. Only who opened it last may take it again.
    opened: Mutex<HashMap<String, u64>>,
}

impl Rights {
    /// Who opens an id gets a number; those before it have no right to the id any more.
    pub(super) fn open(&self, id: &str) -> u64 {
        let mut opened = self.opened.lock();
        let number = opened.entry(id.to_owned()).or_default();
        *number += 1;
        *number
    }

    /// From now on an owner may take its ids again.
    pub(super) fn owned_if(&self, owns: OwnsService) {
        *self.owns.write() = Some(owns);
    }

    /// True if an id that brokers shut out is still this server's, and of the committer with this number.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub(super) fn are_left(&self, id: &str, number: u64) -> Result<bool, TopicError> {
        if self.opened.lock().get(id) != Some(&number) {
            return Ok(false);
        }
        self.owns.read().as_ref().map_or(Ok(false), |owns| owns())
    }
}
