//! Schemas of streams and tables: key, value and header columns, and the pseudo columns beside them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Name, SqlType};

/// Columns that every source has without declaring them, with their types. `WINDOWSTART` and `WINDOWEND` only
/// exist on windowed sources.
pub const PSEUDO_COLUMNS: [(&str, SqlType); 5] = [
    ("ROWTIME", SqlType::BigInt),
    ("ROWPARTITION", SqlType::Integer),
    ("ROWOFFSET", SqlType::BigInt),
    ("WINDOWSTART", SqlType::BigInt),
    ("WINDOWEND", SqlType::BigInt),
];

/// Where in a record a column lives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ColumnRole {
    /// In the record's key (`KEY` of a stream, `PRIMARY KEY` of a table).
    Key,
    /// In the record's value.
    Value,
    /// All headers of the record (`HEADERS`).
    Headers,
    /// The value of the last header of this name (`HEADER('name')`).
    Header(String),
}

/// A column of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Column {
    /// Name after the case rule.
    pub name: Name,
    /// Type.
    pub ty: SqlType,
    /// Where it lives.
    pub role: ColumnRole,
}

/// The columns of a source in declaration order. Names are unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schema {
    columns: Vec<Column>,
}

impl Schema {
    /// A schema of these columns; the caller has checked that no name occurs twice.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns }
    }

    /// All columns in declaration order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Key columns in order.
    pub fn key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.role == ColumnRole::Key)
    }

    /// Value columns in order, without header columns.
    pub fn value(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.role == ColumnRole::Value)
    }

    /// Header columns in order.
    pub fn headers(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| matches!(column.role, ColumnRole::Headers | ColumnRole::Header(_)))
    }

    /// The columns as `SELECT *` shows them: keys, values, headers.
    pub fn star(&self) -> impl Iterator<Item = &Column> {
        self.key().chain(self.value()).chain(self.headers())
    }

    /// The column of this name.
    pub fn column(&self, name: &Name) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == *name)
    }

    /// SQL column list: `` `ID` BIGINT KEY, `V` STRING``; keys of a table read `PRIMARY KEY`.
    pub fn display(&self, is_table: bool) -> String {
        let mut parts = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let role = match &column.role {
                ColumnRole::Key if is_table => " PRIMARY KEY".to_owned(),
                ColumnRole::Key => " KEY".to_owned(),
                ColumnRole::Value => String::new(),
                ColumnRole::Headers => " HEADERS".to_owned(),
                ColumnRole::Header(key) => format!(" HEADER('{}')", key.replace('\'', "''")),
            };
            parts.push(format!("{} {}{role}", column.name.quoted(), column.ty));
        }
        parts.join(", ")
    }
}

/// Kinds of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WindowType {
    /// Fixed size, no overlap.
    Tumbling,
    /// Fixed size, starting every advance.
    Hopping,
    /// As long as events keep coming within the gap.
    Session,
}

impl fmt::Display for WindowType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tumbling => "TUMBLING",
            Self::Hopping => "HOPPING",
            Self::Session => "SESSION",
        })
    }
}

/// The window suffix that keys of a windowed source carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowInfo {
    /// Kind of window.
    pub window_type: WindowType,
    /// Size in milliseconds; `None` for sessions.
    pub size_ms: Option<i64>,
}
