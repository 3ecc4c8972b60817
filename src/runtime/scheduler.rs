//! Decides which task runs next: on worker threads, or one after the other from a seed.
//!
//! ```text
//!   wake ──▶ lane of the query ──▶ ring of lanes ──pop──▶ worker: one step ──▶ lane again, or idle
//! ```
//!
//! Invariants:
//! - a task runs on one thread at a time; a wake while it runs makes it run once more;
//! - queries share workers by deficit round robin over the rows they process; within a query, tasks with a barrier
//!   waiting come first;
//! - a step never blocks: what waits for the log or a client is woken by it;
//! - a thread that waits for what a task does may run its steps itself ([`Task::help`]); workers pass over it meanwhile.
//!   While somebody hurries it ([`Task::hurry`]), whoever runs it goes on until it rests;
//! - a panic ends the task's step, not the thread.
//!
//! The seeded scheduler has no threads: its owner calls [`Scheduler::run_until_idle`], and the seed picks among the
//! tasks that could run. Its timers fire when nothing else is left to do.

use std::any::Any;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Clock;

/// Rows a query may process before another gets its turn.
const QUANTUM: i64 = 8192;

/// What a step costs beside its rows: about the time of a hundred of them.
const STEP_COST: i64 = 100;

/// What a task does after its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It has more to do at once.
    Again,
    /// It waits to be woken.
    Idle,
    /// It is never run again.
    Finished,
}

/// What a step did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ran {
    /// Rows processed, for fairness.
    pub(super) rows: usize,
    /// What next.
    pub(super) next: Next,
}

impl Ran {
    pub(super) const IDLE: Self = Self { rows: 0, next: Next::Idle };
    pub(super) const AGAIN: Self = Self { rows: 0, next: Next::Again };
    pub(super) const FINISHED: Self = Self { rows: 0, next: Next::Finished };
}

/// The work of a task.
pub(super) trait Body: Send {
    /// Does a bounded piece of work. `me` is what wakes this task.
    fn step(&mut self, me: &Arc<Task>) -> Ran;

    /// The last step panicked; the task is not run again.
    fn panicked(&mut self, message: String);
}

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
const WOKEN: u8 = 3;
const FINISHED: u8 = 4;

/// Something that can be scheduled.
pub(super) struct Task {
    // fixed
    scheduler: Weak<Scheduler>,
    lane: u64,
    // changing
    state: AtomicU8,
    /// A worker came while somebody helped, and went: what it came for is the helper's to do.
    passed_over: AtomicBool,
    /// Those who wait for what it does, and for nothing else.
    hurried: AtomicUsize,
    body: Mutex<Option<Box<dyn Body>>>,
}

