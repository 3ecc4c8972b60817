//! What must hold for any text given to date patterns, to patterns of LIKE, and to casts.
//!
//! - Nothing panics, and results are valid arrays.
//! - A value that is not NULL becomes a value or a reported failure, never both and never neither.
//! - What a pattern writes is bounded by the length of the pattern.
//! - A pattern that is a constant gives what the same pattern in a column gives.
//! - What a cast read prints as text that is read as the same value.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, RecordBatch, StringArray, Time32MillisecondArray, TimestampMillisecondArray,
};
use thalweg::expressions::{EdgeColumn, EdgeSchema, ErrorSink, EvaluationContext, Projection};
use thalweg::functions::FunctionRegistry;
use thalweg::sql::parse_expression;
use thalweg::types::SqlType;

static REGISTRY: LazyLock<FunctionRegistry> = LazyLock::new(FunctionRegistry::builtin);

/// Functions of a pattern, for which `?` stands.
const OF_PATTERNS: [&str; 12] = [
    "FORMAT_TIMESTAMP(TS, ?, Z)",
    "FORMAT_TIMESTAMP(TS, ?)",
    "FORMAT_DATE(D, ?)",
    "FORMAT_TIME(T, ?)",
    "TIMESTAMPTOSTRING(UNIX_TIMESTAMP(TS), ?, Z)",
    "PARSE_TIMESTAMP(S, ?, Z)",
    "PARSE_DATE(S, ?)",
    "PARSE_TIME(S, ?)",
    "STRINGTODATE(S, ?)",
    "STRINGTOTIMESTAMP(S, ?, Z)",
    "CONVERT_TZ(TS, Z, ?)",
    "S LIKE ? ESCAPE '!'",
];

/// Types that print so that they can be read again.
const READ_BACK: [&str; 9] =
    ["INT", "BIGINT", "DOUBLE", "DECIMAL(6, 2)", "DECIMAL(76, 30)", "BOOLEAN", "DATE", "TIMESTAMP", "TIME"];

fn compile(expression: &str) -> Result<Projection, String> {
    let columns = [
        ("P", SqlType::String),
        ("S", SqlType::String),
        ("Z", SqlType::String),
        ("TS", SqlType::Timestamp),
        ("D", SqlType::Date),
        ("T", SqlType::Time),
    ];
    let columns = columns.into_iter().map(|(name, ty)| EdgeColumn { name: name.into(), ty });
    let parsed = parse_expression(expression).map_err(|error| error.to_string())?;
    let edge = EdgeSchema::new(columns.collect());
    Projection::compile(&[("X".to_owned(), parsed)], &edge, &REGISTRY).map_err(|error| error.to_string())
}

