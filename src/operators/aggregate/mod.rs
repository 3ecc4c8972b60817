//! Aggregation by key, and by window of time if there are windows. Sessions are in [`session`].
//!
//! Reading order: [`calls`], [`time_windows`], [`results`], this file, [`held_back`], [`state_rows`], [`session`].

mod calls;
mod held_back;
mod results;
mod session;
mod session_store;
pub(super) mod state_rows;
mod time_windows;

use std::collections::BTreeMap;

use datafusion::arrow::array::{ArrayRef, UInt32Array};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::SchemaRef;

use crate::diagnostics::Diagnostic;
use crate::expressions::EdgeSchema;
use crate::functions::FunctionRegistry;
use crate::planner::graph::{Aggregation, Emission, Encoding, OperatorNode, WindowShape};
use crate::state::{GroupNumber, GroupTable, KeyBatch, Slot, StateRow};
use crate::types::{ChangeBatch, EventTime, Op, Ops};

use super::{Capture, Operator, Output, Port, RestoreError, RowError, Step, StreamTime};
pub(super) use calls::column;
use calls::{CallError, Calls, Entries};
use held_back::HeldBack;
use results::{Bounds, Picks};
pub(super) use results::{LastRow, MAX_ROWS, meta_of};
use session::SessionAggregate;
use session_store::SessionWindows;
use state_rows::{RowWriter, StateKey};
use time_windows::TimeWindows;

/// The operator of `aggregation`, whose output edge is that of `node`.
///
/// # Errors
/// A column or function of the aggregation is not known: the graph was written by another version.
pub(super) fn compile(
    node: &OperatorNode,
    aggregation: &Aggregation,
    input: &EdgeSchema,
    functions: &FunctionRegistry,
    slots: u16,
) -> Result<Box<dyn Operator>, Diagnostic> {
    let calls = Calls::compile(aggregation, input, functions)?;
    if let Some(window) = &aggregation.window
        && let WindowShape::Session { gap_ms } = window.shape
    {
        let closes = matches!(aggregation.emission, Emission::Final | Emission::FinalWithLoss);
        let windows = SessionWindows { gap: gap_ms, grace: window.grace_ms, retention: window.retention_ms, closes };
        return Ok(Box::new(SessionAggregate::new(node, aggregation, windows, input, calls, slots)?));
    }
    Ok(Box::new(Aggregate::new(node, aggregation, input, calls, slots)?))
}

/// `GROUP BY`, without windows or with tumbling or hopping ones.
///
/// Keeps for each key (and window) the state of each aggregate and the largest event time of its rows. Without windows
/// a key is never forgotten; a window is forgotten when stream time passes its start by the retention, under EMIT FINAL
/// once its result has left. A row of a changelog edge that is taken back makes a result like any other; both sides of
/// an update in one group make one.
///
/// A row enters a window if the window's end is later than the row's stream time less the grace period (or that of the
/// stage, if it is later: a partition that was idle comes late). A row that enters none is late: counted, reported,
/// dropped. Rows from before 1970 are in no window. A stream time far in the future makes all earlier rows late.
///
/// | emission | what leaves |
/// |---|---|
/// | every update | a result for each row and window, in that order |
/// | coalesced | at the end of the epoch a result for each group touched, in the order of the first touch |
/// | final | a result for each group of a window once its end and grace have passed, windows by start, groups by key |
///
/// On an upsert edge each result is an insert, on a changelog edge one that replaces another is an update. Results of
/// windows that are forgotten stay where they went: nothing is deleted. Cost: about 30 ns a row and window, some
/// nanoseconds more for each call.
///
/// ```text
///   COUNT(*) by K, windows of 10      + a @1          + a 1 [0,10) @1
///                                     + a @5   ──▶    + a 2 [0,10) @5
///                                     + b @12         + b 1 [10,20) @12
///                                     + a @4          + a 3 [0,10) @5
/// ```
///
/// Source: Kafka Streams, `KStreamAggregate`, `KTableAggregate`, `KStreamWindowAggregate`.
#[derive(Debug)]
pub(crate) struct Aggregate {
    // fixed
    key: Vec<usize>,
    windows: Option<TimeWindows>,
    emission: Emission,
    retracts: bool,
    changelog: bool,
    schema: SchemaRef,
    // changing
    table: GroupTable,
    calls: Calls,
    /// Stream time of the stage.
    now: StreamTime,
    last_row: LastRow,
    held_back: HeldBack,
    /// Groups that went since the last barrier, and when the last of each slot did.
    gone: RowWriter,
    gone_at: BTreeMap<Slot, i64>,
    rest: Option<Rest>,
}

