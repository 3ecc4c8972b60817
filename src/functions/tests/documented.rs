//! The documentation: every example runs, and every function that ksqlDB's users know is there.

use std::collections::BTreeSet;

use crate::expressions::tests::evaluate;
use crate::functions::{FunctionRegistry, Kind, examples};

/// The functions of ksqlDB.
const KNOWN: &str = "
    ABS ACOS ARRAY_CONCAT ARRAY_CONTAINS ARRAY_DISTINCT ARRAY_EXCEPT ARRAY_INTERSECT ARRAY_JOIN ARRAY_LENGTH
    ARRAY_MAX ARRAY_MIN ARRAY_REMOVE ARRAY_SORT ARRAY_UNION ASIN AS_MAP AS_VALUE ATAN ATAN2 ATTR AVG
    BIGINT_FROM_BYTES CBRT CEIL CHR COALESCE COLLECT_LIST COLLECT_SET CONCAT CONCAT_WS CONVERT_TZ CORRELATION COS
    COSH COT COUNT COUNT_DISTINCT CUBE_EXPLODE DATEADD DATESUB DATETOSTRING DEGREES DOUBLE_FROM_BYTES
    EARLIEST_BY_OFFSET ELT ENCODE ENTRIES EXP EXPLODE EXTRACTJSONFIELD FIELD FILTER FLOOR FORMAT_DATE FORMAT_TIME
    FORMAT_TIMESTAMP FROM_BYTES FROM_DAYS FROM_UNIXTIME GENERATE_SERIES GEO_DISTANCE GREATEST HISTOGRAM IFNULL
    INITCAP INSTR INT_FROM_BYTES IS_JSON_STRING JSON_ARRAY_CONTAINS JSON_ARRAY_LENGTH JSON_CONCAT JSON_ITEMS
    JSON_KEYS JSON_RECORDS LATEST_BY_OFFSET LCASE LEAST LEN LN LOG LPAD MAP_KEYS MAP_UNION MAP_VALUES MASK
    MASK_KEEP_LEFT MASK_KEEP_RIGHT MASK_LEFT MASK_RIGHT MAX MD5 MIN NULLIF PARSE_DATE PARSE_TIME PARSE_TIMESTAMP
    PI POWER RADIANS RANDOM REDUCE REGEXP_EXTRACT REGEXP_EXTRACT_ALL REGEXP_REPLACE REGEXP_SPLIT_TO_ARRAY REPLACE
    ROUND RPAD SIGN SIN SINH SLICE SPLIT SPLIT_TO_MAP SQRT STDDEV_SAMP STDDEV_SAMPLE STRINGTODATE
    STRINGTOTIMESTAMP SUBSTRING SUM SUM_LIST TAN TANH TIMEADD TIMESTAMPADD TIMESTAMPSUB TIMESTAMPTOSTRING TIMESUB
    TOPK TOPKDISTINCT TO_BYTES TO_JSON_STRING TRANSFORM TRIM TRUNC UCASE UNIX_DATE UNIX_TIMESTAMP URL_DECODE_PARAM
    URL_ENCODE_PARAM URL_EXTRACT_FRAGMENT URL_EXTRACT_HOST URL_EXTRACT_PARAMETER URL_EXTRACT_PATH URL_EXTRACT_PORT
    URL_EXTRACT_PROTOCOL URL_EXTRACT_QUERY UUID";

/// Functions that only we have.
const OURS: &str = "
    ANY_VALUE APPROX_COUNT_DISTINCT APPROX_DISTINCT APPROX_MEDIAN APPROX_PERCENTILE_CONT
    APPROX_PERCENTILE_CONT_WITH_WEIGHT ARRAY_AGG BIT_AND BIT_OR BIT_XOR BOOL_AND BOOL_OR CORR COVAR_POP COVAR_SAMP
    FIRST_VALUE LAST_VALUE MEAN MEDIAN NTH_VALUE PERCENTILE_CONT QUANTILE_CONT REGR_AVGX REGR_AVGY REGR_COUNT
    REGR_INTERCEPT REGR_R2 REGR_SLOPE REGR_SXX REGR_SXY REGR_SYY STDDEV STDDEV_POP STRING_AGG VAR VAR_POP VAR_SAMP";

#[test]
fn the_functions_are_ksqldbs_and_ours() {
    let registry = FunctionRegistry::builtin();
    let expected: BTreeSet<&str> = KNOWN.split_whitespace().chain(OURS.split_whitespace()).collect();
    let found: BTreeSet<&str> = registry.iter().map(|function| function.name()).collect();
    assert_eq!(found, expected);
    let of_ksqldb = |kind: Kind| {
        let is_ours = |name: &str| OURS.split_whitespace().any(|ours| ours == name);
        registry.iter().filter(|function| function.kind() == kind && !is_ours(function.name())).count()
    };
    assert_eq!([Kind::Scalar, Kind::Aggregate, Kind::Table].map(of_ksqldb), [129, 18, 2]);
}

#[test]
fn every_function_is_described_and_has_an_example() {
    for function in FunctionRegistry::builtin().iter() {
        let name = function.name();
        assert!(function.description().ends_with('.'), "{name}: {}", function.description());
        assert!(function.notes().is_empty() || function.notes().ends_with('.'), "{name}: {}", function.notes());
        assert!(!function.overloads().is_empty(), "{name} has no overload");
        let is_shown = function.examples().iter().any(|(call, _)| call.contains(&format!("{name}(")));
        assert!(is_shown || function.kind() == Kind::Aggregate, "{name} has no example");
    }
}

#[test]
fn notes_are_found_by_name_and_belong_to_functions() {
    let registry = FunctionRegistry::builtin();
    let names: Vec<&str> = examples::ALL.iter().map(|(name, ..)| *name).collect();
    assert!(names.is_sorted(), "the table is searched by halves");
    let unknown: Vec<_> = names.iter().filter(|name| registry.get(&(**name).into()).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_example_gives_what_it_says() {
    let mut wrong = Vec::new();
    for function in FunctionRegistry::builtin().iter().filter(|function| function.kind() != Kind::Aggregate) {
        for (call, expected) in function.examples() {
            let expected = if *expected == "error" { "null!" } else { expected };
            let found = evaluate(call, "one INT", "1");
            if found != expected {
                wrong.push(format!("{call} gives {found}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
