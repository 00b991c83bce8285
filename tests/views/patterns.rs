//! The patterns at which other tools fail, each by its name.

use mysql_async::prelude::Queryable;

use super::{contract, equal, fill, ready};
use crate::support::mysql::Server;
use crate::support::target::Target;

/// Every change on its own, then all that follows from it.
#[tokio::test]
async fn joins_follow_every_change() {
    let database = Server::shared().database().await;
    fill(&database).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    daemon.start();
    equal(&database, &mut daemon, &target).await;
    for statement in [
        "UPDATE tiers SET name = 'Silver plus' WHERE code = 's'",
        "UPDATE users SET visits = visits + 1",
        "UPDATE users SET tier = 'g' WHERE id = 3",
        "INSERT INTO carts VALUES (13, 3, '2024-03-01')",
        "INSERT INTO cart_items VALUES (13, 1, 2, 2), (13, 2, 1, 9)",
        "UPDATE cart_items SET quantity = quantity * 2 WHERE cart_id IN (10, 13)",
        "DELETE FROM cart_items WHERE cart_id = 10 AND line = 2",
        "UPDATE cart_items SET cart_id = 12, line = 5 WHERE cart_id = 10 AND line = 1",
        "UPDATE categories SET parent_id = 3 WHERE id = 2",
        "UPDATE categories SET id = 99 WHERE id = 3",
        "DELETE FROM categories WHERE id = 1",
        "UPDATE products SET category_id = 99 WHERE id = 4",
        "UPDATE carts SET user_id = 2 WHERE id = 11",
        "DELETE FROM carts WHERE id = 12",
        "UPDATE carts SET id = 1000 + id",
        "DELETE FROM tiers",
        "INSERT INTO tiers VALUES ('G', 'Gold again')",
    ] {
        database.run(&[statement]).await;
        println!("{statement}");
        equal(&database, &mut daemon, &target).await;
    }
    assert_eq!(daemon.metric("penstock_dead_letter_rows").await, 0.0);
}

/// A key that comes from a join moves with it, and nothing stays under the old one.
#[tokio::test]
async fn the_email_of_a_user_moves_all_carts() {
    let database = Server::shared().database().await;
    fill(&database).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    daemon.start();
    equal(&database, &mut daemon, &target).await;
    database
        .run(&["UPDATE users SET email = 'ada@new.example.com' WHERE id = 1"])
        .await;
    equal(&database, &mut daemon, &target).await;
    let carts = &target.scan_all().await["Carts"];
    assert!(carts.keys().all(|key| !key.contains("ada@example.com")));
}

/// Two users take each other's e-mail in one transaction: their carts' keys cross.
#[tokio::test]
async fn rows_that_swap_keys_in_one_transaction() {
    let database = Server::shared().database().await;
    fill(&database).await;
    // One cart each, of the same id in the key: the items change places.
    let swap = "UPDATE users SET email = IF(id = 1, 'bob@example.com', 'ada@example.com') WHERE id IN (1, 2)";
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    daemon.start();
    equal(&database, &mut daemon, &target).await;
    for _ in 0..3 {
        let mut conn = database.conn().await;
        let mut transaction = conn
            .start_transaction(Default::default())
            .await
            .expect("a transaction");
        for statement in [
            swap,
            "UPDATE carts SET id = -1 WHERE id = 10",
            "UPDATE carts SET id = 10 WHERE id = 12",
            "UPDATE carts SET id = 12 WHERE id = -1",
        ] {
            transaction.query_drop(statement).await.expect(statement);
        }
        transaction.commit().await.expect("a commit");
        equal(&database, &mut daemon, &target).await;
    }
}

/// The child's row comes first; its parent's values appear when the parent does.
#[tokio::test]
async fn a_child_arrives_before_its_parent() {
    let database = Server::shared().database().await;
    fill(&database).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    daemon.start();
    equal(&database, &mut daemon, &target).await;
    database
        .run(&["INSERT INTO products VALUES (50, 'Early', 3.00, 500)"])
        .await;
    equal(&database, &mut daemon, &target).await;
    database
        .run(&["INSERT INTO categories VALUES (500, 'Late', 501)"])
        .await;
    equal(&database, &mut daemon, &target).await;
    database
        .run(&["INSERT INTO categories VALUES (501, 'Latest', NULL)"])
        .await;
    equal(&database, &mut daemon, &target).await;
}
