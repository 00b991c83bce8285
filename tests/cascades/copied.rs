//! Cascades into tables that are being copied.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::json;

use super::{NATIVE, PATIENCE, column, ready, single};
use crate::support::items;
use crate::support::mysql::{Database, Server};
use crate::support::oracle::Oracle;
use crate::support::target::Target;

const PARENTS: u32 = 300;
const CHILDREN: u32 = 40_000;
const COPIED: &str = "penstock_snapshot_copied_rows";

/// Each table is one chunk, whose reading takes long: parents go, change and come back while the rows are on their way.
#[tokio::test]
async fn parents_change_while_a_chunk_of_their_children_is_read() {
    let server = Server::start(&NATIVE);
    let database = Database::create(&server).await;
    let children = |table: &str, actions: &str| {
        format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, parent INT, pad VARCHAR(200) NOT NULL,
               FOREIGN KEY (parent) REFERENCES parents (id) {actions})"
        )
    };
    let tables = [
        ("gone", "ON DELETE CASCADE ON UPDATE CASCADE"),
        ("loose", "ON DELETE SET NULL ON UPDATE CASCADE"),
        ("cut", "ON DELETE CASCADE ON UPDATE SET NULL"),
    ];
    let numbers = |count: u32| {
        format!("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {count})")
    };
    let mut statements = vec![
        "SET SESSION cte_max_recursion_depth = 1000000".to_owned(),
        "CREATE TABLE parents (id INT PRIMARY KEY)".to_owned(),
        format!("INSERT INTO parents {} SELECT i FROM n", numbers(PARENTS)),
    ];
    for (table, actions) in tables {
        statements.push(children(table, actions));
        statements.push(format!(
            "INSERT INTO {table} {} SELECT i, 1 + i % {PARENTS}, REPEAT('x', 200) FROM n",
            numbers(CHILDREN)
        ));
    }
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    database.run(&statements).await;
    let items: Vec<_> = tables
        .iter()
        .map(|(table, _)| {
            single(
                table,
                table,
                "id",
                None,
                json!([column("id", "N"), column("parent", "N"), column("pad", "S")]),
            )
        })
        .collect();
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &json!({"tables": items}).to_string());
    daemon.set("snapshot", "chunk_rows", "1000000");
    daemon.start();
    let mut conn = database.conn().await;
    for parent in 1..=PARENTS {
        let other = parent + 10_000;
        let statement = match parent % 5 {
            0 => vec![format!(
                "UPDATE parents SET id = {other} WHERE id = {parent}"
            )],
            // Under the same key once more, with nothing below; and with the rows of another.
            1 => vec![
                format!("DELETE FROM parents WHERE id = {parent}"),
                format!("INSERT INTO parents VALUES ({parent})"),
            ],
            2 if parent > 10 => vec![
                format!("DELETE FROM parents WHERE id = {parent}"),
                format!(
                    "UPDATE IGNORE parents SET id = {parent} WHERE id = {}",
                    parent + 9_998
                ),
            ],
            // Through another key, and away.
            3 => vec![
                format!("UPDATE parents SET id = {other} WHERE id = {parent}"),
                format!("DELETE FROM parents WHERE id = {other}"),
            ],
            _ => vec![format!("DELETE FROM parents WHERE id = {parent}")],
        };
        for statement in statement {
            conn.query_drop(&statement).await.expect("a change");
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    daemon.caught_up(PATIENCE).await;
    let mut expected = Oracle::new();
    for (table, _) in tables {
        let sql = format!("SELECT id `id:N`, parent `parent:N`, pad FROM {table}");
        expected.add(&mut conn, table, &["id"], &sql).await;
    }
    items::compare(expected.tables(), &target.scan_all().await);
}

/// A row's key is a foreign key too: a cascade moves rows from ranges that are still to be read into those that have been.
#[tokio::test]
async fn rows_move_between_chunks_by_a_cascade() {
    let server = Server::start(&NATIVE);
    let database = Database::create(&server).await;
    database
        .run(&[
            "SET SESSION cte_max_recursion_depth = 1000000",
            "CREATE TABLE tenants (id INT PRIMARY KEY)",
            "CREATE TABLE users (tenant INT, id INT, PRIMARY KEY (tenant, id),
               FOREIGN KEY (tenant) REFERENCES tenants (id) ON DELETE CASCADE ON UPDATE CASCADE)",
            "CREATE TABLE posts (id INT PRIMARY KEY, tenant INT, user INT,
               FOREIGN KEY (tenant, user) REFERENCES users (tenant, id) ON DELETE CASCADE ON UPDATE CASCADE)",
            "INSERT INTO tenants WITH RECURSIVE n AS (SELECT 101 i UNION ALL SELECT i + 1 FROM n WHERE i < 200) SELECT i FROM n",
            "INSERT INTO users WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 60) SELECT t.id, i FROM tenants t, n",
            "INSERT INTO posts SELECT ROW_NUMBER() OVER (), a.tenant, a.id FROM users a, (SELECT 1 FROM users LIMIT 4) b",
        ])
        .await;
    let contract = json!({"tables": [
        single("Users", "users", "tenant", Some("id"), json!([column("tenant", "N"), column("id", "N")])),
        single("Posts", "posts", "id", None, json!([column("id", "N"), column("tenant", "N"), column("user", "N")])),
    ]});
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract.to_string());
    daemon.set("snapshot", "chunk_rows", "100");
    daemon.start();
    let mut conn = database.conn().await;
    for tenant in (101..=200).rev() {
        let statement = match tenant % 4 {
            0 => format!("DELETE FROM tenants WHERE id = {tenant}"),
            _ => format!(
                "UPDATE tenants SET id = {} WHERE id = {tenant}",
                tenant - 100
            ),
        };
        conn.query_drop(statement).await.expect("a change");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon.caught_up(PATIENCE).await;
    let mut expected = Oracle::new();
    let users = "SELECT tenant `tenant:N`, id `id:N` FROM users";
    expected
        .add(&mut conn, "Users", &["tenant", "id"], users)
        .await;
    let posts = "SELECT id `id:N`, tenant `tenant:N`, user `user:N` FROM posts";
    expected.add(&mut conn, "Posts", &["id"], posts).await;
    items::compare(expected.tables(), &target.scan_all().await);
}

