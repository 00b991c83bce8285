//! Rows a second from the binlog of a real MySQL to a stand-in for DynamoDB that counts and forgets, both processes of
//! their own: the whole daemon as its users run it. MySQL works on the same machine; its share is not ours, so the rate per
//! CPU-second of the daemon stands beside the rate per second. The same rows twice: as items of their own columns, and as
//! items that take three more from joined tables.

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use support::daemon::Daemon;
use support::mysql::{self, Database, Server};
use support::stub::{Faults, Stub};

/// Rows of one transaction.
const BATCH: u64 = 1000;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("stub") {
        serve();
        return;
    }
    let rows = std::env::var("PENSTOCK_BENCH_ROWS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000_000);
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(measure(rows));
}

/// The other process: the stand-in, until its input ends.
fn serve() {
    let stub = Stub::start_fast(Faults::default());
    println!("{}", stub.url());
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
    println!("{}", stub.distinct_ids());
}

async fn measure(rows: u64) {
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    database.run(&TABLES).await;
    let mut runs = Vec::new();
    for (name, contract) in [("plain", contract(false)), ("joined", contract(true))] {
        let stub = Standin::start();
        let mut daemon = Daemon::between(server.port(), &database.name, &stub.url, &contract);
        let provisioned = daemon.command(&["provision", "--yes"]);
        assert!(provisioned.status.success(), "{provisioned:?}");
        // The copy of the empty table: from here on everything comes from the binlog.
        let copied = daemon.command(&["run", "--until-caught-up"]);
        assert!(copied.status.success(), "{copied:?}");
        runs.push((name, daemon, stub));
    }
    fill(&database, rows).await;

    println!(
        "{rows} rows in transactions of {BATCH}, five columns; joined: three more from two tables"
    );
    println!(
        "{:<8}{:>14}{:>16}{:>22}{:>14}",
        "", "rows/s", "rows/CPU-s", "CPU-s/million rows", "peak RSS"
    );
    for (name, mut daemon, mut stub) in runs {
        let begun = Instant::now();
        daemon.start();
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let status = daemon.status().await;
            if status.is_some_and(|status| status["caught_up"] == true) {
                break;
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        let cpu = daemon.cpu_seconds();
        println!(
            "{name:<8}{:>14.0}{:>16.0}{:>22.2}{:>11} MB",
            rows as f64 / seconds,
            rows as f64 / cpu,
            cpu * 1e6 / rows as f64,
            daemon.peak_bytes() >> 20
        );
        daemon.kill();
        assert_eq!(stub.end(), rows, "not every row has arrived");
    }
}

/// The stand-in's process.
struct Standin {
    child: Child,
    told: BufReader<ChildStdout>,
    url: String,
}

impl Standin {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg("stub")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the stand-in's process");
        let mut told = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut url = String::new();
        told.read_line(&mut url).expect("its address");
        Self {
            child,
            told,
            url: url.trim().to_owned(),
        }
    }

    /// How many different rows have arrived.
    fn end(&mut self) -> u64 {
        drop(self.child.stdin.take());
        let mut count = String::new();
        self.told.read_line(&mut count).expect("its count");
        let _ = self.child.wait();
        count.trim().parse().expect("a number")
    }
}

const TABLES: [&str; 5] = [
    "CREATE TABLE groups_ (id INT NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL)",
    "CREATE TABLE kinds (id INT NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, group_id INT NOT NULL)",
    "CREATE TABLE rows_ (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(100) NOT NULL,
         amount DECIMAL(12,2) NOT NULL, at DATETIME(3) NOT NULL, note TEXT, kind INT NOT NULL)",
    "INSERT INTO groups_ WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i, CONCAT('group ', i) FROM n",
    "INSERT INTO kinds WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i, CONCAT('kind ', i), 1 + i % 50 FROM n",
];

fn contract(joined: bool) -> String {
    let attribute = |name: &str, ty: &str, column: &str| json!({"name": name, "type": ty, "source_table": "rows_", "source_column": column});
    let mut attributes = vec![
        attribute("id", "N", "id"),
        attribute("name", "S", "name"),
        attribute("amount", "N", "amount"),
        attribute("at", "S", "at"),
        attribute("note", "S", "note"),
    ];
    if joined {
        let kind = json!({"target_table": "kinds", "join_condition": "kinds.id = rows_.kind", "select_column": "kinds.name"});
        let mut lookup = kind.clone();
        lookup["type"] = "lookup-table".into();
        let mut group = kind.clone();
        group["type"] = "foreign-key".into();
        group["select_column"] = "kinds.group_id".into();
        let chain = json!({"type": "chain", "joins": [kind,
            {"target_table": "groups_", "join_condition": "groups_.id = kinds.group_id", "select_column": "groups_.name"}]});
        attributes.extend([
            json!({"name": "kind", "type": "S", "join": lookup}),
            json!({"name": "group_id", "type": "N", "join": group}),
            json!({"name": "group", "type": "S", "join": chain}),
        ]);
    }
    json!({"tables": [{
        "table": "Rows", "type": "single-entity", "source_table": "rows_", "pk": "id", "sk": null, "attributes": attributes,
    }]})
    .to_string()
}

async fn fill(database: &Database<'_>, rows: u64) {
    let mut statements = vec![format!(
        "CREATE PROCEDURE fill() BEGIN DECLARE b BIGINT DEFAULT 0; WHILE b * {BATCH} < {rows} DO
           INSERT INTO rows_ WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {BATCH})
             SELECT b * {BATCH} + i, CONCAT('name ', i), i / 7, FROM_UNIXTIME(1700000000 + i), REPEAT('note ', 10), i FROM n;
           SET b = b + 1;
         END WHILE; END"
    )];
    statements.push("CALL fill()".to_owned());
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    database.run(&statements).await;
}
