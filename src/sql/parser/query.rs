//! SELECT: its clauses, in the one order the grammar has.

use std::time::Duration;

use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::{
    Emit, Expr, ExprKind, Ident, Join, JoinKind, Query, Relation, SelectItem, WindowClause, WindowKind, Within,
};

use super::error::describe;
use super::{Parsed, Parser};
use crate::sql::lexer::Token;

/// Units of time in windows, with their milliseconds.
const UNITS: [(&str, u64); 10] = [
    ("DAY", 86_400_000),
    ("DAYS", 86_400_000),
    ("HOUR", 3_600_000),
    ("HOURS", 3_600_000),
    ("MINUTE", 60_000),
    ("MINUTES", 60_000),
    ("SECOND", 1_000),
    ("SECONDS", 1_000),
    ("MILLISECOND", 1),
    ("MILLISECONDS", 1),
];

/// Words that may follow FROM, for near misses.
const AFTER_FROM: [&str; 14] = [
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "WINDOW",
    "WHERE",
    "GROUP",
    "PARTITION",
    "HAVING",
    "EMIT",
    "CHANGES",
    "FINAL",
    "LIMIT",
];

impl Parser<'_> {
    /// A query, from SELECT on.
    pub(super) fn query(&mut self) -> Parsed<Query> {
        let first = self.peek().span;
        self.expect_word("SELECT")?;
        let select = self.comma_separated(Self::select_item)?;
        if !self.eat_word("FROM") {
            return Err(self.expected(&[",", "FROM"]));
        }
        let from = self.relation()?;
        let mut joins = Vec::new();
        while let Some(join) = self.join()? {
            joins.push(join);
        }
        if self.at_symbol(",") {
            let hint = "Sources are not joined by commas: write FROM a JOIN b ON a.x = b.x.";
            return Err(self.unexpected_after_query().with_hint(hint));
        }
        let window = if self.at_word("WINDOW") { Some(self.window()?) } else { None };
        let filter = if self.eat_word("WHERE") { Some(self.expression()?) } else { None };
        let group_by = if self.eat_words(&["GROUP", "BY"]) { self.grouping("GROUP BY")? } else { Vec::new() };
        let partition_by =
            if self.eat_words(&["PARTITION", "BY"]) { self.grouping("PARTITION BY")? } else { Vec::new() };
        let having = if self.eat_word("HAVING") { Some(self.expression()?) } else { None };
        let emit = self.emit()?;
        let limit = if self.eat_word("LIMIT") { Some(self.count("a number of rows")?) } else { None };
        Ok(Query {
            select,
            from,
            joins,
            window,
            filter,
            group_by,
            partition_by,
            having,
            emit,
            limit,
            span: self.span_from(first),
        })
    }

    fn emit(&mut self) -> Parsed<Option<Emit>> {
        if !self.eat_word("EMIT") {
            return Ok(None);
        }
        if self.eat_word("CHANGES") {
            Ok(Some(Emit::Changes))
        } else if self.eat_word("FINAL") {
            Ok(Some(Emit::Final))
        } else {
            Err(self.expected(&["CHANGES", "FINAL"]))
        }
    }

    fn select_item(&mut self) -> Parsed<SelectItem> {
        let first = self.peek().span;
        if self.eat_symbol("*") {
            return Ok(SelectItem::Star { qualifier: None, span: first });
        }
        if self.peek_at(1).is_symbol(".") && self.peek_at(2).is_symbol("*") {
            let qualifier = Some(self.source_name("the name of a source")?);
            self.at += 2;
            return Ok(SelectItem::Star { qualifier, span: self.span_from(first) });
        }
        let expr = self.expression()?;
        if self.at_symbol("->") && self.peek_at(1).is_symbol("*") {
            if is_operator(&expr) {
                return Err(Diagnostic::new(Code::SyntaxError, "->* applies to a column or field, not to an operator")
                    .at(self.peek().span));
            }
            self.at += 2;
            return Ok(SelectItem::StructStar { base: expr, span: self.span_from(first) });
        }
        let alias = if self.eat_word("AS") || self.peek().is_name() { Some(self.ident("an alias")?) } else { None };
        Ok(SelectItem::Expr { expr, alias })
    }

    /// A source with its alias. EMIT and PARTITION can be aliases, but not where they begin their clause.
    fn relation(&mut self) -> Parsed<Relation> {
        if self.at_symbol("(") {
            return Err(self.expected_what("the name of a stream or table").with_hint(
                "There are no sub-queries; create a stream or table for the inner query and read from it.",
            ));
        }
        let source = self.source_name("the name of a stream or table")?;
        let begins_clause = self.at_words(&["EMIT", "CHANGES"])
            || self.at_words(&["EMIT", "FINAL"])
            || self.at_words(&["PARTITION", "BY"]);
        let has_alias = self.eat_word("AS") || (self.peek().is_name() && !begins_clause);
        let alias = if has_alias { Some(self.source_name("an alias")?) } else { None };
        Ok(Relation { source, alias })
    }

    /// The next join, if there is one.
    fn join(&mut self) -> Parsed<Option<Join>> {
        let (first, before) = (self.peek().span, self.previous());
        let kind = if self.eat_word("JOIN") {
            JoinKind::Inner
        } else {
            let kind = if self.eat_word("INNER") {
                JoinKind::Inner
            } else if self.eat_word("LEFT") {
                JoinKind::Left
            } else if self.eat_word("RIGHT") {
                JoinKind::Right
            } else if self.eat_word("FULL") {
                JoinKind::Full
            } else {
                return Ok(None);
            };
            if kind != JoinKind::Inner {
                self.eat_word("OUTER");
            }
            self.expect_word("JOIN")?;
            kind
        };
        let relation = self.relation()?;
        let within = if self.eat_word("WITHIN") { Some(self.within()?) } else { None };
        if !self.eat_word("ON") {
            let words: &[&str] = if within.is_some() { &["ON", "GRACE PERIOD"] } else { &["ON", "WITHIN"] };
            let found = self.expected(words);
            return Err(match self.join_trap(&relation, before) {
                Some(hint) => found.with_hint(hint),
                None => found,
            });
        }
        let on = self.expression()?;
        Ok(Some(Join { kind, relation, within, on, span: self.span_from(first) }))
    }

    /// What helps where a join of `relation` has no ON. GRACE, CROSS and NATURAL are names where a source has been read.
    fn join_trap(&self, relation: &Relation, before: Option<Token<'_>>) -> Option<&'static str> {
        if before.is_some_and(|before| before.is_word("CROSS") || before.is_word("NATURAL")) {
            return Some("There is no CROSS or NATURAL JOIN: a join needs a condition, JOIN b ON a.x = b.x.");
        }
        let is_called =
            |alias: &Option<Ident>, word: &str| alias.as_ref().is_some_and(|alias| alias.name.as_str() == word);
        if self.at_word("USING") || is_called(&relation.alias, "USING") && self.at_symbol("(") {
            return Some("There is no USING: write ON a.x = b.x.");
        }
        if is_called(&relation.alias, "GRACE") && self.at_word("PERIOD") {
            return Some("GRACE PERIOD stands behind WITHIN: JOIN b WITHIN 1 HOUR GRACE PERIOD 10 MINUTES ON ….");
        }
        None
    }

    /// After WITHIN.
    fn within(&mut self) -> Parsed<Within> {
        let (before, after) = if self.eat_symbol("(") {
            let before = self.duration()?;
            self.expect_symbol(",")?;
            let after = self.duration()?;
            self.expect_symbol(")")?;
            (before, after)
        } else {
            let both = self.duration()?;
            (both, both)
        };
        let grace = if self.eat_words(&["GRACE", "PERIOD"]) { Some(self.duration()?) } else { None };
        Ok(Within { before, after, grace })
    }

    /// `30 SECONDS`
    pub(super) fn duration(&mut self) -> Parsed<Duration> {
        let first = self.peek().span;
        let count = self.count("a whole number and a unit of time")?;
        let token = self.peek();
        let Some((_, unit_ms)) = UNITS.iter().find(|(unit, _)| token.is_word(unit)) else {
            let what = "a unit of time (DAYS, HOURS, MINUTES, SECONDS or MILLISECONDS)";
            return Err(self.misspelt(self.expected_what(what), &UNITS.map(|(unit, _)| unit)));
        };
        self.bump();
        count.checked_mul(*unit_ms).filter(|ms| i64::try_from(*ms).is_ok()).map(Duration::from_millis).ok_or_else(
            || {
                Diagnostic::new(Code::InvalidLiteral, "the time span does not fit 64 bits of milliseconds")
                    .at(self.span_from(first))
            },
        )
    }

    fn window(&mut self) -> Parsed<WindowClause> {
        let first = self.bump().span;
        let kinds = ["TUMBLING", "HOPPING", "SESSION"];
        // A window may be given a name, which nothing can refer to.
        let has_name = self.peek().is_name() && kinds.iter().any(|kind| self.peek_at(1).is_word(kind));
        self.at += usize::from(has_name);
        let kind = if self.eat_word("TUMBLING") {
            self.expect_symbol("(")?;
            self.expect_word("SIZE")?;
            WindowKind::Tumbling { size: self.duration()? }
        } else if self.eat_word("HOPPING") {
            self.expect_symbol("(")?;
            self.expect_word("SIZE")?;
            let size = self.duration()?;
            self.expect_symbol(",")?;
            self.expect_words(&["ADVANCE", "BY"])?;
            WindowKind::Hopping { size, advance: self.duration()? }
        } else if self.eat_word("SESSION") {
            self.expect_symbol("(")?;
            WindowKind::Session { gap: self.duration()? }
        } else {
            return Err(self.expected(&kinds));
        };
        let mut retention = None;
        let mut grace = None;
        while self.eat_symbol(",") {
            if retention.is_none() && grace.is_none() && self.eat_word("RETENTION") {
                retention = Some(self.duration()?);
            } else if grace.is_none() && self.eat_words(&["GRACE", "PERIOD"]) {
                grace = Some(self.duration()?);
            } else {
                let words: &[&str] = match (retention, grace) {
                    (None, None) => &["RETENTION", "GRACE PERIOD"],
                    (Some(_), None) => &["GRACE PERIOD"],
                    (None, Some(_)) if self.at_word("RETENTION") => {
                        return Err(self.expected_what("\")\"").with_hint(
                            "RETENTION stands before GRACE PERIOD: (SIZE …, RETENTION …, GRACE PERIOD …).",
                        ));
                    }
                    (_, Some(_)) => return Err(self.expected_what("\")\"")),
                };
                return Err(self.expected(words));
            }
        }
        if !self.eat_symbol(")") {
            return Err(self.expected(&[",", ")"]));
        }
        Ok(WindowClause { kind, retention, grace, span: self.span_from(first) })
    }

    /// The items of GROUP BY and PARTITION BY. Parentheses may stand around the whole list.
    fn grouping(&mut self, clause: &str) -> Parsed<Vec<Expr>> {
        if self.at_symbol("(") && self.peek_at(1).is_symbol(")") {
            return Err(Diagnostic::new(Code::SyntaxError, format!("{clause} requires at least one expression"))
                .at(self.peek().span.to(self.peek_at(1).span)));
        }
        let is_list = self.at_symbol("(") && self.parentheses_hold_comma();
        self.at += usize::from(is_list);
        let items = self.comma_separated(Self::value_expression)?;
        if is_list {
            self.expect_symbol(")")?;
        }
        Ok(items)
    }

    /// True if the parentheses that open here have a comma directly in them.
    fn parentheses_hold_comma(&self) -> bool {
        let mut open = 0_usize;
        for token in &self.tokens[self.at..] {
            if token.is_symbol("(") || token.is_symbol("[") {
                open += 1;
            } else if token.is_symbol(")") || token.is_symbol("]") {
                open -= 1;
            } else if token.is_symbol(";") {
                return false;
            }
            match open {
                0 => return false,
                1 if token.is_symbol(",") => return true,
                _ => {}
            }
        }
        false
    }

    /// What may follow a query and does not.
    pub(super) fn unexpected_after_query(&self) -> Diagnostic {
        let token = self.peek();
        let primary = format!("unexpected {} after the query", describe(&token));
        let found = Diagnostic::new(Code::SyntaxError, primary).at(token.span);
        let found = match self.known_trap(&token) {
            Some(hint) => found.with_hint(hint),
            None => self.misspelt(found, &AFTER_FROM),
        };
        if found.hint.is_some() {
            return found;
        }
        found.with_hint(
            "The order is SELECT, FROM, JOIN, WINDOW, WHERE, GROUP BY, PARTITION BY, HAVING, EMIT, LIMIT, \";\".",
        )
    }
}

/// True for what stands looser than a primary expression.
fn is_operator(expr: &Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Unary { .. }
            | ExprKind::Binary { .. }
            | ExprKind::IsNull { .. }
            | ExprKind::Between { .. }
            | ExprKind::InList { .. }
            | ExprKind::Like { .. }
    )
}
