//! Comparisons, BETWEEN and IN on all pairs of types, in two-valued logic, against a row-at-a-time oracle.

use std::cmp::Ordering;

use super::arithmetic::{as_double, exact};
use crate::expressions::tests::oracle::big::Big;
use crate::expressions::tests::oracle::{Subject, V};
use crate::expressions::tests::typed;
use crate::types::SqlType;

const ORDERS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

fn holds(op: &str, order: Option<Ordering>) -> bool {
    let Some(order) = order else { return false };
    match op {
        "=" => order.is_eq(),
        "<>" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    }
}

/// Any finite number as digits and places behind the point; a double by its shortest text.
fn spelled(value: &V, ty: &SqlType) -> Option<(Big, i64)> {
    let V::Double(v) = value else { return exact(value, ty).map(|(digits, scale)| (digits, i64::from(scale))) };
    let text = format!("{v:e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let places = mantissa.split_once('.').map_or(0, |(_, places)| places.len() as i64);
    Some((Big::read(&mantissa.replace('.', "")), places - exponent.parse::<i64>().ok()?))
}

/// The order of two values; `None` where there is none: a null, or NaN.
fn order(a: &V, b: &V, l: &SqlType, r: &SqlType) -> Option<Ordering> {
    if a.is_null() || b.is_null() {
        return None;
    }
    let decimal = |ty: &SqlType| matches!(ty, SqlType::Decimal { .. });
    if l.is_numeric() && (decimal(l) || decimal(r)) {
        for (one, factor) in [(a, false), (b, true)] {
            if let V::Double(v) = one
                && !v.is_finite()
            {
                let order = if *v > 0.0 { Ordering::Greater } else { Ordering::Less };
                return (!v.is_nan()).then_some(if factor { order.reverse() } else { order });
            }
        }
        let ((x, sx), (y, sy)) = (spelled(a, l)?, spelled(b, r)?);
        let scale = sx.max(sy);
        let lift = |digits: Big, from: i64| digits.times(&Big::ten_to(u32::try_from(scale - from).expect("small")));
        return Some(lift(x, sx).cmp(&lift(y, sy)));
    }
    if *l == SqlType::Double || *r == SqlType::Double {
        return as_double(a, l)?.partial_cmp(&as_double(b, r)?);
    }
    if l.is_numeric() {
        return Some(exact(a, l)?.0.cmp(&exact(b, r)?.0));
    }
    match (a, b) {
        (V::Bool(a), V::Bool(b)) => Some(a.cmp(b)),
        (V::Text(a), V::Text(b)) => Some(a.encode_utf16().cmp(b.encode_utf16())),
        (V::Bytes(a), V::Bytes(b)) => Some(a.iter().map(|a| *a as i8).cmp(b.iter().map(|b| *b as i8))),
        (V::Time(a), V::Time(b)) => Some(a.cmp(b)),
        (V::Date(a), V::Date(b)) => Some(a.cmp(b)),
        (V::Timestamp(a), V::Timestamp(b)) => Some(a.cmp(b)),
        (V::Date(a), V::Timestamp(b)) => Some((i64::from(*a) * 86_400_000).cmp(b)),
        (V::Timestamp(a), V::Date(b)) => Some(a.cmp(&(i64::from(*b) * 86_400_000))),
        // Containers are equal or not.
        _ => Some(if same(a, b) { Ordering::Equal } else { Ordering::Less }),
    }
}

/// Deep equality, as of Java's collections.
fn same(a: &V, b: &V) -> bool {
    match (a, b) {
        (V::Map(a), V::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.iter().any(|(l, w)| same(k, l) && same(v, w)))
        }
        (V::Array(a), V::Array(b)) | (V::Struct(a), V::Struct(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (V::Double(a), V::Double(b)) => a == b || (a.is_nan() && b.is_nan()),
        _ => a == b,
    }
}

const PAIRS: [(&str, &str); 24] = [
    ("INT", "INT"),
    ("INT", "BIGINT"),
    ("BIGINT", "BIGINT"),
    ("INT", "DOUBLE"),
    ("DOUBLE", "BIGINT"),
    ("DOUBLE", "DOUBLE"),
    ("DECIMAL(4, 2)", "DECIMAL(4, 2)"),
    ("DECIMAL(4, 2)", "DECIMAL(18, 7)"),
    ("DECIMAL(38, 2)", "DECIMAL(38, 37)"),
    ("DECIMAL(76, 0)", "DECIMAL(76, 76)"),
    ("DECIMAL(4, 2)", "INT"),
    ("BIGINT", "DECIMAL(30, 3)"),
    ("DECIMAL(5, 2)", "DOUBLE"),
    ("DOUBLE", "DECIMAL(60, 30)"),
    ("STRING", "STRING"),
    ("BYTES", "BYTES"),
    ("TIME", "TIME"),
    ("DATE", "DATE"),
    ("TIMESTAMP", "TIMESTAMP"),
    ("DATE", "TIMESTAMP"),
    ("BOOLEAN", "BOOLEAN"),
    ("ARRAY<INT>", "ARRAY<INT>"),
    ("MAP<STRING, DOUBLE>", "MAP<STRING, DOUBLE>"),
    ("STRUCT<F ARRAY<STRING>, G DECIMAL(3, 1)>", "STRUCT<F ARRAY<STRING>, G DECIMAL(3, 1)>"),
];

/// True for types of which values are only equal or not.
fn unordered(ty: &SqlType) -> bool {
    ty.is_nested() || *ty == SqlType::Boolean
}

#[test]
fn pairs_of_types_compare_in_two_valued_logic() {
    for (left, right) in PAIRS {
        let columns = format!("a {left}, b {right}");
        let (l, r) = (crate::expressions::tests::sql_type(left), crate::expressions::tests::sql_type(right));
        for op in ORDERS {
            let expression = format!("a {op} b");
            if unordered(&l) && !matches!(op, "=" | "<>") {
                typed(&expression, &columns, "Cannot compare A");
                continue;
            }
            let oracle = |row: &[V]| holds(op, order(&row[0], &row[1], &l, &r));
            let near = |random: &mut fastrand::Rng| pair(&l, &r, random);
            Subject::new(&expression, &columns).agrees_on(near, |row| Ok(V::Bool(oracle(row))));
            Subject::new(&format!("NOT (a {op} b)"), &columns).agrees_on(near, |row| Ok(V::Bool(!oracle(row))));
        }
        for (op, same_is) in [("IS DISTINCT FROM", false), ("IS NOT DISTINCT FROM", true)] {
            let near = |random: &mut fastrand::Rng| pair(&l, &r, random);
            Subject::new(&format!("a {op} b"), &columns).agrees_on(near, |row| {
                let equal = match (row[0].is_null(), row[1].is_null()) {
                    (false, false) => order(&row[0], &row[1], &l, &r).is_none_or(Ordering::is_eq),
                    (l, r) => l == r,
                };
                // NaN is the same as itself and nothing else.
                let nan = |v: &V| matches!(v, V::Double(v) if v.is_nan());
                let equal = if nan(&row[0]) || nan(&row[1]) { nan(&row[0]) && nan(&row[1]) } else { equal };
                Ok(V::Bool(equal == same_is))
            });
        }
    }
}

/// Two values, often the same.
fn pair(l: &SqlType, r: &SqlType, random: &mut fastrand::Rng) -> Vec<V> {
    use crate::expressions::tests::oracle::random::value;
    let left = value(l, random);
    let right = if l == r && random.u8(..3) == 0 { left.clone() } else { value(r, random) };
    vec![left, right]
}

#[test]
fn other_pairs_of_types_do_not_compare() {
    const ALL: [&str; 11] = [
        "BOOLEAN",
        "INT",
        "BIGINT",
        "DOUBLE",
        "DECIMAL(4, 2)",
        "STRING",
        "BYTES",
        "TIME",
        "DATE",
        "TIMESTAMP",
        "ARRAY<INT>",
    ];
    for left in ALL {
        for right in ALL {
            let (l, r) = (crate::expressions::tests::sql_type(left), crate::expressions::tests::sql_type(right));
            let times = |ty: &SqlType| matches!(ty, SqlType::Date | SqlType::Timestamp);
            let text = |ty: &SqlType| *ty == SqlType::String;
            let known = l == r
                || (l.is_numeric() && r.is_numeric())
                || (times(&l) && times(&r))
                || (text(&l) && (times(&r) || r == SqlType::Time))
                || (text(&r) && (times(&l) || l == SqlType::Time));
            for (op, name) in [("=", "EQUAL"), ("<", "LESS_THAN"), ("IS DISTINCT FROM", "IS_DISTINCT_FROM")] {
                let expected = if known && (op != "<" || !unordered(&l)) {
                    "BOOLEAN".to_owned()
                } else {
                    format!("Cannot compare A ({l}) to B ({r}) with {name}.")
                };
                typed(&format!("a {op} b"), &format!("a {left}, b {right}"), &expected);
            }
        }
    }
}

#[test]
fn between_is_two_comparisons() {
    for (ty, other) in [("INT", "BIGINT"), ("DOUBLE", "DOUBLE"), ("STRING", "STRING"), ("DECIMAL(4, 2)", "INT")] {
        let columns = format!("a {ty}, b {other}, c {other}");
        let (l, r) = (crate::expressions::tests::sql_type(ty), crate::expressions::tests::sql_type(other));
        let within = |row: &[V]| {
            order(&row[0], &row[1], &l, &r).is_some_and(Ordering::is_ge)
                && order(&row[0], &row[2], &l, &r).is_some_and(Ordering::is_le)
        };
        Subject::new("a BETWEEN b AND c", &columns).agrees(|row| Ok(V::Bool(within(row))));
        Subject::new("a NOT BETWEEN b AND c", &columns).agrees(|row| Ok(V::Bool(!within(row))));
    }
}

#[test]
fn in_never_matches_nulls() {
    for ty in ["INT", "STRING", "DECIMAL(4, 2)", "DOUBLE", "DATE", "ARRAY<STRING>", "MAP<STRING, INT>"] {
        let columns = format!("a {ty}, b {ty}, c {ty}");
        let found = |row: &[V]| !row[0].is_null() && row[1..].iter().any(|element| same(&row[0], element));
        let l = crate::expressions::tests::sql_type(ty);
        let near = |random: &mut fastrand::Rng| {
            let mut row = pair(&l, &l, random);
            row.push(crate::expressions::tests::oracle::random::value(&l, random));
            row
        };
        Subject::new("a IN (b, c)", &columns).agrees_on(near, |row| Ok(V::Bool(found(row))));
        Subject::new("a NOT IN (b, c)", &columns).agrees_on(near, |row| Ok(V::Bool(!found(row))));
    }
    Subject::new("a IN (0, 1, -1, 5, 7, 11, NULL, 2147483647)", "a INT")
        .agrees(|row| Ok(V::Bool(matches!(row[0], V::Int(0 | 1 | -1 | 5 | 7 | 11 | i32::MAX)))));
    Subject::new("a IN ('a', 'b', '', 'ab', NULL, '😀')", "a STRING").agrees(|row| {
        Ok(V::Bool(matches!(&row[0], V::Text(text) if ["a", "b", "", "ab", "😀"].contains(&text.as_str()))))
    });
}
