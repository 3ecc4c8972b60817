//! Worker threads, pipelines, tasks, epochs, restore: what makes operators a running query.

mod row_event;

pub use row_event::RowEvent;
