//! Expressions from text to text.
//!
//! `check("a + 1", "a INT", "1; NULL", "2; null!")`: an expression, the columns, the rows as SQL values, and what comes
//! out; `!` marks a row for which an error was reported.

pub(crate) mod oracle;
mod properties;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{concat, concat_batches};
use datafusion::arrow::datatypes::SchemaRef;

use super::{
    EdgeColumn, EdgeSchema, ErrorSink, EvaluationContext, Predicate, Projection, evaluate_constant, text, type_of,
};
use crate::functions::FunctionRegistry;
use crate::sql::ast::ExprKind;
use crate::sql::parse_expression;
use crate::types::{Name, SqlType};

/// The functions, made once.
fn registry() -> &'static FunctionRegistry {
    static REGISTRY: LazyLock<FunctionRegistry> = LazyLock::new(FunctionRegistry::builtin);
    &REGISTRY
}

/// `a INT, b ARRAY<INT>` as a schema.
fn schema(columns: &str) -> EdgeSchema {
    let mut parsed = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in columns.char_indices().chain([(columns.len(), ',')]) {
        match c {
            '<' | '(' => depth += 1,
            '>' | ')' => depth -= 1,
            ',' if depth == 0 && !columns[start..at].trim().is_empty() => {
                let (name, ty) = columns[start..at].trim().split_once(' ').expect("name and type");
                parsed.push(EdgeColumn { name: Name::new(name.to_uppercase()), ty: sql_type(ty) });
                start = at + 1;
            }
            _ => {}
        }
    }
    EdgeSchema::new(parsed)
}

fn sql_type(text: &str) -> SqlType {
    let cast = parse_expression(&format!("CAST(NULL AS {text})")).expect("a type");
    let ExprKind::Cast { ty, .. } = cast.kind else { panic!("a cast") };
    ty.resolve(&|_| None).expect("no custom type")
}

/// Rows separated by `;`, values by `|`.
fn batch(schema: &EdgeSchema, rows: &str) -> RecordBatch {
    let registry = registry();
    let rows: Vec<Vec<&str>> = rows.split(';').map(|row| row.split('|').collect()).collect();
    let columns: Vec<ArrayRef> = schema
        .columns()
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let values: Vec<ArrayRef> = rows
                .iter()
                .map(|row| {
                    let expr = parse_expression(row[i].trim()).expect("a value");
                    let context = EvaluationContext::default();
                    evaluate_constant(&expr, Some(&column.ty), registry, &context).expect(row[i]).0
                })
                .collect();
            let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
            concat(&values).expect("values of one type")
        })
        .collect();
    let arrow: SchemaRef = schema.arrow();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(arrow, columns, &options).expect("columns of the schema")
}

/// Evaluates and prints; a diagnostic is printed as it is.
pub(crate) fn evaluate(expression: &str, columns: &str, rows: &str) -> String {
    let schema = schema(columns);
    let registry = registry();
    let expr = match parse_expression(expression) {
        Ok(expr) => expr,
        Err(diagnostic) => return diagnostic.to_string(),
    };
    let ty = match type_of(&expr, &schema, registry) {
        Ok(ty) => ty.unwrap_or(SqlType::String),
        Err(diagnostic) => return diagnostic.to_string(),
    };
    let projection = Projection::compile(&[("X".to_owned(), expr)], &schema, registry).expect("it has a type");
    let batch = batch(&schema, rows);
    let shown = print(&projection, &batch, &ty);
    // A batch without rows, and one that is a window into longer arrays, give the same.
    assert_eq!(print(&projection, &batch.slice(0, 0), &ty), "", "{expression} of no rows");
    let doubled = concat_batches(&batch.schema(), [&batch, &batch]).expect("batches of one schema");
    let window = doubled.slice(batch.num_rows(), batch.num_rows());
    assert_eq!(print(&projection, &window, &ty), shown, "{expression} of a window");
    shown
}

/// The values of a projection of one expression.
fn print(projection: &Projection, batch: &RecordBatch, ty: &SqlType) -> String {
    let mut errors = ErrorSink::default();
    let context = EvaluationContext { now_ms: 1_000, seed: 7 };
    let arrays = projection.evaluate(batch, &context, &mut errors);
    assert_eq!(arrays[0].len(), batch.num_rows());
    assert_eq!(arrays[0].data_type(), &ty.arrow());
    arrays[0].to_data().validate_full().expect("a valid array");
    let failed: BTreeSet<usize> = errors.errors.iter().map(|error| error.row).collect();
    let texts = if *ty == SqlType::Bytes {
        let bytes = datafusion::arrow::array::AsArray::as_binary::<i32>(&arrays[0]);
        bytes.iter().map(|value| value.map(|value| format!("{value:02x?}"))).collect()
    } else {
        text::of_array(&arrays[0], ty)
    };
    (0..batch.num_rows())
        .map(|row| {
            let value = if texts.is_null(row) { "null" } else { texts.value(row) };
            format!("{value}{}", if failed.contains(&row) { "!" } else { "" })
        })
        .collect::<Vec<_>>()
        .join("; ")
}

