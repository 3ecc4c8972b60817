//! The rows of both sides, by key and time.
//!
//! ```text
//!   segment [0, 20 000)    keys { a → 0, b → 1 }       left rows   0  1  2  3    bytes in one piece
//!                          newest row of a key         right rows  0  1
//!                          and side, which links back
//!   segment [20 000, …)    keys { a → 2 }              …
//! ```
//!
//! Time is cut into segments. A segment has a hash table of the keys of both sides, so a row that is kept has found its
//! candidates with it; the rows of a key and side are linked from the newest to the oldest, by time, or in a tree by time
//! once many newer ones had to be passed over. A segment that is over goes as a whole: no row of it is looked at.
//!
//! Invariants:
//! - a row is found while its time is larger than the time that its side has reached, less the retention
//!   ([`Meeting::retention`]); the time that a side has reached is the largest of its rows, but not more than the stream
//!   time of the stage, so that nothing is lost because a partition was read faster;
//! - rows of a key, a side and a time are found in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};

use crate::state::{GroupNumber, GroupTable, KeyBatch};

use super::meeting::Meeting;
use super::state_rows::{Chunk, Gone};
use crate::operators::join::given::{LEFT, RIGHT};

/// No row.
const NONE: u32 = u32::MAX;

/// How many newer rows of its key a row is looked for behind before the key's rows are put in order.
const MOST_PASSED: u32 = 32;

/// What a row takes more when the rows of its key are in order.
const ORDERED_BYTES: usize = 24;

/// Set in [`Row::marks`] while the row waits for a partner.
const WAITING: u8 = 1;
/// Set when the row is gone before its segment.
const DEAD: u8 = 2;

/// A row of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowRef {
    pub(super) segment: u32,
    pub(super) row: u32,
}

/// Where the rows of a key are in a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyPlace {
    pub(super) segment: u32,
    pub(super) group: GroupNumber,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) time: i64,
    start: usize,
    len: u32,
    /// The next older row of the key.
    older: u32,
    pub(super) group: GroupNumber,
    marks: u8,
}

impl Row {
    pub(super) fn is_waiting(&self) -> bool {
        self.marks & WAITING != 0
    }
}

/// The rows of one side in a segment.
#[derive(Debug, Default)]
pub(super) struct SideSegment {
    pub(super) rows: Vec<Row>,
    data: Vec<u8>,
    /// Rows before this one were handed over.
    pub(super) saved: u32,
    /// Rows handed over as waiting that have found a partner since the last barrier.
    pub(super) matched: Vec<u32>,
    /// What was handed over and has to be taken back when the segment is over.
    pub(super) chunks: Vec<Chunk>,
    /// The rows of keys whose rows come far out of order, by time and number; their links are of no meaning.
    ordered: BTreeMap<GroupNumber, BTreeSet<(i64, u32)>>,
}

impl SideSegment {
    pub(super) fn bytes(&self, row: u32) -> &[u8] {
        let Row { start, len, .. } = self.rows[row as usize];
        &self.data[start..start + len as usize]
    }

    fn size_bytes(&self) -> usize {
        let ordered: usize = self.ordered.values().map(BTreeSet::len).sum();
        self.rows.len() * size_of::<Row>() + self.data.len() + ordered * ORDERED_BYTES
    }

    /// Has the rows of a key ordered, which are linked from the newest one; gives the bytes that this takes.
    fn put_in_order(&mut self, group: GroupNumber, newest: u32) -> usize {
        if self.ordered.contains_key(&group) {
            return 0;
        }
        let rows = &self.rows;
        let next = |number: &u32| rows.get(*number as usize).map(|row| row.older).filter(|older| *older != NONE);
        let linked = std::iter::successors(Some(newest).filter(|newest| *newest != NONE), next);
        let ordered: BTreeSet<_> = linked.map(|number| (rows[number as usize].time, number)).collect();
        let bytes = ordered.len() * ORDERED_BYTES;
        self.ordered.insert(group, ordered);
        bytes
    }
}

/// A piece of time.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) start: i64,
    pub(super) sides: [SideSegment; 2],
    is_changed: bool,
}

/// Rows of both sides.
#[derive(Debug)]
pub(super) struct StreamStore {
    // fixed
    meeting: Meeting,
    length: i64,
    // changing
    pub(super) table: GroupTable,
    /// By group, the newest row of each side.
    newest: Vec<[u32; 2]>,
    segments: Vec<Segment>,
    free: Vec<u32>,
    by_start: BTreeMap<i64, u32>,
    /// The segment found last.
    recent: Option<(i64, u32)>,
    /// The largest time of each side's rows.
    latest: [i64; 2],
    /// Segments that end here or before are over for the side.
    over_until: [i64; 2],
    /// Segments changed since the last barrier.
    changed: BTreeSet<u32>,
    /// What was handed over and is over.
    pub(super) gone: Gone,
    row_bytes: usize,
}

