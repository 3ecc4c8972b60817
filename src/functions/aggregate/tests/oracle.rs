//! Every aggregate against a slow recomputation from the rows of each group: adding, taking back, merging, saving and
//! loading, in random order and in batches of random size.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray};

use super::shown;
use crate::functions::FunctionRegistry;
use crate::functions::aggregate::{AggregateFunction, AggregateRows, IncrementalAggregate, Parameter};
use crate::types::{Name, SqlType};

/// A value of a test.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Value {
    Null,
    Int(i64),
    Double(f64),
    Text(String),
}

type Row = Vec<Value>;

const GROUPS: u32 = 4;

fn seeds() -> u64 {
    std::env::var("THALWEG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200)
}

fn value(ty: &SqlType, rng: &mut fastrand::Rng, wide: bool) -> Value {
    if rng.u8(..6) == 0 {
        return Value::Null;
    }
    let extreme = wide && rng.u8(..5) == 0;
    match ty {
        SqlType::Integer if extreme => Value::Int(rng.choice([i32::MIN, i32::MAX, i32::MAX - 1]).unwrap().into()),
        SqlType::BigInt if extreme => Value::Int(rng.choice([i64::MIN, i64::MAX, i64::MAX - 1]).unwrap()),
        SqlType::Integer | SqlType::BigInt => Value::Int(rng.i64(-5..6)),
        // Sums of these are exact, also when they are taken back.
        SqlType::Double => Value::Double(rng.i32(-20..20).into()),
        _ => Value::Text(rng.choice(["", "a", "b", "ab", "\u{ff61}", "\u{1f600}", "z\0"]).unwrap().to_owned()),
    }
}

fn array(ty: &SqlType, values: &[&Value]) -> ArrayRef {
    let int = |value: &&Value| if let Value::Int(value) = value { Some(*value) } else { None };
    match ty {
        SqlType::Integer => {
            Arc::new(values.iter().map(|v| int(v).map(|v| i32::try_from(v).unwrap())).collect::<Int32Array>())
        }
        SqlType::BigInt => Arc::new(values.iter().map(int).collect::<Int64Array>()),
        SqlType::Double => Arc::new(
            values.iter().map(|v| if let Value::Double(v) = v { Some(*v) } else { None }).collect::<Float64Array>(),
        ),
        _ => Arc::new(
            values
                .iter()
                .map(|v| if let Value::Text(v) = v { Some(v.as_str()) } else { None })
                .collect::<StringArray>(),
        ),
    }
}

fn text(ty: &SqlType, value: &Value) -> String {
    shown(&array(ty, &[value]), 0)
}

/// What the call gives over these rows, oldest first.
fn slow(call: &AggregateFunction, rows: &[Row]) -> String {
    let mut rows: Vec<&Row> = rows.iter().collect();
    if call.distinct {
        let mut seen: Vec<&Row> = vec![];
        rows.retain(|row| {
            let new = !seen.contains(row);
            seen.push(row);
            new
        });
    }
    let all: Vec<&Value> = rows.iter().filter_map(|row| row.first()).collect();
    let some: Vec<&Value> = all.iter().copied().filter(|value| **value != Value::Null).collect();
    let ints = || some.iter().map(|value| if let Value::Int(value) = value { *value } else { unreachable!() });
    let doubles = |rows: &[&Value]| -> Vec<f64> {
        rows.iter()
            .map(|value| match value {
                Value::Int(value) => *value as f64,
                Value::Double(value) => *value,
                _ => unreachable!(),
            })
            .collect()
    };
    let ty = call.arguments.first();
    let one = |value: Option<&Value>| value.map_or("null".to_owned(), |value| text(ty.unwrap(), value));
    let list = |values: &[&Value]| {
        format!(
            "[{}]",
            values
                .iter()
                .map(|value| text(ty.unwrap(), value))
                .map(|text| if text == "null" { String::new() } else { text })
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    let distinct = |values: &[&Value]| {
        let mut distinct: Vec<Value> = vec![];
        for value in values {
            if !distinct.contains(value) {
                distinct.push((*value).clone());
            }
        }
        distinct
    };
    let utf16 = |value: &Value| if let Value::Text(text) = value { text.encode_utf16().collect() } else { vec![] };
    let sorted = || {
        let mut sorted = some.clone();
        sorted.sort_by(|a, b| utf16(a).cmp(&utf16(b)).then(a.partial_cmp(b).unwrap()));
        sorted
    };
    let n = call
        .parameters
        .iter()
        .find_map(|p| if let Parameter::Integer(n) = p { usize::try_from(*n).ok() } else { None });
    let kept = if call.parameters.contains(&Parameter::Boolean(false)) { &all } else { &some };
    let sum = || match ty.unwrap() {
        SqlType::Integer => f64::from(ints().fold(0_i32, |sum, v| sum.wrapping_add(i32::try_from(v).unwrap()))),
        SqlType::BigInt => ints().fold(0_i64, i64::wrapping_add) as f64,
        _ => doubles(&some).iter().sum(),
    };
    let double = |value: f64| text(&SqlType::Double, &Value::Double(value));
    match call.name.as_str() {
        "COUNT" if call.arguments.is_empty() => rows.len().to_string(),
        "COUNT" => some.len().to_string(),
        "COUNT_DISTINCT" => distinct(&some).len().to_string(),
        "SUM" => match ty.unwrap() {
            SqlType::BigInt => ints().fold(0_i64, i64::wrapping_add).to_string(),
            SqlType::Integer => (sum() as i32).to_string(),
            _ => double(sum()),
        },
        "AVG" => double(if some.is_empty() { 0.0 } else { sum() / some.len() as f64 }),
        "MIN" => one(sorted().first().copied()),
        "MAX" => one(sorted().last().copied()),
        "ATTR" => one(all.first().copied().filter(|_| distinct(&all).len() == 1)),
        "COLLECT_LIST" => list(&all[..all.len().min(call.limit.unwrap_or(usize::MAX))]),
        "COLLECT_SET" => {
            let distinct = distinct(&all);
            list(&distinct.iter().take(call.limit.unwrap_or(usize::MAX)).collect::<Vec<_>>())
        }
        "EARLIEST_BY_OFFSET" => match n {
            Some(n) => list(&kept[..kept.len().min(n)]),
            None => one(kept.first().copied()),
        },
        "LATEST_BY_OFFSET" => match n {
            Some(n) => list(&kept[kept.len().saturating_sub(n)..]),
            None => one(kept.last().copied()),
        },
        "TOPK" | "TOPKDISTINCT" => {
            let mut sorted = sorted();
            sorted.reverse();
            if call.name.as_str() == "TOPKDISTINCT" {
                sorted.dedup();
            }
            list(&sorted[..sorted.len().min(n.unwrap())])
        }
        "HISTOGRAM" => {
            let counted: Vec<String> = distinct(&some)
                .iter()
                .map(|value| {
                    let count = some.iter().filter(|other| **other == value).count();
                    format!("{}: {count}", text(ty.unwrap(), value))
                })
                .collect();
            format!("{{{}}}", counted.join(", "))
        }
        "STDDEV_SAMP" | "STDDEV_SAMPLE" => {
            let values = doubles(&some);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            let variance = if values.len() < 2 { 0.0 } else { squares / (values.len() - 1) as f64 };
            double(if call.name.as_str() == "STDDEV_SAMP" { variance } else { variance.sqrt() })
        }
        "CORRELATION" => {
            let both: Vec<&&Row> = rows.iter().filter(|row| !row.contains(&Value::Null)).collect();
            let column = |i: usize| doubles(&both.iter().map(|row| &row[i]).collect::<Vec<_>>());
            let (x, y, n) = (column(0), column(1), both.len() as f64);
            let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
            let (mx, my) = (mean(&x), mean(&y));
            let of =
                |a: &[f64], ma: f64, b: &[f64], mb: f64| a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f64>();
            let constant = |values: &[f64]| values.iter().all(|value| *value == values[0]);
            let undefined = both.is_empty() || constant(&x) || constant(&y);
            double(if undefined {
                f64::NAN
            } else {
                of(&x, mx, &y, my) / (of(&x, mx, &x, mx) * of(&y, my, &y, my)).sqrt()
            })
        }
        name @ ("BIT_AND" | "BIT_OR" | "BIT_XOR") => {
            let bits = ints().reduce(|a, b| match name {
                "BIT_AND" => a & b,
                "BIT_OR" => a | b,
                _ => a ^ b,
            });
            bits.map_or("null".to_owned(), |bits| bits.to_string())
        }
        "MEDIAN" => {
            let mut values = doubles(&some);
            values.sort_by(f64::total_cmp);
            match values.len() {
                0 => "null".to_owned(),
                n => double((values[(n - 1) / 2] + values[n / 2]) / 2.0),
            }
        }
        name @ ("VAR_POP" | "VAR_SAMP" | "STDDEV_POP") => {
            let (values, n) = (doubles(&some), some.len() as f64);
            let mean = values.iter().sum::<f64>() / n;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            match (name, values.len()) {
                (_, 0) | ("VAR_SAMP", 1) => "null".to_owned(),
                ("VAR_POP", _) => double(squares / n),
                ("VAR_SAMP", _) => double(squares / (n - 1.0)),
                _ => double((squares / n).sqrt()),
            }
        }
        name @ ("COVAR_POP" | "REGR_COUNT") => {
            let both: Vec<&&Row> = rows.iter().filter(|row| !row.contains(&Value::Null)).collect();
            let column = |i: usize| doubles(&both.iter().map(|row| &row[i]).collect::<Vec<_>>());
            let (y, x, n) = (column(0), column(1), both.len() as f64);
            let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
            let (my, mx) = (mean(&y), mean(&x));
            match (name, both.len()) {
                ("REGR_COUNT", n) => n.to_string(),
                (_, 0) => "null".to_owned(),
                _ => double(y.iter().zip(&x).map(|(y, x)| (y - my) * (x - mx)).sum::<f64>() / n),
            }
        }
        other => unreachable!("no oracle for {other}"),
    }
}

fn same(found: &str, expected: &str) -> bool {
    if found == expected {
        return true;
    }
    match (found.parse::<f64>(), expected.parse::<f64>()) {
        (Ok(found), Ok(expected)) if found.is_finite() => (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
        _ => false,
    }
}

fn run(call: &AggregateFunction, retracting: bool, wide: bool, seed: u64) {
    let rng = &mut fastrand::Rng::with_seed(seed);
    let mut state = call.state(retracting);
    state.resize(GROUPS as usize);
    let mut groups: Vec<Vec<Row>> = vec![vec![]; GROUPS as usize];
    for step in 0..12 {
        let place = format!("{} {:?} distinct {} seed {seed} step {step}", call.name, call.arguments, call.distinct);
        match rng.u8(..8) {
            0 => {
                let (into, from) = (rng.u32(..GROUPS), rng.u32(..GROUPS));
                state.merge(into, from).unwrap();
                if into != from {
                    let mut rows = std::mem::take(&mut groups[from as usize]);
                    rows.append(&mut groups[into as usize]);
                    groups[into as usize] = rows;
                }
            }
            1 => {
                let group = rng.u32(..GROUPS);
                state.clear(group);
                groups[group as usize].clear();
            }
            2 => {
                let mut restored = call.state(retracting);
                restored.resize(GROUPS as usize);
                for group in 0..GROUPS {
                    let mut bytes = vec![];
                    state.save(group, &mut bytes);
                    bytes.push(7);
                    let mut left = bytes.as_slice();
                    restored.load(group, &mut left).unwrap();
                    assert_eq!(left, [7], "{place}");
                }
                state = restored;
            }
            _ => batch(call, &mut *state, &mut groups, retracting, wide, rng, &place),
        }
        let order: Vec<u32> = (0..GROUPS).rev().collect();
        let results = state.output(&order);
        for (row, group) in order.iter().enumerate() {
            let expected = slow(call, &groups[*group as usize]);
            let found = shown(&results, row);
            assert!(same(&found, &expected), "{place}: found {found}, expected {expected}");
        }
    }
    assert!(state.size_bytes() < 1 << 20);
}

fn batch(
    call: &AggregateFunction,
    state: &mut dyn IncrementalAggregate,
    groups: &mut [Vec<Row>],
    retracting: bool,
    wide: bool,
    rng: &mut fastrand::Rng,
    place: &str,
) {
    let (mut of, mut rows, mut retracted, mut counted, mut expected) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..rng.usize(..20) {
        let group = rng.usize(..groups.len());
        let held = &mut groups[group];
        let takes = retracting && !held.is_empty() && rng.u8(..3) == 0;
        let row: Row = if takes {
            held[rng.usize(..held.len())].clone()
        } else {
            call.arguments.iter().map(|ty| value(ty, rng, wide)).collect()
        };
        let counts = rng.u8(..10) > 0;
        if counts && takes {
            let last = held.iter().rposition(|other| *other == row).unwrap();
            held.remove(last);
        } else if counts {
            held.push(row.clone());
        }
        expected.push(slow(call, held));
        of.push(u32::try_from(group).unwrap());
        rows.push(row);
        retracted.push(takes);
        counted.push(counts);
    }
    let columns: Vec<ArrayRef> = call
        .arguments
        .iter()
        .enumerate()
        .map(|(i, ty)| array(ty, &rows.iter().map(|row| &row[i]).collect::<Vec<_>>()))
        .collect();
    let (retracted, counted) = (BooleanArray::from(retracted), BooleanArray::from(counted));
    let batch = AggregateRows {
        groups: &of,
        arguments: &columns,
        retracted: retracting.then_some(retracted.values()),
        counted: Some(counted.values()),
    };
    if rng.bool() {
        return state.update(&batch).unwrap();
    }
    let results = state.update_each(&batch).unwrap();
    assert_eq!(results.len(), of.len(), "{place}");
    assert_eq!(*results.data_type(), call.result.arrow(), "{place}");
    for (row, expected) in expected.iter().enumerate() {
        let found = shown(&results, row);
        assert!(same(&found, expected), "{place} row {row}: found {found}, expected {expected}");
    }
}

#[test]
fn every_aggregate_equals_a_recomputation_from_its_rows() {
    use SqlType::{BigInt, Double, Integer, String};
    let functions = FunctionRegistry::builtin();
    let mut calls = vec![];
    let mut add = |name: &str, arguments: &[SqlType], parameters: &[Parameter], wide: bool| {
        let arguments: Vec<Option<SqlType>> = arguments.iter().cloned().map(Some).collect();
        for distinct in [false, true] {
            if distinct && (arguments.is_empty() || arguments.len() > 1) {
                continue;
            }
            let call = AggregateFunction::resolve(&Name::new(name), &arguments, parameters, distinct, &functions);
            calls.push((call.unwrap(), wide));
        }
    };
    add("COUNT", &[], &[], true);
    for ty in [Integer, BigInt, Double, String] {
        let (of_numbers, ty) = (ty != String, std::slice::from_ref(&ty));
        for name in ["COUNT", "MIN", "MAX", "ATTR", "COLLECT_LIST", "COLLECT_SET", "COUNT_DISTINCT"] {
            add(name, ty, &[], true);
        }
        for name in ["EARLIEST_BY_OFFSET", "LATEST_BY_OFFSET"] {
            add(name, ty, &[], true);
            add(name, ty, &[Parameter::Boolean(false)], true);
            add(name, ty, &[Parameter::Integer(3)], true);
            add(name, ty, &[Parameter::Integer(3), Parameter::Boolean(false)], true);
        }
        add("TOPK", ty, &[Parameter::Integer(3)], true);
        add("TOPKDISTINCT", ty, &[Parameter::Integer(3)], true);
        if of_numbers {
            add("SUM", ty, &[], true);
            add("AVG", ty, &[], true);
            add("STDDEV_SAMPLE", ty, &[], false);
            add("CORRELATION", &[ty[0].clone(), ty[0].clone()], &[], false);
        }
    }
    add("HISTOGRAM", &[String], &[], true);
    add("STDDEV_SAMP", &[Double], &[], false);
    for ty in [Integer, BigInt] {
        for name in ["BIT_AND", "BIT_OR", "BIT_XOR"] {
            add(name, std::slice::from_ref(&ty), &[], true);
        }
        for name in ["MEDIAN", "VAR_POP", "VAR_SAMP", "STDDEV_POP"] {
            add(name, std::slice::from_ref(&ty), &[], false);
        }
        for name in ["COVAR_POP", "REGR_COUNT"] {
            add(name, &[ty.clone(), ty.clone()], &[], false);
        }
    }
    for name in ["COLLECT_LIST", "COLLECT_SET"] {
        // A list with a limit forgets what came later, so that nothing is taken back from it here.
        let call = AggregateFunction::resolve(&Name::new(name), &[Some(Integer)], &[], false, &functions).unwrap();
        let retracts = name == "COLLECT_SET";
        calls.push((AggregateFunction { limit: Some(2), retracts, ..call }, true));
    }
    for seed in 0..seeds() {
        // Each seed tries some of the calls, so that a run is short.
        for (call, wide) in calls.iter().skip(usize::try_from(seed % 16).unwrap()).step_by(16) {
            run(call, false, *wide, seed);
            if call.retracts {
                run(call, true, *wide, seed);
            }
        }
    }
}
