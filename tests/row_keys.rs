//! The way back from a row's name: MySQL finds exactly the row, by its index, for every type that a key can have.

use mysql_async::prelude::Queryable;
use penstock::change::{Row, Value};
use penstock::plan::select::{SESSION, select};
use penstock::plan::{Plan, SourceTable};
use penstock::source::decode::text;
use penstock::source::row_key::{self, RowKey};
use penstock::source::snapshot::ChunkKey;
use penstock::source::{Options, connect};
use penstock::verify::source::{Expected, ItemReader};
use penstock::view::source_key;
use serde_json::json;

use crate::support::mysql::{Database, Server};
use crate::support::plan;

/// A key's columns, and its values as SQL; all of a table are different keys.
const KEYS: &[(&str, &[&str])] = &[
    ("a TINYINT", &["-128", "0", "127"]),
    (
        "a BIGINT UNSIGNED",
        &["0", "9223372036854775808", "18446744073709551615"],
    ),
    ("a INT(6) UNSIGNED ZEROFILL", &["0", "42", "4294967295"]),
    (
        "a DECIMAL(20,3)",
        &[
            "0",
            "-0.5",
            "99999999999999999.999",
            "-12345678901234567.001",
        ],
    ),
    ("a DECIMAL(6,2) UNSIGNED ZEROFILL", &["0", "1.5", "1234.56"]),
    ("a BIT(64)", &["0", "5", "18446744073709551615"]),
    ("a YEAR", &["0", "1901", "2155"]),
    ("a DATE", &["'0000-00-00'", "'2024-00-00'", "'9999-12-31'"]),
    (
        "a DATETIME(6)",
        &[
            "'0000-00-00 00:00:00'",
            "'2024-02-29 23:59:59.000001'",
            "'2024-02-29 23:59:59'",
        ],
    ),
    (
        "a TIMESTAMP(3)",
        &[
            "'0000-00-00 00:00:00'",
            "'2024-03-31 01:30:00.5'",
            "'2024-03-31 02:30:00.5'",
        ],
    ),
    (
        "a TIME(2)",
        &["'-838:59:59'", "'00:00:00.01'", "'838:59:59'"],
    ),
    (
        "a VARCHAR(30) COLLATE utf8mb4_bin",
        &[
            "''",
            "'a,b'",
            "'a\\\\b'",
            "'NULL'",
            "'0x41'",
            "'ß€😀'",
            "'it''s'",
        ],
    ),
    (
        "a VARCHAR(30) COLLATE utf8mb4_0900_ai_ci",
        &["'Anna'", "'Émile'", "'a '", "'a'"],
    ),
    (
        "a CHAR(9) CHARACTER SET latin1",
        &["'Müller'", "''", "'€uro'"],
    ),
    ("a VARCHAR(9) CHARACTER SET koi8r", &["'Жук'", "'juk'"]),
    ("a VARCHAR(9) CHARACTER SET ucs2", &["'Жук'", "''"]),
    (
        "a VARCHAR(9) CHARACTER SET utf16le COLLATE utf16le_bin",
        &["'Жук'", "'𝄞'"],
    ),
    (
        "a VARCHAR(9) CHARACTER SET cp932 COLLATE cp932_bin",
        &["x'81e0'", "x'8790'", "x'612c8790'", "'0x8790'", "''"],
    ),
    (
        "a CHAR(9) CHARACTER SET sjis COLLATE sjis_bin, b VARCHAR(9) CHARACTER SET cp1251 COLLATE cp1251_bin",
        &[
            "x'5c', x'98'",
            "x'815f', x'98'",
            "x'5c', '?'",
            "x'5c2c', 'a,b'",
            "x'815f2c', 'a,b'",
        ],
    ),
    ("a BINARY(5)", &["x''", "x'00ff'", "'abc'", "'0x41'"]),
    ("a VARBINARY(9)", &["x''", "x'00'", "x'0000'", "x'5c2c27'"]),
    (
        "a ENUM('zebra','ant','a,b','Mouse')",
        &["1", "2", "3", "4", "0"],
    ),
    ("a ENUM('x','é','E') COLLATE utf8mb4_0900_as_cs", &["1"]),
    ("a SET('b','a','Ü')", &["0", "1", "5", "7"]),
    (
        "a INT, b VARCHAR(9) COLLATE utf8mb4_bin, c DATE",
        &[
            "1, 'x,y', '2024-01-01'",
            "1, 'x', '2024-01-01'",
            "1, 'x', '2024-01-02'",
        ],
    ),
    (
        "a VARCHAR(9) COLLATE utf8mb4_bin, b VARCHAR(9) COLLATE utf8mb4_bin",
        &["'a,b', 'c'", "'a', 'b,c'", "'a\\\\', 'b'", "'', ''"],
    ),
];

