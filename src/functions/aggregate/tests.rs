//! Aggregates by examples: what a call gives after each row.

mod oracle;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, new_null_array};
use datafusion::arrow::util::display::array_value_to_string;

use super::{AggregateFunction, AggregateRows, Fraction, Parameter};
use crate::diagnostics::Diagnostic;
use crate::functions::FunctionRegistry;
use crate::types::{Name, SqlType};

fn resolve(name: &str, arguments: &[SqlType], parameters: &[Parameter]) -> Result<AggregateFunction, Diagnostic> {
    let arguments: Vec<Option<SqlType>> = arguments.iter().cloned().map(Some).collect();
    AggregateFunction::resolve(&Name::new(name), &arguments, parameters, false, &FunctionRegistry::builtin())
}

/// The column of values written as `CAST` reads them, apart by blanks; `_` is NULL.
fn column(ty: &SqlType, texts: &[&str]) -> ArrayRef {
    use datafusion::arrow::array::StringArray;
    use datafusion::arrow::compute::cast;
    let texts = StringArray::from_iter(texts.iter().map(|text| (*text != "_").then_some(*text)));
    cast(&texts, &ty.arrow()).unwrap_or_else(|_| new_null_array(&ty.arrow(), texts.len()))
}

pub(super) fn shown(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) { "null".to_owned() } else { array_value_to_string(array, row).unwrap() }
}

/// The result after each value; `-v` behind a blank and a `~` takes `v` back.
fn each(call: &AggregateFunction, retracting: bool, values: &str) -> String {
    let parts: Vec<&str> = values.split_whitespace().collect();
    let retracted: BooleanArray = parts.iter().map(|part| Some(part.starts_with('~'))).collect();
    let texts: Vec<&str> = parts.iter().map(|part| part.trim_start_matches('~')).collect();
    let mut state = call.state(retracting);
    state.resize(1);
    let groups = vec![0; texts.len()];
    let arguments = [column(&call.arguments[0], &texts)];
    let rows = AggregateRows {
        groups: &groups,
        arguments: &arguments,
        retracted: retracting.then_some(retracted.values()),
        counted: None,
    };
    match state.update_each(&rows) {
        Ok(results) => {
            assert!(results.data_type() == &call.result.arrow(), "{:?} {}", call.name, results.data_type());
            (0..results.len()).map(|row| shown(&results, row)).collect::<Vec<_>>().join(" ")
        }
        Err(error) => format!("row {}: {}", error.row, error.message),
    }
}

fn check(call: &str, ty: &SqlType, values: &str, expected: &str) {
    let retracting = values.contains('~');
    let (name, parameters) = call.split_once(' ').unwrap_or((call, ""));
    let parameters: Vec<Parameter> = parameters
        .split_whitespace()
        .map(|text| match text {
            "true" => Parameter::Boolean(true),
            "false" => Parameter::Boolean(false),
            number if number.contains('.') => Parameter::Fraction(Fraction(number.parse().unwrap())),
            number => Parameter::Integer(number.parse().unwrap()),
        })
        .collect();
    let call = resolve(name, std::slice::from_ref(ty), &parameters).unwrap();
    assert_eq!(each(&call, retracting, values), expected, "{name} {values}");
}

#[test]
fn counts_and_sums() {
    check("COUNT", &SqlType::Integer, "7 _ 7", "1 1 2");
    check("SUM", &SqlType::Integer, "_ 2147483647 1", "0 2147483647 -2147483648");
    check(
        "SUM",
        &SqlType::BigInt,
        "9223372036854775807 1 ~1",
        "9223372036854775807 -9223372036854775808 9223372036854775807",
    );
    check("SUM", &SqlType::Double, "1.5 _ 2", "1.5 1.5 3.5");
    check("AVG", &SqlType::Integer, "_ 1 2 ~1", "0.0 1.0 1.5 2.0");
    check("AVG", &SqlType::Integer, "2147483647 1", "2147483647.0 -1073741824.0");
}

#[test]
fn a_decimal_sum_that_is_too_long_fails_with_its_row() {
    let ty = SqlType::Decimal { precision: 3, scale: 1 };
    check("SUM", &ty, "99.8 0.1", "99.8 99.9");
    let message = "Numeric field overflow: A field with precision 3 and scale 1 must round to an absolute value less \
                   than 10^2. Got ";
    check("SUM", &ty, "99.8 0.1 0.1", &format!("row 2: {message}100.0"));
    check("SUM", &ty, "-99.9 ~0.1", &format!("row 1: {message}-100.0"));
}

