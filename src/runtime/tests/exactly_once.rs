//! Exactly once: whatever fails, sinks hold what a recomputation gives.

use std::collections::BTreeMap;

use super::*;
use crate::topics::memory::Fault;

/// Seeds of a test run; more by `THALWEG_SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("THALWEG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200)
}

/// Records by key, in order: what order promises hold for.
fn by_key(records: Vec<String>) -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records {
        let key = record.split('=').next().unwrap().to_owned();
        keys.entry(key).or_default().push(record);
    }
    keys
}

/// Two chained queries over random input, with random batches, epochs, faults and kills.
fn simulate(seed: u64) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let world = World::new(&[("a", 3), ("b", 2), ("c", 2)]);
    let mut produced = Vec::new();
    let mut zombies: Vec<(Arc<Runtime>, Arc<Scheduler>)> = Vec::new();
    for _life in 0..chance.usize(2..6) {
        let settings = RuntimeSettings {
            worker_threads: chance.usize(1..4),
            batch_rows: chance.usize(1..5),
            read_bytes: chance.usize(1..200),
            epoch_max_bytes: chance.usize(1..300),
            exchange_rows: chance.usize(1..6),
            ..RuntimeSettings::default()
        };
        let (runtime, scheduler) = world.seeded(chance.u64(..), settings);
        runtime.start_query(query("Q1", copy_by_key("a", "b"))).unwrap();
        runtime.start_query(query("Q2", copy("b", "c"))).unwrap();
        for _ in 0..chance.usize(1..12) {
            for _ in 0..chance.usize(0..6) {
                let record = format!("k{}={}@{}", chance.u8(0..9), produced.len(), chance.u16(..));
                world.produce("a", &record);
                produced.push(record);
            }
            if chance.u8(..) < 80 {
                let fault = [Fault::Abort, Fault::UnknownApplied, Fault::UnknownLost][chance.usize(0..3)];
                world.log.faults().fail_next_of("_thalweg-test-committer-0", fault);
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
    let (runtime, _scheduler) = world.seeded(seed, RuntimeSettings::default());
    runtime.start_query(query("Q1", copy_by_key("a", "b"))).unwrap();
    runtime.start_query(query("Q2", copy("b", "c"))).unwrap();
    runtime.wait_until_caught_up(None, SOON).unwrap();
    for (_, zombie) in &zombies {
        zombie.run_until_idle();
    }
    runtime.wait_until_caught_up(None, SOON).unwrap();
    let expected = by_key(produced);
    assert_eq!(by_key(world.all("b")), expected, "seed {seed}: first query");
    assert_eq!(by_key(world.all("c")), expected, "seed {seed}: second query");
}

#[test]
fn every_record_has_its_effect_once_through_kills_and_faults() {
    for seed in seeds() {
        simulate(seed);
    }
}

#[test]
fn sources_wait_while_an_epoch_commits() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let settings = RuntimeSettings { batch_rows: 1, epoch_max_bytes: 50, ..RuntimeSettings::default() };
    let (runtime, scheduler) = world.seeded(1, settings);
    for i in 0..100 {
        world.produce("a", &format!("x={i}@{i}"));
    }
    // The log refuses for as long as we look.
    (0..400).for_each(|_| world.log.faults().fail_next_of("_thalweg-test-committer-0", Fault::Abort));
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    let mut read = 0;
    for _ in 0..500 {
        scheduler.run_steps(1);
        read = read.max(runtime.status(&id("Q")).unwrap().counters.records_in);
    }
    assert!(read < 20, "{read} records read while nothing was committed");
    world.log.faults().clear();
    scheduler.run_until_idle();
    assert_eq!(world.all("b").len(), 100);
}

#[test]
fn a_fenced_runtime_stops_and_never_commits_again() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (old, old_scheduler) = world.seeded(1, RuntimeSettings::default());
    old.start_query(query("Q", copy("a", "b"))).unwrap();
    world.produce("a", "x=1@1");
    let (new, new_scheduler) = world.seeded(2, RuntimeSettings::default());
    new.start_query(query("Q", copy("a", "b"))).unwrap();
    old_scheduler.run_until_idle();
    new_scheduler.run_until_idle();
    assert_eq!(world.all("b"), ["x=1@1"]);
    assert!(matches!(old.resume(&id("Q")), Err(crate::runtime::RuntimeError::Fenced)));
    assert!(matches!(old.status(&id("Q")).unwrap().state, crate::runtime::QueryState::Error { .. }));
}

#[test]
fn worker_threads_survive_faults_and_restarts() {
    let world = World::new(&[("a", 3), ("b", 2), ("c", 2)]);
    let mut produced = Vec::new();
    for life in 0..10_usize {
        let settings = RuntimeSettings {
            worker_threads: 1 + life % 4,
            batch_rows: 7,
            exchange_rows: 20,
            retry_backoff: Duration::from_millis(1),
            ..RuntimeSettings::default()
        };
        let runtime = world.threaded(settings);
        runtime.start_query(query("Q1", copy_by_key("a", "b"))).unwrap();
        runtime.start_query(query("Q2", copy("b", "c"))).unwrap();
        for i in 0..60 {
            if i % 6 == 0 {
                let fault = [Fault::Abort, Fault::UnknownApplied, Fault::UnknownLost][(i / 6 + life) % 3];
                world.log.faults().fail_next_of("_thalweg-test-committer-0", fault);
            }
            let record = format!("k{}={}@{i}", i % 11, produced.len());
            world.produce("a", &record);
            produced.push(record);
        }
        match life % 3 {
            0 => runtime.wait_until_caught_up(None, SOON).unwrap(),
            1 => runtime.shutdown(SOON),
            _ => {}
        }
        world.log.faults().clear();
    }
    let runtime = world.threaded(RuntimeSettings::default());
    runtime.start_query(query("Q1", copy_by_key("a", "b"))).unwrap();
    runtime.start_query(query("Q2", copy("b", "c"))).unwrap();
    runtime.wait_until_caught_up(None, SOON).unwrap();
    assert_eq!(by_key(world.all("b")), by_key(produced.clone()));
    assert_eq!(by_key(world.all("c")), by_key(produced));
}
