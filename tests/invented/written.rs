//! Cases written by hand where the view and the server must be of one mind: what a join's condition means.

use std::sync::Arc;

use serde_json::{Value, json};

use super::inside::{Replica, server, session};
use crate::support::items;
use crate::support::mysql::Database;
use crate::support::oracle::select::of_plan;
use crate::support::plan;

/// The items of a contract over these tables, by the view and by the server: first all rows, then what `changes` make of them.
async fn alike(tables: &[&str], contract: &Value, changes: &[&str]) {
    let database = Database::create(server()).await;
    let mut conn = database.conn().await;
    for statement in tables {
        session(&mut conn, statement).await;
    }
    let plan = Arc::new(plan::compile(&database, &contract.to_string()).await);
    let mut replica = Replica::new(Arc::clone(&plan));
    replica.follow(&mut conn).await;
    replica.first_passes();
    for change in std::iter::once(&"DO 0").chain(changes) {
        session(&mut conn, change).await;
        replica.follow(&mut conn).await;
        let computed = of_plan(&mut conn, &plan).await;
        assert_eq!((computed.unmappable, computed.contested), (0, 0));
        if let Some(difference) = items::difference(&computed.tables, &replica.tables(), 5) {
            panic!("after {change}: {difference}");
        }
    }
}

fn table(source: &str, attributes: Vec<Value>) -> Value {
    let mut all = vec![json!({"name": "id", "type": "N", "source_column": "id"})];
    all.extend(attributes);
    json!({"tables": [{"table": "Items", "type": "single-entity", "source_table": source, "pk": "id", "sk": null,
        "attributes": all}]})
}

#[tokio::test]
async fn joins_mean_what_the_server_means() {
    let tables = [
        "SET sql_mode = ''",
        "CREATE TABLE l (id INT PRIMARY KEY, e ENUM('5','2','1'), s SET('x','y'), n INT, big BIGINT UNSIGNED,
            ci VARCHAR(80) COLLATE utf8mb4_0900_ai_ci, gc VARCHAR(80) COLLATE utf8mb4_general_ci,
            lb VARCHAR(80) CHARACTER SET latin1 COLLATE latin1_bin, lc VARCHAR(80) CHARACTER SET latin1,
            ab VARCHAR(80) CHARACTER SET ascii COLLATE ascii_bin, d DATE) CHARACTER SET utf8mb4",
        "CREATE TABLE r LIKE l",
        "ALTER TABLE r ADD js JSON",
        "INSERT INTO l VALUES (1, '5', 'x', 1, 1, 'Anna@x', '1', SHA2('1', 256), SHA2('1', 256), SHA2('1', 256), '2024-02-29'),
            (2, '2', 'x,y', 2, 2, 'anna@X', '2 ', UPPER(SHA2('2', 256)), UPPER(SHA2('2', 256)), UPPER(SHA2('2', 256)), '0000-00-00'),
            (3, '1', '', 3, 3, 'é', '3', CONCAT(SHA2('3', 256), ' '), 'A', 'a', '2024-01-01'),
            (4, NULL, 'y', 5, 5, 'E', 'x', '5', '5', '5', NULL), (5, '2', 'y', 0, 0, '3', '03', '3 ', '3 ', '3 ', '1999-12-31')",
        "INSERT INTO r SELECT l.*, JSON_OBJECT('ci', ci, 'n', n) FROM l",
    ];
    let conditions = [
        "l.e = r.n",
        "r.e = l.n",
        "r.big = l.e",
        "l.e = r.ci",
        "l.s = r.n",
        "r.s = l.big",
        "l.ci = r.js->>'$.ci'",
        "l.js_ci = r.ci",
        "l.gc = r.js->>'$.n'",
        "l.n = r.js->>'$.n'",
        "l.n = r.js->'$.n'",
        "l.lb = SHA2(r.n, 256)",
        "r.lb = SHA2(l.n, 256)",
        "l.lc = SHA2(r.n, 256)",
        "l.ab = SHA2(r.n, 256)",
        "l.ab = HEX(r.n)",
        "l.lb = CAST(r.n AS CHAR)",
        "l.lb = CONCAT(r.n)",
        "l.gc = CONCAT(r.n)",
        "l.ab = r.lc",
        "r.ab = l.lc",
        "l.ab = r.lb",
        "DATE(l.d) = r.d",
        "l.d = DATE(r.d)",
        "l.e = r.n AND l.gc = CONCAT(r.n)",
    ];
    let conditions = conditions.map(|c| c.replace("l.js_ci", "UPPER(l.ci)"));
    let count = |(nth, condition): (usize, &String)| {
        json!({"name": format!("n{nth}"), "type": "N", "source_column": "id", "calculation": {"type": "aggregate",
            "operation": "COUNT", "target_table": "r", "join_condition": condition}})
    };
    let attributes = conditions.iter().enumerate().map(count).collect();
    let changes = [
        "INSERT INTO r (id, e, s, n, big, ci, gc, lb, lc, ab, js) VALUES
            (7, '1', 'x,y', 3, 1, 'ANNA@x', '5', SHA2('5', 256), 'é', 'E', '{\"ci\": \"É\", \"n\": 2}')",
        "UPDATE r SET n = n + 1, e = '2', lb = UPPER(lb), js = JSON_OBJECT('ci', UPPER(ci), 'n', n)",
        "UPDATE l SET n = 2, e = '1', gc = '4', s = 'y', ab = LOWER(ab)",
        "DELETE FROM r WHERE id < 3",
    ];
    alike(&tables, &table("l", attributes), &changes).await;
}
