//! What parses to what, and what is refused with which words.

use crate::diagnostics::{Code, Span};
use crate::sql::ast::{ExprKind, SelectItem, StatementKind};
use crate::sql::{MAX_HEIGHT, MAX_NESTING, MAX_STATEMENT_BYTES, parse_expression, parse_statements};

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
        ("count(distinct a, b+1)", "COUNT(DISTINCT A, B + 1)"),
        ("count(*) filter (where a > 1) + 1", "COUNT(*) FILTER (WHERE A > 1) + 1"),
        ("sum(distinct a) filter (where b or c)", "SUM(DISTINCT A) FILTER (WHERE B OR C)"),
        ("filter(a, x => x > 1)", "FILTER(A, X => X > 1)"),
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

#[test]
fn every_statement_prints() {
    for (sql, printed) in [
        ("list properties;", "SHOW PROPERTIES;"),
        ("show all topics extended;", "SHOW ALL TOPICS EXTENDED;"),
        ("show streams extended;", "SHOW STREAMS EXTENDED;"),
        ("list tables;", "SHOW TABLES;"),
        ("show functions;", "SHOW FUNCTIONS;"),
        ("show source connectors;", "SHOW SOURCE CONNECTORS;"),
        ("show connector plugins;", "SHOW CONNECTOR PLUGINS;"),
        ("show types; show variables;", "SHOW TYPES;\nSHOW VARIABLES;"),
        ("list queries extended;", "SHOW QUERIES EXTENDED;"),
        ("describe tables extended;", "DESCRIBE TABLES EXTENDED;"),
        ("describe `TABLES`;", "DESCRIBE `TABLES`;"),
        ("describe function;", "DESCRIBE FUNCTION;"),
        ("describe function extended;", "DESCRIBE FUNCTION EXTENDED;"),
        ("describe function abs;", "DESCRIBE FUNCTION ABS;"),
        ("describe connector c;", "DESCRIBE CONNECTOR C;"),
        ("explain csas_x_1;", "EXPLAIN CSAS_X_1;"),
        ("explain set;", "EXPLAIN SET;"),
        ("explain select * from s;", "EXPLAIN SELECT * FROM S;"),
        ("print my_Topic from beginning sample 2 limit 3;", "PRINT 'my_Topic' FROM BEGINNING INTERVAL 2 LIMIT 3;"),
        ("print 'it''s';", "PRINT 'it''s';"),
        ("terminate all; pause q_1; resume `q 2`;", "TERMINATE ALL;\nPAUSE Q_1;\nRESUME `q 2`;"),
        ("set 'a'='b'; unset 'a';", "SET 'a'='b';\nUNSET 'a';"),
        ("alter system 'a'='b';", "ALTER SYSTEM 'a'='b';"),
        ("define x = 'it''s'; undefine X;", "DEFINE X = 'it''s';\nUNDEFINE X;"),
        (
            "alter stream s add column a int, add `b` array<int>;",
            "ALTER STREAM S ADD COLUMN A INTEGER, ADD COLUMN `b` ARRAY<INTEGER>;",
        ),
        ("alter table t add column int;", "ALTER TABLE T ADD COLUMN COLUMN INTEGER;"),
        ("create type if not exists a as struct<x int>;", "CREATE TYPE IF NOT EXISTS A AS STRUCT<X INTEGER>;"),
        ("drop type if exists a;", "DROP TYPE IF EXISTS A;"),
        ("drop stream if exists s delete topic;", "DROP STREAM IF EXISTS S DELETE TOPIC;"),
        ("drop table if;", "DROP TABLE IF;"),
        ("drop connector c;", "DROP CONNECTOR C;"),
        (
            "create sink connector c with ('connector.class'='x', tasks='1');",
            "CREATE SINK CONNECTOR C WITH ('connector.class'='x', TASKS='1');",
        ),
        (
            "assert not exists topic Foo with (partitions=1) timeout 10 seconds;",
            "ASSERT NOT EXISTS TOPIC 'Foo' WITH (PARTITIONS=1) TIMEOUT 10 SECONDS;",
        ),
        ("assert schema subject `a-b` id 3;", "ASSERT SCHEMA SUBJECT 'a-b' ID 3;"),
        ("-- nothing\n", ""),
    ] {
        assert_eq!(statements(sql), printed, "{sql}");
    }
}