#[track_caller]
pub(crate) fn check(expression: &str, columns: &str, rows: &str, expected: &str) {
    assert_eq!(evaluate(expression, columns, rows), expected, "{expression}");
}

/// A constant expression.
#[track_caller]
pub(crate) fn value(expression: &str, expected: &str) {
    check(expression, "one INT", "1", expected);
}

/// The type of an expression, or the diagnostic.
#[track_caller]
pub(crate) fn typed(expression: &str, columns: &str, expected: &str) {
    let expr = parse_expression(expression).expect(expression);
    let shown = match type_of(&expr, &schema(columns), registry()) {
        Ok(ty) => ty.map_or_else(|| "null".to_owned(), |ty| ty.to_string()),
        Err(diagnostic) => diagnostic.to_string().replace('\n', " / "),
    };
    assert!(shown.contains(expected), "{expression}: {shown}");
}

#[test]
fn the_first_query_runs() {
    let edge = schema("a INT, b BIGINT, c INT");
    let rows = batch(&edge, "1 | 10 | 5; 2 | 20 | 6; 3 | 30 | NULL");
    let registry = registry();
    let condition = parse_expression("C > 5").expect("parses");
    let predicate = Predicate::compile("WHERE", &condition, &edge, registry).expect("types");
    let mut errors = ErrorSink::default();
    let kept = predicate.evaluate(&rows, &EvaluationContext::default(), &mut errors);
    assert_eq!(kept.values().iter().collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(errors.errors, []);
    check("b + 1", "a INT, b BIGINT", "1 | 10; 2 | NULL", "11; null!");
    let _shared: Arc<dyn Send + Sync> = Arc::new(predicate);
}

#[test]
fn integers_wrap_and_divide_as_in_java() {
    check("a + b", "a INT, b INT", "2147483647 | 1; 1 | 2", "-2147483648; 3");
    check("a / b", "a INT, b INT", "7 | -2; 1 | 0; -2147483648 | -1", "-3; null!; -2147483648");
    check("a % b", "a INT, b INT", "-7 | 2; 7 | -2; 1 | 0", "-1; 1; null!");
    check("a * b", "a BIGINT, b INT", "9223372036854775807 | 2", "-2");
    check("a / 0", "a DOUBLE", "1.0; -1.0; 0.0", "Infinity; -Infinity; NaN");
    check("-a", "a INT", "5; -2147483648; NULL", "-5; -2147483648; null!");
}

#[test]
fn decimals_are_exact_or_fail() {
    typed("a + b", "a DECIMAL(4,2), b DECIMAL(5,1)", "DECIMAL(7, 2)");
    typed("a * b", "a DECIMAL(4,2), b DECIMAL(5,1)", "DECIMAL(10, 3)");
    typed("a / b", "a DECIMAL(4,2), b DECIMAL(5,1)", "DECIMAL(11, 8)");
    typed("a % b", "a DECIMAL(4,2), b DECIMAL(5,1)", "DECIMAL(4, 2)");
    typed("a + 1", "a DECIMAL(4,2)", "DECIMAL(13, 2)");
    typed("a + 1E0", "a DECIMAL(4,2)", "DOUBLE");
    check("a + b", "a DECIMAL(4,2), b DECIMAL(5,1)", "10.01 | -5.1", "4.91");
    check("a / b", "a DECIMAL(4,2), b DECIMAL(5,1)", "10.00 | 8.0; 1.00 | 3.0; 1.00 | 0.0", "1.25000000; null!; null!");
    check(
        "a * b",
        "a DECIMAL(38,2), b DECIMAL(30,2)",
        "99999999999999999999.99 | 99.99",
        "9998999999999999999999.0001",
    );
}

#[test]
fn comparisons_with_null_are_false() {
    check("a = b", "a INT, b BIGINT", "1 | 1; 1 | NULL; NULL | NULL", "true; false; false");
    check("a <> b", "a INT, b BIGINT", "1 | 2; 1 | NULL", "true; false");
    check("NOT (a = b)", "a INT, b BIGINT", "1 | 1; 1 | NULL", "false; true");
    check("a IS DISTINCT FROM b", "a INT, b BIGINT", "1 | 1; 1 | NULL; NULL | NULL", "false; true; false");
    check("a > 1.5", "a INT", "1; 2", "false; true");
    check("a = b", "a DECIMAL(4,2), b DOUBLE", "1.10 | 1.1; 1.10 | 1.2", "true; false");
    check("a BETWEEN 2 AND 3", "a INT", "1; 2; 3; NULL", "false; true; true; false");
    check("a NOT BETWEEN 2 AND 3", "a INT", "1; NULL", "true; true");
    check("a = b", "a ARRAY<INT>, b ARRAY<INT>", "ARRAY[1,2] | ARRAY[1,2]; ARRAY[1] | NULL", "true; false");
    check("a <> a", "a DOUBLE", "1.0; CAST('1' AS DOUBLE)", "false; false");
}

#[test]
fn what_cannot_be_compared_is_refused_in_ksqls_words() {
    typed(
        "b < c",
        "b ARRAY<INT>, c ARRAY<INT>",
        "Cannot compare B (ARRAY<INTEGER>) to C (ARRAY<INTEGER>) with LESS_THAN.",
    );
    typed("b = c", "b STRING, c INT", "Cannot compare B (STRING) to C (INTEGER) with EQUAL.");
    typed("b = NULL", "b STRING", "Use 'IS NULL' or 'IS NOT NULL' instead.");
    typed("b + c", "b STRING, c INT", "Unsupported arithmetic types. STRING INTEGER");
    typed("CAST(b AS ARRAY<INT>)", "b STRING", "Cast of STRING to ARRAY<INTEGER> is not supported");
    typed("B IN (TRUE)", "b BIGINT", "operator does not exist: BIGINT = BOOLEAN");
    typed("CASE WHEN B = 1 THEN 1 ELSE 'x' END", "b BIGINT", "Invalid Case expression.");
    typed("MISING + 1", "missing INT", "Did you mean \"MISSING\"?");
}

#[test]
fn a_short_circuit_reports_nothing_of_what_it_skips() {
    let columns = "a INT, b BOOLEAN";
    check("a <> 0 AND 10 / a > 1", columns, "0 | TRUE; 5 | TRUE; NULL | TRUE", "false; true; false");
    check("a = 0 OR 10 / a > 1", columns, "0 | TRUE; 5 | TRUE", "true; true");
    check("FALSE AND b", columns, "0 | NULL", "false");
    check("b AND FALSE", columns, "0 | NULL; 0 | TRUE", "null!; false");
    check("TRUE AND b", columns, "0 | NULL; 0 | TRUE", "null!; true");
    check("CASE WHEN a <> 0 THEN 10 / a END", columns, "0 | TRUE; 5 | TRUE", "null; 2");
    check(
        "CASE WHEN a = 0 THEN 'zero' WHEN 10 / a > 5 THEN 'small' ELSE 'big' END",
        columns,
        "0|TRUE; 1|TRUE; 5|TRUE",
        "zero; small; big",
    );
    check("NOT b", columns, "0 | NULL; 0 | TRUE", "null!; false");
}

#[test]
fn units_of_error_handling_fail_alone() {
    let columns = "a INT, s STRING";
    check("CAST(s AS INT) > 5", columns, "0 | 'x'; 0 | '7'", "false!; true");
    check("STRUCT(a := 1 / a, b := 2)", columns, "0 | ''; 1 | ''", "Struct{B=2}!; Struct{A=1,B=2}");
    check("1 / a + 1", columns, "0 | ''; 1 | ''", "null!; 2");
    check("ARRAY[1 / a, 5]", columns, "0 | ''", "[null, 5]!");
}

#[test]
fn casts_follow_the_matrix() {
    check("CAST(a AS INT)", "a BIGINT", "2147483648; NULL", "-2147483648; null");
    check("CAST(a AS INT)", "a DOUBLE", "1.9; -1.9; 1E20", "1; -1; 2147483647");
    check("CAST(a AS INT)", "a STRING", "' 12 '; '1.0'; '+3'", "12; null!; 3");
    check("CAST(a AS DECIMAL(3,1))", "a DOUBLE", "12.35; 99.99; -0.05", "12.3; null!; -0.1");
    check("CAST(a AS DECIMAL(3,1))", "a STRING", "'1.25'; 'x'; '100'", "1.3; null!; null!");
    check("CAST(a AS STRING)", "a DECIMAL(5,2)", "1.5; -0.05", "1.50; -0.05");
    check("CAST(a AS BOOLEAN)", "a STRING", "'T'; 'ye'; 'x'; ''", "true; true; false; false");
    check("CAST(a AS TIMESTAMP)", "a STRING", "'2020-01-02T03:04'; 'x'", "2020-01-02T03:04:00.000; null!");
    check("CAST(a AS TIME)", "a TIMESTAMP", "'2020-01-02T03:04:05.678'", "03:04:05");
    check("CAST(a AS ARRAY<INT>)", "a ARRAY<STRING>", "ARRAY['1','2']; ARRAY['x']", "[1, 2]; null!");
    check("CAST(STRUCT(x := a) AS STRUCT<x STRING, y INT>)", "a INT", "1", "Struct{X=1}");
    check("CAST(MAP('k' := a) AS STRING)", "a INT", "1; NULL", "{k=1}; {k=null}");
}

#[test]
fn text_and_times_compare() {
    check("a > '2020-05'", "a TIMESTAMP", "'2020-05-01T00:00:01'; '2020-04-30'", "true; false");
    check("a = b", "a DATE, b STRING", "'2020-01-01' | '2020'; '2020-01-01' | 'x'", "true; null!");
    check("a = b", "a DATE, b TIMESTAMP", "'2020-01-01' | '2020-01-01T00:00:00'", "true");
    check("a < '10:00'", "a TIME", "'09:59:59'; '10:00'", "true; false");
}

#[test]
fn patterns_match_whole_texts() {
    let columns = "s STRING";
    check("s LIKE 'a%_c'", columns, "'abc'; 'ac'; 'abcd'; NULL", "true; false; false; null!");
    check("s LIKE 'a!%' ESCAPE '!'", columns, "'a%'; 'ab'", "true; false");
    check("s NOT LIKE '%.%'", columns, "'a.b'; 'ab'", "false; true");
}

#[test]
fn lists_have_one_type() {
    check("a IN (1, '10', 2.50)", "a INT", "10; 2; NULL", "true; false; false");
    check("a NOT IN (1, 2)", "a INT", "1; 3; NULL", "false; true; true");
    check("a IN (ARRAY[1], ARRAY[2])", "a ARRAY<INT>", "ARRAY[1]; ARRAY[3]", "true; false");
    typed("ARRAY[1, '2.5']", "", "ARRAY<DECIMAL(11, 1)>");
    typed("ARRAY[1, 'x']", "", "invalid input syntax for type INTEGER: \"x\"");
    typed("ARRAY[NULL]", "", "all NULL elements");
    typed("ARRAY['a', 1]", "", "ARRAY<STRING>");
    value("ARRAY['a', 1, TRUE]", "[a, 1, true]");
    check("a IN (ARRAY['3', NULL], ARRAY[1])", "a ARRAY<BIGINT>", "ARRAY[3, NULL]; ARRAY[3]", "true; false");
    value("ARRAY[10, '2e1']", "[10, 20]");
    value("MAP('a' := 1, NULL := 2)", "{a=1, null=2}");
    value("MAP('a' := 1, 'b' := 2.5, 'a' := 3)", "{a=3.0, b=2.5}");
}

#[test]
fn parts_of_containers() {
    check("a[1]", "a ARRAY<INT>", "ARRAY[7, 8]; NULL", "7; null");
    check("a[b]", "a ARRAY<INT>, b INT", "ARRAY[7, 8] | -1; ARRAY[7] | 0; ARRAY[7] | 2", "8; null; null");
    check("a['k']", "a MAP<STRING, INT>", "MAP('k' := 1); MAP('x' := 2)", "1; null");
    check("a[b]", "a MAP<STRING, INT>, b STRING", "MAP('k' := 1) | 'k'; MAP('x' := 2) | NULL", "1; null");
    check("a->x", "a STRUCT<x INT>", "STRUCT(x := 5); NULL", "5; null");
    typed("a->z", "a STRUCT<x INT>", "field Z does not exist");
}

#[test]
fn text_is_joined_with_the_word_null() {
    check("s + 'x'", "s STRING", "'a'; NULL", "ax; nullx");
}

#[test]
fn what_fails_without_columns_fails_on_every_row() {
    check("1 / 0", "a INT", "1; 2", "null!; null!");
    check("CASE WHEN a = 1 THEN 1 / 0 ELSE a END", "a INT", "1; 2", "null!; 2");
    check("COALESCE(CAST('x' AS INT), a)", "a INT", "1", "1!");
}

#[test]
fn the_deepest_expressions_fit_the_stack() {
    check(&format!("a{}", " + 1".repeat(390)), "a INT", "1", "391");
    check(&format!("{}a", "- ".repeat(90)), "a INT", "1", "1");
    check(&format!("{}a{}", "ABS(".repeat(90), ")".repeat(90)), "a INT", "-1", "1");
    check(&format!("{}a = 1{}", "NOT (".repeat(40), ")".repeat(40)), "a INT", "1", "true");
}
