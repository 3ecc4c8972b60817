//! What the documentation adds to each function's description: how it takes nulls and what it fails on, and examples.
//!
//! A test runs every example and compares the result as text; `error` is NULL with an entry in the processing log.

/// What is known of a function beside its description.
#[derive(Debug, Clone, Copy)]
pub(super) struct Notes {
    /// Nulls, errors, limits, in sentences; may be empty.
    pub(super) notes: &'static str,
    /// Calls and what they give.
    pub(super) examples: &'static [Example],
}

/// A call and what it gives, as text; the rows that a table function makes are the elements of an array.
pub type Example = (&'static str, &'static str);

/// The notes of a function.
pub(super) fn of(name: &str) -> Option<Notes> {
    let found = ALL.binary_search_by(|(known, ..)| (*known).cmp(name)).ok()?;
    let (_, notes, examples) = ALL.get(found)?;
    Some(Notes { notes, examples })
}

const ANGLE: &str = "Null of null; NaN where there is no result.";
const URL: &str = "Null of null and where the part is missing; fails on what is no URL.";
const SETS: &str = "Null if either array is null.";
const PATTERN: &str = "Null of null; fails on a pattern or zone that is none.";
const PARSING: &str = "Fails on text that the pattern does not spell, and on null.";
const MASKS: &str =
    "Fails if n is negative or null, and on a mask that is not one character; a null mask keeps its class.";
const BYTE_ORDER: &str =
    "The order is BIG_ENDIAN (the default) or LITTLE_ENDIAN. Null of null; fails on another number of bytes.";

