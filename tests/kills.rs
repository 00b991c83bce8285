//! A random workload with the daemon killed again and again: afterwards the items are what SQL says.

use std::time::Duration;

use fastrand::Rng;
use tokio_util::sync::CancellationToken;

use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{self, Database, Server};
use crate::support::stub::{Faults, Stub};
use crate::support::target::Target;
use crate::support::{seconds, seed};
use crate::workload::{self, Written};

const ROWS: u32 = 20_000;
const WRITERS: u64 = 3;

/// How long the load runs, in seconds, and how often the daemon is killed meanwhile.
const TIME: u64 = 60;
const KILLS: u32 = 20;

/// What the kills met.
#[derive(Debug, Default)]
struct Met {
    kills: u32,
    in_snapshot: u32,
    in_stream: u32,
}

/// Runs workload and kills; the daemon is then running and has caught up.
async fn run(database: &Database<'_>, daemon: &mut Daemon, rng: &mut Rng) {
    daemon.set("snapshot", "workers", "2");
    let until = CancellationToken::new();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let pause = Duration::from_millis(2);
            let (opts, seed) = (database.opts(), rng.u64(..));
            tokio::spawn(workload::write(opts, ROWS, seed, pause, until.clone()))
        })
        .collect();
    let met = kill_again_and_again(daemon, rng).await;
    until.cancel();
    let mut written = Written::default();
    for writer in writers {
        written = written.and(writer.await.expect("the writer"));
    }
    println!("{written:?}, {met:?}");
    assert!(met.in_snapshot >= 3 && met.in_stream >= 3, "{met:?}");
    assert!(written.committed > 100, "{written:?}");
    assert!(
        written.swapped > 10 && written.rolled_back > 10,
        "{written:?}"
    );
    daemon.start();
    daemon.caught_up(Duration::from_secs(120)).await;
}

fn provision(daemon: &mut Daemon) {
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
}

/// Lives of random length; how many of them ended in the copy and how many in the stream is counted.
async fn kill_again_and_again(daemon: &mut Daemon, rng: &mut Rng) -> Met {
    let life = Duration::from_secs(seconds(TIME)) / KILLS;
    let mut met = Met::default();
    while met.kills < KILLS {
        daemon.start();
        // The copy takes seconds: the first lives are so short that several of them end in it.
        let length = match met.kills < KILLS / 2 {
            true => Duration::from_millis(rng.u64(250..700)),
            false => life.mul_f64(rng.f64() * 2.0),
        };
        tokio::time::sleep(length).await;
        // A life can end before the first answer: then nothing is known of its phase.
        let status = daemon.status().await;
        daemon.kill();
        met.kills += 1;
        let phase = status
            .as_ref()
            .and_then(|s| s["phase"].as_str())
            .unwrap_or("");
        match phase {
            "" => {}
            "snapshot" => met.in_snapshot += 1,
            "streaming" | "ready" => met.in_stream += 1,
            other => panic!("the daemon was {other}: {status:?}"),
        }
        if met.kills == KILLS / 2 && met.in_stream < 3 {
            // The copy takes longer than the lives on this machine: let it finish.
            daemon.start();
            daemon
                .phase_is_not("snapshot", Duration::from_secs(120))
                .await;
            daemon.kill();
        }
    }
    met
}

#[tokio::test]
async fn killed_at_random_moments_the_items_are_what_sql_says() {
    let mut rng = Rng::with_seed(seed());
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    workload::fill(&database, ROWS).await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &workload::contract());
    daemon.set("snapshot", "chunk_rows", "200");
    provision(&mut daemon);
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
    let stub = Stub::start(Faults::default());
    let mut daemon = Daemon::between(
        server.port(),
        &database.name,
        &stub.url(),
        &workload::contract(),
    );
    // A key whose answer was lost is blocked for three times this, and holds up what comes after it: chunks are larger
    // here, because a worker goes on only when its last one is committed.
    daemon.set("sink", "request_timeout_ms", "500");
    daemon.set("snapshot", "chunk_rows", "1000");
    provision(&mut daemon);
    stub.set_faults(faults(rng.u64(..)));
    run(&database, &mut daemon, &mut rng).await;
    let expected = workload::expected(&mut database.conn().await).await;
    items::compare(expected.tables(), &workload::scan(&stub));
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
