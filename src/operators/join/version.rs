//! Versions of the rows of a foreign-key join's left table: what came later wins, whichever way it took.
//!
//! ```text
//!   left row of key a, foreign key x → y       shard of x    (leaves, says nothing)
//!                                              shard of y    result of version 7  ─┐
//!   right row of x changes meanwhile           shard of x    result of version 6  ─┴▶ shard of a: 7 stays, 6 is stale
//! ```

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array};

use crate::operators::project::rows_of;
use crate::operators::{Operator, Output, Port, Step};
use crate::planner::graph::OperatorNode;
use crate::types::{ChangeBatch, Op};

/// A version in a BIGINT column: a number that grows with every change, and one more bit.
///
/// On the way to the join the bit tells that the change is half of an update: the left row had another foreign key, or
/// will have. On the way from it a delete with the bit is one of a result whose left row lives on. Versions compare by
/// their numbers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(pub(super) i64);

impl Version {
    /// What state that was read back has: older than every change of this run. Nothing older can be under way.
    pub(super) const RESTORED: Self = Self(0);

    fn new(number: i64, continues: bool) -> Self {
        Self(number << 1 | i64::from(continues))
    }

    /// What versions compare by.
    pub(super) fn number(self) -> i64 {
        self.0 >> 1
    }

    /// The bit.
    pub(super) fn continues(self) -> bool {
        self.0 & 1 == 1
    }

    /// The version of a delete that leaves the left row alone.
    pub(super) fn continuing(self) -> Self {
        Self(self.0 | 1)
    }
}

/// Gives every change of a table its version: a column behind all others.
///
/// Stands where all changes of a key pass one task in order, before they are dealt by the foreign key. Keeps no state:
/// versions are of one run of the query, because nothing is under way when state is read back. Cost: a column.
///
/// ```text
///   + a 1 @1          + a 1 (1) @1
///  -u a 1 @2   ──▶   -u a 1 (2, half) @2
///  +u a 2 @2         +u a 2 (2, half) @2
///   - a 2 @3          - a 2 (3) @3
/// ```
#[derive(Debug)]
pub(crate) struct StampVersions {
    schema: datafusion::arrow::datatypes::SchemaRef,
    last: i64,
}

impl StampVersions {
    /// The operator that runs `node`, whose edge has the version behind the columns of its input.
    pub(crate) fn new(node: &OperatorNode) -> Self {
        Self { schema: node.schema.arrow(), last: 0 }
    }
}

impl Operator for StampVersions {
    fn on_changes(&mut self, _port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        let mut versions = Vec::with_capacity(input.len());
        for row in 0..input.len() {
            let op = input.ops.get(row);
            // Both halves are one change.
            self.last += i64::from(op != Op::UpdateAfter);
            versions.push(Version::new(self.last, matches!(op, Op::UpdateBefore | Op::UpdateAfter)).0);
        }
        let mut columns = input.rows.columns().to_vec();
        columns.push(Arc::new(Int64Array::from(versions)) as ArrayRef);
        let rows = rows_of(&self.schema, columns, input.len());
        out.emit(ChangeBatch { rows, ..input });
        Step::Done
    }
}
