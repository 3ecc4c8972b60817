//! `thalweg test`: runs SQL scripts and conformance suites inside this process.

mod arguments;

use std::process::ExitCode;

pub use arguments::TestArguments;

/// `thalweg test`. Exit codes: 0 all passed (or all of `--expect`), 1 some failed, 2 bad usage or file.
#[expect(clippy::print_stderr, reason = "a command's error")]
pub fn run(arguments: &TestArguments) -> ExitCode {
    let _ = arguments;
    eprintln!("thalweg test: not implemented yet");
    ExitCode::from(2)
}
