//! The operator graph: what a query runs, and the only plan that is ever stored.
//!
//! ```text
//!   stage 0: source orders ─ filter ─ project ─▶ exchange by key ─▶ stage 1: aggregate ─ project ─▶ sink
//! ```
//!
//! Written as JSON into the command log. Expressions are stored as SQL text over the names of their edge, never as
//! a library's plan: a DataFusion upgrade may change how they are computed, not what is stored.
//!
//! Invariants:
//! - stages are in topological order: an input names an earlier stage;
//! - stage and operator names are unique and stable: state is found by them;
//! - the output schema of an operator is the input schema of the next.

use serde::{Deserialize, Serialize};

use crate::expressions::EdgeSchema;
use crate::formats::Side;
use crate::functions::aggregate::Parameter;
use crate::sql::ast::Expr;
use crate::sql::expr_text;
use crate::types::{Name, Offset, WindowInfo};

/// Version of the written form; a newer one is refused by name.
pub const GRAPH_VERSION: u32 = 1;

/// What a query runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatorGraph {
    /// [`GRAPH_VERSION`] of the writer.
    pub version: u32,
    /// Stages in topological order.
    pub stages: Vec<Stage>,
    /// Number of slots that keys hash to, fixed when the query is created.
    pub slots: u16,
    /// True if a record whose event time cannot be read stops the query (`ksql.timestamp.throw.on.invalid`); otherwise
    /// such records go to the processing log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stops_at_bad_time: bool,
}

/// A chain of operators between exchanges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Stable name.
    pub name: String,
    /// Where rows come from.
    pub inputs: Vec<Input>,
    /// What happens to them, in order.
    pub operators: Vec<OperatorNode>,
    /// Where rows go.
    pub output: Output,
}

/// Where a stage's rows come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "a graph has a handful of inputs and is read once")]
pub enum Input {
    /// A topic.
    Source(SourceInput),
    /// The exchange that an earlier stage writes to.
    Exchange {
        /// Index into [`OperatorGraph::stages`].
        stage: usize,
    },
}

/// What a change batch on an edge may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// Inserts only.
    Append,
    /// New rows, or deletes with the key alone, perhaps of an unknown key.
    Upsert,
    /// Deletes and updates carry the whole old row.
    Changelog,
}

/// A topic read as a stream or table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceInput {
    /// Name of the stream or table, for people.
    pub source: Name,
    /// Topic.
    pub topic: String,
    /// How keys are read.
    pub key: Side,
    /// How values are read.
    pub value: Side,
    /// The window suffix of keys.
    pub window: Option<WindowInfo>,
    /// Where event time comes from; `None` is the record's timestamp.
    pub timestamp: Option<TimestampColumn>,
    /// True for a table: a null value deletes, a null key is dropped, reading starts at the earliest offset.
    pub is_table: bool,
    /// Where its rows begin in each partition ([`crate::catalog::Source::begins_at`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begins_at: Vec<Offset>,
    /// The columns the stage wants, in the order of its edge.
    pub columns: Vec<SourceColumn>,
    /// The edge behind the source: names and types of `columns`.
    pub schema: EdgeSchema,
}

/// Where a source column's values come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceColumn {
    /// Index into the key side's columns.
    Key(usize),
    /// Index into the value side's columns.
    Value(usize),
    /// All headers.
    Headers,
    /// Value of the last header of this name.
    Header(String),
    /// Event time.
    RowTime,
    /// Partition.
    RowPartition,
    /// Offset.
    RowOffset,
    /// Window start.
    WindowStart,
    /// Window end.
    WindowEnd,
}

/// A column that holds event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimestampColumn {
    /// The column of the source (sink: of the result).
    pub column: Name,
    /// Java date-time pattern, for STRING columns.
    pub format: Option<String>,
}

/// An operator of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatorNode {
    /// Stable name.
    pub name: String,
    /// What it does.
    pub kind: OperatorKind,
    /// Its output edge.
    pub schema: EdgeSchema,
    /// What its output edge may hold.
    pub encoding: Encoding,
}