/// By name.
pub(super) const ALL: &[(&str, &str, &[Example])] = &[
    ("ABS", "Null of null.", &[("ABS(-1.50)", "1.50"), ("ABS(-2147483648)", "-2147483648")]),
    ("ACOS", ANGLE, &[("ACOS(1)", "0.0"), ("ACOS(2)", "NaN")]),
    (
        "ARRAY_CONCAT",
        "A null array counts as empty; null if both are.",
        &[("ARRAY_CONCAT(ARRAY[1, 2], ARRAY[2, 3])", "[1, 2, 2, 3]"), ("ARRAY_CONCAT(NULL, ARRAY[1])", "[1]")],
    ),
    (
        "ARRAY_CONTAINS",
        "False of a null array; a null is found among nulls.",
        &[("ARRAY_CONTAINS(ARRAY['a', 'b'], 'b')", "true"), ("ARRAY_CONTAINS(ARRAY[1, NULL], NULL)", "true")],
    ),
    ("ARRAY_DISTINCT", "Null of null.", &[("ARRAY_DISTINCT(ARRAY[2, 1, 2, NULL, NULL])", "[2, 1, null]")]),
    ("ARRAY_EXCEPT", SETS, &[("ARRAY_EXCEPT(ARRAY[1, 2, 3, 1], ARRAY[2])", "[1, 3]")]),
    ("ARRAY_INTERSECT", SETS, &[("ARRAY_INTERSECT(ARRAY[3, 1, 2], ARRAY[2, 3])", "[3, 2]")]),
    (
        "ARRAY_JOIN",
        "The delimiter is a comma if none is given and nothing if it is null. Fails on elements other than booleans, \
         numbers and texts.",
        &[("ARRAY_JOIN(ARRAY[1, NULL, 3])", "1,null,3"), ("ARRAY_JOIN(ARRAY['a', 'b'], '; ')", "a; b")],
    ),
    ("ARRAY_LENGTH", "Null of null.", &[("ARRAY_LENGTH(ARRAY[1, NULL])", "2")]),
    ("ARRAY_MAX", "Null if there is none.", &[("ARRAY_MAX(ARRAY[1, NULL, 3])", "3")]),
    ("ARRAY_MIN", "Null if there is none.", &[("ARRAY_MIN(ARRAY['b', 'a'])", "a")]),
    ("ARRAY_REMOVE", "Removing null removes nulls.", &[("ARRAY_REMOVE(ARRAY[1, 2, 1], 1)", "[2]")]),
    (
        "ARRAY_SORT",
        "The direction is ASC or DESC; null of another.",
        &[("ARRAY_SORT(ARRAY[3, NULL, 1])", "[1, 3, null]"), ("ARRAY_SORT(ARRAY[3, NULL, 1], 'DESC')", "[3, 1, null]")],
    ),
    ("ARRAY_UNION", SETS, &[("ARRAY_UNION(ARRAY[1, 2, 1], ARRAY[3, 2])", "[1, 2, 3]")]),
    ("ASIN", ANGLE, &[("ASIN(0)", "0.0")]),
    (
        "AS_MAP",
        "Keys without a value get null; of equal keys the last counts. Null if either array is null.",
        &[("AS_MAP(ARRAY['a', 'b'], ARRAY[1])", "{a=1, b=null}")],
    ),
    ("AS_VALUE", "", &[("AS_VALUE('x')", "x")]),
    ("ATAN", ANGLE, &[("ATAN(1)", "0.7853981633974483")]),
    ("ATAN2", "Null if either is null.", &[("ATAN2(1, 0)", "1.5707963267948966")]),
    ("BIGINT_FROM_BYTES", BYTE_ORDER, &[("BIGINT_FROM_BYTES(TO_BYTES('0000000000000102', 'hex'))", "258")]),
    ("CBRT", ANGLE, &[("CBRT(-27)", "-3.0")]),
    ("CEIL", "Null of null; a DECIMAL keeps its scale.", &[("CEIL(1.1)", "2.0"), ("CEIL(-1.5E0)", "-1.0")]),
    (
        "CHR",
        "Escapes are written \\u and four digits. Null of what is none.",
        &[("CHR(75)", "K"), ("CHR('\\u004B')", "K"), ("CHR(-1)", "null")],
    ),
    ("COALESCE", "", &[("COALESCE(NULL, 'a', 'b')", "a"), ("COALESCE(ELT(3, 'a'), ELT(4, 'b'))", "null")]),
    ("CONCAT", "", &[("CONCAT('a', NULL, 'b')", "ab")]),
    (
        "CONCAT_WS",
        "Null if the separator is null; fails on fewer than two arguments.",
        &[("CONCAT_WS('-', 'a', NULL, '', 'b')", "a--b")],
    ),
    ("CONVERT_TZ", PATTERN, &[("CONVERT_TZ(FROM_UNIXTIME(0), 'UTC', 'Asia/Kolkata')", "1970-01-01T05:30:00.000")]),
    ("COS", ANGLE, &[("COS(0)", "1.0")]),
    ("COSH", ANGLE, &[("COSH(0)", "1.0")]),
    ("COT", "Null of null; Infinity of 0.", &[("COT(1)", "0.6420926159343306"), ("COT(0)", "Infinity")]),
    (
        "CUBE_EXPLODE",
        "Null elements are not doubled; null makes no rows. Fails on more than 20 elements.",
        &[("CUBE_EXPLODE(ARRAY[1, 2])", "[[null, null], [null, 2], [1, null], [1, 2]]")],
    ),
    ("DATEADD", "Null of null.", &[("DATEADD(DAYS, 9, CAST('2024-02-25' AS DATE))", "2024-03-05")]),
    ("DATESUB", "Null of null.", &[("DATESUB(HOURS, 30, CAST('2024-03-01' AS DATE))", "2024-02-28")]),
    ("DATETOSTRING", PATTERN, &[("DATETOSTRING(19782, 'dd.MM.yyyy')", "29.02.2024")]),
    ("DEGREES", ANGLE, &[("DEGREES(PI())", "180.0")]),
    ("DOUBLE_FROM_BYTES", BYTE_ORDER, &[("DOUBLE_FROM_BYTES(TO_BYTES('3FF8000000000000', 'hex'))", "1.5")]),
    ("ELT", "Null if there is none; fails if n is null.", &[("ELT(2, 'a', 'b')", "b"), ("ELT(3, 'a', 'b')", "null")]),
    (
        "ENCODE",
        "The encodings must differ. Null of null; fails on text that is not of its encoding.",
        &[("ENCODE('0x6869', 'hex', 'utf8')", "hi"), ("ENCODE('hi', 'utf8', 'base64')", "aGk=")],
    ),
    (
        "ENTRIES",
        "Values are BOOLEAN, INTEGER, BIGINT, DOUBLE or STRING. Null of null; fails if `sorted` is null.",
        &[("ENTRIES(MAP('b' := 2, 'a' := 1), TRUE)", "[Struct{K=a,V=1}, Struct{K=b,V=2}]")],
    ),
    ("EXP", ANGLE, &[("EXP(1)", "2.718281828459045")]),
    ("EXPLODE", "Null and an empty array make no rows.", &[("EXPLODE(ARRAY[1, NULL, 3])", "[1, null, 3]")]),
    (
        "EXTRACTJSONFIELD",
        "A path is $ followed by .name, [index] or [\"name\"]; indices count from 0. Texts come without quotes, a JSON null \
         as the text null, what is missing as null. Fails on bad JSON and bad paths.",
        &[
            (r#"EXTRACTJSONFIELD('{"a": [1, {"b": "x"}]}', '$.a[1].b')"#, "x"),
            (r#"EXTRACTJSONFIELD('{"a": 1.50}', '$.a')"#, "1.50"),
        ],
    ),
    ("FIELD", "", &[("FIELD('b', 'a', 'b')", "2"), ("FIELD('x', 'a', 'b')", "0")]),
    (
        "FILTER",
        "Null of null. An error in the lambda fails the whole call.",
        &[
            ("FILTER(ARRAY[5, 6, NULL], x => x > 5)", "[6]"),
            ("FILTER(MAP('a' := 1, 'b' := 2), (k, v) => v > 1)", "{b=2}"),
        ],
    ),
    ("FLOOR", "Null of null; a DECIMAL keeps its scale.", &[("FLOOR(-1.1)", "-2.0")]),
    ("FORMAT_DATE", PATTERN, &[("FORMAT_DATE(CAST('2024-02-29' AS DATE), 'EEE, d MMM yyyy')", "Thu, 29 Feb 2024")]),
    ("FORMAT_TIME", PATTERN, &[("FORMAT_TIME(CAST('15:04:05' AS TIME), 'h:mm a')", "3:04 PM")]),
    (
        "FORMAT_TIMESTAMP",
        PATTERN,
        &[
            ("FORMAT_TIMESTAMP(FROM_UNIXTIME(1709208245000), 'yyyy-MM-dd HH:mm')", "2024-02-29 12:04"),
            ("FORMAT_TIMESTAMP(FROM_UNIXTIME(1709208245000), 'HH:mm xxx', 'Europe/Paris')", "13:04 +01:00"),
        ],
    ),
    (
        "FROM_BYTES",
        "Null of null; fails on an unknown encoding.",
        &[("FROM_BYTES(TO_BYTES('hi', 'utf8'), 'hex')", "6869")],
    ),
    ("FROM_DAYS", "Fails on null.", &[("FROM_DAYS(19782)", "2024-02-29")]),
    ("FROM_UNIXTIME", "Null of null.", &[("FROM_UNIXTIME(1709208245123)", "2024-02-29T12:04:05.123")]),
    (
        "GENERATE_SERIES",
        "The step is 1, or -1 downwards, if none is given. Fails on null, and on a step that is 0 or leads away.",
        &[("GENERATE_SERIES(1, 5, 2)", "[1, 3, 5]"), ("GENERATE_SERIES(2, 0)", "[2, 1, 0]")],
    ),
    (
        "GEO_DISTANCE",
        "Units are km (the default) and miles. Fails on null, on angles out of range and on another unit.",
        &[
            ("GEO_DISTANCE(37.4439, -122.1663, 51.5257, -0.1122)", "8634.659796579546"),
            ("GEO_DISTANCE(37.4439, -122.1663, 51.5257, -0.1122, 'miles')", "5365.659729188264"),
        ],
    ),
    ("GREATEST", "Null if all are.", &[("GREATEST(1, NULL, 3)", "3"), ("GREATEST(1.5, 10.25)", "10.25")]),
    ("IFNULL", "", &[("IFNULL(ELT(3, 'a'), 'x')", "x")]),
    ("INITCAP", "Null of null.", &[("INITCAP('the qUICK x-y')", "The Quick X-y")]),
    (
        "INSTR",
        "A negative position searches from there to the left. 0 of null.",
        &[("INSTR('corporate floor', 'or')", "2"), ("INSTR('corporate floor', 'or', -4)", "5")],
    ),
    ("INT_FROM_BYTES", BYTE_ORDER, &[("INT_FROM_BYTES(TO_BYTES('01000000', 'hex'), 'LITTLE_ENDIAN')", "1")]),
    ("IS_JSON_STRING", "False of null.", &[("IS_JSON_STRING('[1, 2]')", "true"), ("IS_JSON_STRING('[1, 2')", "false")]),
    (
        "JSON_ARRAY_CONTAINS",
        "False of what is no JSON array; fails on null.",
        &[("JSON_ARRAY_CONTAINS('[1, \"a\"]', 'a')", "true"), ("JSON_ARRAY_CONTAINS('[1.0]', 1)", "false")],
    ),
    (
        "JSON_ARRAY_LENGTH",
        "Null of null and of what is no array; fails on bad JSON.",
        &[("JSON_ARRAY_LENGTH('[1, [2, 3]]')", "2"), ("JSON_ARRAY_LENGTH('{}')", "null")],
    ),
    (
        "JSON_CONCAT",
        "Of equal keys the last counts; what is no array among arrays is an element. Null if any is; fails on bad JSON.",
        &[(r#"JSON_CONCAT('{"a": 1}', '{"b": 2}')"#, r#"{"a":1,"b":2}"#), (r#"JSON_CONCAT('[1]', '2')"#, "[1,2]")],
    ),
    ("JSON_ITEMS", "Null of null; fails on what is no array.", &[(r#"JSON_ITEMS('[1, "a"]')"#, r#"[1, "a"]"#)]),
    ("JSON_KEYS", "Null of what is no object; fails on bad JSON.", &[(r#"JSON_KEYS('{"a": 1, "b": 2}')"#, "[a, b]")]),
    (
        "JSON_RECORDS",
        "Null of what is no object; fails on bad JSON.",
        &[(r#"JSON_RECORDS('{"a": "x", "b": [1]}')"#, "{a=x, b=[1]}")],
    ),
    ("LCASE", "Null of null.", &[("LCASE('Ab')", "ab")]),
    ("LEAST", "Null if all are.", &[("LEAST('b', 'a')", "a")]),
    ("LEN", "Characters count as in UTF-16. Null of null.", &[("LEN('hello')", "5")]),
    ("LN", "Null of null; -Infinity of 0, NaN below.", &[("LN(1)", "0.0"), ("LN(0)", "-Infinity")]),
    ("LOG", "Null of null; NaN to a base that is 1 or not positive.", &[("LOG(2, 8)", "3.0"), ("LOG(1)", "0.0")]),
    (
        "LPAD",
        "Null if any argument is, the padding is empty or the length negative.",
        &[("LPAD('7', 3, '0')", "007"), ("LPAD('abc', 2, 'x')", "ab")],
    ),
    ("MAP_KEYS", "Null of null.", &[("MAP_KEYS(MAP('a' := 1))", "[a]")]),
    (
        "MAP_UNION",
        "A null map counts as empty; null if both are.",
        &[("MAP_UNION(MAP('a' := 1), MAP('a' := 2, 'b' := 3))", "{a=2, b=3}")],
    ),
    ("MAP_VALUES", "Null of null.", &[("MAP_VALUES(MAP('a' := 1))", "[1]")]),
    (
        "MASK",
        "Classes are upper case, lower case, digits, others; null for a mask keeps its class. Fails on a mask that is not \
         one character.",
        &[("MASK('My Test $123')", "Xx-Xxxx--nnn"), ("MASK('My-1', '*', NULL, '#', NULL)", "*y-#")],
    ),
    ("MASK_KEEP_LEFT", MASKS, &[("MASK_KEEP_LEFT('AbC1', 2)", "AbXn")]),
    ("MASK_KEEP_RIGHT", MASKS, &[("MASK_KEEP_RIGHT('AbC1', 2)", "XxC1")]),
    ("MASK_LEFT", MASKS, &[("MASK_LEFT('AbC1', 2)", "XxC1")]),
    ("MASK_RIGHT", MASKS, &[("MASK_RIGHT('AbC1', 2, '*', '*', '*', '*')", "Ab**")]),
    ("MD5", "Null of null.", &[("MD5('abc')", "900150983cd24fb0d6963f7d28e17f72")]),
    ("NULLIF", "", &[("NULLIF('a', 'b')", "a"), ("NULLIF('a', 'a')", "null")]),
    (
        "PARSE_DATE",
        "Missing parts are those of 1970-01-01. Fails on text that the pattern does not spell, and on a time of day.",
        &[
            ("PARSE_DATE('29.02.2024', 'dd.MM.yyyy')", "2024-02-29"),
            ("PARSE_DATE('Mar-2024', 'MMM-yyyy')", "2024-03-01"),
        ],
    ),
    (
        "PARSE_TIME",
        "Fails on text that the pattern does not spell, and on a pattern with parts of a date.",
        &[("PARSE_TIME('3:04 PM', 'h:mm a')", "15:04")],
    ),
    (
        "PARSE_TIMESTAMP",
        "Missing parts are those of 1970-01-01T00:00:00. A zone in the text wins; the default is UTC. Fails on text that \
         the pattern does not spell.",
        &[
            ("PARSE_TIMESTAMP('2024-02-29 12', 'yyyy-MM-dd HH')", "2024-02-29T12:00:00.000"),
            ("PARSE_TIMESTAMP('2024-02-29', 'yyyy-MM-dd', 'Europe/Paris')", "2024-02-28T23:00:00.000"),
        ],
    ),
    ("PI", "", &[("PI()", "3.141592653589793")]),
    ("POWER", "Null if either is null.", &[("POWER(2, 10)", "1024.0"), ("POWER(0, 0)", "1.0")]),
    ("RADIANS", ANGLE, &[("RADIANS(180)", "3.141592653589793")]),
    ("RANDOM", "", &[("RANDOM() < 1", "true")]),
    (
        "REDUCE",
        "The first value of a null collection, null if the first value is null. An error in the lambda fails the whole \
         call.",
        &[
            ("REDUCE(ARRAY[1, 2], 10, (sum, x) => sum + x)", "13"),
            ("REDUCE(MAP('a' := 1, 'b' := 2), 0, (sum, k, v) => sum + v)", "3"),
        ],
    ),
    (
        "REGEXP_EXTRACT",
        "Null if nothing matches or there is no such group; fails on a bad pattern.",
        &[
            ("REGEXP_EXTRACT('(.*) (.*)', 'hello there', 2)", "there"),
            ("REGEXP_EXTRACT('[0-9]+(?= EUR)', '7 items, 12 EUR')", "12"),
        ],
    ),
    (
        "REGEXP_EXTRACT_ALL",
        "Null if there is no such group; fails on a bad pattern.",
        &[("REGEXP_EXTRACT_ALL('(.)t', 'bat sat', 1)", "[a, a]"), ("REGEXP_EXTRACT_ALL('x', 'bat')", "[]")],
    ),
    (
        "REGEXP_REPLACE",
        "In the replacement $1 is a group and \\ takes the next character as it is. Null of null; fails on a bad pattern.",
        &[
            ("REGEXP_REPLACE('2024-02', '([0-9]+)-([0-9]+)', '$2/$1')", "02/2024"),
            ("REGEXP_REPLACE('aab', '(.)\\1', '<$1>')", "<a>b"),
        ],
    ),
    (
        "REGEXP_SPLIT_TO_ARRAY",
        "Null of null; fails on a bad pattern.",
        &[("REGEXP_SPLIT_TO_ARRAY('a1b22c', '[0-9]+')", "[a, b, c]")],
    ),
    ("REPLACE", "Null of null.", &[("REPLACE('foobar', 'o', '0')", "f00bar")]),
    (
        "ROUND",
        "Halves go towards positive infinity. Fails on a null INTEGER or BIGINT; null of other nulls.",
        &[("ROUND(-1.5E0)", "-1"), ("ROUND(12345.678, -2)", "12300.000")],
    ),
    (
        "RPAD",
        "Null if any argument is, the padding is empty or the length negative.",
        &[("RPAD('ab', 5, 'xy')", "abxyx")],
    ),
    ("SIGN", "Null of null.", &[("SIGN(-5)", "-1")]),
    ("SIN", ANGLE, &[("SIN(0)", "0.0")]),
    ("SINH", ANGLE, &[("SINH(0)", "0.0")]),
    (
        "SLICE",
        "Null for a bound is the array's own; null if a bound is outside of the array.",
        &[("SLICE(ARRAY[1, 2, 3], 2, 3)", "[2, 3]"), ("SLICE(ARRAY[1, 2, 3], NULL, 2)", "[1, 2]")],
    ),
    (
        "SPLIT",
        "Empty parts are kept; an empty delimiter splits at every character. Null of null.",
        &[("SPLIT('a,,b', ',')", "[a, , b]"), ("SPLIT('ab', '')", "[a, b]")],
    ),
    (
        "SPLIT_TO_MAP",
        "What has no second delimiter is left out; of equal keys the last counts. Null of null, and if a delimiter is empty \
         or both are the same.",
        &[("SPLIT_TO_MAP('a:=1/b:=2/c', '/', ':=')", "{a=1, b=2}")],
    ),
    ("SQRT", ANGLE, &[("SQRT(2)", "1.4142135623730951"), ("SQRT(-1)", "NaN")]),
    ("STRINGTODATE", PARSING, &[("STRINGTODATE('2024-02-29', 'yyyy-MM-dd')", "19782")]),
    (
        "STRINGTOTIMESTAMP",
        PARSING,
        &[("STRINGTOTIMESTAMP('2024-02-29 13:04', 'yyyy-MM-dd HH:mm', 'Europe/Paris')", "1709208240000")],
    ),
    (
        "SUBSTRING",
        "Positions count from 1, negative ones from the end; what reaches out is cut. Null if any argument is.",
        &[("SUBSTRING('stream', 4, 2)", "ea"), ("SUBSTRING('stream', -2)", "am"), ("SUBSTRING('stream', 9)", "")],
    ),
    ("TAN", ANGLE, &[("TAN(0)", "0.0")]),
    ("TANH", ANGLE, &[("TANH(0)", "0.0")]),
    ("TIMEADD", "Null of null.", &[("TIMEADD(HOURS, 2, CAST('23:30' AS TIME))", "01:30")]),
    (
        "TIMESTAMPADD",
        "Null of null.",
        &[("TIMESTAMPADD(MINUTES, 90, FROM_UNIXTIME(1709208245000))", "2024-02-29T13:34:05.000")],
    ),
    (
        "TIMESTAMPSUB",
        "Null of null.",
        &[("TIMESTAMPSUB(DAYS, 1, FROM_UNIXTIME(1709208245000))", "2024-02-28T12:04:05.000")],
    ),
    (
        "TIMESTAMPTOSTRING",
        "Fails on a pattern or zone that is none, and if the timestamp is null.",
        &[("TIMESTAMPTOSTRING(1709208245000, 'yyyy-MM-dd HH:mm:ss z', 'UTC')", "2024-02-29 12:04:05 UTC")],
    ),
    ("TIMESUB", "Null of null.", &[("TIMESUB(MINUTES, 45, CAST('00:30' AS TIME))", "23:45")]),
    (
        "TO_BYTES",
        "Null of null; fails on text that is not of the encoding.",
        &[("FROM_BYTES(TO_BYTES('6869', 'hex'), 'utf8')", "hi"), ("TO_BYTES('686', 'hex')", "error")],
    ),
    (
        "TO_JSON_STRING",
        "Null is the text null; fields and keys come in alphabetical order.",
        &[("TO_JSON_STRING(STRUCT(b := 1, a := ARRAY['x', NULL]))", r#"{"A":["x",null],"B":1}"#)],
    ),
    (
        "TRANSFORM",
        "Null of null. An error in the lambda, and two equal keys, fail the whole call.",
        &[
            ("TRANSFORM(ARRAY[1, 2], x => x * 2)", "[2, 4]"),
            ("TRANSFORM(MAP('a' := 1), (k, v) => UCASE(k), (k, v) => v + 1)", "{A=2}"),
        ],
    ),
    ("TRIM", "Blanks are all characters up to U+0020. Null of null.", &[("TRIM('  a b ')", "a b")]),
    ("TRUNC", "Null of null.", &[("TRUNC(-1.59, 1)", "-1.50"), ("TRUNC(1.9E0)", "1")]),
    ("UCASE", "Null of null.", &[("UCASE('Ab')", "AB")]),
    ("UNIX_DATE", "Null of null.", &[("UNIX_DATE(CAST('2024-02-29' AS DATE))", "19782")]),
    (
        "UNIX_TIMESTAMP",
        "Null of null.",
        &[("UNIX_TIMESTAMP(CAST('2024-02-29T12:04:05' AS TIMESTAMP))", "1709208245000")],
    ),
    ("URL_DECODE_PARAM", "Null of null; fails on bad escapes.", &[("URL_DECODE_PARAM('a+b%26')", "a b&")]),
    ("URL_ENCODE_PARAM", "Null of null.", &[("URL_ENCODE_PARAM('a b&')", "a+b%26")]),
    ("URL_EXTRACT_FRAGMENT", URL, &[("URL_EXTRACT_FRAGMENT('http://x.org/a#top')", "top")]),
    ("URL_EXTRACT_HOST", URL, &[("URL_EXTRACT_HOST('http://user@x.org:8080/a')", "x.org")]),
    (
        "URL_EXTRACT_PARAMETER",
        URL,
        &[
            ("URL_EXTRACT_PARAMETER('http://x.org/?a=1&b=2%203', 'b')", "2 3"),
            ("URL_EXTRACT_PARAMETER('http://x.org/?a=1', 'b')", "null"),
        ],
    ),
    ("URL_EXTRACT_PATH", URL, &[("URL_EXTRACT_PATH('http://x.org/a%20b?c=1')", "/a b")]),
    ("URL_EXTRACT_PORT", URL, &[("URL_EXTRACT_PORT('http://x.org:8080/')", "8080")]),
    ("URL_EXTRACT_PROTOCOL", URL, &[("URL_EXTRACT_PROTOCOL('http://x.org/')", "http")]),
    ("URL_EXTRACT_QUERY", URL, &[("URL_EXTRACT_QUERY('http://x.org/?a=1&b=2')", "a=1&b=2")]),
    (
        "UUID",
        "Null of bytes that are not 16.",
        &[
            ("UUID(TO_BYTES('000102030405060708090a0b0c0d0e0f', 'hex'))", "00010203-0405-0607-0809-0a0b0c0d0e0f"),
            ("LEN(UUID())", "36"),
        ],
    ),
];