#[test]
fn mistakes_are_told_with_their_place_and_what_was_expected() {
    for (sql, message) in [
        (
            "SELECT * FROM s",
            "line 1:16: the statement does not end with \";\"\nHint: Every statement, also the last, ends with a semicolon.",
        ),
        ("SELCT * FROM s;", "line 1:1: expected a statement, found \"SELCT\"\nHint: Did you mean SELECT?"),
        (";", "line 1:1: expected a statement, found \";\""),
        ("SELECT a b c FROM s;", "line 1:12: expected \",\" or FROM, found \"c\""),
        ("SELECT a FORM s;", "line 1:15: expected \",\" or FROM, found \"s\"\nHint: Did you mean FROM?"),
        (
            "SELECT a, FROM s;",
            "line 1:11: expected an expression, found \"FROM\"\nHint: FROM is a reserved word; as a name it stands between back-ticks.",
        ),
        ("SELECT *\nFROM s WEHRE x > 1;", "line 2:14: unexpected \"x\" after the query\nHint: Did you mean WHERE?"),
        (
            "SELECT * FROM s EMIT CHANGE;",
            "line 1:22: unexpected \"CHANGE\" after the query\nHint: Did you mean CHANGES?",
        ),
        ("SELECT * FROM s ORDER BY x;", "line 1:23: unexpected \"BY\" after the query\nHint: There is no ORDER BY."),
        (
            "SELECT DISTINCT a FROM s;",
            "line 1:8: expected an expression, found \"DISTINCT\"\nHint: There is no SELECT DISTINCT; a GROUP BY keeps one row for each value.",
        ),
        (
            "SELECT * FROM (SELECT 1 FROM s);",
            "line 1:15: expected the name of a stream or table, found \"(\"\nHint: There are no sub-queries; create a stream or table for the inner query and read from it.",
        ),
        (
            "SELECT * FROM s WHERE a GROUP BY b WHERE c;",
            "line 1:36: unexpected \"WHERE\" after the query\nHint: The order is SELECT, FROM, JOIN, WINDOW, WHERE, GROUP BY, PARTITION BY, HAVING, EMIT, LIMIT, \";\".",
        ),
        (
            "SELECT * FROM s WINDOW TUMBLING (SIZE 1 PARSECS);",
            "line 1:41: expected a unit of time (DAYS, HOURS, MINUTES, SECONDS or MILLISECONDS), found \"PARSECS\"",
        ),
        (
            "SELECT * FROM s WINDOW TUMBLING (SIZE 1 SECOND, SIZE 2 DAYS);",
            "line 1:49: expected RETENTION or GRACE PERIOD, found \"SIZE\"",
        ),
        ("SELECT * FROM a JOIN b;", "line 1:23: expected ON or WITHIN, found \";\""),
        (
            "SELECT * FROM a, b WHERE a.x = b.x;",
            "line 1:16: unexpected \",\" after the query\nHint: Sources are not joined by commas: write FROM a JOIN b ON a.x = b.x.",
        ),
        (
            "SELECT * FROM a JOIN b USING (x);",
            "line 1:30: expected ON or WITHIN, found \"(\"\nHint: There is no USING: write ON a.x = b.x.",
        ),
        (
            "SELECT * FROM a CROSS JOIN b;",
            "line 1:29: expected ON or WITHIN, found \";\"\nHint: There is no CROSS or NATURAL JOIN: a join needs a condition, JOIN b ON a.x = b.x.",
        ),
        (
            "SELECT * FROM a JOIN b GRACE PERIOD 1 HOUR WITHIN 1 HOUR ON a.x = b.x;",
            "line 1:30: expected ON or WITHIN, found \"PERIOD\"\nHint: GRACE PERIOD stands behind WITHIN: JOIN b WITHIN 1 HOUR GRACE PERIOD 10 MINUTES ON ….",
        ),
        ("SELECT * FROM s GROUP BY ();", "line 1:26: GROUP BY requires at least one expression"),
        ("SELECT a + b->* FROM s;", "line 1:13: ->* applies to a column or field, not to an operator"),
        (
            "CREATE STREEM s;",
            "line 1:8: expected STREAM, TABLE, OR REPLACE, SOURCE, TYPE, FUNCTION, SOURCE CONNECTOR or SINK CONNECTOR, found \"STREEM\"\nHint: Did you mean STREAM?",
        ),
        (
            "CREATE STREAM `a b` (x INT);",
            "line 1:15: `a b` cannot name a stream or table\nNames of streams and tables consist of letters, digits, \"_\" and \"-\".",
        ),
        (
            "CREATE STREAM topic (x INT);",
            "line 1:15: expected the name of a stream, found \"topic\"\nHint: TOPIC is a reserved word; as a name it stands between back-ticks.",
        ),
        ("CREATE STREAM s (x INT PRIMARY);", "line 1:31: expected KEY, found \")\""),
        (
            "CREATE STREAM s (x INT NULL);",
            "line 1:24: expected KEY, PRIMARY KEY, HEADERS, HEADER, \",\" or \")\", found \"NULL\"",
        ),
        ("CREATE STREAM s (x DECIMAL(2, 3));", "line 1:20: the scale 3 of a DECIMAL is above its precision 2"),
        (
            "CREATE STREAM s (x DECIMAL(77, 3));",
            "line 1:20: the precision 77 of a DECIMAL is above the 76 digits supported",
        ),
        (
            "CREATE STREAM s WITH (kafka_topic=x);",
            "line 1:35: expected a literal as the value, found \"x\"\nHint: Texts stand between single quotes.",
        ),
        (
            "CREATE STREAM s (x INT) AS SELECT * FROM t;",
            "line 1:25: expected \";\", found \"AS\"\nHint: AS SELECT cannot follow where columns are declared.",
        ),
        ("CREATE TABLE t x;", "line 1:16: expected \"(\", WITH, AS SELECT or \";\", found \"x\""),
        (
            "CREATE STREAM 'x' (a INT);",
            "line 1:15: expected the name of a stream, found string 'x'\nHint: Single quotes make a string; names stand between back-ticks or double quotes.",
        ),
        ("INSERT INTO s VALUES (1), (2);", "line 1:25: expected \";\", found \",\"\nHint: One INSERT writes one row."),
        ("INSERT INTO s VALUES (a AND b);", "line 1:25: expected \",\" or \")\", found \"AND\""),
        ("DROP VIEW v;", "line 1:6: expected STREAM, TABLE, TYPE, FUNCTION or CONNECTOR, found \"VIEW\""),
        (
            "SHOW STREMS;",
            "line 1:6: expected STREAMS, TABLES, TOPICS, QUERIES, FUNCTIONS, PROPERTIES, TYPES, VARIABLES or CONNECTORS, found \"STREMS\"\nHint: Did you mean STREAMS?",
        ),
        ("SET a = 'b';", "line 1:5: expected the name of a setting as a string, found \"a\""),
        (
            "RUN SCRIPT 'x';",
            "line 1:1: expected a statement, found \"RUN\"\nHint: RUN SCRIPT is a command of the shell; send the script's statements instead.",
        ),
        (
            "WITH x AS (SELECT 1 FROM s) SELECT * FROM x;",
            "line 1:1: expected a statement, found \"WITH\"\nHint: There are no common table expressions.",
        ),
        (
            "ASSERT STREAM s (x INT);",
            "line 1:8: expected TOPIC, SCHEMA or NOT EXISTS, found \"STREAM\"\nHint: Assertions about records and sources belong to test scripts.",
        ),
        (
            "ASSERT NULL VALUES s (x) KEY (1);",
            "line 1:8: expected TOPIC, SCHEMA or NOT EXISTS, found \"NULL\"\nHint: Assertions about records and sources belong to test scripts.",
        ),
        ("ASSERT SCHEMA;", "line 1:14: expected SUBJECT or ID, found \";\""),
        (
            "SELECT ${x} FROM s;",
            "line 1:8: expected an expression, found variable ${x} without a value\nHint: Variables are given a value with DEFINE name = 'value'.",
        ),
        ("SELECT 'a\nb;", "line 1:8: the string has no end\nHint: A string that starts with ' ends with '."),
        ("SELECT `a;", "line 1:8: the quoted name has no end\nHint: A quoted name that starts with ` ends with `."),
        ("SELECT 1 /* x;", "line 1:10: the comment has no end\nHint: A comment that starts with /* ends with */."),
        (
            "SELECT ü FROM s;",
            "line 1:8: unexpected character \"ü\"\nHint: Names with other characters than a-z, A-Z, 0-9, _ and @ stand between back-ticks.",
        ),
        ("SELECT 'ü', ? FROM s;", "line 1:13: unexpected character \"?\""),
        (
            "SELECT a FROM s WHERE x = 99999999999999999999;",
            "line 1:27: number 99999999999999999999 does not fit BIGINT\nHint: A number with a point, even a last one, is a DECIMAL and can be larger.",
        ),
        ("SELECT 1E999 FROM s;", "line 1:8: number 1E999 overflows DOUBLE"),
        (
            "SELECT DECIMAL 'x' FROM s;",
            "line 1:16: 'x' is not a decimal number\nA DECIMAL literal has digits, at most one point, and a sign if wanted.",
        ),
        (
            "SELECT DATE '2020-01-01' FROM s;",
            "line 1:13: expected \",\" or FROM, found string '2020-01-01'\nHint: There are no such literals; write CAST('…' AS DATE), TIME or TIMESTAMP, or the bare string.",
        ),
    ] {
        assert_eq!(statements(sql), message, "{sql}");
    }
}

