//! Which encodings operators take and give: the edges of a graph fit together before it is stored.
//!
//! A table's edge is an upsert where nobody needs old rows. Who does asks for a changelog when it is lowered, and
//! aggregates, joins and [`OperatorKind::Remember`] give one; what then does not fit is refused here.

use super::graph::{Emission, Encoding, Input, JoinMethod, OperatorGraph, OperatorKind, OperatorNode, Stage};
use crate::diagnostics::{Code, Diagnostic};

const STREAM: &[Encoding] = &[Encoding::Append];
const TABLE: &[Encoding] = &[Encoding::Upsert, Encoding::Changelog];
const CHANGELOG: &[Encoding] = &[Encoding::Changelog];
const OLD_ROWS: &[Encoding] = &[Encoding::Append, Encoding::Changelog];
const ANY: &[Encoding] = &[Encoding::Append, Encoding::Upsert, Encoding::Changelog];

/// The encodings that an operator takes on a port.
pub fn taken(kind: &OperatorKind, port: usize) -> &'static [Encoding] {
    match kind {
        // They look at rows, and so at old ones: a delete with the key alone would get lost.
        OperatorKind::Filter { .. } | OperatorKind::RequireKey { .. } => OLD_ROWS,
        OperatorKind::FlatMap { .. } => STREAM,
        OperatorKind::Project { .. } => ANY,
        OperatorKind::Remember { .. } => TABLE,
        OperatorKind::Aggregate(aggregation) if aggregation.retracts => OLD_ROWS,
        OperatorKind::Aggregate(_) => STREAM,
        OperatorKind::Version => CHANGELOG,
        OperatorKind::Resolve { .. } => &[Encoding::Upsert],
        OperatorKind::Join(joining) => match (&joining.method, port) {
            (JoinMethod::Streams { .. }, _) | (JoinMethod::StreamTable, 0) => STREAM,
            (JoinMethod::ForeignKey { .. }, 0) => CHANGELOG,
            (JoinMethod::StreamTable | JoinMethod::Tables | JoinMethod::ForeignKey { .. }, _) => TABLE,
        },
    }
}

/// The encodings that an operator may give when it is given `input`.
fn given(kind: &OperatorKind, input: Encoding) -> &'static [Encoding] {
    match kind {
        OperatorKind::Filter { .. }
        | OperatorKind::RequireKey { .. }
        | OperatorKind::FlatMap { .. }
        | OperatorKind::Project { .. } => match input {
            Encoding::Append => STREAM,
            Encoding::Upsert => &[Encoding::Upsert],
            Encoding::Changelog => CHANGELOG,
        },
        OperatorKind::Remember { .. } | OperatorKind::Version => CHANGELOG,
        // The one result of a closed window replaces nothing.
        OperatorKind::Aggregate(aggregation) => match aggregation.emission {
            Emission::Final | Emission::FinalWithLoss => STREAM,
            Emission::EveryUpdate | Emission::Coalesced => TABLE,
        },
        OperatorKind::Resolve { .. } => TABLE,
        OperatorKind::Join(joining) => match joining.method {
            JoinMethod::Streams { .. } | JoinMethod::StreamTable => STREAM,
            JoinMethod::Tables => TABLE,
            JoinMethod::ForeignKey { .. } => &[Encoding::Upsert],
        },
    }
}

/// The encodings of a stage's inputs, port by port. An input that names no earlier stage has none.
pub fn input_encodings(graph: &OperatorGraph, stage: &Stage) -> Vec<Encoding> {
    let of_input = |input: &Input| match input {
        Input::Source(source) if source.is_table => Some(Encoding::Upsert),
        Input::Source(_) => Some(Encoding::Append),
        Input::Exchange { stage } => {
            let stage = graph.stages.get(*stage)?;
            match stage.operators.last() {
                Some(node) => Some(node.encoding),
                None => input_encodings(graph, stage).first().copied(),
            }
        }
    };
    stage.inputs.iter().filter_map(of_input).collect()
}

/// Refuses a graph whose operators are given what they do not take, or promise what they do not give.
///
/// # Errors
/// It names the first such operator. Statements are written so that there is none: this is a mistake of the planner.
pub(super) fn check(graph: &OperatorGraph) -> Result<(), Diagnostic> {
    for stage in &graph.stages {
        let mut inputs = input_encodings(graph, stage);
        for node in &stage.operators {
            check_node(node, &inputs)?;
            inputs = vec![node.encoding];
        }
    }
    Ok(())
}

fn check_node(node: &OperatorNode, inputs: &[Encoding]) -> Result<(), Diagnostic> {
    let wrong = |what: String| Err(Diagnostic::new(Code::Internal, format!("operator {} {what}", node.name)));
    for (port, input) in inputs.iter().enumerate() {
        let taken = taken(&node.kind, port);
        if !taken.contains(input) {
            return wrong(format!("takes {taken:?} on port {port}, and its input is {input:?}"));
        }
    }
    let input = inputs.first().copied().unwrap_or(Encoding::Append);
    let given = given(&node.kind, input);
    if !given.contains(&node.encoding) {
        return wrong(format!("gives {given:?}, and its edge is {:?}", node.encoding));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check_node, taken};
    use crate::expressions::EdgeSchema;
    use crate::planner::graph::Encoding::{self, Append, Changelog, Upsert};
    use crate::planner::graph::{JoinKind, JoinMethod, Joining, OperatorKind, OperatorNode};

    fn join(method: JoinMethod) -> OperatorKind {
        OperatorKind::Join(Joining { kind: JoinKind::Inner, method, left_key: vec![], right_key: vec![], key: vec![] })
    }

    fn check(kind: OperatorKind, inputs: &[Encoding], encoding: Encoding) -> Result<(), String> {
        let node = OperatorNode { name: "X".to_owned(), kind, schema: EdgeSchema::default(), encoding };
        check_node(&node, inputs).map_err(|error| error.primary)
    }

    #[test]
    fn who_looks_at_old_rows_needs_a_changelog() {
        let guard = || OperatorKind::RequireKey { key: vec![] };
        assert_eq!(check(guard(), &[Changelog], Changelog), Ok(()));
        assert!(check(guard(), &[Upsert], Upsert).unwrap_err().contains("takes [Append, Changelog] on port 0"));
        assert!(check(guard(), &[Append], Changelog).unwrap_err().contains("gives [Append]"));
    }

    #[test]
    fn the_sides_of_a_join_differ() {
        let by_key = || join(JoinMethod::ForeignKey { primary_key: vec![] });
        assert_eq!(check(by_key(), &[Changelog, Upsert], Upsert), Ok(()));
        assert!(check(by_key(), &[Upsert, Upsert], Upsert).is_err());
        assert!(check(join(JoinMethod::StreamTable), &[Append, Append], Append).is_err());
        assert_eq!(taken(&join(JoinMethod::Tables), 1), [Upsert, Changelog]);
    }
}
