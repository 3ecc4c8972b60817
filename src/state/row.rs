//! A piece of state as it is stored: slot, key, value.

use bytes::Bytes;

/// A share of the keys: the hash of a key modulo the query's number of slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

/// A net change of an operator's state: the last value of a key in this epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRow {
    /// The share the key belongs to.
    pub slot: Slot,
    /// Key in the operator's own encoding.
    pub key: Bytes,
    /// Value in the operator's own encoding; `None` if the key is gone.
    pub value: Option<Bytes>,
}