#[test]
fn mistakes_in_expressions_are_told() {
    for (sql, message) in [
        (
            "a = b = c",
            "line 1:7: unexpected \"=\" after a comparison\nHint: Comparisons cannot be chained; put one of them in parentheses, or join them with AND.",
        ),
        (
            "a = not b",
            "line 1:5: expected a value, found \"not\"\nHint: Put the NOT and what follows it in parentheses.",
        ),
        ("a is b", "line 1:6: expected NULL, NOT NULL or DISTINCT FROM, found \"b\""),
        ("a not b", "line 1:7: expected BETWEEN, IN or LIKE, found \"b\""),
        ("a like 'x' escape 'ab'", "line 1:19: the escape character is not one character"),
        ("case a end", "line 1:8: expected WHEN, found \"end\""),
        ("case when a then b", "line 1:19: expected WHEN, ELSE or END, found the end of the text"),
        ("f(a b)", "line 1:5: expected \",\" or \")\", found \"b\""),
        ("f(x => 1, 2)", "line 1:11: lambdas come after all other arguments"),
        ("map('a', 1)", "line 1:8: expected \":=\", found \",\""),
        ("a b", "line 1:3: expected the end of the text, found \"b\""),
        ("", "line 1:1: expected an expression, found the end of the text"),
        ("x in ()", "line 1:7: expected an expression, found \")\""),
        (
            "cast(a as select)",
            "line 1:11: expected a type, found \"select\"\nHint: SELECT is a reserved word; as a name it stands between back-ticks.",
        ),
    ] {
        assert_eq!(expression(sql), message, "{sql}");
    }
}

