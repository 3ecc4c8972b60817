//! Calls of defined functions in an operator graph are replaced by what they stand for: stored graphs and running
//! queries know built-in functions only, so that dropping or replacing a function changes nothing there.

use std::collections::BTreeSet;

use super::graph::{Input, OperatorGraph};
use crate::diagnostics::Diagnostic;
use crate::functions::FunctionRegistry;
use crate::types::Name;

/// The graph without calls of defined functions.
///
/// # Errors
/// They stand for too much.
pub(super) fn expanded(mut graph: OperatorGraph, functions: &FunctionRegistry) -> Result<OperatorGraph, Diagnostic> {
    // Parameters of lambdas may hide no column of the edge that they stand on; avoiding all columns is simplest.
    let columns: BTreeSet<Name> = graph
        .stages
        .iter()
        .flat_map(|stage| {
            let sources = stage.inputs.iter().filter_map(|input| match input {
                Input::Source(source) => Some(&source.schema),
                Input::Exchange { .. } => None,
            });
            sources.chain(stage.operators.iter().map(|operator| &operator.schema))
        })
        .flat_map(|schema| schema.columns().iter().map(|column| column.name.clone()))
        .collect();
    for operator in graph.stages.iter_mut().flat_map(|stage| &mut stage.operators) {
        for expr in operator.kind.expressions_mut() {
            *expr = functions.expand(expr, columns.clone())?;
        }
    }
    Ok(graph)
}
