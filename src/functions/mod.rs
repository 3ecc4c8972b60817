//! The functions of the dialect and their registry.

/// Every function by name, with its overloads.
#[derive(Debug, Default)]
pub struct FunctionRegistry {}

impl FunctionRegistry {
    /// All built-in functions.
    pub fn builtin() -> Self {
        Self::default()
    }
}
