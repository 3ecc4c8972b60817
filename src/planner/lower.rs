//! The plan becomes the operator graph: cut into stages, with names, and without columns that nobody reads.
//!
//! Names of stages and operators are part of the written form: state will be found by them.

use std::collections::BTreeSet;

use super::graph::{
    Encoding, GRAPH_VERSION, Input, OperatorGraph, OperatorKind, OperatorNode, Output, ProjectColumn, SinkOutput,
    SourceInput, Stage,
};
use super::plan::{FlatMapNode, PartitionByNode, Plan, SinkNode, SourceNode};
use super::rewrite::columns_of;
use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeColumn, EdgeSchema};
use crate::sql::ast::Expr;
use crate::types::Name;

/// The name of the operator that computes new keys.
pub(super) const PARTITION_BY: &str = "PartitionBy";

/// Lowers a plan; without a sink at its root the rows go to a client.
pub(super) fn lower(plan: &Plan, slots: u16) -> Result<OperatorGraph, Diagnostic> {
    let mut stages = Stages { done: vec![], open: None };
    let output = match plan {
        Plan::Sink(sink) => {
            let edge = stages.chain(&sink.input, &all(sink.input.schema()))?;
            Output::Sink(sink_output(sink, &edge)?)
        }
        rows => {
            stages.chain(rows, &all(rows.schema()))?;
            Output::Rows
        }
    };
    stages.close(output)?;
    Ok(OperatorGraph { version: GRAPH_VERSION, stages: stages.done, slots })
}

/// The stages so far; rows of the open one go on.
struct Stages {
    done: Vec<Stage>,
    open: Option<OpenStage>,
}

struct OpenStage {
    name: String,
    input: Input,
    operators: Vec<OperatorNode>,
    encoding: Encoding,
}

type Wanted = BTreeSet<Name>;

impl Stages {
    /// Lowers a node and all below it; gives the columns of its edge, which are at least `wanted`.
    fn chain(&mut self, plan: &Plan, wanted: &Wanted) -> Result<EdgeSchema, Diagnostic> {
        match plan {
            Plan::Source(source) => self.source(source, wanted),
            Plan::Filter(filter) => {
                let edge = self.chain(&filter.input, &with_reads(wanted, [&filter.predicate]))?;
                let kind = OperatorKind::Filter { predicate: filter.predicate.clone() };
                self.operator("Where", kind, edge)
            }
            Plan::PartitionBy(node) => self.partition_by(node, wanted),
            Plan::FlatMap(node) => self.flat_map(node, wanted),
            Plan::Aggregate(_) => Err(Diagnostic::not_implemented("GROUP BY")),
            Plan::Project(node) => {
                let exprs = node.columns.iter().map(|column| &column.expr);
                self.chain(&node.input, &with_reads(&Wanted::new(), exprs))?;
                let kind = OperatorKind::Project { columns: node.columns.clone() };
                self.operator("Project", kind, node.schema.clone())
            }
            Plan::Sink(_) => Err(Diagnostic::new(Code::Internal, "a sink stands inside a plan")),
        }
    }

    fn source(&mut self, node: &SourceNode, wanted: &Wanted) -> Result<EdgeSchema, Diagnostic> {
        let mut kept: Vec<usize> =
            (0..node.columns.len()).filter(|&index| wanted.contains(&node.schema.columns()[index].name)).collect();
        if kept.is_empty() {
            // A batch without columns would not know its length everywhere; event time costs nothing.
            kept.extend(node.columns.iter().position(|column| *column == super::graph::SourceColumn::RowTime));
        }
        let schema = EdgeSchema::new(kept.iter().map(|&index| node.schema.columns()[index].clone()).collect());
        let source = &node.source;
        let input = SourceInput {
            source: source.name.clone(),
            topic: source.topic.clone(),
            key: source.key.clone(),
            value: source.value.clone(),
            window: source.window,
            timestamp: source.timestamp.clone(),
            is_table: source.is_table(),
            columns: kept.iter().map(|&index| node.columns[index].clone()).collect(),
            schema: schema.clone(),
        };
        let encoding = if source.is_table() { Encoding::Upsert } else { Encoding::Append };
        self.open =
            Some(OpenStage { name: "Source".to_owned(), input: Input::Source(input), operators: vec![], encoding });
        Ok(schema)
    }

