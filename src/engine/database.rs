//! The running database: what it is made of, how it opens and ends.
//!
//! Opening takes over the command log (whoever wrote it before is fenced, so what it holds now is all there is), then
//! every committer that it names, and only then reads what those wrote. It applies the commands to an empty world; then what a crash left undone is mended
//! (topics a command wanted, topics a command deleted), and every query starts from its stored graph. Nothing is
//! planned again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::diagnostics::{Code, Diagnostic};
use crate::functions::FunctionRegistry;
use crate::runtime::{Clock, Runtime, RuntimeError, RuntimeParts, Scheduler};
use crate::serving::Tables;
use crate::serving::adhoc::AdHoc;
use crate::topics::{TopicError, TopicLog};
use crate::types::EventTime;

use super::command::{Command, CommandError, CommandId};
use super::command_log::{CommandLog, CommandLogError};
use super::entity::CommandStatus;
use super::processing_log::ProcessingLogQueue;
use super::properties::Properties;
use super::pull_cache::PullCache;
use super::readers::Readers;
use super::running::Running;
use super::settings::EngineSettings;
use super::world::World;

/// What an engine is made of.
pub struct EngineParts {
    /// The log.
    pub log: Arc<dyn TopicLog>,
    /// Tells wall time.
    pub clock: Arc<dyn Clock>,
    /// Limits, defaults, names.
    pub settings: EngineSettings,
    /// Identifies the log, for `/info`; empty where nobody asks.
    pub cluster_id: String,
    /// Where this server answers, `host:port`, as answers name it; may be empty.
    pub host: String,
    /// A scheduler without threads, whose owner runs the tasks; `None` for worker threads.
    pub scheduler: Option<Arc<Scheduler>>,
}

