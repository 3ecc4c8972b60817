//! A question to the log, asked so that no worker waits for the answer.
//!
//! Our own logs answer before [`Asked::ask`] returns. On a cluster the answer comes later, and wakes the task that asked.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::topics::{TopicError, TopicLog};

use super::scheduler::Task;

/// A question and its answer.
pub(super) struct Asked<T, E> {
    shared: Arc<Mutex<State<T, E>>>,
}

enum State<T, E> {
    Open,
    /// Who asked has left, and is to be woken.
    Awaited(Arc<Task>),
    Answered(Result<T, E>),
}

/// Tells the answer; that there will be none, when the question is dropped.
struct Answer<T, E: From<TopicError>> {
    shared: Arc<Mutex<State<T, E>>>,
    is_told: bool,
}

impl<T: Send + 'static, E: From<TopicError> + Send + 'static> Asked<T, E> {
    /// Asks for `task`.
    pub(super) fn ask(
        log: &Arc<dyn TopicLog>,
        task: &Arc<Task>,
        question: impl FnOnce(&dyn TopicLog) -> Result<T, E> + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Mutex::new(State::Open));
        let mut answer = Answer { shared: Arc::clone(&shared), is_told: false };
        let asked = Arc::clone(log);
        log.in_background(Box::new(move || {
            let told = question(asked.as_ref());
            answer.tell(told);
        }));
        let mut state = shared.lock();
        if matches!(*state, State::Open) {
            *state = State::Awaited(Arc::clone(task));
        }
        drop(state);
        Self { shared }
    }

    /// True if there is an answer to take.
    pub(super) fn is_there(&self) -> bool {
        matches!(*self.shared.lock(), State::Answered(_))
    }

    /// The answer, once.
    pub(super) fn take(&self) -> Option<Result<T, E>> {
        let mut state = self.shared.lock();
        match std::mem::replace(&mut *state, State::Open) {
            State::Answered(told) => Some(told),
            other => {
                *state = other;
                None
            }
        }
    }
}

impl<T, E: From<TopicError>> Answer<T, E> {
    fn tell(&mut self, told: Result<T, E>) {
        self.is_told = true;
        let before = std::mem::replace(&mut *self.shared.lock(), State::Answered(told));
        if let State::Awaited(task) = before {
            task.wake();
        }
    }
}

impl<T, E: From<TopicError>> Drop for Answer<T, E> {
    fn drop(&mut self) {
        if !self.is_told {
            let reason = "the question was not answered".to_owned();
            self.tell(Err(TopicError::Unavailable { action: "ask the log", reason }.into()));
        }
    }
}
