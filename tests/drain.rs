//! SIGTERM, whatever the daemon is doing: it ends in time, in order, and the next run goes on.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{Database, Server};
use crate::support::proxy::{Mode, Proxy};
use crate::support::stub::{Faults, Stub};
use crate::workload::{self, Written};

const ROWS: u32 = 20_000;
const PATIENCE: Duration = Duration::from_secs(60);
/// What systemd and people are promised.
const IN_TIME: Duration = Duration::from_secs(10);

struct Scene {
    database: Database<'static>,
    proxy: Proxy,
    stub: Stub,
    daemon: Daemon,
}

/// A filled database, a target that takes its time, and a daemon that has not been started.
async fn scene(rows: u32, latency_ms: u64) -> Scene {
    let server = Server::shared();
    let database = server.database().await;
    workload::fill(&database, rows).await;
    let proxy = Proxy::to(server.port(), 1);
    let stub = Stub::start(slow(latency_ms));
    let url = stub.url();
    let mut daemon = Daemon::between(proxy.port(), &database.name, &url, &workload::contract());
    daemon.set("snapshot", "chunk_rows", "500");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    Scene {
        database,
        proxy,
        stub,
        daemon,
    }
}

fn slow(latency_ms: u64) -> Faults {
    Faults {
        latency: Duration::from_millis(latency_ms),
        ..Faults::default()
    }
}

impl Scene {
    fn load(&self, until: &CancellationToken) -> JoinHandle<Written> {
        let opts = self.database.opts();
        let until = until.clone();
        tokio::spawn(workload::write(opts, ROWS, 7, Duration::ZERO, until))
    }

