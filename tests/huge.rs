//! One transaction of millions of rows streams through in bounded memory, compressed or not.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::mysql::{COMPRESS, Database, FAST, Server};
use crate::support::stub::{Faults, Stub};

/// What may be resident, whatever the transaction's size.
const LIMIT: u64 = 300_000_000;
const PATIENCE: Duration = Duration::from_secs(1800);

/// PENSTOCK_FULL=1: five million rows; otherwise a tenth.
fn rows() -> u64 {
    let full = std::env::var("PENSTOCK_FULL").is_ok_and(|value| value == "1");
    if full { 5_000_000 } else { 500_000 }
}

fn contract() -> String {
    let column = |name: &str, ty: &str| json!({"name": name, "type": ty, "source_table": "big", "source_column": name});
    json!({"tables": [{
        "table": "Big", "type": "single-entity", "source_table": "big", "pk": "id", "sk": null,
        "attributes": [column("id", "N"), column("v", "S"), column("at", "S")],
    }]})
    .to_string()
}

#[tokio::test]
async fn a_huge_transaction_streams_through_in_bounded_memory() {
    stream(&FAST, 0).await;
}

#[tokio::test]
async fn a_huge_compressed_transaction_needs_memory_for_its_one_event_only() {
    let options: Vec<&str> = FAST.iter().chain(&COMPRESS).copied().collect();
    stream(&options, 1).await;
}

/// The daemon may hold `events` times the bytes that the transaction takes in the binlog beyond the limit.
async fn stream(options: &[&str], events: u64) {
    let rows = rows();
    let server = Server::start(options);
    let database = Database::create(&server).await;
    database
        .run(&["CREATE TABLE big (id INT UNSIGNED PRIMARY KEY, v VARCHAR(100) NOT NULL, at DATETIME NOT NULL)"])
        .await;
    let stub = Stub::start_fast(Faults::default());
    let mut daemon = Daemon::between(server.port(), &database.name, &stub.url(), &contract());
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(Duration::from_secs(60)).await;
    let before = daemon.resident_bytes();
    let size = insert(&database, rows).await;
    let (seconds, most) = watch(&mut daemon, &stub, rows).await;
    let most = most.max(daemon.peak_bytes());
    println!(
        "{rows} rows in one transaction of {} MB in the binlog: {seconds:.0} s after its commit, {:.0} rows/s; \
         resident before {} MB, at the most {} MB",
        size / 1_000_000,
        rows as f64 / seconds,
        before / 1_000_000,
        most / 1_000_000
    );
    assert_eq!(stub.distinct_ids(), rows, "every row arrived");
    let limit = LIMIT + events * size;
    assert!(most < limit, "{most} bytes were resident, {limit} may be");
}

/// Inserts the rows in one statement; returns how much the binlog grew by it.
async fn insert(database: &Database<'_>, rows: u64) -> u64 {
    let mut conn = database.conn().await;
    let before = binlog_bytes(&mut conn).await;
    conn.query_drop("SET cte_max_recursion_depth = 100000, time_zone = '+00:00'")
        .await
        .expect("the session");
    let statement = format!(
        "INSERT INTO big
         WITH RECURSIVE n AS (SELECT 0 i UNION ALL SELECT i + 1 FROM n WHERE i + 1 < 1000),
                        m AS (SELECT 0 j UNION ALL SELECT j + 1 FROM m WHERE j + 1 < {})
         SELECT j * 1000 + i + 1, CONCAT('value ', LEFT(SHA2(j * 1000 + i, 256), 32)), FROM_UNIXTIME(1700000000 + j * 1000 + i)
         FROM m CROSS JOIN n",
        rows / 1000
    );
    conn.query_drop(statement).await.expect("the transaction");
    binlog_bytes(&mut conn).await - before
}

async fn binlog_bytes(conn: &mut mysql_async::Conn) -> u64 {
    let files: Vec<(String, u64, String)> =
        conn.query("SHOW BINARY LOGS").await.expect("the binlogs");
    files.iter().map(|(_, size, _)| size).sum()
}

/// Waits until all has arrived; the seconds it took, and the most that was resident meanwhile.
async fn watch(daemon: &mut Daemon, stub: &Stub, rows: u64) -> (f64, u64) {
    let begun = Instant::now();
    let mut most = 0;
    while stub.distinct_ids() < rows {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} rows of {rows} arrived",
            stub.distinct_ids()
        );
        most = most.max(daemon.resident_bytes());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    daemon.caught_up(Duration::from_secs(120)).await;
    (seconds, most)
}
