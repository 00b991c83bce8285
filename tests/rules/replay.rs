//! What comes a second time: after a restart from an older checkpoint, after a break within a transaction; and what an
//! idle source does to the position.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mysql_async::prelude::Queryable;

use super::{PATIENCE, contract, equal, equal_stub, ready};
use crate::support::mysql::{self, Database, Server};
use crate::support::stub::{Faults, Stub};
use crate::support::target::Target;

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "cp {}",
        from.display()
    );
}

/// The items are those of now, the checkpoint is older: all in between is applied over its own result.
#[tokio::test]
async fn transactions_are_replayed_over_what_is_durable() {
    let database = Server::shared().database().await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO things VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
        ])
        .await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target.endpoint(), &contract(&["things"], "S"));
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    daemon.terminate(Duration::from_secs(10));
    let old = daemon.path().join("old-state");
    copy(&daemon.state(), &old);
    daemon.start();
    database
        .run(&[
            // A key that wanders, two that swap, one that goes and comes back, one that goes for good.
            "UPDATE things SET id = 11 WHERE id = 1",
            "UPDATE things SET id = 12 WHERE id = 11",
            "BEGIN",
            "UPDATE things SET id = -1 WHERE id = 2",
            "UPDATE things SET id = 2 WHERE id = 3",
            "UPDATE things SET id = 3 WHERE id = -1",
            "COMMIT",
            "DELETE FROM things WHERE id = 4",
            "INSERT INTO things VALUES (4, 'again'), (5, 'e'), (1, 'new')",
            "DELETE FROM things WHERE id = 5",
        ])
        .await;
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target, &["things"]).await;
    daemon.kill();
    database
        .run(&["UPDATE things SET v = 'later' WHERE id = 12"])
        .await;
    copy(&old, &daemon.state());
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    assert!(
        daemon.metric("penstock_source_rows_total").await >= 11.0,
        "it was replayed"
    );
    equal(&database, &target, &["things"]).await;
}

/// The connection breaks within a transaction of which a part is written: it comes again, whole.
#[tokio::test]
async fn a_large_transaction_whose_connection_breaks_comes_again() {
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(2000))",
            "INSERT INTO things VALUES (-1, 'x')",
        ])
        .await;
    let stub = Stub::start(Faults {
        latency: Duration::from_millis(100),
        ..Faults::default()
    });
    let mut daemon = ready(&database, &stub.url(), &contract(&["things"], "S"));
    daemon.set("pipeline", "memory_mb", "16").start();
    daemon.caught_up(PATIENCE).await;
    database
        .run(&[
            "SET cte_max_recursion_depth = 100000",
            "INSERT INTO things WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
             SELECT i, CONCAT(i, REPEAT('v', 1200)) FROM n",
        ])
        .await;
    let before = daemon.status().await.expect("a status")["position"].clone();
    for items in [1000, 5000] {
        crate::support::eventually("a part is written", PATIENCE, async || {
            (stub.items("things").len() > items).then_some(())
        })
        .await;
        let mut conn = server.conn(None).await;
        let sql = "SELECT id FROM performance_schema.processlist WHERE command LIKE 'Binlog Dump%'";
        let dump = crate::support::eventually("a dump", PATIENCE, async || {
            conn.query_first::<u64, _>(sql).await.expect("the dumps")
        })
        .await;
        conn.query_drop(format!("KILL {dump}"))
            .await
            .expect("a kill");
    }
    assert!(
        stub.items("things").len() < 30_000,
        "it broke in the middle"
    );
    assert_eq!(
        daemon.status().await.expect("a status")["position"]["gtids"],
        before["gtids"]
    );
    database
        .run(&["DELETE FROM things WHERE id % 3 = 0 AND id < 3000"])
        .await;
    daemon.caught_up(PATIENCE).await;
    assert!(daemon.metric("penstock_source_reconnects_total").await >= 1.0);
    equal_stub(&database, &stub, &["things"]).await;
}

/// No table of the contract changes, and yet the position follows: binlogs of before may be purged.
#[tokio::test]
async fn the_position_follows_an_idle_source() {
    let server = Server::start(&[]);
    let database = Database::create(&server).await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))",
            "CREATE TABLE others (id INT PRIMARY KEY AUTO_INCREMENT)",
            "INSERT INTO things VALUES (1, 'one')",
        ])
        .await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target.endpoint(), &contract(&["things"], "S"));
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    let mut conn = database.conn().await;
    for _ in 0..3 {
        conn.query_drop("INSERT INTO others VALUES ()")
            .await
            .expect("a row");
    }
    conn.query_drop("FLUSH BINARY LOGS")
        .await
        .expect("a new file");
    let files: Vec<(String, u64, String)> =
        conn.query("SHOW BINARY LOGS").await.expect("the files");
    let newest = files.last().expect("a file").0.clone();
    let executed: Option<String> = conn
        .query_first("SELECT @@gtid_executed")
        .await
        .expect("a set");
    let executed = executed.expect("a set").replace('\n', "");
    daemon
        .reach("the position follows", PATIENCE, |s| {
            s["position"]["gtids"] == executed.as_str() && s["position"]["file"] == newest.as_str()
        })
        .await;
    // A checkpoint is committed several times a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    daemon.kill();
    conn.query_drop(format!("PURGE BINARY LOGS TO '{newest}'"))
        .await
        .expect("a purge");
    database
        .run(&["INSERT INTO things VALUES (2, 'two')"])
        .await;
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target, &["things"]).await;
}
