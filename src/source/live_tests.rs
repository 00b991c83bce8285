//! Tests against a real server: `PENSTOCK_TEST_MYSQL=host:port cargo test --lib source::live -- --ignored`.
//! The server's root has no password, and everything in database `penstock_source` may be dropped.

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
    let mut alive = 0;
    while alive < 4 {
        let event = dump.next().await.expect("an event");
        let result = assembler.event(event, &mut |item| {
            if let StreamItem::Alive { offset, .. } = &item {
                assert!(*offset >= 4);
                alive += 1;
            }
            Ok(())
        });
        result.expect("understood");
    }
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
        .err()
        .expect("no name");
    assert_eq!(named.kind(), Kind::SourceSettings, "{named}");
    let wrong = Options {
        password: Secret::new("wrong"),
        ..user(TlsMode::Preferred)
    };
    assert_eq!(
        connect::connect(&wrong).await.expect_err("denied").kind(),
        Kind::SourceDenied
    );
    let denied = Dump::start(&wrong, &set, 4244).await.err().expect("denied");
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

#[tokio::test]
#[ignore = "needs a server"]
async fn the_catalog_is_loaded() {
    use crate::schema::{ColumnType, Generated, ReferentialAction};
    sql(&[
        "DROP DATABASE IF EXISTS penstock_child",
        "DROP TABLE IF EXISTS everything",
        "CREATE TABLE everything (b VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci NOT NULL, a MEDIUMINT UNSIGNED NOT NULL, \
         e ENUM('a', 'it''s', 'x,y', 'b\\\\c', 'n\\nl', 'ü('), s SET('p', 'q'), d DECIMAL(65,30), t TIMESTAMP(6) NULL, bit1 BIT(17), \
         g POINT, v VECTOR(7), j JSON, y YEAR, bin BINARY(5), vb VARBINARY(9), gen INT AS (a + 1) VIRTUAL, st INT AS (a + 2) STORED, \
         inv INT INVISIBLE, c CHAR(3), f FLOAT UNSIGNED, ti TIME(3), `we``ird` INT, PRIMARY KEY (b, a), UNIQUE u1 (a, `we``ird`), \
         UNIQUE u2 (c(2)), UNIQUE u3 ((a * 2)))",
        "CREATE DATABASE penstock_child",
        "CREATE TABLE penstock_child.kid (id INT PRIMARY KEY, b VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci, a MEDIUMINT UNSIGNED, \
         CONSTRAINT fk FOREIGN KEY (b, a) REFERENCES penstock_source.everything (b, a) ON DELETE CASCADE ON UPDATE SET NULL)",
    ])
    .await;
    let mut conn = connect::connect(&options()).await.expect("a connection");
    let catalog = super::catalog::load(&options(), &mut conn, &[DATABASE.to_owned()])
        .await
        .expect("loaded");
    let table = &catalog.tables[&TableName::new(DATABASE, "everything")];
    assert_eq!((table.columns.len(), table.engine.as_str()), (20, "InnoDB"));
    assert_eq!(table.primary_key, [0, 1]);
    assert_eq!(table.unique_keys.len(), 1);
    assert_eq!(table.unique_keys[0].columns, [1, 19]);
    let ty = |name: &str| table.column(name).expect("a column").ty.clone();
    assert_eq!(
        ty("a"),
        ColumnType::Int {
            bytes: 3,
            unsigned: true
        }
    );
    let ColumnType::Enum {
        labels, charset, ..
    } = ty("e")
    else {
        panic!("an enum")
    };
    assert_eq!(
        (labels, charset.as_str()),
        (
            ["a", "it's", "x,y", "b\\c", "n\nl", "ü("]
                .map(str::to_owned)
                .to_vec(),
            "utf8mb4"
        )
    );
    assert_eq!(
        ty("d"),
        ColumnType::Decimal {
            precision: 65,
            scale: 30,
            unsigned: false
        }
    );
    assert_eq!(ty("t"), ColumnType::Timestamp { fsp: 6 });
    assert_eq!(ty("bit1"), ColumnType::Bit { bits: 17 });
    assert_eq!(ty("v"), ColumnType::Vector { dimensions: 7 });
    assert_eq!(
        (ty("g"), ty("j"), ty("y")),
        (ColumnType::Geometry, ColumnType::Json, ColumnType::Year)
    );
    assert_eq!(
        (ty("bin"), ty("vb")),
        (
            ColumnType::Binary { length: 5 },
            ColumnType::Bytes { max_length: 9 }
        )
    );
    assert_eq!(
        (ty("f"), ty("ti")),
        (
            ColumnType::Float { unsigned: true },
            ColumnType::Time { fsp: 3 }
        )
    );
    let ColumnType::Text {
        max_chars,
        charset,
        fixed,
        ..
    } = ty("b")
    else {
        panic!("a text")
    };
    assert_eq!((max_chars, charset.as_str(), fixed), (20, "latin1", false));
    let column = |name: &str| table.column(name).expect("a column");
    assert_eq!(
        (column("gen").generated, column("st").generated),
        (Generated::Virtual, Generated::Stored)
    );
    assert!(column("inv").invisible && column("inv").nullable && !column("a").nullable);
    let kid = &catalog.tables[&TableName::new("penstock_child", "kid")];
    let key = &kid.foreign_keys[0];
    assert_eq!(
        (key.columns.as_slice(), key.on_delete, key.on_update),
        (
            &[1, 2][..],
            ReferentialAction::Cascade,
            ReferentialAction::SetNull
        )
    );
    conn.query_drop("DROP DATABASE penstock_child")
        .await
        .expect("dropped");
}

