//! Puts the results of a foreign-key join in the order of the left rows that made them.

use std::collections::VecDeque;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{Int64Type, SchemaRef};

use crate::diagnostics::Diagnostic;
use crate::expressions::EdgeSchema;
use crate::operators::aggregate::{column, meta_of, state_rows};
use crate::operators::project::rows_of;
use crate::operators::{Capture, Operator, Output, Port, RestoreError, Step};
use crate::planner::graph::{Encoding, OperatorNode};
use crate::state::{GroupNumber, GroupTable, StateRow};
use crate::types::{ChangeBatch, EventTime, Name, Op, Ops, RowCodec};
use state_rows::RowWriter;

use super::version::Version;

/// Drops results that an older version of the left row made, and deletes of what was never there.
///
/// Runs where the left row is at home. Results of one version come from one shard, in order; those of two versions may
/// come in any order, and then the newer one was right. Versions are of one run of the query. A key whose left row was
/// deleted is known until [`KEPT_DELETED`] others were: behind a barrier nothing older can come, but queries of clients have
/// none.
///
/// | input | result of the key | changelog edge | upsert edge |
/// |---|---|---|---|
/// | result | none | insert | insert |
/// | result | there | update of the old one | insert |
/// | delete, the left row lives on | there | delete of the old one | delete |
/// | delete of the left row | there | delete of the old one | delete |
/// | delete of the left row | was deleted | nothing | delete, as ksqlDB forwards it |
/// | delete | never there | nothing | nothing |
///
/// Keeps for each key the result on a changelog edge, else only whether there is one: then nothing is written while a
/// key's results replace each other. Cost: about 150 ns a row.
///
/// State: key as an aggregation's without windows; value `01`, event time (8 bytes), then `01` if there was a result
/// (`02` if it was deleted and its left row was not), and on a changelog edge the result by [`RowCodec`].
#[derive(Debug)]
pub(crate) struct Resolve {
    // fixed
    key: Vec<usize>,
    version: usize,
    /// The columns of the input that go on: all but the version.
    passed: Vec<usize>,
    codec: RowCodec,
    schema: SchemaRef,
    keeps_old: bool,
    // changing
    table: GroupTable,
    results: Vec<KeyResult>,
    row_bytes: usize,
    /// Keys without a result, the oldest first, and some that have one again.
    deleted: VecDeque<GroupNumber>,
}

/// Deleted keys whose versions are known.
const KEPT_DELETED: usize = 16 << 10;

/// What is known of a key.
#[derive(Debug, Clone, Default)]
struct KeyResult {
    /// The version applied last in this run.
    version: Option<i64>,
    now: Presence,
    /// What the changelog says.
    saved: Presence,
    /// It is among the deleted ones.
    is_listed: bool,
    /// On a changelog edge: the result.
    row: Box<[u8]>,
}

/// Whether a key has a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Presence {
    #[default]
    Never,
    There = 1,
    /// There was one, and the left row lives on.
    Deleted = 2,
}

impl Resolve {
    /// An operator without state behind a join with edge `input`.
    ///
    /// # Errors
    /// The edge lacks a column.
    pub(crate) fn compile(
        node: &OperatorNode,
        (key, version): (&[Name], &Name),
        input: &EdgeSchema,
        slots: u16,
    ) -> Result<Self, Diagnostic> {
        let key: Vec<usize> = key.iter().map(|name| column(input, name)).collect::<Result<_, _>>()?;
        let version = column(input, version)?;
        let types = key.iter().map(|index| input.columns()[*index].ty.clone());
        Ok(Self {
            table: GroupTable::new(types, slots),
            key,
            version,
            passed: (0..input.columns().len()).filter(|index| *index != version).collect(),
            codec: RowCodec::new(node.schema.columns().iter().map(|column| column.ty.clone())),
            schema: node.schema.arrow(),
            keeps_old: node.encoding == Encoding::Changelog,
            results: Vec::new(),
            row_bytes: 0,
            deleted: VecDeque::new(),
        })
    }

