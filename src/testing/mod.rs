//! `thalweg test`: SQL scripts and conformance suites against an engine in this process.
//!
//! Nothing outside this room asks whether it is tested: the runners set only public settings, listed in
//! `fixture.rs`, and talk to the engine as a door does.

mod arguments;
mod command;
mod conformance;
mod fixture;
mod http;
mod report;
mod script;
mod sql_test;

pub use arguments::TestArguments;
pub use command::run;
