//! An operator graph to the tasks of a pipeline.
//!
//! A stage over a topic becomes one task per partition; a stage over exchanges becomes tasks that share the slots, as
//! many as there are workers. Inboxes are made first, so that upstream tasks have somewhere to deal to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Weak};

use crate::catalog::QueryId;
use crate::diagnostics::Diagnostic;
use crate::expressions::EdgeSchema;
use crate::operators::{Checked, Operator, Port};
use crate::planner::OperatorGraph;
use crate::planner::encodings::input_encodings;
use crate::planner::graph::{GRAPH_VERSION, Input, Output, SourceInput, Stage};
use crate::topics::{OffsetRange, TopicId, TopicInfo};
use crate::types::{Epoch, EventTime, Offset, Partition};

use super::BuildError;
use super::chain::{Chain, Flushes};
use super::changelog::{Changelog, RestoreProgress, Restorer, Share};
use super::client::Client;
use super::cursor::Cursor;
use super::decode::SourceDecoder;
use super::encode::SinkEncoder;
use super::environment::Environment;
use super::exchange::{Dealer, Inbox, Upstream};
use super::idleness::Idleness;
use super::order::Order;
use super::output::TaskOutput;
use super::pipeline::{Gate, Owner, Pipeline, Progress, SourceHandle};
use super::positions::{Durable, SourceKey};
use super::scheduler::Task;
use super::source_task::SourceTask;
use super::stage_task::{StageTask, Worker};

/// What a pipeline is made of.
pub(super) struct Plan<'a> {
    pub(super) query: &'a QueryId,
    pub(super) graph: &'a OperatorGraph,
    pub(super) number: u64,
    pub(super) lane: u64,
    pub(super) owner: Weak<dyn Owner>,
    /// The first epoch it reads.
    pub(super) epoch: Epoch,
    pub(super) max_bytes: usize,
    pub(super) paused: bool,
    pub(super) careful: bool,
    pub(super) skip: &'a BTreeSet<(String, i32, Offset)>,
    /// What it goes on from; nothing may be committing. `None` for a query without epochs: its state is in memory alone.
    pub(super) durable: Option<&'a Durable>,
    /// Output leaves after every step, and does not wait for the epoch's end.
    pub(super) leaves_at_once: bool,
    /// Who takes the rows of an [`Output::Rows`].
    pub(super) client: Option<&'a Arc<Client>>,
}

/// What the log says of all that a pipeline is made of. Asking for it may wait for a broker; making the pipeline does not.
pub(super) struct Found {
    /// By name: the topics that it reads, with what their partitions hold.
    sources: BTreeMap<String, (TopicInfo, Vec<OffsetRange>)>,
    /// By name: the topics that it writes.
    sinks: BTreeMap<String, TopicInfo>,
    /// By the name of the stateful operator; none for a query without epochs.
    changelogs: BTreeMap<String, Arc<Changelog>>,
}

impl Found {
    /// Asks the log. `durable` is that of [`Plan`], `opened` are the changelogs that the query's last pipeline wrote to,
    /// by operator: its own, whatever they hold. Those that are not there are made.
    ///
    /// # Errors
    /// A topic is missing, the durable state is gone, the log cannot be read, or an operator is not built.
    pub(super) fn ask(
        env: &Environment,
        query: &QueryId,
        graph: &OperatorGraph,
        durable: Option<&Durable>,
        opened: &BTreeMap<String, TopicId>,
    ) -> Result<Self, BuildError> {
        let mut found = Self { sources: BTreeMap::new(), sinks: BTreeMap::new(), changelogs: BTreeMap::new() };
        let topic = |name: &str| env.log.topic(name)?.ok_or_else(|| BuildError::MissingTopic(name.to_owned()));
        for stage in &graph.stages {
            for input in &stage.inputs {
                if let Input::Source(source) = input
                    && !found.sources.contains_key(&source.topic)
                {
                    let info = topic(&source.topic)?;
                    let ranges = env.log.offsets(info.id)?;
                    found.sources.insert(source.topic.clone(), (info, ranges));
                }
            }
            if let Output::Sink(sink) = &stage.output {
                found.sinks.insert(sink.topic.clone(), topic(&sink.topic)?);
            }
            let Some(durable) = durable else { continue };
            let (operators, _) = operators(env, graph, stage)?;
            for (node, _) in stage.operators.iter().zip(operators).filter(|(_, operator)| operator.is_stateful()) {
                let name = &node.name;
                let known = durable.changelogs.get(name).or_else(|| opened.get(name)).copied();
                let changelog = Changelog::open(env.log.as_ref(), &env.service_id, query, name, known)?;
                found.changelogs.insert(name.clone(), Arc::new(changelog));
            }
        }
        Ok(found)
    }

