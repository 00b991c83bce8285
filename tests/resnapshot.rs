//! One table copied again while the rest goes on: what was wrong on the target or in the state is right afterwards.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use penstock::admin::Client;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{Database, Server};
use crate::support::oracle::select::of_plan;
use crate::support::plan;
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(240);

fn column(name: &str, ty: &str) -> Value {
    json!({"name": name, "type": ty, "source_column": name})
}

/// Things by themselves; orders with their user's name and their lines.
fn contract() -> String {
    let single = |table: &str, source: &str, attributes: Value| {
        json!({"table": table, "type": "single-entity",
        "source_table": source, "pk": "id", "sk": null, "attributes": attributes})
    };
    json!({"tables": [
        single("Things", "things", json!([column("id", "N"), column("v", "N")])),
        single("Orders", "orders", json!([
            column("id", "N"), column("note", "S"),
            {"name": "user", "type": "S", "join": {"type": "foreign-key", "target_table": "users",
                "join_condition": "users.id = orders.user_id", "select_column": "users.name"}},
            {"name": "amount", "type": "N", "calculation": {"type": "aggregate", "operation": "SUM", "target_table": "parts",
                "join_condition": "parts.order_id = orders.id", "select_column": "parts.amount"}},
        ])),
    ]})
    .to_string()
}

const TABLES: [&str; 4] = [
    "CREATE TABLE things (id INT PRIMARY KEY, v INT)",
    "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(40))",
    "CREATE TABLE orders (id INT PRIMARY KEY, user_id INT, note VARCHAR(40))",
    "CREATE TABLE parts (order_id INT, line INT, amount INT, PRIMARY KEY (order_id, line))",
];

async fn filled<'a>(server: &'a Server, rows: u32) -> Database<'a> {
    let database = Database::create(server).await;
    let numbers =
        format!("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {rows})");
    let mut statements = vec!["SET cte_max_recursion_depth = 1000000".to_owned()];
    statements.extend(TABLES.map(str::to_owned));
    statements.push(format!("INSERT INTO things {numbers} SELECT i, 0 FROM n"));
    statements.push(format!(
        "INSERT INTO users {numbers} SELECT i, CONCAT('user ', i) FROM n WHERE i <= 100"
    ));
    statements.push(format!(
        "INSERT INTO orders {numbers} SELECT i, 1 + i % 100, 'new' FROM n"
    ));
    statements.push(format!("INSERT INTO parts {numbers} SELECT i, 1, i FROM n"));
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    database.run(&statements).await;
    database
}

async fn started(database: &Database<'_>, target: &Target) -> Daemon {
    let mut daemon = Daemon::new(database, target, &contract());
    daemon.set("snapshot", "chunk_rows", "200");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    daemon
}

/// What the items must be, as MySQL computes it.
async fn expected(database: &Database<'_>) -> items::Tables {
    let plan = plan::compile(database, &contract()).await;
    of_plan(&mut database.conn().await, &plan).await.tables
}

fn again(daemon: &mut Daemon, table: &str) {
    let output = daemon.command(&["resnapshot", table]);
    assert!(output.status.success(), "{output:?}");
}

/// Statements behind the binlog: the copy does not know of them.
async fn unlogged(database: &Database<'_>, statements: &[&str]) {
    let mut all = vec!["SET sql_log_bin = 0"];
    all.extend(statements);
    database.run(&all).await;
}

/// A write load on all tables, until it is stopped.
fn load(
    database: &Database<'_>,
    rows: u32,
) -> (
    tokio::task::JoinHandle<u64>,
    tokio_util::sync::CancellationToken,
) {
    let opts = database.opts();
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let mut conn = mysql_async::Conn::new(opts).await.expect("a connection");
        let mut round = 0_u64;
        while !stopped.is_cancelled() {
            round += 1;
            let id = fastrand::u32(1..rows);
            let user = fastrand::u32(1..100);
            for statement in [
                format!("UPDATE things SET v = v + 1 WHERE id = {id}"),
                format!("REPLACE INTO things VALUES ({}, {round})", id + 1),
                format!("DELETE FROM things WHERE id = {}", id + 2),
                format!("UPDATE users SET name = CONCAT('renamed ', {round}) WHERE id = {user}"),
                format!("UPDATE orders SET user_id = {user} WHERE id = {id}"),
                format!("REPLACE INTO parts VALUES ({id}, 2, {round})"),
                format!("DELETE FROM parts WHERE order_id = {} AND line = 2", id + 3),
            ] {
                conn.query_drop(&statement).await.expect(&statement);
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        round
    });
    (task, stop)
}

