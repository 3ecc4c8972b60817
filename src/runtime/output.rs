//! Where the rows of a task leave to: a sink's records, the tasks of the next stage, or a client.

use std::sync::Arc;

use crate::operators::{RowError, StreamTime};
use crate::topics::PartitionRecords;
use crate::types::{ChangeBatch, Epoch, Offset};

use super::client::Client;
use super::counters::Counters;
use super::encode::SinkEncoder;
use super::exchange::Dealer;
use super::idleness::Standing;
use super::order::Ranks;
use super::scheduler::Task;

/// Where rows leave to.
pub(super) enum TaskOutput {
    /// Records, gathered until the barrier, or until the step ends.
    Sink(Box<SinkEncoder>),
    /// The tasks of the next stage.
    Exchange(Dealer),
    /// The client of a push query.
    Rows(Arc<Client>),
}

/// Why rows could not leave: the reason, and the offset of the row's record if it is known.
pub(super) type Refused = (Option<Offset>, String);

impl TaskOutput {
    /// True if another batch may be given; else `task` is woken when one may.
    pub(super) fn has_room(&self, task: &Arc<Task>) -> bool {
        match self {
            Self::Sink(_) => true,
            Self::Exchange(dealer) => dealer.has_room(task),
            Self::Rows(client) => client.has_room(task),
        }
    }

    /// Takes a batch; gives the bytes written.
    pub(super) fn accept(
        &mut self,
        batch: ChangeBatch,
        errors: &mut Vec<RowError>,
        counters: &Counters,
    ) -> Result<usize, Refused> {
        match self {
            Self::Sink(encoder) => {
                let written = encoder.write(batch, errors).map_err(|(offset, error)| (offset, error.message))?;
                counters.records_out.add(written.records);
                counters.bytes_out.add(written.bytes);
                Ok(written.bytes)
            }
            Self::Exchange(dealer) => {
                dealer.deal(batch);
                Ok(0)
            }
            Self::Rows(client) => {
                counters.records_out.add(client.send(&batch));
                Ok(0)
            }
        }
    }

    /// Stream time has risen; rows may or may not have come with it.
    pub(super) fn pass_time(&mut self, now: StreamTime) {
        if let Self::Exchange(dealer) = self {
            dealer.pass_time(now);
        }
    }

    /// Nobody need wait for this task from the start: its source has nothing to read.
    pub(super) fn start_idle(&self) {
        if let Self::Exchange(dealer) = self {
            dealer.start_idle();
        }
    }

    /// Nobody need wait for this task: its source is at its end for long enough.
    pub(super) fn be_idle(&self) {
        if let Self::Exchange(dealer) = self {
            dealer.be_idle();
        }
    }

    /// Somebody waits for this task again.
    pub(super) fn be_awake(&self) {
        if let Self::Exchange(dealer) = self {
            dealer.be_awake();
        }
    }

    /// What leaves from here on has these ranks.
    pub(super) fn set_ranks(&mut self, ranks: Ranks) {
        if let Self::Exchange(dealer) = self {
            dealer.set_ranks(ranks);
        }
    }

    /// What others need to have this task waited for again.
    pub(super) fn standing(&self) -> Standing {
        match self {
            Self::Exchange(dealer) => dealer.standing(),
            Self::Sink(_) | Self::Rows(_) => Standing::default(),
        }
    }

    /// True if anybody downstream cares whether this task is idle.
    pub(super) fn cares_for_idleness(&self) -> bool {
        matches!(self, Self::Exchange(_))
    }

    /// The records written since the last call.
    pub(super) fn take(&mut self) -> Vec<PartitionRecords> {
        match self {
            Self::Sink(encoder) => encoder.take(),
            Self::Exchange(_) | Self::Rows(_) => Vec::new(),
        }
    }

    /// Ends the epoch: gives its records, and tells the tasks downstream.
    pub(super) fn barrier(&mut self, epoch: Epoch) -> Vec<PartitionRecords> {
        if let Self::Exchange(dealer) = self {
            dealer.barrier(epoch);
        }
        self.take()
    }

    /// The stream time that a source task goes on with after a restart: that of the rows that left to an exchange,
    /// else that of the rows read.
    pub(super) fn stream_time_or(&self, read: Option<StreamTime>) -> Option<StreamTime> {
        match self {
            Self::Exchange(dealer) => dealer.stream_time(),
            Self::Sink(_) | Self::Rows(_) => read,
        }
    }
}
