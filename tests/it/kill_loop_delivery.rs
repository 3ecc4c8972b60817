//! At least once and at most once through `kill -9` of a server, on the embedded log and on a Kafka cluster.
//!
//! Promises under test, of queries over one stream that is written all the time: under at least once every acknowledged
//! row is there, perhaps several times, and a table is what a recomputation from the stream's records gives; under at
//! most once no row is there twice.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kill_loop::{kills, seed};
use crate::server_process::ServerProcess;

/// Rows of one insert request.
const ROWS_A_REQUEST: i64 = 20;
const GROUPS: i64 = 5;
/// How long the queries may take to catch up after the last start. Bounds a hang.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);

/// Lives on a Kafka cluster that end in a kill; `THALWEG_KAFKA_KILLS=N` asks for more.
const DEFAULT_KAFKA_KILLS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_least_once_loses_nothing_and_at_most_once_repeats_nothing_through_kills() {
    kill_again_and_again(kills().div_ceil(2), 5..400, &[], "sent").await;
}

/// `THALWEG_KAFKA=host:port` names the cluster (`scripts/kafka start`); without one the test says so and passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_on_kafka() {
    let Some(cluster) = std::env::var("THALWEG_KAFKA").ok().filter(|address| !address.is_empty()) else {
        println!("skipped: THALWEG_KAFKA names no broker (scripts/kafka start)");
        return;
    };
    let told = std::env::var("THALWEG_KAFKA_KILLS").ok().and_then(|text| text.parse().ok());
    let service = format!("delivery-{:08x}", fastrand::u32(..));
    let settings =
        [("bootstrap.servers", cluster), ("service.id", service.clone()), ("topic.name.prefix", format!("{service}-"))];
    kill_again_and_again(told.unwrap_or(DEFAULT_KAFKA_KILLS), 300..2500, &settings, &format!("{service}-sent")).await;
}

/// Lives of some milliseconds each, then one that is left alone.
async fn kill_again_and_again(kills: usize, lives: Range<u64>, settings: &[(&str, String)], topic: &str) {
    let seed = seed();
    println!("THALWEG_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let data = tempfile::tempdir().unwrap();
    let (mut rows, mut created) = (0, false);
    let mut settings = settings.to_vec();
    for _ in 0..kills {
        settings.push(("worker.threads", random.usize(1..=4).to_string()));
        let server = ServerProcess::start(data.path(), &settings).await;
        settings.pop();
        let life = Duration::from_millis(random.u64(lives.clone()));
        let _ = tokio::time::timeout(life, live(&server, topic, &mut created, &mut rows)).await;
        server.kill();
    }
    let server = ServerProcess::start(data.path(), &settings).await;
    if !created {
        create(&server, topic).await.unwrap();
    }
    insert(&server, &mut rows).await;
    check(&server).await;
    let sent = ids(&server, "SENT").await;
    let often = |stream: &BTreeMap<i64, usize>| stream.values().filter(|count| **count > 1).count();
    let (least, most) = (ids(&server, "AT_LEAST").await, ids(&server, "AT_MOST").await);
    println!(
        "{kills} kills, {} rows; at least once: {} rows came again; at most once: {} are missing",
        sent.len(),
        often(&least),
        sent.len() - most.len()
    );
    assert_eq!(often(&most), 0, "rows more than once under at most once");
    assert!(most.keys().all(|id| sent.contains_key(id)), "rows from nowhere");
    server.terminate(Duration::from_secs(10)).await;
}

async fn live(server: &ServerProcess, topic: &str, created: &mut bool, rows: &mut i64) {
    if !*created {
        if create(server, topic).await.is_err() {
            return;
        }
        *created = true;
    }
    loop {
        insert(server, rows).await;
    }
}

/// Each statement may have taken effect in an earlier life.
async fn create(server: &ServerProcess, topic: &str) -> Result<(), String> {
    let source = format!(
        "CREATE STREAM IF NOT EXISTS SENT (ID BIGINT KEY, G BIGINT, V BIGINT)
           WITH (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON', PARTITIONS=3);"
    );
    for (guarantee, sql) in [
        ("exactly_once", source.as_str()),
        ("at_least_once", "CREATE STREAM IF NOT EXISTS AT_LEAST AS SELECT ID, V FROM SENT;"),
        ("at_most_once", "CREATE STREAM IF NOT EXISTS AT_MOST AS SELECT ID, V FROM SENT;"),
        (
            "at_least_once",
            "CREATE TABLE IF NOT EXISTS TOTALS AS SELECT G, COUNT(*) AS N, SUM(V) AS S FROM SENT GROUP BY G;",
        ),
    ] {
        let properties = json!({"auto.offset.reset": "earliest", "processing.guarantee": guarantee});
        server.execute_with(sql, properties).await?;
    }
    Ok(())
}

async fn insert(server: &ServerProcess, rows: &mut i64) {
    let first = *rows;
    *rows += ROWS_A_REQUEST;
    let sent: Vec<Value> = (first..*rows).map(|id| json!({"ID": id, "G": id % GROUPS, "V": id * 7 % 1000})).collect();
    server.insert("SENT", &sent).await;
}

/// How often each row is in a stream.
async fn ids(server: &ServerProcess, stream: &str) -> BTreeMap<i64, usize> {
    let mut seen = BTreeMap::new();
    for row in server.rows(&format!("SELECT ID, V FROM {stream};")).await {
        *seen.entry(row[0].as_i64().unwrap()).or_default() += 1;
    }
    seen
}

/// Waits until everything is there that must be.
async fn check(server: &ServerProcess) {
    let mut expected: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let sent = server.rows("SELECT ID, G, V FROM SENT;").await;
    for row in &sent {
        let (count, sum) = expected.entry(row[1].as_i64().unwrap()).or_default();
        (*count, *sum) = (*count + 1, *sum + row[2].as_i64().unwrap());
    }
    let deadline = Instant::now() + CATCH_UP_LIMIT;
    loop {
        let number = |value: &Value| value.as_i64().unwrap();
        let totals = server.rows("SELECT G, N, S FROM TOTALS;").await;
        let totals: BTreeMap<_, _> =
            totals.iter().map(|row| (number(&row[0]), (number(&row[1]), number(&row[2])))).collect();
        let least = ids(server, "AT_LEAST").await;
        let missing: Vec<_> = sent.iter().map(|row| number(&row[0])).filter(|id| !least.contains_key(id)).collect();
        if totals == expected && missing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "totals {totals:?}, not {expected:?}; rows are missing: {missing:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
