//! Aggregation by key in sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, UInt32Array, new_null_array};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::SchemaRef;

use crate::diagnostics::Diagnostic;
use crate::expressions::EdgeSchema;
use crate::operators::project::take_or_null;
use crate::operators::{Capture, Operator, Output, Port, RestoreError, RowError, Step, StreamTime};
use crate::planner::graph::{Aggregation, Emission, Encoding, OperatorNode};
use crate::state::{GroupNumber, GroupTable, Slot, StateRow};
use crate::types::{ChangeBatch, EventTime, Op, Ops, RowMeta};

use super::calls::{self, CallError, Calls, Entries};
use super::results::{self, Bounds, LastRow, MAX_ROWS};
use super::session_store::{Dirty, Session, SessionStore, SessionWindows};
use super::state_rows::{self, RowWriter, StateKey};

/// `GROUP BY` with `WINDOW SESSION`.
///
/// A row joins the sessions of its key within the gap, which become one, or begins one. A session is `[first, last]`
/// event time, both included. Keeps for each session the state of each aggregate; forgets it when stream time passes
/// its end by the retention, under EMIT FINAL once its result has left. A row whose session, with all it joins, ends
/// before stream time less grace and gap is late: counted, reported, dropped. Sessions older than the retention are
/// not joined.
///
/// | emission | what leaves |
/// |---|---|
/// | every update | for each row a delete for every session it joins (at that session's end), then the result |
/// | coalesced | at the end of the epoch a delete for every session whose bounds have changed, then a result for each touched |
/// | final | a result for each session that is over: ends before stream time less grace and gap; no deletes |
///
/// A row at the very time of a session of one instant replaces its result and deletes nothing. Deletes carry the old
/// result on a changelog edge. Cost: about 100 ns a row, and what the calls cost; a row that joins two sessions ends the
/// vector.
///
/// ```text
///   COUNT(*) by K, gap 5      + a @1          + a 1 [1,1] @1
///                             + a @4   ──▶    - a   [1,1] @1,  + a 2 [1,4] @4
///                             + a @12         + a 1 [12,12] @12
///                             + a @8          - a   [1,4] @4,  - a [12,12] @12,  + a 4 [1,12] @12
/// ```
///
/// Source: Kafka Streams, `KStreamSessionWindowAggregate`; there the oldest session joined depends on the task, here on
/// stream time, so that it is the same however keys are dealt to tasks.
#[derive(Debug)]
pub(crate) struct SessionAggregate {
    // fixed
    key: Vec<usize>,
    windows: SessionWindows,
    emission: Emission,
    changelog: bool,
    schema: SchemaRef,
    // changing
    store: SessionStore,
    calls: Calls,
    now: StreamTime,
    last_row: LastRow,
    held_back: HeldBack,
    gone_at: BTreeMap<Slot, i64>,
}

/// Sessions touched since the last flush.
#[derive(Debug, Default)]
struct HeldBack {
    touched: Vec<GroupNumber>,
    /// Results that have left and no longer hold.
    replaced: Vec<Replaced>,
}

#[derive(Debug)]
struct Replaced {
    number: GroupNumber,
    key: GroupNumber,
    bounds: (i64, i64),
    /// The old result, if the edge is a changelog.
    columns: Vec<ArrayRef>,
}

/// Rows whose sessions are known and that are taken at once.
#[derive(Debug, Default)]
struct Segment {
    rows: Vec<u32>,
    groups: Vec<GroupNumber>,
    leaving: Vec<Leaving>,
}

/// A change that leaves.
#[derive(Debug)]
struct Leaving {
    row: u32,
    bounds: (i64, i64),
    op: Op,
    result: ResultOf,
}

#[derive(Debug, Clone, Copy)]
enum ResultOf {
    /// Only the key is told.
    Nothing,
    /// The result before this entry.
    Before(u32),
    /// The result of this entry.
    Entry(u32),
}

impl SessionAggregate {
    /// An operator without state.
    pub(super) fn new(
        node: &OperatorNode,
        aggregation: &Aggregation,
        windows: SessionWindows,
        input: &EdgeSchema,
        calls: Calls,
        slots: u16,
    ) -> Result<Self, Diagnostic> {
        let key: Vec<usize> =
            aggregation.key.iter().map(|name| calls::column(input, name)).collect::<Result<_, _>>()?;
        let types: Vec<_> = key.iter().map(|index| input.columns()[*index].ty.clone()).collect();
        Ok(Self {
            key,
            windows,
            emission: aggregation.emission,
            changelog: node.encoding == Encoding::Changelog,
            schema: node.schema.arrow(),
            store: SessionStore::new(windows, GroupTable::new(types, slots)),
            calls,
            now: EventTime(i64::MIN),
            last_row: LastRow::default(),
            held_back: HeldBack::default(),
            gone_at: BTreeMap::new(),
        })
    }