/// The roots, the middle and the leaves of many trees lie in different chunks. A root goes while its leaf is copied
/// already and what ties it to the root is not.
#[tokio::test]
async fn trees_are_cut_at_their_roots_while_they_are_copied() {
    let server = Server::start(&NATIVE);
    let database = Database::create(&server).await;
    database
        .run(&[
            "SET SESSION cte_max_recursion_depth = 1000000",
            "CREATE TABLE nodes (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES nodes (id) ON DELETE CASCADE)",
            "INSERT INTO nodes WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 4000) SELECT 200000 + i, NULL FROM n",
            "INSERT INTO nodes SELECT id - 100000, id FROM nodes WHERE id > 200000",
            "INSERT INTO nodes SELECT id - 100000, id FROM nodes WHERE id < 200000",
        ])
        .await;
    let contract = json!({"tables": [
        single("Nodes", "nodes", "id", None, json!([column("id", "N"), column("parent", "N")])),
    ]});
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract.to_string());
    daemon
        .set("snapshot", "chunk_rows", "100")
        .set("snapshot", "workers", "1");
    daemon.start();
    let some = |status: &serde_json::Value| status["snapshot"][0]["rows"].as_u64() > Some(500);
    daemon.reach("some leaves are copied", PATIENCE, some).await;
    let mut conn = database.conn().await;
    for root in 1..=50 {
        // Also one whose leaves hang on a middle that comes back.
        let (root, middle) = (200_000 + root, 100_000 + root);
        conn.query_drop(format!("DELETE FROM nodes WHERE id = {root}"))
            .await
            .expect("a change");
        if root % 5 == 0 {
            conn.query_drop(format!("INSERT INTO nodes VALUES ({middle}, NULL)"))
                .await
                .expect("a change");
        }
    }
    daemon.caught_up(PATIENCE).await;
    let mut expected = Oracle::new();
    let sql = "SELECT id `id:N`, parent `parent:N` FROM nodes";
    expected.add(&mut conn, "Nodes", &["id"], sql).await;
    items::compare(expected.tables(), &target.scan_all().await);
    let restarts = daemon
        .metric("penstock_snapshot_restart_events_total")
        .await;
    assert!(restarts > 0.0);
    // A copy that may never end is told, and forgotten once it has.
    if restarts >= 4.0 {
        assert!(daemon.log().contains("has begun again 4 times"));
    }
    let status = daemon.status().await.expect("a status");
    assert_eq!(status["trouble"], json!([]));
}

