//! Look-ups by whole keys, as a form with places for the literals: planned once, run with other literals ever after.
//!
//! ```text
//!   … WHERE A = 'x' AND B IN (1, 2)       literals in the order of the text: 'x', 1, 2
//!     ──▶ key (0, 1), key (0, 2)          which literal is which part of the key
//! ```

use std::ops::Bound;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};

use super::snapshot::KeyRange;
use super::table_shape::TableShape;
use crate::planner::PullPlan;
use crate::sql::ast::{BinaryOp, ExprKind, Literal};
use crate::types::SqlType;

/// Which literals of a statement make the keys that are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointLookup {
    /// By key, then by key column: the literal's number.
    keys: Vec<Vec<usize>>,
    types: Vec<SqlType>,
}

impl PointLookup {
    /// The form of a plan that does nothing but to look up whole keys; `None` for other plans, and for key types whose
    /// values are not just a literal's. `literals` is how many literals the statement holds, all in all.
    pub fn of(plan: &PullPlan, shape: &TableShape, literals: usize) -> Option<Self> {
        let types: Vec<SqlType> = shape.key_codec.types().get(..shape.key_columns())?.to_vec();
        let lookups = plan.exact_lookups.as_ref()?;
        let mut places: Vec<u32> = Vec::new();
        for bound in lookups.iter().flatten() {
            let ExprKind::Literal(literal) = &bound.value.kind else { return None };
            let fits = match (types.get(bound.column)?, literal) {
                (SqlType::Integer, Literal::Integer(_))
                | (SqlType::BigInt, Literal::Integer(_) | Literal::BigInt(_))
                | (SqlType::String, Literal::String(_)) => bound.op == BinaryOp::Equal,
                _ => false,
            };
            if !fits || bound.value.span.is_unknown() {
                return None;
            }
            places.push(bound.value.span.start.byte);
        }
        places.sort_unstable();
        places.dedup();
        if places.len() != literals {
            return None;
        }
        let mut keys = Vec::with_capacity(lookups.len());
        for lookup in lookups {
            let part = |column: usize| {
                let mut of_column = lookup.iter().filter(|bound| bound.column == column);
                let bound = of_column.next().filter(|_| of_column.next().is_none())?;
                places.binary_search(&bound.value.span.start.byte).ok()
            };
            keys.push((0..types.len()).map(part).collect::<Option<Vec<_>>>()?);
        }
        Some(Self { keys, types })
    }

    /// Where the keys are that these literals make; `None` if one of them is not of its column's type.
    pub fn ranges(&self, shape: &TableShape, literals: &[Literal]) -> Option<Vec<KeyRange>> {
        let mut prefixes = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            let mut columns = Vec::with_capacity(key.len());
            for (number, ty) in key.iter().zip(&self.types) {
                columns.push(value(literals.get(*number)?, ty)?);
            }
            prefixes.push(shape.key_prefix(&columns));
        }
        prefixes.sort_unstable();
        prefixes.dedup();
        let range = |prefix: Vec<u8>| match shape.is_windowed() {
            true => KeyRange::prefix(&prefix),
            false => KeyRange { from: Bound::Included(prefix.clone()), to: Bound::Included(prefix) },
        };
        Some(prefixes.into_iter().map(range).collect())
    }
}

fn value(literal: &Literal, ty: &SqlType) -> Option<ArrayRef> {
    Some(match (ty, literal) {
        (SqlType::Integer, Literal::Integer(number)) => Arc::new(Int32Array::from(vec![*number])),
        (SqlType::BigInt, Literal::Integer(number)) => Arc::new(Int64Array::from(vec![i64::from(*number)])),
        (SqlType::BigInt, Literal::BigInt(number)) => Arc::new(Int64Array::from(vec![*number])),
        (SqlType::String, Literal::String(text)) => Arc::new(StringArray::from(vec![text.as_str()])),
        _ => return None,
    })
}
