//! Statements that ask, set and steer: SHOW, DESCRIBE, EXPLAIN, PRINT, TERMINATE, SET, DEFINE, ASSERT and kin.

use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::{Assertion, Literal, QuerySelector, SourceKind, StatementKind, TopicName};
use crate::sql::lexer::TokenKind;
use crate::types::Name;

use super::{Parsed, Parser};

impl Parser<'_> {
    /// SHOW and LIST, which are the same.
    pub(super) fn show(&mut self) -> Parsed<StatementKind> {
        self.bump();
        let all = self.eat_word("ALL");
        if all && !self.at_word("TOPICS") {
            return Err(self.expected(&["TOPICS"]));
        }
        if self.eat_words(&["SOURCE", "CONNECTORS"]) {
            return Ok(StatementKind::ShowConnectors { sources: Some(true) });
        }
        if self.eat_words(&["SINK", "CONNECTORS"]) {
            return Ok(StatementKind::ShowConnectors { sources: Some(false) });
        }
        if self.eat_word("CONNECTOR") {
            self.expect_word("PLUGINS")?;
            return Ok(StatementKind::ShowConnectorPlugins);
        }
        let what =
            ["STREAMS", "TABLES", "TOPICS", "QUERIES", "FUNCTIONS", "PROPERTIES", "TYPES", "VARIABLES", "CONNECTORS"];
        let token = self.peek();
        let Some(word) = what.iter().find(|word| token.is_word(word)) else {
            return Err(self.expected(&what));
        };
        self.bump();
        Ok(match *word {
            "STREAMS" => StatementKind::ShowSources { kind: SourceKind::Stream, extended: self.eat_word("EXTENDED") },
            "TABLES" => StatementKind::ShowSources { kind: SourceKind::Table, extended: self.eat_word("EXTENDED") },
            "TOPICS" => StatementKind::ShowTopics { all, extended: self.eat_word("EXTENDED") },
            "QUERIES" => StatementKind::ShowQueries { extended: self.eat_word("EXTENDED") },
            "FUNCTIONS" => StatementKind::ShowFunctions,
            "PROPERTIES" => StatementKind::ShowProperties,
            "TYPES" => StatementKind::ShowTypes,
            "VARIABLES" => StatementKind::ShowVariables,
            _ => StatementKind::ShowConnectors { sources: None },
        })
    }

    pub(super) fn describe(&mut self) -> Parsed<StatementKind> {
        self.bump();
        if self.eat_word("CONNECTOR") {
            return Ok(StatementKind::DescribeConnector { name: self.ident("the name of a connector")? });
        }
        for (word, kind) in [("STREAMS", SourceKind::Stream), ("TABLES", SourceKind::Table)] {
            if self.eat_word(word) {
                return Ok(StatementKind::DescribeSources { kind, extended: self.eat_word("EXTENDED") });
            }
        }
        // FUNCTION is no reserved word: a stream may have this name.
        if self.at_word("FUNCTION") && self.peek_at(1).is_name() {
            self.bump();
            return Ok(StatementKind::DescribeFunction { name: self.ident("the name of a function")? });
        }
        if self.at_word("EXTENDED") && self.peek_at(1).is_name() {
            let name = self.peek_at(1).text;
            return Err(self
                .expected_what("the name of a stream or table")
                .with_hint(format!("EXTENDED stands behind the name: DESCRIBE {name} EXTENDED.")));
        }
        let name = self.source_name("the name of a stream or table")?;
        Ok(StatementKind::Describe { name, extended: self.eat_word("EXTENDED") })
    }

    pub(super) fn explain(&mut self) -> Parsed<StatementKind> {
        self.bump();
        if self.at_statement() {
            return Ok(StatementKind::ExplainStatement { statement: Box::new(self.statement()?) });
        }
        Ok(StatementKind::ExplainQuery { id: self.ident("a statement or the id of a query")? })
    }

    pub(super) fn print(&mut self) -> Parsed<StatementKind> {
        self.bump();
        let topic = self.topic("the name of a topic")?;
        let from_beginning = self.eat_word("FROM");
        if from_beginning {
            self.expect_word("BEGINNING")?;
        }
        let interval =
            if self.eat_word("INTERVAL") || self.eat_word("SAMPLE") { Some(self.count("a number")?) } else { None };
        let limit = if self.eat_word("LIMIT") { Some(self.count("a number of records")?) } else { None };
        Ok(StatementKind::Print { topic, from_beginning, interval, limit })
    }

    /// A topic or subject, which keeps its spelling.
    fn topic(&mut self, what: &str) -> Parsed<TopicName> {
        let token = self.peek();
        let name = match token.kind {
            TokenKind::String | TokenKind::Quoted => token.unquoted(),
            _ if token.is_name() => token.text.to_owned(),
            _ => return Err(self.expected_name(what)),
        };
        self.bump();
        Ok(TopicName { name, span: token.span })
    }

    pub(super) fn query_control(&mut self) -> Parsed<StatementKind> {
        let verb = self.bump();
        let selector = if self.eat_word("ALL") {
            QuerySelector::All
        } else {
            QuerySelector::One(self.ident("the id of a query, or ALL")?)
        };
        Ok(if verb.is_word("TERMINATE") {
            StatementKind::Terminate(selector)
        } else if verb.is_word("PAUSE") {
            StatementKind::Pause(selector)
        } else {
            StatementKind::Resume(selector)
        })
    }

    pub(super) fn set(&mut self) -> Parsed<StatementKind> {
        if self.bump().is_word("SET") {
            let (name, value) = self.setting()?;
            return Ok(StatementKind::Set { name, value });
        }
        Ok(StatementKind::Unset { name: self.string("the name of a setting as a string")?.0 })
    }

    /// `'name' = 'value'`
    pub(super) fn setting(&mut self) -> Parsed<(String, String)> {
        let (name, _) = self.string("the name of a setting as a string")?;
        self.expect_symbol("=")?;
        let (value, _) = self.string("the value as a string")?;
        Ok((name, value))
    }

    pub(super) fn define(&mut self) -> Parsed<StatementKind> {
        let verb = self.bump();
        let token = self.peek();
        if token.kind != TokenKind::Word || !token.is_name() || token.text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.expected_name("the name of a variable"));
        }
        self.bump();
        let name = Name::new(token.text.to_ascii_uppercase());
        if verb.is_word("UNDEFINE") {
            return Ok(StatementKind::Undefine { name });
        }
        self.expect_symbol("=")?;
        let (value, _) = self.string("the value as a string")?;
        Ok(StatementKind::Define { name, value })
    }

    pub(super) fn assert(&mut self) -> Parsed<StatementKind> {
        self.bump();
        let negated = self.eat_word("NOT");
        if negated {
            self.expect_word("EXISTS")?;
        }
        let what = if self.eat_word("TOPIC") {
            let topic = self.topic("the name of a topic")?;
            Assertion::Topic { topic, with: self.with_properties()? }
        } else if self.eat_word("SCHEMA") {
            self.schema_assertion()?
        } else {
            let found = self.expected(&["TOPIC", "SCHEMA", "NOT EXISTS"]);
            let is_test_only = ["VALUES", "NULL", "STREAM", "TABLE"].iter().any(|word| self.at_word(word));
            return Err(if is_test_only {
                found.with_hint("Assertions about records and sources belong to test scripts.")
            } else {
                found
            });
        };
        let timeout = if self.eat_word("TIMEOUT") { Some(self.duration()?) } else { None };
        Ok(StatementKind::Assert { negated, what, timeout })
    }

    /// After SCHEMA.
    fn schema_assertion(&mut self) -> Parsed<Assertion> {
        let subject = if self.eat_word("SUBJECT") { Some(self.topic("the name of a subject")?) } else { None };
        let id = if self.eat_word("ID") {
            let (literal, span) = self.literal()?;
            let Literal::Integer(id) = literal else {
                return Err(
                    Diagnostic::new(Code::SyntaxError, "the id of a schema is a whole number of 32 bits").at(span)
                );
            };
            Some(id)
        } else {
            None
        };
        if subject.is_none() && id.is_none() {
            return Err(self.expected(&["SUBJECT", "ID"]));
        }
        Ok(Assertion::Schema { subject, id })
    }
}