    /// Takes the rows in order, as many at once as join at most one session each.
    fn take(&mut self, input: &ChangeBatch, out: &mut Output) -> Result<(), RowError> {
        let columns: Vec<ArrayRef> = self.key.iter().map(|index| ArrayRef::clone(input.rows.column(*index))).collect();
        let keys = self.store.table.keys(columns, input.len());
        let mut key_numbers = Vec::new();
        self.store.table.find_or_create(&keys, None, None, &mut key_numbers);
        let (mut segment, mut joined) = (Segment::default(), Vec::new());
        for (row, key) in (0_u32..).zip(key_numbers.iter().copied()) {
            let at = row as usize;
            let (time, stream_time) = (input.meta.event_time[at].0, input.meta.stream_time[at].max(self.now).0);
            self.store.joined_by(key, time, stream_time, &mut joined);
            let ends = |number: &GroupNumber| self.store.session(*number).end;
            let end = joined.iter().map(ends).max().unwrap_or(time).max(time);
            let start = joined.first().map_or(time, |first| self.store.session(*first).start.min(time));
            if time < 0 || self.windows.is_closed(end, stream_time) {
                out.late_rows += 1;
                out.errors.push(super::late(input, at, EventTime(stream_time)));
                continue;
            }
            let number = match joined[..] {
                [] => {
                    if let Some(hidden) = self.store.find(key, time, time) {
                        self.finish(input, std::mem::take(&mut segment), out)?;
                        self.forget_hidden(input, row, hidden, out);
                    }
                    self.store.create(key, time, time)
                }
                [one] => {
                    self.touch(one);
                    self.replace(&mut segment, row, one, (time, time) == (start, end));
                    one
                }
                [.., last] => {
                    self.finish(input, std::mem::take(&mut segment), out)?;
                    self.delete_joined(input, row, &joined, &mut segment, out);
                    for number in joined.iter().rev().skip(1) {
                        self.calls.merge(last, *number).map_err(|error| failed(input, at, &error))?;
                        self.calls.clear(*number);
                        self.store.remove(*number);
                    }
                    last
                }
            };
            self.calls.resize(self.store.bound());
            self.store.grow(number, start, end);
            self.touch(number);
            let entry = segment.rows.len() as u32;
            segment.rows.push(row);
            segment.groups.push(number);
            if self.emission == Emission::EveryUpdate {
                let is_update = segment.leaving.last().is_some_and(|last| last.op == Op::UpdateBefore);
                let op = if is_update { Op::UpdateAfter } else { Op::Insert };
                let result = ResultOf::Entry(entry);
                segment.leaving.push(Leaving { row, bounds: (start, end), op, result });
            }
        }
        self.finish(input, segment, out)?;
        for key in key_numbers {
            self.store.note_key(key);
        }
        Ok(())
    }

    /// Forgets a session that is no longer looked for: the row begins another one with the same bounds.
    fn forget_hidden(&mut self, input: &ChangeBatch, row: u32, hidden: GroupNumber, out: &mut Output) {
        // The new session may have grown, and say nothing of these bounds, when held back results leave.
        self.touch(hidden);
        if self.changelog {
            self.delete_joined(input, row, &[hidden], &mut Segment::default(), out);
        }
        self.calls.clear(hidden);
        self.store.remove(hidden);
    }

    /// Tells that the result of a session no longer holds, which the next entry of the segment changes. If the bounds
    /// stay an instant, the new result takes its place.
    fn replace(&self, segment: &mut Segment, row: u32, number: GroupNumber, stays: bool) {
        if self.emission != Emission::EveryUpdate || (stays && !self.changelog) {
            return;
        }
        let Session { start, end, .. } = *self.store.session(number);
        let result = if self.changelog { ResultOf::Before(segment.rows.len() as u32) } else { ResultOf::Nothing };
        let op = if stays { Op::UpdateBefore } else { Op::Delete };
        segment.leaving.push(Leaving { row, bounds: (start, end), op, result });
    }

