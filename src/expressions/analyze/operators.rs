//! Typing of arithmetic, logic, CASE, subscripts and fields.

use crate::diagnostics::{Code, Diagnostic};
use crate::sql::ast::{BinaryOp, Expr, UnaryOp};
use crate::types::{Name, SqlType};

use super::{Analyzer, NodeId, Op, Value, sql_text, type_text};

impl Analyzer<'_> {
    pub(super) fn unary(&mut self, op: UnaryOp, operand: &Expr) -> Result<NodeId, Diagnostic> {
        let node = self.analyze(operand)?;
        let ty = self.type_of(node).cloned();
        match op {
            UnaryOp::Not => {
                self.must_be_boolean(node, operand, "NOT")?;
                Ok(self.program.node(Op::Not, vec![node], Some(SqlType::Boolean)))
            }
            UnaryOp::Plus | UnaryOp::Minus if !ty.as_ref().is_some_and(SqlType::is_numeric) => {
                let sign = if op == UnaryOp::Minus { "-" } else { "+" };
                Err(Diagnostic::new(
                    Code::TypeMismatch,
                    format!("`{sign}` needs a number, not {}", type_text(ty.as_ref())),
                )
                .at(operand.span))
            }
            UnaryOp::Plus => Ok(node),
            UnaryOp::Minus => Ok(self.program.node(Op::Negate, vec![node], ty)),
        }
    }

    pub(super) fn binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Result<NodeId, Diagnostic> {
        match op {
            BinaryOp::And | BinaryOp::Or => {
                let (l, r) = (self.analyze(left)?, self.analyze(right)?);
                let logic = if op == BinaryOp::And { Op::And } else { Op::Or };
                self.must_be_boolean(l, left, op.as_sql())?;
                self.must_be_boolean(r, right, op.as_sql())?;
                Ok(self.program.node(logic, vec![l, r], Some(SqlType::Boolean)))
            }
            BinaryOp::Concat => self.call(&Name::from("CONCAT"), &[left.clone(), right.clone()]),
            BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => {
                let (l, r) = (self.analyze(left)?, self.analyze(right)?);
                self.arithmetic(op, l, r)
            }
            BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Less
            | BinaryOp::LessOrEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterOrEqual
            | BinaryOp::IsDistinctFrom
            | BinaryOp::IsNotDistinctFrom => self.comparison(op, left, right),
        }
    }

    fn arithmetic(&mut self, op: BinaryOp, left: NodeId, right: NodeId) -> Result<NodeId, Diagnostic> {
        let (l, r) = (self.type_of(left).cloned(), self.type_of(right).cloned());
        let (Some(l), Some(r)) = (&l, &r) else {
            return Err(Diagnostic::new(Code::TypeMismatch, "arithmetic on NULL is not supported").with_detail(
                format!(
                    "Arithmetic on types {} and {} are not supported.",
                    type_text(l.as_ref()),
                    type_text(r.as_ref())
                ),
            ));
        };
        if op == BinaryOp::Add && *l == SqlType::String && *r == SqlType::String {
            return Ok(self.program.node(Op::JoinText, vec![left, right], Some(SqlType::String)));
        }
        if !l.is_numeric() || !r.is_numeric() {
            return Err(Diagnostic::new(
                Code::TypeMismatch,
                format!("operator {} does not take {l} and {r}", op.as_sql()),
            )
            .with_detail(format!("Unsupported arithmetic types. {} {}", l.base_name(), r.base_name())));
        }
        let (l, r, result) = arithmetic_types(op, l, r)?;
        let (left, right) = (self.convert(left, &l), self.convert(right, &r));
        Ok(self.program.node(Op::Arithmetic(op), vec![left, right], Some(result)))
    }

    pub(super) fn must_be_boolean(&self, node: NodeId, expr: &Expr, what: &str) -> Result<(), Diagnostic> {
        match self.type_of(node) {
            Some(SqlType::Boolean) => Ok(()),
            other => Err(Diagnostic::new(
                Code::TypeMismatch,
                format!("{what} needs BOOLEAN, and {} is {}", sql_text(expr), type_text(other)),
            )
            .at(expr.span)),
        }
    }

    pub(super) fn case(
        &mut self,
        operand: Option<&Expr>,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
    ) -> Result<NodeId, Diagnostic> {
        if let Some(operand) = operand {
            return Err(Diagnostic::new(Code::Unsupported, "CASE with an operand is not supported")
                .with_hint("Write CASE WHEN operand = value THEN ….")
                .at(operand.span));
        }
        let mut args = Vec::with_capacity(branches.len() * 2 + 1);
        let mut ty: Option<SqlType> = None;
        for (condition, result) in branches {
            let when = self.analyze(condition)?;
            if self.type_of(when) != Some(&SqlType::Boolean) {
                return Err(Diagnostic::new(Code::TypeMismatch, "the WHEN operand is not BOOLEAN")
                    .with_detail(format!(
                        "WHEN operand type should be boolean.\nType for '{}' is {}",
                        sql_text(condition),
                        type_text(self.type_of(when))
                    ))
                    .at(condition.span));
            }
            let then = self.analyze(result)?;
            self.same_case_type(&mut ty, then, result, "THEN")?;
            args.extend([when, then]);
        }
        let default = match otherwise {
            Some(result) => {
                let node = self.analyze(result)?;
                self.same_case_type(&mut ty, node, result, "ELSE")?;
                node
            }
            None => self.program.node(Op::Constant(Value::null(None)), Vec::new(), None),
        };
        args.push(default);
        let Some(ty) = ty else {
            return Err(Diagnostic::new(Code::TypeMismatch, "CASE has no result that is not NULL")
                .with_detail("Invalid Case expression. All case branches have a NULL type."));
        };
        for (i, arg) in args.iter_mut().enumerate() {
            if i % 2 == 1 || i == branches.len() * 2 {
                *arg = self.convert(*arg, &ty);
            }
        }
        Ok(self.program.node(Op::Case, args, Some(ty)))
    }

    /// All results of a CASE have one type, without any coercion; a NULL takes the type of the others.
    fn same_case_type(
        &self,
        ty: &mut Option<SqlType>,
        node: NodeId,
        result: &Expr,
        clause: &str,
    ) -> Result<(), Diagnostic> {
        match (ty.as_ref(), self.type_of(node)) {
            (_, None) => Ok(()),
            (None, Some(first)) => {
                *ty = Some(first.clone());
                Ok(())
            }
            (Some(known), Some(other)) if known == other => Ok(()),
            (Some(known), Some(other)) => Err(Diagnostic::new(
                Code::TypeMismatch,
                format!("{clause} is {other} where an earlier result is {known}"),
            )
            .with_detail(format!(
                "Invalid Case expression. Type for all '{clause}' clauses should be the same.\n{clause} \
                         expression '{}' has type: {other}.\nPrevious THEN expression(s) type: {known}.",
                sql_text(result)
            ))
            .at(result.span)),
        }
    }

    pub(super) fn field(&mut self, base: &Expr, field: &Name) -> Result<NodeId, Diagnostic> {
        let node = self.analyze(base)?;
        let Some(SqlType::Struct(fields)) = self.type_of(node) else {
            return Err(Diagnostic::new(
                Code::TypeMismatch,
                format!("`->` needs a STRUCT, and {} is {}", sql_text(base), type_text(self.type_of(node))),
            )
            .with_detail(format!(
                "Expected STRUCT type, got: {}",
                self.type_of(node).map_or("null", SqlType::base_name)
            ))
            .at(base.span));
        };
        let Some(i) = fields.iter().position(|candidate| candidate.name == *field) else {
            return Err(Diagnostic::new(
                Code::UnknownColumn,
                format!("field {field} does not exist in {}", sql_text(base)),
            )
            .with_detail(format!(
                "No such field '{}' in struct: STRUCT with fields: {}",
                field.as_str(),
                fields.iter().map(|field| field.name.quoted()).collect::<Vec<_>>().join(", ")
            ))
            .with_near_miss(field.as_str(), fields.iter().map(|field| field.name.as_str())));
        };
        let ty = fields[i].ty.clone();
        Ok(self.program.node(Op::Field(i), vec![node], Some(ty)))
    }

    pub(super) fn subscript(&mut self, base: &Expr, index: &Expr) -> Result<NodeId, Diagnostic> {
        let node = self.analyze(base)?;
        let key = self.analyze(index)?;
        match (self.type_of(node).cloned(), self.type_of(key).cloned()) {
            (Some(SqlType::Array(element)), Some(SqlType::Integer)) => {
                Ok(self.program.node(Op::Element, vec![node, key], Some(*element)))
            }
            (Some(SqlType::Array(element)), Some(SqlType::BigInt)) => {
                let key = self.convert(key, &SqlType::Integer);
                Ok(self.program.node(Op::Element, vec![node, key], Some(*element)))
            }
            (Some(SqlType::Map(key_type, value)), Some(given)) if super::coercion::widens(&given, &key_type) => {
                let key = self.convert(key, &key_type);
                Ok(self.program.node(Op::Lookup, vec![node, key], Some(*value)))
            }
            (Some(SqlType::Array(_)), given) => Err(Diagnostic::new(
                Code::TypeMismatch,
                format!("an ARRAY is subscripted with INTEGER, not {}", type_text(given.as_ref())),
            )
            .at(index.span)),
            (Some(SqlType::Map(key_type, _)), given) => Err(Diagnostic::new(
                Code::TypeMismatch,
                format!("the keys of this MAP are {key_type}, not {}", type_text(given.as_ref())),
            )
            .at(index.span)),
            (other, _) => Err(Diagnostic::new(
                Code::TypeMismatch,
                format!("`[…]` needs an ARRAY or a MAP, and {} is {}", sql_text(base), type_text(other.as_ref())),
            )
            .with_detail(format!(
                "Subscript expression is not supported on the type {}.",
                other.as_ref().map_or("null", SqlType::base_name)
            ))
            .at(base.span)),
        }
    }
}

