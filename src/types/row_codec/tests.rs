//! Tests of the row bytes: pinned, kept in order, read back.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};

use super::{NotARow, RowCodec};
use crate::types::SqlType;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_of_version_1_never_change() {
    let codec = RowCodec::new([SqlType::BigInt, SqlType::String, SqlType::Double]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(-2), None])),
        Arc::new(StringArray::from(vec!["a\0b", ""])),
        Arc::new(Float64Array::from(vec![-1.5, 1.5])),
    ];
    let rows: Vec<String> = codec.encode(&columns, 2).iter().map(hex).collect();
    assert_eq!(
        rows,
        [
            "017ffffffffffffffe016100ff62000101400 7ffffffffffff".replace(' ', ""),
            "00010001 01bff8000000000000".replace(' ', "")
        ]
    );
    assert_eq!(codec.decode(codec.encode(&columns, 2).iter()).unwrap(), columns);
}

#[test]
fn bytes_that_are_no_row_are_refused() {
    let codec = RowCodec::new([SqlType::BigInt]);
    assert_eq!(codec.decode([&[1, 2, 3][..]]).unwrap_err(), NotARow(3));
    assert_eq!(codec.decode([&[0, 0][..]]).unwrap_err(), NotARow(2));
    assert_eq!(codec.row_length(&[0, 0]), Ok(1));
}
