//! `+ - * / %` and unary minus on all pairs of numbers, against schoolbook arithmetic.

use crate::expressions::tests::oracle::big::Big;
use crate::expressions::tests::oracle::{Subject, V};
use crate::types::SqlType;

const OPERATORS: [&str; 5] = ["+", "-", "*", "/", "%"];

fn fail(why: &str) -> Result<V, String> {
    Err(why.to_owned())
}

/// Whole numbers in 128 bits, where nothing overflows.
fn whole(value: &V) -> Option<i128> {
    match value {
        V::Int(v) => Some(i128::from(*v)),
        V::Long(v) => Some(i128::from(*v)),
        _ => None,
    }
}

#[test]
fn integers_wrap() {
    for (left, right) in [("INT", "INT"), ("INT", "BIGINT"), ("BIGINT", "INT"), ("BIGINT", "BIGINT")] {
        for op in OPERATORS {
            let subject = Subject::new(&format!("a {op} b"), &format!("a {left}, b {right}"));
            subject.agrees(|row| {
                let (Some(a), Some(b)) = (whole(&row[0]), whole(&row[1])) else { return fail("a null operand") };
                if b == 0 && matches!(op, "/" | "%") {
                    return fail("a zero divisor");
                }
                let exact = match op {
                    "+" => a + b,
                    "-" => a - b,
                    "*" => a * b,
                    "/" => a / b,
                    _ => a % b,
                };
                Ok(if (left, right) == ("INT", "INT") { V::Int(exact as i32) } else { V::Long(exact as i64) })
            });
            // A constant on either side takes other ways through the kernels.
            for constant in ["3", "-1", "0"] {
                let value: i128 = constant.parse().expect("a number");
                let oracle = |a: i128, b: i128| match op {
                    _ if b == 0 && matches!(op, "/" | "%") => fail("a zero divisor"),
                    "+" => Ok(V::Long((a + b) as i64)),
                    "-" => Ok(V::Long((a - b) as i64)),
                    "*" => Ok(V::Long((a * b) as i64)),
                    "/" => Ok(V::Long((a / b) as i64)),
                    _ => Ok(V::Long((a % b) as i64)),
                };
                let columns = "a BIGINT";
                Subject::new(&format!("a {op} {constant}"), columns)
                    .agrees(|row| whole(&row[0]).map_or_else(|| fail("null"), |a| oracle(a, value)));
                Subject::new(&format!("{constant} {op} a"), columns)
                    .agrees(|row| whole(&row[0]).map_or_else(|| fail("null"), |a| oracle(value, a)));
            }
        }
    }
}

#[test]
fn doubles_follow_ieee() {
    for (left, right) in [("DOUBLE", "DOUBLE"), ("INT", "DOUBLE"), ("DOUBLE", "BIGINT"), ("DECIMAL(6, 3)", "DOUBLE")] {
        for op in OPERATORS {
            let subject = Subject::new(&format!("a {op} b"), &format!("a {left}, b {right}"));
            let types = subject.types();
            subject.agrees(|row| {
                let (Some(a), Some(b)) = (as_double(&row[0], &types[0]), as_double(&row[1], &types[1])) else {
                    return fail("a null operand");
                };
                Ok(V::Double(match op {
                    "+" => a + b,
                    "-" => a - b,
                    "*" => a * b,
                    "/" => a / b,
                    _ => a % b,
                }))
            });
        }
    }
}

/// A number as the nearest double.
pub(super) fn as_double(value: &V, ty: &SqlType) -> Option<f64> {
    match (value, ty) {
        (V::Int(v), _) => Some(f64::from(*v)),
        (V::Long(v), _) => Some(*v as f64),
        (V::Double(v), _) => Some(*v),
        (V::Decimal(digits), SqlType::Decimal { scale, .. }) => {
            Some(format!("{digits}e-{scale}").parse().expect("a number"))
        }
        _ => None,
    }
}

/// Digits and scale of an exact number.
pub(super) fn exact(value: &V, ty: &SqlType) -> Option<(Big, u32)> {
    match (value, ty) {
        (V::Int(v), _) => Some((Big::read(&v.to_string()), 0)),
        (V::Long(v), _) => Some((Big::read(&v.to_string()), 0)),
        (V::Decimal(digits), SqlType::Decimal { scale, .. }) => Some((digits.clone(), *scale)),
        _ => None,
    }
}

/// The exact result at a scale; a quotient that does not end there fails.
fn decimal(op: &str, (a, sa): (Big, u32), (b, sb): (Big, u32), scale: u32) -> Result<V, String> {
    let common = sa.max(sb);
    let (x, y) = (a.times(&Big::ten_to(common - sa)), b.times(&Big::ten_to(common - sb)));
    let at_scale = |digits: Big, from: u32| digits.times(&Big::ten_to(scale - from));
    Ok(V::Decimal(match op {
        "+" => at_scale(x.plus(&y), common),
        "-" => at_scale(x.minus(&y), common),
        "*" => at_scale(a.times(&b), sa + sb),
        "/" => {
            let (quotient, rest) = x.times(&Big::ten_to(scale)).divided(&y).ok_or("a zero divisor")?;
            if !rest.is_zero() {
                return fail("a quotient without end");
            }
            quotient
        }
        _ => at_scale(x.divided(&y).ok_or("a zero divisor")?.1, common),
    }))
}

