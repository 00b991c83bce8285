//! The daemon is killed again and again while rows of joins change.

use std::time::Duration;

use fastrand::Rng;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use tokio_util::sync::CancellationToken;

use super::{contract, equal, fill, ready};
use crate::support::mysql::{self, Database, Server};
use crate::support::powerloss::Disk;
use crate::support::target::Target;
use crate::support::{seconds, seed};

const TIME: u64 = 30;
const KILLS: u32 = 12;
const LOSSES: u32 = 8;
const LONG: Duration = Duration::from_secs(120);

#[tokio::test]
async fn killed_at_random_moments_the_joins_are_what_sql_says() {
    let mut rng = Rng::with_seed(seed());
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    fill(&database).await;
    let mut conn = database.conn().await;
    for _ in 0..3000 {
        change(&mut conn, &mut rng).await;
    }
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    daemon.set("snapshot", "chunk_rows", "100");
    let until = CancellationToken::new();
    let writers: Vec<_> = (0..2)
        .map(|_| tokio::spawn(write(database.opts(), rng.u64(..), until.clone())))
        .collect();
    let life = Duration::from_secs(seconds(TIME)) / KILLS;
    for kill in 0..KILLS {
        daemon.start();
        let length = match kill < KILLS / 2 {
            true => Duration::from_millis(rng.u64(200..900)),
            false => life.mul_f64(rng.f64() * 2.0),
        };
        tokio::time::sleep(length).await;
        daemon.kill();
    }
    until.cancel();
    for writer in writers {
        writer.await.expect("the writer");
    }
    daemon.start();
    equal(&database, &mut daemon, &target).await;
}

/// The machine loses its power: of the state there is what had reached the disk by then, and DynamoDB has what was written until
/// a moment later.
#[tokio::test]
async fn after_losses_of_power_the_joins_are_what_sql_says() {
    let mut disk = match Disk::new() {
        Ok(disk) => disk,
        Err(reason) => {
            println!("SKIPPED, no disk can be mounted here: {reason}");
            return;
        }
    };
    let mut rng = Rng::with_seed(seed());
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    fill(&database).await;
    let mut conn = database.conn().await;
    for _ in 0..1000 {
        change(&mut conn, &mut rng).await;
    }
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    daemon.set("snapshot", "chunk_rows", "100");
    let state = disk.path().join("state");
    std::fs::create_dir(&state).expect("a directory on the disk");
    let _ = std::fs::remove_dir_all(daemon.state());
    std::os::unix::fs::symlink(&state, daemon.state()).expect("a link");
    let until = CancellationToken::new();
    let writer = tokio::spawn(write(database.opts(), rng.u64(..), until.clone()));
    for _ in 0..LOSSES {
        daemon.start();
        tokio::time::sleep(Duration::from_millis(rng.u64(300..2500))).await;
        let left = disk.lose_power();
        daemon.kill();
        std::fs::remove_dir_all(&state).expect("the state");
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .arg(left.path().join("state"))
            .arg(&state)
            .status();
        assert!(copied.is_ok_and(|status| status.success()));
        // What the next loss finds there is not what a copy had left in memory.
        let synced = std::process::Command::new("sync")
            .arg("--file-system")
            .arg(&state)
            .status();
        assert!(synced.is_ok_and(|status| status.success()));
    }
    until.cancel();
    writer.await.expect("the writer");
    daemon.start();
    equal(&database, &mut daemon, &target).await;
}

