//! What a person or program sees of results: boxes, JSON lines, CSV.

use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::arguments::Output;

/// Narrowest cell.
const MIN_CELL_WIDTH: usize = 5;
/// Width where the terminal does not tell.
const DEFAULT_TERMINAL_WIDTH: usize = 100;

/// Prints the rows of a query as they come: column widths are fixed by the terminal before the first row.
pub(super) struct RowPrinter {
    format: Output,
    names: Vec<String>,
    cell_width: usize,
}

impl RowPrinter {
    /// Prints the header. `columns` is the first line of a delimited answer.
    pub(super) fn start(format: Output, columns: &Value) -> Self {
        let texts = |member: &str| -> Vec<String> {
            let list = columns.get(member).and_then(Value::as_array);
            list.into_iter().flatten().map(|name| name.as_str().unwrap_or_default().to_owned()).collect()
        };
        let names = texts("columnNames");
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

    /// Prints a row.
    ///
    /// # Errors
    /// Standard output is closed: whoever read it has enough.
    pub(super) fn row(&self, row: &[Value]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self.format {
            Output::Table => {
                let cells: Vec<String> = row.iter().map(cell_text).collect();
                self.box_row(&mut out, &cells)?;
            }
            Output::Json => {
                let object: serde_json::Map<String, Value> =
                    self.names.iter().cloned().zip(row.iter().cloned()).collect();
                writeln!(out, "{}", Value::Object(object))?;
            }
            Output::Csv => {
                let cells: Vec<String> =
                    row.iter().map(|value| if value.is_null() { String::new() } else { cell_text(value) }).collect();
                writeln!(out, "{}", csv_line(&cells))?;
            }
        }
        out.flush()
    }

    /// Prints what closes the rows.
    pub(super) fn finish(self) {
        if self.format == Output::Table {
            let _ = writeln!(io::stdout(), "{}", self.rule());
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

/// A value as people read it: strings without quotes, maps and structs `{A=1}`.
fn cell_text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(cell_text).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}={}", cell_text(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn csv_line(cells: &[String]) -> String {
    let quoted = |cell: &String| {
        if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
    };
    cells.iter().map(quoted).collect::<Vec<_>>().join(",")
}

/// Prints the entities of `/ksql`.
pub(super) struct EntityPrinter {
    format: Output,
}

/// A list entity: its type, the member that holds the items, and a column heading with the item's member for each column.
type ListShape = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const LISTS: &[ListShape] = &[
    ("streams", "streams", SOURCE_COLUMNS),
    ("tables", "tables", SOURCE_COLUMNS),
    ("kafka_topics", "topics", &[("Topic", "name"), ("Partition Replicas", "replicaInfo")]),
    (
        "kafka_topics_extended",
        "topics",
        &[
            ("Topic", "name"),
            ("Partition Replicas", "replicaInfo"),
            ("Consumers", "consumerCount"),
            ("Consumer Groups", "consumerGroupCount"),
        ],
    ),
    (
        "queries",
        "queries",
        &[
            ("Query ID", "id"),
            ("Query Type", "queryType"),
            ("Status", "state"),
            ("Sink Name", "sinks"),
            ("Sink Topic", "sinkKafkaTopics"),
            ("Query String", "queryString"),
        ],
    ),
    ("properties", "properties", &[("Property", "name"), ("Scope", "scope"), ("Value", "value"), ("Level", "level")]),
    ("function_names", "functions", &[("Function Name", "name"), ("Type", "type"), ("Category", "category")]),
    ("variables", "variables", &[("Variable Name", "name"), ("Value", "value")]),
    (
        "connector_list",
        "connectors",
        &[("Connector Name", "name"), ("Type", "type"), ("Class", "className"), ("Status", "state")],
    ),
];

const SOURCE_COLUMNS: &[(&str, &str)] = &[
    ("Name", "name"),
    ("Topic", "topic"),
    ("Key Format", "keyFormat"),
    ("Value Format", "valueFormat"),
    ("Windowed", "isWindowed"),
];

impl EntityPrinter {
    /// A printer to standard output.
    pub(super) fn new(format: Output) -> Self {
        Self { format }
    }

    /// Prints one entity.
    pub(super) fn print(&self, entity: &Value) {
        let text = match self.format {
            Output::Json => entity.to_string(),
            Output::Table | Output::Csv => self.describe(entity),
        };
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}");
        for warning in entity.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            let message = warning.get("message").and_then(Value::as_str).unwrap_or_default();
            let _ = writeln!(out, "WARNING: {message}");
        }
    }

