//! The aggregates: signatures, and the state behind each.
//!
//! Invariants:
//! - reading a result does not consume the state;
//! - what can be taken back ([`AggregateFunction::retracts`]) is taken back exactly, in any order;
//! - state is a function of the rows, so that a restored group goes on as if nothing had happened.
//!
//! Reading order: [`incremental`], [`resolve`], [`groups`], then a family a file.

mod attr;
mod build;
mod by_offset;
mod collect;
mod correlation;
mod count;
mod count_distinct;
mod counted;
mod counted_set;
mod deviation;
mod distinct;
mod encoded;
mod equal_maps;
mod extensions;
mod extremes;
mod groups;
mod histogram;
mod incremental;
mod items;
mod mean;
mod multiset;
mod number;
mod ordered;
mod resolve;
mod saved;
mod signatures;
mod string_agg;
mod sum;
#[cfg(test)]
mod tests;
mod top;

pub use incremental::{AggregateError, AggregateFunction, AggregateRows, Fraction, IncrementalAggregate, Parameter};
pub(super) use signatures::functions;