/// A batch under way.
#[derive(Debug)]
struct Rest {
    input: ChangeBatch,
    keys: KeyBatch,
    next_row: usize,
}

/// Rows in windows: `rows` is `None` where entry `i` is row `i`.
#[derive(Debug, Default)]
struct Entered {
    rows: Option<UInt32Array>,
    starts: Option<Vec<i64>>,
}

impl Aggregate {
    /// An operator without state.
    fn new(
        node: &OperatorNode,
        aggregation: &Aggregation,
        input: &EdgeSchema,
        calls: Calls,
        slots: u16,
    ) -> Result<Self, Diagnostic> {
        let key: Vec<usize> =
            aggregation.key.iter().map(|name| calls::column(input, name)).collect::<Result<_, _>>()?;
        let types: Vec<_> = key.iter().map(|index| input.columns()[*index].ty.clone()).collect();
        let windows = aggregation.window.and_then(|window| match window.shape {
            WindowShape::Time { size_ms, advance_ms } => Some(TimeWindows {
                size: size_ms,
                advance: advance_ms,
                grace: window.grace_ms,
                retention: window.retention_ms,
            }),
            WindowShape::Session { .. } => None,
        });
        Ok(Self {
            key,
            windows,
            emission: aggregation.emission,
            retracts: aggregation.retracts,
            changelog: node.encoding == Encoding::Changelog,
            schema: node.schema.arrow(),
            table: GroupTable::new(types, slots),
            calls,
            now: EventTime(i64::MIN),
            last_row: LastRow::default(),
            held_back: HeldBack::default(),
            gone: RowWriter::default(),
            gone_at: BTreeMap::new(),
            rest: None,
        })
    }

    /// The windows that rows of the batch under way enter, from its next row on: up to a limit of entries, and up to
    /// the row that closes a window if `to_closing`. Gives also the row that comes after.
    fn enter(&self, rest: &Rest, windows: &TimeWindows, to_closing: bool, out: &mut Output) -> (Entered, usize) {
        let meta = &rest.input.meta;
        let (mut rows, mut starts) = (Vec::new(), Vec::with_capacity(rest.input.len()));
        let mut closed = windows.closed_at(self.now.0);
        let mut row = rest.next_row;
        // As long as each row enters one window the rows need not be named.
        let mut is_plain = row == 0;
        let mut latest = None;
        while row < rest.input.len() && starts.len() < results::MAX_ROWS {
            let (time, stream_time) = (meta.event_time[row].0, meta.stream_time[row].max(self.now));
            let before = starts.len();
            match windows.taking_one(time, stream_time.0, &mut latest) {
                Some(start) => starts.push(start),
                None => starts.extend(windows.taking(time, stream_time.0)),
            }
            if is_plain && starts.len() != row + 1 {
                is_plain = false;
                rows.extend(0..before as u32);
            }
            if !is_plain {
                rows.resize(starts.len(), row as u32);
            }
            if starts.len() == before {
                out.late_rows += 1;
                out.errors.push(late(&rest.input, row, stream_time));
            }
            row += 1;
            if to_closing {
                let closed_now = windows.closed_at(stream_time.0);
                if closed_now > std::mem::replace(&mut closed, closed_now) {
                    break;
                }
            }
        }
        if is_plain && row < rest.input.len() {
            (is_plain, rows) = (false, (0..row as u32).collect());
        }
        (Entered { rows: (!is_plain).then(|| rows.into()), starts: Some(starts) }, row)
    }

