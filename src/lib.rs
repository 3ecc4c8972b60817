//! Thalweg: a streaming SQL database in one binary.
//!
//! The modules are listed floor by floor, from words to doors. A room uses the rooms above it and never
//! one below; `tests/it/tidy.rs` keeps it so. `docs/ARCHITECTURE.md` tells the way of the data.

// words
pub mod types;
pub mod diagnostics;
// language
pub mod sql;
pub mod functions;
pub mod expressions;
pub mod formats;
// plans
pub mod catalog;
pub mod planner;
// compute
pub mod state;
pub mod operators;
// edges
pub mod settings;
pub mod telemetry;
pub mod topics;
// running
pub mod runtime;
// answers
pub mod serving;
pub mod engine;
// doors
pub mod server;
pub mod shell;
pub mod testing;
