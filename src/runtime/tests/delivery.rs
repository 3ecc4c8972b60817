//! At least once and at most once: what failures may do to output, and that they do nothing to state.

use std::collections::BTreeMap;

use super::fold::{END, fold, fold_by_key, trip_after};
use super::*;
use crate::runtime::Guarantee;
use crate::topics::memory::Fault;

const COMMITTER: &str = "_thalweg-test-committer-0";

/// Seeds of a test run; more by `THALWEG_SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("THALWEG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(100)
}

/// As [`query`], delivered so.
fn delivered(name: &str, graph: Arc<OperatorGraph>, guarantee: Guarantee) -> QueryDefinition {
    QueryDefinition { delivery: Delivery { guarantee, epoch_interval: None }, ..query(name, graph) }
}

/// Every value of every key, in order.
type Values = BTreeMap<String, Vec<i64>>;

fn values(world: &World, topic: &str) -> Values {
    let mut values = Values::new();
    for record in world.all(topic) {
        let (key, rest) = record.split_once('=').unwrap();
        let value = rest.split_once('@').unwrap().0.parse().unwrap();
        values.entry(key.to_owned()).or_default().push(value);
    }
    values
}

/// By key, where each value that was said stands among those that had to be said.
fn places(said: &Values, expected: &Values, told: &str) -> BTreeMap<String, Vec<usize>> {
    let place = |key: &str, value: &i64| {
        let found = expected.get(key).and_then(|expected| expected.iter().position(|it| it == value));
        found.unwrap_or_else(|| panic!("{told}: {key}={value} is not to be said: {said:?} for {expected:?}"))
    };
    said.iter().map(|(key, values)| (key.clone(), values.iter().map(|value| place(key, value)).collect())).collect()
}

/// Everything was said, in order from the first on, but for stretches that were said again.
fn check_at_least_once(said: &Values, expected: &Values, told: &str) {
    for (key, places) in places(said, expected, told) {
        let mut behind = 0;
        for place in &places {
            assert!(*place <= behind, "{told}: something of {key} was passed over: {places:?}");
            behind = place + 1;
        }
        assert_eq!(behind, expected[&key].len(), "{told}: the last of {key} is not the last said: {places:?}");
    }
    assert_eq!(said.len(), expected.len(), "{told}: keys");
}

/// The last that was said of each key is the last there was.
fn check_last(said: &Values, expected: &Values, told: &str) {
    let last = |values: &Values| -> BTreeMap<String, i64> {
        values.iter().map(|(key, values)| (key.clone(), *values.last().unwrap())).collect()
    };
    places(said, expected, told);
    assert_eq!(last(said), last(expected), "{told}");
}

/// Nothing was said twice, nothing out of order.
fn check_at_most_once(said: &Values, expected: &Values, told: &str) {
    for (key, places) in places(said, expected, told) {
        assert!(places.is_sorted_by(|one, next| one < next), "{told}: {key} was said as {places:?}");
    }
}

