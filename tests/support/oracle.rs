//! What the items must be, as MySQL computes it: a SELECT written by hand for a test, or the plan's own ([`select`]),
//! which is held against those written by hand.
//!
//! Every column of the SELECT is an attribute; its alias says which and of what type: `` AS `price:N` ``. The types are
//! DynamoDB's (S, N, B, BOOL, SS, NS; the members of a set are separated by commas), and `J` for JSON text that
//! becomes a native map or list. The text is what the server prints. NULL leaves the attribute out, and so does an
//! empty set. An alias without a type is S.

pub mod select;

use base64::Engine as _;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use serde_json::{Map, Value as Json, json};

use super::items::{self, Items, Tables};

/// Expected tables, collected query by query.
#[derive(Default)]
pub struct Oracle {
    tables: Tables,
}

impl Oracle {
    pub fn new() -> Oracle {
        Oracle::default()
    }

    /// Adds the items of one query to `table`, whose key attributes are `keys` (partition key first).
    ///
    /// Panics when two rows have one key: then the test's contract has no answer.
    pub async fn add(
        &mut self,
        conn: &mut Conn,
        table: &str,
        keys: &[&str],
        sql: &str,
    ) -> &mut Oracle {
        let items = select(conn, keys, sql).await;
        let known = self.tables.entry(table.to_owned()).or_default();
        for (key, item) in items {
            assert!(
                known.insert(key.clone(), item).is_none(),
                "{table}: two rows for {key}"
            );
        }
        self
    }

    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    pub fn into_tables(self) -> Tables {
        self.tables
    }
}

/// The items of one query.
pub async fn select(conn: &mut Conn, keys: &[&str], sql: &str) -> Items {
    conn.query_drop("SET NAMES utf8mb4, time_zone = '+00:00'")
        .await
        .expect("a session in UTC");
    let rows: Vec<Row> = match conn.query(sql).await {
        Ok(rows) => rows,
        Err(error) => panic!("the oracle's query fails: {error}\n{sql}"),
    };
    let keys: Vec<_> = keys.iter().map(|&key| key.to_owned()).collect();
    let mut found = Items::new();
    for row in rows {
        let (key, item) = items::canonical(&item(&row), &keys);
        assert!(
            found.insert(key.clone(), item).is_none(),
            "two rows for {key}"
        );
    }
    found
}

fn item(row: &Row) -> Map<String, Json> {
    let mut item = Map::new();
    for (index, column) in row.columns_ref().iter().enumerate() {
        let alias = column.name_str();
        let (name, kind) = alias.rsplit_once(':').unwrap_or((&alias, "S"));
        let bytes = match row.as_ref(index) {
            None | Some(Value::NULL) => continue,
            Some(Value::Bytes(bytes)) => bytes.as_slice(),
            Some(other) => panic!("{alias}: the text protocol gave {other:?}"),
        };
        if let Some(value) = attribute(kind, bytes) {
            item.insert(name.to_owned(), value);
        }
    }
    item
}

fn attribute(kind: &str, bytes: &[u8]) -> Option<Json> {
    if kind == "B" {
        return Some(json!({ "B": base64::engine::general_purpose::STANDARD.encode(bytes) }));
    }
    let text =
        str::from_utf8(bytes).expect("the oracle's column is text: give a binary one the type B");
    Some(match kind {
        "S" | "N" => json!({ kind: text }),
        "BOOL" => json!({ "BOOL": !matches!(text, "0" | "false") }),
        "SS" | "NS" => {
            if text.is_empty() {
                return None;
            }
            json!({ kind: text.split(',').collect::<Vec<_>>() })
        }
        "J" => native(&serde_json::from_str(text).expect("the oracle's column is JSON")),
        other => panic!("the oracle knows no type {other:?}"),
    })
}

/// JSON as a native attribute value.
fn native(json: &Json) -> Json {
    match json {
        Json::Null => json!({ "NULL": true }),
        Json::Bool(value) => json!({ "BOOL": value }),
        Json::Number(number) => json!({ "N": number.to_string() }),
        Json::String(text) => json!({ "S": text }),
        Json::Array(values) => json!({ "L": values.iter().map(native).collect::<Vec<_>>() }),
        Json::Object(values) => {
            let members: Map<_, _> = values
                .iter()
                .map(|(key, value)| (key.clone(), native(value)))
                .collect();
            json!({ "M": members })
        }
    }
}
