//! What this version does not do yet is refused by name before anything runs.

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::target::Target;

fn table(attributes: Value, more: Value) -> String {
    let mut table = json!({
        "table": "Things", "type": "single-entity", "source_table": "things", "pk": "id", "sk": null,
        "attributes": attributes,
    });
    if let (Some(table), Some(more)) = (table.as_object_mut(), more.as_object()) {
        table.extend(more.clone());
    }
    json!({"tables": [table]}).to_string()
}

fn id() -> Value {
    json!({"name": "id", "type": "N", "source_table": "things", "source_column": "id"})
}

async fn database() -> Database<'static> {
    let database = Server::shared().database().await;
    database
        .run(&[
            "CREATE TABLE parents (id INT PRIMARY KEY, name VARCHAR(50))",
            "CREATE TABLE things (id INT PRIMARY KEY, parent_id INT, v VARCHAR(50), f FLOAT)",
        ])
        .await;
    database
}

/// `run` and `check` refuse the contract with exit status 2 and these words.
async fn refused(contract: &str, words: &[&str]) {
    let database = database().await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, contract);
    for command in [&["check"][..], &["run", "--until-caught-up"]] {
        let output = daemon.command(command);
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(2), "{command:?}: {text}");
        for word in words {
            assert!(text.contains(word), "{command:?}: no {word:?} in: {text}");
        }
    }
    assert!(target.table_names().await.expect("tables").is_empty());
}

#[tokio::test]
async fn expressions_that_are_not_mysqls_are_refused_by_name() {
    let case = json!({"name": "kind", "type": "S", "calculation": {
        "type": "case", "cases": [{"when": "SOUNDEX(v) = 'x'", "then": "'X'"}], "else": "'other'"}});
    refused(&table(json!([id(), case]), json!({})), &["SOUNDEX"]).await;
    refused(
        &table(json!([id()]), json!({"filter": "v > RAND()"})),
        &["RAND", "filter"],
    )
    .await;
}

#[tokio::test]
async fn joins_without_an_equality_are_refused() {
    let parent = json!({"name": "parent", "type": "S", "join": {
        "type": "foreign-key", "target_table": "parents",
        "join_condition": "things.parent_id < parents.id", "select_column": "parents.name"}});
    refused(
        &table(json!([id(), parent]), json!({})),
        &["join-without-equality"],
    )
    .await;
}

#[tokio::test]
async fn settings_of_later_versions_are_refused_by_name() {
    let database = database().await;
    let target = Target::dynoxide();
    for (section, key, value) in [("sink", "fence", "true"), ("source", "auth", "\"rds-iam\"")] {
        let mut daemon = Daemon::new(&database, &target, &table(json!([id()]), json!({})));
        daemon.set(section, key, value);
        let output = daemon.command(&["check", "--offline"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{key}: {text}");
        assert!(text.contains(key), "{key}: {text}");
    }
}

#[tokio::test]
async fn a_source_without_gtids_is_refused_with_the_cure() {
    let server = Server::start(&["--gtid-mode=OFF_PERMISSIVE"]);
    let database = Database::create(&server).await;
    database
        .run(&["CREATE TABLE things (id INT PRIMARY KEY)"])
        .await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &table(json!([id()]), json!({})));
    let output = daemon.command(&["check"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("SET GLOBAL gtid_mode = ON"), "{text}");
}
