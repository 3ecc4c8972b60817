//! Mutated SQL against the oracle of `fuzz/oracles/parse_sql.rs`.

use crate::mutations::Mutations;

#[path = "../../fuzz/oracles/parse_sql.rs"]
mod parse_sql;

/// Words and marks of the grammar, separated by `~`.
const WORDS: &str = "SELECT~FROM~WHERE~GROUP BY~PARTITION BY~HAVING~EMIT CHANGES~EMIT~LIMIT 1~CREATE~STREAM~TABLE~\
    OR REPLACE~SOURCE~IF NOT EXISTS~WITH (~AS~INSERT INTO~VALUES~JOIN~LEFT~WITHIN 1 DAY~ON~\
    WINDOW TUMBLING (SIZE 1 DAY)~GRACE PERIOD~AND~OR~NOT~IS NULL~IS DISTINCT FROM~BETWEEN~IN (~LIKE~\
    ESCAPE '!'~CASE~WHEN~THEN~ELSE~END~CAST(~ARRAY~ARRAY[~ARRAY<~MAP(~MAP<~STRUCT(~STRUCT<~DECIMAL(4, 2)~\
    DECIMAL '1'~INT~DAYS~COUNT(*)~->~=>~:=~||~<>~!=~<=~(~)~[~]~,~;~.~+~-~*~/~%~=~<~>~'~''~`~``~\"~--~/*~\
    */~${a}~${b}~${c}~${d}~$${a}~$~1~1.~.5~1E3~1e~2147483648~9223372036854775808~1a~x~x@~_~NULL~TRUE~\n~\
    é~\0~DEFINE~EXPLAIN~DESCRIBE~FUNCTION~TABLES~SHOW~ALL~ADD COLUMN~ALTER~DROP~TERMINATE~ASSERT~TOPIC";

#[test]
fn mutated_sql_breaks_nothing() {
    let oracle = parse_sql::fuzz_one;
    Mutations { target: "parse_sql", oracle, inputs: 5_000, longest: 4096, pieces: WORDS, around: " " }.run();
}
