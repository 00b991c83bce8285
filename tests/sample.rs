//! The sample shop and its load against a real MySQL, and with them the parts that all other tests stand on.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use penstock::demo::load::Load;
use penstock::demo::sample::{self, Sizes};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::items::{self, Tables};
use crate::support::mysql::Server;
use crate::support::oracle::{self, Oracle};
use crate::support::shop;
use crate::support::target::Target;

#[tokio::test]
async fn the_shop_loads_and_the_load_changes_it() {
    let database = Server::shared().database().await;
    let mut conn = database.conn().await;
    sample::create(&mut conn, &database.name)
        .await
        .expect("the tables");
    let mut seen = 0;
    let rows = sample::fill(&mut conn, Sizes::SMALL, 1, |rows| seen = rows)
        .await
        .expect("the rows");
    assert_eq!(rows, seen);
    let counted: u64 = conn
        .query_first(
            "SELECT (SELECT COUNT(*) FROM users) + (SELECT COUNT(*) FROM products)
                  + (SELECT COUNT(*) FROM orders) + (SELECT COUNT(*) FROM order_items)",
        )
        .await
        .expect("the count")
        .expect("a row");
    assert_eq!(rows, counted);

    let until = CancellationToken::new();
    let load = Load::new(database.opts()).rate(0).writers(3).seed(5);
    let running = tokio::spawn(load.run(until.clone()));
    tokio::time::sleep(Duration::from_secs(3)).await;
    until.cancel();
    let stats = running.await.expect("the task").expect("the load");
    println!("{stats:?}");
    assert!(stats.transactions > 20 && stats.rollbacks > 0, "{stats:?}");
    assert!(
        stats.inserted > 0 && stats.updated > 0 && stats.deleted > 0,
        "{stats:?}"
    );
    let orphans: u64 = conn
        .query_first("SELECT COUNT(*) FROM order_items i LEFT JOIN orders o ON o.id = i.order_id WHERE o.id IS NULL")
        .await
        .expect("the count")
        .expect("a row");
    assert_eq!(orphans, 0, "an order's items follow it");

    let rows = "SELECT (SELECT COUNT(*) FROM users) + (SELECT COUNT(*) FROM orders) + (SELECT COUNT(*) FROM order_items)";
    let rows: Option<usize> = conn.query_first(rows).await.expect("the count");
    let expected = shop::expected(&mut conn).await;
    assert_eq!(
        Some(expected["Shop"].len()),
        rows,
        "one item for each row, none shares a key"
    );
}

#[tokio::test]
async fn a_rate_is_kept() {
    let database = Server::shared().database().await;
    let mut conn = database.conn().await;
    sample::create(&mut conn, &database.name)
        .await
        .expect("the tables");
    sample::fill(&mut conn, Sizes::SMALL, 2, |_| {})
        .await
        .expect("the rows");
    let until = CancellationToken::new();
    let running = tokio::spawn(Load::new(database.opts()).rate(10).run(until.clone()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    until.cancel();
    let stats = running.await.expect("the task").expect("the load");
    let done = stats.transactions + stats.rollbacks + stats.conflicts;
    assert!((1..=25).contains(&done), "10 a second for 2 s: {done}");
}

#[tokio::test]
async fn a_load_without_a_shop_is_an_error() {
    let database = Server::shared().database().await;
    let load = Load::new(database.opts()).run(CancellationToken::new());
    let error = tokio::time::timeout(Duration::from_secs(30), load)
        .await
        .expect("it ends")
        .expect_err("no tables");
    assert!(error.to_string().contains("users"), "{error}");
}

/// The same rows written as items by hand and computed by the oracle are equal, on both implementations.
#[tokio::test]
async fn the_oracle_and_a_scan_have_one_form() {
    let database = Server::shared().database().await;
    database
        .run(&[
            "CREATE TABLE t (id INT PRIMARY KEY, d DECIMAL(6,3), s VARCHAR(9), b VARBINARY(4), l SET('x','y'), j JSON)",
            r#"INSERT INTO t VALUES (1, 1.500, 'Zoë', x'00FF00', 'y,x', '{"a":[1,null,"z"],"t":true}'), (2, NULL, '', NULL, '', NULL)"#,
        ])
        .await;
    let mut conn = database.conn().await;
    let sql = "SELECT CONCAT('T#', id) AS `PK`, id AS `SK:N`, d AS `d:N`, s AS `s:S`, b AS `b:B`, l AS `l:SS`, j AS `j:J`, id = 1 AS `one:BOOL` FROM t";
    let mut oracle = Oracle::new();
    oracle.add(&mut conn, "Things", &["PK", "SK"], sql).await;
    assert_eq!(oracle::select(&mut conn, &["PK", "SK"], sql).await.len(), 2);

    for target in [Target::dynoxide(), Target::dynalite().await] {
        target
            .create_table("Things", &[("PK", "S"), ("SK", "N")])
            .await
            .expect("a table");
        let j = json!({"M": {"t": {"BOOL": true}, "a": {"L": [{"N": "1"}, {"NULL": true}, {"S": "z"}]}}});
        let first = json!({"PK": {"S": "T#1"}, "SK": {"N": "1"}, "d": {"N": "1.5"}, "s": {"S": "Zoë"}, "b": {"B": "AP8A"},
            "l": {"SS": ["y", "x"]}, "j": j, "one": {"BOOL": true}});
        target.put("Things", first).await.expect("a put");
        let missing = items::difference(oracle.tables(), &target.scan_all().await, 10)
            .expect("the second item is missing");
        assert!(
            missing.contains("1 missing, 0 extra, 0 different"),
            "{missing}"
        );
        let second =
            json!({"PK": {"S": "T#2"}, "SK": {"N": "2"}, "s": {"S": ""}, "one": {"BOOL": false}});
        target.put("Things", second).await.expect("a put");
        items::compare(oracle.tables(), &target.scan_all().await);
    }
}

/// A scan goes on where a page ends (1 MB).
#[tokio::test]
async fn a_scan_reads_all_pages() {
    let target = Target::dynoxide();
    target
        .create_table("Pages", &[("id", "N")])
        .await
        .expect("a table");
    for id in 0..12 {
        let item = json!({"id": {"N": id.to_string()}, "text": {"S": "x".repeat(300_000)}});
        target.put("Pages", item).await.expect("a put");
    }
    let tables: Tables = target.scan_all().await;
    assert_eq!(tables["Pages"].len(), 12);
}

/// A crash of the server keeps its data, and a server of one's own ends with its owner.
#[tokio::test]
async fn a_server_survives_a_crash_and_ends_with_its_owner() {
    let server = Server::start(&crate::support::mysql::SEMI_SYNC);
    let port = server.port();
    let mut conn = server.conn(None).await;
    let on: Option<u8> = conn
        .query_first("SELECT @@rpl_semi_sync_source_enabled")
        .await
        .expect("the setting");
    assert_eq!(on, Some(1));
    conn.query_drop("CREATE DATABASE kept")
        .await
        .expect("a database");
    server.stop(true);
    assert!(conn.query_drop("DO 1").await.is_err());
    server.start_again(&[]);
    server.conn(Some("kept")).await;
    drop(server);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}
