//! Random tables, shards, splits, orders of delivery, barriers and restarts against a join of the whole tables.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{At, Change, Net, Row};
use crate::planner::graph::{Encoding, JoinKind};
use crate::types::Op;

/// Choices from one seed (xorshift).
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Both tables.
#[derive(Default)]
struct Tables {
    left: BTreeMap<String, (Option<i64>, i64, i64)>,
    right: BTreeMap<i64, (i64, i64)>,
}

impl Tables {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Left(key, Some((foreign, value)), time) => {
                self.left.insert(key.clone(), (*foreign, *value, *time));
            }
            Change::Left(key, None, _) => {
                self.left.remove(key);
            }
            Change::Right(key, Some(value), time) => {
                self.right.insert(*key, (*value, *time));
            }
            Change::Right(key, None, _) => {
                self.right.remove(key);
            }
        }
    }

    /// The join, with the time of each result that has both rows.
    fn joined(&self, kind: JoinKind) -> BTreeMap<String, (Row, Option<i64>)> {
        let result = |(key, (foreign, value, time)): (&String, &(Option<i64>, i64, i64))| {
            let right = foreign.and_then(|foreign| self.right.get(&foreign));
            let row = (key.clone(), *foreign, Some(*value), right.map(|(value, _)| *value));
            let is_result = right.is_some() || kind == JoinKind::Left;
            is_result.then(|| (key.clone(), (row, right.map(|(_, right_time)| *time.max(right_time)))))
        };
        self.left.iter().filter_map(result).collect()
    }
}

/// What was emitted, folded.
#[derive(Default)]
struct Folded {
    rows: BTreeMap<String, (Row, i64)>,
    /// Keys whose result was deleted, and not again since.
    deleted: std::collections::BTreeSet<String>,
}

impl Folded {
    /// Takes a change that was emitted.
    fn take(&mut self, encoding: Encoding, op: Op, row: Row, time: i64) -> Result<(), String> {
        let key = row.0.clone();
        let before = self.rows.get(&key).map(|(row, _)| row.clone());
        let is_told = encoding == Encoding::Changelog;
        match op {
            Op::Insert if is_told && before.is_some() => return Err(format!("insert of {row:?} over {before:?}")),
            Op::UpdateBefore | Op::Delete if is_told && before.as_ref() != Some(&row) => {
                return Err(format!("{op:?} of {row:?}, there was {before:?}"));
            }
            Op::Delete if before.is_none() && !self.deleted.remove(&key) => {
                return Err(format!("delete of {key}, which has no result"));
            }
            Op::UpdateBefore => {}
            Op::Delete => {
                if self.rows.remove(&key).is_some() {
                    self.deleted.insert(key);
                }
            }
            Op::Insert | Op::UpdateAfter => {
                self.deleted.remove(&key);
                self.rows.insert(key, (row, time));
            }
        }
        Ok(())
    }
}

fn random_change(choices: &mut Choices, is_left: bool, time: i64) -> Change {
    let (keys, foreign_keys) = (6, 4);
    let time = time - choices.below(3) as i64;
    let value = choices.below(100) as i64;
    if is_left {
        let key = format!("k{}", choices.below(keys));
        let foreign = choices.below(foreign_keys + 1);
        let row = (!choices.one_in(5)).then(|| ((foreign < foreign_keys).then_some(foreign as i64), value));
        Change::Left(key, row, time)
    } else {
        let row = (!choices.one_in(4)).then_some(value);
        Change::Right(choices.below(foreign_keys) as i64, row, time)
    }
}

fn run(seed: u64) -> Result<(), String> {
    let mut choices = Choices(seed | 1);
    (0..8).for_each(|_| {
        choices.below(2);
    });
    let kind = if choices.one_in(2) { JoinKind::Inner } else { JoinKind::Left };
    let encoding = if choices.one_in(2) { Encoding::Upsert } else { Encoding::Changelog };
    let shards = [1, 2, 4][choices.below(3)];
    let mut net = Net::new(kind, encoding, shards);
    let mut tables = Tables::default();
    let mut folded = Folded::default();
    let has_epochs = !choices.one_in(3);
    for step in 0..80 {
        match choices.below(12) {
            0..4 => {
                let is_left = !choices.one_in(3);
                let count = 1 + choices.below(6);
                let changes: Vec<Change> = (0..count).map(|_| random_change(&mut choices, is_left, step)).collect();
                changes.iter().for_each(|change| tables.apply(change));
                net.give(&changes);
            }
            4..11 => {
                let waiting = net.waiting();
                if !waiting.is_empty() {
                    let (task, queue) = waiting[choices.below(waiting.len())];
                    net.take(task, queue, 1 + choices.below(4));
                }
            }
            _ if !has_epochs => {
                let at = [At::Left, At::Join, At::Resolve][choices.below(3)];
                net.forget_changes((at, choices.below(shards)));
            }
            _ => {
                quiesce(&mut net, &mut choices, &mut folded)?;
                compare(&folded, &tables, kind)?;
                net.barrier();
                if choices.one_in(2) {
                    let shards = [1, 2, 4][choices.below(3)];
                    net.restart(shards);
                }
            }
        }
    }
    quiesce(&mut net, &mut choices, &mut folded)?;
    compare(&folded, &tables, kind)
}

/// Everything arrives, in any order.
fn quiesce(net: &mut Net, choices: &mut Choices, folded: &mut Folded) -> Result<(), String> {
    loop {
        let waiting = net.waiting();
        if waiting.is_empty() {
            break;
        }
        let (task, queue) = waiting[choices.below(waiting.len())];
        net.take(task, queue, 1 + choices.below(6));
    }
    for (op, row, time) in std::mem::take(&mut net.emitted) {
        folded.take(net.encoding, op, row, time)?;
    }
    Ok(())
}

fn compare(folded: &Folded, tables: &Tables, kind: JoinKind) -> Result<(), String> {
    let joined = tables.joined(kind);
    let keys = folded.rows.keys().chain(joined.keys());
    for key in keys {
        let (emitted, expected) = (folded.rows.get(key), joined.get(key));
        let same = match (emitted, expected) {
            (Some((row, time)), Some((wanted, at))) => row == wanted && at.is_none_or(|at| at == *time),
            _ => false,
        };
        if !same {
            return Err(format!("{key}: emitted {emitted:?}, the tables join to {expected:?}"));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_way_changes_take_the_results_are_those_of_the_tables(seed in any::<u64>()) {
        let outcome = run(seed);
        prop_assert!(outcome.is_ok(), "seed {}: {}", seed, outcome.unwrap_err());
    }
}
