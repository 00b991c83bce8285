//! The same rows through snapshot and through stream give the same items, and those that MySQL itself says.

use std::time::Duration;

use serde_json::json;

use crate::every_type::{COLUMNS, Column, GENERATED, Mapped, create, inserts};
use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{self, Database, Server};
use crate::support::oracle::Oracle;
use crate::support::oracle::select::of_plan;
use crate::support::plan;
use crate::support::target::Target;

const SESSION: &str = "SET sql_mode = '', time_zone = '+00:00', NAMES utf8mb4";
/// Ids of the rows that arrive by the stream.
const STREAMED: i64 = 1000;
/// Ids of the rows that were other rows first, and were updated through the stream.
const UPDATED: i64 = 2000;

/// A single-entity table with every column in every way that its type allows.
pub fn contract() -> String {
    let mut attributes = vec![json!({
        "name": "id", "type": "N", "source_table": "every_type", "source_column": "id"
    })];
    for column in COLUMNS.iter().chain(GENERATED) {
        for (suffix, mapped) in column.mapped {
            let mut attribute = json!({
                "name": format!("{}_{suffix}", column.name),
                "type": attribute_type(mapped),
                "source_table": "every_type",
                "source_column": column.name,
            });
            if let Mapped::Hex = mapped {
                attribute["transformation"] = json!({"type": "binary-format", "format": "hex"});
            }
            attributes.push(attribute);
        }
    }
    json!({"tables": [{
        "table": "EveryType", "type": "single-entity", "source_table": "every_type",
        "pk": "id", "sk": null, "attributes": attributes,
    }]})
    .to_string()
}

fn attribute_type(mapped: &Mapped) -> &'static str {
    match mapped {
        Mapped::Text(_) | Mapped::Hex => "S",
        Mapped::Number(_) => "N",
        Mapped::Binary(_) => "B",
        Mapped::StringSet => "SS",
        Mapped::Native(_) => "M",
        Mapped::Bool => "BOOL",
    }
}

/// What MySQL says the items are.
pub fn oracle_sql() -> String {
    let mut list = vec!["id AS `id:N`".to_owned()];
    for column in COLUMNS.iter().chain(GENERATED) {
        for (suffix, mapped) in column.mapped {
            list.push(expression(column, suffix, mapped));
        }
    }
    format!("SELECT {} FROM every_type", list.join(",\n"))
}

fn expression(column: &Column, suffix: &str, mapped: &Mapped) -> String {
    let name = format!("`{}`", column.name);
    let (sql, kind) = match mapped {
        Mapped::Text(sql) => (sql.replace("{}", &name), "S"),
        Mapped::Number(sql) => (sql.replace("{}", &name), "N"),
        Mapped::Binary(sql) => (sql.replace("{}", &name), "B"),
        Mapped::Hex => (format!("LOWER(HEX({name}))"), "S"),
        Mapped::StringSet => (format!("CONVERT({name} USING utf8mb4)"), "SS"),
        Mapped::Native(sql) => (sql.replace("{}", &name), "J"),
        Mapped::Bool => (format!("{name}+0"), "BOOL"),
    };
    format!("{sql} AS `{}_{suffix}:{kind}`", column.name)
}

pub async fn run(database: &Database<'_>, statements: &[String]) {
    let mut all = vec![SESSION];
    all.extend(statements.iter().map(String::as_str));
    database.run(&all).await;
}

/// Every column of the rows at `UPDATED` gets the value that the row at the same place of the first ones has.
fn updates() -> Vec<String> {
    let assignments: Vec<String> = COLUMNS
        .iter()
        .map(|c| format!("u.`{0}` = o.`{0}`", c.name))
        .collect();
    vec![format!(
        "UPDATE every_type u JOIN every_type o ON o.id = u.id - {UPDATED} SET {} WHERE u.id >= {UPDATED}",
        assignments.join(", ")
    )]
}

async fn both_ways(server: &Server) {
    let database = Database::create(server).await;
    run(&database, &[create()]).await;
    run(&database, &inserts(0)).await;
    let rows = inserts(0).len();
    let blanks: Vec<String> = (0..rows)
        .map(|i| format!("INSERT INTO every_type (id) VALUES ({UPDATED} + {i})"))
        .collect();
    run(&database, &blanks).await;

    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract());
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(Duration::from_secs(60)).await;
    let snapshot = target.scan_all().await;
    let mut conn = database.conn().await;
    let mut expected = Oracle::new();
    expected
        .add(&mut conn, "EveryType", &["id"], &oracle_sql())
        .await;
    items::compare(expected.tables(), &snapshot);
    assert_eq!(daemon.metric("penstock_dead_letter_rows").await, 0.0);

    run(&database, &inserts(STREAMED)).await;
    run(&database, &updates()).await;
    daemon.caught_up(Duration::from_secs(60)).await;
    let streamed = target.scan_all().await;
    let mut expected = Oracle::new();
    expected
        .add(&mut conn, "EveryType", &["id"], &oracle_sql())
        .await;
    items::compare(expected.tables(), &streamed);
    let plan = plan::compile(&database, &contract()).await;
    items::compare(&of_plan(&mut conn, &plan).await.tables, &streamed);
    same_items(&streamed["EveryType"], rows);
}

