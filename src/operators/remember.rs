//! Keeps the last row of every key, so that changes can tell what they replace.

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::SchemaRef;

use crate::diagnostics::Diagnostic;
use crate::expressions::EdgeSchema;
use crate::state::{GroupNumber, GroupTable, StateRow};
use crate::types::{ChangeBatch, Name, Op, Ops, RowCodec};

use super::aggregate::{column, state_rows};
use super::project::rows_of;
use super::{Capture, Operator, Output, Port, RestoreError, Step};
use state_rows::RowWriter;

/// Turns an upsert edge into a changelog edge.
///
/// Keeps the last row of each key, encoded; forgets it when the key is deleted. Emits updates as pairs; both sides have
/// the time and place of the change that caused them. Equal old and new rows are an update like any other. Cost: about
/// 100 ns a row, and the bytes of each key's row.
///
/// | input | key is there | output |
/// |---|---|---|
/// | insert | no | itself |
/// | insert | yes | update of the old row |
/// | delete | yes | delete of the old row |
/// | delete | no | nothing |
///
/// ```text
///   + a 1 @1          + a 1 @1
///   + a 2 @2   ──▶   -u a 1 @2
///                    +u a 2 @2
///   - a   @3          - a 2 @3
///   - b   @4
/// ```
///
/// State: key as an aggregation's without windows; value `01`, event time (8 bytes), the row by [`RowCodec`].
#[derive(Debug)]
pub struct Remember {
    // fixed
    key: Vec<usize>,
    codec: RowCodec,
    schema: SchemaRef,
    // changing
    table: GroupTable,
    /// The last row of each key; empty if the key was deleted.
    rows: Vec<Box<[u8]>>,
    row_bytes: usize,
    /// The last change of each key in the batch under way; all [`NONE`] between batches.
    last_entry: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Remember {
    /// An operator without state, for rows of `edge` with these key columns.
    ///
    /// # Errors
    /// The edge has no such column.
    pub fn compile(key: &[Name], edge: &EdgeSchema, slots: u16) -> Result<Self, Diagnostic> {
        let key: Vec<usize> = key.iter().map(|name| column(edge, name)).collect::<Result<_, _>>()?;
        let types: Vec<_> = key.iter().map(|index| edge.columns()[*index].ty.clone()).collect();
        Ok(Self {
            key,
            codec: RowCodec::new(edge.columns().iter().map(|column| column.ty.clone())),
            schema: edge.arrow(),
            table: GroupTable::new(types, slots),
            rows: Vec::new(),
            row_bytes: 0,
            last_entry: Vec::new(),
        })
    }

    fn resize(&mut self) {
        self.rows.resize(self.table.bound(), Box::default());
        self.last_entry.resize(self.table.bound(), NONE);
    }

    fn keep(&mut self, group: GroupNumber, row: &[u8]) {
        let kept = &mut self.rows[group as usize];
        self.row_bytes = self.row_bytes + row.len() - kept.len();
        *kept = row.into();
    }

    /// For each change the row that it replaces (in the rows of state, then those of the batch), and the rows of state.
    fn replaced(&mut self, input: &ChangeBatch, groups: &[GroupNumber]) -> (Vec<Option<u32>>, RecordBatch) {
        let mut from_state = Vec::new();
        let mut in_batch = Vec::new();
        let mut replaced = vec![None; groups.len()];
        for (entry, group) in (0_u32..).zip(groups) {
            let last = std::mem::replace(&mut self.last_entry[*group as usize], entry);
            if last != NONE {
                if is_new(input.ops.get(last as usize)) {
                    in_batch.push((entry, last));
                }
            } else if !self.rows[*group as usize].is_empty() {
                replaced[entry as usize] = Some(from_state.len() as u32);
                from_state.push(&*self.rows[*group as usize]);
            }
        }
        let first = from_state.len() as u32;
        for (entry, last) in in_batch {
            replaced[entry as usize] = Some(first + last);
        }
        let rows = from_state.len();
        let columns = self.codec.decode(from_state).expect("the codec wrote the rows");
        (replaced, rows_of(&self.schema, columns, rows))
    }
}

fn is_new(op: Op) -> bool {
    matches!(op, Op::Insert | Op::UpdateAfter)
}

impl Operator for Remember {
    fn on_changes(&mut self, _port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        let columns = self.key.iter().map(|index| ArrayRef::clone(input.rows.column(*index))).collect();
        let keys = self.table.keys(columns, input.len());
        let mut groups = Vec::new();
        self.table.find_or_create(&keys, None, None, &mut groups);
        self.resize();
        let (replaced, old_rows) = self.replaced(&input, &groups);
        let first = old_rows.num_rows() as u32;
        let (mut picks, mut entries, mut ops) = (Vec::new(), Vec::new(), Vec::new());
        for (entry, old) in (0_u32..).zip(replaced) {
            let change: &[(u32, Op)] = match (is_new(input.ops.get(entry as usize)), old) {
                (true, None) => &[(first + entry, Op::Insert)],
                (true, Some(old)) => &[(old, Op::UpdateBefore), (first + entry, Op::UpdateAfter)],
                (false, Some(old)) => &[(old, Op::Delete)],
                (false, None) => &[],
            };
            for (row, op) in change {
                picks.push(*row);
                entries.push(entry);
                ops.push(*op);
            }
        }
        let picks = UInt32Array::from(picks);
        let pick = |(old, new): (&ArrayRef, &ArrayRef)| -> ArrayRef {
            let all = if old.is_empty() {
                ArrayRef::clone(new)
            } else {
                compute::concat(&[old.as_ref(), new.as_ref()]).expect("both are of the edge")
            };
            compute::take(&all, &picks, None).expect("the rows were counted from the columns")
        };
        let columns = old_rows.columns().iter().zip(input.rows.columns()).map(pick).collect();
        let rows = rows_of(&self.schema, columns, picks.len());
        let meta = super::aggregate::meta_of(&input, &entries, {
            entries.iter().map(|entry| input.meta.event_time[*entry as usize]).collect()
        });
        out.emit(ChangeBatch { rows, ops: Ops::Each(ops), null_value: None, meta });
        let mut row = Vec::new();
        for (entry, group) in (0_u32..).zip(&groups) {
            self.table.touch(*group, input.meta.event_time[entry as usize]);
            self.table.set_event_time(*group, input.meta.event_time[entry as usize]);
            // The last change of each key says what is kept.
            if self.last_entry[*group as usize] == entry {
                self.last_entry[*group as usize] = NONE;
                row.clear();
                if is_new(input.ops.get(entry as usize)) {
                    self.codec.append_row(input.rows.columns(), entry as usize, &mut row);
                }
                self.keep(*group, &row);
            }
        }
        Step::Done
    }

