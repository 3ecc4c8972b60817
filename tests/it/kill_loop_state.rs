//! State through `kill -9`: aggregations over a stream that is written all the time, killed at random instants.
//!
//! Promise under test: the final tables are what a recomputation from the stream's records gives, row by row. One table
//! is windowed and grouped by another column than the key (rows are dealt anew between the worker threads, whose number
//! changes between lives), one sums up a chained stream. Kills land in commits, in restores and in DDL.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kill_loop::{kills, seed, start};
use crate::server_process::ServerProcess;

/// Rows of one insert request.
const ROWS_A_REQUEST: i64 = 20;
/// Groups, few enough that every life changes most of them.
const GROUPS: i64 = 17;
/// How long the tables may take to catch up after the last start. Bounds a hang.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);
const WINDOW_MS: i64 = 100;

/// A table by key: COUNT, SUM, MAX.
type Table = BTreeMap<(i64, i64), (i64, i64, i64)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_what_a_recomputation_gives_through_kills() {
    let seed = seed();
    println!("THALWEG_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let data = tempfile::tempdir().unwrap();
    let (mut rows, mut created) = (0, false);
    for _ in 0..kills() {
        let server = start(data.path(), &mut random).await;
        let life = Duration::from_millis(random.u64(5..250));
        let load = live(&server, "sent", &mut created, &mut rows);
        let _ = tokio::time::timeout(life, load).await;
        server.kill();
    }
    let server = start(data.path(), &mut random).await;
    if !created {
        create(&server, "sent").await.unwrap();
    }
    insert(&server, &mut rows).await;
    check(&server).await;
    println!("{} kills, {rows} rows sent", kills());
    server.terminate(Duration::from_secs(5)).await;
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
    for sql in [
        source.as_str(),
        "CREATE TABLE IF NOT EXISTS WINDOWED AS
           SELECT G, COUNT(*) AS N, SUM(V) AS S, MAX(ID) AS M FROM SENT
           WINDOW TUMBLING (SIZE 100 MILLISECONDS) GROUP BY G;",
        "CREATE STREAM IF NOT EXISTS POSITIVE AS SELECT ID, G, V FROM SENT WHERE V >= 0;",
        "CREATE TABLE IF NOT EXISTS TOTALS AS
           SELECT G, COUNT(*) AS N, SUM(V) AS S, MAX(ID) AS M FROM POSITIVE GROUP BY G;",
    ] {
        server.execute_with(sql, json!({"auto.offset.reset": "earliest"})).await?;
    }
    Ok(())
}

async fn insert(server: &ServerProcess, rows: &mut i64) {
    let first = *rows;
    *rows += ROWS_A_REQUEST;
    let sent: Vec<Value> =
        (first..*rows).map(|id| json!({"ID": id, "G": id * id % GROUPS, "V": (id * 7) % 1000 - 100})).collect();
    server.insert("SENT", &sent).await;
}

/// What the tables must be, from the stream's records: windowed, and totals under window 0.
async fn recomputed(server: &ServerProcess) -> (Table, Table) {
    let (mut windowed, mut totals) = (Table::new(), Table::new());
    for row in server.rows("SELECT ID, G, V, ROWTIME FROM SENT;").await {
        let [id, group, value, time] = [0, 1, 2, 3].map(|column: usize| row[column].as_i64().unwrap());
        let start = time - time % WINDOW_MS;
        add(&mut windowed, (group, start), value, id);
        if value >= 0 {
            add(&mut totals, (group, 0), value, id);
        }
    }
    (windowed, totals)
}

fn add(table: &mut Table, key: (i64, i64), value: i64, id: i64) {
    let (count, sum, max) = table.entry(key).or_insert((0, 0, i64::MIN));
    (*count, *sum, *max) = (*count + 1, *sum + value, id.max(*max));
}

async fn table(server: &ServerProcess, sql: &str) -> Table {
    let number = |value: &Value| value.as_i64().unwrap();
    let rows = server.rows(sql).await;
    let found: Table = rows
        .iter()
        .map(|row| ((number(&row[0]), number(&row[1])), (number(&row[2]), number(&row[3]), number(&row[4]))))
        .collect();
    assert_eq!(found.len(), rows.len(), "a key is there twice: {sql}");
    found
}

/// Waits until both tables are what they must be.
async fn check(server: &ServerProcess) {
    let (windowed, totals) = recomputed(server).await;
    assert!(!windowed.is_empty() && !totals.is_empty());
    for (sql, expected) in [
        ("SELECT G, WINDOWSTART, N, S, M FROM WINDOWED;", &windowed),
        ("SELECT G, CAST(0 AS BIGINT) AS ZERO, N, S, M FROM TOTALS;", &totals),
    ] {
        let deadline = Instant::now() + CATCH_UP_LIMIT;
        loop {
            let found = table(server, sql).await;
            if found == *expected {
                break;
            }
            if Instant::now() >= deadline {
                let wrong = |(key, row): &(&(i64, i64), &(i64, i64, i64))| expected.get(key) != Some(row);
                let wrong: Vec<_> =
                    found.iter().filter(wrong).map(|(key, row)| (key, row, expected.get(key))).collect();
                let missing: Vec<_> = expected.keys().filter(|key| !found.contains_key(key)).collect();
                panic!("{sql}\nkey, found, expected: {wrong:?}\nmissing: {missing:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
