//! The aggregates: signatures, and the state behind each.
//!
//! Invariants:
//! - reading a result does not consume the state;
//! - what can be taken back ([`AggregateFunction::retracts`]) is taken back exactly, in any order;
//! - state is a function of the rows, so that a restored group goes on as if nothing had happened.
//!
//! Reading order: [`incremental`], then a family a file.

mod incremental;
mod signatures;

pub use incremental::{AggregateError, AggregateFunction, AggregateRows, IncrementalAggregate, Parameter};
pub(super) use signatures::functions;