#[tokio::test]
async fn a_table_copied_again_puts_its_items_right_under_load() {
    const ROWS: u32 = 4_000;
    let server = Server::start(&crate::support::mysql::FAST);
    let database = filled(&server, ROWS).await;
    let target = Target::dynoxide();
    let mut daemon = started(&database, &target).await;
    // Somebody else wrote to the target, and MySQL was changed behind the binlog.
    for id in ["10", "20", "30"] {
        let key = json!({"TableName": "Things", "Key": {"id": {"N": id}}});
        target.call("DeleteItem", &key).await.expect("a delete");
        let key = json!({"TableName": "Orders", "Key": {"id": {"N": id}}});
        target.call("DeleteItem", &key).await.expect("a delete");
    }
    target
        .put("Things", json!({"id": {"N": "40"}, "v": {"S": "wrong"}}))
        .await
        .expect("a put");
    unlogged(
        &database,
        &[
            "INSERT INTO things VALUES (100000, 1)",
            "UPDATE things SET v = 77 WHERE id = 3999",
            "UPDATE orders SET note = 'quiet' WHERE id BETWEEN 100 AND 110",
        ],
    )
    .await;
    let (task, stop) = load(&database, ROWS - 10);
    again(&mut daemon, "things");
    let other = format!("{}.orders", database.name);
    again(&mut daemon, &other);
    stop.cancel();
    println!("{} rounds of load", task.await.expect("the load"));
    daemon.caught_up(PATIENCE).await;
    items::compare(&expected(&database).await, &target.scan_all().await);
    // Afterwards nothing is suppressed that should not be, and what is equal is.
    let before = daemon.metric("penstock_sink_items_total").await;
    database
        .run(&[
            "UPDATE orders SET user_id = user_id + 0",
            "UPDATE things SET v = 5 WHERE id = 1",
        ])
        .await;
    daemon.caught_up(PATIENCE).await;
    assert!(daemon.metric("penstock_sink_items_total").await <= before + 1.0);
    items::compare(&expected(&database).await, &target.scan_all().await);
}

