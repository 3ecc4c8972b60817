//! Parameter types of functions, written as users read them, and what types bind to them.
//!
//! ```text
//!   "str STRING, pos INTEGER!"           two parameters, the second fails on NULL
//!   "first T, others T..."               a generic type, bound once; the last may stand any number of times
//!   "list ARRAY<T>, f T => R"            a lambda from T to R
//! ```

use std::collections::BTreeMap;
use std::fmt;

use crate::types::SqlType;

/// What a parameter takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamType {
    /// Exactly one SQL type. In built-in functions never DECIMAL, ARRAY, MAP or STRUCT.
    Simple(SqlType),
    /// DECIMAL of any precision and scale.
    Decimal,
    /// A unit of time as a bare word.
    Unit,
    /// Any type; the same wherever the name stands.
    Generic(char),
    /// Any type, each time another.
    Any,
    /// ARRAY of a type.
    Array(Box<ParamType>),
    /// MAP of types.
    Map(Box<ParamType>, Box<ParamType>),
    /// A lambda from parameters to a result.
    Lambda(Vec<ParamType>, Box<ParamType>),
}

/// Types that generics are bound to.
pub(crate) type Bindings = BTreeMap<char, SqlType>;

impl ParamType {
    /// Reads a type as signatures write it.
    ///
    /// # Panics
    /// If the text is no type: signatures are constants of this program.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        if let Some((params, result)) = text.split_once("=>") {
            let params = params.trim().trim_start_matches('(').trim_end_matches(')');
            return Self::Lambda(params.split(',').map(Self::parse).collect(), Box::new(Self::parse(result)));
        }
        if let Some(inner) = text.strip_prefix("ARRAY<").and_then(|rest| rest.strip_suffix('>')) {
            return Self::Array(Box::new(Self::parse(inner)));
        }
        if let Some(inner) = text.strip_prefix("MAP<").and_then(|rest| rest.strip_suffix('>')) {
            let (key, value) = inner.split_once(',').unwrap_or_else(|| panic!("a MAP has two types: {text}"));
            return Self::Map(Box::new(Self::parse(key)), Box::new(Self::parse(value)));
        }
        Self::Simple(match text {
            "BOOLEAN" => SqlType::Boolean,
            "INTEGER" => SqlType::Integer,
            "BIGINT" => SqlType::BigInt,
            "DOUBLE" => SqlType::Double,
            "STRING" => SqlType::String,
            "BYTES" => SqlType::Bytes,
            "TIME" => SqlType::Time,
            "DATE" => SqlType::Date,
            "TIMESTAMP" => SqlType::Timestamp,
            "DECIMAL" => return Self::Decimal,
            "UNIT" => return Self::Unit,
            "ANY" => return Self::Any,
            generic => {
                let mut chars = generic.chars();
                match (chars.next(), chars.next()) {
                    (Some(name), None) => return Self::Generic(name),
                    _ => panic!("no type of a signature: {text}"),
                }
            }
        })
    }

    /// True if a value of `given` is taken as it is. Binds generics.
    pub(crate) fn accepts(&self, given: &SqlType, bindings: &mut Bindings) -> bool {
        match (self, given) {
            (Self::Simple(ty), given) => ty == given,
            (Self::Decimal, SqlType::Decimal { .. }) | (Self::Any, _) => true,
            (Self::Generic(name), given) => bindings.entry(*name).or_insert_with(|| given.clone()) == given,
            (Self::Array(element), SqlType::Array(given)) => element.accepts(given, bindings),
            (Self::Map(key, value), SqlType::Map(given_key, given_value)) => {
                key.accepts(given_key, bindings) && value.accepts(given_value, bindings)
            }
            _ => false,
        }
    }

    /// The type that a value of `given` is silently converted to here, if there is one.
    pub(crate) fn widened(&self, given: &SqlType) -> Option<SqlType> {
        match (self, given) {
            (Self::Simple(ty), given) if crate::expressions::widens(given, ty) => Some(ty.clone()),
            (Self::Decimal, SqlType::Integer) => Some(SqlType::Decimal { precision: 10, scale: 0 }),
            (Self::Decimal, SqlType::BigInt) => Some(SqlType::Decimal { precision: 19, scale: 0 }),
            _ => None,
        }
    }

    /// The SQL type with generics filled in; `None` if one is not bound, or no value has such a type.
    pub(crate) fn bound(&self, bindings: &Bindings) -> Option<SqlType> {
        Some(match self {
            Self::Simple(ty) => ty.clone(),
            Self::Generic(name) => bindings.get(name)?.clone(),
            Self::Array(element) => SqlType::Array(Box::new(element.bound(bindings)?)),
            Self::Map(key, value) => SqlType::Map(Box::new(key.bound(bindings)?), Box::new(value.bound(bindings)?)),
            Self::Decimal | Self::Any | Self::Unit | Self::Lambda(..) => return None,
        })
    }

    /// True if a generic stands in it.
    pub(crate) fn has_generic(&self) -> bool {
        match self {
            Self::Generic(_) => true,
            Self::Array(element) => element.has_generic(),
            Self::Map(key, value) => key.has_generic() || value.has_generic(),
            Self::Lambda(params, result) => result.has_generic() || params.iter().any(Self::has_generic),
            Self::Simple(_) | Self::Decimal | Self::Any | Self::Unit => false,
        }
    }
}

