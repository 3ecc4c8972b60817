//! Durable statements and bad luck: a crash between any two steps, a log that refuses, forgets to answer, or belongs
//! to another.

use std::sync::Arc;
use std::time::Duration;

use crate::sql::parse_statements;
use crate::topics::TopicLog;
use crate::topics::memory::Fault;
use crate::types::EventTime;

use super::{Bench, Engine, run};
use crate::engine::answer::Request;
use crate::engine::command::Command;
use crate::engine::handlers;
use crate::engine::scope::{Outcome, Purpose, Scope};
use crate::engine::session::Session;

const LONG: Duration = Duration::from_secs(30);
const COMMANDS: &str = "_thalweg-default_-commands";

const BEFORE: &str = "CREATE STREAM orders (id INT KEY, price INT) WITH (kafka_topic='orders', format='JSON', \
                      partitions=1); CREATE STREAM old AS SELECT * FROM orders;";

/// What a statement would append.
fn decide(engine: &Engine, sql: &str) -> Command {
    let statements = parse_statements(sql).expect("the statement parses");
    let world = engine.world();
    let request = Request::new(sql).with("auto.offset.reset", "earliest");
    let mut session = Session::new(&request, engine.defaults()).expect("a session");
    let scope = Scope {
        engine,
        world: &world,
        session: &mut session,
        statement: &statements[0],
        text: sql,
        purpose: Purpose::Execute,
    };
    match handlers::handle(scope) {
        Ok(Outcome::Command(command)) => *command,
        other => panic!("{sql}: {other:?}"),
    }
}

/// What can be seen of a database: sources, queries, topics, and what the queries write.
fn look(bench: &Bench, engine: &Arc<Engine>) -> String {
    run(engine, "INSERT INTO orders VALUES (7, 70);");
    assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
    let lists = run(engine, "SHOW STREAMS; SHOW QUERIES; SHOW TYPES; SHOW TOPICS;");
    format!(
        "{lists}\norders: {}\nOLD: {}\nNEW: {}",
        bench.records("orders"),
        bench.records("OLD"),
        bench.records("NEW")
    )
}

fn prepared() -> Bench {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, &format!("{BEFORE} INSERT INTO orders VALUES (1, 10);"));
    assert!(engine.wait_until_caught_up(LONG));
    engine.shutdown();
    bench
}

/// Whether a crash comes before the append, behind it, or behind the topics were made: after a restart the statement
/// has either not happened or wholly happened, and a second restart changes nothing.
fn check(sql: &str) {
    let whole = {
        let bench = prepared();
        let engine = bench.open();
        run(&engine, sql);
        let seen = look(&bench, &engine);
        engine.shutdown();
        seen
    };
    for steps in 1..=4 {
        let bench = prepared();
        {
            let engine = bench.open();
            let command = decide(&engine, sql);
            let number = engine.commands.lock().append(&command, EventTime(1)).expect("the log takes it");
            if steps >= 2 {
                for topic in &command.create_topics {
                    bench.log.create_topic(&topic.name, &topic.config).expect("the topic is new");
                }
            }
            if steps >= 3 {
                engine.perform(number, &command).expect("the log takes it");
            }
            if steps == 4 {
                assert!(engine.wait_until_caught_up(LONG));
            }
            // No shutdown: the engine is dropped as a crash would leave it.
        }
        for restart in 0..2 {
            let engine = bench.open();
            if restart == 1 {
                assert_eq!(look(&bench, &engine), whole, "{sql}: crash after step {steps}");
            }
            engine.shutdown();
        }
    }
}

#[test]
fn a_crash_inside_create_stream_leaves_all_of_it() {
    check("CREATE STREAM new (v INT) WITH (kafka_topic='NEW', value_format='JSON', partitions=2);");
}

#[test]
fn a_crash_inside_create_as_leaves_all_of_it() {
    check("CREATE STREAM new AS SELECT id, price + 1 AS more FROM orders;");
}

#[test]
fn a_crash_inside_drop_leaves_all_of_it() {
    check("DROP STREAM old DELETE TOPIC;");
}

#[test]
fn a_crash_inside_replace_leaves_all_of_it() {
    check("CREATE OR REPLACE STREAM old AS SELECT * FROM orders WHERE price > 50;");
}

#[test]
fn a_crash_inside_query_control_leaves_all_of_it() {
    check("TERMINATE CSAS_OLD_1;");
    check("CREATE TYPE t AS STRUCT<a INT>;");
}

#[test]
fn a_command_the_log_refuses_has_changed_nothing() {
    let bench = prepared();
    let engine = bench.open();
    bench.log.faults().fail_next_of(COMMANDS, Fault::Abort);
    let create = "CREATE STREAM new AS SELECT * FROM orders;";
    assert!(run(&engine, create).contains("Nothing was changed."));
    assert_eq!(bench.records("NEW"), "no topic");
    assert_eq!(run(&engine, create), "2 stream/`NEW`/create: Created query with ID CSAS_NEW_2");
    engine.shutdown();
}

#[test]
fn a_command_whose_answer_was_lost_is_looked_for_in_the_log() {
    let bench = prepared();
    let create = "CREATE STREAM new AS SELECT * FROM orders;";
    {
        let engine = bench.open();
        bench.log.faults().fail_next_of(COMMANDS, Fault::UnknownApplied);
        assert_eq!(run(&engine, create), "2 stream/`NEW`/create: Created query with ID CSAS_NEW_2");
        engine.shutdown();
    }
    let engine = bench.open();
    bench.log.faults().fail_next_of(COMMANDS, Fault::UnknownLost);
    assert!(run(&engine, "TERMINATE CSAS_NEW_2;").contains("only the log knows"));
    assert!(run(&engine, "SHOW STREAMS;").starts_with("NOT_READY"));
    engine.shutdown();
    assert!(run(&bench.open(), "SHOW QUERIES;").contains("CSAS_NEW_2"));
}

#[test]
fn an_engine_whose_service_was_taken_over_says_so_and_stops() {
    let bench = prepared();
    let first = bench.open();
    let second = bench.open();
    assert!(run(&first, "CREATE TYPE t AS INT;").contains("another server owns the service"));
    assert!(run(&first, "SHOW STREAMS;").starts_with("NOT_READY"));
    assert_eq!(
        run(&second, "CREATE TYPE t AS INT;"),
        "2 type/T/create: Registered custom type with name 'T' and SQL type INTEGER"
    );
    first.shutdown();
    second.shutdown();
}
