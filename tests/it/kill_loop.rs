//! Exactly once through `kill -9`: a server is killed at random instants under insert load, again and again.
//!
//! Promise under test: every acknowledged row appears exactly once at the end of two chained queries, every row that
//! was sent and not acknowledged at most once, and nothing else. Kills also land inside DDL, between a CREATE and its
//! first epoch, and while a `latest` query starts; the number of workers changes between lives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::server_process::ServerProcess;

/// Rounds without `THALWEG_KILLS`.
const DEFAULT_KILLS: usize = 10;
/// Rows of one insert request.
const ROWS_A_REQUEST: usize = 20;
/// How long the chain may take to catch up after the last start. Bounds a hang.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);

/// What the test knows of the rows it sent.
#[derive(Default)]
struct Sent {
    /// Number of rows sent; their ids count from 0.
    rows: u64,
    acknowledged: BTreeSet<u64>,
}

/// A query over the end of the chain, created while kills fall, that starts at `latest`.
struct Late {
    stream: String,
    /// True once its CREATE was acknowledged.
    created: bool,
    /// Rows whose insert began after that.
    must_have: BTreeSet<u64>,
}

pub(crate) fn kills() -> usize {
    std::env::var("THALWEG_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_KILLS)
}

pub(crate) fn seed() -> u64 {
    std::env::var("THALWEG_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_row_appears_exactly_once_through_kills() {
    let seed = seed();
    println!("THALWEG_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let data = tempfile::tempdir().unwrap();
    let mut sent = Sent::default();
    let mut late: Vec<Late> = Vec::new();
    let mut chain_created = false;
    for round in 0..kills() {
        let server = start(data.path(), &mut random).await;
        let life = Duration::from_millis(random.u64(5..250));
        let load = live(&server, round, &mut chain_created, &mut sent, &mut late);
        // The kill falls wherever the load then is: in DDL, in an insert, in a commit.
        let _ = tokio::time::timeout(life, load).await;
        server.kill();
    }
    let server = start(data.path(), &mut random).await;
    if !chain_created {
        create_chain(&server).await.unwrap();
    }
    let last = sent.rows;
    insert_rows(&server, &mut sent, &mut late).await;
    assert!(sent.acknowledged.contains(&last), "a server left alone acknowledges");
    check_stream(&server, "FILTERED_TWICE", &sent, &sent.acknowledged).await;
    for late in late.iter().filter(|late| late.created) {
        check_stream(&server, &late.stream, &sent, &late.must_have).await;
    }
    println!(
        "{} kills, {} rows sent, {} acknowledged, {} late queries",
        kills(),
        sent.rows,
        sent.acknowledged.len(),
        late.len()
    );
    server.terminate(Duration::from_secs(5)).await;
}

pub(crate) async fn start(data: &std::path::Path, random: &mut fastrand::Rng) -> ServerProcess {
    let workers = random.usize(1..=4).to_string();
    ServerProcess::start(data, &[("worker.threads", workers)]).await
}

/// Statements of the chain; each may have taken effect in an earlier life.
async fn create_chain(server: &ServerProcess) -> Result<(), String> {
    let earliest = json!({"auto.offset.reset": "earliest"});
    for sql in [
        "CREATE STREAM IF NOT EXISTS SENT (ID BIGINT KEY, V BIGINT, NOTE STRING)
           WITH (KAFKA_TOPIC='sent', VALUE_FORMAT='JSON', PARTITIONS=3);",
        "CREATE STREAM IF NOT EXISTS FILTERED AS SELECT ID, V + 1 AS V, NOTE FROM SENT WHERE V >= 0;",
        "CREATE STREAM IF NOT EXISTS FILTERED_TWICE AS SELECT ID, V + 1 AS V FROM FILTERED WHERE NOTE IS NOT NULL;",
    ] {
        server.execute_with(sql, earliest.clone()).await?;
    }
    Ok(())
}

/// One life: DDL first, then inserts until killed.
async fn live(server: &ServerProcess, round: usize, chain_created: &mut bool, sent: &mut Sent, late: &mut Vec<Late>) {
    if !*chain_created {
        if create_chain(server).await.is_err() {
            return;
        }
        *chain_created = true;
    }
    if round % 3 == 1 {
        let stream = format!("LATE_{round}");
        late.push(Late { stream: stream.clone(), created: false, must_have: BTreeSet::new() });
        let sql = format!("CREATE STREAM {stream} AS SELECT ID, V + 1 AS V FROM FILTERED;");
        if server.execute_with(&sql, json!({"auto.offset.reset": "latest"})).await.is_err() {
            return;
        }
        if let Some(late) = late.last_mut() {
            late.created = true;
        }
    }
    loop {
        insert_rows(server, sent, late).await;
    }
}

async fn insert_rows(server: &ServerProcess, sent: &mut Sent, late: &mut [Late]) {
    let first = sent.rows;
    let ids: Vec<u64> = (first..first + ROWS_A_REQUEST as u64).collect();
    // Counted before they leave: what a kill interrupts may or may not have arrived.
    sent.rows += ROWS_A_REQUEST as u64;
    let rows: Vec<Value> = ids.iter().map(|id| json!({"ID": id, "V": id, "NOTE": format!("row {id}")})).collect();
    for acknowledged in server.insert("SENT", &rows).await {
        let id = ids[acknowledged];
        sent.acknowledged.insert(id);
        for late in late.iter_mut().filter(|late| late.created) {
            late.must_have.insert(id);
        }
    }
}

/// Waits until the stream holds all that must be there, then checks that nothing is there twice or from nowhere.
async fn check_stream(server: &ServerProcess, stream: &str, sent: &Sent, must_have: &BTreeSet<u64>) {
    let deadline = std::time::Instant::now() + CATCH_UP_LIMIT;
    loop {
        let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
        for row in server.rows(&format!("SELECT ID, V FROM {stream};")).await {
            let id = row[0].as_u64().unwrap();
            assert_eq!(row[1].as_u64(), Some(id + 2), "{stream}: row {id} has a wrong value");
            *seen.entry(id).or_default() += 1;
        }
        let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{stream}: rows more than once: {twice:?}");
        let unknown: Vec<_> = seen.keys().filter(|id| **id >= sent.rows).collect();
        assert!(unknown.is_empty(), "{stream}: rows nobody sent: {unknown:?}");
        let missing: Vec<_> = must_have.iter().filter(|id| !seen.contains_key(id)).collect();
        if missing.is_empty() {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{stream}: acknowledged rows are missing: {missing:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
