//! Cutover: every gate refuses with its reason and its remedy; what is cut over stays untouched; nothing is ever half.

mod after;
mod joins;
mod kills;
mod refused;
mod report;

use std::process::{Command, Output};
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::rules::{contract, equal, ready};
use crate::support::daemon::Daemon;
use crate::support::mysql::{self, Database, Server};
use crate::support::seconds;
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(120);

/// `penstock … --format json` to its end: exit status and answer.
fn ask(daemon: &mut Daemon, arguments: &[&str]) -> (i32, Value) {
    let arguments = [&["--format", "json"], arguments].concat();
    let output = tokio::task::block_in_place(|| daemon.command(&arguments));
    answer(&output)
}

fn answer(output: &Output) -> (i32, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().last().unwrap_or_default();
    let value = serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(last))
        .unwrap_or_else(|_| panic!("no JSON in {text:?} nor in {errors:?}"));
    (output.status.code().unwrap_or(-1), value)
}

/// Both sides are compared in full and found equal.
async fn prove(daemon: &mut Daemon) {
    daemon.caught_up(PATIENCE).await;
    let output = tokio::task::block_in_place(|| daemon.command(&["verify"]));
    assert!(output.status.success(), "{output:?}");
}

/// Cuts over, and gives the report.
fn cut_over(daemon: &mut Daemon, more: &[&str]) -> Value {
    let (status, mut answer) = ask(daemon, &[&["cutover"], more].concat());
    assert_eq!(status, 0, "{answer:#}");
    answer["outcome"]["cut_over"].take()
}

/// A table, a target and a daemon that copies the one into the other.
struct Scene<'s> {
    database: Database<'s>,
    target: Target,
    daemon: Daemon,
}

impl<'s> Scene<'s> {
    /// The daemon is not started.
    async fn made(server: &'s Server) -> Scene<'s> {
        let database = things(server).await;
        let target = Target::dynoxide();
        let daemon = between(&database, &target.endpoint());
        Scene {
            database,
            target,
            daemon,
        }
    }

    /// … it is, and has caught up.
    async fn ready(server: &'s Server) -> Scene<'s> {
        let mut scene = Scene::made(server).await;
        scene.daemon.start();
        scene.daemon.phase("ready", PATIENCE).await;
        scene
    }

    /// … and both sides are proved to be equal.
    async fn proved(server: &'s Server) -> Scene<'s> {
        let mut scene = Scene::ready(server).await;
        prove(&mut scene.daemon).await;
        scene
    }
}

/// A daemon for `things`, not started. After a restart a cutover waits for what the process before may have sent.
fn between(database: &Database<'_>, endpoint: &str) -> Daemon {
    let mut daemon = ready(database, endpoint, &contract(&["things"], "S"));
    daemon.set("sink", "request_timeout_ms", "2000");
    daemon
}

/// A table `things` with some rows, on a server where nobody else moves gtid_executed.
async fn things(server: &Server) -> Database<'_> {
    let database = Database::create(server).await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO things WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i, i FROM n",
        ])
        .await;
    database
}

/// Writes at random until it is told to stop.
fn write(
    database: &Database<'_>,
    seed: u64,
    pause: Duration,
    until: CancellationToken,
) -> tokio::task::JoinHandle<u64> {
    let opts = database.opts();
    tokio::spawn(async move {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut conn = mysql_async::Conn::new(opts).await.expect("a connection");
        let mut written = 0;
        while !until.is_cancelled() {
            let (id, v) = (rng.u32(1..2_000), rng.u32(..));
            let statement = match rng.u8(..4) {
                0 => format!("DELETE FROM things WHERE id = {id}"),
                1 => format!("UPDATE things SET v = {v} WHERE id BETWEEN {id} AND {id} + 20"),
                _ => format!("REPLACE INTO things VALUES ({id}, {v})"),
            };
            // A deadlock changes nothing.
            written += u64::from(conn.query_drop(statement).await.is_ok());
            tokio::time::sleep(pause).await;
        }
        written
    })
}

