//! Foreign keys that change rows without a word in the binlog: what they do is derived from the parents' changes.

mod copied;
mod storm;

use std::time::Duration;

use mysql_async::Conn;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{self, Database, Server};
use crate::support::oracle::Oracle;
use crate::support::proxy::{Mode, Proxy};
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(120);

/// A server whose engine follows foreign keys by itself, as all did before MySQL 9.6.
pub const NATIVE: [&str; 3] = [
    "--innodb-native-foreign-keys=ON",
    mysql::FAST[0],
    mysql::FAST[1],
];

/// Regions (outside the contract) have owners, these have folders that form trees, and folders have files. A badge is
/// owned as well, and stays when its owner goes.
const TABLES: [&str; 6] = [
    "CREATE TABLE regions (code VARCHAR(10) PRIMARY KEY) COLLATE utf8mb4_0900_ai_ci",
    "CREATE TABLE owners (id INT PRIMARY KEY, name VARCHAR(40) NOT NULL, region VARCHAR(10),
       CONSTRAINT owner_region FOREIGN KEY (region) REFERENCES regions (code) ON DELETE CASCADE ON UPDATE CASCADE) COLLATE utf8mb4_0900_ai_ci",
    "CREATE TABLE folders (id INT PRIMARY KEY, owner INT, parent INT, name VARCHAR(40) NOT NULL,
       CONSTRAINT folder_owner FOREIGN KEY (owner) REFERENCES owners (id) ON DELETE CASCADE ON UPDATE CASCADE,
       CONSTRAINT folder_parent FOREIGN KEY (parent) REFERENCES folders (id) ON DELETE CASCADE)",
    "CREATE TABLE files (folder INT NOT NULL, line INT NOT NULL, size INT NOT NULL, PRIMARY KEY (folder, line),
       CONSTRAINT file_folder FOREIGN KEY (folder) REFERENCES folders (id) ON DELETE CASCADE)",
    "CREATE TABLE badges (id INT PRIMARY KEY, owner INT, label VARCHAR(20) NOT NULL,
       CONSTRAINT badge_owner FOREIGN KEY (owner) REFERENCES owners (id) ON DELETE SET NULL ON UPDATE SET NULL)",
    "CREATE TABLE notes (id INT PRIMARY KEY, owner INT, text VARCHAR(20) NOT NULL,
       CONSTRAINT note_owner FOREIGN KEY (owner) REFERENCES owners (id) ON DELETE SET NULL ON UPDATE CASCADE)",
];

const ROWS: [&str; 6] = [
    "INSERT INTO regions VALUES ('north'), ('south'), ('east')",
    "INSERT INTO owners VALUES (1, 'Ada', 'north'), (2, 'Bob', 'south'), (3, 'Cyd', NULL), (4, 'Dan', 'NORTH')",
    "INSERT INTO folders VALUES (1, 1, NULL, 'a'), (2, NULL, 1, 'aa'), (3, NULL, 2, 'aaa'), (4, 2, NULL, 'b'), (5, 3, 4, 'bb'), (6, 4, 5, 'bbb')",
    "INSERT INTO files VALUES (1, 1, 10), (2, 1, 20), (3, 1, 30), (3, 2, 31), (4, 1, 40), (5, 1, 50), (6, 9, 60)",
    "INSERT INTO badges VALUES (1, 1, 'x'), (2, 1, 'y'), (3, 2, 'z'), (4, NULL, 'w')",
    "INSERT INTO notes VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z'), (4, 4, 'w')",
];

fn column(name: &str, ty: &str) -> Value {
    json!({"name": name, "type": ty, "source_column": name})
}

fn single(table: &str, source: &str, pk: &str, sk: Option<&str>, attributes: Value) -> Value {
    json!({"table": table, "type": "single-entity", "source_table": source, "pk": pk, "sk": sk, "attributes": attributes})
}

/// Items of single rows, and items that join over the same foreign keys.
pub fn contract() -> String {
    let owner = |name: &str, select: &str| {
        json!({"name": name, "type": "S", "join": {"type": "foreign-key", "target_table": "owners",
            "join_condition": "owners.id = folders.owner", "select_column": select}})
    };
    let folders = json!([
        column("id", "N"), column("name", "S"), column("owner", "N"), column("parent", "N"),
        owner("owner_name", "owners.name"), owner("region", "owners.region"),
        {"name": "above", "type": "S", "join": {"type": "self-join", "join_alias": "up",
            "join_condition": "folders.parent = up.id", "select_column": "up.name"}},
        {"name": "size", "type": "N", "calculation": {"type": "aggregate", "operation": "SUM", "target_table": "files",
            "join_condition": "files.folder = folders.id", "select_column": "files.size"}},
    ]);
    json!({"tables": [
        single("Folders", "folders", "id", None, folders),
        single("Files", "files", "folder", Some("line"), json!([column("folder", "N"), column("line", "N"), column("size", "N")])),
        single("Badges", "badges", "id", None, json!([column("id", "N"), column("owner", "N"), column("label", "S")])),
        single("Notes", "notes", "id", None, json!([column("id", "N"), column("owner", "N"), column("text", "S")])),
    ]})
    .to_string()
}

