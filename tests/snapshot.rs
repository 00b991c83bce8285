//! The snapshot beside the stream: bounds that are MySQL's, a resume at the cursor, the limits of a chunk.

use std::fmt::Write as _;
use std::time::Duration;

use fastrand::Rng;
use mysql_async::prelude::Queryable;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{self, Database, Server};
use crate::support::oracle::Oracle;
use crate::support::seed;
use crate::support::stub::{Faults, Stub};
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(60);

/// A table that is copied by an odd key.
struct Odd {
    name: &'static str,
    /// The definition of the key's columns `a`, and `b` and `c` where the key has them.
    columns: &'static str,
    key: &'static [&'static str],
    /// A random value of each key column, as SQL.
    value: fn(&mut Rng, &str) -> String,
    /// A column of the item's key as text, by the oracle.
    text: fn(&str) -> String,
}

fn plain(column: &str) -> String {
    format!("CONVERT(CAST({column} AS CHAR) USING utf8mb4)")
}

fn hex(column: &str) -> String {
    format!("LOWER(HEX({column}))")
}

/// Letters that collations take for equal or for neighbours, in the order of no code page.
fn word(rng: &mut Rng) -> String {
    let letters: Vec<char> = "aAbBzZäÄéEeßsSñnåø-_ 0~".chars().collect();
    let length = rng.usize(1..8);
    let word: String = (0..length)
        .map(|_| letters[rng.usize(..letters.len())])
        .collect();
    format!("'{}{}'", word.trim_end(), rng.u16(0..300))
}