    /// Where the partition of a topic that is read ends.
    pub(super) fn end(&self, topic: &str, partition: Partition) -> Option<Offset> {
        let (_, ranges) = self.sources.get(topic)?;
        Some(ranges.get(usize::try_from(partition.0).ok()?)?.end)
    }
}

/// Where a source partition is read.
pub(super) struct Start {
    pub(super) next: Offset,
    pub(super) stream_time: Option<EventTime>,
    /// Where reading ends, if it does.
    pub(super) until: Option<Offset>,
}

/// Tells where an input reads a partition, given the first offset it holds.
type StartOf<'a> = &'a mut dyn FnMut(&TopicInfo, SourceKey, Offset) -> Start;

/// The tasks of a stage before they are made.
struct Shape<'a> {
    /// The index of its first source task among the pipeline's; of no meaning behind an exchange.
    first_source: usize,
    stage: &'a Stage,
    /// The topic it reads, with what its partitions hold; else it reads `inboxes`.
    source: Option<(&'a SourceInput, TopicInfo, Vec<OffsetRange>)>,
    inboxes: Vec<Arc<Inbox>>,
    tasks: usize,
}

/// What the sources of a pipeline share.
struct Turns {
    order: Option<Arc<Order>>,
    idleness: Arc<Idleness>,
}

/// Makes the tasks of `plan`. They run when woken.
///
/// # Errors
/// The graph holds what this version cannot run.
pub(super) fn pipeline(
    env: &Arc<Environment>,
    plan: Plan<'_>,
    found: &Found,
    start_of: StartOf<'_>,
) -> Result<Pipeline, BuildError> {
    if plan.graph.version > GRAPH_VERSION {
        return Err(BuildError::Graph(format!("version {} is newer than {GRAPH_VERSION}", plan.graph.version)));
    }
    let in_order = in_order(plan.graph);
    let order = Arc::new(Order::default());
    let shapes = shapes(env, &plan, found, &in_order, &order)?;
    let turns = Turns { order: in_order.contains(&true).then_some(order), idleness: Arc::default() };
    let durable = plan.durable.map(|durable| durable.epoch).unwrap_or_default();
    let gate = Arc::new(Gate::new(plan.max_bytes, env.settings.state_max_bytes, plan.paused, plan.careful, durable));
    let mut pipeline = Pipeline {
        number: plan.number,
        gate,
        tasks: Vec::new(),
        sources: Vec::new(),
        inboxes: shapes.iter().flat_map(|shape| shape.inboxes.iter().cloned()).collect(),
        changelogs: BTreeMap::new(),
        restored: Arc::new(RestoreProgress::default()),
    };
    for (index, shape) in shapes.iter().enumerate() {
        for nth in 0..shape.tasks {
            make_task(env, (&plan, found), &shapes, (index, nth), &turns, start_of, &mut pipeline)?;
        }
    }
    Ok(pipeline)
}

/// By stage: whether rows come to it in the order of event time. That is so where a stage joins several inputs, and
/// before it.
fn in_order(graph: &OperatorGraph) -> Vec<bool> {
    let mut in_order: Vec<bool> = graph.stages.iter().map(|stage| stage.inputs.len() > 1).collect();
    for (index, stage) in graph.stages.iter().enumerate().rev() {
        if in_order[index] {
            for input in &stage.inputs {
                if let Input::Exchange { stage } = input
                    && let Some(upstream) = in_order.get_mut(*stage)
                {
                    *upstream = true;
                }
            }
        }
    }
    in_order
}

