//! What parses to what, and what is refused with which words.

use crate::sql::{parse_expression, parse_statements};

/// An expression as it prints after parsing, or the error.
fn expression(sql: &str) -> String {
    match parse_expression(sql) {
        Ok(expr) => expr.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Statements as they print after parsing, one a line, or the error.
fn statements(sql: &str) -> String {
    match parse_statements(sql) {
        Ok(statements) => statements.iter().map(|s| format!("{s};")).collect::<Vec<_>>().join("\n"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn expressions_print_with_the_parentheses_they_need() {
    for (sql, printed) in [
        ("a+b*c", "A + B * C"),
        ("(a+b)*c", "(A + B) * C"),
        ("a - (b - c)", "A - (B - C)"),
        ("a - b - c", "A - B - C"),
        ("a || b + c", "A || B + C"),
        ("(a || b) + c", "(A || B) + C"),
        ("not a = b and c or d", "NOT A = B AND C OR D"),
        ("not (a and b)", "NOT (A AND B)"),
        ("(a = b) = c", "(A = B) = C"),
        ("a != b", "A <> B"),
        ("a is not distinct from b || c", "A IS NOT DISTINCT FROM B || C"),
        ("a between b and c and d", "A BETWEEN B AND C AND D"),
        ("a not in (1, 'x', b > c)", "A NOT IN (1, 'x', B > C)"),
        ("a not like '!%' escape '!'", "A NOT LIKE '!%' ESCAPE '!'"),
        (
            "a is null = b",
            "line 1:11: unexpected \"=\" after a comparison\nHint: Comparisons cannot be chained; put one of them in parentheses, or join them with AND.",
        ),
        ("-5", "-5"),
        ("- 5", "-5"),
        ("-(5)", "-(5)"),
        ("- -5", "-(-5)"),
        ("-a->b[1]", "-A->B[1]"),
        ("-5[1]", "-5[1]"),
        ("-(5[1])", "-(5[1])"),
        ("a -5", "A - 5"),
        ("a - -5", "A - -5"),
        ("+5", "+(5)"),
        ("a->b->`c`[x + 1]", "A->B->`c`[X + 1]"),
        ("o.id", "O.ID"),
        ("(a + b)->c", "(A + B)->C"),
        ("case when a then 1 else 2 end", "CASE WHEN A THEN 1 ELSE 2 END"),
        ("case a when 1 then 2 end", "CASE A WHEN 1 THEN 2 END"),
        (
            "cast(a as map<varchar, array<struct<x int, y decimal(4,2)>>>)",
            "CAST(A AS MAP<STRING, ARRAY<STRUCT<X INTEGER, Y DECIMAL(4, 2)>>>)",
        ),
        ("cast(a as address array)", "CAST(A AS ARRAY<ADDRESS>)"),
        ("cast(a as struct<>)", "CAST(A AS STRUCT<>)"),
        ("cast(a as varchar(10))", "CAST(A AS STRING)"),
        ("array[]", "ARRAY[]"),
        ("array[1, a or b]", "ARRAY[1, A OR B]"),
        ("map('a' := 1, b := c)", "MAP('a' := 1, B := C)"),
        ("struct(a := 1, `b` := 'x')", "STRUCT(A := 1, `b` := 'x')"),
        ("`ARRAY`[1]", "`ARRAY`[1]"),
        ("`MAP`(a)", "`MAP`(A)"),
        ("count(*)", "COUNT(*)"),
        ("count()", "COUNT()"),
        ("timestampadd(days, 1, ts)", "TIMESTAMPADD(DAYS, 1, TS)"),
        ("timestampadd(day, 1, ts)", "TIMESTAMPADD(DAY, 1, TS)"),
        ("transform(a, x => x + 1)", "TRANSFORM(A, X => X + 1)"),
        ("reduce(m, 0, (s, k, v) => s + v)", "REDUCE(M, 0, (S, K, V) => S + V)"),
        (
            "transform(m, (k, v) => k, (k, v) => transform(v, x => not x))",
            "TRANSFORM(M, (K, V) => K, (K, V) => TRANSFORM(V, X => NOT X))",
        ),
    ] {
        assert_eq!(expression(sql), printed, "{sql}");
    }
}

#[test]
fn literals_have_the_type_their_spelling_says() {
    for (sql, kind) in [
        ("null", "Null"),
        ("True", "Boolean(true)"),
        ("2147483647", "Integer(2147483647)"),
        ("-2147483648", "Integer(-2147483648)"),
        ("2147483648", "BigInt(2147483648)"),
        ("-9223372036854775808", "BigInt(-9223372036854775808)"),
        ("1.50", "Decimal(\"1.50\")"),
        (".5", "Decimal(\"0.5\")"),
        ("1.", "Decimal(\"1.\")"),
        ("-007.10", "Decimal(\"-7.10\")"),
        ("-0.0", "Decimal(\"0.0\")"),
        ("decimal '1.23'", "Decimal(\"1.23\")"),
        ("DECIMAL '-5'", "Decimal(\"-5.\")"),
        ("1e3", "Double(\"1E3\")"),
        ("-1.5e-2", "Double(\"-1.5E-2\")"),
        ("'it''s'", "String(\"it's\")"),
        ("'a\nb'", "String(\"a\\nb\")"),
    ] {
        let expr = parse_expression(sql).unwrap();
        assert_eq!(format!("{:?}", expr.kind), format!("Literal({kind})"), "{sql}");
    }
}

#[test]
fn names_are_upper_cased_unless_quoted() {
    for (sql, printed) in [
        ("a@1", "A@1"),
        ("1abc", "`1ABC`"),
        ("`a b`", "`a b`"),
        ("\"a\"\"b\"", "`a\"b`"),
        ("`a``b`", "`a``b`"),
        ("\"AB\"", "AB"),
        ("`select`", "`select`"),
        ("source", "SOURCE"),
        ("1e5a", "`1E5A`"),
    ] {
        assert_eq!(expression(sql), printed, "{sql}");
    }
}

#[test]
fn statements_print_on_one_line_and_keep_their_span() {
    for (sql, printed) in [
        (
            "create stream orders (id int key, amount double, h array<struct<key string, value bytes>> headers, \
             t bytes header('trace')) with (kafka_topic='orders', 'value_format'='json', partitions=4);",
            "CREATE STREAM ORDERS (ID INTEGER KEY, AMOUNT DOUBLE, H ARRAY<STRUCT<KEY STRING, VALUE BYTES>> HEADERS, \
             T BYTES HEADER('trace')) WITH (KAFKA_TOPIC='orders', VALUE_FORMAT='json', PARTITIONS=4);",
        ),
        (
            "create or replace source table if not exists `My-T` (id string primary key) with (kafka_topic='t');",
            "CREATE OR REPLACE SOURCE TABLE IF NOT EXISTS `My-T` (ID STRING PRIMARY KEY) WITH (KAFKA_TOPIC='t');",
        ),
        (
            "create stream big with (partitions=1) as select id, amount * 2 as twice, o.*, *, addr->* from orders o \
             where amount > 100 partition by id emit changes;",
            "CREATE STREAM BIG WITH (PARTITIONS=1) AS SELECT ID, AMOUNT * 2 AS TWICE, O.*, *, ADDR->* FROM ORDERS AS O \
             WHERE AMOUNT > 100 PARTITION BY ID EMIT CHANGES;",
        ),
        (
            "create table t as select a, count(*) c from s window hopping (size 1 minutes, advance by 30 second, \
             retention 1 day, grace period 1500 milliseconds) where a > 1 group by (a, b->c) having count(*) > 1 \
             emit final limit 3;",
            "CREATE TABLE T AS SELECT A, COUNT(*) AS C FROM S WINDOW HOPPING (SIZE 1 MINUTES, ADVANCE BY 30 SECONDS, \
             RETENTION 1 DAYS, GRACE PERIOD 1500 MILLISECONDS) WHERE A > 1 GROUP BY A, B->C HAVING COUNT(*) > 1 \
             EMIT FINAL LIMIT 3;",
        ),
        (
            "select * from a join b b2 within 1 hour grace period 0 seconds on a.x = b2.x \
             full join c within (1 hours, 2 hours) on true left join d as emit on a.y = emit.y emit changes;",
            "SELECT * FROM A INNER JOIN B AS B2 WITHIN 1 HOURS GRACE PERIOD 0 MILLISECONDS ON A.X = B2.X \
             FULL OUTER JOIN C WITHIN (1 HOURS, 2 HOURS) ON TRUE LEFT OUTER JOIN D AS EMIT ON A.Y = EMIT.Y EMIT CHANGES;",
        ),
        ("insert into s (a, b) values (1, -2);", "INSERT INTO S (A, B) VALUES (1, -2);"),
        ("insert into s values ((a = b), null);", "INSERT INTO S VALUES ((A = B), NULL);"),
        ("insert into s with (query_id='q') select * from t;", "INSERT INTO S WITH (QUERY_ID='q') SELECT * FROM T;"),
    ] {
        assert_eq!(statements(sql), printed, "{sql}");
        let parsed = parse_statements(sql).unwrap();
        let span = parsed[0].span;
        assert_eq!(&sql[span.start.byte as usize..span.end.byte as usize], &sql[..sql.len() - 1], "{sql}");
    }
}