/// A copy and two folds of random input, with random batches, epochs, faults, failures of operators, kills and changes
/// of what is guaranteed.
fn simulate(seed: u64, guarantee: Guarantee) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let world = World::new(&[("a", 3), ("copy", 2), ("each", 2), ("last", 2)]);
    let (mut copied, mut folded) = (Values::new(), Values::new());
    let mut zombies: Vec<(Arc<Runtime>, Arc<Scheduler>)> = Vec::new();
    let start = |runtime: &Runtime| {
        runtime.start_query(delivered("Q1", copy_by_key("a", "copy"), guarantee)).unwrap();
        runtime.start_query(delivered("Q2", fold_by_key("a", "each", "fold-each"), guarantee)).unwrap();
        runtime.start_query(delivered("Q3", fold_by_key("a", "last", "fold"), guarantee)).unwrap();
    };
    let mut number = END;
    for _life in 0..chance.usize(2..6) {
        let settings = RuntimeSettings {
            worker_threads: chance.usize(1..5),
            batch_rows: chance.usize(1..5),
            read_bytes: chance.usize(1..200),
            epoch_max_bytes: chance.usize(1..2000),
            exchange_rows: chance.usize(1..6),
            max_failures: 1_000,
            ..RuntimeSettings::default()
        };
        let (runtime, scheduler) = world.seeded(chance.u64(..), settings);
        start(&runtime);
        for _ in 0..chance.usize(1..12) {
            for _ in 0..chance.usize(0..6) {
                number += 1;
                let key = format!("k{}", chance.u8(0..9));
                world.produce("a", &format!("{key}={number}@{}", chance.u16(..)));
                let so_far = folded.get(&key).and_then(|values| values.last()).copied().unwrap_or(0);
                folded.entry(key.clone()).or_default().push(fold(so_far, number));
                copied.entry(key).or_default().push(number);
            }
            if chance.u8(..) < 80 {
                let fault = [Fault::Abort, Fault::UnknownApplied, Fault::UnknownLost][chance.usize(0..3)];
                world.log.faults().fail_next_of(COMMITTER, fault);
            }
            if chance.u8(..) < 60 {
                trip_after(Some(chance.u32(0..12)));
            }
            scheduler.run_steps(chance.usize(0..80));
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
    let (copy, each, last) = (values(&world, "copy"), values(&world, "each"), values(&world, "last"));
    let told = |what: &str| format!("seed {seed}, {guarantee:?}: {what}");
    if guarantee == Guarantee::AtLeastOnce {
        check_at_least_once(&copy, &copied, &told("copy"));
        check_at_least_once(&each, &folded, &told("every change"));
        check_last(&last, &folded, &told("the last change"));
    } else {
        check_at_most_once(&copy, &copied, &told("copy"));
        check_at_most_once(&each, &folded, &told("every change"));
        check_at_most_once(&last, &folded, &told("the last change"));
    }
}

#[test]
fn at_least_once_says_everything_in_order_though_stretches_come_again() {
    for seed in seeds() {
        simulate(seed, Guarantee::AtLeastOnce);
    }
}

#[test]
fn at_most_once_says_nothing_twice_and_nothing_out_of_order() {
    for seed in seeds() {
        simulate(seed, Guarantee::AtMostOnce);
    }
}

#[test]
fn nothing_is_missing_or_said_twice_while_all_goes_well_or_the_log_only_refuses() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::AtMostOnce] {
        for seed in 0..30 {
            let world = World::new(&[("a", 2), ("b", 2)]);
            let settings = RuntimeSettings { batch_rows: 2, epoch_max_bytes: 90, ..RuntimeSettings::default() };
            let (runtime, scheduler) = world.seeded(seed, settings);
            runtime.start_query(delivered("Q", copy_by_key("a", "b"), guarantee)).unwrap();
            let mut expected = Values::new();
            for number in 0..40 {
                world.produce("a", &format!("k{}={number}@{number}", number % 5));
                expected.entry(format!("k{}", number % 5)).or_default().push(number);
                if number % 7 == 0 {
                    world.log.faults().fail_next_of(COMMITTER, Fault::Abort);
                }
                scheduler.run_steps(5);
            }
            runtime.wait_until_caught_up(None, SOON).unwrap();
            assert_eq!(values(&world, "b"), expected, "seed {seed}, {guarantee:?}");
        }
    }
}

/// The query's output and its last durable epoch, step by step, after one record.
fn watch(guarantee: Guarantee) -> Vec<(usize, u64)> {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, scheduler) = world.seeded(1, RuntimeSettings::default());
    runtime.start_query(delivered("Q", copy("a", "b"), guarantee)).unwrap();
    world.produce("a", "x=1@1");
    let mut seen: Vec<(usize, u64)> = (0..200)
        .map(|_| {
            scheduler.run_steps(1);
            (world.all("b").len(), runtime.status(&id("Q")).unwrap().epoch.0)
        })
        .collect();
    seen.dedup();
    seen
}

#[test]
fn output_leaves_before_or_behind_its_epoch() {
    let is_out_first = |guarantee| watch(guarantee).contains(&(1, 0));
    assert!(is_out_first(Guarantee::AtLeastOnce));
    assert!(!is_out_first(Guarantee::AtMostOnce));
}

#[test]
fn offsets_wait_until_the_output_they_stand_for_is_durable() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, scheduler) = world.seeded(1, RuntimeSettings::default());
    runtime.start_query(delivered("Q", copy("a", "b"), Guarantee::AtLeastOnce)).unwrap();
    (0..400).for_each(|_| world.log.faults().fail_next_of(COMMITTER, Fault::UnknownLost));
    world.produce("a", "x=1@1");
    scheduler.run_steps(300);
    assert_eq!(world.all("_thalweg-test-offsets"), Vec::<String>::new());
    assert!(runtime.status(&id("Q")).unwrap().trouble.is_some());
    world.log.faults().clear();
    scheduler.run_until_idle();
    assert_eq!((world.all("b"), runtime.status(&id("Q")).unwrap().epoch.0), (vec!["x=1@1".to_owned()], 1));
    assert_eq!(runtime.status(&id("Q")).unwrap().trouble, None);
}

