//! Random values against slow oracles that compute row by row.

mod arithmetic;
mod casts;
mod comparisons;
mod logic;
mod patterns;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Int32Type, Int64Type};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};

use super::{registry, schema};
use crate::expressions::{ErrorSink, EvaluationContext, Projection, text};
use crate::sql::parse_expression;
use crate::types::SqlType;

/// The expression over the columns, and the rows that reported a failure.
fn run(expression: &str, columns: &str, arrays: Vec<ArrayRef>) -> (ArrayRef, Vec<usize>) {
    let schema = schema(columns);
    let expr = parse_expression(expression).expect(expression);
    let projection = Projection::compile(&[("X".to_owned(), expr)], &schema, registry());
    let batch = RecordBatch::try_new(schema.arrow(), arrays).expect("columns of the schema");
    let mut errors = ErrorSink::default();
    let results = projection.expect(expression).evaluate(&batch, &EvaluationContext::default(), &mut errors);
    let mut rows: Vec<usize> = errors.errors.iter().map(|error| error.row).collect();
    rows.sort_unstable();
    rows.dedup();
    (Arc::clone(&results[0]), rows)
}

/// Numbers that often are zero, equal, or at the ends.
fn numbers() -> impl Strategy<Value = Vec<(Option<i32>, Option<i32>)>> {
    let number = || option::of(prop_oneof![any::<i32>(), -3..3_i32, proptest::prelude::Just(i32::MIN)]);
    vec((number(), number()), 0..40)
}

