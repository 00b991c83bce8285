//! Killed in the middle of a cutover: it is made, or it is not.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mysql_async::prelude::Queryable as _;
use serde_json::Value;

use super::{PATIENCE, Scene, ask, checksum_holds, cut_over, prove};
use crate::rules::equal;
use crate::support::daemon::Daemon;
use crate::support::mysql::{self, Server};

/// It is killed when the audit log says so much …
const STEPS: [&str; 6] = [
    "cutover: begun",
    "cutover: draining",
    "cutover: drained",
    "cutover: compared",
    "cutover: sealed",
    "cutover: cut over",
];
/// … or when the mirror of the checkpoint has it, which is before the report is written.
const COMMITTED: &str = "committed";

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_it_is_made_or_it_is_not() {
    let server = Server::start(&mysql::FAST);
    let Scene {
        database,
        target,
        mut daemon,
    } = Scene::made(&server).await;
    // What the process before has sent is waited for: not for so long that the kills come too early.
    daemon.set("sink", "request_timeout_ms", "300");
    let (mut made, mut refused) = (0, 0);
    for point in STEPS.into_iter().chain([COMMITTED]) {
        daemon.start();
        daemon.phase("ready", PATIENCE).await;
        prove(&mut daemon).await;
        let mut conn = database.conn().await;
        let change = "UPDATE things SET v = RAND() WHERE id < 100";
        conn.query_drop(change).await.expect("a change");
        drop(conn);
        let before = times(&daemon.state(), point);
        let mut cutting = daemon.spawn(&["--format", "json", "cutover", "--wait", "30"]);
        let begun = Instant::now();
        while times(&daemon.state(), point) == before {
            assert!(begun.elapsed() < PATIENCE, "{point} does not come");
            std::thread::sleep(Duration::from_micros(500));
        }
        daemon.kill();
        let _ = cutting.kill();
        let _ = cutting.wait();
        daemon.start();
        let phase = daemon
            .reach("it is up", PATIENCE, |status| status["phase"] != "draining")
            .await["phase"]
            .clone();
        if phase == "cut_over" {
            made += 1;
            // Everything before it is there, and so is its report.
            equal(&database, &target, &["things"]).await;
            report_is_whole(&daemon);
            let change = "UPDATE things SET v = 'not for DynamoDB' WHERE id < 10";
            database.run(&[change]).await;
            let before = target.scan_all().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(target.scan_all().await, before);
            let (status, answer) = ask(&mut daemon, &["cutover", "--reopen"]);
            assert_eq!(status, 0, "{answer:#}");
        } else {
            refused += 1;
            assert!(
                ![COMMITTED, "cutover: cut over"].contains(&point),
                "made, and forgotten"
            );
        }
        daemon.phase("ready", PATIENCE).await;
        daemon.caught_up(PATIENCE).await;
        equal(&database, &target, &["things"]).await;
        daemon.terminate(Duration::from_secs(10));
    }
    println!("{made} were made, {refused} were not");
    assert!(made >= 2 && refused >= 1, "{made} made, {refused} not");
}

/// How often the point has been passed.
fn times(state: &Path, point: &str) -> usize {
    if point == COMMITTED {
        let mirror = std::fs::read_to_string(state.join("checkpoint.json")).unwrap_or_default();
        return mirror.matches(r#""state": "cut_over""#).count();
    }
    let log = std::fs::read_to_string(state.join("audit.log")).unwrap_or_default();
    let action = format!(r#""action":"{point}""#);
    log.matches(action.as_str()).count()
}

/// Rule 18, over a restart: what the process that was killed had sent may be applied for so long, and a cutover waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_had_sent_is_waited_for() {
    let server = Server::start(&mysql::FAST);
    let Scene {
        database,
        target,
        mut daemon,
    } = Scene::made(&server).await;
    daemon.set("sink", "request_timeout_ms", "5000");
    daemon.start();
    daemon.phase("ready", PATIENCE).await;
    daemon.kill();
    let started = SystemTime::now().duration_since(UNIX_EPOCH);
    let started = started.expect("a time").as_millis() as u64;
    daemon.start();
    daemon.phase("ready", PATIENCE).await;
    prove(&mut daemon).await;
    let made = cut_over(&mut daemon, &["--wait", "30"]);
    let sealed = made["report"]["report"]["times"]["sealed"].as_u64();
    let waited = sealed.expect("a time") - started;
    assert!(waited >= 15_000, "sealed after {waited} ms");
    equal(&database, &target, &["things"]).await;
}

fn report_is_whole(daemon: &Daemon) {
    let mut files: Vec<_> = std::fs::read_dir(daemon.state())
        .expect("the state directory")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("cutover-") && name.ends_with(".json"))
        .collect();
    files.sort();
    let file = files.last().expect("a report");
    let text = std::fs::read_to_string(daemon.state().join(file)).expect("the report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let command = report["verify_with"].as_str().expect("a command");
    checksum_holds(daemon, command, report["sha256"].as_str().expect("a sum"));
}
