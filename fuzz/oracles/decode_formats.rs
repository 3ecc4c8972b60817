//! What must hold for any bytes given to the decoders of JSON and DELIMITED.
//!
//! - They neither panic nor overflow the stack, and a bad record leaves no trace.
//! - JSON text is what serde_json says it is.
//! - What was read is written, and reading that gives the same row and the same bytes again.
//! - Reading some of the columns gives what reading all of them gives, and never refuses more.

use thalweg::formats::{EncodedSide, FormatName, Side, SideColumn, decoder, encoder};
use thalweg::types::{SqlType, StructField};

/// Checks one input of the JSON decoder.
pub(super) fn decode_json(data: &[u8]) {
    let sides = json_sides();
    let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(data).is_ok();
    for side in &sides {
        let error = decode(side, data).err();
        let text = String::from_utf8_lossy(data);
        assert!(is_json || error.is_some(), "{text:?}");
        // serde_json does not look at surrogates before it needs the string.
        let is_syntax =
            |error: &String| error.starts_with("the bytes are not JSON") && !error.contains("valid escapes");
        assert!(!is_json || !error.as_ref().is_some_and(is_syntax), "{text:?}: {error:?}");
    }
}

/// Checks one input of the DELIMITED decoder; the first byte chooses the delimiter.
pub(super) fn decode_delimited(data: &[u8]) {
    let Some((choice, line)) = data.split_first() else { return };
    let delimiter = [',', ';', '\t', 'é', '-'][usize::from(*choice) % 5];
    for columns in [vec![SqlType::String], scalars()] {
        let side = side(FormatName::Delimited, Some(delimiter), columns);
        if let Err(message) = decode(&side, line) {
            assert!(!message.is_empty());
        }
    }
}

fn decode(side: &Side, record: &[u8]) -> Result<(), String> {
    let all: Vec<usize> = (0..side.columns.len()).collect();
    let mut reader = decoder(side, &all).expect("the format is built");
    reader.append_null();
    let read = reader.decode(record).map_err(|error| error.to_string());
    let columns = reader.finish();
    let rows = 1 + usize::from(read.is_ok());
    assert!(columns.iter().all(|column| column.len() == rows && column.is_null(0)));
    read?;

    let row: Vec<_> = columns.iter().map(|column| column.slice(1, 1)).collect();
    let mut written = EncodedSide::default();
    encoder(side).expect("the format is built").encode(&row, 1, None, &mut written).expect("rows can be written");
    match written.get(0) {
        // A row of one null column is an empty line, which has no fields.
        Some([]) if side.format == FormatName::Delimited => return Ok(()),
        Some(bytes) => reader.decode(bytes).expect("what was written can be read"),
        None => reader.append_null(),
    }
    let again = reader.finish();
    let mut rewritten = EncodedSide::default();
    encoder(side).expect("the format is built").encode(&again, 1, None, &mut rewritten).expect("rows can be written");
    assert_eq!(rewritten.data, written.data);

    for wanted in all {
        let mut one = decoder(side, &[wanted]).expect("the format is built");
        one.decode(record).expect("all columns could be read");
        // Compared as text: a DOUBLE may be NaN.
        assert_eq!(format!("{:?}", one.finish()), format!("{:?}", [&row[wanted]]));
    }
    Ok(())
}

fn side(format: FormatName, delimiter: Option<char>, types: Vec<SqlType>) -> Side {
    let unwrapped = types.len() == 1;
    let name = |i: usize| String::from(char::from(b'A' + (i % 26) as u8));
    let columns =
        types.into_iter().enumerate().map(|(i, ty)| SideColumn { name: name(i).as_str().into(), ty }).collect();
    Side { format, delimiter, unwrapped, columns }
}

fn scalars() -> Vec<SqlType> {
    vec![
        SqlType::BigInt,
        SqlType::String,
        SqlType::Double,
        SqlType::Boolean,
        SqlType::Integer,
        SqlType::Decimal { precision: 9, scale: 4 },
        SqlType::Decimal { precision: 60, scale: 20 },
        SqlType::Bytes,
        SqlType::Time,
        SqlType::Date,
        SqlType::Timestamp,
    ]
}

fn json_sides() -> Vec<Side> {
    let fields = [("A", SqlType::String), ("b", SqlType::Array(Box::new(SqlType::Double)))];
    let row = SqlType::Struct(fields.map(|(name, ty)| StructField { name: name.into(), ty }).into_iter().collect());
    let map = |value: SqlType| SqlType::Map(Box::new(SqlType::String), Box::new(value));
    let nested = vec![SqlType::Array(Box::new(row.clone())), map(SqlType::BigInt), map(row.clone()), row];
    let json = |types| side(FormatName::Json, None, types);
    vec![json(scalars()), json(nested), json(vec![SqlType::String]), json(vec![map(SqlType::String)])]
}
