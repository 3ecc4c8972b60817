//! Which tumbling or hopping windows a row belongs to, and which of them still take it.

/// Windows `[n * advance, n * advance + size)`, from 1970 on.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeWindows {
    pub(super) size: i64,
    pub(super) advance: i64,
    pub(super) grace: i64,
    pub(super) retention: i64,
}

impl TimeWindows {
    /// Where a window ends.
    pub(super) fn end(&self, start: i64) -> i64 {
        start.saturating_add(self.size)
    }

    /// The starts, ascending, of the windows that take a row of this event time at this stream time: those whose end
    /// is later than stream time less grace. A row from before 1970 has none.
    pub(super) fn taking(&self, event_time: i64, stream_time: i64) -> impl Iterator<Item = i64> + use<> {
        let Self { size, advance, grace, .. } = *self;
        // The first window that reaches the row, then the first whose end is late enough.
        let reaching = event_time.saturating_sub(size - advance).max(0) / advance;
        let open = stream_time.saturating_sub(grace).saturating_sub(size);
        let first = reaching.max(if open < 0 { 0 } else { open / advance + 1 });
        let last = if event_time < 0 { -1 } else { event_time / advance };
        (first..=last).map(move |n| n * advance)
    }

    /// As [`Self::taking`] for tumbling windows that have the row's one open: without a division if it is in the window
    /// `latest` of an earlier row. `None` says nothing.
    pub(super) fn taking_one(&self, event_time: i64, stream_time: i64, latest: &mut Option<i64>) -> Option<i64> {
        if self.size != self.advance || event_time < 0 {
            return None;
        }
        let start = match *latest {
            Some(start) if start <= event_time && event_time - start < self.size => start,
            _ => event_time / self.size * self.size,
        };
        *latest = Some(start);
        (start > stream_time.saturating_sub(self.grace).saturating_sub(self.size)).then_some(start)
    }

    /// True if the window takes no more rows: its end and grace have passed.
    pub(super) fn is_closed(&self, start: i64, stream_time: i64) -> bool {
        self.end(start).saturating_add(self.grace) <= stream_time
    }

    /// True if the window is kept no longer.
    pub(super) fn is_expired(&self, start: i64, stream_time: i64) -> bool {
        start.saturating_add(self.retention.max(self.size.saturating_add(self.grace))) <= stream_time
    }

    /// How many windows begin and end with grace before this stream time: a row that raises it closes one.
    pub(super) fn closed_at(&self, stream_time: i64) -> i64 {
        stream_time.saturating_sub(self.grace).saturating_sub(self.size).div_euclid(self.advance)
    }

    /// True if Kafka Streams would lose the result of a window that closes at this stream time: it starts before the
    /// latest window by more than size and grace.
    pub(super) fn is_lost(&self, start: i64, stream_time: i64) -> bool {
        let latest = stream_time.max(0) / self.advance * self.advance;
        start < latest.saturating_sub(self.size.saturating_add(self.grace))
    }
}

#[cfg(test)]
mod tests {
    use super::TimeWindows;

    fn windows(size: i64, advance: i64, grace: i64) -> TimeWindows {
        TimeWindows { size, advance, grace, retention: size.saturating_add(grace) }
    }

    fn taking(windows: TimeWindows, event_time: i64, stream_time: i64) -> Vec<i64> {
        let taking: Vec<i64> = windows.taking(event_time, stream_time).collect();
        if let Some(one) = windows.taking_one(event_time, stream_time, &mut None) {
            assert_eq!(taking, [one]);
        }
        taking
    }

    #[test]
    fn a_row_is_in_every_window_that_covers_it() {
        assert_eq!(taking(windows(10, 10, 0), 25, 25), [20]);
        assert_eq!(taking(windows(10, 4, 0), 25, 25), [16, 20, 24]);
        assert_eq!(taking(windows(10, 4, 0), 3, 3), [0]);
    }

    #[test]
    fn a_window_takes_rows_until_its_end_and_grace_have_passed() {
        let hopping = windows(30, 15, 60);
        assert_eq!(taking(hopping, 10, 90), Vec::<i64>::new());
        assert_eq!(taking(hopping, 15, 89), [0, 15]);
        assert_eq!(taking(hopping, 15, 90), [15]);
        assert!(hopping.is_closed(0, 90));
        assert!(!hopping.is_closed(0, 89));
    }

    #[test]
    fn absurd_times_neither_overflow_nor_loop() {
        let day = 86_400_000;
        let daily = windows(day, day, day);
        assert_eq!(taking(daily, i64::MAX, i64::MAX), [i64::MAX / day * day]);
        assert_eq!(taking(daily, i64::MIN, i64::MIN), Vec::<i64>::new());
        assert_eq!(taking(daily, -1, 0), Vec::<i64>::new());
        assert_eq!(taking(daily, 0, i64::MAX), Vec::<i64>::new());
        assert_eq!(taking(windows(i64::MAX, i64::MAX, i64::MAX), 5, 5), [0]);
        assert!(daily.is_expired(0, i64::MAX));
        assert!(!daily.is_closed(0, i64::MIN));
        let _ = (daily.closed_at(i64::MIN), daily.is_lost(0, i64::MAX), daily.is_lost(0, i64::MIN));
    }

    #[test]
    fn closings_are_counted_where_windows_close() {
        let windows = windows(5, 2, 1);
        for time in -20..60 {
            let closes = (-40..60).any(|n| windows.is_closed(n * 2, time + 1) && !windows.is_closed(n * 2, time));
            assert_eq!(windows.closed_at(time) != windows.closed_at(time + 1), closes, "{time}");
        }
    }
}
