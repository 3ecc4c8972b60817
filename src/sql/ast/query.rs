//! SELECT.

use std::time::Duration;

use crate::diagnostics::Span;
use crate::types::Name;

use super::{Expr, Ident};

/// One SELECT.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Query {
    /// At least one item.
    pub select: Vec<SelectItem>,
    /// The first source.
    pub from: Relation,
    /// Joined sources, left-deep.
    pub joins: Vec<Join>,
    /// WINDOW clause.
    pub window: Option<WindowClause>,
    /// WHERE.
    pub filter: Option<Expr>,
    /// GROUP BY items; empty if there is no clause.
    pub group_by: Vec<Expr>,
    /// PARTITION BY items; empty if there is no clause.
    pub partition_by: Vec<Expr>,
    /// HAVING.
    pub having: Option<Expr>,
    /// EMIT clause.
    pub emit: Option<Emit>,
    /// LIMIT: rows.
    pub limit: Option<u64>,
    /// The whole query.
    pub span: Span,
}

/// EMIT clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Emit {
    /// Every change.
    Changes,
    /// Once the window closes.
    Final,
}

/// An item of a SELECT list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SelectItem {
    /// `expr [AS alias]`
    Expr {
        /// The expression.
        expr: Expr,
        /// Its name, if given.
        alias: Option<Ident>,
    },
    /// `*` or `source.*`
    Star {
        /// The source before the dot.
        qualifier: Option<Ident>,
        /// Where it stands.
        span: Span,
    },
    /// `struct->*`
    StructStar {
        /// The struct.
        base: Expr,
        /// Where it stands.
        span: Span,
    },
}

/// A source in FROM or JOIN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Relation {
    /// Stream or table.
    pub source: Ident,
    /// Alias, if given.
    pub alias: Option<Ident>,
}

impl Relation {
    /// The name that qualifies its columns: the alias, else the source's name.
    pub fn qualifier(&self) -> &Name {
        &self.alias.as_ref().unwrap_or(&self.source).name
    }
}

/// Kinds of joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the join its name says")]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

/// A joined source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Join {
    /// Kind.
    pub kind: JoinKind,
    /// The source.
    pub relation: Relation,
    /// WITHIN clause.
    pub within: Option<Within>,
    /// ON condition.
    pub on: Expr,
    /// The whole join clause.
    pub span: Span,
}

/// `WITHIN (before, after) [GRACE PERIOD grace]`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Within {
    /// How far the right row may lie before the left one.
    pub before: Duration,
    /// How far the right row may lie after the left one.
    pub after: Duration,
    /// Grace period.
    pub grace: Option<Duration>,
}

/// WINDOW clause.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowClause {
    /// Kind and sizes.
    pub kind: WindowKind,
    /// RETENTION.
    pub retention: Option<Duration>,
    /// GRACE PERIOD.
    pub grace: Option<Duration>,
    /// Where it stands.
    pub span: Span,
}

/// Kinds of windows with their sizes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WindowKind {
    /// `TUMBLING (SIZE size)`
    Tumbling {
        /// Window size.
        size: Duration,
    },
    /// `HOPPING (SIZE size, ADVANCE BY advance)`
    Hopping {
        /// Window size.
        size: Duration,
        /// Distance of window starts.
        advance: Duration,
    },
    /// `SESSION (gap)`
    Session {
        /// Longest silence inside a session.
        gap: Duration,
    },
}
