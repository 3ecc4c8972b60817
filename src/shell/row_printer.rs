//! The rows of a query as they come: boxes, JSON lines, CSV.

use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table};
use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::arguments::Output;
use super::render::{cell_text, csv_line};

/// Narrowest cell.
const MIN_CELL_WIDTH: usize = 5;
/// Width where the terminal does not tell.
const DEFAULT_TERMINAL_WIDTH: usize = 100;
/// Stands in the cells that a row has lost with its deletion; ksqlDB's word.
const TOMBSTONE: &str = "<TOMBSTONE>";
/// The member that marks a deleted row in JSON. No column that is not quoted has such a name.
const DELETED: &str = "@deleted";

/// Prints the rows of a query as they come: column widths are fixed by the terminal before the first row.
pub(super) struct RowPrinter {
    format: Output,
    names: Vec<String>,
    cell_width: usize,
}

impl RowPrinter {
    /// Prints the header.
    pub(super) fn start(format: Output, names: Vec<String>) -> Self {
        let cell_width = (terminal_width() / names.len().max(1)).saturating_sub(3).max(MIN_CELL_WIDTH);
        let printer = Self { format, names, cell_width };
        let _ = printer.header();
        printer
    }

    fn header(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self.format {
            Output::Table => {
                let rule = self.rule();
                writeln!(out, "{rule}")?;
                self.box_row(&mut out, &self.names)?;
                writeln!(out, "{rule}")
            }
            Output::Csv => writeln!(out, "{}", csv_line(&self.names)),
            Output::Json => Ok(()),
        }
    }

    /// Prints a row. One that is gone shows its key and `<TOMBSTONE>`; as JSON it has a member `@deleted`.
    ///
    /// # Errors
    /// Standard output is closed: whoever read it has enough.
    pub(super) fn row(&self, row: &[Value], is_delete: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self.format {
            Output::Table => self.box_row(&mut out, &cells(row, is_delete, "null"))?,
            Output::Json => writeln!(out, "{}", self.json(row, is_delete))?,
            Output::Csv => writeln!(out, "{}", csv_line(&cells(row, is_delete, "")))?,
        }
        out.flush()
    }

    fn json(&self, row: &[Value], is_delete: bool) -> Value {
        let cells = self.names.iter().cloned().zip(row.iter().cloned());
        Value::Object(cells.chain(is_delete.then(|| (DELETED.to_owned(), Value::Bool(true)))).collect())
    }

    /// Prints what closes the rows, and how the query ended.
    pub(super) fn finish(self, ended: Option<&str>) {
        if self.format == Output::Table {
            let _ = writeln!(io::stdout(), "{}", self.rule());
            if let Some(ended) = ended {
                let _ = writeln!(io::stdout(), "{ended}");
            }
        }
    }

    fn rule(&self) -> String {
        format!("+{}", format!("{}+", "-".repeat(self.cell_width)).repeat(self.names.len()))
    }

    /// A row of boxes; long values go on in further lines of the same row.
    fn box_row(&self, out: &mut dyn io::Write, cells: &[String]) -> io::Result<()> {
        let wrapped: Vec<Vec<String>> = cells.iter().map(|cell| wrap(cell, self.cell_width)).collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or(1);
        for line in 0..height {
            let mut text = String::from("|");
            for cell in &wrapped {
                let part = cell.get(line).map_or("", String::as_str);
                text.push_str(part);
                text.push_str(&" ".repeat(self.cell_width.saturating_sub(part.width())));
                text.push('|');
            }
            writeln!(out, "{text}")?;
        }
        Ok(())
    }
}

fn terminal_width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let table = Table::new().set_content_arrangement(ContentArrangement::Dynamic).width().map(usize::from);
    columns.or(table).unwrap_or(DEFAULT_TERMINAL_WIDTH)
}

/// Breaks a text into pieces of at most `width` terminal columns.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if c == '\n' || used + wide > width {
            lines.push(String::new());
            used = 0;
        }
        if c != '\n' {
            used += wide;
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
        }
    }
    lines
}

/// The cells of a row for people and CSV. Of a row that is gone all that is NULL is marked, or else the last cell.
fn cells(row: &[Value], is_delete: bool, null: &str) -> Vec<String> {
    let null = if is_delete { TOMBSTONE } else { null };
    let text = |value: &Value| if value.is_null() { null.to_owned() } else { cell_text(value) };
    let mut cells: Vec<String> = row.iter().map(text).collect();
    if is_delete
        && !row.iter().any(Value::is_null)
        && let Some(last) = cells.last_mut()
    {
        last.push(' ');
        last.push_str(TOMBSTONE);
    }
    cells
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Output, RowPrinter, cells, wrap};

    #[test]
    fn rows_that_are_gone_are_marked_in_every_format() {
        let row = [json!("a"), json!(null)];
        assert_eq!(cells(&row, false, "null"), ["a", "null"]);
        assert_eq!(cells(&row, false, ""), ["a", ""]);
        assert_eq!(cells(&row, true, "null"), ["a", "<TOMBSTONE>"]);
        assert_eq!(cells(&row[..1], true, ""), ["a <TOMBSTONE>"]);
        let printer = RowPrinter { format: Output::Json, names: vec!["K".into(), "N".into()], cell_width: 5 };
        assert_eq!(printer.json(&row, false).to_string(), r#"{"K":"a","N":null}"#);
        assert_eq!(printer.json(&row, true).to_string(), r#"{"K":"a","N":null,"@deleted":true}"#);
    }

    #[test]
    fn cells_wrap_by_terminal_columns() {
        assert_eq!(wrap("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(wrap("a\nb", 4), ["a", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
