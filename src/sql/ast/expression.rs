//! Expressions.

use crate::diagnostics::Span;
use crate::types::Name;

use super::TypeName;

/// An expression and its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

impl Expr {
    /// An expression at a place.
    pub fn new(kind: ExprKind, span: Span) -> Self {
        Self { kind, span }
    }

    /// A plain, unqualified column without a place: for plans that build expressions.
    pub fn column(name: Name) -> Self {
        Self::new(ExprKind::Column(ColumnRef { qualifier: None, name }), Span::UNKNOWN)
    }
}

/// A column, perhaps with its source: `O.ID`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ColumnRef {
    /// Alias or source name before the dot.
    pub qualifier: Option<Name>,
    /// Column name.
    pub name: Name,
}

/// A constant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Literal {
    /// `NULL`, which has no type of its own.
    Null,
    /// `TRUE` or `FALSE`.
    Boolean(bool),
    /// An integer that fits 32 bits.
    Integer(i32),
    /// An integer that fits 64 bits and not 32.
    BigInt(i64),
    /// Digits with a point and no exponent, sign folded in: `-1.50`. Normalised so that digits stand on both
    /// sides of the point (`.5` is `0.5`, `1.` is `1.`-with scale 0, written `1.`).
    Decimal(String),
    /// A number with an exponent. The text, as written, upper-cased (`1.5E-2`); it parses to a finite `f64`.
    Double(String),
    /// Text between single quotes, unescaped.
    String(String),
}

/// Operators before one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `+x`
    Plus,
    /// `-x`
    Minus,
    /// `NOT x`
    Not,
}

/// Operators between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the operator its name says")]
pub enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    /// `||`
    Concat,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    IsDistinctFrom,
    IsNotDistinctFrom,
    And,
    Or,
}

impl BinaryOp {
    /// The operator as SQL writes it.
    pub fn as_sql(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Concat => "||",
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::IsDistinctFrom => "IS DISTINCT FROM",
            Self::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
            Self::And => "AND",
            Self::Or => "OR",
        }
    }
}

/// Kinds of expressions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// A column or a lambda's parameter.
    Column(ColumnRef),
    /// `*` as the only argument of a function: `COUNT(*)`.
    Star,
    /// An operator before its operand.
    Unary {
        /// Operator.
        op: UnaryOp,
        /// Operand.
        operand: Box<Expr>,
    },
    /// An operator between its operands.
    Binary {
        /// Operator.
        op: BinaryOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// `x IS [NOT] NULL`
    IsNull {
        /// Operand.
        operand: Box<Expr>,
        /// With NOT.
        negated: bool,
    },
    /// `x [NOT] BETWEEN low AND high`
    Between {
        /// Operand.
        operand: Box<Expr>,
        /// Lower bound, included.
        low: Box<Expr>,
        /// Upper bound, included.
        high: Box<Expr>,
        /// With NOT.
        negated: bool,
    },
    /// `x [NOT] IN (a, b)`
    InList {
        /// Operand.
        operand: Box<Expr>,
        /// At least one element.
        list: Vec<Expr>,
        /// With NOT.
        negated: bool,
    },
    /// `x [NOT] LIKE pattern [ESCAPE 'c']`
    Like {
        /// Operand.
        operand: Box<Expr>,
        /// Pattern.
        pattern: Box<Expr>,
        /// Escape character.
        escape: Option<char>,
        /// With NOT.
        negated: bool,
    },
    /// `CASE [operand] WHEN … THEN … [ELSE …] END`
    Case {
        /// The operand of a simple CASE, which parses and is refused later.
        operand: Option<Box<Expr>>,
        /// At least one pair of condition and result.
        branches: Vec<(Expr, Expr)>,
        /// After ELSE.
        otherwise: Option<Box<Expr>>,
    },
    /// `CAST(x AS type)`
    Cast {
        /// Operand.
        operand: Box<Expr>,
        /// Target.
        ty: TypeName,
    },
    /// `f(a, b)`
    Call {
        /// Function name after the case rule.
        function: Name,
        /// Arguments; lambdas last.
        args: Vec<Expr>,
    },
    /// `f(DISTINCT a, b) FILTER (WHERE c)`: a call of an aggregate function with one of the two or both.
    Aggregate {
        /// Function name after the case rule.
        function: Name,
        /// Arguments.
        args: Vec<Expr>,
        /// With DISTINCT.
        distinct: bool,
        /// The condition of FILTER.
        filter: Option<Box<Expr>>,
    },
    /// `x => body`, `(x, y) => body`
    Lambda {
        /// Parameter names, at least one.
        params: Vec<Name>,
        /// Body.
        body: Box<Expr>,
    },
    /// `ARRAY[a, b]`
    Array(Vec<Expr>),
    /// `MAP(k := v)`
    Map(Vec<(Expr, Expr)>),
    /// `STRUCT(name := value)`
    Struct(Vec<(Name, Expr)>),
    /// `base->field`
    Field {
        /// The struct.
        base: Box<Expr>,
        /// Field name after the case rule.
        field: Name,
    },
    /// `base[index]`
    Subscript {
        /// The array or map.
        base: Box<Expr>,
        /// Position counted from 1 (from -1 at the end), or map key.
        index: Box<Expr>,
    },
    /// A unit of time as a bare function argument, upper case as written: `DAYS`.
    IntervalUnit(String),
}
