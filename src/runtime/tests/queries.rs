//! Starting, pausing, stopping, failing; push queries.

use super::*;
use crate::runtime::{Failed, PushDefinition, PushStart, QueryState, RowEvent, RuntimeError};

fn run(world: &World) -> (Arc<Runtime>, Arc<Scheduler>) {
    world.seeded(7, RuntimeSettings::default())
}

#[test]
fn records_go_through_a_query_in_order() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, scheduler) = run(&world);
    world.produce("a", "x=1@10 null=2@20 y=null@30");
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    scheduler.run_until_idle();
    world.produce("a", "x=3@5");
    runtime.wait_until_caught_up(None, SOON).unwrap();
    assert_eq!(world.all("b"), ["x=1@10", "null=2@20", "y=null@30", "x=3@5"]);
    let status = runtime.status(&id("Q")).unwrap();
    assert_eq!(status.state, QueryState::Running);
    assert_eq!((status.counters.records_in, status.counters.records_out), (4, 4));
    assert_eq!(status.sources[0].lag(), 0);
}

#[test]
fn worker_threads_do_the_same() {
    let world = World::new(&[("a", 3), ("b", 2), ("c", 2)]);
    let runtime = world.threaded(RuntimeSettings { worker_threads: 3, batch_rows: 16, ..RuntimeSettings::default() });
    runtime.start_query(query("Q1", copy_by_key("a", "b"))).unwrap();
    runtime.start_query(query("Q2", copy("b", "c"))).unwrap();
    let mut expected = Vec::new();
    for i in 0..500 {
        world.produce("a", &format!("k{}={i}@{i}", i % 17));
        expected.push(format!("k{}={i}@{i}", i % 17));
    }
    runtime.wait_until_caught_up(None, SOON).unwrap();
    let mut copied = world.all("c");
    copied.sort();
    expected.sort();
    assert_eq!(copied, expected);
    runtime.shutdown(SOON);
}

#[test]
fn a_bad_record_is_told_and_the_query_goes_on() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, _) = run(&world);
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    world.produce("a", "x=1@1 y=bad@2 z=3@3");
    runtime.wait_until_caught_up(None, SOON).unwrap();
    assert_eq!(world.all("b"), ["x=1@1", "z=3@3"]);
    let told = world.told.lock();
    assert_eq!((told.len(), told[0].failed, told[0].offset), (1, Failed::Value, Some(Offset(1))));
}

#[test]
fn a_paused_query_keeps_its_place() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, scheduler) = run(&world);
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    world.produce("a", "x=1@1");
    scheduler.run_until_idle();
    runtime.pause(&id("Q")).unwrap();
    world.produce("a", "x=2@2");
    scheduler.run_until_idle();
    assert_eq!(world.all("b"), ["x=1@1"]);
    assert_eq!(runtime.status(&id("Q")).unwrap().state, QueryState::Paused);
    runtime.resume(&id("Q")).unwrap();
    scheduler.run_until_idle();
    assert_eq!(world.all("b"), ["x=1@1", "x=2@2"]);
}

#[test]
fn a_held_query_reads_what_it_is_handed() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, _) = run(&world);
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    runtime.hold(&id("Q")).unwrap();
    world.produce("a", "x=1@1 x=2@2 x=3@3");
    for handed in 1..=3_usize {
        let until = Offset(i64::try_from(handed).unwrap());
        runtime.hand_over(&id("Q"), "a", Partition(0), until, SOON).unwrap();
        assert_eq!(world.all("b").len(), handed);
    }
}

