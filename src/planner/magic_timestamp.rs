//! Text compared with ROWTIME, WINDOWSTART or WINDOWEND in a condition is read as a point in time while planning.

use crate::diagnostics::{Code, Diagnostic};
use crate::expressions::read_timestamp;
use crate::sql::ast::{BinaryOp, Expr, ExprKind, Literal};

use super::rewrite::map_children;

/// The condition with such text replaced by milliseconds. Only a comparison whose side *is* the column counts.
pub(super) fn convert(condition: &Expr) -> Result<Expr, Diagnostic> {
    let mut converted = map_children(condition, &mut |part| convert(part))?;
    match &mut converted.kind {
        ExprKind::Binary { op, left, right } if is_comparison(*op) => {
            if is_time_column(left) {
                convert_text(right)?;
            } else if is_time_column(right) {
                convert_text(left)?;
            }
        }
        ExprKind::Between { operand, low, high, .. } if is_time_column(operand) => {
            convert_text(low)?;
            convert_text(high)?;
        }
        _ => {}
    }
    Ok(converted)
}

fn is_comparison(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Equal
            | BinaryOp::NotEqual
            | BinaryOp::Less
            | BinaryOp::LessOrEqual
            | BinaryOp::Greater
            | BinaryOp::GreaterOrEqual
            | BinaryOp::IsDistinctFrom
            | BinaryOp::IsNotDistinctFrom
    )
}

fn is_time_column(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Column(column)
        if matches!(column.name.as_str(), "ROWTIME" | "WINDOWSTART" | "WINDOWEND"))
}

fn convert_text(expr: &mut Expr) -> Result<(), Diagnostic> {
    let ExprKind::Literal(Literal::String(text)) = &expr.kind else { return Ok(()) };
    let time = read_timestamp(text).ok_or_else(|| {
        Diagnostic::new(Code::InvalidLiteral, format!("'{text}' is not a point in time"))
            .with_hint("Write it as '2024-05-26T23:59:58.123+0200'; parts may be left out from the right.")
            .at(expr.span)
    })?;
    // As a literal of its own the value would be INTEGER when small; the column is BIGINT and takes either.
    expr.kind = ExprKind::Literal(i32::try_from(time).map_or(Literal::BigInt(time), Literal::Integer));
    Ok(())
}
