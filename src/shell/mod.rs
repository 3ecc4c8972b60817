//! The command line's clients: the SQL shell, `produce`, `consume`, `datagen`. They speak to a server's HTTP API only.
//!
//! Reading order: `session` (what a statement does), `render` (what a person sees).

mod arguments;
mod client;
mod consume;
mod datagen;
mod editor;
mod locate;
mod produce;
mod render;
mod row_line;
mod row_printer;
mod session;

use std::io::Write as _;
use std::process::ExitCode;

pub use arguments::{ConsumeArguments, DatagenArguments, Dataset, Output, ProduceArguments, SqlArguments};

use client::ClientError;

/// Exit code of a failed statement or record.
const EXIT_FAILED: u8 = 1;
/// Exit code of bad usage or an unreadable file.
const EXIT_USAGE: u8 = 2;
/// Exit code of a server that cannot be reached.
const EXIT_UNREACHABLE: u8 = 3;

/// Runs `thalweg sql`. Without a URL it connects to the server that holds the default data folder, or starts one inside
/// this process for as long as the shell lasts.
pub fn sql(args: &SqlArguments) -> ExitCode {
    if let Some(url) = args.url.clone().or_else(locate::running_server) {
        return block_on(session::run(args, &url));
    }
    let server = match locate::start_embedded() {
        Ok(server) => server,
        Err(error) => {
            return block_on(async { Err(Ended::Usage(error.context("cannot start a server for the shell"))) });
        }
    };
    let code = block_on(session::run(args, server.url()));
    match server.stop() {
        Ok(()) => code,
        Err(error) => block_on(async { Err(Ended::Usage(error)) }),
    }
}

/// Runs `thalweg produce`: JSON lines from standard input to a topic.
pub fn produce(args: &ProduceArguments) -> ExitCode {
    block_on(produce::run(args))
}

/// Runs `thalweg consume`: records of a topic as JSON lines.
pub fn consume(args: &ConsumeArguments) -> ExitCode {
    block_on(consume::run(args))
}

/// Runs `thalweg datagen`: demo data, until interrupted.
pub fn datagen(args: &DatagenArguments) -> ExitCode {
    block_on(datagen::run(args))
}

/// Why a client command ended early.
#[derive(Debug)]
pub(crate) enum Ended {
    /// A statement or record was refused; the message is printed already.
    Failed,
    /// Bad usage or an unreadable file.
    Usage(anyhow::Error),
    /// The server cannot be reached, or refused.
    Client(ClientError),
}

impl From<ClientError> for Ended {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

fn block_on(work: impl Future<Output = Result<(), Ended>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(Ended::Usage(error.into())),
    };
    let mut stderr = std::io::stderr().lock();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended::Failed) => ExitCode::from(EXIT_FAILED),
        Err(Ended::Usage(error)) => {
            let _ = writeln!(stderr, "{error:#}");
            ExitCode::from(EXIT_USAGE)
        }
        Err(Ended::Client(error)) => {
            let _ = writeln!(stderr, "{error}");
            ExitCode::from(if error.is_unreachable() { EXIT_UNREACHABLE } else { EXIT_FAILED })
        }
    }
}