    fn checkpoint(&self) -> Value {
        let text = std::fs::read(self.daemon.state().join("checkpoint.json")).expect("a mirror");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Ends in time, with status 0.
    fn terminate(&mut self) {
        let begun = Instant::now();
        let status = self.daemon.terminate(IN_TIME);
        println!("ended after {:.1} s", begun.elapsed().as_secs_f64());
        assert_eq!(status.code(), Some(0), "{}", self.daemon.log());
    }

    /// The next run goes on, and nothing was lost.
    async fn goes_on(mut self) {
        self.stub.set_faults(Faults::default());
        self.proxy.set(Mode::Pass);
        self.daemon.start();
        self.daemon.caught_up(PATIENCE).await;
        let expected = workload::expected(&mut self.database.conn().await).await;
        items::compare(expected.tables(), &workload::scan(&self.stub));
    }
}

#[tokio::test]
async fn in_the_snapshot_under_load() {
    let mut scene = scene(ROWS, 20).await;
    let until = CancellationToken::new();
    let load = scene.load(&until);
    scene.daemon.start();
    let some = |status: &Value| status["snapshot"][0]["rows"].as_u64() > Some(1000);
    let status = scene.daemon.reach("a part is copied", PATIENCE, some).await;
    assert_eq!(status["phase"], "snapshot");
    let before = scene.checkpoint();
    scene.terminate();
    assert_ne!(scene.checkpoint(), before, "the checkpoint advanced");
    until.cancel();
    load.await.expect("the load");
    scene.goes_on().await;
}

#[tokio::test]
async fn in_the_stream_under_load() {
    let mut scene = scene(2000, 0).await;
    scene.daemon.start();
    scene.daemon.caught_up(PATIENCE).await;
    scene.stub.set_faults(slow(50));
    let until = CancellationToken::new();
    let load = scene.load(&until);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = scene.checkpoint();
    scene.terminate();
    assert_ne!(scene.checkpoint(), before, "the checkpoint advanced");
    until.cancel();
    load.await.expect("the load");
    scene.goes_on().await;
}

#[tokio::test]
async fn while_dynamodb_hangs() {
    let mut scene = scene(ROWS, 0).await;
    scene.daemon.set("sink", "request_timeout_ms", "8000");
    scene.stub.set_faults(slow(20));
    // The start asks DynamoDB for its tables: the target hangs only afterwards.
    scene.daemon.start();
    scene.daemon.phase("snapshot", PATIENCE).await;
    scene.stub.set_faults(slow(600_000));
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.terminate();
    scene.goes_on().await;
}

/// Requests without an answer are applied when the next run is there: what it has to write over the same keys waits.
#[tokio::test]
async fn what_the_last_run_sent_is_not_applied_over_what_the_next_one_writes() {
    let mut scene = scene(200, 0).await;
    // Late for 12 seconds, and a drain waits for seven.
    scene.daemon.set("sink", "request_timeout_ms", "4000");
    scene.daemon.start();
    scene.daemon.caught_up(PATIENCE).await;
    scene.stub.set_faults(Faults {
        late: 1.0,
        late_by: Duration::from_secs(11),
        ..Faults::default()
    });
    let update = |to: &str| format!("UPDATE people SET name = '{to}'");
    scene.database.run(&[&update("old")]).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    scene.stub.set_faults(Faults::default());
    scene.database.run(&[&update("new")]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    scene.terminate();
    scene.daemon.start();
    scene.daemon.caught_up(PATIENCE).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let expected = workload::expected(&mut scene.database.conn().await).await;
    items::compare(expected.tables(), &workload::scan(&scene.stub));
}

#[tokio::test]
async fn a_second_signal_does_not_wait() {
    let mut scene = scene(ROWS, 20).await;
    scene.daemon.set("sink", "request_timeout_ms", "8000");
    scene.daemon.start();
    scene.daemon.phase("snapshot", PATIENCE).await;
    scene.stub.set_faults(slow(600_000));
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.daemon.signal("TERM");
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.daemon.signal("INT");
    let status = scene.daemon.ended(Duration::from_secs(2));
    assert_eq!(status.code(), Some(1), "what was in flight was given up");
    scene.goes_on().await;
}

#[tokio::test]
async fn while_mysql_is_away_or_hangs() {
    let mut scene = scene(2000, 0).await;
    for mode in [Mode::Refuse, Mode::Hang] {
        scene.proxy.set(Mode::Pass);
        scene.daemon.start();
        scene.daemon.caught_up(PATIENCE).await;
        scene.proxy.set(mode);
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.terminate();
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn while_stopped_by_an_error() {
    let mut scene = scene(2000, 0).await;
    scene.daemon.start();
    scene.daemon.caught_up(PATIENCE).await;
    scene
        .database
        .run(&["ALTER TABLE people ADD COLUMN more INT"])
        .await;
    scene.daemon.phase("stopped", PATIENCE).await;
    scene.terminate();
}

#[tokio::test]
async fn during_the_start() {
    let mut scene = scene(2000, 0).await;
    for step in 0..12 {
        scene.daemon.start();
        tokio::time::sleep(Duration::from_millis(step * 25)).await;
        let status = scene.daemon.terminate(IN_TIME);
        // Before its first line runs nothing can be drained, and the signal ends it.
        let clean = status.code() == Some(0) || status.signal() == Some(15);
        assert!(
            clean,
            "after {} ms: {status}\n{}",
            step * 25,
            scene.daemon.log()
        );
    }
    scene.proxy.set(Mode::Hang);
    scene.daemon.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    scene.terminate();
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "it does not wait for MySQL"
    );
    scene.goes_on().await;
}

#[tokio::test]
async fn until_caught_up_ends_with_a_summary() {
    let mut scene = scene(2000, 0).await;
    scene.daemon.run_arguments(&["--until-caught-up"]).start();
    let status = scene.daemon.ended(PATIENCE);
    let log = scene.daemon.log();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("rows copied   6000 (of 3 tables)"), "{log}");
    assert!(!log.contains("may remain"), "{log}");
    scene
        .database
        .run(&["DELETE FROM people WHERE id < 10"])
        .await;
    let arguments = ["--until-caught-up", "--resnapshot"];
    scene.daemon.run_arguments(&arguments).start();
    let status = scene.daemon.ended(PATIENCE);
    let log = scene.daemon.log();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("may remain"), "{log}");
    scene
        .database
        .run(&["ALTER TABLE people ADD COLUMN more INT"])
        .await;
    scene.daemon.run_arguments(&["--until-caught-up"]).start();
    let status = scene.daemon.ended(PATIENCE);
    let log = scene.daemon.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("test_") && log.contains("columns"), "{log}");
}

#[tokio::test]
async fn until_caught_up_and_interrupted_is_no_success() {
    let mut scene = scene(ROWS, 50).await;
    scene.daemon.run_arguments(&["--until-caught-up"]).start();
    scene.daemon.phase("snapshot", PATIENCE).await;
    let status = scene.daemon.terminate(IN_TIME);
    assert_eq!(status.code(), Some(1), "{}", scene.daemon.log());
}
