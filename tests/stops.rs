//! What penstock does not replicate stops it, with the reason and the cure, and the position stays where it was.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use penstock::position::GtidSet;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{Database, Server};
use crate::support::oracle::Oracle;
use crate::support::stub::{Faults, Stub};
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(30);
const HEADROOM: &str = "penstock_source_binlog_retention_headroom_seconds";

fn contract() -> String {
    json!({"tables": [{
        "table": "Things", "type": "single-entity", "source_table": "things", "pk": "id", "sk": null,
        "attributes": [
            {"name": "id", "type": "N", "source_table": "things", "source_column": "id"},
            {"name": "v", "type": "S", "source_table": "things", "source_column": "v"},
        ],
    }]})
    .to_string()
}

/// A database with a table of two rows, its target, and a daemon that has caught up.
async fn running<'a>(server: &'a Server) -> (Database<'a>, Target, Daemon) {
    let database = Database::create(server).await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))",
            "CREATE TABLE others (id INT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO things VALUES (1, 'one'), (2, 'two')",
        ])
        .await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract());
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    (database, target, daemon)
}

/// The items are the rows of now.
async fn equal(database: &Database<'_>, target: &Target) {
    let mut expected = Oracle::new();
    expected
        .add(
            &mut database.conn().await,
            "Things",
            &["id"],
            "SELECT id `id:N`, v `v:S` FROM things",
        )
        .await;
    items::compare(expected.tables(), &target.scan_all().await);
}

async fn stopped(daemon: &mut Daemon) -> Value {
    let status = daemon
        .reach("the daemon stops", PATIENCE, |s| !s["stopped"].is_null())
        .await;
    assert_eq!(daemon.get("/readyz").await.status, 503);
    assert_eq!(daemon.get("/healthz").await.status, 200);
    status
}

/// The statement stops the stream; what was written before it is there; nothing after it is; a restart stops again.
async fn stops_at(statement: &str, kind: &str) {
    let (database, target, mut daemon) = running(Server::shared()).await;
    database
        .run(&["INSERT INTO things VALUES (3, 'three')"])
        .await;
    daemon.caught_up(PATIENCE).await;
    let before = target.scan_all().await;
    database.run(&[statement]).await;
    let status = stopped(&mut daemon).await;
    assert_eq!(status["stopped"]["kind"], kind, "{statement}: {status}");
    assert_eq!(status["phase"], "stopped", "{statement}");
    if kind == "table_changed" {
        let reason = status["stopped"]["reason"].as_str().expect("a reason");
        assert!(reason.contains("may change it"), "{statement}: {reason}");
        headroom_shrinks(&mut daemon).await;
    }
    assert_position_before(&status);
    let remedy = status["stopped"]["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("penstock"), "{statement}: {remedy}");
    assert_eq!(before, target.scan_all().await, "{statement}");
    daemon.terminate(Duration::from_secs(10));
    daemon.start();
    if table_is_there(&database).await {
        let again = stopped(&mut daemon).await;
        assert_eq!(
            again["stopped"]["kind"], kind,
            "{statement}, after a restart"
        );
        // For a column that was added the columns are no longer those of the checkpoint: that is seen before anything is
        // read, and the daemon is up all the same.
        let remedy = again["stopped"]["remedy"].as_str().expect("a remedy");
        assert!(remedy.contains("penstock"), "{statement}: {remedy}");
    } else {
        let status = daemon.ended(PATIENCE);
        assert_eq!(
            status.code(),
            Some(2),
            "{statement}: the contract has no table"
        );
    }
    assert_eq!(before, target.scan_all().await, "{statement}");
}

/// The position does not hold the transaction at which the stream stopped. (Other tests move it: they share the server.)
fn assert_position_before(status: &Value) {
    let reason = status["stopped"]["reason"].as_str().expect("a reason");
    let (_, gtid) = reason.rsplit_once("transaction ").expect("a transaction");
    let gtid: GtidSet = gtid.trim_end_matches(')').parse().expect("a GTID");
    let position = status["position"]["gtids"].as_str().expect("a position");
    let position: GtidSet = position.parse().expect("a GTID set");
    assert!(
        !gtid.is_subset(&position),
        "{reason}: the position is past it"
    );
}

/// Nothing is read, and the source's binlogs grow old: that is told.
async fn headroom_shrinks(daemon: &mut Daemon) {
    let mut before = f64::INFINITY;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let now = daemon.metric(HEADROOM).await;
        assert!(now > 0.0 && now < before, "{now} after {before}");
        before = now;
    }
}