/// What an operator does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum OperatorKind {
    /// Keeps rows for which the condition holds; rows without a value go.
    Filter {
        /// Condition over the input edge.
        #[serde(with = "expr_text")]
        predicate: Expr,
    },
    /// Computes columns.
    Project {
        /// One expression over the input edge for each column of the output edge.
        columns: Vec<ProjectColumn>,
    },
    /// Calls table functions and zips their results by position to the longest. Rows without a value give no rows,
    /// nor do rows for which every call gives nothing.
    FlatMap {
        /// Table function calls over the input edge. The output edge has the columns of the input that somebody wants,
        /// found by name, then one for each call.
        calls: Vec<ProjectColumn>,
    },
    /// Drops rows that cannot be grouped: those with a NULL in one of these columns, and null rows of a stream. An
    /// update of which one side goes becomes a delete or an insert. Stands before the exchange of an aggregation, and
    /// before those of a join of streams.
    RequireKey {
        /// Columns of the edge.
        key: Vec<Name>,
    },
    /// Keeps the last row of every key, and so turns an upsert edge into a changelog edge: updates and deletes carry
    /// the whole old row. A delete of a key that is not there goes.
    Remember {
        /// Columns of the edge that make the key; the rows come through an exchange by them.
        key: Vec<Name>,
    },
    /// Aggregates rows by key, and window if there is one; see [`Aggregation`].
    Aggregate(Aggregation),
    /// Joins the rows of the stage's two inputs; see [`Joining`].
    Join(Joining),
    /// Gives every change of a changelog edge a version, in a BIGINT column behind all others. Stands before the exchange
    /// of a foreign-key join's left side by the foreign key, where the changes of a key pass one task in order.
    Version,
    /// Puts the results of a foreign-key join, which come from the shards of the foreign keys, in the order of the left
    /// rows that made them: what an older version of the left row made is dropped. Comes behind an exchange by the left
    /// table's key. The output edge lacks the version.
    Resolve {
        /// Columns of the edge that make the left table's key.
        key: Vec<Name>,
        /// The column that [`OperatorKind::Version`] made.
        version: Name,
    },
}

/// A join. Port 0 is the left input, port 1 the right one; both come through exchanges by the columns of their keys.
///
/// The output edge has the columns of `key` (the join key of whichever side is there), then all columns of the left edge,
/// then all of the right edge; the columns of a side that is not there are NULL. Names on the two edges differ. The
/// encoding of the output edge is append for streams, else upsert or, where somebody behind needs old rows, changelog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Joining {
    /// Which rows without a partner are kept.
    pub kind: JoinKind,
    /// What is joined, and how.
    pub method: JoinMethod,
    /// Columns of the left edge that make the join key; window bounds are part of it where sources are windowed.
    pub left_key: Vec<Name>,
    /// Columns of the right edge that make it, in the same order.
    pub right_key: Vec<Name>,
    /// Columns of the output edge that hold the join key, in the same order.
    pub key: Vec<Name>,
}

/// Which rows without a partner a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the join its name says")]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

/// What a join joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JoinMethod {
    /// Two append edges: l and r meet if `l.time - before <= r.time <= l.time + after`. Times in milliseconds.
    Streams {
        /// How far the right row may lie before the left one.
        before_ms: i64,
        /// How far it may lie after it.
        after_ms: i64,
        /// How long past that a row waits for partners that are out of order.
        grace_ms: i64,
        /// True if rows without a partner leave once their wait is over (GRACE PERIOD was given); false: at once.
        waits: bool,
    },
    /// An append edge with a table (upsert or changelog): each left row meets the table's row of the moment.
    StreamTable,
    /// Two tables (upsert or changelog) on their primary keys.
    Tables,
    /// Two tables, by an expression of the left one that is the right one's primary key. The left edge is a changelog,
    /// dealt by the foreign key; its last column is the version that an [`OperatorKind::Version`] gave. The output's key
    /// columns are the left table's primary key; an [`OperatorKind::Resolve`] follows behind an exchange by it.
    ForeignKey {
        /// Columns of the left edge that make the left table's primary key.
        primary_key: Vec<Name>,
    },
}

/// An aggregation. Its input comes through an exchange by `key`, without rows that lack a key.
///
/// The output edge has the key columns, a column for each call, and behind them WINDOWSTART and WINDOWEND (BIGINT,
/// milliseconds) if there is a window. Event time of a result is the largest of the rows behind it (of a session: its
/// end). On an output edge of encoding upsert a result is an insert; on one of encoding changelog a result that replaces
/// another is an update with the old one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aggregation {
    /// Columns of the input edge that make the key, in the order of the output edge.
    pub key: Vec<Name>,
    /// What is computed.
    pub calls: Vec<AggregateCall>,
    /// Windows, if rows are put into some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<AggregationWindow>,
    /// When results leave.
    pub emission: Emission,
    /// True if the input edge is a changelog: old rows are taken back. The old side of an update goes before the new
    /// one; if both are of one group they make one result.
    pub retracts: bool,
}

