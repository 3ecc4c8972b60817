//! What the engine tells of itself: who it is, how it is, what became of commands.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::diagnostics::Diagnostic;

use super::answer::{EngineHealth, EngineInfo, Restoring};
use super::database::Engine;
use super::properties;

/// How long queries have for their last commits: SIGTERM is to be over within five seconds.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(3);

/// How long a statement under way may hold up the shutdown.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(1);

impl Engine {
    /// Who this is.
    pub fn info(&self) -> EngineInfo {
        EngineInfo { cluster_id: self.cluster_id.clone(), service_id: self.settings.service_id.clone() }
    }

    /// Looks at the engine's parts; cheap, but may block for a read of the log.
    pub fn health(&self) -> EngineHealth {
        let log = self.log.topic(&super::command_log::CommandLog::topic_name(&self.settings.service_id));
        let queries = self.runtime.restoring();
        let restoring = (!queries.is_empty()).then(|| Restoring {
            queries: queries.len(),
            rows_read: queries.iter().map(|(_, (read, _))| read).sum(),
            rows: queries.iter().map(|(_, (_, rows))| rows).sum(),
        });
        let unread = || log.as_ref().err().map(ToString::to_string);
        let trouble = self.log.trouble().or_else(unread);
        EngineHealth {
            metastore: true,
            log: matches!(log, Ok(Some(_))) && trouble.is_none(),
            trouble,
            commands: !self.is_closed(),
            restoring,
            lost: self.lost.get().cloned(),
        }
    }

    /// The outcome of each command by its id (``stream/`PAGES`/create``), as `commandStatus` of the API shows it:
    /// `{"status":…,"message":…,"queryId":…}`.
    pub fn command_statuses(&self) -> BTreeMap<String, serde_json::Value> {
        let statuses = self.statuses.lock();
        statuses.iter().map(|(id, status)| (id.clone(), as_json(status))).collect()
    }

    /// The outcome of one command.
    pub fn command_status(&self, command_id: &str) -> Option<serde_json::Value> {
        self.statuses.lock().get(command_id).map(as_json)
    }

    /// Checks that a request may give a setting of this name.
    ///
    /// # Errors
    /// There is none of this name, or it belongs to the server's configuration.
    pub fn check_property(&self, name: &str) -> Result<(), Diagnostic> {
        properties::check_name(name).map(drop)
    }

    /// Where this server answers, as entities name it.
    pub(super) fn host(&self) -> String {
        if self.host.is_empty() { "localhost:8088".to_owned() } else { self.host.clone() }
    }

    /// Ends push queries (their streams get [`super::RowEvent::Completed`]), commits what is whole, stops workers and
    /// closes the log. Returns when that is done; later calls do nothing.
    pub fn shutdown(&self) {
        self.closed.store(true, Ordering::Release);
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        // A statement under way is finished first: its lock is held until it has taken effect. One that takes too long
        // is in the log, and is carried on at the next start.
        if self.commands.try_lock_for(STATEMENT_DEADLINE).is_none() {
            tracing::warn!("a statement under way is carried on at the next start");
        }
        self.readers.shutdown();
        self.tables.clear();
        self.runtime.shutdown(SHUTDOWN_DEADLINE);
        self.close_processing_log();
    }
}

fn as_json(status: &super::entity::CommandStatus) -> serde_json::Value {
    serde_json::to_value(status).unwrap_or_default()
}
