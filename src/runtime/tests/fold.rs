//! An operator with state for tests: folds the values of each key, in order, into a number that any loss, repetition or
//! change of order shows in.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::Int64Type;

use super::{edge, graph, sink};
use crate::diagnostics::Diagnostic;
use crate::expressions::EdgeSchema;
use crate::functions::FunctionRegistry;
use crate::operators::{self, Capture, Operator, Output, Port, RestoreError, RowError, Step, StreamTime};
use crate::planner::OperatorGraph;
use crate::planner::graph::{Encoding, Input, OperatorKind, OperatorNode, Output as StageOutput};
use crate::state::{Slot, StateRow, hash_keys, slot_of};
use crate::types::{ChangeBatch, EventTime, Offset, Op, Ops, Partition, RowMeta};

/// The value that ends a key: its state goes, and a delete leaves.
pub(super) const END: i64 = 13;
/// The value that the operator cannot go on behind.
pub(super) const FATAL: i64 = -1;

thread_local! {
    /// Rows after which an operator of this thread fails, once.
    static TRIP: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Has an operator on this thread fail after so many rows, once; or no more.
pub(super) fn trip_after(rows: Option<u32>) {
    TRIP.set(rows);
}

/// True if the operator is to fail at this row.
fn trips() -> bool {
    let left = TRIP.get();
    TRIP.set(left.and_then(|left| left.checked_sub(1)));
    left == Some(0)
}

/// The fold of a value into what was.
pub(super) fn fold(so_far: i64, value: i64) -> i64 {
    so_far.wrapping_mul(31).wrapping_add(value + 1)
}

/// Nodes named `fold…` run [`Fold`]; `fold-each` says every change at once, others hold them back.
pub(super) fn compile(
    node: &OperatorNode,
    inputs: &[EdgeSchema],
    functions: &FunctionRegistry,
    slots: u16,
) -> Result<Box<dyn Operator>, Diagnostic> {
    if !node.name.starts_with("fold") {
        return operators::compile(node, inputs, functions, slots);
    }
    let holds = !node.name.starts_with("fold-each");
    Ok(Box::new(Fold { slots, holds, keys: BTreeMap::new(), held: BTreeMap::new(), dirty: BTreeSet::new() }))
}

/// Folds a topic into another, by key.
pub(super) fn fold_by_key(from: &str, to: &str, operator: &str) -> Arc<OperatorGraph> {
    let stages = vec![
        (vec![super::table(from)], StageOutput::Exchange { key: vec![0] }),
        (vec![Input::Exchange { stage: 0 }], sink(to)),
    ];
    let mut graph = OperatorGraph::clone(&graph(stages));
    graph.stages[1].operators.push(OperatorNode {
        name: operator.to_owned(),
        kind: OperatorKind::Remember { key: vec!["K".into()] },
        schema: edge(),
        encoding: Encoding::Upsert,
    });
    Arc::new(graph)
}

#[derive(Debug)]
struct Fold {
    slots: u16,
    holds: bool,
    keys: BTreeMap<String, i64>,
    /// The last row of each key not yet said.
    held: BTreeMap<String, Change>,
    dirty: BTreeSet<String>,
}

/// A change to say: the new number, or that the key ended; the record behind it.
#[derive(Debug, Clone)]
struct Change {
    number: Option<i64>,
    time: EventTime,
    stream_time: StreamTime,
    partition: Partition,
    offset: Offset,
}

fn slot(key: &str, slots: u16) -> Slot {
    let column: ArrayRef = Arc::new(StringArray::from(vec![key]));
    slot_of(hash_keys(&[&column], 1)[0], slots)
}

fn batch_of(changes: &[(String, Change)]) -> ChangeBatch {
    let keys: ArrayRef = Arc::new(changes.iter().map(|(key, _)| Some(key.as_str())).collect::<StringArray>());
    let numbers: ArrayRef = Arc::new(changes.iter().map(|(_, change)| change.number).collect::<Int64Array>());
    let op = |change: &Change| if change.number.is_some() { Op::Insert } else { Op::Delete };
    ChangeBatch {
        rows: RecordBatch::try_new(edge().arrow(), vec![keys, numbers]).unwrap(),
        ops: Ops::Each(changes.iter().map(|(_, change)| op(change)).collect()),
        null_value: None,
        meta: RowMeta {
            event_time: changes.iter().map(|(_, change)| change.time).collect(),
            stream_time: changes.iter().map(|(_, change)| change.stream_time).collect(),
            partition: changes.iter().map(|(_, change)| change.partition).collect(),
            offset: changes.iter().map(|(_, change)| change.offset).collect(),
            headers: None,
            rank: None,
        },
    }
}

impl Operator for Fold {
    fn on_changes(&mut self, _: Port, input: ChangeBatch, out: &mut Output) -> Step {
        let keys = input.rows.column(0).as_string::<i32>();
        let values = input.rows.column(1).as_primitive::<Int64Type>();
        for row in (0..input.len()).filter(|row| values.is_valid(*row)) {
            let (key, value) = (keys.value(row).to_owned(), values.value(row));
            let trips = trips();
            assert!(!trips || value % 2 == 0, "an operator panics");
            if value == FATAL || trips {
                out.fatal = Some(RowError {
                    partition: input.meta.partition[row],
                    offset: input.meta.offset[row],
                    expression: "FOLD".to_owned(),
                    message: "cannot go on".to_owned(),
                });
                return Step::Done;
            }
            let number = if value == END {
                self.keys.remove(&key);
                None
            } else {
                let number = fold(self.keys.get(&key).copied().unwrap_or(0), value);
                self.keys.insert(key.clone(), number);
                Some(number)
            };
            self.dirty.insert(key.clone());
            let change = Change {
                number,
                time: input.meta.event_time[row],
                stream_time: input.meta.stream_time[row],
                partition: input.meta.partition[row],
                offset: input.meta.offset[row],
            };
            if self.holds {
                self.held.insert(key, change);
            } else {
                out.emit(batch_of(&[(key, change)]));
            }
        }
        Step::Done
    }

    fn flush(&mut self, out: &mut Output) -> Step {
        // One at a time, as an operator with much to say would.
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Output) -> Step {
        let Some(said) = self.held.pop_first() else { return Step::Done };
        out.emit(batch_of(&[said]));
        if self.held.is_empty() { Step::Done } else { Step::More }
    }

    fn on_barrier(&mut self, capture: &mut Capture) {
        assert!(self.held.is_empty(), "flushed before the barrier");
        for key in std::mem::take(&mut self.dirty) {
            let value = self.keys.get(&key).map(|number| Bytes::copy_from_slice(&number.to_be_bytes()));
            capture.state.push(StateRow { slot: slot(&key, self.slots), key: key.into_bytes().into(), value });
        }
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn restore(&mut self, rows: Vec<StateRow>) -> Result<(), RestoreError> {
        for row in rows {
            let key = String::from_utf8(row.key.to_vec()).map_err(|error| RestoreError(error.to_string()))?;
            match row.value {
                None => {
                    self.keys.remove(&key);
                }
                Some(value) => {
                    let number = value.as_ref().try_into().map_err(|_| RestoreError("not a number".to_owned()))?;
                    self.keys.insert(key, i64::from_be_bytes(number));
                }
            }
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.keys.len() * 100
    }
}
