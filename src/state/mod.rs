//! What operators keep between batches: keyed state in memory, and its written form.
//!
//! Invariants:
//! - state is found by slot and key: the slot of a key never changes ([`slot`]), nor do the bytes of a key
//!   ([`crate::types::RowCodec`]);
//! - what is dirty is known: a barrier hands over each changed key once, with its last value.
//!
//! Reading order: [`slot`], [`row`], [`group_table`].

mod group_table;
mod key_batch;
mod row;
mod slot;

pub use group_table::{GroupNumber, GroupTable};
pub use key_batch::KeyBatch;
pub use row::{Slot, StateRow};
pub use slot::{hash_keys, slot_of};
