//! What a handler sees: one statement, and the world it is read in.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::catalog::{Catalog, Source};
use crate::diagnostics::{Code, Diagnostic};
use crate::functions::FunctionRegistry;
use crate::planner::graph::{Input, OperatorGraph};
use crate::planner::{PlanContext, TopicPlan, TopicShape};
use crate::sql::ast::{Ident, Statement};
use crate::topics::{TopicConfig, TopicError, TopicId};
use crate::types::Offset;

use super::command::{Command, CommandId, NewTopic};
use super::database::Engine;
use super::effects::topic_config;
use super::entity::Body;
use super::insert::ValuesToInsert;
use super::properties::OffsetReset;
use super::session::Session;
use super::world::World;

/// Why statements are being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To find mistakes: nothing happens, and topics of earlier statements exist only in the world.
    Validate,
    /// To take effect.
    Execute,
}

/// One statement and the world it is read in.
pub(super) struct Scope<'a> {
    pub(super) engine: &'a Engine,
    pub(super) world: &'a World,
    pub(super) session: &'a mut Session,
    pub(super) statement: &'a Statement,
    /// The statement's text.
    pub(super) text: &'a str,
    pub(super) purpose: Purpose,
}

/// What a handler decides.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing is answered.
    Nothing,
    /// This is answered, and nothing happens.
    Answer(Body),
    /// The same with remarks.
    AnswerWith(Body, Vec<String>),
    /// Nothing happens, for a reason that the client is told.
    Unchanged(String),
    /// A durable statement had nothing to do: the status of a command that was never appended.
    NoCommand(CommandId, String),
    /// This is to be appended and applied.
    Command(Box<Command>),
    /// These values are to be appended to a topic.
    Insert(Box<ValuesToInsert>),
    /// A push query is to be ended.
    ClosePush(String),
}

impl Scope<'_> {
    /// What exists.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.world.catalog
    }

    /// Every function: the built-in ones and those that statements defined.
    pub(super) fn functions(&self) -> FunctionRegistry {
        self.engine.functions.with_defined(self.catalog().functions())
    }

    /// The number of the command that this statement would append: it makes query ids unique.
    pub(super) fn next_number(&self) -> u64 {
        u64::try_from(self.world.next_command).unwrap_or_default()
    }

    /// The stream or table of this name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn source(&self, name: &Ident) -> Result<std::sync::Arc<Source>, Diagnostic> {
        self.catalog().source(&name.name).cloned().ok_or_else(|| unknown_source(self.catalog(), name))
    }

    /// How a topic is made, be it that an earlier statement of the request would make it.
    ///
    /// # Errors
    /// The log refuses.
    pub(super) fn topic(&self, name: &str) -> Result<Option<TopicConfig>, TopicError> {
        match self.world.topic(name) {
            Some(would_be) => Ok(would_be.cloned()),
            None => Ok(self.engine.log.topic(name)?.map(|topic| topic.config)),
        }
    }

    /// Plans with the topics of this world and the settings of this session.
    ///
    /// # Errors
    /// `plan`'s; or the log refuses.
    pub(super) fn plan<T>(
        &self,
        plan: impl FnOnce(&Catalog, &PlanContext<'_>) -> Result<T, Diagnostic>,
    ) -> Result<T, Diagnostic> {
        let lost: RefCell<Option<TopicError>> = RefCell::new(None);
        let topics = |name: &str| match self.topic(name) {
            Ok(config) => config.map(|config| TopicShape {
                partitions: config.partitions,
                replicas: config.replicas.max(1),
                retention_ms: config.retention_ms,
            }),
            Err(error) => {
                lost.borrow_mut().replace(error);
                None
            }
        };
        let settings = self.session.plan_settings();
        let functions = self.functions();
        let context = PlanContext { functions: &functions, settings: &settings, topics: &topics };
        let planned = plan(self.catalog(), &context);
        match lost.take() {
            Some(error) => Err(storage(&error)),
            None => planned,
        }
    }

    /// The topic to create for a plan, if it is not there.
    pub(super) fn new_topic(plan: &TopicPlan) -> Option<NewTopic> {
        (!plan.exists).then(|| NewTopic { name: plan.name.clone(), config: topic_config(plan) })
    }

    /// Where a new query starts: tables at the first record, streams by `auto.offset.reset`, resolved now.
    ///
    /// # Errors
    /// The log refuses, or a topic is gone.
    pub(super) fn first_offsets(&self, graph: &OperatorGraph) -> Result<FirstOffsets, Diagnostic> {
        if self.purpose == Purpose::Validate {
            return Ok(Vec::new());
        }
        let reset = self.session.properties().offset_reset();
        self.engine.resolve_offsets(graph, reset)
    }

    /// The statement's place, for errors without a better one.
    pub(super) fn at(&self, error: Diagnostic) -> Diagnostic {
        error.at(self.statement.span)
    }
}

