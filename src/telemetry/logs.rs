//! Log lines: `tracing` to standard error, as text or JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLines {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging for the life of the process; a second call has no effect. `filter` is a level or a list such as
/// `info,thalweg::runtime=debug`.
///
/// # Errors
/// The filter cannot be read.
pub fn start_logging(filter: &str, lines: LogLines) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("`log.level` is \"{filter}\": {error}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match lines {
        LogLines::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogLines::Json => builder.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}