    /// Takes entries.
    fn take(&mut self, rest: &Rest, entered: &Entered, out: &mut Output) -> Result<(), CallError> {
        let input = &rest.input;
        let rows = entered.rows.as_ref().map(|rows| &**rows.values());
        let mut groups = Vec::new();
        self.table.find_or_create(&rest.keys, rows, entered.starts.as_deref(), &mut groups);
        if groups.is_empty() {
            return Ok(());
        }
        self.calls.resize(self.table.bound());
        let times: Vec<EventTime> = groups
            .iter()
            .enumerate()
            .map(|(entry, group)| {
                let row = rows.map_or(entry, |rows| rows[entry] as usize);
                self.table.touch(*group, input.meta.event_time[row])
            })
            .collect();
        let (retracted, silent) = self.taken_back(input, &groups);
        let entries = Entries {
            batch: &input.rows,
            rows: entered.rows.as_ref(),
            groups: &groups,
            retracted: retracted.as_ref(),
            silent: silent.as_ref(),
        };
        if self.emission == Emission::Coalesced {
            self.held_back.touch(&groups, &mut self.table, &self.calls, self.changelog);
        }
        if self.emission == Emission::EveryUpdate {
            let known = |group| self.table.is_known(group);
            let results = self.calls.update_each(&entries, known, self.changelog)?;
            self.emit_each(rest, entered, silent.as_ref(), results, times, out);
        } else if self.calls.wants_prior() {
            self.calls.update_each(&entries, |group| self.table.is_known(group), false)?;
        } else {
            self.calls.update(&entries)?;
        }
        if self.changelog || self.calls.wants_prior() {
            groups.into_iter().for_each(|group| self.table.set_known(group));
        }
        Ok(())
    }

    /// The entries that are taken back, and those of them that make no result of their own.
    fn taken_back(
        &self,
        input: &ChangeBatch,
        groups: &[GroupNumber],
    ) -> (Option<BooleanBuffer>, Option<BooleanBuffer>) {
        let Ops::Each(ops) = &input.ops else { return (None, None) };
        debug_assert!(self.retracts && self.windows.is_none(), "a stream has inserts only, a table no windows");
        let retracted = BooleanBuffer::collect_bool(ops.len(), |row| matches!(ops[row], Op::Delete | Op::UpdateBefore));
        let silent = BooleanBuffer::collect_bool(ops.len(), |row| {
            ops[row] == Op::UpdateBefore && groups.get(row + 1) == Some(&groups[row])
        });
        (Some(retracted), Some(silent))
    }

    /// Emits the result of each entry.
    fn emit_each(
        &self,
        rest: &Rest,
        entered: &Entered,
        silent: Option<&BooleanBuffer>,
        results: calls::Results,
        times: Vec<EventTime>,
        out: &mut Output,
    ) {
        let input = &rest.input;
        let bounds = |starts: Vec<i64>| {
            let windows = self.windows?;
            Some(Bounds { ends: starts.iter().map(|start| windows.end(*start)).collect(), starts })
        };
        let keys: Vec<ArrayRef> = self.key.iter().map(|index| ArrayRef::clone(input.rows.column(*index))).collect();
        let starts = entered.starts.as_deref().unwrap_or_default();
        let is_plain = !self.changelog && silent.is_none() && results.from_state == 0;
        if is_plain && entered.rows.is_none() {
            let meta = crate::types::RowMeta { event_time: times, ..input.meta.clone() };
            let bounds = bounds(starts.to_vec());
            out.emit(results::batch(&self.schema, keys, results.columns, bounds, Ops::Inserts, meta));
            return;
        }
        let mut picks = Picks::default();
        for entry in 0..times.len() as u32 {
            if !silent.is_some_and(|silent| silent.value(entry as usize)) {
                let prior = if self.changelog { results.prior[entry as usize] } else { None };
                picks.push(entry, results.from_state as u32 + entry, prior);
            }
        }
        let rows: Vec<u32> = match &entered.rows {
            None => picks.entries.clone(),
            Some(rows) => picks.entries.iter().map(|entry| rows.value(*entry as usize)).collect(),
        };
        let at = |entry: &u32| *entry as usize;
        let starts = picks.entries.iter().filter_map(|entry| starts.get(at(entry)).copied()).collect();
        let times = picks.entries.iter().map(|entry| times[at(entry)]).collect();
        let meta = results::meta_of(input, &rows, times);
        let keys = results::take_all(&keys, &rows.into());
        let columns = results::take_all(&results.columns, &picks.results.into());
        let ops = if self.changelog { Ops::Each(picks.ops) } else { Ops::Inserts };
        out.emit(results::batch(&self.schema, keys, columns, bounds(starts), ops, meta));
    }

    /// Emits the results of these groups, whose windows are closed.
    fn emit_final(&self, groups: &[GroupNumber], now: EventTime, out: &mut Output) {
        for groups in groups.chunks(results::MAX_ROWS) {
            let times = groups.iter().map(|group| self.table.event_time(*group)).collect();
            let meta = self.last_row.meta(times, now);
            let (keys, columns) = (self.table.key_columns(groups), self.calls.output(groups));
            out.emit(results::batch(&self.schema, keys, columns, self.bounds_of(groups), Ops::Inserts, meta));
        }
    }

