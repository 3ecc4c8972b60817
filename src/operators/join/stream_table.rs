//! A stream with a table: each row of the stream meets the table's row of the moment.

use datafusion::arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use datafusion::arrow::compute;

use crate::operators::{Capture, Operator, Output, Port, RestoreError, Step};
use crate::planner::graph::JoinKind;
use crate::state::StateRow;
use crate::types::{ChangeBatch, Op};

use super::layout::{Layout, SideResults};
use super::side_rows::{Side, SideRows};

/// Looks up the table's row for every row of the stream (semantics 8.4).
///
/// Keeps the table's rows; their changes emit nothing. Gives a row for each row of the stream that finds one; a left
/// join also for those that do not, and for those without a key. Time, place and headers are those of the stream's row.
/// Null rows of the stream go. Cost: about 200 ns a row.
///
/// ```text
///   table + a 1 @5
///   stream + a 7 @1   ──▶   + a (7, 1) @1
///   stream + b 8 @2   ──▶   + b (8, null) @2     (LEFT only)
/// ```
#[derive(Debug)]
pub(super) struct StreamTableJoin {
    // fixed
    kind: JoinKind,
    layout: Layout,
    // changing
    table: SideRows,
}

impl StreamTableJoin {
    pub(super) fn new(kind: JoinKind, layout: Layout, slots: u16) -> Self {
        let table = SideRows::new(Side::Right, layout.right.clone(), slots);
        Self { kind, layout, table }
    }

    /// The table has changed.
    fn keep(&mut self, input: &ChangeBatch) {
        let side = &self.layout.right;
        let keys = self.table.keys(side.key_columns(input), input.len());
        let rows = side.codec.encode(input.rows.columns(), input.len());
        for entry in 0..input.len() {
            let row = match input.ops.get(entry) {
                Op::UpdateBefore => continue,
                Op::Insert | Op::UpdateAfter => rows.get(entry),
                Op::Delete => &[],
            };
            self.table.set(&keys, entry as u32, row, input.meta.event_time[entry]);
        }
    }

    /// Rows of the stream look the table up.
    fn probe(&self, input: &ChangeBatch) -> ChangeBatch {
        let side = &self.layout.left;
        let key_columns = side.key_columns(input);
        let keyed = side.with_key(input);
        let lookups = match &keyed {
            None => key_columns.clone(),
            Some(keyed) => key_columns
                .iter()
                .map(|column| compute::filter(column, keyed).expect("one boolean a row"))
                .collect::<Vec<ArrayRef>>(),
        };
        let count = keyed.as_ref().map_or(input.len(), BooleanArray::true_count);
        let keys = self.table.keys(lookups, count);
        let (mut entries, mut found) = (Vec::with_capacity(input.len()), SideResults::default());
        let mut next = 0;
        for entry in 0..input.len() {
            let mut row = None;
            if keyed.as_ref().is_none_or(|keyed| keyed.value(entry)) {
                row = self.table.get(&keys, next);
                next += 1;
            }
            let is_kept = row.is_some() || (self.kind == JoinKind::Left && !input.is_null_row(entry));
            if is_kept {
                found.push(row.map(|(row, _)| row), &self.layout.right);
                entries.push(entry as u32);
            }
        }
        let picks = UInt32Array::from(entries.clone());
        let pick = |column: &ArrayRef| compute::take(column, &picks, None).expect("entries are rows of the batch");
        let left = input.rows.columns().iter().map(pick).collect();
        let right = found.columns(&self.layout.right);
        let times = entries.iter().map(|entry| input.meta.event_time[*entry as usize]).collect();
        let ops = vec![Op::Insert; entries.len()];
        self.layout.results(input, &key_columns, entries, [left, right], ops, times)
    }
}

impl Operator for StreamTableJoin {
    fn on_changes(&mut self, port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        if port == Port(0) {
            out.emit(self.probe(&input));
        } else {
            self.keep(&input);
        }
        Step::Done
    }

    fn on_barrier(&mut self, capture: &mut Capture) {
        self.table.capture(capture);
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn restore(&mut self, rows: Vec<StateRow>) -> Result<(), RestoreError> {
        self.table.restore(&rows)
    }

    fn state_bytes(&self) -> usize {
        self.table.size_bytes()
    }
}
