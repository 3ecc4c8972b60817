//! The sessions of every key.
//!
//! A session has a number, under which aggregates hold its state. Sessions of a key are few and in order of their
//! start; those that are looked for again do not overlap. What is over is found through a heap of ends: a session that
//! has grown since it was put there is put back when its turn comes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::state::{GroupNumber, GroupTable};

/// When sessions merge, are late, and are over: times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionWindows {
    pub(super) gap: i64,
    pub(super) grace: i64,
    pub(super) retention: i64,
    /// True if a session's result leaves when it is over: then it is not looked for again.
    pub(super) closes: bool,
}

impl SessionWindows {
    /// True if a session that ends here takes no more rows.
    pub(super) fn is_closed(&self, end: i64, stream_time: i64) -> bool {
        end < stream_time.saturating_sub(self.grace).saturating_sub(self.gap)
    }

    fn retention(&self) -> i64 {
        self.retention.max(self.gap.saturating_add(self.grace))
    }

    /// True if a row does not find a session that ends here, even if it is within the gap. For a row that is the latest
    /// so far the store of Kafka Streams has not moved on yet.
    fn is_hidden(&self, end: i64, event_time: i64, stream_time: i64) -> bool {
        event_time < stream_time && self.is_old(end, stream_time)
    }

    fn is_old(&self, end: i64, stream_time: i64) -> bool {
        end <= stream_time.saturating_sub(self.retention()) || (self.closes && self.is_closed(end, stream_time))
    }

    /// Sessions that end before this are forgotten.
    fn kept_from(&self, stream_time: i64) -> i64 {
        match self.closes {
            true => stream_time.saturating_sub(self.grace).saturating_sub(self.gap),
            false => stream_time.saturating_sub(self.retention()),
        }
    }
}

/// A session: both ends included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) key: GroupNumber,
    pub(super) start: i64,
    pub(super) end: i64,
    /// The end under which the heap has it.
    queued: i64,
    is_live: bool,
    /// True if rows were taken before the segment under way.
    pub(super) is_known: bool,
    /// The bounds under which a result has left.
    pub(super) emitted: Option<(i64, i64)>,
    pub(super) is_touched: bool,
    /// True if key and start are among the dirty ones.
    is_dirty: bool,
}

/// Sessions by key.
#[derive(Debug)]
pub(super) struct SessionStore {
    windows: SessionWindows,
    pub(super) table: GroupTable,
    sessions: Vec<Session>,
    free: Vec<GroupNumber>,
    /// Sessions of each key, by start.
    of_key: Vec<Vec<GroupNumber>>,
    ends: BinaryHeap<Reverse<(i64, GroupNumber)>>,
    /// Key and start of sessions that changed since the last barrier.
    dirty: BTreeSet<(GroupNumber, i64)>,
    /// By key and start, the sessions behind the one that ends last, as they were last written or put back.
    shadowed: BTreeMap<(GroupNumber, i64), Vec<GroupNumber>>,
    /// Keys that may have no session left.
    empty_keys: BTreeSet<GroupNumber>,
}

/// Sessions of one key and start that changed.
#[derive(Debug)]
pub(super) struct Dirty {
    pub(super) key: GroupNumber,
    pub(super) start: i64,
    /// The one that ends last, if there is one.
    pub(super) number: Option<GroupNumber>,
    /// The others, where there are some, or were.
    pub(super) shadowed: Option<Vec<GroupNumber>>,
}

impl SessionStore {
    pub(super) fn new(windows: SessionWindows, table: GroupTable) -> Self {
        Self {
            windows,
            table,
            sessions: Vec::new(),
            free: Vec::new(),
            of_key: Vec::new(),
            ends: BinaryHeap::new(),
            dirty: BTreeSet::new(),
            shadowed: BTreeMap::new(),
            empty_keys: BTreeSet::new(),
        }
    }

