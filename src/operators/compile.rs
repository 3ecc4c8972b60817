//! Operator nodes of a graph to operators that run.

use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::{EdgeSchema, Predicate, Projection};
use crate::functions::FunctionRegistry;
use crate::planner::graph::{OperatorKind, OperatorNode, ProjectColumn};

use super::{Filter, FlatMap, Operator, Project, Remember, RequireKey, aggregate, join};

/// The operator that runs `node` over batches of the edges `inputs`, port by port, with keys hashed to `slots`.
///
/// # Errors
/// An expression of the node does not compile over the edge: the graph was written by another version.
pub fn compile(
    node: &OperatorNode,
    inputs: &[EdgeSchema],
    functions: &FunctionRegistry,
    slots: u16,
) -> Result<Box<dyn Operator>, Diagnostic> {
    let [input, ..] = inputs else {
        return Err(Diagnostic::new(Code::Internal, format!("operator {} has no input", node.name)));
    };
    Ok(match &node.kind {
        OperatorKind::Filter { predicate } => {
            Box::new(Filter::new(Predicate::compile("WHERE", predicate, input, functions)?))
        }
        OperatorKind::Project { columns } => {
            let needs_value =
                columns.iter().enumerate().filter(|(_, column)| column.needs_value).map(|(index, _)| index).collect();
            Box::new(Project::new(compile_columns(columns, input, functions)?, needs_value, &node.schema))
        }
        OperatorKind::FlatMap { calls } => {
            let passed = &node.schema.columns()[..node.schema.columns().len().saturating_sub(calls.len())];
            let kept = passed.iter().filter_map(|column| input.index_of(&column.name)).collect();
            Box::new(FlatMap::new(compile_columns(calls, input, functions)?, kept, &node.schema))
        }
        OperatorKind::RequireKey { key } => Box::new(RequireKey::compile(key, input)?),
        OperatorKind::Remember { key } => Box::new(Remember::compile(key, input, slots)?),
        OperatorKind::Join(joining) => join::compile(node, joining, inputs, slots)?,
        OperatorKind::Version => Box::new(join::StampVersions::new(node)),
        OperatorKind::Resolve { key, version } => Box::new(join::Resolve::compile(node, (key, version), input, slots)?),
        OperatorKind::Aggregate(aggregation) => aggregate::compile(node, aggregation, input, functions, slots)?,
    })
}

fn compile_columns(
    columns: &[ProjectColumn],
    input: &EdgeSchema,
    functions: &FunctionRegistry,
) -> Result<Projection, Diagnostic> {
    let expressions: Vec<_> =
        columns.iter().map(|column| (column.name.as_str().to_owned(), column.expr.clone())).collect();
    Projection::compile(&expressions, input, functions)
}
