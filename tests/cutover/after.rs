//! After a cutover DynamoDB is the application's: nothing of ours touches it until somebody takes the cutover back.

use std::time::Duration;

use super::{PATIENCE, ask, cut_over, prove, things};
use crate::rules::{contract, equal, ready};
use crate::support::mysql::{self, Server};
use crate::support::target::Target;

#[tokio::test(flavor = "multi_thread")]
async fn writes_and_restarts_leave_dynamodb_untouched_until_it_is_reopened() {
    let server = Server::start(&mysql::FAST);
    let database = things(&server).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target.endpoint(), &contract(&["things"], "S"));
    daemon.start();
    daemon.phase("ready", PATIENCE).await;
    prove(&mut daemon).await;
    let made = cut_over(&mut daemon, &[]);
    let before = target.scan_all().await;
    let unchanged = async |statement: &str| {
        database.run(&[statement]).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(target.scan_all().await, before, "after {statement}");
    };
    unchanged("UPDATE things SET v = 'late' WHERE id < 100").await;
    // Killed, ended in order, while MySQL is away: it comes up and tells the same.
    daemon.kill();
    daemon.start();
    daemon.phase("cut_over", PATIENCE).await;
    unchanged("DELETE FROM things WHERE id = 5").await;
    assert!(daemon.terminate(Duration::from_secs(10)).success());
    server.stop(false);
    daemon.start();
    daemon.phase("cut_over", PATIENCE).await;
    let status = daemon.status().await.expect("a status");
    assert_eq!(
        status["position"]["gtids"],
        made["report"]["report"]["position"]["gtids"]
    );
    server.start_again(&[]);
    unchanged("INSERT INTO things VALUES (1000, 'late')").await;
    let (status, error) = ask(&mut daemon, &["cutover"]);
    assert_eq!(
        (status, error["error"]["kind"].as_str()),
        (1, Some("cut_over"))
    );
    let (status, error) = ask(&mut daemon, &["verify", "--repair"]);
    assert_eq!(
        (status, error["error"]["kind"].as_str()),
        (1, Some("cut_over")),
        "{error:#}"
    );
    // Other ways to write.
    daemon.terminate(Duration::from_secs(10));
    for arguments in [&["run", "--until-caught-up"][..], &["run", "--resnapshot"]] {
        let (status, error) = ask(&mut daemon, arguments);
        assert_eq!(status, 1, "{error:#}");
        assert_eq!(error["error"]["kind"], "cut_over", "{error:#}");
    }
    assert_eq!(target.scan_all().await, before);

    daemon.start();
    daemon.phase("cut_over", PATIENCE).await;
    let (status, answer) = ask(&mut daemon, &["cutover", "--reopen"]);
    assert_eq!(
        (status, &answer["reopened"]),
        (0, &true.into()),
        "{answer:#}"
    );
    daemon.phase("ready", PATIENCE).await;
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target, &["things"]).await;
    database.run(&["DELETE FROM things WHERE id < 50"]).await;
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target, &["things"]).await;
    // What was proved before it counts no more.
    let (status, answer) = ask(&mut daemon, &["cutover"]);
    assert_eq!(status, 3, "{answer:#}");
    let log = std::fs::read_to_string(daemon.state().join("audit.log")).expect("the audit log");
    assert!(log.contains("cutover: reopened") && log.contains("cutover: cut over"));
}

/// The flow of this very process is given up and started again; and where no daemon runs, the next one finds it.
#[tokio::test(flavor = "multi_thread")]
async fn reopened_at_once_or_without_a_daemon_it_goes_on_and_can_be_cut_over_again() {
    let server = Server::start(&mysql::FAST);
    let database = things(&server).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target.endpoint(), &contract(&["things"], "S"));
    daemon.start();
    daemon.phase("ready", PATIENCE).await;
    for round in 0..2 {
        prove(&mut daemon).await;
        cut_over(&mut daemon, &[]);
        if round == 1 {
            daemon.terminate(Duration::from_secs(10));
        }
        // Written while it stands: a batch of it may wait before the sealed sink.
        database
            .run(&["UPDATE things SET v = 'between' WHERE id < 60"])
            .await;
        let (status, answer) = ask(&mut daemon, &["cutover", "--reopen"]);
        assert_eq!(status, 0, "{answer:#}");
        if round == 1 {
            daemon.start();
        }
        daemon.phase("ready", PATIENCE).await;
        daemon.caught_up(PATIENCE).await;
        equal(&database, &target, &["things"]).await;
    }
    let (status, error) = ask(&mut daemon, &["cutover", "--reopen"]);
    assert_eq!(status, 2, "{error:#}");
}
