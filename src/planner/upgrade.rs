//! CREATE OR REPLACE of a running query: which new graph may take the place of the old one.
//!
//! State, offsets and keys stay, so everything that decides them must be the same. What a stateless query may change is
//! its condition and its SELECT list.

use super::graph::{Input, OperatorGraph, OperatorKind, OperatorNode, Output, ProjectColumn, Stage};
use super::lower::PARTITION_BY;
use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::Expr;
use crate::types::Name;

/// The new graph may go on where the old one stopped.
///
/// # Errors
/// [`Code::SchemaMismatch`] with the step that differs.
pub fn check_upgrade(old: &OperatorGraph, new: &OperatorGraph) -> Result<(), Diagnostic> {
    let refuse = |what: &str| {
        Err(Diagnostic::new(Code::SchemaMismatch, format!("the query cannot be upgraded: its {what} would change"))
            .with_detail("Only the condition and the SELECT list of a query may change.")
            .with_hint("Drop the stream or table and create it again."))
    };
    if old.stages.len() != new.stages.len() || old.slots != new.slots {
        return refuse("shape");
    }
    for (old, new) in old.stages.iter().zip(&new.stages) {
        if !old.inputs.iter().map(source_of).eq(new.inputs.iter().map(source_of)) {
            return refuse("source");
        }
        if steps(old) != steps(new) {
            return refuse("keys or table functions");
        }
        if !stateful(old).eq(stateful(new)) {
            return refuse("state");
        }
        match (&old.output, &new.output) {
            (Output::Exchange { .. }, Output::Exchange { .. }) if key_names(old) == key_names(new) => {}
            (Output::Sink(a), Output::Sink(b)) if (&a.sink, &a.topic) == (&b.sink, &b.topic) => {}
            (Output::Rows, Output::Rows) => {}
            _ => return refuse("output"),
        }
    }
    Ok(())
}

/// What of an input must stay; which columns are read may change.
fn source_of(input: &Input) -> (Option<(&Name, &str, bool)>, Option<usize>) {
    match input {
        Input::Source(source) => (Some((&source.source, &source.topic, source.is_table)), None),
        Input::Exchange { stage } => (None, Some(*stage)),
    }
}

/// What a stage computes that must stay: keys and table functions, beyond columns that are passed on.
fn steps(stage: &Stage) -> Vec<(&str, &ProjectColumn)> {
    let mut steps = Vec::new();
    for operator in &stage.operators {
        let computed = match &operator.kind {
            OperatorKind::FlatMap { calls } => calls,
            OperatorKind::Project { columns } if operator.name == PARTITION_BY => columns,
            OperatorKind::Project { .. }
            | OperatorKind::Filter { .. }
            | OperatorKind::RequireKey { .. }
            | OperatorKind::Remember { .. }
            | OperatorKind::Aggregate(_)
            | OperatorKind::Join(_)
            | OperatorKind::Resolve { .. } => continue,
        };
        let is_passed = |column: &ProjectColumn| column.expr == Expr::column(column.name.clone());
        steps
            .extend(computed.iter().filter(|column| !is_passed(column)).map(|column| (operator.name.as_str(), column)));
    }
    steps
}

/// The operators that keep state, with all that shapes it.
fn stateful(stage: &Stage) -> impl Iterator<Item = &OperatorNode> {
    stage.operators.iter().filter(|operator| {
        matches!(
            operator.kind,
            OperatorKind::Remember { .. }
                | OperatorKind::Aggregate(_)
                | OperatorKind::Join(_)
                | OperatorKind::Resolve { .. }
        )
    })
}

/// The columns by which a stage deals its rows.
fn key_names(stage: &Stage) -> Vec<Name> {
    let Output::Exchange { key } = &stage.output else { return vec![] };
    let edge = stage.operators.last().map(|operator| &operator.schema).or_else(|| {
        stage.inputs.iter().find_map(|input| match input {
            Input::Source(source) => Some(&source.schema),
            Input::Exchange { .. } => None,
        })
    });
    edge.map_or_else(Vec::new, |edge| key.iter().map(|&index| edge.columns()[index].name.clone()).collect())
}