    /// All session numbers are below this.
    pub(super) fn bound(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn session(&self, number: GroupNumber) -> &Session {
        &self.sessions[number as usize]
    }

    pub(super) fn session_mut(&mut self, number: GroupNumber) -> &mut Session {
        &mut self.sessions[number as usize]
    }

    /// True if there is a session of this number.
    pub(super) fn is_live(&self, number: GroupNumber) -> bool {
        self.sessions[number as usize].is_live
    }

    /// Sets `joined` to the sessions that a row joins, by start.
    pub(super) fn joined_by(&self, key: GroupNumber, event_time: i64, stream_time: i64, joined: &mut Vec<GroupNumber>) {
        joined.clear();
        let Self { windows, .. } = self;
        let (from, to) = (event_time.saturating_sub(windows.gap), event_time.saturating_add(windows.gap));
        for number in self.of_key.get(key as usize).into_iter().flatten().rev() {
            let Session { start, end, .. } = *self.session(*number);
            if start > to || windows.is_hidden(end, event_time, stream_time) {
                continue;
            }
            if end < from {
                // Sessions that are looked for do not overlap; one that is not may lie within a later one.
                if windows.is_old(end, stream_time) {
                    continue;
                }
                break;
            }
            joined.push(*number);
        }
        joined.reverse();
    }

    /// A new session.
    pub(super) fn create(&mut self, key: GroupNumber, start: i64, end: i64) -> GroupNumber {
        let session = Session {
            key,
            start,
            end,
            queued: end,
            is_live: true,
            is_known: false,
            emitted: None,
            is_touched: false,
            is_dirty: true,
        };
        let number = self.free.pop().unwrap_or_else(|| {
            GroupNumber::try_from(self.sessions.len()).expect("a task has fewer than 2^32 sessions")
        });
        match self.sessions.get_mut(number as usize) {
            Some(free) => *free = session,
            None => self.sessions.push(session),
        }
        if self.of_key.len() <= key as usize {
            self.of_key.resize(key as usize + 1, Vec::new());
        }
        self.insert(key, number);
        self.ends.push(Reverse((end, number)));
        self.dirty.insert((key, start));
        number
    }

    fn insert(&mut self, key: GroupNumber, number: GroupNumber) {
        let start = self.session(number).start;
        let of_key = &self.of_key[key as usize];
        let at = of_key.partition_point(|other| self.session(*other).start <= start);
        self.of_key[key as usize].insert(at, number);
    }

    fn take_out(&mut self, key: GroupNumber, number: GroupNumber) {
        self.of_key[key as usize].retain(|other| *other != number);
    }

    /// Sets the bounds of a session of which a row is taken.
    pub(super) fn grow(&mut self, number: GroupNumber, start: i64, end: i64) {
        let Session { key, start: before, is_dirty, .. } = *self.session(number);
        if start != before || !is_dirty {
            self.dirty.insert((key, start));
            self.session_mut(number).is_dirty = true;
        }
        if start != before {
            self.dirty.insert((key, before));
            self.take_out(key, number);
            self.session_mut(number).start = start;
            self.insert(key, number);
        }
        self.session_mut(number).end = end;
    }

    /// Forgets a session; its number is free.
    pub(super) fn remove(&mut self, number: GroupNumber) {
        let Session { key, start, .. } = *self.session(number);
        self.take_out(key, number);
        self.dirty.insert((key, start));
        self.empty_keys.insert(key);
        self.session_mut(number).is_live = false;
        self.free.push(number);
    }

    /// The session of a key with these bounds.
    pub(super) fn find(&self, key: GroupNumber, start: i64, end: i64) -> Option<GroupNumber> {
        self.beginning_at(key, start).find(|number| self.session(*number).end == end)
    }

    /// The sessions of a key that begin there.
    fn beginning_at(&self, key: GroupNumber, start: i64) -> impl Iterator<Item = GroupNumber> {
        let of_key = self.of_key.get(key as usize).into_iter().flatten().copied();
        of_key.filter(move |number| self.session(*number).start == start)
    }

    /// The sessions that a row of stored state replaces: those that were put back from an earlier one of the same key.
    pub(super) fn put_back_before(&mut self, key: GroupNumber, start: i64, is_shadowed: bool) -> Vec<GroupNumber> {
        let shadowed = match is_shadowed {
            true => self.shadowed.remove(&(key, start)),
            false => self.shadowed.get(&(key, start)).cloned(),
        };
        let shadowed = shadowed.unwrap_or_default();
        self.beginning_at(key, start).filter(|number| shadowed.contains(number) == is_shadowed).collect()
    }

    /// Notes that a session was put back as a shadowed one.
    pub(super) fn note_shadowed(&mut self, number: GroupNumber) {
        let Session { key, start, .. } = *self.session(number);
        self.shadowed.entry((key, start)).or_default().push(number);
    }

    /// The sessions that are over at this stream time, by end, start and key. The caller removes them.
    pub(super) fn over(&mut self, stream_time: i64) -> Vec<GroupNumber> {
        let kept_from = self.windows.kept_from(stream_time);
        let mut over = Vec::new();
        while let Some(Reverse((queued, number))) = self.ends.peek().copied()
            && queued < kept_from
        {
            self.ends.pop();
            let session = &mut self.sessions[number as usize];
            if !session.is_live || session.queued != queued {
                continue;
            }
            if session.end < kept_from {
                over.push(number);
                // A number may be in the heap twice under one end.
                session.queued = i64::MAX;
            } else {
                session.queued = session.end;
                self.ends.push(Reverse((session.end, number)));
            }
        }
        let keys: Vec<GroupNumber> = over.iter().map(|number| self.session(*number).key).collect();
        let keys = self.table.encoded_keys(&keys);
        let mut order: Vec<(usize, GroupNumber)> = over.into_iter().enumerate().collect();
        order.sort_by(|(i, a), (j, b)| {
            let (a, b) = (self.session(*a), self.session(*b));
            (a.end, a.start, keys.get(*i)).cmp(&(b.end, b.start, keys.get(*j)))
        });
        order.into_iter().map(|(_, number)| number).collect()
    }

    /// The sessions that changed since the last call, and those that begin with them.
    pub(super) fn take_dirty(&mut self) -> Vec<Dirty> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut changed = Vec::with_capacity(dirty.len());
        for (key, start) in dirty {
            let mut sessions: Vec<GroupNumber> = self.beginning_at(key, start).collect();
            sessions.sort_unstable_by_key(|number| Reverse(self.session(*number).end));
            for number in &sessions {
                self.session_mut(*number).is_dirty = false;
            }
            let shadowed = if sessions.is_empty() { Vec::new() } else { sessions.split_off(1) };
            let was_shadowed = match shadowed.is_empty() {
                true => self.shadowed.remove(&(key, start)).is_some(),
                false => self.shadowed.insert((key, start), shadowed.clone()).is_some(),
            };
            let is_told = was_shadowed || !shadowed.is_empty();
            changed.push(Dirty { key, start, number: sessions.pop(), shadowed: is_told.then_some(shadowed) });
        }
        changed
    }

