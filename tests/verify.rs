//! `penstock verify`: what differs is found, what does not is left alone, whatever the stream does meanwhile.

mod dirty;
pub mod engine;

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use penstock::demo::load::Load;
use penstock::demo::sample::{self, Sizes};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::root;
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(180);

/// The shop, which a load writes to, and tables that nobody writes to.
fn contract(database: &str) -> String {
    let text = std::fs::read_to_string(root().join("contracts/shop.json")).expect("the contract");
    let text = text.replace("\"shop.", &format!("\"{database}."));
    let mut contract: Value = serde_json::from_str(&text).expect("JSON");
    let column = |name: &str, ty: &str| json!({"name": name, "type": ty, "source_column": name});
    let more = [
        json!({"table": "Quiet", "type": "single-entity", "source_table": "quiet", "pk": "id",
            "attributes": [column("id", "N"), column("name", "S"), column("amount", "N"), column("tags", "SS")]}),
        json!({"table": "Named", "type": "multi-entity", "pk": "PK", "entities": [
            {"entity_type": "Q", "source_table": "quiet", "pk_template": "NAME#{name}", "attributes": [column("name", "S"), column("id", "N")]}]}),
        json!({"table": "Joined", "type": "single-entity", "source_table": "quiet", "pk": "id", "attributes": [
            column("id", "N"),
            {"name": "town", "type": "S", "source_column": "town", "join": {"type": "foreign-key", "target_table": "towns",
                "join_condition": "towns.id = quiet.town", "select_column": "title"}},
            {"name": "of_name", "type": "N", "source_column": "id", "calculation": {"type": "aggregate", "operation": "COUNT",
                "target_table": "visits", "join_condition": "visits.quiet = quiet.id"}}]}),
    ];
    let tables = contract["tables"].as_array_mut().expect("tables");
    tables.extend(more);
    contract.to_string()
}

async fn fill(database: &Database<'_>, quiet: u32) {
    let mut conn = database.conn().await;
    sample::create(&mut conn, &database.name)
        .await
        .expect("the tables");
    sample::fill(&mut conn, Sizes::SMALL, 7, |_| {})
        .await
        .expect("the rows");
    database
        .run(&[
            "SET cte_max_recursion_depth = 1000000",
            "CREATE TABLE quiet (id INT PRIMARY KEY, name VARCHAR(40), amount VARCHAR(20), tags SET('a','b','c'), town INT)",
            "CREATE TABLE towns (id INT PRIMARY KEY, title VARCHAR(20))",
            "CREATE TABLE visits (id INT PRIMARY KEY, quiet INT)",
            "INSERT INTO towns VALUES (1, 'Bern'), (2, 'Basel')",
            "INSERT INTO visits VALUES (1, 5), (2, 5), (3, 6)",
            &format!("INSERT INTO quiet WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {quiet})
                SELECT i, CONCAT('name ', i), i * 1.50, 'a,c', i % 3 FROM n"),
            // The key `NAME#name 20` is row 20's, though row 21 would make it, too; row 30 has no valid item in Quiet.
            "UPDATE quiet SET name = 'name 20' WHERE id = 21",
            "UPDATE quiet SET amount = 'much' WHERE id = 30",
        ])
        .await;
}

struct Scene {
    database: Database<'static>,
    target: Target,
    daemon: Daemon,
}

async fn scene(quiet: u32) -> Scene {
    let database = Server::shared().database().await;
    fill(&database, quiet).await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract(&database.name));
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    Scene {
        database,
        target,
        daemon,
    }
}

