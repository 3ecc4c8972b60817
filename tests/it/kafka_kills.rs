//! State on a real Kafka cluster through `kill -9` of the server. `THALWEG_KAFKA=host:port` names the cluster
//! (`scripts/kafka start`); without one the test says so and passes.
//!
//! Every life begins with an empty data folder: what a server knows, the cluster has told it. Promise under test: as in
//! [`crate::kill_loop_state`], the tables are what a recomputation from the stream's records gives.

use std::time::Duration;

use crate::kill_loop::seed;
use crate::kill_loop_state::{check, create, insert, live};
use crate::server_process::ServerProcess;

/// Lives that end in a kill; `THALWEG_KAFKA_KILLS=N` asks for more.
const DEFAULT_KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_on_kafka_are_what_a_recomputation_gives_through_kills() {
    let Some(cluster) = std::env::var("THALWEG_KAFKA").ok().filter(|address| !address.is_empty()) else {
        println!("skipped: THALWEG_KAFKA names no broker (scripts/kafka start)");
        return;
    };
    let kills = std::env::var("THALWEG_KAFKA_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_KILLS);
    let seed = seed();
    println!("THALWEG_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let service = format!("kills-{:08x}", fastrand::u32(..));
    let topic = format!("{service}-sent");
    let settings = |workers: usize| {
        [
            ("bootstrap.servers", cluster.clone()),
            ("service.id", service.clone()),
            // An empty folder makes another server of it, which would wait until the one that was killed is given up.
            ("kafka.group.instance.id", service.clone()),
            ("topic.name.prefix", format!("{service}-")),
            ("worker.threads", workers.to_string()),
        ]
    };
    let (mut rows, mut created) = (0, false);
    for _ in 0..kills {
        let data = tempfile::tempdir().unwrap();
        let server = ServerProcess::start(data.path(), &settings(random.usize(1..=4))).await;
        let life = Duration::from_millis(random.u64(100..2500));
        let load = live(&server, &topic, &mut created, &mut rows);
        let _ = tokio::time::timeout(life, load).await;
        server.kill();
    }
    let data = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(data.path(), &settings(2)).await;
    if !created {
        create(&server, &topic).await.unwrap();
    }
    insert(&server, &mut rows).await;
    check(&server).await;
    println!("{kills} kills, {rows} rows sent");
    server.terminate(Duration::from_secs(10)).await;
}
