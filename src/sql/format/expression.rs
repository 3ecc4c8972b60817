//! Expressions as text, with parentheses where the precedence asks for them.

use std::fmt;

use crate::sql::ast::{ColumnRef, Expr, ExprKind, Literal, UnaryOp};
use crate::sql::parser::Level;
use crate::types::Name;

use super::{write_list, write_string};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_expr(f, self)
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Boolean(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Self::Integer(value) => write!(f, "{value}"),
            Self::BigInt(value) => write!(f, "{value}"),
            Self::Decimal(text) | Self::Double(text) => f.write_str(text),
            Self::String(text) => write_string(f, text),
        }
    }
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.qualifier {
            Some(qualifier) => write!(f, "{qualifier}.{}", self.name),
            None => write_unlike_constructor(f, &self.name),
        }
    }
}

/// A name in front of what makes the bare words ARRAY, MAP and STRUCT begin a constructor.
fn write_unlike_constructor(f: &mut fmt::Formatter<'_>, name: &Name) -> fmt::Result {
    match name.as_str() {
        "ARRAY" | "MAP" | "STRUCT" => f.write_str(&name.quoted()),
        _ => write!(f, "{name}"),
    }
}

/// How tightly the outermost operator of an expression binds.
fn level(expr: &Expr) -> Level {
    match &expr.kind {
        ExprKind::Binary { op, .. } => Level::of(*op),
        ExprKind::Unary { op: UnaryOp::Not, .. } => Level::Not,
        ExprKind::Unary { .. } => Level::Unary,
        ExprKind::IsNull { .. } | ExprKind::Between { .. } | ExprKind::InList { .. } | ExprKind::Like { .. } => {
            Level::Predicate
        }
        _ => Level::Primary,
    }
}

/// An expression where operators must bind at least as tightly as `loosest`.
pub(super) fn write_at(f: &mut fmt::Formatter<'_>, expr: &Expr, loosest: Level) -> fmt::Result {
    if level(expr) >= loosest {
        return write_expr(f, expr);
    }
    f.write_str("(")?;
    write_expr(f, expr)?;
    f.write_str(")")
}

/// An expression where the grammar wants a value expression.
pub(super) fn write_value(f: &mut fmt::Formatter<'_>, expr: &Expr) -> fmt::Result {
    write_at(f, expr, Level::Concat)
}

fn write_expr(f: &mut fmt::Formatter<'_>, expr: &Expr) -> fmt::Result {
    match &expr.kind {
        ExprKind::Literal(literal) => write!(f, "{literal}"),
        ExprKind::Column(column) => write!(f, "{column}"),
        ExprKind::Star => f.write_str("*"),
        ExprKind::IntervalUnit(unit) => f.write_str(unit),
        ExprKind::Unary { op, operand } => write_unary(f, *op, operand),
        ExprKind::Binary { op, left, right } => {
            let level = Level::of(*op);
            // A predicate has value expressions on both sides: it applies once.
            write_at(f, left, if level == Level::Predicate { Level::Concat } else { level })?;
            write!(f, " {} ", op.as_sql())?;
            write_at(f, right, level.tighter())
        }
        ExprKind::IsNull { operand, negated } => {
            write_value(f, operand)?;
            f.write_str(if *negated { " IS NOT NULL" } else { " IS NULL" })
        }
        ExprKind::Between { operand, low, high, negated } => {
            write_negatable(f, operand, *negated, "BETWEEN")?;
            write_value(f, low)?;
            f.write_str(" AND ")?;
            write_value(f, high)
        }
        ExprKind::InList { operand, list, negated } => {
            write_negatable(f, operand, *negated, "IN")?;
            write_between(f, "(", list, ")")
        }
        ExprKind::Like { operand, pattern, escape, negated } => {
            write_negatable(f, operand, *negated, "LIKE")?;
            write_value(f, pattern)?;
            match escape {
                Some(escape) => {
                    f.write_str(" ESCAPE ")?;
                    write_string(f, escape.encode_utf8(&mut [0; 4]))
                }
                None => Ok(()),
            }
        }
        ExprKind::Case { operand, branches, otherwise } => {
            f.write_str("CASE")?;
            if let Some(operand) = operand {
                f.write_str(" ")?;
                write_value(f, operand)?;
            }
            for (condition, result) in branches {
                write!(f, " WHEN {condition} THEN {result}")?;
            }
            if let Some(otherwise) = otherwise {
                write!(f, " ELSE {otherwise}")?;
            }
            f.write_str(" END")
        }
        ExprKind::Cast { operand, ty } => write!(f, "CAST({operand} AS {ty})"),
        ExprKind::Call { function, args } => {
            write_unlike_constructor(f, function)?;
            write_between(f, "(", args, ")")
        }
        ExprKind::Aggregate { function, args, distinct, filter } => {
            write_unlike_constructor(f, function)?;
            write_between(f, if *distinct { "(DISTINCT " } else { "(" }, args, ")")?;
            match filter {
                Some(condition) => write!(f, " FILTER (WHERE {condition})"),
                None => Ok(()),
            }
        }
        ExprKind::Lambda { params, body } => match params.as_slice() {
            [param] => write!(f, "{param} => {body}"),
            params => {
                f.write_str("(")?;
                write_list(f, params, |f, param| write!(f, "{param}"))?;
                write!(f, ") => {body}")
            }
        },
        ExprKind::Array(elements) => write_between(f, "ARRAY[", elements, "]"),
        ExprKind::Map(entries) => {
            f.write_str("MAP(")?;
            write_list(f, entries, |f, (key, value)| write!(f, "{key} := {value}"))?;
            f.write_str(")")
        }
        ExprKind::Struct(fields) => {
            f.write_str("STRUCT(")?;
            write_list(f, fields, |f, (name, value)| write!(f, "{name} := {value}"))?;
            f.write_str(")")
        }
        ExprKind::Field { base, field } => {
            write_at(f, base, Level::Primary)?;
            write!(f, "->{field}")
        }
        ExprKind::Subscript { base, index } => {
            write_at(f, base, Level::Primary)?;
            f.write_str("[")?;
            write_value(f, index)?;
            f.write_str("]")
        }
    }
}

fn write_between(f: &mut fmt::Formatter<'_>, open: &str, items: &[Expr], close: &str) -> fmt::Result {
    f.write_str(open)?;
    write_list(f, items, write_expr)?;
    f.write_str(close)
}

fn write_negatable(f: &mut fmt::Formatter<'_>, operand: &Expr, negated: bool, word: &str) -> fmt::Result {
    write_value(f, operand)?;
    write!(f, "{} {word} ", if negated { " NOT" } else { "" })
}

fn write_unary(f: &mut fmt::Formatter<'_>, op: UnaryOp, operand: &Expr) -> fmt::Result {
    if op == UnaryOp::Not {
        f.write_str("NOT ")?;
        return write_at(f, operand, Level::Not);
    }
    f.write_str(if op == UnaryOp::Minus { "-" } else { "+" })?;
    // `-5` would read back as one literal, and `--` begins a comment.
    if level(operand) < Level::Primary || starts_with_number(operand) {
        write!(f, "({operand})")
    } else {
        write_expr(f, operand)
    }
}

/// True if the first token of the printed expression belongs to a number.
fn starts_with_number(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Literal(literal) => !matches!(literal, Literal::Null | Literal::Boolean(_) | Literal::String(_)),
        ExprKind::Field { base, .. } | ExprKind::Subscript { base, .. } => starts_with_number(base),
        _ => false,
    }
}
