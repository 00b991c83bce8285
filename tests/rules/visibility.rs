//! The stream can run ahead of what a SELECT sees.

use std::time::Duration;

use mysql_async::prelude::Queryable;

use super::{PATIENCE, contract, equal_stub, ready};
use crate::support::mysql::{self, Database, Server};
use crate::support::stub::{Faults, Stub};

/// A DELETE is streamed while the first table is copied, and is not visible when the second one's chunk is read: the chunk
/// must not bring the row back.
#[tokio::test]
async fn a_row_whose_deletion_was_streamed_before_it_was_visible_does_not_come_back() {
    let mut options = mysql::SEMI_SYNC.to_vec();
    options.extend([
        "--rpl-semi-sync-source-enabled=OFF",
        "--rpl-semi-sync-source-wait-no-replica=ON",
    ]);
    let server = Server::start(&options);
    let database = Database::create(&server).await;
    database
        .run(&[
            "CREATE TABLE first (id INT PRIMARY KEY, v VARCHAR(20))",
            "CREATE TABLE ghosts (id INT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO first WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, 'x' FROM n",
            "INSERT INTO ghosts VALUES (1, 'ghost'), (2, 'stays')",
        ])
        .await;
    let stub = Stub::start(Faults {
        latency: Duration::from_millis(150),
        ..Faults::default()
    });
    let mut daemon = ready(&database, &stub.url(), &contract(&["first", "ghosts"], "S"));
    daemon
        .set("snapshot", "chunk_rows", "100")
        .set("snapshot", "workers", "1");
    // From now on a commit waits so long for a replica that never answers, and is streamed before.
    database
        .run(&[
            "SET GLOBAL rpl_semi_sync_source_timeout = 120000",
            "SET GLOBAL rpl_semi_sync_source_enabled = ON",
        ])
        .await;
    daemon.start();
    daemon
        .reach("the copy of the first table has begun", PATIENCE, |s| {
            s["snapshot"][0]["rows"].as_u64().unwrap_or(0) > 0
        })
        .await;
    let mut deleting = database.conn().await;
    let delete = tokio::spawn(async move {
        deleting
            .query_drop("DELETE FROM ghosts WHERE id = 1")
            .await
            .expect("a delete");
    });
    // Time enough to read the rest of the first table and the second one, if nothing keeps the worker from it.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let sql = "SELECT COUNT(*) FROM ghosts WHERE id = 1";
    let seen: Option<u64> = database
        .conn()
        .await
        .query_first(sql)
        .await
        .expect("a count");
    assert_eq!(
        seen,
        Some(1),
        "the deletion became visible too early to show anything"
    );
    database
        .run(&["SET GLOBAL rpl_semi_sync_source_enabled = OFF"])
        .await;
    delete.await.expect("the delete");
    daemon.caught_up(PATIENCE).await;
    equal_stub(&database, &stub, &["first", "ghosts"]).await;
}
