//! Interleavings that make replication wrong, forced on a real server: each test fails without the rule that it is for.

mod replay;
mod start;
mod unmappable;
mod visibility;

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::items::{self, Tables};
use crate::support::mysql::Database;
use crate::support::oracle::Oracle;
use crate::support::stub::Stub;
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(60);

/// A contract that copies `id` and `v` (of this type) of each of these tables.
pub fn contract(tables: &[&str], ty: &str) -> String {
    let tables: Vec<Value> = tables
        .iter()
        .map(|name| {
            json!({
                "table": name, "type": "single-entity", "source_table": name, "pk": "id", "sk": null,
                "attributes": [
                    {"name": "id", "type": "N", "source_table": name, "source_column": "id"},
                    {"name": "v", "type": ty, "source_table": name, "source_column": "v"},
                ],
            })
        })
        .collect();
    json!({ "tables": tables }).to_string()
}

/// A daemon with its tables made, not started.
pub fn ready(database: &Database<'_>, endpoint: &str, contract: &str) -> Daemon {
    let mut daemon = Daemon::between(database.server.port(), &database.name, endpoint, contract);
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon
}

/// What the tables of [`contract`] must come to.
pub async fn expected(database: &Database<'_>, tables: &[&str]) -> Tables {
    let mut oracle = Oracle::new();
    for table in tables {
        let sql = format!("SELECT id `id:N`, v `v:S` FROM {table}");
        oracle
            .add(&mut database.conn().await, table, &["id"], &sql)
            .await;
    }
    oracle.into_tables()
}

pub async fn equal(database: &Database<'_>, target: &Target, tables: &[&str]) {
    items::compare(&expected(database, tables).await, &target.scan_all().await);
}

/// The items of one table of a stub.
pub fn scan(stub: &Stub, table: &str, keys: &[&str]) -> Tables {
    let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
    let items = stub
        .items(table)
        .values()
        .map(|item| items::canonical(item.as_object().expect("an item"), &keys))
        .collect();
    Tables::from([(table.to_owned(), items)])
}

/// `run --until-caught-up` refuses with these words.
fn refused(daemon: &mut Daemon, words: &[&str]) {
    let output = daemon.command(&["run", "--until-caught-up"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

async fn equal_stub(database: &Database<'_>, stub: &Stub, tables: &[&str]) {
    let actual = tables
        .iter()
        .flat_map(|table| scan(stub, table, &["id"]))
        .collect();
    items::compare(&expected(database, tables).await, &actual);
}