    fn bounds_of(&self, groups: &[GroupNumber]) -> Option<Bounds> {
        let windows = self.windows?;
        let starts: Vec<i64> = groups.iter().map(|group| self.table.start(*group)).collect();
        Some(Bounds { ends: starts.iter().map(|start| windows.end(*start)).collect(), starts })
    }

    /// Emits what was held back since the last flush.
    fn emit_held_back(&mut self, out: &mut Output) {
        let held_back = std::mem::take(&mut self.held_back);
        for (groups, columns, picks) in held_back.results(&mut self.table, &self.calls) {
            let of_picks: Vec<GroupNumber> = picks.entries.iter().map(|entry| groups[*entry as usize]).collect();
            let times = of_picks.iter().map(|group| self.table.event_time(*group)).collect();
            let meta = self.last_row.meta(times, self.now);
            let keys = self.table.key_columns(&of_picks);
            let columns = results::take_all(&columns, &picks.results.into());
            let ops = if self.changelog { Ops::Each(picks.ops) } else { Ops::Inserts };
            out.emit(results::batch(&self.schema, keys, columns, self.bounds_of(&of_picks), ops, meta));
        }
    }

    /// Emits the results of windows that are closed at stream time `now` and forgets them.
    fn close_windows(&mut self, now: EventTime, out: &mut Output) {
        let Some(windows) = self.windows else { return };
        let mut closed = Vec::new();
        let mut starts = Vec::new();
        while let Some(start) = self.first_start_after(starts.last().copied())
            && windows.is_closed(start, now.0)
        {
            if self.emission != Emission::FinalWithLoss || !windows.is_lost(start, now.0) {
                closed.extend(self.table.groups_by_key(start));
            }
            starts.push(start);
        }
        self.emit_final(&closed, now, out);
        for start in starts {
            self.forget_window(start, now);
        }
    }

    fn first_start_after(&self, start: Option<i64>) -> Option<i64> {
        match start {
            None => self.table.first_start(),
            Some(start) => self.table.next_start(start),
        }
    }

    /// Forgets a window at stream time `now`.
    fn forget_window(&mut self, start: i64, now: EventTime) {
        let groups = self.table.groups_of(start);
        for group in &groups {
            self.calls.clear(*group);
            self.gone_at.insert(self.table.slot(*group), now.0);
        }
        let saved: Vec<GroupNumber> = groups.into_iter().filter(|group| self.table.is_saved(*group)).collect();
        let keys = self.table.encoded_keys(&saved);
        for (group, key) in saved.iter().zip(keys.iter()) {
            self.gone.gone(self.table.slot(*group), Some(start), key);
        }
        self.table.remove_window(start);
    }
}

/// A row that no window takes.
fn late(input: &ChangeBatch, row: usize, stream_time: EventTime) -> RowError {
    let event_time = input.meta.event_time[row];
    let message = if event_time.0 < 0 {
        format!("a row from before 1970 (event time {event_time}) is in no window")
    } else {
        format!("the row is late for its windows: event time {event_time}, stream time {stream_time}")
    };
    RowError {
        partition: input.meta.partition[row],
        offset: input.meta.offset[row],
        expression: "WINDOW".to_owned(),
        message,
    }
}

impl Operator for Aggregate {
    fn on_changes(&mut self, _port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        let columns = self.key.iter().map(|index| ArrayRef::clone(input.rows.column(*index))).collect();
        let keys = self.table.keys(columns, input.len());
        self.rest = Some(Rest { input, keys, next_row: 0 });
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Output) -> Step {
        let Some(mut rest) = self.rest.take() else { return Step::Done };
        let (entered, next_row) = match self.windows {
            None => (Entered::default(), rest.input.len()),
            Some(windows) => self.enter(&rest, &windows, self.emission == Emission::FinalWithLoss, out),
        };
        if let Err(error) = self.take(&rest, &entered, out) {
            let row = entered.rows.map_or(error.entry, |rows| rows.value(error.entry) as usize);
            out.fatal = Some(RowError {
                partition: rest.input.meta.partition[row],
                offset: rest.input.meta.offset[row],
                expression: error.call,
                message: error.message,
            });
            return Step::Done;
        }
        if self.emission == Emission::FinalWithLoss {
            self.last_row = LastRow::of(&rest.input.slice(next_row - 1..next_row));
            let now = rest.input.meta.stream_time[next_row - 1].max(self.now);
            self.now = now;
            self.close_windows(now, out);
        }
        if next_row < rest.input.len() {
            rest.next_row = next_row;
            self.rest = Some(rest);
            return Step::More;
        }
        self.last_row = LastRow::of(&rest.input);
        Step::Done
    }

