//! A server inside this process: started, reachable, stopped. `thalweg server` waits for a signal between; the shell
//! and tests do other things.
//!
//! A server whose service another one owns is started all the same: it stands by.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::doors::Doors;
use super::listener::Listeners;
use super::opening::Opening;
use super::routes::router;
use super::storage::{Storage, open_storage};
use super::wiring::open_engine;
use crate::engine::{Engine, QueriesFileReport};
use crate::settings::Settings;
use crate::topics::{Claim, Ownership};

/// Threads that read requests and write answers; the engine has its own.
const HTTP_THREADS: usize = 2;
/// Requests inside the engine at once; more wait.
const BLOCKING_THREADS: usize = 64;
/// A server that has not come to its end after this gives up on an orderly one: the log bears it.
const STOP: Duration = Duration::from_secs(4);

/// A server that answers.
pub struct RunningServer {
    runtime: Runtime,
    doors: Doors,
    serving: JoinHandle<()>,
    opening: Arc<Opening>,
    /// Waits as long as another server owns the service.
    standby: Option<std::thread::JoinHandle<()>>,
    /// Behind the engine, so that it is dropped after it.
    storage: Arc<Storage>,
    url: String,
}

impl RunningServer {
    /// Opens the sockets, the data folder, the log and the engine; requests are answered when this returns, or refused
    /// because another server owns the service. Blocks; not to be called on a thread of an event loop.
    ///
    /// # Errors
    /// A port is taken, the data folder is held by another process, the log cannot be opened, …: each one sentence.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(HTTP_THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("http")
            .enable_all()
            .build()
            .context("cannot start threads")?;
        // Whoever finds the port taken has touched no data; whoever connects early is told to come back.
        let listeners = runtime.block_on(Listeners::bind(settings.http.listen.iter().map(|address| address.0)))?;
        let url = listeners.url();
        let doors = Doors::new(settings);
        let serving = runtime.spawn(listeners.serve(
            router(doors.clone()),
            settings.http.max_connections,
            doors.stopping(),
            settings.http.shutdown_timeout,
        ));
        let storage = Arc::new(open_storage(settings)?);
        let topic = Engine::command_topic(storage.log.as_ref(), &settings.service.id)?;
        let opening = Opening::new(doors.clone());
        let claim = Claim { topic, instance: storage.instance.clone(), url: url.clone() };
        storage.log.own(claim, opening.listener())?;
        let mut standby = None;
        match opening.first_answer() {
            Ownership::Owned => opening.opened(open(settings, &storage, &url)?),
            Ownership::Lost { reason } => bail!("this server cannot own the service {}: {reason}", settings.service.id),
            Ownership::Asked | Ownership::Standby { .. } => {
                tell_url(&storage, &url)?;
                let (opening, storage, settings, url) =
                    (Arc::clone(&opening), Arc::clone(&storage), settings.clone(), url.clone());
                let waiting = move || opening.stand_by(|| open(&settings, &storage, &url));
                let thread = std::thread::Builder::new().name("standby".to_owned()).spawn(waiting);
                standby = Some(thread.context("cannot start a thread")?);
            }
        }
        Ok(Self { runtime, doors, serving, opening, standby, storage, url })
    }

    /// Turns true when a standby could not take over; [`RunningServer::stop`] says why.
    pub fn failing(&self) -> tokio::sync::watch::Receiver<bool> {
        self.opening.failing()
    }

    /// The engine; `None` while the server stands by.
    pub fn engine(&self) -> Option<Arc<Engine>> {
        self.opening.engine()
    }

    /// Where it listens: `http://127.0.0.1:8088`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its data folder.
    pub fn folder(&self) -> &Path {
        self.storage.folder.root()
    }

    /// Waits for something while the server serves.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Ends it: no new requests, running results get their last bytes, what is whole is committed, the log is closed.
    ///
    /// # Errors
    /// It took too long, which the log bears too; or a standby could not take over, and why.
    pub fn stop(self) -> anyhow::Result<()> {
        let Self { runtime, doors, serving, opening, standby, storage, .. } = self;
        doors.stop();
        opening.stop();
        let closing = runtime.spawn_blocking({
            let opening = Arc::clone(&opening);
            move || {
                let has_panicked = standby.is_some_and(|thread| thread.join().is_err());
                if let Some(engine) = opening.engine() {
                    engine.shutdown();
                }
                has_panicked
            }
        });
        let ended =
            runtime.block_on(async { tokio::time::timeout(STOP, async { tokio::join!(serving, closing) }).await });
        // A request that still hangs in the engine must not keep the process.
        runtime.shutdown_timeout(Duration::from_millis(200));
        let (served, closed) = ended.context("stopping took too long")?;
        served?;
        let has_panicked = closed?;
        let (engine, failure) = opening.end();
        drop((doors, engine));
        storage.log.close();
        if has_panicked {
            bail!("the thread that stood by panicked");
        }
        failure.map_or(Ok(()), Err)
    }
}

