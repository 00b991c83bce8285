//! What the commands say, word for word: `tests/golden/cli`. PENSTOCK_BLESS=1 writes what they say now.

use std::process::Output;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::root;
use crate::support::stub::{Faults, Stub};
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(60);

/// A database whose name has the same length in every run.
async fn database(name: &str) -> Database<'static> {
    let server = Server::shared();
    let mut conn = server.conn(None).await;
    let create = format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4");
    conn.query_drop(create).await.expect("a database");
    let database = Database {
        server,
        name: name.to_owned(),
    };
    database
        .run(&[
            "CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(50) NOT NULL, email VARCHAR(100), born DATE)",
            "CREATE TABLE pets (id INT PRIMARY KEY, owner_id INT NOT NULL, name VARCHAR(50), weight FLOAT)",
            "INSERT INTO people VALUES (1, 'Ann', 'ann@example.com', '1980-02-03'), (2, 'Bob', NULL, NULL)",
            "INSERT INTO pets VALUES (10, 1, 'Rex', 12.5)",
            "ANALYZE TABLE people, pets",
        ])
        .await;
    database
}

fn column(name: &str, ty: &str, table: &str, column: &str) -> Value {
    json!({"name": name, "type": ty, "source_table": table, "source_column": column})
}

fn contract() -> Value {
    json!({"tables": [
        {
            "table": "People", "type": "single-entity", "source_table": "people", "pk": "email", "sk": "id",
            "satisfies": ["sign in"], "estimated_item_size_bytes": 200,
            "gsis": [{"index_name": "ByName", "pk": "name", "projection": "KEYS_ONLY"}],
            "attributes": [
                column("email", "S", "people", "email"),
                column("id", "N", "people", "id"),
                column("name", "S", "people", "name"),
                {"name": "born", "type": "S", "source_table": "people", "source_column": "born",
                 "transformation": {"type": "date-format", "format": "DD.MM.YYYY"}},
            ],
        },
        {
            "table": "Pets", "type": "single-entity", "source_table": "pets", "pk": "id", "sk": null,
            "satisfies": ["feeding"], "estimated_item_size_bytes": 200,
            "attributes": [
                column("id", "N", "pets", "id"),
                column("owner", "N", "pets", "owner_id"),
                column("weight", "N", "pets", "weight"),
            ],
        },
    ]})
}

