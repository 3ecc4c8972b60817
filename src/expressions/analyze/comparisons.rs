//! Typing of comparisons, BETWEEN, IN and LIKE.

use std::sync::Arc;

use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::evaluate::pattern::LikePattern;
use crate::sql::ast::{BinaryOp, Expr, ExprKind, Literal};
use crate::types::SqlType;

use super::coercion::common_type;
use super::{Analyzer, NodeId, Op, sql_text, type_text};

impl Analyzer<'_> {
    pub(super) fn comparison(&mut self, op: BinaryOp, left: &Expr, right: &Expr) -> Result<NodeId, Diagnostic> {
        let (l, r) = (self.analyze(left)?, self.analyze(right)?);
        self.compare(op, (left, l), (right, r))
    }

    fn compare(&mut self, op: BinaryOp, left: (&Expr, NodeId), right: (&Expr, NodeId)) -> Result<NodeId, Diagnostic> {
        let (Some(l), Some(r)) = (self.type_of(left.1).cloned(), self.type_of(right.1).cloned()) else {
            return Err(Diagnostic::new(Code::TypeMismatch, "a comparison with NULL never holds")
                .with_detail(format!(
                    "Comparison with NULL not supported: {} {} {}",
                    sql_text(left.0),
                    op.as_sql(),
                    sql_text(right.0)
                ))
                .with_hint("Use 'IS NULL' or 'IS NOT NULL' instead."));
        };
        let mut nodes = vec![left.1, right.1];
        let equality = is_equality(op);
        match (&l, &r) {
            _ if l == r && (equality || is_ordered(&l)) => {}
            _ if l.is_numeric() && r.is_numeric() => self.same_numbers(&mut nodes, &l, &r),
            (SqlType::String, SqlType::Time | SqlType::Date | SqlType::Timestamp) => {
                nodes[0] = self.program.node(Op::ReadTime, vec![nodes[0]], Some(r.clone()));
            }
            (SqlType::Time | SqlType::Date | SqlType::Timestamp, SqlType::String) => {
                nodes[1] = self.program.node(Op::ReadTime, vec![nodes[1]], Some(l.clone()));
            }
            (SqlType::Date, SqlType::Timestamp) | (SqlType::Timestamp, SqlType::Date) => {
                nodes = nodes.into_iter().map(|node| self.convert(node, &SqlType::Timestamp)).collect();
            }
            // Containers of other types are never equal, as in Java; they may still be compared.
            _ if equality && same_kind_of_container(&l, &r) => {
                if let Some(ty) = common_type(&l, &r) {
                    nodes = nodes.into_iter().map(|node| self.convert(node, &ty)).collect();
                } else {
                    return Err(cannot_compare(op, (left.0, &l), (right.0, &r)));
                }
            }
            _ => return Err(cannot_compare(op, (left.0, &l), (right.0, &r))),
        }
        let compare = match op {
            BinaryOp::IsDistinctFrom => Op::Distinct { negated: false },
            BinaryOp::IsNotDistinctFrom => Op::Distinct { negated: true },
            op => Op::Compare(op),
        };
        Ok(self.program.node(compare, nodes, Some(SqlType::Boolean)))
    }

    /// Numbers of different types: with a DECIMAL they are compared exactly as they are, else as the wider type.
    fn same_numbers(&mut self, nodes: &mut [NodeId], l: &SqlType, r: &SqlType) {
        let decimal = matches!(l, SqlType::Decimal { .. }) || matches!(r, SqlType::Decimal { .. });
        if decimal {
            return;
        }
        let wide = if *l == SqlType::Double || *r == SqlType::Double { SqlType::Double } else { SqlType::BigInt };
        for node in nodes {
            *node = self.convert(*node, &wide);
        }
    }

    pub(super) fn between(
        &mut self,
        operand: &Expr,
        low: &Expr,
        high: &Expr,
        negated: bool,
    ) -> Result<NodeId, Diagnostic> {
        let value = self.analyze(operand)?;
        let (low_node, high_node) = (self.analyze(low)?, self.analyze(high)?);
        let from = self.compare(BinaryOp::GreaterOrEqual, (operand, value), (low, low_node))?;
        let to = self.compare(BinaryOp::LessOrEqual, (operand, value), (high, high_node))?;
        let within = self.program.node(Op::And, vec![from, to], Some(SqlType::Boolean));
        Ok(self.negate_if(negated, within))
    }

    pub(super) fn in_list(&mut self, operand: &Expr, list: &[Expr], negated: bool) -> Result<NodeId, Diagnostic> {
        let mut elements = Vec::with_capacity(list.len() + 1);
        for expr in std::iter::once(operand).chain(list) {
            elements.push((expr, self.analyze(expr)?));
        }
        let Some((nodes, _)) = self.unify(&elements)? else {
            return Err(Diagnostic::new(Code::TypeMismatch, "IN compares nothing but NULLs"));
        };
        let node = self.program.node(Op::In, nodes, Some(SqlType::Boolean));
        Ok(self.negate_if(negated, node))
    }

    pub(super) fn like(
        &mut self,
        operand: &Expr,
        pattern: &Expr,
        escape: Option<char>,
        negated: bool,
    ) -> Result<NodeId, Diagnostic> {
        let mut nodes = Vec::with_capacity(2);
        for expr in [operand, pattern] {
            let node = self.analyze(expr)?;
            match self.type_of(node) {
                Some(SqlType::String) | None => nodes.push(self.convert(node, &SqlType::String)),
                Some(other) => {
                    return Err(Diagnostic::new(
                        Code::TypeMismatch,
                        format!("LIKE needs STRING, and {} is {other}", sql_text(expr)),
                    )
                    .at(expr.span));
                }
            }
        }
        let known = match &pattern.kind {
            ExprKind::Literal(Literal::String(text)) => Some(Arc::new(
                LikePattern::new(text, escape)
                    .map_err(|message| Diagnostic::new(Code::InvalidLiteral, message).at(pattern.span))?,
            )),
            _ => None,
        };
        let node = self.program.node(Op::Like { escape, pattern: known }, nodes, Some(SqlType::Boolean));
        Ok(self.negate_if(negated, node))
    }

    fn negate_if(&mut self, negated: bool, node: NodeId) -> NodeId {
        if negated { self.program.node(Op::Not, vec![node], Some(SqlType::Boolean)) } else { node }
    }
}

