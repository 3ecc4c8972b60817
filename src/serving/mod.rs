//! What tables hold now: their committed rows in memory, for queries that read them once.
//!
//! ```text
//!   topic of a table ── follow ──▶ Materialization ── snapshot ──▶ Snapshot: get, scan ──▶ record batches
//!                                  (ordered, persistent map: key bytes to row bytes)
//! ```
//!
//! Every table is followed alike, be it declared over a topic or the result of a query: what is served is what its topic
//! says, up to ends that no transaction crosses. A table that nobody asks for is not followed; the first query starts
//! it, waits for it, and it stays.
//!
//! Invariants:
//! - a snapshot never changes, and a transaction is in it whole or not at all;
//! - readers never hold up the follower for longer than it takes to clone a root, nor it them;
//! - what was committed before a query asked for a snapshot is in it, unless waiting for it took too long, and then
//!   there is no answer.
//!
//! Reading order: [`Tables`], [`Snapshot`], [`TableShape`], then `materialization`, `ordered_map`, `leaf`; [`adhoc`].

pub mod adhoc;

mod leaf;
mod materialization;
mod ordered_map;
mod point_lookup;
mod pull;
mod snapshot;
mod table_shape;
mod tables;
#[cfg(test)]
mod tests;

pub use point_lookup::PointLookup;
pub use pull::{PullProgram, PullRows};
pub use snapshot::{KeyRange, Scan, Snapshot};
pub use table_shape::{TableColumn, TablePart, TableShape};
pub use tables::{ServedTable, ServingError, TableStats, Tables};