    /// Tells that the results of sessions that become one no longer hold.
    fn delete_joined(
        &mut self,
        input: &ChangeBatch,
        row: u32,
        joined: &[GroupNumber],
        segment: &mut Segment,
        out: &mut Output,
    ) {
        joined.iter().for_each(|number| self.touch(*number));
        if self.emission != Emission::EveryUpdate {
            return;
        }
        let deletes = joined.iter().map(|number| {
            let Session { start, end, .. } = *self.store.session(*number);
            Leaving { row, bounds: (start, end), op: Op::Delete, result: ResultOf::Nothing }
        });
        if self.changelog {
            let deletes: Vec<Leaving> = deletes.collect();
            out.emit(self.batch(input, &deletes, self.calls.output(joined)));
        } else {
            segment.leaving.extend(deletes);
        }
    }

    /// Takes the rows of a segment and emits what leaves with them.
    fn finish(&mut self, input: &ChangeBatch, segment: Segment, out: &mut Output) -> Result<(), RowError> {
        let Segment { rows, groups, leaving } = segment;
        if groups.is_empty() {
            return Ok(());
        }
        let is_whole = rows.len() == input.len();
        let taken: UInt32Array = rows.clone().into();
        let entries = Entries {
            batch: &input.rows,
            rows: (!is_whole).then_some(&taken),
            groups: &groups,
            retracted: None,
            silent: None,
        };
        let known = |number: GroupNumber| self.store.session(number).is_known;
        let failed = |error: CallError| failed(input, rows[error.entry] as usize, &error);
        if self.emission == Emission::EveryUpdate {
            let results = self.calls.update_each(&entries, known, self.changelog).map_err(failed)?;
            let picked: UInt32Array = leaving
                .iter()
                .map(|leaving| match leaving.result {
                    ResultOf::Nothing => None,
                    ResultOf::Before(entry) => results.prior[entry as usize],
                    ResultOf::Entry(entry) => Some(results.from_state as u32 + entry),
                })
                .collect();
            let columns = results.columns.iter().map(|column| take_or_null(column, &picked)).collect();
            out.emit(self.batch(input, &leaving, columns));
        } else if self.calls.wants_prior() {
            self.calls.update_each(&entries, known, false).map_err(failed)?;
        } else {
            self.calls.update(&entries).map_err(failed)?;
        }
        for number in groups {
            self.store.session_mut(number).is_known = true;
        }
        Ok(())
    }

    /// What leaves with rows of `input`; `columns` holds a result for each.
    fn batch(&self, input: &ChangeBatch, leaving: &[Leaving], columns: Vec<ArrayRef>) -> ChangeBatch {
        let rows: Vec<u32> = leaving.iter().map(|leaving| leaving.row).collect();
        let times = leaving.iter().map(|leaving| EventTime(leaving.bounds.1)).collect();
        let meta = results::meta_of(input, &rows, times);
        let rows = UInt32Array::from(rows);
        let key =
            |index: &usize| compute::take(input.rows.column(*index), &rows, None).expect("rows are within the batch");
        let keys = self.key.iter().map(key).collect();
        let bounds = bounds(leaving.iter().map(|leaving| leaving.bounds));
        let ops = match leaving.iter().all(|leaving| leaving.op == Op::Insert) {
            true => Ops::Inserts,
            false => Ops::Each(leaving.iter().map(|leaving| leaving.op).collect()),
        };
        results::batch(&self.schema, keys, columns, Some(bounds), ops, meta)
    }

    /// Notes in coalesced mode that a session is about to change.
    fn touch(&mut self, number: GroupNumber) {
        if self.emission != Emission::Coalesced || self.store.session(number).is_touched {
            return;
        }
        self.held_back.touched.push(number);
        let session = self.store.session_mut(number);
        session.is_touched = true;
        let key = session.key;
        if let Some(bounds) = session.emitted {
            let columns = if self.changelog { self.calls.output(&[number]) } else { Vec::new() };
            self.held_back.replaced.push(Replaced { number, key, bounds, columns });
        }
    }

