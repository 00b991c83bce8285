//! Rows whose keys look alike, through snapshot, stream and restart: joined, compared, sorted and contested as MySQL says.

use std::time::Duration;

use fastrand::Rng;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};

use super::{family, text_of};
use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::{Database, Server};
use crate::support::oracle::select::of_plan;
use crate::support::target::Target;
use crate::support::{plan, seed};

const PATIENCE: Duration = Duration::from_secs(120);
/// Rows of each table before the copy, and statements at each stage.
const ROWS: usize = 250;
const STATEMENTS: usize = 120;

fn tables(set: &str) -> [String; 2] {
    let text = format!("VARCHAR(20) CHARACTER SET {set} COLLATE {set}_bin");
    [
        format!("CREATE TABLE kinds (code {text} PRIMARY KEY, title VARCHAR(20) NOT NULL)"),
        format!(
            "CREATE TABLE uses (id INT, kind {text}, tag {text} NOT NULL, PRIMARY KEY (tag, id), KEY (kind))"
        ),
    ]
}

fn contract() -> String {
    let column = |name: &str, ty: &str, table: &str| json!({"name": name, "type": ty, "source_table": table, "source_column": name});
    let from_uses = |name: &str, ty: &str, more: Value| {
        let mut attribute = json!({"name": name, "type": ty, "source_table": "uses"});
        let to = attribute.as_object_mut().expect("an object");
        to.extend(more.as_object().expect("an object").clone());
        attribute
    };
    let uses = json!({"target_table": "uses", "join_condition": "uses.kind = kinds.code"});
    let aggregate = |operation: &str, select: Option<&str>| {
        let mut calculation = uses.clone();
        calculation["type"] = "aggregate".into();
        calculation["operation"] = operation.into();
        if let Some(select) = select {
            calculation["select_column"] = select.into();
        }
        json!({"calculation": calculation})
    };
    let mut list = uses.clone();
    list["type"] = "json-construction".into();
    list["construction"] = json!({"type": "array", "order_by": "uses.tag DESC", "limit": 3,
        "select_columns": {"tag": "uses.tag", "id": "uses.id"}});
    let compared = "CASE WHEN uses.kind = uses.tag THEN 'same' WHEN uses.kind < uses.tag THEN 'less' ELSE 'more' END";
    json!({"tables": [
        {"table": "Kinds", "type": "single-entity", "source_table": "kinds", "pk": "code", "sk": null, "attributes": [
            column("code", "S", "kinds"),
            column("title", "S", "kinds"),
            from_uses("count", "N", aggregate("COUNT", None)),
            from_uses("least", "S", aggregate("MIN", Some("uses.tag"))),
            from_uses("greatest", "S", aggregate("MAX", Some("uses.tag"))),
            from_uses("list", "L", json!({"join": list})),
        ]},
        {"table": "Uses", "type": "single-entity", "source_table": "uses", "pk": "id", "sk": "tag", "attributes": [
            column("id", "N", "uses"),
            column("tag", "S", "uses"),
            column("kind", "S", "uses"),
            {"name": "title", "type": "S", "source_table": "kinds", "join": {"type": "foreign-key", "target_table": "kinds",
                "join_condition": "kinds.code = uses.kind", "select_column": "kinds.title"}},
            from_uses("compared", "S", json!({"calculation": {"type": "date-math", "expression": compared}})),
        ]},
    ]})
    .to_string()
}

/// Random statements about few texts, many of which look alike.
struct Writer {
    set: &'static str,
    family: Vec<Vec<u8>>,
    next: u32,
}

impl Writer {
    fn text(&self, random: &mut Rng) -> String {
        let mut text = Vec::new();
        // An empty key has no item, which is another matter.
        while text.iter().all(|byte| *byte == b' ') {
            text = text_of(&self.family, random);
        }
        format!("_{} x'{}'", self.set, hex::encode(text))
    }

    fn insert(&mut self, random: &mut Rng) -> String {
        self.next += 1;
        let (n, text) = (self.next, self.text(random));
        match random.bool() {
            true => format!("INSERT IGNORE INTO kinds VALUES ({text}, 'title {n}')"),
            false => {
                let tag = self.text(random);
                format!("INSERT IGNORE INTO uses VALUES ({}, {text}, {tag})", n % 3)
            }
        }
    }

