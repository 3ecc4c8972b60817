//! DataFusion's commonest messages in this product's words: what is wrong, how to go on, and what to point at.
//!
//! A message that is not known here is passed on as it is.

use crate::diagnostics::{Code, Diagnostic};

/// What of the query a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Blame {
    /// The first place of this word.
    Word(String),
    /// This sign, if the query has it once.
    Sign(String),
    /// Nobody knows.
    Nothing,
}

/// A message about a query that cannot be planned.
pub(super) fn planned(text: &str) -> Option<(Diagnostic, Blame)> {
    let word = |word: &str| Blame::Word(word.to_owned());
    if let Some(function) = between(text, "Function '", "' user-defined coercion failed with") {
        let reason = text.split_once("External error: ").map_or(text, |(_, reason)| reason);
        let reason = reason.split("No function matches the given name").next().unwrap_or(reason).trim();
        let (first, rest) = reason.split_once('\n').unwrap_or((reason, ""));
        let told = Diagnostic::new(Code::FunctionArguments, first.trim_end_matches('.'));
        return Some((if rest.is_empty() { told } else { told.with_detail(rest.trim()) }, word(&function)));
    }
    if let Some(function) = between(text, "Function '", "' failed to match any signature") {
        let given = between(text, "(DataType: ", ")").map_or_else(|| "these arguments".to_owned(), |ty| sql_word(&ty));
        let told = format!("function {} does not take {given}", function.to_uppercase());
        return Some((
            Diagnostic::new(Code::FunctionArguments, told).with_hint("CAST the argument to a type that it takes."),
            word(&function),
        ));
    }
    if let Some(operands) = between(text, "Cannot coerce arithmetic expression ", " to valid types") {
        let (left, rest) = operands.split_once(' ')?;
        let (sign, right) = rest.split_once(' ')?;
        let told = format!("operator {sign} does not take {} and {}", sql_word(left), sql_word(right));
        return Some((
            Diagnostic::new(Code::TypeMismatch, told).with_hint("CAST one side to the type of the other."),
            Blame::Sign(sign.to_owned()),
        ));
    }
    if let Some(limit) = between(text, "LIMIT must be >= 0, '", "'") {
        let told = Diagnostic::new(Code::InvalidValue, format!("LIMIT must not be negative, as {limit} is"));
        return Some((told, word("LIMIT")));
    }
    if let Some(offset) = between(text, "OFFSET must be >=0, '", "'") {
        let told = Diagnostic::new(Code::InvalidValue, format!("OFFSET must not be negative, as {offset} is"));
        return Some((told, word("OFFSET")));
    }
    if let Some(at) = between(text, "Order by column out of bounds, specified: ", ",") {
        let columns = text.rsplit_once("max: ").map_or("fewer", |(_, columns)| columns.trim());
        let told = format!("ORDER BY {at} names no column of the result, which has {columns}");
        return Some((Diagnostic::new(Code::UnknownColumn, told), word("ORDER")));
    }
    if let Some(column) = between(text, "column \"", "\" must appear in the GROUP BY clause") {
        let told = format!("{column} is neither in GROUP BY nor in an aggregate function");
        let told = Diagnostic::new(Code::InvalidGrouping, told)
            .with_hint("Put it into GROUP BY, or say which of its values is meant: MIN, MAX, ARRAY_AGG.");
        return Some((told, Blame::Nothing));
    }
    if text.contains("ggregate functions are not allowed in the WHERE clause") {
        let told = Diagnostic::new(Code::InvalidGrouping, "aggregate functions cannot be used in WHERE")
            .with_hint("Conditions on groups stand in HAVING.");
        return Some((told, word("WHERE")));
    }
    if text.contains("queries have different number of columns") {
        let set = text.split(' ').next().unwrap_or("UNION");
        let told = format!("the queries of {set} have different numbers of columns");
        return Some((Diagnostic::new(Code::SchemaMismatch, told), word(set)));
    }
    if text.contains("ubquery should only return one column") {
        let told = Diagnostic::new(Code::SchemaMismatch, "a sub-query that stands for a value gives several columns");
        return Some((told, Blame::Nothing));
    }
    if text.contains("does not support named arguments") {
        let told = Diagnostic::not_implemented("a lambda in a query that joins, groups or orders")
            .with_hint("Select it from one stream or table alone, or into one by CREATE … AS SELECT.");
        return Some((told, Blame::Sign("=>".to_owned())));
    }
    None
}

/// A message about a query that cannot go on.
pub(super) fn running(text: &str) -> Option<Diagnostic> {
    if text.contains("ivide by zero") {
        return Some(
            Diagnostic::new(Code::InvalidValue, "division by zero")
                .with_hint("With NULLIF(x, 0) for the divisor x such rows give NULL."),
        );
    }
    let value = between(text, "Cannot cast string '", "' to value of ")?;
    let wanted = text.split("' to value of ").nth(1)?.trim_end_matches(" type");
    Some(
        Diagnostic::new(Code::InvalidValue, format!("'{value}' cannot be read as {}", sql_word(wanted))).with_hint(
            "Where a text meets a number it is read as one: write the number as a text, or CAST it to STRING.",
        ),
    )
}

/// What stands between the first of `start` and the `end` behind it.
fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found.to_owned())
}

/// The SQL name of a type that DataFusion names.
fn sql_word(arrow: &str) -> String {
    let known = match arrow.trim() {
        "Utf8" | "LargeUtf8" | "Utf8View" => "STRING",
        "Int64" | "UInt64" | "UInt32" => "BIGINT",
        "Int8" | "Int16" | "Int32" | "UInt8" | "UInt16" => "INTEGER",
        "Float64" | "Float32" => "DOUBLE",
        "Boolean" => "BOOLEAN",
        "Binary" | "LargeBinary" | "BinaryView" => "BYTES",
        "Date32" => "DATE",
        "Null" => "NULL",
        ty if ty.starts_with("Timestamp") => "TIMESTAMP",
        ty if ty.starts_with("Decimal") => "DECIMAL",
        ty if ty.starts_with("List") => "ARRAY",
        ty if ty.starts_with("Struct") => "STRUCT",
        ty if ty.starts_with("Map") => "MAP",
        other => return other.to_owned(),
    };
    known.to_owned()
}
