//! Two streams: rows of one key whose times are near each other.
//!
//! Reading order: [`meeting`], [`store`], [`waiting`], this file, [`results`], [`state_rows`].

mod meeting;
mod results;
mod state_rows;
mod store;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::BTreeSet;

use crate::operators::aggregate::{LastRow, MAX_ROWS};
use crate::operators::{Capture, Operator, Output, Port, RestoreError, Round, Step, StreamTime};
use crate::planner::graph::JoinKind;
use crate::state::{GroupTable, KeyBatch, Slot, StateRow};
use crate::types::{ChangeBatch, EncodedRows};

use super::given::{Given, LEFT, RIGHT};
use super::layout::Layout;
pub(super) use meeting::Meeting;
use results::{Cause, Found, What};
use state_rows::StateWriter;
use store::{KeyPlace, RowRef, StreamStore};
use waiting::Waiting;

/// `JOIN … WITHIN` of two streams (semantics 8.3).
///
/// Keeps the rows of both sides for as long as partners may come, and gives each pair that meets once, when the later one
/// of both comes, with the larger of both times; partners of one row by their times. Rows without a key or value go.
///
/// An outer join gives a row of its side without a partner
///
/// | clause | when |
/// |---|---|
/// | no GRACE PERIOD | as it comes, if it has no partner yet; pairs may follow |
/// | GRACE PERIOD | once stream time is past its last partner's time by the grace, by time, right rows before left ones, then by key; at once if its last partner's time is past |
///
/// Keeps segments of time as long as rows of both sides can be apart, so up to one segment more than it needs. Cost of a
/// row: one look-up of its key to keep it, and at most one more to find partners (`benches/joins.rs`).
///
/// ```text
///   LEFT, WITHIN 10 GRACE 5      left  + a 1 @0          nothing
///                                right + a 7 @9    ──▶   + a (1, 7) @9
///                                left  + b 2 @4          nothing
///                                left  + c 3 @20   ──▶   + b (2, null) @4
/// ```
#[derive(Debug)]
pub(super) struct StreamJoin {
    // fixed
    meeting: Meeting,
    /// True if rows of the side are given without a partner.
    keeps: [bool; 2],
    layout: Layout,
    slots: u16,
    // changing
    store: StreamStore,
    waiting: [Waiting; 2],
    now: i64,
    last_row: LastRow,
    /// The largest stream time up to which rows that waited have left, by slot, as it was restored.
    left_until: Vec<i64>,
    /// Slots of rows that waited and have left since the last barrier.
    left_slots: BTreeSet<Slot>,
    writer: StateWriter,
    work: Option<Work>,
    found: Vec<Found>,
    /// How many of `found` have left.
    told: usize,
}

/// Rows under way.
#[derive(Debug)]
struct Work {
    given: Given,
    sides: [SideWork; 2],
    next: usize,
}

/// The rows of one side under way.
#[derive(Debug, Default)]
struct SideWork {
    rows: EncodedRows,
    /// Where to look for partners of each row: the later segment first.
    candidates: Vec<[Option<KeyPlace>; 2]>,
    /// Where each row is kept; `None` if it is too late to be found.
    places: Vec<Option<KeyPlace>>,
}

impl StreamJoin {
    pub(super) fn new(kind: JoinKind, meeting: Meeting, layout: Layout, slots: u16) -> Self {
        let table = GroupTable::new(layout.left.key_types.clone(), slots);
        Self {
            meeting,
            keeps: [matches!(kind, JoinKind::Left | JoinKind::Full), matches!(kind, JoinKind::Right | JoinKind::Full)],
            layout,
            slots,
            store: StreamStore::new(meeting, table),
            waiting: [LEFT, RIGHT].map(|side| Waiting::new(meeting.wait(side))),
            now: i64::MIN,
            last_row: LastRow::default(),
            left_until: Vec::new(),
            left_slots: BTreeSet::new(),
            writer: StateWriter::default(),
            work: None,
            found: Vec::new(),
            told: 0,
        }
    }