    /// Emits what was held back since the last flush.
    fn emit_held_back(&mut self, out: &mut Output) {
        let HeldBack { touched, replaced } = std::mem::take(&mut self.held_back);
        let mut results = Vec::new();
        for number in touched {
            let is_live = self.store.is_live(number);
            let session = self.store.session_mut(number);
            if is_live && std::mem::take(&mut session.is_touched) {
                results.push(number);
            }
        }
        // Where the bounds stay the new result replaces the old one; it is told as such.
        let (mut deleted, mut updated) = (Vec::new(), BTreeMap::new());
        for old in replaced {
            let session = self.store.session(old.number);
            let stays = self.store.is_live(old.number)
                && session.key == old.key
                && (session.start, session.end) == old.bounds
                && session.emitted == Some(old.bounds);
            if stays {
                updated.insert(old.number, old);
            } else {
                deleted.push(old);
            }
        }
        for old in deleted.chunks(MAX_ROWS) {
            let keys: Vec<GroupNumber> = old.iter().map(|old| old.key).collect();
            let columns = self.old_columns(&old.iter().collect::<Vec<_>>());
            let ops = Ops::Each(vec![Op::Delete; old.len()]);
            out.emit(self.batch_of(&keys, columns, old.iter().map(|old| old.bounds).collect(), ops));
        }
        for numbers in results.chunks(MAX_ROWS / 2) {
            let replaced: Vec<&Replaced> = match self.changelog {
                true => numbers.iter().filter_map(|number| updated.get(number)).collect(),
                false => Vec::new(),
            };
            let mut columns = self.calls.output(numbers);
            if !replaced.is_empty() {
                columns = columns
                    .iter()
                    .zip(self.old_columns(&replaced))
                    .map(|(new, old)| {
                        compute::concat(&[new.as_ref(), old.as_ref()]).expect("both are results of one call")
                    })
                    .collect();
            }
            let mut picks = results::Picks::default();
            let mut old = numbers.len() as u32..;
            for (entry, number) in (0_u32..).zip(numbers) {
                let is_update = self.changelog && updated.contains_key(number);
                picks.push(entry, entry, if is_update { old.next() } else { None });
            }
            let picked: Vec<GroupNumber> = picks.entries.iter().map(|entry| numbers[*entry as usize]).collect();
            let columns = results::take_all(&columns, &picks.results.into());
            let ops = if self.changelog { Ops::Each(picks.ops) } else { Ops::Inserts };
            out.emit(self.batch_of_sessions(&picked, columns, ops, self.now));
        }
        for number in results {
            let session = self.store.session_mut(number);
            session.emitted = Some((session.start, session.end));
        }
    }

    /// The results that `old` had; nulls if they were not kept.
    fn old_columns(&self, old: &[&Replaced]) -> Vec<ArrayRef> {
        let calls = self.schema.fields().len() - self.key.len() - 2;
        (0..calls)
            .map(|call| {
                let pieces: Vec<_> = old.iter().filter_map(|old| old.columns.get(call)).map(Arc::as_ref).collect();
                if pieces.is_empty() {
                    return new_null_array(self.schema.field(self.key.len() + call).data_type(), old.len());
                }
                compute::concat(&pieces).expect("all are results of one call")
            })
            .collect()
    }

    fn batch_of(
        &self,
        keys: &[GroupNumber],
        columns: Vec<ArrayRef>,
        of_bounds: Vec<(i64, i64)>,
        ops: Ops,
    ) -> ChangeBatch {
        let times = of_bounds.iter().map(|(_, end)| EventTime(*end)).collect();
        let meta = self.last_row.meta(times, self.now);
        let keys = self.store.table.key_columns(keys);
        results::batch(&self.schema, keys, columns, Some(bounds(of_bounds)), ops, meta)
    }

    fn batch_of_sessions(
        &self,
        numbers: &[GroupNumber],
        columns: Vec<ArrayRef>,
        ops: Ops,
        now: StreamTime,
    ) -> ChangeBatch {
        let sessions = numbers.iter().map(|number| self.store.session(*number));
        let keys: Vec<GroupNumber> = sessions.clone().map(|session| session.key).collect();
        let meta: RowMeta = self.last_row.meta(sessions.clone().map(|session| EventTime(session.end)).collect(), now);
        let bounds = bounds(sessions.map(|session| (session.start, session.end)));
        results::batch(&self.schema, self.store.table.key_columns(&keys), columns, Some(bounds), ops, meta)
    }
}

fn bounds(of: impl IntoIterator<Item = (i64, i64)>) -> Bounds {
    let (starts, ends) = of.into_iter().unzip();
    Bounds { starts, ends }
}

fn failed(input: &ChangeBatch, row: usize, error: &CallError) -> RowError {
    RowError {
        partition: input.meta.partition[row],
        offset: input.meta.offset[row],
        expression: error.call.clone(),
        message: error.message.clone(),
    }
}

impl Operator for SessionAggregate {
    fn on_changes(&mut self, _port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        if let Err(error) = self.take(&input, out) {
            out.fatal = Some(error);
        }
        self.last_row = LastRow::of(&input);
        Step::Done
    }

