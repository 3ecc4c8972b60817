//! Mutated records against the oracle of `fuzz/oracles/decode_formats.rs`, without a fuzzer.
//!
//! Every record of `fuzz/corpus/decode_json/` and `fuzz/corpus/decode_delimited/` is replayed as it is, then mutated.
//! `THALWEG_FUZZ_SECONDS` says for how long each; without it, a fixed number of inputs from a fixed seed keeps the
//! default test run short and repeatable.

use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../../fuzz/oracles/decode_formats.rs"]
mod decode_formats;

/// Inputs of a run without `THALWEG_FUZZ_SECONDS`.
const INPUTS: u64 = 2_000;

/// Longest input: longer ones find nothing that these do not, and slow the run.
const LONGEST: usize = 2048;

/// Pieces of both formats, separated by `~`.
const PIECES: &str = "{~}~[~]~\"~,~:~;~\\~\\u00~\\ud83d\\ude00~\\ud800~\\n~null~true~false~0~-~.~e~E+~1e3~1e400~-0~\
    9223372036854775808~0.1~123456789.123456789~\"A\":~\"a\":~\"b\":~\"B\":~\"\\u0041\":~[[[[~{\"A\":{\"a\":~\"\"~ ~\n~\r~\t~é~日~\0~\
    /w==~NaN~Infinity~2147483648~86400000~[]~{}~[null]~,,,,";

#[test]
fn mutated_json_records_break_nothing() {
    run("decode_json", decode_formats::decode_json);
}

#[test]
fn mutated_delimited_records_break_nothing() {
    run("decode_delimited", decode_formats::decode_delimited);
}

fn run(target: &str, fuzz_one: fn(&[u8])) {
    let corpus = corpus(target).expect("the corpus belongs to the repository");
    for record in &corpus {
        fuzz_one(record);
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
            panic!("{target}: seed {seed}, input {inputs}: {:?}", String::from_utf8_lossy(&input));
        }
        inputs += 1;
    }
    println!("{target}: {inputs} inputs in {:?}", start.elapsed());
}

fn corpus(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    paths.iter().map(std::fs::read).collect()
}

fn mutated(corpus: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut record = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.usize(1..5) {
        let at = random.usize(..=record.len());
        let until = (at + random.usize(..8)).min(record.len());
        match random.u8(..6) {
            0 => drop(record.drain(at..until)),
            1 => {
                let piece = record[at..until].to_vec();
                let times = random.usize(1..4);
                record.splice(at..at, piece.repeat(times));
            }
            2 => {
                let other = &corpus[random.usize(..corpus.len())];
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..40)).min(other.len());
                record.splice(at..until, other[from..to].iter().copied());
            }
            3 if at < record.len() => record[at] = random.u8(..),
            _ => {
                let pieces = || PIECES.split('~');
                let piece = pieces().nth(random.usize(..pieces().count())).unwrap_or_default();
                record.splice(at..at, piece.bytes());
            }
        }
        record.truncate(LONGEST);
    }
    record
}
