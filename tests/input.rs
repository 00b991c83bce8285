//! Bad input from every side: no panic, a clear error, bounded time and memory, and a position that stays where it was.

mod access;
mod contract;
mod proxy;
mod settings;
mod source;
mod state;
mod target;

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{Database, Server};
use crate::support::oracle::Oracle;
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(60);

/// One table, one kind of item.
fn things() -> String {
    json!({"tables": [{
        "table": "Things", "type": "single-entity", "source_table": "things", "pk": "id", "sk": null,
        "satisfies": ["reading"], "estimated_item_size_bytes": 100,
        "attributes": [
            {"name": "id", "type": "N", "source_table": "things", "source_column": "id"},
            {"name": "v", "type": "S", "source_table": "things", "source_column": "v"},
        ],
    }]})
    .to_string()
}

/// A database with `rows` rows in `things`.
async fn filled(server: &Server, rows: u32) -> Database<'_> {
    let database = Database::create(server).await;
    let insert = format!(
        "INSERT INTO things WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         SELECT /*+ SET_VAR(cte_max_recursion_depth = 1000000) */ i, REPEAT(CHAR(97 + i % 26 USING utf8mb4), 100) FROM n"
    );
    let table = "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(200))";
    database.run(&[table, insert.as_str()]).await;
    database
}

/// The items are the rows of now.
async fn equal(database: &Database<'_>, target: &Target) {
    let mut expected = Oracle::new();
    let sql = "SELECT id `id:N`, v `v:S` FROM things";
    expected
        .add(&mut database.conn().await, "Things", &["id"], sql)
        .await;
    items::compare(expected.tables(), &target.scan_all().await);
}

async fn make_table(target: &Target) {
    target
        .create_table("Things", &[("id", "N")])
        .await
        .expect("a table");
}

/// Waits until the stream has stopped; what `/status` says then.
async fn stopped(daemon: &mut Daemon) -> Value {
    daemon
        .reach("the stream stops", PATIENCE, |s| !s["stopped"].is_null())
        .await
}

/// Runs a statement as a transaction with a GTID of its own, whose UUID is given back: other tests write too, and
/// move the position by their transactions.
async fn marked(database: &Database<'_>, statement: &str) -> String {
    let hex = format!("{:032x}", fastrand::u128(..));
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    let uuid = parts.join("-");
    let next = format!("SET SESSION gtid_next = '{uuid}:1'");
    database
        .run(&[
            next.as_str(),
            statement,
            "SET SESSION gtid_next = 'AUTOMATIC'",
        ])
        .await;
    uuid
}

/// The position is before the transaction with this mark.
#[track_caller]
fn is_before(status: &Value, mark: &str) {
    let gtids = status["position"]["gtids"].as_str().expect("a position");
    assert!(
        !gtids.is_empty() && !gtids.contains(mark),
        "{mark}: {status}"
    );
}

/// Everything that a command printed; panics where it panicked.
fn text(output: &Output) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// The command ends with this status, tells these words, and does not panic.
#[track_caller]
fn fails(daemon: &mut Daemon, arguments: &[&str], code: i32, words: &[&str]) -> String {
    let output = daemon.command(arguments);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{arguments:?}: no {word:?} in: {text}");
    }
    text
}

fn no_panic(daemon: &Daemon) {
    let log = daemon.logs();
    assert!(!log.contains("panicked"), "{log}");
}
