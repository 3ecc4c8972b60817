//! Follows a topic's committed records for somebody who keeps what they say: the tables that pull queries read.
//!
//! ```text
//!   append ─▶ wake ─▶ ends of all partitions, taken at once ─▶ decode up to them, a batch a step ─▶ "reached" ─▶ again
//! ```
//!
//! Who waits for the newest rows has asked for the ends, and leaves them for the next round; else the follower asks, in
//! the background.
//!
//! Invariants:
//! - between two [`Followed::Reached`] stand whole transactions: the ends of all partitions are taken under one look at
//!   the log, so what a transaction wrote to several partitions is told together;
//! - a step decodes one batch at most and never blocks a worker;
//! - bad records are left out, as queries leave them out; who wrote them has told the processing log.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::planner::graph::SourceInput;
use crate::topics::{OffsetRange, TopicError, TopicId};
use crate::types::{ChangeBatch, Offset, Partition};

use super::asked::Asked;
use super::build::first_offset;
use super::cursor::{Cursor, Read, Wish};
use super::decode::SourceDecoder;
use super::environment::Environment;
use super::scheduler::{Body, Next, Ran, Task};
use super::{BuildError, RuntimeError};

/// What a follower is told, in the order of each partition's offsets.
#[derive(Debug)]
pub enum Followed<'a> {
    /// Changes of one partition. Inserts replace the row of their key, deletes carry the key alone.
    Changes(&'a ChangeBatch),
    /// Everything before these ends, one a partition, was told: this is what readers may see.
    Reached(&'a [Offset]),
}

/// How long a reader waits before it looks whether it can help: a fraction of the millisecond that a look-up may take.
const HELP_AFTER: Duration = Duration::from_micros(100);

/// Records that a reader tells by itself where it may not block: they take about a millisecond.
const READ_AT_ONCE: i64 = 1024;

/// How long such a reader waits while another thread tells them.
const WAIT_AT_ONCE: Duration = Duration::from_millis(20);

/// Takes what is followed. Runs on worker threads, one call at a time, and must not block.
pub type OnFollowed = Box<dyn FnMut(Followed<'_>) + Send>;

/// A topic being followed. Dropping it ends that.
pub struct Following {
    // fixed
    env: Arc<Environment>,
    task: Arc<Task>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following").field("topic", &self.shared.topic).finish_non_exhaustive()
    }
}

/// What the task and those who wait for it share.
pub(super) struct Shared {
    // fixed
    topic: TopicId,
    // changing
    /// By partition: what was told as reached.
    reached: Vec<AtomicI64>,
    bad_records: AtomicU64,
    /// Ends that somebody waits for, and that no round went to yet.
    wanted: Mutex<Vec<Offset>>,
    /// Why nothing more is followed.
    broken: Mutex<Option<String>>,
    /// Tells those who wait for this topic alone, under the lock of `broken`.
    reached_more: Condvar,
    /// The same for those who may not block.
    reached_soon: Notify,
}

impl Following {
    /// Starts to follow the topic of `source` from its first row on.
    ///
    /// # Errors
    /// There is no such topic, a format is not built, or the log refuses.
    pub(super) fn start(
        env: &Arc<Environment>,
        source: &SourceInput,
        on_followed: OnFollowed,
    ) -> Result<Self, RuntimeError> {
        let topic = env.log.topic(&source.topic)?.ok_or_else(|| BuildError::MissingTopic(source.topic.clone()))?;
        let ranges = env.log.offsets(topic.id)?;
        let mut partitions = Vec::with_capacity(ranges.len());
        for (index, range) in ranges.iter().enumerate() {
            let partition = Partition(i32::try_from(index).unwrap_or(i32::MAX));
            let cursor = Cursor::new(topic.id, partition, SourceDecoder::new(source)?);
            let first = first_offset(source, index, *range);
            partitions.push(Followable { cursor, next: first, end: first });
        }
        // Below its first offset a partition has nothing to tell.
        let reached = partitions.iter().map(|partition| AtomicI64::new(partition.next.0 - 1)).collect();
        let shared = Arc::new(Shared {
            topic: topic.id,
            reached,
            bad_records: AtomicU64::new(0),
            wanted: Mutex::default(),
            broken: Mutex::new(None),
            reached_more: Condvar::new(),
            reached_soon: Notify::new(),
        });
        let body = Follower {
            env: Arc::downgrade(env),
            shared: Arc::clone(&shared),
            name: source.topic.clone(),
            partitions,
            current: 0,
            asked: None,
            notices: 0,
            on_followed,
        };
        let task = env.scheduler.task(env.next_lane(), Box::new(body));
        for partition in 0..ranges.len() {
            env.watch(topic.id, Partition(i32::try_from(partition).unwrap_or(i32::MAX)), &task);
        }
        env.follow(&shared);
        task.wake();
        Ok(Self { env: Arc::clone(env), task, shared })
    }

    /// Waits until everything that is committed now was told as reached; false if that took more than `timeout`.
    ///
    /// # Errors
    /// The log refuses: the topic is gone, for one.
    pub fn catch_up(&self, timeout: Duration) -> Result<bool, RuntimeError> {
        let ends = self.ends()?;
        if self.shared.is_behind(&ends) {
            return Ok(true);
        }
        if !self.env.log.answers_at_once() {
            self.shared.want(&ends);
        }
        self.task.wake();
        if self.env.scheduler.is_seeded() {
            return self.env.wait_until(timeout, || Ok(self.shared.is_behind(&ends) || self.broken().is_some()));
        }
        let deadline = self.env.clock.elapsed() + timeout;
        loop {
            // Workers are busy with queries, whose steps take milliseconds: who waits does the work.
            self.task.help(|| self.shared.is_behind(&ends));
            let mut broken = self.shared.broken.lock();
            if broken.is_some() || self.shared.is_behind(&ends) {
                return Ok(true);
            }
            let left = deadline.saturating_sub(self.env.clock.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            // Whoever is at it may leave off before it has come so far.
            self.shared.reached_more.wait_for(&mut broken, left.min(HELP_AFTER));
        }
    }

    /// True once everything that is committed now was told as reached, if that takes a moment: then this thread does it,
    /// for each change of threads would take longer. False if there is more to tell, or a cluster would have to be asked
    /// what there is. Never blocks.
    ///
    /// # Errors
    /// The log refuses.
    pub async fn catch_up_soon(&self) -> Result<bool, RuntimeError> {
        if !self.env.log.answers_at_once() {
            return Ok(false);
        }
        let ends = self.ends()?;
        if self.shared.is_behind(&ends) {
            return Ok(true);
        }
        if self.shared.distance(&ends) > READ_AT_ONCE || self.env.scheduler.is_seeded() {
            return Ok(false);
        }
        // Another thread that is at it does not leave off before it is done.
        let _hurry = self.task.hurry();
        let is_over = || self.shared.is_behind(&ends) || self.shared.broken.lock().is_some();
        let wait = async {
            loop {
                // From here on nothing is missed.
                let reached = self.shared.reached_soon.notified();
                tokio::pin!(reached);
                reached.as_mut().enable();
                self.task.help(is_over);
                if is_over() {
                    return;
                }
                self.task.wake();
                reached.await;
            }
        };
        Ok(tokio::time::timeout(WAIT_AT_ONCE, wait).await.is_ok())
    }

    /// Records that are committed and not told yet.
    pub fn lag(&self) -> u64 {
        let Ok(ends) = self.ends() else { return 0 };
        u64::try_from(self.shared.distance(&ends)).unwrap_or(0)
    }

    /// Records that made no row.
    pub fn bad_records(&self) -> u64 {
        self.shared.bad_records.load(Ordering::Relaxed)
    }

    /// Why nothing more is followed, if that is so: the topic is gone or another one, or the follower panicked.
    pub fn broken(&self) -> Option<String> {
        self.shared.broken.lock().clone()
    }

    /// Where the partitions end now. A topic that is gone, or another one under its name, is followed no longer.
    fn ends(&self) -> Result<Vec<Offset>, TopicError> {
        let ranges = self.env.log.offsets(self.shared.topic).inspect_err(|error| {
            if matches!(error, TopicError::UnknownTopic(_)) {
                self.shared.broken.lock().get_or_insert_with(|| error.to_string());
                self.task.wake();
            }
        })?;
        if ranges.len() != self.shared.reached.len() {
            let reason = self.shared.other_partitions(ranges.len());
            self.shared.broken.lock().get_or_insert(reason);
            self.task.wake();
        }
        Ok(ranges.iter().map(|range| range.end).collect())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        *self.shared.broken.lock() = Some("nobody follows any more".to_owned());
        // Its next step ends it.
        self.task.wake();
        self.env.forget_dead_readers();
    }
}

impl Shared {
    /// True if everything before `ends` was told as reached.
    fn is_behind(&self, ends: &[Offset]) -> bool {
        ends.len() == self.reached.len()
            && ends.iter().zip(&self.reached).all(|(end, reached)| reached.load(Ordering::Acquire) >= end.0)
    }

    /// Offsets before `ends` that were not told as reached.
    fn distance(&self, ends: &[Offset]) -> i64 {
        let behind = |(end, reached): (&Offset, &AtomicI64)| end.0 - reached.load(Ordering::Acquire).max(0);
        ends.iter().zip(&self.reached).map(behind).sum()
    }

    /// Tells all who wait to look again.
    fn tell(&self) {
        // Whoever looked before and waits after is told: between the two it holds the lock.
        drop(self.broken.lock());
        self.reached_more.notify_all();
        self.reached_soon.notify_waiters();
    }

    /// Has the next round go to these ends.
    fn want(&self, ends: &[Offset]) {
        let mut wanted = self.wanted.lock();
        if wanted.len() == ends.len() {
            wanted.iter_mut().zip(ends).for_each(|(known, end)| *known = (*known).max(*end));
        } else {
            *wanted = ends.to_vec();
        }
    }

    /// Why a topic that was given partitions is not followed on: a key's rows may lie in two of them, and nobody knows
    /// which came last.
    fn other_partitions(&self, now: usize) -> String {
        let before = self.reached.len();
        format!("the table's topic had {before} partitions and has {now}: the rows of a key may lie in two of them")
    }

    /// A topic has more partitions than before.
    pub(super) fn topic_grew(&self, topic: TopicId, partitions: usize) {
        if topic == self.topic && partitions != self.reached.len() {
            self.broken.lock().get_or_insert_with(|| self.other_partitions(partitions));
            self.tell();
        }
    }

    /// True if everything committed was told, or never will be.
    ///
    /// # Errors
    /// The log refuses.
    pub(super) fn is_caught_up(&self, env: &Environment) -> Result<bool, TopicError> {
        if self.broken.lock().is_some() {
            return Ok(true);
        }
        let ranges = match env.log.offsets(self.topic) {
            Err(TopicError::UnknownTopic(_)) => return Ok(true),
            ranges => ranges?,
        };
        if ranges.len() != self.reached.len() {
            self.broken.lock().get_or_insert_with(|| self.other_partitions(ranges.len()));
            return Ok(true);
        }
        let ends: Vec<Offset> = ranges.iter().map(|range| range.end).collect();
        Ok(self.is_behind(&ends))
    }
}

/// A partition and how far it is read.
struct Followable {
    cursor: Cursor,
    next: Offset,
    /// Where the round under way ends.
    end: Offset,
}

/// What a step of a round gives.
enum Came {
    /// So many records.
    Rows(usize),
    /// Nothing yet; the log tells when to go on.
    Later,
    /// The round is read.
    Over,
}

/// The task.
struct Follower {
    // fixed
    env: Weak<Environment>,
    shared: Arc<Shared>,
    name: String,
    // changing
    partitions: Vec<Followable>,
    /// The first partition whose round is not done.
    current: usize,
    /// Where the partitions end, for the next round.
    asked: Option<Asked<Vec<OffsetRange>, TopicError>>,
    /// Notices of records before that was asked.
    notices: u64,
    on_followed: OnFollowed,
}

impl Follower {
    /// Decodes one batch of the round.
    fn read(&mut self, env: &Environment) -> Result<Came, TopicError> {
        while let Some(partition) = self.partitions.get_mut(self.current) {
            if partition.next >= partition.end {
                self.current += 1;
                continue;
            }
            let wish = Wish {
                from: partition.next,
                limit: partition.end,
                records: env.settings.batch_rows,
                bytes: env.settings.read_bytes,
                keep_bad: false,
            };
            match partition.cursor.next(env.log.as_ref(), wish, |_| false) {
                Ok(Read::Chunk(chunk)) => {
                    partition.next = chunk.next.max(partition.next);
                    if !chunk.bad.is_empty() {
                        self.shared.bad_records.fetch_add(chunk.bad.len() as u64, Ordering::Relaxed);
                    }
                    if let Some(batch) = &chunk.batch {
                        (self.on_followed)(Followed::Changes(batch));
                    }
                    return Ok(Came::Rows(chunk.records));
                }
                // Nothing is left below the end but gaps.
                Ok(Read::Dry) => partition.next = partition.end,
                Ok(Read::Later) => return Ok(Came::Later),
                Err(TopicError::OffsetOutOfRange { start, .. }) if start > partition.next => partition.next = start,
                Err(error) => return Err(error),
            }
        }
        Ok(Came::Over)
    }

    /// Takes the ends that the next round goes to, where they are known.
    fn begin_round(&mut self, env: &Environment, me: &Arc<Task>) -> Result<Ran, TopicError> {
        let partitions = self.partitions.len();
        let wanted = std::mem::take(&mut *self.shared.wanted.lock());
        let (mut ends, mut is_newest) = (wanted, false);
        if ends.len() != partitions || !self.is_news(&ends) {
            let asked = match self.asked.take() {
                Some(asked) => asked,
                None => {
                    self.notices = env.notices(self.shared.topic, partitions);
                    let topic = self.shared.topic;
                    Asked::ask(&env.log, me, move |log| log.offsets(topic))
                }
            };
            let Some(ranges) = asked.take() else {
                self.asked = Some(asked);
                return Ok(Ran::IDLE);
            };
            let ranges = ranges?;
            if ranges.len() != partitions {
                return Ok(self.end(env, self.shared.other_partitions(ranges.len())));
            }
            ends = ranges.iter().map(|range| range.end).collect();
            // Records that came while it was asked may be missing.
            is_newest = self.notices == env.notices(self.shared.topic, partitions);
        }
        let is_news = self.is_news(&ends);
        for (partition, end) in self.partitions.iter_mut().zip(&ends) {
            partition.end = partition.next.max(*end);
        }
        self.current = 0;
        Ok(if is_news || !is_newest { Ran::AGAIN } else { Ran::IDLE })
    }

    /// True if not everything before these ends was told as reached.
    fn is_news(&self, ends: &[Offset]) -> bool {
        let reached = self.shared.reached.iter().map(|reached| Offset(reached.load(Ordering::Relaxed)));
        let next = self.partitions.iter().map(|partition| partition.next);
        ends.iter().zip(reached.zip(next)).any(|(end, (reached, next))| reached < next.max(*end))
    }

    /// The round is done.
    fn reached(&mut self, env: &Environment) {
        let ends: Vec<Offset> = self.partitions.iter().map(|partition| partition.end).collect();
        (self.on_followed)(Followed::Reached(&ends));
        for (reached, end) in self.shared.reached.iter().zip(&ends) {
            reached.store(end.0, Ordering::Release);
        }
        self.shared.tell();
        env.made_progress();
    }

    fn end(&mut self, env: &Environment, reason: String) -> Ran {
        let mut broken = self.shared.broken.lock();
        if broken.is_none() {
            tracing::warn!(topic = %self.name, %reason, "a table cannot be followed any more");
            *broken = Some(reason);
        }
        drop(broken);
        self.shared.tell();
        env.made_progress();
        Ran::FINISHED
    }
}

impl Body for Follower {
    fn step(&mut self, me: &Arc<Task>) -> Ran {
        let Some(env) = self.env.upgrade() else { return Ran::FINISHED };
        if self.shared.broken.lock().is_some() {
            return Ran::FINISHED;
        }
        let ran = self.read(&env).and_then(|rows| match rows {
            Came::Rows(rows) => Ok(Ran { rows, next: Next::Again }),
            Came::Later => Ok(Ran::IDLE),
            Came::Over => {
                let was_under_way = self
                    .partitions
                    .iter()
                    .zip(&self.shared.reached)
                    .any(|(partition, reached)| reached.load(Ordering::Relaxed) < partition.end.0);
                if was_under_way {
                    self.reached(&env);
                }
                self.begin_round(&env, me)
            }
        });
        ran.unwrap_or_else(|error| match error {
            TopicError::Unavailable { .. } => {
                env.scheduler.wake_after(env.settings.retry_backoff, me);
                Ran::IDLE
            }
            error => self.end(&env, error.to_string()),
        })
    }

    fn panicked(&mut self, message: String) {
        *self.shared.broken.lock() = Some(message);
        self.shared.tell();
        if let Some(env) = self.env.upgrade() {
            env.made_progress();
        }
    }
}
