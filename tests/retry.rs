//! Dead letters tried again: their rows are read again, with everything that their items are made of.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::stub::{Faults, Stub};

const PATIENCE: Duration = Duration::from_secs(60);

fn column(name: &str, ty: &str) -> Value {
    json!({"name": name, "type": ty, "source_column": name})
}

fn refusing() -> Faults {
    Faults {
        invalid: Some("BAD".into()),
        ..Faults::default()
    }
}

async fn started(database: &Database<'_>, stub: &Stub, contract: &Value) -> Daemon {
    let (port, name) = (database.server.port(), &database.name);
    let mut daemon = Daemon::between(port, name, &stub.url(), &contract.to_string());
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    daemon
}

async fn letters(daemon: &mut Daemon, count: u64) {
    let what = format!("{count} dead letters");
    daemon
        .reach(&what, PATIENCE, |status| status["dead_letters"] == count)
        .await;
}

fn ended(output: &std::process::Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// DynamoDB refused the rows, and takes them now: nothing in MySQL changes, so only a retry writes them.
#[tokio::test]
async fn rows_that_dynamodb_takes_now_are_written_by_a_retry() {
    let database = Database::create(Server::shared()).await;
    database
        .run(&[
            "CREATE TABLE things (a VARCHAR(20), id INT, v VARCHAR(20), PRIMARY KEY (a, id))",
            "INSERT INTO things VALUES ('x,y', 1, 'BAD'), ('x', 2, 'BAD'), ('x', 3, 'good'), ('z', 4, 'BAD')",
        ])
        .await;
    let contract = json!({"tables": [{
        "table": "Things", "type": "single-entity", "source_table": "things", "pk": "id", "sk": "a",
        "attributes": [column("id", "N"), column("a", "S"), column("v", "S")],
    }]});
    let stub = Stub::start(refusing());
    let mut daemon = started(&database, &stub, &contract).await;
    letters(&mut daemon, 3).await;
    let exported = daemon.command(&["dead-letters", "export"]);
    let lines = String::from_utf8(exported.stdout).expect("text");
    let keys: Vec<String> = lines
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("an object")["source_key"].to_string()
        })
        .collect();
    assert_eq!(keys, [r#""x,2""#, r#""x\\,y,1""#, r#""z,4""#]);
    let (status, text) = ended(&daemon.command(&["dead-letters", "retry"]));
    assert_eq!(
        (status, text.contains("3 tried, 0 of them")),
        (Some(3), true),
        "{text}"
    );
    letters(&mut daemon, 3).await;
    stub.set_faults(Faults::default());
    // The row of this one is gone, behind the binlog; that of the other is another one now.
    database
        .run(&[
            "SET sql_log_bin = 0",
            "DELETE FROM things WHERE id = 4",
            "UPDATE things SET v = 'newer' WHERE id = 2",
        ])
        .await;
    let one = [
        "dead-letters",
        "retry",
        "--projection",
        "Things",
        "--source-key",
        "x\\,y,1",
    ];
    let (status, text) = ended(&daemon.command(&one));
    assert_eq!(
        (status, text.contains("1 tried, 1 of them")),
        (Some(0), true),
        "{text}"
    );
    assert_eq!(stub.items("Things").len(), 2);
    let output = daemon.command(&["dead-letters", "retry", "--format", "json"]);
    let (status, text) = ended(&output);
    assert_eq!(status, Some(0), "{text}");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&told["tried"], &told["cleared"]),
        (&json!(2), &json!(2)),
        "{text}"
    );
    let items = stub.items("Things");
    let values: Vec<&Value> = items.values().map(|item| &item["v"]["S"]).collect();
    assert_eq!(items.len(), 3, "{values:?}");
    assert!(
        values.contains(&&json!("BAD")) && values.contains(&&json!("newer")),
        "{values:?}"
    );
    letters(&mut daemon, 0).await;
    assert!(!daemon.logs().contains("x,y"), "a source key is in the log");
}

/// Without a daemon the command runs the flow itself.
#[tokio::test]
async fn a_retry_without_a_daemon_runs_the_flow_itself() {
    let database = Database::create(Server::shared()).await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO things VALUES (1, 'BAD')",
        ])
        .await;
    let contract = json!({"tables": [{
        "table": "Things", "type": "single-entity", "source_table": "things", "pk": "id", "sk": null,
        "attributes": [column("id", "N"), column("v", "S")],
    }]});
    let stub = Stub::start(refusing());
    let mut daemon = started(&database, &stub, &contract).await;
    letters(&mut daemon, 1).await;
    daemon.terminate(Duration::from_secs(15));
    stub.set_faults(Faults::default());
    let (status, text) = ended(&daemon.command(&["dead-letters", "retry"]));
    assert_eq!(
        (status, text.contains("1 tried, 1 of them")),
        (Some(0), true),
        "{text}"
    );
    assert_eq!(stub.items("Things").len(), 1);
}

