//! Statements: which one it is, and INSERT.

use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::{Ident, InsertValues, Literal, Property, Statement, StatementKind};
use crate::sql::lexer::TokenKind;
use crate::types::Name;

use super::{MAX_STATEMENT_BYTES, Parsed, Parser, too_long};

/// Words that begin a statement.
const HEADS: [&str; 20] = [
    "SELECT",
    "CREATE",
    "INSERT",
    "DROP",
    "ALTER",
    "SHOW",
    "LIST",
    "DESCRIBE",
    "EXPLAIN",
    "PRINT",
    "TERMINATE",
    "PAUSE",
    "RESUME",
    "SET",
    "UNSET",
    "DEFINE",
    "UNDEFINE",
    "ASSERT",
    "RUN",
    "WITH",
];

/// Statements of the language, without the last two heads, which begin none.
const OFFERED: usize = HEADS.len() - 2;

impl Parser<'_> {
    /// A statement and its semicolon.
    pub(super) fn terminated_statement(&mut self) -> Parsed<Statement> {
        let statement = self.statement()?;
        let bytes = (statement.span.end.byte - statement.span.start.byte) as usize;
        if bytes > MAX_STATEMENT_BYTES {
            return Err(too_long(bytes).at(statement.span));
        }
        if self.eat_symbol(";") {
            return Ok(statement);
        }
        if self.peek().kind == TokenKind::End {
            return Err(Diagnostic::new(Code::SyntaxError, "the statement does not end with \";\"")
                .with_hint("Every statement, also the last, ends with a semicolon.")
                .at(self.peek().span));
        }
        Err(match statement.kind {
            StatementKind::Query(_) | StatementKind::CreateSourceAs(_) | StatementKind::InsertSelect { .. } => {
                self.unexpected_after_query()
            }
            _ => self.expected_what("\";\""),
        })
    }

    /// A statement without its semicolon.
    pub(super) fn statement(&mut self) -> Parsed<Statement> {
        self.enter()?;
        let first = self.peek().span;
        let kind = self.statement_kind()?;
        self.leave();
        Ok(Statement { kind, span: self.span_from(first) })
    }

    fn statement_kind(&mut self) -> Parsed<StatementKind> {
        let token = self.peek();
        let Some(head) = HEADS.iter().find(|head| token.is_word(head)) else {
            return Err(self.misspelt(self.expected_what("a statement"), &HEADS[..OFFERED]));
        };
        match *head {
            "SELECT" => Ok(StatementKind::Query(Box::new(self.query()?))),
            "CREATE" => self.create(),
            "INSERT" => self.insert(),
            "DROP" => self.drop_statement(),
            "ALTER" => self.alter(),
            "SHOW" | "LIST" => self.show(),
            "DESCRIBE" => self.describe(),
            "EXPLAIN" => self.explain(),
            "PRINT" => self.print(),
            "TERMINATE" | "PAUSE" | "RESUME" => self.query_control(),
            "SET" | "UNSET" => self.set(),
            "DEFINE" | "UNDEFINE" => self.define(),
            "ASSERT" => self.assert(),
            "RUN" => Err(self
                .expected_what("a statement")
                .with_hint("RUN SCRIPT is a command of the shell; send the script's statements instead.")),
            _ => Err(self.expected_what("a statement").with_hint("There are no common table expressions.")),
        }
    }

    /// True if the next word begins a statement rather than naming something.
    pub(super) fn at_statement(&self) -> bool {
        let begins = HEADS.iter().any(|head| self.at_word(head));
        begins && !matches!(self.peek_at(1).text, ";" | "")
    }

    fn insert(&mut self) -> Parsed<StatementKind> {
        self.bump();
        self.expect_word("INTO")?;
        let target = self.source_name("the name of a stream or table")?;
        if self.at_word("WITH") || self.at_word("SELECT") {
            let with = self.with_properties()?;
            return Ok(StatementKind::InsertSelect { target, with, query: Box::new(self.query()?) });
        }
        let has_columns = self.eat_symbol("(");
        let columns = if has_columns {
            let columns = self.comma_separated(|parser| parser.ident("a column name"))?;
            if !self.eat_symbol(")") {
                return Err(self.expected(&[",", ")"]));
            }
            columns
        } else {
            Vec::new()
        };
        if !self.eat_word("VALUES") {
            return Err(self.expected(if has_columns { &["VALUES"] } else { &["VALUES", "SELECT", "("] }));
        }
        self.expect_symbol("(")?;
        let values = if self.at_symbol(")") { Vec::new() } else { self.comma_separated(Self::value_expression)? };
        if !self.eat_symbol(")") {
            return Err(self.expected(&[",", ")"]));
        }
        if self.at_symbol(",") {
            return Err(self.expected_what("\";\"").with_hint("One INSERT writes one row."));
        }
        Ok(StatementKind::InsertValues(Box::new(InsertValues { target, columns, values })))
    }

    /// WITH and its properties, names upper-cased; empty if there is no WITH.
    pub(super) fn with_properties(&mut self) -> Parsed<Vec<Property>> {
        let mut with = self.properties()?;
        for property in &mut with {
            property.name.name = Name::new(property.name.name.as_str().to_ascii_uppercase());
        }
        Ok(with)
    }

    /// WITH and its properties, names as written; empty if there is no WITH.
    pub(super) fn properties(&mut self) -> Parsed<Vec<Property>> {
        if !self.eat_word("WITH") {
            return Ok(Vec::new());
        }
        self.expect_symbol("(")?;
        let properties = self.comma_separated(Self::property)?;
        if !self.eat_symbol(")") {
            return Err(self.expected(&[",", ")"]));
        }
        Ok(properties)
    }

    fn property(&mut self) -> Parsed<Property> {
        let name = if self.peek().kind == TokenKind::String {
            let (text, span) = self.string("the name of a property")?;
            Ident { name: Name::new(text), span }
        } else {
            self.ident("the name of a property")?
        };
        self.expect_symbol("=")?;
        if !self.at_literal() {
            let found = self.expected_what("a literal as the value");
            return Err(if found.hint.is_none() && self.peek().kind == TokenKind::Word {
                found.with_hint("Texts stand between single quotes.")
            } else {
                found
            });
        }
        let (value, value_span): (Literal, _) = self.literal()?;
        Ok(Property { name, value, value_span })
    }
}