/// The stated command over a file of the report says its checksum.
fn checksum_holds(daemon: &Daemon, command: &str, sum: &str) {
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(daemon.state())
        .output()
        .expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.split_whitespace().next(), Some(sum), "{command}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cutover_under_load_leaves_both_sides_equal() {
    let server = Server::start(&mysql::FAST);
    let Scene {
        database,
        target,
        mut daemon,
    } = Scene::made(&server).await;
    daemon.start();
    let until = CancellationToken::new();
    let writers: Vec<_> = (0..3)
        .map(|seed| write(&database, seed, Duration::ZERO, until.clone()))
        .collect();
    daemon.caught_up(PATIENCE).await;
    tokio::time::sleep(Duration::from_secs(seconds(5))).await;
    prove(&mut daemon).await;
    tokio::time::sleep(Duration::from_secs(seconds(5))).await;
    until.cancel();
    for writer in writers {
        assert!(writer.await.expect("the writer") > 100);
    }
    // The load has stopped a moment ago: the drain is the cutover's own.
    let made = cut_over(&mut daemon, &["--wait", "60"]);
    equal(&database, &target, &["things"]).await;
    let mut conn = database.conn().await;
    let executed: Option<String> = conn
        .query_first("SELECT @@GLOBAL.gtid_executed")
        .await
        .expect("a set");
    let report = &made["report"]["report"];
    assert_eq!(report["position"]["gtids"].as_str(), executed.as_deref());
    for key in ["versions", "plan_fingerprint", "times", "counts", "parity"] {
        assert!(!report[key].is_null(), "{key} is missing: {report:#}");
    }
    let gates = report["gates"].as_array().expect("gates");
    assert!(gates.len() >= 10 && gates.iter().all(|gate| gate["open"] == true));
    let audited: Vec<&str> = report["audit"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    let steps = ["begun", "draining", "drained", "compared", "sealed"];
    assert_eq!(audited, steps.map(|step| format!("cutover: {step}")));
    // In words: people read it.
    assert_eq!(
        report["audit"][0]["detail"],
        "waits up to 60 s for the gates"
    );
    let by = report["by"].as_str().expect("who");
    assert!(by.contains("uid "), "{by}");
    let sum = made["report"]["sha256"].as_str().expect("a checksum");
    let command = made["report"]["verify_with"].as_str().expect("a command");
    checksum_holds(&daemon, command, sum);
    let markdown = made["files"][1].as_str().expect("the second file");
    let markdown = std::fs::read_to_string(daemon.path().join(markdown)).expect("Markdown");
    let sum = markdown.trim_end().rsplit(' ').next().expect("a sum");
    checksum_holds(
        &daemon,
        markdown.rsplit('`').nth(1).expect("a command"),
        sum,
    );
    daemon.phase("cut_over", PATIENCE).await;
    assert_eq!(daemon.get("/readyz").await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_and_a_rehearsal_change_nothing() {
    let server = Server::start(&mysql::FAST);
    let Scene {
        database,
        target,
        mut daemon,
    } = Scene::ready(&server).await;
    let log = daemon.state().join("audit.log");
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    let before = (read(), target.scan_all().await);
    let (status, dry) = ask(&mut daemon, &["cutover", "--dry-run"]);
    assert_eq!(status, 3, "{dry:#}");
    assert_eq!(dry["outcome"]["dry_run"]["open"], false);
    prove(&mut daemon).await;
    let (status, dry) = ask(&mut daemon, &["cutover", "--dry-run"]);
    assert_eq!(status, 0, "{dry:#}");
    assert_eq!(before, (read(), target.scan_all().await));
    let status = daemon.status().await.expect("a status");
    assert_eq!(status["phase"], "ready");
    let gates = daemon.metric("penstock_gate_open").await;
    assert_eq!(gates, dry["gates"].as_array().expect("gates").len() as f64);

    let until = CancellationToken::new();
    let writer = write(&database, 1, Duration::from_millis(5), until.clone());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (status, rehearsal) = ask(&mut daemon, &["rehearse"]);
    assert_eq!(status, 0, "{rehearsal:#}");
    assert!(rehearsal["drain"]["seconds"].is_number(), "{rehearsal:#}");
    assert_eq!(rehearsal["drain"]["source_stood_still"], false);
    assert!(
        rehearsal["parity"]["full_items"].as_u64() > Some(0),
        "{rehearsal:#}"
    );
    until.cancel();
    writer.await.expect("the writer");
    let (_, rehearsal) = ask(&mut daemon, &["rehearse"]);
    assert_eq!(rehearsal["drain"]["source_stood_still"], true);
    assert_eq!(rehearsal["open"], true, "{rehearsal:#}");
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target, &["things"]).await;
    // Where no daemon runs, the flow is started for the time of the command; what was proved before is not known to hold.
    daemon.terminate(Duration::from_secs(10));
    let (status, dry) = ask(&mut daemon, &["cutover", "--dry-run", "--wait", "5"]);
    let gates = dry["gates"].as_array().expect("gates");
    let shut: Vec<&Value> = gates.iter().filter(|gate| gate["open"] == false).collect();
    assert_eq!((status, shut.len()), (3, 1), "{shut:#?}");
    assert_eq!(shut[0]["name"], "parity");
}
