//! A pause holds the stream without losing its place: restarts, kills, transactions in the middle.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{Database, Server};
use crate::support::oracle::Oracle;
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(60);

fn contract() -> String {
    let column = |name: &str| json!({"name": name, "type": "N", "source_column": name});
    json!({"tables": [{
        "table": "Things", "type": "single-entity", "source_table": "things", "pk": "id", "sk": null,
        "attributes": [column("id"), column("v")],
    }]})
    .to_string()
}

async fn equal(database: &Database<'_>, target: &Target) {
    let mut expected = Oracle::new();
    let sql = "SELECT id `id:N`, v `v:N` FROM things";
    let mut conn = database.conn().await;
    expected.add(&mut conn, "Things", &["id"], sql).await;
    items::compare(expected.tables(), &target.scan_all().await);
}

async fn dumps(database: &Database<'_>) -> u64 {
    let count: Option<u64> = database
        .conn()
        .await
        .query_first(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'",
        )
        .await
        .expect("the processes");
    count.expect("a number")
}

fn paused(status: &Value) -> bool {
    status["phase"] == "paused" && status["paused"]["since_unix_ms"].is_u64()
}

#[tokio::test]
async fn a_paused_stream_writes_nothing_until_it_is_resumed_restarts_included() {
    // Its own: nobody else's dump threads.
    let server = Server::start(&[]);
    let database = Database::create(&server).await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v INT)",
            "INSERT INTO things VALUES (1, 10), (2, 20)",
        ])
        .await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract());
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    let output = daemon.command(&["pause"]);
    assert!(output.status.success(), "{output:?}");
    let status = daemon.reach("the pause", PATIENCE, paused).await;
    let by = status["paused"]["by"].as_str().expect("who");
    assert!(by.contains("uid") && by.contains("process"), "{by}");
    assert!(daemon.get("/readyz").await.text().contains("paused"));
    let before = target.scan_all().await;
    database
        .run(&[
            "UPDATE things SET v = 11 WHERE id = 1",
            "DELETE FROM things WHERE id = 2",
            "INSERT INTO things VALUES (3, 30)",
        ])
        .await;
    // The lag is told, and grows.
    daemon
        .reach("two seconds of lag", PATIENCE, |status| {
            status["lag_seconds"]["apply"]
                .as_f64()
                .is_some_and(|lag| lag > 2.0)
                && paused(status)
                && status["caught_up"] == false
                && status["trouble"] == json!([])
        })
        .await;
    assert_eq!(dumps(&database).await, 0, "MySQL waits for nobody");
    assert_eq!(target.scan_all().await, before);
    // A second one changes nothing; a restart is paused, too, after an end in order and after a kill.
    let output = daemon.command(&["pause"]);
    assert!(output.status.success(), "{output:?}");
    for kill in [false, true] {
        match kill {
            true => daemon.kill(),
            false => assert!(daemon.terminate(Duration::from_secs(15)).success()),
        }
        daemon.start();
        let again = daemon.reach("the pause", PATIENCE, paused).await;
        assert_eq!(again["paused"], status["paused"]);
        tokio::time::sleep(Duration::from_millis(1200)).await;
        // How long the pause may last is known, though the stream has told nothing yet.
        let headroom = daemon
            .metric("penstock_source_binlog_retention_headroom_seconds")
            .await;
        let lag = daemon.metric("penstock_lag_seconds{stage=\"apply\"}").await;
        assert!(
            lag > 2.0 && headroom + lag > 3600.0 && headroom.is_finite(),
            "{headroom}, {lag}"
        );
        assert_eq!(target.scan_all().await, before);
    }
    assert!(!daemon.log().contains("broke"), "{}", daemon.log());
    let output = daemon.command(&["resume"]);
    assert!(output.status.success(), "{output:?}");
    daemon.caught_up(PATIENCE).await;
    daemon.phase("ready", PATIENCE).await;
    equal(&database, &target).await;
    let output = daemon.command(&["resume", "--format", "json"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["resumed"], false);
}

/// Pauses at any moment of a write load, the copy included: nothing is lost, nothing comes twice in another order.
#[tokio::test]
async fn pauses_under_load_lose_nothing() {
    let database = Database::create(Server::shared()).await;
    database
        .run(&[
            "SET cte_max_recursion_depth = 100000",
            "CREATE TABLE things (id INT PRIMARY KEY, v INT)",
            "INSERT INTO things WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i, 0 FROM n",
        ])
        .await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract());
    daemon.set("snapshot", "chunk_rows", "500");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.reach("an answer", PATIENCE, |_| true).await;
    let opts = database.opts();
    let load = tokio::spawn(async move {
        let mut conn = mysql_async::Conn::new(opts).await.expect("a connection");
        for round in 0..60 {
            let from = fastrand::u32(0..20_000);
            conn.query_drop(format!(
                "UPDATE things SET v = v + 1 WHERE id BETWEEN {from} AND {}",
                from + 400
            ))
            .await
            .expect("an update");
            conn.query_drop(format!(
                "REPLACE INTO things VALUES ({}, {round})",
                30_000 + round
            ))
            .await
            .expect("an insert");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(50..700))).await;
        let output = daemon.command(&["pause"]);
        assert!(output.status.success(), "{output:?}");
        let before = target.scan_all().await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert!(
            target.scan_all().await == before,
            "something was written in a pause"
        );
        let output = daemon.command(&["resume"]);
        assert!(output.status.success(), "{output:?}");
    }
    load.await.expect("the load");
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target).await;
}