const ODD: &[Odd] = &[
    Odd {
        name: "labels",
        columns: "a ENUM('zebra','ant','Mouse','Bee','bea','10','9') NOT NULL, b SMALLINT NOT NULL",
        key: &["a", "b"],
        value: |rng, column| match column {
            "a" => format!("{}", rng.u8(1..=7)),
            _ => format!("{}", rng.i16(-200..200)),
        },
        text: plain,
    },
    Odd {
        name: "flags",
        columns: "a SET('z','y','x','w','v','u','t','s','r','q') NOT NULL",
        key: &["a"],
        value: |rng, _| format!("{}", rng.u16(1..1024)),
        text: plain,
    },
    Odd {
        name: "wide_flags",
        columns: "a SET('01','02','03','04','05','06','07','08','09','10','11','12','13','14','15','16','17','18','19','20','21','22','23','24','25','26','27','28','29','30','31','32','33','34','35','36','37','38','39','40','41','42','43','44','45','46','47','48','49','50','51','52','53','54','55','56','57','58','59','60','61','62','63','64') NOT NULL",
        key: &["a"],
        value: |rng, _| format!("{}", (rng.u64(1..4) << 62) | rng.u64(1..1000)),
        text: plain,
    },
    Odd {
        name: "large",
        columns: "a BIGINT UNSIGNED NOT NULL",
        key: &["a"],
        value: |rng, _| match rng.u8(0..3) {
            0 => format!("{}", rng.u64(0..1000)),
            1 => format!("{}", (1_u64 << 63) - 500 + rng.u64(0..1000)),
            _ => format!("{}", u64::MAX - rng.u64(0..1000)),
        },
        text: plain,
    },
    Odd {
        name: "words",
        columns: "a VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci NOT NULL",
        key: &["a"],
        value: |rng, _| word(rng),
        text: plain,
    },
    Odd {
        name: "padded",
        columns: "a CHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci NOT NULL, b CHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL",
        key: &["a", "b"],
        value: |rng, _| word(rng).replacen('\'', "'ü", 1).replace("0'", "   '"),
        text: plain,
    },
    Odd {
        name: "han",
        columns: "a VARCHAR(20) CHARACTER SET utf8mb3 COLLATE utf8mb3_unicode_ci NOT NULL, b VARCHAR(20) CHARACTER SET utf16 COLLATE utf16_unicode_ci NOT NULL",
        key: &["a", "b"],
        value: |rng, column| match column {
            "a" => format!(
                "'{}'",
                ["中", "文", "丁", "一", "誠", "a", "Z"][rng.usize(..7)].repeat(rng.usize(1..4))
            ),
            _ => word(rng),
        },
        text: plain,
    },
    // Every bound is made of dates that are none, which MySQL's default sql_mode takes for errors.
    Odd {
        name: "zeros",
        columns: "a DATE NOT NULL, b DATETIME(3) NOT NULL, c TIMESTAMP NOT NULL, d YEAR NOT NULL, e INT NOT NULL",
        key: &["a", "b", "c", "d", "e"],
        value: |rng, column| match column {
            "a" => ["'0000-00-00'", "'2024-00-00'", "'2024-02-00'"][rng.usize(..3)].to_owned(),
            "b" => ["'0000-00-00 00:00:00.000'", "'0000-00-00 00:00:01.500'"][rng.usize(..2)]
                .to_owned(),
            "c" => "'0000-00-00 00:00:00'".to_owned(),
            "d" => "0".to_owned(),
            _ => format!("{}", rng.i32(..)),
        },
        text: plain,
    },
    Odd {
        name: "bytes",
        columns: "a BINARY(3) NOT NULL, b VARBINARY(6) NOT NULL",
        key: &["a", "b"],
        value: |rng, column| match column {
            "a" => format!("x'{:02x}00'", rng.u8(0..6) * 51),
            _ => format!(
                "x'{:02x}{}'",
                rng.u8(..),
                ["", "00", "0000", "ff"][rng.usize(..4)]
            ),
        },
        text: hex,
    },
    Odd {
        name: "amounts",
        columns: "a DECIMAL(30,10) NOT NULL, b TINYINT NOT NULL",
        key: &["a", "b"],
        value: |rng, column| match column {
            "a" => format!("{}.{:010}", rng.i64(-3..3), rng.u32(0..5)),
            _ => format!("{}", rng.i8(..)),
        },
        text: plain,
    },
    Odd {
        name: "moments",
        columns: "a DATETIME(6) NOT NULL, b TIMESTAMP(6) NOT NULL",
        key: &["a", "b"],
        value: |rng, column| match column {
            "a" => format!("'2024-0{}-00 10:00:00.{:06}'", rng.u8(0..3), rng.u32(0..40)),
            _ => format!("'2024-10-27 0{}:30:00.{:06}'", rng.u8(0..4), rng.u32(0..10)),
        },
        text: plain,
    },
    Odd {
        name: "days",
        columns: "a DATE NOT NULL, b TIME(3) NOT NULL, c YEAR NOT NULL",
        key: &["a", "b", "c"],
        value: |rng, column| match column {
            "a" => [
                "'0000-00-00'",
                "'1000-01-01'",
                "'2024-02-29'",
                "'9999-12-31'",
            ][rng.usize(..4)]
            .to_owned(),
            "b" => format!(
                "'{}{}:00:01.{:03}'",
                ["-", ""][rng.usize(..2)],
                [0, 25, 837][rng.usize(..3)],
                rng.u16(0..30)
            ),
            _ => ["0", "1901", "1999", "2155"][rng.usize(..4)].to_owned(),
        },
        text: plain,
    },
    Odd {
        name: "negative",
        columns: "a INT NOT NULL, b BIT(40) NOT NULL",
        key: &["a", "b"],
        value: |rng, column| match column {
            "a" => format!("{}", rng.i32(-4..3)),
            _ => format!("{}", rng.u64(..) >> 24),
        },
        text: |column| match column {
            "b" => "CAST(b+0 AS CHAR)".to_owned(),
            _ => plain(column),
        },
    },
];

impl Odd {
    fn create(&self) -> String {
        format!(
            "CREATE TABLE {} ({}, v INT NOT NULL, u INT NOT NULL DEFAULT 0, PRIMARY KEY ({}))",
            self.name,
            self.columns,
            self.key.join(", ")
        )
    }