/// Why an engine does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log refuses.
    #[error("the log cannot be read")]
    Log(#[from] TopicError),
    /// The command log cannot be read.
    #[error("the commands of service {service_id} cannot be read")]
    Commands {
        /// `service.id`.
        service_id: String,
        /// Why.
        #[source]
        source: CommandLogError,
    },
    /// A command is of a newer version or damaged.
    #[error("a command cannot be read")]
    Command(#[from] CommandError),
    /// The runtime does not start.
    #[error("the runtime does not start")]
    Runtime(#[from] RuntimeError),
    /// A default setting is refused.
    #[error("the server's setting is refused: {0}")]
    Setting(Diagnostic),
}

/// A running database.
pub struct Engine {
    // Fixed.
    pub(super) log: Arc<dyn TopicLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: EngineSettings,
    pub(super) cluster_id: String,
    pub(super) host: String,
    pub(super) functions: Arc<FunctionRegistry>,
    /// Settings of the server's configuration, behind those of requests.
    defaults: Properties,
    pub(super) runtime: Arc<Runtime>,
    // Changing.
    pub(super) processing_log: Arc<ProcessingLogQueue>,
    pub(super) readers: Readers,
    pub(super) running: Running,
    pub(super) tables: Tables,
    pub(super) pulls: PullCache,
    pub(super) ad_hoc: AdHoc,
    /// For what must not keep the database open.
    own: Weak<Self>,
    seeds: Mutex<fastrand::Rng>,
    /// Counts records without a key, which go to the partitions in turn.
    pub(super) turn: AtomicU32,
    /// What is known, swapped whole: readers never wait for a statement.
    world: RwLock<Arc<World>>,
    /// Held while durable statements are decided, appended and applied.
    pub(super) commands: Mutex<CommandLog>,
    /// The number of the last applied command, and a way to wait for it.
    applied: Mutex<i64>,
    applied_more: Condvar,
    pub(super) statuses: Mutex<BTreeMap<String, CommandStatus>>,
    /// No request is taken any more.
    pub(super) closed: AtomicBool,
    /// Why the service is not this server's any more.
    pub(super) lost: OnceLock<String>,
    /// The shutdown began.
    pub(super) ended: AtomicBool,
    /// Requests may define, change and drop: no file says what runs.
    pub(super) takes_definitions: AtomicBool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("service_id", &self.settings.service_id).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the database of a log: reads its commands, mends what a crash left undone, starts its queries.
    ///
    /// # Errors
    /// The log refuses, a command cannot be read, or a default setting is unknown.
    pub fn open(parts: EngineParts) -> Result<Arc<Self>, OpenError> {
        let EngineParts { log, clock, settings, cluster_id, host, scheduler } = parts;
        let defaults = Properties::new(&settings.defaults).map_err(OpenError::Setting)?;
        let in_commands = |source| OpenError::Commands { service_id: settings.service_id.clone(), source };
        let mut commands = CommandLog::open(Arc::clone(&log), &settings.service_id).map_err(in_commands)?;
        let functions = Arc::new(FunctionRegistry::builtin());
        let processing_log = ProcessingLogQueue::new(settings.processing_log_buffer);
        let mut history = commands.read_on().map_err(in_commands)?;
        let recorded = history.iter().filter_map(|(_, command)| command.committers).max().unwrap_or(1);
        if settings.runtime.commit_producers > recorded {
            let command = more_committers(settings.runtime.commit_producers);
            let number = commands.append(&command, EventTime(clock.now_ms())).map_err(in_commands)?;
            history.push((number, command));
        }
        let runtime = Runtime::start(RuntimeParts {
            log: Arc::clone(&log),
            functions: Arc::clone(&functions),
            clock: Arc::clone(&clock),
            settings: settings.runtime.clone(),
            service_id: settings.service_id.clone(),
            committers: recorded,
            processing_log: processing_log.sink(),
            scheduler,
        })?;
        let mut world = World::default();
        let mut statuses = BTreeMap::new();
        for (number, command) in &history {
            world.apply(*number, command);
            if command.committers.is_none() {
                statuses.insert(command.id.to_string(), command.success());
            }
        }
        // A clock that stands still gives the same seeds in every run.
        let seed = clock.now_ms().unsigned_abs();
        let ad_hoc = AdHoc::new(settings.ad_hoc.clone());
        let engine = Arc::new_cyclic(|own| Self {
            log,
            clock,
            settings,
            cluster_id,
            host,
            defaults,
            readers: Readers::default(),
            running: Running::default(),
            tables: Tables::default(),
            pulls: PullCache::default(),
            ad_hoc,
            own: Weak::clone(own),
            turn: AtomicU32::new(0),
            seeds: Mutex::new(fastrand::Rng::with_seed(seed)),
            functions,
            runtime,
            processing_log,
            applied: Mutex::new(commands.next_number() - 1),
            applied_more: Condvar::new(),
            world: RwLock::new(Arc::new(World::default())),
            commands: Mutex::new(commands),
            statuses: Mutex::new(statuses),
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            lost: OnceLock::new(),
            takes_definitions: AtomicBool::new(true),
        });
        let readers = Arc::clone(&engine.readers.stop);
        engine.log.notify(Arc::new(move |_, _| readers.wake()));
        engine.mend(world)?;
        engine.open_processing_log();
        Ok(engine)
    }

    /// The topic of a service's commands, made if there is none: who holds it owns the service.
    ///
    /// # Errors
    /// The log refuses.
    pub fn command_topic(log: &dyn TopicLog, service_id: &str) -> Result<String, TopicError> {
        CommandLog::topic(log, service_id).map(|info| info.name)
    }

    /// The service is another server's now: queries stop, and say so; nothing is defined or inserted here any more. For
    /// good.
    pub fn lose(&self, reason: &str) {
        let _ = self.lost.set(reason.to_owned());
        self.runtime.give_up(reason);
    }

    /// Refuses what writes once the service is another server's.
    pub(super) fn check_owned(&self) -> Result<(), Diagnostic> {
        self.lost.get().map_or(Ok(()), |reason| {
            Err(Diagnostic::new(Code::NotReady, "the service is not this server's any more")
                .with_detail(format!("{reason}.")))
        })
    }

    /// The database, for what must not keep it open.
    pub(super) fn weak(&self) -> Weak<Self> {
        Weak::clone(&self.own)
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn TopicLog> {
        &self.log
    }

    /// What exists, as of the last applied command.
    pub fn catalog(&self) -> crate::catalog::Catalog {
        self.world().catalog.clone()
    }

    /// What is known, as of the last applied command.
    pub(super) fn world(&self) -> Arc<World> {
        Arc::clone(&self.world.read())
    }

    pub(super) fn set_world(&self, world: World) {
        let last = world.next_command - 1;
        *self.world.write() = Arc::new(world);
        *self.applied.lock() = last;
        self.applied_more.notify_all();
    }

    /// Waits until the command of this number is applied; false if it was not in time.
    pub(super) fn wait_for_command(&self, number: i64, timeout: std::time::Duration) -> bool {
        let mut applied = self.applied.lock();
        !self.applied_more.wait_while_for(&mut applied, |applied| *applied < number, timeout).timed_out()
    }

    /// Settings behind those of requests: the service's, then the server's.
    pub(super) fn defaults(&self) -> Arc<Properties> {
        let mut service = Properties::default();
        for (name, value) in self.world().settings.iter() {
            // They were checked when ALTER SYSTEM was; a name this version does not know any more has no meaning.
            let _ = service.set(name, value);
        }
        Arc::new(service.over(&self.defaults))
    }

    /// Refuses while the engine is stopping, or after it lost the log.
    pub(super) fn check_open(&self) -> Result<(), Diagnostic> {
        if self.is_closed() { Err(Diagnostic::new(Code::NotReady, "the server is stopping")) } else { Ok(()) }
    }

    /// A seed for functions of chance, another one each time.
    pub(super) fn next_seed(&self) -> u64 {
        self.seeds.lock().u64(..)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// A command that records how many committers there are, before the new ones are used.
fn more_committers(count: u32) -> Command {
    let id = CommandId::new("cluster", "committers", "alter");
    let text = format!("-- commit.producers = {count}");
    Command { committers: Some(count), ..Command::new(id, text, "Committers recorded") }
}

impl Drop for Engine {
    /// An engine that nobody shut down is left as by a crash; its threads must not outlive it all the same.
    fn drop(&mut self) {
        self.processing_log.close();
    }
}
