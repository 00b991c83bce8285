//! `[mapping] preserve`: what others add to an item stays, and everything else is as without it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::mysql::Server;
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(60);

const CONTRACT: &str = r#"{"tables": [{"table": "Sessions", "type": "single-entity", "source_table": "sessions", "pk": "id", "sk": null,
  "attributes": [{"name": "id", "type": "N", "source_column": "id"}, {"name": "owner", "type": "S", "source_column": "owner"},
    {"name": "note", "type": "S", "source_column": "note"}]}]}"#;

async fn item(target: &Target, id: u32) -> Value {
    let request = json!({"TableName": "Sessions", "Key": {"id": {"N": id.to_string()}}, "ConsistentRead": true});
    let answer = target.call("GetItem", &request).await.expect("an answer");
    answer["Item"].clone()
}

async fn add_ttl(target: &Target, id: u32) {
    let request = json!({"TableName": "Sessions", "Key": {"id": {"N": id.to_string()}}, "UpdateExpression": "SET #t = :t",
        "ExpressionAttributeNames": {"#t": "ttl"}, "ExpressionAttributeValues": {":t": {"N": "1900000000"}}});
    target
        .call("UpdateItem", &request)
        .await
        .expect("an update");
}

#[tokio::test]
async fn what_others_add_stays_and_what_was_ours_goes() {
    for target in [Target::dynoxide(), Target::dynalite().await] {
        let database = Server::shared().database().await;
        database
            .run(&[
                "CREATE TABLE sessions (id INT PRIMARY KEY, owner VARCHAR(40) NOT NULL, note VARCHAR(40))",
                "INSERT INTO sessions VALUES (1, 'ada', 'first'), (2, 'bob', NULL), (3, 'cid', 'x')",
            ])
            .await;
        let mut daemon = Daemon::new(&database, &target, CONTRACT);
        daemon.set("mapping", "preserve", "[\"ttl\"]");
        assert!(daemon.command(&["provision", "--yes"]).status.success());
        daemon.start().caught_up(PATIENCE).await;
        for id in 1..=3 {
            add_ttl(&target, id).await;
        }
        database
            .run(&[
                "UPDATE sessions SET owner = 'ann', note = NULL WHERE id = 1",
                "UPDATE sessions SET note = 'second' WHERE id = 2",
                "DELETE FROM sessions WHERE id = 3",
            ])
            .await;
        daemon.caught_up(PATIENCE).await;
        let ttl = json!({"N": "1900000000"});
        assert_eq!(
            item(&target, 1).await,
            json!({"id": {"N": "1"}, "owner": {"S": "ann"}, "ttl": ttl}),
            "what the row does not give any more is gone"
        );
        assert_eq!(
            item(&target, 2).await,
            json!({"id": {"N": "2"}, "owner": {"S": "bob"}, "note": {"S": "second"}, "ttl": ttl})
        );
        assert_eq!(
            item(&target, 3).await,
            Value::Null,
            "a deleted row has no item"
        );
        let verified = daemon.command(&["verify"]);
        let told = String::from_utf8_lossy(&verified.stdout);
        assert!(
            verified.status.success(),
            "the attribute of others is no difference: {told}"
        );
    }
}

#[tokio::test]
async fn an_attribute_of_the_contract_is_nobody_elses() {
    let database = Server::shared().database().await;
    database
        .run(&["CREATE TABLE sessions (id INT PRIMARY KEY, owner VARCHAR(40) NOT NULL, note VARCHAR(40))"])
        .await;
    let mut daemon = Daemon::new(&database, &Target::dynoxide(), CONTRACT);
    daemon.set("mapping", "preserve", "[\"note\"]");
    let check = daemon.command(&["check"]);
    assert_eq!(check.status.code(), Some(2));
    let told = String::from_utf8_lossy(&check.stdout);
    assert!(told.contains("somebody else's"), "{told}");
}
