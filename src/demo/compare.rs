//! Both sides of the demo, compared: the items that MySQL computes from the contract as SQL (`explain --sql`), and what
//! a scan of DynamoDB finds.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Row, Value};

use crate::contract::model::AttributeType;
use crate::error::{Error, Kind, Result};
use crate::plan::select::{SESSION, Select, select};
use crate::plan::{Plan, Role, TargetTable};

type Item = BTreeMap<String, String>;

/// How one DynamoDB table compares.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Compared {
    pub table: String,
    /// Items that MySQL computes.
    pub rows: usize,
    /// Items in DynamoDB.
    pub items: usize,
    /// Of these, those that are not in DynamoDB.
    pub missing: usize,
    /// Items that should not be there.
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
pub async fn compare(plan: &Plan, mysql: &mut Conn, dynamo: &Client) -> Result<Vec<Compared>> {
    mysql.query_drop(SESSION).await.map_err(mysql_failed)?;
    let mut results = Vec::new();
    for target in &plan.targets {
        let want = expected(plan, target, mysql).await?;
        let have = scanned(dynamo, target).await?;
        results.push(Compared {
            table: target.name.clone(),
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

/// The table's items as the SELECTs of its projections give them.
async fn expected(
    plan: &Plan,
    target: &TargetTable,
    mysql: &mut Conn,
) -> Result<BTreeMap<String, Item>> {
    let mut items = BTreeMap::new();
    for projection in plan.projections.iter().filter(|p| p.target == target.id) {
        let select = select(plan, projection)
            .map_err(|e| Error::new(Kind::Internal, "the demo's contract as SQL").with_source(e))?;
        let rows: Vec<Row> = mysql.query(&select.sql).await.map_err(mysql_failed)?;
        for row in &rows {
            let (key, item) = keyed(attributes(row, &select), target);
            // The first one owns a key.
            items.entry(key).or_insert(item);
        }
    }
    Ok(items)
}

/// The attributes of a row: those that are NULL, and keys of indexes that are empty, are left out.
fn attributes(row: &Row, select: &Select) -> Item {
    let mut item = Item::new();
    for (index, column) in (select.key.len()..).zip(&select.columns) {
        let Some(Value::Bytes(bytes)) = row.as_ref(index) else {
            continue;
        };
        let text = String::from_utf8_lossy(bytes).into_owned();
        if text.is_empty() && (column.role == Role::IndexKey || column.ty == AttributeType::SS) {
            continue;
        }
        let text = match column.ty {
            AttributeType::N => number(&text),
            AttributeType::SS => sorted(text.split(',').map(str::to_owned)),
            AttributeType::M | AttributeType::L => serde_json::from_str(&text)
                .map(|value| json(&value))
                .unwrap_or(text),
            _ => text,
        };
        item.insert(column.name.clone(), text);
    }
    item
}

async fn scanned(dynamo: &Client, target: &TargetTable) -> Result<BTreeMap<String, Item>> {
    let mut items = BTreeMap::new();
    let mut from = None;
    loop {
        let page = dynamo
            .scan()
            .table_name(&target.name)
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
            let (key, item) = keyed(item, target);
            items.insert(key, item);
        }
        match page.last_evaluated_key {
            Some(next) if !next.is_empty() => from = Some(next),
            _ => return Ok(items),
        }
    }
}

fn keyed(item: Item, target: &TargetTable) -> (String, Item) {
    let keys = std::iter::once(&target.pk).chain(&target.sk);
    let parts: Vec<&str> = keys
        .map(|k| item.get(&k.name).map_or("", String::as_str))
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
