//! State that lasts: whatever fails, it is what a recomputation from the input gives.

use std::collections::{BTreeMap, BTreeSet};

use super::fold::{END, FATAL, fold, fold_by_key, trip_after};
use super::*;
use crate::runtime::{PushDefinition, PushStart, QueryState, RowEvent, RuntimeError};
use crate::topics::memory::Fault;

const CHANGELOG: &str = "_thalweg-test-Q-fold-changelog";

/// Seeds of a test run; more by `THALWEG_SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("THALWEG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200)
}

/// Every change of every key, in order: what the fold must have said.
fn folded(records: &[(String, i64)]) -> BTreeMap<String, Vec<Option<i64>>> {
    let mut changes: BTreeMap<String, Vec<Option<i64>>> = BTreeMap::new();
    for (key, value) in records {
        let so_far = changes.entry(key.clone()).or_default();
        let last = so_far.last().copied().flatten().unwrap_or(0);
        so_far.push((*value != END).then(|| fold(last, *value)));
    }
    changes
}

/// Every record of every key in a topic, in order.
fn said(world: &World, topic: &str) -> BTreeMap<String, Vec<Option<i64>>> {
    let mut changes: BTreeMap<String, Vec<Option<i64>>> = BTreeMap::new();
    for record in world.all(topic) {
        let (key, rest) = record.split_once('=').unwrap();
        let value = rest.split_once('@').unwrap().0.parse().ok();
        changes.entry(key.to_owned()).or_default().push(value);
    }
    changes
}

/// The last of each key.
fn table(changes: &BTreeMap<String, Vec<Option<i64>>>) -> BTreeMap<String, i64> {
    changes.iter().filter_map(|(key, values)| Some((key.clone(), values.last().copied()??))).collect()
}

/// Two folds of random input, with random batches, epochs, faults, failures of operators, kills, numbers of workers and
/// cleanings of the log.
fn simulate(seed: u64) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let world = World::new(&[("a", 3), ("each", 2), ("last", 2)]);
    let mut produced = Vec::new();
    let mut zombies: Vec<(Arc<Runtime>, Arc<Scheduler>)> = Vec::new();
    let start = |runtime: &Runtime| {
        runtime.start_query(query("Q1", fold_by_key("a", "each", "fold-each"))).unwrap();
        runtime.start_query(query("Q2", fold_by_key("a", "last", "fold"))).unwrap();
    };
    for _life in 0..chance.usize(2..6) {
        let settings = RuntimeSettings {
            worker_threads: chance.usize(1..5),
            batch_rows: chance.usize(1..5),
            read_bytes: chance.usize(1..200),
            epoch_max_bytes: chance.usize(1..300),
            exchange_rows: chance.usize(1..6),
            max_failures: 1_000,
            ..RuntimeSettings::default()
        };
        let (runtime, scheduler) = world.seeded(chance.u64(..), settings);
        start(&runtime);
        for _ in 0..chance.usize(1..12) {
            for _ in 0..chance.usize(0..6) {
                let (key, value) = (format!("k{}", chance.u8(0..9)), chance.i64(0..20));
                world.produce("a", &format!("{key}={value}@{}", chance.u16(..)));
                produced.push((key, value));
            }
            if chance.u8(..) < 80 {
                let fault = [Fault::Abort, Fault::UnknownApplied, Fault::UnknownLost][chance.usize(0..3)];
                world.log.faults().fail_next_of("_thalweg-test-committer-0", fault);
            }
            if chance.u8(..) < 60 {
                trip_after(Some(chance.u32(0..12)));
            }
            scheduler.run_steps(chance.usize(0..80));
            if chance.u8(..) < 60 {
                world.log.advance_time(48 * 3_600_000);
                world.log.clean();
            }
            if let Some((_, zombie)) = zombies.last() {
                zombie.run_steps(chance.usize(0..20));
            }
        }
        if chance.bool() {
            // Killed, or not aware yet that another took over.
            zombies.push((runtime, scheduler));
        }
    }
    world.log.faults().clear();
    trip_after(None);
    let (runtime, _scheduler) = world.seeded(seed, RuntimeSettings::default());
    start(&runtime);
    runtime.wait_until_caught_up(None, SOON).unwrap();
    for (_, zombie) in &zombies {
        zombie.run_until_idle();
    }
    runtime.wait_until_caught_up(None, SOON).unwrap();
    let expected = folded(&produced);
    assert_eq!(said(&world, "each"), expected, "seed {seed}: every change");
    assert_eq!(table(&said(&world, "last")), table(&expected), "seed {seed}: the last change");
}

