//! The one integration binary: each further one would link the whole database again.

mod fuzz_formats;
mod fuzz_sql;
mod git_history;
mod kill_loop;
mod server_process;
mod server_start;
mod tidy;