    fn describe(&self, entity: &Value) -> String {
        let kind = entity.get("@type").and_then(Value::as_str).unwrap_or_default();
        if let Some((_, member, columns)) = LISTS.iter().find(|(name, ..)| *name == kind) {
            let rows = entity.get(*member).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let cells = |row: &Value| columns.iter().map(|(_, member)| list_cell(&row[*member])).collect();
            return self.table(columns.iter().map(|(heading, _)| *heading), rows.iter().map(cells));
        }
        let text = |member: &str| entity.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind {
            "currentStatus" => entity["commandStatus"]["message"].as_str().unwrap_or_default().to_owned(),
            "warning_entity" => text("message"),
            "terminate_query" => format!("Terminated query \"{}\"", text("queryId")),
            "assert_topic" | "assert_schema" => "the assertion holds".to_owned(),
            "type_list" => {
                let types = entity.get("types").and_then(Value::as_object);
                let rows = types.into_iter().flatten().map(|(name, schema)| vec![name.clone(), type_text(schema)]);
                self.table(["Type Name", "Schema"].into_iter(), rows)
            }
            "sourceDescription" => self.source_description(&entity["sourceDescription"]),
            "source_descriptions" => {
                let all = entity["sourceDescriptions"].as_array().map_or(&[][..], Vec::as_slice);
                all.iter().map(|source| self.source_description(source)).collect::<Vec<_>>().join("\n\n")
            }
            "queryDescription" => query_description(&entity["queryDescription"]),
            "query_descriptions" => {
                let all = entity["queryDescriptions"].as_array().map_or(&[][..], Vec::as_slice);
                all.iter().map(query_description).collect::<Vec<_>>().join("\n\n")
            }
            "describe_function" => describe_function(entity),
            _ => serde_json::to_string_pretty(entity).unwrap_or_default(),
        }
    }

    fn table<'a>(&self, headings: impl Iterator<Item = &'a str>, rows: impl Iterator<Item = Vec<String>>) -> String {
        let headings: Vec<String> = headings.map(str::to_owned).collect();
        if self.format == Output::Csv {
            let lines = std::iter::once(headings).chain(rows).map(|cells| csv_line(&cells));
            return lines.collect::<Vec<_>>().join("\n");
        }
        let mut table = Table::new();
        table.load_style(presets::ASCII_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(headings);
        let mut count = 0;
        for row in rows {
            table.add_row(row);
            count += 1;
        }
        if count == 0 { format!("{table}\n(none)") } else { table.to_string() }
    }

    fn source_description(&self, source: &Value) -> String {
        let text = |member: &str| source[member].as_str().unwrap_or_default();
        let fields = source["fields"].as_array().map_or(&[][..], Vec::as_slice);
        let is_table = text("type") == "TABLE";
        let rows = fields.iter().map(|field| {
            let role = match field["type"].as_str() {
                Some("KEY") if is_table => " (primary key)".to_owned(),
                Some("KEY") => " (key)".to_owned(),
                Some("HEADER") => {
                    field["headerKey"].as_str().map_or(" (headers)".to_owned(), |key| format!(" (header('{key}'))"))
                }
                _ => String::new(),
            };
            vec![
                field["name"].as_str().unwrap_or_default().to_owned(),
                format!("{}{role}", type_text(&field["schema"])),
            ]
        });
        let table = self.table(["Field", "Type"].into_iter(), rows);
        let mut head = format!("Name                 : {}\n", text("name"));
        if source["extended"] == true {
            for (label, value) in [
                ("Type", text("type").to_owned()),
                (
                    "Timestamp field",
                    match text("timestamp") {
                        "" => "Not set - using <ROWTIME>".to_owned(),
                        column => column.to_owned(),
                    },
                ),
                ("Key format", text("keyFormat").to_owned()),
                ("Value format", text("valueFormat").to_owned()),
                ("Topic", format!("{} (partitions: {})", text("topic"), source["partitions"])),
                ("Statement", text("statement").to_owned()),
            ] {
                head.push_str(&format!("{label:<21}: {value}\n"));
            }
            for (label, member) in [("Read by", "readQueries"), ("Written by", "writeQueries")] {
                for query in source[member].as_array().into_iter().flatten() {
                    let (id, state) = (list_cell(&query["id"]), list_cell(&query["state"]));
                    head.push_str(&format!("{label:<21}: {id} ({state})\n"));
                }
            }
        }
        format!("{head}{table}")
    }
}