    fn on_barrier(&mut self, capture: &mut Capture) {
        let dirty = self.table.take_dirty();
        let keys = self.table.encoded_keys(&dirty);
        let mut writer = RowWriter::default();
        for (group, key) in dirty.iter().zip(keys.iter()) {
            let (row, slot) = (&self.rows[*group as usize], self.table.slot(*group));
            if !row.is_empty() {
                writer.group(slot, None, key, |value| {
                    state_rows::begin_value(self.table.event_time(*group), value);
                    value.extend_from_slice(row);
                });
                self.table.set_saved(*group);
                continue;
            }
            if self.table.is_saved(*group) {
                writer.gone(slot, None, key);
            }
            self.table.remove(*group);
        }
        writer.hand_over(capture);
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn restore(&mut self, rows: Vec<StateRow>) -> Result<(), RestoreError> {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| Ok((state_rows::group_key(&row.key, "row")?, row.value.as_deref())))
            .collect::<Result<_, RestoreError>>()?;
        state_rows::put_back(
            self,
            |own| &mut own.table,
            &rows,
            |own, group, row| {
                own.resize();
                own.keep(group, state_rows::whole_row(&own.codec, row)?);
                if row.is_some() {
                    own.table.set_saved(group);
                }
                Ok(())
            },
        )
    }

