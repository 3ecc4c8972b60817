//! Text compared with ROWTIME, WINDOWSTART or WINDOWEND in a condition is read as a point in time while planning.

use crate::diagnostics::{Code, Diagnostic};
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
    let time = parse(text).ok_or_else(|| {
        Diagnostic::new(Code::InvalidLiteral, format!("'{text}' is not a point in time"))
            .with_hint("Write it as '2024-05-26T23:59:58.123+0200'; parts may be left out from the right.")
            .at(expr.span)
    })?;
    // As a literal of its own the value would be INTEGER when small; the column is BIGINT and takes either.
    expr.kind = ExprKind::Literal(i32::try_from(time).map_or(Literal::BigInt(time), Literal::Integer));
    Ok(())
}

/// Milliseconds since 1970 of `2020[-05[-26[T[23[:59[:58[.123]]]]]]][zone]`. Missing parts are the first of their
/// kind, a missing zone is UTC.
fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let mut parts = date.splitn(3, '-');
    let year: i32 = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let month = parts.next().map_or(Some(1), |month| two_digits(month, 2))?;
    let day = parts.next().map_or(Some(1), |day| two_digits(day, 2))?;
    let date = chrono::NaiveDate::from_ymd_opt(year, month, day)?;
    let (time, offset_ms) = split_zone(time)?;
    let mut time_ms: i64 = 0;
    if !time.is_empty() {
        let mut parts = time.splitn(3, ':');
        let hours = parts.next().and_then(|hours| two_digits(hours, 2)).filter(|hours| *hours < 24)?;
        let minutes = parts.next().map_or(Some(0), |text| two_digits(text, 2)).filter(|minutes| *minutes < 60)?;
        let (seconds, fraction) = match parts.next() {
            None => (0, 0),
            Some(text) => {
                let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
                let digits = fraction.len();
                if digits == 0 || digits > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                let fraction = format!("{fraction:0<3}")[..3].parse::<i64>().ok()?;
                (two_digits(seconds, 2).filter(|seconds| *seconds < 60)?, fraction)
            }
        };
        time_ms = i64::from(hours * 3600 + minutes * 60 + seconds) * 1000 + fraction;
    }
    let days = date.signed_duration_since(chrono::NaiveDate::default()).num_days();
    Some(days * 86_400_000 + time_ms - offset_ms)
}

fn two_digits(text: &str, digits: usize) -> Option<u32> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// The time without its zone, and the zone's distance from UTC in milliseconds.
fn split_zone(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix('Z') {
        return Some((time, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let sign = if time[at..].starts_with('-') { -1 } else { 1 };
    let digits = time[at + 1..].replace(':', "");
    if digits.len() != 4 {
        return None;
    }
    let (hours, minutes) = (two_digits(&digits[..2], 2)?, two_digits(&digits[2..], 2)?);
    Some((&time[..at], sign * i64::from(hours * 60 + minutes) * 60_000))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn points_in_time_may_be_written_in_part_and_with_a_zone() {
        for (text, expected) in [
            ("1970", Some(0)),
            ("1970-01-02", Some(86_400_000)),
            ("1970-01-01T01", Some(3_600_000)),
            ("1970-01-01T00:00:01.5", Some(1_500)),
            ("2019-01-01T00:00:00+0445", Some(1_546_283_700_000)),
            ("2019-01-01T00:00:00-04:45", Some(1_546_317_900_000)),
            ("1970-01-01T00:01Z", Some(60_000)),
            ("1970-13", None),
            ("soon", None),
            ("1970-01-01T25", None),
            ("1970-01-01T00:00:00+1", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
