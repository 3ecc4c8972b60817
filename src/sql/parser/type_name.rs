//! Types as written.

use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::{TypeName, TypeNameKind};
use crate::sql::lexer::TokenKind;
use crate::types::{Name, SqlType};

use super::{Parsed, Parser};

impl Parser<'_> {
    /// A type. Leaves its height.
    pub(super) fn type_name(&mut self) -> Parsed<TypeName> {
        self.enter()?;
        let first = self.peek().span;
        self.height = 1;
        let kind = self.type_kind()?;
        let mut ty = TypeName { kind, span: self.span_from(first) };
        while self.at_word("ARRAY") && !self.peek_at(1).is_symbol("<") {
            self.bump();
            self.grow(self.height)?;
            ty = TypeName { kind: TypeNameKind::Array(Box::new(ty)), span: self.span_from(first) };
        }
        self.leave();
        Ok(ty)
    }

    fn type_kind(&mut self) -> Parsed<TypeNameKind> {
        let next = self.peek_at(1);
        if next.is_symbol("<") && self.eat_word("ARRAY") {
            self.bump();
            let element = self.type_name()?;
            self.expect_symbol(">")?;
            self.grow(self.height)?;
            return Ok(TypeNameKind::Array(Box::new(element)));
        }
        if next.is_symbol("<") && self.eat_word("MAP") {
            self.bump();
            let key = self.type_name()?;
            let below = self.height;
            self.expect_symbol(",")?;
            let value = self.type_name()?;
            self.expect_symbol(">")?;
            self.grow(below.max(self.height))?;
            return Ok(TypeNameKind::Map(Box::new(key), Box::new(value)));
        }
        if next.is_symbol("<>") && self.eat_word("STRUCT") {
            self.bump();
            return Ok(TypeNameKind::Struct(Vec::new()));
        }
        if next.is_symbol("<") && self.eat_word("STRUCT") {
            self.bump();
            return self.struct_fields();
        }
        if self.at_word("DECIMAL") {
            return self.decimal_type();
        }
        self.named_type()
    }

    fn struct_fields(&mut self) -> Parsed<TypeNameKind> {
        let field = |parser: &mut Self| -> Parsed<(Name, TypeName)> {
            Ok((parser.ident("a field name")?.name, parser.type_name()?))
        };
        let fields = if self.at_symbol(">") { Vec::new() } else { self.items(field)? };
        if !self.eat_symbol(">") {
            return Err(self.expected(&[",", ">"]));
        }
        self.grow(self.height)?;
        Ok(TypeNameKind::Struct(fields))
    }

    fn decimal_type(&mut self) -> Parsed<TypeNameKind> {
        let first = self.bump().span;
        self.expect_symbol("(")?;
        let precision = self.count("the precision")?;
        self.expect_symbol(",")?;
        let scale = self.count("the scale")?;
        self.expect_symbol(")")?;
        let wrong = |text: String| Diagnostic::new(Code::SyntaxError, text).at(self.span_from(first));
        if precision < 1 {
            return Err(wrong("the precision of a DECIMAL is at least 1".to_owned()));
        }
        if scale > precision {
            return Err(wrong(format!("the scale {scale} of a DECIMAL is above its precision {precision}")));
        }
        match (u32::try_from(precision), u32::try_from(scale)) {
            (Ok(precision), Ok(scale)) if precision <= SqlType::MAX_DECIMAL_PRECISION => {
                Ok(TypeNameKind::Simple(SqlType::Decimal { precision, scale }))
            }
            _ => Err(Diagnostic::new(
                Code::LimitExceeded,
                format!(
                    "the precision {precision} of a DECIMAL is above the {} digits supported",
                    SqlType::MAX_DECIMAL_PRECISION
                ),
            )
            .at(self.span_from(first))),
        }
    }

    /// A basic type or a custom one. `VARCHAR(10)` and `VARCHAR(STRING)` are taken and the parameter is ignored.
    fn named_type(&mut self) -> Parsed<TypeNameKind> {
        let name = self.ident("a type")?.name;
        if self.eat_symbol("(") {
            self.comma_separated(|parser| {
                if parser.peek().kind == TokenKind::Integer || parser.at_word("STRING") {
                    parser.bump();
                    Ok(())
                } else {
                    Err(parser.expected_what("STRING or a whole number"))
                }
            })?;
            self.expect_symbol(")")?;
        }
        Ok(match basic_type(name.as_str()) {
            Some(ty) => TypeNameKind::Simple(ty),
            None => TypeNameKind::Custom(name),
        })
    }
}

/// The type with this name, if it needs no parameters.
fn basic_type(name: &str) -> Option<SqlType> {
    Some(match name {
        "BOOLEAN" => SqlType::Boolean,
        "INT" | "INTEGER" => SqlType::Integer,
        "BIGINT" => SqlType::BigInt,
        "DOUBLE" => SqlType::Double,
        "STRING" | "VARCHAR" => SqlType::String,
        "BYTES" => SqlType::Bytes,
        "TIME" => SqlType::Time,
        "DATE" => SqlType::Date,
        "TIMESTAMP" => SqlType::Timestamp,
        _ => return None,
    })
}
