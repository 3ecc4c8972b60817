//! Two servers of one service on a real Kafka cluster: one owns it, the other stands by, through kills, restarts and
//! pauses. `THALWEG_KAFKA=host:port` names the cluster (`scripts/kafka start`); without one the tests say so and pass.
//!
//! Promise under test: whoever owns the service, every acknowledged row is in the query's results exactly once, and a
//! row that nobody acknowledged at most once; and a server that lost the service writes nothing more.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server_process::ServerProcess;

/// Bounds a hang.
const LIMIT: Duration = Duration::from_secs(120);
/// Longer than a member of the group may be silent.
const PAUSE: Duration = Duration::from_secs(8);
/// Rows of one request.
const ROWS: u64 = 20;

/// A service with a stream, and what was sent to it.
struct Service {
    cluster: String,
    name: String,
    sent: u64,
    acknowledged: BTreeSet<u64>,
}

impl Service {
    /// None if there is no cluster.
    fn new() -> Option<Self> {
        let Some(cluster) = std::env::var("THALWEG_KAFKA").ok().filter(|address| !address.is_empty()) else {
            println!("skipped: THALWEG_KAFKA names no broker (scripts/kafka start)");
            return None;
        };
        let name = format!("standby-{:08x}", fastrand::u32(..));
        Some(Self { cluster, name, sent: 0, acknowledged: BTreeSet::new() })
    }

    async fn start(&self, data: &TempDir) -> ServerProcess {
        let settings = [
            ("bootstrap.servers", self.cluster.clone()),
            ("service.id", self.name.clone()),
            ("topic.name.prefix", format!("{}-", self.name)),
            ("commit.producers", "2".to_owned()),
        ];
        ServerProcess::start(data.path(), &settings).await
    }

    async fn create(&self, server: &ServerProcess) {
        let source = format!(
            "CREATE STREAM SENT (ID BIGINT KEY, V BIGINT)
               WITH (KAFKA_TOPIC='{}-sent', VALUE_FORMAT='JSON', PARTITIONS=3);",
            self.name
        );
        for sql in [
            source.as_str(),
            "CREATE STREAM PASSED AS SELECT ID, V + 1 AS V FROM SENT;",
            "CREATE TABLE TOTALS AS SELECT 1 AS ONE, COUNT(*) AS N, SUM(V) AS S FROM PASSED GROUP BY 1;",
        ] {
            server.execute_with(sql, json!({"auto.offset.reset": "earliest"})).await.unwrap();
        }
    }

    async fn insert(&mut self, server: &ServerProcess) {
        let first = self.sent;
        self.sent += ROWS;
        let rows: Vec<Value> = (first..self.sent).map(|id| json!({"ID": id, "V": id})).collect();
        for row in server.insert("SENT", &rows).await {
            self.acknowledged.insert(first + row as u64);
        }
    }

