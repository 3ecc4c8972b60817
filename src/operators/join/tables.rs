//! Two tables on their primary keys.

use crate::operators::{Capture, Operator, Output, Port, RestoreError, Round, Step};
use crate::planner::graph::{Encoding, JoinKind};
use crate::state::StateRow;
use crate::types::{ChangeBatch, Op};

use super::given::{Given, LEFT, RIGHT};
use super::layout::{Layout, SideResults};
use super::side_rows::{Side, SideRows};

/// Joins the rows of two tables that have the same key (semantics 8.5).
///
/// Keeps the last row of each key of both sides. A change of either side makes the key's result anew, with the larger
/// of both rows' times; equal results are emitted like any other. A result that is no more is deleted; on an upsert
/// edge a delete also leaves where ksqlDB forwards one although there may have been no result:
///
/// | join | deleted side | a delete leaves if |
/// |---|---|---|
/// | inner | either | the other side has a row |
/// | left | left | either side has (had) a row |
/// | right | right | either side has (had) a row |
/// | full | either | the other side has no row, and this one had |
///
/// Cost: about 300 ns a change.
///
/// ```text
///   left  + a 1 @1          nothing
///   right + a 2 @5   ──▶    + a (1, 2) @5
///   left  + a 3 @2   ──▶    + a (3, 2) @5      on a changelog edge -u a (1, 2) @5, +u a (3, 2) @5
///   right - a   @7   ──▶    - a       @7
/// ```
#[derive(Debug)]
pub(super) struct TableJoin {
    // fixed
    kind: JoinKind,
    layout: Layout,
    keeps_old: bool,
    // changing
    left: SideRows,
    right: SideRows,
}

/// Results under construction.
#[derive(Default)]
struct Results {
    entries: Vec<u32>,
    left: SideResults,
    right: SideResults,
    ops: Vec<Op>,
    times: Vec<crate::types::EventTime>,
}

impl TableJoin {
    pub(super) fn new(kind: JoinKind, layout: Layout, encoding: Encoding, slots: u16) -> Self {
        let left = SideRows::new(Side::Left, layout.left.clone(), slots);
        let right = SideRows::new(Side::Right, layout.right.clone(), slots);
        Self { kind, layout, keeps_old: encoding == Encoding::Changelog, left, right }
    }

    /// True if these sides make a result.
    fn joins(&self, left: bool, right: bool) -> bool {
        match self.kind {
            JoinKind::Inner => left && right,
            JoinKind::Left => left,
            JoinKind::Right => right,
            JoinKind::Full => left || right,
        }
    }

    /// True if ksqlDB forwards a delete of the own side, which had a row or not, when no result is left.
    fn forwards_delete(&self, own: Side, had: bool, other: bool) -> bool {
        match (self.kind, own) {
            (JoinKind::Inner, _) => other,
            (JoinKind::Left, Side::Left) | (JoinKind::Right, Side::Right) => had || other,
            (JoinKind::Left, Side::Right) | (JoinKind::Right, Side::Left) => false,
            (JoinKind::Full, _) => had,
        }
    }

    fn join(&mut self, given: &Given) -> ChangeBatch {
        let prepare = |side: usize| {
            let (layout, input) =
                (if side == LEFT { &self.layout.left } else { &self.layout.right }, given.side(side)?);
            let key_columns = layout.key_columns(input);
            let keys = self.left.keys(key_columns.clone(), input.len());
            Some((key_columns, keys, layout.codec.encode(input.rows.columns(), input.len())))
        };
        let prepared = [LEFT, RIGHT].map(prepare);
        let mut results = Results::default();
        for place in 0..given.len() {
            let entry = given.entry(place);
            let ((side, at), (input, _)) = (given.row(entry), given.batch(entry));
            let own_side = if side == LEFT { Side::Left } else { Side::Right };
            let Some((_, keys, rows)) = &prepared[side] else { continue };
            let new = match input.ops.get(at) {
                Op::UpdateBefore => continue,
                Op::Insert | Op::UpdateAfter => Some(rows.get(at)),
                Op::Delete => None,
            };
            let (own, other) =
                if own_side == Side::Left { (&self.left, &self.right) } else { (&self.right, &self.left) };
            let (old, other) = (own.get(keys, at).map(|(row, _)| row), other.get(keys, at));
            let own_time = input.meta.event_time[at];
            let time = other.map_or(own_time, |(_, time)| time.max(own_time));
            let other = other.map(|(row, _)| row);
            let joins = |own: Option<&[u8]>| match own_side {
                Side::Left => self.joins(own.is_some(), other.is_some()),
                Side::Right => self.joins(other.is_some(), own.is_some()),
            };
            let (before, after) = (joins(old), joins(new));
            let mut push = |own: Option<&[u8]>, other: Option<&[u8]>, op| {
                let (left, right) = if own_side == Side::Left { (own, other) } else { (other, own) };
                results.left.push(left, &self.layout.left);
                results.right.push(right, &self.layout.right);
                results.entries.push(entry);
                results.ops.push(op);
                results.times.push(time);
            };
            match (after, before && self.keeps_old) {
                (true, true) => {
                    push(old, other, Op::UpdateBefore);
                    push(new, other, Op::UpdateAfter);
                }
                (true, false) => push(new, other, Op::Insert),
                (false, true) => push(old, other, Op::Delete),
                (false, false) if self.keeps_old || new.is_some() => {}
                (false, false) if self.forwards_delete(own_side, old.is_some(), other.is_some()) => {
                    push(None, None, Op::Delete);
                }
                (false, false) => {}
            }
            let own = if own_side == Side::Left { &mut self.left } else { &mut self.right };
            own.set(keys, at as u32, new.unwrap_or_default(), own_time);
        }
        let sides = [results.left.columns(&self.layout.left), results.right.columns(&self.layout.right)];
        let keys = prepared.each_ref().map(|prepared| prepared.as_ref().map_or(&[][..], |(columns, ..)| &columns[..]));
        self.layout.results(given, keys, &results.entries, sides, results.ops, results.times)
    }
}

impl Operator for TableJoin {
    fn on_changes(&mut self, port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        out.emit(self.join(&Given::of(port, input)));
        Step::Done
    }

    fn takes_rounds(&self) -> bool {
        true
    }

    fn on_round(&mut self, round: Round, out: &mut Output) -> Step {
        out.emit(self.join(&Given::round(round)));
        Step::Done
    }

    fn on_barrier(&mut self, capture: &mut Capture) {
        self.left.capture(capture);
        self.right.capture(capture);
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn restore(&mut self, rows: Vec<StateRow>) -> Result<(), RestoreError> {
        self.left.restore(&rows)?;
        self.right.restore(&rows)
    }

    fn state_bytes(&self) -> usize {
        self.left.size_bytes() + self.right.size_bytes()
    }
}
