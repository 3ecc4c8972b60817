//! What the server tells of itself: log lines and metrics.
//!
//! Invariants:
//! - every metric name and unit stands in `metrics` and `kafka`, and is explained in `docs/metrics.md`;
//! - nothing here keeps state: counters belong to those who count, and are rendered when asked for.

mod kafka;
mod logs;
mod metrics;

pub use kafka::{BrokerMetrics, KafkaMetrics};
pub use logs::{LogLines, start_logging};
pub use metrics::{METRICS_CONTENT_TYPE, PartitionMetrics, QueryMetrics, TableMetrics, render};
