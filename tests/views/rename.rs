//! One row under many: the change reaches every item, in pages, within the memory that the daemon may take.

use std::time::Duration;

use super::{contract, expected, fill, ready};
use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{self, Database, Server};
use crate::support::stub::{Faults, Stub};
use crate::support::target::Target;

/// What may be resident, however many items a change reaches.
const LIMIT: u64 = 500_000_000;
const PATIENCE: Duration = Duration::from_secs(3600);
const RENAME: &str = "UPDATE categories SET name = 'Saws and blades' WHERE id = 2";

/// PENSTOCK_FULL=1: all of them; otherwise so small a part.
fn rows(all: u64, part: u64) -> u64 {
    let full = std::env::var("PENSTOCK_FULL").is_ok_and(|value| value == "1");
    if full { all } else { all / part }
}

/// So many products in category 2, beside the few that are there.
async fn products(database: &Database<'_>, count: u64) {
    fill(database).await;
    let insert = format!(
        "INSERT INTO products
         WITH RECURSIVE n AS (SELECT 0 i UNION ALL SELECT i + 1 FROM n WHERE i + 1 < 1000),
                        m AS (SELECT 0 j UNION ALL SELECT j + 1 FROM m WHERE j + 1 < {})
         SELECT 1000 + j * 1000 + i, CONCAT('P', j * 1000 + i), (j * 1000 + i) / 100, 2 FROM m CROSS JOIN n",
        count / 1000
    );
    database
        .run(&["SET SESSION cte_max_recursion_depth = 100000", &insert])
        .await;
}

async fn put(daemon: &mut Daemon) -> f64 {
    daemon.metric("penstock_target_items_total").await
}

#[tokio::test]
async fn a_category_is_renamed_under_a_million_products_and_a_kill_in_the_middle_ends_equal() {
    let count = rows(1_000_000, 10);
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    products(&database, count).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    let copied = daemon.peak_bytes();
    let before = put(&mut daemon).await;
    assert!(before >= count as f64);
    database.run(&[RENAME]).await;
    let part = before + count as f64 / 4.0;
    while put(&mut daemon).await < part {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let done = put(&mut daemon).await - before;
    let killed = daemon.peak_bytes();
    daemon.kill();
    assert!(done < count as f64, "the kill came too late: {done} items");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    let again = daemon.peak_bytes();
    println!(
        "{count} products: killed after {done} items; resident at the most: copy {} MB, rename {} MB, after the kill {} MB",
        copied / 1_000_000,
        killed / 1_000_000,
        again / 1_000_000
    );
    let expected = expected(&mut database.conn().await).await;
    items::compare(expected.tables(), &target.scan_all().await);
    let most = copied.max(killed).max(again);
    assert!(most < LIMIT, "{most} bytes were resident, {LIMIT} may be");
}

/// Rows of state that no change has to hold in memory; the stand-in for DynamoDB counts the items and forgets them.
#[tokio::test]
async fn five_million_rows_of_state_are_not_in_memory() {
    let count = rows(5_000_000, 50);
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    products(&database, count).await;
    let stub = Stub::start_fast(Faults::default());
    let mut daemon = Daemon::between(server.port(), &database.name, &stub.url(), &contract());
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    let before = put(&mut daemon).await;
    database.run(&[RENAME]).await;
    daemon.caught_up(PATIENCE).await;
    let renamed = put(&mut daemon).await - before;
    let most = daemon.peak_bytes();
    println!(
        "{count} rows of state, {renamed} items of one change: resident at the most {} MB, state on disk {} MB",
        most / 1_000_000,
        daemon.metric("penstock_state_disk_bytes").await / 1e6
    );
    assert!(renamed >= count as f64);
    assert!(most < LIMIT, "{most} bytes were resident, {LIMIT} may be");
}
