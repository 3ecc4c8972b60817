//! Statement plus catalog to [`OperatorGraph`]: analysis, lowering, explanation.

pub mod graph;

pub use graph::OperatorGraph;
