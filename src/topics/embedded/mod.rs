//! The durable log in the data folder: one journal of transactions for all topics, cleaned in the background.
//!
//! Invariants:
//! - a transaction is one frame of one file: after any crash it is there whole or not at all, and what is there is a
//!   prefix of what was committed;
//! - acknowledged means held by the operating system at least, and on disk by policy ([`Fsync`]);
//! - only the writer's thread writes the journal, only the cleaner's rewrites sealed segments;
//! - after a failure that leaves the outcome open nothing is written any more until the log is opened again;
//! - nothing here reads the contents of a record, except compaction its key.
//!
//! The files are specified in `docs/formats/embedded-log.md`; why there is no store below, in
//! `docs/decisions/0002-embedded-log-store.md`. Reading order: [`EmbeddedSettings`], `batch`, `frame`, `segment`,
//! `state`, `writer`, `reader`, `recovery`, `cleaner`.

mod batch;
mod bytes_io;
mod cleaner;
mod folder;
mod frame;
mod journal;
mod log;
mod manifest;
mod queue;
mod reader;
mod recovery;
mod rewrite;
mod segment;
mod settings;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub use folder::{DataFolder, FORMAT, FolderError, Holder};
pub use log::EmbeddedLog;
pub use recovery::OpenError;
pub use settings::{Compression, EmbeddedSettings, Fsync};
