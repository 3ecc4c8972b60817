//! What the server tells of itself: log lines and metrics.
//!
//! Invariants:
//! - every metric name and unit stands in `metrics`;
//! - nothing here keeps state: counters belong to those who count, and are rendered when asked for.

mod logs;
mod metrics;

pub use logs::{LogLines, start_logging};
pub use metrics::{METRICS_CONTENT_TYPE, QueryMetrics, TableMetrics, render};
