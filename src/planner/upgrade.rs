//! CREATE OR REPLACE of a running query: which new graph may take the place of the old one.
//!
//! State, offsets and keys stay, so everything that decides them must be the same:
//!
//! | what | may change |
//! |---|---|
//! | WHERE, HAVING, the SELECT list | yes |
//! | rows that a table's filter remembers | they may come and go with the filter; a new filter begins without any |
//! | sources, PARTITION BY, GROUP BY, table functions | no |
//! | aggregates with their arguments, windows, joins | no |
//! | when results leave, EMIT FINAL aside | yes |

use std::collections::BTreeSet;

use super::context::Compatibility;
use super::graph::{
    AggregateCall, Aggregation, AggregationWindow, Emission, Input, JoinMethod, OperatorGraph, OperatorKind, Output,
    ProjectColumn, Stage,
};
use super::lower::{GROUP_BY, JOIN_KEY, PARTITION_BY};
use super::rewrite::columns_of;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::EdgeSchema;
use crate::sql::ast::Expr;
use crate::types::Name;

/// The new graph may go on where the old one stopped. Under [`Compatibility::Ksqldb`] as ksqlDB has it, which allows no
/// change of windowed aggregations nor of the columns that an aggregation reads.
///
/// # Errors
/// [`Code::SchemaMismatch`] with the step that differs.
pub fn check_upgrade(old: &OperatorGraph, new: &OperatorGraph, compatibility: Compatibility) -> Result<(), Diagnostic> {
    let (old, new) = (Shape::of(old), Shape::of(new));
    const NARROW: &str = "Only the conditions and the SELECT list of a query may change.";
    if old.slots != new.slots || old.sources != new.sources {
        return refuse("source", NARROW);
    }
    if compatibility == Compatibility::Ksqldb {
        check_as_ksqldb(&old, &new)?;
    }
    if old.keys != new.keys || old.steps != new.steps {
        return refuse("keys or table functions", NARROW);
    }
    if old.aggregations != new.aggregations {
        return refuse("state", "Aggregates, their arguments and their windows shape the state that is kept.");
    }
    // A filter that is new or gone begins or leaves state; one that stays must be able to read what it has kept.
    if !old.remembered.is_empty() && !new.remembered.is_empty() && old.remembered != new.remembered {
        return refuse("state", "The columns of a table that its filter or aggregation reads are kept as state.");
    }
    if old.joins != new.joins {
        return refuse("joins", "Joins with their keys and the columns behind them shape the state that is kept.");
    }
    if old.outputs != new.outputs {
        return refuse("output", NARROW);
    }
    Ok(())
}

/// True if rows that a table holds may be others than those that the new graph would make of the same input: its
/// conditions are others, and rows are judged by them when their keys change next.
pub fn leaves_rows(old: &OperatorGraph, new: &OperatorGraph) -> bool {
    let writes_table = new.stages.iter().any(|stage| matches!(&stage.output, Output::Sink(sink) if sink.is_table));
    fn conditions(graph: &OperatorGraph) -> impl Iterator<Item = &Expr> {
        graph.stages.iter().flat_map(|stage| &stage.operators).filter_map(|operator| match &operator.kind {
            OperatorKind::Filter { predicate } => Some(predicate),
            _ => None,
        })
    }
    writes_table && !conditions(old).eq(conditions(new))
}

fn refuse(what: &str, why: impl Into<String>) -> Result<(), Diagnostic> {
    Err(Diagnostic::new(Code::SchemaMismatch, format!("the query cannot be upgraded: its {what} would change"))
        .with_detail(why)
        .with_hint("Drop the stream or table and create it again."))
}