/// What each stage reads, and how many tasks it has.
fn shapes<'a>(
    env: &Environment,
    plan: &Plan<'a>,
    found: &Found,
    in_order: &[bool],
    order: &Arc<Order>,
) -> Result<Vec<Shape<'a>>, BuildError> {
    let graph = plan.graph;
    let mut shapes: Vec<Shape<'_>> = Vec::with_capacity(graph.stages.len());
    let mut sources = 0;
    for (index, stage) in graph.stages.iter().enumerate() {
        let shape = match &stage.inputs[..] {
            [Input::Source(source)] => {
                let known = found.sources.get(&source.topic).cloned();
                let (info, ranges) = known.ok_or_else(|| BuildError::MissingTopic(source.topic.clone()))?;
                let (first_source, tasks) = (sources, ranges.len());
                sources += tasks;
                (0..tasks).for_each(|_| order.add(source.is_table));
                Shape { first_source, stage, tasks, source: Some((source, info, ranges)), inboxes: Vec::new() }
            }
            inputs => {
                let (mut ports, mut upstreams) = (Vec::new(), Vec::new());
                for (port, input) in inputs.iter().enumerate() {
                    match input {
                        Input::Exchange { stage } => {
                            let upstream = shapes
                                .get(*stage)
                                .ok_or_else(|| BuildError::Graph(format!("stage {stage} comes before its input")))?;
                            ports.extend((0..upstream.tasks).map(|_| Port(port)));
                            upstreams.push(*stage);
                        }
                        Input::Source(_) => {
                            return Err(Diagnostic::not_implemented("a stage that reads a topic among others").into());
                        }
                    }
                }
                let tasks = env.settings.worker_threads.clamp(1, usize::from(graph.slots.max(1)));
                let time = stage_time(plan, stage);
                let passes_ranks = in_order
                    .iter()
                    .zip(&graph.stages)
                    .any(|(in_order, later)| *in_order && later.inputs.contains(&Input::Exchange { stage: index }));
                let inbox = || {
                    let inbox = Inbox::new(ports.iter().copied(), env.settings.exchange_rows, time);
                    Arc::new(if in_order[index] {
                        let upstreams = upstreams.iter().flat_map(|stage| shapes[*stage].as_upstreams()).collect();
                        inbox.in_order(order, upstreams, passes_ranks)
                    } else {
                        inbox
                    })
                };
                let inboxes = (0..tasks).map(|_| inbox()).collect();
                Shape { first_source: sources, stage, source: None, inboxes, tasks }
            }
        };
        shapes.push(shape);
    }
    Ok(shapes)
}

impl Shape<'_> {
    /// The tasks as the other ends of queues.
    fn as_upstreams(&self) -> Vec<Upstream> {
        match self.source {
            Some(_) => (0..self.tasks).map(|nth| Upstream::Source(self.first_source + nth)).collect(),
            None => self.inboxes.iter().map(|inbox| Upstream::Stage(Arc::clone(inbox))).collect(),
        }
    }
}

/// The stream time that a stage behind an exchange goes on at.
fn stage_time(plan: &Plan<'_>, stage: &Stage) -> Option<EventTime> {
    plan.durable.and_then(|durable| durable.stages.get(&stage.name).copied())
}

