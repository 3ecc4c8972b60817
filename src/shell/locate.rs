//! Finds the server a client command is meant for.

use std::path::Path;

use serde_json::Value;

use super::client::Client;

/// Where a server listens if nothing says otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8088";

/// The server asked for; else the one that holds the default data folder; else the default address.
pub(super) fn server(asked: Option<&str>) -> Client {
    let held = || crate::settings::default_data_folder().and_then(|folder| url_in_lock(&folder));
    Client::new(&asked.map(str::to_owned).or_else(held).unwrap_or_else(|| DEFAULT_URL.to_owned()))
}

/// The address that the holder of a data folder left in its `LOCK` file. The holder may be gone since.
fn url_in_lock(folder: &Path) -> Option<String> {
    let lock: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("LOCK")).ok()?).ok()?;
    lock.get("url")?.as_str().filter(|url| !url.is_empty()).map(str::to_owned)
}
