//! TOPK and TOPKDISTINCT: the k largest values, with the columns beside them.

use crate::types::{Name, SqlType, StructField};

/// The type of an element of TOPK with columns beside the value, the value first.
pub(super) fn row_type(columns: &[SqlType]) -> SqlType {
    let name = |i: usize| i.checked_sub(1).map_or_else(|| "sort_col".to_owned(), |beside| format!("col{beside}"));
    SqlType::Struct(
        columns.iter().enumerate().map(|(i, ty)| StructField { name: Name::new(name(i)), ty: ty.clone() }).collect(),
    )
}
