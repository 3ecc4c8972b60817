//! Deals rows from the tasks of one stage to the tasks of the next, by the slot of their key, inside the process.
//!
//! ```text
//!   upstream 0 ─┐  ┌─ queue 0 ─┐
//!               ├──┤           ├─ inbox of a task that owns every other slot
//!   upstream 1 ─┘  └─ queue 1 ─┘
//! ```
//!
//! Invariants:
//! - order holds within a queue (one upstream task, one downstream task) and nowhere else;
//! - marks and barriers travel in the queues, behind the rows they follow, and never wait for room;
//! - a barrier leaves an inbox when every queue has it; a queue that has it is held back until then;
//! - a queue holds about `exchange.max.rows` rows: a full one stops the upstream task before its next batch;
//! - rows leave an inbox with the stream time of the stage, which never moves back: no row is late because another
//!   upstream task was faster;
//! - the inbox of a stage that joins gives rows in the order of their [`Rank`]s, those of many ranks at once. An empty queue is waited for while a row with a lower rank may still come through it; then queues from
//!   other stages may hold more than the bound, which would otherwise stop those that are waited for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use datafusion::arrow::array::UInt32Array;
use parking_lot::{Mutex, MutexGuard};

use crate::operators::{Port, Round, StreamTime};
use crate::state::{Slot, hash_keys, slot_of};
use crate::types::{ChangeBatch, Epoch, EventTime, Offset, Op, Ops};

use super::gathered::Gathered;
use super::idleness::Standing;
use super::order::{Order, Rank, Ranks, Run};
use super::scheduler::Task;

/// What travels between tasks. Ranks matter to inboxes in order only.
#[derive(Debug)]
pub(super) enum Message {
    /// Rows. Their ranks are in the batch where that has some.
    Changes(Arc<ChangeBatch>, Ranks),
    /// Stream time of the upstream task, and whether it is idle: then nobody waits for it.
    Mark { stream_time: Option<StreamTime>, idle: bool },
    /// The epoch ends here.
    Barrier(Epoch, Rank),
}

/// What a task takes out of its inbox.
#[expect(clippy::large_enum_variant, reason = "one a batch, moved a few times: a box would cost more")]
#[derive(Debug)]
pub(super) enum Taken {
    /// Rows, and the port of the stage they belong to.
    Changes(Port, ChangeBatch),
    /// Rows of both ports of the stage. Only in order.
    Round(Round),
    /// Upstream marks changed: the stream time of the shard, if it is known yet.
    Time(Option<StreamTime>),
    /// The barrier of this epoch has come on every queue.
    Barrier(Epoch),
}

/// The queue from one upstream task.
#[derive(Debug)]
struct Queue {
    port: Port,
    messages: VecDeque<Message>,
    /// Rows of the first message that were taken already.
    taken: usize,
    /// The first message, from there on.
    head: Option<Head>,
    /// The place among the first message's runs.
    run: usize,
    rows: usize,
    at_barrier: bool,
    stream_time: Option<StreamTime>,
    idle: bool,
}

/// What comes next out of a queue.
#[derive(Debug, Clone, Copy)]
enum Head {
    /// Rows of one rank, up to this one of the message.
    Rows {
        rank: Rank,
        until: usize,
    },
    Mark,
    Barrier(Rank),
}

#[derive(Default)]
struct Queues {
    queues: Vec<Queue>,
    /// The queue after the one served last.
    turn: usize,
    /// Upstream tasks that found no room.
    waiting: Vec<Arc<Task>>,
    shard_time: Option<StreamTime>,
    /// The reader has taken something and not come back since.
    is_busy: bool,
    /// The rank of what the reader took last, until it comes back. Only in order.
    current: Option<Rank>,
    /// There are rows whose turn has not come.
    is_starving: bool,
    /// Marks were taken among rows, and the reader was not told the time behind them yet. Only in order.
    owes_time: bool,
}

/// What is on the other end of a queue.
pub(super) enum Upstream {
    /// A source, by its index among the pipeline's.
    Source(usize),
    /// A task with this inbox.
    Stage(Arc<Inbox>),
}

/// What an inbox in order knows of others.
struct InOrder {
    order: Arc<Order>,
    /// By queue.
    upstreams: Vec<Upstream>,
    /// A later stage is in order too: each slice has one rank.
    passes_ranks: bool,
}

/// Where a task's rows arrive.
pub(super) struct Inbox {
    // fixed
    max_rows: usize,
    reader: OnceLock<Weak<Task>>,
    /// What the reader makes of rows has their ranks.
    keeps_ranks: OnceLock<bool>,
    in_order: Option<InOrder>,
    // changing
    state: Mutex<Queues>,
}

