//! A random workload with the daemon killed again and again: afterwards the items are what SQL says.

use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio_util::sync::CancellationToken;

use crate::support::daemon::Daemon;
use crate::support::items::{self, Tables};
use crate::support::mysql::{self, Database, Server};
use crate::support::stub::{Faults, Stub};
use crate::support::target::Target;
use crate::support::{seconds, seed};
use crate::workload;

const ROWS: u32 = 20_000;
const WRITERS: u64 = 3;

/// How long the load runs, in seconds, and how often the daemon is killed meanwhile.
const TIME: u64 = 60;
const KILLS: u32 = 20;

/// Runs workload and kills; returns the daemon, running and caught up.
async fn run(database: &Database<'_>, daemon: &mut Daemon, rng: &mut Rng) {
    daemon.set("snapshot", "chunk_rows", "500");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    let until = CancellationToken::new();
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let conn = database.conn().await;
        let write = workload::write(
            conn,
            ROWS,
            rng.u64(..),
            Duration::from_millis(2),
            until.clone(),
        );
        writers.push(tokio::spawn(write));
    }
    let time = Duration::from_secs(seconds(TIME));
    let begun = Instant::now();
    let mut kills = 0;
    while begun.elapsed() < time {
        daemon.start();
        let life = time.mul_f64(rng.f64() * 2.0 / f64::from(KILLS));
        tokio::time::sleep(life).await;
        daemon.kill();
        kills += 1;
    }
    until.cancel();
    let mut committed = 0;
    for writer in writers {
        committed += writer.await.expect("the writer");
    }
    println!("{committed} transactions, {kills} kills");
    assert!(committed > 100, "the load ran: {committed} transactions");
    daemon.start();
    daemon.caught_up(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn killed_at_random_moments_the_items_are_what_sql_says() {
    let mut rng = Rng::with_seed(seed());
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    workload::fill(&database, ROWS).await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &workload::contract());
    run(&database, &mut daemon, &mut rng).await;
    let expected = workload::expected(&mut database.conn().await).await;
    items::compare(expected.tables(), &target.scan_all().await);
    assert_eq!(daemon.metric("penstock_dead_letter_rows").await, 0.0);
}

#[tokio::test]
async fn killed_under_a_faulty_target_the_items_are_what_sql_says() {
    let mut rng = Rng::with_seed(seed());
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    workload::fill(&database, ROWS).await;
    let stub = Stub::start(faults(rng.u64(..)));
    let mut daemon = Daemon::between(
        server.port(),
        &database.name,
        &stub.url(),
        &workload::contract(),
    );
    daemon.set("sink", "request_timeout_ms", "1000");
    run(&database, &mut daemon, &mut rng).await;
    let expected = workload::expected(&mut database.conn().await).await;
    items::compare(expected.tables(), &scan(&stub));
    let seen = stub.seen();
    println!("the stub saw {seen:?}");
}

/// All but late application: what a killed process had sent could be applied over what its successor wrote, and no
/// writer without a condition on the item can prevent that.
fn faults(seed: u64) -> Faults {
    Faults {
        seed,
        throttle: 0.05,
        reset: 0.01,
        lost: 0.02,
        internal: 0.02,
        bad_gateway: 0.01,
        partial: 0.1,
        slow: 0.05,
        ..Faults::default()
    }
}

fn scan(stub: &Stub) -> Tables {
    let keys = [("Accounts", &["email"][..]), ("Main", &["PK", "SK"][..])];
    keys.iter()
        .map(|(table, keys)| {
            let keys: Vec<String> = keys.iter().map(|&k| k.to_owned()).collect();
            let items = stub
                .items(table)
                .values()
                .map(|item| items::canonical(item.as_object().expect("an item"), &keys))
                .collect();
            ((*table).to_owned(), items)
        })
        .collect()
}
