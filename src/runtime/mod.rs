//! Worker threads, pipelines, tasks, epochs, restore: what makes operators a running query.
//!
//! ```text
//!   topic partition ─▶ source task: decode ─ operators ─ encode ─┐
//!                                         └─▶ exchange ─▶ stage task: operators ─ encode ─┐
//!                                                     barrier: captures of all tasks ─▶ epoch ─▶ one transaction
//! ```
//!
//! Invariants:
//! - nothing leaves the process before an epoch's output is whole, and then in one transaction with the positions;
//! - memory is never undone: after a failure it is thrown away and rebuilt from the last durable epoch, state from
//!   changelogs;
//! - a task never blocks a worker; every queue has a bound, and a full one stops who fills it;
//! - a failing query stops alone.
//!
//! Reading order: [`handle`], [`query`], [`pipeline`], [`source_task`], [`stage_task`], [`exchange`], [`order`],
//! [`changelog`], [`scheduler`].

mod asked;
mod build;
mod chain;
mod changelog;
mod client;
mod clock;
mod counters;
mod cursor;
mod decode;
mod encode;
mod environment;
mod event_time;
mod exchange;
mod follow;
mod forget;
mod gathered;
mod groups;
mod handle;
mod idleness;
mod order;
mod output;
mod pipeline;
mod positions;
mod processing_log;
mod push;
mod query;
mod row_event;
mod scheduler;
mod settings;
mod shared_reader;
mod source_task;
mod stage_task;
mod status;
#[cfg(test)]
mod tests;

pub use clock::{Clock, ManualClock, WallClock};
pub use counters::QueryCounters;
pub use follow::{Followed, Following, OnFollowed};
pub use groups::group_name;
pub use handle::{BuildError, Runtime, RuntimeError, RuntimeParts};
pub use processing_log::{Failed, ProcessingLog, ProcessingLogEntry};
pub use push::{PushDefinition, PushStart};
pub use query::QueryDefinition;
pub use row_event::RowEvent;
pub use scheduler::Scheduler;
pub use settings::{Delivery, Guarantee, RuntimeSettings};
pub use status::{PushStatus, QueryState, QueryStatus, SourceProgress};
