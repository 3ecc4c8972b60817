//! What the benchmarks of one thread measure with: its processor time, where the system tells it. Other work on the
//! machine then counts only as far as it shares caches and cores.

use std::time::{Duration, Instant};

use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// Processor time of this thread as the Linux scheduler counts it; elsewhere the time on the clock.
pub(crate) struct CpuTime;

impl CpuTime {
    fn now() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(text.split_ascii_whitespace().next()?.parse().ok()?))
    }
}

impl Measurement for CpuTime {
    type Intermediate = (Instant, Option<Duration>);
    type Value = Duration;

    fn start(&self) -> Self::Intermediate {
        (Instant::now(), Self::now())
    }

    fn end(&self, (wall, cpu): Self::Intermediate) -> Duration {
        match (cpu, Self::now()) {
            (Some(start), Some(end)) if end > start => end - start,
            _ => wall.elapsed(),
        }
    }

    fn add(&self, left: &Duration, right: &Duration) -> Duration {
        *left + *right
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    #[expect(clippy::cast_precision_loss, reason = "a benchmark takes less than 2^53 nanoseconds")]
    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
