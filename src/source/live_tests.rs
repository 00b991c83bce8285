//! Tests against a real server: `PENSTOCK_TEST_MYSQL=host:port cargo test --lib source::live -- --ignored`.
//! The server's root has no password, and everything in database `penstock_source` may be dropped.

mod server;
mod streaming;

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;

use super::dump::Dump;
use super::options::{Options, Secret, TlsMode};
use super::statement::Tables;
use super::transaction::{Assembler, StreamItem};
use super::{connect, stream};
use crate::error::{Kind, Result};
use crate::plan::SourceId;
use crate::position::{GtidSet, Position};
use crate::schema::TableName;

const DATABASE: &str = "penstock_source";

fn options() -> Options {
    let address = std::env::var("PENSTOCK_TEST_MYSQL").expect("PENSTOCK_TEST_MYSQL=host:port");
    let (host, port) = address.rsplit_once(':').expect("host:port");
    Options {
        host: host.to_owned(),
        port: port.parse().expect("a port"),
        read_timeout: Duration::from_secs(3),
        ..Options::default()
    }
}

async fn sql(statements: &[&str]) {
    let mut conn = connect::connect(&options()).await.expect("a connection");
    let create = format!("CREATE DATABASE IF NOT EXISTS {DATABASE}");
    conn.query_drop(create).await.expect("created");
    conn.query_drop(format!("USE {DATABASE}"))
        .await
        .expect("used");
    for statement in statements {
        conn.query_drop(*statement).await.expect(statement);
    }
    conn.disconnect().await.expect("closed");
}

async fn executed() -> GtidSet {
    let mut conn = connect::connect(&options()).await.expect("a connection");
    let text: Option<String> = conn
        .query_first("SELECT @@GLOBAL.gtid_executed")
        .await
        .expect("a row");
    text.expect("a set").parse().expect("a set")
}

fn assembler(table: &str, start: GtidSet) -> Assembler {
    let tables = Tables::new(vec![(TableName::new(DATABASE, table), SourceId(0))], false);
    let position = Position {
        gtids: start,
        ..Position::default()
    };
    Assembler::new(Arc::new(tables), position)
}

/// Reads from `start` until everything that is executed now has come.
async fn read_all(
    table: &str,
    start: GtidSet,
    mut seen: impl FnMut(&StreamItem),
) -> Result<Assembler> {
    let goal = executed().await;
    let mut dump = Dump::start(&options(), &start, 4242).await?;
    let mut assembler = assembler(table, start);
    while !goal.is_subset(assembler.completed()) {
        let event = dump.next().await?;
        assembler.event(event, &mut |item| {
            seen(&item);
            Ok(())
        })?;
    }
    Ok(assembler)
}

#[tokio::test]
#[ignore = "needs a server"]
async fn all_kinds_of_transactions_come() {
    sql(&[
        "DROP TABLE IF EXISTS kinds",
        "CREATE TABLE kinds (id INT PRIMARY KEY, v LONGTEXT)",
    ])
    .await;
    let start = executed().await;
    sql(&[
        "INSERT INTO kinds VALUES (1, 'a')",
        "SET gtid_next = 'AUTOMATIC:blue'",
        "INSERT INTO kinds VALUES (2, 'b')",
        "SET gtid_next = 'AUTOMATIC'",
        "INSERT INTO kinds VALUES (3, REPEAT('x', 20000000))",
        "SET binlog_transaction_compression = ON",
        "INSERT INTO kinds VALUES (4, REPEAT('y', 17000000))",
        "CREATE TABLE IF NOT EXISTS beside (a INT)",
        "DROP TABLE beside",
    ])
    .await;
    let (mut rows, mut commits) = (0, 0);
    let assembler = read_all("kinds", start.clone(), |item| match item {
        StreamItem::Rows { .. } => rows += 1,
        StreamItem::Commit {
            committed_at_micros,
            offset,
            ..
        } => {
            assert!(*committed_at_micros > 1_600_000_000_000_000 && *offset > 4);
            commits += 1;
        }
        _ => {}
    })
    .await
    .expect("all");
    assert_eq!((rows, commits), (4, 7));
    assert!(assembler.completed().is_tagged());
    // Going on from a set with tags asks for nothing twice.
    sql(&["INSERT INTO kinds VALUES (5, 'e')"]).await;
    let mut more = 0;
    read_all("kinds", assembler.completed().clone(), |item| {
        more += usize::from(matches!(item, StreamItem::Commit { .. }));
    })
    .await
    .expect("more");
    // CREATE DATABASE IF NOT EXISTS is a transaction too.
    assert_eq!(more, 2);
}

