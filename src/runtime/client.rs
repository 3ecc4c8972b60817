//! The client of a push query: a bounded queue of events, and the task that hands them over.
//!
//! ```text
//!   tasks ──send──▶ queue (at most push.queue.batches) ──pump──▶ channel ──▶ client
//! ```
//!
//! Workers never wait for a client: a task that finds the queue full is woken when the pump made room, and the pump is
//! woken by the channel. A client that went away ends the query.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Waker};

use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::compute;
use parking_lot::Mutex;
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::mpsc::{OwnedPermit, Sender};

use crate::types::{ChangeBatch, Op, Ops};

use super::RowEvent;
use super::scheduler::{Body, Ran, Task};

/// The events for one client.
pub(super) struct Client {
    // fixed
    capacity: usize,
    is_table: bool,
    pump: OnceLock<Weak<Task>>,
    // changing
    state: Mutex<State>,
}

struct State {
    queue: VecDeque<RowEvent>,
    /// Rows that may still be sent.
    remaining: Option<u64>,
    /// The last event is in the queue, or nobody takes any.
    over: bool,
    /// Tasks that found no room.
    waiting: Vec<Arc<Task>>,
}

impl Client {
    pub(super) fn new(capacity: usize, limit: Option<u64>, is_table: bool) -> Self {
        let state = State { queue: VecDeque::new(), remaining: limit, over: false, waiting: Vec::new() };
        Self { capacity, is_table, pump: OnceLock::new(), state: Mutex::new(state) }
    }

    /// Names the task that hands events over. Called once.
    pub(super) fn pumped_by(&self, task: &Arc<Task>) {
        let named = self.pump.set(Arc::downgrade(task));
        debug_assert!(named.is_ok(), "a client has one pump");
    }

    /// True if there is room for another batch; else `task` is woken once there is.
    pub(super) fn has_room(&self, task: &Arc<Task>) -> bool {
        let mut state = self.state.lock();
        if state.over {
            // What came now would be thrown away: the task rests until the query is taken down.
            return false;
        }
        let has_room = state.queue.len() < self.capacity;
        if !has_room && !state.waiting.iter().any(|known| Arc::ptr_eq(known, task)) {
            state.waiting.push(Arc::clone(task));
        }
        has_room
    }

    /// Queues rows, at most as many as the LIMIT leaves; gives their number.
    pub(super) fn send(&self, batch: &ChangeBatch) -> usize {
        let shown: BooleanArray = (0..batch.len())
            .map(|row| Some(batch.ops.get(row) != Op::UpdateBefore && !batch.is_null_row(row)))
            .collect();
        let rows = if shown.true_count() == batch.len() {
            batch.rows.clone()
        } else {
            compute::filter_record_batch(&batch.rows, &shown).expect("one boolean a row")
        };
        let mut tombstones = match &batch.ops {
            Ops::Each(ops) if self.is_table && ops.contains(&Op::Delete) => Some(
                (0..batch.len()).filter(|row| shown.value(*row)).map(|row| ops[row] == Op::Delete).collect::<Vec<_>>(),
            ),
            _ => None,
        };
        let mut state = self.state.lock();
        if state.over || (rows.num_rows() == 0 && state.remaining != Some(0)) {
            return 0;
        }
        let mut count = rows.num_rows();
        if let Some(remaining) = state.remaining {
            count = count.min(usize::try_from(remaining).unwrap_or(usize::MAX));
            state.remaining = Some(remaining - count as u64);
            if let Some(tombstones) = &mut tombstones {
                tombstones.truncate(count);
            }
        }
        if count > 0 {
            state.queue.push_back(RowEvent::Rows { rows: rows.slice(0, count), tombstones });
        }
        if state.remaining == Some(0) {
            state.queue.push_back(RowEvent::LimitReached);
            state.over = true;
        }
        drop(state);
        self.wake_pump();
        count
    }

    /// Queues the last event, unless there is one already.
    pub(super) fn finish(&self, event: RowEvent) {
        let mut state = self.state.lock();
        if !state.over {
            state.queue.push_back(event);
            state.over = true;
        }
        drop(state);
        self.wake_pump();
    }

    /// Nothing more is handed over.
    pub(super) fn abandon(&self) {
        let mut state = self.state.lock();
        state.queue.clear();
        state.over = true;
        drop(state);
        self.wake_pump();
    }

    /// True if everything was handed over.
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().queue.is_empty()
    }

    fn wake_pump(&self) {
        if let Some(pump) = self.pump.get().and_then(Weak::upgrade) {
            pump.wake();
        }
    }

    fn pop(&self) -> Option<RowEvent> {
        let mut state = self.state.lock();
        let event = state.queue.pop_front();
        if state.queue.len() < self.capacity {
            for task in std::mem::take(&mut state.waiting) {
                task.wake();
            }
        }
        event
    }

    fn put_back(&self, event: RowEvent) {
        self.state.lock().queue.push_front(event);
    }

    fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.over && state.queue.is_empty()
    }
}

type Permit = Result<OwnedPermit<RowEvent>, SendError<()>>;

/// Hands a client's events over.
pub(super) struct Pump {
    // fixed
    client: Arc<Client>,
    sender: Sender<RowEvent>,
    /// Told once, when the last event was handed over or the client went away.
    ended: Option<Box<dyn FnOnce() + Send>>,
    // changing
    closed: Pin<Box<dyn Future<Output = ()> + Send>>,
    permit: Option<Pin<Box<dyn Future<Output = Permit> + Send>>>,
}

impl Pump {
    pub(super) fn new(client: Arc<Client>, sender: Sender<RowEvent>, ended: Box<dyn FnOnce() + Send>) -> Self {
        let watched = sender.clone();
        let closed = Box::pin(async move { watched.closed().await });
        Self { client, sender, ended: Some(ended), closed, permit: None }
    }

    fn end(&mut self) -> Ran {
        self.client.abandon();
        if let Some(ended) = self.ended.take() {
            ended();
        }
        Ran::FINISHED
    }
}

impl Body for Pump {
    fn step(&mut self, me: &Arc<Task>) -> Ran {
        let waker = Waker::from(Arc::clone(me));
        let mut context = Context::from_waker(&waker);
        if self.closed.as_mut().poll(&mut context).is_ready() {
            return self.end();
        }
        loop {
            if let Some(permit) = &mut self.permit {
                match permit.as_mut().poll(&mut context) {
                    Poll::Pending => return Ran::IDLE,
                    Poll::Ready(Err(_)) => return self.end(),
                    Poll::Ready(Ok(permit)) => {
                        self.permit = None;
                        if let Some(event) = self.client.pop() {
                            permit.send(event);
                        }
                    }
                }
            }
            if self.client.is_over() {
                return self.end();
            }
            let Some(event) = self.client.pop() else { return Ran::IDLE };
            match self.sender.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => return self.end(),
                Err(TrySendError::Full(event)) => {
                    self.client.put_back(event);
                    self.permit = Some(Box::pin(self.sender.clone().reserve_owned()));
                }
            }
        }
    }

    fn panicked(&mut self, _message: String) {
        self.end();
    }
}
