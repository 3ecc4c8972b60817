//! The `thalweg` binary: reads the command line and calls the room that does it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use thalweg::server::ServerArguments;
use thalweg::shell::{ConsumeArguments, DatagenArguments, ProduceArguments, SqlArguments};
use thalweg::testing::TestArguments;
use thalweg::{server, shell, testing};

/// Batches are made on one thread and freed on another: that costs the system's allocator a third of the time of two
/// workers (`docs/decisions/0009-allocator.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A streaming SQL database: continuous KSQL queries over topics, answered at any moment.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Server(ServerArguments),
    /// Type statements, or run some
    Sql(SqlArguments),
    /// Run test files
    Test(TestArguments),
    /// Write JSON lines to a topic
    Produce(ProduceArguments),
    /// Show records of a topic
    Consume(ConsumeArguments),
    /// Make demo data
    Datagen(DatagenArguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Server(arguments) => server::run(&arguments),
        Command::Sql(arguments) => shell::sql(&arguments),
        Command::Test(arguments) => testing::run(&arguments),
        Command::Produce(arguments) => shell::produce(&arguments),
        Command::Consume(arguments) => shell::consume(&arguments),
        Command::Datagen(arguments) => shell::datagen(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Arguments::command().debug_assert();
    }
}