impl Inbox {
    /// An inbox with one queue for each upstream task, of the given ports, that goes on at this stream time.
    pub(super) fn new(ports: impl IntoIterator<Item = Port>, max_rows: usize, shard_time: Option<StreamTime>) -> Self {
        let queues = ports
            .into_iter()
            .map(|port| Queue {
                port,
                messages: VecDeque::new(),
                taken: 0,
                head: None,
                run: 0,
                rows: 0,
                at_barrier: false,
                stream_time: None,
                idle: false,
            })
            .collect();
        let state = Queues { queues, shard_time, ..Queues::default() };
        let (reader, keeps_ranks) = (OnceLock::new(), OnceLock::new());
        Self { max_rows, reader, keeps_ranks, in_order: None, state: Mutex::new(state) }
    }

    /// Gives rows in the order of their ranks. `upstreams` are the other ends of the queues.
    pub(super) fn in_order(mut self, order: &Arc<Order>, upstreams: Vec<Upstream>, passes_ranks: bool) -> Self {
        debug_assert_eq!(upstreams.len(), self.state.get_mut().queues.len(), "a queue has one other end");
        self.in_order = Some(InOrder { order: Arc::clone(order), upstreams, passes_ranks });
        self
    }

    /// The rank of what was taken last, if ranks matter behind this stage.
    pub(super) fn rank(&self) -> Option<Rank> {
        let passes_ranks = self.in_order.as_ref().is_some_and(|in_order| in_order.passes_ranks);
        if passes_ranks { self.state.lock().current } else { None }
    }

    /// Nobody waits for this upstream task until it deals rows.
    fn start_idle(&self, queue: usize) {
        self.state.lock().queues[queue].idle = true;
    }

    /// This upstream task is waited for again from now on, whatever its queue says so far.
    pub(super) fn wait_for(&self, queue: usize) {
        let mut state = self.state.lock();
        let queue = &mut state.queues[queue];
        queue.idle = false;
        for message in &mut queue.messages {
            if let Message::Mark { idle, .. } = message {
                *idle = false;
            }
        }
    }

    /// The stream time behind everything taken so far.
    pub(super) fn shard_time(&self) -> Option<StreamTime> {
        self.state.lock().shard_time
    }

    /// Names the task that reads this inbox, and whether what it makes of rows has their ranks. Called once.
    pub(super) fn read_by(&self, task: &Arc<Task>, keeps_ranks: bool) {
        let named =
            self.reader.set(Arc::downgrade(task)).and(self.keeps_ranks.set(keeps_ranks).map_err(|_| Weak::new()));
        debug_assert!(named.is_ok(), "an inbox has one reader");
    }

    /// True if the queue of this upstream task has room; else `upstream` is woken once there is.
    fn has_room(&self, queue: usize, upstream: &Arc<Task>) -> bool {
        let mut state = self.state.lock();
        // Who waits for one stage's rows while another stage's fill the queue would otherwise stop both.
        let is_elastic = state.is_starving
            && self.in_order.as_ref().is_some_and(|known| matches!(known.upstreams[queue], Upstream::Stage(_)));
        let has_room = is_elastic || state.queues[queue].rows < self.max_rows;
        if !has_room && !state.waiting.iter().any(|task| Arc::ptr_eq(task, upstream)) {
            state.waiting.push(Arc::clone(upstream));
        }
        has_room
    }

    fn put(&self, queue: usize, message: Message) {
        let mut state = self.state.lock();
        let queue = &mut state.queues[queue];
        let is_barrier = matches!(message, Message::Barrier(..));
        match (&message, queue.messages.back_mut()) {
            (Message::Changes(batch, _), _) => queue.rows += batch.len(),
            // Of marks without rows between them the last one counts.
            (Message::Mark { .. }, Some(last @ Message::Mark { .. })) => {
                *last = message;
                return;
            }
            _ => {}
        }
        queue.push(message);
        drop(state);
        if let Some(reader) = self.reader.get().and_then(Weak::upgrade) {
            if is_barrier { reader.wake_first() } else { reader.wake() }
        }
    }

