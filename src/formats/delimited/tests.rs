//! Delimited lines as text, and the rows they become.

use proptest::prelude::*;

use crate::formats::FormatName;
use crate::formats::testing::Codec;

fn delimited(columns: &[(&str, &str)]) -> Codec {
    Codec::new(FormatName::Delimited, columns)
}

fn strings(count: usize) -> Codec {
    delimited(&[("A", "STRING"), ("B", "STRING"), ("C", "STRING")][..count])
}

#[test]
fn fields_are_split_and_unquoted() {
    let codec = strings(3);
    for (line, row) in [
        ("a,b,c", "a | b | c"),
        ("\"a,b\",\"say \"\"hi\"\"\",\"\"\"\"", "a,b | say \"hi\" | \""),
        ("a,b\"c,\"d\ne\"", "a | b\"c | d\ne"),
        ("\"a\" \t,b,c", "a | b | c"),
        (" a, b ,c ", " a |  b  | c "),
        ("\r\n\na,b,c\r\nmore,\"", "a | b | c"),
        (",,", "null | null | null"),
        ("\"\",b,", "null | b | null"),
        ("a,\"\"\"\",é", "a | \" | é"),
    ] {
        codec.check(line.as_bytes(), row);
    }
}

#[test]
fn lines_that_cannot_be_split_are_bad_records() {
    let codec = strings(2);
    for (line, error) in [
        ("", "no fields in record"),
        ("\n", "no fields in record"),
        ("a", "the record has 1 fields, not 2"),
        ("a,b,c", "the record has 3 fields, not 2"),
        ("a,b,", "the record has 3 fields, not 2"),
        ("\"a,b", "a quoted field does not end"),
        ("\"a\"b,c", "something other than the delimiter follows a quoted field"),
    ] {
        codec.check_bad(line.as_bytes(), error);
    }
    codec.check_bad(b"a,\xff", "the bytes are not UTF-8");
}

#[test]
fn values_are_read_as_java_reads_them() {
    for (ty, text, value) in [
        ("BOOLEAN", "TRUE", "true"),
        ("BOOLEAN", "yes", "false"),
        ("INTEGER", "+5", "5"),
        ("BIGINT", "-5", "-5"),
        ("DOUBLE", " 1e3 ", "1000.0"),
        ("DECIMAL(6, 2)", ".5", "0.50"),
        ("DECIMAL(50, 2)", "\"-1.500\"", "-1.50"),
        ("BYTES", "/wA=", "ff00"),
        ("TIME", "1", "00:00:00.001"),
        ("DATE", "-1", "1969-12-31"),
        ("TIMESTAMP", "1", "1970-01-01T00:00:00.001"),
    ] {
        delimited(&[("A", ty)]).check(text.as_bytes(), value);
    }
    for (ty, text) in
        [("INTEGER", "3000000000"), ("BIGINT", "1.0"), ("TIME", "86400000"), ("DATE", "x"), ("BYTES", "?")]
    {
        delimited(&[("A", ty)])
            .check_bad(text.as_bytes(), &format!("column `A`: cannot convert the text of a field to {ty}"));
    }
    delimited(&[("A", "DECIMAL(4, 2)")])
        .check_bad(b"1.005", "column `A`: cannot fit the decimal into DECIMAL(4, 2) without rounding");
}

#[test]
fn quotes_are_written_where_commons_csv_writes_them() {
    let codec = strings(3);
    for (line, written) in [
        ("a,b,c", "a,b,c"),
        // The first field must begin with a letter or digit, the others after '#'.
        ("-a,-b,_c", "\"-a\",-b,_c"),
        ("é,é,c", "\"é\",é,c"),
        ("a,!b,#c", "a,\"!b\",\"#c\""),
        ("a, b,c ", "a,\" b\",\"c \""),
        ("\"x,y\",\"\"\"\",\"l\nm\"", "\"x,y\",\"\"\"\",\"l\nm\""),
        (",,", ",,"),
    ] {
        assert_eq!(codec.rewrite(line.as_bytes()), written);
    }
    assert_eq!(delimited(&[("A", "INTEGER"), ("B", "INTEGER")]).rewrite(b"-1,-1"), "\"-1\",-1");
    assert_eq!(delimited(&[("A", "DOUBLE")]).rewrite(b"10000000000"), "1.0E10");
    assert_eq!(delimited(&[("A", "DECIMAL(33, 16)")]).rewrite(b".12"), "0.1200000000000000");
}

#[test]
fn an_empty_string_is_quoted_at_the_start_only() {
    use datafusion::arrow::array::{ArrayRef, StringArray};
    let column: ArrayRef = std::sync::Arc::new(StringArray::from(vec![Some(""), None]));
    let encoded = crate::formats::testing::encode(&strings(2).side, &[std::sync::Arc::clone(&column), column]);
    assert_eq!(encoded.get(0), Some(b"\"\",".as_slice()));
    assert_eq!(encoded.get(1), Some(b",".as_slice()));
}

#[test]
fn the_delimiter_may_be_any_character() {
    for (delimiter, line) in [(';', "a,b;c"), ('\t', "a,b\tc"), ('é', "a,béc"), ('1', "a,b1c"), (' ', "a,b c")] {
        let codec = strings(2).delimiter(delimiter);
        codec.check(line.as_bytes(), "a,b | c");
        assert_eq!(codec.rewrite(line.as_bytes()), line);
    }
    let numbers = delimited(&[("A", "INTEGER"), ("B", "INTEGER")]).delimiter('-');
    assert_eq!(numbers.rewrite(b"1-\"-2\""), "1-\"-2\"");
}

#[test]
fn only_wanted_columns_are_read() {
    let side = delimited(&[("A", "INTEGER"), ("B", "INTEGER"), ("C", "STRING")]).side;
    let mut decoder = crate::formats::decoder(&side, &[2, 0]).unwrap();
    decoder.decode(b"1,not a number,x").unwrap();
    decoder.decode(b"1,2,y").unwrap();
    decoder.undo_last();
    decoder.append_null();
    let columns = decoder.finish();
    assert_eq!(crate::formats::testing::row_text(&columns, 0), "x | 1");
    assert_eq!(crate::formats::testing::row_text(&columns, 1), "null | null");
}

proptest! {
    #[test]
    fn what_is_written_reads_back(fields in proptest::collection::vec("[a\",;\\r\\n\té# -]{0,4}", 3), delimiter in prop::sample::select(vec![',', ';', ' ', 'é'])) {
        use datafusion::arrow::array::{ArrayRef, StringArray};
        let codec = strings(3).delimiter(delimiter);
        let columns: Vec<ArrayRef> = fields.iter().map(|field| std::sync::Arc::new(StringArray::from(vec![field.as_str()])) as ArrayRef).collect();
        let encoded = crate::formats::testing::encode(&codec.side, &columns);
        let expected: Vec<&str> = fields.iter().map(|field| if field.is_empty() { "null" } else { field }).collect();
        prop_assert_eq!(codec.read(encoded.get(0).unwrap()), expected.join(" | "));
    }
}
