//! Plans and operator graphs as text, for EXPLAIN and for tests.

use std::fmt::Write as _;

use super::graph::{
    Aggregation, AggregationWindow, Input, JoinKind, JoinMethod, Joining, OperatorGraph, OperatorKind, Output,
    ProjectColumn, SinkOutput, SourceColumn, SourceInput, TimestampColumn, WindowShape,
};
use super::plan::Plan;
use crate::expressions::EdgeSchema;
use crate::formats::Side;
use crate::functions::aggregate::Parameter;
use crate::types::Name;

/// The plan, root first, each node indented below the one that takes its rows.
pub fn explain_plan(plan: &Plan) -> String {
    let mut text = String::new();
    write_plan(plan, 0, &mut text);
    text
}

fn write_plan(node: &Plan, depth: usize, text: &mut String) {
    let _ = writeln!(text, "{:indent$}{}", "", describe(node), indent = depth * 2);
    node.inputs().into_iter().for_each(|input| write_plan(input, depth + 1, text));
}

fn describe(node: &Plan) -> String {
    match node {
        Plan::Source(node) => format!("Source {} {}", node.source.kind.noun(), node.source.name),
        Plan::Filter(node) => format!("Filter {}", node.predicate),
        Plan::PartitionBy(node) => {
            let key = if node.key.is_empty() { "NULL".to_owned() } else { names(&node.key) };
            let computed = columns(&node.computed);
            if computed.is_empty() { format!("PartitionBy {key}") } else { format!("PartitionBy {key}: {computed}") }
        }
        Plan::FlatMap(node) => format!("FlatMap {}", columns(&node.calls)),
        Plan::Join(node) => {
            let computed = [columns(&node.left_computed), columns(&node.right_computed)].join(" ");
            let hiding = node.hiding.as_ref();
            let hiding = hiding.map_or_else(String::new, |hiding| format!(" partners if {}", hiding.unless));
            format!("Join {}{hiding} {}", joining(&node.joining), computed.trim()).trim_end().to_owned()
        }
        Plan::Aggregate(node) => {
            format!("Aggregate {} by {}", aggregation(&node.aggregation), columns(&node.key))
        }
        Plan::Project(node) => format!("Project {}", columns(&node.columns)),
        Plan::Sink(node) => {
            format!(
                "Sink {} {}: {}",
                node.sink.kind.noun(),
                node.sink.name,
                node.sink.schema.display(node.sink.is_table())
            )
        }
    }
}

/// The graph, stage by stage in the order rows pass.
pub fn explain_graph(graph: &OperatorGraph) -> String {
    let mut text = String::new();
    for (index, stage) in graph.stages.iter().enumerate() {
        let _ = writeln!(text, "stage {index} {}", stage.name);
        for input in &stage.inputs {
            let _ = match input {
                Input::Source(source) => writeln!(text, "  from {}", describe_source(source)),
                Input::Exchange { stage } => writeln!(text, "  from stage {stage}"),
            };
        }
        for operator in &stage.operators {
            let what = match &operator.kind {
                OperatorKind::Filter { predicate } => predicate.to_string(),
                OperatorKind::Project { columns: all } | OperatorKind::FlatMap { calls: all } => columns(all),
                OperatorKind::RequireKey { key } | OperatorKind::Remember { key } => names(key),
                OperatorKind::Join(node) => joining(node),
                OperatorKind::Version => String::new(),
                OperatorKind::Resolve { key, version } => format!("{} by {version}", names(key)),
                OperatorKind::Aggregate(node) => format!("{} by {}", aggregation(node), names(&node.key)),
            };
            let _ =
                writeln!(text, "  {} {what}\n    {} ({:?})", operator.name, edge(&operator.schema), operator.encoding);
        }
        let _ = match &stage.output {
            Output::Sink(sink) => writeln!(text, "  to {}", describe_sink(sink)),
            Output::Exchange { key } => writeln!(text, "  to exchange by {key:?} over {} slots", graph.slots),
            Output::Rows => writeln!(text, "  to client"),
        };
    }
    text
}

fn joining(node: &Joining) -> String {
    let pairs: Vec<String> =
        node.left_key.iter().zip(&node.right_key).map(|(left, right)| format!("{left} = {right}")).collect();
    let method = match &node.method {
        JoinMethod::Streams { before_ms, after_ms, grace_ms, waits } => {
            let waits = if *waits && node.kind != JoinKind::Inner { "; rows without partner wait" } else { "" };
            format!("streams within ({before_ms} ms, {after_ms} ms), kept for {grace_ms} ms more{waits},")
        }
        JoinMethod::StreamTable => "stream with table".to_owned(),
        JoinMethod::Tables => "tables".to_owned(),
        JoinMethod::ForeignKey { primary_key } => format!("tables keyed by {} on a foreign key,", names(primary_key)),
    };
    format!("{:?} {method} on {} as {}", node.kind, pairs.join(" and "), names(&node.key))
}

