//! AND, OR, NOT, CASE and COALESCE: random trees against an oracle that evaluates from left to right and stops where
//! the answer is known.

use std::fmt;

use crate::expressions::tests::oracle::{Subject, V, random, seeds};
use crate::expressions::tests::{schema, typed};

/// An expression that is true, false, fails, or has failed in a part of it.
#[derive(Debug, Clone)]
enum Tree {
    /// A BOOLEAN column: asking it fails where it is null.
    Column(usize),
    /// `10 / n > 2`: fails where the number is 0 or null.
    Quotient(usize),
    /// `CAST(s AS INT) > 0`: where the text is no number, false, with a failure reported.
    Number(usize),
    IsNull(usize),
    Constant(bool),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
    Case(Vec<(Tree, Tree)>, Option<Box<Tree>>),
    /// The first of two that is not null.
    Coalesce(Box<Tree>, Box<Tree>),
}

const COLUMNS: &str = "b0 BOOLEAN, b1 BOOLEAN, b2 BOOLEAN, n0 INT, n1 INT, s0 STRING, s1 STRING";

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(i) => write!(f, "b{i}"),
            Self::Quotient(i) => write!(f, "(10 / n{i} > 2)"),
            Self::Number(i) => write!(f, "(CAST(s{i} AS INT) > 0)"),
            Self::IsNull(i) => write!(f, "(b{i} IS NULL)"),
            Self::Constant(truth) => write!(f, "{truth}"),
            Self::Not(operand) => write!(f, "(NOT {operand})"),
            Self::And(left, right) => write!(f, "({left} AND {right})"),
            Self::Or(left, right) => write!(f, "({left} OR {right})"),
            Self::Case(branches, otherwise) => {
                f.write_str("(CASE")?;
                branches.iter().try_for_each(|(condition, result)| write!(f, " WHEN {condition} THEN {result}"))?;
                otherwise.iter().try_for_each(|otherwise| write!(f, " ELSE {otherwise}"))?;
                f.write_str(" END)")
            }
            Self::Coalesce(first, second) => write!(f, "COALESCE({first}, {second})"),
        }
    }
}

impl Tree {
    fn random(depth: u32, random: &mut fastrand::Rng) -> Self {
        let below = |random: &mut fastrand::Rng| Box::new(Self::random(depth - 1, random));
        match random.u8(..if depth > 0 { 14 } else { 6 }) {
            0 | 1 => Self::Column(random.usize(..3)),
            2 => Self::Quotient(random.usize(..2)),
            3 => Self::Number(random.usize(..2)),
            4 => Self::IsNull(random.usize(..3)),
            5 => Self::Constant(random.bool()),
            6 => Self::Not(below(random)),
            7 | 8 => Self::And(below(random), below(random)),
            9 | 10 => Self::Or(below(random), below(random)),
            11 => Self::Coalesce(below(random), below(random)),
            _ => Self::Case(
                (0..random.usize(1..4)).map(|_| (*below(random), *below(random))).collect(),
                random.bool().then(|| below(random)),
            ),
        }
    }

    /// The truth or null; an error ends the whole. `reported` tells that a part failed on its own.
    fn ask(&self, row: &[V], reported: &mut bool) -> Result<Option<bool>, ()> {
        match self {
            Self::Column(i) => Ok(match row[*i] {
                V::Bool(truth) => Some(truth),
                _ => None,
            }),
            Self::Quotient(i) => match row[3 + i] {
                V::Int(n) if n != 0 => Ok(Some(10_i32.wrapping_div(n) > 2)),
                _ => Err(()),
            },
            Self::Number(i) => Ok(Some(match &row[5 + i] {
                V::Text(text) => match text.trim_matches(|c| c <= ' ').parse::<i32>() {
                    Ok(n) => n > 0,
                    Err(_) => {
                        *reported = true;
                        false
                    }
                },
                _ => false,
            })),
            Self::IsNull(i) => Ok(Some(row[*i].is_null())),
            Self::Constant(truth) => Ok(Some(*truth)),
            Self::Not(operand) => Ok(Some(!operand.ask(row, reported)?.ok_or(())?)),
            Self::And(left, right) => {
                Ok(Some(left.ask(row, reported)?.ok_or(())? && right.ask(row, reported)?.ok_or(())?))
            }
            Self::Or(left, right) => {
                Ok(Some(left.ask(row, reported)?.ok_or(())? || right.ask(row, reported)?.ok_or(())?))
            }
            Self::Case(branches, otherwise) => {
                for (condition, result) in branches {
                    if condition.ask(row, reported)?.ok_or(())? {
                        return result.ask(row, reported);
                    }
                }
                otherwise.as_ref().map_or(Ok(None), |otherwise| otherwise.ask(row, reported))
            }
            Self::Coalesce(first, second) => {
                // An argument that is a call is a unit of its own: where it fails it is null.
                let mut argument = |tree: &Self| match tree.ask(row, reported) {
                    Err(()) if matches!(tree, Self::Coalesce(..)) => {
                        *reported = true;
                        Ok(None)
                    }
                    other => other,
                };
                match argument(first)? {
                    Some(truth) => Ok(Some(truth)),
                    None => argument(second),
                }
            }
        }
    }
}

