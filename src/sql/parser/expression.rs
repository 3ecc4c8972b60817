//! Expressions, by precedence climbing.
//!
//! Tightest first: `[]` `->` `.`; unary `+ -`; `* / %`; `+ -`; `||`; predicates, which apply once; NOT; AND; OR.
//! A *value expression* is one without predicates, NOT, AND and OR outside of parentheses: the grammar asks for it
//! between the parts of a predicate, in subscripts, in VALUES, GROUP BY and PARTITION BY.

use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::{BinaryOp, ColumnRef, Expr, ExprKind, UnaryOp};
use crate::sql::lexer::TokenKind;
use crate::types::Name;

use super::{Parsed, Parser};

/// How tightly an operator binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sql) enum Level {
    /// Any expression.
    Or,
    And,
    Not,
    Predicate,
    /// The loosest level of a value expression.
    Concat,
    Add,
    Multiply,
    Unary,
    /// No operator outside of parentheses except postfix ones.
    Primary,
}

impl Level {
    /// The level of what stands right of a left-associative operator of this level.
    pub(in crate::sql) fn tighter(self) -> Self {
        match self {
            Self::Or => Self::And,
            Self::And => Self::Not,
            Self::Not => Self::Predicate,
            Self::Predicate => Self::Concat,
            Self::Concat => Self::Add,
            Self::Add => Self::Multiply,
            Self::Multiply => Self::Unary,
            Self::Unary | Self::Primary => Self::Primary,
        }
    }

    /// The level of an operator between two operands.
    pub(in crate::sql) fn of(op: BinaryOp) -> Self {
        match op {
            BinaryOp::Or => Self::Or,
            BinaryOp::And => Self::And,
            BinaryOp::Concat => Self::Concat,
            BinaryOp::Add | BinaryOp::Subtract => Self::Add,
            BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => Self::Multiply,
            BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Less
            | BinaryOp::LessOrEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterOrEqual
            | BinaryOp::IsDistinctFrom
            | BinaryOp::IsNotDistinctFrom => Self::Predicate,
        }
    }
}

/// What may follow a complete operand.
enum Infix {
    Binary(BinaryOp),
    /// A predicate written with words: BETWEEN, IN, LIKE, IS, each perhaps with NOT.
    Words,
}

impl Infix {
    fn level(&self) -> Level {
        match self {
            Self::Binary(op) => Level::of(*op),
            Self::Words => Level::Predicate,
        }
    }
}

/// Units of time that are reserved words, and so can stand bare among a function's arguments.
const ARGUMENT_UNITS: [&str; 6] = ["DAYS", "HOURS", "MINUTES", "SECONDS", "MILLISECONDS", "MILLISECOND"];

