//! Types as written, before custom names are resolved.

use crate::diagnostics::{Code, Diagnostic, Span};
use crate::types::{Name, SqlType, StructField};

/// A type as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypeName {
    /// What it is.
    pub kind: TypeNameKind,
    /// Where it stands.
    pub span: Span,
}

/// Kinds of written types.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TypeNameKind {
    /// A type without parts other than numbers. Never ARRAY, MAP or STRUCT.
    Simple(SqlType),
    /// `ARRAY<T>`
    Array(Box<TypeName>),
    /// `MAP<K, V>`
    Map(Box<TypeName>, Box<TypeName>),
    /// `STRUCT<name type, …>`
    Struct(Vec<(Name, TypeName)>),
    /// A name that CREATE TYPE gave.
    Custom(Name),
}

impl TypeName {
    /// The SQL type, with custom names looked up through `custom`.
    ///
    /// # Errors
    /// [`Code::UnknownType`] at the name's place.
    pub fn resolve(&self, custom: &dyn Fn(&Name) -> Option<SqlType>) -> Result<SqlType, Diagnostic> {
        Ok(match &self.kind {
            TypeNameKind::Simple(ty) => ty.clone(),
            TypeNameKind::Array(element) => SqlType::Array(Box::new(element.resolve(custom)?)),
            TypeNameKind::Map(key, value) => {
                SqlType::Map(Box::new(key.resolve(custom)?), Box::new(value.resolve(custom)?))
            }
            TypeNameKind::Struct(fields) => SqlType::Struct(
                fields
                    .iter()
                    .map(|(name, ty)| Ok(StructField { name: name.clone(), ty: ty.resolve(custom)? }))
                    .collect::<Result<_, Diagnostic>>()?,
            ),
            TypeNameKind::Custom(name) => custom(name).ok_or_else(|| {
                Diagnostic::new(Code::UnknownType, format!("type {name} does not exist"))
                    .with_detail(format!("Cannot resolve unknown type: {}", name.as_str()))
                    .at(self.span)
            })?,
        })
    }
}

/// A written type that stands for `ty`, for plans that build expressions.
impl From<&SqlType> for TypeName {
    fn from(ty: &SqlType) -> Self {
        let kind = match ty {
            SqlType::Array(element) => TypeNameKind::Array(Box::new(Self::from(element.as_ref()))),
            SqlType::Map(key, value) => {
                TypeNameKind::Map(Box::new(Self::from(key.as_ref())), Box::new(Self::from(value.as_ref())))
            }
            SqlType::Struct(fields) => {
                TypeNameKind::Struct(fields.iter().map(|field| (field.name.clone(), Self::from(&field.ty))).collect())
            }
            simple => TypeNameKind::Simple(simple.clone()),
        };
        Self { kind, span: Span::UNKNOWN }
    }
}