#[test]
fn decimals_are_exact() {
    for (left, right) in [
        ("DECIMAL(4, 2)", "DECIMAL(5, 1)"),
        ("DECIMAL(4, 2)", "INT"),
        ("BIGINT", "DECIMAL(3, 3)"),
        ("DECIMAL(18, 0)", "DECIMAL(18, 9)"),
        ("DECIMAL(38, 2)", "DECIMAL(30, 2)"),
        ("DECIMAL(19, 10)", "DECIMAL(19, 0)"),
        ("DECIMAL(37, 0)", "DECIMAL(1, 0)"),
        ("DECIMAL(37, 36)", "DECIMAL(37, 1)"),
        ("DECIMAL(75, 0)", "DECIMAL(3, 2)"),
        ("DECIMAL(3, 2)", "DECIMAL(75, 0)"),
        ("DECIMAL(76, 76)", "DECIMAL(76, 76)"),
    ] {
        for op in OPERATORS {
            let columns = format!("a {left}, b {right}");
            let types = Subject::new("a = b", &columns).types();
            let (p1, s1, p2, s2) = (digits(&types[0]), scale(&types[0]), digits(&types[1]), scale(&types[1]));
            let (precision, scale) = match op {
                "*" => (p1 + p2 + 1, s1 + s2),
                "/" => {
                    let scale = 6.max(s1 + p2 + 1);
                    (p1 - s1 + s2 + scale, scale)
                }
                "%" => ((p1 - s1).min(p2 - s2) + s1.max(s2), s1.max(s2)),
                _ => ((p1 - s1).max(p2 - s2) + s1.max(s2) + 1, s1.max(s2)),
            };
            if precision > 76 {
                crate::expressions::tests::typed(&format!("a {op} b"), &columns, "too many digits");
                continue;
            }
            let subject = Subject::new(&format!("a {op} b"), &columns);
            assert_eq!(subject.result(), SqlType::Decimal { precision, scale }, "{left} {op} {right}");
            subject.agrees(|row| {
                let (Some(a), Some(b)) = (exact(&row[0], &types[0]), exact(&row[1], &types[1])) else {
                    return fail("a null operand");
                };
                decimal(op, a, b, scale)
            });
        }
    }
}

#[test]
fn decimals_with_constants_are_exact() {
    for constant in ["0.25", "3", "-7.0", "0.0"] {
        for op in OPERATORS {
            for expression in [format!("a {op} {constant}"), format!("{constant} {op} a")] {
                let subject = Subject::new(&expression, "a DECIMAL(9, 3)");
                let ty = subject.types().remove(0);
                let SqlType::Decimal { scale, .. } = subject.result() else { panic!("{expression}") };
                let places = constant.split_once('.').map_or(0, |(_, places)| places.len());
                let known = (Big::read(&constant.replace('.', "")), u32::try_from(places).expect("few"));
                subject.agrees(|row| {
                    let Some(a) = exact(&row[0], &ty) else { return fail("a null operand") };
                    let (l, r) = if expression.starts_with('a') { (a, known.clone()) } else { (known.clone(), a) };
                    decimal(op, l, r, scale)
                });
            }
        }
    }
}

fn digits(ty: &SqlType) -> u32 {
    match ty {
        SqlType::Decimal { precision, .. } => *precision,
        SqlType::Integer => 10,
        _ => 19,
    }
}

fn scale(ty: &SqlType) -> u32 {
    match ty {
        SqlType::Decimal { scale, .. } => *scale,
        _ => 0,
    }
}

#[test]
fn minus_keeps_the_type() {
    for ty in ["INT", "BIGINT", "DOUBLE", "DECIMAL(9, 3)", "DECIMAL(50, 3)"] {
        let subject = Subject::new("-a", &format!("a {ty}"));
        assert_eq!(subject.result(), subject.types()[0]);
        subject.agrees(|row| match &row[0] {
            V::Int(v) => Ok(V::Int(v.wrapping_neg())),
            V::Long(v) => Ok(V::Long(v.wrapping_neg())),
            V::Double(v) => Ok(V::Double(-v)),
            V::Decimal(v) => Ok(V::Decimal(v.negated())),
            _ => fail("a null operand"),
        });
    }
}

#[test]
fn plus_joins_text_with_the_word_null() {
    Subject::new("a + b", "a STRING, b STRING").agrees(|row| {
        let word = |value: &V| if let V::Text(text) = value { text.clone() } else { "null".to_owned() };
        Ok(V::Text(format!("{}{}", word(&row[0]), word(&row[1]))))
    });
}
