//! Exactly once on a real Kafka cluster, through `kill -9` of the server and of brokers, and pauses of the server.
//!
//! Promise under test: each topic of the chain in [`crate::kafka_chain`] holds exactly the rows it has to, in their
//! order. `THALWEG_KAFKA=host:port` names the cluster (`scripts/kafka start`) that servers are killed on; brokers are
//! killed of clusters of the test's own. Without the variable the tests say so and pass.
//!
//! Every life begins with an empty data folder: what a server knows, the cluster has told it. `scripts/kill-loops` runs
//! more rounds, by the variables that [`rounds`] is asked for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kafka_chain::Chain;
use crate::kafka_nodes::{Nodes, shared_cluster};
use crate::kill_loop::seed;
use crate::server_process::ServerProcess;

/// Behind the time-out of a transaction, and the time until the broker looks for those that are over.
const PAUSE: Duration = Duration::from_secs(13);
/// How long a server may take to be itself again. Bounds a hang.
const RECOVERY_LIMIT: Duration = Duration::from_secs(180);

/// Rounds, unless the variable asks for others.
fn rounds(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn random() -> fastrand::Rng {
    let seed = seed();
    println!("THALWEG_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// A server with an empty data folder, which goes with it.
async fn start(chain: &Chain, workers: usize) -> (ServerProcess, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(data.path(), &chain.settings(workers)).await;
    (server, data)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chained_queries_on_kafka_are_exact_through_kills_of_the_server() {
    let Some(cluster) = shared_cluster() else { return };
    let kills = rounds("THALWEG_KAFKA_KILLS", 5);
    let mut random = random();
    let mut chain = Chain::new(&cluster, 1);
    for _ in 0..kills {
        let (server, _data) = start(&chain, random.usize(1..=4)).await;
        let life = Duration::from_millis(random.u64(100..2500));
        let _ = tokio::time::timeout(life, chain.live(&server)).await;
        server.kill();
    }
    let (server, _data) = start(&chain, 2).await;
    chain.check(&server).await;
    println!("{kills} kills of the server");
    server.terminate(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chained_queries_on_kafka_are_exact_through_kills_of_the_broker() {
    let kills = rounds("THALWEG_KAFKA_BROKER_KILLS", 5);
    let Some(broker) = Nodes::start(1).await else { return };
    let mut random = random();
    let mut chain = Chain::new(&broker.address, 1);
    let (mut server, mut data) = start(&chain, 2).await;
    chain.create(&server).await.unwrap();
    let mut restarts = 0;
    for _ in 0..kills {
        let (life, absence) = (random.u64(100..2500), random.u64(0..3000));
        let round = async {
            tokio::time::sleep(Duration::from_millis(life)).await;
            broker.kill(0).await;
            tokio::time::sleep(Duration::from_millis(absence)).await;
            broker.restart(0).await;
        };
        chain.load_while(&server, round).await;
        if !goes_on(&mut chain, &server).await {
            restarts += 1;
            server.kill();
            (server, data) = start(&chain, random.usize(1..=4)).await;
        }
    }
    chain.check(&server).await;
    println!("{kills} kills of the broker, after {restarts} of them the server had stopped for good");
    drop(data);
    server.terminate(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chained_queries_on_kafka_are_exact_through_pauses_of_the_server() {
    let Some(cluster) = shared_cluster() else { return };
    let pauses = rounds("THALWEG_KAFKA_PAUSES", 1);
    let mut random = random();
    let mut chain = Chain::new(&cluster, 1);
    let (mut server, mut data) = start(&chain, 2).await;
    chain.create(&server).await.unwrap();
    let mut restarts = 0;
    for _ in 0..pauses {
        let life = Duration::from_millis(random.u64(500..2500));
        chain.load_while(&server, tokio::time::sleep(life)).await;
        server.pause();
        tokio::time::sleep(PAUSE).await;
        server.go_on();
        if !goes_on(&mut chain, &server).await {
            restarts += 1;
            server.kill();
            (server, data) = start(&chain, random.usize(1..=4)).await;
        }
    }
    chain.check(&server).await;
    println!("{pauses} pauses of {PAUSE:?}, after {restarts} of them the server had stopped for good");
    server.terminate(Duration::from_secs(10)).await;
    drop(data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chained_queries_on_kafka_are_exact_through_kills_of_leaders_and_controllers() {
    let kills = rounds("THALWEG_KAFKA_NODE_KILLS", 0);
    if kills == 0 {
        println!("skipped: THALWEG_KAFKA_NODE_KILLS asks for no kills of three nodes");
        return;
    }
    let Some(nodes) = Nodes::start(3).await else { return };
    let mut random = random();
    let mut chain = Chain::new(&nodes.address, 3);
    let (mut server, mut data) = start(&chain, 2).await;
    chain.create(&server).await.unwrap();
    let mut restarts = 0;
    for round in 0..kills {
        let victim = if round % 2 == 0 { chain.leader() - 1 } else { nodes.controller().await };
        let (life, absence) = (random.u64(100..2500), random.u64(0..12_000));
        let round = async {
            tokio::time::sleep(Duration::from_millis(life)).await;
            nodes.kill(victim).await;
            tokio::time::sleep(Duration::from_millis(absence)).await;
            nodes.restart(victim).await;
        };
        chain.load_while(&server, round).await;
        if !goes_on(&mut chain, &server).await {
            restarts += 1;
            server.kill();
            (server, data) = start(&chain, random.usize(1..=4)).await;
        }
    }
    chain.check(&server).await;
    println!("{kills} kills of leaders and controllers, after {restarts} the server had stopped for good");
    drop(data);
    server.terminate(Duration::from_secs(10)).await;
}

/// Waits until rows are taken again and all queries run, or until the server has stopped for good: it ended, or lost
/// the right to write.
async fn goes_on(chain: &mut Chain, server: &ServerProcess) -> bool {
    let deadline = Instant::now() + RECOVERY_LIMIT;
    loop {
        let taken = chain.insert(server).await;
        match server.execute_with("SHOW QUERIES;", json!({})).await {
            Ok(answer) if taken > 0 && states(&answer).iter().all(|state| state == "RUNNING") => return true,
            Ok(answer) if states(&answer).iter().any(|state| state == "ERROR") => return false,
            Ok(_) => {}
            Err(error) if server.has_ended() || error.contains("not this server's any more") => return false,
            Err(error) => println!("SHOW QUERIES: {error}"),
        }
        assert!(Instant::now() < deadline, "a paused server neither goes on nor stops");
    }
}

/// The states of the queries that an answer lists.
fn states(answer: &Value) -> Vec<String> {
    let queries = answer[0]["queries"].as_array().cloned().unwrap_or_default();
    queries.iter().map(|query| query["state"].as_str().unwrap_or_default().to_owned()).collect()
}