    /// True if nothing waits here and the reader has done what it took.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        !state.is_busy && state.queues.iter().all(|queue| queue.messages.is_empty())
    }

    /// The next message: in order, or else round robin over the queues that are not held back by a barrier. To be
    /// called when what was taken before has left.
    pub(super) fn take(&self) -> Option<Taken> {
        match &self.in_order {
            None => self.take_any(),
            Some(in_order) => {
                let has_passed = {
                    let mut state = self.state.lock();
                    state.is_busy = true;
                    state.current.take().is_some()
                };
                if has_passed {
                    in_order.order.progress();
                }
                self.take_in_order(in_order)
            }
        }
    }

    fn take_any(&self) -> Option<Taken> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.is_busy = true;
        let queues = state.queues.len();
        for i in 0..queues {
            let index = (state.turn + i) % queues;
            let queue = &mut state.queues[index];
            if queue.at_barrier {
                continue;
            }
            let Some(message) = queue.pop() else { continue };
            state.turn = (index + 1) % queues;
            match message {
                Message::Changes(batch, _) => return Some(self.take_rows(guard, index, Arc::unwrap_or_clone(batch))),
                Message::Mark { stream_time, idle } => return Some(state.take_mark(index, stream_time, idle)),
                Message::Barrier(epoch, _) => {
                    if let Some(barrier) = state.take_barrier(index, epoch) {
                        return Some(barrier);
                    }
                    drop(guard);
                    return self.take_any();
                }
            }
        }
        state.is_busy = false;
        None
    }

    /// Rows that left a queue.
    fn take_rows(&self, mut guard: MutexGuard<'_, Queues>, index: usize, mut batch: ChangeBatch) -> Taken {
        let state = &mut *guard;
        let queue = &mut state.queues[index];
        let port = queue.port;
        queue.rows -= batch.len();
        let has_room = queue.rows < self.max_rows;
        let woken = if has_room { std::mem::take(&mut state.waiting) } else { vec![] };
        state.stamp(index, &mut batch.meta.stream_time);
        drop(guard);
        woken.iter().for_each(Task::wake);
        Taken::Changes(port, batch)
    }

    /// The rows with the lowest ranks, or what comes before them.
    fn take_in_order(&self, in_order: &InOrder) -> Option<Taken> {
        let mut guard = self.state.lock();
        if std::mem::take(&mut guard.owes_time) {
            guard.current = Some(Rank::default());
            return Some(Taken::Time(guard.shard_time));
        }
        let rank = loop {
            let Some((rank, index)) = guard.heads().min() else {
                (guard.is_busy, guard.is_starving) = (false, false);
                return None;
            };
            match guard.queues[index].head {
                Some(Head::Rows { .. }) => break rank,
                _ => match guard.queues[index].pop() {
                    Some(Message::Mark { stream_time, idle }) => {
                        guard.current = Some(rank);
                        return Some(guard.take_mark(index, stream_time, idle));
                    }
                    Some(Message::Barrier(epoch, _)) => {
                        if let Some(barrier) = guard.take_barrier(index, epoch) {
                            guard.current = Some(rank);
                            return Some(barrier);
                        }
                    }
                    Some(Message::Changes(..)) | None => return None,
                },
            }
        };
        if guard.may_come(in_order) <= rank {
            // Woken from here on; what came before is seen by looking again.
            if let Some(reader) = self.reader.get() {
                in_order.order.starves(reader);
            }
            if guard.may_come(in_order) <= rank {
                (guard.is_busy, guard.is_starving) = (false, true);
                let waiting = std::mem::take(&mut guard.waiting);
                drop(guard);
                waiting.iter().for_each(Task::wake);
                return None;
            }
        }
        (guard.current, guard.is_starving) = (Some(rank), false);
        let takes_one = in_order.passes_ranks && self.keeps_ranks.get() == Some(&false);
        let gathered = guard.gather(in_order, takes_one);
        let has_room = guard.queues.iter().any(|queue| queue.rows < self.max_rows);
        let woken = if has_room { std::mem::take(&mut guard.waiting) } else { vec![] };
        drop(guard);
        woken.iter().for_each(Task::wake);
        Some(gathered.into_taken())
    }

    /// No row that this inbox's reader emits comes with a rank before this, unless it is of a source's later round.
    fn frontier<'a>(&'a self, seen: &mut Frontiers<'a>) -> Rank {
        // Upstream first: what moves down meanwhile is then seen here.
        let upstreams = self.in_order.iter().flat_map(|known| &known.upstreams);
        let above = upstreams.map(|upstream| seen.of(upstream)).min().unwrap_or(Rank::LAST);
        let state = self.state.lock();
        let heads = state.heads().map(|(rank, _)| rank).min().unwrap_or(Rank::LAST);
        above.min(heads).min(state.current.unwrap_or(Rank::LAST))
    }
}

/// What is known of the ranks that may still come from upstream tasks. Each is looked at once, so the cost is that of
/// the tasks above, not of the ways down from them.
struct Frontiers<'a> {
    /// Of the sources; those are looked at first.
    sources: Vec<Rank>,
    inboxes: Vec<(&'a Arc<Inbox>, Rank)>,
}

impl<'a> Frontiers<'a> {
    fn new(order: &Order) -> Self {
        Self { sources: order.frontiers(), inboxes: Vec::new() }
    }

