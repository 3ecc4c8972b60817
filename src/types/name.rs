//! An identifier after the case rule was applied, printed with back-ticks only where needed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A name of a source, column, field, type or query.
///
/// The text is what lookups compare: an unquoted identifier arrives here already upper-cased, a quoted one as
/// written. [`fmt::Display`] prints it so that reading it back gives the same name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// A name taken as it is: no case rule is applied.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The bare text, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if the name reads back as itself without quotes.
    pub fn is_plain(&self) -> bool {
        let mut chars = self.0.chars();
        let starts_well = chars.next().is_some_and(|c| c.is_ascii_uppercase() || c == '_');
        starts_well
            && chars.all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '@')
            && !is_reserved(&self.0)
    }

    /// The name between back-ticks whatever it is, as ksqlDB prints columns in schemas.
    pub fn quoted(&self) -> String {
        format!("`{}`", self.0.replace('`', "``"))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_plain() { f.write_str(&self.0) } else { f.write_str(&self.quoted()) }
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Words that must be quoted to serve as a name (`reference/semantics.md` 1.2).
const RESERVED: &[&str] = &[
    "SELECT",
    "FROM",
    "AS",
    "ALL",
    "DISTINCT",
    "WHERE",
    "WITHIN",
    "WINDOW",
    "GROUP",
    "BY",
    "HAVING",
    "LIMIT",
    "AT",
    "OR",
    "AND",
    "IN",
    "NOT",
    "EXISTS",
    "BETWEEN",
    "LIKE",
    "IS",
    "NULL",
    "TRUE",
    "FALSE",
    "MILLISECOND",
    "YEARS",
    "MONTHS",
    "DAYS",
    "HOURS",
    "MINUTES",
    "SECONDS",
    "MILLISECONDS",
    "TUMBLING",
    "HOPPING",
    "SIZE",
    "ADVANCE",
    "RETENTION",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "JOIN",
    "FULL",
    "OUTER",
    "INNER",
    "LEFT",
    "RIGHT",
    "ON",
    "WITH",
    "VALUES",
    "CREATE",
    "TABLE",
    "TOPIC",
    "STREAM",
    "STREAMS",
    "INSERT",
    "DELETE",
    "INTO",
    "DESCRIBE",
    "EXTENDED",
    "PRINT",
    "CAST",
    "LIST",
    "TOPICS",
    "QUERY",
    "QUERIES",
    "TERMINATE",
    "PAUSE",
    "RESUME",
    "LOAD",
    "DROP",
    "TO",
    "RENAME",
    "SAMPLE",
    "EXPORT",
    "CATALOG",
    "PROPERTIES",
    "BEGINNING",
    "UNSET",
    "RUN",
    "SCRIPT",
    "DECIMAL",
    "CONNECTOR",
    "CONNECTORS",
    "NAMESPACE",
    "MATERIALIZED",
    "VIEW",
];

/// True if `word` (in upper case) cannot be used as a name without quotes.
fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}

impl Name {
    /// True if `word`, in upper case, is a reserved word of the dialect.
    pub fn is_reserved_word(word: &str) -> bool {
        is_reserved(word)
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn names_are_quoted_only_where_reading_them_back_needs_it() {
        for (name, printed) in
            [("ORDERS", "ORDERS"), ("orders", "`orders`"), ("SELECT", "`SELECT`"), ("A`B", "`A``B`"), ("1A", "`1A`")]
        {
            assert_eq!(Name::from(name).to_string(), printed);
        }
    }
}