/// `orders` waits until `customers` is copied, since what is deleted above customers changes it behind the binlog; its lines
/// wait for nobody. What is deleted from `orders` meanwhile takes lines along that are copied already.
#[tokio::test]
async fn a_table_that_waits_takes_along_rows_of_one_that_does_not() {
    let server = Server::start(&NATIVE);
    let database = Database::create(&server).await;
    database
        .run(&[
            "SET SESSION cte_max_recursion_depth = 1000000",
            "CREATE TABLE tenants (id INT PRIMARY KEY)",
            "CREATE TABLE customers (id INT PRIMARY KEY, tenant INT, pad VARCHAR(200) NOT NULL,
               FOREIGN KEY (tenant) REFERENCES tenants (id) ON DELETE CASCADE)",
            "CREATE TABLE orders (id INT PRIMARY KEY, customer INT,
               FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE SET NULL)",
            "CREATE TABLE order_lines (id INT PRIMARY KEY, ordered INT,
               FOREIGN KEY (ordered) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE)",
            "INSERT INTO tenants WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 20) SELECT i FROM n",
            "INSERT INTO customers WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
               SELECT i, 1 + i % 20, REPEAT('x', 200) FROM n",
            "INSERT INTO orders WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 400) SELECT i, i FROM n",
            "INSERT INTO order_lines SELECT id * 2 + k, id FROM orders, (SELECT 0 k UNION ALL SELECT 1) two",
        ])
        .await;
    let contract = json!({"tables": [
        single("Customers", "customers", "id", None, json!([column("id", "N"), column("tenant", "N"), column("pad", "S")])),
        single("Orders", "orders", "id", None, json!([column("id", "N"), column("customer", "N")])),
        single("Lines", "order_lines", "id", None, json!([column("id", "N"), column("ordered", "N")])),
    ]});
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract.to_string());
    daemon.set("snapshot", "chunk_rows", "1000000");
    daemon.start();
    // The lines are there long before the customers, which are one chunk.
    while daemon.status().await.is_none() || daemon.metric(COPIED).await < 800.0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut conn = database.conn().await;
    for order in 1..=200 {
        let statement = match order % 2 {
            0 => format!("DELETE FROM orders WHERE id = {order}"),
            _ => format!("UPDATE orders SET id = {order} + 1000 WHERE id = {order}"),
        };
        conn.query_drop(&statement).await.expect("a change");
    }
    let copied = daemon.metric(COPIED).await;
    assert!(copied < 60_000.0, "the copy was too fast: {copied} rows");
    daemon.caught_up(PATIENCE).await;
    let mut expected = Oracle::new();
    for (table, sql) in [
        (
            "Customers",
            "SELECT id `id:N`, tenant `tenant:N`, pad FROM customers",
        ),
        (
            "Orders",
            "SELECT id `id:N`, customer `customer:N` FROM orders",
        ),
        (
            "Lines",
            "SELECT id `id:N`, ordered `ordered:N` FROM order_lines",
        ),
    ] {
        expected.add(&mut conn, table, &["id"], sql).await;
    }
    items::compare(expected.tables(), &target.scan_all().await);
}