#[test]
fn extremes_of_streams_and_tables() {
    check("MIN", &SqlType::Integer, "_ 3 1 2", "null 3 1 1");
    check("MAX", &SqlType::Integer, "_ 3 1 4 ~4 ~3 ~1", "null 3 3 4 3 1 null");
    check("MAX", &SqlType::Integer, "5 5 ~5 ~5", "5 5 5 null");
    check("MIN", &SqlType::Double, "0.0 -0.0 NaN", "0.0 -0.0 -0.0");
    check("MAX", &SqlType::Double, "1 NaN inf", "1.0 NaN NaN");
    // U+1F600 is a surrogate pair in UTF-16 and so comes before U+FF61.
    check("MAX", &SqlType::String, "a \u{1f600} \u{ff61} b", "a \u{1f600} \u{ff61} \u{ff61}");
    check("MIN", &SqlType::Date, "2020-01-02 1960-01-01", "2020-01-02 1960-01-01");
    check("MAX", &SqlType::Decimal { precision: 4, scale: 2 }, "1.25 -3 10.5", "1.25 1.25 10.50");
}

#[test]
fn values_by_when_they_came() {
    check("LATEST_BY_OFFSET", &SqlType::Integer, "_ 1 _ 2", "null 1 1 2");
    check("LATEST_BY_OFFSET false", &SqlType::Integer, "1 _ 2", "1 null 2");
    check("LATEST_BY_OFFSET 2", &SqlType::String, "a _ b c", "[a] [a] [a, b] [b, c]");
    check("EARLIEST_BY_OFFSET", &SqlType::Integer, "_ 1 2", "null 1 1");
    check("EARLIEST_BY_OFFSET false", &SqlType::Integer, "_ 1", "null null");
    check("EARLIEST_BY_OFFSET 2", &SqlType::Integer, "_ 1 2 3", "[] [1] [1, 2] [1, 2]");
    check("LATEST_BY_OFFSET", &SqlType::Boolean, "true false", "true false");
}

#[test]
fn collections() {
    check("COLLECT_LIST", &SqlType::Integer, "1 _ 1 ~1 ~5", "[1] [1, ] [1, , 1] [1, ] [1, ]");
    check("COLLECT_SET", &SqlType::Integer, "2 1 _ 2 _", "[2] [2, 1] [2, 1, ] [2, 1, ] [2, 1, ]");
    let counts = "{b: 1} {b: 1, a: 1} {b: 2, a: 1} {b: 2, a: 1} {b: 1, a: 1} {a: 1}";
    check("HISTOGRAM", &SqlType::String, "b a b _ ~b ~b", counts);
    check("ATTR", &SqlType::Integer, "1 1 2 ~2 _", "1 1 null 1 null");
    check("COUNT_DISTINCT", &SqlType::String, "a _ b a", "1 1 2 2");
}

#[test]
fn tops() {
    check("TOPK 2", &SqlType::Integer, "1 3 3 _ 2 4", "[1] [3, 1] [3, 3] [3, 3] [3, 3] [4, 3]");
    check("TOPK 2", &SqlType::Integer, "1 3 2 ~3 ~1", "[1] [3, 1] [3, 2] [2, 1] [2]");
    let days = "[2020-01-01] [2020-01-01] [2020-01-01, 2019-01-01]";
    check("TOPKDISTINCT 2", &SqlType::Date, "2020-01-01 2020-01-01 2019-01-01", days);
}