/// Kills between the pages of a first pass, and between those of wide changes; keys move while nobody looks.
#[tokio::test]
async fn killed_in_a_first_pass_and_in_a_fan_out_the_joins_are_what_sql_says() {
    const CARTS: u32 = 6000;
    let mut rng = Rng::with_seed(seed());
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    fill(&database).await;
    let carts = format!(
        "INSERT INTO carts WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {CARTS})
         SELECT 1000 + i, 1 + i % 3, '2024-05-05' FROM n"
    );
    database
        .run(&["SET SESSION cte_max_recursion_depth = 100000", &carts])
        .await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target, &contract());
    let (mut passes, mut changes) = (0, 0);
    for kill in 0..24 {
        daemon.start();
        let copied = daemon
            .reach("the tables are copied", LONG, |status| {
                let tables = status["snapshot"].as_array();
                tables.is_some_and(|t| !t.is_empty() && t.iter().all(|t| t["state"] == "done"))
            })
            .await;
        // The second half: everything has been made before.
        if kill >= 12 {
            daemon.caught_up(LONG).await;
        }
        let under_way = kill < 12 && copied["caught_up"] != true;
        // Every key of a user's carts moves; the transaction is on its way when the kill comes.
        let user = rng.u32(1..4);
        let email =
            format!("UPDATE users SET email = 'u{user}k{kill}@example.com' WHERE id = {user}");
        database.run(&[&email]).await;
        tokio::time::sleep(Duration::from_millis(rng.u64(0..250))).await;
        match (under_way, daemon.status().await) {
            (true, _) => passes += 1,
            (false, Some(status)) if status["caught_up"] != true => changes += 1,
            _ => {}
        }
        daemon.kill();
        // And once more while nothing runs: what was written before is known from the state alone.
        let email =
            format!("UPDATE users SET email = 'u{user}d{kill}@example.com' WHERE id = {user}");
        database.run(&[&email]).await;
    }
    println!("{passes} kills before all was made, {changes} within a change");
    assert!(passes + changes > 0, "every kill came too late");
    daemon.start();
    equal(&database, &mut daemon, &target).await;
}

async fn write(opts: Opts, seed: u64, until: CancellationToken) {
    let mut rng = Rng::with_seed(seed);
    let mut conn = Conn::new(opts).await.expect("a connection");
    while !until.is_cancelled() {
        let begun = conn.query_drop("START TRANSACTION").await.is_ok();
        for _ in 0..rng.u32(1..4) {
            change(&mut conn, &mut rng).await;
        }
        let end = if rng.u8(..8) == 0 {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        assert!(begun && conn.query_drop(end).await.is_ok());
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// One random statement. It may fail (a duplicate key, a deadlock): then it changes nothing.
async fn change(conn: &mut Conn, rng: &mut Rng) {
    let id = |rng: &mut Rng, most: u32| rng.u32(1..most);
    let (user, category) = (id(rng, 40), id(rng, 20));
    let (product, cart) = (id(rng, 150), id(rng, 200));
    let (line, number) = (id(rng, 6), rng.u32(..1000));
    let statement = match rng.u8(..16) {
        0 => format!(
            "INSERT INTO users (id, email, tier) VALUES ({user}, 'u{user}n{number}@example.com', ELT({number} % 3, 'g', 's'))"
        ),
        1 => format!("UPDATE users SET email = 'u{user}m{number}@example.com' WHERE id = {user}"),
        2 => format!(
            "UPDATE users SET tier = IF(tier = 'g', 'S', 'g'), visits = visits + 1 WHERE id = {user}"
        ),
        3 => format!(
            "REPLACE INTO tiers VALUES (ELT(1 + {number} % 3, 'g', 's', 'x'), 'Tier {number}')"
        ),
        4 => format!(
            "INSERT INTO categories VALUES ({category}, 'C{number}', {})",
            id(rng, 20)
        ),
        5 => format!("UPDATE categories SET name = 'C{number}' WHERE id = {category}"),
        6 => format!(
            "UPDATE categories SET parent_id = NULLIF({}, 1) WHERE id = {category}",
            id(rng, 20)
        ),
        7 => format!("DELETE FROM categories WHERE id = {category}"),
        8 => format!(
            "INSERT INTO products VALUES ({product}, 'P{number}', {number} / 100, {category})"
        ),
        9 => format!(
            "UPDATE products SET category_id = {category}, price = price + 1 WHERE id = {product}"
        ),
        10 => format!("DELETE FROM products WHERE id = {product}"),
        // Only users that are there: a cart without one has no key, and is not what this test is about.
        11 | 12 => format!(
            "INSERT INTO carts SELECT {cart}, id, '2024-05-05' FROM users WHERE id = {user}"
        ),
        13 => format!("DELETE FROM carts WHERE id = {cart}"),
        14 => format!(
            "REPLACE INTO cart_items VALUES ({cart}, {line}, {product}, {})",
            number % 7
        ),
        _ => format!("DELETE FROM cart_items WHERE cart_id = {cart} AND line = {line}"),
    };
    let _ = conn.query_drop(statement).await;
}
