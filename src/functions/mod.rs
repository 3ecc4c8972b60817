//! The functions of the dialect and their registry.
//!
//! ```text
//!   Function   name, kind, documentation ── overloads ── signature + kernel
//!   a call's argument types ── FunctionRegistry::resolve ──▶ one overload, generics bound
//!   a batch ── Call (arguments, failing rows) ── kernel ──▶ an array
//! ```
//!
//! Invariants:
//! - a kernel never fails: a row that cannot be computed is NULL and named in the call's failures;
//! - a name is of one kind only; overloads differ in their parameters;
//! - adding a function is a file (or a place in its family's file) and a line in the family's list.
//!
//! Reading order: [`definition`], [`signature`], [`registry`], [`call`], then a family under `scalar/`.

pub mod aggregate;
pub(crate) mod call;
mod definition;
mod examples;
mod java_regex;
pub mod java_time;
mod macros;
mod order;
mod reference;
mod registry;
mod scalar;
mod signature;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use call::Callable;
pub(crate) use definition::Returns;
pub use definition::{Function, Kind, Overload};
pub use examples::Example;
pub use macros::Macro;
pub use registry::FunctionRegistry;
pub(crate) use registry::{Argument, Resolved};
pub use signature::{Param, ParamType};
