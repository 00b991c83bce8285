//! Rows that DynamoDB refuses: a dead letter each, which ends when a newer version of the row is written.

use std::time::Duration;

use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::stub::{Faults, Stub};

const PATIENCE: Duration = Duration::from_secs(60);

/// A bad version of each row is followed by a good one, at every distance: before and after the refusal is known.
#[tokio::test]
async fn a_refused_row_that_is_healed_has_no_dead_letter() {
    let database = Database::create(Server::shared()).await;
    database
        .run(&[
            "CREATE TABLE things (id INT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO things VALUES (0, 'good')",
        ])
        .await;
    let contract = json!({"tables": [{
        "table": "Things", "type": "single-entity", "source_table": "things", "pk": "id", "sk": null,
        "attributes": [
            {"name": "id", "type": "N", "source_table": "things", "source_column": "id"},
            {"name": "v", "type": "S", "source_table": "things", "source_column": "v"},
        ],
    }]});
    let stub = Stub::start(Faults {
        invalid: Some("BAD".into()),
        latency: Duration::from_millis(20),
        ..Faults::default()
    });
    let mut daemon = Daemon::between(
        database.server.port(),
        &database.name,
        &stub.url(),
        &contract.to_string(),
    );
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    for id in 1..=40 {
        let insert = format!("INSERT INTO things VALUES ({id}, 'BAD')");
        let heal = match id % 3 {
            0 => format!("DELETE FROM things WHERE id = {id}"),
            _ => format!("UPDATE things SET v = 'good' WHERE id = {id}"),
        };
        database.run(&[&insert]).await;
        tokio::time::sleep(Duration::from_millis(id * 2)).await;
        database.run(&[&heal]).await;
    }
    database
        .run(&["INSERT INTO things VALUES (100, 'BAD')"])
        .await;
    daemon.caught_up(PATIENCE).await;
    let status = daemon
        .reach("one dead letter is left", PATIENCE, |status| {
            status["dead_letters"] == 1
        })
        .await;
    assert_eq!(status["dead_letters"], 1);
    let good = (1..=40).filter(|id| id % 3 != 0).count();
    assert_eq!(stub.items("Things").len(), good + 1);
    database
        .run(&["UPDATE things SET v = 'good' WHERE id = 100"])
        .await;
    daemon
        .reach("no dead letter is left", PATIENCE, |status| {
            status["dead_letters"] == 0
        })
        .await;
}