impl Scene {
    /// `penstock verify --format json …`: its exit status and report.
    fn verify(&mut self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut all = vec!["--format", "json", "verify"];
        all.extend(arguments);
        let output = self.daemon.command(&all);
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!(
                "{}\n{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        });
        (output.status.code(), report)
    }

    async fn put(&self, table: &str, item: Value) {
        self.target.put(table, item).await.expect("an item");
    }

    async fn delete(&self, table: &str, key: Value) {
        let request = json!({"TableName": table, "Key": key});
        self.target
            .call("DeleteItem", &request)
            .await
            .expect("a deletion");
    }

    async fn get(&self, table: &str, key: Value) -> Value {
        let request = json!({"TableName": table, "Key": key, "ConsistentRead": true});
        self.target
            .call("GetItem", &request)
            .await
            .expect("an item")["Item"]
            .clone()
    }

    /// Changes made behind the stream's back; what must be found: kind, table, key, attributes.
    async fn plant(&self) -> Vec<String> {
        self.delete("Quiet", json!({"id": {"N": "5"}})).await;
        let mut item = self.get("Quiet", json!({"id": {"N": "6"}})).await;
        item["name"] = json!({"S": "another"});
        self.put("Quiet", item.clone()).await;
        item["id"] = json!({"N": "7"});
        item["name"] = json!({"S": "name 7"});
        item["amount"] = json!({"S": "10.50"});
        self.put("Quiet", item.clone()).await;
        item["id"] = json!({"N": "100000"});
        self.put("Quiet", item.clone()).await;
        // No valid item, so none may be there.
        item["id"] = json!({"N": "30"});
        self.put("Quiet", item).await;
        // Under an old key, and under a key that another row owns.
        self.put(
            "Named",
            json!({"PK": {"S": "NAME#old"}, "name": {"S": "old"}, "id": {"N": "9"}}),
        )
        .await;
        self.put(
            "Named",
            json!({"PK": {"S": "NAME#name 20"}, "name": {"S": "name 20"}, "id": {"N": "21"}}),
        )
        .await;
        // Made of several rows.
        self.put(
            "Joined",
            json!({"id": {"N": "5"}, "town": {"S": "Basel"}, "of_name": {"N": "1"}}),
        )
        .await;
        self.delete("Joined", json!({"id": {"N": "6"}})).await;
        // Somebody else's.
        self.put("Shop", json!({"PK": {"S": "OTHER#1"}, "SK": {"S": "x"}}))
            .await;
        let mut wanted: Vec<String> = [
            r#"missing Quiet {"id":{"N":"5"}} "#,
            r#"different Quiet {"id":{"N":"6"}} name"#,
            r#"different Quiet {"id":{"N":"7"}} amount"#,
            r#"extra Quiet {"id":{"N":"100000"}} "#,
            r#"extra Quiet {"id":{"N":"30"}} "#,
            r#"extra Named {"PK":{"S":"NAME#old"}} "#,
            r#"different Named {"PK":{"S":"NAME#name 20"}} id"#,
            r#"different Joined {"id":{"N":"5"}} of_name"#,
            r#"missing Joined {"id":{"N":"6"}} "#,
        ]
        .map(str::to_owned)
        .to_vec();
        wanted.sort();
        wanted
    }
}

/// The findings of a report in words.
fn found(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings").iter();
    let mut found: Vec<String> = findings
        .map(|f| {
            let text = |name: &str| f[name].as_str().unwrap_or_default();
            let attributes: Vec<&str> = f["attributes"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let kind = match f["undecided"] == true {
                true => "undecided",
                false => text("kind"),
            };
            format!(
                "{kind} {} {} {}",
                text("table"),
                f["key"],
                attributes.join(",")
            )
        })
        .collect();
    found.sort();
    found
}

/// So long a load runs without a false alarm; `PENSTOCK_LOAD_SECONDS` for longer runs.
fn load_for() -> Duration {
    let seconds = std::env::var("PENSTOCK_LOAD_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|s| s.parse().ok()).unwrap_or(60))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_is_found_under_load_and_nothing_else() {
    let mut scene = scene(2_000).await;
    let until = CancellationToken::new();
    let load = Load::new(scene.database.opts()).rate(0).writers(3);
    let load = tokio::spawn(load.run(until.clone()));
    let (begun, mut passes) = (Instant::now(), 0);
    while begun.elapsed() < load_for() {
        let (status, report) = scene.verify(&[]);
        assert_eq!((status, found(&report)), (Some(0), vec![]), "{report}");
        assert!(report["items"].as_u64() > Some(6_000), "{report}");
        passes += 1;
    }
    let wanted = scene.plant().await;
    let (status, report) = scene.verify(&[]);
    assert_eq!(
        (status, found(&report)),
        (Some(3), wanted.clone()),
        "{report}"
    );
    assert_eq!(report["foreign"], json!({"Shop": 1}));
    assert!(!report.to_string().contains("another"), "row values");
    // Only the items of that report, with values when asked for.
    let file = scene.daemon.path().join("report.json");
    std::fs::write(&file, report.to_string()).expect("the report");
    let file = file.display().to_string();
    let (status, again) = scene.verify(&["--keys-from", &file, "--show-values"]);
    assert_eq!((status, found(&again)), (Some(3), wanted.clone()));
    assert!(again.to_string().contains("another"), "{again}");
    let (status, one) = scene.verify(&["--entity", "Quiet"]);
    assert_eq!(status, Some(3));
    assert_eq!(
        one["mismatches"],
        json!({"missing": 1, "different": 2, "extra": 1}),
        "{one}"
    );
    let (_, sample) = scene.verify(&["--sample", "100"]);
    assert!(sample["items"].as_u64() > Some(6_000), "{sample}");
    // Put right, under the load, and equal afterwards.
    let (status, report) = scene.verify(&["--repair"]);
    assert_eq!(
        (status, report["repaired"].as_u64()),
        (Some(3), Some(9)),
        "{report}"
    );
    let owed = scene.daemon.status().await.expect("its status");
    assert_eq!(owed["parity"]["owed"], "repaired", "{owed}");
    let (status, report) = scene.verify(&[]);
    assert_eq!((status, found(&report)), (Some(0), vec![]), "{report}");
    assert_eq!(report["foreign"], json!({"Shop": 1}), "left alone");
    until.cancel();
    let stats = load.await.expect("the load").expect("no error");
    println!("{passes} passes, {stats:?} in {:?}", begun.elapsed());
    let proved = scene.daemon.status().await.expect("its status");
    assert_eq!(proved["parity"]["owed"], Value::Null, "{proved}");
    assert!(
        scene
            .daemon
            .metric("penstock_parity_items_checked_total")
            .await
            > 6_000.0
    );
    assert_eq!(scene.daemon.metric("penstock_parity_mismatches").await, 0.0);
    assert_eq!(scene.daemon.metric("penstock_parity_ratio").await, 1.0);
    assert!(
        scene
            .daemon
            .metric("penstock_parity_last_clean_pass_timestamp_seconds")
            .await
            > 1e9
    );
    assert!(
        !scene.daemon.log().contains("name 20"),
        "a row value in the log"
    );
}

/// Kills the daemon in the middle of a comparison and starts it again; gives how many items count as compared.
async fn killed_midway(scene: &mut Scene) -> u64 {
    scene.daemon.terminate(PATIENCE);
    scene.daemon.set("verify", "rows_per_second", "8000");
    scene.daemon.start();
    scene.daemon.caught_up(PATIENCE).await;
    let mut command = scene.daemon.spawn(&["verify"]);
    let some = |status: &Value| status["parity"]["progress"]["items"].as_u64() > Some(30_000);
    scene
        .daemon
        .reach("a part is compared", PATIENCE, some)
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.daemon.kill();
    let saved = std::fs::read(scene.daemon.state().join("verify/state.json")).expect("its state");
    let saved: Value = serde_json::from_slice(&saved).expect("JSON");
    let done = saved["report"]["items"].as_u64().expect("items");
    assert!(done > 10_000, "{saved}");
    let _ = command.kill();
    let _ = command.wait();
    scene.daemon.set("verify", "rows_per_second", "0");
    scene.daemon.start();
    scene.daemon.caught_up(PATIENCE).await;
    done
}

/// Killed in the middle, it goes on: what was compared is not compared again, and what was found is not lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comparison_survives_kill_9() {
    let mut scene = scene(30_000).await;
    scene.delete("Quiet", json!({"id": {"N": "17"}})).await;
    scene
        .put("Quiet", json!({"id": {"N": "70000"}, "name": {"S": "x"}}))
        .await;
    let done = killed_midway(&mut scene).await;
    let before = scene
        .daemon
        .metric("penstock_parity_items_checked_total")
        .await;
    let (status, report) = scene.verify(&[]);
    let after = scene
        .daemon
        .metric("penstock_parity_items_checked_total")
        .await;
    let wanted = [
        r#"extra Quiet {"id":{"N":"70000"}} "#,
        r#"missing Quiet {"id":{"N":"17"}} "#,
    ];
    assert_eq!(
        (status, found(&report)),
        (Some(3), wanted.map(str::to_owned).to_vec())
    );
    assert_eq!(report["resumed"], 1);
    let mut conn = scene.database.conn().await;
    let rows: Option<u64> = conn
        .query_first("SELECT (SELECT COUNT(*) FROM products) + (SELECT COUNT(*) FROM users) + (SELECT COUNT(*) FROM orders) + (SELECT COUNT(*) FROM order_items)")
        .await
        .expect("a count");
    // Row 30 has no valid item in Quiet; row 21's in Named is row 20's.
    let all = rows.expect("rows") + 3 * 30_000 - 1;
    assert_eq!(report["items"].as_u64(), Some(all), "{report}");
    assert_eq!((after - before) as u64, all - done, "compared again");
    // Part of it was compared by the process that was killed: what was written since then is not known.
    let status = scene.daemon.status().await.expect("its status");
    assert_eq!(status["parity"]["owed"], "mismatches", "{status}");
}

/// A pass that another process began has seen nothing of what that one wrote afterwards: clean as it is, it proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_on_in_another_process_proves_nothing() {
    let mut scene = scene(30_000).await;
    killed_midway(&mut scene).await;
    let parity = async |daemon: &mut Daemon| {
        let standing = daemon.status().await.expect("its status")["parity"]["owed"].clone();
        let dry = daemon.command(&["--format", "json", "cutover", "--dry-run"]);
        let dry: Value = serde_json::from_slice(&dry.stdout).expect("the gates");
        let gates = dry["gates"].as_array().expect("gates").iter();
        let open = gates
            .filter(|gate| gate["name"] == "parity")
            .map(|gate| gate["open"].clone());
        (standing, open.collect::<Vec<_>>())
    };
    let (status, report) = scene.verify(&[]);
    assert_eq!(
        (status, &report["resumed"]),
        (Some(0), &json!(1)),
        "{report}"
    );
    let owed = parity(&mut scene.daemon).await;
    assert_eq!(owed, (json!("restarted"), vec![json!(false)]));
    let (status, report) = scene.verify(&[]);
    assert_eq!(
        (status, &report["resumed"]),
        (Some(0), &json!(0)),
        "{report}"
    );
    let owed = parity(&mut scene.daemon).await;
    assert_eq!(owed, (Value::Null, vec![json!(true)]));
}

/// The items of joins are looked through once for all that is removed, however much that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_extra_items_are_removed_together() {
    let mut scene = scene(60).await;
    for id in 1_000..2_100 {
        let item = json!({"id": {"N": id.to_string()}, "of_name": {"N": "0"}});
        scene.put("Joined", item).await;
    }
    let (status, report) = scene.verify(&["--repair"]);
    assert_eq!(
        (status, &report["repaired"]),
        (Some(3), &json!(1_100)),
        "{report}"
    );
    let log = scene.daemon.log();
    assert_eq!(log.matches("extra items were removed").count(), 1, "{log}");
    let (status, report) = scene.verify(&[]);
    assert_eq!((status, found(&report)), (Some(0), vec![]), "{report}");
}

/// Without a daemon the command brings the flow up itself; the daemon compares by itself where the settings say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_or_without_being_asked() {
    let mut scene = scene(500).await;
    scene.daemon.terminate(PATIENCE);
    let (status, report) = scene.verify(&[]);
    assert_eq!((status, found(&report)), (Some(0), vec![]), "{report}");
    scene.daemon.set("verify", "every_s", "1");
    scene.daemon.start();
    let clean = |status: &Value| {
        status["parity"]["owed"] == Value::Null && status["parity"]["last_pass"]["clean"] == true
    };
    let first = scene
        .daemon
        .reach("a pass by itself", PATIENCE, clean)
        .await;
    let finished = first["parity"]["last_pass"]["finished_unix_ms"].clone();
    let next = |status: &Value| status["parity"]["last_pass"]["finished_unix_ms"] != finished;
    scene.daemon.reach("another one", PATIENCE, next).await;
    scene.delete("Quiet", json!({"id": {"N": "5"}})).await;
    let shut = |status: &Value| status["parity"]["owed"] == "mismatches";
    scene
        .daemon
        .reach("the difference is found", PATIENCE, shut)
        .await;
}
