//! Statement plus catalog to [`OperatorGraph`]: analysis, lowering, explanation.
//!
//! ```text
//!   Query ── analyze ──▶ Plan ── lower ──▶ OperatorGraph      (stored, run)
//!                          └──── explain ──▶ text
//! ```
//!
//! Invariants:
//! - what planning accepts can run; what is not built yet is refused by name, after every refusal that is ksql's own;
//! - names are resolved once: below [`plan`] a column is a name of its edge;
//! - nothing here changes anything: the engine makes what a plan says.
//!
//! Reading order: [`define_source`], [`plan_create_as`], [`plan`], [`graph`].

pub mod encodings;
pub mod graph;
pub mod plan;

mod aggregates;
mod analyze;
mod compatibility;
mod context;
mod define_function;
mod define_source;
mod expand_functions;
mod explain;
mod explain_pull;
mod function_kinds;
mod group_by;
mod insert_select;
mod join_chain;
mod join_condition;
mod join_windows;
mod joins;
mod key_access;
mod lower;
mod magic_timestamp;
mod names;
mod partition_by;
mod planned;
mod properties;
mod pull;
mod query;
mod query_name;
mod scope;
mod select;
mod sides;
mod sink;
mod timestamp;
mod upgrade;
mod windows;

use crate::sql::ast::rewrite;

pub use context::{Compatibility, PlanContext, PlanSettings, TopicShape};
pub use define_function::define_function;
pub use define_source::define_source;
pub use explain::{explain_graph, explain_plan};
pub use explain_pull::explain_pull;
pub use graph::OperatorGraph;
pub use key_access::{KeyBound, KeyLookup};
pub use planned::{OutputColumn, PlannedQuery, SourceDefinition, TopicPlan};
pub use pull::{PullOptions, PullPlan, plan_pull};
pub use query::{insert_query_id, plan_create_as, plan_insert_select, plan_push, plan_stream_scan};
pub use query_name::{QueryVerb, query_id};
pub use upgrade::{check_upgrade, leaves_rows};

#[cfg(test)]
mod tests;
