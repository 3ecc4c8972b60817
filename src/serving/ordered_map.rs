//! An ordered map of bytes to bytes that is cheap to clone: clones share what does not change.
//!
//! ```text
//!   persistent tree: lowest key ─▶ leaf      (imbl; a clone is a pointer, a change copies a path)
//!                                  leaf: about a hundred rows, packed
//! ```
//!
//! Invariants:
//! - leaves are in order, none is empty, and a leaf's keys are not below its bound; the first bound is the empty key;
//! - a change to one map is seen by no clone.

use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;

use super::leaf::{Leaf, MAX_BYTES};

/// What a leaf costs beside its own bytes: header, reference counts, bound and place in the tree.
const LEAF_OVERHEAD: usize = 112;

/// An ordered map of bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct OrderedMap {
    leaves: OrdMap<Arc<[u8]>, Arc<Leaf>>,
    rows: usize,
    data_bytes: usize,
    heap_bytes: usize,
}

impl OrderedMap {
    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Bytes of keys and values.
    pub(super) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// Bytes of memory, about: what this map holds alone if there are no clones.
    pub(super) fn heap_bytes(&self) -> usize {
        self.heap_bytes + self.leaves.len() * LEAF_OVERHEAD
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (_, leaf) = self.leaves.get_prev(key)?;
        let at = leaf.find(key).ok()?;
        leaf.row(at).map(|(_, value)| value)
    }

    /// Sets the value of a key.
    pub(super) fn insert(&mut self, key: &[u8], value: &[u8]) {
        let Some((bound, _)) = self.leaves.get_prev(key) else {
            let mut leaf = Leaf::default();
            leaf.insert(0, key, value);
            self.count(&leaf, true);
            self.leaves.insert(Arc::from(&[][..]), Arc::new(leaf));
            return;
        };
        let bound = Arc::clone(bound);
        let Some(shared) = self.leaves.get_mut(&bound) else { return };
        let leaf = Arc::make_mut(shared);
        let before = (leaf.len(), leaf.data_bytes(), leaf.heap_bytes());
        let at = match leaf.find(key) {
            Ok(at) => {
                leaf.replace(at, value);
                at
            }
            Err(at) => {
                leaf.insert(at, key, value);
                at
            }
        };
        let right = (leaf.data_bytes() > MAX_BYTES && leaf.len() > 1).then(|| {
            // Keys that only grow leave full leaves behind, others half full ones.
            let middle = if at + 1 == leaf.len() { at } else { leaf.middle() };
            leaf.split_off(middle)
        });
        let after = (leaf.len(), leaf.data_bytes(), leaf.heap_bytes());
        self.rows = self.rows - before.0 + after.0;
        self.data_bytes = self.data_bytes - before.1 + after.1;
        self.heap_bytes = self.heap_bytes - before.2 + after.2;
        if let Some(right) = right {
            self.count(&right, true);
            let bound: Arc<[u8]> = right.row(0).map_or_else(|| Arc::from(key), |(first, _)| Arc::from(first));
            self.leaves.insert(bound, Arc::new(right));
        }
    }

    /// Removes a key; false if it was not there.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let Some((bound, leaf)) = self.leaves.get_prev(key) else { return false };
        let Ok(at) = leaf.find(key) else { return false };
        let bound = Arc::clone(bound);
        let Some(shared) = self.leaves.get_mut(&bound) else { return false };
        let leaf = Arc::make_mut(shared);
        let before = (leaf.len(), leaf.data_bytes(), leaf.heap_bytes());
        leaf.remove(at);
        let after = (leaf.len(), leaf.data_bytes(), leaf.heap_bytes());
        let is_small = after.1 < MAX_BYTES / 4;
        self.rows = self.rows - before.0 + after.0;
        self.data_bytes = self.data_bytes - before.1 + after.1;
        self.heap_bytes = self.heap_bytes - before.2 + after.2;
        if is_small {
            self.unite(&bound);
        }
        true
    }

    /// The rows whose keys are in a range, in order.
    pub(super) fn range<'a>(
        &'a self,
        from: Bound<&'a [u8]>,
        to: Bound<&'a [u8]>,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let lowest: &[u8] = match from {
            Bound::Included(key) | Bound::Excluded(key) => {
                self.leaves.get_prev(key).map_or(&[][..], |(bound, _)| bound)
            }
            Bound::Unbounded => &[],
        };
        let is_before = move |key: &[u8]| match from {
            Bound::Included(first) => key < first,
            Bound::Excluded(first) => key <= first,
            Bound::Unbounded => false,
        };
        let is_within = move |key: &[u8]| match to {
            Bound::Included(last) => key <= last,
            Bound::Excluded(last) => key < last,
            Bound::Unbounded => true,
        };
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(lowest), Bound::Unbounded);
        self.leaves
            .range::<_, [u8]>(bounds)
            .flat_map(|(_, leaf)| (0..leaf.len()).filter_map(|at| leaf.row(at)))
            .skip_while(move |(key, _)| is_before(key))
            .take_while(move |(key, _)| is_within(key))
    }

    /// Joins a small leaf with a neighbour, or takes an empty one away.
    fn unite(&mut self, bound: &Arc<[u8]>) {
        let Some(leaf) = self.leaves.get(bound).cloned() else { return };
        let left = bound.len().checked_sub(1).and_then(|_| self.left_of(bound));
        let Some((left_bound, left)) = left else {
            // The first leaf keeps its bound, the empty key; it may only be taken away with the last row.
            if leaf.is_empty() && self.leaves.len() == 1 {
                *self = Self::default();
            } else if leaf.is_empty()
                && let Some((next, right)) = self.right_of(bound)
            {
                self.leaves.remove(&next);
                self.count(&leaf, false);
                self.leaves.insert(Arc::clone(bound), right);
            }
            return;
        };
        if !leaf.is_empty() && left.data_bytes() + leaf.data_bytes() > MAX_BYTES * 3 / 4 {
            return;
        }
        self.leaves.remove(bound);
        self.count(&leaf, false);
        if !leaf.is_empty() {
            self.count(&left, false);
            let mut united = Leaf::clone(&left);
            united.append(&leaf);
            self.count(&united, true);
            self.leaves.insert(left_bound, Arc::new(united));
        }
    }

    fn left_of(&self, bound: &Arc<[u8]>) -> Option<(Arc<[u8]>, Arc<Leaf>)> {
        let below: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Excluded(bound));
        self.leaves.range::<_, [u8]>(below).next_back().map(|(bound, leaf)| (Arc::clone(bound), Arc::clone(leaf)))
    }

    fn right_of(&self, bound: &Arc<[u8]>) -> Option<(Arc<[u8]>, Arc<Leaf>)> {
        let above: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Excluded(bound), Bound::Unbounded);
        self.leaves.range::<_, [u8]>(above).next().map(|(bound, leaf)| (Arc::clone(bound), Arc::clone(leaf)))
    }

    /// A leaf came or went.
    fn count(&mut self, leaf: &Leaf, came: bool) {
        let change = |total: usize, by: usize| if came { total + by } else { total - by };
        self.rows = change(self.rows, leaf.len());
        self.data_bytes = change(self.data_bytes, leaf.data_bytes());
        self.heap_bytes = change(self.heap_bytes, leaf.heap_bytes());
    }
}