#[test]
fn aggregates_say_their_changes_batch_by_batch_where_output_leaves_at_once() {
    let said = |guarantee| {
        let world = World::new(&[("a", 1), ("b", 1)]);
        let settings = RuntimeSettings { batch_rows: 2, ..RuntimeSettings::default() };
        let (runtime, _scheduler) = world.seeded(1, settings);
        world.produce("a", "x=1@1 x=2@2 x=3@3 x=4@4");
        runtime.start_query(delivered("Q", fold_by_key("a", "b", "fold"), guarantee)).unwrap();
        runtime.wait_until_caught_up(None, SOON).unwrap();
        world.all("b").len()
    };
    assert_eq!(said(Guarantee::AtLeastOnce), 2);
    assert_eq!(said(Guarantee::ExactlyOnce), 1);
    assert_eq!(said(Guarantee::AtMostOnce), 1);
}

#[test]
fn a_query_goes_on_under_another_guarantee_where_it_was() {
    use Guarantee::{AtLeastOnce, AtMostOnce, ExactlyOnce};
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, scheduler) = world.seeded(1, RuntimeSettings::default());
    runtime.start_query(delivered("Q", copy("a", "b"), AtLeastOnce)).unwrap();
    let mut expected = Vec::new();
    let turns = [AtMostOnce, ExactlyOnce, AtLeastOnce, ExactlyOnce, AtMostOnce, AtLeastOnce];
    for (number, guarantee) in turns.into_iter().enumerate() {
        let record = format!("x={number}@1");
        world.produce("a", &record);
        expected.push(record);
        scheduler.run_steps(number);
        let delivery = Delivery { guarantee, epoch_interval: None };
        runtime.replace_graph(&id("Q"), copy("a", "b"), delivery, SOON).unwrap();
        assert_eq!(runtime.status(&id("Q")).unwrap().refused_graph, None);
    }
    runtime.wait_until_caught_up(None, SOON).unwrap();
    assert_eq!(world.all("b"), expected);
}

#[test]
fn a_sink_that_refuses_output_stops_the_query() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::AtMostOnce] {
        let world = World::new(&[("a", 1), ("b", 1)]);
        let (runtime, scheduler) = world.seeded(1, RuntimeSettings::default());
        runtime.start_query(delivered("Q", copy("a", "b"), guarantee)).unwrap();
        world.log.delete_topic("b").unwrap();
        world.produce("a", "x=1@1");
        scheduler.run_until_idle();
        let state = runtime.status(&id("Q")).unwrap().state;
        let told = world.told.lock().iter().map(|entry| entry.message.clone()).collect::<Vec<_>>().join("\n");
        match guarantee {
            // The record is read again, and the pipeline cannot be made without the topic.
            Guarantee::AtLeastOnce => assert!(matches!(state, crate::runtime::QueryState::Error { .. }), "{told}"),
            _ => assert!(told.contains("output may be missing (processing.guarantee is at_most_once)"), "{told}"),
        }
        assert!(told.contains("cannot write: topic b does not exist"), "{told}");
    }
}

#[test]
fn a_shutdown_leaves_nothing_to_be_said_again_and_nothing_out() {
    for guarantee in [Guarantee::AtLeastOnce, Guarantee::AtMostOnce] {
        let world = World::new(&[("a", 2), ("b", 2)]);
        let mut expected = Values::new();
        for life in 0..5 {
            let runtime = world.threaded(RuntimeSettings { worker_threads: 2, ..RuntimeSettings::default() });
            runtime.start_query(delivered("Q", copy_by_key("a", "b"), guarantee)).unwrap();
            for number in life * 20..life * 20 + 20 {
                world.produce("a", &format!("k{}={number}@{number}", number % 5));
                expected.entry(format!("k{}", number % 5)).or_default().push(number);
            }
            runtime.shutdown(SOON);
        }
        let runtime = world.threaded(RuntimeSettings::default());
        runtime.start_query(delivered("Q", copy_by_key("a", "b"), guarantee)).unwrap();
        runtime.wait_until_caught_up(None, SOON).unwrap();
        assert_eq!(values(&world, "b"), expected, "{guarantee:?}");
    }
}