#[test]
fn first_offsets_count_once_and_for_their_incarnation_only() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, scheduler) = run(&world);
    world.produce("a", "x=1@1 x=2@2");
    let topic = world.log.topic("a").unwrap().unwrap().id;
    let definition =
        QueryDefinition { first_offsets: vec![("a".to_owned(), topic, vec![Offset(1)])], ..query("Q", copy("a", "b")) };
    runtime.start_query(definition.clone()).unwrap();
    scheduler.run_until_idle();
    drop(runtime);
    assert_eq!(world.all("b"), ["x=2@2"]);
    world.log.delete_topic("a").unwrap();
    make_topic(&world.log, "a", 1);
    world.produce("a", "x=3@3 x=4@4");
    let (runtime, scheduler) = run(&world);
    runtime.start_query(definition).unwrap();
    scheduler.run_until_idle();
    assert_eq!(world.all("b"), ["x=2@2", "x=3@3", "x=4@4"]);
    assert_eq!(runtime.status(&id("Q")).unwrap().counters.topics_replaced, 1);
}

#[test]
fn a_stopped_query_writes_nothing_more_and_is_forgotten() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, scheduler) = run(&world);
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    world.produce("a", "x=1@1");
    scheduler.run_until_idle();
    runtime.stop_query(&id("Q")).unwrap();
    world.produce("a", "x=2@2");
    scheduler.run_until_idle();
    assert_eq!(world.all("b"), ["x=1@1"]);
    assert!(matches!(runtime.status(&id("Q")), Err(RuntimeError::UnknownQuery(_))));
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    scheduler.run_until_idle();
    assert_eq!(world.all("b"), ["x=1@1", "x=1@1", "x=2@2"]);
}

/// Decodes BIGINT and claims INTEGER: panics at every row.
fn broken(from: &str, to: &str) -> Arc<OperatorGraph> {
    let Input::Source(mut input) = source(from) else { unreachable!() };
    input.schema = EdgeSchema::new(vec![
        EdgeColumn { name: "K".into(), ty: SqlType::String },
        EdgeColumn { name: "V".into(), ty: SqlType::Integer },
    ]);
    graph(vec![(vec![Input::Source(input)], sink(to))])
}