fn aggregation(node: &Aggregation) -> String {
    let calls: Vec<String> = node
        .calls
        .iter()
        .map(|call| {
            let distinct = if call.distinct { "DISTINCT " } else { "" };
            let parameters = call.parameters.iter().map(|parameter| match parameter {
                Parameter::Boolean(flag) => flag.to_string(),
                Parameter::Integer(number) => number.to_string(),
                Parameter::Fraction(number) => number.to_string(),
            });
            let arguments: Vec<String> = call.arguments.iter().map(ToString::to_string).chain(parameters).collect();
            let counted = call.filter.as_ref().map(|column| format!(" where {column}")).unwrap_or_default();
            let previous = if call.previous { "previous " } else { "" };
            format!("{}={previous}{}({distinct}{}){counted}", call.name, call.function, arguments.join(", "))
        })
        .collect();
    let window = node.window.map(|window| format!(" in {}", describe_window(&window))).unwrap_or_default();
    let retracts = if node.retracts { " taking back" } else { "" };
    format!("{}{window} {:?}{retracts}", calls.join(", "), node.emission)
}

fn describe_window(window: &AggregationWindow) -> String {
    let shape = match window.shape {
        WindowShape::Time { size_ms, advance_ms } if size_ms == advance_ms => {
            format!("tumbling windows of {size_ms} ms")
        }
        WindowShape::Time { size_ms, advance_ms } => format!("hopping windows of {size_ms} ms every {advance_ms} ms"),
        WindowShape::Session { gap_ms } => format!("sessions with gaps up to {gap_ms} ms"),
    };
    format!("{shape}, grace {} ms, kept {} ms,", window.grace_ms, window.retention_ms)
}

fn describe_source(source: &SourceInput) -> String {
    let kind = if source.is_table { "table" } else { "stream" };
    let columns: Vec<_> = source.columns.iter().map(place).collect();
    format!(
        "{kind} {} topic {} key {} value {}{} reads {}\n    {}",
        source.source,
        source.topic,
        format_of(&source.key),
        format_of(&source.value),
        time_of(source.timestamp.as_ref()),
        columns.join(", "),
        edge(&source.schema)
    )
}

fn place(column: &SourceColumn) -> String {
    match column {
        SourceColumn::Key(index) => format!("key[{index}]"),
        SourceColumn::Value(index) => format!("value[{index}]"),
        SourceColumn::Headers => "headers".to_owned(),
        SourceColumn::Header(name) => format!("header '{name}'"),
        SourceColumn::RowTime => "time".to_owned(),
        SourceColumn::RowPartition => "partition".to_owned(),
        SourceColumn::RowOffset => "offset".to_owned(),
        SourceColumn::WindowStart => "window start".to_owned(),
        SourceColumn::WindowEnd => "window end".to_owned(),
    }
}

fn describe_sink(sink: &SinkOutput) -> String {
    let kind = if sink.is_table { "table" } else { "stream" };
    format!(
        "{kind} {} topic {} key {} {:?} value {} {:?}{}",
        sink.sink,
        sink.topic,
        format_of(&sink.key),
        sink.key_columns,
        format_of(&sink.value),
        sink.value_columns,
        time_of(sink.timestamp.as_ref())
    )
}

/// Where event time comes from, if not from the record.
fn time_of(timestamp: Option<&TimestampColumn>) -> String {
    match timestamp {
        Some(TimestampColumn { column, format: Some(format) }) => format!(" time {column} as '{format}'"),
        Some(TimestampColumn { column, format: None }) => format!(" time {column}"),
        None => String::new(),
    }
}

/// The format, and what it was told.
fn format_of(side: &Side) -> String {
    let mut text = side.format.to_string();
    if let Some(delimiter) = side.delimiter {
        let _ = write!(text, " delimiter {delimiter:?}");
    }
    if side.unwrapped {
        text.push_str(" unwrapped");
    }
    text
}

fn edge(schema: &EdgeSchema) -> String {
    let columns: Vec<_> = schema.columns().iter().map(|column| format!("{} {}", column.name, column.ty)).collect();
    columns.join(", ")
}

fn columns(columns: &[ProjectColumn]) -> String {
    let all: Vec<_> = columns
        .iter()
        .map(|column| {
            let guard = if column.needs_value { " IF VALUE" } else { "" };
            let expr = column.expr.to_string();
            if expr == column.name.to_string() {
                format!("{expr}{guard}")
            } else {
                format!("{expr}{guard} AS {}", column.name)
            }
        })
        .collect();
    all.join(", ")
}

fn names(names: &[Name]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