impl StreamStore {
    pub(super) fn new(meeting: Meeting, table: GroupTable) -> Self {
        Self {
            meeting,
            length: meeting.segment(),
            table,
            newest: Vec::new(),
            segments: Vec::new(),
            free: Vec::new(),
            by_start: BTreeMap::new(),
            recent: None,
            latest: [i64::MIN; 2],
            over_until: [i64::MIN; 2],
            changed: BTreeSet::new(),
            gone: Gone::default(),
            row_bytes: 0,
        }
    }

    /// The largest time of the side's rows.
    pub(super) fn latest(&self, side: usize) -> i64 {
        self.latest[side]
    }

    /// Notes the time of a row of the side.
    pub(super) fn advance(&mut self, side: usize, time: i64) {
        self.latest[side] = self.latest[side].max(time);
    }

    /// Rows of a side that has reached `latest`, at stream time `now`, are found if their times are larger than this.
    pub(super) fn found_after(&self, latest: i64, now: i64) -> i64 {
        latest.min(now).saturating_sub(self.meeting.retention())
    }

    /// Where the segment of a time starts.
    pub(super) fn start_of(&self, time: i64) -> i64 {
        time.div_euclid(self.length).saturating_mul(self.length)
    }

    /// Makes room for rows: entry `i` is the key of row `rows[i]` in the segment that starts at `starts[i]`.
    pub(super) fn place(&mut self, keys: &KeyBatch, rows: &[u32], starts: &[i64]) -> Vec<KeyPlace> {
        let mut groups = Vec::with_capacity(rows.len());
        self.table.find_or_create(keys, Some(rows), Some(starts), &mut groups);
        self.newest.resize(self.table.bound(), [NONE; 2]);
        let mut places = Vec::with_capacity(rows.len());
        for (group, start) in groups.into_iter().zip(starts) {
            if !self.table.is_known(group) {
                self.table.set_known(group);
                self.newest[group as usize] = [NONE; 2];
            }
            places.push(KeyPlace { segment: self.segment_at(*start), group });
        }
        places
    }

    /// Where the rows of keys are: entry `i` is the key of row `rows[i]` in the segment that starts at `starts[i]`.
    pub(super) fn find(&self, keys: &KeyBatch, rows: &[u32], starts: &[i64]) -> Vec<Option<KeyPlace>> {
        let mut groups = Vec::with_capacity(rows.len());
        self.table.find_each(keys, rows, starts, &mut groups);
        let mut last = self.recent;
        let mut segment = |start: i64| match last {
            Some((same, segment)) if same == start => segment,
            _ => {
                let segment = self.by_start[&start];
                last = Some((start, segment));
                segment
            }
        };
        groups
            .into_iter()
            .zip(starts)
            .map(|(group, start)| group.map(|group| KeyPlace { segment: segment(*start), group }))
            .collect()
    }

    fn segment_at(&mut self, start: i64) -> u32 {
        if let Some((recent, segment)) = self.recent
            && recent == start
        {
            return segment;
        }
        let (segments, free) = (&mut self.segments, &mut self.free);
        let segment = *self.by_start.entry(start).or_insert_with(|| {
            let new = Segment { start, sides: Default::default(), is_changed: false };
            match free.pop() {
                Some(number) => {
                    segments[number as usize] = new;
                    number
                }
                None => {
                    segments.push(new);
                    u32::try_from(segments.len() - 1).expect("a task has fewer than 2^32 segments")
                }
            }
        });
        self.recent = Some((start, segment));
        segment
    }

    /// Keeps a row.
    pub(super) fn insert(&mut self, side: usize, place: KeyPlace, time: i64, bytes: &[u8], waits: bool) -> RowRef {
        let segment = &mut self.segments[place.segment as usize];
        if !std::mem::replace(&mut segment.is_changed, true) {
            self.changed.insert(place.segment);
        }
        let SideSegment { rows, ordered, .. } = &mut segment.sides[side];
        let number = u32::try_from(rows.len()).expect("a segment has fewer than 2^32 rows");
        let newest = &mut self.newest[place.group as usize][side];
        let (mut newer, mut older, mut passed) = (NONE, *newest, 0);
        let mut is_ordered = !ordered.is_empty() && ordered.contains_key(&place.group);
        while !is_ordered && older != NONE && rows[older as usize].time > time {
            (newer, older) = (older, rows[older as usize].older);
            passed += 1;
            is_ordered = passed > MOST_PASSED;
        }
        if is_ordered {
            let newest = *newest;
            let of_side = &mut segment.sides[side];
            self.row_bytes += of_side.put_in_order(place.group, newest) + ORDERED_BYTES;
            of_side.ordered.entry(place.group).or_default().insert((time, number));
        } else {
            match rows.get_mut(newer as usize) {
                Some(newer) => newer.older = number,
                None => *newest = number,
            }
        }
        let SideSegment { rows, data, .. } = &mut segment.sides[side];
        let len = u32::try_from(bytes.len()).expect("a row has fewer than 2^32 bytes");
        let marks = if waits { WAITING } else { 0 };
        rows.push(Row { time, start: data.len(), len, older, group: place.group, marks });
        data.extend_from_slice(bytes);
        self.row_bytes += bytes.len() + size_of::<Row>();
        RowRef { segment: place.segment, row: number }
    }