    fn values(&self, rng: &mut Rng) -> Vec<String> {
        self.key
            .iter()
            .map(|column| (self.value)(rng, column))
            .map(quoted)
            .collect()
    }

    fn insert(&self, rng: &mut Rng, rows: u32) -> String {
        let mut sql = format!(
            "INSERT IGNORE INTO {} ({}, v) VALUES ",
            self.name,
            self.key.join(", ")
        );
        for row in 0..rows {
            let comma = if row == 0 { "" } else { ", " };
            let _ = write!(
                sql,
                "{comma}({}, {})",
                self.values(rng).join(", "),
                rng.u16(..)
            );
        }
        sql
    }

    /// A change of rows beside a random key: some of them lie at a chunk's border.
    fn change(&self, rng: &mut Rng) -> String {
        let table = self.name;
        let first = self.key[0];
        let (one, other) = (self.values(rng), self.values(rng));
        match rng.u8(0..6) {
            0 => format!(
                "UPDATE {table} SET v = v + 1 WHERE {first} >= {} ORDER BY {first} LIMIT 3",
                one[0]
            ),
            1 => format!(
                "DELETE FROM {table} WHERE {first} <= {} ORDER BY {first} DESC LIMIT 2",
                one[0]
            ),
            // The key changes.
            2 => {
                let set: Vec<String> = self
                    .key
                    .iter()
                    .zip(&other)
                    .map(|(k, v)| format!("{k} = {v}"))
                    .collect();
                format!(
                    "UPDATE IGNORE {table} SET {} WHERE {first} >= {} LIMIT 1",
                    set.join(", "),
                    one[0]
                )
            }
            // Nothing that is mapped changes.
            3 => format!(
                "UPDATE {table} SET u = u + 1 WHERE {first} <= {} LIMIT 5",
                one[0]
            ),
            _ => self.insert(rng, 2),
        }
    }

    /// The item's key holds all columns of the row's key, each in an attribute of its own as well.
    fn contract(&self) -> serde_json::Value {
        let mut attributes = vec![
            json!({"name": "v", "type": "N", "source_table": self.name, "source_column": "v"}),
        ];
        for key in self.key {
            let mut attribute =
                json!({"name": key, "type": "S", "source_table": self.name, "source_column": key});
            if self.name == "bytes" {
                attribute["transformation"] = json!({"type": "binary-format", "format": "hex"});
            }
            attributes.push(attribute);
        }
        let sk = self.key.get(1).map(|_| self.key[1..].join("#"));
        json!({"table": self.name, "type": "single-entity", "source_table": self.name, "pk": self.key[0], "sk": sk,
            "attributes": attributes})
    }

    fn oracle(&self) -> String {
        let mut list = vec!["v `v:N`".to_owned()];
        list.extend(
            self.key
                .iter()
                .map(|key| format!("{} `{key}:S`", (self.text)(key))),
        );
        if self.key.len() > 2 {
            let parts: Vec<String> = self.key[1..].iter().map(|key| (self.text)(key)).collect();
            list.push(format!(
                "CONCAT_WS('#', {}) `{}:S`",
                parts.join(", "),
                self.key[1..].join("#")
            ));
        }
        format!("SELECT {} FROM {}", list.join(", "), self.name)
    }

    fn keys(&self) -> Vec<String> {
        let mut keys = vec![self.key[0].to_owned()];
        if self.key.len() > 1 {
            keys.push(self.key[1..].join("#"));
        }
        keys
    }
}

/// Numbers stay as they are; bare words become strings.
fn quoted(value: String) -> String {
    let is_number = value
        .bytes()
        .all(|b| b.is_ascii_digit() || b"-.".contains(&b));
    if value.starts_with('\'') || value.starts_with("x'") || (is_number && !value.is_empty()) {
        value
    } else {
        format!("'{value}'")
    }
}