/// The table's rows as the snapshot reads them, each with its number.
async fn rows(database: &Database<'_>, table: &SourceTable, wheres: &str) -> Vec<(String, u32)> {
    let options = Options {
        port: database.server.port(),
        ..Options::default()
    };
    let mut conn = connect::connect_snapshot(&options)
        .await
        .expect("a connection");
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|c| text::select_expression(&c.column))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE {wheres}",
        columns.join(", "),
        table.name.sql()
    );
    let found: Vec<mysql_async::Row> = conn.query(sql).await.expect(wheres);
    let number = table
        .columns
        .iter()
        .position(|c| c.column.name == "n")
        .expect("n");
    let mut all = Vec::new();
    for row in found {
        let cells: Vec<Vec<u8>> = row
            .unwrap()
            .into_iter()
            .map(|cell| match cell {
                mysql_async::Value::Bytes(bytes) => bytes,
                other => panic!("{other:?}"),
            })
            .collect();
        let values: Vec<Value<'_>> = table
            .columns
            .iter()
            .zip(&cells)
            .map(|(c, bytes)| text::value(&c.column, bytes).expect("a value"))
            .collect();
        let n: u32 = String::from_utf8_lossy(&cells[number])
            .parse()
            .expect("a number");
        let row = Row { values };
        let name = source_key(table, &row);
        let key = RowKey::parse(table, &name).expect("a name");
        let known = key.row().expect("a key");
        for slot in &table.key {
            assert_eq!(known.values[*slot], row.values[*slot], "{}", table.name);
        }
        all.push((name.to_string(), n));
    }
    all
}

