//! A random workload on three tables, and what it must come to: keys that change, keys that swap, rollbacks.

use std::time::Duration;

use fastrand::Rng;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::mysql::Database;
use crate::support::oracle::Oracle;

pub const TABLES: [&str; 3] = [
    "CREATE TABLE accounts (
       id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
       email VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
       balance DECIMAL(12,2) NOT NULL, note TEXT, unmapped INT NOT NULL DEFAULT 0,
       UNIQUE KEY (email))",
    "CREATE TABLE entries (
       a INT NOT NULL, b INT NOT NULL, v VARCHAR(200), changed TIMESTAMP(6) NULL,
       PRIMARY KEY (a, b))",
    "CREATE TABLE people (
       id INT NOT NULL PRIMARY KEY, name VARCHAR(100) NOT NULL, tags SET('x','y','z') NOT NULL, doc JSON)",
];

/// Accounts are keyed by their e-mail address; entries and people share a table.
pub fn contract() -> String {
    let column = |table: &str, name: &str, ty: &str| json!({"name": name, "type": ty, "source_table": table, "source_column": name});
    json!({"tables": [
        {"table": "Accounts", "type": "single-entity", "source_table": "accounts", "pk": "email", "sk": null,
         "attributes": [
            column("accounts", "email", "S"), column("accounts", "id", "N"),
            column("accounts", "balance", "N"), column("accounts", "note", "S")]},
        {"table": "Main", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [
            {"entity_type": "ENTRY", "source_table": "entries", "pk_template": "E#{a}", "sk_template": "E#{b}",
             "attributes": [column("entries", "a", "N"), column("entries", "b", "N"), column("entries", "v", "S"),
                column("entries", "changed", "S")]},
            {"entity_type": "PERSON", "source_table": "people", "pk_template": "P#{id}", "sk_template": "P",
             "attributes": [column("people", "name", "S"), column("people", "tags", "SS"), column("people", "doc", "M")]}]},
    ]})
    .to_string()
}

/// What the items must be now.
pub async fn expected(conn: &mut Conn) -> Oracle {
    let mut oracle = Oracle::new();
    oracle
        .add(
            conn,
            "Accounts",
            &["email"],
            "SELECT email `email:S`, id `id:N`, balance `balance:N`, note `note:S` FROM accounts",
        )
        .await
        .add(
            conn,
            "Main",
            &["PK", "SK"],
            "SELECT CONCAT('E#', a) `PK:S`, CONCAT('E#', b) `SK:S`, a `a:N`, b `b:N`, v `v:S`, changed `changed:S` FROM entries",
        )
        .await
        .add(
            conn,
            "Main",
            &["PK", "SK"],
            "SELECT CONCAT('P#', id) `PK:S`, 'P' `SK:S`, name `name:S`, tags `tags:SS`, doc `doc:J` FROM people",
        )
        .await;
    oracle
}

/// Makes the tables and fills them with `rows` rows each.
pub async fn fill(database: &Database<'_>, rows: u32) {
    database.run(&TABLES).await;
    let fill = [
        format!(
            "INSERT INTO accounts (email, balance, note) WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             SELECT CONCAT('user', i, '@example.com'), i / 100, REPEAT('n', i % 200) FROM n"
        ),
        format!(
            "INSERT INTO entries WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             SELECT i DIV 10, i % 10, CONCAT('v', i), FROM_UNIXTIME(1700000000 + i) FROM n"
        ),
        format!(
            "INSERT INTO people WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             SELECT i, CONCAT('name ', i), 1 + i % 7, JSON_OBJECT('i', i, 'l', JSON_ARRAY(i, NULL)) FROM n"
        ),
    ];
    let mut statements = vec!["SET cte_max_recursion_depth = 100000000, time_zone = '+00:00'"];
    statements.extend(fill.iter().map(String::as_str));
    database.run(&statements).await;
}

