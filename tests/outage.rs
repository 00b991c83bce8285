//! MySQL, DynamoDB or the network goes away: the daemon says so, goes on by itself, and both sides end equal.

use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::proxy::{Mode, Proxy};
use crate::support::stub::{Faults, Stub};
use crate::support::{eventually, items, seed};
use crate::workload::{self, Written};

const ROWS: u32 = 6000;
const PATIENCE: Duration = Duration::from_secs(120);

/// Both sides behind proxies, a load, and a daemon in its snapshot.
struct Scene<'a> {
    database: Database<'a>,
    to_mysql: Proxy,
    to_dynamo: Proxy,
    stub: Stub,
    daemon: Daemon,
    until: CancellationToken,
    load: Vec<JoinHandle<Written>>,
}

async fn scene(server: &Server) -> Scene<'_> {
    let mut rng = Rng::with_seed(seed());
    let database = Database::create(server).await;
    workload::fill(&database, ROWS).await;
    let to_mysql = Proxy::to(server.port(), rng.u64(..));
    let stub = Stub::start(Faults::default());
    let port = stub
        .url()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    let to_dynamo = Proxy::to(port.expect("the stub's port"), rng.u64(..));
    let url = format!("http://127.0.0.1:{}", to_dynamo.port());
    let contract = workload::contract();
    let mut daemon = Daemon::between(to_mysql.port(), &database.name, &url, &contract);
    daemon
        .set("snapshot", "chunk_rows", "200")
        .set("sink", "request_timeout_ms", "2000");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    let until = CancellationToken::new();
    let load = (0..2)
        .map(|_| {
            let pause = Duration::from_millis(5);
            let (opts, seed) = (database.opts(), rng.u64(..));
            tokio::spawn(workload::write(opts, ROWS, seed, pause, until.clone()))
        })
        .collect();
    daemon.start();
    daemon.phase("snapshot", PATIENCE).await;
    Scene {
        database,
        to_mysql,
        to_dynamo,
        stub,
        daemon,
        until,
        load,
    }
}

impl Scene<'_> {
    /// Waits until the daemon names what is wrong.
    async fn says(&mut self, what: &str) {
        let says = |status: &Value| {
            let mut all = status["trouble"].as_array().into_iter().flatten();
            all.any(|one| one.as_str().is_some_and(|one| one.contains(what)))
        };
        let title = format!("/status names {what}");
        self.daemon
            .reach(&title, Duration::from_secs(30), says)
            .await;
    }

    /// While a side is away: the lag grows, is never zero, and nobody is told that both sides are equal.
    async fn lags(&mut self, time: Duration) {
        let begun = Instant::now();
        let mut before: Option<f64> = None;
        while begun.elapsed() < time {
            let status = self.daemon.status().await.expect("a status");
            let lag = status["lag_seconds"]["apply"].as_f64();
            assert_ne!(lag, Some(0.0), "{status}");
            assert_eq!(status["caught_up"], false, "{status}");
            assert!(status["stopped"].is_null(), "{status}");
            before = before.or(lag);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let status = self.daemon.status().await.expect("a status");
        let lag = status["lag_seconds"]["apply"].as_f64();
        if let (Some(before), Some(lag)) = (before, lag) {
            assert!(lag > before, "the lag grows: {before} s, then {lag} s");
        }
    }

    async fn connected(&mut self, is: f64) {
        let daemon = &mut self.daemon;
        eventually("the metric of the connection", PATIENCE, async || {
            (daemon.metric("penstock_source_connected_info").await == is).then_some(())
        })
        .await;
    }

    /// Ends the load; everything arrives.
    async fn ends_equal(mut self) {
        self.until.cancel();
        let mut written = Written::default();
        for load in self.load.drain(..) {
            written = written.and(load.await.expect("the load"));
        }
        println!("{written:?}");
        assert!(written.committed > 0, "{written:?}");
        self.daemon.caught_up(PATIENCE).await;
        // The last question may have met a connection that was just cut.
        self.daemon
            .reach("no trouble", PATIENCE, |status| {
                status["trouble"] == serde_json::json!([])
            })
            .await;
        let expected = workload::expected(&mut self.database.conn().await).await;
        items::compare(expected.tables(), &workload::scan(&self.stub));
    }
}

#[tokio::test]
async fn mysql_crashes_and_is_stopped_under_load() {
    // Its commits are as safe as its defaults make them: nothing that was sent may be lost in the crash.
    let server = Server::start(&[]);
    let mut scene = scene(&server).await;
    server.stop(true);
    scene.connected(0.0).await;
    server.start_again(&[]);
    scene.connected(1.0).await;
    scene.daemon.phase_is_not("snapshot", PATIENCE).await;
    server.stop(true);
    server.start_again(&[]);
    scene.connected(1.0).await;
    server.stop(false);
    scene.connected(0.0).await;
    scene.says("MySQL").await;
    scene.lags(Duration::from_secs(5)).await;
    server.start_again(&[]);
    scene.connected(1.0).await;
    scene.ends_equal().await;
}

