//! What one operator does with one batch and its state: plain synchronous code, a file each.
//!
//! Invariants:
//! - no clock, no I/O, no threads: what depends on wall time reads the evaluation context in [`Output`];
//! - an operator owns its state and tells it only through [`Capture`];
//! - every operator takes all four operations and null rows; what an edge may hold is checked by [`checked`];
//! - a record never fails a batch: what fails on data goes into [`Output::errors`].
//!
//! Reading order: [`operator`], [`filter`], [`project`], [`flat_map`], [`require_key`], [`remember`],
//! [`aggregate`], [`join`], [`checked`], [`compile`].

mod aggregate;
mod checked;
mod compile;
mod filter;
mod flat_map;
mod join;
mod operator;
mod project;
mod remember;
mod require_key;

pub use checked::Checked;
pub use compile::compile;
pub use filter::Filter;
pub use flat_map::FlatMap;
pub use operator::{Capture, Operator, Output, Port, RestoreError, Round, RowError, Step, StreamTime};
pub use project::Project;
pub use remember::Remember;
pub use require_key::RequireKey;

#[cfg(test)]
pub(crate) mod batch_text;