#[test]
fn what_is_not_asked_reports_nothing() {
    let types: Vec<_> = schema(COLUMNS).columns().iter().map(|column| column.ty.clone()).collect();
    for seed in 0..seeds() * 2 {
        let mut random = fastrand::Rng::with_seed(seed);
        let tree = Tree::random(4, &mut random);
        let expression = tree.to_string();
        let subject = Subject::new(&expression, COLUMNS);
        let rows: Vec<Vec<V>> = (0..16)
            .map(|_| {
                types
                    .iter()
                    .map(|ty| match random::value(ty, &mut random) {
                        V::Int(n) => V::Int(n % 12),
                        V::Text(_) if random.bool() => V::Text("5".to_owned()),
                        other => other,
                    })
                    .collect()
            })
            .collect();
        for (row, (value, failures)) in rows.iter().zip(subject.run(&rows)) {
            let mut reported = false;
            let asked = tree.ask(row, &mut reported);
            let expected = asked.unwrap_or(None).map_or(V::Null, V::Bool);
            assert_eq!(value, expected, "{expression} of {row:?}, seed {seed}");
            assert_eq!(failures > 0, asked.is_err() || reported, "{expression} of {row:?}, seed {seed}");
        }
    }
}

#[test]
fn all_results_of_a_case_have_one_type() {
    let columns = "i INT, l BIGINT, s STRING, a ARRAY<INT>";
    typed("CASE WHEN i = 1 THEN i ELSE l END", columns, "Invalid Case expression.");
    typed("CASE WHEN i = 1 THEN NULL END", columns, "All case branches have a NULL type");
    typed("CASE WHEN i THEN 1 END", columns, "BOOLEAN");
    typed("CASE WHEN i = 1 THEN NULL WHEN i = 2 THEN a END", columns, "ARRAY<INTEGER>");
    Subject::new("CASE WHEN i = 0 THEN s WHEN i > 0 THEN 'more' ELSE NULL END", "i INT, s STRING").agrees(|row| {
        Ok(match &row[0] {
            V::Int(0) => row[1].clone(),
            V::Int(n) if *n > 0 => V::Text("more".to_owned()),
            _ => V::Null,
        })
    });
}

#[test]
fn subscripts_count_from_both_ends() {
    Subject::new("a[i]", "a ARRAY<STRING>, i INT").agrees_on(
        |random| {
            let array = random::value(&crate::expressions::tests::sql_type("ARRAY<STRING>"), random);
            vec![array, if random.bool() { V::Int(random.i32(-5..6)) } else { V::Int(random::int(random)) }]
        },
        |row| {
            let (V::Array(items), V::Int(i)) = (&row[0], &row[1]) else { return Ok(V::Null) };
            let n = i64::try_from(items.len()).expect("few");
            let at = if *i > 0 { i64::from(*i) - 1 } else { n + i64::from(*i) };
            let item = usize::try_from(at).ok().filter(|_| *i != 0).and_then(|at| items.get(at));
            Ok(item.cloned().unwrap_or(V::Null))
        },
    );
    Subject::new("m[k]", "m MAP<STRING, INT>, k STRING").agrees(|row| {
        let V::Map(entries) = &row[0] else { return Ok(V::Null) };
        Ok(entries.iter().find(|(key, _)| *key == row[1]).map_or(V::Null, |(_, value)| value.clone()))
    });
    Subject::new("s->g", "s STRUCT<f INT, g STRING>").agrees(|row| match &row[0] {
        V::Struct(parts) => Ok(parts[1].clone()),
        _ => Ok(V::Null),
    });
}
