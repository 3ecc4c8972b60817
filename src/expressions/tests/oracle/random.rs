//! Random values that like the ends of their types.

use fastrand::Rng;

use super::V;
use super::big::Big;
use crate::types::{SqlType, StructField};

/// A value of a type; one in eight is NULL.
pub(crate) fn value(ty: &SqlType, random: &mut Rng) -> V {
    if random.u8(..8) == 0 { V::Null } else { present(ty, random) }
}

/// A value of a type that is not NULL.
pub(crate) fn present(ty: &SqlType, random: &mut Rng) -> V {
    match ty {
        SqlType::Boolean => V::Bool(random.bool()),
        SqlType::Integer => V::Int(int(random)),
        SqlType::BigInt => V::Long(long(random)),
        SqlType::Double => V::Double(double(random)),
        SqlType::Decimal { precision, .. } => V::Decimal(digits(*precision, random)),
        SqlType::String => V::Text(text(random)),
        SqlType::Bytes => V::Bytes((0..random.usize(..6)).map(|_| random.u8(..)).collect()),
        SqlType::Time => V::Time(match random.u8(..6) {
            0 => 0,
            1 => 86_399_999,
            2 => random.i32(0..1440) * 60_000,
            _ => random.i32(0..86_400_000),
        }),
        SqlType::Date => V::Date(match random.u8(..8) {
            0 => random.i32(..),
            1 => random.i32(-3..3),
            2 => -719_528 + random.i32(-800..800),
            3 => 2_932_897 + random.i32(-3..3),
            _ => random.i32(-40_000..80_000),
        }),
        SqlType::Timestamp => V::Timestamp(match random.u8(..8) {
            0 => long(random),
            1 => random.i64(-100_000..100_000),
            2 => (-719_528 + random.i64(-800..800)) * 86_400_000 + random.i64(0..86_400_000),
            3 => random.i64(-100..100) * 86_400_000,
            _ => random.i64(-3_000_000_000_000..7_000_000_000_000),
        }),
        SqlType::Array(element) => V::Array((0..random.usize(..4)).map(|_| value(element, random)).collect()),
        SqlType::Map(key, item) => {
            let mut entries: Vec<(V, V)> = Vec::new();
            for _ in 0..random.usize(..4) {
                let key = present(key, random);
                if entries.iter().all(|(known, _)| *known != key) {
                    entries.push((key, value(item, random)));
                }
            }
            V::Map(entries)
        }
        SqlType::Struct(fields) => V::Struct(fields.iter().map(|field| value(&field.ty, random)).collect()),
    }
}

pub(crate) fn int(random: &mut Rng) -> i32 {
    match random.u8(..4) {
        0 => [0, 1, -1, i32::MIN, i32::MAX, i32::MAX - 1][random.usize(..6)],
        1 => random.i32(-12..12),
        2 => random.i32(..) >> random.u8(0..31),
        _ => random.i32(..),
    }
}

fn long(random: &mut Rng) -> i64 {
    match random.u8(..4) {
        0 => [0, 1, -1, i64::MIN, i64::MAX, 1 << 53, (1 << 53) + 1, i64::from(i32::MAX) + 1][random.usize(..8)],
        1 => random.i64(-12..12),
        2 => random.i64(..) >> random.u8(0..63),
        _ => random.i64(..),
    }
}

fn double(random: &mut Rng) -> f64 {
    const ENDS: [f64; 14] = [
        0.0,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        0.15,
        1.005,
        2_147_483_648.5,
        9.223_372_036_854_776e18,
        1e7,
        0.001,
    ];
    match random.u8(..5) {
        0 => ENDS[random.usize(..ENDS.len())],
        1 => f64::from(random.i32(-2_000..2_000)) / 100.0,
        2 => f64::from(random.i32(..)) / 8.0,
        3 => (random.f64() - 0.5) * 10_f64.powi(random.i32(-12..25)),
        _ => f64::from_bits(random.u64(..)),
    }
}

fn digits(precision: u32, random: &mut Rng) -> Big {
    let n = random.usize(1..=precision as usize);
    let text: String = match random.u8(..6) {
        0 => "0".to_owned(),
        1 => "9".repeat(precision as usize),
        2 => random.u8(0..10).to_string(),
        3 => format!("{}{}", random.u8(1..10), "0".repeat(n - 1)),
        _ => (0..n).map(|_| char::from(b'0' + random.u8(..10))).collect(),
    };
    let magnitude = Big::read(&text);
    if random.bool() { magnitude.negated() } else { magnitude }
}

/// Pieces of texts: what casts read, what splits UTF-16, what cases change oddly, ends of lines.
const PIECES: [&str; 72] = [
    "0",
    "1",
    "9",
    "12",
    "007",
    ".",
    "-",
    "+",
    "e",
    "E5",
    "E-3",
    "1.5",
    "-0.05",
    "99999999999",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "1e400",
    "NaN",
    "Infinity",
    "0x1",
    "1d",
    "1_0",
    "true",
    "T",
    "ye",
    "fAlse",
    "no",
    "2020",
    "2020-02-29",
    "2021-02-29",
    "-05",
    "-13",
    "T",
    "T23",
    "T23:59",
    ":59",
    ":60",
    "T23:59:58",
    ".123",
    ".1",
    "Z",
    "+02:00",
    "-0530",
    "+19:00",
    "10:00",
    "24:00",
    "10:00:01.5",
    "AQID",
    "AQI=",
    "=",
    " ",
    "  ",
    "\t",
    "\n",
    "\u{2028}",
    "\u{85}",
    "\u{A0}",
    "a",
    "b",
    "ab",
    "ba",
    "A",
    "é",
    "ß",
    "İ",
    "Σ",
    "😀",
    "𐐷",
    "%",
    "_",
    "!",
];

/// A text of pieces.
pub(crate) fn text(random: &mut Rng) -> String {
    let n = [0, 1, 1, 1, 2, 2, 3, 5][random.usize(..8)];
    (0..n).map(|_| PIECES[random.usize(..PIECES.len())]).collect()
}

/// A type of at most `depth` levels of containers.
pub(crate) fn ty(depth: u32, random: &mut Rng) -> SqlType {
    match random.u8(..if depth > 0 { 14 } else { 11 }) {
        0 => SqlType::Boolean,
        1 => SqlType::Integer,
        2 => SqlType::BigInt,
        3 => SqlType::Double,
        4 => SqlType::Decimal { precision: 4, scale: 2 },
        5 => SqlType::Decimal { precision: 40, scale: 10 },
        6 => SqlType::Time,
        7 => SqlType::Date,
        8 => SqlType::Timestamp,
        9 => SqlType::Bytes,
        10 => SqlType::String,
        11 => SqlType::Array(Box::new(ty(depth - 1, random))),
        12 => SqlType::Map(Box::new(ty(0, random)), Box::new(ty(depth - 1, random))),
        _ => {
            let names = ["F", "G", "H"];
            let from = random.usize(..names.len());
            let fields =
                names[from..].iter().map(|name| StructField { name: (*name).into(), ty: ty(depth - 1, random) });
            SqlType::Struct(fields.collect())
        }
    }
}
