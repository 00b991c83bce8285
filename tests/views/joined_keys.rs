//! A key that holds nothing but a joined row's column, and is proved unique all the same: no claims are kept for it.

use mysql_async::prelude::Queryable;
use serde_json::{Value, json};

use super::{PATIENCE, attribute, column, ready};
use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::oracle::Oracle;
use crate::support::target::Target;
use crate::support::{eventually, items};

/// Users with one cart each, at the most.
const TABLES: [&str; 2] = [
    "CREATE TABLE users (id BIGINT UNSIGNED PRIMARY KEY, email VARCHAR(90) NOT NULL, visits INT NOT NULL DEFAULT 0, UNIQUE KEY by_email (email))",
    "CREATE TABLE carts (id INT PRIMARY KEY, user_id BIGINT NOT NULL, note VARCHAR(90), UNIQUE KEY by_user (user_id))",
];

fn contract() -> String {
    let user = |name: &str, ty: &str| {
        let join = json!({"type": "foreign-key", "target_table": "users", "join_condition": "users.id = carts.user_id",
            "select_column": format!("users.{name}")});
        attribute(name, ty, "users", json!({ "join": join }))
    };
    let attributes: Vec<Value> = vec![
        user("email", "S"),
        user("visits", "N"),
        column("id", "N", "carts"),
        column("note", "S", "carts"),
    ];
    json!({"tables": [{"table": "Carts", "type": "single-entity", "source_table": "carts", "pk": "email", "sk": null,
        "attributes": attributes}]})
    .to_string()
}

async fn equal(database: &Database<'_>, daemon: &mut Daemon, target: &Target, orphans: f64) {
    daemon.caught_up(PATIENCE).await;
    let mut oracle = Oracle::new();
    let carts = "SELECT u.email, u.visits `visits:N`, c.id `id:N`, c.note FROM carts c JOIN users u ON u.id = c.user_id";
    oracle
        .add(&mut database.conn().await, "Carts", &["email"], carts)
        .await;
    items::compare(oracle.tables(), &target.scan_all().await);
    // Letters are counted with the next checkpoint.
    eventually("the rows without an item", PATIENCE, async || {
        let letters = daemon.metric("penstock_dead_letter_rows").await;
        (letters == orphans).then_some(())
    })
    .await;
}

/// The statements as one transaction.
async fn together(database: &Database<'_>, statements: &[&str]) {
    let mut conn = database.conn().await;
    let transaction = conn.start_transaction(Default::default()).await;
    let mut transaction = transaction.expect("a transaction");
    for statement in statements {
        transaction.query_drop(*statement).await.expect(statement);
    }
    transaction.commit().await.expect("a commit");
}

#[tokio::test]
async fn a_key_that_only_a_join_makes_unique_moves_with_its_row_and_its_link() {
    let database = Server::shared().database().await;
    database.run(&TABLES).await;
    database
        .run(&[
            "INSERT INTO users (id, email) VALUES (1, 'ada'), (2, 'bob'), (3, 'cyd'), (4, 'dan')",
            "INSERT INTO carts VALUES (10, 1, 'a'), (11, 2, 'b'), (12, 3, NULL)",
        ])
        .await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    let explained = daemon.command(&["explain"]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    let why = format!(
        "the key is unique: its text gives back `email` of {0}.users (the unique key `by_email`), which gives `user_id`, the unique key `by_user` of {0}.carts",
        database.name
    );
    assert!(explained.contains(&why), "{explained}");
    daemon.start();
    equal(&database, &mut daemon, &target, 0.0).await;

    // The user's e-mail changes; it is only spelled anew; the row that is joined changes, and its key does not.
    for statement in [
        "UPDATE users SET email = 'ada@new' WHERE id = 1",
        "UPDATE users SET email = 'ADA@new' WHERE id = 1",
        "UPDATE users SET visits = visits + 1",
        "UPDATE carts SET note = CONCAT(COALESCE(note, ''), '!')",
        "UPDATE carts SET user_id = 4 WHERE id = 12",
        "UPDATE users SET id = 40 WHERE id = 3",
        "UPDATE carts SET id = id + 100",
    ] {
        database.run(&[statement]).await;
        equal(&database, &mut daemon, &target, 0.0).await;
    }
    // Two carts swap their users, two users their e-mails, and both at once.
    let carts = [
        "UPDATE carts SET user_id = -1 WHERE id = 110",
        "UPDATE carts SET user_id = 1 WHERE id = 111",
        "UPDATE carts SET user_id = 2 WHERE id = 110",
    ];
    let back = [
        "UPDATE carts SET user_id = -1 WHERE id = 110",
        "UPDATE carts SET user_id = 2 WHERE id = 111",
        "UPDATE carts SET user_id = 1 WHERE id = 110",
    ];
    let emails = [
        "UPDATE users SET email = 'between' WHERE id = 1",
        "UPDATE users SET email = 'ADA@new' WHERE id = 2",
        "UPDATE users SET email = 'bob' WHERE id = 1",
    ];
    let again = [
        "UPDATE users SET email = 'between' WHERE id = 1",
        "UPDATE users SET email = 'bob' WHERE id = 2",
        "UPDATE users SET email = 'ADA@new' WHERE id = 1",
    ];
    together(&database, &carts).await;
    equal(&database, &mut daemon, &target, 0.0).await;
    together(&database, &emails).await;
    equal(&database, &mut daemon, &target, 0.0).await;
    together(&database, &[back, again].concat()).await;
    equal(&database, &mut daemon, &target, 0.0).await;
    // Somebody else takes over the e-mail, and the cart, of a user who goes; a cart is left behind.
    let takes = [
        "DELETE FROM users WHERE id = 1",
        "UPDATE users SET email = 'ada@new' WHERE id = 40",
        "INSERT INTO carts VALUES (7, 40, 'of the third')",
    ];
    together(&database, &takes).await;
    equal(&database, &mut daemon, &target, 1.0).await;
    together(
        &database,
        &[
            "DELETE FROM carts WHERE id = 7",
            "UPDATE carts SET user_id = 40 WHERE id = 110",
        ],
    )
    .await;
    equal(&database, &mut daemon, &target, 0.0).await;
}
