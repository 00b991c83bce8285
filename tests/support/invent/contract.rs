//! A contract over a schema: DynamoDB tables, their keys and indexes, filters.

use fastrand::Rng;
use serde_json::{Value, json};

use super::attribute::Maker;
use super::expression::{Row, condition};
use super::schema::{Kind, Schema, Table};
use super::{once_in, pick};

pub fn invent(schema: &Schema, rng: &mut Rng) -> Value {
    let mut tables = Vec::new();
    let mut driving: Vec<_> = (0..schema.tables.len()).collect();
    rng.shuffle(&mut driving);
    if driving.len() > 2 && rng.bool() {
        let mut entities =
            driving.split_off(driving.len() - rng.usize(2..=3.min(driving.len() - 1)));
        // One table as two entities: their filters decide which a row is, or both want it.
        if once_in(rng, 3) {
            entities.push(entities[0]);
        }
        tables.push(several(schema, &entities, rng));
    }
    for (number, &table) in driving.iter().enumerate() {
        tables.push(single(schema, table, number, rng));
    }
    json!({ "tables": tables })
}

fn single(schema: &Schema, driving: usize, number: usize, rng: &mut Rng) -> Value {
    let maker = Maker { schema, driving };
    let source = &schema.tables[driving];
    let mut made = json!({"table": format!("Single{number}"), "type": "single-entity", "source_table": source.name});
    let mut attributes = keys(&maker, source, &mut made, rng);
    let first = attributes.len();
    let more = rng.usize(2..=9);
    attributes.extend((0..more).map(|n| maker.attribute(&format!("a{n}"), rng)));
    let indexes: Vec<_> = attributes[first..]
        .iter()
        .filter_map(|a| index(a, rng))
        .take(2)
        .collect();
    if !indexes.is_empty() {
        made["gsis"] = indexes.into();
    }
    made["attributes"] = attributes.into();
    filter(source, &mut made, rng);
    made
}

/// The key's names go into `made`; what defines them is returned.
fn keys(maker: &Maker<'_>, source: &Table, made: &mut Value, rng: &mut Rng) -> Vec<Value> {
    let column = |slot: usize| {
        let column = &source.columns[slot];
        let ty = match column.kind {
            Kind::Int | Kind::BigUnsigned | Kind::Decimal => "N",
            Kind::Binary => "B",
            _ => "S",
        };
        json!({"name": column.name, "type": ty, "source_column": column.name})
    };
    // Bytes cannot stand in text: hex can.
    let part = |slot: usize| {
        let column = &source.columns[slot];
        let mut made =
            json!({"name": format!("part_{slot}"), "type": "S", "source_column": column.name});
        if column.kind.is_binary() {
            made["transformation"] = json!({"type": "binary-format", "format": "hex"});
        }
        made
    };
    let whole = |name: &str| {
        let parts: Vec<_> = source
            .key
            .iter()
            .map(|slot| format!("{{part_{slot}}}"))
            .collect();
        json!({"name": name, "type": "S", "transformation": {"type": "template", "template": format!("K#{}", parts.join("#"))}})
    };
    let parts = || source.key.iter().map(|&slot| part(slot));
    let all = || json!({"name": "owner", "type": "S", "transformation": {"type": "static", "value": "all"}});
    match rng.u8(0..15) {
        0..=3 => {
            made["pk"] = source.columns[source.key[0]].name.as_str().into();
            if let Some(&second) = source.key.get(1) {
                made["sk"] = source.columns[second].name.as_str().into();
            }
            source.key.iter().map(|&slot| column(slot)).collect()
        }
        4..=6 => {
            made["pk"] = "pk".into();
            std::iter::once(whole("pk")).chain(parts()).collect()
        }
        7 | 8 => {
            made["pk"] = "owner".into();
            made["sk"] = "sk".into();
            let owner = maker.owner("owner", rng).unwrap_or_else(all);
            [owner, whole("sk")].into_iter().chain(parts()).collect()
        }
        9..=13 => {
            made["pk"] = "owner".into();
            vec![maker.sole_owner("owner", rng).unwrap_or_else(all)]
        }
        // Rows share keys.
        _ => {
            let texts: Vec<_> = source
                .columns
                .iter()
                .filter(|c| !c.kind.is_binary() && !matches!(c.kind, Kind::Json | Kind::JsonText))
                .collect();
            let shared = *pick(rng, &texts);
            made["pk"] = "shared".into();
            vec![json!({"name": "shared", "type": "S", "source_column": shared.name})]
        }
    }
}

fn several(schema: &Schema, driving: &[usize], rng: &mut Rng) -> Value {
    let collide = once_in(rng, 4);
    let entities: Vec<_> = driving
        .iter()
        .enumerate()
        .map(|(number, &table)| {
            let maker = Maker {
                schema,
                driving: table,
            };
            let source = &schema.tables[table];
            let mut attributes = Vec::new();
            let mut parts = Vec::new();
            for &slot in &source.key {
                let column = &source.columns[slot];
                let name = format!("part_{slot}");
                let mut part = json!({"name": name, "type": "S", "source_column": column.name});
                if column.kind.is_binary() {
                    part["transformation"] = json!({"type": "binary-format", "format": "hex"});
                }
                attributes.push(part);
                parts.push(format!("{{{name}}}"));
            }
            let prefix = if collide {
                "X".to_owned()
            } else {
                format!("T{table}")
            };
            let more = rng.usize(1..=5);
            attributes.extend((0..more).map(|n| maker.attribute(&format!("t{table}_{n}"), rng)));
            let first = match maker.owner("owner", rng).filter(|_| once_in(rng, 4)) {
                Some(owner) => {
                    attributes.push(owner);
                    "{owner}"
                }
                None => parts[0].as_str(),
            };
            let mut made = json!({"entity_type": format!("T{table}_{number}"), "source_table": source.name,
                "pk_template": format!("{prefix}#{first}"),
                "sk_template": format!("{prefix}#{}", parts.get(1).map_or("ROW", String::as_str)),
                "attributes": attributes});
            match driving.iter().filter(|&&t| t == table).count() {
                1 => filter(source, &mut made, rng),
                _ => made["filter"] = condition(Row::bare(source), rng, 1).into(),
            }
            made
        })
        .collect();
    json!({"table": "Several", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": entities})
}

fn filter(source: &Table, made: &mut Value, rng: &mut Rng) {
    if once_in(rng, 5) {
        made["filter"] = condition(Row::bare(source), rng, 2).into();
    }
}

/// An index on the attribute, now and then.
fn index(attribute: &Value, rng: &mut Rng) -> Option<Value> {
    let fits = matches!(attribute["type"].as_str(), Some("S" | "N" | "B"));
    (fits && once_in(rng, 5)).then(|| json!({"index_name": format!("by_{}", attribute["name"].as_str().unwrap_or_default()), "pk": attribute["name"]}))
}
