//! Mutated SQL against the oracle of `fuzz/oracles/parse_sql.rs`, without a fuzzer.
//!
//! Every text of `fuzz/corpus/parse_sql/` is replayed as it is, then mutated: pieces of other texts and words of the
//! grammar put in, taken out, doubled. `THALWEG_FUZZ_SECONDS` says for how long; without it, a fixed number of inputs
//! from a fixed seed keeps the default test run short and repeatable.

use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../../fuzz/oracles/parse_sql.rs"]
mod parse_sql;

use parse_sql::fuzz_one;

/// Inputs of a run without `THALWEG_FUZZ_SECONDS`.
const INPUTS: u64 = 5_000;

/// Longest input: longer ones find nothing that these do not, and slow the run.
const LONGEST: usize = 4096;

/// Words and marks of the grammar, separated by `~`.
const WORDS: &str = "SELECT~FROM~WHERE~GROUP BY~PARTITION BY~HAVING~EMIT CHANGES~EMIT~LIMIT 1~CREATE~STREAM~TABLE~\
    OR REPLACE~SOURCE~IF NOT EXISTS~WITH (~AS~INSERT INTO~VALUES~JOIN~LEFT~WITHIN 1 DAY~ON~\
    WINDOW TUMBLING (SIZE 1 DAY)~GRACE PERIOD~AND~OR~NOT~IS NULL~IS DISTINCT FROM~BETWEEN~IN (~LIKE~\
    ESCAPE '!'~CASE~WHEN~THEN~ELSE~END~CAST(~ARRAY~ARRAY[~ARRAY<~MAP(~MAP<~STRUCT(~STRUCT<~DECIMAL(4, 2)~\
    DECIMAL '1'~INT~DAYS~COUNT(*)~->~=>~:=~||~<>~!=~<=~(~)~[~]~,~;~.~+~-~*~/~%~=~<~>~'~''~`~``~\"~--~/*~\
    */~${a}~${b}~${c}~${d}~$${a}~$~1~1.~.5~1E3~1e~2147483648~9223372036854775808~1a~x~x@~_~NULL~TRUE~\n~\
    é~\0~DEFINE~EXPLAIN~DESCRIBE~FUNCTION~TABLES~SHOW~ALL~ADD COLUMN~ALTER~DROP~TERMINATE~ASSERT~TOPIC";

#[test]
fn mutated_sql_breaks_nothing() {
    let corpus = corpus().unwrap();
    for text in &corpus {
        fuzz_one(text);
    }
    let seconds: Option<u64> = std::env::var("THALWEG_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let seed = seconds.map_or(7, |_| fastrand::u64(..));
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let start = Instant::now();
    let mut inputs = 0;
    while seconds.map_or(inputs < INPUTS, |seconds| start.elapsed() < Duration::from_secs(seconds)) {
        let input = mutated(&corpus, &mut random);
        if std::panic::catch_unwind(|| fuzz_one(&input)).is_err() {
            panic!("seed {seed}, input {inputs}: {:?}", String::from_utf8_lossy(&input));
        }
        inputs += 1;
    }
    println!("{inputs} inputs in {:?}", start.elapsed());
}

fn corpus() -> std::io::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/parse_sql");
    let mut paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(std::fs::read).collect()
}

fn mutated(corpus: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut text = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=text.len());
        let until = (at + random.usize(..12)).min(text.len());
        match random.u8(..6) {
            0 => drop(text.drain(at..until)),
            1 => {
                let piece = text[at..until].to_vec();
                let times = random.usize(1..20);
                text.splice(at..at, piece.repeat(times));
            }
            2 => {
                let other = &corpus[random.usize(..corpus.len())];
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..80)).min(other.len());
                text.splice(at..until, other[from..to].iter().copied());
            }
            3 if at < text.len() => text[at] = random.u8(..),
            _ => {
                let words = || WORDS.split('~');
                let word = words().nth(random.usize(..words().count())).unwrap_or_default();
                text.splice(at..at, format!(" {word} ").into_bytes());
            }
        }
        text.truncate(LONGEST);
    }
    text
}
