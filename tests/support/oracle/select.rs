//! The items of a whole plan, from the plan's own SELECTs: MySQL computes the values, and here they only take
//! their types.
//!
//! Everything that decides what an item is and is no matter of SQL is written down here once more: keys that are NULL
//! or too long (no item), index keys that do not fit (left out), numbers of more than 38 digits, members of sets, and
//! which row owns a key that several claim. Not here: an item's greatest size.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable;
use mysql_async::{Column, Conn, Row, Value};
use penstock::contract::model::AttributeType;
use penstock::plan::select::{SESSION, Select, SelectColumn, select};
use penstock::plan::{Plan, Projection, Role, TargetTable, Uniqueness};
use serde_json::{Map, Value as Json, json};

use super::native;
use crate::support::items::{self, Tables};

/// What a plan's SELECTs gave.
#[derive(Debug, Default)]
pub struct Computed {
    pub tables: Tables,
    /// Rows without an item.
    pub unmappable: usize,
    /// Rows whose key another one owns.
    pub contested: usize,
}

/// The items that MySQL computes for every projection of the plan.
pub async fn of_plan(conn: &mut Conn, plan: &Plan) -> Computed {
    let mut computed = Computed::default();
    for projection in &plan.projections {
        of_projection(conn, plan, projection, &mut computed).await;
    }
    computed
}

async fn of_projection(
    conn: &mut Conn,
    plan: &Plan,
    projection: &Projection,
    computed: &mut Computed,
) {
    let select = select(plan, projection).expect("a SELECT for the projection");
    let target = plan.target(projection.target);
    let mut keys = vec![target.pk.name.clone()];
    keys.extend(target.sk.iter().map(|sk| sk.name.clone()));
    conn.query_drop(SESSION)
        .await
        .expect("the SELECT's session");
    let rows: Vec<Row> = match conn.query(&select.sql).await {
        Ok(rows) => rows,
        Err(error) => panic!("{error}\n{}", select.sql),
    };
    for row in &rows {
        let Ok(item) = item(row, &select, target, plan.settings.write_nulls) else {
            computed.unmappable += 1;
            continue;
        };
        let (key, item) = items::canonical(&item, &keys);
        let table = computed.tables.entry(target.name.clone()).or_default();
        // Entities in their order, rows in the order of their keys: the first is the owner.
        match table.entry(key) {
            Entry::Occupied(taken) => {
                if let Uniqueness::Proved(why) = &projection.uniqueness {
                    panic!("two rows for {}, though {why}", taken.key());
                }
                computed.contested += 1;
            }
            Entry::Vacant(free) => {
                free.insert(item);
            }
        }
    }
}

/// The row has no valid item.
#[derive(Debug, PartialEq, Eq)]
struct Unmappable;

fn item(
    row: &Row,
    select: &Select,
    target: &TargetTable,
    write_nulls: bool,
) -> Result<Map<String, Json>, Unmappable> {
    let mut item = Map::new();
    let meta = row.columns_ref();
    for (index, column) in (select.key.len()..).zip(&select.columns) {
        assert_eq!(meta[index].name_str(), column.alias);
        let bytes = match row.as_ref(index) {
            None | Some(Value::NULL) => None,
            Some(Value::Bytes(bytes)) => Some(bytes.as_slice()),
            Some(other) => panic!("{}: the text protocol gave {other:?}", column.alias),
        };
        let value = attribute(column.ty, bytes, &Sent::of(&meta[index], column));
        match (column.role, value) {
            (Role::Plain, Ok(Some(value))) => {
                item.insert(column.name.clone(), value);
            }
            (Role::Plain, Ok(None)) => {
                let null = bytes.is_none() || is_json_null(bytes, &meta[index], column);
                if column.ty == AttributeType::Null || (write_nulls && null) {
                    item.insert(column.name.clone(), json!({"NULL": true}));
                }
            }
            (Role::Plain, Err(unmappable)) => return Err(unmappable),
            (Role::PartitionKey | Role::SortKey, value) => {
                let value = value?.ok_or(Unmappable)?;
                if !fits(&value, &column.name, target) {
                    return Err(Unmappable);
                }
                item.insert(column.name.clone(), value);
            }
            (Role::IndexKey, value) => {
                if let Ok(Some(value)) = value
                    && fits(&value, &column.name, target)
                {
                    item.insert(column.name.clone(), value);
                }
            }
        }
    }
    Ok(item)
}