    fn state_bytes(&self) -> usize {
        // Each row is in an allocation of its own.
        let fixed = size_of::<Box<[u8]>>() + 16 + size_of::<u32>();
        self.table.size_bytes() + self.row_bytes + self.rows.capacity() * fixed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Remember;
    use crate::expressions::{EdgeColumn, EdgeSchema};
    use crate::operators::batch_text::{batch, text};
    use crate::operators::{Capture, Operator, Output, Port};
    use crate::types::SqlType;

    fn remember() -> Remember {
        let edge = EdgeSchema::new(vec![
            EdgeColumn { name: "K".into(), ty: SqlType::String },
            EdgeColumn { name: "V".into(), ty: SqlType::BigInt },
        ]);
        Remember::compile(&["K".into()], &edge, 64).unwrap()
    }

    fn changes(operator: &mut Remember, input: &str) -> String {
        let mut out = Output::default();
        let mut input = batch(input);
        input.null_value = None;
        operator.on_changes(Port(0), input, &mut out);
        out.batches.iter().inspect(|batch| batch.check().unwrap()).map(text).collect::<Vec<_>>().join("; ")
    }

    fn check(input: &str, expected: &str) {
        assert_eq!(changes(&mut remember(), input), expected);
    }

    #[test]
    fn updates_and_deletes_carry_the_old_row() {
        check("+ a 1 @1; + a 2 @2; - a 0 @3; - b 0 @4", "+ a 1 @1; -u a 1 @2; +u a 2 @2; - a 2 @3");
        check("- a 0 @1; + a 1 @2; - a 0 @3; + a 1 @4", "+ a 1 @2; - a 1 @3; + a 1 @4");
        check("+ a 1 @5; + a 1 @4", "+ a 1 @5; -u a 1 @4; +u a 1 @4");
    }

    #[test]
    fn a_barrier_hands_over_the_last_row_of_each_key() {
        let mut operator = remember();
        changes(&mut operator, "+ a 1 @1; + a 2 @2; + b 1 @3; - b 0 @4");
        let mut capture = Capture::default();
        operator.on_barrier(&mut capture);
        let shown = |capture: &Capture| -> Vec<(String, Option<Vec<u8>>)> {
            let row = |row: &crate::state::StateRow| {
                (String::from_utf8_lossy(&row.key).into_owned(), row.value.as_ref().map(|value| value.to_vec()))
            };
            capture.state.iter().map(row).collect()
        };
        let value = b"\x01\x80\0\0\0\0\0\0\x02\x01a\0\x01\x01\x80\0\0\0\0\0\0\x02".to_vec();
        assert_eq!(shown(&capture), [("\x01\x01a\0\x01".to_owned(), Some(value))]);
        changes(&mut operator, "- a 0 @5");
        let mut capture = Capture::default();
        operator.on_barrier(&mut capture);
        assert_eq!(shown(&capture), [("\x01\x01a\0\x01".to_owned(), None)]);
    }

    /// Row by row over a map.
    fn oracle(rows: &[(bool, u8, i64)]) -> String {
        let mut last: BTreeMap<u8, i64> = BTreeMap::new();
        let mut out = Vec::new();
        for (time, (delete, key, value)) in rows.iter().enumerate() {
            let old = if *delete { last.remove(key) } else { last.insert(*key, *value) };
            match (delete, old) {
                (true, None) => {}
                (true, Some(old)) => out.push(format!("- k{key} {old} @{time}")),
                (false, None) => out.push(format!("+ k{key} {value} @{time}")),
                (false, Some(old)) => {
                    out.push(format!("-u k{key} {old} @{time}; +u k{key} {value} @{time}"));
                }
            }
        }
        out.join("; ")
    }

    proptest! {
        #[test]
        fn any_split_with_restarts_tells_the_same(
            rows in prop::collection::vec((any::<bool>(), 0_u8..5, 0_i64..3), 1..40),
            cuts in prop::collection::vec((1_usize..8, 0_u8..3), 1..40),
        ) {
            let mut operator = remember();
            let mut stored = BTreeMap::new();
            let mut out: Vec<String> = Vec::new();
            let (mut next, mut cut) = (0, cuts.iter().cycle());
            while next < rows.len() {
                let (length, then) = cut.next().unwrap();
                let end = (next + length).min(rows.len());
                let line = |(time, (delete, key, value)): (usize, &(bool, u8, i64))| {
                    format!("{} k{key} {value} @{}", if *delete { "-" } else { "+" }, next + time)
                };
                let input: Vec<String> = rows[next..end].iter().enumerate().map(line).collect();
                out.push(changes(&mut operator, &input.join("; ")));
                next = end;
                if *then > 0 {
                    let mut capture = Capture::default();
                    operator.on_barrier(&mut capture);
                    for row in capture.state {
                        prop_assert!(stored.contains_key(&row.key) || row.value.is_some());
                        stored.insert(row.key.clone(), row);
                    }
                }
                if *then > 1 {
                    operator = remember();
                    operator.restore(stored.values().cloned().collect()).unwrap();
                }
            }
            out.retain(|text| !text.is_empty());
            prop_assert_eq!(out.join("; "), oracle(&rows));
        }
    }
}
