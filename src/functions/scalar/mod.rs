//! Scalar functions, a file per family.

use super::Function;

/// All scalar functions.
pub(super) fn functions() -> Vec<Function> {
    Vec::new()
}