/// Somebody waits for what a task does.
pub(super) struct Hurry<'a>(&'a Task);

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.hurried.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Task {
    /// Makes the task run, now or once more after the step under way.
    pub(super) fn wake(self: &Arc<Self>) {
        self.wake_as(false);
    }

    /// As [`Task::wake`], before the query's other tasks.
    pub(super) fn wake_first(self: &Arc<Self>) {
        self.wake_as(true);
    }

    fn wake_as(self: &Arc<Self>, first: bool) {
        if self.must_be_queued()
            && let Some(scheduler) = self.scheduler.upgrade()
        {
            scheduler.push(Arc::clone(self), first);
        }
    }

    /// Notes a wake, in one step: the task may go to rest meanwhile. True if the caller has to queue the task.
    fn must_be_queued(&self) -> bool {
        let woken = self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| match state {
            IDLE => Some(QUEUED),
            RUNNING => Some(WOKEN),
            _ => None,
        });
        woken == Ok(IDLE)
    }

    /// True if the task runs or is going to.
    pub(super) fn is_awake(&self) -> bool {
        matches!(self.state.load(Ordering::SeqCst), QUEUED | RUNNING | WOKEN)
    }

    /// True if the task was woken since its step began.
    pub(super) fn is_woken(&self) -> bool {
        self.state.load(Ordering::SeqCst) == WOKEN
    }

    /// Until the value is dropped, a worker that runs the task does nothing else between its steps.
    pub(super) fn hurry(&self) -> Hurry<'_> {
        self.hurried.fetch_add(1, Ordering::SeqCst);
        Hurry(self)
    }

    /// Runs steps on the thread that asks, which waits for what the task does, until `is_done` or the task would rest; none
    /// if another thread is at it.
    pub(super) fn help(self: &Arc<Self>, is_done: impl Fn() -> bool) {
        let Some(mut body) = self.body.try_lock() else { return };
        let mut next = Next::Idle;
        while let Some(work) = body.as_mut().filter(|_| !is_done()) {
            next = match catch_unwind(AssertUnwindSafe(|| work.step(self))) {
                Ok(ran) => ran.next,
                Err(panic) => {
                    work.panicked(panic_message(panic.as_ref()));
                    Next::Finished
                }
            };
            if next == Next::Finished {
                *body = None;
            }
            if next != Next::Again {
                break;
            }
        }
        drop(body);
        // What a worker came for meanwhile may have come behind the last step.
        if self.passed_over.swap(false, Ordering::SeqCst) || next == Next::Again {
            self.wake();
        }
    }

    /// Runs one step, or, while somebody waits, all there are. True if the task is to be queued again.
    fn run(self: &Arc<Self>) -> (usize, bool) {
        let mut rows = 0;
        loop {
            let (more, again) = self.run_once();
            rows += more;
            if !again || self.hurried.load(Ordering::SeqCst) == 0 {
                return (rows, again);
            }
        }
    }

    fn run_once(self: &Arc<Self>) -> (usize, bool) {
        self.state.store(RUNNING, Ordering::SeqCst);
        // Before the attempt: a helper that lets go after it sees this.
        self.passed_over.store(true, Ordering::SeqCst);
        let Some(mut body) = self.body.try_lock() else {
            // Somebody helps, and wakes the task behind its steps.
            let woken = self.state.compare_exchange(RUNNING, IDLE, Ordering::SeqCst, Ordering::SeqCst).is_err();
            if woken {
                self.state.store(QUEUED, Ordering::SeqCst);
            }
            return (0, woken);
        };
        self.passed_over.store(false, Ordering::SeqCst);
        let Some(work) = body.as_mut() else { return (0, false) };
        let ran = match catch_unwind(AssertUnwindSafe(|| work.step(self))) {
            Ok(ran) => ran,
            Err(panic) => {
                work.panicked(panic_message(panic.as_ref()));
                Ran::FINISHED
            }
        };
        if ran.next == Next::Finished {
            *body = None;
            self.state.store(FINISHED, Ordering::SeqCst);
            return (ran.rows, false);
        }
        drop(body);
        let again = ran.next == Next::Again
            || self.state.compare_exchange(RUNNING, IDLE, Ordering::SeqCst, Ordering::SeqCst).is_err();
        if again {
            self.state.store(QUEUED, Ordering::SeqCst);
        }
        (ran.rows, again)
    }
}

impl std::task::Wake for Task {
    fn wake(self: Arc<Self>) {
        Self::wake(&self);
    }
}

/// What a panic said.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Tasks of one query that want to run.
#[derive(Default)]
struct Lane {
    tasks: VecDeque<Arc<Task>>,
    /// Tasks in the middle of a step. The lane, and with it what the query owes, is kept while there is one.
    running: usize,
    deficit: i64,
}

struct Timer {
    due: Duration,
    order: u64,
    task: Arc<Task>,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The timer due first is the greatest: the heap gives it first.
impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.due, other.order).cmp(&(self.due, self.order))
    }
}

#[derive(Default)]
struct Ready {
    lanes: HashMap<u64, Lane>,
    /// The keys of `lanes`, in the order of their turns.
    ring: VecDeque<u64>,
    /// Tasks in all lanes.
    waiting: usize,
    timers: BinaryHeap<Timer>,
    timers_set: u64,
    /// When the last timer of a seeded run was due.
    fired_until: Duration,
    /// Commits handed to the log and not answered.
    outside: usize,
    stopping: bool,
}

/// Runs tasks.
pub struct Scheduler {
    // fixed
    clock: Arc<dyn Clock>,
    // changing
    ready: Mutex<Ready>,
    changed: Condvar,
    /// Only for seeded runs.
    chance: Option<Mutex<fastrand::Rng>>,
}