#[tokio::test]
async fn dynamodb_is_away_and_then_both_sides() {
    let server = Server::shared();
    let mut scene = scene(server).await;
    scene.to_dynamo.set(Mode::Refuse);
    scene.says("DynamoDB").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    scene.to_dynamo.set(Mode::Pass);
    scene.daemon.phase_is_not("snapshot", PATIENCE).await;
    scene.to_dynamo.set(Mode::Hang);
    scene.says("DynamoDB").await;
    scene.lags(Duration::from_secs(4)).await;
    scene.to_mysql.set(Mode::Refuse);
    scene.says("MySQL").await;
    scene.connected(0.0).await;
    scene.lags(Duration::from_secs(4)).await;
    scene.to_dynamo.set(Mode::Pass);
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.to_mysql.set(Mode::Pass);
    scene.connected(1.0).await;
    scene.ends_equal().await;
}

/// In the copy and in the stream: the daemon says why it stopped and what to do, and stays up; a restart goes on.
#[tokio::test]
async fn dynamodb_is_away_for_longer_than_the_patience() {
    let mut scene = scene(Server::shared()).await;
    scene.daemon.kill();
    scene.daemon.set("sink", "retry_for_s", "3").start();
    scene.daemon.phase("snapshot", PATIENCE).await;
    for phase in ["snapshot", "streaming"] {
        if phase == "streaming" {
            scene.daemon.phase_is_not("snapshot", PATIENCE).await;
        }
        scene.to_dynamo.set(Mode::Refuse);
        let is_stopped = |status: &Value| !status["stopped"].is_null();
        let status = scene.daemon.reach("a stop", PATIENCE, is_stopped).await;
        let stopped = &status["stopped"];
        assert_eq!(status["phase"], "stopped", "{status}");
        assert_eq!(stopped["kind"], "target_unavailable", "{status}");
        let said = |field: &str, what: &str| {
            let text = stopped[field].as_str().unwrap_or_default();
            assert!(text.contains(what), "no {what:?} in the {field}: {status}");
        };
        said("reason", "DynamoDB has not taken an item for");
        said("remedy", "restart");
        said("remedy", "retry_for_s");
        assert_eq!(scene.daemon.get("/readyz").await.status, 503);
        assert_eq!(scene.daemon.get("/healthz").await.status, 200);
        // It stays where it is, although the load goes on and DynamoDB is back.
        scene.to_dynamo.set(Mode::Pass);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let later = scene.daemon.status().await.expect("a status");
        assert_eq!(
            later["position"], status["position"],
            "the position is kept"
        );
        assert_eq!(later["stopped"], status["stopped"]);
        scene.daemon.terminate(Duration::from_secs(10));
        scene.daemon.start();
    }
    scene.ends_equal().await;
}

/// As after a restart of the server, or when its table cache is full.
#[tokio::test]
async fn tables_that_the_server_opens_again_get_new_numbers() {
    let mut scene = scene(Server::shared()).await;
    scene.daemon.phase_is_not("snapshot", PATIENCE).await;
    for round in 0..3 {
        let insert = format!(
            "INSERT INTO people VALUES ({}, 'again', 'x', NULL)",
            900_000 + round
        );
        scene
            .database
            .run(&[&insert, "FLUSH NO_WRITE_TO_BINLOG TABLES", "FLUSH TABLES"])
            .await;
    }
    scene.ends_equal().await;
}

#[tokio::test]
async fn a_network_that_hangs_leaves_no_lag_of_zero() {
    let server = Server::shared();
    let mut scene = scene(server).await;
    scene.until.cancel();
    scene.daemon.caught_up(PATIENCE).await;
    scene.to_mysql.set(Mode::Hang);
    tokio::time::sleep(Duration::from_secs(4)).await;
    scene.lags(Duration::from_secs(8)).await;
    scene.says("MySQL").await;
    scene.to_mysql.set(Mode::Pass);
    scene.ends_equal().await;
}

#[tokio::test]
async fn connections_that_are_cut_at_random_cost_nothing_but_time() {
    let server = Server::shared();
    let mut scene = scene(server).await;
    let most = 200_000;
    for (mysql, dynamo) in [
        (Mode::Pass, Mode::Cut(most)),
        (Mode::Cut(most), Mode::Pass),
        (Mode::Cut(most), Mode::Cut(most)),
    ] {
        scene.to_mysql.set(mysql);
        scene.to_dynamo.set(dynamo);
        let begun = Instant::now();
        let enough = |scene: &Scene| {
            let mysql = mysql == Mode::Pass || scene.to_mysql.cuts() > 5;
            mysql && (dynamo == Mode::Pass || scene.to_dynamo.cuts() > 5)
        };
        while begun.elapsed() < Duration::from_secs(6)
            || (!enough(&scene) && begun.elapsed() < PATIENCE)
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let (to_mysql, to_dynamo) = (scene.to_mysql.cuts(), scene.to_dynamo.cuts());
    println!("cut: {to_mysql} connections to MySQL, {to_dynamo} to DynamoDB");
    assert!(to_mysql > 5 && to_dynamo > 5, "connections were cut");
    scene.to_mysql.set(Mode::Pass);
    scene.to_dynamo.set(Mode::Pass);
    scene.connected(1.0).await;
    scene.ends_equal().await;
}
