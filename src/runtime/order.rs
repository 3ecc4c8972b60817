//! The order in which the rows of several sources go through a query that joins them: by the event times at their heads.
//!
//! ```text
//!   source 0 holds   5 1 9 │        round: 0[5 1]  1[6 6]  0[9] ... until one source has nothing left in its hands
//!   source 1 holds   6 6 8 │        rank:    1       2       3
//! ```
//!
//! Sources read ahead by one chunk and deal nothing by themselves. Once each of them holds rows, or is known to have
//! none, the heads are compared and a *round* is made: each source is told which of its rows it may deal, and their
//! [`Rank`] among all rows of the pipeline. Whole chunks go through the exchange; inboxes put the runs of a round in
//! the order of their ranks.
//!
//! Invariants:
//! - a source's rows are never sorted: only heads are compared; of equal times a table's goes first, then that of the
//!   source with the lower index;
//! - ranks rise: what a later round deals comes behind everything that an earlier one did;
//! - a barrier comes between rounds, at the same place for all sources: what is durable is a beginning of the order;
//! - a source is waited for only while it holds no rows and has not seen its end, or has been woken since it did.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::types::{ChangeBatch, Epoch, Offset, RowMeta};

use super::pipeline::Gate;
use super::scheduler::Task;

/// The place of a row among all rows of a pipeline. Rows of one source between which none of another goes share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Rank(u64);

impl Rank {
    /// Behind all rows.
    pub(super) const LAST: Self = Self(u64::MAX);

    /// The rank that a batch calls this.
    pub(super) fn of(number: u64) -> Self {
        Self(number)
    }

    /// What a batch calls it.
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

/// Rows of one source that go before the next of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// One past the offset of the last row.
    pub(super) until: Offset,
    pub(super) rank: Rank,
}

/// The ranks of a batch's rows.
#[derive(Debug, Clone)]
pub(super) enum Ranks {
    /// All have this one.
    Same(Rank),
    /// By their offsets, which rise. Not empty.
    Runs(Arc<[Run]>),
}

impl Ranks {
    /// The rank of the last row.
    pub(super) fn last(&self) -> Rank {
        match self {
            Self::Same(rank) => *rank,
            Self::Runs(runs) => runs.last().map_or(Rank::default(), |run| run.rank),
        }
    }
}

/// Rows that a source is to deal now: those it holds up to this one.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// One past the last row of the chunk.
    pub(super) until: usize,
    pub(super) ranks: Ranks,
}

/// What a source has for the next round.
#[derive(Debug)]
enum Head {
    /// It has not told.
    Unknown,
    /// No record, or none that it may read.
    Dry,
    /// It will never have any again.
    Ended,
    /// The rows of a chunk from `at` on.
    Rows { chunk: Arc<ChangeBatch>, at: usize },
}

#[derive(Debug)]
struct Source {
    is_table: bool,
    task: Weak<Task>,
    head: Head,
    grant: Option<Grant>,
    /// Barriers it has dealt in this incarnation.
    barriers: u64,
}

/// The share of a source in a round.
struct Part<'a> {
    index: usize,
    meta: &'a RowMeta,
    /// The row at its head.
    at: usize,
    /// What was taken so far.
    runs: Vec<Run>,
}

#[derive(Debug, Default)]
struct State {
    sources: Vec<Source>,
    rank: u64,
    /// The most barriers that a source has dealt.
    barriers: u64,
}

/// Who may deal what, for the sources of one pipeline.
#[derive(Default)]
pub(super) struct Order {
    state: Mutex<State>,
    /// Tasks that have rows whose turn has not come, for all they know.
    starving: Mutex<Vec<Weak<Task>>>,
}

impl Order {
    /// Enters the next source of the pipeline.
    pub(super) fn add(&self, is_table: bool) {
        let source = Source { is_table, task: Weak::new(), head: Head::Unknown, grant: None, barriers: 0 };
        self.state.lock().sources.push(source);
    }

    /// Names the task of a source.
    pub(super) fn read_by(&self, source: usize, task: &Arc<Task>) {
        self.state.lock().sources[source].task = Arc::downgrade(task);
    }

    /// The source holds a chunk, which has rows.
    pub(super) fn offer(&self, source: usize, chunk: &Arc<ChangeBatch>) {
        self.state.lock().sources[source].head = Head::Rows { chunk: Arc::clone(chunk), at: 0 };
    }

    /// The source holds nothing and has read everything that it may.
    pub(super) fn dry(&self, source: usize) {
        self.state.lock().sources[source].head = Head::Dry;
    }

    /// The source holds nothing, and there are records that it waits for.
    pub(super) fn unknown(&self, source: usize) {
        self.state.lock().sources[source].head = Head::Unknown;
    }

    /// The source has dealt its last row and its last barrier.
    pub(super) fn ended(&self, source: usize) {
        self.state.lock().sources[source].head = Head::Ended;
    }

    /// What the source is to deal before anything else.
    pub(super) fn grant(&self, source: usize) -> Option<Grant> {
        self.state.lock().sources[source].grant.clone()
    }

