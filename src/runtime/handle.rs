//! The runtime as the engine sees it: start, stop, pause, look.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use crate::catalog::QueryId;
use crate::diagnostics::Diagnostic;
use crate::formats::FormatError;
use crate::functions::FunctionRegistry;
use crate::operators;
use crate::planner::OperatorGraph;
use crate::planner::graph::SourceInput;
use crate::topics::{CleanupPolicy, TopicConfig, TopicError, TopicId, TopicLog};
use crate::types::{Offset, Partition};

use super::environment::{Compile, Environment, EnvironmentParts};
use super::follow::{Following, OnFollowed};
use super::positions;
use super::processing_log::ProcessingLog;
use super::push::{PushDefinition, PushQuery};
use super::query::{Query, QueryDefinition};
use super::scheduler::Scheduler;
use super::status::{PushStatus, QueryState, QueryStatus};
use super::{Clock, Delivery, RuntimeSettings};

/// What a runtime is made of.
pub struct RuntimeParts {
    /// The log.
    pub log: Arc<dyn TopicLog>,
    /// The functions of expressions.
    pub functions: Arc<FunctionRegistry>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// What a user may tune.
    pub settings: RuntimeSettings,
    /// Names the service: internal topics and transactional ids carry it.
    pub service_id: String,
    /// Committers that the service ever had (at least 1), as far as is recorded: all of them are fenced.
    pub committers: u32,
    /// Takes the entries of the processing log.
    pub processing_log: ProcessingLog,
    /// A scheduler without threads ([`Scheduler::seeded`]), whose owner runs the tasks; `None` for worker threads.
    pub scheduler: Option<Arc<Scheduler>>,
}

