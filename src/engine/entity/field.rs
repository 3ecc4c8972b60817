//! Columns and types as entities show them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::types::{Column, ColumnRole, Name, Schema, SqlType};

/// A column, or a field of a STRUCT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldInfo {
    /// Name.
    pub name: String,
    /// Type.
    pub schema: SchemaInfo,
    /// `KEY` or `HEADER`; left out for values and fields.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// The header's name, for `HEADER('name')`.
    #[serde(rename = "headerKey", skip_serializing_if = "Option::is_none")]
    pub header_key: Option<String>,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaInfo {
    /// Its bare name.
    #[serde(rename = "type")]
    pub base: &'static str,
    /// Fields of a STRUCT.
    pub fields: Option<Vec<FieldInfo>>,
    /// Elements of an ARRAY, values of a MAP.
    #[serde(rename = "memberSchema")]
    pub member: Option<Box<SchemaInfo>>,
    /// Precision and scale of a DECIMAL.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<&'static str, u32>,
}

impl FieldInfo {
    /// A column without a role.
    pub fn plain(name: &Name, ty: &SqlType) -> Self {
        Self { name: name.as_str().to_owned(), schema: SchemaInfo::from(ty), role: None, header_key: None }
    }

    /// The columns of a source: keys, values, headers.
    pub fn of_schema(schema: &Schema) -> Vec<Self> {
        schema.star().map(Self::from).collect()
    }
}

impl From<&Column> for FieldInfo {
    fn from(column: &Column) -> Self {
        let (role, header_key) = match &column.role {
            ColumnRole::Key => (Some("KEY"), None),
            ColumnRole::Value => (None, None),
            ColumnRole::Headers => (Some("HEADER"), None),
            ColumnRole::Header(key) => (Some("HEADER"), Some(key.clone())),
        };
        Self { role, header_key, ..Self::plain(&column.name, &column.ty) }
    }
}

impl From<&SqlType> for SchemaInfo {
    fn from(ty: &SqlType) -> Self {
        let mut info = Self { base: ty.base_name(), fields: None, member: None, parameters: BTreeMap::new() };
        match ty {
            SqlType::Decimal { precision, scale } => {
                info.parameters = BTreeMap::from([("precision", *precision), ("scale", *scale)]);
            }
            SqlType::Array(element) => info.member = Some(Box::new(Self::from(element.as_ref()))),
            SqlType::Map(_, value) => info.member = Some(Box::new(Self::from(value.as_ref()))),
            SqlType::Struct(fields) => {
                info.fields = Some(fields.iter().map(|field| FieldInfo::plain(&field.name, &field.ty)).collect());
            }
            SqlType::Boolean
            | SqlType::Integer
            | SqlType::BigInt
            | SqlType::Double
            | SqlType::String
            | SqlType::Bytes
            | SqlType::Time
            | SqlType::Date
            | SqlType::Timestamp => {}
        }
        info
    }
}

#[cfg(test)]
mod tests {
    use super::FieldInfo;
    use crate::types::{Column, ColumnRole, Schema, SqlType};

    #[test]
    fn keys_and_headers_are_marked_and_decimals_have_parameters() {
        let column = |name: &str, ty, role| Column { name: name.into(), ty, role };
        let schema = Schema::new(vec![
            column("V", SqlType::Decimal { precision: 4, scale: 2 }, ColumnRole::Value),
            column("H", SqlType::Bytes, ColumnRole::Header("abc".into())),
            column("ID", SqlType::Integer, ColumnRole::Key),
        ]);
        assert_eq!(
            serde_json::to_string(&FieldInfo::of_schema(&schema)).expect("fields serialise"),
            r#"[{"name":"ID","schema":{"type":"INTEGER","fields":null,"memberSchema":null},"type":"KEY"},"#.to_owned()
                + r#"{"name":"V","schema":{"type":"DECIMAL","fields":null,"memberSchema":null,"#
                + r#""parameters":{"precision":4,"scale":2}}},"#
                + r#"{"name":"H","schema":{"type":"BYTES","fields":null,"memberSchema":null},"type":"HEADER","#
                + r#""headerKey":"abc"}]"#
        );
    }
}
