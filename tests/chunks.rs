//! The keys by which tables are copied: which one of several, and how the server finds a chunk.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{self, Database, Server};
use crate::support::oracle::Oracle;
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(60);

/// A table of the contract that copies these columns under the key `pk` (and `sk`).
fn table(name: &str, pk: &str, sk: Option<&str>, columns: &[(&str, &str)]) -> Value {
    let attributes: Vec<Value> = columns
        .iter()
        .map(|(column, ty)| json!({"name": column, "type": ty, "source_table": name, "source_column": column}))
        .collect();
    json!({"table": name, "type": "single-entity", "source_table": name, "pk": pk, "sk": sk, "attributes": attributes})
}

/// Copies the tables in chunks of 100 rows; the daemon has then caught up.
async fn copied(database: &Database<'_>, target: &Target, tables: Vec<Value>) -> Daemon {
    let mut daemon = Daemon::new(database, target, &json!({ "tables": tables }).to_string());
    daemon.set("snapshot", "chunk_rows", "100");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    daemon
}

/// `n` rows of numbers from 1 on: the start of an INSERT … SELECT that takes `i` from them.
fn numbers(n: u32) -> String {
    format!("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {n})")
}

/// Different bytes can be the same text in gbk: but for its `_bin` collation, which keeps them, such a key does not tell rows
/// apart, another one does.
#[tokio::test]
async fn a_key_that_does_not_tell_rows_apart_gives_way_to_another_one() {
    let database = Server::shared().database().await;
    database
        .run(&[
            "SET cte_max_recursion_depth = 10000",
            "CREATE TABLE words (a VARCHAR(20) CHARACTER SET gbk COLLATE gbk_chinese_ci PRIMARY KEY, id INT NOT NULL UNIQUE, v INT)",
            // Some of the second bytes are a backslash's, or no character's.
            &format!("INSERT INTO words {} SELECT CONVERT(UNHEX(HEX(0xD540 + i % 63 + 256 * (i DIV 63))) USING gbk), i, i FROM n", numbers(900)),
        ])
        .await;
    let target = Target::dynoxide();
    let columns = [("id", "N"), ("a", "S"), ("v", "N")];
    let mut daemon = copied(
        &database,
        &target,
        vec![table("words", "id", None, &columns)],
    )
    .await;
    let mut expected = Oracle::new();
    let sql = "SELECT id `id:N`, a `a:S`, v `v:N` FROM words";
    let mut conn = database.conn().await;
    expected.add(&mut conn, "words", &["id"], sql).await;
    items::compare(expected.tables(), &target.scan_all().await);
    assert_eq!(daemon.metric("penstock_dead_letter_rows").await, 0.0);
    daemon.terminate(Duration::from_secs(10));
    database.run(&["ALTER TABLE words DROP INDEX id"]).await;
    let output = daemon.command(&["check"]);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("key-inexact") && text.contains("gbk"),
        "{text}"
    );
}

/// An ENUM holds 0 where a session without strict mode wrote what is no label.
#[tokio::test]
async fn chunks_bounded_by_an_enums_error_value_lose_nothing() {
    let database = Server::shared().database().await;
    database
        .run(&[
            "SET cte_max_recursion_depth = 10000, sql_mode = ''",
            "CREATE TABLE errors (a ENUM('y','x','Ä') COLLATE utf8mb4_bin NOT NULL, id INT NOT NULL UNIQUE, PRIMARY KEY (a, id))",
            &format!("INSERT INTO errors {} SELECT i % 4, i FROM n", numbers(1000)),
        ])
        .await;
    let target = Target::dynoxide();
    let columns = [("id", "N"), ("a", "S")];
    copied(
        &database,
        &target,
        vec![table("errors", "id", None, &columns)],
    )
    .await;
    let mut expected = Oracle::new();
    let mut conn = database.conn().await;
    let sql = "SELECT id `id:N`, a `a:S` FROM errors";
    expected.add(&mut conn, "errors", &["id"], sql).await;
    items::compare(expected.tables(), &target.scan_all().await);
}

/// A table is read about twice: once for the bounds, once for the rows. Were a chunk found without the index, each one
/// would read all before it.
#[tokio::test]
async fn the_index_serves_chunks_by_enum_and_bit() {
    const ROWS: u32 = 10_000;
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    let insert = |table: &str, key: &str| {
        format!(
            "INSERT INTO {table} {} SELECT {key}, i FROM n",
            numbers(ROWS)
        )
    };
    database
        .run(&[
            "SET cte_max_recursion_depth = 100000",
            "CREATE TABLE kinds (a ENUM('zebra','ant','Mouse','10','9') NOT NULL, id INT NOT NULL, PRIMARY KEY (a, id))",
            "CREATE TABLE bits (a BIT(64) NOT NULL, id INT NOT NULL, PRIMARY KEY (a, id))",
            &insert("kinds", "1 + i % 5"),
            &insert("bits", "18446744073709551615 - i * 1000000000"),
            "ANALYZE TABLE kinds, bits",
        ])
        .await;
    let target = Target::dynoxide();
    let columns = [("a", "S"), ("id", "N")];
    let tables = ["kinds", "bits"];
    let contract = tables.map(|name| table(name, "a", Some("id"), &columns));
    copied(&database, &target, contract.to_vec()).await;
    let items = target.scan_all().await;
    let mut conn = database.conn().await;
    for name in tables {
        assert_eq!(items[name].len(), ROWS as usize, "{name}");
        let sql = format!(
            "SELECT CAST(SUM(sum_rows_examined) AS UNSIGNED) FROM performance_schema.events_statements_summary_by_digest
             WHERE digest_text LIKE 'SELECT %FROM `{}` . `{name}` %'",
            database.name
        );
        let examined: Option<u64> = conn.query_first(sql).await.expect("the digests");
        let examined = examined.expect("statements on the table");
        println!("{name}: {examined} rows were examined for {ROWS}");
        assert!(
            examined > u64::from(ROWS) && examined < 4 * u64::from(ROWS),
            "{name}: {examined}"
        );
    }
}