/// Replaces what differs between runs.
struct Mask(Vec<(String, &'static str)>);

impl Mask {
    async fn new(database: &Database<'_>, daemon: &Daemon, endpoint: &str) -> Mask {
        let mut conn = database.conn().await;
        let facts: Option<(String, String)> = conn
            .query_first("SELECT @@server_uuid, @@version")
            .await
            .expect("the server's names");
        let (uuid, version) = facts.expect("a row");
        Mask(vec![
            (daemon.path().display().to_string(), "FOLDER"),
            (endpoint.to_owned(), "ENDPOINT"),
            (format!("127.0.0.1:{}", database.server.port()), "MYSQL"),
            (uuid, "UUID"),
            (version, "VERSION"),
        ])
    }

    fn text(&self, output: &Output) -> String {
        let mut text = format!(
            "{}{}exit status {}\n",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            output.status.code().unwrap_or(-1)
        );
        for (from, to) in &self.0 {
            text = text.replace(from, to);
        }
        // The log is another matter.
        text.lines()
            .filter(|line| !line.starts_with("{\"timestamp\""))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// The same, without any number.
    fn numberless(&self, output: &Output) -> String {
        let mut out = String::new();
        for c in self.text(output).chars() {
            match c {
                '0'..='9' if out.ends_with('#') => {}
                '0'..='9' => {
                    // Numbers are set to the right: without their spaces.
                    while out.ends_with("  ") {
                        out.pop();
                    }
                    out.push('#');
                }
                c => out.push(c),
            }
        }
        // Other tests write to the same server, and the first answers may be on their way.
        out.lines()
            .filter(|line| !line.starts_with("checkpoint"))
            .map(|line| match line.starts_with("position") {
                true => "position      GTIDS (FILE)\n".to_owned(),
                false => format!("{line}\n").replace(" unknown", " #.# s"),
            })
            .collect()
    }
}

#[track_caller]
fn golden(name: &str, text: &str) {
    let file = root().join("tests/golden/cli").join(name);
    if std::env::var_os("PENSTOCK_BLESS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder");
        std::fs::write(&file, text).expect("the golden file");
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        text == expected,
        "{name} differs (PENSTOCK_BLESS=1 accepts it).\n--- is\n{text}--- was\n{expected}"
    );
}

#[tokio::test]
async fn check_explain_and_provision() {
    let database = database("cli_plan").await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract().to_string());
    let mask = Mask::new(&database, &daemon, &target.endpoint()).await;
    let mut says = |name: &str, arguments: &[&str]| {
        golden(name, &mask.text(&daemon.command(arguments)));
    };
    says("check-offline.txt", &["check", "--offline"]);
    says("check-missing-tables.txt", &["check"]);
    says("explain.txt", &["explain"]);
    says("explain-offline.txt", &["explain", "--offline"]);
    says("explain-sql.txt", &["explain", "--sql"]);
    says(
        "explain-sql-offline.txt",
        &["explain", "--sql", "--offline"],
    );
    says("provision-missing.txt", &["provision"]);
    says("provision-yes.txt", &["provision", "--yes"]);
    says("provision-present.txt", &["provision"]);
    says("check-good.txt", &["check"]);
    says("status-never.txt", &["status"]);
    says("dead-letters-none.txt", &["dead-letters", "list"]);

    let mut other = contract();
    other["tables"][1]["pk"] = "owner".into();
    other["tables"][0]["attributes"][2]["source_column"] = "nmae".into();
    other["tables"][1]["attributes"][2]["join"] = json!({"type": "foreign-key", "target_table": "people",
        "join_condition": "pets.owner_id = people.id", "select_column": "people.name"});
    daemon.contract(&serde_json::to_string_pretty(&other).expect("JSON"));
    let mut says = |name: &str, arguments: &[&str]| {
        golden(name, &mask.text(&daemon.command(arguments)));
    };
    says("check-bad.txt", &["check"]);
    says("run-refused.txt", &["run"]);
    let mut other = contract();
    other["tables"][1]["attributes"][0]["type"] = "S".into();
    daemon.contract(&other.to_string());
    golden(
        "provision-differs.txt",
        &mask.text(&daemon.command(&["provision", "--yes"])),
    );
}

#[tokio::test]
async fn check_tells_what_the_account_lacks() {
    let database = database("cli_few").await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract().to_string());
    database
        .run(&["CREATE USER 'cli_few'@'%' IDENTIFIED BY ''"])
        .await;
    daemon.set("source", "user", "\"cli_few\"");
    let mask = Mask::new(&database, &daemon, &target.endpoint()).await;
    golden("check-grants.txt", &mask.text(&daemon.command(&["check"])));
    golden("run-grants.txt", &mask.text(&daemon.command(&["run"])));
}

