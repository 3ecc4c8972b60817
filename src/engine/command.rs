//! A command: everything that was decided about one durable statement, as the command log holds it.
//!
//! A command is one record of the topic `_thalweg-<service.id>-commands`: version 1 is one JSON object, the value of
//! the record; the key is null. Replay applies commands as they stand and never plans again, so whatever planning
//! looked at (topics, offsets, other sources, settings) has its result in here.
//!
//! Invariants:
//! - applying a command twice is applying it once;
//! - a command of a newer version is refused by name, never guessed at.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::{CatalogChange, QueryId};
use crate::diagnostics::{Code, Diagnostic};
use crate::planner::OperatorGraph;
use crate::topics::{TopicConfig, TopicId, check_topic_name};
use crate::types::Offset;

/// Version of the written form.
pub const COMMAND_VERSION: u32 = 1;

/// Everything that was decided about one durable statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// [`COMMAND_VERSION`] of the writer.
    pub version: u32,
    /// What kind of thing happens to what.
    pub id: CommandId,
    /// The statement's text, with defaults filled in.
    pub statement: String,
    /// What becomes of it, for people: `Stream created`.
    pub message: String,
    /// The query it creates.
    pub query_id: Option<QueryId>,
    /// Topics that must exist before anything else happens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub create_topics: Vec<NewTopic>,
    /// What changes in the catalog, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<CatalogChange>,
    /// What happens to queries, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<QueryAction>,
    /// Topics that go, after everything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delete_topics: Vec<DoomedTopic>,
    /// Settings of the whole service that change; `None` is back to the default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Option<String>>,
    /// Committers that the service has from now on, or had before: a later start with fewer still fences the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committers: Option<u32>,
    /// What whoever gave the statement is told beside its outcome. Not kept.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

impl Command {
    /// A command that changes nothing yet.
    pub fn new(id: CommandId, statement: String, message: impl Into<String>) -> Self {
        Self {
            version: COMMAND_VERSION,
            id,
            statement,
            message: message.into(),
            query_id: None,
            create_topics: Vec::new(),
            changes: Vec::new(),
            queries: Vec::new(),
            delete_topics: Vec::new(),
            settings: BTreeMap::new(),
            committers: None,
            warnings: Vec::new(),
        }
    }

    /// Refuses, before the command is durable, what every later start would fail on: topics that no log would make, and
    /// a command that cannot be read back.
    ///
    /// # Errors
    /// `INVALID_PROPERTY`: the number of partitions or the name. `LIMIT_EXCEEDED`: types are nested too deep.
    pub fn check(&self) -> Result<(), Diagnostic> {
        self.create_topics
            .iter()
            .try_for_each(|topic| topic.config.check().and_then(|()| check_topic_name(&topic.name)))
            .map_err(|error| Diagnostic::new(Code::InvalidProperty, error.to_string()))?;
        // A command that the next start cannot read would lock everyone out of the data folder: types that are nested
        // too deep, perhaps through each other's names, are found here.
        Self::decode(&self.encode()).map(drop).map_err(|error| {
            Diagnostic::new(
                Code::LimitExceeded,
                "the statement's types or expressions are nested too deep to be stored",
            )
            .with_detail(format!("Reading it back says: {error}."))
        })
    }

    /// The record's value.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("commands hold nothing that JSON cannot")
    }

    /// Reads a record's value.
    ///
    /// # Errors
    /// It is of a newer version, or no command.
    pub fn decode(bytes: &[u8]) -> Result<Self, CommandError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(bytes).map_err(CommandError::Malformed)?;
        if version > COMMAND_VERSION {
            return Err(CommandError::Newer { version });
        }
        serde_json::from_slice(bytes).map_err(CommandError::Malformed)
    }
}

/// Why a record of the command topic cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// A newer server wrote it.
    #[error("the command is of version {version}, this server reads up to version {COMMAND_VERSION}")]
    Newer {
        /// Its version.
        version: u32,
    },
    /// It is no command.
    #[error("the record is no command")]
    Malformed(#[source] serde_json::Error),
}

/// ksqlDB's command id: ``stream/`PAGES`/create``.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandId {
    /// `stream`, `table`, `type`, `terminate`, `pause`, `resume`, `cluster`.
    pub kind: String,
    /// The name, in back-ticks where something is created.
    pub entity: String,
    /// `create`, `drop`, `alter`, `execute`, `terminate`.
    pub action: String,
}

impl CommandId {
    /// An id of these parts.
    pub fn new(kind: impl Into<String>, entity: impl Into<String>, action: impl Into<String>) -> Self {
        Self { kind: kind.into(), entity: entity.into(), action: action.into() }
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.entity, self.action)
    }
}

/// A topic to create unless it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// How.
    pub config: TopicConfig,
}

/// A topic to delete. Its incarnation is named: a topic made again under the name is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoomedTopic {
    /// Name.
    pub name: String,
    /// Incarnation.
    pub id: TopicId,
}

/// A persistent query, ready to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredQuery {
    /// Id.
    pub id: QueryId,
    /// What runs.
    pub graph: OperatorGraph,
    /// Where it starts in each of its topics, resolved when it was created: topic, incarnation, an offset for each
    /// partition.
    pub first_offsets: Vec<(String, TopicId, Vec<Offset>)>,
    /// Settings of its creation that its running depends on.
    pub properties: BTreeMap<String, String>,
    /// The logical plan, for EXPLAIN.
    pub plan: String,
}

/// What happens to a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum QueryAction {
    /// It starts. If a query of this id runs, its graph is replaced: it keeps its offsets.
    Start(Box<StoredQuery>),
    /// It ends and is forgotten.
    Stop(QueryId),
    /// It stops reading.
    Pause(QueryId),
    /// It reads on; one that failed tries again.
    Resume(QueryId),
}