    fn of(&mut self, upstream: &'a Upstream) -> Rank {
        match upstream {
            Upstream::Source(source) => self.sources.get(*source).copied().unwrap_or(Rank::LAST),
            Upstream::Stage(inbox) => {
                if let Some((_, known)) = self.inboxes.iter().find(|(known, _)| Arc::ptr_eq(known, inbox)) {
                    return *known;
                }
                let found = inbox.frontier(self);
                self.inboxes.push((inbox, found));
                found
            }
        }
    }
}

impl Queue {
    fn push(&mut self, message: Message) {
        self.messages.push_back(message);
        if self.messages.len() == 1 {
            self.look();
        }
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front();
        (self.taken, self.run) = (0, 0);
        self.look();
        message
    }

    /// Passes over the rows of the first message before `until`.
    fn pass(&mut self, until: usize) {
        self.rows -= until - self.taken;
        self.taken = until;
        match self.messages.front() {
            Some(Message::Changes(batch, _)) if until < batch.len() => self.look(),
            _ => {
                self.pop();
            }
        }
    }

    /// Sees what the head is.
    fn look(&mut self) {
        let taken = self.taken;
        self.head = self.messages.front().map(|message| match message {
            Message::Changes(batch, ranks) => match (&batch.meta.rank, ranks) {
                (Some(rank), _) => {
                    let same = rank[taken..].iter().take_while(|other| **other == rank[taken]).count();
                    Head::Rows { rank: Rank::of(rank[taken]), until: taken + same }
                }
                (None, Ranks::Same(rank)) => Head::Rows { rank: *rank, until: batch.len() },
                (None, Ranks::Runs(runs)) => {
                    let offsets = &batch.meta.offset[taken..];
                    while runs.get(self.run).is_some_and(|run| run.until <= offsets[0]) {
                        self.run += 1;
                    }
                    let run = runs.get(self.run).copied();
                    let Run { until, rank } = run.unwrap_or(Run { until: Offset(i64::MAX), rank: ranks.last() });
                    // Often it is one row.
                    let rows = match offsets.get(1) {
                        Some(next) if *next < until => offsets.partition_point(|offset| *offset < until),
                        _ => 1,
                    };
                    Head::Rows { rank, until: taken + rows }
                }
            },
            Message::Mark { .. } => Head::Mark,
            Message::Barrier(_, rank) => Head::Barrier(*rank),
        });
    }
}

impl Queues {
    /// The ranks of the first messages, and their queues, except of those held back by a barrier.
    fn heads(&self) -> impl Iterator<Item = (Rank, usize)> {
        let free = self.queues.iter().enumerate().filter(|(_, queue)| !queue.at_barrier);
        free.filter_map(|(index, queue)| {
            let rank = match queue.head? {
                Head::Rows { rank, .. } | Head::Barrier(rank) => rank,
                // At once: a mark may have been passed on before rows of lower ranks, and must not hide them.
                Head::Mark => Rank::default(),
            };
            Some((rank, index))
        })
    }

    /// The lowest rank that may still come through an empty queue.
    fn may_come(&self, in_order: &InOrder) -> Rank {
        let mut seen = Frontiers::new(&in_order.order);
        let queues = self.queues.iter().zip(&in_order.upstreams);
        let empty = queues.filter(|(queue, _)| !queue.at_barrier && queue.messages.is_empty());
        empty.map(|(_, upstream)| seen.of(upstream)).min().unwrap_or(Rank::LAST)
    }

    /// Takes rows by their ranks, while nothing comes before them that the reader must see, and no lower rank may come.
    /// The first of them may be taken. With `takes_one` those of one rank.
    fn gather(&mut self, in_order: &InOrder, takes_one: bool) -> Gathered {
        let mut gathered = Gathered::new(in_order.passes_ranks && !takes_one);
        // By queue, the number of its first message.
        let mut numbers = vec![None; self.queues.len()];
        let mut may_come = self.may_come(in_order);
        while let Some((rank, index)) = self.heads().min() {
            let queue = &mut self.queues[index];
            match (queue.head, queue.messages.front()) {
                (Some(Head::Rows { until, .. }), Some(Message::Changes(batch, _))) => {
                    let is_over = gathered.is_full() || takes_one || may_come <= rank;
                    if is_over && !gathered.is_empty() {
                        break;
                    }
                    let number = *numbers[index].get_or_insert_with(|| gathered.message(queue.port, batch));
                    let rows = queue.taken..until;
                    queue.pass(until);
                    if queue.taken == 0 {
                        numbers[index] = None;
                    }
                    let is_empty = queue.messages.is_empty();
                    if is_empty {
                        may_come = self.may_come(in_order);
                    }
                    self.stamp(index, gathered.add(number, rows, rank.number()));
                }
                (Some(Head::Mark), _) => {
                    let Some(Message::Mark { stream_time, idle }) = queue.pop() else { break };
                    let before = self.shard_time;
                    self.owes_time = true;
                    let is_empty = queue.messages.is_empty();
                    self.take_mark(index, stream_time, idle);
                    if self.shard_time != before {
                        break;
                    }
                    if is_empty {
                        may_come = self.may_come(in_order);
                    }
                }
                _ => break,
            }
        }
        gathered
    }

