//! CREATE, DROP and ALTER.

use crate::sql::ast::{
    ColumnDefinition, ColumnDefinitionRole, CreateSource, CreateSourceAs, Ident, SourceKind, StatementKind, TypeName,
};

use super::{Parsed, Parser};

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Parsed<StatementKind> {
        self.bump();
        if self.eat_word("TYPE") {
            let if_not_exists = self.if_not_exists()?;
            let name = self.ident("the name of a type")?;
            self.expect_word("AS")?;
            return Ok(StatementKind::CreateType { if_not_exists, name, ty: self.type_name()? });
        }
        if self.at_words(&["SOURCE", "CONNECTOR"]) || self.at_words(&["SINK", "CONNECTOR"]) {
            return self.create_connector();
        }
        let or_replace = self.eat_words(&["OR", "REPLACE"]);
        if self.eat_word("FUNCTION") {
            return self.create_function(or_replace);
        }
        let read_only = self.eat_word("SOURCE");
        let Some(kind) = self.source_kind() else {
            let words: &[&str] = match (or_replace, read_only) {
                (false, false) => &[
                    "STREAM",
                    "TABLE",
                    "OR REPLACE",
                    "SOURCE",
                    "TYPE",
                    "FUNCTION",
                    "SOURCE CONNECTOR",
                    "SINK CONNECTOR",
                ],
                (true, false) => &["STREAM", "TABLE", "SOURCE", "FUNCTION"],
                (_, true) => &["STREAM", "TABLE"],
            };
            return Err(self.expected(words));
        };
        let if_not_exists = self.if_not_exists()?;
        let name = self.source_name(&format!("the name of a {}", kind.noun()))?;
        let has_columns = self.at_symbol("(");
        let columns = if has_columns { self.columns()? } else { Vec::new() };
        let with = self.with_properties()?;
        if !has_columns && !read_only && self.eat_word("AS") {
            let query = self.query()?;
            return Ok(StatementKind::CreateSourceAs(Box::new(CreateSourceAs {
                or_replace,
                kind,
                if_not_exists,
                name,
                with,
                query,
            })));
        }
        if self.at_word("AS") {
            let why = if has_columns { "columns are declared" } else { "SOURCE makes it read-only" };
            return Err(self.expected_what("\";\"").with_hint(format!("AS SELECT cannot follow where {why}.")));
        }
        let after_name = !has_columns && with.is_empty();
        if after_name && !self.at_symbol(";") && self.peek().kind != crate::sql::lexer::TokenKind::End {
            return Err(self.expected(&["(", "WITH", "AS SELECT", ";"]));
        }
        Ok(StatementKind::CreateSource(Box::new(CreateSource {
            or_replace,
            read_only,
            kind,
            if_not_exists,
            name,
            columns,
            with,
        })))
    }

    fn create_connector(&mut self) -> Parsed<StatementKind> {
        let is_source = self.bump().is_word("SOURCE");
        self.bump();
        let if_not_exists = self.if_not_exists()?;
        let name = self.ident("the name of a connector")?;
        if !self.at_word("WITH") {
            return Err(self.expected(&["WITH"]));
        }
        Ok(StatementKind::CreateConnector { is_source, if_not_exists, name, with: self.properties()? })
    }

    /// STREAM or TABLE.
    pub(super) fn source_kind(&mut self) -> Option<SourceKind> {
        if self.eat_word("STREAM") {
            Some(SourceKind::Stream)
        } else if self.eat_word("TABLE") {
            Some(SourceKind::Table)
        } else {
            None
        }
    }

    pub(super) fn if_not_exists(&mut self) -> Parsed<bool> {
        // IF is no reserved word: a stream may have this name.
        if !self.at_words(&["IF", "NOT"]) {
            return Ok(false);
        }
        self.expect_words(&["IF", "NOT", "EXISTS"])?;
        Ok(true)
    }

    fn if_exists(&mut self) -> bool {
        self.eat_words(&["IF", "EXISTS"])
    }

    fn columns(&mut self) -> Parsed<Vec<ColumnDefinition>> {
        self.expect_symbol("(")?;
        let columns = self.comma_separated(Self::column_definition)?;
        if !self.eat_symbol(")") {
            return Err(self.expected(&["KEY", "PRIMARY KEY", "HEADERS", "HEADER", ",", ")"]));
        }
        Ok(columns)
    }

    fn column_definition(&mut self) -> Parsed<ColumnDefinition> {
        let name = self.ident("a column name")?;
        let ty = self.type_name()?;
        let role = if self.eat_word("PRIMARY") {
            self.expect_word("KEY")?;
            ColumnDefinitionRole::PrimaryKey
        } else if self.eat_word("KEY") {
            ColumnDefinitionRole::Key
        } else if self.eat_word("HEADERS") {
            ColumnDefinitionRole::Headers
        } else if self.eat_word("HEADER") {
            self.expect_symbol("(")?;
            let (key, _) = self.string("the name of a header as a string")?;
            self.expect_symbol(")")?;
            ColumnDefinitionRole::Header(key)
        } else {
            ColumnDefinitionRole::Value
        };
        Ok(ColumnDefinition { name, ty, role })
    }

    pub(super) fn drop_statement(&mut self) -> Parsed<StatementKind> {
        self.bump();
        if self.eat_word("TYPE") {
            let if_exists = self.if_exists();
            return Ok(StatementKind::DropType { if_exists, name: self.ident("the name of a type")? });
        }
        if self.eat_word("FUNCTION") {
            let if_exists = self.if_exists();
            return Ok(StatementKind::DropFunction { if_exists, name: self.ident("the name of a function")? });
        }
        if self.eat_word("CONNECTOR") {
            let if_exists = self.if_exists();
            return Ok(StatementKind::DropConnector { if_exists, name: self.ident("the name of a connector")? });
        }
        let Some(kind) = self.source_kind() else {
            return Err(self.expected(&["STREAM", "TABLE", "TYPE", "FUNCTION", "CONNECTOR"]));
        };
        let if_exists = self.if_exists();
        let name = self.source_name(&format!("the name of a {}", kind.noun()))?;
        let delete_topic = self.eat_word("DELETE");
        if delete_topic {
            self.expect_word("TOPIC")?;
        }
        Ok(StatementKind::DropSource { kind, if_exists, name, delete_topic })
    }

    pub(super) fn alter(&mut self) -> Parsed<StatementKind> {
        self.bump();
        if self.eat_word("SYSTEM") {
            let (name, value) = self.setting()?;
            return Ok(StatementKind::AlterSystem { name, value });
        }
        let Some(kind) = self.source_kind() else {
            return Err(self.expected(&["STREAM", "TABLE", "SYSTEM"]));
        };
        let name = self.source_name(&format!("the name of a {}", kind.noun()))?;
        let columns = self.comma_separated(|parser| -> Parsed<(Ident, TypeName)> {
            parser.expect_word("ADD")?;
            // COLUMN is no reserved word: a column may have this name, and then its type is next.
            if parser.at_word("COLUMN") && parser.peek_at(1).is_name() && !parser.type_ends_at(2) {
                parser.bump();
            }
            Ok((parser.ident("a column name")?, parser.type_name()?))
        })?;
        Ok(StatementKind::AlterSource { kind, name, columns })
    }

    /// True if the type that starts one token earlier cannot go on at the token `n` after the next.
    fn type_ends_at(&self, n: usize) -> bool {
        matches!(self.peek_at(n).text, "," | ";" | "(" | "<" | "<>" | "")
    }
}