    /// The source has dealt what it was to. True if it holds nothing more.
    pub(super) fn dealt(&self, source: usize) -> bool {
        let mut state = self.state.lock();
        let source = &mut state.sources[source];
        let until = source.grant.take().map_or(0, |grant| grant.until);
        let is_empty = match &mut source.head {
            Head::Rows { chunk, at } => {
                *at = until;
                until >= chunk.len()
            }
            Head::Unknown | Head::Dry | Head::Ended => true,
        };
        if is_empty {
            source.head = Head::Unknown;
        }
        drop(state);
        self.progress();
        is_empty
    }

    /// The source deals a barrier: its rank, behind the rows of the epoch and before those of the next.
    pub(super) fn end_epoch(&self, source: usize) -> Rank {
        let mut state = self.state.lock();
        state.sources[source].barriers += 1;
        if state.sources[source].barriers > state.barriers {
            state.barriers += 1;
            state.rank += 1;
        }
        Rank(state.rank)
    }

    /// By source: no row of it that has a rank by now comes with one before this.
    pub(super) fn frontiers(&self) -> Vec<Rank> {
        let state = self.state.lock();
        let frontier = |source: &Source| match &source.grant.as_ref()?.ranks {
            Ranks::Same(rank) => Some(*rank),
            Ranks::Runs(runs) => runs.first().map(|run| run.rank),
        };
        state.sources.iter().map(|source| frontier(source).unwrap_or(Rank::LAST)).collect()
    }

    /// Makes the next round if it can be made, and wakes the sources that have a part in it, except `me`.
    pub(super) fn make_round(&self, me: usize, epoch: Epoch, gate: &Gate) {
        let mut guard = self.state.lock();
        if gate.is_paused() || gate.wants_barrier(epoch) || gate.refuses(epoch) || !guard.is_ready() {
            return;
        }
        let awake = guard.awake(me);
        if !awake.is_empty() {
            drop(guard);
            // One that is at the end of its step would rest otherwise, and nobody tried again.
            awake.iter().for_each(Task::wake);
            return;
        }
        guard.make_round();
        let tasks: Vec<_> = guard
            .sources
            .iter()
            .enumerate()
            .filter(|(index, source)| *index != me && source.grant.is_some())
            .filter_map(|(_, source)| source.task.upgrade())
            .collect();
        drop(guard);
        tasks.iter().for_each(Task::wake);
    }

    /// Has `task` woken by whatever may let it go on. It must look again before it rests.
    pub(super) fn starves(&self, task: &Weak<Task>) {
        let mut starving = self.starving.lock();
        if !starving.iter().any(|known| known.ptr_eq(task)) {
            starving.push(Weak::clone(task));
        }
    }

    /// Rows have left a task, with all that came of them.
    pub(super) fn progress(&self) {
        let starving = std::mem::take(&mut *self.starving.lock());
        starving.iter().filter_map(Weak::upgrade).for_each(|task| task.wake());
    }
}

impl State {
    /// True if the heads of all sources are known, and the round before is dealt.
    fn is_ready(&self) -> bool {
        self.sources.iter().all(|source| {
            source.grant.is_none()
                && match source.head {
                    Head::Unknown => false,
                    Head::Ended => true,
                    Head::Dry | Head::Rows { .. } => source.barriers == self.barriers,
                }
        })
    }

    /// The sources but `me` that were dry when they looked last and may have been woken since: they may have records by
    /// now.
    fn awake(&self, me: usize) -> Vec<Arc<Task>> {
        let dry =
            self.sources.iter().enumerate().filter(|(index, source)| *index != me && matches!(source.head, Head::Dry));
        dry.filter_map(|(_, source)| source.task.upgrade()).filter(|task| task.is_awake()).collect()
    }

