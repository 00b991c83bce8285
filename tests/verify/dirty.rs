//! What was written since the last pass is compared at the cutover, and what is owed is owed.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, FAST, Server};
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(120);

async fn scene(server: &Server) -> (Database<'_>, Target, Daemon) {
    scene_with(server, "0").await
}

async fn scene_with<'s>(server: &'s Server, rate: &str) -> (Database<'s>, Target, Daemon) {
    let database = Database::create(server).await;
    database
        .run(&[
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        ])
        .await;
    let contract = json!({"tables": [{"table": "Things", "type": "single-entity", "source_table": "t", "pk": "id", "attributes": [
        {"name": "id", "type": "N", "source_column": "id"}, {"name": "v", "type": "S", "source_column": "v"}]}]});
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract.to_string());
    daemon.set("verify", "rows_per_second", rate);
    // A cutover after a restart waits for what the process before may have sent.
    daemon.set("sink", "request_timeout_ms", "2000");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    (database, target, daemon)
}

fn ask(daemon: &mut Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let output = daemon.command(arguments);
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

async fn owed(daemon: &mut Daemon) -> Value {
    daemon.status().await.expect("its status")["parity"]["owed"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_since_is_compared_at_the_cutover() {
    // Nobody else moves its position while a cutover looks at it.
    let server = Server::start(&FAST);
    let (database, target, mut daemon) = scene(&server).await;
    let (status, text) = ask(&mut daemon, &["cutover"]);
    assert_eq!(status, Some(3), "never compared: {text}");
    let (status, text) = ask(&mut daemon, &["verify"]);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(owed(&mut daemon).await, Value::Null);
    // Written by the stream, and spoiled afterwards: only the dirty set knows of it.
    database.run(&["UPDATE t SET v = 'new' WHERE id = 1"]).await;
    daemon.caught_up(PATIENCE).await;
    let spoiled = json!({"id": {"N": "1"}, "v": {"S": "spoiled"}});
    target.put("Things", spoiled).await.expect("an item");
    let (status, text) = ask(&mut daemon, &["cutover"]);
    assert_eq!(status, Some(3), "{text}");
    assert!(text.contains("parity"), "{text}");
    // What was not written since is proved by the pass.
    let (status, _) = ask(&mut daemon, &["verify", "--repair"]);
    assert_eq!(status, Some(3));
    assert_eq!(owed(&mut daemon).await, "repaired");
    let (status, text) = ask(&mut daemon, &["cutover", "--dry-run"]);
    assert_eq!(status, Some(3), "repaired is not proved: {text}");
    let (status, text) = ask(&mut daemon, &["verify"]);
    assert_eq!(status, Some(0), "{text}");
    // What was written between a pass and a restart is not known.
    daemon.terminate(PATIENCE);
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    assert_eq!(owed(&mut daemon).await, "restarted");
    let (status, text) = ask(&mut daemon, &["verify"]);
    assert_eq!(status, Some(0), "{text}");
    database
        .run(&["UPDATE t SET v = 'newer' WHERE id = 2"])
        .await;
    daemon.caught_up(PATIENCE).await;
    let (status, text) = ask(&mut daemon, &["cutover"]);
    assert_eq!(status, Some(0), "{text}");
}

/// A comparison of a part proves nothing, and yet what it finds is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_part_shows_shuts_the_gate() {
    let (_database, target, mut daemon) = scene(Server::shared()).await;
    let file = daemon.path().join("report.json").display().to_string();
    let put = async |v: &str| {
        let item = json!({"id": {"N": "2"}, "v": {"S": v}});
        target.put("Things", item).await.expect("an item");
    };
    for part in [
        ["--entity", "Things"],
        ["--sample", "100"],
        ["--keys-from", &file],
    ] {
        let (status, text) = ask(&mut daemon, &["verify"]);
        assert_eq!(
            (status, owed(&mut daemon).await),
            (Some(0), Value::Null),
            "{text}"
        );
        put("spoiled").await;
        let part = [&["--format", "json", "verify"][..], &part].concat();
        let output = daemon.command(&part);
        assert_eq!(output.status.code(), Some(3), "{part:?} {output:?}");
        std::fs::write(&file, &output.stdout).expect("the report");
        assert_eq!(owed(&mut daemon).await, "mismatches", "{part:?}");
        let (status, text) = ask(&mut daemon, &["cutover", "--dry-run"]);
        assert_eq!(status, Some(3), "{text}");
        assert!(text.contains("SHUT  parity"), "{text}");
        // Reports hold keys, and values where they are asked for.
        let reports = std::fs::metadata(daemon.state().join("reports")).expect("reports");
        assert_eq!(reports.permissions().mode() & 0o777, 0o700);
        // Put right by somebody: a part that is clean proves nothing either.
        put("b").await;
        let (status, text) = ask(&mut daemon, &["verify", "--entity", "Things"]);
        assert_eq!(status, Some(0), "{text}");
        assert_eq!(owed(&mut daemon).await, "mismatches", "{part:?}");
    }
}

/// What was left of a pass that began before another one was owed could not prove what is owed: it is not gone on with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_began_before_it_was_owed_is_not_gone_on_with() {
    let (database, target, mut daemon) = scene_with(Server::shared(), "100").await;
    database
        .run(&["INSERT INTO t WITH RECURSIVE n AS (SELECT 10 i UNION ALL SELECT i + 1 FROM n WHERE i < 600) SELECT i, 'x' FROM n"])
        .await;
    daemon.caught_up(PATIENCE).await;
    let stopped = async |daemon: &mut Daemon| {
        let mut pass = daemon.spawn(&["verify"]);
        let runs = |status: &Value| !status["parity"]["progress"].is_null();
        daemon.reach("it runs", PATIENCE, runs).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (status, text) = ask(daemon, &["verify", "--stop"]);
        assert_eq!(status, Some(0), "{text}");
        assert!(!pass.wait().expect("its status").success());
    };
    let pass = |daemon: &mut Daemon| -> Value {
        let output = daemon.command(&["--format", "json", "verify"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("the report")
    };
    let put = async |v: &str| {
        let item = json!({"id": {"N": "2"}, "v": {"S": v}});
        target.put("Things", item).await.expect("an item");
    };
    put("spoiled").await;
    let output = daemon.command(&["--format", "json", "verify"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let file = daemon.path().join("report.json").display().to_string();
    std::fs::write(&file, &output.stdout).expect("the report");
    put("b").await;
    stopped(&mut daemon).await;
    let report = pass(&mut daemon);
    assert_eq!(report["resumed"], 1, "it goes on: {report}");
    assert_eq!(owed(&mut daemon).await, Value::Null, "in the same process");
    stopped(&mut daemon).await;
    put("spoiled").await;
    let (status, text) = ask(&mut daemon, &["verify", "--keys-from", &file]);
    assert_eq!(status, Some(3), "{text}");
    put("b").await;
    let report = pass(&mut daemon);
    assert_eq!(report["resumed"], 0, "{report}");
    assert_eq!(owed(&mut daemon).await, Value::Null);
}

/// A store that was rebuilt owes a comparison, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_rebuilt_store_owes_is_paid_once() {
    let (_database, _target, mut daemon) = scene(Server::shared()).await;
    let (status, text) = ask(&mut daemon, &["verify"]);
    assert_eq!(
        (status, owed(&mut daemon).await),
        (Some(0), Value::Null),
        "{text}"
    );
    daemon.terminate(PATIENCE);
    let db = daemon.state().join("sled/db");
    std::fs::write(db, vec![0xa5; 1 << 20]).expect("damaged");
    for _ in 0..2 {
        daemon.start();
        daemon.caught_up(PATIENCE).await;
        assert_eq!(owed(&mut daemon).await, "rebuilt_store");
        daemon.terminate(PATIENCE);
    }
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    let (status, text) = ask(&mut daemon, &["verify"]);
    assert_eq!(
        (status, owed(&mut daemon).await),
        (Some(0), Value::Null),
        "{text}"
    );
    daemon.terminate(PATIENCE);
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    assert_eq!(owed(&mut daemon).await, "restarted");
}
