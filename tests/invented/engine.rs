//! Invented cases from MySQL to the target: what the daemon makes of rows and transactions is what MySQL computes.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use fastrand::Rng;
use futures_util::FutureExt;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::cases;
use crate::support::daemon::Daemon;
use crate::support::invent::{Case, SESSION, run};
use crate::support::mysql::{Database, Server};
use crate::support::oracle::select::of_plan;
use crate::support::target::Target;
use crate::support::{items, plan, seed};

const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
struct Totals {
    cases: usize,
    refused: usize,
    items: usize,
    killed: usize,
    letters: usize,
}

/// Long runs go on after a difference, up to so many.
const MOST_DIFFERENCES: usize = 10;

#[tokio::test]
async fn invented_contracts_are_followed_exactly() {
    // The usual run takes the same cases each time; PENSTOCK_SEED and PENSTOCK_CASES take others.
    let first = match std::env::var("PENSTOCK_SEED") {
        Ok(_) => seed(),
        Err(_) => 1,
    };
    let mut total = Totals::default();
    let mut differences = Vec::new();
    for number in 0..cases(200) {
        let seed = first.wrapping_add(number);
        if let Some(difference) = case(seed, &mut total).await {
            println!("{difference}");
            differences.push(difference);
        }
        if differences.len() >= MOST_DIFFERENCES {
            break;
        }
    }
    println!("{total:?}");
    assert!(
        differences.is_empty(),
        "{} differences, the first one: {}",
        differences.len(),
        differences[0]
    );
    assert!(
        cases(200) < 10 || total.refused * 3 < total.cases && total.items > 100,
        "{total:?}"
    );
}

/// What differs in this case; a panic is a difference too.
async fn case(seed: u64, total: &mut Totals) -> Option<String> {
    println!("case PENSTOCK_SEED={seed} PENSTOCK_CASES=1");
    let case = AssertUnwindSafe(one(seed, total)).catch_unwind().await;
    let what = match case {
        Ok(Ok(())) => return None,
        Ok(Err(difference)) => difference,
        Err(panic) => match panic.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => "a panic: its message is above".to_owned(),
        },
    };
    Some(format!("seed {seed}: {what}"))
}

async fn one(seed: u64, total: &mut Totals) -> Result<(), String> {
    total.cases += 1;
    let mut rng = Rng::with_seed(seed);
    let mut case = Case::invent(seed);
    let database = Database::create(Server::shared()).await;
    let mut conn = database.conn().await;
    let mut statements = vec![SESSION.to_owned()];
    statements.extend(case.ddl.iter().chain(&case.initial).cloned());
    run(&mut conn, &statements).await;
    let contract = case.contract_json();
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract);
    daemon.set("snapshot", "chunk_rows", "100");
    let provisioned = daemon.command(&["provision", "--yes"]);
    if !provisioned.status.success() {
        // Some expressions are refused, each by its name: that is an answer too.
        let why = String::from_utf8_lossy(&provisioned.stderr);
        assert!(why.contains("sql-unsupported"), "{why}\n{contract}");
        let line = why.lines().find(|line| line.contains("sql-unsupported"));
        println!("  refused: {}", line.unwrap_or_default());
        total.refused += 1;
        drop_database(&mut conn, &database).await;
        return Ok(());
    }
    daemon.start();
    let kill = rng.u8(..3) == 0;
    for number in 0..12 {
        run(&mut conn, &case.next_transaction()).await;
        if kill && number % 4 == 3 {
            // At once, or in the midst of what follows from it: the copy, a first pass, a fan-out.
            let most = [1, 30, 300][rng.usize(..3)];
            let moment = rng.u64(..most);
            tokio::time::sleep(Duration::from_millis(moment)).await;
            daemon.kill();
            total.killed += 1;
            daemon.start();
        }
        if number == 6 && !kill {
            daemon.caught_up(PATIENCE).await;
        }
    }
    daemon.caught_up(PATIENCE).await;
    let plan = plan::compile(&database, &contract).await;
    let computed = of_plan(&mut conn, &plan).await;
    let actual = target.scan_all().await;
    if let Some(difference) = items::difference(&computed.tables, &actual, 5) {
        return Err(format!("{difference}\n{}\n{contract}", case.ddl.join("\n")));
    }
    let letters = computed.unmappable + computed.contested;
    // Letters are stored with the next checkpoint.
    for _ in 0..100 {
        if daemon.metric("penstock_dead_letter_rows").await as usize == letters {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let stored = daemon.metric("penstock_dead_letter_rows").await as usize;
    if stored != letters {
        let listed = daemon.command(&["dead-letters", "list"]);
        return Err(format!(
            "{stored} dead letters, not {} rows without an item and {} contested ones\n{}\n{}\n{contract}",
            computed.unmappable,
            computed.contested,
            String::from_utf8_lossy(&listed.stdout),
            case.ddl.join("\n"),
        ));
    }
    total.letters += letters;
    total.items += computed.tables.values().map(|t| t.len()).sum::<usize>();
    drop_database(&mut conn, &database).await;
    Ok(())
}

async fn drop_database(conn: &mut Conn, database: &Database<'_>) {
    let drop = format!("DROP DATABASE `{}`", database.name);
    conn.query_drop(drop).await.expect("dropped");
}