/// Tables are copied in chunks of 100 rows by keys of every kind while their rows change.
#[tokio::test]
async fn chunks_by_keys_of_every_kind_under_load_lose_nothing() {
    let mut rng = Rng::with_seed(seed());
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    let mut statements = vec!["SET sql_mode = '', time_zone = '+00:00'".to_owned()];
    for odd in ODD {
        statements.push(odd.create());
        statements.push(odd.insert(&mut rng, 900));
    }
    database
        .run(&statements.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    let tables: Vec<_> = ODD.iter().map(Odd::contract).collect();
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &json!({ "tables": tables }).to_string());
    daemon.set("snapshot", "chunk_rows", "100");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    let until = CancellationToken::new();
    let mut conn = database.conn().await;
    conn.query_drop(&statements[0]).await.expect("a session");
    let (stop, mut writer) = (until.clone(), Rng::with_seed(rng.u64(..)));
    let load = tokio::spawn(async move {
        let mut changed = 0_u64;
        while !stop.is_cancelled() {
            let odd = &ODD[writer.usize(..ODD.len())];
            let statement = odd.change(&mut writer);
            // A key that is taken is no matter.
            changed += u64::from(conn.query_drop(&statement).await.is_ok());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        changed
    });
    daemon.start();
    daemon
        .reach("the snapshot is complete", PATIENCE, |s| {
            s["phase"] != "snapshot"
        })
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    until.cancel();
    let changed = load.await.expect("the load");
    assert!(changed > 50, "the load ran: {changed} changes");
    daemon.caught_up(PATIENCE).await;
    let mut conn = database.conn().await;
    let mut expected = Oracle::new();
    for odd in ODD {
        let keys = odd.keys();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        expected
            .add(&mut conn, odd.name, &keys, &odd.oracle())
            .await;
        assert!(
            expected.tables()[odd.name].len() > 100,
            "{} has several chunks",
            odd.name
        );
    }
    items::compare(expected.tables(), &target.scan_all().await);
    assert_eq!(daemon.metric("penstock_dead_letter_rows").await, 0.0);
}

#[tokio::test]
async fn a_floating_point_key_is_refused() {
    for ty in ["FLOAT", "DOUBLE"] {
        let database = Server::shared().database().await;
        let create = format!("CREATE TABLE things (id {ty} NOT NULL PRIMARY KEY, v INT)");
        database.run(&[&create]).await;
        let target = Target::dynoxide();
        let mut daemon = Daemon::new(&database, &target, &things());
        let output = daemon.command(&["run", "--until-caught-up"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.contains("id") && text.to_uppercase().contains("FLOAT"),
            "{text}"
        );
    }
}

fn things() -> String {
    json!({"tables": [{
        "table": "Things", "type": "single-entity", "source_table": "things", "pk": "id", "sk": null,
        "attributes": [
            {"name": "id", "type": "N", "source_table": "things", "source_column": "id"},
            {"name": "v", "type": "S", "source_table": "things", "source_column": "v"},
        ],
    }]})
    .to_string()
}

/// `rows` rows with `bytes` bytes in `v`.
async fn fill(database: &Database<'_>, rows: u32, bytes: u32) {
    let insert = format!(
        "INSERT INTO things WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
         SELECT i, CONCAT(i, REPEAT('v', {bytes})) FROM n"
    );
    database
        .run(&[
            "SET cte_max_recursion_depth = 100000000",
            "CREATE TABLE things (id INT PRIMARY KEY, v MEDIUMTEXT)",
            &insert,
        ])
        .await;
}

async fn expected(database: &Database<'_>) -> Oracle {
    let mut oracle = Oracle::new();
    let sql = "SELECT id `id:N`, v `v:S` FROM things";
    oracle
        .add(&mut database.conn().await, "Things", &["id"], sql)
        .await;
    oracle
}

/// Killed in the middle, the copy goes on at its cursor: of each worker one chunk at the most is read twice.
#[tokio::test]
async fn a_killed_snapshot_goes_on_at_its_cursor() {
    const ROWS: u32 = 30_000;
    const CHUNK: f64 = 500.0;
    const WORKERS: f64 = 3.0;
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    fill(&database, ROWS, 20).await;
    // Slow enough to be killed in the middle.
    let stub = Stub::start(Faults {
        slow: 0.5,
        ..Faults::default()
    });
    let mut daemon = Daemon::between(server.port(), &database.name, &stub.url(), &things());
    daemon
        .set("snapshot", "chunk_rows", "500")
        .set("snapshot", "workers", "3");
    assert!(daemon.command(&["provision", "--yes"]).status.success());
    daemon.start();
    for part in [0.3, 0.6] {
        let copied = |status: &serde_json::Value| {
            status["snapshot"].to_string().len() > 2
                && status["snapshot"][0]["rows"].as_f64().unwrap_or(0.0) > part * f64::from(ROWS)
        };
        let status = daemon.reach("a part of the copy", PATIENCE, copied).await;
        let before = status["snapshot"][0]["rows"].as_f64().expect("rows");
        assert!(before < f64::from(ROWS), "killed in the middle: {before}");
        daemon.kill();
        daemon.start();
        daemon
            .reach("the copy goes on", PATIENCE, |s| {
                s["snapshot"][0]["rows"].as_f64().unwrap_or(0.0) > before + WORKERS * CHUNK
            })
            .await;
        let chunks = daemon.metric("penstock_snapshot_reread_chunks_total").await;
        let rows = daemon.metric("penstock_snapshot_reread_rows_total").await;
        assert!(
            chunks <= WORKERS && rows <= WORKERS * CHUNK,
            "{chunks} chunks, {rows} rows"
        );
        println!("killed after {before} rows: {chunks} chunks with {rows} rows were read again");
    }
    daemon.caught_up(PATIENCE).await;
    let read = daemon.metric("penstock_snapshot_rows_total").await;
    let most = f64::from(ROWS) * 0.7 + WORKERS * CHUNK;
    assert!(
        read <= most,
        "{read} rows were read after the last kill, at most {most} were left"
    );
    let actual = crate::rules::scan(&stub, "Things", &["id"]);
    items::compare(expected(&database).await.tables(), &actual);
}

/// A chunk of wide rows is cut by its bytes, and the rest of its range is read on its own. The server does not send that rest
/// with each of the chunks.
#[tokio::test]
async fn a_chunk_of_wide_rows_is_cut_by_its_bytes() {
    const ROWS: u32 = 300;
    const BYTES: u32 = 200_000;
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    fill(&database, ROWS, BYTES).await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &things());
    daemon.set("snapshot", "workers", "2");
    assert!(daemon.command(&["provision", "--yes"]).status.success());
    let before = bytes_sent(&server).await;
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    let sent = (bytes_sent(&server).await - before) as f64;
    let part = sent / f64::from(ROWS * BYTES);
    println!("MySQL sent {sent} bytes, {part:.2} of the table");
    assert!((1.0..1.5).contains(&part), "{part:.2} of the table");
    items::compare(expected(&database).await.tables(), &target.scan_all().await);
    // 60 MB in a single range, and never 8 MiB of it more than once.
    let rows = daemon.metric("penstock_snapshot_rows_total").await;
    assert_eq!(rows, f64::from(ROWS));
    let commits = daemon.log().matches("the table is copied").count();
    assert_eq!(commits, 1);
}

/// What the server has sent since it started, to everybody.
async fn bytes_sent(server: &Server) -> u64 {
    let row: Option<(String, u64)> = server
        .conn(None)
        .await
        .query_first("SHOW GLOBAL STATUS LIKE 'Bytes_sent'")
        .await
        .expect("a status");
    row.expect("a row").1
}