/// Applies each finding's SQL as root, with `PENSTOCK_TEST_MYSQL_BAD` naming a server that is set up badly.
#[tokio::test]
#[ignore = "needs a server"]
async fn preflight_cures_what_it_finds() {
    use super::preflight::{Severity, preflight};
    let Ok(address) = std::env::var("PENSTOCK_TEST_MYSQL_BAD") else {
        return;
    };
    let port = address
        .rsplit_once(':')
        .and_then(|(_, p)| p.parse().ok())
        .expect("host:port");
    let root = Options { port, ..options() };
    let mut admin = connect::connect(&root).await.expect("a connection");
    for statement in [
        "DROP USER IF EXISTS 'pen''stock'@'%'",
        "CREATE USER 'pen''stock'@'%' IDENTIFIED BY 'x'",
        "CREATE DATABASE IF NOT EXISTS `odd``base`",
        "CREATE TABLE IF NOT EXISTS `odd``base`.t (id INT PRIMARY KEY)",
        "CREATE TABLE IF NOT EXISTS `odd``base`.my (id INT PRIMARY KEY) ENGINE = MyISAM",
    ] {
        admin.query_drop(statement).await.expect(statement);
    }
    let user = Options {
        user: "pen'stock".to_owned(),
        password: Secret::new("x"),
        ..root
    };
    let tables = [
        TableName::new("odd`base", "t"),
        TableName::new("odd`base", "my"),
    ];
    for round in 0..3 {
        let mut conn = connect::connect(&user).await.expect("a connection");
        let (facts, findings) = preflight(&user, &mut conn, &tables, 4260)
            .await
            .expect("looked at");
        let bad: Vec<_> = findings
            .iter()
            .filter(|f| f.severity > Severity::Note)
            .collect();
        for f in &findings {
            println!(
                "{round} {:?} {}: {} | {:?}",
                f.severity, f.what, f.found, f.cure_sql
            );
        }
        println!("{facts:?}");
        if round == 2 {
            assert!(bad.is_empty(), "{bad:?}");
            break;
        }
        for cure in bad.iter().filter_map(|f| f.cure_sql.as_deref()) {
            for line in cure.lines().filter(|l| !l.starts_with("--")) {
                admin
                    .query_drop(line.trim_end_matches(';'))
                    .await
                    .expect(line);
            }
        }
    }
}

