//! Where ad-hoc queries run: threads, memory and bounds of their own, and the session state that all share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::Result;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionConfig;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::diagnostics::{Code, Diagnostic};
use crate::runtime::RowEvent;
use crate::types::SqlType;

use super::{AdHocQuery, columns, refusal};

/// Bounds of ad-hoc queries.
#[derive(Debug, Clone)]
pub struct AdHocSettings {
    /// `query.pull.threads`: threads that run them.
    pub threads: usize,
    /// `query.pull.memory.bytes`: what all that run may hold in sorts, groups and joins.
    pub memory_bytes: usize,
    /// `queries.max.pull`: how many may run at a time.
    pub max_queries: usize,
    /// `query.pull.max.time`: how long one may run.
    pub timeout: Duration,
}

impl Default for AdHocSettings {
    fn default() -> Self {
        Self { threads: 2, memory_bytes: 256 << 20, max_queries: 100, timeout: Duration::from_secs(60) }
    }
}

/// The threads and what runs on them.
#[derive(Debug)]
pub(super) struct Pool {
    settings: AdHocSettings,
    started: Mutex<Option<Started>>,
    running: Arc<Mutex<BTreeMap<String, AbortHandle>>>,
}

#[derive(Debug)]
struct Started {
    threads: Runtime,
    state: SessionState,
}

impl Pool {
    pub(super) fn new(settings: AdHocSettings) -> Self {
        Self { settings, started: Mutex::new(None), running: Arc::default() }
    }

    /// The shared state, as of now.
    ///
    /// # Errors
    /// The machine gives no threads.
    pub(super) fn state(&self) -> Result<SessionState> {
        self.with(|started| {
            let mut state = started.state.clone();
            state.mark_start_execution();
            state
        })
    }

    fn with<T>(&self, use_it: impl FnOnce(&Started) -> T) -> Result<T> {
        let mut slot = self.started.lock();
        let started = match slot.take() {
            Some(started) => started,
            None => Started::new(&self.settings)?,
        };
        Ok(use_it(slot.insert(started)))
    }

    /// Runs a query on the pool.
    ///
    /// # Errors
    /// Too many run already, or the machine gives no threads.
    pub(super) fn run(&self, id: String, query: AdHocQuery, events: Sender<RowEvent>) -> Result<(), Diagnostic> {
        let limit = self.settings.max_queries;
        let threads =
            self.with(|started| started.threads.handle().clone()).map_err(|error| refusal::failure(&error))?;
        let mut running = self.running.lock();
        if running.len() >= limit {
            return Err(Diagnostic::new(
                Code::TooManyRequests,
                format!("{limit} pull queries run, and the limit is {limit} (queries.max.pull)"),
            )
            .with_hint("Wait for one of them to end, or raise the limit."));
        }
        let timeout = self.settings.timeout;
        let over = Over { id: id.clone(), running: Arc::clone(&self.running) };
        let work = async move {
            let _over = over;
            let timed = tokio::time::timeout(timeout, send_rows(query, &events));
            let ended = tokio::select! {
                // The client went away.
                () = events.closed() => return,
                ended = timed => ended,
            };
            let last = match ended {
                Ok(Ok(())) => RowEvent::Completed,
                Ok(Err(failure)) => RowEvent::Failed(failure),
                Err(_) => RowEvent::Failed(
                    Diagnostic::new(
                        Code::TimedOut,
                        format!("the query ran longer than {timeout:?} (query.pull.max.time)"),
                    )
                    .with_hint("Read less, or raise the limit."),
                ),
            };
            // If it fails the client went away.
            let _ = events.send(last).await;
        };
        running.insert(id, threads.spawn(work).abort_handle());
        Ok(())
    }

    /// Ends a query; false if there is none of this id.
    pub(super) fn end(&self, id: &str) -> bool {
        let handle = self.running.lock().get(id).cloned();
        handle.inspect(AbortHandle::abort).is_some()
    }

    pub(super) fn running(&self) -> Vec<String> {
        self.running.lock().keys().cloned().collect()
    }

    /// Waits for what is computed on the pool. Not for threads of an event loop.
    ///
    /// # Errors
    /// The pool ends before the work does.
    pub(super) fn block_on<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Diagnostic> {
        let (sender, receiver) = oneshot::channel();
        let spawned = self.with(|started| {
            started.threads.spawn(async move {
                // If it fails nobody waits any more.
                let _ = sender.send(work.await);
            })
        });
        spawned.map_err(|error| refusal::failure(&error))?;
        receiver.blocking_recv().map_err(|_| Diagnostic::new(Code::NotReady, "the server is stopping"))
    }
}

impl Drop for Pool {
    /// Does not wait: it may be dropped on a thread of an event loop.
    fn drop(&mut self) {
        if let Some(started) = self.started.lock().take() {
            started.threads.shutdown_background();
        }
    }
}

/// Forgets a query when it ends, however it does.
struct Over {
    id: String,
    running: Arc<Mutex<BTreeMap<String, AbortHandle>>>,
}

impl Drop for Over {
    fn drop(&mut self) {
        self.running.lock().remove(&self.id);
    }
}

impl Started {
    fn new(settings: &AdHocSettings) -> Result<Self> {
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.threads.max(1))
            .max_blocking_threads(1)
            .thread_name("thalweg-pull")
            .enable_time()
            .build()?;
        let env = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(settings.memory_bytes)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        let mut config = SessionConfig::new().with_target_partitions(settings.threads.max(1));
        let options = &mut config.options_mut().sql_parser;
        options.enable_ident_normalization = false;
        options.map_string_types_to_utf8view = false;
        options.parse_float_as_decimal = true;
        let state = SessionStateBuilder::new_with_default_features().with_config(config).with_runtime_env(env).build();
        Ok(Self { threads, state })
    }
}

/// Plans the last steps and sends all rows; ends early if nobody takes them.
async fn send_rows(query: AdHocQuery, events: &Sender<RowEvent>) -> Result<(), Diagnostic> {
    let AdHocQuery { plan, state, columns, .. } = query;
    let failed = |error| refusal::failure(&error);
    let physical = state.query_planner().create_physical_plan(&plan, &state).await.map_err(failed)?;
    let mut batches = execute_stream(physical, state.task_ctx()).map_err(failed)?;
    let schema = columns::arrow(&columns);
    let types: Vec<SqlType> = columns.into_iter().map(|(_, ty)| ty).collect();
    while let Some(batch) = batches.next().await {
        let rows = columns::converted_batch(&batch.map_err(failed)?, &types, &schema)
            .map_err(|error| refusal::failure(&error.into()))?;
        if rows.num_rows() > 0 && events.send(RowEvent::Rows { rows, tombstones: None }).await.is_err() {
            break;
        }
    }
    Ok(())
}