#[test]
fn state_is_what_a_recomputation_gives_through_kills_and_faults() {
    for seed in seeds() {
        simulate(seed);
    }
}

/// A world with a fold of topic `a` into `b`.
fn world() -> World {
    World::new(&[("a", 1), ("b", 1)])
}

fn run(world: &World, runtime: &Runtime, records: &str) -> Vec<String> {
    world.produce("a", records);
    runtime.wait_until_caught_up(None, SOON).unwrap();
    world.all("b")
}

fn start(world: &World, seed: u64) -> Arc<Runtime> {
    let (runtime, _) = world.seeded(seed, RuntimeSettings::default());
    runtime.start_query(query("Q", fold_by_key("a", "b", "fold"))).unwrap();
    runtime
}

#[test]
fn a_dropped_query_leaves_no_state_and_its_id_begins_anew() {
    let world = world();
    let runtime = start(&world, 1);
    assert_eq!(run(&world, &runtime, "x=1@1 x=2@2"), ["x=65@2"]);
    assert!(world.log.topic(CHANGELOG).unwrap().is_some());
    runtime.stop_query(&id("Q")).unwrap();
    assert!(world.log.topic(CHANGELOG).unwrap().is_none());
    runtime.start_query(query("Q", fold_by_key("a", "b", "fold"))).unwrap();
    assert_eq!(run(&world, &runtime, "x=3@3"), ["x=65@2", "x=2019@3"], "read again from the beginning");
}

#[test]
fn what_a_crash_left_of_a_dropped_query_goes_at_the_next_start() {
    let world = world();
    assert_eq!(run(&world, &start(&world, 1), "x=1@1"), ["x=2@1"]);
    let (runtime, _) = world.seeded(2, RuntimeSettings::default());
    runtime.forget_all_but(&BTreeSet::from([id("ANOTHER")])).unwrap();
    assert!(world.log.topic(CHANGELOG).unwrap().is_none());
    runtime.start_query(query("Q", fold_by_key("a", "b", "fold"))).unwrap();
    assert_eq!(run(&world, &runtime, "y=1@1"), ["x=2@1", "x=2@1", "y=2@1"]);
}

#[test]
fn an_id_whose_positions_cannot_be_forgotten_does_not_start() {
    let world = world();
    let runtime = start(&world, 1);
    run(&world, &runtime, "x=1@1");
    (0..16).for_each(|_| world.log.faults().fail_next_of("_thalweg-test-committer-0", Fault::Abort));
    assert!(runtime.stop_query(&id("Q")).is_err());
    assert!(runtime.start_query(query("Q", fold_by_key("a", "b", "fold"))).is_err());
    world.log.faults().clear();
    runtime.start_query(query("Q", fold_by_key("a", "b", "fold"))).unwrap();
    assert_eq!(run(&world, &runtime, "y=1@1"), ["x=2@1", "x=2@1", "y=2@1"]);
}

#[test]
fn a_query_whose_state_is_gone_says_so_and_reads_nothing() {
    let world = world();
    run(&world, &start(&world, 1), "x=1@1");
    world.log.delete_topic(CHANGELOG).unwrap();
    let (runtime, _) = world.seeded(2, RuntimeSettings::default());
    let refused = runtime.start_query(query("Q", fold_by_key("a", "b", "fold"))).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the state of operator fold is gone: topic {CHANGELOG} is not the one it was written to")
    );
    assert!(world.log.topic(CHANGELOG).unwrap().is_none());
}

