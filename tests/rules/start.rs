//! What must hold where a snapshot starts, and where a stream goes on.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::{Value, json};

use super::{PATIENCE, contract, equal, equal_stub, ready, refused};
use crate::support::daemon::Daemon;
use crate::support::eventually;
use crate::support::mysql::{self, Database, Server};
use crate::support::stub::{Faults, Stub};
use crate::support::target::Target;

/// Two columns of one type change places while the daemon is away, and rows of before are yet to be read: by their
/// ordinals they would be read into each other's place.
#[tokio::test]
async fn tables_that_changed_behind_the_position_are_refused() {
    for metadata in [&mysql::MINIMAL_METADATA[..], &[]] {
        let server = Server::start(metadata);
        let database = Database::create(&server).await;
        database
            .run(&[
                "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20), w VARCHAR(20))",
                "INSERT INTO things VALUES (1, 'v1', 'w1')",
            ])
            .await;
        let target = Target::dynoxide();
        let mut daemon = ready(&database, &target.endpoint(), &contract(&["things"], "S"));
        daemon.start();
        daemon.caught_up(PATIENCE).await;
        database
            .run(&["INSERT INTO things VALUES (2, 'v2', 'w2')"])
            .await;
        daemon.caught_up(PATIENCE).await;
        equal(&database, &target, &["things"]).await;
        daemon.terminate(Duration::from_secs(10));
        let before = target.scan_all().await;
        database
            .run(&[
                "INSERT INTO things VALUES (3, 'v3', 'w3')",
                "ALTER TABLE things MODIFY COLUMN w VARCHAR(20) AFTER id",
            ])
            .await;
        refused(
            &mut daemon,
            &["things", "not those of the checkpoint", "--resnapshot"],
        );
        assert_eq!(target.scan_all().await, before);
        daemon.run_arguments(&["--resnapshot"]).start();
        daemon.caught_up(PATIENCE).await;
        equal(&database, &target, &["things"]).await;
    }
}

#[tokio::test]
async fn a_snapshot_does_not_start_while_an_xa_transaction_is_prepared() {
    let server = Server::start(&[]);
    let database = Database::create(&server).await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))",
            "CREATE TABLE others (id INT PRIMARY KEY)",
            "INSERT INTO things VALUES (1, 'one')",
            "XA START 'x'",
            "INSERT INTO things VALUES (2, 'two')",
            "XA END 'x'",
            "XA PREPARE 'x'",
        ])
        .await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target.endpoint(), &contract(&["things"], "S"));
    refused(&mut daemon, &["XA", "XA RECOVER"]);
    assert!(target.scan_all().await["things"].is_empty());
    database.run(&["XA COMMIT 'x'"]).await;
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target, &["things"]).await;
    // It does not keep a daemon from going on: nothing is copied then.
    daemon.terminate(Duration::from_secs(10));
    database
        .run(&[
            "XA START 'y'",
            "INSERT INTO others VALUES (1)",
            "XA END 'y'",
            "XA PREPARE 'y'",
        ])
        .await;
    daemon.start();
    database
        .run(&["INSERT INTO things VALUES (3, 'three')", "XA ROLLBACK 'y'"])
        .await;
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target, &["things"]).await;
}

/// An XA transaction of other tables is prepared, the daemon is restarted, and then it ends: nothing to stop for, also
/// where the restart is a kill right after either end.
#[tokio::test]
async fn the_end_of_another_tables_xa_transaction_is_known_after_a_restart() {
    let server = Server::start(&[]);
    let (database, target, mut daemon) = beside_another_table(&server).await;
    for (round, end) in ["XA COMMIT 'x'", "XA ROLLBACK 'x'"].iter().enumerate() {
        let other = format!("INSERT INTO others VALUES ({round})");
        let thing = format!("INSERT INTO things VALUES ({round}, 'v')");
        database
            .run(&["XA START 'x'", &other, "XA END 'x'", "XA PREPARE 'x'"])
            .await;
        daemon.caught_up(PATIENCE).await;
        daemon.terminate(Duration::from_secs(10));
        daemon.start();
        daemon.caught_up(PATIENCE).await;
        daemon.kill();
        database.run(&[end, &thing]).await;
        daemon.start();
        daemon.caught_up(PATIENCE).await;
        equal(&database, &target, &["things"]).await;
        daemon.kill();
        daemon.start();
        daemon.caught_up(PATIENCE).await;
    }
}