    /// Forgets that sessions changed: they were put back. More rows of theirs may come.
    pub(super) fn forget_dirty(&mut self) {
        for (key, start) in std::mem::take(&mut self.dirty) {
            let sessions: Vec<GroupNumber> = self.beginning_at(key, start).collect();
            sessions.into_iter().for_each(|number| self.session_mut(number).is_dirty = false);
        }
    }

    /// Notes that the key was looked up: it goes if it has no session.
    pub(super) fn note_key(&mut self, key: GroupNumber) {
        if self.of_key.len() <= key as usize {
            self.of_key.resize(key as usize + 1, Vec::new());
        }
        if self.of_key[key as usize].is_empty() {
            self.empty_keys.insert(key);
        }
    }

    /// Forgets the keys that have no session.
    pub(super) fn remove_empty_keys(&mut self) {
        for key in std::mem::take(&mut self.empty_keys) {
            if self.of_key[key as usize].is_empty() {
                self.of_key[key as usize] = Vec::new();
                self.table.remove(key);
            }
        }
    }

    /// Memory held, bytes, about.
    pub(super) fn size_bytes(&self) -> usize {
        self.table.size_bytes()
            // A key's few sessions are in an allocation of their own.
            + self.of_key.capacity() * (size_of::<Vec<GroupNumber>>() + 4 * size_of::<GroupNumber>())
            + self.sessions.capacity() * size_of::<Session>()
            + self.free.capacity() * size_of::<GroupNumber>()
            + self.ends.capacity() * size_of::<(i64, GroupNumber)>()
            + self.dirty.len() * 32
    }
}