    /// Takes rows by the times at the heads until one source has none left in its hands.
    fn make_round(&mut self) {
        let mut parts: Vec<Part<'_>> = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            if let Head::Rows { chunk, at } = &source.head {
                parts.push(Part { index, meta: &chunk.meta, at: *at, runs: Vec::new() });
            }
        }
        // Tables first: they win among equal times.
        parts.sort_by_key(|part| (!self.sources[part.index].is_table, part.index));
        let mut rank = self.rank;
        'rounds: loop {
            let (mut first, mut second) = (None, None);
            for (place, part) in parts.iter().enumerate() {
                let Some(time) = part.meta.event_time.get(part.at) else { break 'rounds };
                let head = Some((*time, place));
                if first.is_none() || head < first {
                    (first, second) = (head, first);
                } else if second.is_none() || head < second {
                    second = head;
                }
            }
            let Some((_, place)) = first else { break };
            let Part { meta, at, runs, .. } = &mut parts[place];
            let times = &meta.event_time[*at..];
            let goes_first = |time| second.is_none_or(|other| (time, place) < other);
            *at += times.iter().position(|time| !goes_first(*time)).unwrap_or(times.len());
            rank += 1;
            runs.push(Run { until: meta.offset[*at - 1].next(), rank: Rank(rank) });
        }
        let parts: Vec<(usize, usize, Vec<Run>)> =
            parts.into_iter().map(|Part { index, at, runs, .. }| (index, at, runs)).collect();
        self.rank = rank;
        for (index, until, runs) in parts {
            if !runs.is_empty() {
                self.sources[index].grant = Some(Grant { until, ranks: Ranks::Runs(runs.into()) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Order, Ranks};
    use crate::operators::batch_text::batch;
    use crate::runtime::pipeline::Gate;
    use crate::types::{ChangeBatch, Epoch};

    fn chunk(times: &str) -> Arc<ChangeBatch> {
        let rows: Vec<_> = times.split_whitespace().map(|time| format!("+ a 1 @{time}")).collect();
        let mut chunk = batch(&rows.join(";"));
        for (row, offset) in chunk.meta.offset.iter_mut().enumerate() {
            *offset = crate::types::Offset(row as i64);
        }
        Arc::new(chunk)
    }

    /// Sources, each `table` or `stream` and the chunks it reads one after the other; the rounds as `source[times]`.
    fn check(sources: &[&str], expected: &[&str]) {
        let order = Order::default();
        let gate = Gate::new(usize::MAX, usize::MAX, false, false, Epoch(0));
        let mut left: Vec<Vec<Arc<ChangeBatch>>> = Vec::new();
        for source in sources {
            let (kind, chunks) = source.split_once(' ').unwrap_or((source, ""));
            order.add(kind == "table");
            left.push(chunks.split('|').filter(|times| !times.trim().is_empty()).rev().map(chunk).collect());
        }
        let mut held: Vec<Option<(Arc<ChangeBatch>, usize)>> = vec![None; sources.len()];
        let mut seen = Vec::new();
        loop {
            for (source, held) in held.iter_mut().enumerate() {
                if held.is_none() {
                    match left[source].pop() {
                        Some(chunk) => {
                            order.offer(source, &chunk);
                            *held = Some((chunk, 0));
                        }
                        None => order.dry(source),
                    }
                }
            }
            order.make_round(0, Epoch(1), &gate);
            let mut runs = Vec::new();
            for (source, held) in held.iter_mut().enumerate() {
                let Some(grant) = order.grant(source) else { continue };
                let (chunk, at) = held.as_mut().unwrap();
                let Ranks::Runs(of_source) = &grant.ranks else { panic!("a source deals runs") };
                for run in of_source.iter() {
                    let until = chunk.meta.offset.partition_point(|offset| *offset < run.until);
                    let times: Vec<_> = chunk.meta.event_time[*at..until].iter().map(ToString::to_string).collect();
                    runs.push((run.rank, format!("{source}[{}]", times.join(" "))));
                    *at = until;
                }
                if order.dealt(source) {
                    *held = None;
                }
            }
            if runs.is_empty() {
                break;
            }
            runs.sort();
            seen.push(runs.into_iter().map(|(_, run)| run).collect::<Vec<_>>().join(" "));
        }
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_smallest_head_goes_first_and_inputs_are_not_sorted_inside() {
        check(&["stream 5 1 9", "stream 6 6 8"], &["0[5 1] 1[6 6 8]", "0[9]"]);
        check(&["stream 9", "stream"], &["0[9]"]);
    }

    #[test]
    fn of_equal_times_a_table_goes_first_then_the_lower_index() {
        check(&["stream 5 5", "stream 5", "table 5 6"], &["2[5] 0[5 5]", "1[5]", "2[6]"]);
    }

    #[test]
    fn a_round_ends_where_nobody_knows_the_next_head() {
        check(&["stream 10 20", "table 1 2 | 3 15 | 30"], &["1[1 2]", "1[3] 0[10] 1[15]", "0[20]", "1[30]"]);
    }

    #[test]
    fn a_source_that_has_not_told_is_waited_for_and_so_is_one_that_has_not_dealt() {
        let order = Order::default();
        let gate = Gate::new(usize::MAX, usize::MAX, false, false, Epoch(0));
        order.add(false);
        order.add(true);
        order.offer(0, &chunk("5 6"));
        order.make_round(0, Epoch(1), &gate);
        assert!(order.grant(0).is_none());
        order.offer(1, &chunk("5 6"));
        order.make_round(1, Epoch(1), &gate);
        assert!(order.dealt(1));
        order.dry(1);
        order.make_round(1, Epoch(1), &gate);
        assert_eq!(order.grant(0).map(|grant| grant.until), Some(1));
        assert!(!order.dealt(0));
    }

    #[test]
    fn no_round_is_made_while_some_sources_are_an_epoch_ahead() {
        let order = Order::default();
        let gate = Gate::new(usize::MAX, usize::MAX, false, false, Epoch(0));
        order.add(false);
        order.add(false);
        order.offer(0, &chunk("5"));
        order.dry(1);
        let first = order.end_epoch(0);
        order.make_round(0, Epoch(2), &gate);
        assert!(order.grant(0).is_none());
        assert_eq!(order.end_epoch(1), first);
        order.make_round(1, Epoch(2), &gate);
        assert!(order.frontiers()[0] > first);
    }
}
