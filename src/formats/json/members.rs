//! Which column a field of an object belongs to.
//!
//! Records of a topic have their fields mostly in the same order. So the key at each position of the last object is
//! kept as a hint, and the usual key costs one comparison of its bytes. A hint is the raw bytes up to and including
//! the closing quote. Keys with escapes are never kept: unescaped they could contain a quote and then match across
//! the end of another key.

use hashbrown::HashMap;

/// Most keys remembered for an object, hints and look-ups alike: records may bring any number of different keys.
const MAX_REMEMBERED: usize = 1024;

/// Longest key remembered: longer ones are looked up each time.
const MAX_KEY_BYTES: usize = 256;

/// How well a field's name fits. The better fit wins, of equals the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Fit {
    /// No field of this column has been seen.
    #[default]
    Unseen,
    /// The upper-cased name is the column's.
    Folded,
    /// The name is the column's.
    Exact,
}

/// The column of a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) column: usize,
    pub(super) fit: Fit,
}

#[derive(Debug)]
struct Hint {
    /// The key and its closing quote.
    raw: Vec<u8>,
    /// The first eight bytes of `raw`, and which of them there are: they tell most keys apart without a call.
    first: u64,
    first_mask: u64,
    target: Option<Target>,
}

impl Hint {
    fn new(key: &[u8], target: Option<Target>) -> Self {
        let mut raw = key.to_vec();
        raw.push(b'"');
        let mut first = [0; 8];
        let mut first_mask = [0; 8];
        for (i, &byte) in raw.iter().take(8).enumerate() {
            (first[i], first_mask[i]) = (byte, 0xff);
        }
        Self { raw, first: u64::from_le_bytes(first), first_mask: u64::from_le_bytes(first_mask), target }
    }

    /// True if `rest` begins with the key and its quote.
    #[inline(always)]
    fn begins(&self, rest: &[u8]) -> bool {
        let Some(word) = rest.first_chunk::<8>() else { return rest.starts_with(&self.raw) };
        if u64::from_le_bytes(*word) & self.first_mask != self.first {
            return false;
        }
        let length = self.raw.len();
        if length <= 8 {
            return true;
        }
        match (self.raw.last_chunk::<8>(), rest.get(length - 8..length)) {
            (Some(last), Some(found)) if length <= 16 => found == last,
            _ => rest.starts_with(&self.raw),
        }
    }
}

/// The columns of an object by name.
#[derive(Debug)]
pub(super) struct Members {
    columns: HashMap<String, usize>,

    /// By position in the object.
    hints: Vec<Hint>,
    /// Keys that were looked up before, raw and without escapes.
    known: HashMap<Vec<u8>, Option<Target>>,
    /// The number of objects begun.
    objects: u64,
    /// By column: the number of the object it was last seen in, and its best fit there.
    seen: Vec<(u64, Fit)>,
}

impl Members {
    /// Columns of these names, which are all different.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let columns: HashMap<String, usize> =
            names.enumerate().map(|(column, name)| (name.to_owned(), column)).collect();
        let seen = vec![(0, Fit::Unseen); columns.len()];
        Self { columns, hints: Vec::new(), known: HashMap::new(), objects: 0, seen }
    }

    /// The target of the key at this position, if `rest` begins with the key that was there last time; and how many
    /// bytes the key and its closing quote take.
    #[inline(always)]
    pub(super) fn expected(&self, position: usize, rest: &[u8]) -> Option<(Option<Target>, usize)> {
        let hint = self.hints.get(position)?;
        hint.begins(rest).then_some((hint.target, hint.raw.len()))
    }

    /// The target of a key without escapes; it is expected at this position from now on.
    pub(super) fn look_up(&mut self, position: usize, raw: &[u8]) -> Option<Target> {
        if raw.len() > MAX_KEY_BYTES {
            return self.target_of(raw);
        }
        let target = match self.known.get(raw) {
            Some(target) => *target,
            None => {
                let target = self.target_of(raw);
                if self.known.len() < MAX_REMEMBERED {
                    self.known.insert(raw.to_vec(), target);
                }
                target
            }
        };
        if let Some(hint) = self.hints.get_mut(position) {
            *hint = Hint::new(raw, target);
        } else if position == self.hints.len() && position < MAX_REMEMBERED {
            self.hints.push(Hint::new(raw, target));
        }
        target
    }

    /// The target of a key, by its unescaped name. Nothing is remembered.
    pub(super) fn target_of(&self, name: &[u8]) -> Option<Target> {
        let name = std::str::from_utf8(name).ok()?;
        let found = |name: &str, fit| self.columns.get(name).map(|&column| Target { column, fit });
        found(name, Fit::Exact).or_else(|| found(&name.to_uppercase(), Fit::Folded))
    }

    /// Begins an object: no column has been seen.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.objects += 1;
    }

    /// The best fit of a column in this object so far.
    #[inline(always)]
    pub(super) fn fit(&self, column: usize) -> Fit {
        let (object, fit) = self.seen[column];
        if object == self.objects { fit } else { Fit::Unseen }
    }

    /// Notes that a field of a column was taken.
    #[inline(always)]
    pub(super) fn see(&mut self, target: Target) {
        self.seen[target.column] = (self.objects, target.fit);
    }
}