    fn groups(&mut self, columns: Vec<ArrayRef>, rows: usize) -> Vec<GroupNumber> {
        let keys = self.table.keys(columns, rows);
        let mut groups = Vec::new();
        self.table.find_or_create(&keys, None, None, &mut groups);
        self.results.resize(self.table.bound(), KeyResult::default());
        groups
    }

    fn forget_deleted(&mut self) {
        let many = self.deleted.len().saturating_sub(KEPT_DELETED);
        for group in self.deleted.drain(..many) {
            let result = &mut self.results[group as usize];
            result.is_listed = false;
            if result.now == Presence::Never {
                *result = KeyResult::default();
                self.table.remove(group);
            }
        }
    }

    fn put_back(&mut self, group: GroupNumber, result: KeyResult) {
        let kept = &mut self.results[group as usize];
        self.row_bytes = self.row_bytes + result.row.len() - kept.row.len();
        *kept = result;
    }

    fn read_result(&self, value: &[u8]) -> Result<KeyResult, RestoreError> {
        let (presence, row) = match value {
            [1, row @ ..] => (Presence::There, row),
            [2, row @ ..] => (Presence::Deleted, row),
            _ => return Err(RestoreError("not the value of a result".to_owned())),
        };
        if self.keeps_old {
            state_rows::whole_row(&self.codec, Some(row))?;
        } else if !row.is_empty() {
            return Err(RestoreError("a result has bytes behind it".to_owned()));
        }
        Ok(KeyResult { now: presence, saved: presence, row: row.into(), ..KeyResult::default() })
    }

    fn resolve(&mut self, input: &ChangeBatch) -> ChangeBatch {
        let columns = self.key.iter().map(|index| ArrayRef::clone(input.rows.column(*index))).collect();
        let groups = self.groups(columns, input.len());
        let passed: Vec<ArrayRef> =
            self.passed.iter().map(|index| ArrayRef::clone(input.rows.column(*index))).collect();
        let encoded = if self.keeps_old { Some(self.codec.encode(&passed, input.len())) } else { None };
        let versions = input.rows.column(self.version).as_primitive::<Int64Type>();
        let mut picks = Picks::default();
        for (entry, group) in (0_u32..).zip(&groups) {
            let at = entry as usize;
            let (version, time) = (Version(versions.value(at)), input.meta.event_time[at]);
            let result = &mut self.results[*group as usize];
            if result.version.is_some_and(|applied| version.number() < applied) {
                continue;
            }
            result.version = Some(version.number());
            let before = result.now;
            let is_result = matches!(input.ops.get(at), Op::Insert | Op::UpdateAfter);
            result.now = match (is_result, before, version.continues()) {
                (true, ..) => Presence::There,
                // Old rows tell all by themselves.
                (false, Presence::There | Presence::Deleted, true) if !self.keeps_old => Presence::Deleted,
                (false, ..) => Presence::Never,
            };
            self.table.touch(*group, time);
            self.table.set_event_time(*group, time);
            if self.keeps_old {
                let row = encoded.as_ref().filter(|_| is_result).map_or(&[][..], |rows| rows.get(at));
                let old = std::mem::replace(&mut result.row, row.into());
                self.row_bytes = self.row_bytes + row.len() - old.len();
                match (before == Presence::There, is_result) {
                    (true, true) => {
                        picks.push_old(entry, &old, Op::UpdateBefore);
                        picks.push_new(entry, Op::UpdateAfter);
                    }
                    (true, false) => picks.push_old(entry, &old, Op::Delete),
                    (false, true) => picks.push_new(entry, Op::Insert),
                    (false, false) => {}
                }
            } else if is_result {
                picks.push_new(entry, Op::Insert);
            } else if before == Presence::There || (before == Presence::Deleted && !version.continues()) {
                picks.push_new(entry, Op::Delete);
            }
        }
        self.batch(input, &passed, picks)
    }

    fn batch(&self, input: &ChangeBatch, passed: &[ArrayRef], picks: Picks) -> ChangeBatch {
        let times: Vec<EventTime> = picks.entries.iter().map(|entry| input.meta.event_time[*entry as usize]).collect();
        let meta = meta_of(input, &picks.entries, times);
        let rows = self.picked_rows(passed, &picks);
        let ops = if picks.ops.iter().all(|op| *op == Op::Insert) { Ops::Inserts } else { Ops::Each(picks.ops) };
        ChangeBatch { rows, ops, null_value: None, meta }
    }

