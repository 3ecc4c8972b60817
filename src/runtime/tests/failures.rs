//! What queries do when records, operators or the runtime itself fail.

use std::sync::atomic::{AtomicBool, Ordering};

use super::fold::{FATAL, fold};
use super::*;
use crate::planner::graph::{Encoding, OperatorKind, OperatorNode};
use crate::runtime::{Clock, QueryState, RuntimeError};

/// A clock that panics when asked the next time, if it is told to.
#[derive(Default)]
struct Trap {
    is_set: AtomicBool,
}

impl Clock for Trap {
    fn now_ms(&self) -> i64 {
        1_000
    }

    fn elapsed(&self) -> Duration {
        assert!(!self.is_set.swap(false, Ordering::SeqCst), "the trap was set");
        Duration::from_secs(1)
    }
}

#[test]
fn a_commit_that_the_log_still_has_is_not_done_again_after_a_panic() {
    for kept in [true, false] {
        let world = World::new(&[("a", 1), ("b", 1)]);
        let clock = Arc::new(Trap::default());
        let scheduler = Scheduler::seeded(1, Arc::<Trap>::clone(&clock));
        let parts = world.parts(Arc::<Trap>::clone(&clock), RuntimeSettings::default(), Some(Arc::clone(&scheduler)));
        let runtime = Runtime::start(parts).unwrap();
        runtime.start_query(query("Q", copy("a", "b"))).unwrap();
        world.produce("a", "x=1@1");
        world.log.hold();
        scheduler.run_steps(100);
        clock.is_set.store(true, Ordering::SeqCst);
        runtime.resume(&id("Q")).unwrap();
        scheduler.run_steps(100);
        let QueryState::Error { reason, .. } = runtime.status(&id("Q")).unwrap().state else { panic!("it runs") };
        assert_eq!(reason, "internal error: the trap was set");
        if kept {
            // The probe waits behind the commit.
            runtime.resume(&id("Q")).unwrap();
            scheduler.run_steps(100);
            world.log.release();
        } else {
            world.log.release();
            scheduler.run_steps(100);
            runtime.resume(&id("Q")).unwrap();
        }
        world.produce("a", "x=2@2");
        runtime.wait_until_caught_up(None, SOON).unwrap();
        assert_eq!(world.all("b"), ["x=1@1", "x=2@2"], "kept: {kept}");
    }
}

#[test]
fn a_log_that_forgets_to_answer_has_given_no_answer() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, scheduler) = world.seeded(1, RuntimeSettings::default());
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    world.produce("a", "x=1@1");
    world.log.hold();
    scheduler.run_steps(100);
    world.log.forget_held();
    runtime.wait_until_caught_up(None, SOON).unwrap();
    assert_eq!(world.all("b"), ["x=1@1"]);
    assert_eq!(runtime.status(&id("Q")).unwrap().counters.commits_unknown, 1);
}

/// Folds two topics into one; with `again` behind a second exchange, whose rows are of both.
fn fold_of_two(again: bool) -> Arc<OperatorGraph> {
    let by_key = || Output::Exchange { key: vec![0] };
    let inputs = vec![Input::Exchange { stage: 0 }, Input::Exchange { stage: 1 }];
    let mut stages = vec![(vec![super::table("a")], by_key()), (vec![super::table("c")], by_key())];
    if again {
        stages.extend([(inputs, by_key()), (vec![Input::Exchange { stage: 2 }], sink("b"))]);
    } else {
        stages.push((inputs, sink("b")));
    }
    let mut graph = OperatorGraph::clone(&graph(stages));
    graph.stages.last_mut().unwrap().operators.push(OperatorNode {
        name: "fold".to_owned(),
        kind: OperatorKind::Remember { key: vec!["K".into()] },
        schema: edge(),
        encoding: Encoding::Upsert,
    });
    Arc::new(graph)
}

/// The last record of key `key` in topic `b`.
fn last_of(world: &World, key: &str) -> Option<String> {
    world.all("b").into_iter().rfind(|record| record.starts_with(key))
}

