//! The HTTP doors: ksqlDB's API byte for byte, and what it lacks, on HTTP/1.1 and HTTP/2 at one port.
//!
//! Invariants:
//! - handlers read requests and write answers; whatever thinks is behind [`crate::engine::Engine`] and runs on threads
//!   that may block, never on the event loop;
//! - everything a client can send or keep open is bounded by a setting, which the error names;
//! - when a client goes away its body is dropped, and with it the query.
//!
//! Reading order: [`run`], [`router`], `queries`, `result_body`, `row_format`, `value_json`, `refusal`, `accept`.

mod accept;
mod allocator;
mod arguments;
mod consume;
mod doors;
mod health;
mod inserts;
mod listener;
mod opening;
mod produce;
mod queries;
mod refusal;
mod request_body;
mod request_items;
mod result_body;
mod routes;
mod row_format;
mod running;
mod start;
mod storage;
mod value_json;
mod wiring;

pub use arguments::ServerArguments;
pub use doors::Doors;
pub use listener::{BindError, Listeners};
pub use routes::router;
pub use running::RunningServer;
pub use start::run;

#[cfg(test)]
mod tests;
