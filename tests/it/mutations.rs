//! What mutated inputs do to an oracle of `fuzz/oracles/`, without a fuzzer.
//!
//! Every input of the target's corpus is replayed as it is, then mutated: pieces of other inputs and of the grammar put
//! in, taken out, repeated. `THALWEG_FUZZ_SECONDS` says for how long; without it, a fixed number of inputs from a fixed
//! seed keeps the default test run short and repeatable.

use std::path::Path;
use std::time::{Duration, Instant};

/// A run of one oracle.
pub(crate) struct Mutations {
    /// Folder below `fuzz/corpus/`.
    pub(crate) target: &'static str,
    /// Panics on an input that breaks something.
    pub(crate) oracle: fn(&[u8]),
    /// How many inputs without `THALWEG_FUZZ_SECONDS`.
    pub(crate) inputs: u64,
    /// Bytes of the longest input: longer ones find nothing that these do not, and slow the run.
    pub(crate) longest: usize,
    /// Words and marks of the grammar, separated by `~`.
    pub(crate) pieces: &'static str,
    /// What stands before and after a piece that is put in.
    pub(crate) around: &'static str,
}

impl Mutations {
    /// Runs the oracle.
    ///
    /// # Panics
    /// On the first input that the oracle panics on, naming it and the seed.
    pub(crate) fn run(&self) {
        let Self { target, oracle, .. } = self;
        let corpus = corpus(target).expect("the corpus belongs to the repository");
        for input in &corpus {
            oracle(input);
        }
        let seconds: Option<u64> = std::env::var("THALWEG_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
        let seed = seconds.map_or(7, |_| fastrand::u64(..));
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let start = Instant::now();
        let mut inputs = 0;
        while seconds.map_or(inputs < self.inputs, |seconds| start.elapsed() < Duration::from_secs(seconds)) {
            let input = self.mutated(&corpus, &mut random);
            if std::panic::catch_unwind(|| oracle(&input)).is_err() {
                panic!("{target}: seed {seed}, input {inputs}: {:?}", String::from_utf8_lossy(&input));
            }
            inputs += 1;
        }
        println!("{target}: {inputs} inputs in {:?}", start.elapsed());
    }

    fn mutated(&self, corpus: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
        let mut input = corpus[random.usize(..corpus.len())].clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..=input.len());
            let until = (at + random.usize(..12)).min(input.len());
            match random.u8(..7) {
                0 => drop(input.drain(at..until)),
                1 => {
                    let piece = input[at..until].to_vec();
                    let times = if random.u8(..8) == 0 { 100 } else { random.usize(1..20) };
                    input.splice(at..at, piece.repeat(times));
                }
                2 => {
                    let other = &corpus[random.usize(..corpus.len())];
                    let from = random.usize(..=other.len());
                    let to = (from + random.usize(..80)).min(other.len());
                    input.splice(at..until, other[from..to].iter().copied());
                }
                3 if at < input.len() => input[at] = random.u8(..),
                _ => {
                    let pieces = || self.pieces.split('~');
                    let piece = pieces().nth(random.usize(..pieces().count())).unwrap_or_default();
                    input.splice(at..at, format!("{}{piece}{}", self.around, self.around).into_bytes());
                }
            }
            input.truncate(self.longest);
        }
        input
    }
}

fn corpus(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(std::fs::read).collect()
}
