//! Results held back until the end of the epoch: which groups were touched, and what each had given before.

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute;

use crate::state::{GroupNumber, GroupTable};

use super::calls::Calls;
use super::results::{MAX_ROWS, Picks};

/// Groups touched since the last flush, in the order of the first touch.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    groups: Vec<GroupNumber>,
    /// For each group the row of its last result in `before`, if one has left and somebody wants it.
    old: Vec<Option<u32>>,
    /// Last results, in pieces: each a column for each call.
    before: Vec<Vec<ArrayRef>>,
    before_rows: u32,
}

impl HeldBack {
    /// Notes that rows of these groups are about to be taken; with their last results if `with_old`.
    pub(super) fn touch(&mut self, groups: &[GroupNumber], table: &mut GroupTable, calls: &Calls, with_old: bool) {
        let mut replaced = Vec::new();
        for group in groups {
            if table.mark_touched(*group) {
                self.groups.push(*group);
                let is_replaced = with_old && table.is_emitted(*group);
                self.old.push(is_replaced.then(|| self.before_rows + replaced.len() as u32));
                if is_replaced {
                    replaced.push(*group);
                }
            }
        }
        if !replaced.is_empty() {
            self.before_rows += replaced.len() as u32;
            self.before.push(calls.output(&replaced));
        }
    }

    /// The results of the groups, in batches: the groups, result columns, and what is picked from them.
    pub(super) fn results(
        self,
        table: &mut GroupTable,
        calls: &Calls,
    ) -> Vec<(Vec<GroupNumber>, Vec<ArrayRef>, Picks)> {
        for group in &self.groups {
            table.unmark_touched(*group);
            table.set_emitted(*group);
        }
        let before: Option<Vec<ArrayRef>> = self.before.first().map(|first| {
            (0..first.len())
                .map(|call| {
                    let pieces: Vec<&dyn Array> = self.before.iter().map(|piece| piece[call].as_ref()).collect();
                    compute::concat(&pieces).expect("all are results of one call")
                })
                .collect()
        });
        let batch = |(groups, old): (&[GroupNumber], &[Option<u32>])| {
            let mut columns = calls.output(groups);
            let mut picks = Picks::default();
            let rows = groups.len() as u32;
            for (entry, old) in (0_u32..).zip(old) {
                picks.push(entry, entry, old.map(|old| rows + old));
            }
            if let Some(before) = &before
                && old.iter().any(Option::is_some)
            {
                columns = columns
                    .iter()
                    .zip(before)
                    .map(|(new, old)| {
                        compute::concat(&[new.as_ref(), old.as_ref()]).expect("both are results of one call")
                    })
                    .collect();
            }
            (groups.to_vec(), columns, picks)
        };
        self.groups.chunks(MAX_ROWS / 2).zip(self.old.chunks(MAX_ROWS / 2)).map(batch).collect()
    }
}