/// What the items must be.
pub async fn expected(conn: &mut Conn) -> Oracle {
    let mut oracle = Oracle::new();
    let folders = "SELECT f.id `id:N`, f.name, f.owner `owner:N`, f.parent `parent:N`, o.name owner_name, o.region region, u.name above,
        (SELECT SUM(size) FROM files x WHERE x.folder = f.id) `size:N`
        FROM folders f LEFT JOIN owners o ON o.id = f.owner LEFT JOIN folders u ON u.id = f.parent";
    oracle.add(conn, "Folders", &["id"], folders).await;
    let files = "SELECT folder `folder:N`, line `line:N`, size `size:N` FROM files";
    oracle.add(conn, "Files", &["folder", "line"], files).await;
    let badges = "SELECT id `id:N`, owner `owner:N`, label FROM badges";
    oracle.add(conn, "Badges", &["id"], badges).await;
    let notes = "SELECT id `id:N`, owner `owner:N`, text FROM notes";
    oracle.add(conn, "Notes", &["id"], notes).await;
    oracle
}

pub async fn fill(database: &Database<'_>) {
    database.run(&TABLES).await;
    database.run(&ROWS).await;
}

pub fn ready(database: &Database<'_>, target: &Target, contract: &str) -> Daemon {
    let mut daemon = Daemon::new(database, target, contract);
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon
}

/// Waits until both sides are at the same place, and compares.
pub async fn equal(database: &Database<'_>, daemon: &mut Daemon, target: &Target) {
    daemon.caught_up(PATIENCE).await;
    let expected = expected(&mut database.conn().await).await;
    items::compare(expected.tables(), &target.scan_all().await);
}

/// Each kind of cascade on its own, then all items compared.
#[tokio::test]
async fn a_parent_is_deleted_on_a_server_that_does_not_log_cascades() {
    let server = Server::start(&NATIVE);
    let database = Database::create(&server).await;
    fill(&database).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    daemon.start();
    equal(&database, &mut daemon, &target).await;
    for statement in [
        // Owners, their folders with all below, and their files; badges and notes stay.
        "DELETE FROM owners WHERE id = 1",
        // Through two levels, by another spelling of the key.
        "UPDATE regions SET code = 'SÜD' WHERE code = 'south'",
        "UPDATE owners SET id = 20 WHERE id = 2",
        "UPDATE owners SET id = id + 100",
        // The same text to the collation, and another to the items.
        "UPDATE regions SET code = 'North' WHERE code = 'north'",
        // A table that nobody reads.
        "DELETE FROM regions WHERE code = 'north'",
        "INSERT INTO owners VALUES (1, 'Ada again', NULL), (2, 'Bob again', 'east')",
        "INSERT INTO folders VALUES (10, 1, NULL, 'c'), (11, NULL, 10, 'cc'), (12, NULL, 11, 'ccc'), (13, 2, 12, 'cccc')",
        "INSERT INTO files VALUES (10, 1, 1), (11, 1, 2), (12, 1, 3), (13, 1, 4)",
        // A tree, from its root.
        "DELETE FROM folders WHERE id = 10",
        "INSERT INTO folders VALUES (10, 1, NULL, 'c'), (11, 1, 10, 'cc')",
        // It deletes and inserts, and what hung on the old row is gone.
        "REPLACE INTO owners VALUES (1, 'Ada replaced', 'east')",
        "INSERT INTO badges VALUES (10, 1, 'v'), (11, 2, 'u')",
        "UPDATE owners SET id = 50 WHERE id = 2",
        "DELETE FROM owners",
    ] {
        println!("{statement}");
        database.run(&[statement]).await;
        equal(&database, &mut daemon, &target).await;
    }
    assert!(daemon.metric("penstock_source_cascaded_rows_total").await > 20.0);
    assert_eq!(daemon.metric("penstock_dead_letter_rows").await, 0.0);
}