#[test]
fn a_failing_query_stops_alone_and_names_its_record() {
    let world = World::new(&[("a", 1), ("b", 1), ("c", 1)]);
    let (runtime, scheduler) = run(&world);
    runtime.start_query(query("GOOD", copy("a", "b"))).unwrap();
    runtime.start_query(query("BAD", broken("a", "c"))).unwrap();
    world.produce("a", "x=bad@0 x=1@1 x=2@2");
    scheduler.run_until_idle();
    assert_eq!(world.all("b"), ["x=1@1", "x=2@2"]);
    let failed_at = |runtime: &Runtime| match runtime.status(&id("BAD")).unwrap().state {
        QueryState::Error { topic, partition, offset, reason } => {
            assert!(reason.contains("do not fit the edge"), "{reason}");
            assert_eq!((topic.as_deref(), partition), (Some("a"), Some(Partition(0))));
            offset.unwrap()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(failed_at(&runtime), Offset(1));
    let lag = |name: &str| runtime.status(&id(name)).unwrap().sources[0].lag();
    assert_eq!((lag("GOOD"), lag("BAD")), (0, 2), "what it did not process is told while it does not run");
    runtime.resume(&id("BAD")).unwrap();
    scheduler.run_until_idle();
    assert_eq!(failed_at(&runtime), Offset(1));
    runtime.skip_failed(&id("BAD")).unwrap();
    scheduler.run_until_idle();
    assert_eq!(failed_at(&runtime), Offset(2));
    runtime.skip_failed(&id("BAD")).unwrap();
    scheduler.run_until_idle();
    assert_eq!(runtime.status(&id("BAD")).unwrap().state, QueryState::Running);
    let skipped: Vec<_> =
        world.told.lock().iter().filter(|entry| entry.failed == Failed::Skipped).map(|entry| entry.offset).collect();
    assert_eq!(skipped, [Some(Offset(1)), Some(Offset(2))]);
}

#[test]
fn a_record_that_the_log_refuses_is_named_and_can_be_skipped() {
    let log = MemoryLog::with_settings(crate::topics::memory::MemorySettings {
        max_record_bytes: 150,
        ..crate::topics::memory::MemorySettings::default()
    });
    for name in ["a", "b"] {
        make_topic(&log, name, 1);
    }
    let world = World { log, told: Arc::default() };
    let (runtime, scheduler) = run(&world);
    // Written twice over, the middle one is too long.
    let Output::Sink(mut doubled) = sink("b") else { unreachable!() };
    doubled.value = side("K", SqlType::String);
    doubled.value_columns = vec![0];
    runtime.start_query(query("Q", graph(vec![(vec![source("a")], Output::Sink(doubled))]))).unwrap();
    world.produce("a", &format!("x=1@1 {}=2@2 y=3@3", "k".repeat(100)));
    scheduler.run_until_idle();
    let QueryState::Error { offset, reason, .. } = runtime.status(&id("Q")).unwrap().state else { panic!() };
    assert_eq!(offset, Some(Offset(1)), "{reason}");
    runtime.skip_failed(&id("Q")).unwrap();
    scheduler.run_until_idle();
    assert_eq!(runtime.status(&id("Q")).unwrap().state, QueryState::Running);
    let topic = world.log.topic("b").unwrap().unwrap().id;
    assert_eq!(world.log.offsets(topic).unwrap()[0].end, Offset(2));
}

#[test]
fn another_graph_goes_on_where_the_old_one_ended() {
    let world = World::new(&[("a", 1), ("b", 1), ("c", 1)]);
    let (runtime, scheduler) = run(&world);
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    world.produce("a", "x=1@1");
    runtime.replace_graph(&id("Q"), copy("a", "c"), Delivery::default(), SOON).unwrap();
    world.produce("a", "x=2@2");
    scheduler.run_until_idle();
    let mut both = world.all("b");
    both.extend(world.all("c"));
    assert_eq!(both, ["x=1@1", "x=2@2"]);
}

#[test]
fn a_graph_that_cannot_be_built_changes_nothing() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, scheduler) = run(&world);
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    assert!(runtime.replace_graph(&id("Q"), copy("a", "nowhere"), Delivery::default(), SOON).is_err());
    world.produce("a", "x=1@1");
    scheduler.run_until_idle();
    assert_eq!(world.all("b"), ["x=1@1"]);
}

fn push(from: &str, events: tokio::sync::mpsc::Sender<RowEvent>) -> PushDefinition {
    PushDefinition {
        id: "P".to_owned(),
        graph: graph(vec![(vec![source(from)], Output::Rows)]),
        start: PushStart::Earliest,
        until_end: false,
        limit: None,
        events,
    }
}

/// Events that are there, as the number of rows or the event's name.
fn events(receiver: &mut tokio::sync::mpsc::Receiver<RowEvent>) -> Vec<String> {
    std::iter::from_fn(|| receiver.try_recv().ok())
        .map(|event| match event {
            RowEvent::Rows { rows, .. } => rows.num_rows().to_string(),
            RowEvent::LimitReached => "limit".to_owned(),
            RowEvent::Completed => "completed".to_owned(),
            RowEvent::Failed(diagnostic) => diagnostic.to_string(),
        })
        .collect()
}

#[test]
fn a_push_query_sends_rows_as_they_come() {
    let world = World::new(&[("a", 1)]);
    let (runtime, scheduler) = run(&world);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(10);
    world.produce("a", "x=0@0");
    runtime.start_push(PushDefinition { start: PushStart::Latest, ..push("a", sender) }).unwrap();
    scheduler.run_until_idle();
    assert_eq!(events(&mut receiver), Vec::<String>::new());
    world.produce("a", "x=1@1 x=2@2 n=null@3");
    scheduler.run_until_idle();
    assert_eq!(events(&mut receiver), ["2"]);
    assert!(runtime.end_push("P"));
    scheduler.run_until_idle();
    assert!(receiver.is_closed() && !runtime.end_push("P"));
}