/// Rows that only the state has are forgotten, and the items follow.
#[tokio::test]
async fn rows_that_only_the_state_has_are_forgotten() {
    let database = filled(Server::shared(), 1_500).await;
    let target = Target::dynoxide();
    let mut daemon = started(&database, &target).await;
    unlogged(
        &database,
        &[
            "DELETE FROM parts WHERE order_id < 700",
            "DELETE FROM users WHERE id < 50",
            "DELETE FROM orders WHERE id > 1400",
        ],
    )
    .await;
    target
        .put("Orders", json!({"id": {"N": "777777"}}))
        .await
        .expect("a put");
    for table in ["parts", "users", "orders"] {
        again(&mut daemon, table);
    }
    daemon.caught_up(PATIENCE).await;
    // It ends with a comparison, whose scan finds what no row explains; until that is repaired parity is not proved.
    let status = daemon
        .reach("a comparison", PATIENCE, |status| {
            let pass = &status["parity"]["last_pass"];
            pass["mismatches"]["extra"] == 1 && status["parity"]["progress"].is_null()
        })
        .await;
    assert_eq!(status["parity"]["owed"], "mismatches", "{status}");
    let output = daemon.command(&["verify", "--repair"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    items::compare(&expected(&database).await, &target.scan_all().await);
    // The state is right: what follows from the binlog finds it so.
    database
        .run(&[
            "INSERT INTO parts VALUES (5, 9, 1)",
            "INSERT INTO users VALUES (7, 'back')",
            "UPDATE orders SET note = 'x'",
        ])
        .await;
    daemon.caught_up(PATIENCE).await;
    items::compare(&expected(&database).await, &target.scan_all().await);
}

/// Killed in the middle it goes on where it was; until its end and a comparison no gate opens.
#[tokio::test]
async fn a_table_copied_again_survives_kills() {
    const ROWS: u32 = 3_000;
    let server = Server::start(&crate::support::mysql::FAST);
    let database = filled(&server, ROWS).await;
    let target = Target::dynoxide();
    let mut daemon = started(&database, &target).await;
    let key = json!({"TableName": "Orders", "Key": {"id": {"N": "2990"}}});
    target.call("DeleteItem", &key).await.expect("a delete");
    unlogged(
        &database,
        &[
            "DELETE FROM parts WHERE order_id BETWEEN 2500 AND 2550",
            "UPDATE orders SET user_id = 3 WHERE id > 2000",
            "DELETE FROM orders WHERE id = 2777",
        ],
    )
    .await;
    let (task, stop) = load(&database, ROWS - 10);
    for table in ["orders", "parts"] {
        let name = format!("{}.{table}", database.name);
        let client = Client::new(&daemon.state());
        let which = json!({"table": table});
        let begun: Option<Value> = client
            .post("/resnapshot", &which, PATIENCE)
            .await
            .expect("its beginning");
        assert_eq!(begun.expect("a daemon")["table"], json!(name));
        let rows = |status: &Value| {
            let copy = status["snapshot"].as_array().into_iter().flatten();
            let of = copy
                .clone()
                .find(|t| t["table"] == json!(name))
                .cloned()
                .unwrap_or_default();
            (
                of["state"].as_str().unwrap_or_default().to_owned(),
                of["rows"].as_u64().unwrap_or_default(),
            )
        };
        let mut seen = 0;
        let mut kills = 0;
        for share in [4, 2] {
            let status = daemon
                .reach("a part of the copy", PATIENCE, |status| {
                    let (state, rows) = rows(status);
                    state == "done" || rows >= u64::from(ROWS / share)
                })
                .await;
            let (state, rows_now) = rows(&status);
            if state == "done" {
                break;
            }
            assert_eq!(status["phase"], "snapshot");
            assert!(
                rows_now >= seen,
                "the copy began again: {rows_now} after {seen}"
            );
            daemon.kill();
            daemon.start();
            // What was committed is not copied again.
            let status = daemon.reach("an answer", PATIENCE, |_| true).await;
            seen = rows(&status).1;
            kills += 1;
        }
        println!("{table}: {kills} kills");
        let gates = daemon.command(&["cutover", "--dry-run", "--format", "json"]);
        let told: Value = serde_json::from_slice(&gates.stdout).expect("JSON");
        let shut = |name: &str| {
            told["gates"].as_array().is_some_and(|gates| {
                gates
                    .iter()
                    .any(|g| g["name"] == name && g["open"] == false)
            })
        };
        assert!(shut("resnapshot"), "{told}");
        daemon
            .reach("the end of it", PATIENCE, |status| {
                status["phase"] != "snapshot"
            })
            .await;
        crate::support::eventually("nothing is under way", PATIENCE, async || {
            let under_way: Option<Value> = client.get("/resnapshot").await.expect("an answer");
            (under_way == Some(json!([]))).then_some(())
        })
        .await;
    }
    stop.cancel();
    task.await.expect("the load");
    daemon.caught_up(PATIENCE).await;
    items::compare(&expected(&database).await, &target.scan_all().await);
}

#[tokio::test]
async fn what_cannot_be_copied_again_is_refused_with_the_reason() {
    let database = filled(Server::shared(), 10).await;
    let target = Target::dynoxide();
    let mut daemon = started(&database, &target).await;
    let output = daemon.command(&["resnapshot", "nothing"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("reads no table nothing"), "{text}");
    assert!(daemon.command(&["pause"]).status.success());
    let output = daemon.command(&["resnapshot", "things"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("the phase is paused"),
        "{text}"
    );
}
