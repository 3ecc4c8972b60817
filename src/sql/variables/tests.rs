//! Variables in every place, and places after variables.

use std::collections::BTreeMap;

use super::{parse_statement, split_statements, substitute};

fn variables() -> BTreeMap<String, String> {
    [
        ("S", "orders"),
        ("Q", "'it''s'"),
        ("RAW", "it's"),
        ("N", "-5"),
        ("T", "true"),
        ("EVIL", "x; DROP STREAM y"),
        ("COMMENT", "x -- "),
        ("STAR", "*"),
        ("WORD", "select"),
        ("B", "`my name`"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// The text with its variables replaced, or the error.
fn replaced(sql: &str) -> String {
    substitute(sql, &variables()).map_or_else(|error| error.to_string(), |text| text.into_owned())
}

#[test]
fn a_variable_stands_for_one_name_or_one_literal() {
    for (sql, result) in [
        ("SELECT ${s}.x FROM ${S};", "SELECT orders.x FROM orders;"),
        ("VALUES (${n}, ${q}, ${t}, ${b})", "VALUES (-5, 'it''''s', true, `my name`)"),
        ("a -${n}", "a - -5"),
        ("x${s}${s}", "x orders orders"),
        ("x", "x"),
        ("${none}", "line 1:1: variable none has no value"),
        (
            "a\n ${evil}",
            "line 2:2: the value of variable evil is neither a name nor a literal\nGot: x; DROP STREAM y\n\
             Hint: A name may be quoted; a string is defined with its quotes: DEFINE x = '''text'''.",
        ),
        ("${ran}", "line 1:1: variable ran has no value\nHint: Did you mean \"RAW\"?"),
        ("x ${comment} y", "x x y"),
    ] {
        assert_eq!(replaced(sql), result, "{sql}");
    }
    for refused in ["${star}", "${word}", "${raw}"] {
        assert!(replaced(refused).contains("neither a name nor a literal"), "{refused}");
    }
}

#[test]
fn a_string_holds_variables_anywhere() {
    for (sql, result) in [
        ("'a${s}b${raw}'", "'aordersbit''s'"),
        ("'${none} $${s} ${ ${s} $'", "'${none} ${s} ${ orders $'"),
        ("'${evil}'", "'x; DROP STREAM y'"),
        ("`${s}` /* ${none} */ -- ${none}", "`${s}` /* ${none} */ -- ${none}"),
    ] {
        assert_eq!(replaced(sql), result, "{sql}");
    }
}

#[test]
fn statements_are_cut_at_their_semicolons() {
    let sql = "/* a; */ DEFINE x = 'a;b';\n  SELECT ';' FROM `;`; ;\nx";
    let pieces = split_statements(sql).unwrap();
    let texts: Vec<_> = pieces.iter().map(|piece| piece.text).collect();
    assert_eq!(texts, ["DEFINE x = 'a;b';", "SELECT ';' FROM `;`;", ";", "x"]);
    for piece in &pieces {
        assert_eq!(&sql[piece.span.start.byte as usize..piece.span.end.byte as usize], piece.text);
    }
    assert_eq!(split_statements("  -- nothing\n").unwrap().len(), 0);
    assert_eq!(split_statements("a;\n 'b").unwrap_err().span.unwrap().start.line, 2);
}

#[test]
fn places_after_variables_are_places_in_the_request() {
    let request = "SHOW TABLES;\nSELECT ${n}, '${s}', b\n FROM ${s} wher x;";
    let pieces = split_statements(request).unwrap();
    let error = parse_statement(&pieces[1], &variables()).unwrap_err();
    assert_eq!(error.to_string(), "line 3:17: unexpected \"x\" after the query\nHint: Did you mean WHERE?");
    let span = error.span.unwrap();
    assert_eq!(&request[span.start.byte as usize..span.end.byte as usize], "x");

    let request = "SHOW TABLES; SELECT ${n} FROM ${s};";
    let pieces = split_statements(request).unwrap();
    let statement = parse_statement(&pieces[1], &variables()).unwrap();
    assert_eq!(statement.to_string(), "SELECT -5 FROM ORDERS");
    assert_eq!(&request[statement.span.start.byte as usize..statement.span.end.byte as usize], "SELECT ${n} FROM ${s}");
    let error = parse_statement(&split_statements("SHOW TABLES;\n SELECT ${x} FROM y;").unwrap()[1], &variables());
    assert_eq!(error.unwrap_err().span.unwrap().start.line, 2);
}
