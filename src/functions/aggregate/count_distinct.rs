//! COUNT_DISTINCT: over streams about, by HyperLogLog with 2^14 registers as ksqlDB's stream-lib has it; over tables exactly.
//!
//! ```text
//!   32-bit Murmur hash of a value  = rrrrrrrrrrrrrr 000001........    register r, rank 6 (first 1 of the rest)
//!   registers keep the greatest rank; few registers in use: m ln(m / empty), else the harmonic mean
//! ```
//!
//! Saved: of streams `00`, how many registers are in use, 4 bytes, and of each its number, 2 bytes, and rank, 1 byte; or
//! `01` and the ranks of all registers, a byte each. Of tables as `CountedSet` is.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};

use super::counted::OfCounts;
use super::counted_set::CountedSet;
use super::encoded::{Encoded, is_null};
use super::groups::Fold;
use super::saved::{Saved, load_length, save_length, take};
use crate::types::NotARow;

const LOG_REGISTERS: u32 = 14;
const REGISTERS: usize = 1 << LOG_REGISTERS;
/// From so many registers in use on, all are kept.
const MANY: usize = 1024;

/// COUNT_DISTINCT of rows that are never taken back; NULL is left out.
#[derive(Debug)]
pub(super) struct CountDistinct {
    pub(super) values: Encoded,
}

/// Registers of a group.
#[derive(Debug)]
pub(super) struct Registers {
    ranks: Ranks,
    /// How many are in use.
    used: usize,
    /// Sum of 2^-rank over the registers in use, in units of 2^-32.
    sum: u64,
}

#[derive(Debug)]
enum Ranks {
    /// Those in use by number.
    Few(Vec<(u16, u8)>),
    All(Box<[u8]>),
}

/// 2^-rank in units of 2^-32.
fn weight(rank: u8) -> u64 {
    1 << (32 - u32::from(rank))
}

impl Registers {
    fn new() -> Self {
        Self { ranks: Ranks::Few(Vec::new()), used: 0, sum: 0 }
    }

    fn offer(&mut self, hash: u32) {
        let register = u16::try_from(hash >> (32 - LOG_REGISTERS)).expect("14 bits fit 16");
        let rest = (hash << LOG_REGISTERS) | ((1 << (LOG_REGISTERS - 1)) + 1);
        let rank = u8::try_from(rest.leading_zeros() + 1).expect("a rank is at most 20");
        self.raise(register, rank);
    }

    /// Gives a register a rank if its own is lower.
    fn raise(&mut self, register: u16, rank: u8) {
        let held = match &mut self.ranks {
            Ranks::Few(ranks) => match ranks.binary_search_by_key(&register, |(register, _)| *register) {
                Ok(at) => &mut ranks[at].1,
                Err(at) => {
                    ranks.insert(at, (register, 0));
                    &mut ranks[at].1
                }
            },
            Ranks::All(ranks) => &mut ranks[usize::from(register)],
        };
        if *held >= rank {
            return;
        }
        if *held == 0 {
            self.used += 1;
        } else {
            self.sum -= weight(*held);
        }
        self.sum += weight(rank);
        *held = rank;
        if let Ranks::Few(few) = &self.ranks
            && few.len() >= MANY
        {
            let mut all = vec![0; REGISTERS];
            few.iter().for_each(|(register, rank)| all[usize::from(*register)] = *rank);
            self.ranks = Ranks::All(all.into());
        }
    }

    fn in_use(&self) -> impl Iterator<Item = (u16, u8)> {
        let (few, all): (&[(u16, u8)], &[u8]) = match &self.ranks {
            Ranks::Few(few) => (few, &[]),
            Ranks::All(all) => (&[], all),
        };
        few.iter().copied().chain((0..).zip(all.iter().copied()).filter(|(_, rank)| *rank > 0))
    }

    fn estimate(&self) -> i64 {
        let registers = REGISTERS as f64;
        let empty = REGISTERS - self.used;
        let sum = empty as f64 + self.sum as f64 / 4_294_967_296.0;
        let estimate = 0.7213 / (1.0 + 1.079 / registers) * registers * registers / sum;
        let estimate = if estimate <= 2.5 * registers { registers * (registers / empty as f64).ln() } else { estimate };
        // As Math.round.
        (estimate + 0.5).floor() as i64
    }
}

impl Fold for CountDistinct {
    type State = Registers;
    type Input<'a> = Vec<Option<u32>>;
    type Output = Vec<i64>;

    fn empty(&self) -> Registers {
        Registers::new()
    }

    fn read(&self, arguments: &[ArrayRef]) -> Vec<Option<u32>> {
        let values = &arguments[0];
        match values.data_type() {
            DataType::Int32 => hashes(values.as_primitive::<Int32Type>().iter().map(|v| v.map(|v| murmur(v.into())))),
            DataType::Int64 => hashes(values.as_primitive::<Int64Type>().iter().map(|v| v.map(murmur))),
            DataType::Float64 => {
                let bits = |value: f64| value.to_bits().cast_signed();
                hashes(values.as_primitive::<Float64Type>().iter().map(|v| v.map(|v| murmur(bits(v)))))
            }
            DataType::Utf8 => hashes(values.as_string::<i32>().iter().map(|v| v.map(|v| murmur_bytes(v.as_bytes())))),
            DataType::Binary => hashes(values.as_binary::<i32>().iter().map(|v| v.map(murmur_bytes))),
            _ => {
                let rows = self.values.rows(arguments);
                hashes(rows.iter().map(|bytes| (!is_null(bytes)).then(|| murmur_bytes(bytes))))
            }
        }
    }

