//! Killed in the middle of a cutover: it is made, or it is not.

use std::time::Duration;

use mysql_async::prelude::Queryable as _;

use super::{PATIENCE, ask, checksum_holds, prove, things};
use crate::rules::{contract, equal, ready};
use crate::support::daemon::Daemon;
use crate::support::mysql::{self, Server};
use crate::support::target::Target;
use crate::support::{seconds, seed};

/// How often it is killed.
const KILLS: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_it_is_made_or_it_is_not() {
    let mut rng = fastrand::Rng::with_seed(seed());
    let server = Server::start(&mysql::FAST);
    let database = things(&server).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target.endpoint(), &contract(&["things"], "S"));
    let (mut made, mut refused) = (0, 0);
    for _ in 0..seconds(KILLS) {
        daemon.start();
        daemon.phase("ready", PATIENCE).await;
        prove(&mut daemon).await;
        let mut conn = database.conn().await;
        let change = "UPDATE things SET v = RAND() WHERE id < 100";
        conn.query_drop(change).await.expect("a change");
        drop(conn);
        let mut cutting = daemon.spawn(&["--format", "json", "cutover", "--wait", "30"]);
        tokio::time::sleep(Duration::from_millis(rng.u64(20..600))).await;
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
        }
        daemon.phase("ready", PATIENCE).await;
        daemon.caught_up(PATIENCE).await;
        equal(&database, &target, &["things"]).await;
        daemon.terminate(Duration::from_secs(10));
    }
    println!("{made} were made, {refused} were not");
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
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let command = report["verify_with"].as_str().expect("a command");
    checksum_holds(daemon, command, report["sha256"].as_str().expect("a sum"));
}