fn start_stream(
    options: Options,
    start: GtidSet,
    table: &str,
) -> (
    tokio_util::sync::CancellationToken,
    tokio::task::JoinHandle<Result<()>>,
    std::thread::JoinHandle<Result<()>>,
    std::sync::mpsc::Receiver<StreamItem>,
    tokio::sync::watch::Receiver<stream::StreamState>,
) {
    let cancel = tokio_util::sync::CancellationToken::new();
    let (task, deliveries, state) = stream::Stream::new(
        options,
        4270,
        start.clone(),
        stream::Budget {
            bytes: 1 << 20,
            events: 64,
        },
        cancel.clone(),
    );
    let (sender, items) = std::sync::mpsc::channel();
    let mut assembler = assembler(table, start);
    let thread = std::thread::spawn(move || {
        stream::decode(&deliveries, &mut assembler, &mut |item| {
            let _ = sender.send(item);
            Ok(())
        })
    });
    (cancel, tokio::spawn(task.run()), thread, items, state)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server"]
async fn the_stream_goes_on_after_a_kill_of_its_connection() {
    sql(&[
        "DROP TABLE IF EXISTS killed",
        "CREATE TABLE killed (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(900))",
    ])
    .await;
    let start = executed().await;
    let (cancel, task, thread, items, _state) = start_stream(options(), start, "killed");
    let mut conn = connect::connect(&options()).await.expect("a connection");
    for round in 0..30 {
        conn.query_drop(format!(
            "INSERT INTO {DATABASE}.killed (v) VALUES (REPEAT('x', 800)), ('y')"
        ))
        .await
        .expect("inserted");
        if round % 6 == 3 {
            let ids: Vec<u64> = conn
                .query("SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Binlog Dump GTID'")
                .await
                .expect("rows");
            for id in ids {
                let _ = conn.query_drop(format!("KILL {id}")).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    let goal = executed().await;
    let (mut seen, mut rows, mut commits) = (GtidSet::new(), 0, 0);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while commits < 30 && std::time::Instant::now() < deadline {
        match items.recv_timeout(Duration::from_millis(200)) {
            Ok(StreamItem::Rows { .. }) => rows += 1,
            Ok(StreamItem::Commit { gtid, .. }) => {
                assert!(seen.add(&gtid), "twice: {gtid}");
                assert!(goal.contains(&gtid));
                commits += 1;
            }
            _ => {}
        }
    }
    assert_eq!((commits, rows), (30, 30));
    cancel.cancel();
    task.await.expect("joined").expect("cancelled");
    thread.join().expect("joined").expect("ended");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs no server, but time"]
async fn nonsense_is_retried_and_reported() {
    use tokio::io::AsyncWriteExt;
    for junk in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &[],
        &[5, 0, 0, 0, 10, 1],
        &[0xFF; 64],
        &[1, 0, 0, 0, 0xFF],
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let _ = client.write_all(junk).await;
            }
        });
        let options = Options {
            port,
            connect_timeout: Duration::from_secs(1),
            ..Options::default()
        };
        for error in [
            connect::connect(&options)
                .await
                .err()
                .expect("no connection"),
            Dump::start(&options, &GtidSet::new(), 1)
                .await
                .err()
                .expect("no dump"),
        ] {
            assert_eq!(error.kind(), Kind::SourceUnavailable, "{junk:?}: {error}");
        }
        let (cancel, task, thread, _items, mut state) =
            start_stream(options, GtidSet::new(), "none");
        state
            .wait_for(|s| matches!(s, stream::StreamState::Waiting { .. }))
            .await
            .expect("a state");
        cancel.cancel();
        task.await.expect("joined").expect("cancelled");
        thread.join().expect("joined").expect("ended");
    }
}