    /// Appends to `out` the rows of a key in a segment with times within `from..=to`, the newest first.
    pub(super) fn matches(&mut self, side: usize, place: KeyPlace, (from, to): (i64, i64), out: &mut Vec<RowRef>) {
        let of_side = &mut self.segments[place.segment as usize].sides[side];
        if of_side.rows.is_empty() || from > to {
            return;
        }
        let newest = self.newest[place.group as usize][side];
        let (mut number, mut passed) = (newest, 0);
        let mut is_ordered = !of_side.ordered.is_empty() && of_side.ordered.contains_key(&place.group);
        while !is_ordered && of_side.rows.get(number as usize).is_some_and(|row| row.time > to) {
            number = of_side.rows[number as usize].older;
            passed += 1;
            is_ordered = passed > MOST_PASSED;
        }
        if is_ordered {
            self.row_bytes += of_side.put_in_order(place.group, newest);
            let SideSegment { rows, ordered, .. } = &*of_side;
            let found = ordered.get(&place.group).map(|ordered| ordered.range((from, 0)..=(to, NONE)).rev());
            let alive = found.into_iter().flatten().filter(|(_, row)| rows[*row as usize].marks & DEAD == 0);
            out.extend(alive.map(|(_, row)| RowRef { segment: place.segment, row: *row }));
            return;
        }
        while let Some(row) = of_side.rows.get(number as usize)
            && row.time >= from
        {
            if row.marks & DEAD == 0 {
                out.push(RowRef { segment: place.segment, row: number });
            }
            number = row.older;
        }
    }

    pub(super) fn row(&self, side: usize, at: RowRef) -> &Row {
        &self.segments[at.segment as usize].sides[side].rows[at.row as usize]
    }

    pub(super) fn bytes(&self, side: usize, at: RowRef) -> &[u8] {
        self.segments[at.segment as usize].sides[side].bytes(at.row)
    }

    /// Notes that a row has found a partner.
    pub(super) fn set_matched(&mut self, side: usize, at: RowRef) {
        let segment = &mut self.segments[at.segment as usize];
        let SideSegment { rows, saved, matched, .. } = &mut segment.sides[side];
        let row = &mut rows[at.row as usize];
        if !row.is_waiting() {
            return;
        }
        row.marks &= !WAITING;
        if at.row < *saved {
            matched.push(at.row);
            if !std::mem::replace(&mut segment.is_changed, true) {
                self.changed.insert(at.segment);
            }
        }
    }

    /// Notes that the wait of a row is over; false if it did not wait.
    pub(super) fn end_wait(&mut self, side: usize, at: RowRef) -> bool {
        let row = &mut self.segments[at.segment as usize].sides[side].rows[at.row as usize];
        let waited = row.is_waiting();
        row.marks &= !WAITING;
        waited
    }

    /// Notes that a row is not to be found any more.
    pub(super) fn kill(&mut self, side: usize, at: RowRef) {
        self.segments[at.segment as usize].sides[side].rows[at.row as usize].marks = DEAD;
    }

    /// Forgets the segments that are over at stream time `now`. The rows of them that waited have left.
    pub(super) fn forget(&mut self, now: i64) {
        for side in [LEFT, RIGHT] {
            let until = self.found_after(self.latest[side], now);
            if self.start_of(until) <= self.over_until[side] {
                continue;
            }
            let over = self.over_until[side]..self.start_of(until);
            self.over_until[side] = over.end;
            let over: Vec<(i64, u32)> = self.by_start.range(over).map(|(start, number)| (*start, *number)).collect();
            for (start, number) in over {
                let segment = &mut self.segments[number as usize];
                let rows = std::mem::take(&mut segment.sides[side]);
                self.row_bytes -= rows.size_bytes();
                self.gone.push(start, rows.chunks);
                if segment.sides.iter().all(|side| side.rows.is_empty()) {
                    self.table.remove_window(start);
                    self.by_start.remove(&start);
                    self.changed.remove(&number);
                    self.free.push(number);
                    self.recent = None;
                }
            }
        }
    }

    /// The segments that changed since the last call, by number.
    pub(super) fn take_changed(&mut self) -> Vec<u32> {
        let changed: Vec<u32> = std::mem::take(&mut self.changed).into_iter().collect();
        for number in &changed {
            self.segments[*number as usize].is_changed = false;
        }
        changed
    }

    pub(super) fn segment(&self, number: u32) -> &Segment {
        &self.segments[number as usize]
    }

    pub(super) fn segment_mut(&mut self, number: u32) -> &mut Segment {
        &mut self.segments[number as usize]
    }

    /// Memory held, bytes, about.
    pub(super) fn size_bytes(&self) -> usize {
        self.table.size_bytes()
            + self.row_bytes / 3 * 4
            + self.newest.capacity() * size_of::<[u32; 2]>()
            + self.segments.len() * size_of::<Segment>()
            + self.gone.size_bytes()
    }
}