fn make_task(
    env: &Arc<Environment>,
    (plan, found): (&Plan<'_>, &Found),
    shapes: &[Shape<'_>],
    (index, nth): (usize, usize),
    turns: &Turns,
    start_of: StartOf<'_>,
    pipeline: &mut Pipeline,
) -> Result<(), BuildError> {
    let shape = &shapes[index];
    let start = match &shape.source {
        None => None,
        Some((source, info, ranges)) => {
            let partition = Partition(i32::try_from(nth).unwrap_or(i32::MAX));
            let reads_it = |shape: &&Shape<'_>| shape.source.as_ref().is_some_and(|(_, other, _)| other.id == info.id);
            let reader = u32::try_from(shapes[..index].iter().filter(reads_it).count()).unwrap_or(u32::MAX);
            let key = SourceKey { topic: info.id, partition, reader };
            let first = first_offset(source, nth, ranges[nth]);
            let start = start_of(info, key, first);
            Some((key, Start { next: start.next.max(first), ..start }))
        }
    };
    let stream_time = match &start {
        Some((_, start)) => start.stream_time,
        None => stage_time(plan, shape.stage),
    };
    let (chain, edge) = chain(env, plan, shape.stage)?;
    let has_state = chain.stateful().next().is_some();
    if has_state && start.is_some() {
        return Err(BuildError::Graph(format!("stage {} has state and no exchange before it", shape.stage.name)));
    }
    let changelogs = changelogs(found, shape.stage, &chain, pipeline);
    let output = output(env, (plan, found), shapes, (index, nth), &edge, stream_time)?;
    if let (Some((_, _, ranges)), Some((_, start))) = (&shape.source, &start)
        && env.settings.source_idle.is_zero()
        && start.next >= ranges[nth].end
    {
        output.start_idle();
    }
    let worker = Worker {
        env: Arc::clone(env),
        owner: Weak::clone(&plan.owner),
        pipeline: plan.number,
        query: plan.query.clone(),
        gate: Arc::clone(&pipeline.gate),
        index: pipeline.tasks.len(),
        topics: shape.stage.inputs.iter().map(|input| only_topic(plan.graph, input)).collect(),
        port: None,
        changelogs: changelogs.clone(),
        leaves_at_once: plan.leaves_at_once,
        epoch: plan.epoch,
        chain,
        output,
        entries: Vec::new(),
        place: None,
        is_flushed: false,
        tells_time: false,
        state_bytes: 0,
    };
    let task = match (&shape.source, start) {
        (Some((source, info, _)), Some((key, start))) => {
            let partition = key.partition;
            let progress = Arc::new(Progress {
                read: AtomicI64::new(start.next.0),
                given: AtomicI64::new(start.next.0),
                limit: AtomicI64::new(i64::MAX),
            });
            let skipped = |(topic, at, offset): &(String, i32, Offset)| {
                (*topic == info.name && *at == partition.0).then_some(*offset)
            };
            let body = SourceTask {
                worker,
                source: pipeline.sources.len(),
                key,
                until: start.until,
                stops_at_bad_time: plan.graph.stops_at_bad_time,
                skip: plan.skip.iter().filter_map(skipped).collect(),
                progress: Arc::clone(&progress),
                order: turns.order.clone(),
                idleness: Arc::clone(&turns.idleness),
                held: None,
                cursor: Cursor::new(info.id, partition, SourceDecoder::new(source)?),
                shared: env.shared_readers.subscribe(info.id, partition, source, start.next),
                next: start.next,
                stream_time: start.stream_time,
                idle_check: None,
                dry_since: None,
                quiet_from: None,
                has_ended: false,
            };
            let standing = body.worker.output.standing();
            let task = env.scheduler.task(plan.lane, Box::new(body));
            env.watch(info.id, partition, &task);
            turns.idleness.add(&task, standing, &progress);
            if let Some(order) = &turns.order {
                order.read_by(pipeline.sources.len(), &task);
            }
            pipeline.sources.push(SourceHandle {
                topic: info.name.clone(),
                key,
                start: start.next,
                task: Arc::clone(&task),
                progress,
            });
            task
        }
        _ => {
            let inbox = Arc::clone(&shape.inboxes[nth]);
            let share = Share { slots: plan.graph.slots, tasks: shape.tasks, nth };
            let restorer = Restorer::new(share, &pipeline.restored, changelogs);
            let body = StageTask {
                worker,
                inbox: Arc::clone(&inbox),
                stage: Arc::from(shape.stage.name.as_str()),
                watches_state: has_state && plan.durable.is_none(),
                restorer: Some(restorer),
                told_time: None,
                is_ending: false,
            };
            let keeps_ranks = body.worker.chain.keeps_ranks();
            let task: Arc<Task> = env.scheduler.task(plan.lane, Box::new(body));
            inbox.read_by(&task, keeps_ranks);
            task
        }
    };
    pipeline.tasks.push(task);
    Ok(())
}

/// The first offset of a partition that a source has rows at.
pub(super) fn first_offset(source: &SourceInput, partition: usize, range: OffsetRange) -> Offset {
    let begins_at = source.begins_at.get(partition).filter(|begin| **begin <= range.end);
    begins_at.map_or(range.start, |begin| range.start.max(*begin))
}

/// The changelogs of a stage's operators, by their places in the chain; none for a query without epochs.
fn changelogs(found: &Found, stage: &Stage, chain: &Chain, pipeline: &mut Pipeline) -> Vec<(usize, Arc<Changelog>)> {
    let mut of_stage = Vec::new();
    for place in chain.stateful() {
        let name = &stage.operators[place].name;
        if let Some(changelog) = found.changelogs.get(name) {
            pipeline.changelogs.insert(name.clone(), Arc::clone(changelog));
            of_stage.push((place, Arc::clone(changelog)));
        }
    }
    of_stage
}

/// The operators of a stage as a chain, and the edge behind the last one.
fn chain(env: &Environment, plan: &Plan<'_>, stage: &Stage) -> Result<(Chain, EdgeSchema), BuildError> {
    let (compiled, edge) = operators(env, plan.graph, stage)?;
    let flushes = match plan.durable {
        None => Flushes::WithoutEpochs,
        Some(_) if plan.leaves_at_once => Flushes::EachBatch,
        Some(_) => Flushes::AtBarrier,
    };
    Ok((Chain::new(compiled, flushes), edge))
}

/// The operators of a stage, and the edge behind the last one.
fn operators(
    env: &Environment,
    graph: &OperatorGraph,
    stage: &Stage,
) -> Result<(Vec<Box<dyn Operator>>, EdgeSchema), BuildError> {
    // The first operator takes all inputs of the stage, every other one what the one before it gives.
    let mut edges = stage
        .inputs
        .iter()
        .map(|input| match input {
            Input::Source(source) => Ok(source.schema.clone()),
            Input::Exchange { stage } => edge_behind(graph, *stage),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut encodings = input_encodings(graph, stage);
    let mut compiled: Vec<Box<dyn Operator>> = Vec::with_capacity(stage.operators.len());
    for node in &stage.operators {
        let operator = (env.compile)(node, &edges, &env.functions, graph.slots)?;
        compiled.push(if cfg!(debug_assertions) {
            Box::new(Checked::new(node, operator).taking(&encodings))
        } else {
            operator
        });
        edges = vec![node.schema.clone()];
        encodings = vec![node.encoding];
    }
    let edge = edges.into_iter().next();
    let edge = edge.ok_or_else(|| BuildError::Graph(format!("stage {} has no input", stage.name)))?;
    Ok((compiled, edge))
}

/// The edge behind the last operator of a stage.
fn edge_behind(graph: &OperatorGraph, index: usize) -> Result<EdgeSchema, BuildError> {
    let stage = graph.stages.get(index).ok_or_else(|| BuildError::Graph(format!("there is no stage {index}")))?;
    match (stage.operators.last(), stage.inputs.first()) {
        (Some(node), _) => Ok(node.schema.clone()),
        (None, Some(Input::Source(source))) => Ok(source.schema.clone()),
        (None, Some(Input::Exchange { stage })) if *stage < index => edge_behind(graph, *stage),
        (None, _) => Err(BuildError::Graph(format!("stage {} has no input", stage.name))),
    }
}

fn output(
    env: &Environment,
    (plan, found): (&Plan<'_>, &Found),
    shapes: &[Shape<'_>],
    (index, nth): (usize, usize),
    edge: &EdgeSchema,
    stream_time: Option<EventTime>,
) -> Result<TaskOutput, BuildError> {
    match &shapes[index].stage.output {
        Output::Sink(sink) => {
            let info = found.sinks.get(&sink.topic).ok_or_else(|| BuildError::MissingTopic(sink.topic.clone()))?;
            let only = env.settings.append_partition;
            let keeps_keys = shapes[index].source.is_some();
            let encoder = SinkEncoder::new(sink, edge, keeps_keys, info.config.partitions, only, nth)?;
            Ok(TaskOutput::Sink(Box::new(encoder)))
        }
        Output::Exchange { key } => {
            let restamps = shapes[index].source.is_some();
            let inboxes = downstream(shapes, index, nth)?;
            Ok(TaskOutput::Exchange(Dealer::new(key.clone(), plan.graph.slots, inboxes, restamps, stream_time)))
        }
        Output::Rows => match plan.client {
            Some(client) => Ok(TaskOutput::Rows(Arc::clone(client))),
            None => Err(BuildError::Graph("a persistent query has a sink".to_owned())),
        },
    }
}

/// The inboxes of the stage that reads stage `index`, with the queue of its `nth` task in each.
fn downstream(shapes: &[Shape<'_>], index: usize, nth: usize) -> Result<Vec<(Arc<Inbox>, usize)>, BuildError> {
    for shape in shapes {
        let mut queue = 0;
        for input in &shape.stage.inputs {
            let Input::Exchange { stage } = input else { continue };
            if *stage == index {
                return Ok(shape.inboxes.iter().map(|inbox| (Arc::clone(inbox), queue + nth)).collect());
            }
            queue += shapes[*stage].tasks;
        }
    }
    Err(BuildError::Graph(format!("nobody reads the exchange of stage {}", shapes[index].stage.name)))
}

/// The topic that all rows of an input come from, if it is one.
fn only_topic(graph: &OperatorGraph, input: &Input) -> Option<String> {
    let mut topics = BTreeSet::new();
    collect_topics(graph, input, &mut topics);
    if topics.len() == 1 { topics.pop_first() } else { None }
}

fn collect_topics(graph: &OperatorGraph, input: &Input, topics: &mut BTreeSet<String>) {
    match input {
        Input::Source(source) => {
            topics.insert(source.topic.clone());
        }
        Input::Exchange { stage } => {
            graph.stages[*stage].inputs.iter().for_each(|input| collect_topics(graph, input, topics));
        }
    }
}