fn is_json_null(bytes: Option<&[u8]>, meta: &Column, column: &SelectColumn) -> bool {
    Sent::of(meta, column) == Sent::Json && bytes == Some(b"null")
}

/// Whether a key's value is as long as DynamoDB wants it.
fn fits(value: &Json, name: &str, target: &TargetTable) -> bool {
    let (kind, inner) = value
        .as_object()
        .and_then(|o| o.iter().next())
        .expect("an attribute value");
    let text = inner.as_str().unwrap_or_default();
    let length = match kind.as_str() {
        "S" => text.len(),
        "B" => STANDARD.decode(text).expect("base64").len(),
        "N" => return true,
        _ => return false,
    };
    let indexes = target.gsis.iter().map(|g| (&g.pk, g.sk.as_ref()));
    let limit = std::iter::once((&target.pk, target.sk.as_ref()))
        .chain(indexes)
        .flat_map(|(pk, sk)| {
            let pk = (pk.name == name).then_some(2048);
            let sk = sk.filter(|sk| sk.name == name).map(|_| 1024);
            pk.into_iter().chain(sk)
        })
        .min();
    length > 0 && limit.is_none_or(|limit| length <= limit)
}

/// What MySQL calls a column of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Json,
    Number,
    Bytes,
    Text,
    /// Dates and times.
    Moment,
}

impl Sent {
    fn of(meta: &Column, column: &SelectColumn) -> Sent {
        use ColumnType::*;
        if column.json {
            return Sent::Json;
        }
        match meta.column_type() {
            MYSQL_TYPE_JSON => Sent::Json,
            MYSQL_TYPE_TINY
            | MYSQL_TYPE_SHORT
            | MYSQL_TYPE_INT24
            | MYSQL_TYPE_LONG
            | MYSQL_TYPE_LONGLONG
            | MYSQL_TYPE_FLOAT
            | MYSQL_TYPE_DOUBLE
            | MYSQL_TYPE_DECIMAL
            | MYSQL_TYPE_NEWDECIMAL
            | MYSQL_TYPE_YEAR
            | MYSQL_TYPE_BIT => Sent::Number,
            MYSQL_TYPE_DATE | MYSQL_TYPE_NEWDATE | MYSQL_TYPE_DATETIME | MYSQL_TYPE_TIMESTAMP
            | MYSQL_TYPE_TIME => Sent::Moment,
            MYSQL_TYPE_GEOMETRY | MYSQL_TYPE_VECTOR => Sent::Bytes,
            // The character set "binary".
            _ if meta.character_set() == 63 => Sent::Bytes,
            _ => Sent::Text,
        }
    }
}

/// `None` leaves the attribute out.
fn attribute(
    ty: AttributeType,
    bytes: Option<&[u8]>,
    sent: &Sent,
) -> Result<Option<Json>, Unmappable> {
    let Some(bytes) = bytes else { return Ok(None) };
    let text = || str::from_utf8(bytes).map_err(|_| Unmappable);
    if *sent == Sent::Json
        && !matches!(ty, AttributeType::S | AttributeType::B)
        && bytes.trim_ascii() == b"null"
    {
        return Ok(None);
    }
    Ok(Some(match ty {
        AttributeType::Null => return Ok(None),
        AttributeType::S if *sent == Sent::Bytes => return Err(Unmappable),
        AttributeType::S => json!({"S": text()?}),
        AttributeType::B => json!({"B": STANDARD.encode(bytes)}),
        AttributeType::N => match number_text(text()?, sent)? {
            Some(number) => json!({"N": number}),
            None => return Ok(None),
        },
        AttributeType::Bool => json!({"BOOL": boolean(text()?, sent)?}),
        AttributeType::M | AttributeType::L => document(ty, text()?, sent)?,
        AttributeType::SS | AttributeType::NS | AttributeType::BS => {
            return set(ty, bytes, sent);
        }
    }))
}

fn scalar(text: &str) -> Result<Json, Unmappable> {
    serde_json::from_str(text).map_err(|_| Unmappable)
}