    fn add(&self, state: &mut Registers, input: &Vec<Option<u32>>, row: usize) -> Result<(), String> {
        if let Some(hash) = input[row] {
            state.offer(hash);
        }
        Ok(())
    }

    fn remove(&self, _state: &mut Registers, _input: &Vec<Option<u32>>, _row: usize) -> Result<(), String> {
        Err("a row of a stream cannot be taken back".to_owned())
    }

    fn output(&self, rows: usize) -> Vec<i64> {
        Vec::with_capacity(rows)
    }

    fn put(&self, state: &Registers, output: &mut Vec<i64>) {
        output.push(state.estimate());
    }

    fn finish(&self, output: Vec<i64>) -> ArrayRef {
        Arc::new(Int64Array::from(output))
    }

    fn merge(&self, state: &mut Registers, other: Registers) -> Result<(), String> {
        other.in_use().for_each(|(register, rank)| state.raise(register, rank));
        Ok(())
    }

    fn save(&self, state: &Registers, out: &mut Vec<u8>) {
        match &state.ranks {
            Ranks::Few(few) => {
                out.push(0);
                save_length(few.len(), out);
                few.iter().for_each(|(register, rank)| {
                    out.extend(register.to_be_bytes());
                    out.push(*rank);
                });
            }
            Ranks::All(all) => {
                out.push(1);
                out.extend_from_slice(all);
            }
        }
    }

    fn load(&self, bytes: &mut &[u8]) -> Result<Registers, NotARow> {
        let mut registers = Registers::new();
        let mut raise = |register: u16, rank: u8| {
            let is_sound = usize::from(register) < REGISTERS && rank <= 32;
            if !is_sound {
                return Err(NotARow(usize::from(rank)));
            }
            registers.raise(register, rank);
            Ok(())
        };
        if bool::load(bytes)? {
            for (register, rank) in (0..).zip(take(bytes, REGISTERS)?) {
                if *rank > 0 {
                    raise(register, *rank)?;
                }
            }
        } else {
            for _ in 0..load_length(bytes)? {
                let entry = take(bytes, 3)?;
                raise(u16::from_be_bytes([entry[0], entry[1]]), entry[2])?;
            }
        }
        Ok(registers)
    }

    fn heap_bytes(&self, state: &Registers) -> usize {
        match &state.ranks {
            Ranks::Few(few) => few.capacity() * size_of::<(u16, u8)>(),
            Ranks::All(all) => all.len(),
        }
    }
}

fn hashes(values: impl Iterator<Item = Option<u32>>) -> Vec<Option<u32>> {
    values.collect()
}

const M: u32 = 0x5bd1_e995;

fn mixed(k: u32) -> u32 {
    let k = k.wrapping_mul(M);
    (k ^ (k >> 24)).wrapping_mul(M)
}

/// Murmur 2 of a long, as stream-lib has it.
fn murmur(value: i64) -> u32 {
    let low = u32::try_from(value & 0xffff_ffff).expect("32 bits");
    let high = u32::try_from((value >> 32) & 0xffff_ffff).expect("32 bits");
    last_mixed(mixed(low).wrapping_mul(M) ^ mixed(high))
}

fn last_mixed(h: u32) -> u32 {
    let h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

/// Murmur 2 of bytes, as stream-lib has it: seed -1, and the last bytes are signed.
fn murmur_bytes(bytes: &[u8]) -> u32 {
    let length = u32::try_from(bytes.len() & 0xffff_ffff).expect("32 bits");
    let (words, left) = bytes.as_chunks::<4>();
    let mut h = words.iter().fold(!length, |h, word| h.wrapping_mul(M) ^ mixed(u32::from_le_bytes(*word)));
    let signed = |index: usize| i32::from(left[index].cast_signed()).cast_unsigned();
    if !left.is_empty() {
        for index in (0..left.len()).rev() {
            h ^= signed(index) << (8 * index);
        }
        h = h.wrapping_mul(M);
    }
    last_mixed(h)
}

/// COUNT_DISTINCT of rows that may be taken back.
#[derive(Debug)]
pub(super) struct ExactCountDistinct;

impl OfCounts for ExactCountDistinct {
    type Output = Vec<i64>;

    fn adds(&self, _counts: &CountedSet, value: &[u8]) -> bool {
        !is_null(value)
    }

    fn removes(&self, _counts: &CountedSet, value: &[u8]) -> bool {
        !is_null(value)
    }

    fn output(&self, rows: usize) -> Vec<i64> {
        Vec::with_capacity(rows)
    }

    fn put(&self, _values: &Encoded, counts: &CountedSet, output: &mut Vec<i64>) {
        output.push(i64::try_from(counts.present_len()).unwrap_or(i64::MAX));
    }

    fn finish(&self, _values: &Encoded, output: Vec<i64>) -> ArrayRef {
        Arc::new(Int64Array::from(output))
    }
}
