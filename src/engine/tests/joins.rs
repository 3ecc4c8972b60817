//! Random tables under joins, aggregates and tables on top of each other, against a recomputation of the whole.
//!
//! Rows change, go and change their foreign keys; batches, workers, failing commits and restarts are random. In the end
//! every table must hold exactly what the queries give over the last rows of its sources.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Bench, run};
use crate::runtime::Scheduler;
use crate::topics::memory::Fault;
use crate::topics::{PartitionRecords, TopicLog, Transaction, partition_for_key};
use crate::types::{EventTime, Offset, Partition, Record, RecordBlock};

const LONG: Duration = Duration::from_secs(60);

/// Seeds of a test run; more by `THALWEG_SEEDS`.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("THALWEG_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(40)
}

const SOURCES: &str = "
    CREATE TABLE l (k STRING PRIMARY KEY, f INT, v INT) WITH (kafka_topic='l', format='JSON', partitions=3);
    CREATE TABLE r (id INT PRIMARY KEY, w INT) WITH (kafka_topic='r', format='JSON', partitions=2);
    CREATE TABLE m (k STRING PRIMARY KEY, u INT) WITH (kafka_topic='m', format='JSON', partitions=3);";

/// The last rows of the sources.
#[derive(Debug, Default)]
struct Tables {
    l: BTreeMap<String, (Option<i64>, i64)>,
    r: BTreeMap<i64, i64>,
    m: BTreeMap<String, i64>,
}

/// A change of a source: topic, key and value as they are written.
#[derive(Debug, Clone)]
struct Change {
    topic: &'static str,
    key: String,
    value: Option<String>,
}

impl Tables {
    fn change(&mut self, chance: &mut fastrand::Rng) -> Change {
        let is_gone = chance.u8(0..5) == 0;
        let name = format!("k{}", chance.u8(0..7));
        match chance.u8(0..5) {
            0 => {
                let (id, w) = (chance.i64(0..5), chance.i64(0..3));
                if is_gone {
                    self.r.remove(&id);
                } else {
                    self.r.insert(id, w);
                }
                Change { topic: "r", key: id.to_string(), value: (!is_gone).then(|| format!("{{\"W\":{w}}}")) }
            }
            1 => {
                let u = chance.i64(0..3);
                if is_gone {
                    self.m.remove(&name);
                } else {
                    self.m.insert(name.clone(), u);
                }
                Change { topic: "m", key: format!("\"{name}\""), value: (!is_gone).then(|| format!("{{\"U\":{u}}}")) }
            }
            _ => {
                let (f, v) = ((chance.u8(0..6) > 0).then(|| chance.i64(0..5)), chance.i64(0..9));
                if is_gone {
                    self.l.remove(&name);
                } else {
                    self.l.insert(name.clone(), (f, v));
                }
                let value = (!is_gone).then(|| format!("{{\"F\":{},\"V\":{v}}}", text(f)));
                Change { topic: "l", key: format!("\"{name}\""), value }
            }
        }
    }

    /// Rows of L with the row of R that their foreign key, and something more, names.
    fn with_right(&self, more: i64) -> impl Iterator<Item = (&String, Option<i64>, i64, Option<i64>)> {
        self.l.iter().map(move |(k, (f, v))| (k, *f, *v, f.and_then(|f| self.r.get(&(f + more)).copied())))
    }
}

