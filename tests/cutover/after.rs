//! After a cutover DynamoDB is the application's: nothing of ours touches it until somebody takes the cutover back.

use std::time::Duration;

use serde_json::json;

use super::{PATIENCE, Scene, ask, cut_over, prove};
use crate::rules::equal;
use crate::support::daemon::Daemon;
use crate::support::mysql::{self, Server};

#[tokio::test(flavor = "multi_thread")]
async fn writes_and_restarts_leave_dynamodb_untouched_until_it_is_reopened() {
    let server = Server::start(&mysql::FAST);
    let Scene {
        database,
        target,
        mut daemon,
    } = Scene::proved(&server).await;
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
    let Scene {
        database,
        target,
        mut daemon,
    } = Scene::ready(&server).await;
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

/// Where nobody can read any more that a cutover was made, what lies beside it counts: nothing starts over over the application's items.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_not_started_over_where_a_cutover_was_made() {
    let server = Server::start(&mysql::FAST);
    let Scene {
        database,
        target,
        mut daemon,
    } = Scene::proved(&server).await;
    cut_over(&mut daemon, &[]);
    let again = ["run", "--resnapshot", "--until-caught-up"];
    let refused = |daemon: &mut Daemon, kind: &str| {
        let (status, error) = ask(daemon, &again);
        assert_eq!(
            (status, error["error"]["kind"].as_str()),
            (1, Some(kind)),
            "{error:#}"
        );
        error["error"].to_string()
    };
    // What another process holds can be read very well.
    let error = refused(&mut daemon, "store");
    assert!(error.contains("holds the state directory"), "{error}");
    daemon.terminate(Duration::from_secs(10));
    let state = daemon.state();
    std::fs::write(state.join("sled/db"), vec![0xa5; 1 << 20]).expect("damaged");
    std::fs::write(state.join("checkpoint.json"), "{").expect("damaged");
    database
        .run(&["UPDATE things SET v = 'late' WHERE id < 100"])
        .await;
    let item = json!({"id": {"N": "1"}, "v": {"S": "the application's"}});
    target.put("things", item).await.expect("an item");
    let before = target.scan_all().await;
    let error = refused(&mut daemon, "cut_over");
    assert!(
        error.contains("audit.log") && error.contains("backup"),
        "{error}"
    );
    let aside = daemon.path().join("aside");
    std::fs::create_dir(&aside).expect("a directory");
    let move_away = |begins: &str| {
        for file in std::fs::read_dir(&state).expect("its files") {
            let name = file.expect("a file").file_name();
            if name.to_string_lossy().starts_with(begins) {
                std::fs::rename(state.join(&name), aside.join(&name)).expect("moved");
            }
        }
    };
    move_away("audit.log");
    let error = refused(&mut daemon, "cut_over");
    assert!(error.contains("cutover-20"), "{error}");
    assert_eq!(target.scan_all().await, before);
    // Whoever knows that the application has not moved takes the traces away, as the remedy says.
    move_away("cutover-");
    let (status, done) = tokio::task::block_in_place(|| {
        let output = daemon.command(&again);
        (output.status.code(), output)
    });
    assert_eq!(status, Some(0), "{done:?}");
    equal(&database, &target, &["things"]).await;
}

/// The tables are the application's: what is missing there may be what it has removed.
#[tokio::test(flavor = "multi_thread")]
async fn no_table_is_made_after_a_cutover() {
    let server = Server::start(&mysql::FAST);
    let Scene {
        database: _database,
        target,
        mut daemon,
    } = Scene::proved(&server).await;
    cut_over(&mut daemon, &[]);
    for runs in [true, false] {
        if !runs {
            daemon.terminate(Duration::from_secs(10));
        }
        let output = tokio::task::block_in_place(|| daemon.command(&["provision", "--yes"]));
        assert!(output.status.success(), "nothing is missing: {output:?}");
    }
    let request = json!({"TableName": "things"});
    target.call("DeleteTable", &request).await.expect("deleted");
    let (status, error) = ask(&mut daemon, &["provision", "--yes"]);
    assert_eq!(
        (status, error["error"]["kind"].as_str()),
        (1, Some("cut_over")),
        "{error:#}"
    );
    // To look is no harm.
    let output = tokio::task::block_in_place(|| daemon.command(&["provision"]));
    assert!(output.status.success(), "{output:?}");
    assert!(target.call("DescribeTable", &request).await.is_err());
}