async fn table_is_there(database: &Database<'_>) -> bool {
    let mut conn = database.conn().await;
    let found: Option<String> = conn
        .query_first("SHOW TABLES LIKE 'things'")
        .await
        .expect("the tables");
    found.is_some()
}

#[tokio::test]
async fn ddl_on_a_table_of_the_contract_stops_the_stream() {
    for statement in [
        "ALTER TABLE things ADD COLUMN w INT DEFAULT 7",
        "TRUNCATE TABLE things",
        "RENAME TABLE things TO other_things",
        "DROP TABLE things",
        "CREATE INDEX by_v ON things (v)",
        // A name that only looks like the table's.
        "ALTER TABLE others RENAME COLUMN v TO things",
    ] {
        stops_at(statement, "table_changed").await;
    }
}

#[tokio::test]
async fn partition_operations_stop_the_stream() {
    stops_at(
        "ALTER TABLE things PARTITION BY HASH (id) PARTITIONS 2",
        "table_changed",
    )
    .await;
}

#[tokio::test]
async fn an_xa_transaction_on_a_table_of_the_contract_stops_the_stream() {
    for ends in [
        &["XA PREPARE 'x1'", "XA COMMIT 'x1'"][..],
        &["XA COMMIT 'x1' ONE PHASE"],
    ] {
        let (database, target, mut daemon) = running(Server::shared()).await;
        let before = target.scan_all().await;
        let changes = [
            "XA START 'x1'",
            "INSERT INTO things VALUES (9, 'xa')",
            "XA END 'x1'",
        ];
        database.run(&[&changes[..], ends].concat()).await;
        let status = stopped(&mut daemon).await;
        assert_eq!(status["stopped"]["kind"], "unsupported", "{status}");
        assert_eq!(before, target.scan_all().await);
    }
}

/// Another table's statements, and transactions that touch nothing of ours, pass and move the position.
#[tokio::test]
async fn what_concerns_other_tables_passes() {
    let (database, target, mut daemon) = running(Server::shared()).await;
    database
        .run(&[
            "ALTER TABLE others ADD COLUMN w INT",
            "INSERT INTO others VALUES (1, 'things', 1)",
            "TRUNCATE TABLE others",
            "XA START 'other'",
            "INSERT INTO others VALUES (2, 'xa', 1)",
            "XA END 'other'",
            "XA PREPARE 'other'",
            "XA COMMIT 'other'",
            "DROP TABLE others",
            "FLUSH BINARY LOGS",
            "INSERT INTO things VALUES (4, 'four')",
        ])
        .await;
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target).await;
}

#[tokio::test]
async fn a_partial_row_image_stops_the_stream() {
    for image in ["MINIMAL", "NOBLOB"] {
        let database = Database::create(Server::shared()).await;
        database
            .run(&[
                "CREATE TABLE things (id INT PRIMARY KEY, v TEXT, n INT)",
                "INSERT INTO things VALUES (1, 'one', 1)",
            ])
            .await;
        let target = Target::dynoxide();
        let mut daemon = Daemon::new(&database, &target, &contract());
        assert!(daemon.command(&["provision", "--yes"]).status.success());
        daemon.start();
        daemon.caught_up(PATIENCE).await;
        let set = format!("SET SESSION binlog_row_image = '{image}'");
        database
            .run(&[set.as_str(), "UPDATE things SET n = 2 WHERE id = 1"])
            .await;
        let status = stopped(&mut daemon).await;
        let reason = status["stopped"]["reason"].as_str().expect("a reason");
        assert!(reason.contains("image"), "{reason}");
    }
}

