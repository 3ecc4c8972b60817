//! `thalweg server`: settings, logging, a server, a signal, the end.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};

use super::allocator::set_up_allocator;
use super::arguments::ServerArguments;
use super::running::RunningServer;
use crate::settings::{LogFormat, Settings};
use crate::telemetry::{LogLines, start_logging};

/// Runs the server until SIGTERM or SIGINT. Exit codes: 0 stopped in order, 1 could not start or run, 2 bad settings.
pub fn run(arguments: &ServerArguments) -> ExitCode {
    set_up_allocator();
    let (settings, warnings) = match arguments.settings(std::env::vars()) {
        Ok(settings) => settings,
        Err(error) => return complain(&error.to_string(), 2),
    };
    let lines = match settings.telemetry.format {
        LogFormat::Text => LogLines::Text,
        LogFormat::Json => LogLines::Json,
    };
    if let Err(error) = start_logging(&settings.telemetry.level, lines) {
        return complain(&error, 2);
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    match serve(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("{error:#}"), 1),
    }
}

fn serve(settings: &Settings) -> anyhow::Result<()> {
    let began = Instant::now();
    let server = RunningServer::start(settings)?;
    let signals = async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let took = began.elapsed();
        let words = if server.engine().is_some() { "ready" } else { "standing by" };
        tracing::info!(url = server.url(), folder = %server.folder().display(), ?took, "{words}");
        announce(&server);
        let mut failing = server.failing();
        tokio::select! {
            _ = failing.wait_for(|failing| *failing) => tracing::error!("this server cannot take over: stopping"),
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
        }
        anyhow::Ok(())
    };
    server.block_on(signals)?;
    server.stop()?;
    tracing::info!("stopped");
    Ok(())
}

/// The line that people and scripts wait for; a reader that is gone is no reason to end.
fn announce(server: &RunningServer) {
    let (version, folder) = (env!("CARGO_PKG_VERSION"), server.folder().display());
    let mut out = std::io::stdout();
    let _ = writeln!(out, "Thalweg {version} listens on {}, data in {folder}", server.url()).and_then(|()| out.flush());
}

/// The last words of a process that cannot run, perhaps before there is a log.
fn complain(message: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "thalweg server: {message}");
    ExitCode::from(code)
}
