//! Drops rows that cannot be grouped or joined with others.

use datafusion::arrow::array::{Array, BooleanArray};
use datafusion::arrow::buffer::BooleanBuffer;

use crate::diagnostics::Diagnostic;
use crate::expressions::EdgeSchema;
use crate::types::{ChangeBatch, Name};

use super::aggregate::column;
use super::filter::keep;
use super::{Operator, Output, Port, RowError, Step};

/// The guard before an aggregation or a join of streams: rows with a NULL in a column of the key go and are reported, null rows of a stream
/// go in silence.
///
/// Keeps no state. An update of which one side goes becomes a delete or an insert, as in a filter. Cost: a look at the
/// validity of the key columns; nothing is copied where nothing goes.
///
/// ```text
///   GROUP BY K      + a 1 @1             + a 1 @1
///                   + null 2 @2   ──▶
///                  -u b 3 @3             - b 3 @3
///                  +u null 3 @3
/// ```
#[derive(Debug)]
pub struct RequireKey {
    /// Columns of the key, and what they are called.
    key: Vec<(usize, Name)>,
}

impl RequireKey {
    /// A guard for these columns of the edge.
    ///
    /// # Errors
    /// The edge has no such column.
    pub fn compile(key: &[Name], edge: &EdgeSchema) -> Result<Self, Diagnostic> {
        let key = key.iter().map(|name| Ok((column(edge, name)?, name.clone())));
        Ok(Self { key: key.collect::<Result<_, Diagnostic>>()? })
    }
}

impl Operator for RequireKey {
    fn on_changes(&mut self, _port: Port, input: ChangeBatch, out: &mut Output) -> Step {
        let mut passes = BooleanBuffer::new_set(input.len());
        for (index, name) in &self.key {
            let Some(nulls) = input.rows.column(*index).nulls().filter(|nulls| nulls.null_count() > 0) else {
                continue;
            };
            for row in (0..input.len()).filter(|row| passes.value(*row) && nulls.is_null(*row)) {
                if !input.is_null_row(row) {
                    out.errors.push(RowError {
                        partition: input.meta.partition[row],
                        offset: input.meta.offset[row],
                        expression: "key".to_owned(),
                        message: format!("{name} is NULL: the row is left out"),
                    });
                }
            }
            passes = &passes & nulls.inner();
        }
        out.emit(keep(input, BooleanArray::new(passes, None)));
        Step::Done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};

    use super::RequireKey;
    use crate::expressions::{EdgeColumn, EdgeSchema};
    use crate::operators::batch_text::{batch, text};
    use crate::operators::{Operator, Output, Port};
    use crate::types::{ChangeBatch, SqlType};

    /// Rows with key `null` have no key.
    fn check(input: &str, expected: &str, reported: usize) {
        let input = batch(input);
        let keys = input.rows.column(0).as_string::<i32>();
        let keys: ArrayRef = Arc::new(keys.iter().map(|key| key.filter(|key| *key != "null")).collect::<StringArray>());
        let rows = RecordBatch::try_new(input.rows.schema(), vec![keys, Arc::clone(input.rows.column(1))]).unwrap();
        let edge = EdgeSchema::new(vec![EdgeColumn { name: "K".into(), ty: SqlType::String }]);
        let mut out = Output::default();
        let mut guard = RequireKey::compile(&["K".into()], &edge).unwrap();
        guard.on_changes(Port(0), ChangeBatch { rows, ..input }, &mut out);
        assert_eq!(out.batches.iter().map(text).collect::<String>(), expected);
        assert_eq!(out.errors.len(), reported);
    }

    #[test]
    fn rows_without_a_key_go_and_are_reported() {
        check("+ a 1 @1; + null 2 @2; + b 3 @3", "+ a 1 @1; + b 3 @3", 1);
    }

    #[test]
    fn null_rows_go_in_silence() {
        check("+ a null @1; + null null @2; + b 3 @3", "+ b 3 @3", 0);
    }

    #[test]
    fn half_an_update_becomes_a_delete_or_an_insert() {
        check("-u a 1 @1; +u null 2 @1; -u null 3 @2; +u b 4 @2", "- a 1 @1; + b 4 @2", 2);
        check("-u null 1 @1; +u null 2 @1; - null 3 @2", "", 3);
    }
}
