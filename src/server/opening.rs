//! From a log to an engine: at once if the service is this server's, else when it becomes so.
//!
//! While another server owns the service this one stands by: its doors answer who they are, and refuse statements by
//! naming the owner. Once it has owned the service and lost it, its engine says so and writes nothing more.

use std::sync::Arc;

use anyhow::anyhow;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::doors::{Doors, Standing};
use crate::engine::Engine;
use crate::topics::{OnOwnership, Ownership};

/// What became of the wish to own the service.
pub(super) struct Opening {
    doors: Doors,
    state: Mutex<State>,
    changed: Condvar,
    has_failed: watch::Sender<bool>,
}

struct State {
    ownership: Ownership,
    engine: Option<Arc<Engine>>,
    is_stopping: bool,
    failure: Option<anyhow::Error>,
}

impl Opening {
    pub(super) fn new(doors: Doors) -> Arc<Self> {
        let state = State { ownership: Ownership::Asked, engine: None, is_stopping: false, failure: None };
        Arc::new(Self {
            doors,
            state: Mutex::new(state),
            changed: Condvar::new(),
            has_failed: watch::Sender::new(false),
        })
    }

    /// Takes what the log tells. Keeps nothing alive.
    pub(super) fn listener(self: &Arc<Self>) -> OnOwnership {
        let opening = Arc::downgrade(self);
        Arc::new(move |ownership| {
            if let Some(opening) = opening.upgrade() {
                opening.told(ownership);
            }
        })
    }

    fn told(&self, ownership: &Ownership) {
        let engine = {
            let mut state = self.state.lock();
            state.ownership = ownership.clone();
            self.changed.notify_all();
            state.engine.clone()
        };
        match (ownership, engine) {
            (Ownership::Lost { reason }, Some(engine)) => engine.lose(reason),
            (Ownership::Lost { reason }, None) => self.doors.stand(Standing::Lost { reason: reason.clone() }),
            (Ownership::Standby { owner }, _) => self.doors.stand(Standing::Standby { owner: owner.clone() }),
            (Ownership::Asked | Ownership::Owned, _) => {}
        }
    }

    /// Waits for the first answer.
    pub(super) fn first_answer(&self) -> Ownership {
        self.wait(|state| state.ownership != Ownership::Asked)
    }

    /// Waits until this server does not stand by any more.
    fn turn(&self) -> Ownership {
        self.wait(|state| state.is_stopping || matches!(state.ownership, Ownership::Owned | Ownership::Lost { .. }))
    }

    fn wait(&self, holds: impl Fn(&State) -> bool) -> Ownership {
        let mut state = self.state.lock();
        while !holds(&state) {
            self.changed.wait(&mut state);
        }
        state.ownership.clone()
    }

    /// Waits until the service is this server's, then opens the engine; gives up when the server stops.
    pub(super) fn stand_by(&self, open: impl FnOnce() -> anyhow::Result<Arc<Engine>>) {
        let opened = match self.turn() {
            Ownership::Owned => {
                self.doors.stand(Standing::Starting);
                open()
            }
            Ownership::Lost { reason } => Err(anyhow!(reason)),
            Ownership::Asked | Ownership::Standby { .. } => return,
        };
        match opened {
            Ok(engine) => {
                tracing::info!("took over the service");
                self.opened(engine);
            }
            Err(error) => {
                self.state.lock().failure = Some(error);
                self.has_failed.send_replace(true);
            }
        }
    }

    /// Lets requests in.
    pub(super) fn opened(&self, engine: Arc<Engine>) {
        let ownership = {
            let mut state = self.state.lock();
            state.engine = Some(Arc::clone(&engine));
            state.ownership.clone()
        };
        // It may have been lost while the engine opened.
        if let Ownership::Lost { reason } = ownership {
            engine.lose(&reason);
        }
        self.doors.open(engine);
    }

    /// The engine, if it was opened.
    pub(super) fn engine(&self) -> Option<Arc<Engine>> {
        self.state.lock().engine.clone()
    }

    /// Whoever waits for the service waits no longer.
    pub(super) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_all();
    }

    /// Turns true when this server cannot become what it was started for.
    pub(super) fn failing(&self) -> watch::Receiver<bool> {
        self.has_failed.subscribe()
    }

    /// What kept a standby from taking over; and the engine, which is let go.
    pub(super) fn end(&self) -> (Option<Arc<Engine>>, Option<anyhow::Error>) {
        let mut state = self.state.lock();
        (state.engine.take(), state.failure.take())
    }
}
