//! Table functions: the kernel gives, per row, the array of the rows to make.

mod explode;

use super::Function;

/// All table functions.
pub(super) fn functions() -> Vec<Function> {
    explode::functions()
}
