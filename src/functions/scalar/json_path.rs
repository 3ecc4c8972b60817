//! Paths into JSON: `$.name`, `$[0]`, `$["a name"]`.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
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

    /// What stands at the path in a text whose first value is an object or an array. All of that value is read, but only
    /// what stands at the path is kept; of two entries of one name the last counts.
    ///
    /// # Errors
    /// The value is no JSON.
    pub(super) fn find_in(&self, text: &str) -> serde_json::Result<Option<Json>> {
        At { steps: &self.0 }.deserialize(&mut serde_json::Deserializer::from_str(text))
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

/// Reads a value for what stands at the end of some steps into it.
struct At<'p> {
    steps: &'p [String],
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<Json>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.steps.is_empty() {
            Json::deserialize(deserializer).map(Some)
        } else {
            deserializer.deserialize_any(self)
        }
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<Json>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let Some((step, steps)) = self.steps.split_first() else { return Ok(None) };
        let wanted = step.parse::<usize>().ok();
        let mut found = None;
        for i in 0.. {
            if wanted == Some(i) {
                match elements.next_element_seed(At { steps })? {
                    Some(element) => found = element,
                    None => break,
                }
            } else if elements.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let Some((step, steps)) = self.steps.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(wanted) = entries.next_key_seed(Is(step))? {
            if wanted {
                found = entries.next_value_seed(At { steps })?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Reads a key: is it this one?
struct Is<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
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
            let read = found.find_in(&json.to_string()).expect("JSON");
            assert_eq!(read.map(|json| json.to_string()).as_deref(), expected, "{path}");
        }
        assert!(JsonPath::compile("a.b").is_err());
        let path = JsonPath::compile("$.a.b").expect("a path");
        for (text, expected) in [
            (r#"{"a": {"b": 1.50}, "c": 1e400} behind"#, "1.50"),
            (r#"{"a": {"b": 1}, "a": {"b": 2}}"#, "2"),
            (r#"{"a": {"b": 1}, "a": 3}"#, "-"),
            (r#"{"a": 12.5}"#, "-"),
            (r#"[{"a": 1}]"#, "-"),
            (r#"{"a": {"b": 1}, "c": }"#, "error"),
            (r#"{"a": {"b": 1}"#, "error"),
        ] {
            let shown = match path.find_in(text) {
                Ok(found) => found.map_or_else(|| "-".to_owned(), |json| json.to_string()),
                Err(_) => "error".to_owned(),
            };
            assert_eq!(shown, expected, "{text}");
        }
    }
}
