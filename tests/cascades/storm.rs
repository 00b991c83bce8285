//! Random changes of rows that hang on each other, while the tables are copied and afterwards, with kills.

use std::time::Duration;

use fastrand::Rng;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use tokio_util::sync::CancellationToken;

use super::{NATIVE, contract, equal, fill, ready};
use crate::support::mysql::{Database, Server};
use crate::support::target::Target;
use crate::support::{seconds, seed};

const TIME: u64 = 20;
const KILLS: u32 = 8;

/// Enough for many chunks; a folder hangs on one with a lower or a higher number.
const MANY: &[&str] = &[
    "SET SESSION cte_max_recursion_depth = 100000",
    "INSERT INTO owners WITH RECURSIVE n AS (SELECT 5 i UNION ALL SELECT i + 1 FROM n WHERE i < 60) SELECT i, CONCAT('O', i), IF(i % 3, 'north', NULL) FROM n",
    "INSERT INTO folders WITH RECURSIVE n AS (SELECT 10 i UNION ALL SELECT i + 1 FROM n WHERE i < 1500) SELECT i, IF(i % 4, NULL, 1 + i % 60), NULL, CONCAT('F', i) FROM n",
    "UPDATE folders SET parent = (id * 7919) % 1490 + 10 WHERE id >= 10 AND id % 4 = 1",
    "UPDATE folders SET parent = id DIV 4 * 4 + 1 WHERE id >= 16 AND id % 4 > 1",
    "INSERT INTO files SELECT id, l, id FROM folders, (SELECT 1 l UNION SELECT 2) x WHERE id >= 10",
    "INSERT INTO badges WITH RECURSIVE n AS (SELECT 100 i UNION ALL SELECT i + 1 FROM n WHERE i < 1500) SELECT i, 1 + i % 60, 'B' FROM n",
    "INSERT INTO notes WITH RECURSIVE n AS (SELECT 100 i UNION ALL SELECT i + 1 FROM n WHERE i < 1500) SELECT i, 1 + i % 60, 'N' FROM n",
];

#[tokio::test]
async fn killed_at_random_moments_all_cascades_are_what_mysql_did() {
    let mut rng = Rng::with_seed(seed());
    let server = Server::start(&NATIVE);
    let database = Database::create(&server).await;
    fill(&database).await;
    let mut conn = database.conn().await;
    for sql in MANY {
        conn.query_drop(*sql).await.expect(sql);
    }
    for _ in 0..1500 {
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
    daemon.start();
    tokio::time::sleep(Duration::from_secs(2)).await;
    until.cancel();
    for writer in writers {
        writer.await.expect("the writer");
    }
    equal(&database, &mut daemon, &target).await;
    // And once more what was loaded is moved, all of it.
    let mut conn = database.conn().await;
    for _ in 0..500 {
        change(&mut conn, &mut rng).await;
    }
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

/// One random statement. It may fail (a duplicate key, a missing parent, a deadlock): then it changes nothing.
async fn change(conn: &mut Conn, rng: &mut Rng) {
    let owner = |rng: &mut Rng| rng.u32(1..65);
    let folder = |rng: &mut Rng| rng.u32(1..1600);
    let some = |rng: &mut Rng, id: u32| match rng.bool() {
        true => id.to_string(),
        false => "NULL".to_owned(),
    };
    let (a, b) = (owner(rng), owner(rng));
    let (f, g) = (folder(rng), folder(rng));
    let (line, number) = (rng.u32(1..4), rng.u32(1..1000));
    let region = ["north", "NORTH", "south", "South", "east", "west"][rng.usize(..6)];
    let statement = match rng.u8(..26) {
        0 => format!("INSERT INTO regions VALUES ('{region}')"),
        1 => format!("UPDATE regions SET code = '{region}' ORDER BY RAND() LIMIT 1"),
        2 if number < 300 => format!("DELETE FROM regions WHERE code = '{region}'"),
        3 | 4 => format!("INSERT INTO owners VALUES ({a}, 'O{number}', NULL)"),
        5 => format!(
            "INSERT INTO owners SELECT {a}, 'O{number}', code FROM regions WHERE code = '{region}'"
        ),
        6 => format!("UPDATE owners SET id = {a} WHERE id = {b}"),
        7 => format!("UPDATE owners SET name = 'O{number}', region = NULL WHERE id = {a}"),
        8 if number < 500 => format!("DELETE FROM owners WHERE id = {a}"),
        9 => format!("REPLACE INTO owners VALUES ({a}, 'R{number}', NULL)"),
        10..=13 => format!(
            "INSERT INTO folders VALUES ({f}, {}, {}, 'F{number}')",
            some(rng, a),
            some(rng, g)
        ),
        14 => format!("UPDATE folders SET parent = {g}, owner = NULL WHERE id = {f}"),
        15 => format!("UPDATE folders SET owner = {a}, name = 'F{number}' WHERE id = {f}"),
        16 => format!("DELETE FROM folders WHERE id = {f}"),
        17..=19 => format!("REPLACE INTO files VALUES ({f}, {line}, {number})"),
        20 => format!("UPDATE files SET folder = {g} WHERE folder = {f}"),
        21 => format!("REPLACE INTO badges VALUES ({number} % 60, {a}, 'B{number}')"),
        22 => format!("REPLACE INTO notes VALUES ({number} % 60, {a}, 'N{number}')"),
        23 => format!("DELETE FROM badges WHERE id = {number} % 60"),
        24 => format!("UPDATE notes SET owner = {b} WHERE owner = {a}"),
        _ => {
            unchecked(
                conn,
                &[
                    format!("DELETE FROM folders WHERE id = {f}"),
                    format!("UPDATE owners SET id = {b} WHERE id = {a}"),
                ][rng.usize(..2)],
            )
            .await;
            return;
        }
    };
    let _ = conn.query_drop(statement).await;
}

async fn unchecked(conn: &mut Conn, statement: &str) {
    conn.query_drop("SET foreign_key_checks = 0")
        .await
        .expect("a setting");
    let _ = conn.query_drop(statement).await;
    conn.query_drop("SET foreign_key_checks = 1")
        .await
        .expect("a setting");
}
