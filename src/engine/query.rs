//! SELECT and PRINT for a client.

use std::sync::Arc;

use crate::diagnostics::Diagnostic;

use super::answer::{Failure, QueryAnswer, Request};
use super::database::Engine;

impl Engine {
    /// Starts one SELECT or PRINT.
    ///
    /// # Errors
    /// The statement is refused, or a limit on running queries is reached.
    pub fn query(self: &Arc<Self>, request: &Request) -> Result<QueryAnswer, Box<Failure>> {
        let session = self.begin(request)?;
        let statements = self.parse(request, &session)?;
        let _ = statements;
        Err(Failure::general(Diagnostic::not_implemented("SELECT")))
    }
}
