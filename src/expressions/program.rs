//! Typed expressions as one flat program in which equal sub-expressions are the same node.
//!
//! ```text
//!   a + 1, (a + 1) * b        0: column a    1: literal 1    2: 0 + 1    3: column b    4: 2 * 3
//! ```
//!
//! Nodes come after their arguments. A node knows its type; whatever converts is a node of its own, so evaluation
//! never looks at types to decide what an operation means.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::functions::Callable;
use crate::sql::ast::BinaryOp;
use crate::types::SqlType;

use super::evaluate::pattern::LikePattern;
use super::evaluate::value::Value;

/// A node of its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(crate) usize);

/// What a node does with its arguments.
#[derive(Clone)]
pub(crate) enum Op {
    /// A value known while planning.
    Constant(Value),
    /// A column of the frame.
    Column(usize),
    /// Conversion to the node's type. A cast that was written ends its unit of error handling, an implied one not.
    Cast { ends_unit: bool },
    /// Text to TIMESTAMP, DATE or TIME as comparisons read it: the rest may be missing.
    ReadTime,
    /// `+ - * / %` on two numbers of one integer or floating type, or on two DECIMALs.
    Arithmetic(BinaryOp),
    /// `-x`
    Negate,
    /// `+` on text: a null is the word `null`.
    JoinText,
    /// `= <> < <= > >=` on two values of one type, or on numbers of any type where one is DECIMAL. Never null.
    Compare(BinaryOp),
    /// `IS [NOT] DISTINCT FROM` on two values of one type.
    Distinct { negated: bool },
    /// Left operand, then right unless the left decides.
    And,
    /// Left operand, then right unless the left decides.
    Or,
    /// `NOT x`
    Not,
    /// `x IS [NOT] NULL`
    IsNull { negated: bool },
    /// The first argument is among the others, which have its type. Never null.
    In,
    /// `x LIKE pattern`; the pattern if it is known while planning.
    Like { escape: Option<char>, pattern: Option<Arc<LikePattern>> },
    /// Conditions and results in turn, then the ELSE result.
    Case,
    /// Elements, each a unit of error handling.
    Array,
    /// Keys and values in turn, each a unit of error handling.
    Map,
    /// Fields, each a unit of error handling.
    Struct,
    /// A field of a struct by position.
    Field(usize),
    /// `array[index]`
    Element,
    /// `map[key]`
    Lookup,
    /// A function; the arguments for which `units` is set are units of error handling.
    Call { function: Arc<Callable>, units: Vec<bool>, lambdas: Vec<Arc<Lambda>> },
}

/// The body of a lambda: a program over the outer columns followed by the parameters.
#[derive(Debug)]
pub(crate) struct Lambda {
    pub(crate) program: Program,
    /// How many columns stand before the parameters.
    pub(crate) outer: usize,
    /// The outer columns that the body reads.
    pub(crate) captures: Vec<usize>,
}

impl fmt::Debug for Op {
    /// Equal operations print equally and different ones differently: interning relies on it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => write!(f, "constant {:?}", value.array()),
            Self::Column(i) => write!(f, "column {i}"),
            Self::Cast { ends_unit } => write!(f, "cast {ends_unit}"),
            Self::ReadTime => f.write_str("read time"),
            Self::Arithmetic(op) => write!(f, "arithmetic {op:?}"),
            Self::Negate => f.write_str("negate"),
            Self::JoinText => f.write_str("join text"),
            Self::Compare(op) => write!(f, "compare {op:?}"),
            Self::Distinct { negated } => write!(f, "distinct {negated}"),
            Self::And => f.write_str("and"),
            Self::Or => f.write_str("or"),
            Self::Not => f.write_str("not"),
            Self::IsNull { negated } => write!(f, "is null {negated}"),
            Self::In => f.write_str("in"),
            Self::Like { escape, .. } => write!(f, "like {escape:?}"),
            Self::Case => f.write_str("case"),
            Self::Array => f.write_str("array"),
            Self::Map => f.write_str("map"),
            Self::Struct => f.write_str("struct"),
            Self::Field(i) => write!(f, "field {i}"),
            Self::Element => f.write_str("element"),
            Self::Lookup => f.write_str("lookup"),
            Self::Call { function, units, lambdas } => {
                write!(f, "call {} {units:?} {lambdas:?}", function.identity())
            }
        }
    }
}

/// A node: an operation, its arguments, and the type of what it gives.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) args: Vec<NodeId>,
    /// `None` is the untyped NULL.
    pub(crate) ty: Option<SqlType>,
}

/// Typed expressions, ready to run.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) nodes: Vec<Node>,
    pub(crate) roots: Vec<NodeId>,
}

/// Builds a [`Program`], giving equal nodes one identity.
#[derive(Debug, Default)]
pub(crate) struct ProgramBuilder {
    nodes: Vec<Node>,
    known: HashMap<String, NodeId>,
}

impl ProgramBuilder {
    /// The node that does this, new or known.
    pub(crate) fn node(&mut self, op: Op, args: Vec<NodeId>, ty: Option<SqlType>) -> NodeId {
        let shareable = !matches!(&op, Op::Call { function, .. } if !function.is_deterministic());
        let identity = format!("{op:?} {args:?} {ty:?}");
        if shareable && let Some(id) = self.known.get(&identity) {
            return *id;
        }
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node { op, args, ty });
        self.known.insert(identity, id);
        id
    }

    /// A node that stands in the program.
    pub(crate) fn get(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> u64 {
        self.nodes.len() as u64
    }

    /// The finished program.
    pub(crate) fn finish(self, roots: Vec<NodeId>) -> Program {
        Program { nodes: self.nodes, roots }
    }
}
