//! Types as text.

use std::fmt;

use crate::sql::ast::{TypeName, TypeNameKind};

use super::write_list;

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TypeNameKind::Simple(ty) => write!(f, "{ty}"),
            TypeNameKind::Custom(name) => write!(f, "{name}"),
            TypeNameKind::Array(element) => write!(f, "ARRAY<{element}>"),
            TypeNameKind::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            TypeNameKind::Struct(fields) => {
                f.write_str("STRUCT<")?;
                write_list(f, fields, |f, (name, ty)| write!(f, "{name} {ty}"))?;
                f.write_str(">")
            }
        }
    }
}