/// What ksqlDB does not upgrade, in its words.
fn check_as_ksqldb(old: &Shape<'_>, new: &Shape<'_>) -> Result<(), Diagnostic> {
    if let Some((OperatorKind::Join(joining), _)) = old.joins.first() {
        let step = match joining.method {
            JoinMethod::Streams { .. } => "StreamStreamJoin",
            JoinMethod::StreamTable => "StreamTableJoin",
            JoinMethod::Tables => "TableTableJoin",
            JoinMethod::ForeignKey { .. } => "ForeignKeyTableTableJoin",
        };
        return refuse("join", format!("Upgrades not yet supported for {step}."));
    }
    if old.aggregations.iter().any(|aggregation| aggregation.window.is_some()) {
        return refuse("windowed aggregation", "Upgrades not yet supported for StreamWindowedAggregate.");
    }
    let same = |one: &[Name], two: &[Name]| one.iter().all(|name| two.contains(name));
    if !same(&old.columns, &new.columns) || !same(&new.columns, &old.columns) {
        let listed = |names: &[Name]| names.iter().map(Name::quoted).collect::<Vec<_>>().join(", ");
        return refuse(
            "columns",
            format!(
                "StreamAggregate must have matching columns not part of aggregate. Values differ: [{}] vs. [{}].",
                listed(&old.columns),
                listed(&new.columns)
            ),
        );
    }
    Ok(())
}

/// What of a graph must stay.
#[derive(Debug)]
struct Shape<'a> {
    slots: u16,
    /// Name, topic and kind of what is read.
    sources: Vec<(&'a Name, &'a str, bool)>,
    /// The columns that an aggregation and what stands before it read; none without one.
    columns: Vec<Name>,
    /// Keys by which rows are dealt, but for those by which a table is remembered.
    keys: Vec<Vec<&'a Name>>,
    /// Computed keys, arguments and table functions, beyond columns that are passed on, with the operators' names.
    steps: Vec<(&'a str, &'a ProjectColumn)>,
    aggregations: Vec<Kept<'a>>,
    /// Joins, and the order of their results, with the columns behind them.
    joins: Vec<(&'a OperatorKind, &'a EdgeSchema)>,
    /// Keys and columns of rows that are remembered.
    remembered: Vec<(&'a [Name], &'a EdgeSchema)>,
    /// Names and topics of what is written.
    outputs: Vec<Option<(&'a Name, &'a str)>>,
}

/// What shapes the state of an aggregation.
#[derive(Debug, PartialEq)]
struct Kept<'a> {
    key: &'a [Name],
    calls: &'a [AggregateCall],
    window: Option<AggregationWindow>,
    /// The one result of a closed window, and how it is found; `None` where updates leave.
    when_final: Option<Emission>,
    retracts: bool,
    schema: &'a EdgeSchema,
}

impl<'a> Shape<'a> {
    fn of(graph: &'a OperatorGraph) -> Self {
        let mut shape = Self {
            slots: graph.slots,
            sources: vec![],
            columns: vec![],
            keys: vec![],
            steps: vec![],
            aggregations: vec![],
            joins: vec![],
            remembered: vec![],
            outputs: vec![],
        };
        for (index, stage) in graph.stages.iter().enumerate() {
            for input in &stage.inputs {
                if let Input::Source(source) = input {
                    shape.sources.push((&source.source, &source.topic, source.is_table));
                }
            }
            shape.operators(stage);
            shape.columns.extend(grouped_columns(graph, index));
            match &stage.output {
                Output::Exchange { .. } if is_remembered(graph, index) => {}
                Output::Exchange { key } => shape.keys.push(key_names(stage, key)),
                Output::Sink(sink) => shape.outputs.push(Some((&sink.sink, &sink.topic))),
                Output::Rows => shape.outputs.push(None),
            }
        }
        shape
    }