    fn take_mark(&mut self, index: usize, stream_time: Option<StreamTime>, idle: bool) -> Taken {
        let queue = &mut self.queues[index];
        (queue.stream_time, queue.idle) = (queue.stream_time.max(stream_time), idle);
        Taken::Time(self.advance_time())
    }

    /// A barrier has come on a queue: it leaves if it was the last one.
    fn take_barrier(&mut self, index: usize, epoch: Epoch) -> Option<Taken> {
        self.queues[index].at_barrier = true;
        if !self.queues.iter().all(|queue| queue.at_barrier) {
            return None;
        }
        self.queues.iter_mut().for_each(|queue| queue.at_barrier = false);
        Some(Taken::Barrier(epoch))
    }

    /// Makes the stream times of rows from a queue, which are those of its upstream task, those of the stage: each is
    /// held back by the other tasks that are not idle, and never before the shard's time so far.
    fn stamp(&mut self, index: usize, times: &mut [StreamTime]) {
        const UNKNOWN: StreamTime = EventTime(i64::MIN);
        let others = self.queues.iter().enumerate().filter(|(other, queue)| *other != index && !queue.idle);
        let held_at = others.map(|(_, queue)| queue.stream_time.unwrap_or(UNKNOWN)).min();
        let queue = &mut self.queues[index];
        queue.stream_time = queue.stream_time.max(times.last().copied().filter(|time| *time != UNKNOWN));
        queue.idle = false;
        let mut now = self.shard_time.unwrap_or(UNKNOWN);
        for time in times {
            now = now.max(held_at.map_or(*time, |held_at| held_at.min(*time)));
            *time = now;
        }
        self.shard_time = Some(now).filter(|now| *now != UNKNOWN);
    }

    /// The shard's stream time: the minimum over upstream tasks that are not idle, the maximum over all when every one
    /// is. Unknown until every task that is not idle has a time. Never moves back.
    fn advance_time(&mut self) -> Option<StreamTime> {
        let active: Vec<Option<StreamTime>> =
            self.queues.iter().filter(|queue| !queue.idle).map(|queue| queue.stream_time).collect();
        let now = if active.is_empty() {
            self.queues.iter().filter_map(|queue| queue.stream_time).max()
        } else {
            active.into_iter().collect::<Option<Vec<_>>>().and_then(|times| times.into_iter().min())
        };
        self.shard_time = self.shard_time.max(now);
        self.shard_time
    }
}

/// Where a task's rows leave to: the inboxes of the next stage's tasks.
pub(super) struct Dealer {
    // fixed
    key: Vec<usize>,
    slots: u16,
    /// The inbox of each downstream task, and this task's queue in it.
    inboxes: Vec<(Arc<Inbox>, usize)>,
    restamps: bool,
    // changing
    stream_time: Option<StreamTime>,
    idle: Arc<AtomicBool>,
    /// Of what is dealt now.
    ranks: Ranks,
}

impl Dealer {
    /// A dealer by these key columns. With `restamps`, each row gets the running maximum of the event times dealt so
    /// far as its stream time, from `stream_time` on: tasks that read a source partition do that.
    pub(super) fn new(
        key: Vec<usize>,
        slots: u16,
        inboxes: Vec<(Arc<Inbox>, usize)>,
        restamps: bool,
        stream_time: Option<StreamTime>,
    ) -> Self {
        let dealer = Self {
            key,
            slots,
            inboxes,
            restamps,
            stream_time,
            idle: Arc::default(),
            ranks: Ranks::Same(Rank::default()),
        };
        if stream_time.is_some() {
            dealer.mark();
        }
        dealer
    }

    /// What is dealt from here on has these ranks.
    pub(super) fn set_ranks(&mut self, ranks: Ranks) {
        self.ranks = ranks;
    }

    /// The running maximum of event times dealt so far.
    pub(super) fn stream_time(&self) -> Option<StreamTime> {
        self.stream_time
    }

    /// True if every downstream queue has room; else `task` is woken when there may be.
    pub(super) fn has_room(&self, task: &Arc<Task>) -> bool {
        self.inboxes.iter().all(|(inbox, queue)| inbox.has_room(*queue, task))
    }

