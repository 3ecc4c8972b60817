//! The words every other room speaks: SQL types, schemas, records, changes, offsets.
//!
//! Invariants:
//! - no I/O, no clock, no settings, nothing asynchronous;
//! - every SQL type has exactly one Arrow form ([`SqlType::arrow`]);
//! - numbers with a meaning are newtypes.
//!
//! Reading order: [`SqlType`], [`Schema`], [`RecordBlock`], [`ChangeBatch`].

mod change;
pub mod decimal_text;
pub mod java_number;
mod name;
mod position;
mod record;
mod row_codec;
mod schema;
mod sql_type;

pub use change::{ChangeBatch, Op, Ops, RowMeta};
pub use name::Name;
pub use position::{Epoch, EventTime, Offset, Partition};
pub use record::{Header, Record, RecordBlock, RecordBlockBuilder, RecordBlockIndexer, RecordView};
pub use row_codec::{EncodedRows, NotARow, RowCodec};
pub use schema::{Column, ColumnRole, PSEUDO_COLUMNS, Schema, WindowInfo, WindowType};
pub use sql_type::{SqlType, StructField};
