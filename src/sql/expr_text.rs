//! Expressions as SQL text, for what is stored: `#[serde(with = "expr_text")]`.

use serde::{Deserialize, Deserializer, Serializer};

use super::ast::Expr;

pub(crate) fn serialize<S: Serializer>(expr: &Expr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(expr)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Expr, D::Error> {
    let text = String::deserialize(deserializer)?;
    super::parse_expression(&text).map_err(serde::de::Error::custom)
}