    /// Deals the rows, then tells every downstream task the stream time behind them.
    pub(super) fn deal(&mut self, mut batch: ChangeBatch) {
        self.be_awake();
        if self.restamps {
            for (event_time, stamp) in batch.meta.event_time.iter().zip(&mut batch.meta.stream_time) {
                self.stream_time = self.stream_time.max(Some(*event_time));
                *stamp = self.stream_time.unwrap_or(EventTime(i64::MIN));
            }
        } else {
            let known = batch.meta.stream_time.iter().copied().filter(|time| *time != EventTime(i64::MIN));
            self.stream_time = self.stream_time.max(known.max());
        }
        let key: Vec<_> = self.key.iter().map(|column| batch.rows.column(*column)).collect();
        let hashes = hash_keys(&key, batch.len());
        break_up_rekeyed_updates(&mut batch.ops, &hashes);
        if let [(inbox, queue)] = &self.inboxes[..] {
            inbox.put(*queue, Message::Changes(Arc::new(batch), self.ranks.clone()));
        } else {
            let shares = shares(&hashes, self.slots, self.inboxes.len());
            for ((inbox, queue), share) in self.inboxes.iter().zip(shares) {
                if !share.is_empty() {
                    let share = batch.take(&UInt32Array::from(share)).expect("rows are within the batch");
                    inbox.put(*queue, Message::Changes(Arc::new(share), self.ranks.clone()));
                }
            }
        }
        self.mark();
    }

    /// Has nobody wait for this task from the start. Called before any task runs: a mark would come behind rows of
    /// others that are taken first.
    pub(super) fn start_idle(&self) {
        self.idle.store(true, Ordering::SeqCst);
        self.inboxes.iter().for_each(|(inbox, queue)| inbox.start_idle(*queue));
    }

    /// Tells every downstream task that nobody need wait for this one.
    pub(super) fn be_idle(&self) {
        if !self.idle.swap(true, Ordering::SeqCst) {
            self.mark();
        }
    }

    /// Has everybody wait for this task again, before its next rows are dealt: rows of others that are taken before
    /// them must not go by a time that makes them late.
    pub(super) fn be_awake(&self) {
        if self.idle.swap(false, Ordering::SeqCst) {
            self.inboxes.iter().for_each(|(inbox, queue)| inbox.wait_for(*queue));
        }
    }

    /// What others need to have this task waited for again.
    pub(super) fn standing(&self) -> Standing {
        Standing { is_idle: Arc::clone(&self.idle), inboxes: self.inboxes.clone() }
    }

    /// Tells every downstream task that the epoch ends here.
    pub(super) fn barrier(&self, epoch: Epoch) {
        for (inbox, queue) in &self.inboxes {
            inbox.put(*queue, Message::Barrier(epoch, self.ranks.last()));
        }
    }

    /// Passes on stream time that rose without rows.
    pub(super) fn pass_time(&mut self, now: StreamTime) {
        if self.stream_time < Some(now) {
            self.stream_time = Some(now);
            self.mark();
        }
    }

    fn mark(&self) {
        for (inbox, queue) in &self.inboxes {
            let idle = self.idle.load(Ordering::SeqCst);
            inbox.put(*queue, Message::Mark { stream_time: self.stream_time, idle });
        }
    }
}

/// The task, of `tasks`, that owns a slot. Slots that share a partition of a changelog share a task where the numbers
/// allow it, so that a task restores from few partitions.
pub(super) fn owner_of(slot: Slot, tasks: usize) -> usize {
    usize::from(slot.0) % tasks.max(1)
}

/// The rows of each task, by the hashes of their keys.
fn shares(hashes: &[u64], slots: u16, tasks: usize) -> Vec<Vec<u32>> {
    // A table, so that a row costs no division; and lists that never grow.
    let owners: Vec<usize> = (0..slots.max(1)).map(|slot| owner_of(Slot(slot), tasks)).collect();
    let mut shares: Vec<Vec<u32>> = (0..tasks).map(|_| Vec::with_capacity(hashes.len())).collect();
    for (row, hash) in (0_u32..).zip(hashes) {
        shares[owners[usize::from(slot_of(*hash, slots).0)]].push(row);
    }
    shares
}

