//! Paths into JSON: `$.name`, `$[0]`, `$["a name"]`.

use serde_json::Value as Json;

/// A compiled path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<String>);

impl JsonPath {
    /// Compiles a path.
    ///
    /// # Errors
    /// A sentence with the path that is none.
    pub(super) fn compile(path: &str) -> Result<Self, String> {
        let bad = || format!("Invalid JSON path: '{path}'");
        let mut rest = path.strip_prefix('$').ok_or_else(bad)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = if let Some(after) = rest.strip_prefix('.') {
                name(after, true)
            } else if let Some(after) = rest.strip_prefix("[\"") {
                quoted(after)
            } else if let Some(after) = rest.strip_prefix('[') {
                name(after, false).and_then(|(step, after)| Some((step, after.strip_prefix(']')?)))
            } else {
                None
            }
            .ok_or_else(bad)?;
            steps.push(step);
            rest = after;
        }
        Ok(Self(steps))
    }

    /// What stands at the path.
    pub(super) fn find<'a>(&self, json: &'a Json) -> Option<&'a Json> {
        self.0.iter().try_fold(json, |json, step| match json {
            Json::Array(elements) => elements.get(step.parse::<usize>().ok()?),
            Json::Object(entries) => entries.get(step),
            _ => None,
        })
    }
}

/// A name without quotes; after a dot it may hold colons and at-signs.
fn name(text: &str, after_dot: bool) -> Option<(String, &str)> {
    let part =
        |c: char| c.is_alphanumeric() || c == '_' || (after_dot && matches!(c, ':' | '@')) || (!after_dot && c == '-');
    let end = text.find(|c| !part(c)).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

/// A name up to `"]`, with escaped quotes and backslashes.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            '"' => return Some((name, text[at + 1..].strip_prefix(']')?)),
            other => name.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::JsonPath;

    #[test]
    fn paths_find_their_parts() {
        let json = serde_json::from_str(r#"{"a": [1, {"b c": "x"}], "d:e": 2}"#).expect("JSON");
        for (path, expected) in [
            ("$.a[0]", Some("1")),
            (r#"$.a[1]["b c"]"#, Some("\"x\"")),
            ("$.d:e", Some("2")),
            ("$.a[2]", None),
            ("$.a.x", None),
        ] {
            let found = JsonPath::compile(path).expect(path);
            assert_eq!(found.find(&json).map(ToString::to_string).as_deref(), expected, "{path}");
        }
        assert!(JsonPath::compile("a.b").is_err());
    }
}
