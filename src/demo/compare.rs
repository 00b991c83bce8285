//! Both sides of the demo, compared: what MySQL says the items are (queries written by hand, not our plan) and what
//! a scan of DynamoDB finds.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Row, Value};

use crate::error::{Error, Kind, Result};

/// The items of one entity as SQL: each column is an attribute `name:type`; NULL leaves it out.
struct Entity {
    label: &'static str,
    table: &'static str,
    /// Items of this entity begin their partition key with this, and their sort key with that.
    prefixes: [&'static str; 2],
    keys: &'static [&'static str],
    sql: &'static str,
}

const ENTITIES: [Entity; 4] = [
    Entity {
        label: "Products",
        table: "Products",
        prefixes: ["", ""],
        keys: &["product_id"],
        sql: "SELECT id `product_id:N`, sku `sku:S`, title `title:S`, description `description:S`,
                price `price:N`, price `price_label:S`, NULLIF(tags, '') `tags:SS`, weight_g `weight_g:N`,
                REPLACE(TO_BASE64(image), '\n', '') `image:S`,
                DATE_FORMAT(updated_at, '%Y-%m-%dT%H:%i:%s.') `updated_at:part`,
                CONCAT(LPAD(MICROSECOND(updated_at) DIV 1000, 3, '0'), 'Z') `updated_at:rest`
              FROM products",
    },
    Entity {
        label: "Shop: users",
        table: "Shop",
        prefixes: ["USER#", "PROFILE"],
        keys: &["PK", "SK"],
        sql: "SELECT CONCAT('USER#', id) `PK:S`, 'PROFILE' `SK:S`, 'USER' `entity_type:S`, id `user_id:N`,
                email `email:S`, name `name:S`, status `status:S`,
                DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%sZ') `created_at:S`, preferences `preferences:J`
              FROM users",
    },
    Entity {
        label: "Shop: orders",
        table: "Shop",
        prefixes: ["ORDER#", "ORDER"],
        keys: &["PK", "SK"],
        sql: "SELECT CONCAT('ORDER#', id) `PK:S`, 'ORDER' `SK:S`, 'ORDER' `entity_type:S`, id `order_id:N`,
                CONCAT('USER#', user_id) `customer:S`, status `order_status:S`, total `total:N`,
                DATE_FORMAT(placed_at, '%Y-%m-%dT%H:%i:%s.%f') `placed_at:part`, 'Z' `placed_at:rest`,
                DATE(placed_at) `placed_on:S`, note `note:S`
              FROM orders",
    },
    Entity {
        label: "Shop: order items",
        table: "Shop",
        prefixes: ["ORDER#", "ITEM#"],
        keys: &["PK", "SK"],
        sql: "SELECT CONCAT('ORDER#', order_id) `PK:S`, CONCAT('ITEM#', LPAD(line, 11, '0')) `SK:S`,
                'ORDER_ITEM' `entity_type:S`, LPAD(line, 11, '0') `line_padded:S`, line `line:N`,
                product_id `product_id:N`, quantity `quantity:N`, unit_price `unit_price:N`
              FROM order_items",
    },
];

type Item = BTreeMap<String, String>;

/// How one entity compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    pub label: &'static str,
    /// Rows in MySQL.
    pub rows: usize,
    /// Items in DynamoDB.
    pub items: usize,
    /// Rows without an item.
    pub missing: usize,
    /// Items without a row.
    pub extra: usize,
    /// Items whose attributes are not what MySQL says.
    pub different: usize,
}

impl Compared {
    pub fn is_equal(&self) -> bool {
        self.missing + self.extra + self.different == 0
    }
}

/// Compares everything. Both sides must stand still.
pub async fn compare(mysql: &mut Conn, dynamo: &Client) -> Result<Vec<Compared>> {
    mysql
        .query_drop("SET time_zone = '+00:00'")
        .await
        .map_err(mysql_failed)?;
    let mut results = Vec::new();
    for entity in &ENTITIES {
        let want = expected(mysql, entity).await?;
        let have = scanned(dynamo, entity).await?;
        results.push(Compared {
            label: entity.label,
            rows: want.len(),
            items: have.len(),
            missing: want.keys().filter(|k| !have.contains_key(*k)).count(),
            extra: have.keys().filter(|k| !want.contains_key(*k)).count(),
            different: want
                .iter()
                .filter(|(k, item)| have.get(*k).is_some_and(|other| other != *item))
                .count(),
        });
    }
    Ok(results)
}

