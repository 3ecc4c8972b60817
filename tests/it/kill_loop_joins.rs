//! Joins through `kill -9`: a stream joined with two tables, and the tables with each other, killed at random instants.
//!
//! Promise under test: every row of the stream comes out exactly once, with what the tables said at its time, although
//! tables and stream are written and read at the same time and the number of workers changes between lives; and the
//! join of the tables ends as the last rows of both. Requests go out one after the other, so times tell their order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kill_loop::{kills, seed, start};
use crate::server_process::ServerProcess;

/// Rows of one insert request.
const ROWS_A_REQUEST: i64 = 8;
/// Keys of the tables, few enough that most orders find a row that has changed.
const CUSTOMERS: i64 = 11;
/// How long the queries may take to catch up after the last start. Bounds a hang.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);

/// The rows of a table's key over time: when, and what. Later ones have larger numbers.
type Versions = BTreeMap<i64, Vec<(i64, i64)>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joined_rows_are_exact_through_kills() {
    let seed = seed();
    println!("THALWEG_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let data = tempfile::tempdir().unwrap();
    let (mut rows, mut created) = (0, false);
    for _ in 0..kills() {
        let server = start(data.path(), &mut random).await;
        let life = Duration::from_millis(random.u64(5..300));
        let load = live(&server, &mut created, &mut rows, &mut random);
        let _ = tokio::time::timeout(life, load).await;
        server.kill();
    }
    let server = start(data.path(), &mut random).await;
    if !created {
        create(&server).await.unwrap();
    }
    for target in ["CUSTOMER_CHANGES", "PRICE_CHANGES", "ORDERS"] {
        insert(&server, target, &mut rows).await;
    }
    check(&server).await;
    println!("{} kills, {rows} rows sent", kills());
    server.terminate(Duration::from_secs(5)).await;
}

async fn live(server: &ServerProcess, created: &mut bool, rows: &mut i64, random: &mut fastrand::Rng) {
    if !*created {
        if create(server).await.is_err() {
            return;
        }
        *created = true;
    }
    loop {
        let target = ["CUSTOMER_CHANGES", "PRICE_CHANGES", "ORDERS", "ORDERS"][random.usize(0..4)];
        insert(server, target, rows).await;
    }
}

/// Each statement may have taken effect in an earlier life.
async fn create(server: &ServerProcess) -> Result<(), String> {
    for sql in [
        "CREATE STREAM IF NOT EXISTS CUSTOMER_CHANGES (ID BIGINT KEY, N BIGINT)
           WITH (KAFKA_TOPIC='customers', VALUE_FORMAT='JSON', PARTITIONS=3);",
        "CREATE STREAM IF NOT EXISTS PRICE_CHANGES (ID BIGINT KEY, N BIGINT)
           WITH (KAFKA_TOPIC='prices', VALUE_FORMAT='JSON', PARTITIONS=3);",
        "CREATE TABLE IF NOT EXISTS CUSTOMERS (ID BIGINT PRIMARY KEY, N BIGINT)
           WITH (KAFKA_TOPIC='customers', VALUE_FORMAT='JSON');",
        "CREATE TABLE IF NOT EXISTS PRICES (ID BIGINT PRIMARY KEY, N BIGINT)
           WITH (KAFKA_TOPIC='prices', VALUE_FORMAT='JSON');",
        "CREATE STREAM IF NOT EXISTS ORDERS (ID BIGINT KEY, C BIGINT)
           WITH (KAFKA_TOPIC='orders', VALUE_FORMAT='JSON', PARTITIONS=3);",
        "CREATE STREAM IF NOT EXISTS ENRICHED AS
           SELECT O.C AS C, O.ID AS ID, CUSTOMERS.N AS CN, PRICES.N AS PN FROM ORDERS O
           LEFT JOIN CUSTOMERS ON O.C = CUSTOMERS.ID LEFT JOIN PRICES ON O.C = PRICES.ID;",
        "CREATE TABLE IF NOT EXISTS PAIRS AS
           SELECT CUSTOMERS.ID AS ID, CUSTOMERS.N AS CN, PRICES.N AS PN
           FROM CUSTOMERS LEFT JOIN PRICES ON CUSTOMERS.ID = PRICES.ID;",
    ] {
        server.execute_with(sql, json!({"auto.offset.reset": "earliest"})).await?;
    }
    Ok(())
}

async fn insert(server: &ServerProcess, target: &str, rows: &mut i64) {
    let first = *rows;
    *rows += ROWS_A_REQUEST;
    let customer = |number: i64| number * number % CUSTOMERS;
    let row = |number: i64| match target {
        "ORDERS" => json!({"ID": number, "C": customer(number)}),
        _ => json!({"ID": customer(number), "N": number}),
    };
    server.insert(target, &(first..*rows).map(row).collect::<Vec<_>>()).await;
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64()
}

async fn versions(server: &ServerProcess, changes: &str) -> Versions {
    let mut versions = Versions::new();
    for row in server.rows(&format!("SELECT ID, N, ROWTIME FROM {changes};")).await {
        let [id, said, time] = [0, 1, 2].map(|column: usize| number(&row[column]).unwrap());
        versions.entry(id).or_default().push((time, said));
    }
    versions.values_mut().for_each(|said| said.sort_unstable_by_key(|(_, number)| *number));
    versions
}

/// What a table may have said of a key at `time`: of records of the same time nobody knows which came first.
fn allowed(versions: &Versions, key: i64, time: i64) -> BTreeSet<Option<i64>> {
    let said = versions.get(&key).map_or(&[][..], |said| said);
    let before = said.iter().rfind(|(at, _)| *at < time).map(|(_, number)| *number);
    let meanwhile = said.iter().filter(|(at, _)| *at == time).map(|(_, number)| Some(*number));
    std::iter::once(before).chain(meanwhile).collect()
}

/// Waits until `sql` gives so many rows, which it must not exceed.
async fn all_rows(server: &ServerProcess, sql: &str, count: usize) -> Vec<Vec<Value>> {
    let deadline = Instant::now() + CATCH_UP_LIMIT;
    loop {
        let rows = server.rows(sql).await;
        if rows.len() >= count {
            assert_eq!(rows.len(), count, "{sql}");
            return rows;
        }
        assert!(Instant::now() < deadline, "{sql}: {} rows of {count}", rows.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn check(server: &ServerProcess) {
    let customers = versions(server, "CUSTOMER_CHANGES").await;
    let prices = versions(server, "PRICE_CHANGES").await;
    let mut orders = BTreeMap::new();
    for row in server.rows("SELECT ID, C, ROWTIME FROM ORDERS;").await {
        let [id, customer, time] = [0, 1, 2].map(|column: usize| number(&row[column]).unwrap());
        orders.insert(id, (customer, time));
    }
    let mut seen = BTreeSet::new();
    for row in all_rows(server, "SELECT ID, C, ROWTIME, CN, PN FROM ENRICHED;", orders.len()).await {
        let id = number(&row[0]).unwrap();
        assert!(seen.insert(id), "order {id} is there twice");
        let (customer, time) = orders[&id];
        assert_eq!((number(&row[1]), number(&row[2])), (Some(customer), Some(time)), "order {id}");
        for (table, found) in [(&customers, &row[3]), (&prices, &row[4])] {
            let allowed = allowed(table, customer, time);
            assert!(allowed.contains(&number(found)), "order {id} of {customer} at {time}: {found}, not {allowed:?}");
        }
    }
    let last = |versions: &Versions, key: i64| versions.get(&key)?.last().map(|(_, number)| *number);
    let expected: BTreeSet<_> =
        customers.keys().map(|key| (Some(*key), last(&customers, *key), last(&prices, *key))).collect();
    let deadline = Instant::now() + CATCH_UP_LIMIT;
    loop {
        let rows = server.rows("SELECT ID, CN, PN FROM PAIRS;").await;
        let found: BTreeSet<_> = rows.iter().map(|row| (number(&row[0]), number(&row[1]), number(&row[2]))).collect();
        if found == expected && rows.len() == expected.len() {
            return;
        }
        assert!(Instant::now() < deadline, "found {found:?}, expected {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
