//! `thalweg server`: settings, log, engine, sockets, and back.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};

use super::arguments::ServerArguments;
use super::doors::Doors;
use super::listener::Listeners;
use super::routes::router;
use super::wiring::open_engine;
use crate::settings::{LogFormat, Settings};
use crate::telemetry::{LogLines, start_logging};
use crate::topics::TopicLog;
use crate::topics::memory::MemoryLog;

/// Threads that read requests and write answers; the engine has its own.
const HTTP_THREADS: usize = 2;
/// Requests inside the engine at once; more wait.
const BLOCKING_THREADS: usize = 64;

/// Runs the server until SIGTERM or SIGINT. Exit codes: 0 stopped in order, 1 could not start or run, 2 bad settings.
pub fn run(arguments: &ServerArguments) -> ExitCode {
    let began = Instant::now();
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HTTP_THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("http")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("cannot start threads: {error}"), 1),
    };
    match runtime.block_on(serve(&settings, began)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("{error:#}"), 1),
    }
}

async fn serve(settings: &Settings, began: Instant) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listeners = Listeners::bind(settings.http.listen.iter().map(|address| address.0)).await?;
    let url = listeners.url();
    let doors = Doors::new(settings);
    let serving = tokio::spawn(listeners.serve(
        router(doors.clone()),
        settings.http.max_connections,
        doors.stopping(),
        settings.http.shutdown_timeout,
    ));
    let host = url.trim_start_matches("http://").to_owned();
    let log: Arc<dyn TopicLog> = Arc::new(MemoryLog::new());
    let opened = settings.clone();
    let engine = tokio::task::spawn_blocking(move || open_engine(&opened, log, String::new(), host)).await??;
    doors.open(Arc::clone(&engine));
    let took = began.elapsed();
    tracing::info!(%url, ?took, "ready");
    announce(&url);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
    }
    doors.stop();
    let closing = tokio::task::spawn_blocking(move || engine.shutdown());
    let (served, closed) = tokio::join!(serving, closing);
    served?;
    closed?;
    tracing::info!("stopped");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the line that people and scripts wait for")]
fn announce(url: &str) {
    println!("Thalweg {} listens on {url}", env!("CARGO_PKG_VERSION"));
}

#[expect(clippy::print_stderr, reason = "the last words of a process that cannot run, perhaps before there is a log")]
fn complain(message: &str, code: u8) -> ExitCode {
    eprintln!("thalweg server: {message}");
    ExitCode::from(code)
}
