//! The aggregates by name: signatures and documentation. The state behind each is made in `build`.

use crate::functions::Function;
use crate::types::SqlType;

/// Numbers that sums and means take beside DECIMAL.
const NUMBERS: [&str; 3] = ["INTEGER", "BIGINT", "DOUBLE"];
/// Types that TOPK takes.
const TOP: [&str; 4] = ["INTEGER", "BIGINT", "DOUBLE", "STRING"];
/// Types with an order beside DECIMAL.
const ORDERED: [&str; 8] = ["INTEGER", "BIGINT", "DOUBLE", "DATE", "TIME", "TIMESTAMP", "STRING", "BYTES"];

/// All aggregates.
pub(in crate::functions) fn functions() -> Vec<Function> {
    let mut all = vec![
        Function::aggregate(
            "ATTR",
            "The value of a group in which all values are the same (NULL counts as a value), else NULL.",
        )
        .stateful("value T", "T"),
        numbers(
            "AVG",
            "The mean of the values of a group; 0.0 if there is none. NULL is left out. The sum of INTEGER and BIGINT \
             values wraps around.",
            Some("DOUBLE"),
        ),
        Function::aggregate("COLLECT_LIST", "The values of a group in an array, in the order they came, also NULL.")
            .stateful("value T", "ARRAY<T>"),
        Function::aggregate(
            "COLLECT_SET",
            "The distinct values of a group in an array, in the order they first came; NULL once.",
        )
        .stateful("value T", "ARRAY<T>"),
        correlation(),
        Function::aggregate(
            "COUNT",
            "How many rows a group has: all of them, or those in which the value is not NULL.",
        )
        .stateful("", "BIGINT")
        .stateful("value T", "BIGINT"),
        Function::aggregate(
            "COUNT_DISTINCT",
            "About how many distinct values a group has, NULL left out; the error is below 1 % most of the time.",
        )
        .stateful("value T", "BIGINT"),
        by_offset(
            "EARLIEST_BY_OFFSET",
            "The value that came first in a group, or the first n in an array. NULL is left out unless ignoreNulls is \
             FALSE.",
        ),
        by_offset(
            "LATEST_BY_OFFSET",
            "The value that came last in a group, or the last n in an array, the oldest first. NULL is left out unless \
             ignoreNulls is FALSE.",
        ),
        Function::aggregate(
            "HISTOGRAM",
            "How often each value stands in a group. At most 1000 values are counted; those that come later are left \
             out.",
        )
        .stateful("value STRING", "MAP<STRING, BIGINT>"),
        ordered("MAX", "The largest value of a group; NULL is left out."),
        ordered("MIN", "The smallest value of a group; NULL is left out."),
        numbers(
            "STDDEV_SAMP",
            "The sample variance of a group; 0.0 of fewer than two values. Kept for old statements: STDDEV_SAMPLE is \
             the standard deviation.",
            Some("DOUBLE"),
        ),
        numbers(
            "STDDEV_SAMPLE",
            "The sample standard deviation of a group; 0.0 of fewer than two values. NULL is left out.",
            Some("DOUBLE"),
        ),
        numbers(
            "SUM",
            "The sum of the values of a group; 0 if there is none. NULL is left out. INTEGER and BIGINT wrap around; a \
             DECIMAL that needs more digits than its type has stops the query.",
            None,
        )
        .stateful_with_rule("value DECIMAL", (same, "DECIMAL")),
        sum_list(),
        top(),
        top_distinct(),
    ];
    all.extend(super::extensions::functions());
    all
}

/// The type of the first argument.
fn same(arguments: &[SqlType]) -> Result<SqlType, String> {
    arguments.first().cloned().ok_or_else(|| "A value is needed.".to_owned())
}

/// An array of the type of the first argument.
fn array_of_same(arguments: &[SqlType]) -> Result<SqlType, String> {
    same(arguments).map(|ty| SqlType::Array(Box::new(ty)))
}

/// An array of structs: the value and the columns beside it, in front of k.
fn ranked(arguments: &[SqlType]) -> Result<SqlType, String> {
    let columns = arguments.split_last().map_or(arguments, |(_k, columns)| columns);
    Ok(SqlType::Array(Box::new(super::top::row_type(columns))))
}

fn numbers(name: &'static str, description: &'static str, returns: Option<&str>) -> Function {
    let function = Function::aggregate(name, description);
    NUMBERS.iter().fold(function, |function, ty| function.stateful(&format!("value {ty}"), returns.unwrap_or(ty)))
}

fn ordered(name: &'static str, description: &'static str) -> Function {
    let function = Function::aggregate(name, description);
    ORDERED
        .iter()
        .fold(function, |function, ty| function.stateful(&format!("value {ty}"), ty))
        .stateful_with_rule("value DECIMAL", (same, "DECIMAL"))
}

fn by_offset(name: &'static str, description: &'static str) -> Function {
    Function::aggregate(name, description)
        .stateful("value T", "T")
        .stateful("value T, ignoreNulls BOOLEAN", "T")
        .stateful("value T, n INTEGER", "ARRAY<T>")
        .stateful("value T, n INTEGER, ignoreNulls BOOLEAN", "ARRAY<T>")
}

fn correlation() -> Function {
    let function = Function::aggregate(
        "CORRELATION",
        "Pearson's correlation of two columns over a group; NaN of fewer than two rows, or if a column never changes. \
         Rows with a NULL are left out.",
    );
    NUMBERS.iter().fold(function, |function, ty| function.stateful(&format!("x {ty}, y {ty}"), "DOUBLE"))
}

fn sum_list() -> Function {
    let function = Function::aggregate(
        "SUM_LIST",
        "The sum of the elements of the arrays of a group; arrays and elements that are NULL are left out.",
    );
    NUMBERS.iter().fold(function, |function, ty| function.stateful(&format!("list ARRAY<{ty}>"), ty))
}

fn top() -> Function {
    let function = Function::aggregate(
        "TOPK",
        "The k largest values of a group, the largest first; NULL is left out. With columns beside the value each is \
         a struct of `sort_col`, `col0`, `col1` and so on.",
    );
    let function = TOP
        .iter()
        .fold(function, |function, ty| function.stateful(&format!("value {ty}, k INTEGER"), &format!("ARRAY<{ty}>")));
    TOP.iter().fold(function, |function, ty| {
        function.stateful_with_rule(
            &format!("value {ty}, others ANY..., k INTEGER"),
            (ranked, "ARRAY<STRUCT<sort_col, col0, ...>>"),
        )
    })
}

fn top_distinct() -> Function {
    let function = Function::aggregate(
        "TOPKDISTINCT",
        "The k largest distinct values of a group, the largest first; NULL is left out.",
    );
    ORDERED
        .iter()
        .fold(function, |function, ty| function.stateful(&format!("value {ty}, k INTEGER"), &format!("ARRAY<{ty}>")))
        .stateful_with_rule("value DECIMAL, k INTEGER", (array_of_same, "ARRAY<DECIMAL>"))
}
