//! Functions from text to text, and what resolution says.

mod documented;
mod edges;
mod text_properties;
mod time_properties;

use crate::expressions::tests::{check, typed, value};

#[test]
fn overloads_are_exact_first_then_widened_then_refused() {
    typed("ABS(a)", "a INT", "INTEGER");
    typed("SQRT(a)", "a DECIMAL(4,2)", "DOUBLE");
    typed(
        "GREATEST(a, b)",
        "a INT, b BIGINT",
        "cannot be resolved due to ambiguous method parameters (INTEGER, BIGINT)",
    );
    typed("GREATEST(a, b)", "a DECIMAL(4,2), b DECIMAL(5,1)", "DECIMAL(6, 2)");
    typed("SUBSTRING(a)", "a STRING", "does not accept parameters (STRING)");
    typed("SUBSTRNG(a, 1)", "a STRING", "Did you mean \"SUBSTRING\"?");
    typed("COALESCE()", "a STRING", "does not accept parameters ()");
    typed("ARRAY_CONCAT(a, b)", "a ARRAY<INT>, b ARRAY<STRING>", "does not accept parameters");
    typed("SUM(a)", "a INT", "aggregate function SUM cannot stand here");
    typed("COALESCE(NULL, a)", "a INT", "INTEGER");
    typed("EXPLODE(a)", "a ARRAY<INT>", "ARRAY<INTEGER>");
}

#[test]
fn numbers() {
    value("ABS(-1.50)", "1.50");
    value("CEIL(1.1)", "2.0");
    value("FLOOR(-1.1)", "-2.0");
    check("ROUND(a)", "a DOUBLE", "1.5; -1.5; -2.5; 2.4", "2; -1; -2; 2");
    value("ROUND(12345.678, -2)", "12300.000");
    check("ROUND(a, 1)", "a DOUBLE", "12.35; -12.35", "12.4; -12.3");
    value("ROUND(-1.5)", "-1");
    value("TRUNC(-1.59, 1)", "-1.50");
    value("LOG(13)", "2.5649493574615367");
    value("SIGN(-5)", "-1");
    check("SQRT(a)", "a INT", "4; -1; NULL", "2.0; NaN; null");
    value("GREATEST(1, 5, NULL)", "5");
    value("LEAST('b', 'a')", "a");
    value("GEO_DISTANCE(37.4439, -122.1663, 51.5257, -0.1122, 'km')", "8634.659796579546");
}

#[test]
fn texts() {
    check("SUBSTRING(s, 3)", "s STRING", "'stream'; 'ab'; NULL", "ream; ; null");
    value("SUBSTRING('hello', -3, 2)", "ll");
    value("SUBSTRING('hello', 0, -1)", "");
    value("LEN('a😀')", "3");
    value("CONCAT('a', NULL, 'b')", "ab");
    value("'a' || NULL", "a");
    value("CONCAT_WS('-', 'a', NULL, 'b')", "a-b");
    value("LPAD('abc', 5, 'xy')", "xyabc");
    value("RPAD('abc', 2, 'x')", "ab");
    value("RPAD('abc', -2, 'x')", "null");
    value("INITCAP('the qUICK x-y')", "The Quick X-y");
    value("INSTR('corporate floor', 'or', -4, 2)", "2");
    value("REPLACE('foobar', 'o', '0')", "f00bar");
    value("SPLIT('a,,b', ',')", "[a, , b]");
    value("SPLIT_TO_MAP('a:=1/b:=2', '/', ':=')", "{a=1, b=2}");
    value("MASK('AbC 1-z')", "XxX-n-x");
    value("MASK_KEEP_RIGHT('AbC1', 2)", "XxC1");
    value("CHR(128520)", "😈");
    value("CHR('\\u004d')", "M");
    value("ELT(2, 'a', 'b')", "b");
    value("FIELD('b', 'a', 'b')", "2");
    value("MD5('abc')", "900150983cd24fb0d6963f7d28e17f72");
}