/// Why a graph cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A topic that the graph names is not there.
    #[error("topic {0} does not exist")]
    MissingTopic(String),
    /// An expression or a part of the graph.
    #[error("{0}")]
    Statement(#[from] Diagnostic),
    /// A format.
    #[error("{0}")]
    Format(#[from] FormatError),
    /// The topic that holds the state of the last durable epoch is gone, or is another of the same name.
    #[error("the state of operator {operator} is gone: topic {topic} is not the one it was written to")]
    LostState {
        /// The operator.
        operator: String,
        /// Its changelog.
        topic: String,
    },
    /// The graph breaks one of its own rules.
    #[error("the operator graph is damaged: {0}")]
    Graph(String),
    /// The log.
    #[error("{0}")]
    Log(#[from] TopicError),
}

/// Why the runtime refuses.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The log.
    #[error("the log refuses")]
    Log(#[from] TopicError),
    /// The graph cannot be run.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A record of the offsets topic cannot be read.
    #[error("the positions of query {query} at offset {offset} cannot be read: {reason}")]
    Positions {
        /// The query.
        query: String,
        /// Of the record.
        offset: Offset,
        /// Why.
        reason: String,
    },
    /// No query has this id.
    #[error("query {0} does not run")]
    UnknownQuery(QueryId),
    /// A query of this id runs already.
    #[error("query {0} runs already")]
    QueryExists(QueryId),
    /// There is no record that could be skipped.
    #[error("query {0} did not fail on a record that is known")]
    NothingToSkip(QueryId),
    /// The query is in ERROR.
    #[error("query {query} failed: {reason}")]
    QueryFailed {
        /// The query.
        query: QueryId,
        /// Why.
        reason: String,
    },
    /// Another server owns the service.
    #[error("another server owns the service")]
    Fenced,
    /// Something did not happen in time.
    #[error("{0} did not happen in time")]
    TimedOut(&'static str),
    /// A worker thread cannot be started.
    #[error("cannot start a worker thread")]
    Worker(#[source] std::io::Error),
}

/// Runs queries.
pub struct Runtime {
    env: Arc<Environment>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Runtime {
    /// Takes over the service (whoever committed for it before is fenced), and starts the worker threads.
    ///
    /// # Errors
    /// The log refuses, or a thread cannot be started.
    pub fn start(parts: RuntimeParts) -> Result<Arc<Self>, RuntimeError> {
        Self::start_with(parts, operators::compile)
    }

    /// As [`Runtime::start`], with operators made by `compile`.
    pub(super) fn start_with(parts: RuntimeParts, compile: Compile) -> Result<Arc<Self>, RuntimeError> {
        let offsets_topic_id = offsets_topic(parts.log.as_ref(), &parts.service_id)?;
        let threads = if parts.scheduler.is_some() { 0 } else { parts.settings.worker_threads.max(1) };
        let scheduler = parts.scheduler.unwrap_or_else(|| Scheduler::for_workers(Arc::clone(&parts.clock)));
        let env = Arc::new(Environment::new(EnvironmentParts {
            log: parts.log,
            functions: parts.functions,
            compile,
            clock: parts.clock,
            settings: parts.settings,
            scheduler,
            processing_log: parts.processing_log,
            service_id: parts.service_id,
            offsets_topic_id,
            committers: parts.committers,
        })?);
        let listener = Arc::downgrade(&env);
        env.log.notify(Arc::new(move |topic, partition| {
            if let Some(env) = listener.upgrade() {
                env.appended(topic, partition);
            }
        }));
        let listener = Arc::downgrade(&env);
        env.log.notify_growth(Arc::new(move |topic, partitions| {
            if let Some(env) = listener.upgrade() {
                env.grew(topic, partitions);
            }
        }));
        env.begin_to_show_groups();
        let mut workers = Vec::with_capacity(threads);
        for nth in 0..threads {
            let scheduler = Arc::clone(&env.scheduler);
            let worker = std::thread::Builder::new().name(format!("worker-{nth}")).spawn(move || scheduler.work());
            workers.push(worker.map_err(RuntimeError::Worker)?);
        }
        Ok(Arc::new(Self { env, workers: Mutex::new(workers) }))
    }

    /// Starts a query where the log says it was; a new one at its first offsets.
    ///
    /// # Errors
    /// A query of this id runs, its graph cannot be run, or the log refuses. Nothing runs then.
    pub fn start_query(&self, definition: QueryDefinition) -> Result<(), RuntimeError> {
        let id = definition.id.clone();
        if self.env.queries.lock().contains_key(&id) {
            return Err(RuntimeError::QueryExists(id));
        }
        if self.env.is_fenced() {
            return Err(RuntimeError::Fenced);
        }
        if self.env.unforgotten.lock().contains(&id) {
            self.env.forget(&id)?;
        }
        let query = Query::start(&self.env, definition)?;
        self.env.queries.lock().insert(id, query);
        Ok(())
    }

    /// Stops a query for good, also one that could not be started, and forgets its positions and state. When this
    /// returns, it writes nothing more, and nothing is left of it.
    ///
    /// # Errors
    /// [`RuntimeError::TimedOut`] if a commit under way is not answered; the log refuses to forget: then no query of
    /// this id starts until it does.
    pub fn stop_query(&self, id: &QueryId) -> Result<(), RuntimeError> {
        let query = self.env.queries.lock().remove(id);
        let stopped = query.map_or(Ok(()), |query| {
            query.stop();
            self.wait(Query::STOP_TIMEOUT, || Ok(query.is_settled()), "the last commit of the query")
        });
        self.env.forget_dead_readers();
        self.env.forget(id)?;
        stopped
    }

    /// Forgets positions and state of all queries but these: what a crash left of queries that were stopped. To be
    /// called before any query is started.
    ///
    /// # Errors
    /// The log refuses.
    pub fn forget_all_but(&self, live: &BTreeSet<QueryId>) -> Result<(), RuntimeError> {
        self.env.forget_all_but(live)
    }

    /// Stops reading; what was read is still committed.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownQuery`].
    pub fn pause(&self, id: &QueryId) -> Result<(), RuntimeError> {
        self.query(id)?.pause();
        Ok(())
    }

    /// Goes on after a pause or an error.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownQuery`], [`RuntimeError::Fenced`].
    pub fn resume(&self, id: &QueryId) -> Result<(), RuntimeError> {
        self.query(id)?.resume()
    }

    /// Passes the record that a query failed on into the processing log, and goes on behind it.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownQuery`], [`RuntimeError::NothingToSkip`], [`RuntimeError::Fenced`].
    pub fn skip_failed(&self, id: &QueryId) -> Result<(), RuntimeError> {
        self.query(id)?.skip_failed()
    }

    /// Has a query go on with another graph, delivered otherwise perhaps. When this returns, what was read before went through the old one, and is
    /// durable; what is read from now on goes through the new one.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownQuery`], or the new graph does not run. [`RuntimeError::TimedOut`] if it takes more than
    /// `timeout`: the query still goes on with the new graph once it can, and its status says if it could not.
    pub fn replace_graph(
        &self,
        id: &QueryId,
        graph: Arc<OperatorGraph>,
        delivery: Delivery,
        timeout: Duration,
    ) -> Result<(), RuntimeError> {
        let query = self.query(id)?;
        query.replace_graph(graph, delivery);
        self.wait(timeout, || query.has_switched(), "the switch to the new graph")
    }

    /// The service is another server's now: every query stays in ERROR with this reason, and nothing is committed any
    /// more.
    pub fn give_up(&self, reason: &str) {
        self.env.give_up(reason);
    }

    /// What a query does.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownQuery`].
    pub fn status(&self, id: &QueryId) -> Result<QueryStatus, RuntimeError> {
        Ok(self.query(id)?.status())
    }

    /// The queries that read their state back: rows read, and rows to read.
    pub fn restoring(&self) -> Vec<(QueryId, (u64, u64))> {
        let queries = self.env.queries.lock();
        queries.iter().filter_map(|(id, query)| Some((id.clone(), query.restoring()?))).collect()
    }

    /// Whether a query runs: what [`Runtime::status`] tells of it, at the price of a lock.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownQuery`].
    pub fn state(&self, id: &QueryId) -> Result<QueryState, RuntimeError> {
        Ok(self.query(id)?.state())
    }

    /// The ids of persistent queries.
    pub fn queries(&self) -> Vec<QueryId> {
        self.env.queries.lock().keys().cloned().collect()
    }

    /// Starts a push query.
    ///
    /// # Errors
    /// Its graph cannot be run, or the log refuses.
    pub fn start_push(&self, definition: PushDefinition) -> Result<(), RuntimeError> {
        PushQuery::start(&self.env, definition)
    }

    /// Ends a push query: its client sees the events stop. False if there is none of this id.
    pub fn end_push(&self, id: &str) -> bool {
        let query = self.env.pushes.lock().get(id).cloned();
        query.inspect(|query| query.end()).is_some()
    }

    /// The push queries that run, and what they have done.
    pub fn pushes(&self) -> Vec<PushStatus> {
        let pushes: Vec<_> = self.env.pushes.lock().values().cloned().collect();
        pushes.iter().map(|query| query.status()).collect()
    }

    /// Follows the committed records of a topic from the source's first row on.
    ///
    /// # Errors
    /// There is no such topic, a format is not built, or the log refuses.
    pub fn follow(&self, source: &SourceInput, on_followed: OnFollowed) -> Result<Following, RuntimeError> {
        Following::start(&self.env, source, on_followed)
    }

    /// Has a query read nothing beyond what it has read, until [`Runtime::hand_over`] allows it.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownQuery`].
    pub fn hold(&self, id: &QueryId) -> Result<(), RuntimeError> {
        self.query(id)?.limit_sources(|_, _, read| Some(read));
        Ok(())
    }

    /// Allows a held query to read a partition of a source topic up to `until`, and waits until it is durably behind
    /// that.
    ///
    /// # Errors
    /// [`RuntimeError::UnknownQuery`], the query fails, or it takes more than `timeout`.
    pub fn hand_over(
        &self,
        id: &QueryId,
        topic: &str,
        partition: Partition,
        until: Offset,
        timeout: Duration,
    ) -> Result<(), RuntimeError> {
        let query = self.query(id)?;
        query.limit_sources(|name, at, _| (name == topic && at == partition).then_some(until));
        self.wait(timeout, || query.is_caught_up(), "processing of what was handed over")
    }

    /// Waits until queries have processed everything that is in their topics when they look, durably, and push queries
    /// have handed over their rows. Paused queries are not waited for. With `ids` only these persistent queries count.
    ///
    /// # Errors
    /// A query is or gets into ERROR, or it takes more than `timeout`.
    pub fn wait_until_caught_up(&self, ids: Option<&[QueryId]>, timeout: Duration) -> Result<(), RuntimeError> {
        let caught_up = || {
            let queries: Vec<_> = match ids {
                Some(ids) => ids.iter().map(|id| self.query(id)).collect::<Result<_, _>>()?,
                None => self.env.queries.lock().values().cloned().collect(),
            };
            // In two rounds: what one query writes another may have to read.
            for query in queries.iter().chain(&queries) {
                if !query.is_caught_up()? {
                    return Ok(false);
                }
            }
            let pushes: Vec<_> = match ids {
                Some(_) => Vec::new(),
                None => self.env.pushes.lock().values().cloned().collect(),
            };
            for push in pushes {
                if !push.is_caught_up()? {
                    return Ok(false);
                }
            }
            if ids.is_some() { Ok(true) } else { self.env.followers_are_caught_up() }
        };
        self.wait(timeout, caught_up, "processing of everything in the topics")
    }

    /// Commits what was read, stops everything, and joins the workers; after `deadline` it stops what is left without
    /// committing. What a query did not commit it does again after the next start.
    pub fn shutdown(&self, deadline: Duration) {
        let pushes: Vec<_> = self.env.pushes.lock().values().cloned().collect();
        pushes.iter().for_each(|push| push.end());
        let queries: Vec<_> = self.env.queries.lock().values().cloned().collect();
        queries.iter().for_each(|query| query.pause());
        let rested = self.wait(deadline, || Ok(queries.iter().all(|query| query.is_at_rest())), "the last commits");
        if rested.is_err() {
            tracing::warn!("queries did not come to rest in time; what they did not commit is done again");
        }
        self.env.show_groups();
        self.env.scheduler.stop();
        self.take_down();
    }

    /// Joins the workers and breaks the circles of references.
    fn take_down(&self) {
        for worker in self.workers.lock().drain(..) {
            if worker.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
        let queries = std::mem::take(&mut *self.env.queries.lock());
        let pushes = std::mem::take(&mut *self.env.pushes.lock());
        queries.values().for_each(|query| query.stop());
        pushes.values().for_each(|push| push.end());
    }

    fn query(&self, id: &QueryId) -> Result<Arc<Query>, RuntimeError> {
        self.env.queries.lock().get(id).cloned().ok_or_else(|| RuntimeError::UnknownQuery(id.clone()))
    }

    fn wait(
        &self,
        timeout: Duration,
        holds: impl FnMut() -> Result<bool, RuntimeError>,
        what: &'static str,
    ) -> Result<(), RuntimeError> {
        if self.env.wait_until(timeout, holds)? { Ok(()) } else { Err(RuntimeError::TimedOut(what)) }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.env.scheduler.stop();
        self.take_down();
    }
}

/// The topic of positions, made if it is not there.
fn offsets_topic(log: &dyn TopicLog, service_id: &str) -> Result<TopicId, RuntimeError> {
    let name = positions::topic_name(service_id);
    if let Some(info) = log.topic(&name)? {
        return Ok(info.id);
    }
    let config = TopicConfig { partitions: 1, replicas: 1, cleanup: CleanupPolicy::Compact, retention_ms: None };
    match log.create_topic(&name, &config) {
        Ok(info) => Ok(info.id),
        Err(TopicError::TopicExists(_)) => {
            log.topic(&name)?.map(|info| info.id).ok_or(RuntimeError::Log(TopicError::UnknownTopic(name)))
        }
        Err(error) => Err(error.into()),
    }
}
