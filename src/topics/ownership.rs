//! Who may write for a service: one server at a time, where several can reach the log.

use std::sync::Arc;

/// A server that asks to own a service, as others of the service get to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The service's topic of commands, of one partition. It exists.
    pub topic: String,
    /// Names the server for ever: the same after a restart, another on another data folder.
    pub instance: String,
    /// Where it answers: `http://127.0.0.1:8088`.
    pub url: String,
}

/// What a claim came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// No answer yet.
    Asked,
    /// The service is this server's; nobody else writes for it.
    Owned,
    /// Another server has it; this one waits.
    Standby {
        /// Where that one answers, if it has said so.
        owner: Option<String>,
    },
    /// It was this server's, or never will be. For good: who wants it back starts anew.
    Lost {
        /// In a clause: `http://127.0.0.1:8088 owns the service now`.
        reason: String,
    },
}

/// Called with each change of an ownership, on any thread; must not block and must not call the log.
pub type OnOwnership = Arc<dyn Fn(&Ownership) + Send + Sync>;
