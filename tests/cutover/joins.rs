//! With joins the position is in two stores, one committed after the other: a cutover is in both or counts anyway.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{PATIENCE, ask, cut_over, prove};
use crate::support::mysql::{self, Database, Server};
use crate::support::target::Target;
use crate::views;

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_two_commits_leaves_it_cut_over() {
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    views::fill(&database).await;
    let target = Target::dynoxide();
    let mut daemon = views::ready(&database, &target, &views::contract());
    daemon.set("sink", "request_timeout_ms", "2000");
    daemon.start();
    daemon.phase("ready", PATIENCE).await;
    daemon.terminate(Duration::from_secs(10));
    // The checkpoint's store as it is when the joins' state alone has the cutover.
    let (state, aside) = (daemon.state(), daemon.path().join("aside"));
    copy_store(&state, &aside);
    daemon.start();
    prove(&mut daemon).await;
    cut_over(&mut daemon, &["--wait", "30"]);
    let before = target.scan_all().await;
    daemon.kill();
    copy_store(&aside, &state);
    database
        .run(&["UPDATE users SET email = CONCAT('late', id, '@example.com')"])
        .await;
    for _ in 0..2 {
        daemon.start();
        daemon.phase("cut_over", PATIENCE).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(target.scan_all().await, before);
        daemon.kill();
    }
    // Taken back in the checkpoint's store: what the joins' state says is older then.
    let (status, answer) = ask(&mut daemon, &["cutover", "--reopen"]);
    assert_eq!(status, 0, "{answer:#}");
    daemon.start();
    daemon.phase("ready", PATIENCE).await;
    views::equal(&database, &mut daemon, &target).await;
    daemon.kill();
    daemon.start();
    views::equal(&database, &mut daemon, &target).await;
}

fn copy_store(from: &Path, to: &Path) {
    let script =
        "mkdir -p \"$2\" && rm -rf \"$2/sled\" && cp -a \"$1/sled\" \"$1/checkpoint.json\" \"$2/\"";
    let copied = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([from, to])
        .status();
    assert!(copied.is_ok_and(|status| status.success()));
}
