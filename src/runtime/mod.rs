//! Worker threads, pipelines, tasks, epochs, restore: what makes operators a running query.

mod clock;
mod row_event;

pub use clock::{Clock, ManualClock, WallClock};
pub use row_event::RowEvent;