impl Scheduler {
    /// A scheduler for worker threads, which the caller starts with [`Scheduler::work`].
    pub(super) fn for_workers(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, ready: Mutex::default(), changed: Condvar::new(), chance: None })
    }

    /// A scheduler without threads whose choices come from `seed`: the same seed and the same inputs give the same
    /// run.
    pub fn seeded(seed: u64, clock: Arc<dyn Clock>) -> Arc<Self> {
        let chance = Some(Mutex::new(fastrand::Rng::with_seed(seed)));
        Arc::new(Self { clock, ready: Mutex::default(), changed: Condvar::new(), chance })
    }

    /// The clock's time since some moment, and never before the last timer that fired.
    pub(super) fn now(&self) -> Duration {
        self.clock.elapsed().max(self.ready.lock().fired_until)
    }

    /// True if there are no worker threads.
    pub(super) fn is_seeded(&self) -> bool {
        self.chance.is_some()
    }

    /// A task of the query that owns `lane`; it first runs when woken.
    pub(super) fn task(self: &Arc<Self>, lane: u64, body: Box<dyn Body>) -> Arc<Task> {
        Arc::new(Task {
            scheduler: Arc::downgrade(self),
            lane,
            state: AtomicU8::new(IDLE),
            passed_over: AtomicBool::new(false),
            hurried: AtomicUsize::new(0),
            body: Mutex::new(Some(body)),
        })
    }

    /// Wakes `task` after `delay`.
    pub(super) fn wake_after(&self, delay: Duration, task: &Arc<Task>) {
        let due = self.now() + delay;
        let mut ready = self.ready.lock();
        if ready.stopping {
            // Nothing fires any more, and a timer would keep its task, and with it the log, for ever.
            return;
        }
        ready.timers_set += 1;
        let order = ready.timers_set;
        ready.timers.push(Timer { due, order, task: Arc::clone(task) });
        drop(ready);
        self.changed.notify_one();
    }

    /// Something was handed to the log; the scheduler is not idle before [`Scheduler::came_back`].
    pub(super) fn went_outside(&self) {
        self.ready.lock().outside += 1;
    }

    /// The log answered. Called after the task that cares was woken.
    pub(super) fn came_back(&self) {
        self.ready.lock().outside -= 1;
        self.changed.notify_all();
    }

    fn push(&self, task: Arc<Task>, first: bool) {
        self.ready.lock().push(task, first);
        self.changed.notify_one();
    }

    /// The work of a worker thread: returns after [`Scheduler::stop`].
    pub(super) fn work(&self) {
        let mut ready = self.ready.lock();
        loop {
            if ready.stopping {
                return;
            }
            let wait = self.fire_timers(&mut ready);
            if let Some(task) = ready.pop() {
                drop(ready);
                ready = self.run(task);
            } else {
                match wait {
                    Some(wait) => drop(self.changed.wait_for(&mut ready, wait)),
                    None => self.changed.wait(&mut ready),
                }
            }
        }
    }

    /// Runs tasks on this thread until none wants to run, nothing is under way in the log, and no timer is set.
    pub fn run_until_idle(&self) {
        let mut ready = self.ready.lock();
        loop {
            if ready.stopping {
                return;
            }
            if let Some(task) = self.pick(&mut ready) {
                drop(ready);
                ready = self.run(task);
            } else if ready.outside > 0 {
                self.changed.wait(&mut ready);
            } else if let Some(timer) = ready.next_timer() {
                drop(ready);
                timer.task.wake();
                ready = self.ready.lock();
            } else {
                return;
            }
        }
    }

    /// Runs at most `steps` steps on this thread, as [`Scheduler::run_until_idle`] does, but waits for nothing.
    pub fn run_steps(&self, steps: usize) {
        for _ in 0..steps {
            let mut ready = self.ready.lock();
            if let Some(task) = self.pick(&mut ready) {
                drop(ready);
                drop(self.run(task));
            } else if let Some(timer) = ready.next_timer() {
                drop(ready);
                timer.task.wake();
            } else {
                return;
            }
        }
    }

    /// Ends the workers after the steps under way.
    pub(super) fn stop(&self) {
        let mut ready = self.ready.lock();
        ready.stopping = true;
        ready.lanes.clear();
        ready.ring.clear();
        ready.waiting = 0;
        ready.timers.clear();
        drop(ready);
        self.changed.notify_all();
    }

    fn pick(&self, ready: &mut Ready) -> Option<Arc<Task>> {
        match &self.chance {
            Some(chance) => ready.pick(&mut chance.lock()),
            None => ready.pop(),
        }
    }

    fn run(&self, task: Arc<Task>) -> parking_lot::MutexGuard<'_, Ready> {
        let (rows, again) = task.run();
        let mut ready = self.ready.lock();
        if ready.stopping {
            return ready;
        }
        if let Some(lane) = ready.lanes.get_mut(&task.lane) {
            lane.running -= 1;
            lane.deficit -= i64::try_from(rows).unwrap_or(i64::MAX / 2) + STEP_COST;
        }
        if again {
            ready.push(task, false);
            // This thread takes one; who sleeps may take another.
            if ready.waiting > 1 {
                self.changed.notify_one();
            }
        }
        ready
    }

    /// Queues what is due; how long until the next timer.
    fn fire_timers(&self, ready: &mut Ready) -> Option<Duration> {
        let now = self.clock.elapsed();
        while let Some(timer) = ready.timers.peek() {
            if timer.due > now {
                return Some(timer.due - now);
            }
            let Some(timer) = ready.timers.pop() else { break };
            if timer.task.must_be_queued() {
                ready.push(timer.task, false);
            }
        }
        None
    }
}