/// The result, and how many rows reported a failure.
fn run(projection: &Projection, pattern: &str, text: &str, zone: &str) -> (ArrayRef, Vec<bool>) {
    let moments = [0, 1_616_893_200_000, 1_635_642_000_000, -62_167_219_200_001, i64::MAX, i64::MIN];
    let days = [0, 18_714, -719_529, 2_932_897, i32::MAX, i32::MIN];
    let clocks = [0, 1, 3_599_999, 43_200_000, 86_340_000, 86_399_999];
    let rows = moments.len();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("P", Arc::new(StringArray::from(vec![pattern; rows]))),
        ("S", Arc::new(StringArray::from(vec![text; rows]))),
        ("Z", Arc::new(StringArray::from(vec![zone; rows]))),
        ("TS", Arc::new(TimestampMillisecondArray::from(moments.to_vec()))),
        ("D", Arc::new(Date32Array::from(days.to_vec()))),
        ("T", Arc::new(Time32MillisecondArray::from(clocks.to_vec()))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let mut errors = ErrorSink::default();
    let result = projection.evaluate(&batch, &EvaluationContext::default(), &mut errors).remove(0);
    result.to_data().validate_full().expect("a valid array");
    let failed = (0..rows).map(|row| errors.errors.iter().any(|error| error.row == row)).collect();
    (result, failed)
}

/// Checks one input of the patterns: a pattern, a text and a zone on a line each.
pub(super) fn date_patterns(data: &[u8]) {
    static IN_COLUMNS: LazyLock<Vec<Projection>> = LazyLock::new(|| {
        OF_PATTERNS.iter().map(|call| compile(&call.replace('?', "P")).expect("patterns may be columns")).collect()
    });
    let input = String::from_utf8_lossy(data).into_owned();
    let mut lines = input.splitn(3, '\n');
    let (pattern, text) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let zone = lines.next().unwrap_or("Europe/Paris");
    for (call, in_column) in OF_PATTERNS.iter().zip(IN_COLUMNS.iter()) {
        let (result, failed) = run(in_column, pattern, text, zone);
        for (row, failed) in failed.iter().enumerate() {
            assert_eq!(result.is_null(row), *failed, "{call} of {input:?}, row {row}");
        }
        if let Some(texts) = result.as_string_opt::<i32>() {
            let longest = texts.iter().flatten().map(str::len).max().unwrap_or(0);
            assert!(longest <= 64 * (pattern.len() + 1), "{call} of {input:?} gives {longest} bytes");
        }
        // A literal pattern of LIKE that is wrong is refused while planning.
        let literal = call.replace('?', &format!("'{}'", pattern.replace('\'', "''")));
        let Ok(known) = compile(&literal) else { continue };
        let (again, failed_again) = run(&known, pattern, text, zone);
        assert_eq!((&again, &failed_again), (&result, &failed), "{literal}");
    }
}

/// Checks one input of the casts: a text.
pub(super) fn casts(data: &[u8]) {
    static CASTS: LazyLock<Vec<(Projection, Projection)>> = LazyLock::new(|| {
        let compiled = |text: String| compile(&text).expect("the matrix has the cast");
        READ_BACK
            .iter()
            .map(|ty| {
                let once = format!("CAST(S AS {ty})");
                (compiled(once.clone()), compiled(format!("CAST(CAST({once} AS STRING) AS {ty})")))
            })
            .collect()
    });
    static CONTAINERS: LazyLock<Vec<Projection>> = LazyLock::new(|| {
        [
            "CAST(ARRAY[S, '1', S] AS ARRAY<INT>)",
            "CAST(MAP(S := S, '1' := S) AS MAP<DOUBLE, DECIMAL(9, 3)>)",
            "CAST(STRUCT(A := S, B := ARRAY[S]) AS STRUCT<B ARRAY<TIMESTAMP>, A BYTES>)",
            "CAST(CAST(S AS BYTES) AS BYTES)",
        ]
        .iter()
        .map(|text| compile(text).expect("the matrix has the cast"))
        .collect()
    });
    let text = String::from_utf8_lossy(data).into_owned();
    for (ty, (once, twice)) in READ_BACK.iter().zip(CASTS.iter()) {
        let (result, failed) = run(once, "", &text, "");
        for (row, failed) in failed.iter().enumerate() {
            assert_eq!(result.is_null(row), *failed, "{text:?} AS {ty}, row {row}");
        }
        // Years of more than four digits and those before Christ are not read, and a TIME prints no milliseconds.
        let at_the_end = ["0000", "0001", "9999"].iter().any(|year| text.starts_with(year));
        if (*ty == "TIMESTAMP" && at_the_end) || *ty == "TIME" {
            continue;
        }
        assert_eq!(&run(twice, "", &text, "").0, &result, "{text:?} AS {ty} AS STRING AS {ty}");
    }
    for projection in CONTAINERS.iter() {
        let (result, failed) = run(projection, "", &text, "");
        for (row, failed) in failed.iter().enumerate() {
            assert_eq!(result.is_null(row), *failed, "{text:?}, row {row}");
        }
    }
}