/// Where a query starts: topic, incarnation, an offset for each partition.
pub(super) type FirstOffsets = Vec<(String, TopicId, Vec<Offset>)>;

impl Engine {
    /// The offsets at which the sources of `graph` begin. A topic read both as a stream and as a table is read from
    /// its start: the table needs all of it.
    fn resolve_offsets(&self, graph: &OperatorGraph, reset: OffsetReset) -> Result<FirstOffsets, Diagnostic> {
        let mut from_start: BTreeMap<&str, bool> = BTreeMap::new();
        for input in graph.stages.iter().flat_map(|stage| &stage.inputs) {
            if let Input::Source(source) = input {
                *from_start.entry(&source.topic).or_default() |= source.is_table || reset == OffsetReset::Earliest;
            }
        }
        let resolve = |(name, from_start): (&str, bool)| {
            let topic =
                self.log.topic(name).map_err(|error| storage(&error))?.ok_or_else(|| self.unknown_topic(name))?;
            let ranges = self.log.offsets(topic.id).map_err(|error| storage(&error))?;
            let first = ranges.iter().map(|range| if from_start { range.start } else { range.end }).collect();
            Ok((topic.name, topic.id, first))
        };
        from_start.into_iter().map(resolve).collect()
    }
}

/// A topic error as a diagnostic: of storage unless the statement is to blame.
pub(super) fn storage(error: &TopicError) -> Diagnostic {
    let code = match error {
        TopicError::UnknownTopic(_) => Code::UnknownTopic,
        TopicError::TopicExists(_) => Code::DuplicateName,
        TopicError::InvalidName { .. } => Code::InvalidProperty,
        TopicError::RecordTooLarge { .. } => Code::LimitExceeded,
        _ => Code::Storage,
    };
    Diagnostic::new(code, error.to_string())
}

/// True for topics that only the engine writes: the command log, positions, and those of ksqlDB that share a broker.
pub(super) fn is_internal(topic: &str) -> bool {
    topic.starts_with("_thalweg-") || topic.starts_with("_confluent")
}

/// Refuses what would write, make or delete an internal topic: a foreign record in the command log, or its loss, is
/// the loss of the catalog.
pub(super) fn check_writable(topic: &str) -> Result<(), Diagnostic> {
    if !is_internal(topic) {
        return Ok(());
    }
    Err(Diagnostic::new(Code::ReadOnly, format!("topic {topic} is internal and read-only"))
        .with_detail(format!("Cannot write to the read-only topic: {topic}")))
}

/// There is no such source; perhaps one like it.
pub(super) fn unknown_source(catalog: &Catalog, name: &Ident) -> Diagnostic {
    Diagnostic::new(Code::UnknownSource, format!("source {} does not exist", name.name))
        .with_near_miss(name.name.as_str(), catalog.sources().map(|source| source.name.as_str()))
        .at(name.span)
}