    /// Hashes the keys of rows and finds all that they will look at.
    fn begin(&mut self, mut given: Given, out: &mut Output) -> Option<Work> {
        for side in [LEFT, RIGHT] {
            let layout = if side == LEFT { &self.layout.left } else { &self.layout.right };
            if let Some(keyed) = given.side(side).and_then(|input| layout.with_key(input)) {
                given = given.filter(side, &keyed);
            }
        }
        if given.len() == 0 {
            return None;
        }
        self.last_row = LastRow::of(&given.last());
        let mut sides: [SideWork; 2] = Default::default();
        let mut keys = [None, None];
        // Both sides have places before anybody looks for partners there.
        for side in [LEFT, RIGHT] {
            let layout = if side == LEFT { &self.layout.left } else { &self.layout.right };
            let Some(input) = given.side(side) else { continue };
            let of_side = self.store.table.keys(layout.key_columns(input), input.len());
            sides[side].rows = layout.codec.encode(input.rows.columns(), input.len());
            sides[side].places = self.place(side, input, &of_side);
            out.late_rows += sides[side].places.iter().filter(|place| place.is_none()).count();
            keys[side] = Some(of_side);
        }
        for side in [LEFT, RIGHT] {
            if let (Some(input), Some(keys)) = (given.side(side), &keys[side]) {
                sides[side].candidates = self.candidates(side, input, keys, &sides[side].places);
            }
        }
        Some(Work { given, sides, next: 0 })
    }

    /// Where each row is kept.
    fn place(&mut self, side: usize, input: &ChangeBatch, keys: &KeyBatch) -> Vec<Option<KeyPlace>> {
        let (mut latest, mut now) = (self.store.latest(side), self.now);
        let (mut kept, mut starts) = (Vec::with_capacity(input.len()), Vec::with_capacity(input.len()));
        for (row, (time, stream_time)) in (0_u32..).zip(input.meta.event_time.iter().zip(&input.meta.stream_time)) {
            (latest, now) = (latest.max(time.0), now.max(stream_time.0));
            // A row at the very end is not found any more, but it may still wait.
            if time.0 >= self.store.found_after(latest, now) {
                kept.push(row);
                starts.push(self.store.start_of(time.0));
            }
        }
        let mut places = vec![None; input.len()];
        for (row, place) in kept.iter().zip(self.store.place(keys, &kept, &starts)) {
            places[*row as usize] = Some(place);
        }
        places
    }

    /// Where the partners of each row are.
    fn candidates(
        &self,
        side: usize,
        input: &ChangeBatch,
        keys: &KeyBatch,
        places: &[Option<KeyPlace>],
    ) -> Vec<[Option<KeyPlace>; 2]> {
        let mut candidates = vec![[None; 2]; input.len()];
        let (mut rows, mut starts, mut into) = (Vec::new(), Vec::new(), Vec::new());
        for (row, time) in input.meta.event_time.iter().enumerate() {
            let (from, to) = self.meeting.range(side, time.0);
            let own = places[row].map(|place| (self.store.start_of(time.0), place));
            let (first, last) = (self.store.start_of(from), self.store.start_of(to));
            let ends = [Some(last), (first != last).then_some(first)];
            for (at, start) in ends.into_iter().enumerate() {
                match (start, own) {
                    (Some(start), Some((same, place))) if start == same => candidates[row][at] = Some(place),
                    (Some(start), _) => {
                        rows.push(row as u32);
                        starts.push(start);
                        into.push((row, at));
                    }
                    (None, _) => {}
                }
            }
        }
        for ((row, at), place) in into.into_iter().zip(self.store.find(keys, &rows, &starts)) {
            candidates[row][at] = place;
        }
        candidates
    }

    /// Takes one row: what its stream time ends leaves first, then its pairs, or it alone.
    fn take(&mut self, work: &Work, entry: u32, matches: &mut Vec<RowRef>) {
        let (own, row) = work.given.row(entry);
        let (input, _) = work.given.batch(entry);
        let SideWork { rows, candidates, places } = &work.sides[own];
        let (other, time) = (1 - own, input.meta.event_time[row].0);
        self.store.advance(own, time);
        self.advance_time(input.meta.stream_time[row].0, entry);
        let (from, to) = self.meeting.range(own, time);
        let found_after = self.store.found_after(self.store.latest(other), self.now);
        matches.clear();
        for place in candidates[row].iter().flatten() {
            self.store.matches(other, *place, (from.max(found_after.saturating_add(1)), to), matches);
        }
        for partner in matches.iter().rev() {
            if self.keeps[other] {
                self.store.set_matched(other, *partner);
            }
            let time = time.max(self.store.row(other, *partner).time);
            self.found.push(Found { entry, time, what: What::Pair(*partner) });
        }
        let is_alone = matches.is_empty() && self.keeps[own];
        let waits = is_alone && self.meeting.waits && to >= self.now;
        if is_alone && !waits {
            self.found.push(Found { entry, time, what: What::Alone });
        }
        if let Some(place) = places[row] {
            let at = self.store.insert(own, place, time, rows.get(row), waits);
            if waits {
                self.waiting[own].push(time, at);
            }
        }
    }