    fn operators(&mut self, stage: &'a Stage) {
        for operator in &stage.operators {
            let computed = match &operator.kind {
                OperatorKind::FlatMap { calls } => calls,
                OperatorKind::Project { columns } if makes_keys(&operator.name) => columns,
                OperatorKind::Remember { key } => {
                    self.remembered.push((key, &operator.schema));
                    continue;
                }
                OperatorKind::Join(_) | OperatorKind::Resolve { .. } => {
                    self.joins.push((&operator.kind, &operator.schema));
                    continue;
                }
                OperatorKind::Aggregate(aggregation) => {
                    self.aggregations.push(Kept::of(aggregation, &operator.schema));
                    continue;
                }
                OperatorKind::Project { .. }
                | OperatorKind::Filter { .. }
                | OperatorKind::RequireKey { .. }
                | OperatorKind::Version => continue,
            };
            let is_passed = |column: &ProjectColumn| column.expr == Expr::column(column.name.clone());
            let computed = computed.iter().filter(|column| !is_passed(column));
            self.steps.extend(computed.map(|column| (operator.name.as_str(), column)));
        }
    }
}

/// True of the projections whose columns rows are dealt by.
fn makes_keys(name: &str) -> bool {
    [PARTITION_BY, GROUP_BY].contains(&name) || name.starts_with(JOIN_KEY)
}

impl<'a> Kept<'a> {
    fn of(aggregation: &'a Aggregation, schema: &'a EdgeSchema) -> Self {
        let Aggregation { key, calls, window, emission, retracts } = aggregation;
        let when_final = match emission {
            Emission::EveryUpdate | Emission::Coalesced => None,
            Emission::Final | Emission::FinalWithLoss => Some(*emission),
        };
        Self { key, calls, window: *window, when_final, retracts: *retracts, schema }
    }
}

/// The columns that make the keys, arguments and conditions of the aggregation that takes the stage's rows.
fn grouped_columns(graph: &OperatorGraph, stage: usize) -> Vec<Name> {
    let is_reader = |reader: &&Stage| reader.inputs.contains(&Input::Exchange { stage });
    let aggregation =
        graph.stages.iter().filter(is_reader).flat_map(|reader| &reader.operators).find_map(|operator| match &operator
            .kind
        {
            OperatorKind::Aggregate(aggregation) => Some(aggregation),
            _ => None,
        });
    let Some(aggregation) = aggregation else { return vec![] };
    let operators = &graph.stages[stage].operators;
    let computed = operators.iter().find_map(|operator| match &operator.kind {
        OperatorKind::Project { columns } if operator.name == GROUP_BY => Some(columns),
        _ => None,
    });
    let reads = |name: &Name| {
        let column = computed.into_iter().flatten().find(|column| column.name == *name);
        column.map(|column| columns_of(&column.expr)).unwrap_or_default()
    };
    let mut names: Vec<Name> = aggregation.key.iter().flat_map(reads).collect();
    for call in &aggregation.calls {
        match call.arguments.as_slice() {
            // ksqlDB counts by it.
            [] => names.push("ROWTIME".into()),
            arguments => names.extend(arguments.iter().flat_map(reads)),
        }
    }
    names.extend(operators.iter().flat_map(|operator| match &operator.kind {
        OperatorKind::Filter { predicate } => columns_of(predicate),
        _ => BTreeSet::new(),
    }));
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// True if the stage deals its rows to one that remembers them.
fn is_remembered(graph: &OperatorGraph, stage: usize) -> bool {
    let reader = graph.stages.iter().find(|reader| reader.inputs.contains(&Input::Exchange { stage }));
    let first = reader.and_then(|reader| reader.operators.first());
    first.is_some_and(|operator| matches!(operator.kind, OperatorKind::Remember { .. }))
}

/// The columns by which a stage deals its rows.
fn key_names<'a>(stage: &'a Stage, key: &[usize]) -> Vec<&'a Name> {
    let edge = stage.operators.last().map(|operator| &operator.schema).or_else(|| {
        stage.inputs.iter().find_map(|input| match input {
            Input::Source(source) => Some(&source.schema),
            Input::Exchange { .. } => None,
        })
    });
    edge.map_or_else(Vec::new, |edge| key.iter().map(|&index| &edge.columns()[index].name).collect())
}
