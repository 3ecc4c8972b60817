//! Queries as text.

use std::fmt;
use std::time::Duration;

use crate::sql::ast::{Emit, Join, JoinKind, Query, Relation, SelectItem, WindowClause, WindowKind, Within};
use crate::sql::parser::Level;

use super::expression::{write_at, write_value};
use super::write_list;

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        write_list(f, &self.select, |f, item| write!(f, "{item}"))?;
        write!(f, " FROM {}", self.from)?;
        for join in &self.joins {
            write!(f, " {join}")?;
        }
        if let Some(window) = &self.window {
            write!(f, " {window}")?;
        }
        if let Some(filter) = &self.filter {
            write!(f, " WHERE {filter}")?;
        }
        if !self.group_by.is_empty() {
            f.write_str(" GROUP BY ")?;
            write_list(f, &self.group_by, write_value)?;
        }
        if !self.partition_by.is_empty() {
            f.write_str(" PARTITION BY ")?;
            write_list(f, &self.partition_by, write_value)?;
        }
        if let Some(having) = &self.having {
            write!(f, " HAVING {having}")?;
        }
        match self.emit {
            Some(Emit::Changes) => f.write_str(" EMIT CHANGES")?,
            Some(Emit::Final) => f.write_str(" EMIT FINAL")?,
            None => {}
        }
        if let Some(limit) = self.limit {
            write!(f, " LIMIT {limit}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SelectItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expr { expr, alias: Some(alias) } => write!(f, "{expr} AS {}", alias.name),
            Self::Expr { expr, alias: None } => write!(f, "{expr}"),
            Self::Star { qualifier: Some(qualifier), .. } => write!(f, "{}.*", qualifier.name),
            Self::Star { qualifier: None, .. } => f.write_str("*"),
            Self::StructStar { base, .. } => {
                write_at(f, base, Level::Primary)?;
                f.write_str("->*")
            }
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source.name)?;
        match &self.alias {
            Some(alias) => write!(f, " AS {}", alias.name),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            JoinKind::Inner => "INNER JOIN",
            JoinKind::Left => "LEFT OUTER JOIN",
            JoinKind::Right => "RIGHT OUTER JOIN",
            JoinKind::Full => "FULL OUTER JOIN",
        };
        write!(f, "{kind} {}", self.relation)?;
        if let Some(within) = &self.within {
            write!(f, " {within}")?;
        }
        write!(f, " ON {}", self.on)
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.before == self.after {
            write!(f, "WITHIN {}", TimeSpan(self.before))?;
        } else {
            write!(f, "WITHIN ({}, {})", TimeSpan(self.before), TimeSpan(self.after))?;
        }
        match self.grace {
            Some(grace) => write!(f, " GRACE PERIOD {}", TimeSpan(grace)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for WindowClause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            WindowKind::Tumbling { size } => write!(f, "WINDOW TUMBLING (SIZE {}", TimeSpan(*size))?,
            WindowKind::Hopping { size, advance } => {
                write!(f, "WINDOW HOPPING (SIZE {}, ADVANCE BY {}", TimeSpan(*size), TimeSpan(*advance))?;
            }
            WindowKind::Session { gap } => write!(f, "WINDOW SESSION ({}", TimeSpan(*gap))?,
        }
        if let Some(retention) = self.retention {
            write!(f, ", RETENTION {}", TimeSpan(retention))?;
        }
        if let Some(grace) = self.grace {
            write!(f, ", GRACE PERIOD {}", TimeSpan(grace))?;
        }
        f.write_str(")")
    }
}

/// A duration as the grammar writes it, in the largest unit that divides it.
pub(super) struct TimeSpan(pub(super) Duration);

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let units = [(86_400_000, "DAYS"), (3_600_000, "HOURS"), (60_000, "MINUTES"), (1_000, "SECONDS")];
        match units.into_iter().find(|(unit_ms, _)| ms > 0 && ms.is_multiple_of(*unit_ms)) {
            Some((unit_ms, unit)) => write!(f, "{} {unit}", ms / unit_ms),
            None => write!(f, "{ms} MILLISECONDS"),
        }
    }
}