fn ints(values: &[Option<i32>]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

proptest! {
    #[test]
    fn integer_arithmetic_is_javas(rows in numbers()) {
        let (left, right): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
        type Oracle = fn(i32, i32) -> Option<i32>;
        let operators: [(&str, Oracle); 5] = [
            ("a + b", |a, b| Some(a.wrapping_add(b))),
            ("a - b", |a, b| Some(a.wrapping_sub(b))),
            ("a * b", |a, b| Some(a.wrapping_mul(b))),
            ("a / b", |a, b| (b != 0).then(|| a.wrapping_div(b))),
            ("a % b", |a, b| (b != 0).then(|| a.wrapping_rem(b))),
        ];
        for (expression, oracle) in operators {
            let expected: Vec<Option<i32>> =
                rows.iter().map(|(a, b)| a.zip(*b).and_then(|(a, b)| oracle(a, b))).collect();
            let (array, failed) = run(expression, "a INT, b INT", vec![ints(&left), ints(&right)]);
            assert_eq!(array.as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), expected, "{expression}");
            let nulls: Vec<usize> = (0..rows.len()).filter(|row| expected[*row].is_none()).collect();
            assert_eq!(failed, nulls, "every NULL of arithmetic is reported");
        }
    }

    #[test]
    fn comparisons_are_two_valued(rows in numbers()) {
        let (left, right): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
        type Oracle = Box<dyn Fn(Option<i32>, Option<i32>) -> bool>;
        let both = |f: fn(i32, i32) -> bool| move |a: Option<i32>, b: Option<i32>| a.zip(b).is_some_and(|(a, b)| f(a, b));
        let operators: [(&str, Oracle); 5] = [
            ("a = b", Box::new(both(|a, b| a == b))),
            ("a <> b", Box::new(both(|a, b| a != b))),
            ("a < b", Box::new(both(|a, b| a < b))),
            ("NOT (a >= b)", Box::new(move |a, b| !both(|a, b| a >= b)(a, b))),
            ("a IS DISTINCT FROM b", Box::new(|a, b| a != b)),
        ];
        for (expression, oracle) in operators {
            let expected: Vec<Option<bool>> = rows.iter().map(|(a, b)| Some(oracle(*a, *b))).collect();
            for columns in ["a INT, b INT", "a INT, b DECIMAL(10, 0)", "a INT, b BIGINT"] {
                let right: ArrayRef = match columns {
                    "a INT, b INT" => ints(&right),
                    "a INT, b BIGINT" => Arc::new(right.iter().map(|b| b.map(i64::from)).collect::<Int64Array>()),
                    _ => run("CAST(b AS DECIMAL(10, 0))", "b INT", vec![ints(&right)]).0,
                };
                let (array, failed) = run(expression, columns, vec![ints(&left), right]);
                assert_eq!(array.as_boolean().iter().collect::<Vec<_>>(), expected, "{expression} of {columns}");
                assert_eq!(failed, Vec::<usize>::new());
            }
        }
    }

    #[test]
    fn decimal_sums_and_products_are_exact(rows in vec((-99_999_i64..100_000, -9_999_i64..10_000), 0..40)) {
        let (left, right): (Vec<i64>, Vec<i64>) = rows.iter().copied().unzip();
        let column = |values: Vec<i64>, ty: &str, unit: i64| {
            let cast = format!("CAST(CAST(v AS {ty}) / {unit} AS {ty})");
            run(&cast, "v BIGINT", vec![Arc::new(Int64Array::from(values))]).0
        };
        let columns = "a DECIMAL(7, 2), b DECIMAL(5, 1)";
        let arrays = vec![column(left, "DECIMAL(7, 2)", 100), column(right, "DECIMAL(5, 1)", 10)];
        let (sums, _) = run("a + b", columns, arrays.clone());
        let (products, _) = run("a * b", columns, arrays);
        let print = |array: &ArrayRef| {
            let ty = SqlType::from_arrow(array.data_type()).expect("a SQL type");
            text::of_array(array, &ty).iter().map(|t| t.expect("not null").replace('.', "")).collect::<Vec<_>>()
        };
        for ((sum, product), (a, b)) in print(&sums).iter().zip(print(&products)).zip(rows) {
            assert_eq!(sum.parse::<i64>().expect("digits"), a + b * 10);
            assert_eq!(product.parse::<i64>().expect("digits"), a * b);
        }
    }

    #[test]
    fn texts_of_numbers_read_back(longs in vec(option::of(any::<i64>()), 0..40), doubles in vec(option::of(any::<f64>()), 0..40)) {
        let array: ArrayRef = Arc::new(Int64Array::from(longs.clone()));
        let (back, _) = run("CAST(CAST(v AS STRING) AS BIGINT)", "v BIGINT", vec![array]);
        assert_eq!(back.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), longs);
        let array: ArrayRef = Arc::new(Float64Array::from(doubles.clone()));
        let (back, _) = run("CAST(CAST(v AS STRING) AS DOUBLE)", "v DOUBLE", vec![array]);
        let finite: Vec<Option<f64>> = doubles.into_iter().map(|v| v.filter(|v| v.is_finite())).collect();
        assert_eq!(back.as_any().downcast_ref::<Float64Array>().expect("doubles").iter().collect::<Vec<_>>(), finite);
    }

    #[test]
    fn any_text_casts_to_anything_without_panic(texts in vec(option::of(".{0,12}"), 0..20)) {
        let array: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        for ty in ["INT", "BIGINT", "DOUBLE", "DECIMAL(6, 2)", "BOOLEAN", "TIMESTAMP", "DATE", "TIME", "BYTES"] {
            let (result, failed) = run(&format!("CAST(s AS {ty})"), "s STRING", vec![Arc::clone(&array)]);
            let lost: Vec<usize> = (0..texts.len()).filter(|row| texts[*row].is_some() && result.is_null(*row)).collect();
            assert_eq!(failed, lost, "{ty}");
        }
    }

    #[test]
    fn any_text_goes_through_the_text_functions_without_panic(
        rows in vec((option::of(".{0,8}"), option::of(".{0,3}"), option::of(-9..9_i32)), 0..20),
    ) {
        let texts: ArrayRef = Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>());
        let others: ArrayRef = Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>());
        let numbers = ints(&rows.iter().map(|row| row.2).collect::<Vec<_>>());
        for expression in [
            "SUBSTRING(s, n)", "SUBSTRING(s, n, n)", "INSTR(s, t, n, n)", "LPAD(s, n, t)", "SPLIT(s, t)", "INITCAP(s)",
            "MASK_LEFT(s, n)", "REGEXP_REPLACE(s, t, t)", "REGEXP_SPLIT_TO_ARRAY(s, t)", "EXTRACTJSONFIELD(s, t)",
            "JSON_ITEMS(s)", "PARSE_TIMESTAMP(s, t)", "PARSE_DATE(s, t)", "FORMAT_DATE(FROM_DAYS(n), s)",
            "URL_EXTRACT_HOST(s)", "URL_EXTRACT_PORT(s)", "URL_DECODE_PARAM(s)", "TO_BYTES(s, 'hex')", "CHR(s)",
            "ENCODE(s, 'base64', 'utf8')", "SPLIT_TO_MAP(s, t, '=')", "s LIKE t", "TO_JSON_STRING(s)", "GENERATE_SERIES(n, n, n)",
        ] {
            let arrays = vec![Arc::clone(&texts), Arc::clone(&others), Arc::clone(&numbers)];
            let (array, _) = run(expression, "s STRING, t STRING, n INT", arrays);
            array.to_data().validate_full().expect(expression);
        }
    }
}