#[test]
fn a_top_with_columns_beside_the_value_is_of_structs() {
    let functions = FunctionRegistry::builtin();
    let (name, types) = (Name::new("TOPK"), [SqlType::Integer, SqlType::String, SqlType::Boolean].map(Some));
    let call = AggregateFunction::resolve(&name, &types, &[Parameter::Integer(2)], false, &functions).unwrap();
    assert_eq!(call.result.to_string(), "ARRAY<STRUCT<`sort_col` INTEGER, `col0` STRING, `col1` BOOLEAN>>");
    // Ties stand in the order they came; over tables in that of the columns beside them, the largest first.
    for retracting in [false, true] {
        let mut state = call.state(retracting);
        state.resize(1);
        let arguments = [
            column(&SqlType::Integer, &["1", "3", "_", "3", "2"]),
            column(&SqlType::String, &["a", "b", "c", "_", "e"]),
            column(&SqlType::Boolean, &["true", "true", "true", "false", "_"]),
        ];
        state.update(&rows(&[0; 5], &arguments)).unwrap();
        let mut bytes = vec![];
        state.save(0, &mut bytes);
        state.load(0, &mut bytes.as_slice()).unwrap();
        let found = state.output(&[0]);
        assert_eq!(*found.data_type(), call.result.arrow());
        let expected = "[{sort_col: 3, col0: b, col1: true}, {sort_col: 3, col0: , col1: false}]";
        assert_eq!(shown(&found, 0), expected);
    }
}

#[test]
fn deviations() {
    let expected = "0.0 1.4142135623730951 1.4142135623730951 2.0 1.4142135623730951";
    check("STDDEV_SAMPLE", &SqlType::Integer, "2 4 _ 6 ~6", expected);
    check("STDDEV_SAMP", &SqlType::Double, "2 4 6", "0.0 2.0 4.0");
}

#[test]
fn many_distinct_values_are_counted_about() {
    let call = resolve("COUNT_DISTINCT", &[SqlType::BigInt], &[]).unwrap();
    let mut state = call.state(false);
    state.resize(2);
    for n in [1_000_i64, 30_000, 200_000] {
        let values: ArrayRef = Arc::new((0..n).collect::<Int64Array>());
        let groups = vec![0; values.len()];
        state.update(&rows(&groups, &[values])).unwrap();
        let mut bytes = vec![];
        state.save(0, &mut bytes);
        state.load(1, &mut bytes.as_slice()).unwrap();
        let found: i64 = shown(&state.output(&[1]), 0).parse().unwrap();
        assert!((found - n).abs() * 50 < n, "{found} of {n}");
    }
}