/// A call of an aggregate function. Arguments are columns that a projection before the exchange has made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AggregateCall {
    /// Column of the output edge.
    pub name: Name,
    /// The function.
    pub function: Name,
    /// Columns of the input edge; none for COUNT(*).
    pub arguments: Vec<Name>,
    /// The constants behind the arguments that set the function up: k of TOPK, n and flags of LATEST_BY_OFFSET.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// The most values that are kept (`ksql.functions.<name>.limit`); `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `DISTINCT`: of equal arguments one counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub distinct: bool,
    /// `FILTER (WHERE …)`: the BOOLEAN column of the input edge that says which rows count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Name>,
    /// `PREVIOUS(…)`: the result before the row that made this output; NULL for a group's first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub previous: bool,
}

/// Windows of an aggregation: times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregationWindow {
    /// Kind and size.
    pub shape: WindowShape,
    /// How long past its end a window still takes rows.
    pub grace_ms: i64,
    /// How long windows are kept; at least size and grace.
    pub retention_ms: i64,
}

/// Kinds of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WindowShape {
    /// `[n * advance, n * advance + size)`; tumbling windows advance by their size.
    Time {
        /// Length, at least 1.
        size_ms: i64,
        /// Distance of starts, at least 1 and at most the size.
        advance_ms: i64,
    },
    /// From a key's first row to its last without a silence longer than this; both ends included.
    Session {
        /// The longest silence, at least 0.
        gap_ms: i64,
    },
}

/// When results leave an aggregation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Emission {
    /// Every row makes a result.
    EveryUpdate,
    /// Each group touched in an epoch makes one result, at its end.
    Coalesced,
    /// A window makes one result, once it is closed.
    Final,
    /// As `Final`, and results of windows that start before the latest window by more than size and grace are lost, as
    /// Kafka Streams loses them (setting `emit.final.kafka-loss`).
    FinalWithLoss,
}

impl OperatorKind {
    /// Every expression, over the operator's input edge.
    pub(super) fn expressions_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Self::Filter { predicate } => vec![predicate],
            Self::Project { columns } | Self::FlatMap { calls: columns } => {
                columns.iter_mut().map(|column| &mut column.expr).collect()
            }
            Self::RequireKey { .. }
            | Self::Remember { .. }
            | Self::Aggregate(_)
            | Self::Join(_)
            | Self::Version
            | Self::Resolve { .. } => Vec::new(),
        }
    }
}

/// An expression that makes a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectColumn {
    /// The column of the output edge.
    pub name: Name,
    /// Expression over the input edge.
    #[serde(with = "expr_text")]
    pub expr: Expr,
    /// True if the column is NULL for rows that have no value (null rows of a stream, deletes of a table), whatever
    /// the expression would give: `X IS NULL` is not to be true just because there is no value to look at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_value: bool,
}

/// Where a stage's rows go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "a graph has a handful of outputs and is read once")]
pub enum Output {
    /// A topic.
    Sink(SinkOutput),
    /// Rows are dealt to the next stage's tasks by the slot of their key.
    Exchange {
        /// Columns of the last edge that make the key.
        key: Vec<usize>,
    },
    /// The client of a push query, which takes all columns of the last edge. Null rows of a stream are not sent.
    Rows,
}

/// A topic written as a stream or table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkOutput {
    /// Name of the stream or table, for people.
    pub sink: Name,
    /// Topic.
    pub topic: String,
    /// How keys are written.
    pub key: Side,
    /// Columns of the last edge that make the key, in the order of the key side.
    pub key_columns: Vec<usize>,
    /// How values are written.
    pub value: Side,
    /// Columns of the last edge that make the value, in the order of the value side.
    pub value_columns: Vec<usize>,
    /// The window suffix of keys; the last edge then has columns WINDOWSTART and WINDOWEND.
    pub window: Option<WindowInfo>,
    /// Where the record's timestamp comes from (column of the last edge); `None` is the row's event time.
    pub timestamp: Option<TimestampColumn>,
    /// True for a table.
    pub is_table: bool,
}
