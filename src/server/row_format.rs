//! The three layouts of a streamed result (`rest-api.md` 6): delimited lines, one JSON array, rows as JSON objects.

use datafusion::arrow::array::RecordBatch;
use serde_json::json;

use super::value_json::{ValueWriter, string};
use crate::engine::ResultColumn;

/// How rows are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowFormat {
    /// A metadata line, then an array a line.
    Delimited,
    /// `[metadata,row,row]` without line ends.
    JsonArray,
    /// ksqlDB's `StreamedRow` objects, one a line.
    RowJson,
}

/// What the header of a result tells.
#[derive(Debug, Clone)]
pub(super) struct ResultHeader {
    /// The query's id.
    pub(super) query_id: String,
    /// Its columns.
    pub(super) columns: Vec<ResultColumn>,
    /// True for a push query: its header marks no keys, and its end always has a final message.
    pub(super) is_push: bool,
}

/// Writes a result in one layout.
///
/// Separators of [`RowFormat::RowJson`]: clients read line by line, so a push query's row is sent with its `,\n`,
/// which its final message makes legal; a pull query's elements carry the separator in front, for it may end without one.
#[derive(Debug)]
pub(super) struct RowWriter {
    format: RowFormat,
    is_push: bool,
}

impl RowWriter {
    /// A writer, and the bytes before the first row.
    pub(super) fn start(format: RowFormat, header: &ResultHeader, out: &mut Vec<u8>) -> Self {
        let names: Vec<&str> = header.columns.iter().map(|column| column.name.as_str()).collect();
        let types: Vec<String> = header.columns.iter().map(|column| column.ty.to_string()).collect();
        match format {
            RowFormat::Delimited | RowFormat::JsonArray => {
                let metadata =
                    json!({ "queryId": header.query_id, "columnNames": names, "columnTypes": types }).to_string();
                if format == RowFormat::JsonArray {
                    out.push(b'[');
                }
                out.extend_from_slice(metadata.as_bytes());
                if format == RowFormat::Delimited {
                    out.push(b'\n');
                }
            }
            RowFormat::RowJson => {
                let columns: Vec<String> = header
                    .columns
                    .iter()
                    .map(|column| {
                        let key = if column.is_key && !header.is_push { " KEY" } else { "" };
                        format!("{} {}{key}", column.name.quoted(), column.ty)
                    })
                    .collect();
                out.extend_from_slice(b"[{\"header\":{\"queryId\":");
                string(&header.query_id, out);
                out.extend_from_slice(b",\"schema\":");
                string(&columns.join(", "), out);
                out.extend_from_slice(b"}}");
                if header.is_push {
                    out.extend_from_slice(b",\n");
                }
            }
        }
        Self { format, is_push: header.is_push }
    }

