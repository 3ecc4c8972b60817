//! Commands that talk to a server through its API: the shell, `produce`, `consume`, `datagen`.
//!
//! Each function is one command of the binary; exit codes: 0 done, 1 a statement or request failed, 2 bad usage or
//! file, 3 server unreachable.

mod arguments;

use std::process::ExitCode;

pub use arguments::{ConsumeArguments, DatagenArguments, Dataset, Output, ProduceArguments, SqlArguments};

/// `thalweg sql`.
pub fn sql(arguments: &SqlArguments) -> ExitCode {
    let _ = arguments;
    not_implemented("sql")
}

/// `thalweg produce`.
pub fn produce(arguments: &ProduceArguments) -> ExitCode {
    let _ = arguments;
    not_implemented("produce")
}

/// `thalweg consume`.
pub fn consume(arguments: &ConsumeArguments) -> ExitCode {
    let _ = arguments;
    not_implemented("consume")
}

/// `thalweg datagen`.
pub fn datagen(arguments: &DatagenArguments) -> ExitCode {
    let _ = arguments;
    not_implemented("datagen")
}

#[expect(clippy::print_stderr, reason = "a command's error")]
fn not_implemented(command: &str) -> ExitCode {
    eprintln!("thalweg {command}: not implemented yet");
    ExitCode::from(2)
}