/// XA COMMIT … ONE PHASE of other tables leaves nothing behind: no later event ends it, and a list full of such would have
/// no place for those that are prepared.
#[tokio::test]
async fn an_xa_commit_in_one_phase_leaves_nothing_in_the_checkpoint() {
    let server = Server::start(&[]);
    let (database, target, mut daemon) = beside_another_table(&server).await;
    for id in 1..=3 {
        let (start, end) = (format!("XA START 'p{id}'"), format!("XA END 'p{id}'"));
        let (other, commit) = (
            format!("INSERT INTO others VALUES ({id})"),
            format!("XA COMMIT 'p{id}' ONE PHASE"),
        );
        database.run(&[&start, &other, &end, &commit]).await;
    }
    database
        .run(&[
            "XA START 'x'",
            "INSERT INTO others VALUES (4)",
            "XA END 'x'",
            "XA PREPARE 'x'",
        ])
        .await;
    daemon.caught_up(PATIENCE).await;
    daemon.terminate(Duration::from_secs(10));
    assert_eq!(harmless_xids(&daemon), json!(["X'78',X'',1"]));
    daemon.start();
    database
        .run(&["XA COMMIT 'x'", "INSERT INTO things VALUES (1, 'v')"])
        .await;
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target, &["things"]).await;
    daemon.terminate(Duration::from_secs(10));
    let left = harmless_xids(&daemon);
    assert!(left.is_null() || left == json!([]), "{left}");
}

/// A daemon that has caught up with `things`; the database has a table that the contract does not name.
async fn beside_another_table(server: &Server) -> (Database<'_>, Target, Daemon) {
    let database = Database::create(server).await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))",
            "CREATE TABLE others (id INT PRIMARY KEY)",
        ])
        .await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target.endpoint(), &contract(&["things"], "S"));
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    (database, target, daemon)
}

/// The checkpoint's list of XA transactions that may still end.
fn harmless_xids(daemon: &Daemon) -> Value {
    let text = std::fs::read(daemon.state().join("checkpoint.json")).expect("the mirror");
    let checkpoint: Value = serde_json::from_slice(&text).expect("a checkpoint");
    checkpoint["content"]["checkpoint"]["other"]["harmless_xids"].clone()
}

/// Killed after the first chunk was written and before anything was acknowledged: the next start must not begin at a
/// later position, or what is deleted in between keeps its items.
#[tokio::test]
async fn a_kill_before_the_first_acknowledgement_leaves_no_item_behind() {
    let server = Server::start(&[]);
    let database = Database::create(&server).await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO things WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i, 'x' FROM n",
        ])
        .await;
    let stub = Stub::start(Faults::default());
    let mut daemon = ready(&database, &stub.url(), &contract(&["things"], "S"));
    daemon.set("snapshot", "chunk_rows", "100");
    stub.set_faults(Faults {
        mute: true,
        ..Faults::default()
    });
    daemon.start();
    eventually("an item is written", PATIENCE, async || {
        (!stub.items("things").is_empty()).then_some(())
    })
    .await;
    daemon.kill();
    let written = stub.items("things").len();
    database.run(&["DELETE FROM things"]).await;
    database
        .run(&["INSERT INTO things VALUES (1000, 'new')"])
        .await;
    stub.set_faults(Faults::default());
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    println!("{written} items were written before the kill");
    equal_stub(&database, &stub, &["things"]).await;
}

/// Who may not see prepared transactions starts without their rows, and stops where one of them ends.
#[tokio::test]
async fn without_the_right_to_see_them_the_end_of_a_prepared_transaction_stops_the_stream() {
    let server = Server::start(&[]);
    let database = Database::create(&server).await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))",
            "CREATE USER reader",
            "GRANT SELECT, RELOAD, REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO reader",
            "XA START 'x'",
            "INSERT INTO things VALUES (2, 'two')",
            "XA END 'x'",
            "XA PREPARE 'x'",
        ])
        .await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target.endpoint(), &contract(&["things"], "S"));
    daemon.set("source", "user", "\"reader\"");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    assert!(
        daemon.log().contains("XA_RECOVER_ADMIN"),
        "a warning names the grant"
    );
    let mut conn = database.conn().await;
    conn.query_drop("XA COMMIT 'x'").await.expect("a commit");
    let status = daemon
        .reach("a stop", PATIENCE, |s| !s["stopped"].is_null())
        .await;
    assert_eq!(status["stopped"]["kind"], "unsupported", "{status}");
}