fn is_equality(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Equal | BinaryOp::NotEqual | BinaryOp::IsDistinctFrom | BinaryOp::IsNotDistinctFrom)
}

/// True for types whose values have an order that `<` may ask for.
fn is_ordered(ty: &SqlType) -> bool {
    !ty.is_nested() && *ty != SqlType::Boolean
}

fn same_kind_of_container(l: &SqlType, r: &SqlType) -> bool {
    matches!(
        (l, r),
        (SqlType::Array(_), SqlType::Array(_))
            | (SqlType::Map(..), SqlType::Map(..))
            | (SqlType::Struct(_), SqlType::Struct(_))
    )
}

fn cannot_compare(op: BinaryOp, left: (&Expr, &SqlType), right: (&Expr, &SqlType)) -> Diagnostic {
    let name = match op {
        BinaryOp::NotEqual => "NOT_EQUAL",
        BinaryOp::Less => "LESS_THAN",
        BinaryOp::LessOrEqual => "LESS_THAN_OR_EQUAL",
        BinaryOp::Greater => "GREATER_THAN",
        BinaryOp::GreaterOrEqual => "GREATER_THAN_OR_EQUAL",
        BinaryOp::IsDistinctFrom => "IS_DISTINCT_FROM",
        BinaryOp::IsNotDistinctFrom => "IS_NOT_DISTINCT_FROM",
        _ => "EQUAL",
    };
    Diagnostic::new(
        Code::TypeMismatch,
        format!("operator {} does not compare {} with {}", op.as_sql(), left.1, type_text(Some(right.1))),
    )
    .with_detail(format!(
        "Cannot compare {} ({}) to {} ({}) with {name}.",
        sql_text(left.0),
        left.1,
        sql_text(right.0),
        right.1
    ))
}