#[tokio::test]
#[ignore = "needs a server"]
async fn a_quiet_server_sends_heartbeats() {
    let start = executed().await;
    let mut dump = Dump::start(&options(), &start, 4243).await.expect("a dump");
    let mut assembler = assembler("none", start);
    let (mut alive, mut versions) = (0, Vec::new());
    while alive < 4 {
        let event = dump.next().await.expect("an event");
        versions.push(event[4]);
        let result = assembler.event(event, &mut |item| {
            if let StreamItem::Alive { offset, .. } = &item {
                assert!(*offset >= 4);
                alive += 1;
            }
            Ok(())
        });
        result.expect("understood");
    }
    assert!(
        versions.contains(&41),
        "heartbeats with 64-bit positions: {versions:?}"
    );
}

#[tokio::test]
#[ignore = "needs a server"]
async fn a_large_compressed_transaction_takes_little_memory() {
    sql(&[
        "DROP TABLE IF EXISTS large",
        "CREATE TABLE large (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(2000))",
    ])
    .await;
    let start = executed().await;
    sql(&[
        "SET SESSION cte_max_recursion_depth = 200000",
        "SET binlog_transaction_compression = ON",
        "INSERT INTO large (v) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000) SELECT REPEAT(SHA2(i, 256), 15) FROM n",
    ])
    .await;
    let before = resident();
    let (mut bytes, mut peak) = (0usize, 0);
    read_all("large", start, |item| {
        if let StreamItem::Rows { event, .. } = item {
            bytes += event.bytes.len();
            peak = peak.max(resident());
        }
    })
    .await
    .expect("all");
    println!("{bytes} bytes of events; resident before {before} KiB, at most {peak} KiB");
    assert!(bytes > 120_000_000);
    assert!(peak < before + 60_000, "{before} {peak}");
}

/// Resident memory in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