/// Writes until told to stop; returns the number of committed transactions.
pub async fn write(
    mut conn: Conn,
    rows: u32,
    seed: u64,
    pause: Duration,
    until: CancellationToken,
) -> u64 {
    let mut writer = Writer {
        rng: Rng::with_seed(seed),
        rows,
    };
    let mut committed = 0;
    conn.query_drop("SET innodb_lock_wait_timeout = 2")
        .await
        .expect("a session");
    while !until.is_cancelled() {
        let steps = if writer.rng.u8(..) < 8 {
            30
        } else {
            writer.rng.u32(1..6)
        };
        let keep = writer.rng.u8(..) >= 25;
        if transaction(&mut conn, &mut writer, steps, keep).await {
            committed += u64::from(keep);
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    committed
}

/// False where the transaction met a conflict (a deadlock, a key that is taken) and was rolled back.
async fn transaction(conn: &mut Conn, writer: &mut Writer, steps: u32, keep: bool) -> bool {
    conn.query_drop("START TRANSACTION")
        .await
        .expect("a transaction");
    for _ in 0..steps {
        for statement in writer.statements() {
            if conn.query_drop(statement).await.is_err() {
                conn.query_drop("ROLLBACK").await.expect("a rollback");
                return false;
            }
        }
    }
    let end = if keep { "COMMIT" } else { "ROLLBACK" };
    conn.query_drop(end).await.expect("the end");
    true
}

struct Writer {
    rng: Rng,
    rows: u32,
}

impl Writer {
    fn statements(&mut self) -> Vec<String> {
        let rng = &mut self.rng;
        let id = rng.u32(1..=self.rows + self.rows / 4);
        let other = rng.u32(1..=self.rows + self.rows / 4);
        let n = rng.u32(..);
        match rng.u8(0..14) {
            0 => vec![format!(
                "INSERT IGNORE INTO accounts (email, balance, note) VALUES ('new{n}@example.com', {}.5, NULL)",
                id
            )],
            1 => vec![format!(
                "UPDATE accounts SET balance = balance + 1, note = IF({n} % 3, CONCAT('n', {n}), NULL) WHERE id = {id}"
            )],
            // The item's key changes.
            2 => vec![format!(
                "UPDATE accounts SET email = 'moved{n}@example.com' WHERE id = {id}"
            )],
            // Two items swap their keys.
            3 => swap(
                "accounts",
                "email",
                &format!("'swap{n}@example.com'"),
                id,
                other,
            ),
            4 => vec![format!("DELETE FROM accounts WHERE id = {id}")],
            // Nothing that is mapped changes.
            5 => vec![format!(
                "UPDATE accounts SET unmapped = {n} % 1000 WHERE id = {id}"
            )],
            6 => vec![format!(
                "REPLACE INTO entries VALUES ({}, {}, 'r{n}', FROM_UNIXTIME(1700000000 + {n} % 1000000))",
                id / 10,
                n % 12
            )],
            7 => vec![format!(
                "UPDATE entries SET v = 'u{n}' WHERE a = {}",
                id / 10
            )],
            // A part of the primary key changes, for several rows.
            8 => vec![format!(
                "UPDATE IGNORE entries SET b = b + 20 WHERE a = {} ORDER BY b DESC",
                id / 10
            )],
            9 => vec![format!(
                "DELETE FROM entries WHERE a = {} AND b > {}",
                id / 10,
                n % 10
            )],
            10 => vec![format!(
                "INSERT INTO people VALUES ({id}, 'p{n}', {} % 8, JSON_OBJECT('n', {n})) ON DUPLICATE KEY UPDATE name = 'd{n}', doc = JSON_SET(COALESCE(doc, '{{}}'), '$.n', {n})",
                n
            )],
            // The primary key itself swaps.
            11 => swap(
                "people",
                "id",
                &format!("-1 - {}", n % 1_000_000_000),
                id,
                other,
            ),
            12 => vec![format!(
                "DELETE FROM people WHERE id BETWEEN {id} AND {id} + {}",
                n % 5
            )],
            _ => vec![format!(
                "UPDATE people SET tags = {} % 8, doc = NULL WHERE id BETWEEN {id} AND {id} + 3",
                n
            )],
        }
    }
}

/// Two rows exchange a unique value by way of a third one.
fn swap(table: &str, column: &str, between: &str, one: u32, two: u32) -> Vec<String> {
    if one == two {
        return Vec::new();
    }
    if column == "id" {
        return vec![
            format!("UPDATE {table} SET id = {between} WHERE id = {one}"),
            format!("UPDATE {table} SET id = {one} WHERE id = {two}"),
            format!("UPDATE {table} SET id = {two} WHERE id = {between}"),
        ];
    }
    vec![
        format!(
            "SET @one = (SELECT {column} FROM {table} WHERE id = {one} FOR UPDATE), @two = (SELECT {column} FROM {table} WHERE id = {two} FOR UPDATE)"
        ),
        format!(
            "UPDATE {table} SET {column} = {between} WHERE id = {one} AND @one IS NOT NULL AND @two IS NOT NULL"
        ),
        format!(
            "UPDATE {table} SET {column} = @one WHERE id = {two} AND @one IS NOT NULL AND @two IS NOT NULL"
        ),
        format!(
            "UPDATE {table} SET {column} = @two WHERE id = {one} AND @one IS NOT NULL AND @two IS NOT NULL"
        ),
    ]
}
