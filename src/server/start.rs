//! `thalweg server`: settings, log, engine, sockets, and back.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::ServerArguments;
use super::doors::Doors;
use super::listener::Listeners;
use super::routes::router;
use super::storage::{Storage, open_storage};
use super::wiring::open_engine;
use crate::engine::Engine;
use crate::settings::{LogFormat, Settings};
use crate::telemetry::{LogLines, start_logging};
use crate::topics::TopicLog;
use crate::topics::embedded::EmbeddedLog;

/// Threads that read requests and write answers; the engine has its own.
const HTTP_THREADS: usize = 2;
/// A server that has not come to its end after this gives up on an orderly one: the log bears it.
const STOP: Duration = Duration::from_secs(4);
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
    let served = runtime.block_on(serve(&settings, began));
    // A request that still hangs in the engine must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("{error:#}"), 1),
    }
}

async fn serve(settings: &Settings, began: Instant) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Whoever finds the port taken has touched no data; whoever connects early is told to come back.
    let listeners = Listeners::bind(settings.http.listen.iter().map(|address| address.0)).await?;
    let url = listeners.url();
    let doors = Doors::new(settings);
    let serving = tokio::spawn(listeners.serve(
        router(doors.clone()),
        settings.http.max_connections,
        doors.stopping(),
        settings.http.shutdown_timeout,
    ));
    let opening = tokio::task::spawn_blocking({
        let (settings, url) = (settings.clone(), url.clone());
        move || open(&settings, &url)
    });
    let (storage, engine) = opening.await??;
    doors.open(Arc::clone(&engine));
    let took = began.elapsed();
    tracing::info!(%url, folder = %storage.folder.root().display(), ?took, "ready");
    announce(&url, storage.folder.root());
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
    }
    doors.stop();
    let closing = tokio::task::spawn_blocking({
        let engine = Arc::clone(&engine);
        move || engine.shutdown()
    });
    let ending = async { tokio::join!(serving, closing) };
    let (served, closed) = tokio::time::timeout(STOP, ending).await.context("stopping took too long")?;
    served?;
    closed?;
    drop((doors, engine));
    tokio::task::spawn_blocking(move || drop(storage)).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Takes the data folder, reads the log, starts the queries.
fn open(settings: &Settings, url: &str) -> anyhow::Result<(Storage, Arc<Engine>)> {
    let storage = open_storage(settings)?;
    let host = url.trim_start_matches("http://").to_owned();
    let log: Arc<dyn TopicLog> = Arc::<EmbeddedLog>::clone(&storage.log);
    let cluster = format!("embedded-{}", settings.service.id.trim_end_matches('_'));
    let engine = open_engine(settings, log, cluster, host)?;
    storage.folder.set_url(url).context("cannot write the file LOCK of the data folder")?;
    Ok((storage, engine))
}

#[expect(clippy::print_stdout, reason = "the line that people and scripts wait for")]
fn announce(url: &str, folder: &Path) {
    println!("Thalweg {} listens on {url}, data in {}", env!("CARGO_PKG_VERSION"), folder.display());
}

#[expect(clippy::print_stderr, reason = "the last words of a process that cannot run, perhaps before there is a log")]
fn complain(message: &str, code: u8) -> ExitCode {
    eprintln!("thalweg server: {message}");
    ExitCode::from(code)
}
