//! The one integration binary: each further one would link the whole database again.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that panics is a failing test, and what it prints is read when it fails"
)]

mod documents;
mod error_codes;
mod function_page;
mod fuzz_expressions;
mod fuzz_formats;
mod fuzz_sql;
mod git_history;
mod kafka_chain;
mod kafka_kills;
mod kafka_nodes;
mod kafka_standby;
mod kill_loop;
mod kill_loop_delivery;
mod kill_loop_joins;
mod kill_loop_state;
mod mutations;
mod server_process;
mod server_start;
mod tidy;
