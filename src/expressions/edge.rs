//! The columns of an edge between operators: what expressions are typed against.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::types::{Name, SqlType};

/// A column of an edge between operators. Names are unique on an edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EdgeColumn {
    /// Internal name, unique on its edge.
    pub name: Name,
    /// Type.
    pub ty: SqlType,
}

/// The columns that flow along an edge; what expressions are typed against.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EdgeSchema {
    columns: Vec<EdgeColumn>,
}

impl EdgeSchema {
    /// A schema of these columns; names are unique.
    pub fn new(columns: Vec<EdgeColumn>) -> Self {
        Self { columns }
    }

    /// The columns in order.
    pub fn columns(&self) -> &[EdgeColumn] {
        &self.columns
    }

    /// Position of a column.
    pub fn index_of(&self, name: &Name) -> Option<usize> {
        self.columns.iter().position(|column| column.name == *name)
    }

    /// The Arrow schema of batches on this edge: every column nullable.
    pub fn arrow(&self) -> SchemaRef {
        Arc::new(ArrowSchema::new(
            self.columns
                .iter()
                .map(|column| Field::new(column.name.as_str(), column.ty.arrow(), true))
                .collect::<Vec<_>>(),
        ))
    }
}