impl Parser<'_> {
    /// Any expression.
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.expression_at(Level::Or)
    }

    /// An expression without predicates, NOT, AND and OR outside of parentheses.
    pub(super) fn value_expression(&mut self) -> Parsed<Expr> {
        self.expression_at(Level::Concat)
    }

    /// An expression whose operators bind at least as tightly as `loosest`.
    fn expression_at(&mut self, loosest: Level) -> Parsed<Expr> {
        self.enter()?;
        let operand = self.operand(loosest)?;
        let result = self.operators(operand, loosest);
        self.leave();
        result
    }

    /// The operators after `left` that bind at least as tightly as `loosest`.
    fn operators(&mut self, mut left: Expr, loosest: Level) -> Parsed<Expr> {
        let mut had_predicate = false;
        while let Some(infix) = self.infix().filter(|infix| infix.level() >= loosest) {
            if infix.level() == Level::Predicate && std::mem::replace(&mut had_predicate, true) {
                return Err(self.chained_predicate());
            }
            left = self.applied(infix, left)?;
        }
        Ok(left)
    }

    /// The operator at the cursor with `left` before it and what follows after it.
    fn applied(&mut self, infix: Infix, left: Expr) -> Parsed<Expr> {
        let below = self.height;
        let span = left.span;
        let kind = match infix {
            Infix::Binary(op) => {
                self.at += infix_tokens(op);
                let right = self.expression_at(Level::of(op).tighter())?;
                ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) }
            }
            Infix::Words => self.word_predicate(left)?,
        };
        self.grow(below.max(self.height))?;
        Ok(Expr::new(kind, self.span_from(span)))
    }

    /// The operator at the cursor, which stays where it is.
    fn infix(&self) -> Option<Infix> {
        let token = self.peek();
        let op = match token.kind {
            TokenKind::Symbol => match token.text {
                "+" => BinaryOp::Add,
                "-" => BinaryOp::Subtract,
                "*" => BinaryOp::Multiply,
                "/" => BinaryOp::Divide,
                "%" => BinaryOp::Modulo,
                "||" => BinaryOp::Concat,
                "=" => BinaryOp::Equal,
                "<>" | "!=" => BinaryOp::NotEqual,
                "<" => BinaryOp::Less,
                "<=" => BinaryOp::LessOrEqual,
                ">" => BinaryOp::Greater,
                ">=" => BinaryOp::GreaterOrEqual,
                _ => return None,
            },
            TokenKind::Word if token.is_word("AND") => BinaryOp::And,
            TokenKind::Word if token.is_word("OR") => BinaryOp::Or,
            TokenKind::Word if self.at_words(&["IS", "DISTINCT", "FROM"]) => BinaryOp::IsDistinctFrom,
            TokenKind::Word if self.at_words(&["IS", "NOT", "DISTINCT", "FROM"]) => BinaryOp::IsNotDistinctFrom,
            TokenKind::Word if ["IS", "NOT", "BETWEEN", "IN", "LIKE"].iter().any(|word| token.is_word(word)) => {
                return Some(Infix::Words);
            }
            _ => return None,
        };
        Some(Infix::Binary(op))
    }

    /// BETWEEN, IN, LIKE and IS NULL after their operand. Leaves the height of the highest part.
    fn word_predicate(&mut self, operand: Expr) -> Parsed<ExprKind> {
        let operand = Box::new(operand);
        if self.eat_word("IS") {
            let negated = self.eat_word("NOT");
            if !self.eat_word("NULL") {
                let words: &[&str] =
                    if negated { &["NULL", "DISTINCT FROM"] } else { &["NULL", "NOT NULL", "DISTINCT FROM"] };
                return Err(self.expected(words));
            }
            return Ok(ExprKind::IsNull { operand, negated });
        }
        let negated = self.eat_word("NOT");
        if self.eat_word("BETWEEN") {
            let low = Box::new(self.value_expression()?);
            let below = self.height;
            self.expect_word("AND")?;
            let high = Box::new(self.value_expression()?);
            self.height = self.height.max(below);
            Ok(ExprKind::Between { operand, low, high, negated })
        } else if self.eat_word("IN") {
            self.expect_symbol("(")?;
            let list = self.items(Self::expression)?;
            self.expect_symbol(")")?;
            Ok(ExprKind::InList { operand, list, negated })
        } else if self.eat_word("LIKE") {
            let pattern = Box::new(self.value_expression()?);
            let escape = if self.eat_word("ESCAPE") { Some(self.escape_character()?) } else { None };
            Ok(ExprKind::Like { operand, pattern, escape, negated })
        } else {
            Err(self.expected(&["BETWEEN", "IN", "LIKE"]))
        }
    }

    fn escape_character(&mut self) -> Parsed<char> {
        let (text, span) = self.string("the escape character as a string")?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(escape), None) => Ok(escape),
            _ => Err(Diagnostic::new(Code::SyntaxError, "the escape character is not one character").at(span)),
        }
    }

    fn chained_predicate(&self) -> Diagnostic {
        Diagnostic::new(Code::SyntaxError, format!("unexpected \"{}\" after a comparison", self.peek().text))
            .with_hint("Comparisons cannot be chained; put one of them in parentheses, or join them with AND.")
            .at(self.peek().span)
    }

    /// What operators apply to: unary operators with their operand, or a primary expression.
    fn operand(&mut self, loosest: Level) -> Parsed<Expr> {
        let token = self.peek();
        match token.kind {
            TokenKind::Symbol if token.text == "-" && !self.at_literal() => self.unary(UnaryOp::Minus, Level::Unary),
            TokenKind::Symbol if token.text == "+" => self.unary(UnaryOp::Plus, Level::Unary),
            TokenKind::Word if token.is_word("NOT") && loosest <= Level::Not => self.unary(UnaryOp::Not, Level::Not),
            TokenKind::Word if token.is_word("NOT") => {
                Err(self.expected_what("a value").with_hint("Put the NOT and what follows it in parentheses."))
            }
            _ => self.primary().and_then(|base| self.postfix(base)),
        }
    }

    fn unary(&mut self, op: UnaryOp, level: Level) -> Parsed<Expr> {
        let first = self.bump().span;
        let operand = Box::new(self.expression_at(level)?);
        self.grow(self.height)?;
        Ok(Expr::new(ExprKind::Unary { op, operand }, self.span_from(first)))
    }

    /// Subscripts and field accesses after `base`. A `->*` is left for the SELECT list.
    fn postfix(&mut self, mut base: Expr) -> Parsed<Expr> {
        loop {
            let below = self.height;
            let span = base.span;
            let kind = if self.eat_symbol("[") {
                let index = Box::new(self.value_expression()?);
                self.expect_symbol("]")?;
                ExprKind::Subscript { base: Box::new(base), index }
            } else if self.at_symbol("->") && !self.peek_at(1).is_symbol("*") {
                self.bump();
                ExprKind::Field { base: Box::new(base), field: self.ident("a field name")?.name }
            } else {
                return Ok(base);
            };
            self.grow(below.max(self.height))?;
            base = Expr::new(kind, self.span_from(span));
        }
    }

    /// An expression without operators outside of parentheses.
    fn primary(&mut self) -> Parsed<Expr> {
        self.height = 1;
        let first = self.peek().span;
        let next = self.peek_at(1);
        // One call for all rules: every call of its own would widen the frame of this function, which recursion
        // through parentheses has on the stack once for each level.
        let rule: fn(&mut Self) -> Parsed<ExprKind> = if self.at_literal() {
            Self::constant
        } else if self.eat_symbol("(") {
            Self::parenthesised
        } else if self.eat_word("CASE") {
            Self::case
        } else if self.eat_word("CAST") {
            Self::cast
        } else if self.at_word("ARRAY") && next.is_symbol("[") {
            Self::array
        } else if self.at_word("MAP") && next.is_symbol("(") {
            Self::map
        } else if self.at_word("STRUCT") && next.is_symbol("(") {
            Self::structure
        } else if self.peek().is_name() && next.is_symbol("(") {
            Self::call
        } else {
            Self::column
        };
        let kind = rule(self)?;
        Ok(Expr::new(kind, self.span_from(first)))
    }

    fn constant(&mut self) -> Parsed<ExprKind> {
        Ok(ExprKind::Literal(self.literal()?.0))
    }

    /// After the opening parenthesis.
    fn parenthesised(&mut self) -> Parsed<ExprKind> {
        let inner = self.expression()?;
        self.expect_symbol(")")?;
        Ok(inner.kind)
    }

    fn column(&mut self) -> Parsed<ExprKind> {
        let name = self.ident("an expression")?.name;
        Ok(ExprKind::Column(if self.eat_symbol(".") {
            ColumnRef { qualifier: Some(name), name: self.ident("a column name")?.name }
        } else {
            ColumnRef { qualifier: None, name }
        }))
    }

    /// After CASE.
    fn case(&mut self) -> Parsed<ExprKind> {
        let mut height = 0;
        let operand = if self.at_word("WHEN") {
            None
        } else {
            let operand = self.value_expression()?;
            height = self.height;
            Some(Box::new(operand))
        };
        let mut branches = Vec::new();
        while self.eat_word("WHEN") {
            let condition = self.expression()?;
            height = height.max(self.height);
            self.expect_word("THEN")?;
            branches.push((condition, self.expression()?));
            height = height.max(self.height);
        }
        if branches.is_empty() {
            return Err(self.expected(&["WHEN"]));
        }
        let otherwise = if self.eat_word("ELSE") { Some(Box::new(self.expression()?)) } else { None };
        height = height.max(self.height);
        if !self.eat_word("END") {
            let words: &[&str] = if otherwise.is_some() { &["END"] } else { &["WHEN", "ELSE", "END"] };
            return Err(self.expected(words));
        }
        self.grow(height)?;
        Ok(ExprKind::Case { operand, branches, otherwise })
    }

    /// After CAST.
    fn cast(&mut self) -> Parsed<ExprKind> {
        self.expect_symbol("(")?;
        let operand = Box::new(self.expression()?);
        let below = self.height;
        self.expect_word("AS")?;
        let ty = self.type_name()?;
        self.expect_symbol(")")?;
        self.grow(below.max(self.height))?;
        Ok(ExprKind::Cast { operand, ty })
    }

    fn array(&mut self) -> Parsed<ExprKind> {
        self.at += 2;
        let elements = if self.at_symbol("]") { Vec::new() } else { self.items(Self::expression)? };
        self.expect_symbol("]")?;
        self.grow(self.height)?;
        Ok(ExprKind::Array(elements))
    }

    fn map(&mut self) -> Parsed<ExprKind> {
        self.at += 2;
        let entry = |parser: &mut Self| {
            let key = parser.expression()?;
            let below = parser.height;
            parser.expect_symbol(":=")?;
            let value = parser.expression()?;
            parser.height = parser.height.max(below);
            Ok((key, value))
        };
        let entries = if self.at_symbol(")") { Vec::new() } else { self.items(entry)? };
        self.expect_symbol(")")?;
        self.grow(self.height)?;
        Ok(ExprKind::Map(entries))
    }

    fn structure(&mut self) -> Parsed<ExprKind> {
        self.at += 2;
        let field = |parser: &mut Self| {
            let name = parser.ident("a field name")?.name;
            parser.expect_symbol(":=")?;
            Ok((name, parser.expression()?))
        };
        let fields = if self.at_symbol(")") { Vec::new() } else { self.items(field)? };
        self.expect_symbol(")")?;
        self.grow(self.height)?;
        Ok(ExprKind::Struct(fields))
    }

    fn call(&mut self) -> Parsed<ExprKind> {
        let function = self.ident("a function name")?.name;
        self.expect_symbol("(")?;
        let star = self.peek().span;
        if self.at_symbol("*") && self.peek_at(1).is_symbol(")") {
            self.at += 2;
            return self.filtered(function, vec![Expr::new(ExprKind::Star, star)], false);
        }
        let distinct = self.eat_word("DISTINCT");
        let mut args: Vec<Expr> = Vec::new();
        if distinct || !self.at_symbol(")") {
            args = self.items(Self::argument)?;
        }
        if !self.eat_symbol(")") {
            return Err(self.expected(&[",", ")"]));
        }
        let is_lambda = |arg: &Expr| matches!(arg.kind, ExprKind::Lambda { .. });
        if let Some(misplaced) = args.iter().skip_while(|arg| !is_lambda(arg)).find(|arg| !is_lambda(arg)) {
            return Err(Diagnostic::new(Code::SyntaxError, "lambdas come after all other arguments").at(misplaced.span));
        }
        self.grow(self.height)?;
        self.filtered(function, args, distinct)
    }

    /// After the closing parenthesis of a call: perhaps `FILTER (WHERE condition)`.
    fn filtered(&mut self, function: Name, args: Vec<Expr>, distinct: bool) -> Parsed<ExprKind> {
        let is_filter = self.at_word("FILTER") && self.peek_at(1).is_symbol("(") && self.peek_at(2).is_word("WHERE");
        if !is_filter {
            return Ok(match distinct {
                true => ExprKind::Aggregate { function, args, distinct, filter: None },
                false => ExprKind::Call { function, args },
            });
        }
        self.at += 3;
        let below = self.height;
        let filter = Some(Box::new(self.expression()?));
        self.expect_symbol(")")?;
        self.grow(below.max(self.height))?;
        Ok(ExprKind::Aggregate { function, args, distinct, filter })
    }

    /// An argument of a function: an expression, a lambda, or a bare unit of time.
    fn argument(&mut self) -> Parsed<Expr> {
        let token = self.peek();
        if self.at_lambda() {
            return self.lambda();
        }
        let unit = ARGUMENT_UNITS.iter().find(|unit| token.is_word(unit));
        if let Some(unit) = unit {
            self.bump();
            self.height = 1;
            return Ok(Expr::new(ExprKind::IntervalUnit((*unit).to_owned()), token.span));
        }
        self.expression()
    }

    /// True at `x =>` and `(x, y) =>`.
    fn at_lambda(&self) -> bool {
        if !self.at_symbol("(") {
            return self.peek_at(1).is_symbol("=>");
        }
        let mut n = 1;
        while self.peek_at(n).is_name() && self.peek_at(n + 1).is_symbol(",") {
            n += 2;
        }
        self.peek_at(n).is_name() && self.peek_at(n + 1).is_symbol(")") && self.peek_at(n + 2).is_symbol("=>")
    }

    fn lambda(&mut self) -> Parsed<Expr> {
        let first = self.peek().span;
        let param = |parser: &mut Self| -> Parsed<Name> { Ok(parser.ident("a lambda parameter")?.name) };
        let params = if self.eat_symbol("(") {
            let params = self.comma_separated(param)?;
            self.expect_symbol(")")?;
            params
        } else {
            vec![param(self)?]
        };
        self.expect_symbol("=>")?;
        let body = Box::new(self.expression()?);
        self.grow(self.height)?;
        Ok(Expr::new(ExprKind::Lambda { params, body }, self.span_from(first)))
    }

    /// One or more with commas between them. Leaves the height of the highest.
    pub(super) fn items<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        let mut height = self.height;
        while self.eat_symbol(",") {
            items.push(item(self)?);
            height = height.max(self.height);
        }
        self.height = height;
        Ok(items)
    }
}

/// How many tokens an operator is written with.
fn infix_tokens(op: BinaryOp) -> usize {
    match op {
        BinaryOp::IsDistinctFrom => 3,
        BinaryOp::IsNotDistinctFrom => 4,
        _ => 1,
    }
}