async fn expected(mysql: &mut Conn, entity: &Entity) -> Result<BTreeMap<String, Item>> {
    let rows: Vec<Row> = mysql.query(entity.sql).await.map_err(mysql_failed)?;
    Ok(rows
        .iter()
        .map(|row| keyed(attributes(row), entity))
        .collect())
}

fn attributes(row: &Row) -> Item {
    let mut item = Item::new();
    for (i, column) in row.columns_ref().iter().enumerate() {
        let name = column.name_str();
        let (name, kind) = name.split_once(':').unwrap_or((&name, "S"));
        let Some(Value::Bytes(bytes)) = row.as_ref(i) else {
            continue;
        };
        let text = String::from_utf8_lossy(bytes).into_owned();
        let text = match kind {
            "N" => number(&text),
            "SS" => sorted(text.split(',').map(str::to_owned)),
            "J" => serde_json::from_str::<serde_json::Value>(&text)
                .map(|v| json(&v))
                .unwrap_or(text),
            _ => text,
        };
        // A value in two parts: the second one is appended.
        item.entry(name.to_owned())
            .and_modify(|t| t.push_str(&text))
            .or_insert(text);
    }
    item
}

async fn scanned(dynamo: &Client, entity: &Entity) -> Result<BTreeMap<String, Item>> {
    let mut items = BTreeMap::new();
    let mut from = None;
    loop {
        let page = dynamo
            .scan()
            .table_name(entity.table)
            .set_exclusive_start_key(from)
            .send()
            .await
            .map_err(|e| {
                Error::new(Kind::TargetUnavailable, "the scan of DynamoDB failed").with_source(e)
            })?;
        for attributes in page.items.unwrap_or_default() {
            let item: Item = attributes
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect();
            let belongs = entity
                .keys
                .iter()
                .zip(entity.prefixes)
                .all(|(key, prefix)| {
                    item.get(*key)
                        .is_some_and(|value| value.starts_with(prefix))
                });
            if belongs {
                let (key, item) = keyed(item, entity);
                items.insert(key, item);
            }
        }
        match page.last_evaluated_key {
            Some(next) if !next.is_empty() => from = Some(next),
            _ => return Ok(items),
        }
    }
}

fn keyed(item: Item, entity: &Entity) -> (String, Item) {
    let parts: Vec<&str> = entity
        .keys
        .iter()
        .map(|k| item.get(*k).map_or("", String::as_str))
        .collect();
    (parts.join("\n"), item)
}

fn text(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) => text.clone(),
        AttributeValue::N(text) => number(text),
        AttributeValue::Ss(members) => sorted(members.iter().cloned()),
        AttributeValue::M(_) | AttributeValue::L(_) => json(&native(value)),
        other => format!("{other:?}"),
    }
}

fn native(value: &AttributeValue) -> serde_json::Value {
    match value {
        AttributeValue::S(text) => text.clone().into(),
        AttributeValue::N(text) => serde_json::from_str(text).unwrap_or_default(),
        AttributeValue::Bool(truth) => (*truth).into(),
        AttributeValue::M(map) => map
            .iter()
            .map(|(k, v)| (k.clone(), native(v)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        AttributeValue::L(list) => list.iter().map(native).collect(),
        _ => serde_json::Value::Null,
    }
}

/// JSON with sorted keys and numbers in one notation.
fn json(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Number(n) => number(&n.to_string()),
        serde_json::Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(json).collect();
            format!("[{}]", parts.join(","))
        }
        serde_json::Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let parts: Vec<String> = sorted
                .into_iter()
                .map(|(k, v)| format!("{k:?}:{}", json(v)))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        other => other.to_string(),
    }
}

fn number(text: &str) -> String {
    if text.contains('.') && !text.contains(['e', 'E']) {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

fn sorted(members: impl Iterator<Item = String>) -> String {
    let mut members: Vec<String> = members.collect();
    members.sort();
    members.join(",")
}

fn mysql_failed(error: mysql_async::Error) -> Error {
    Error::new(Kind::SourceUnavailable, "the demo's query failed").with_source(error)
}