    /// Appends rows from `from` on, until about `max_bytes` are in `out`; returns the row to go on with.
    /// Deletes are shown by row-JSON only.
    pub(super) fn rows(
        &self,
        rows: &RecordBatch,
        tombstones: Option<&[bool]>,
        from: usize,
        max_bytes: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        let columns: Vec<ValueWriter<'_>> = rows.columns().iter().map(ValueWriter::new).collect();
        for row in from..rows.num_rows() {
            if out.len() >= max_bytes {
                return row;
            }
            let is_tombstone = tombstones.is_some_and(|flags| flags.get(row).copied().unwrap_or(false));
            if is_tombstone && self.format != RowFormat::RowJson {
                continue;
            }
            self.open(out);
            if self.format == RowFormat::RowJson {
                out.extend_from_slice(b"{\"row\":{\"columns\":");
            }
            out.push(b'[');
            for (i, column) in columns.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                column.write(row, out);
            }
            out.push(b']');
            if self.format == RowFormat::RowJson {
                out.extend_from_slice(if is_tombstone { b",\"tombstone\":true}}" } else { b"}}" });
            }
            self.close(out);
        }
        rows.num_rows()
    }

    /// What stands before an element that is not the last.
    fn open(&self, out: &mut Vec<u8>) {
        match self.format {
            RowFormat::Delimited => {}
            RowFormat::JsonArray => out.push(b','),
            RowFormat::RowJson if self.is_push => {}
            RowFormat::RowJson => out.extend_from_slice(b",\n"),
        }
    }

    /// What stands behind an element that is not the last.
    fn close(&self, out: &mut Vec<u8>) {
        match self.format {
            RowFormat::Delimited => out.push(b'\n'),
            RowFormat::RowJson if self.is_push => out.extend_from_slice(b",\n"),
            RowFormat::JsonArray | RowFormat::RowJson => {}
        }
    }

    /// Ends the result. A push query always has a `message`.
    pub(super) fn finish(&self, message: Option<&str>, out: &mut Vec<u8>) {
        match self.format {
            RowFormat::Delimited => {}
            RowFormat::JsonArray => out.push(b']'),
            RowFormat::RowJson => {
                let message = message.or(self.is_push.then_some("Query Completed"));
                if let Some(message) = message {
                    self.open(out);
                    out.extend_from_slice(b"{\"finalMessage\":");
                    string(message, out);
                    out.push(b'}');
                }
                out.push(b']');
            }
        }
    }

    /// Ends the result with an error, whose body is the JSON object `error`.
    pub(super) fn fail(&self, error: &serde_json::Value, out: &mut Vec<u8>) {
        self.open(out);
        match self.format {
            RowFormat::Delimited => out.extend_from_slice(format!("{error}\n").as_bytes()),
            RowFormat::JsonArray => out.extend_from_slice(format!("{error}]").as_bytes()),
            RowFormat::RowJson => out.extend_from_slice(format!("{{\"errorMessage\":{error}}}]").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
    use serde_json::json;

    use super::{ResultHeader, RowFormat, RowWriter};
    use crate::engine::ResultColumn;
    use crate::types::SqlType;

    enum End {
        Message(Option<&'static str>),
        Error,
    }

    fn check(format: RowFormat, is_push: bool, tombstones: Option<&[bool]>, end: End) -> String {
        let columns = vec![
            ResultColumn { name: "ID".into(), ty: SqlType::BigInt, is_key: true },
            ResultColumn { name: "total".into(), ty: SqlType::Double, is_key: false },
        ];
        let header = ResultHeader { query_id: "q1".to_owned(), columns, is_push };
        let rows = RecordBatch::try_from_iter([
            ("0", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
            ("1", Arc::new(Float64Array::from(vec![Some(3.5), None])) as ArrayRef),
        ])
        .unwrap();
        let mut out = Vec::new();
        let writer = RowWriter::start(format, &header, &mut out);
        let mut next = 0;
        while next < 2 {
            let mut part = Vec::new();
            next = writer.rows(&rows, tombstones, next, 1, &mut part);
            out.extend(part);
        }
        match end {
            End::Message(message) => writer.finish(message, &mut out),
            End::Error => writer.fail(&json!({ "error_code": 50000 }), &mut out),
        }
        String::from_utf8(out).unwrap()
    }

    const METADATA: &str = r#"{"queryId":"q1","columnNames":["ID","total"],"columnTypes":["BIGINT","DOUBLE"]}"#;

    #[test]
    fn delimited() {
        assert_eq!(
            check(RowFormat::Delimited, true, None, End::Message(Some("Limit Reached"))),
            format!("{METADATA}\n[1,3.5]\n[2,null]\n")
        );
        assert_eq!(
            check(RowFormat::Delimited, true, Some(&[false, true]), End::Error),
            format!("{METADATA}\n[1,3.5]\n{{\"error_code\":50000}}\n")
        );
    }

    #[test]
    fn json_array() {
        assert_eq!(
            check(RowFormat::JsonArray, false, None, End::Message(None)),
            format!("[{METADATA},[1,3.5],[2,null]]")
        );
        assert_eq!(
            check(RowFormat::JsonArray, false, None, End::Error),
            format!("[{METADATA},[1,3.5],[2,null],{{\"error_code\":50000}}]")
        );
    }

    #[test]
    fn row_json_of_a_push_query() {
        assert_eq!(
            check(RowFormat::RowJson, true, Some(&[false, true]), End::Message(Some("Limit Reached"))),
            "[{\"header\":{\"queryId\":\"q1\",\"schema\":\"`ID` BIGINT, `total` DOUBLE\"}},\n\
             {\"row\":{\"columns\":[1,3.5]}},\n\
             {\"row\":{\"columns\":[2,null],\"tombstone\":true}},\n\
             {\"finalMessage\":\"Limit Reached\"}]"
        );
        assert!(
            check(RowFormat::RowJson, true, None, End::Error)
                .ends_with("{\"row\":{\"columns\":[2,null]}},\n{\"errorMessage\":{\"error_code\":50000}}]")
        );
    }

    #[test]
    fn row_json_of_a_pull_query_has_no_comma_before_the_bracket() {
        assert_eq!(
            check(RowFormat::RowJson, false, None, End::Message(None)),
            "[{\"header\":{\"queryId\":\"q1\",\"schema\":\"`ID` BIGINT KEY, `total` DOUBLE\"}},\n\
             {\"row\":{\"columns\":[1,3.5]}},\n\
             {\"row\":{\"columns\":[2,null]}}]"
        );
    }
}