    /// Stream time has reached `now`: rows whose wait is over leave.
    fn advance_time(&mut self, now: i64, entry: u32) {
        if now <= self.now {
            return;
        }
        self.now = now;
        let mut over = Vec::new();
        // Right rows come before left ones of the same time, as Kafka Streams has them.
        for side in [RIGHT, LEFT] {
            let mut rows = Vec::new();
            self.waiting[side].take_before(now.saturating_sub(self.meeting.wait(side)), &mut rows);
            for (time, at) in rows {
                if !self.store.end_wait(side, at) {
                    continue;
                }
                let group = self.store.row(side, at).group;
                let slot = self.store.table.slot(group);
                let left_until = self.left_until.get(usize::from(slot.0)).copied().unwrap_or(i64::MIN);
                if time.saturating_add(self.meeting.wait(side)) < left_until {
                    continue;
                }
                self.left_slots.insert(slot);
                over.push((time, side, at, group));
            }
        }
        if over.is_empty() {
            return;
        }
        let groups: Vec<_> = over.iter().map(|(.., group)| *group).collect();
        let keys = self.store.table.encoded_keys(&groups);
        let mut order: Vec<usize> = (0..over.len()).collect();
        order.sort_by_key(|index| (over[*index].0, usize::MAX - over[*index].1, keys.get(*index)));
        self.found.extend(order.into_iter().map(|index| {
            let (time, side, at, _) = over[index];
            Found { entry, time, what: What::Waited(side, at) }
        }));
    }

    /// Emits a batch of what was found; what is left follows.
    fn tell(&mut self, out: &mut Output) -> Step {
        let until = self.found.len().min(self.told + MAX_ROWS);
        let results = &self.found[self.told..until];
        if !results.is_empty() {
            let cause = match &self.work {
                Some(work) => Cause::Rows(&work.given),
                None => Cause::Time(&self.last_row, self.now),
            };
            out.emit(results::batch(&self.layout, &self.store, &cause, results));
        }
        self.told = until;
        if until < self.found.len() {
            return Step::More;
        }
        self.found.clear();
        self.told = 0;
        if self.work.as_ref().is_some_and(|work| work.next < work.given.len()) {
            return Step::More;
        }
        self.work = None;
        self.store.forget(self.now);
        Step::Done
    }
}

impl Operator for StreamJoin {
    fn on_changes(&mut self, port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        self.writer.begin();
        self.work = self.begin(Given::of(port, input), out);
        self.resume(out)
    }

    fn takes_rounds(&self) -> bool {
        true
    }

    fn on_round(&mut self, round: Round, out: &mut Output) -> Step {
        self.writer.begin();
        self.work = self.begin(Given::round(round), out);
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Output) -> Step {
        if let Some(mut work) = self.work.take() {
            let mut matches = Vec::new();
            while self.found.len() < MAX_ROWS && work.next < work.given.len() {
                self.take(&work, work.given.entry(work.next), &mut matches);
                work.next += 1;
            }
            self.work = Some(work);
        }
        self.tell(out)
    }

    fn on_stream_time(&mut self, now: StreamTime, out: &mut Output) -> Step {
        self.writer.begin();
        self.advance_time(now.0, 0);
        self.tell(out)
    }

    fn on_barrier(&mut self, capture: &mut Capture) {
        self.writer.capture(&mut self.store, capture);
        StateWriter::capture_times(std::mem::take(&mut self.left_slots), self.now, capture);
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn restore(&mut self, rows: Vec<StateRow>) -> Result<(), RestoreError> {
        let Self { layout, store, waiting, writer, left_until, .. } = self;
        left_until.resize(usize::from(self.slots.max(1)), i64::MIN);
        for row in rows {
            let waits = |side: usize, time, at| waiting[side].push(time, at);
            let left = writer.restore(store, [&layout.left, &layout.right], &row, waits)?;
            if let (Some(left), Some(until)) = (left, left_until.get_mut(usize::from(row.slot.0))) {
                *until = left;
            }
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.store.size_bytes() + self.waiting.iter().map(Waiting::size_bytes).sum::<usize>()
    }
}