impl Ready {
    /// The timer due next, taken as due.
    fn next_timer(&mut self) -> Option<Timer> {
        let timer = self.timers.pop()?;
        self.fired_until = self.fired_until.max(timer.due);
        Some(timer)
    }

    fn push(&mut self, task: Arc<Task>, first: bool) {
        if self.stopping {
            return;
        }
        let key = task.lane;
        let ring = &mut self.ring;
        let lane = self.lanes.entry(key).or_insert_with(|| {
            ring.push_back(key);
            Lane::default()
        });
        self.waiting += 1;
        if first {
            lane.tasks.push_front(task);
        } else {
            lane.tasks.push_back(task);
        }
    }

    /// The next task by deficit round robin.
    fn pop(&mut self) -> Option<Arc<Task>> {
        while self.waiting > 0 {
            let key = *self.ring.front()?;
            let lane = self.lanes.get_mut(&key)?;
            if lane.tasks.is_empty() && lane.running == 0 {
                self.ring.pop_front();
                self.lanes.remove(&key);
            } else if lane.tasks.is_empty() {
                self.ring.rotate_left(1);
            } else if lane.deficit <= 0 {
                lane.deficit += QUANTUM;
                self.ring.rotate_left(1);
            } else {
                lane.running += 1;
                self.waiting -= 1;
                return lane.tasks.pop_front();
            }
        }
        None
    }

    /// Any task that could run.
    fn pick(&mut self, chance: &mut fastrand::Rng) -> Option<Arc<Task>> {
        if self.waiting == 0 {
            return None;
        }
        let mut chosen = chance.usize(..self.waiting);
        for key in &self.ring {
            let lane = self.lanes.get_mut(key)?;
            if chosen < lane.tasks.len() {
                lane.running += 1;
                self.waiting -= 1;
                return lane.tasks.remove(chosen);
            }
            chosen -= lane.tasks.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::{Body, Next, Ran, Scheduler, Task};
    use crate::runtime::ManualClock;

    /// Notes its name at every step and says it processed `rows` rows.
    struct Busy {
        name: char,
        rows: usize,
        seen: Arc<Mutex<String>>,
    }

    impl Body for Busy {
        fn step(&mut self, _: &Arc<Task>) -> Ran {
            self.seen.lock().push(self.name);
            assert!(self.rows > 0, "nothing to do");
            Ran { rows: self.rows, next: Next::Again }
        }

        fn panicked(&mut self, message: String) {
            self.seen.lock().push_str(&format!("({message})"));
        }
    }

    fn busy(scheduler: &Arc<Scheduler>, lane: u64, name: char, rows: usize, seen: &Arc<Mutex<String>>) -> Arc<Task> {
        scheduler.task(lane, Box::new(Busy { name, rows, seen: Arc::clone(seen) }))
    }

    #[test]
    fn queries_get_equal_shares_of_rows_whatever_their_number_of_tasks() {
        let scheduler = Scheduler::for_workers(Arc::new(ManualClock::default()));
        let seen = Arc::new(Mutex::new(String::new()));
        let tasks = [
            busy(&scheduler, 1, 'A', 8000, &seen),
            busy(&scheduler, 1, 'B', 8000, &seen),
            busy(&scheduler, 2, 'c', 1000, &seen),
        ];
        tasks.iter().for_each(Task::wake);
        scheduler.run_steps(600);
        let seen = seen.lock();
        let rows = |names: &str, rows: usize| seen.chars().filter(|name| names.contains(*name)).count() * rows;
        let (big, small) = (rows("AB", 8100), rows("c", 1100));
        assert!(big.abs_diff(small) < 20_000, "{big} rows against {small}");
        assert!(seen.matches('A').count().abs_diff(seen.matches('B').count()) <= 1, "{seen}");
    }

    #[test]
    fn a_panic_ends_its_task_only() {
        let scheduler = Scheduler::seeded(1, Arc::new(ManualClock::default()));
        let seen = Arc::new(Mutex::new(String::new()));
        let bad = busy(&scheduler, 1, 'x', 0, &seen);
        bad.wake();
        scheduler.run_until_idle();
        bad.wake();
        scheduler.run_until_idle();
        assert_eq!(*seen.lock(), "x(nothing to do)");
    }

    #[test]
    fn the_same_seed_makes_the_same_run() {
        let run = |seed| {
            let scheduler = Scheduler::seeded(seed, Arc::new(ManualClock::default()));
            let seen = Arc::new(Mutex::new(String::new()));
            let tasks: Vec<_> = ('a'..='f').map(|name| busy(&scheduler, u64::from(name), name, 1, &seen)).collect();
            tasks.iter().for_each(Task::wake);
            scheduler.run_steps(100);
            seen.lock().clone()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}
