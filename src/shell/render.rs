//! What a person or program sees of the answers to statements: tables, JSON, CSV.

use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::arguments::Output;

/// A value as people read it: strings without quotes, maps and structs `{A=1}`.
pub(super) fn cell_text(value: &Value) -> String {
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

/// Cells between commas, quoted where they must be.
pub(super) fn csv_line(cells: &[String]) -> String {
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
            let table = self.table(columns.iter().map(|(heading, _)| *heading), rows.iter().map(cells));
            let reasons = rows.iter().flat_map(|row| reasons(row, format!("{} is in ERROR", list_cell(&row["id"]))));
            let reasons = reasons.filter(|_| self.format == Output::Table);
            return std::iter::once(table).chain(reasons).collect::<Vec<_>>().join("\n");
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
        let window = source["windowType"].as_str();
        let windowed = window.map(|window| format!(" (Window type: {window})")).unwrap_or_default();
        let rows = fields.iter().map(|field| {
            let role = match field["type"].as_str() {
                Some("KEY") if is_table => format!(" (primary key){windowed}"),
                Some("KEY") => format!(" (key){windowed}"),
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
        if let Some(window) = window {
            let size =
                source["windowSizeMs"].as_u64().map(|ms| format!(" (SIZE {})", duration(ms))).unwrap_or_default();
            head.push_str(&format!("Windows              : {window}{size}; a row has WINDOWSTART and WINDOWEND\n"));
        }
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
                    head.extend(reasons(query, "Error".to_owned()).map(|reason| format!("  {reason}\n")));
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
        ("Window type", "windowType"),
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
        if member == "state" {
            text.extend(reasons(query, "Error          ".to_owned()).map(|reason| format!("{reason}\n")));
            for (name, value) in query["overriddenProperties"].as_object().into_iter().flatten() {
                text.push_str(&format!("{:<15}: {name} = {}\n", "Created with", list_cell(value)));
            }
        }
    }
    text
}

/// Why a query is in ERROR, a line each behind `label`.
fn reasons(query: &Value, label: String) -> impl Iterator<Item = String> {
    let errors = query["queryErrors"].as_array().into_iter().flatten();
    errors.map(move |error| format!("{label}: {}", error["errorMessage"].as_str().unwrap_or_default()))
}

/// A time span as statements write it: in the largest unit that divides it.
fn duration(ms: u64) -> String {
    let units = [("DAYS", 86_400_000), ("HOURS", 3_600_000), ("MINUTES", 60_000), ("SECONDS", 1_000)];
    match units.into_iter().find(|(_, size)| ms >= *size && ms.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{} {unit}", ms / size),
        None => format!("{ms} MILLISECONDS"),
    }
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

    use super::{EntityPrinter, Output, cell_text, csv_line, type_text};

    #[test]
    fn values_read_as_people_write_them() {
        assert_eq!(cell_text(&json!({"A": 1, "B": [null, "x"]})), "{A=1, B=[null, x]}");
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

    #[test]
    fn failed_queries_say_why_wherever_they_are_shown() {
        let query = json!({"id": "CSAS_X_1", "queryType": "PERSISTENT", "state": "ERROR", "sinks": [],
            "queryErrors": [{"errorMessage": "too big"}]});
        let printer = EntityPrinter::new(Output::Table);
        let list = printer.describe(&json!({"@type": "queries", "queries": [query]}));
        assert!(list.ends_with("\nCSAS_X_1 is in ERROR: too big"), "{list}");
        let explained = printer.describe(&json!({"@type": "queryDescription", "queryDescription": query}));
        assert!(explained.contains("State          : ERROR\nError          : too big\n"), "{explained}");
        let source = json!({"name": "X", "type": "STREAM", "extended": true, "writeQueries": [query]});
        let described = printer.describe(&json!({"@type": "sourceDescription", "sourceDescription": source}));
        assert!(described.contains("Written by           : CSAS_X_1 (ERROR)\n  Error: too big\n"), "{described}");
    }

    #[test]
    fn windowed_tables_say_so() {
        let field = json!({"name": "K", "type": "KEY", "schema": {"type": "INTEGER"}});
        let source =
            json!({"name": "T", "type": "TABLE", "windowType": "HOPPING", "windowSizeMs": 90_000, "fields": [field]});
        let told = EntityPrinter::new(Output::Csv)
            .describe(&json!({"@type": "sourceDescription", "sourceDescription": source}));
        assert_eq!(
            told,
            "Name                 : T\n\
             Windows              : HOPPING (SIZE 90 SECONDS); a row has WINDOWSTART and WINDOWEND\n\
             Field,Type\nK,INTEGER (primary key) (Window type: HOPPING)"
        );
    }
}