    /// The rows picked: from the old results, and behind them from the batch.
    fn picked_rows(&self, passed: &[ArrayRef], picks: &Picks) -> RecordBatch {
        let first = picks.old.len() as u32;
        let indices: UInt32Array = picks
            .sources
            .iter()
            .map(|source| match source {
                Source::Old(row) => *row,
                Source::New(entry) => first + entry,
            })
            .collect::<Vec<u32>>()
            .into();
        let old = self.codec.decode(picks.old.iter().map(|row| &**row)).expect("the codec wrote the rows");
        let pick = |(old, new): (&ArrayRef, &ArrayRef)| -> ArrayRef {
            let all = if old.is_empty() {
                ArrayRef::clone(new)
            } else {
                compute::concat(&[old.as_ref(), new.as_ref()]).expect("both are of the edge")
            };
            compute::take(&all, &indices, None).expect("the rows were counted from the columns")
        };
        rows_of(&self.schema, old.iter().zip(passed).map(pick).collect(), picks.sources.len())
    }
}

/// Where a row comes from: the old results, or the batch.
#[derive(Debug)]
enum Source {
    Old(u32),
    New(u32),
}

/// What leaves.
#[derive(Debug, Default)]
struct Picks {
    old: Vec<Box<[u8]>>,
    sources: Vec<Source>,
    entries: Vec<u32>,
    ops: Vec<Op>,
}

impl Picks {
    fn push_old(&mut self, entry: u32, row: &[u8], op: Op) {
        self.push(entry, Source::Old(self.old.len() as u32), op);
        self.old.push(row.into());
    }

    fn push_new(&mut self, entry: u32, op: Op) {
        self.push(entry, Source::New(entry), op);
    }

    fn push(&mut self, entry: u32, source: Source, op: Op) {
        self.sources.push(source);
        self.entries.push(entry);
        self.ops.push(op);
    }
}

impl Operator for Resolve {
    fn on_changes(&mut self, _port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        out.emit(self.resolve(&input));
        Step::Done
    }

    fn on_barrier(&mut self, capture: &mut Capture) {
        let dirty = self.table.take_dirty();
        let keys = self.table.encoded_keys(&dirty);
        let mut writer = RowWriter::default();
        for (group, key) in dirty.iter().zip(keys.iter()) {
            let (result, slot) = (&mut self.results[*group as usize], self.table.slot(*group));
            if result.now == Presence::Never {
                if result.saved != Presence::Never {
                    writer.gone(slot, None, key);
                    result.saved = Presence::Never;
                }
                if !std::mem::replace(&mut result.is_listed, true) {
                    self.deleted.push_back(*group);
                }
                continue;
            }
            if self.keeps_old || result.now != result.saved {
                writer.group(slot, None, key, |value| {
                    state_rows::begin_value(self.table.event_time(*group), value);
                    value.push(result.now as u8);
                    value.extend_from_slice(&result.row);
                });
                result.saved = result.now;
            }
        }
        writer.hand_over(capture);
        self.forget_deleted();
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn restore(&mut self, rows: Vec<StateRow>) -> Result<(), RestoreError> {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| Ok((state_rows::group_key(&row.key, "result")?, row.value.as_deref())))
            .collect::<Result<_, RestoreError>>()?;
        state_rows::put_back(
            self,
            |own| &mut own.table,
            &rows,
            |own, group, result| {
                own.results.resize(own.table.bound(), KeyResult::default());
                let result = result.map(|result| own.read_result(result)).transpose()?;
                own.put_back(group, result.unwrap_or_default());
                Ok(())
            },
        )
    }

    fn state_bytes(&self) -> usize {
        // Each row is in an allocation of its own.
        let fixed = size_of::<KeyResult>() + if self.keeps_old { 16 } else { 0 };
        self.table.size_bytes()
            + self.results.capacity() * fixed
            + self.row_bytes
            + self.deleted.capacity() * size_of::<GroupNumber>()
    }
}