/// What a session does that does not look at foreign keys touches no child.
#[tokio::test]
async fn without_foreign_key_checks_nothing_cascades() {
    let server = Server::start(&NATIVE);
    let database = Database::create(&server).await;
    fill(&database).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    daemon.start();
    equal(&database, &mut daemon, &target).await;
    database
        .run(&[
            "SET foreign_key_checks = 0",
            "DELETE FROM owners WHERE id = 1",
            "UPDATE owners SET id = 20 WHERE id = 2",
            "DELETE FROM folders WHERE id = 4",
        ])
        .await;
    equal(&database, &mut daemon, &target).await;
    // Orphans find parents again, and go with them.
    database
        .run(&["INSERT INTO owners VALUES (1, 'Eve', NULL)"])
        .await;
    equal(&database, &mut daemon, &target).await;
    database.run(&["DELETE FROM owners WHERE id = 1"]).await;
    equal(&database, &mut daemon, &target).await;
    // While one of the tables is copied, cascades would pass through rows that are not known.
    let output = daemon.command(&["resnapshot", "folders"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["cannot be copied alone", "penstock run --resnapshot"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Many changes in one transaction: each cascade sees what those before it have left.
#[tokio::test]
async fn cascades_follow_the_order_of_the_changes() {
    let server = Server::start(&NATIVE);
    let database = Database::create(&server).await;
    fill(&database).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    daemon.start();
    equal(&database, &mut daemon, &target).await;
    database
        .run(&[
            "START TRANSACTION",
            // Two owners change places, with all that they have.
            "UPDATE owners SET id = 99 WHERE id = 1",
            "UPDATE owners SET id = 1 WHERE id = 2",
            "UPDATE owners SET id = 2 WHERE id = 99",
            // A folder escapes before its owner goes; another comes too late.
            "UPDATE folders SET owner = 3 WHERE id = 4",
            "DELETE FROM owners WHERE id = 1",
            "INSERT INTO owners VALUES (1, 'New', NULL)",
            "INSERT INTO folders VALUES (30, 1, NULL, 'late')",
            "COMMIT",
        ])
        .await;
    equal(&database, &mut daemon, &target).await;
}

/// The connection breaks in the middle of a transaction that streams through, after its cascades. It comes again from
/// its beginning, and by then other rows have the keys that they took.
#[tokio::test]
async fn a_transaction_that_comes_twice_cascades_once() {
    let server = Server::start(&NATIVE);
    let database = Database::create(&server).await;
    fill(&database).await;
    database
        .run(&["ALTER TABLE notes ADD COLUMN pad VARCHAR(3000)"])
        .await;
    let target = Target::dynoxide();
    let proxy = Proxy::to(server.port(), 1);
    let mut daemon = Daemon::between(
        proxy.port(),
        &database.name,
        &target.endpoint(),
        &contract(),
    );
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    equal(&database, &mut daemon, &target).await;
    for round in 1..=4 {
        proxy.set(Mode::Cut(24 << 20));
        let from = round * 100_000;
        let notes = format!(
            "INSERT INTO notes WITH RECURSIVE n AS (SELECT {from} i UNION ALL SELECT i + 1 FROM n WHERE i < {from} + 8000) SELECT i, NULL, 'n', REPEAT('x', 3000) FROM n"
        );
        database
            .run(&[
                "SET SESSION cte_max_recursion_depth = 100000",
                "START TRANSACTION",
                "UPDATE owners SET id = 99 WHERE id = 1",
                "UPDATE owners SET id = 1 WHERE id = 2",
                "UPDATE owners SET id = 2 WHERE id = 99",
                &notes,
                "COMMIT",
            ])
            .await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        proxy.set(Mode::Pass);
        equal(&database, &mut daemon, &target).await;
    }
    println!("{} connections were cut", proxy.cuts());
}

/// What is derived is told, and cannot change under a checkpoint.
#[tokio::test]
async fn check_and_explain_tell_what_is_derived_and_another_setting_is_another_plan() {
    let server = Server::start(&NATIVE);
    let database = Database::create(&server).await;
    fill(&database).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    let check = daemon.command(&["check"]);
    let text = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success(), "{text}");
    assert!(
        text.contains("cascade-derived") && text.contains("folder_parent"),
        "{text}"
    );
    let explain = daemon.command(&["explain"]);
    let text = String::from_utf8_lossy(&explain.stdout).into_owned();
    for part in [
        "owner_region",
        "watched, not copied",
        "ON DELETE SET NULL, ON UPDATE CASCADE",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    daemon.start();
    equal(&database, &mut daemon, &target).await;
    daemon.kill();
    server.stop(false);
    server.start_again(&["--innodb-native-foreign-keys=OFF"]);
    daemon.start();
    let status = daemon.ended(PATIENCE);
    assert!(!status.success());
    assert!(daemon.log().contains("resnapshot"), "{}", daemon.log());
}

/// Columns whose values InnoDB would copy in another form are refused by name.
#[tokio::test]
async fn foreign_keys_that_cannot_be_derived_are_refused_by_name() {
    let server = Server::start(&NATIVE);
    let database = Database::create(&server).await;
    database
        .run(&[
            "CREATE TABLE kinds (code VARCHAR(10) COLLATE utf8mb4_czech_ci PRIMARY KEY)",
            "CREATE TABLE things (id INT PRIMARY KEY, kind VARCHAR(10) COLLATE utf8mb4_czech_ci,
               CONSTRAINT of_kind FOREIGN KEY (kind) REFERENCES kinds (code) ON DELETE CASCADE)",
        ])
        .await;
    let target = Target::dynoxide();
    let contract =
        json!({"tables": [single("Things", "things", "id", None, json!([column("id", "N")]))]});
    let mut daemon = Daemon::new(&database, &target, &contract.to_string());
    let output = daemon.command(&["check"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("of_kind") && text.contains("czech"), "{text}");
}
