//! Typing of ARRAY[…], MAP(…) and STRUCT(…).

use std::collections::HashSet;

use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::Expr;
use crate::types::{Name, SqlType, StructField};

use super::{Analyzer, NodeId, Op};

impl Analyzer<'_> {
    pub(super) fn array(&mut self, elements: &[Expr]) -> Result<NodeId, Diagnostic> {
        if elements.is_empty() {
            return Err(Diagnostic::new(Code::TypeMismatch, "an ARRAY constructor needs an element").with_detail(
                "Array constructor cannot be empty. Please supply at least one element (see \
                 https://github.com/confluentinc/ksql/issues/4239).",
            ));
        }
        let Some((nodes, ty)) = self.one_type(elements.iter())? else {
            return Err(Diagnostic::new(Code::TypeMismatch, "all elements of the ARRAY are NULL").with_detail(
                "Cannot construct an array with all NULL elements (see \
                 https://github.com/confluentinc/ksql/issues/4239). As a workaround, you may cast a NULL value to the \
                 desired type.",
            ));
        };
        Ok(self.program.node(Op::Array, nodes, Some(SqlType::Array(Box::new(ty)))))
    }

    pub(super) fn map(&mut self, entries: &[(Expr, Expr)]) -> Result<NodeId, Diagnostic> {
        if entries.is_empty() {
            return Err(Diagnostic::new(Code::TypeMismatch, "a MAP constructor needs an entry")
                .with_detail("Map constructor cannot be empty. Please supply at least one key value pair."));
        }
        let keys = self.one_type(entries.iter().map(|(key, _)| key))?;
        let values = self.one_type(entries.iter().map(|(_, value)| value))?;
        let (Some((keys, key_type)), Some((values, value_type))) = (keys, values) else {
            return Err(Diagnostic::new(Code::TypeMismatch, "all keys or all values of the MAP are NULL").with_detail(
                "Cannot construct a map with all NULL keys or values. As a workaround, you may cast a NULL value to \
                 the desired type.",
            ));
        };
        let args = keys.into_iter().zip(values).flat_map(|(key, value)| [key, value]).collect();
        Ok(self.program.node(Op::Map, args, Some(SqlType::Map(Box::new(key_type), Box::new(value_type)))))
    }

    pub(super) fn structure(&mut self, given: &[(Name, Expr)]) -> Result<NodeId, Diagnostic> {
        let (mut nodes, mut fields, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for (name, value) in given {
            if !seen.insert(name) {
                return Err(Diagnostic::new(Code::DuplicateName, format!("field {name} stands twice in the STRUCT"))
                    .with_detail(format!("Duplicate field names found in STRUCT: '{}'", name.as_str()))
                    .at(value.span));
            }
            let node = self.analyze(value)?;
            let Some(ty) = self.type_of(node).cloned() else {
                return Err(Diagnostic::new(Code::TypeMismatch, format!("field {name} is a NULL without a type"))
                    .with_hint("CAST the NULL to the type it should have.")
                    .at(value.span));
            };
            nodes.push(node);
            fields.push(StructField { name: name.clone(), ty });
        }
        Ok(self.program.node(Op::Struct, nodes, Some(SqlType::Struct(fields.into()))))
    }

    /// Types a list and converts it to its one type; `None` if all elements are untyped NULLs.
    fn one_type<'e>(
        &mut self,
        exprs: impl Iterator<Item = &'e Expr>,
    ) -> Result<Option<(Vec<NodeId>, SqlType)>, Diagnostic> {
        let mut elements = Vec::new();
        for expr in exprs {
            elements.push((expr, self.analyze(expr)?));
        }
        self.unify(&elements)
    }
}
