//! A line of a streamed result as the shell reads it: ksqlDB's row-JSON, which alone tells deletes and final messages.
//!
//! ```text
//!   [{"header":{"queryId":"q1","schema":"`ID` BIGINT, `N` INTEGER"}},
//!   {"row":{"columns":[1,2]}},
//!   {"row":{"columns":[1,null],"tombstone":true}},
//!   {"finalMessage":"Limit Reached"}]
//! ```

use serde_json::Value;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowLine {
    /// Names of the columns.
    Header(Vec<String>),
    /// A row.
    Row {
        /// Its cells.
        cells: Vec<Value>,
        /// True if the row of this key is gone: only cells of the key are filled.
        is_delete: bool,
    },
    /// The query failed: the last line.
    Failed(String),
    /// How the query ended.
    Ended(String),
    /// Nothing to show.
    Nothing,
}

impl RowLine {
    /// Reads a line.
    ///
    /// # Errors
    /// It is no JSON.
    pub(super) fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        let line = line.trim_ascii();
        let line = line.strip_prefix(b"[").unwrap_or(line);
        let line = line.strip_suffix(b",").or_else(|| line.strip_suffix(b"]")).unwrap_or(line);
        if line.is_empty() {
            return Ok(Self::Nothing);
        }
        let Value::Object(mut told) = serde_json::from_slice(line)? else { return Ok(Self::Nothing) };
        if let Some(mut row) = told.remove("row") {
            let is_delete = row["tombstone"] == true;
            let Value::Array(cells) = row["columns"].take() else { return Ok(Self::Nothing) };
            return Ok(Self::Row { cells, is_delete });
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(if let Some(header) = told.get("header") {
            Self::Header(column_names(header["schema"].as_str().unwrap_or_default()))
        } else if let Some(error) = told.get("errorMessage") {
            Self::Failed(error["message"].as_str().unwrap_or("the query failed").to_owned())
        } else {
            told.get("finalMessage").map_or(Self::Nothing, |message| Self::Ended(text(message)))
        })
    }
}

/// The names in a list of columns: each begins the list or stands behind a comma outside of `<>` and `()`.
fn column_names(schema: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut characters = schema.chars().peekable();
    let (mut depth, mut is_name) = (0_usize, true);
    while let Some(character) = characters.next() {
        match character {
            '`' => {
                let mut name = String::new();
                while let Some(inner) = characters.next() {
                    if inner == '`' && characters.next_if_eq(&'`').is_none() {
                        break;
                    }
                    name.push(inner);
                }
                if is_name {
                    names.push(name);
                    is_name = false;
                }
            }
            '<' | '(' => depth += 1,
            '>' | ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => is_name = true,
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{RowLine, column_names};

    fn check(line: &str, expected: &RowLine) {
        assert_eq!(&RowLine::read(line.as_bytes()).expect("a line of JSON"), expected, "{line}");
    }

    #[test]
    fn lines_tell_rows_deletes_and_ends() {
        let row = |is_delete| RowLine::Row { cells: vec![json!(1), json!(null)], is_delete };
        check(r#"[{"header":{"queryId":"q","schema":"`ID` BIGINT"}},"#, &RowLine::Header(vec!["ID".to_owned()]));
        check(r#"{"row":{"columns":[1,null]}},"#, &row(false));
        check(r#"{"row":{"columns":[1,null]}}]"#, &row(false));
        check(r#"{"row":{"columns":[1,null],"tombstone":true}},"#, &row(true));
        check(r#"{"finalMessage":"Limit Reached"}]"#, &RowLine::Ended("Limit Reached".to_owned()));
        check(r#"{"errorMessage":{"error_code":50000,"message":"no"}}]"#, &RowLine::Failed("no".to_owned()));
        check("]", &RowLine::Nothing);
        assert!(RowLine::read(b"{").is_err());
    }

    #[test]
    fn names_are_those_outside_of_types() {
        let schema =
            "`ID` BIGINT KEY, `a``b, c` STRUCT<`X` DECIMAL(4, 2), `Y` MAP<STRING, INTEGER>>, `Z` DECIMAL(4, 2)";
        assert_eq!(column_names(schema), ["ID", "a`b, c", "Z"]);
        assert!(column_names("").is_empty());
    }
}