    fn on_stream_time(&mut self, now: StreamTime, out: &mut Output) -> Step {
        self.now = self.now.max(now);
        let Some(windows) = self.windows else { return Step::Done };
        if matches!(self.emission, Emission::Final | Emission::FinalWithLoss) {
            self.close_windows(self.now, out);
        } else if self.table.first_start().is_some_and(|start| windows.is_expired(start, self.now.0)) {
            self.emit_held_back(out);
            while let Some(start) = self.table.first_start()
                && windows.is_expired(start, self.now.0)
            {
                self.forget_window(start, self.now);
            }
        }
        Step::Done
    }

    fn flush(&mut self, out: &mut Output) -> Step {
        self.emit_held_back(out);
        Step::Done
    }

    fn on_barrier(&mut self, capture: &mut Capture) {
        self.gone.hand_over(capture);
        let times = std::mem::take(&mut self.gone_at);
        capture.state.extend(times.into_iter().map(|(slot, time)| state_rows::stream_time_row(slot, time)));
        let dirty = self.table.take_dirty();
        let keys = self.table.encoded_keys(&dirty);
        let mut writer = RowWriter::default();
        for (group, key) in dirty.iter().zip(keys.iter()) {
            let start = self.windows.map(|_| self.table.start(*group));
            writer.group(self.table.slot(*group), start, key, |value| {
                state_rows::begin_value(self.table.event_time(*group), value);
                self.calls.save(*group, value);
            });
            self.table.set_saved(*group);
        }
        writer.hand_over(capture);
    }

    fn keeps_ranks(&self) -> bool {
        // Neither what was held back nor windows that a row closes are told as made by a row.
        matches!(self.emission, Emission::EveryUpdate | Emission::Final)
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn restore(&mut self, rows: Vec<StateRow>) -> Result<(), RestoreError> {
        let mut groups = Vec::with_capacity(rows.len());
        for row in &rows {
            match (state_rows::read_key(&row.key, self.windows.is_some())?, &row.value) {
                (StateKey::Group(start, key), value) => groups.push((start, key, value)),
                (StateKey::StreamTime, Some(value)) => self.now = self.now.max(state_rows::read_value(value)?.0),
                (StateKey::StreamTime, None) => {}
                (StateKey::Shadowed(..), _) => {
                    return Err(RestoreError("the state of sessions is not that of windows of one size".to_owned()));
                }
            }
        }
        let columns = self
            .table
            .decode_keys(groups.iter().map(|(_, key, _)| *key))
            .map_err(|error| RestoreError(error.to_string()))?;
        let keys = self.table.keys(columns, groups.len());
        let mut found = Vec::new();
        for run in state_rows::runs(&groups, |(_, _, value)| value.is_some()) {
            if groups[run.start].2.is_none() {
                for row in run {
                    if let Some(group) = self.table.find(&keys, row, groups[row].0) {
                        self.calls.clear(group);
                        self.table.remove(group);
                    }
                }
                continue;
            }
            let rows: Vec<u32> = run.clone().map(|row| row as u32).collect();
            let starts: Vec<i64> = groups[run.clone()].iter().map(|(start, ..)| *start).collect();
            found.clear();
            self.table.find_or_create(&keys, Some(&rows), Some(&starts), &mut found);
            self.calls.resize(self.table.bound());
            for (group, value) in found.iter().zip(groups[run].iter().filter_map(|(_, _, value)| value.as_ref())) {
                let (event_time, state) = state_rows::read_value(value)?;
                self.calls.load(*group, state).map_err(|error| RestoreError(error.to_string()))?;
                self.table.set_event_time(*group, event_time);
                self.table.set_known(*group);
                self.table.set_emitted(*group);
                self.table.set_saved(*group);
            }
        }
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.table.size_bytes() + self.calls.size_bytes() + self.gone.size_bytes()
    }
}

#[cfg(test)]
mod tests;