fn text(value: Option<i64>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

/// What a table holds: keys and values as they are written.
type Held = BTreeMap<String, String>;

/// Groups of numbers as `count, sum, max` texts.
fn grouped(rows: impl Iterator<Item = (i64, i64)>, show: impl Fn(i64, i64, i64) -> String) -> Held {
    let mut groups: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    rows.for_each(|(group, value)| groups.entry(group).or_default().push(value));
    let shown = |(group, values): (i64, Vec<i64>)| {
        let count = i64::try_from(values.len()).unwrap();
        (group.to_string(), show(count, values.iter().sum(), values.into_iter().max().unwrap_or_default()))
    };
    groups.into_iter().map(shown).collect()
}

/// Statements that end in a table of topic `t`, and what that must hold.
struct Case {
    statements: &'static str,
    expected: fn(&Tables) -> Held,
}

const CASES: [Case; 11] = [
    Case {
        statements: "CREATE TABLE t WITH (kafka_topic='t') AS SELECT l.k AS k, f, v, w FROM l JOIN r ON l.f = r.id;",
        expected: |tables| {
            let rows = tables.with_right(0).filter_map(|(k, f, v, w)| Some((k, f, v, w?)));
            let shown = |(k, f, v, w)| (format!("\"{k}\""), format!("{{\"F\":{},\"V\":{v},\"W\":{w}}}", text(f)));
            rows.map(shown).collect()
        },
    },
    Case {
        statements: "CREATE TABLE t WITH (kafka_topic='t') AS
                       SELECT l.k AS k, v, w FROM l LEFT JOIN r ON l.f + 1 = r.id WHERE v <> 3;",
        expected: |tables| {
            let rows = tables.with_right(1).filter(|(_, _, v, _)| *v != 3);
            rows.map(|(k, _, v, w)| (format!("\"{k}\""), format!("{{\"V\":{v},\"W\":{}}}", text(w)))).collect()
        },
    },
    // An aggregate of a join.
    Case {
        statements: "CREATE TABLE t WITH (kafka_topic='t') AS SELECT u, COUNT(*) AS n, SUM(v) AS s, MAX(v) AS hi
                       FROM l JOIN m ON l.k = m.k GROUP BY u HAVING COUNT(*) > 0;",
        expected: |tables| {
            let rows = tables.l.iter().filter_map(|(k, (_, v))| Some((*tables.m.get(k)?, *v)));
            grouped(rows, |n, s, hi| format!("{{\"N\":{n},\"S\":{s},\"HI\":{hi}}}"))
        },
    },
    // An aggregate of a foreign-key join, by a column of the right table.
    Case {
        statements: "CREATE TABLE t WITH (kafka_topic='t') AS SELECT w, COUNT(*) AS n, SUM(v) AS s, MAX(v) AS hi
                       FROM l JOIN r ON l.f = r.id GROUP BY w HAVING COUNT(*) > 0;",
        expected: |tables| {
            let rows = tables.with_right(0).filter_map(|(_, _, v, w)| Some((w?, v)));
            grouped(rows, |n, s, hi| format!("{{\"N\":{n},\"S\":{s},\"HI\":{hi}}}"))
        },
    },
    // A foreign-key join, and one on the primary key.
    Case {
        statements: "CREATE TABLE t WITH (kafka_topic='t') AS
                       SELECT l.k AS k, v, w, u FROM l JOIN r ON l.f = r.id LEFT JOIN m ON l.k = m.k;",
        expected: |tables| {
            let rows = tables.with_right(0).filter_map(|(k, _, v, w)| Some((k, v, w?)));
            let shown = |(k, v, w)| {
                let u = text(tables.m.get(k).copied());
                (format!("\"{k}\""), format!("{{\"V\":{v},\"W\":{w},\"U\":{u}}}"))
            };
            rows.map(shown).collect()
        },
    },
    // A join of an aggregate.
    Case {
        statements: "CREATE TABLE a WITH (partitions=2) AS
                       SELECT f, COUNT(*) AS n, SUM(v) AS s FROM l GROUP BY f HAVING COUNT(*) > 0;
                     CREATE TABLE t WITH (kafka_topic='t') AS SELECT a.f AS f, n, s, w FROM a JOIN r ON a.f = r.id;",
        expected: |tables| {
            let rows = tables.l.values().filter_map(|(f, v)| Some(((*f)?, *v)));
            let mut held = grouped(rows, |n, s, _| format!("{{\"N\":{n},\"S\":{s}"));
            held.retain(|f, row| {
                let w = tables.r.get(&f.parse().unwrap());
                *row = format!("{row},\"W\":{}}}", text(w.copied()));
                w.is_some()
            });
            held
        },
    },
    // A foreign-key join of two aggregates.
    Case {
        statements: "CREATE TABLE a AS SELECT u, COUNT(*) AS n FROM m GROUP BY u HAVING COUNT(*) > 0;
                     CREATE TABLE b AS SELECT w, COUNT(*) AS c FROM r GROUP BY w HAVING COUNT(*) > 0;
                     CREATE TABLE t WITH (kafka_topic='t') AS
                       SELECT a.u AS u, n, c FROM a JOIN b ON CAST(a.n AS INT) = b.w;",
        expected: |tables| {
            let right = grouped(tables.r.values().map(|w| (*w, 0)), |c, _, _| c.to_string());
            let mut held = grouped(tables.m.values().map(|u| (*u, 0)), |n, _, _| n.to_string());
            held.retain(|_, n| {
                let c = right.get(n);
                *n = format!("{{\"N\":{n},\"C\":{}}}", c.map_or("", String::as_str));
                c.is_some()
            });
            held
        },
    },
    // A table of a table of a table.
    Case {
        statements: "CREATE TABLE a AS SELECT * FROM l WHERE v > 2;
                     CREATE TABLE b AS SELECT f, COUNT(*) AS n, SUM(v) AS s FROM a GROUP BY f;
                     CREATE TABLE t WITH (kafka_topic='t') AS SELECT f, s FROM b WHERE n > 1;",
        expected: |tables| {
            let rows = tables.l.values().filter_map(|(f, v)| (*v > 2).then_some(((*f)?, *v)));
            let mut held = grouped(rows, |n, s, _| if n > 1 { format!("{{\"S\":{s}}}") } else { String::new() });
            held.retain(|_, row| !row.is_empty());
            held
        },
    },
    // A join on the primary key, and one on a foreign key behind it.
    Case {
        statements: "CREATE TABLE t WITH (kafka_topic='t') AS
                       SELECT l.k AS k, v, u, w FROM l JOIN m ON l.k = m.k JOIN r ON l.f = r.id;",
        expected: |tables| {
            let rows = tables.with_right(0).filter_map(|(k, _, v, w)| Some((k, v, *tables.m.get(k)?, w?)));
            rows.map(|(k, v, u, w)| (format!("\"{k}\""), format!("{{\"V\":{v},\"U\":{u},\"W\":{w}}}"))).collect()
        },
    },
    // The same with the foreign key in the other table, and an aggregate on top.
    Case {
        statements: "CREATE TABLE t WITH (kafka_topic='t') AS SELECT w, COUNT(*) AS n, SUM(v) AS s, MAX(v) AS hi
                       FROM l JOIN m ON l.k = m.k JOIN r ON m.u = r.id GROUP BY w HAVING COUNT(*) > 0;",
        expected: |tables| {
            let right = |k| tables.r.get(tables.m.get(k)?).copied();
            let rows = tables.l.iter().filter_map(|(k, (_, v))| Some((right(k)?, *v)));
            grouped(rows, |n, s, hi| format!("{{\"N\":{n},\"S\":{s},\"HI\":{hi}}}"))
        },
    },
    // Two foreign-key joins, one on top of the other's table, and an aggregate by another column of that.
    Case {
        statements: "CREATE TABLE a AS SELECT l.k AS k, v, w FROM l LEFT JOIN r ON l.f = r.id;
                     CREATE TABLE t WITH (kafka_topic='t') AS SELECT r.w AS x, COUNT(*) AS n, SUM(v) AS s
                       FROM a JOIN r ON a.w = r.id GROUP BY r.w HAVING COUNT(*) > 0;",
        expected: |tables| {
            let rows = tables.with_right(0).filter_map(|(_, _, v, w)| Some((*tables.r.get(&w?)?, v)));
            grouped(rows, |n, s, _| format!("{{\"N\":{n},\"S\":{s}}}"))
        },
    },
];

fn produce(bench: &Bench, changes: &[(Change, i64)]) {
    let mut transaction = Transaction::default();
    for (change, time) in changes {
        let key = Bytes::from(change.key.clone());
        let partition = partition_for_key(&key, if change.topic == "r" { 2 } else { 3 });
        let record = Record {
            key: Some(key),
            value: change.value.clone().map(Bytes::from),
            timestamp: EventTime(*time),
            headers: Vec::new(),
        };
        let records: RecordBlock = [&record].into_iter().collect();
        transaction.records.push(PartitionRecords { topic: change.topic.to_owned(), partition, records });
    }
    bench.log.append(transaction, Box::new(|_| {}));
}

/// What topic `t` holds in the end.
fn held(bench: &Bench) -> Held {
    let mut held = Held::new();
    let info = bench.log.topic("t").unwrap().unwrap();
    for partition in 0..info.config.partitions {
        let fetch = bench.log.read(info.id, Partition(partition), Offset(0), usize::MAX).unwrap();
        for record in fetch.records.iter() {
            let key = String::from_utf8_lossy(record.key.unwrap()).into_owned();
            match record.value {
                Some(value) => held.insert(key, String::from_utf8_lossy(value).into_owned()),
                None => held.remove(&key),
            };
        }
    }
    held
}

fn check(seed: u64, case: &Case) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let bench = Bench::new();
    let (workers, batch_rows) = ([1, 2, 4][chance.usize(0..3)], chance.usize(1..20));
    let open = |seed: u64| {
        let scheduler = Scheduler::seeded(seed, Arc::<crate::runtime::ManualClock>::clone(&bench.clock));
        bench.open_on(Some(scheduler), |settings| {
            settings.runtime.worker_threads = workers;
            settings.runtime.batch_rows = batch_rows;
        })
    };
    let mut engine = open(chance.u64(..));
    let cache = if chance.bool() { "SET 'cache.max.bytes.buffering' = '0';" } else { "" };
    let mut tables = Tables::default();
    let mut time = 1_000;
    let mut changes = |tables: &mut Tables, chance: &mut fastrand::Rng| -> Vec<(Change, i64)> {
        let count = chance.usize(1..12);
        let change = |_| {
            time += chance.i64(-2..6);
            (tables.change(chance), time)
        };
        (0..count).map(change).collect()
    };
    let made = run(&engine, &format!("{SOURCES} {cache} {}", case.statements));
    assert!(made.contains("Created query"), "{made}\n{}", case.statements);
    for _ in 0..chance.usize(2..9) {
        let now = changes(&mut tables, &mut chance);
        produce(&bench, &now);
        if chance.u8(..) < 40 {
            let fault = [Fault::Abort, Fault::UnknownApplied, Fault::UnknownLost][chance.usize(0..3)];
            bench.log.faults().fail_next_of("_thalweg-default_-committer-0", fault);
        }
        if chance.u8(..) < 120 {
            assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
        }
        if chance.u8(..) < 60 {
            engine = open(chance.u64(..));
        }
    }
    assert!(engine.wait_until_caught_up(LONG), "{:?}", engine.failed_queries());
    let expected = (case.expected)(&tables);
    assert_eq!(held(&bench), expected, "seed {seed}, {workers} workers, {tables:?}: {}", case.statements);
}

#[test]
fn tables_over_tables_are_what_a_recomputation_gives() {
    for seed in seeds() {
        CASES.iter().for_each(|case| check(seed, case));
    }
}