/// Orders with their user's name, the name of the user's tier, and their lines.
fn orders() -> Value {
    let user = json!({"target_table": "users", "join_condition": "users.id = orders.user_id"});
    let joined = |kind: &str, rest: Value| {
        let mut join = rest;
        join["type"] = json!(kind);
        join
    };
    let mut name = user.clone();
    name["select_column"] = json!("users.name");
    let tier = json!({"joins": [user, {"target_table": "tiers", "join_condition": "tiers.code = users.tier", "select_column": "tiers.name"}]});
    let lines = json!({"target_table": "lines", "join_condition": "lines.order_id = orders.id",
        "construction": {"type": "array", "order_by": "lines.line", "select_columns": {"line": "lines.line", "amount": "lines.amount"}}});
    json!({"tables": [{
        "table": "Orders", "type": "single-entity", "source_table": "orders", "pk": "id", "sk": null,
        "attributes": [
            column("id", "N"), column("note", "S"),
            {"name": "user", "type": "S", "join": joined("foreign-key", name)},
            {"name": "tier", "type": "S", "join": joined("chain", tier)},
            {"name": "lines", "type": "L", "join": joined("json-construction", lines)},
        ],
    }]})
}

/// Everything that the item is made of is read again, level by level; rows that only the state has are forgotten. (MySQL's
/// rows are changed behind the binlog, so that the state is wrong.)
#[tokio::test]
async fn an_item_of_several_rows_is_made_of_what_mysql_has_now() {
    let database = Database::create(Server::shared()).await;
    database
        .run(&[
            "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20), tier VARCHAR(10))",
            "CREATE TABLE tiers (code VARCHAR(10) PRIMARY KEY, name VARCHAR(20))",
            "CREATE TABLE orders (id INT PRIMARY KEY, user_id INT, note VARCHAR(20))",
            "CREATE TABLE `lines` (order_id INT, line INT, amount INT, PRIMARY KEY (order_id, line))",
            "INSERT INTO tiers VALUES ('s', 'Silver'), ('g', 'Gold')",
            "INSERT INTO users VALUES (1, 'Ada', 's'), (2, 'Bob', 'g')",
            "INSERT INTO orders VALUES (1, 1, 'BAD'), (2, 2, 'fine')",
            "INSERT INTO `lines` VALUES (1, 1, 10), (1, 2, 20), (2, 1, 90)",
        ])
        .await;
    let stub = Stub::start(refusing());
    let mut daemon = started(&database, &stub, &orders()).await;
    letters(&mut daemon, 1).await;
    assert_eq!(stub.items("Orders").len(), 1);
    database
        .run(&[
            "SET sql_log_bin = 0",
            // The tier is found only where the order has its new user: the state knows one that MySQL has not any more.
            "UPDATE orders SET user_id = 2 WHERE id = 1",
            "DELETE FROM tiers WHERE code = 'g'",
            "UPDATE users SET name = 'Bobby' WHERE id = 2",
            "DELETE FROM `lines` WHERE order_id = 1 AND line = 1",
            "UPDATE `lines` SET amount = 21 WHERE order_id = 1 AND line = 2",
            "INSERT INTO `lines` VALUES (1, 3, 30)",
        ])
        .await;
    stub.set_faults(Faults::default());
    let (status, text) = ended(&daemon.command(&["dead-letters", "retry"]));
    assert_eq!(status, Some(0), "{text}");
    letters(&mut daemon, 0).await;
    let items = stub.items("Orders");
    let item = |id: &str| {
        let found = items.values().find(|item| item["id"]["N"] == id);
        found.unwrap_or_else(|| panic!("no order {id}: {items:?}"))
    };
    let line =
        |line: &str, amount: &str| json!({"M": {"line": {"N": line}, "amount": {"N": amount}}});
    assert_eq!(
        *item("1"),
        json!({"id": {"N": "1"}, "note": {"S": "BAD"}, "user": {"S": "Bobby"}, "lines": {"L": [line("2", "21"), line("3", "30")]}})
    );
    // The other item of those rows follows.
    assert_eq!(
        *item("2"),
        json!({"id": {"N": "2"}, "note": {"S": "fine"}, "user": {"S": "Bobby"}, "lines": {"L": [line("1", "90")]}})
    );
    // The state is right again: what follows from the binlog finds it so.
    database
        .run(&["INSERT INTO tiers VALUES ('g', 'Golden')"])
        .await;
    daemon.caught_up(PATIENCE).await;
    let tiers: Vec<Value> = stub
        .items("Orders")
        .values()
        .map(|item| item["tier"].clone())
        .collect();
    assert_eq!(tiers, [json!({"S": "Golden"}), json!({"S": "Golden"})]);
}
