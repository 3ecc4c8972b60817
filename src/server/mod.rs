//! The HTTP doors: ksqlDB's API byte for byte, and what it lacks, on HTTP/1.1 and HTTP/2 at one port.
//!
//! Invariants:
//! - handlers read requests and write answers; whatever thinks is behind [`crate::engine::Engine`] and runs on threads
//!   that may block, never on the event loop;
//! - everything a client can send or keep open is bounded by a setting, which the error names;
//! - when a client goes away its body is dropped, and with it the query.
//!
//! Reading order: [`router`], `queries`, `result_body`, `row_format`, `value_json`, `refusal`, `accept`.

mod accept;
mod doors;
mod health;
mod queries;
mod refusal;
mod request_body;
mod result_body;
mod routes;
mod row_format;
mod value_json;

pub use doors::Doors;
pub use routes::router;