    /// Waits until the results hold all they must, and checks that nothing is there twice.
    async fn check(&self, server: &ServerProcess) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let rows = server.rows("SELECT ID, V FROM PASSED;").await;
            let ids: BTreeSet<u64> = rows.iter().map(|row| row[0].as_u64().unwrap()).collect();
            assert_eq!(ids.len(), rows.len(), "a row is there twice");
            assert!(ids.iter().all(|id| *id < self.sent), "rows that nobody sent");
            let sum: u64 = rows.iter().map(|row| row[1].as_u64().unwrap()).sum();
            let totals = server.rows("SELECT N, S FROM TOTALS;").await;
            let expected = json!([rows.len(), sum]);
            if self.acknowledged.is_subset(&ids) && totals.first().map(|row| json!(row)) == Some(expected) {
                return;
            }
            let missing = self.acknowledged.difference(&ids).count();
            assert!(Instant::now() < deadline, "{missing} rows are missing; {} rows, totals {totals:?}", rows.len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn health(server: &ServerProcess) -> Value {
    let answer = reqwest::get(format!("{}/healthcheck", server.url)).await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

/// Waits until the server says this of itself; how long that took.
async fn wait(server: &ServerProcess, what: &str, holds: impl Fn(&Value) -> bool) -> Duration {
    let began = Instant::now();
    loop {
        let told = health(server).await;
        if holds(&told) {
            return began.elapsed();
        }
        assert!(began.elapsed() < LIMIT, "the server does not become {what}: {told}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_owner(told: &Value) -> bool {
    told["serverState"] == "READY" && told["isHealthy"] == true
}

async fn expect_standby(server: &ServerProcess, owner: &ServerProcess) {
    wait(server, "a standby", |told| told["details"]["ownership"]["standbyOf"] == json!(owner.url)).await;
    let refused = server.execute_with("SHOW STREAMS;", json!({})).await.unwrap_err();
    assert!(refused.contains(&format!("this server is the standby of {}", owner.url)), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_goes_on_exactly_once_when_the_owner_is_killed_or_stopped() {
    let Some(mut service) = Service::new() else { return };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = service.start(&folders[0]).await;
    service.create(&first).await;
    let second = service.start(&folders[1]).await;
    expect_standby(&second, &first).await;
    let _ = tokio::time::timeout(Duration::from_secs(1), async {
        loop {
            service.insert(&first).await;
        }
    })
    .await;
    first.kill();
    println!("taken over from a killed server in {:?}", wait(&second, "the owner", is_owner).await);
    service.insert(&second).await;
    service.check(&second).await;

    let first = service.start(&folders[0]).await;
    expect_standby(&first, &second).await;
    service.insert(&second).await;
    let began = Instant::now();
    second.terminate(Duration::from_secs(10)).await;
    let stopped = began.elapsed();
    let waited = wait(&first, "the owner", is_owner).await;
    println!("a server stopped in {stopped:?}, {waited:?} later the other had taken over");
    service.insert(&first).await;
    service.check(&first).await;
    first.terminate(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_restarted_takes_its_place_back_from_nobody() {
    let Some(mut service) = Service::new() else { return };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = service.start(&folders[0]).await;
    service.create(&first).await;
    let second = service.start(&folders[1]).await;
    expect_standby(&second, &first).await;
    service.insert(&first).await;
    first.kill();
    let began = Instant::now();
    let first = service.start(&folders[0]).await;
    wait(&first, "the owner", is_owner).await;
    println!("killed, started and the owner again in {:?}", began.elapsed());
    expect_standby(&second, &first).await;
    service.insert(&first).await;
    service.check(&first).await;
    second.terminate(Duration::from_secs(10)).await;
    first.terminate(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_paused_for_long_has_lost_the_service_and_writes_nothing_more() {
    let Some(mut service) = Service::new() else { return };
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = service.start(&folders[0]).await;
    service.create(&first).await;
    let second = service.start(&folders[1]).await;
    expect_standby(&second, &first).await;
    service.insert(&first).await;
    first.pause();
    println!("taken over from a paused server in {:?}", wait(&second, "the owner", is_owner).await);
    service.insert(&second).await;
    tokio::time::sleep(PAUSE).await;
    first.go_on();
    let has_lost = |told: &Value| told["details"]["ownership"]["isHealthy"] == false;
    println!("told that it lost the service after {:?}", wait(&first, "a server without service", has_lost).await);
    let told = health(&first).await;
    assert_eq!(told["isHealthy"], false);
    let reason = told["details"]["ownership"]["reason"].as_str().unwrap();
    assert!(reason.contains(&second.url), "{reason}");
    let queries = first.execute_with("SHOW QUERIES;", json!({})).await.unwrap();
    for query in queries[0]["queries"].as_array().unwrap() {
        assert_eq!(query["statusCount"], json!({"ERROR": 1}), "{query}");
    }
    let refused = first.execute_with("CREATE TYPE T AS INT;", json!({})).await.unwrap_err();
    assert!(refused.contains("the service is not this server's any more"), "{refused}");
    assert!(first.insert("SENT", &[json!({"ID": 1, "V": 1})]).await.is_empty());
    service.insert(&second).await;
    service.check(&second).await;
    // The one that lost it holds nothing back.
    first.terminate(Duration::from_secs(10)).await;
    service.insert(&second).await;
    service.check(&second).await;
    second.terminate(Duration::from_secs(10)).await;
}