/// The rows that came by snapshot, by INSERT and by UPDATE are the same rows: so are their items but for the id.
fn same_items(items: &items::Items, rows: usize) {
    for i in 0..i64::try_from(rows).unwrap() {
        let at = |base: i64| {
            let key = format!(
                "id={{\"N\":\"{}\"}}",
                items::canonical_number(&(base + i).to_string())
            );
            let mut item = items
                .get(&key)
                .unwrap_or_else(|| panic!("no item {key}"))
                .clone();
            item.remove("id");
            item
        };
        assert_eq!(at(0), at(STREAMED), "row {i}: snapshot and insert");
        assert_eq!(at(0), at(UPDATED), "row {i}: snapshot and update");
    }
}

#[tokio::test]
async fn every_type_is_the_same_by_snapshot_and_by_stream() {
    both_ways(Server::shared()).await;
}

#[tokio::test]
async fn every_type_comes_through_compressed_transactions() {
    both_ways(&Server::start(&mysql::COMPRESS)).await;
}

#[tokio::test]
async fn every_type_comes_through_with_minimal_metadata() {
    both_ways(&Server::start(&mysql::MINIMAL_METADATA)).await;
}

/// Updates of JSON as differences, applied to the image before.
#[tokio::test]
async fn partial_json_updates_are_applied() {
    let server = Server::start(&mysql::PARTIAL_JSON);
    let database = Database::create(&server).await;
    database
        .run(&[
            "CREATE TABLE docs (id INT PRIMARY KEY, doc JSON, other JSON, n INT)",
            r#"INSERT INTO docs VALUES
               (1, '{"a": 1, "b": {"c": [1, 2, 3]}, "long": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}', '[1]', 0),
               (2, '[1, {"x": "y"}, [2]]', '{"k": "v"}', 0),
               (3, NULL, '{}', 0)"#,
        ])
        .await;
    let contract = json!({"tables": [{
        "table": "Docs", "type": "single-entity", "source_table": "docs", "pk": "id", "sk": null,
        "attributes": [
            {"name": "id", "type": "N", "source_table": "docs", "source_column": "id"},
            {"name": "doc", "type": "S", "source_table": "docs", "source_column": "doc"},
            {"name": "other", "type": "S", "source_table": "docs", "source_column": "other"},
            {"name": "n", "type": "N", "source_table": "docs", "source_column": "n"},
        ],
    }]});
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract.to_string());
    assert!(daemon.command(&["provision", "--yes"]).status.success());
    daemon.start();
    daemon.caught_up(Duration::from_secs(60)).await;
    for update in [
        "UPDATE docs SET doc = JSON_SET(doc, '$.a', 'a longer text than before', '$.new', 1.50), n = n + 1 WHERE id = 1",
        "UPDATE docs SET doc = JSON_REPLACE(doc, '$.b.c[1]', JSON_OBJECT('deep', TRUE)) WHERE id = 1",
        "UPDATE docs SET doc = JSON_REMOVE(doc, '$.b.c[0]', '$.long') WHERE id = 1",
        "UPDATE docs SET doc = JSON_ARRAY_INSERT(doc, '$[1]', 'inserted'), other = JSON_SET(other, '$.k2', NULL) WHERE id = 2",
        "UPDATE docs SET doc = JSON_REMOVE(doc, '$[0]'), other = JSON_REMOVE(other, '$.k') WHERE id = 2",
        "UPDATE docs SET doc = '{\"fresh\": 1}', other = JSON_SET(other, '$.\"odd key\"', CAST('2024-01-31' AS DATE)) WHERE id = 3",
        "UPDATE docs SET doc = JSON_SET(doc, '$.x', CAST(1.10 AS DECIMAL(5,2)))",
    ] {
        database.run(&[update]).await;
    }
    daemon.caught_up(Duration::from_secs(60)).await;
    let mut conn = database.conn().await;
    let mut expected = Oracle::new();
    expected
        .add(
            &mut conn,
            "Docs",
            &["id"],
            "SELECT id `id:N`, CAST(doc AS CHAR) `doc:S`, CAST(other AS CHAR) `other:S`, n `n:N` FROM docs",
        )
        .await;
    items::compare(expected.tables(), &target.scan_all().await);
}