#[test]
fn regular_expressions() {
    value("REGEXP_EXTRACT('(.*) (.*)', 'hello there', 2)", "there");
    value("REGEXP_EXTRACT_ALL('.t', 'bat sat')", "[at, at]");
    value("REGEXP_REPLACE('a1b2', '([a-z])([0-9])', '$2$1')", "1a2b");
    value("REGEXP_SPLIT_TO_ARRAY('a1b2c', '[0-9]')", "[a, b, c]");
    check("REGEXP_EXTRACT(p, 'abc')", "p STRING", "'b.'; '('; NULL", "bc; null!; null");
}

#[test]
fn bytes_and_encodings() {
    value("FROM_BYTES(TO_BYTES('21', 'hex'), 'utf8')", "!");
    value("FROM_BYTES(TO_BYTES('ab', 'utf8'), 'hex')", "6162");
    value("TO_BYTES('2', 'hex')", "null!");
    value("ENCODE('8', 'ascii', 'base64')", "OA==");
    value("ENCODE('0x123', 'hex', 'ascii')", "\u{1}#");
    value("ENCODE('X''', 'hex', 'ascii')", "null!");
    value("INT_FROM_BYTES(TO_BYTES('00000001', 'hex'))", "1");
    value("LEN(UUID())", "36");
    value("UUID() = UUID()", "false");
    value("UUID(TO_BYTES('000102030405060708090a0b0c0d0e0f', 'hex'))", "00010203-0405-0607-0809-0a0b0c0d0e0f");
}

