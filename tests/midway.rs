//! A chunk whose window opens while a transaction is streaming through: what that transaction changed before the window
//! opened is not known to the window, so the chunk must see it.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{Database, FAST, SEMI_SYNC, Server};
use crate::support::oracle::Oracle;
use crate::support::proxy::Proxy;
use crate::support::stub::{Faults, Stub};

const ROWS: u32 = 60_000;
const PATIENCE: Duration = Duration::from_secs(120);

fn contract() -> String {
    let column = |name: &str, ty: &str| json!({"name": name, "type": ty, "source_table": "things", "source_column": name});
    json!({"tables": [{
        "table": "Things", "type": "single-entity", "source_table": "things", "pk": "id", "sk": null,
        "attributes": [column("id", "N"), column("v", "S")],
    }]})
    .to_string()
}

#[tokio::test]
async fn a_window_that_opens_within_a_transaction_waits_for_it() {
    let options: Vec<&str> = FAST.iter().chain(&SEMI_SYNC).copied().collect();
    let server = Server::start(&options);
    let database = Database::create(&server).await;
    database
        .run(&[
            "SET GLOBAL rpl_semi_sync_source_enabled = OFF",
            "SET cte_max_recursion_depth = 1000000",
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(300))",
            &format!("INSERT INTO things WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) SELECT i, REPEAT('a', 200) FROM n"),
            "SET GLOBAL rpl_semi_sync_source_timeout = 15000",
            "SET GLOBAL rpl_semi_sync_source_wait_no_replica = ON",
        ])
        .await;
    let slow = Faults {
        latency: Duration::from_millis(60),
        ..Faults::default()
    };
    let stub = Stub::start(slow);
    let mut daemon = Daemon::between(server.port(), &database.name, &stub.url(), &contract());
    daemon
        .set("snapshot", "chunk_rows", "100")
        .set("snapshot", "workers", "8");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    let some = |status: &serde_json::Value| status["snapshot"][0]["rows"].as_u64() > Some(500);
    daemon.reach("a part is copied", PATIENCE, some).await;
    // Its events are sent at once, and it becomes visible only when the wait for a replica has timed out.
    let mut conn = database.conn().await;
    conn.query_drop("SET GLOBAL rpl_semi_sync_source_enabled = ON")
        .await
        .expect("semi-sync");
    conn.query_drop("UPDATE things SET v = REPEAT('b', 200)")
        .await
        .expect("the update");
    stub.set_faults(Faults::default());
    daemon.caught_up(PATIENCE).await;
    let mut expected = Oracle::new();
    expected
        .add(
            &mut conn,
            "Things",
            &["id"],
            "SELECT id `id:N`, v `v:S` FROM things",
        )
        .await;
    let keys = ["id".to_owned()];
    let stored = stub.items("Things");
    let things = stored
        .values()
        .map(|item| items::canonical(item.as_object().expect("an item"), &keys))
        .collect();
    items::compare(expected.tables(), &[("Things".to_owned(), things)].into());
}

/// A chunk of many bytes is cut, and its connection with it: the next one may lead to another server behind the same
/// address, whose GTIDs say nothing of the rows that the first has given.
#[tokio::test]
async fn a_chunk_that_two_servers_answer_is_read_again() {
    const ROWS: u32 = 3000;
    let (first, second) = (Server::start(&FAST), Server::start(&FAST));
    let database = Database::create(&first).await;
    let other = Database::named(&second, &database.name).await;
    for (database, letter) in [(&database, 'a'), (&other, 'b')] {
        let insert = format!(
            "INSERT INTO things WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
             SELECT i, REPEAT('{letter}', IF(i % 600 < 60, 200000, 10)) FROM n"
        );
        database
            .run(&[
                "SET SESSION cte_max_recursion_depth = 10000",
                "CREATE TABLE things (id INT PRIMARY KEY, v MEDIUMTEXT)",
                // Wide rows behind many narrow ones: a chunk is cut there, and the rest is read by a connection of its own.
                &insert,
            ])
            .await;
    }
    let proxy = Proxy::to(first.port(), 1);
    let slow = Faults {
        latency: Duration::from_millis(20),
        ..Faults::default()
    };
    let stub = Stub::start(slow);
    let mut daemon = Daemon::between(proxy.port(), &database.name, &stub.url(), &contract());
    daemon.set("snapshot", "workers", "1");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    let some = |status: &serde_json::Value| status["snapshot"][0]["rows"].as_u64() > Some(0);
    daemon.reach("a part is copied", PATIENCE, some).await;
    proxy.redirect(second.port());
    let said = |daemon: &Daemon| daemon.log().contains("another server answered while");
    let begun = std::time::Instant::now();
    while !said(&daemon) {
        assert!(begun.elapsed() < PATIENCE, "{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.redirect(first.port());
    stub.set_faults(Faults::default());
    daemon.caught_up(PATIENCE).await;
    let stored = stub.items("Things");
    assert_eq!(stored.len(), ROWS as usize);
    for item in stored.values() {
        let text = item["v"]["S"].as_str().expect("a text");
        assert!(text.starts_with('a'), "a row of the other server");
    }
}
