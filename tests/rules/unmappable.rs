//! A row without a valid item has no item and one dead letter, which ends with the row's next valid change.

use std::time::Duration;

use mysql_async::prelude::Queryable;

use super::{PATIENCE, contract, ready};
use crate::support::daemon::Daemon;
use crate::support::eventually;
use crate::support::items;
use crate::support::mysql::{Database, Server};
use crate::support::oracle::Oracle;
use crate::support::target::Target;

/// What stands in columns that are no numbers, and must stand nowhere else.
const SECRET: &str = "planted-secret";
/// A checkpoint is committed several times a second.
const SETTLED: Duration = Duration::from_secs(1);

fn letters(daemon: &mut Daemon) -> Vec<String> {
    let output = daemon.command(&["dead-letters", "list"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(!text.contains(SECRET), "{text}");
    let mut keys: Vec<String> = text
        .lines()
        .filter_map(|line| {
            line.split("  key ")
                .nth(1)?
                .split_whitespace()
                .next()
                .map(str::to_owned)
        })
        .collect();
    keys.sort();
    keys
}

/// Waits until exactly the rows of these keys have a letter: it is stored a moment after the item is written.
async fn listed(daemon: &mut Daemon, keys: &[&str]) {
    let what = format!("the dead letters {keys:?}");
    eventually(&what, PATIENCE, async || {
        (letters(daemon) == keys).then_some(())
    })
    .await;
}

async fn equal(database: &Database<'_>, target: &Target) {
    let mut expected = Oracle::new();
    let sql = "SELECT id `id:N`, v `v:N` FROM things WHERE v REGEXP '^[0-9]+$'";
    expected
        .add(&mut database.conn().await, "things", &["id"], sql)
        .await;
    items::compare(expected.tables(), &target.scan_all().await);
}

#[tokio::test]
async fn a_dead_letter_lives_as_long_as_its_row_has_no_valid_item() {
    let database = Server::shared().database().await;
    let secret = |id: u32| format!("INSERT INTO things VALUES ({id}, '{SECRET}-{id}')");
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(40))",
            "INSERT INTO things VALUES (1, '10'), (3, '30'), (5, '50'), (7, '70')",
            &secret(2),
            &secret(4),
        ])
        .await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target.endpoint(), &contract(&["things"], "N"));
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    listed(&mut daemon, &["2", "4"]).await;
    equal(&database, &target).await;

    // Rows that had an item, a new one, and a primary key that changes.
    let update = format!("UPDATE things SET v = '{SECRET}' WHERE id IN (1, 3)");
    database
        .run(&[
            &update,
            &secret(6),
            "UPDATE things SET id = 14 WHERE id = 4",
        ])
        .await;
    daemon.caught_up(PATIENCE).await;
    // Whether or not the checkpoint had moved: the letters are there again.
    daemon.kill();
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    equal(&database, &target).await;
    listed(&mut daemon, &["1", "14", "2", "3", "6"]).await;
    tokio::time::sleep(SETTLED).await;
    daemon.kill();
    assert_eq!(letters(&mut daemon), ["1", "14", "2", "3", "6"]);
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    assert_eq!(daemon.metric("penstock_dead_letter_rows").await, 5.0);

    // A valid change, and deletions of rows that never had an item and of one that had; another bad value changes nothing.
    let mut conn = database.conn().await;
    for statement in [
        "UPDATE things SET v = '11' WHERE id = 1",
        "UPDATE things SET v = '22' WHERE id = 2",
        "DELETE FROM things WHERE id IN (3, 14)",
        "UPDATE things SET v = CONCAT(v, '-more') WHERE id = 6",
    ] {
        conn.query_drop(statement).await.expect("a change");
    }
    daemon.caught_up(PATIENCE).await;
    listed(&mut daemon, &["6"]).await;
    tokio::time::sleep(SETTLED).await;
    daemon.kill();
    assert_eq!(letters(&mut daemon), ["6"]);
    equal(&database, &target).await;
    daemon.start();
    conn.query_drop("DELETE FROM things WHERE id = 6")
        .await
        .expect("a delete");
    daemon.caught_up(PATIENCE).await;
    listed(&mut daemon, &[]).await;
    let logs = daemon.logs();
    assert!(!logs.contains(SECRET), "a value is in the log");
    assert!(
        logs.contains("dead-letters list"),
        "the log tells of dead letters"
    );
}
