//! Rows that wait for a partner, by time.
//!
//! Rows come about in the order of their times and go in that order. They are put into buckets of time; a bucket is
//! sorted when its first row goes, which costs nothing if its rows came in order.

use std::collections::BTreeMap;

use super::store::RowRef;

/// Rows by time. What no longer waits is not taken out: whoever takes it passes it over.
#[derive(Debug)]
pub(super) struct Waiting {
    // fixed
    width: i64,
    // changing
    buckets: BTreeMap<i64, Bucket>,
    len: usize,
    /// No row is before this.
    first: i64,
}

#[derive(Debug, Default)]
struct Bucket {
    rows: Vec<(i64, RowRef)>,
    /// How many rows at the beginning are gone.
    taken: usize,
    is_mixed: bool,
}

impl Waiting {
    /// No rows; they will wait about `wait` milliseconds.
    pub(super) fn new(wait: i64) -> Self {
        Self { width: (wait / 64).max(16), buckets: BTreeMap::new(), len: 0, first: i64::MAX }
    }

    pub(super) fn push(&mut self, time: i64, row: RowRef) {
        let bucket = self.buckets.entry(time.div_euclid(self.width)).or_default();
        bucket.is_mixed |= bucket.rows.last().is_some_and(|(last, _)| *last > time);
        bucket.rows.push((time, row));
        self.len += 1;
        self.first = self.first.min(time);
    }

    /// Moves the rows before `end` to `out`, by time; rows of one time in the order in which they came.
    pub(super) fn take_before(&mut self, end: i64, out: &mut Vec<(i64, RowRef)>) {
        while self.first < end
            && let Some(mut entry) = self.buckets.first_entry()
        {
            let bucket = entry.get_mut();
            if std::mem::take(&mut bucket.is_mixed) {
                bucket.rows[bucket.taken..].sort_by_key(|(time, _)| *time);
            }
            let left = &bucket.rows[bucket.taken..];
            let count = left.partition_point(|(time, _)| *time < end);
            out.extend_from_slice(&left[..count]);
            bucket.taken += count;
            self.len -= count;
            if let Some((time, _)) = bucket.rows.get(bucket.taken) {
                self.first = *time;
                return;
            }
            entry.remove();
            self.first = self.buckets.keys().next().map_or(i64::MAX, |bucket| bucket.saturating_mul(self.width));
        }
    }

    /// Memory held, bytes, about.
    pub(super) fn size_bytes(&self) -> usize {
        self.len * size_of::<(i64, RowRef)>() / 3 * 4 + self.buckets.len() * 64
    }
}

#[cfg(test)]
mod tests {
    use super::{RowRef, Waiting};

    #[test]
    fn rows_go_by_time_whatever_order_they_came_in() {
        let mut waiting = Waiting::new(640);
        for (row, time) in (0_u32..).zip([500, 3, 499, 3, -20, 7, 500]) {
            waiting.push(time, RowRef { segment: 0, row });
        }
        let mut take = |end| {
            let mut taken = Vec::new();
            waiting.take_before(end, &mut taken);
            taken.into_iter().map(|(time, row)| (time, row.row)).collect::<Vec<_>>()
        };
        assert_eq!(take(3), [(-20, 4)]);
        assert_eq!(take(7), [(3, 1), (3, 3)]);
        assert_eq!(take(500), [(7, 5), (499, 2)]);
        assert_eq!(take(501), [(500, 0), (500, 6)]);
        assert_eq!(take(i64::MAX), []);
    }
}