#[test]
fn a_server_that_does_not_know_yet_that_another_took_over_leaves_its_state_alone() {
    let world = world();
    let (old, old_scheduler) = world.seeded(1, RuntimeSettings::default());
    old.start_query(query("Q", fold_by_key("a", "b", "fold"))).unwrap();
    assert_eq!(run(&world, &start(&world, 2), "x=1@1"), ["x=2@1"]);
    // It fails and begins anew where it knows of no durable epoch.
    trip_after(Some(0));
    old_scheduler.run_until_idle();
    trip_after(None);
    assert!(matches!(old.resume(&id("Q")), Err(RuntimeError::Fenced)));
    assert_eq!(run(&world, &start(&world, 3), "x=2@2"), ["x=2@1", "x=65@2"]);
}

#[test]
fn state_that_nobody_names_is_not_taken_over() {
    let world = world();
    make_topic(&world.log, CHANGELOG, 1);
    world.produce(CHANGELOG, "zzz=1@1");
    assert_eq!(run(&world, &start(&world, 1), "x=1@1"), ["x=2@1"]);
}

#[test]
fn a_graph_that_names_the_same_operator_goes_on_with_its_state() {
    let world = World::new(&[("a", 1), ("b", 1), ("c", 1)]);
    let runtime = start(&world, 1);
    run(&world, &runtime, "x=1@1");
    runtime.replace_graph(&id("Q"), fold_by_key("a", "c", "fold"), Delivery::default(), SOON).unwrap();
    run(&world, &runtime, "x=2@2");
    assert_eq!(world.all("c"), ["x=65@2"]);
    runtime.pause(&id("Q")).unwrap();
    run(&world, &runtime, "x=3@3");
    assert_eq!(world.all("c"), ["x=65@2"]);
    runtime.resume(&id("Q")).unwrap();
    run(&world, &runtime, "x=4@4");
    assert_eq!(table(&said(&world, "c")), BTreeMap::from([("x".to_owned(), fold(2019, 4))]));
}

#[test]
fn state_that_cannot_be_read_stops_the_query_with_the_reason() {
    let world = world();
    run(&world, &start(&world, 1), "x=1@1");
    world.produce(CHANGELOG, "sxyz=bad@1");
    let (runtime, scheduler) = world.seeded(2, RuntimeSettings::default());
    runtime.start_query(query("Q", fold_by_key("a", "b", "fold"))).unwrap();
    scheduler.run_until_idle();
    let QueryState::Error { reason, .. } = runtime.status(&id("Q")).unwrap().state else { panic!("it runs") };
    assert!(reason.contains(CHANGELOG) && reason.contains("not a number"), "{reason}");
}

#[test]
fn a_row_that_an_operator_cannot_go_on_behind_stops_the_query_and_can_be_skipped() {
    let world = world();
    let runtime = start(&world, 1);
    world.produce("a", &format!("x=1@1 x={FATAL}@2 y=1@3"));
    assert!(matches!(runtime.wait_until_caught_up(None, SOON), Err(RuntimeError::QueryFailed { .. })));
    let QueryState::Error { reason, offset, .. } = runtime.status(&id("Q")).unwrap().state else { panic!("it runs") };
    assert_eq!((reason.as_str(), offset), ("FOLD: cannot go on", Some(Offset(1))));
    runtime.skip_failed(&id("Q")).unwrap();
    assert_eq!(table(&said(&world, "b")), BTreeMap::from([("x".to_owned(), 2)]));
    assert_eq!(run(&world, &runtime, "x=2@4"), ["x=2@1", "x=65@4", "y=2@3"]);
}