/// An update whose sides have different keys becomes a delete, then an insert, each for its own task.
fn break_up_rekeyed_updates(ops: &mut Ops, hashes: &[u64]) {
    let Ops::Each(ops) = ops else { return };
    for row in 0..ops.len().saturating_sub(1) {
        // Keys with one hash share a slot, so the halves stay together; operators compare the keys themselves.
        if ops[row] == Op::UpdateBefore && hashes[row] != hashes[row + 1] {
            (ops[row], ops[row + 1]) = (Op::Delete, Op::Insert);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Dealer, Inbox, Message, Taken, Upstream};
    use crate::operators::Port;
    use crate::operators::batch_text::{batch, text};
    use crate::runtime::order::{Order, Rank, Ranks, Run};
    use crate::types::{ChangeBatch, Epoch, EventTime, Offset};

    /// Everything in an inbox, as text.
    fn drain(inbox: &Inbox) -> Vec<String> {
        std::iter::from_fn(|| inbox.take())
            .map(|taken| match taken {
                Taken::Changes(_, batch) => text(&batch),
                Taken::Round(round) => panic!("{round:?} without an order"),
                Taken::Time(now) => now.map_or("time ?".to_owned(), |now| format!("time {now}")),
                Taken::Barrier(epoch) => format!("barrier {epoch}"),
            })
            .collect()
    }

    fn inbox(upstreams: usize) -> Arc<Inbox> {
        Arc::new(Inbox::new(vec![Port(0); upstreams], 100, None))
    }

    fn dealer(inboxes: Vec<(Arc<Inbox>, usize)>) -> Dealer {
        Dealer::new(vec![0], 64, inboxes, true, None)
    }

    #[test]
    fn a_barrier_leaves_when_every_queue_has_it_and_holds_back_what_follows() {
        let inbox = inbox(2);
        inbox.put(0, Message::Barrier(Epoch(1), Rank::default()));
        inbox.put(0, Message::Changes(Arc::new(batch("+ a 2 @2")), Ranks::Same(Rank::default())));
        inbox.put(1, Message::Changes(Arc::new(batch("+ b 1 @1")), Ranks::Same(Rank::default())));
        assert_eq!(drain(&inbox), ["+ b 1 @1"]);
        inbox.put(1, Message::Barrier(Epoch(1), Rank::default()));
        assert_eq!(drain(&inbox), ["barrier 1", "+ a 2 @2"]);
    }

    #[test]
    fn shard_time_is_the_minimum_over_tasks_that_are_not_idle() {
        let inbox = inbox(2);
        let mark = |queue, time, idle| {
            inbox.put(queue, Message::Mark { stream_time: Some(EventTime(time)), idle });
            drain(&inbox).concat()
        };
        assert_eq!(mark(0, 10, false), "time ?");
        assert_eq!(mark(1, 5, false), "time 5");
        assert_eq!(mark(1, 5, true), "time 10");
        assert_eq!(mark(1, 7, false), "time 10");
        assert_eq!(mark(0, 20, true), "time 10");
        assert_eq!(mark(1, 7, true), "time 20");
    }

    #[test]
    fn every_task_is_told_the_time_and_gets_only_its_slots() {
        let (left, right) = (inbox(1), inbox(1));
        let mut dealer = dealer(vec![(Arc::clone(&left), 0), (Arc::clone(&right), 0)]);
        dealer.deal(batch("+ a 1 @9; + b 2 @3; + c 3 @4; + d 4 @5; + e 5 @6"));
        let (left, right) = (drain(&left), drain(&right));
        assert_eq!(left.last().unwrap(), "time 9");
        assert_eq!(right.last().unwrap(), "time 9");
        let rows = |messages: &[String]| messages[0].split(';').count();
        assert_eq!(rows(&left) + rows(&right), 5);
        assert_eq!((left.len(), right.len()), (2, 2));
    }

    #[test]
    fn an_update_that_changes_the_key_becomes_a_delete_and_an_insert() {
        let inbox = inbox(1);
        let mut dealer = dealer(vec![(Arc::clone(&inbox), 0)]);
        dealer.deal(batch("-u a 1 @1; +u a 2 @1; -u a 2 @2; +u b 2 @2"));
        assert_eq!(drain(&inbox)[0], "-u a 1 @1; +u a 2 @1; - a 2 @2; + b 2 @2");
    }

    /// The stream times of rows dealt by two tasks, one message at a time: `0: 5 9` are rows of the first task with
    /// these event times, `1: idle` says that nobody need wait for the second.
    fn check_times(messages: &str, expected: &str) {
        let inbox = inbox(2);
        let mut dealers: Vec<Dealer> = (0..2).map(|queue| dealer(vec![(Arc::clone(&inbox), queue)])).collect();
        let mut seen = Vec::new();
        for message in messages.split(';') {
            let (queue, times) = message.trim().split_once(':').unwrap();
            let dealer = &mut dealers[queue.parse::<usize>().unwrap()];
            if times.trim() == "idle" {
                dealer.be_idle();
            } else {
                let rows: Vec<_> = times.split_whitespace().map(|time| format!("+ a 1 @{time}")).collect();
                dealer.deal(batch(&rows.join(";")));
            }
            while let Some(taken) = inbox.take() {
                if let Taken::Changes(_, batch) = taken {
                    let unknown = EventTime(i64::MIN);
                    let shown = |time: &EventTime| if *time == unknown { "?".to_owned() } else { time.to_string() };
                    seen.push(batch.meta.stream_time.iter().map(shown).collect::<Vec<_>>().join(" "));
                }
            }
        }
        assert_eq!(seen.join("; "), expected);
    }

    #[test]
    fn rows_carry_the_stream_time_of_the_stage() {
        // While a task that is not idle has no time nothing is late.
        check_times("0: 5 9; 0: 20", "? ?; ?");
        // The slower task holds back the faster.
        check_times("0: 5 9; 1: 3 7 4; 0: 50; 1: 60", "? ?; 3 7 7; 7; 50");
        // Nobody waits for an idle task; time never moves back when it comes again.
        check_times("1: idle; 0: 5 9 2; 1: 1; 0: 30; 1: 12", "5 9 9; 9; 9; 12");
        // When all were idle the largest time counts.
        check_times("0: 100; 1: 5; 0: idle; 1: idle; 1: 40; 0: 101", "?; 5; 100; 100");
    }

    /// An inbox in order of two queues with these ports; `0: 5 9` are rows of the first one with these ranks, one
    /// message each; what leaves until nothing does.
    fn check_order(ports: [usize; 2], messages: &str, expected: &str) {
        let order = Arc::new(Order::default());
        let inbox = Inbox::new(ports.map(Port), 100, None);
        let inbox = inbox.in_order(&order, vec![Upstream::Source(0), Upstream::Source(1)], false);
        for message in messages.split(';') {
            let (queue, ranks) = message.trim().split_once(':').unwrap();
            let ranks: Vec<u64> = ranks.split_whitespace().map(|rank| rank.parse().unwrap()).collect();
            let rows: Vec<_> = ranks.iter().map(|rank| format!("+ a {rank} @{rank}")).collect();
            let rows = batch(&rows.join(";"));
            let run = |(offset, rank): (i64, &u64)| Run { until: Offset(offset + 1), rank: Rank::of(*rank) };
            let runs = Ranks::Runs((0..).zip(&ranks).map(run).collect());
            let last = EventTime(ranks.last().copied().unwrap_or_default() as i64);
            let queue = queue.parse().unwrap();
            inbox.put(queue, Message::Changes(Arc::new(rows), runs));
            inbox.put(queue, Message::Mark { stream_time: Some(last), idle: false });
        }
        let values = |batch: &ChangeBatch| {
            let values = crate::operators::batch_text::values(batch).into_iter().flatten();
            values.map(|value| value.to_string()).collect::<Vec<_>>().join(" ")
        };
        let shown = |taken| match taken {
            Taken::Changes(port, batch) => Some(format!("{}[{}]", port.0, values(&batch))),
            Taken::Round(round) => {
                let slices = round.slices();
                let slices = slices.iter().map(|(port, batch)| format!("{}[{}]", port.0, values(batch)));
                Some(format!("({})", slices.collect::<Vec<_>>().join(" ")))
            }
            Taken::Time(_) => None,
            Taken::Barrier(epoch) => Some(format!("barrier {epoch}")),
        };
        let left: Vec<_> = std::iter::from_fn(|| inbox.take()).filter_map(shown).collect();
        assert_eq!(left.join(" "), expected);
    }

    #[test]
    fn rows_in_order_leave_as_one_batch_or_round() {
        check_order([0, 0], "0: 1 3 4 7; 1: 2 5 6", "0[1 2 3 4 5 6 7]");
        check_order([0, 1], "0: 1 3 4 7; 1: 2 5 6", "(0[1] 1[2] 0[3 4] 1[5 6] 0[7])");
        check_order([0, 1], "0: 1 2; 1: 5 6; 0: 3 8", "(0[1 2 3] 1[5 6] 0[8])");
        check_order([0, 1], "1: 1 2", "1[1 2]");
    }

    #[test]
    fn an_inbox_goes_on_at_the_time_it_had() {
        let inbox = Arc::new(Inbox::new([Port(0), Port(0)], 100, Some(EventTime(50))));
        let mut dealer = Dealer::new(vec![0], 64, vec![(Arc::clone(&inbox), 0)], true, Some(EventTime(40)));
        dealer.deal(batch("+ a 1 @45"));
        let times = std::iter::from_fn(|| inbox.take()).filter_map(|taken| match taken {
            Taken::Changes(_, batch) => Some(batch.meta.stream_time),
            _ => None,
        });
        assert_eq!(times.collect::<Vec<_>>(), [[EventTime(50)]]);
    }
}
