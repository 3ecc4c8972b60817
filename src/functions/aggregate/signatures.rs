//! The aggregates by name and signature, so that they are known, listed and refused by name until they are built.

use crate::functions::Function;

/// All aggregates.
pub(in crate::functions) fn functions() -> Vec<Function> {
    let numbers = [("INTEGER", "INTEGER"), ("BIGINT", "BIGINT"), ("DOUBLE", "DOUBLE")];
    let ordered = ["INTEGER", "BIGINT", "DOUBLE", "DATE", "TIME", "TIMESTAMP", "STRING", "BYTES"];
    let each = |mut function: Function, types: &[&str], returns: Option<&str>| {
        for ty in types {
            function = function.unbuilt(&format!("value {ty}"), returns.unwrap_or(ty));
        }
        function
    };
    let plain = ["INTEGER", "BIGINT", "DOUBLE"];
    let mut sum = Function::aggregate("SUM", "The sum of the values of a group; nulls are left out.");
    let mut sum_list = Function::aggregate("SUM_LIST", "The sum of the elements of the arrays of a group.");
    for (ty, result) in numbers {
        sum = sum.unbuilt(&format!("value {ty}"), result);
        sum_list = sum_list.unbuilt(&format!("list ARRAY<{ty}>"), result);
    }
    let by_offset = |name, description| {
        Function::aggregate(name, description)
            .unbuilt("value T", "T")
            .unbuilt("value T, ignoreNulls BOOLEAN", "T")
            .unbuilt("value T, n INTEGER", "ARRAY<T>")
            .unbuilt("value T, n INTEGER, ignoreNulls BOOLEAN", "ARRAY<T>")
    };
    let mut correlation = Function::aggregate("CORRELATION", "The correlation of two columns over a group.");
    for ty in plain {
        correlation = correlation.unbuilt(&format!("x {ty}, y {ty}"), "DOUBLE");
    }
    vec![
        Function::aggregate("ATTR", "The value of a group in which all values are the same, else null.")
            .unbuilt("value T", "T"),
        each(Function::aggregate("AVG", "The mean of the values of a group."), &plain, Some("DOUBLE")),
        Function::aggregate("COLLECT_LIST", "The values of a group in an array.").unbuilt("value T", "ARRAY<T>"),
        Function::aggregate("COLLECT_SET", "The distinct values of a group in an array.")
            .unbuilt("value T", "ARRAY<T>"),
        correlation,
        Function::aggregate("COUNT", "How many rows of a group have a value.")
            .unbuilt("", "BIGINT")
            .unbuilt("value T", "BIGINT"),
        Function::aggregate("COUNT_DISTINCT", "About how many distinct values a group has.")
            .unbuilt("value T", "BIGINT"),
        by_offset("EARLIEST_BY_OFFSET", "The first value of a group, or its first n."),
        by_offset("LATEST_BY_OFFSET", "The last value of a group, or its last n."),
        Function::aggregate("HISTOGRAM", "How often each value stands in a group.")
            .unbuilt("value STRING", "MAP<STRING, BIGINT>"),
        each(Function::aggregate("MAX", "The largest value of a group."), &ordered, None),
        each(Function::aggregate("MIN", "The smallest value of a group."), &ordered, None),
        each(Function::aggregate("STDDEV_SAMP", "The sample variance of a group."), &plain, Some("DOUBLE")),
        each(Function::aggregate("STDDEV_SAMPLE", "The sample standard deviation of a group."), &plain, Some("DOUBLE")),
        sum,
        sum_list,
        Function::aggregate("TOPK", "The k largest values of a group.").unbuilt("value T, k INTEGER", "ARRAY<T>"),
        Function::aggregate("TOPKDISTINCT", "The k largest distinct values of a group.")
            .unbuilt("value T, k INTEGER", "ARRAY<T>"),
    ]
}