fn query_description(query: &Value) -> String {
    let mut text = String::new();
    for (label, member) in [
        ("ID", "id"),
        ("Query Type", "queryType"),
        ("State", "state"),
        ("Sources", "sources"),
        ("Sinks", "sinks"),
        ("SQL", "statementText"),
        ("Execution plan", "executionPlan"),
        ("Topology", "topology"),
    ] {
        let value = list_cell(&query[member]);
        if !value.is_empty() {
            let separator = if value.contains('\n') { "\n" } else { " " };
            text.push_str(&format!("{label:<15}:{separator}{value}\n"));
        }
    }
    text
}

fn describe_function(entity: &Value) -> String {
    let text = |member: &str| entity[member].as_str().unwrap_or_default();
    let mut out = format!(
        "Name        : {}\nType        : {}\nOverview    : {}\n",
        text("name"),
        text("type"),
        text("description")
    );
    for variation in entity["functions"].as_array().into_iter().flatten() {
        let arguments: Vec<String> = variation["arguments"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|argument| format!("{} {}", list_cell(&argument["name"]), list_cell(&argument["type"])))
            .collect();
        out.push_str(&format!("\nVariation   : {}({})\n", text("name"), arguments.join(", ")));
        out.push_str(&format!("Returns     : {}\n", list_cell(&variation["returnType"])));
        if let Some(description) = variation["description"].as_str().filter(|text| !text.is_empty()) {
            out.push_str(&format!("Description : {description}\n"));
        }
    }
    out
}

/// A member of an entity as a cell: lists with commas, equal items once.
fn list_cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Array(items) => {
            let all_equal = items.windows(2).all(|pair| pair[0] == pair[1]);
            match items.first() {
                Some(first @ Value::Number(_)) if all_equal => first.to_string(),
                _ => items.iter().map(list_cell).collect::<Vec<_>>().join(","),
            }
        }
        other => cell_text(other),
    }
}

/// SQL text of an API schema.
fn type_text(schema: &Value) -> String {
    match schema["type"].as_str().unwrap_or_default() {
        "STRING" => "VARCHAR(STRING)".to_owned(),
        "ARRAY" => format!("ARRAY<{}>", type_text(&schema["memberSchema"])),
        "MAP" => format!("MAP<STRING, {}>", type_text(&schema["memberSchema"])),
        "DECIMAL" => {
            format!("DECIMAL({}, {})", schema["parameters"]["precision"], schema["parameters"]["scale"])
        }
        "STRUCT" => {
            let fields = schema["fields"].as_array().into_iter().flatten();
            let fields: Vec<String> =
                fields.map(|field| format!("{} {}", list_cell(&field["name"]), type_text(&field["schema"]))).collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{EntityPrinter, Output, cell_text, csv_line, type_text, wrap};

    #[test]
    fn values_read_as_people_write_them() {
        assert_eq!(cell_text(&json!({"A": 1, "B": [null, "x"]})), "{A=1, B=[null, x]}");
    }

    #[test]
    fn cells_wrap_by_terminal_columns() {
        assert_eq!(wrap("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(wrap("a\nb", 4), ["a", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn csv_quotes_only_where_needed() {
        assert_eq!(csv_line(&["a".to_owned(), "b,\"c".to_owned()]), "a,\"b,\"\"c\"");
    }

    #[test]
    fn lists_become_tables_and_types_become_sql() {
        let entity = json!({"@type": "streams", "streams": [
            {"name": "S", "topic": "s", "keyFormat": "KAFKA", "valueFormat": "JSON", "isWindowed": false}]});
        let csv = EntityPrinter::new(Output::Csv).describe(&entity);
        assert_eq!(csv, "Name,Topic,Key Format,Value Format,Windowed\nS,s,KAFKA,JSON,false");
        let schema = json!({"type": "ARRAY", "memberSchema": {"type": "STRUCT", "fields": [
            {"name": "A", "schema": {"type": "INTEGER"}}]}});
        assert_eq!(type_text(&schema), "ARRAY<STRUCT<A INTEGER>>");
    }
}