#[tokio::test]
async fn status_from_the_copy_to_the_stop() {
    let database = database("cli_status").await;
    let stub = Stub::start(Faults {
        latency: Duration::from_secs(3),
        ..Faults::default()
    });
    stub.create_table("People", &[("email", "S"), ("id", "N")]);
    stub.create_table("Pets", &[("id", "N")]);
    let mut contract = contract();
    if let Some(people) = contract["tables"][0].as_object_mut() {
        people.remove("gsis");
    }
    let mut daemon = Daemon::between(
        database.server.port(),
        &database.name,
        &stub.url(),
        &contract.to_string(),
    );
    let mask = Mask::new(&database, &daemon, &stub.url()).await;
    daemon.start();
    daemon.phase("snapshot", PATIENCE).await;
    let says = |daemon: &mut Daemon, name: &str, arguments: &[&str]| {
        golden(name, &mask.numberless(&daemon.command(arguments)));
    };
    says_settled(&mut daemon, &mask, "status-snapshot.txt").await;
    stub.set_faults(Faults::default());
    daemon.caught_up(PATIENCE).await;
    daemon.phase("ready", PATIENCE).await;
    says(&mut daemon, "status-ready.txt", &["status"]);
    says(&mut daemon, "dead-letters.txt", &["dead-letters", "list"]);
    database
        .run(&["ALTER TABLE pets ADD COLUMN breed VARCHAR(20)"])
        .await;
    daemon
        .reach("the stream stops", PATIENCE, |s| !s["stopped"].is_null())
        .await;
    says(&mut daemon, "status-stopped.txt", &["status"]);
    daemon.terminate(Duration::from_secs(10));
    says(&mut daemon, "status-not-running.txt", &["status"]);
    says(
        &mut daemon,
        "run-until-caught-up-stopped.txt",
        &["run", "--until-caught-up"],
    );
}

/// The number of rows that are on their way differs from run to run, and so does what is known of the lag.
async fn says_settled(daemon: &mut Daemon, mask: &Mask, name: &str) {
    daemon
        .reach("rows are being copied", PATIENCE, |s| {
            let tables = s["snapshot"].as_array().cloned().unwrap_or_default();
            tables.iter().all(|t| t["state"] == "copying")
        })
        .await;
    let text = mask.numberless(&daemon.command(&["status"]));
    golden(name, &text);
}

/// 200 tables and 3,000 attributes, joins and calculations among them, offline: what a person waits for, in CPU time, so
/// that other work on the machine does not count.
#[tokio::test]
async fn a_large_contract_is_checked_in_less_than_a_second() {
    let attribute = |table: usize, n: usize| {
        let (name, next) = (format!("a{n}"), (table + 1) % 200);
        let condition = format!("t{next}.id = t{table}.a1");
        match n {
            0 => column("id", "N", &format!("t{table}"), "id"),
            5 => {
                json!({"name": name, "type": "S", "join": {"type": "foreign-key", "target_table": format!("t{next}"),
                "join_condition": condition, "select_column": format!("t{next}.a2")}})
            }
            6 => {
                json!({"name": name, "type": "L", "join": {"type": "json-construction", "target_table": format!("t{next}"),
                "join_condition": condition, "construction": {"type": "array", "order_by": format!("t{next}.a3 DESC"),
                    "limit": 10, "select_columns": {"x": format!("t{next}.a2"), "y": format!("t{next}.a3 * 2")}}}})
            }
            7 => {
                json!({"name": name, "type": "N", "calculation": {"type": "aggregate", "operation": "SUM",
                "target_table": format!("t{next}"), "join_condition": condition, "select_column": format!("t{next}.a4")}})
            }
            8 => {
                json!({"name": name, "type": "S", "source_column": "a8", "calculation": {"type": "case",
                "cases": [{"when": "a8 > 3 AND a9 IS NOT NULL", "then": "'many'"}], "else": "'few'"}})
            }
            _ => column(&name, "S", &format!("t{table}"), &name),
        }
    };
    let tables: Vec<Value> = (0..200)
        .map(|table| {
            let attributes: Vec<Value> = (0..15).map(|n| attribute(table, n)).collect();
            json!({"table": format!("Table{table}"), "type": "single-entity", "source_table": format!("t{table}"),
                "pk": "id", "sk": null, "attributes": attributes})
        })
        .collect();
    let contract = json!({ "tables": tables }).to_string();
    let mut daemon = Daemon::between(1, "shop", "http://127.0.0.1:1", &contract);
    let (output, seconds) = daemon.command_timed(&["check", "--offline"]);
    assert!(output.status.success(), "{output:?}");
    println!(
        "{} bytes of contract: {seconds} CPU seconds",
        contract.len()
    );
    assert!(seconds < 1.0, "{seconds} CPU seconds");
}