/// The names of the table's rows as a comparison of both sides has them, sorted.
async fn named_by_mysql(database: &Database<'_>, plan: &Plan, table: &SourceTable) -> Vec<String> {
    let mut projections = plan.projections.iter();
    let driven = projections.find(|p| p.driving == table.id);
    let projection = driven.expect("the table's projection");
    let select = select(plan, projection).expect("a SELECT");
    let reader = ItemReader::new(&select, plan.target(projection.target), false);
    let mut conn = database.conn().await;
    conn.query_drop(SESSION).await.expect("the session");
    let found: Vec<mysql_async::Row> = conn.query(&select.sql).await.expect("the items");
    let mut expected = Expected::default();
    for row in &found {
        let sent = ItemReader::sent(row.columns_ref());
        reader.read(row, &sent, &mut expected);
    }
    let rows = expected.rows.iter();
    let mut names: Vec<String> = rows
        .map(|row| expected.source_key(row).to_owned())
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn the_row_of_a_name_is_found_for_every_type_of_key() {
    let database = Server::shared().database().await;
    let mut tables = Vec::new();
    for (nth, (columns, values)) in KEYS.iter().enumerate() {
        let names = ["a", "b", "c"][..=columns.matches(", ").count()].join(", ");
        let definitions: Vec<String> = columns
            .split(", ")
            .map(|c| format!("{c} NOT NULL"))
            .collect();
        let inserts: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(n, v)| format!("INSERT INTO k{nth} ({names}, n) VALUES ({v}, {n})"))
            .collect();
        let create = format!(
            "CREATE TABLE k{nth} ({}, n INT NOT NULL, PRIMARY KEY ({names}))",
            definitions.join(", ")
        );
        let mut statements = vec!["SET sql_mode = '', time_zone = '+00:00'", create.as_str()];
        statements.extend(inserts.iter().map(String::as_str));
        database.run(&statements).await;
        tables.push(json!({"table": format!("Keys{nth}"), "type": "single-entity", "source_table": format!("k{nth}"), "pk": "n", "sk": null,
            "attributes": [{"name": "n", "type": "N", "source_table": format!("k{nth}"), "source_column": "n"}]}));
    }
    let plan = plan::compile(&database, &json!({"tables": tables}).to_string()).await;
    let mut conn = database.conn().await;
    conn.query_drop("SET sql_mode = ''").await.expect("a mode");
    for (table, (columns, values)) in plan.sources.iter().zip(KEYS) {
        let all = rows(&database, table, "TRUE").await;
        assert_eq!(all.len(), values.len(), "{columns}");
        let mut names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            named_by_mysql(&database, &plan, table).await,
            "{columns}"
        );
        for (name, n) in all {
            let condition = row_key::condition(table, &name).expect("a condition");
            let found = rows(&database, table, &condition).await;
            assert_eq!(found, [(name.clone(), n)], "{columns}: {condition}");
            // As the bounds of chunks have it: after everything before it, up to itself.
            let key = ChunkKey {
                table: table.name.clone(),
                columns: table
                    .key
                    .iter()
                    .map(|&slot| table.columns[slot].column.clone())
                    .collect(),
            };
            let bound = row_key::literals(table, &name).expect("literals");
            let upto = |after, upto| {
                key.condition(&penstock::checkpoint::Range { after, upto })
                    .expect("a range")
            };
            let upto_itself = rows(&database, table, &upto(None, Some(bound.clone()))).await;
            let behind = rows(&database, table, &upto(Some(bound), None)).await;
            assert!(
                upto_itself.iter().any(|(_, found)| *found == n),
                "{columns}"
            );
            assert_eq!(upto_itself.len() + behind.len(), values.len(), "{columns}");
            let explain: Option<mysql_async::Row> = conn
                .query_first(format!(
                    "EXPLAIN FORMAT=TRADITIONAL SELECT * FROM {} WHERE {condition}",
                    table.name.sql()
                ))
                .await
                .expect("a plan");
            let access: Option<String> = explain.expect("a row").get("type").expect("the access");
            assert!(
                matches!(
                    access.as_deref(),
                    Some("const" | "ref" | "range" | "eq_ref")
                ),
                "{columns}: {access:?} for {condition}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_name_of_a_row_is_refused_without_telling_it() {
    let database = Server::shared().database().await;
    database
        .run(&["CREATE TABLE t (a INT, b VARBINARY(9), c DATE, n INT, PRIMARY KEY (a, b, c))"])
        .await;
    let contract = json!({"tables": [{"table": "Table", "type": "single-entity", "source_table": "t", "pk": "n", "sk": null,
        "attributes": [{"name": "n", "type": "N", "source_table": "t", "source_column": "n"}]}]});
    let plan = plan::compile(&database, &contract.to_string()).await;
    let table = &plan.sources[0];
    assert!(row_key::condition(table, "1,0x41,2024-01-01").is_ok());
    for bad in [
        "secret",
        "1",
        "1,0x41",
        "1,41,2024-01-01",
        "1,0x4,2024-01-01",
        "1 OR 1,0x41,2024-01-01",
        "1,0x41,2024-01-01' OR '1",
        "1,0x41,2024-01-01,",
        "",
    ] {
        let error = row_key::condition(table, bad).expect_err(bad);
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
