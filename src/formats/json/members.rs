//! Which column a field of an object belongs to.
//!
//! Records of a topic have their fields mostly in the same order. So the key at each position of the last object is
//! kept as a hint, and the usual key costs one comparison of its bytes. A hint is the raw bytes up to and including
//! the closing quote. Keys with escapes are never kept: unescaped they could contain a quote and then match across
//! the end of another key.

use hashbrown::HashMap;

/// Most keys remembered for an object, hints and look-ups alike: records may bring any number of different keys.
const MAX_REMEMBERED: usize = 1024;

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
    target: Option<Target>,
}

/// The columns of an object by name.
#[derive(Debug)]
pub(super) struct Members {
    columns: HashMap<String, usize>,

    /// By position in the object.
    hints: Vec<Hint>,
    /// Keys that were looked up before, raw and without escapes.
    known: HashMap<Vec<u8>, Option<Target>>,
    /// The best fit so far, by column.
    pub(super) seen: Vec<Fit>,
}

impl Members {
    /// Columns of these names, which are all different.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let columns: HashMap<String, usize> =
            names.enumerate().map(|(column, name)| (name.to_owned(), column)).collect();
        let seen = vec![Fit::Unseen; columns.len()];
        Self { columns, hints: Vec::new(), known: HashMap::new(), seen }
    }

    /// The target of the key at this position, if `rest` begins with the key that was there last time; and how many
    /// bytes the key and its closing quote take.
    #[inline]
    pub(super) fn expected(&self, position: usize, rest: &[u8]) -> Option<(Option<Target>, usize)> {
        let hint = self.hints.get(position)?;
        rest.starts_with(&hint.raw).then_some((hint.target, hint.raw.len()))
    }

    /// The target of a key without escapes; it is expected at this position from now on.
    pub(super) fn look_up(&mut self, position: usize, raw: &[u8]) -> Option<Target> {
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
        if position == self.hints.len() && position < MAX_REMEMBERED {
            self.hints.push(Hint { raw: Vec::new(), target: None });
        }
        if let Some(hint) = self.hints.get_mut(position) {
            hint.raw.clear();
            hint.raw.extend_from_slice(raw);
            hint.raw.push(b'"');
            hint.target = target;
        }
        target
    }

    /// The target of a key, by its unescaped name. Nothing is remembered.
    pub(super) fn target_of(&self, name: &[u8]) -> Option<Target> {
        let name = std::str::from_utf8(name).ok()?;
        let found = |name: &str, fit| self.columns.get(name).map(|&column| Target { column, fit });
        found(name, Fit::Exact).or_else(|| found(&name.to_uppercase(), Fit::Folded))
    }

    /// Begins an object.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.seen.fill(Fit::Unseen);
    }
}
