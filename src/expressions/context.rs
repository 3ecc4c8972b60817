//! What surrounds an evaluation: wall time and chance going in, errors of rows coming out.

/// What functions of wall time and chance read; filled by the runtime once per batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct EvaluationContext {
    /// Wall clock, milliseconds since 1970-01-01T00:00Z.
    pub now_ms: i64,
    /// Seed for `RANDOM` and `UUID`.
    pub seed: u64,
}

/// One failed evaluation: the value became NULL (or the row was treated as not matching).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationError {
    /// Row of the batch.
    pub row: usize,
    /// The expression's label: the column it makes, or the clause.
    pub expression: String,
    /// What went wrong.
    pub message: String,
}

/// Collects what failed while a batch was evaluated.
#[derive(Debug, Default)]
pub struct ErrorSink {
    /// In no promised order.
    pub errors: Vec<EvaluationError>,
}