/// `None` for a zero date.
fn number_text(text: &str, sent: &Sent) -> Result<Option<String>, Unmappable> {
    let text = match sent {
        Sent::Json => match scalar(text)? {
            Json::Number(number) => number.to_string(),
            Json::String(text) => text,
            Json::Bool(value) => u8::from(value).to_string(),
            _ => return Err(Unmappable),
        },
        Sent::Moment if text.starts_with("0000-00-00") => return Ok(None),
        Sent::Moment | Sent::Bytes => return Err(Unmappable),
        Sent::Number | Sent::Text => text.to_owned(),
    };
    number(&text).map(Some)
}

/// The number in one notation, if DynamoDB has it.
fn number(text: &str) -> Result<String, Unmappable> {
    let text = text.trim_ascii();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let digits = mantissa.trim_start_matches(['-', '+']);
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.matches('.').count() <= 1
        && mantissa.len() - digits.len() <= 1
        && exponent.parse::<i32>().is_ok();
    if !plain {
        return Err(Unmappable);
    }
    let canonical = items::canonical_number(text);
    let (digits, exponent) = canonical.split_once('e').unwrap_or((&canonical, "0"));
    let digits = digits.trim_start_matches('-').len() as i64;
    let first = digits - 1 + exponent.parse::<i64>().expect("our own exponent");
    let there = canonical == "0" || (digits <= 38 && (-130..=125).contains(&first));
    there.then(|| text.to_owned()).ok_or(Unmappable)
}

fn boolean(text: &str, sent: &Sent) -> Result<bool, Unmappable> {
    let word = |text: &str| match text.trim_ascii().to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Unmappable),
    };
    let not_zero = |text: &str| Ok(items::canonical_number(&number(text)?) != "0");
    match sent {
        Sent::Number => not_zero(text),
        Sent::Text => word(text),
        Sent::Json => match scalar(text)? {
            Json::Bool(value) => Ok(value),
            Json::Number(number) => not_zero(&number.to_string()),
            Json::String(text) => word(&text),
            _ => Err(Unmappable),
        },
        Sent::Bytes | Sent::Moment => Err(Unmappable),
    }
}

fn document(ty: AttributeType, text: &str, sent: &Sent) -> Result<Json, Unmappable> {
    if *sent != Sent::Json {
        return Err(Unmappable);
    }
    let json = scalar(text)?;
    let fits = match ty {
        AttributeType::M => json.is_object(),
        _ => json.is_array(),
    };
    if !fits {
        return Err(Unmappable);
    }
    numbers_fit(&json)?;
    Ok(native(&json))
}

fn numbers_fit(json: &Json) -> Result<(), Unmappable> {
    match json {
        Json::Number(text) => number(&text.to_string()).map(|_| ()),
        Json::Array(values) => values.iter().try_for_each(numbers_fit),
        Json::Object(values) => values.values().try_for_each(numbers_fit),
        _ => Ok(()),
    }
}

fn set(ty: AttributeType, bytes: &[u8], sent: &Sent) -> Result<Option<Json>, Unmappable> {
    if ty == AttributeType::BS && *sent == Sent::Bytes {
        return Ok(Some(json!({"BS": [STANDARD.encode(bytes)]})));
    }
    let text = str::from_utf8(bytes).map_err(|_| Unmappable)?;
    let members: Vec<String> = match sent {
        Sent::Json => match scalar(text)? {
            Json::Array(values) => values.iter().map(member).collect::<Result<_, _>>()?,
            _ => return Err(Unmappable),
        },
        Sent::Bytes => return Err(Unmappable),
        _ if text.is_empty() => Vec::new(),
        _ => text.split(',').map(str::to_owned).collect(),
    };
    let members: BTreeSet<String> = match ty {
        AttributeType::NS => members
            .iter()
            .map(|m| number(m).map(|m| items::canonical_number(&m)))
            .collect::<Result<_, _>>()?,
        AttributeType::BS => members.iter().map(|m| STANDARD.encode(m)).collect(),
        _ => members.into_iter().collect(),
    };
    let name = match ty {
        AttributeType::NS => "NS",
        AttributeType::BS => "BS",
        _ => "SS",
    };
    Ok((!members.is_empty()).then(|| json!({ name: members })))
}

fn member(json: &Json) -> Result<String, Unmappable> {
    match json {
        Json::String(text) => Ok(text.clone()),
        Json::Number(number) => Ok(number.to_string()),
        Json::Bool(value) => Ok(value.to_string()),
        _ => Err(Unmappable),
    }
}
