//! Compares what a case expects with what a topic holds, by the rules of the corpus's README.

use serde_json::Value;

use super::number::Number;

/// A decoded value of a topic, with the kinds that comparison tells apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Actual {
    Null,
    Boolean(bool),
    /// A 32- or 64-bit integer.
    Integer(i64),
    /// A decimal, or any JSON number with a fraction or exponent, by its spelling.
    Decimal(Number),
    String(String),
    Array(Vec<Actual>),
    Object(Vec<(String, Actual)>),
}

impl Actual {
    /// A JSON text as the topic holds it.
    pub(crate) fn from_json(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Boolean(*bool),
            Value::Number(number) => {
                let token = number.to_string();
                match token.parse::<i64>() {
                    Ok(integer) => Self::Integer(integer),
                    Err(_) => Number::parse(&token).map_or(Self::String(token), Self::Decimal),
                }
            }
            Value::String(text) => Self::String(text.clone()),
            Value::Array(items) => Self::Array(items.iter().map(Self::from_json).collect()),
            Value::Object(fields) => {
                Self::Object(fields.iter().map(|(name, value)| (name.clone(), Self::from_json(value))).collect())
            }
        }
    }

    fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// Short text for difference reports.
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(bool) => bool.to_string(),
            Self::Integer(integer) => integer.to_string(),
            Self::Decimal(number) => number.plain(),
            Self::String(text) => format!("{text:?}"),
            Self::Array(items) => format!("[{}]", items.iter().map(Self::show).collect::<Vec<_>>().join(",")),
            Self::Object(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name:?}:{}", value.show())).collect();
                format!("{{{}}}", fields.join(","))
            }
        }
    }
}

/// How numbers with a fraction are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fractions {
    /// Value and scale.
    Exact,
    /// As doubles, within a tolerance.
    Doubles,
}

/// The tolerance of the corpus for doubles.
const DOUBLE_TOLERANCE: f64 = 0.000_001;

/// True if `actual` is what `expected` asks for.
pub(crate) fn matches(expected: &Value, actual: &Actual, fractions: Fractions) -> bool {
    match expected {
        Value::Null => actual.is_null(),
        Value::Bool(bool) => *actual == Actual::Boolean(*bool),
        Value::String(text) => match actual {
            Actual::String(actual) => actual == text,
            Actual::Decimal(actual) => Number::parse(text).is_some_and(|expected| expected == *actual),
            _ => false,
        },
        Value::Number(number) => number_matches(&number.to_string(), actual, fractions),
        Value::Array(items) => match actual {
            Actual::Array(actuals) => {
                items.len() == actuals.len()
                    && items.iter().zip(actuals).all(|(item, actual)| matches(item, actual, fractions))
            }
            _ => false,
        },
        Value::Object(fields) => match actual {
            Actual::Object(actuals) => {
                fields.len() == actuals.len()
                    && fields.iter().all(|(name, field)| {
                        let found = field_of(actuals, name).filter(|found| !found.is_null());
                        let found = found.or_else(|| field_of(actuals, &name.to_uppercase()));
                        matches(field, found.unwrap_or(&Actual::Null), fractions)
                    })
            }
            _ => false,
        },
    }
}

fn field_of<'a>(fields: &'a [(String, Actual)], name: &str) -> Option<&'a Actual> {
    fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
}

fn number_matches(token: &str, actual: &Actual, fractions: Fractions) -> bool {
    let Some(expected) = Number::parse(token) else { return false };
    match actual {
        Actual::Integer(actual) => expected.truncated() == Some(i128::from(*actual)),
        Actual::Decimal(actual) if fractions == Fractions::Doubles => {
            (expected.to_f64() - actual.to_f64()).abs() < DOUBLE_TOLERANCE
        }
        Actual::Decimal(actual) if Number::is_integer_token(token) => {
            actual.scale() <= 0 && expected.same_value(actual)
        }
        Actual::Decimal(actual) => expected == *actual,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Actual, Fractions, matches};

    fn check(expected: &str, actual: &str) -> bool {
        let actual: Value = serde_json::from_str(actual).unwrap();
        matches(&serde_json::from_str(expected).unwrap(), &Actual::from_json(&actual), Fractions::Exact)
    }

    #[test]
    fn integers_match_truncated_and_fractions_by_spelling() {
        assert!(check("5.0", "5"));
        assert!(!check("5", "5.0"));
        assert!(!check("1.10", "1.1"));
        assert!(check("1.0E10", "1.0E10"));
        assert!(!check("1.0E10", "10000000000.0"));
        assert!(check("\"1.10\"", "1.10"));
    }

    #[test]
    fn objects_match_by_name_then_by_upper_cased_name_and_by_count() {
        assert!(check(r#"{"a":1,"b":null}"#, r#"{"A":1,"B":null}"#));
        assert!(check(r#"{"b":null,"a":1}"#, r#"{"A":1,"X":2}"#), "an absent field counts as null");
        assert!(!check(r#"{"a":1}"#, r#"{"A":1,"B":null}"#));
        assert!(!check(r#"{"A":1}"#, r#"{"a":1}"#), "a lower-case field is not found by an upper-case name");
    }

    #[test]
    fn arrays_match_in_order() {
        assert!(check("[1,2]", "[1,2]"));
        assert!(!check("[1,2]", "[2,1]"));
        assert!(!check("[1]", "[1,2]"));
    }
}