#[test]
fn json() {
    check(
        "EXTRACTJSONFIELD(s, '$.a[1]')",
        "s STRING",
        r#"'{"a":[1,"x"]}'; '{"a":1}'; 'x'; NULL"#,
        "x; null; null!; null",
    );
    value(r#"EXTRACTJSONFIELD('{"a":1.50}', '$.a')"#, "1.50");
    value("IS_JSON_STRING('[1,2')", "false");
    value("JSON_ARRAY_CONTAINS('[1, \"a\"]', 1)", "true");
    value("JSON_ARRAY_LENGTH('[1,2]')", "2");
    value(r#"JSON_CONCAT('{"a":1}', '{"b":2}')"#, r#"{"a":1,"b":2}"#);
    value("JSON_ITEMS('[1, {}]')", "[1, {}]");
    value(r#"JSON_KEYS('{"a":1,"b":2}')"#, "[a, b]");
    value(r#"JSON_RECORDS('{"a":"x","b":[1]}')"#, "{a=x, b=[1]}");
    value("TO_JSON_STRING(STRUCT(b := 1, a := ARRAY['x', NULL]))", r#"{"A":["x",null],"B":1}"#);
    value("TO_JSON_STRING(1.50)", "1.50");
}

#[test]
fn arrays_and_maps() {
    value("ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3])", "[1, 2, 3]");
    value("ARRAY_INTERSECT(ARRAY[1, 2], ARRAY[2, 3])", "[2]");
    value("ARRAY_EXCEPT(ARRAY[1, 2, 1], ARRAY[2])", "[1]");
    value("ARRAY_CONCAT(ARRAY[1], ARRAY[1])", "[1, 1]");
    value("ARRAY_DISTINCT(ARRAY[1, NULL, 1, NULL])", "[1, null]");
    value("ARRAY_REMOVE(ARRAY[1, 2, 1], 1)", "[2]");
    check("ARRAY_CONTAINS(a, 2)", "a ARRAY<INT>", "ARRAY[1,2]; ARRAY[1]; NULL", "true; false; false");
    value("ARRAY_JOIN(ARRAY[1, NULL], '-')", "1-null");
    value("ARRAY_MAX(ARRAY['a', NULL, 'b'])", "b");
    value("ARRAY_SORT(ARRAY[3, NULL, 1], 'desc')", "[3, 1, null]");
    check("SLICE(a, 2, 3)", "a ARRAY<INT>", "ARRAY[1,2,3]; ARRAY[1]; NULL", "[2, 3]; null; null");
    value("GENERATE_SERIES(1, 5, 2)", "[1, 3, 5]");
    value("GENERATE_SERIES(1, 5, -1)", "null!");
    value("ENTRIES(MAP('b' := 1, 'a' := 2), TRUE)", "[Struct{K=a,V=2}, Struct{K=b,V=1}]");
    value("AS_MAP(ARRAY['a', 'b'], ARRAY[1])", "{a=1, b=null}");
    value("MAP_KEYS(MAP('a' := 1))", "[a]");
    value("MAP_UNION(MAP('a' := 1), MAP('a' := 2, 'b' := 3))", "{a=2, b=3}");
    value("CUBE_EXPLODE(ARRAY[1, 2])", "[[null, null], [null, 2], [1, null], [1, 2]]");
    value("CUBE_EXPLODE(ARRAY[1, CAST(NULL AS INT)])", "[[null, null], [1, null]]");
}

#[test]
fn lambdas_see_columns_and_fail_with_their_row() {
    check(
        "TRANSFORM(a, x => x + b)",
        "a ARRAY<INT>, b INT",
        "ARRAY[1,2] | 10; NULL | 1; ARRAY[5, NULL] | 1",
        "[11, 12]; null; null!",
    );
    check("FILTER(a, x => x > 5)", "a ARRAY<INT>", "ARRAY[5, 6, NULL]", "[6]");
    check("REDUCE(a, 2, (s, x) => s * x)", "a ARRAY<INT>", "ARRAY[3, 4]; ARRAY[3]; NULL", "24; 6; 2");
    value("TRANSFORM(MAP('a' := 1), (k, v) => UCASE(k), (k, v) => v + 1)", "{A=2}");
    value("FILTER(MAP('a' := 1, 'b' := 2), (k, v) => v > 1)", "{b=2}");
    value("REDUCE(MAP('a' := 1, 'b' := 2), 10, (s, k, v) => s + v)", "13");
    check(
        "TRANSFORM(a, x => TRANSFORM(x, y => y + b))",
        "a ARRAY<ARRAY<INT>>, b INT",
        "ARRAY[ARRAY[1], ARRAY[2, 3]] | 10",
        "[[11], [12, 13]]",
    );
    typed("TRANSFORM(a, b => b)", "a ARRAY<INT>, b INT", "can't be a column name: B");
}

#[test]
fn times() {
    value(
        "FORMAT_TIMESTAMP(FROM_UNIXTIME(1618000000000), 'yyyy-MM-dd HH:mm:ss', 'Europe/Paris')",
        "2021-04-09 22:26:40",
    );
    value("PARSE_TIMESTAMP('2021-04-09 22', 'yyyy-MM-dd HH')", "2021-04-09T22:00:00.000");
    check("PARSE_DATE(s, 'yyyy-MM-dd')", "s STRING", "'2021-04-09'; 'x'; NULL", "2021-04-09; null!; null");
    value("STRINGTODATE('2021-04-09', 'yyyy-MM-dd')", "18726");
    value("TIMESTAMPADD(DAYS, 2, CAST('2021-01-01' AS TIMESTAMP))", "2021-01-03T00:00:00.000");
    value("TIMESUB(HOURS, 2, CAST('01:00' AS TIME))", "23:00");
    value("DATEADD(HOURS, 23, CAST('2021-01-01' AS DATE))", "2021-01-01");
    value("CONVERT_TZ(CAST('2021-07-01T10:00' AS TIMESTAMP), 'UTC', 'Europe/Paris')", "2021-07-01T12:00:00.000");
    value("UNIX_TIMESTAMP()", "1000");
    value("FORMAT_TIME(CAST('10:00' AS TIME), 'yyyy')", "null!");
}

#[test]
fn urls() {
    let url = "http://test@confluent.io:8080/a%20b?x=1&y=a%20b#frag";
    value(&format!("URL_EXTRACT_HOST('{url}')"), "confluent.io");
    value(&format!("URL_EXTRACT_PORT('{url}')"), "8080");
    value(&format!("URL_EXTRACT_PATH('{url}')"), "/a b");
    value(&format!("URL_EXTRACT_PARAMETER('{url}', 'y')"), "a b");
    value(&format!("URL_EXTRACT_FRAGMENT('{url}')"), "frag");
    value(&format!("URL_EXTRACT_PROTOCOL('{url}')"), "http");
    value("URL_EXTRACT_HOST('http://257.1/bogus/[url')", "null!");
    value("URL_ENCODE_PARAM('a b&*')", "a+b%26*");
    value("URL_DECODE_PARAM('a+b%26')", "a b&");
    value("URL_DECODE_PARAM('%xy')", "null!");
}
