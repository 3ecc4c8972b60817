//! Finds the server a client command is meant for.

use super::client::Client;
use crate::server::{RunningServer, ServerArguments};
use crate::settings::default_data_folder;
use crate::topics::embedded::DataFolder;

/// Where a server listens if nothing says otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8088";

/// The server asked for; else the one that holds the default data folder; else the default address.
pub(super) fn server(asked: Option<&str>) -> Client {
    Client::new(&asked.map(str::to_owned).or_else(running_server).unwrap_or_else(|| DEFAULT_URL.to_owned()))
}

/// The address of the server that holds the default data folder, if a process holds it.
pub(super) fn running_server() -> Option<String> {
    let holder = DataFolder::holder(&default_data_folder()?).ok()??;
    holder.url.filter(|url| !url.is_empty())
}

/// A server inside this process on the default data folder, on a free port of the loopback.
///
/// # Errors
/// The folder cannot be taken or read; one sentence.
pub(super) fn start_embedded() -> anyhow::Result<RunningServer> {
    let arguments = ServerArguments { listen: vec!["127.0.0.1:0".to_owned()], ..ServerArguments::default() };
    let (settings, _) = arguments.settings(std::env::vars())?;
    RunningServer::start(&settings)
}