/// Reads the log, starts the queries.
fn open(settings: &Settings, storage: &Storage, url: &str) -> anyhow::Result<Arc<Engine>> {
    let host = url.trim_start_matches("http://").to_owned();
    let engine =
        open_engine(settings, Arc::clone(&storage.log), storage.cluster_id.clone(), host, storage.folder.root())?;
    if let Some(path) = &settings.service.queries_file {
        run_queries_file(&engine, path)?;
    }
    tell_url(storage, url)?;
    Ok(engine)
}

fn tell_url(storage: &Storage, url: &str) -> anyhow::Result<()> {
    storage.folder.set_url(url).context("cannot write the file LOCK of the data folder")
}

/// Makes what the queries file says.
fn run_queries_file(engine: &Engine, path: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let report = engine.run_queries_file(&text).map_err(|failure| {
        let statement = failure.statement.map(|text| format!("\nin: {text}")).unwrap_or_default();
        anyhow::anyhow!("{}: {}{statement}", path.display(), failure.diagnostic)
    })?;
    let QueriesFileReport { created, replaced, unchanged, unlisted } = report;
    let (file, version) = (path.display(), env!("CARGO_PKG_VERSION"));
    tracing::info!(%file, version, created, replaced, unchanged, "running a queries file: interactive mode is disabled");
    for query in unlisted {
        tracing::warn!(%query, %file, "a query is not in the queries file and goes on; without the file it can be dropped");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::RunningServer;
    use crate::engine::Request;
    use crate::server::ServerArguments;
    use crate::settings::Settings;
    use crate::topics::embedded::DataFolder;

    fn settings(folder: &std::path::Path) -> Settings {
        let arguments = ServerArguments {
            listen: vec!["127.0.0.1:0".to_owned()],
            data_dir: Some(folder.to_owned()),
            ..ServerArguments::default()
        };
        arguments.settings([]).unwrap().0
    }

    #[test]
    fn a_server_tells_its_address_in_the_lock_and_gives_the_folder_free_when_it_stops() {
        let folder = tempfile::tempdir().unwrap();
        let server = RunningServer::start(&settings(folder.path())).unwrap();
        let holder = DataFolder::holder(folder.path()).unwrap().unwrap();
        assert_eq!(holder.url.as_deref(), Some(server.url()));
        let told = serde_json::json!(server.engine().unwrap().execute(&Request::new("SHOW PROPERTIES;")).unwrap());
        let properties = told[0]["properties"].as_array().unwrap();
        let value = |name| properties.iter().find(|property| property["name"] == name).unwrap()["value"].clone();
        assert_eq!(value("listeners"), server.url().trim_start_matches("http://"));
        assert_eq!(value("state.dir"), server.folder().display().to_string());
        let second = RunningServer::start(&settings(folder.path())).err().unwrap().to_string();
        assert!(second.contains("is locked by another process") && second.contains(server.url()), "{second}");
        server.stop().unwrap();
        assert_eq!(DataFolder::holder(folder.path()).unwrap(), None);
        RunningServer::start(&settings(folder.path())).unwrap().stop().unwrap();
    }

    #[test]
    fn a_taken_port_is_said_in_one_sentence_and_no_data_is_touched() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(&folder.path().join("data"));
        settings.http.listen[0].0 = taken.local_addr().unwrap();
        let error = format!("{:#}", RunningServer::start(&settings).err().unwrap());
        assert_eq!(
            error,
            format!("cannot listen on {}: the port is taken by another process", taken.local_addr().unwrap())
        );
        assert!(!folder.path().join("data").exists());
    }
}
