//! Trees to text: `Display` of expressions, types, queries and statements, on one line.
//!
//! Invariants:
//! - what is printed parses to an equal tree (spans aside);
//! - parentheses stand only where the tree needs them;
//! - a statement is printed without its semicolon, as its span has none.

mod expression;
mod masked;
mod query;
mod statement;
mod type_name;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::sql::ast::Statement;

pub use masked::masked;

/// A statement as answers show it after defaults were filled in: reformatted, with its semicolon.
pub fn statement_text(statement: &Statement) -> String {
    format!("{statement};")
}

/// A string literal: between single quotes, which are doubled inside.
fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}

/// Items with `, ` between them.
fn write_list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}