#[test]
fn a_query_whose_state_outgrows_its_limit_stops_and_says_why() {
    let world = world();
    let settings = RuntimeSettings { state_max_bytes: 250, ..RuntimeSettings::default() };
    let (runtime, scheduler) = world.seeded(1, settings);
    runtime.start_query(query("Q", fold_by_key("a", "b", "fold"))).unwrap();
    assert_eq!(run(&world, &runtime, "x=1@1 y=1@1"), ["x=2@1", "y=2@1"]);
    assert_eq!(runtime.status(&id("Q")).unwrap().state_bytes, 200);
    world.produce("a", "z=1@1");
    scheduler.run_until_idle();
    let QueryState::Error { reason, .. } = runtime.status(&id("Q")).unwrap().state else { panic!("it runs") };
    assert_eq!(reason, "STATE_LIMIT: the state of the query takes 300 bytes of memory, state.max.bytes allows 250");
    assert_eq!(world.all("b").len(), 2, "nothing of that epoch is committed");
    let settings = RuntimeSettings { state_max_bytes: 300, ..RuntimeSettings::default() };
    let (runtime, _) = world.seeded(2, settings);
    runtime.start_query(query("Q", fold_by_key("a", "b", "fold"))).unwrap();
    runtime.wait_until_caught_up(None, SOON).unwrap();
    assert_eq!(world.all("b").len(), 3);
}

#[test]
fn a_query_says_how_far_its_state_is_read_back() {
    let world = world();
    run(&world, &start(&world, 1), "x=1@1 y=1@1 z=1@1");
    let settings = RuntimeSettings { worker_threads: 2, ..RuntimeSettings::default() };
    let (runtime, scheduler) = world.seeded(2, settings);
    runtime.start_query(query("Q", fold_by_key("a", "b", "fold"))).unwrap();
    assert_eq!(runtime.status(&id("Q")).unwrap().restoring, Some((0, 3)));
    scheduler.run_until_idle();
    assert_eq!(runtime.status(&id("Q")).unwrap().restoring, None);
}

/// What a push query over the fold of topic `a` tells: each key with its number, and how it ends.
fn pushed(world: &World, workers: usize, until_end: bool, limit: Option<u64>) -> Vec<String> {
    let settings =
        RuntimeSettings { worker_threads: workers, batch_rows: 3, push_queue_batches: 1, ..RuntimeSettings::default() };
    let (runtime, scheduler) = world.seeded(7, settings);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let mut graph = OperatorGraph::clone(&fold_by_key("a", "nowhere", "fold"));
    graph.stages[1].output = Output::Rows;
    let definition = PushDefinition {
        id: "P".to_owned(),
        graph: Arc::new(graph),
        start: PushStart::Earliest,
        until_end,
        limit,
        events: sender,
    };
    runtime.start_push(definition).unwrap();
    let mut told = Vec::new();
    loop {
        scheduler.run_until_idle();
        match receiver.try_recv() {
            Ok(RowEvent::Rows { rows, .. }) => {
                let column = |index: usize| rows.column(index).to_data();
                let keys = datafusion::arrow::array::StringArray::from(column(0));
                let numbers = datafusion::arrow::array::Int64Array::from(column(1));
                told.extend(
                    keys.iter().zip(&numbers).map(|(key, number)| format!("{}={}", key.unwrap(), number.unwrap())),
                );
            }
            Ok(other) => told.push(format!("{other:?}")),
            Err(_) => return told,
        }
    }
}

#[test]
fn a_push_query_with_state_goes_through_all_its_stages_and_ends() {
    let world = World::new(&[("a", 3)]);
    let records: Vec<_> = (0..60).map(|i| (format!("k{}", i % 7), i % 12)).collect();
    for (nth, (key, value)) in records.iter().enumerate() {
        world.produce("a", &format!("{key}={value}@{nth}"));
    }
    let expected: BTreeSet<_> =
        table(&folded(&records)).iter().map(|(key, number)| format!("{key}={number}")).collect();
    for workers in [1, 2, 4] {
        let mut told = pushed(&world, workers, true, None);
        assert_eq!(told.pop().as_deref(), Some("Completed"), "behind the last row");
        let last: BTreeMap<_, _> = told.iter().map(|row| (row.split_once('=').unwrap().0, row.clone())).collect();
        assert_eq!(last.into_values().collect::<BTreeSet<_>>(), expected);

        let told = pushed(&world, workers, false, Some(5));
        assert_eq!((told.len(), told[5].as_str()), (6, "LimitReached"));
    }
    assert_eq!(world.log.topics().unwrap().keys().filter(|name| name.ends_with("-changelog")).count(), 0);
}
