//! The command log: an internal topic of one partition that holds a record for each command.
//!
//! Only the owner of the service appends; its committer fences a predecessor. A command's number counts the commands
//! before it: the same on every log, whatever lies between the offsets.

use std::sync::Arc;
use std::sync::mpsc;

use crate::topics::{
    CleanupPolicy, CommitOutcome, Committer, PartitionRecords, TopicConfig, TopicError, TopicId, TopicInfo, TopicLog,
    Transaction,
};
use crate::types::{EventTime, Offset, Partition, Record};

use super::command::{Command, CommandError};

/// About how much is read at once while replaying.
const READ_BYTES: usize = 4 << 20;

/// The command log of one service.
pub(super) struct CommandLog {
    log: Arc<dyn TopicLog>,
    topic: String,
    id: TopicId,
    committer: Arc<dyn Committer>,
    /// Past the last command known.
    end: Offset,
    /// Commands before it.
    known: i64,
}

/// Why the command log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CommandLogError {
    /// The log refused.
    #[error("the command log cannot be reached")]
    Log(#[from] TopicError),
    /// A record of it is no command.
    #[error("command {number} cannot be read")]
    Unreadable {
        /// Its number.
        number: i64,
        /// Why.
        #[source]
        source: CommandError,
    },
    /// Another server owns the service now.
    #[error("another server owns the service now")]
    Fenced,
    /// The log did not say what became of the command.
    #[error("the log lost the answer to a commit and does not hold the command: {0}")]
    Lost(String),
}

impl CommandLog {
    /// Name of the topic.
    pub(super) fn topic_name(service_id: &str) -> String {
        format!("_thalweg-{service_id}-commands")
    }

    /// The topic, made if there is none yet.
    ///
    /// # Errors
    /// The log refuses.
    pub(super) fn topic(log: &dyn TopicLog, service_id: &str) -> Result<TopicInfo, TopicError> {
        let name = Self::topic_name(service_id);
        if let Some(info) = log.topic(&name)? {
            return Ok(info);
        }
        let config = TopicConfig { partitions: 1, replicas: 1, cleanup: CleanupPolicy::Delete, retention_ms: None };
        match log.create_topic(&name, &config) {
            // Two servers may start at once.
            Err(TopicError::TopicExists(_)) => log.topic(&name)?.ok_or(TopicError::UnknownTopic(name)),
            made => made,
        }
    }

    /// Opens the command log, makes it if there is none, and fences whoever wrote it before.
    ///
    /// # Errors
    /// The log refuses.
    pub(super) fn open(log: Arc<dyn TopicLog>, service_id: &str) -> Result<Self, CommandLogError> {
        let topic = Self::topic_name(service_id);
        let committer = log.committer(&topic)?;
        let info = Self::topic(log.as_ref(), service_id)?;
        Ok(Self { log, topic, id: info.id, committer, end: Offset(0), known: 0 })
    }

    /// Reads the commands that were not read yet, in order, with their numbers.
    ///
    /// # Errors
    /// The log refuses, or a record is no command.
    pub(super) fn read_on(&mut self) -> Result<Vec<(i64, Command)>, CommandLogError> {
        let mut commands = Vec::new();
        loop {
            let fetch = self.log.read(self.id, Partition(0), self.end, READ_BYTES)?;
            for record in fetch.records.iter() {
                let number = self.known;
                let command = Command::decode(record.value.unwrap_or_default())
                    .map_err(|source| CommandLogError::Unreadable { number, source })?;
                commands.push((number, command));
                self.known += 1;
                self.end = record.offset.next();
            }
            let done = fetch.next >= fetch.end || (fetch.records.is_empty() && fetch.next == self.end);
            self.end = fetch.next;
            if done {
                return Ok(commands);
            }
        }
    }

    /// The number that the next command will get.
    pub(super) fn next_number(&self) -> i64 {
        self.known
    }

    /// Appends a command and waits until it is durable; gives its number.
    ///
    /// # Errors
    /// The log refuses: the command is not in the log. Only after [`CommandLogError::Lost`] it may appear later.
    pub(super) fn append(&mut self, command: &Command, now: EventTime) -> Result<i64, CommandLogError> {
        let record = Record {
            key: None,
            value: Some(bytes::Bytes::from(command.encode())),
            timestamp: now,
            headers: Vec::new(),
        };
        let records = PartitionRecords {
            topic: self.topic.clone(),
            partition: Partition(0),
            records: [&record].into_iter().collect(),
        };
        let (answer, answered) = mpsc::sync_channel(1);
        self.committer.commit(
            Transaction { records: vec![records] },
            Box::new(move |outcome| {
                // The receiver waits until it has the answer, so this can only fail when its thread panicked.
                let _ = answer.send(outcome);
            }),
        );
        match answered.recv() {
            Ok(CommitOutcome::Committed(offsets)) => {
                let offset = offsets.first().copied().unwrap_or(self.end);
                self.end = offset.next();
                self.known += 1;
                Ok(self.known - 1)
            }
            Ok(CommitOutcome::Aborted(error)) => Err(CommandLogError::Log(error)),
            Ok(CommitOutcome::Fenced) => Err(CommandLogError::Fenced),
            Ok(CommitOutcome::Unknown(reason)) => self.find(command, reason),
            Err(mpsc::RecvError) => self.find(command, "the committer went away".to_owned()),
        }
    }

    /// After an unknown outcome: only the log knows whether the command is in it.
    fn find(&mut self, command: &Command, reason: String) -> Result<i64, CommandLogError> {
        match self.read_on()?.into_iter().find(|(_, found)| found == command) {
            Some((number, _)) => Ok(number),
            None => Err(CommandLogError::Lost(reason)),
        }
    }
}