    fn on_stream_time(&mut self, now: StreamTime, out: &mut Output) -> Step {
        self.now = self.now.max(now);
        let over = self.store.over(self.now.0);
        if over.is_empty() {
            return Step::Done;
        }
        if matches!(self.emission, Emission::Final | Emission::FinalWithLoss) {
            for numbers in over.chunks(MAX_ROWS) {
                let columns = self.calls.output(numbers);
                out.emit(self.batch_of_sessions(numbers, columns, Ops::Inserts, self.now));
            }
        } else {
            self.emit_held_back(out);
        }
        for number in over {
            let slot = self.store.table.slot(self.store.session(number).key);
            self.gone_at.insert(slot, self.now.0);
            self.calls.clear(number);
            self.store.remove(number);
        }
        Step::Done
    }

    fn flush(&mut self, out: &mut Output) -> Step {
        self.emit_held_back(out);
        Step::Done
    }

    fn on_barrier(&mut self, capture: &mut Capture) {
        let times = std::mem::take(&mut self.gone_at);
        capture.state.extend(times.into_iter().map(|(slot, time)| state_rows::stream_time_row(slot, time)));
        let dirty = self.store.take_dirty();
        let keys: Vec<GroupNumber> = dirty.iter().map(|dirty| dirty.key).collect();
        let encoded = self.store.table.encoded_keys(&keys);
        let mut writer = RowWriter::default();
        for (Dirty { key, start, number, shadowed }, bytes) in dirty.into_iter().zip(encoded.iter()) {
            let slot = self.store.table.slot(key);
            match number {
                None => writer.gone(slot, Some(start), bytes),
                Some(number) => writer.group(slot, Some(start), bytes, |value| {
                    state_rows::begin_value(EventTime(self.store.session(number).end), value);
                    self.calls.save(number, value);
                }),
            }
            if let Some(shadowed) = shadowed {
                let saved = shadowed.into_iter().map(|number| {
                    let mut state = Vec::new();
                    self.calls.save(number, &mut state);
                    (self.store.session(number).end, state)
                });
                writer.shadowed(slot, start, bytes, &saved.collect::<Vec<_>>());
            }
        }
        writer.hand_over(capture);
        self.store.remove_empty_keys();
    }

    fn keeps_ranks(&self) -> bool {
        false
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn restore(&mut self, rows: Vec<StateRow>) -> Result<(), RestoreError> {
        let mut stored = Vec::with_capacity(rows.len());
        for row in &rows {
            match (state_rows::read_key(&row.key, true)?, &row.value) {
                (StateKey::Group(start, key), Some(value)) => {
                    let (end, state) = state_rows::read_value(value)?;
                    stored.push((key, start, false, vec![(end.0, state)]));
                }
                (StateKey::Group(start, key), None) => stored.push((key, start, false, vec![])),
                (StateKey::Shadowed(start, key), value) => {
                    let sessions = value.as_deref().map_or(Ok(vec![]), state_rows::read_shadowed)?;
                    stored.push((key, start, true, sessions));
                }
                (StateKey::StreamTime, Some(value)) => self.now = self.now.max(state_rows::read_value(value)?.0),
                (StateKey::StreamTime, None) => {}
            }
        }
        let unreadable = |error: crate::types::NotARow| RestoreError(error.to_string());
        let columns = self.store.table.decode_keys(stored.iter().map(|(key, ..)| *key)).map_err(unreadable)?;
        let keys = self.store.table.keys(columns, stored.len());
        let mut key_numbers = Vec::new();
        self.store.table.find_or_create(&keys, None, None, &mut key_numbers);
        for ((_, start, is_shadowed, sessions), key) in stored.into_iter().zip(key_numbers) {
            self.store.note_key(key);
            for before in self.store.put_back_before(key, start, is_shadowed) {
                self.calls.clear(before);
                self.store.remove(before);
            }
            for (end, state) in sessions {
                let number = self.store.create(key, start, end);
                self.calls.resize(self.store.bound());
                self.calls.load(number, state).map_err(unreadable)?;
                let session = self.store.session_mut(number);
                session.is_known = true;
                session.emitted = Some((start, end));
                if is_shadowed {
                    self.store.note_shadowed(number);
                }
            }
        }
        self.store.forget_dirty();
        self.store.remove_empty_keys();
        Ok(())
    }

    fn state_bytes(&self) -> usize {
        self.store.size_bytes() + self.calls.size_bytes()
    }
}