    /// Computed keys are one more projection; then rows are dealt by their key, if they have one.
    fn partition_by(&mut self, node: &PartitionByNode, wanted: &Wanted) -> Result<EdgeSchema, Diagnostic> {
        let mut below: Wanted = wanted.iter().chain(&node.key).cloned().collect();
        below.retain(|name| node.input.schema().index_of(name).is_some());
        let below = with_reads(&below, node.computed.iter().map(|column| &column.expr));
        let mut edge = self.chain(&node.input, &below)?;
        let kept: Vec<EdgeColumn> = edge
            .columns()
            .iter()
            .filter(|column| wanted.contains(&column.name) || node.key.contains(&column.name))
            .cloned()
            .collect();
        if !node.computed.is_empty() || kept.len() < edge.columns().len() {
            let passed = kept.iter().map(|column| ProjectColumn {
                name: column.name.clone(),
                expr: Expr::column(column.name.clone()),
                needs_value: false,
            });
            let columns: Vec<ProjectColumn> = passed.chain(node.computed.iter().cloned()).collect();
            let computed = node.computed.iter().filter_map(|column| edge_column(&node.schema, &column.name));
            let schema = EdgeSchema::new(kept.into_iter().chain(computed).collect());
            edge = self.operator(PARTITION_BY, OperatorKind::Project { columns }, schema)?;
        }
        let key = positions(&edge, &node.key)?;
        if key.is_empty() {
            return Ok(edge);
        }
        let encoding = self.open.as_ref().map_or(Encoding::Append, |stage| stage.encoding);
        self.close(Output::Exchange { key })?;
        let input = Input::Exchange { stage: self.done.len() - 1 };
        self.open = Some(OpenStage { name: "Repartitioned".to_owned(), input, operators: vec![], encoding });
        Ok(edge)
    }

    fn flat_map(&mut self, node: &FlatMapNode, wanted: &Wanted) -> Result<EdgeSchema, Diagnostic> {
        let mut below = wanted.clone();
        below.retain(|name| node.input.schema().index_of(name).is_some());
        let below = with_reads(&below, node.calls.iter().map(|call| &call.expr));
        let edge = self.chain(&node.input, &below)?;
        let kept = edge.columns().iter().filter(|column| wanted.contains(&column.name)).cloned();
        let results = node.calls.iter().filter_map(|call| edge_column(&node.schema, &call.name));
        let schema = EdgeSchema::new(kept.chain(results).collect());
        self.operator("FlatMap", OperatorKind::FlatMap { calls: node.calls.clone() }, schema)
    }

    fn operator(&mut self, name: &str, kind: OperatorKind, schema: EdgeSchema) -> Result<EdgeSchema, Diagnostic> {
        let stage = self.open.as_mut().ok_or_else(no_stage)?;
        let encoding = stage.encoding;
        stage.operators.push(OperatorNode { name: name.to_owned(), kind, schema: schema.clone(), encoding });
        Ok(schema)
    }

    fn close(&mut self, output: Output) -> Result<(), Diagnostic> {
        let stage = self.open.take().ok_or_else(no_stage)?;
        self.done.push(Stage { name: stage.name, inputs: vec![stage.input], operators: stage.operators, output });
        Ok(())
    }
}

fn no_stage() -> Diagnostic {
    Diagnostic::new(Code::Internal, "a plan has no source")
}

fn all(schema: &EdgeSchema) -> Wanted {
    schema.columns().iter().map(|column| column.name.clone()).collect()
}

fn with_reads<'a>(wanted: &Wanted, exprs: impl IntoIterator<Item = &'a Expr>) -> Wanted {
    let mut wanted = wanted.clone();
    exprs.into_iter().for_each(|expr| wanted.extend(columns_of(expr)));
    wanted
}

fn edge_column(schema: &EdgeSchema, name: &Name) -> Option<EdgeColumn> {
    schema.index_of(name).map(|index| schema.columns()[index].clone())
}

fn positions(edge: &EdgeSchema, names: &[Name]) -> Result<Vec<usize>, Diagnostic> {
    names
        .iter()
        .map(|name| {
            edge.index_of(name)
                .ok_or_else(|| Diagnostic::new(Code::Internal, format!("column {name} is missing from an edge")))
        })
        .collect()
}

fn sink_output(node: &SinkNode, edge: &EdgeSchema) -> Result<SinkOutput, Diagnostic> {
    let sink = &node.sink;
    Ok(SinkOutput {
        sink: sink.name.clone(),
        topic: sink.topic.clone(),
        key: sink.key.clone(),
        key_columns: positions(edge, &node.key)?,
        value: sink.value.clone(),
        value_columns: positions(edge, &node.value)?,
        window: sink.window,
        timestamp: node.timestamp.clone(),
        is_table: sink.is_table(),
    })
}
