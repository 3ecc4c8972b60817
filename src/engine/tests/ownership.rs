//! Who may write for the service: committers of former lives, and a service that is lost.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::{Bench, run};
use crate::topics::{CommitOutcome, Committer, TopicLog, Transaction};

const LIMIT: Duration = Duration::from_secs(60);

const CHAIN: &str = "CREATE STREAM a (id INT KEY, v INT) WITH (kafka_topic='a', value_format='JSON', partitions=1); \
                     CREATE STREAM b AS SELECT id, v + 1 AS v FROM a; \
                     CREATE STREAM c AS SELECT id, v + 1 AS v FROM b; \
                     CREATE TABLE d AS SELECT id, COUNT(*) AS n, SUM(v) AS s FROM c GROUP BY id;";

/// The ids of committers that were fenced since they were opened.
fn fenced(held: &[(String, Arc<dyn Committer>)]) -> Vec<&str> {
    let is_fenced = |committer: &Arc<dyn Committer>| {
        let (answer, answered) = mpsc::sync_channel(1);
        committer.commit(Transaction::default(), Box::new(move |outcome| answer.send(outcome).unwrap()));
        answered.recv().unwrap() == CommitOutcome::Fenced
    };
    held.iter().filter(|(_, committer)| is_fenced(committer)).map(|(id, _)| id.as_str()).collect()
}

fn hold(bench: &Bench) -> Vec<(String, Arc<dyn Committer>)> {
    let ids = (0..4).map(|number| format!("_thalweg-default_-committer-{number}"));
    ids.map(|id| (id.clone(), bench.log.committer(&id).unwrap())).collect()
}

#[test]
fn a_start_with_fewer_committers_fences_all_that_were_ever_used() {
    let bench = Bench::new();
    drop(bench.open_with(|settings| settings.runtime.commit_producers = 3));
    let held = hold(&bench);
    drop(bench.open());
    assert_eq!(
        fenced(&held),
        ["_thalweg-default_-committer-0", "_thalweg-default_-committer-1", "_thalweg-default_-committer-2"]
    );
}

#[test]
fn a_committer_is_recorded_before_it_is_used() {
    let bench = Bench::new();
    drop(bench.open());
    assert_eq!(bench.records("_thalweg-default_-commands"), "");
    drop(bench.open_with(|settings| settings.runtime.commit_producers = 2));
    drop(bench.open_with(|settings| settings.runtime.commit_producers = 2));
    let commands = bench.records("_thalweg-default_-commands");
    assert!(commands.lines().count() == 1 && commands.contains("\"committers\":2"), "{commands}");
}

#[test]
fn queries_give_the_same_whatever_the_number_of_committers_of_each_life() {
    let bench = Bench::new();
    for (life, producers) in [3, 1, 4, 2].into_iter().enumerate() {
        let engine = bench.open_with(|settings| settings.runtime.commit_producers = producers);
        if life == 0 {
            run(&engine, CHAIN);
        }
        assert_eq!(run(&engine, &format!("INSERT INTO a (id, v) VALUES (1, {life});")), "");
        assert!(engine.wait_until_caught_up(LIMIT), "{:?}", engine.failed_queries());
        engine.shutdown();
    }
    let totals = bench.records("D");
    assert!(totals.ends_with("{\"N\":4,\"S\":14} @1000"), "{totals}");
    let passed = bench.records("C");
    assert_eq!(passed.lines().count(), 4, "{passed}");
}

#[test]
fn a_lost_service_stops_its_queries_and_takes_nothing_more() {
    let bench = Bench::new();
    let engine = bench.open();
    run(&engine, CHAIN);
    engine.lose("http://other owns the service now");
    let failed = engine.failed_queries();
    assert!(
        failed.len() == 3 && failed.iter().all(|(_, why)| why == "http://other owns the service now"),
        "{failed:?}"
    );
    assert_eq!(engine.health().lost.as_deref(), Some("http://other owns the service now"));
    for sql in ["CREATE TYPE t AS INT;", "RESUME ALL;"] {
        let told = run(&engine, sql);
        assert!(told.starts_with("NOT_READY") && told.contains("the service is not this server's any more"), "{told}");
    }
    assert!(run(&engine, "SHOW STREAMS;").contains("\"name\":\"C\""));
}
