//! The syntax tree: statements, queries, expressions, type names. Every node that can be wrong has a span.

mod expression;
mod query;
pub(crate) mod rewrite;
mod statement;
mod type_name;

pub use expression::{BinaryOp, ColumnRef, Expr, ExprKind, Literal, UnaryOp};
pub use query::{Emit, Join, JoinKind, Query, Relation, SelectItem, WindowClause, WindowKind, Within};
pub use statement::{
    Assertion, ColumnDefinition, ColumnDefinitionRole, CreateFunction, CreateSource, CreateSourceAs, Ident,
    InsertValues, Property, QuerySelector, SourceKind, StandardQuery, Statement, StatementKind, TopicName,
};
pub use type_name::{TypeName, TypeNameKind};
