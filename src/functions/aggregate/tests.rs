//! Aggregates by examples: what a call gives after each row.

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, new_null_array};
use datafusion::arrow::util::display::array_value_to_string;

use super::{AggregateFunction, AggregateRows, Parameter};
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

fn shown(array: &ArrayRef, row: usize) -> String {
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