/// The types that both operands are converted to, and the type of the result.
fn arithmetic_types(op: BinaryOp, l: &SqlType, r: &SqlType) -> Result<(SqlType, SqlType, SqlType), Diagnostic> {
    let one = |ty: SqlType| (ty.clone(), ty.clone(), ty);
    if *l == SqlType::Double || *r == SqlType::Double {
        return Ok(one(SqlType::Double));
    }
    let (Some((p1, s1)), Some((p2, s2))) = (super::coercion::as_decimal(l), super::coercion::as_decimal(r)) else {
        return Err(Diagnostic::new(Code::TypeMismatch, format!("operator {} does not take {l} and {r}", op.as_sql())));
    };
    if !matches!(l, SqlType::Decimal { .. }) && !matches!(r, SqlType::Decimal { .. }) {
        let wide = *l == SqlType::BigInt || *r == SqlType::BigInt;
        return Ok(one(if wide { SqlType::BigInt } else { SqlType::Integer }));
    }
    let (precision, scale) = match op {
        BinaryOp::Multiply => (p1 + p2 + 1, s1 + s2),
        BinaryOp::Divide => {
            let scale = (s1 + p2 + 1).max(6);
            (p1 - s1 + s2 + scale, scale)
        }
        BinaryOp::Modulo => (s1.max(s2) + (p1 - s1).min(p2 - s2), s1.max(s2)),
        _ => (s1.max(s2) + (p1 - s1).max(p2 - s2) + 1, s1.max(s2)),
    };
    let result = SqlType::Decimal { precision: precision.max(1), scale };
    super::coercion::check_precision(&result)?;
    Ok((SqlType::Decimal { precision: p1, scale: s1 }, SqlType::Decimal { precision: p2, scale: s2 }, result))
}