async fn both_ways(options: &Options) -> Result<()> {
    let mut conn = connect::connect(options).await?;
    let one: Option<u8> = conn.query_first("SELECT 1").await.expect("a row");
    assert_eq!(one, Some(1));
    let cipher: Option<(String, String)> = conn
        .query_first("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        .await
        .expect("a row");
    // Behind a tunnel or not: TLS is what the server sees.
    assert_eq!(
        cipher.is_some_and(|c| c.1.is_empty()),
        options.tls == TlsMode::Disabled
    );
    conn.disconnect().await.expect("closed");
    connect::connect_snapshot(options)
        .await?
        .disconnect()
        .await
        .expect("closed");
    let set = executed().await;
    Dump::start(options, &set, 4244)
        .await?
        .next()
        .await
        .map(drop)
}

#[tokio::test]
#[ignore = "needs a server"]
async fn accounts_and_tls() {
    sql(&[
        "DROP USER IF EXISTS sha2, empty_one",
        "CREATE USER sha2 IDENTIFIED WITH caching_sha2_password BY 'pä\"ss'",
        "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO sha2",
    ])
    .await;
    let mut conn = connect::connect(&options()).await.expect("a connection");
    let datadir: Option<String> = conn.query_first("SELECT @@datadir").await.expect("a row");
    let ca = std::path::Path::new(&datadir.expect("a path")).join("ca.pem");
    let user = |tls| Options {
        user: "sha2".to_owned(),
        password: Secret::new("pä\"ss"),
        tls,
        tls_ca: Some(ca.clone()),
        ..options()
    };
    for tls in [
        TlsMode::Disabled,
        TlsMode::Preferred,
        TlsMode::Required,
        TlsMode::VerifyCa,
    ] {
        for fresh in [true, false] {
            if fresh {
                // Empties the server's cache: the full exchange (RSA without TLS) is needed.
                sql(&["FLUSH PRIVILEGES"]).await;
            }
            both_ways(&user(tls))
                .await
                .unwrap_or_else(|e| panic!("{tls:?} {fresh}: {e}"));
        }
    }
    sql(&["FLUSH PRIVILEGES"]).await;
    let set = executed().await;
    Dump::start(&user(TlsMode::Disabled), &set, 4244)
        .await
        .expect("RSA");
    let named = connect::connect(&user(TlsMode::VerifyIdentity))
        .await
        .expect_err("no name");
    assert_eq!(named.kind(), Kind::SourceSettings, "{named}");
    assert!(
        named.remedy().contains("verify-ca"),
        "{named} / {}",
        named.remedy()
    );
    let named = Dump::start(&user(TlsMode::VerifyIdentity), &set, 4244)
        .await
        .map(drop)
        .expect_err("no name");
    assert_eq!(named.kind(), Kind::SourceSettings, "{named}");
    let wrong = Options {
        password: Secret::new("wrong"),
        ..user(TlsMode::Preferred)
    };
    assert_eq!(
        connect::connect(&wrong).await.expect_err("denied").kind(),
        Kind::SourceDenied
    );
    let denied = Dump::start(&wrong, &set, 4244)
        .await
        .map(drop)
        .expect_err("denied");
    assert_eq!(denied.kind(), Kind::SourceDenied, "{denied}");
    assert!(!denied.to_string().contains("wrong"));
    let database = Options {
        database: Some("no_such".to_owned()),
        ..options()
    };
    assert_eq!(
        connect::connect(&database)
            .await
            .expect_err("unknown")
            .kind(),
        Kind::Usage
    );
    let host = Options {
        host: "no-such-host.invalid".to_owned(),
        ..options()
    };
    let unknown = connect::connect(&host).await.expect_err("unknown");
    assert!(unknown.message().contains("not known"), "{unknown}");
}

#[tokio::test]
#[ignore = "needs a server"]
async fn duplicate_ids_and_foreign_histories() {
    let set = executed().await;
    let mut first = Dump::start(&options(), &set, 4250).await.expect("a dump");
    first.next().await.expect("an event");
    let mut second = Dump::start(&options(), &set, 4250).await.expect("a dump");
    second.next().await.expect("an event");
    let error = loop {
        if let Err(error) = first.next().await {
            break error;
        }
    };
    assert_eq!(error.kind(), Kind::ServerIdTaken, "{error}");
    let mut conn = connect::connect(&options()).await.expect("a connection");
    let uuid: Option<String> = conn
        .query_first("SELECT @@server_uuid")
        .await
        .expect("a row");
    let ahead: GtidSet = format!("{}:1-99999999", uuid.expect("one"))
        .parse()
        .expect("a set");
    let mut dump = Dump::start(&options(), &ahead, 4251).await.expect("a dump");
    let error = loop {
        if let Err(error) = dump.next().await {
            break error;
        }
    };
    assert_eq!(error.kind(), Kind::LineageDiffers, "{error}");
    assert_eq!(
        stream::compare(&ahead, &set, &GtidSet::new(), "x")
            .expect_err("differs")
            .kind(),
        Kind::LineageDiffers
    );
}

#[tokio::test]
#[ignore = "needs a server"]
async fn purged_binlogs_are_told() {
    sql(&[
        "CREATE TABLE IF NOT EXISTS p (a INT)",
        "DROP TABLE p",
        "FLUSH BINARY LOGS",
    ])
    .await;
    let mut conn = connect::connect(&options()).await.expect("a connection");
    let row: Option<mysql_async::Row> = conn
        .query_first("SHOW BINARY LOG STATUS")
        .await
        .expect("a row");
    let file: String = row.expect("a row").get(0).expect("a name");
    conn.query_drop(format!("PURGE BINARY LOGS TO '{file}'"))
        .await
        .expect("purged");
    let mut dump = Dump::start(&options(), &GtidSet::new(), 4252)
        .await
        .expect("a dump");
    let error = loop {
        if let Err(error) = dump.next().await {
            break error;
        }
    };
    assert_eq!(error.kind(), Kind::SourcePurged, "{error}");
}

#[tokio::test]
#[ignore = "needs a server"]
async fn sets_are_computed_as_the_server_does() {
    let mut conn = connect::connect(&options()).await.expect("a connection");
    let mut random = fastrand::Rng::with_seed(7);
    let mut draw = || {
        let mut set = GtidSet::new();
        for _ in 0..random.usize(0..8) {
            let start = random.u64(1..20);
            let tag = ["", "a", "b_1"][random.usize(..3)];
            let tag = (!tag.is_empty()).then(|| crate::position::Tag::new(tag).expect("a tag"));
            set.add_interval([random.u8(..2); 16], tag, start, start + random.u64(0..6));
        }
        set
    };
    for _ in 0..200 {
        let (a, b) = (draw(), draw());
        let question = format!(
            "SELECT GTID_SUBSET('{a}', '{b}'), GTID_SUBTRACT('{a}', '{b}'), GTID_SUBTRACT('{a}', '')"
        );
        let (subset, rest, same): (bool, String, String) = conn
            .query_first(question)
            .await
            .expect("a row")
            .expect("a row");
        assert_eq!(a.is_subset(&b), subset, "{a} {b}");
        assert_eq!(
            a.difference(&b).to_string(),
            rest.replace(['\n', ' '], ""),
            "{a} {b}"
        );
        assert_eq!(a.to_string(), same.replace(['\n', ' '], ""));
    }
}
