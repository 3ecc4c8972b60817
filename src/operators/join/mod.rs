//! Joins: what the rows of two inputs make together.
//!
//! Invariants:
//! - rows are taken in the order in which they come, port by port as the stage decides; results leave in that order;
//! - a result has the place of the row that made it, and the headers of its record.
//!
//! Reading order: [`given`], [`layout`], [`side_rows`], [`stream_table`], [`tables`], [`version`], [`foreign`], [`resolve`],
//! [`streams`].

mod foreign;
mod given;
mod layout;
mod resolve;
mod side_rows;
mod stream_table;
mod streams;
mod tables;
#[cfg(test)]
mod tests;
mod version;

use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::EdgeSchema;
use crate::planner::graph::{JoinMethod, Joining, OperatorNode};

use self::foreign::ForeignKeyJoin;
use self::layout::Layout;
pub(super) use self::resolve::Resolve;
use self::stream_table::StreamTableJoin;
use self::streams::{Meeting, StreamJoin};
use self::tables::TableJoin;
pub(super) use self::version::StampVersions;
use super::Operator;

/// The operator that runs a join of these two edges.
///
/// # Errors
/// The edges lack a column, or the kind of join is not built yet.
pub(super) fn compile(
    node: &OperatorNode,
    joining: &Joining,
    inputs: &[EdgeSchema],
    slots: u16,
) -> Result<Box<dyn Operator>, Diagnostic> {
    let [left, right] = inputs else {
        return Err(Diagnostic::new(Code::Internal, format!("join {} has {} inputs", node.name, inputs.len())));
    };
    let layout = Layout::new(node, joining, left, right)?;
    Ok(match &joining.method {
        JoinMethod::StreamTable => Box::new(StreamTableJoin::new(joining.kind, layout, slots)),
        JoinMethod::Tables => Box::new(TableJoin::new(joining.kind, layout, node.encoding, slots)),
        JoinMethod::Streams { before_ms, after_ms, grace_ms, waits } => {
            let meeting = Meeting { before: *before_ms, after: *after_ms, grace: *grace_ms, waits: *waits };
            Box::new(StreamJoin::new(joining.kind, meeting, layout, slots))
        }
        JoinMethod::ForeignKey { primary_key } => {
            Box::new(ForeignKeyJoin::new(node, joining, [left, right], primary_key, slots)?)
        }
    })
}
