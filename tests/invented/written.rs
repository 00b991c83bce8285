//! Cases written by hand where the view and the server must be of one mind: what a join's condition means, and what a
//! document shows.

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

#[tokio::test]
async fn documents_show_numbers_as_the_server_does() {
    let tables = [
        "SET sql_mode = ''",
        "CREATE TABLE l (id INT PRIMARY KEY)",
        "CREATE TABLE r (id INT PRIMARY KEY, l INT, z INT(6) ZEROFILL, zt TINYINT(1) ZEROFILL, zb BIGINT(20) ZEROFILL,
            dz DECIMAL(8,2) ZEROFILL, f FLOAT(10,3), d DOUBLE(10,4), dzf DOUBLE ZEROFILL, f2 FLOAT(8,2) ZEROFILL, y YEAR, b BIT(9),
            bytes VARBINARY(9))",
        "INSERT INTO l VALUES (1), (2)",
        "INSERT INTO r VALUES (1, 1, 42, 0, 7, 3.5, 0.1, 0.1, 0.1, 0.1, 0, 5, 'x'),
            (2, 1, 0, 1, 18446744073709551615, 0, 123456.789, 123456.7891, 1e20, 1.5, 2024, 0, ''),
            (3, 1, 1234567, 9, 0, 123456.78, -0.0004, -0.00004, 3, 99999.99, 1999, 511, NULL),
            (4, 2, NULL, 1, 1, NULL, -1.5, -2, 0, 0, 2155, NULL, NULL)",
    ];
    let members = json!({"z": "z", "zt": "zt", "zb": "r.zb", "dz": "dz", "f": "(r.f)", "d": "d", "dzf": "dzf", "f2": "f2", "y": "y",
        "b": "b + 0", "sum": "z + 1", "bytes": "HEX(bytes)"});
    let construct = |name: &str, ty: &str, kind: &str| {
        json!({"name": name, "type": ty, "source_column": "id", "join": {"type": "json-construction", "target_table": "r",
            "join_condition": "r.l = l.id", "construction": {"type": kind, "select_columns": members, "order_by": "r.f DESC"}}})
    };
    let attributes = vec![
        construct("text", "S", "array"),
        construct("list", "L", "array"),
        construct("one", "S", "object"),
        construct("map", "M", "object"),
    ];
    let changes = ["UPDATE r SET z = z + 1, f = f / 3, d = d / 3, dzf = dzf / 3, y = 0"];
    alike(&tables, &table("l", attributes), &changes).await;
}