/// As signatures write it; a unit is an `INTERVALUNIT`, as in ksqlDB.
impl fmt::Display for ParamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(ty) => write!(f, "{ty}"),
            Self::Decimal => f.write_str("DECIMAL"),
            Self::Any => f.write_str("ANY"),
            Self::Unit => f.write_str("INTERVALUNIT"),
            Self::Generic(name) => write!(f, "{name}"),
            Self::Array(element) => write!(f, "ARRAY<{element}>"),
            Self::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            Self::Lambda(params, result) => {
                let params = params.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                write!(f, "LAMBDA ({params}) => {result}")
            }
        }
    }
}

/// A parameter of an overload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Name, for people.
    pub name: String,
    /// What it takes.
    pub ty: ParamType,
    /// True if NULL is an error here and not a value.
    pub fails_on_null: bool,
    /// True if it may stand any number of times.
    pub variadic: bool,
}

impl Param {
    /// Reads a list of parameters as signatures write it.
    pub(crate) fn parse_list(text: &str) -> Vec<Self> {
        let mut params = Vec::new();
        let (mut depth, mut start) = (0_i32, 0);
        for (at, c) in text.char_indices().chain([(text.len(), ',')]) {
            match c {
                '<' | '(' => depth += 1,
                // The `>` of `=>` closes nothing.
                '>' if !text[..at].ends_with('=') => depth -= 1,
                ')' => depth -= 1,
                ',' if depth == 0 => {
                    let one = text[start..at].trim();
                    start = at + 1;
                    if !one.is_empty() {
                        params.push(Self::parse(one));
                    }
                }
                _ => {}
            }
        }
        params
    }

    fn parse(text: &str) -> Self {
        let (name, ty) = text.split_once(' ').unwrap_or_else(|| panic!("a parameter has a name and a type: {text}"));
        let (ty, variadic) = ty.strip_suffix("...").map_or((ty, false), |ty| (ty, true));
        let (ty, fails_on_null) = ty.strip_suffix('!').map_or((ty, false), |ty| (ty, true));
        Self { name: name.to_owned(), ty: ParamType::parse(ty), fails_on_null, variadic }
    }
}

#[cfg(test)]
mod tests {
    use super::Param;

    #[test]
    fn signatures_read_back() {
        let params = Param::parse_list("m MAP<K, V>, f (K, V) => R, n INTEGER!, more STRING...");
        let shown: Vec<String> =
            params.iter().map(|p| format!("{} {} {} {}", p.name, p.ty, p.fails_on_null, p.variadic)).collect();
        assert_eq!(
            shown,
            [
                "m MAP<K, V> false false",
                "f LAMBDA (K, V) => R false false",
                "n INTEGER true false",
                "more STRING false true"
            ]
        );
    }
}
