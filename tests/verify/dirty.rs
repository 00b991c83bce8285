//! What was written since the last pass is compared at the cutover, and what is owed is owed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, FAST, Server};
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(120);

async fn scene(server: &Server) -> (Database<'_>, Target, Daemon) {
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
        // Put right by somebody: a part that is clean proves nothing either.
        put("b").await;
        let (status, text) = ask(&mut daemon, &["verify", "--entity", "Things"]);
        assert_eq!(status, Some(0), "{text}");
        assert_eq!(owed(&mut daemon).await, "mismatches", "{part:?}");
    }
}