#[test]
fn a_push_query_ends_at_its_limit_or_at_the_end() {
    let world = World::new(&[("a", 2)]);
    let (runtime, scheduler) = run(&world);
    world.produce("a", "x=1@1 y=2@2 z=3@3 w=4@4");
    let (sender, mut receiver) = tokio::sync::mpsc::channel(10);
    runtime.start_push(PushDefinition { limit: Some(3), ..push("a", sender) }).unwrap();
    scheduler.run_until_idle();
    let said = events(&mut receiver);
    assert_eq!(said.last().unwrap(), "limit");
    assert_eq!(said[..said.len() - 1].iter().map(|rows| rows.parse::<usize>().unwrap()).sum::<usize>(), 3);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(10);
    runtime.start_push(PushDefinition { until_end: true, ..push("a", sender) }).unwrap();
    scheduler.run_until_idle();
    let said = events(&mut receiver);
    assert_eq!(said.last().unwrap(), "completed");
    assert_eq!(said[..said.len() - 1].iter().map(|rows| rows.parse::<usize>().unwrap()).sum::<usize>(), 4);
    assert_eq!(runtime.pushes(), vec![]);
}

#[test]
fn a_slow_client_stops_its_query_and_nobody_else() {
    let world = World::new(&[("a", 1), ("b", 1)]);
    let (runtime, scheduler) =
        world.seeded(3, RuntimeSettings { batch_rows: 1, push_queue_batches: 2, ..RuntimeSettings::default() });
    runtime.start_query(query("Q", copy("a", "b"))).unwrap();
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    runtime.start_push(push("a", sender)).unwrap();
    for i in 0..20 {
        world.produce("a", &format!("x={i}@{i}"));
    }
    scheduler.run_until_idle();
    assert_eq!(world.all("b").len(), 20);
    assert!(runtime.pushes()[0].counters.records_in < 6);
    let mut rows = 0;
    while rows < 20 {
        rows += events(&mut receiver).len();
        scheduler.run_until_idle();
    }
    drop(receiver);
    scheduler.run_until_idle();
    assert_eq!(runtime.pushes(), vec![]);
}

#[test]
fn queries_that_read_together_decode_once_and_see_what_they_would_alone() {
    for seed in 0..30 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let world = World::new(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
        let settings = RuntimeSettings { batch_rows: chance.usize(1..7), read_bytes: 60, ..RuntimeSettings::default() };
        let (runtime, scheduler) = world.seeded(seed, settings);
        let mut expected = Vec::new();
        for i in 0..60 {
            let record = if chance.u8(0..10) == 0 { format!("x=bad@{i}") } else { format!("x={i}@{i}") };
            world.produce("a", &record);
            expected.extend((!record.contains("bad")).then_some(record));
            match i {
                10 => runtime.start_query(query("Q1", copy("a", "b"))).unwrap(),
                20 => runtime.start_query(query("Q2", copy("a", "c"))).unwrap(),
                30 => runtime.start_query(query("KEYS", keys("a", "d"))).unwrap(),
                40 => runtime.pause(&id("Q1")).unwrap(),
                45 => runtime.resume(&id("Q1")).unwrap(),
                _ => {}
            }
            scheduler.run_steps(chance.usize(0..10));
        }
        runtime.wait_until_caught_up(None, SOON).unwrap();
        assert_eq!(world.all("b"), expected, "seed {seed}");
        assert_eq!(world.all("c"), expected, "seed {seed}");
        // It wants keys alone: bad values are none of its business.
        assert_eq!(world.all("d").len(), 60, "seed {seed}");
    }
}

/// Copies keys and offsets, without looking at values.
fn keys(from: &str, to: &str) -> Arc<OperatorGraph> {
    let Input::Source(mut input) = source(from) else { unreachable!() };
    input.columns = vec![SourceColumn::Key(0), SourceColumn::RowOffset];
    graph(vec![(vec![Input::Source(input)], sink(to))])
}
