//! Mutated date patterns, texts and zones against the oracle of `fuzz/oracles/evaluate.rs`, without a fuzzer.
//!
//! Every input of `fuzz/corpus/date_patterns/` and `fuzz/corpus/casts/` is replayed as it is, then mutated.
//! `THALWEG_FUZZ_SECONDS` says for how long each; without it, a fixed number of inputs from a fixed seed keeps the
//! default test run short and repeatable.

use std::path::Path;
use std::time::{Duration, Instant};

#[path = "../../fuzz/oracles/evaluate.rs"]
mod evaluate;

/// Inputs of a run without `THALWEG_FUZZ_SECONDS`.
const INPUTS: u64 = 300;

/// Longest input: longer ones find nothing that these do not, and slow the run.
const LONGEST: usize = 1024;

/// Pieces of patterns, separated by `~`.
const OF_PATTERNS: &str = "G~GGGG~u~uuuu~y~yy~yyyy~D~DDD~M~MM~MMM~MMMM~MMMMM~L~d~dd~Q~QQQ~QQQQ~Y~YYYY~w~W~E~EEEE~e~c~F~a~h~\
    hh~K~k~H~HH~m~mm~s~ss~S~SSS~SSSSSSSSS~A~n~N~VV~z~zzzz~O~OOOO~X~XX~XXX~XXXX~XXXXX~x~xxxxx~Z~ZZZZ~ZZZZZ~p~ppp~\
    '~''~'x'~[~]~[[~]]~{~}~#~ ~-~:~/~.~T~%~_~!~\n~é~日~\0~2021~03~28~2020-02-29~23:59:60~24~12~am~PM~Mar~March~Sun~\
    Sunday~BC~AD~GMT~GMT+1~+01:00~-1800~Z~UTC~CET~Europe/Paris~America/~99999999999~-5~+12345~0~00";

/// Pieces of values, separated by `~`.
const OF_VALUES: &str = "0~1~9~10~99999999999~2147483647~9223372036854775808~.~-~+~e~E~E5~E-400~e400~d~f~x~_~ ~\t~\u{A0}~true~yes~\
    no~NaN~Infinity~2020~-02~-30~T~:~59~60~24~.123~Z~+02:00~-1800~=~==~AQ~/~é~日~\0~0000~9999~,~'";

#[test]
fn mutated_date_patterns_break_nothing() {
    run("date_patterns", OF_PATTERNS, evaluate::date_patterns);
}

#[test]
fn mutated_values_break_no_cast() {
    run("casts", OF_VALUES, evaluate::casts);
}

fn run(target: &str, pieces: &str, fuzz_one: fn(&[u8])) {
    let corpus = corpus(target).expect("the corpus belongs to the repository");
    for input in &corpus {
        fuzz_one(input);
    }
    let seconds: Option<u64> = std::env::var("THALWEG_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let seed = seconds.map_or(7, |_| fastrand::u64(..));
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let start = Instant::now();
    let mut inputs = 0;
    while seconds.map_or(inputs < INPUTS, |seconds| start.elapsed() < Duration::from_secs(seconds)) {
        let input = mutated(&corpus, pieces, &mut random);
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

fn mutated(corpus: &[Vec<u8>], pieces: &str, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut input = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.usize(1..5) {
        let at = random.usize(..=input.len());
        let until = (at + random.usize(..6)).min(input.len());
        match random.u8(..7) {
            0 => drop(input.drain(at..until)),
            1 => {
                let piece = input[at..until].to_vec();
                let times = if random.u8(..8) == 0 { 100 } else { random.usize(1..4) };
                input.splice(at..at, piece.repeat(times));
            }
            2 => {
                let other = &corpus[random.usize(..corpus.len())];
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..20)).min(other.len());
                input.splice(at..until, other[from..to].iter().copied());
            }
            3 if at < input.len() => input[at] = random.u8(..),
            _ => {
                let count = pieces.split('~').count();
                let piece = pieces.split('~').nth(random.usize(..count)).unwrap_or_default();
                input.splice(at..at, piece.bytes());
            }
        }
        input.truncate(LONGEST);
    }
    input
}