    fn statement(&mut self, random: &mut Rng) -> String {
        let (a, b, n) = (self.text(random), self.text(random), random.u8(..3));
        match random.u8(..8) {
            0 => format!(
                "UPDATE IGNORE kinds SET code = {a} WHERE code <= {b} ORDER BY code DESC LIMIT 1"
            ),
            1 => format!(
                "UPDATE kinds SET title = 'new {n}' WHERE code >= {a} ORDER BY code LIMIT 2"
            ),
            2 => format!("DELETE FROM kinds WHERE code >= {a} ORDER BY code LIMIT 1"),
            3 => format!(
                "UPDATE IGNORE uses SET kind = {a} WHERE tag <= {b} ORDER BY tag DESC, id LIMIT 2"
            ),
            4 => format!(
                "UPDATE IGNORE uses SET tag = {a} WHERE tag >= {b} ORDER BY tag, id LIMIT 1"
            ),
            5 => format!("DELETE FROM uses WHERE tag >= {a} ORDER BY tag, id LIMIT 1"),
            _ => self.insert(random),
        }
    }

    async fn write(&mut self, conn: &mut Conn, count: usize, random: &mut Rng) {
        for _ in 0..count {
            let statement = self.statement(random);
            if let Err(error) = conn.query_drop(&statement).await {
                panic!("{error}: {statement}");
            }
        }
    }
}

async fn compare(database: &Database<'_>, daemon: &mut Daemon, target: &Target) {
    daemon.caught_up(PATIENCE).await;
    let plan = plan::compile(database, &contract()).await;
    let expected = of_plan(&mut database.conn().await, &plan).await;
    items::compare(&expected.tables, &target.scan_all().await);
    let contested = expected.contested as u64;
    daemon
        .reach("a dead letter for each contested row", PATIENCE, |status| {
            status["dead_letters"] == contested
        })
        .await;
    assert!(contested > 0, "some keys show alike");
}

/// Rows are found again by their names, items by their keys, contested ones among them; some keys are no text of the set.
async fn repaired(database: &Database<'_>, set: &str, daemon: &mut Daemon, target: &Target) {
    let mut conn = database.conn().await;
    let alike = format!(
        "SELECT CAST(CONVERT(code USING utf8mb4) AS CHAR) FROM kinds
         WHERE CAST(CONVERT(CONVERT(code USING utf8mb4) USING {set}) AS BINARY) <> CAST(code AS BINARY)"
    );
    let alike: Vec<String> = conn.query(alike).await.expect("texts");
    assert!(!alike.is_empty(), "{set}");
    for code in &alike {
        let lost = json!({"TableName": "Kinds", "Key": {"code": {"S": code}}});
        target.call("DeleteItem", &lost).await.expect("a delete");
    }
    for extra in ["\u{1f600}", "\u{16a0}?", "a?\\zz"] {
        let item = json!({"code": {"S": extra}, "title": {"S": "extra"}});
        target.put("Kinds", item).await.expect("a put");
    }
    for (arguments, code) in [
        (&["verify", "--repair"][..], 3),
        (&["verify"], 0),
        (&["dead-letters", "retry"], 3),
    ] {
        let output = tokio::task::block_in_place(|| daemon.command(arguments));
        assert_eq!(
            output.status.code(),
            Some(code),
            "{set}: {arguments:?}: {output:?}"
        );
    }
    compare(database, daemon, target).await;
}

async fn follow(set: &'static str, random: &mut Rng) {
    let database = Server::shared().database().await;
    let [kinds, uses] = tables(set);
    database.run(&[&kinds, &uses]).await;
    let mut conn = database.conn().await;
    let mut writer = Writer {
        set,
        family: family(set, random),
        next: 0,
    };
    for _ in 0..ROWS * 2 {
        let insert = writer.insert(random);
        conn.query_drop(insert).await.expect("a row");
    }
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract());
    daemon.set("snapshot", "chunk_rows", "100");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    writer.write(&mut conn, STATEMENTS, random).await;
    compare(&database, &mut daemon, &target).await;
    writer.write(&mut conn, STATEMENTS, random).await;
    daemon.kill();
    writer.write(&mut conn, STATEMENTS, random).await;
    daemon.start();
    compare(&database, &mut daemon, &target).await;
    repaired(&database, set, &mut daemon, &target).await;
    writer.write(&mut conn, STATEMENTS, random).await;
    compare(&database, &mut daemon, &target).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_look_alike_are_told_apart() {
    let mut random = Rng::with_seed(seed());
    for set in ["cp932", "sjis", "gbk", "cp1251"] {
        follow(set, &mut random).await;
    }
}