#[test]
fn saved_states_never_change() {
    let saved = |call: &str, ty: SqlType, retracting: bool, values: &[&str]| {
        let (name, k) = call.split_once(' ').unwrap_or((call, ""));
        let parameters: Vec<Parameter> = k.parse().map(Parameter::Integer).into_iter().collect();
        let call = resolve(name, std::slice::from_ref(&ty), &parameters).unwrap();
        let mut state = call.state(retracting);
        state.resize(1);
        state.update(&rows(&vec![0; values.len()], &[column(&ty, values)])).unwrap();
        let mut bytes = vec![];
        state.save(0, &mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let decimal = SqlType::Decimal { precision: 4, scale: 2 };
    let checks: &[(&str, SqlType, bool, &[&str], &str)] = &[
        ("COUNT", SqlType::Integer, false, &["1", "2"], "0000000000000002"),
        ("SUM", SqlType::Integer, false, &["1", "2"], "00000003"),
        ("SUM", decimal, false, &["1.5"], "00000000000000000000000000000096"),
        ("AVG", SqlType::BigInt, false, &["1", "2"], "00000000000000030000000000000002"),
        ("MIN", SqlType::Double, false, &["1.5"], "013ff8000000000000"),
        ("MAX", SqlType::String, false, &["_"], "00"),
        ("MAX", SqlType::String, false, &["a\u{ff61}"], "010000000461f4bda1"),
        ("MAX", SqlType::Integer, true, &["1", "1"], "00000001000000010000000000000002"),
        ("LATEST_BY_OFFSET", SqlType::Integer, false, &["7"], "0200000007"),
        ("LATEST_BY_OFFSET", SqlType::Boolean, false, &["true"], "02000000020101"),
        ("LATEST_BY_OFFSET 2", SqlType::Integer, false, &["7"], "000000010180000007"),
        ("COLLECT_LIST", SqlType::Integer, false, &["7", "_"], "00000002018000000700"),
        ("COLLECT_SET", SqlType::Integer, false, &["7", "7"], "0000000100000000000000010180000007"),
        ("ATTR", SqlType::Integer, false, &["7", "7"], "0000000100000000000000020180000007"),
        ("HISTOGRAM", SqlType::String, false, &["a"], "00000001000000000000000101610001"),
        ("TOPK 2", SqlType::Integer, false, &["1", "2"], "000000020000000200000001"),
        ("TOPK 2", SqlType::Integer, true, &["1"], "00000001000000010000000000000001"),
        ("STDDEV_SAMPLE", SqlType::Integer, false, &["1"], "0000000100000000000000010000000000000000"),
        ("COUNT_DISTINCT", SqlType::BigInt, true, &["1"], "000000010000000000000001018000000000000001"),
        // The hash of a value is part of the state.
        ("COUNT_DISTINCT", SqlType::String, false, &["abc"], "00000000013b1201"),
    ];
    for (call, ty, retracting, values, expected) in checks {
        assert_eq!(saved(call, ty.clone(), *retracting, values), *expected, "{call} {ty}");
    }
}

/// Rows that are all added.
fn rows<'a>(groups: &'a [u32], arguments: &'a [ArrayRef]) -> AggregateRows<'a> {
    AggregateRows { groups, arguments, retracted: None, counted: None }
}

#[test]
fn extensions_give_null_of_nothing_and_save_themselves() {
    check("BOOL_AND", &SqlType::Boolean, "_ true false ~false", "null true false true");
    check("MEDIAN", &SqlType::Integer, "_ 3 1 2 ~3 ~1 ~2", "null 3.0 2.0 2.0 1.5 2.0 null");
    check("APPROX_MEDIAN", &SqlType::Double, "_ 1 3 2", "null 1.0 2.0 2.0");
    let functions = FunctionRegistry::builtin();
    for function in functions.iter().filter(|function| super::extensions::has(function.name())) {
        let ty = |text: &str| match text {
            "BOOLEAN" => SqlType::Boolean,
            "STRING" => SqlType::String,
            _ => SqlType::Integer,
        };
        let mut arguments: Vec<SqlType> =
            function.overloads()[0].params().iter().map(|param| ty(&param.ty.to_string())).collect();
        let name = Name::new(function.name());
        let columns = AggregateFunction::columns(&name, arguments.len());
        let constant = match AggregateFunction::takes_percentile(&name) {
            true => Parameter::Fraction(Fraction(0.25)),
            false => Parameter::Integer(2),
        };
        let parameters: Vec<Parameter> = arguments.drain(columns..).map(|_| constant).collect();
        let call = resolve(function.name(), &arguments, &parameters).unwrap();
        let by_arrival = ["ANY_VALUE", "FIRST_VALUE", "LAST_VALUE", "NTH_VALUE"].contains(&function.name());
        assert!(call.is_extension && call.retracts != by_arrival && !call.retracts_in_ksqldb);
        let texts: &[&str] = if arguments[0] == SqlType::Boolean { &["true", "_"] } else { &["1", "2", "4"] };
        let columns: Vec<ArrayRef> = arguments.iter().map(|ty| column(ty, texts)).collect();
        let mut state = call.state(false);
        state.resize(3);
        state.update(&rows(&vec![0; texts.len()], &columns)).unwrap();
        let mut bytes = vec![];
        state.save(0, &mut bytes);
        state.load(1, &mut bytes.as_slice()).unwrap();
        state.merge(2, 1).unwrap();
        let results = state.output(&[0, 2]);
        assert_eq!(shown(&results, 0), shown(&results, 1), "{}", function.name());
    }
}

#[test]
fn percentiles_and_values_by_their_place() {
    check("PERCENTILE_CONT 0.5", &SqlType::Integer, "_ 3 1 2 ~3", "null 3.0 2.0 2.0 1.5");
    check("QUANTILE_CONT 0.25", &SqlType::Double, "0 4 ~0", "0.0 1.0 4.0");
    check("APPROX_PERCENTILE_CONT 0.5", &SqlType::Double, "1 3 2", "1.0 2.0 2.0");
    check("APPROX_PERCENTILE_CONT 0.5 200", &SqlType::Double, "1 3 2", "1.0 2.0 2.0");
    check("NTH_VALUE 2", &SqlType::Integer, "7 _ 8", "null null null");
    check("NTH_VALUE 2", &SqlType::String, "a b c", "null b b");
    check("FIRST_VALUE", &SqlType::Integer, "_ 1", "null null");
    check("LAST_VALUE", &SqlType::Integer, "1 _", "1 null");
    check("ANY_VALUE", &SqlType::Integer, "_ 1 2", "null 1 1");
    check("ARRAY_AGG", &SqlType::Integer, "1 _ ~1", "[1] [1, ] []");
    check("APPROX_DISTINCT", &SqlType::Integer, "1 1 2 _", "1 1 2 2");
    check("APPROX_COUNT_DISTINCT", &SqlType::Integer, "1 1 ~1 ~1", "1 1 1 0");
    check("MEAN", &SqlType::Integer, "_ 1 2", "null 1.0 1.5");
    check("VAR", &SqlType::Integer, "1 3", "null 2.0");
    let error = |p: f64| resolve("PERCENTILE_CONT", &[SqlType::Double], &[Parameter::Fraction(Fraction(p))]);
    assert!(error(1.5).unwrap_err().to_string().contains("takes a percentile from 0 to 1, not 1.5"));
    assert!(error(f64::NAN).is_err() && error(1.0).is_ok());
    let written = serde_json::to_string(&Parameter::Fraction(Fraction(0.1))).unwrap();
    assert_eq!(written, "\"0.1\"");
    assert_eq!(serde_json::from_str::<Parameter>(&written).unwrap(), Parameter::Fraction(Fraction(0.1)));
    assert_eq!(serde_json::from_str::<Parameter>("3").unwrap(), Parameter::Integer(3));
}

#[test]
fn texts_are_joined_by_their_delimiters() {
    let call = resolve("STRING_AGG", &[SqlType::String, SqlType::String], &[]).unwrap();
    let mut state = call.state(true);
    state.resize(1);
    let arguments =
        [column(&SqlType::String, &["a", "_", "b", "c", "b"]), column(&SqlType::String, &["x", "x", "-", "_", "-"])];
    let retracted: BooleanArray = [false, false, false, false, true].into_iter().map(Some).collect();
    let rows = AggregateRows { retracted: Some(retracted.values()), ..rows(&[0; 5], &arguments) };
    let results = state.update_each(&rows).unwrap();
    let results: Vec<String> = (0..5).map(|row| shown(&results, row)).collect();
    assert_eq!(results, ["a", "a", "a-b", "a-bc", "ac"]);
}

#[test]
fn equal_maps_are_one_value_whatever_their_order() {
    use datafusion::arrow::array::{Int32Builder, MapBuilder, MapFieldNames, StringBuilder};
    let ty = SqlType::Map(Box::new(SqlType::String), Box::new(SqlType::Integer));
    let names = MapFieldNames { entry: "entries".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), Int32Builder::new());
    for keys in [["a", "b"], ["b", "a"], ["a", "c"]] {
        for key in keys {
            maps.keys().append_value(key);
            maps.values().append_value(i32::from(key.as_bytes()[0]));
        }
        maps.append(true).unwrap();
    }
    let columns: [ArrayRef; 1] = [Arc::new(maps.finish())];
    for (name, expected) in [("COLLECT_SET", "[{a: 97, b: 98}, {a: 97, c: 99}]"), ("COUNT_DISTINCT", "2")] {
        let mut state = resolve(name, std::slice::from_ref(&ty), &[]).unwrap().state(false);
        state.resize(1);
        state.update(&rows(&[0; 3], &columns)).unwrap();
        assert_eq!(shown(&state.output(&[0]), 0), expected);
    }
}

#[test]
fn what_cannot_be_called_says_why() {
    let error = |name: &str, arguments: &[SqlType], parameters: &[Parameter]| {
        resolve(name, arguments, parameters).unwrap_err().to_string()
    };
    let ty = SqlType::Decimal { precision: 4, scale: 2 };
    assert!(error("AVG", &[ty], &[]).contains("does not accept parameters (DECIMAL(4, 2))"));
    assert!(error("SUM", &[SqlType::String], &[]).contains("SUM(DECIMAL value)"));
    assert!(error("ABS", &[SqlType::Integer], &[]).contains("function ABS is not an aggregate function"));
    let none = error("LATEST_BY_OFFSET", &[SqlType::Integer], &[Parameter::Integer(0)]);
    assert!(none.contains("cannot keep 0 values"), "{none}");
}