#[test]
fn every_expression_knows_its_text() {
    let sql = "SELECT ü.`x`\n  + (b->c[1] * -2), f(a, (k, v) => k) FROM s;".replace('ü', "u");
    let statements = parse_statements(&sql).unwrap();
    let StatementKind::Query(query) = &statements[0].kind else { panic!("{statements:?}") };
    let text = |span: Span| &sql[span.start.byte as usize..span.end.byte as usize];
    let SelectItem::Expr { expr, .. } = &query.select[0] else { panic!("{query:?}") };
    assert_eq!(text(expr.span), "u.`x`\n  + (b->c[1] * -2)");
    let ExprKind::Binary { left, right, .. } = &expr.kind else { panic!("{expr:?}") };
    assert_eq!((text(left.span), text(right.span)), ("u.`x`", "(b->c[1] * -2)"));
    assert_eq!((right.span.start.line, right.span.start.column), (2, 5));
    let SelectItem::Expr { expr, .. } = &query.select[1] else { panic!("{query:?}") };
    assert_eq!(text(expr.span), "f(a, (k, v) => k)");
    assert_eq!(text(query.from.source.span), "s");
}

/// Runs on a stack half the size that threads have by default.
fn on_a_thread(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

/// A tree as high as is allowed, handled by everything here that recurses.
fn survives(sql: &str) {
    let expr = parse_expression(sql).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(parse_expression(&expr.to_string()).unwrap(), expr.clone());
}

#[test]
fn the_deepest_trees_allowed_fit_the_stack() {
    on_a_thread(|| {
        let nesting = MAX_NESTING as usize - 1;
        survives(&format!("{}a{}", "(".repeat(nesting), ")".repeat(nesting)));
        survives(&format!("{}a{}", "f(".repeat(nesting), ")".repeat(nesting)));
        survives(&format!("{}a{}", "x[".repeat(nesting), "]".repeat(nesting)));
        survives(&format!("{}a", "NOT ".repeat(nesting)));
        survives(&format!("{}a{}", "CASE WHEN ".repeat(nesting), " THEN b END".repeat(nesting)));
        survives(&format!("{}a{}", "f(x => ".repeat(nesting / 2), ")".repeat(nesting / 2)).replace("f(x", "f(1, x"));
        survives(&format!("a{}", " + a".repeat(MAX_HEIGHT as usize - 1)));
        survives(&format!("a{}", "->b".repeat(MAX_HEIGHT as usize - 1)));
        survives(&format!("CAST(a AS {}INT{})", "ARRAY<".repeat(nesting - 1), ">".repeat(nesting - 1)));
    });
}

#[test]
fn deeper_trees_are_refused_by_name() {
    on_a_thread(|| {
        let many = 200_000;
        let nested = "the statement is nested deeper than the 100 levels allowed";
        let high = "more than 400 expressions stand inside each other";
        for (sql, message) in [
            (format!("{}a{}", "(".repeat(many), ")".repeat(many)), nested),
            ("(".repeat(many), nested),
            ("f(a, (b + ".repeat(many / 10), nested),
            ("- ".repeat(many), nested),
            ("NOT ".repeat(many), nested),
            (format!("CAST(a AS {}", "ARRAY<".repeat(many / 10)), nested),
            (format!("a{}", " + a".repeat(many)), high),
            (format!("a{}", " OR a".repeat(many)), high),
            (format!("a{}", "[1]".repeat(many)), high),
            (format!("CAST(a AS INT{})", " ARRAY".repeat(many / 10)), high),
        ] {
            let error = parse_expression(&sql).unwrap_err();
            assert_eq!((error.code, error.primary.as_str()), (Code::LimitExceeded, message), "{}", &sql[..20]);
        }
        let explains = "EXPLAIN ".repeat(many / 10);
        assert_eq!(parse_statements(&explains).unwrap_err().primary, nested);
    });
}

#[test]
fn a_statement_may_have_a_mebibyte() {
    let padded = |bytes: usize| format!("SELECT '{}' FROM s;", "x".repeat(bytes));
    assert!(parse_statements(&padded(MAX_STATEMENT_BYTES - 100).repeat(2)).is_ok());
    assert_eq!(
        statements(&padded(MAX_STATEMENT_BYTES)),
        "line 1:1: the statement has 1048592 bytes, more than the 1048576 a statement may have"
    );
}
