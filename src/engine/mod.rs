//! The API boundary: what a door (HTTP, the test runner) can ask of the database.
//!
//! ```text
//!   Request ─▶ execute ─▶ handlers (decide) ─▶ command log ─▶ world, topics, runtime ─▶ Entity
//!           └▶ query ───▶ planner ───────────────────────────▶ runtime ───────────────▶ RowStream
//! ```
//!
//! Everything here blocks the calling thread for as long as the log needs; doors call it away from their event loops.
//! Results of queries arrive through bounded channels.
//!
//! Invariants:
//! - a statement that was answered is durable; one that was refused has changed nothing;
//! - what a restart makes of the command log is what was there before it;
//! - no handler changes anything: it decides, and `execute` carries out.
//!
//! Reading order: [`Engine::open`] in `database`, `execute`, `handlers`, `command`, `world`, `effects`.

mod ad_hoc;
mod answer;
mod command;
mod command_log;
mod database;
mod effects;
mod entity;
mod execute;
mod handlers;
mod insert;
mod inserter;
mod json_row;
mod print;
mod processing_log;
mod properties;
mod pull;
mod pull_cache;
mod queries_file;
mod query;
mod readers;
mod running;
mod scope;
mod session;
mod settings;
mod status;
mod tables;
mod terminate;
mod topic_access;
mod world;

#[cfg(test)]
mod tests;

pub use answer::{
    ConsumedRecord, EngineHealth, EngineInfo, Failure, Inserted, PrintStream, ProducedAt, ProducedRecord, QueryAnswer,
    Request, Restoring, ResultColumn, RowStream, TopicRead,
};
pub use command::{COMMAND_VERSION, Command, CommandError, CommandId, DoomedTopic, NewTopic, QueryAction, StoredQuery};
pub use command_log::CommandLogError;
pub use database::{Engine, EngineParts, OpenError};
pub use entity::{
    ArgumentInfo, Body, ClusterStatistic, CommandState, CommandStatus, Entity, FieldInfo, FunctionInfo,
    FunctionSignature, OffsetSummary, PartitionOffsets, PropertyInfo, QueryDescription, QueryErrorInfo, QueryInfo,
    QueryOffsets, SchemaInfo, SourceDescription, SourceInfo, TopicDetails, TopicSummary, VariableInfo, Warning,
};
pub use inserter::Inserter;
pub use queries_file::QueriesFileReport;
pub use settings::EngineSettings;

pub use crate::runtime::RowEvent;
pub use crate::telemetry::QueryMetrics;
