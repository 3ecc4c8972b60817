//! A stream with a table: each row of the stream meets the table's row of the moment.

use datafusion::arrow::array::{ArrayRef, UInt32Array};
use datafusion::arrow::compute;

use crate::operators::{Capture, Operator, Output, Port, RestoreError, Round, Step};
use crate::planner::graph::JoinKind;
use crate::state::{KeyBatch, StateRow};
use crate::types::{ChangeBatch, Op};

use super::given::{Given, LEFT, RIGHT};
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

    /// Rows of the table are kept, rows of the stream look them up.
    fn join(&mut self, given: &Given) -> Option<ChangeBatch> {
        let Self { kind, layout, table } = self;
        let lookups = given.side(LEFT).map(|input| Lookups::new(layout, table, input));
        let changes = given.side(RIGHT).map(|input| {
            let keys = table.keys(layout.right.key_columns(input), input.len());
            (keys, layout.right.codec.encode(input.rows.columns(), input.len()), input)
        });
        let (mut entries, mut found) = (Vec::with_capacity(given.entries(LEFT).len()), SideResults::default());
        for place in 0..given.len() {
            let entry = given.entry(place);
            match (given.row(entry), &lookups, &changes) {
                ((LEFT, row), Some(lookups), _) => {
                    let kept = lookups.entry(row).and_then(|lookup| table.get(&lookups.keys, lookup));
                    if kept.is_some() || (*kind == JoinKind::Left && !lookups.input.is_null_row(row)) {
                        found.push(kept.map(|(kept, _)| kept), &layout.right);
                        entries.push(entry);
                    }
                }
                ((_, row), _, Some((keys, rows, input))) => {
                    let kept = match input.ops.get(row) {
                        Op::UpdateBefore => continue,
                        Op::Insert | Op::UpdateAfter => rows.get(row),
                        Op::Delete => &[],
                    };
                    table.set(keys, row as u32, kept, input.meta.event_time[row]);
                }
                _ => {}
            }
        }
        let Lookups { input, key_columns, .. } = lookups?;
        let picks = UInt32Array::from(entries.clone());
        let pick = |column: &ArrayRef| compute::take(column, &picks, None).expect("entries are rows of the batch");
        let left = input.rows.columns().iter().map(pick).collect();
        let right = found.columns(&layout.right);
        let times = entries.iter().map(|entry| input.meta.event_time[*entry as usize]).collect();
        let ops = vec![Op::Insert; entries.len()];
        Some(layout.results(given, [&key_columns, &key_columns], &entries, [left, right], ops, times))
    }
}

/// Rows of the stream, ready to look up.
struct Lookups<'a> {
    input: &'a ChangeBatch,
    key_columns: Vec<ArrayRef>,
    /// The keys of the rows that have one.
    keys: KeyBatch,
    /// Which of them a row has; `None` if all rows have one.
    by_row: Option<Vec<Option<u32>>>,
}

impl<'a> Lookups<'a> {
    fn new(layout: &Layout, table: &SideRows, input: &'a ChangeBatch) -> Self {
        let key_columns = layout.left.key_columns(input);
        let Some(keyed) = layout.left.with_key(input) else {
            let keys = table.keys(key_columns.clone(), input.len());
            return Self { input, key_columns, keys, by_row: None };
        };
        let filter = |column: &ArrayRef| compute::filter(column, &keyed).expect("one boolean a row");
        let keys = table.keys(key_columns.iter().map(filter).collect(), keyed.true_count());
        let mut next = 0..;
        let by_row = keyed.values().iter().map(|is_keyed| if is_keyed { next.next() } else { None }).collect();
        Self { input, key_columns, keys, by_row: Some(by_row) }
    }

    /// The key that a row looks up.
    fn entry(&self, row: usize) -> Option<usize> {
        self.by_row.as_ref().map_or(Some(row), |by_row| by_row[row].map(|entry| entry as usize))
    }
}

impl Operator for StreamTableJoin {
    fn on_changes(&mut self, port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        self.join(&Given::of(port, input)).into_iter().for_each(|results| out.emit(results));
        Step::Done
    }

    fn takes_rounds(&self) -> bool {
        true
    }

    fn on_round(&mut self, round: Round, out: &mut Output) -> Step {
        self.join(&Given::round(round)).into_iter().for_each(|results| out.emit(results));
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