#[test]
fn a_failure_behind_two_topics_names_its_record_which_can_be_skipped() {
    for seed in 0..60 {
        let again = seed % 2 == 1;
        let world = World::new(&[("a", 2), ("c", 1), ("b", 1)]);
        let settings = RuntimeSettings {
            worker_threads: 1 + seed as usize % 3,
            batch_rows: 3,
            epoch_max_bytes: 50,
            ..RuntimeSettings::default()
        };
        let (runtime, scheduler) = world.seeded(seed, settings);
        runtime.start_query(query("Q", fold_of_two(again))).unwrap();
        let others: Vec<_> = (0..40).map(|i| format!("k{}={i}@{i}", i % 7)).collect();
        world.produce("a", &others.join(" "));
        world.produce("c", &format!("x=1@1 x=2@2 x={FATAL}@3 x=3@4"));
        let failed = runtime.wait_until_caught_up(None, SOON);
        assert!(matches!(failed, Err(RuntimeError::QueryFailed { .. })), "seed {seed}: {failed:?}");
        scheduler.run_until_idle();
        let QueryState::Error { topic, offset, .. } = runtime.status(&id("Q")).unwrap().state else {
            panic!("it runs")
        };
        assert_eq!((topic.as_deref(), offset), (Some("c"), Some(Offset(2))), "seed {seed}");
        runtime.skip_failed(&id("Q")).unwrap();
        runtime.wait_until_caught_up(None, SOON).unwrap();
        let expected = [1, 2, 3].into_iter().fold(0, fold);
        assert_eq!(last_of(&world, "x="), Some(format!("x={expected}@4")), "seed {seed}");
        let expected = (0..40).filter(|i| i % 7 == 4).fold(0, fold);
        assert_eq!(last_of(&world, "k4="), Some(format!("k4={expected}@39")), "seed {seed}");
    }
}

#[test]
fn inputs_that_read_one_topic_go_on_where_each_of_them_was() {
    for seed in 0..60 {
        let world = World::new(&[("a", 1), ("b", 1)]);
        let by_key = || Output::Exchange { key: vec![0] };
        let inputs = vec![Input::Exchange { stage: 0 }, Input::Exchange { stage: 1 }];
        let twice =
            || graph(vec![(vec![source("a")], by_key()), (vec![source("a")], by_key()), (inputs.clone(), sink("b"))]);
        let settings = RuntimeSettings { batch_rows: 1, epoch_max_bytes: 40, ..RuntimeSettings::default() };
        let records: Vec<_> = (0..12).map(|i| format!("k{i}={i}@{i}")).collect();
        world.produce("a", &records.join(" "));
        let mut chance = fastrand::Rng::with_seed(seed);
        let lives: Vec<_> = (0..5)
            .map(|life| {
                let (runtime, scheduler) = world.seeded(seed * 10 + life, settings.clone());
                runtime.start_query(query("Q", twice())).unwrap();
                scheduler.run_steps(chance.usize(0..60));
                (runtime, scheduler)
            })
            .collect();
        lives.last().unwrap().0.wait_until_caught_up(None, SOON).unwrap();
        let mut written = world.all("b");
        written.sort_unstable();
        let mut expected: Vec<_> = records.iter().chain(&records).cloned().collect();
        expected.sort_unstable();
        assert_eq!(written, expected, "seed {seed}");
    }
}

#[test]
fn a_switch_that_takes_too_long_still_happens_and_nobody_says_otherwise() {
    let world = World::new(&[("a", 1), ("b", 1), ("c", 1)]);
    let runtime = world.threaded(RuntimeSettings::default());
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    runtime.wait_until_caught_up(None, SOON).unwrap();
    world.log.hold();
    world.produce("a", "x=1@1");
    let caught_up = runtime.wait_until_caught_up(None, Duration::from_millis(50));
    assert!(matches!(caught_up, Err(RuntimeError::TimedOut(_))), "the log answers nothing");
    let switched = runtime.replace_graph(&id("Q"), copy("a", "c"), Delivery::default(), Duration::from_millis(1));
    assert!(matches!(switched, Err(RuntimeError::TimedOut(_))));
    let status = runtime.status(&id("Q")).unwrap();
    assert_eq!((status.state, status.refused_graph), (QueryState::Running, None));
    world.log.release();
    runtime.replace_graph(&id("Q"), copy("a", "c"), Delivery::default(), SOON).unwrap();
    world.produce("a", "x=2@2");
    runtime.wait_until_caught_up(None, SOON).unwrap();
    assert_eq!((world.all("b"), world.all("c")), (vec!["x=1@1".to_owned()], vec!["x=2@2".to_owned()]));
}

#[test]
fn a_graph_that_could_not_be_built_is_told_until_another_is_asked_for() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, _) = world.seeded(1, RuntimeSettings::default());
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    let refused = runtime.replace_graph(&id("Q"), copy("a", "nowhere"), Delivery::default(), SOON);
    assert!(matches!(refused, Err(RuntimeError::QueryFailed { .. })), "{refused:?}");
    let told = || runtime.status(&id("Q")).unwrap().refused_graph;
    assert_eq!(told().as_deref(), Some("topic nowhere does not exist"));
    world.produce("a", "x=1@1");
    runtime.wait_until_caught_up(None, SOON).unwrap();
    assert_eq!(world.all("b"), ["x=1@1"], "it goes on with the old one");
    runtime.replace_graph(&id("Q"), copy("a", "b"), Delivery::default(), SOON).unwrap();
    assert_eq!(told(), None);
}