#[tokio::test]
async fn purged_binlogs_are_terminal_and_a_resnapshot_cures_them() {
    let server = Server::start(&[]);
    let (database, target, mut daemon) = running(&server).await;
    daemon.terminate(Duration::from_secs(10));
    database
        .run(&[
            "DELETE FROM things WHERE id = 1",
            "INSERT INTO things VALUES (5, 'five')",
        ])
        .await;
    let mut conn = server.conn(None).await;
    conn.query_drop("FLUSH BINARY LOGS")
        .await
        .expect("a new file");
    purge(&server).await;
    daemon.start();
    let status = stopped(&mut daemon).await;
    assert_eq!(status["phase"], "resnapshot_required", "{status}");
    assert_eq!(status["stopped"]["kind"], "source_purged");
    let remedy = status["stopped"]["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("--resnapshot"), "{remedy}");
    // As for a service: the daemon that has stopped is still up, and its next start is like any other.
    let asked = daemon.command(&["resnapshot", "--all"]);
    assert!(asked.status.success(), "{asked:?}");
    daemon.terminate(Duration::from_secs(10));
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    // The item of the row that was deleted meanwhile stays: the next verification finds it.
    let items = target.scan_all().await;
    assert_eq!(items["Things"].len(), 3, "{items:?}");
    // Once.
    daemon.terminate(Duration::from_secs(10));
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    assert_eq!(daemon.metric("penstock_snapshot_rows_total").await, 0.0);
}

/// Files that the dump has been sent are purged while DynamoDB takes nothing: they are in our hands, and nothing is missing.
#[tokio::test]
async fn what_has_been_received_may_be_purged() {
    let server = Server::start(&[]);
    let database = Database::create(&server).await;
    database
        .run(&["CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))"])
        .await;
    let stub = Stub::start(Faults::default());
    let mut daemon = Daemon::between(server.port(), &database.name, &stub.url(), &contract());
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    stub.set_faults(Faults {
        throttle: 1.0,
        ..Faults::default()
    });
    database
        .run(&[
            "SET SESSION cte_max_recursion_depth = 100000",
            "INSERT INTO things WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i, 'v' FROM n",
        ])
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut conn = server.conn(None).await;
    for statement in ["FLUSH BINARY LOGS", "DO SLEEP(1)"] {
        conn.query_drop(statement).await.expect("a new file");
    }
    database
        .run(&["INSERT INTO things VALUES (30000, 'last')"])
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    purge(&server).await;
    let purged: Option<String> = conn
        .query_first("SELECT @@GLOBAL.gtid_purged")
        .await
        .expect("what is purged");
    assert!(purged.is_some_and(|purged| !purged.is_empty()));
    tokio::time::sleep(Duration::from_secs(16)).await;
    let status = daemon.status().await.expect("an answer");
    assert_eq!(status["stopped"], Value::Null, "{status}");
    stub.set_faults(Faults::default());
    daemon.caught_up(Duration::from_secs(120)).await;
    let mut expected = Oracle::new();
    let sql = "SELECT id `id:N`, v `v:S` FROM things";
    expected
        .add(&mut database.conn().await, "Things", &["id"], sql)
        .await;
    let keys = ["id".to_owned()];
    let stored = stub.items("Things");
    let stored = stored.values();
    let stored = stored.map(|item| items::canonical(item.as_object().expect("an item"), &keys));
    items::compare(
        expected.tables(),
        &[("Things".to_owned(), stored.collect())].into(),
    );
}

/// Transactions that the server has, and that are in no binlog of it: they never come.
#[tokio::test]
async fn a_gap_in_the_history_stops_the_stream() {
    let server = Server::start(&[]);
    let (_database, _target, mut daemon) = running(&server).await;
    let mut conn = server.conn(None).await;
    conn.query_drop("SET GLOBAL gtid_purged = '+3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5'")
        .await
        .expect("a gap");
    let status = stopped(&mut daemon).await;
    assert_eq!(status["stopped"]["kind"], "source_purged", "{status}");
}

/// Leaves the server its newest file.
async fn purge(server: &Server) {
    let mut conn = server.conn(None).await;
    let files: Vec<(String, u64, String)> =
        conn.query("SHOW BINARY LOGS").await.expect("the files");
    let last = &files.last().expect("a file").0;
    conn.query_drop(format!("PURGE BINARY LOGS TO '{last}'"))
        .await
        .expect("a purge");
}

#[tokio::test]
async fn another_servers_history_is_refused() {
    let (database, target, mut daemon) = running(Server::shared()).await;
    let before = target.scan_all().await;
    daemon.terminate(Duration::from_secs(10));
    let other = Server::start(&[]);
    let twin = Database::named(&other, &database.name).await;
    twin.run(&["CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))"])
        .await;
    daemon.set("source", "port", &other.port().to_string());
    daemon.start();
    let refused = daemon.reach("a refusal", PATIENCE, |s| !s["stopped"].is_null());
    let status = refused.await;
    assert_eq!(status["stopped"]["kind"], "lineage_differs", "{status}");
    assert_eq!(before, target.scan_all().await);
}

#[tokio::test]
async fn another_contract_is_refused() {
    let (_database, _target, mut daemon) = running(Server::shared()).await;
    daemon.terminate(Duration::from_secs(10));
    let other = contract().replace("\"name\":\"v\"", "\"name\":\"value\"");
    assert_ne!(other, contract());
    daemon.contract(&other);
    let output = daemon.command(&["run", "--until-caught-up"]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("--resnapshot"), "{text}");
}
